//! The Ethernet address of a guest.

use core::fmt;

use heapless::String;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    HostOffset, NetError, TenantNetId,
    digits::{parse_hex, push_hex},
    text,
};

/// The Ethernet address of a guest: `02:fc:<net hi>:<net lo>:00:<offset>`.
///
/// Bit 1 of the first byte says that it is administered locally (IEEE 802, section 8.4.2): it
/// collides with no manufacturer's. An address that does not follow the scheme is not a value of
/// this type. In postcard the six bytes.
///
/// ```
/// use mvm_core::naming::{HostOffset, MacAddr, TenantNetId};
///
/// let mac = MacAddr::new(TenantNetId::new(3)?, HostOffset::new(5)?);
/// assert_eq!(mac.to_string(), "02:fc:00:03:00:05");
/// assert_eq!("02:fc:00:03:00:05".parse::<MacAddr>()?, mac);
/// assert!("02:FC:00:03:00:05".parse::<MacAddr>().is_err());
/// # Ok::<(), mvm_core::naming::NetError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr {
    net: TenantNetId,
    offset: HostOffset,
}

/// Six bytes of two digits with five colons.
const MAC_TEXT_BYTES: usize = 17;

impl MacAddr {
    /// The address of this host.
    pub const fn new(net: TenantNetId, offset: HostOffset) -> Self {
        Self { net, offset }
    }

    /// The address with these bytes.
    ///
    /// # Errors
    /// [`NetError::MacShape`], or the number that is out of range.
    pub const fn from_octets(octets: [u8; 6]) -> Result<Self, NetError> {
        let [0x02, 0xfc, high, low, 0x00, offset] = octets else {
            return Err(NetError::MacShape);
        };
        match (
            TenantNetId::new(u16::from_be_bytes([high, low])),
            HostOffset::new(offset),
        ) {
            (Ok(net), Ok(offset)) => Ok(Self { net, offset }),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// Reads an address: 17 bytes, lower-case hexadecimal.
    ///
    /// # Errors
    /// [`NetError::MacShape`], or the number that is out of range.
    pub fn parse(text: &str) -> Result<Self, NetError> {
        let mut octets = [0; 6];
        let mut rest = text.as_bytes();
        for (at, octet) in octets.iter_mut().enumerate() {
            if at > 0 {
                rest = rest.strip_prefix(b":").ok_or(NetError::MacShape)?;
            }
            let (digits, tail) = rest.split_first_chunk::<2>().ok_or(NetError::MacShape)?;
            *octet = parse_hex(*digits).ok_or(NetError::MacShape)?;
            rest = tail;
        }
        if !rest.is_empty() {
            return Err(NetError::MacShape);
        }
        Self::from_octets(octets)
    }

    /// The bytes, in the order of transmission.
    pub const fn octets(self) -> [u8; 6] {
        let [high, low] = self.net.get().to_be_bytes();
        [0x02, 0xfc, high, low, 0x00, self.offset.get()]
    }

    /// What the address was made from.
    pub const fn parts(self) -> (TenantNetId, HostOffset) {
        (self.net, self.offset)
    }

    fn text(self) -> String<MAC_TEXT_BYTES, u8> {
        let mut text = String::new();
        for (at, octet) in self.octets().iter().enumerate() {
            if at > 0 {
                let _ = text.push(':');
            }
            push_hex(text.as_mut_view(), &[*octet]);
        }
        text
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().as_str())
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacAddr(")?;
        f.write_str(self.text().as_str())?;
        f.write_str(")")
    }
}

impl core::str::FromStr for MacAddr {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for MacAddr {
    type Error = NetError;

    fn try_from(text: &str) -> Result<Self, NetError> {
        Self::parse(text)
    }
}

impl TryFrom<[u8; 6]> for MacAddr {
    type Error = NetError;

    fn try_from(octets: [u8; 6]) -> Result<Self, NetError> {
        Self::from_octets(octets)
    }
}

impl Serialize for MacAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.text().as_str())
        } else {
            self.octets().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for MacAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            text::deserialize(deserializer, "the address of a guest", Self::parse)
        } else {
            Self::from_octets(Deserialize::deserialize(deserializer)?).map_err(de::Error::custom)
        }
    }
}
