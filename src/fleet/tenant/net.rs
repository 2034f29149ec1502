//! The addresses of a tenant's network.

use core::net::Ipv4Addr;

use thiserror_no_std::Error;

use super::TenantNet;
use crate::fleet::document::{At, Field, Problems, Reason};
use crate::fleet::text::Ipv4Subnet;
use crate::instance::{InstanceNet, PrefixLen};
use crate::limits::{HOST_OFFSET_MAX, HOST_OFFSET_MIN};
use crate::names::{BridgeName, HostOffset, TenantNetId};

/// Why a tenant's network has no such address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubnetError {
    /// The subnet has no address beside the first and the last.
    #[error("a /{prefix} has no room for a gateway and instances: at most /{max} has")]
    TooSmall {
        /// The length of its prefix, in bits.
        prefix: u8,
        /// The greatest length that has room.
        max: u8,
    },
    /// The address is not in the subnet.
    #[error("{address} is not in {subnet}")]
    Outside {
        /// The address.
        address: Ipv4Addr,
        /// The subnet.
        subnet: Ipv4Subnet,
    },
    /// The address is the first one of the subnet.
    #[error("{address} is the address of the network {subnet} itself")]
    Network {
        /// The address.
        address: Ipv4Addr,
        /// The subnet.
        subnet: Ipv4Subnet,
    },
    /// The address is the last one of the subnet.
    #[error("{address} is the broadcast address of {subnet}")]
    Broadcast {
        /// The address.
        address: Ipv4Addr,
        /// The subnet.
        subnet: Ipv4Subnet,
    },
    /// The subnet ends before this offset, or with it.
    #[error("offset {offset} is not in 1 to {last}, which {subnet} has")]
    OffsetTooLarge {
        /// The offset.
        offset: HostOffset,
        /// The last one that the subnet has, 254 at most.
        last: u8,
        /// The subnet.
        subnet: Ipv4Subnet,
    },
    /// The address is the gateway's.
    #[error("{address} is the gateway's")]
    Gateway {
        /// The address.
        address: Ipv4Addr,
    },
}

impl_error!(SubnetError);

/// The longest prefix of a tenant's network: 4 addresses, of which one is a gateway's and one an
/// instance's.
const PREFIX_MAX: u8 = 30;

impl Ipv4Subnet {
    /// The address that a gateway has: the first one that is usable.
    ///
    /// # Errors
    /// [`SubnetError::TooSmall`] for /31 and /32.
    ///
    /// ```
    /// use mvm_core::text::Ipv4Subnet;
    ///
    /// let subnet: Ipv4Subnet = "10.240.3.0/24".parse()?;
    /// assert_eq!(subnet.gateway()?.to_string(), "10.240.3.1");
    /// assert!("10.240.3.0/31".parse::<Ipv4Subnet>()?.gateway().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn gateway(self) -> Result<Ipv4Addr, SubnetError> {
        self.has_room()?;
        Ok(self.plus(1))
    }

    /// The address of the host with this offset, the subnet's own address plus the offset. The first one
    /// is the gateway's, unless that was given another one.
    ///
    /// # Errors
    /// [`SubnetError::TooSmall`], or [`SubnetError::OffsetTooLarge`] where the subnet has no such address or
    /// it is the broadcast address.
    pub fn host(self, offset: HostOffset) -> Result<Ipv4Addr, SubnetError> {
        self.has_room()?;
        let last = self.last_offset();
        if offset.get() > last {
            let subnet = self;
            return Err(SubnetError::OffsetTooLarge {
                offset,
                last,
                subnet,
            });
        }
        Ok(self.plus(offset.get()))
    }

    /// Whether an address is one of the subnet that a host can have: neither the first nor the last one.
    ///
    /// # Errors
    /// [`SubnetError::TooSmall`], [`SubnetError::Outside`], [`SubnetError::Network`],
    /// [`SubnetError::Broadcast`].
    pub fn usable(self, address: Ipv4Addr) -> Result<(), SubnetError> {
        self.has_room()?;
        let subnet = self;
        if !self.contains(address) {
            return Err(SubnetError::Outside { address, subnet });
        }
        if address == self.net().network() {
            return Err(SubnetError::Network { address, subnet });
        }
        if address == self.net().broadcast() {
            return Err(SubnetError::Broadcast { address, subnet });
        }
        Ok(())
    }

    fn has_room(self) -> Result<(), SubnetError> {
        let prefix = self.net().prefix_len();
        if prefix > PREFIX_MAX {
            let max = PREFIX_MAX;
            return Err(SubnetError::TooSmall { prefix, max });
        }
        Ok(())
    }

    /// The greatest offset of a host: the one before the broadcast address's, 254 at most. 0 where there
    /// is none.
    fn last_offset(self) -> u8 {
        let bits = u32::from(self.net().network()) ^ u32::from(self.net().broadcast());
        u8::try_from(bits.saturating_sub(1))
            .map_or(HOST_OFFSET_MAX, |last| last.min(HOST_OFFSET_MAX))
    }

    /// The caller has seen that the offset is not too large.
    fn plus(self, offset: u8) -> Ipv4Addr {
        // The host bits of a network are 0.
        Ipv4Addr::from(u32::from(self.net().network()) | u32::from(offset))
    }
}

