//! What a tenant's network is made of: numbers, and the names and addresses derived from them.
//!
//! A host in a tenant's network is a pair: the network's number, 0 to 4095, and the number of the
//! host in its /24, 1 to 254. Everything else is derived and leads back to the pair:
//!
//! | type | text | bytes |
//! | --- | --- | --- |
//! | [`TapName`] | `tn<net>i<offset>`, decimal | at most 10 of 15 |
//! | [`BridgeName`] | `br-tenant-<net>`, decimal | at most 14 of 15 |
//! | [`MacAddr`](super::MacAddr) | `02:fc:<net hi>:<net lo>:00:<offset>`, hexadecimal | 17 |
//!
//! Texts are canonical: no leading zeros, no capitals, nothing around them. What is parsed is
//! written again byte for byte.
//!
//! In postcard, byte by byte:
//!
//! ```text
//! TapName      net: varint(u16), 1 or 2 bytes | offset: 1 byte      tn3i5  =  03 05
//! BridgeName   net: varint(u16), 1 or 2 bytes                       br-tenant-3  =  03
//! MacAddr      02 | fc | net, big-endian: 2 bytes | 00 | offset: 1 byte
//! ```

use core::fmt;

use heapless::String;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror_no_std::Error;

use super::{
    digits::{cut, parse_decimal, push_decimal},
    text::{self, text_traits},
};
use crate::limits::{HOST_OFFSET_MAX, HOST_OFFSET_MIN, INTERFACE_NAME_MAX, TENANT_NET_ID_MAX};

/// Why a number or a text is none of a tenant's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum NetError {
    /// A network number above the greatest.
    #[error("tenant network {net} is greater than {max}")]
    NetTooLarge {
        /// The number.
        net: u16,
        /// The greatest number.
        max: u16,
    },
    /// A host number that is the network's own address or the broadcast address.
    #[error("host {offset} of a tenant network is not in {min} to {max}")]
    OffsetOutOfRange {
        /// The number.
        offset: u8,
        /// The least number.
        min: u8,
        /// The greatest number.
        max: u8,
    },
    /// The text is not `tn<net>i<offset>` in its one spelling.
    #[error("not the name of a TAP device: expected tn<net>i<offset>, decimal, no leading zeros")]
    TapShape,
    /// The text is not `br-tenant-<net>` in its one spelling.
    #[error("not the name of a bridge: expected br-tenant-<net>, decimal, no leading zeros")]
    BridgeShape,
    /// The text or the bytes are not `02:fc:<net hi>:<net lo>:00:<offset>` in its one spelling.
    #[error(
        "not the address of a guest: expected 02:fc:<net>:<net>:00:<offset>, lower-case hexadecimal"
    )]
    MacShape,
}

impl_error!(NetError);
const _: () = assert!(size_of::<NetError>() <= 8);

/// The number of a tenant's network, 0 to 4095. An integer in every format.
///
/// ```
/// use mvm_core::naming::TenantNetId;
///
/// assert_eq!(TenantNetId::new(4095)?.get(), 4095);
/// assert!(TenantNetId::new(4096).is_err());
/// # Ok::<(), mvm_core::naming::NetError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TenantNetId(u16);

