//! Keys and signatures.

use core::fmt;
use core::marker::PhantomData;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror_no_std::Error;

use crate::rules::{Rule, on};
use crate::wire::codec::byte_array;

use super::{HexError, hex};

mod sealed {
    pub trait Sealed {}
}

/// What a key is for. Sealed: the usages are [`Document`], [`Host`] and [`Guest`].
pub trait Usage: sealed::Sealed + Copy + core::hash::Hash + 'static {
    /// The word that stands for this usage in text forms and fingerprints.
    const LABEL: &'static str;
}

macro_rules! usage {
    ($(#[$doc:meta])* $name:ident, $label:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(clippy::exhaustive_enums, reason = "has no values and never will")]
        pub enum $name {}
        impl sealed::Sealed for $name {}
        impl Usage for $name {
            const LABEL: &'static str = $label;
        }
    };
}

usage!(
    /// Signs documents: desired states, templates, policies.
    Document,
    "document"
);
usage!(
    /// Signs the host's side of a session.
    Host,
    "host"
);
usage!(
    /// Signs the guest's side of a session.
    Guest,
    "guest"
);

/// Why bytes or text are not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum KeyError {
    /// The 32 bytes are not the y coordinate of a point of the curve.
    #[error("not a point of the curve")]
    NotOnCurve,
    /// The y coordinate is not reduced modulo 2^255 - 19: a second encoding of another key.
    #[error("the public key is not in canonical form")]
    NotCanonical,
    /// The point has small order: signatures under it say nothing.
    #[error("the public key is weak (a point of small order)")]
    Weak,
    /// The hexadecimal form is malformed.
    #[error("{0}")]
    Hex(HexError),
}

impl From<HexError> for KeyError {
    fn from(error: HexError) -> Self {
        Self::Hex(error)
    }
}

/// A signature does not belong to this key and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("the signature does not fit the key and the message")]
pub struct BadSignature;

impl_error!(KeyError, BadSignature);

/// An Ed25519 signature: 64 bytes, in JSON an array of 64 numbers, in postcard the bytes without a
/// length. Any 64 bytes are one; whether they fit a message is what verifying says.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Signature([u8; 64]);

impl Signature {
    /// Length in bytes.
    pub const LEN: usize = 64;

    /// Wraps the 64 bytes R ‖ S of RFC 8032.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes R ‖ S of RFC 8032.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(")?;
        hex::write(&self.0, f)?;
        f.write_str(")")
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        byte_array::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        byte_array::deserialize(deserializer).map(Self)
    }
}

/// A secret key for one usage.
///
/// It has no `Clone`, prints only its fingerprint, and is wiped when dropped.
pub struct SecretKey<U: Usage> {
    key: SigningKey,
    usage: PhantomData<fn() -> U>,
}

impl<U: Usage> SecretKey<U> {
    /// The key of a 32-byte seed (RFC 8032 §5.1.5). The seed is as secret as the key: it must come
    /// from a source of entropy and should be wiped by whoever holds it.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            key: SigningKey::from_bytes(seed),
            usage: PhantomData,
        }
    }

    /// The seed, to be stored.
    #[must_use]
    pub fn secret_seed(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey<U> {
        PublicKey {
            bytes: *self.key.as_ref().as_bytes(),
            usage: PhantomData,
        }
    }

    /// Signs a message that already starts with a context of its usage.
    pub(crate) fn sign_raw(&self, message: &[u8]) -> Signature {
        Signature(self.key.sign(message).to_bytes())
    }
}

impl<U: Usage> fmt::Debug for SecretKey<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SecretKey<{}>({})",
            U::LABEL,
            self.public().fingerprint()
        )
    }
}

/// A public key for one usage: canonical, on the curve, not of small order.
pub struct PublicKey<U: Usage> {
    bytes: [u8; 32],
    usage: PhantomData<fn() -> U>,
}