impl TenantNet {
    /// The network with this number, these addresses and this gateway. The name of the bridge follows from the
    /// number.
    ///
    /// # Errors
    /// [`SubnetError`] where a gateway cannot have this address.
    ///
    /// ```
    /// use mvm_core::naming::{HostOffset, TenantNetId};
    /// use mvm_core::tenant::TenantNet;
    /// use mvm_core::text::Ipv4Subnet;
    ///
    /// let subnet: Ipv4Subnet = "10.240.3.0/24".parse()?;
    /// let net = TenantNet::new(TenantNetId::new(3)?, subnet, subnet.gateway()?)?;
    /// assert_eq!(&net.bridge_name, "br-tenant-3");
    ///
    /// let instance = net.instance(HostOffset::new(5)?)?;
    /// assert_eq!(instance.guest_ip.to_string(), "10.240.3.5");
    /// assert_eq!(instance.tap_dev().as_str(), "tn3i5");
    /// // The gateway's own address is nobody else's.
    /// assert!(net.instance(HostOffset::new(1)?).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        tenant_net_id: TenantNetId,
        ipv4_subnet: Ipv4Subnet,
        gateway_ip: Ipv4Addr,
    ) -> Result<Self, SubnetError> {
        ipv4_subnet.usable(gateway_ip)?;
        Ok(Self {
            tenant_net_id,
            ipv4_subnet,
            gateway_ip,
            bridge_name: BridgeName::new(tenant_net_id),
        })
    }

    /// The address of the instance at an offset.
    ///
    /// # Errors
    /// Those of [`Ipv4Subnet::host`], and [`SubnetError::Gateway`].
    pub fn address(&self, offset: HostOffset) -> Result<Ipv4Addr, SubnetError> {
        let address = self.ipv4_subnet.host(offset)?;
        if address == self.gateway_ip {
            return Err(SubnetError::Gateway { address });
        }
        Ok(address)
    }

    /// The identity on the network of the instance at an offset.
    ///
    /// # Errors
    /// Those of [`address`](Self::address); and those of [`Ipv4Subnet::usable`] where the gateway's address is
    /// none of a gateway, so that an instance would not reach it.
    pub fn instance(&self, offset: HostOffset) -> Result<InstanceNet, SubnetError> {
        self.ipv4_subnet.usable(self.gateway_ip)?;
        let address = self.address(offset)?;
        let (prefix, max) = (self.ipv4_subnet.net().prefix_len(), PREFIX_MAX);
        // Never an error: `usable` has seen that there is room.
        let prefix_len =
            PrefixLen::new(prefix).map_err(|_| SubnetError::TooSmall { prefix, max })?;
        Ok(InstanceNet::new(
            self.tenant_net_id,
            offset,
            address,
            self.gateway_ip,
            prefix_len,
        ))
    }

    /// The offsets that instances can have, ascending.
    ///
    /// ```
    /// use mvm_core::naming::{HostOffset, TenantNetId};
    /// use mvm_core::tenant::TenantNet;
    /// use mvm_core::text::Ipv4Subnet;
    ///
    /// let subnet: Ipv4Subnet = "10.240.3.0/29".parse()?;
    /// let net = TenantNet::new(TenantNetId::new(3)?, subnet, subnet.gateway()?)?;
    /// let taken = [2, 3];
    /// let free = net.offsets().find(|offset| !taken.contains(&offset.get()));
    /// assert_eq!(free, Some(HostOffset::new(4)?));
    /// assert_eq!(net.offsets().count(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn offsets(&self) -> impl Iterator<Item = HostOffset> + '_ {
        (HOST_OFFSET_MIN..=HOST_OFFSET_MAX)
            .filter_map(|offset| HostOffset::new(offset).ok())
            .filter(|offset| self.address(*offset).is_ok())
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.ipv4_subnet.overlaps(other.ipv4_subnet)
    }
}

/// The rules of a network.
pub(super) fn rules(raw: &<TenantNet as Field>::Raw<'_>, at: &At<'_>, problems: &mut Problems) {
    if let Ok(subnet) = raw.ipv4_subnet.parse::<Ipv4Subnet>() {
        gateway(
            subnet,
            &raw.gateway_ip,
            &at.member("ipv4_subnet"),
            &at.member("gateway_ip"),
            problems,
        );
    }
    if let Ok(net) = TenantNetId::new(raw.tenant_net_id)
        && let Ok(bridge) = BridgeName::parse(&raw.bridge_name)
        && bridge.net() != net
    {
        let other = at.member("tenant_net_id").path();
        let expected = BridgeName::new(net).as_str().into();
        problems.add(
            &at.member("bridge_name"),
            Reason::Mismatch { other, expected },
        );
    }
}

/// The rules of a gateway in its subnet; says nothing of a gateway that is no address.
pub(in crate::fleet) fn gateway(
    subnet: Ipv4Subnet,
    gateway: &str,
    subnet_at: &At<'_>,
    gateway_at: &At<'_>,
    problems: &mut Problems,
) {
    if let Err(error) = subnet.gateway() {
        problems.add(subnet_at, Reason::Subnet(error));
    } else if let Some(error) = gateway
        .parse()
        .ok()
        .and_then(|address| subnet.usable(address).err())
    {
        problems.add(gateway_at, Reason::Subnet(error));
    }
}
