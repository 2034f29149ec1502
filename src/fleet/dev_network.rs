//! Networks of a developer's machine: a bridge and its addresses, by name.
//!
//! Network number `n`, 1 to 255, has the addresses 172.16.`n`.0/24; number 0 is the default network's. The bridge
//! of a network is called `br-mvm-` and the network's name where that fits the 15 bytes of an interface's
//! name, as names of up to 8 bytes do; otherwise `bm_` and 12 digits of base 32, which are the first 60 bits of the
//! [`ShortName`] of the parts `network` and the name. No network's name has a `_` in it, so no short form is the long
//! form of another one; of 255 networks two have one short form with a probability of 3 in 10^14.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::net::Ipv4Addr;
use core::num::NonZeroU8;

use super::document::{At, Field, Problems, Reason, document, text_fields};
use super::tenant::gateway;
use super::text::{InterfaceName, Ipv4Subnet, boxed_text};
use crate::limits::INTERFACE_NAME_MAX;
use crate::names::{IdError, IdKind, ShortName, validate_id};
use crate::time::Timestamp;

/// What the names of bridges begin with that have the network's name in them.
const BRIDGE_PREFIX: &str = "br-mvm-";
/// What the names of other bridges begin with.
const SHORT_BRIDGE_PREFIX: &str = "bm_";
const SHORT_BRIDGE_DIGITS: usize = 12;

const _: () = assert!(SHORT_BRIDGE_PREFIX.len() + SHORT_BRIDGE_DIGITS <= INTERFACE_NAME_MAX);

/// The name of a development network; [`validate_id`] is its grammar.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkName(Box<str>);

impl NetworkName {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// Those of [`validate_id`].
    pub fn new(text: &str) -> Result<Self, IdError> {
        validate_id(text, IdKind::Network)?;
        Ok(Self(text.into()))
    }
}

boxed_text!(NetworkName, IdError);

text_fields! {
    borrowed NetworkName => Reason::Id;
}

document! {
    /// A named network with a bridge of its own.
    ///
    /// Rules: the subnet has room for a gateway, and `gateway` is one of its usable addresses. A bridge may have
    /// another name than [`new`](Self::new) would give it.
    #[derive(Eq)]
    pub struct DevNetwork rules(rules) {
        /// Its name, `default` or `isolated`.
        name: NetworkName,
        /// The bridge on the host. 0.13.0 wrote names of more than 15 bytes, for which there can be no
        /// bridge; those are refused.
        bridge_name: InterfaceName,
        /// Its addresses.
        subnet: Ipv4Subnet,
        /// The address of the host in it, mostly the first usable one of the subnet.
        gateway: Ipv4Addr,
        /// When it was made.
        created_at: Timestamp,
    }
}

impl DevNetwork {
    /// The network that there always is: `default`, on the bridge `br-mvm`, with 172.16.0.0/24.
    ///
    /// ```
    /// use mvm_core::dev_network::DevNetwork;
    /// use mvm_core::time::Timestamp;
    ///
    /// let now: Timestamp = "2026-01-01T00:00:00Z".parse()?;
    /// assert_eq!(DevNetwork::default_network(now).gateway_cidr(), "172.16.0.1/24");
    /// # Ok::<(), mvm_core::time::ParseTimestampError>(())
    /// ```
    #[must_use]
    pub fn default_network(created_at: Timestamp) -> Self {
        Self::numbered(
            NetworkName("default".into()),
            InterfaceName::checked("br-mvm"),
            0,
            created_at,
        )
    }

    /// A network by its name and number. The caller sees to it that no other network has the number.
    ///
    /// ```
    /// use core::num::NonZeroU8;
    /// use mvm_core::dev_network::{DevNetwork, NetworkName};
    ///
    /// let now = "2026-01-01T00:00:00Z".parse()?;
    /// let lab = DevNetwork::new(NetworkName::new("lab")?, NonZeroU8::MIN, now);
    /// assert_eq!(lab.gateway_cidr(), "172.16.1.1/24");
    /// assert_eq!(&*lab.bridge_name, "br-mvm-lab");
    ///
    /// let long = DevNetwork::new(NetworkName::new("laboratory")?, NonZeroU8::MAX, now);
    /// assert_eq!(&*long.bridge_name, "bm_0ww1b483gswk");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new(name: NetworkName, number: NonZeroU8, created_at: Timestamp) -> Self {
        let bridge_name = name.bridge();
        Self::numbered(name, bridge_name, number.get(), created_at)
    }

    fn numbered(
        name: NetworkName,
        bridge_name: InterfaceName,
        number: u8,
        created_at: Timestamp,
    ) -> Self {
        Self {
            name,
            bridge_name,
            subnet: Ipv4Subnet::of(Ipv4Addr::new(172, 16, number, 0), 24),
            gateway: Ipv4Addr::new(172, 16, number, 1),
            created_at,
        }
    }

    /// The gateway's address and the length of the subnet's prefix, as `ip address add` wants it:
    /// `172.16.0.1/24`.
    #[must_use]
    pub fn gateway_cidr(&self) -> String {
        format!("{}/{}", self.gateway, self.subnet.net().prefix_len())
    }
}

impl NetworkName {
    /// The name of the network's bridge; the [module's documentation](self) has the two forms.
    #[must_use]
    pub fn bridge(&self) -> InterfaceName {
        let long = format!("{BRIDGE_PREFIX}{self}");
        if long.len() <= INTERFACE_NAME_MAX {
            return InterfaceName::checked(&long);
        }
        let short = ShortName::of(&["network", self]);
        let digits = short.digits();
        let digits = digits.get(..SHORT_BRIDGE_DIGITS).unwrap_or(digits);
        InterfaceName::checked(&format!("{SHORT_BRIDGE_PREFIX}{digits}"))
    }
}

/// The rules of a network.
fn rules(raw: &<DevNetwork as Field>::Raw<'_>, at: &At<'_>, problems: &mut Problems) {
    if let Ok(subnet) = raw.subnet.parse() {
        gateway(
            subnet,
            &raw.gateway,
            &at.member("subnet"),
            &at.member("gateway"),
            problems,
        );
    }
}