impl<U: Usage> PublicKey<U> {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Checks the 32 bytes of a public key.
    ///
    /// # Errors
    /// [`KeyError::NotCanonical`], [`KeyError::NotOnCurve`], [`KeyError::Weak`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        expand(bytes)?;
        Ok(Self {
            bytes: *bytes,
            usage: PhantomData,
        })
    }

    /// Reads 64 hexadecimal digits, of either case.
    ///
    /// # Errors
    /// [`KeyError::Hex`] where the text is malformed, else as [`from_bytes`](Self::from_bytes).
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        hex::decode(text.as_bytes(), &mut bytes)?;
        Self::from_bytes(&bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The key of a point that was checked already.
    pub(crate) fn of(point: &VerifyingKey) -> Self {
        Self {
            bytes: point.to_bytes(),
            usage: PhantomData,
        }
    }

    /// The point behind the bytes; computed, since it is six times their size.
    pub(crate) fn expand(&self) -> Result<VerifyingKey, KeyError> {
        expand(&self.bytes)
    }

    /// Checks a signature strictly, over a message that starts with a context of its usage.
    pub(crate) fn verify_raw(
        &self,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        verify_strict(
            &self.expand().map_err(|_| BadSignature)?,
            message,
            signature,
        )
    }
}

/// Strict verification: R is canonical too, and no point of small order passes.
pub(crate) fn verify_strict(
    key: &VerifyingKey,
    message: &[u8],
    signature: &Signature,
) -> Result<(), BadSignature> {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    key.verify_strict(message, &signature)
        .map_err(|_| BadSignature)
}

/// Whether y, the low 255 bits in little-endian order, is below 2^255 - 19.
const fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = bytes;
    let mut all_ones = (*last | 0x80) == 0xff;
    let mut rest: &[u8] = middle;
    while let [byte, tail @ ..] = rest {
        all_ones &= *byte == 0xff;
        rest = tail;
    }
    !(all_ones && *first >= 0xed)
}

/// The point behind the bytes of a public key, checked.
#[inline(never)]
pub(crate) fn expand(bytes: &[u8; 32]) -> Result<VerifyingKey, KeyError> {
    if on(Rule::CanonicalKeys) && !is_canonical(bytes) {
        return Err(KeyError::NotCanonical);
    }
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotOnCurve)?;
    if on(Rule::CanonicalKeys) && key.is_weak() {
        return Err(KeyError::Weak);
    }
    Ok(key)
}

// For the model alone, which compares states: two keys are the same if their public halves are.
#[cfg(test)]
impl<U: Usage> core::hash::Hash for SecretKey<U> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.public().hash(state);
    }
}

// By hand, because the derives would ask the same of the usage.
impl<U: Usage> Clone for PublicKey<U> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<U: Usage> Copy for PublicKey<U> {}
impl<U: Usage> PartialEq for PublicKey<U> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}
impl<U: Usage> Eq for PublicKey<U> {}
impl<U: Usage> PartialOrd for PublicKey<U> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<U: Usage> Ord for PublicKey<U> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.bytes.cmp(&other.bytes)
    }
}
impl<U: Usage> core::hash::Hash for PublicKey<U> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

/// The 64 hexadecimal digits, lower case.
impl<U: Usage> fmt::Display for PublicKey<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.bytes, f)
    }
}

impl<U: Usage> fmt::Debug for PublicKey<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey<{}>({self})", U::LABEL)
    }
}

#[cfg(feature = "defmt")]
impl<U: Usage> defmt::Format for PublicKey<U> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "PublicKey<{=str}>({=[u8]:02x})", U::LABEL, self.bytes);
    }
}

impl<U: Usage> Serialize for PublicKey<U> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        byte_array::serialize(&self.bytes, serializer)
    }
}

impl<'de, U: Usage> Deserialize<'de> for PublicKey<U> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = byte_array::deserialize(deserializer)?;
        Self::from_bytes(&bytes).map_err(serde::de::Error::custom)
    }
}
