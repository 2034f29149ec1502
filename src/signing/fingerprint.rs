//! Short names of public keys, for people and logs.

use core::fmt;

use super::{PublicKey, Usage, hash, hex};

/// The first 128 bits of SHA-512/256 over `"mvm-core/fingerprint/v1\0"`, the usage's label, NUL and
/// the key's 32 bytes. Enough to tell keys apart and to compare by eye; trust is decided on whole
/// keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// A fingerprint that was kept. Whether there is such a key is not looked at.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl<U: Usage> PublicKey<U> {
    /// The key's fingerprint: 32 hexadecimal digits when displayed.
    ///
    /// ```
    /// use mvm_core::signing::DocumentKey;
    /// let fingerprint = DocumentKey::from_seed(&[1; 32]).public().fingerprint();
    /// assert_eq!(fingerprint.as_bytes().len(), 16);
    /// ```
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = hash(&[
            b"mvm-core/fingerprint/v1\0",
            U::LABEL.as_bytes(),
            b"\0",
            self.as_bytes(),
        ]);
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(digest) {
            *to = from;
        }
        Fingerprint(short)
    }
}
