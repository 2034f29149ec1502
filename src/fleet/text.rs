//! Texts and numbers of documents that the core has no type for.

use alloc::boxed::Box;
use core::fmt;
use core::net::Ipv4Addr;
use core::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror_no_std::Error;

use super::document::{At, Field, Problems, Reason, text_fields};
use crate::limits::{HASH_TEXT_MAX, INTERFACE_NAME_MAX};
use crate::names::{FlakeRefError, validate_flake_ref};

/// Why a text is not of the kind that is wanted. Positions are byte offsets from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TextError {
    /// There is nothing.
    #[error("empty")]
    Empty,
    /// Too many bytes.
    #[error("{len} bytes long, at most {max} are allowed")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The greatest length in bytes.
        max: usize,
    },
    /// A character that is not allowed.
    #[error("the character at byte {at} is not allowed here")]
    InvalidCharacter {
        /// Where the character begins.
        at: usize,
    },
}

impl_error!(TextError);

/// Why a text is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CidrError {
    /// Not an address, a slash and the length of a prefix.
    #[error("not a network: expected an address, `/` and the length of its prefix")]
    Shape,
    /// The address has bits behind the prefix.
    #[error("not a network: the address has bits behind the prefix, the network is {network}")]
    HostBits {
        /// The network that the address is in.
        network: IpNet,
    },
}

impl_error!(CidrError);

/// A flake reference of a document: a [`FlakeRef`](crate::naming::FlakeRef) that takes no more room than
/// its text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlakeRefText(Box<str>);

impl FlakeRefText {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// Those of [`validate_flake_ref`].
    pub fn new(text: &str) -> Result<Self, FlakeRefError> {
        validate_flake_ref(text)?;
        Ok(Self(text.into()))
    }
}

/// What is stored as a `Box<str>` and shown as it is.
macro_rules! boxed_text {
    ($name:ident, $error:ty) => {
        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl core::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl core::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $error;

            fn try_from(text: &str) -> Result<Self, $error> {
                Self::new(text)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_tuple(stringify!($name))
                    .field(&self.as_str())
                    .finish()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::fleet::document::deserialize(deserializer, stringify!($name))
            }
        }
    };
}
pub(super) use boxed_text;

boxed_text!(FlakeRefText, FlakeRefError);

/// The hash of secrets or of a lock file: 1 to 128 of `[0-9A-Za-z._:+-/=]`, as hexadecimal, `sha256:…`,
/// Nix's base 32 and base 64 have them. No path is made from it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashText(Box<str>);

impl HashText {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn new(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        if text.len() > HASH_TEXT_MAX {
            return Err(TextError::TooLong {
                len: text.len(),
                max: HASH_TEXT_MAX,
            });
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:+-/=".contains(&byte);
        match text.bytes().position(|byte| !allowed(byte)) {
            Some(at) => Err(TextError::InvalidCharacter { at }),
            None => Ok(Self(text.into())),
        }
    }
}

boxed_text!(HashText, TextError);

/// The name of a network interface: 1 to 15 bytes (`IFNAMSIZ` less the NUL; Linux,
/// `include/uapi/linux/if.h`) of `[0-9A-Za-z._-]`, the first a letter or a digit, so that it is no option of
/// a command.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName(Box<str>);

impl InterfaceName {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// [`TextError`].
    ///
    /// ```
    /// use mvm_core::text::{InterfaceName, TextError};
    ///
    /// assert!(InterfaceName::new("br-mvm").is_ok());
    /// let error = InterfaceName::new("br-mvm-laboratory").unwrap_err();
    /// assert_eq!(error, TextError::TooLong { len: 17, max: 15 });
    /// ```
    pub fn new(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        if text.len() > INTERFACE_NAME_MAX {
            return Err(TextError::TooLong {
                len: text.len(),
                max: INTERFACE_NAME_MAX,
            });
        }
        let allowed = |(at, byte): (usize, u8)| {
            byte.is_ascii_alphanumeric() || (at > 0 && b"._-".contains(&byte))
        };
        match text.bytes().enumerate().find(|found| !allowed(*found)) {
            Some((at, _)) => Err(TextError::InvalidCharacter { at }),
            None => Ok(Self(text.into())),
        }
    }
}

impl InterfaceName {
    /// A name that was made by this crate, from parts that fit.
    pub(super) fn checked(text: &str) -> Self {
        Self(text.into())
    }
}

boxed_text!(InterfaceName, TextError);

/// An IPv4 network in CIDR notation, without host bits: `10.240.3.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ipv4Subnet(Ipv4Net);

impl Ipv4Subnet {
    /// Checks a network.
    ///
    /// # Errors
    /// [`CidrError::HostBits`].
    pub fn new(net: Ipv4Net) -> Result<Self, CidrError> {
        if net.trunc() != net {
            return Err(CidrError::HostBits {
                network: IpNet::V4(net.trunc()),
            });
        }
        Ok(Self(net))
    }