impl TenantNetId {
    /// The network with this number.
    ///
    /// # Errors
    /// [`NetError::NetTooLarge`] above 4095.
    pub const fn new(net: u16) -> Result<Self, NetError> {
        if net > TENANT_NET_ID_MAX {
            return Err(NetError::NetTooLarge {
                net,
                max: TENANT_NET_ID_MAX,
            });
        }
        Ok(Self(net))
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for TenantNetId {
    type Error = NetError;

    fn try_from(net: u16) -> Result<Self, NetError> {
        Self::new(net)
    }
}

impl fmt::Display for TenantNetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for TenantNetId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u16::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The number of a host in its tenant's /24, 1 to 254. An integer in every format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HostOffset(u8);

impl HostOffset {
    /// The host with this number.
    ///
    /// # Errors
    /// [`NetError::OffsetOutOfRange`] for 0 and 255.
    pub const fn new(offset: u8) -> Result<Self, NetError> {
        if offset < HOST_OFFSET_MIN || offset > HOST_OFFSET_MAX {
            return Err(NetError::OffsetOutOfRange {
                offset,
                min: HOST_OFFSET_MIN,
                max: HOST_OFFSET_MAX,
            });
        }
        Ok(Self(offset))
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for HostOffset {
    type Error = NetError;

    fn try_from(offset: u8) -> Result<Self, NetError> {
        Self::new(offset)
    }
}

impl fmt::Display for HostOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for HostOffset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u8::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A text that can name a network interface.
type InterfaceName = String<INTERFACE_NAME_MAX, u8>;

const TAP_PREFIX: &str = "tn";
const TAP_MIDDLE: u8 = b'i';
const BRIDGE_PREFIX: &str = "br-tenant-";

// The budgets: what is built below fits for every number, of 4 digits and of 3.
const _: () = {
    assert!(TENANT_NET_ID_MAX < 10_000);
    assert!(TAP_PREFIX.len() + 4 + 1 + 3 <= INTERFACE_NAME_MAX);
    assert!(BRIDGE_PREFIX.len() + 4 <= INTERFACE_NAME_MAX);
};

/// The name of an instance's TAP device on the host: `tn<net>i<offset>`. In postcard the network's
/// number (a varint of 1 or 2 bytes) and the host's (1 byte).
///
/// ```
/// use mvm_core::naming::{HostOffset, TapName, TenantNetId};
///
/// let tap = TapName::new(TenantNetId::new(3)?, HostOffset::new(5)?);
/// assert_eq!(&tap, "tn3i5");
/// assert_eq!("tn3i5".parse::<TapName>()?.parts(), tap.parts());
/// assert!("tn03i5".parse::<TapName>().is_err());
/// # Ok::<(), mvm_core::naming::NetError>(())
/// ```
#[derive(Clone)]
pub struct TapName {
    text: InterfaceName,
    net: TenantNetId,
    offset: HostOffset,
}

impl TapName {
    /// The name of the device of this host.
    pub fn new(net: TenantNetId, offset: HostOffset) -> Self {
        let mut text = InterfaceName::new();
        let _ = text.push_str(TAP_PREFIX);
        push_decimal(text.as_mut_view(), u32::from(net.get()));
        let _ = text.push(char::from(TAP_MIDDLE));
        push_decimal(text.as_mut_view(), u32::from(offset.get()));
        Self { text, net, offset }
    }

    /// Reads a name.
    ///
    /// # Errors
    /// [`NetError::TapShape`], or the number that is out of range.
    pub fn parse(text: &str) -> Result<Self, NetError> {
        let (net, offset) = text
            .strip_prefix(TAP_PREFIX)
            .and_then(|rest| cut(rest, TAP_MIDDLE))
            .ok_or(NetError::TapShape)?;
        let net = parse_decimal(net.as_bytes()).ok_or(NetError::TapShape)?;
        let offset = parse_decimal(offset.as_bytes())
            .and_then(|offset| u8::try_from(offset).ok())
            .ok_or(NetError::TapShape)?;
        Ok(Self::new(TenantNetId::new(net)?, HostOffset::new(offset)?))
    }

    /// What the name was made from.
    pub const fn parts(&self) -> (TenantNetId, HostOffset) {
        (self.net, self.offset)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }
}

text_traits!(TapName, NetError, parse);

impl Serialize for TapName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.as_str())
        } else {
            self.parts().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for TapName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            text::deserialize(deserializer, "the name of a TAP device", Self::parse)
        } else {
            let (net, offset) = Deserialize::deserialize(deserializer)?;
            Ok(Self::new(net, offset))
        }
    }
}

/// The name of a tenant's bridge on the host: `br-tenant-<net>`. In postcard the network's number.
///
/// ```
/// use mvm_core::naming::{BridgeName, TenantNetId};
///
/// let bridge = BridgeName::new(TenantNetId::new(133)?);
/// assert_eq!(&bridge, "br-tenant-133");
/// assert_eq!(bridge.net().get(), 133);
/// # Ok::<(), mvm_core::naming::NetError>(())
/// ```
#[derive(Clone)]
pub struct BridgeName {
    text: InterfaceName,
    net: TenantNetId,
}

impl BridgeName {
    /// The name of the bridge of this network.
    pub fn new(net: TenantNetId) -> Self {
        let mut text = InterfaceName::new();
        let _ = text.push_str(BRIDGE_PREFIX);
        push_decimal(text.as_mut_view(), u32::from(net.get()));
        Self { text, net }
    }

    /// Reads a name.
    ///
    /// # Errors
    /// [`NetError::BridgeShape`], or [`NetError::NetTooLarge`].
    pub fn parse(text: &str) -> Result<Self, NetError> {
        let net = text
            .strip_prefix(BRIDGE_PREFIX)
            .and_then(|net| parse_decimal(net.as_bytes()))
            .ok_or(NetError::BridgeShape)?;
        Ok(Self::new(TenantNetId::new(net)?))
    }

    /// What the name was made from.
    pub const fn net(&self) -> TenantNetId {
        self.net
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }
}

text_traits!(BridgeName, NetError, parse);

impl Serialize for BridgeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.as_str())
        } else {
            self.net.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for BridgeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            text::deserialize(deserializer, "the name of a bridge", Self::parse)
        } else {
            TenantNetId::deserialize(deserializer).map(Self::new)
        }
    }
}
