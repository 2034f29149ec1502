//! Where an instance is on the network.

use core::fmt;
use core::net::Ipv4Addr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::IPV4_PREFIX_MAX;
use crate::names::{HostOffset, MacAddr, TapName, TenantNetId};

/// The network identity of an instance: its TAP device, MAC address, address, gateway, prefix.
///
/// TAP name and MAC address are both made from the tenant's network and the instance's offset in
/// it, so these two numbers are what is held, and the two names cannot disagree.
///
/// JSON is 0.13.0's, a map of `tap_dev`, `mac`, `guest_ip`, `gateway_ip` and `cidr`, unknown
/// members ignored. Refused are, beside what is not a TAP name, MAC or IPv4 address, a `tap_dev`
/// and a `mac` of different instances (0.13.0 always derived both from one pair of numbers; a file
/// that says otherwise is damaged, and frames would be sent to a neighbour) and a `cidr` above 32.
/// In postcard, 11 to 12 bytes:
///
/// ```text
/// net         varint, 1 to 2 bytes, 0..=4095
/// offset      1 byte, 1..=254
/// guest_ip    4 bytes, in network order
/// gateway_ip  4 bytes, in network order
/// cidr        1 byte, 0..=32
/// ```
///
/// ```
/// use core::net::Ipv4Addr;
/// use mvm_core::instance::{InstanceNet, PrefixLen};
/// use mvm_core::naming::{HostOffset, TenantNetId};
///
/// let net = InstanceNet::new(
///     TenantNetId::new(3)?,
///     HostOffset::new(5)?,
///     Ipv4Addr::new(10, 240, 3, 5),
///     Ipv4Addr::new(10, 240, 3, 1),
///     PrefixLen::new(24)?,
/// );
/// assert_eq!(net.tap_dev().as_str(), "tn3i5");
/// assert_eq!(net.mac().to_string(), "02:fc:00:03:00:05");
/// assert!(net.gateway_is_reachable());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // its shape in postcard cannot grow
pub struct InstanceNet {
    /// The tenant's network.
    pub net: TenantNetId,
    /// The instance's place in it.
    pub offset: HostOffset,
    /// The address of the guest.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub guest_ip: Ipv4Addr,
    /// The address of the tenant's gateway.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub gateway_ip: Ipv4Addr,
    /// The length of the tenant's prefix; `cidr` in JSON.
    pub prefix: PrefixLen,
}

impl InstanceNet {
    /// The identity of the instance at `offset` in the tenant's network `net`.
    pub const fn new(
        net: TenantNetId,
        offset: HostOffset,
        guest_ip: Ipv4Addr,
        gateway_ip: Ipv4Addr,
        prefix: PrefixLen,
    ) -> Self {
        Self {
            net,
            offset,
            guest_ip,
            gateway_ip,
            prefix,
        }
    }

    /// The name of the TAP device on the host, `tn<net>i<offset>`.
    pub fn tap_dev(&self) -> TapName {
        TapName::new(self.net, self.offset)
    }

    /// The MAC address of the guest, `02:fc:<net>:<net>:00:<offset>`.
    pub const fn mac(&self) -> MacAddr {
        MacAddr::new(self.net, self.offset)
    }

    /// Whether guest and gateway are two addresses of one subnet of this prefix, so that the guest
    /// reaches its gateway directly.
    ///
    /// Not asked when a record is read: 0.13.0 never asked either, and a wrong subnet harms nobody
    /// but its own instance.
    pub fn gateway_is_reachable(&self) -> bool {
        let mask = self.prefix.mask();
        let difference = self.guest_ip.to_bits() ^ self.gateway_ip.to_bits();
        difference != 0 && difference & mask == 0
    }
}

/// The length of an IPv4 prefix: 0..=32 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PrefixLen(u8);

impl PrefixLen {
    /// Checks a length.
    ///
    /// # Errors
    /// [`PrefixLenError`] above 32.
    pub const fn new(bits: u8) -> Result<Self, PrefixLenError> {
        if bits > IPV4_PREFIX_MAX {
            return Err(PrefixLenError { bits });
        }
        Ok(Self(bits))
    }

    /// The length, in bits.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The mask: the prefix's bits are 1, the first in the highest place.
    pub const fn mask(self) -> u32 {
        // A shift by all 32 bits leaves nothing.
        match u32::MAX.checked_shr(u32_from(self.0)) {
            Some(hosts) => !hosts,
            None => u32::MAX,
        }
    }
}

#[allow(clippy::as_conversions)] // `From` is not const
const fn u32_from(bits: u8) -> u32 {
    bits as u32
}

impl TryFrom<u8> for PrefixLen {
    type Error = PrefixLenError;

    fn try_from(bits: u8) -> Result<Self, PrefixLenError> {
        Self::new(bits)
    }
}

impl fmt::Display for PrefixLen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PrefixLen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for PrefixLen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

impl<'de> Deserialize<'de> for PrefixLen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u8::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A number is not the length of an IPv4 prefix: it is above 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("prefix of {bits} bits, an IPv4 address has 32")]
#[non_exhaustive]
pub struct PrefixLenError {
    /// The number.
    pub bits: u8,
}

impl_error!(PrefixLenError);

/// The shape in JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename = "InstanceNet")]
struct Text {
    tap_dev: TapName,
    mac: MacAddr,
    guest_ip: Ipv4Addr,
    gateway_ip: Ipv4Addr,
    cidr: PrefixLen,
}

/// The shape in postcard.
type Compact = (TenantNetId, HostOffset, [u8; 4], [u8; 4], PrefixLen);

impl Serialize for InstanceNet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            Text {
                tap_dev: self.tap_dev(),
                mac: self.mac(),
                guest_ip: self.guest_ip,
                gateway_ip: self.gateway_ip,
                cidr: self.prefix,
            }
            .serialize(serializer)
        } else {
            let compact: Compact = (
                self.net,
                self.offset,
                self.guest_ip.octets(),
                self.gateway_ip.octets(),
                self.prefix,
            );
            compact.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for InstanceNet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = Text::deserialize(deserializer)?;
            let (net, offset) = text.tap_dev.parts();
            if text.mac.parts() != (net, offset) {
                return Err(D::Error::custom(
                    "tap_dev and mac belong to different instances",
                ));
            }
            Ok(Self::new(
                net,
                offset,
                text.guest_ip,
                text.gateway_ip,
                text.cidr,
            ))
        } else {
            let (net, offset, guest_ip, gateway_ip, prefix) = Compact::deserialize(deserializer)?;
            Ok(Self::new(
                net,
                offset,
                guest_ip.into(),
                gateway_ip.into(),
                prefix,
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        for (bits, mask) in [
            (0, 0),
            (1, 0x8000_0000),
            (8, 0xff00_0000),
            (24, 0xffff_ff00),
            (31, 0xffff_fffe),
            (32, 0xffff_ffff),
        ] {
            assert_eq!(PrefixLen::new(bits).unwrap().mask(), mask, "/{bits}");
        }
        for bits in 33..=255 {
            assert_eq!(PrefixLen::new(bits), Err(PrefixLenError { bits }));
        }
    }
}