    /// The network of this prefix that an address is in; with the address alone where no prefix is that
    /// long.
    pub(super) fn of(address: Ipv4Addr, prefix: u8) -> Self {
        Self(Ipv4Net::new(address, prefix).map_or(Ipv4Net::from(address), |net| net.trunc()))
    }

    /// The network.
    #[must_use]
    pub const fn net(self) -> Ipv4Net {
        self.0
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        self.0.contains(&address)
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.0.contains(&other.0.network()) || other.0.contains(&self.0.network())
    }
}

/// A network of either family in CIDR notation, without host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet(IpNet);

impl Subnet {
    /// Checks a network.
    ///
    /// # Errors
    /// [`CidrError::HostBits`].
    pub fn new(net: IpNet) -> Result<Self, CidrError> {
        if net.trunc() != net {
            return Err(CidrError::HostBits {
                network: net.trunc(),
            });
        }
        Ok(Self(net))
    }

    /// The network.
    #[must_use]
    pub const fn net(self) -> IpNet {
        self.0
    }
}

macro_rules! cidr {
    ($($name:ident as $net:ty),*) => {$(
        impl FromStr for $name {
            type Err = CidrError;

            fn from_str(text: &str) -> Result<Self, CidrError> {
                // `ipnet`'s own parser reads `010.0.0.0/08`, which is 8.0.0.0/8 to others.
                let (address, len) = text.split_once('/').ok_or(CidrError::Shape)?;
                let digits = len.bytes().all(|byte| byte.is_ascii_digit());
                if !digits || (len.len() > 1 && len.starts_with('0')) {
                    return Err(CidrError::Shape);
                }
                let address = address.parse().map_err(|_| CidrError::Shape)?;
                let len = len.parse().map_err(|_| CidrError::Shape)?;
                let net = <$net>::new(address, len).map_err(|_| CidrError::Shape)?;
                Self::new(net)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                super::document::deserialize(deserializer, stringify!($name))
            }
        }
    )*};
}

cidr!(Ipv4Subnet as Ipv4Net, Subnet as IpNet);

text_fields! {
    borrowed FlakeRefText => Reason::FlakeRef;
    borrowed HashText => Reason::Text;
    borrowed InterfaceName => Reason::Text;
    displayed Ipv4Subnet => Reason::Cidr;
    displayed Subnet => Reason::Cidr;
}

/// A number with a fraction that is finite: it can be written as JSON and read again.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize)]
#[serde(transparent)]
pub struct Finite(f64);

impl Finite {
    /// Checks a number.
    ///
    /// # Errors
    /// [`Reason::NotFinite`].
    pub const fn new(number: f64) -> Result<Self, Reason> {
        if number.is_finite() {
            Ok(Self(number))
        } else {
            Err(Reason::NotFinite)
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Finite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Field for Finite {
    type Raw<'a> = f64;

    fn read(raw: f64, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        match Self::new(raw) {
            Ok(number) => Some(number),
            Err(reason) => {
                problems.add(at, reason);
                None
            }
        }
    }

    fn raw(&self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Finite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::document::deserialize(deserializer, "Finite")
    }
}

/// A share: a number from 0 to 1.
///
/// ```
/// use mvm_core::text::Ratio;
///
/// assert_eq!(Ratio::new(0.95)?.get(), 0.95);
/// assert!(Ratio::new(1.5).is_err());
/// assert!(Ratio::new(f64::NAN).is_err());
/// # Ok::<(), mvm_core::document::Reason>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize)]
#[serde(transparent)]
pub struct Ratio(f64);

impl Ratio {
    /// Everything.
    pub const ONE: Self = Self(1.0);

    /// Checks a share.
    ///
    /// # Errors
    /// [`Reason::NotFinite`], [`Reason::NotRatio`].
    pub const fn new(share: f64) -> Result<Self, Reason> {
        if !share.is_finite() {
            return Err(Reason::NotFinite);
        }
        if share < 0.0 || share > 1.0 {
            return Err(Reason::NotRatio);
        }
        Ok(Self(share))
    }

    /// The share.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Field for Ratio {
    type Raw<'a> = f64;

    fn read(raw: f64, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        match Self::new(raw) {
            Ok(share) => Some(share),
            Err(reason) => {
                problems.add(at, reason);
                None
            }
        }
    }

    fn raw(&self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::document::deserialize(deserializer, "Ratio")
    }
}
