//! Where a log stands.

use core::fmt;
use core::str::FromStr;

use thiserror_no_std::Error;

use super::cursor::Cursor;
use crate::signing::{
    BadSignature, DocumentKey, DocumentPublicKey, Signature, hash, hex_decode, write_hex,
};

const RECORD: &[u8] = b"mvm-core/audit-record/v1\0";
const UNCHAINED: &[u8] = b"mvm-core/audit-unchained/v1\0";
const HEAD: &[u8] = b"mvm-core/audit-head/v1\0";

macro_rules! hex_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// From its bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

hex_bytes!(
    /// Which log it is: 16 bytes that its first writer drew. No record fits into another log.
    LogId,
    16
);
hex_bytes!(
    /// The hash of a record, or of unchained lines; what is hashed is [here](crate::audit#the-form-of-a-log).
    RecordHash,
    32
);

impl RecordHash {
    /// What stands where nothing is before.
    pub const ZERO: Self = Self([0; 32]);

    /// The hash of a record: `line` is everything in front of the hash's first digit.
    pub(super) fn of_record(log: LogId, previous: Self, line: &[u8]) -> Self {
        Self(hash(&[RECORD, &log.0, &previous.0, line]))
    }

    /// The hash of unchained lines with one more, behind the record with this number.
    pub(super) fn and_unchained(self, seq: u64, line: &[u8]) -> Self {
        Self(hash(&[UNCHAINED, &self.0, &seq.to_be_bytes(), line]))
    }
}

/// A record of a log, and with it everything before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Head {
    /// Which log it is.
    pub log: LogId,
    /// The generation that the record is in, from 1.
    pub generation: u64,
    /// The number of the record, from 1.
    pub seq: u64,
    /// The hash of the record.
    pub hash: RecordHash,
}

impl Head {
    pub(crate) const fn new(log: LogId, generation: u64, seq: u64, hash: RecordHash) -> Self {
        Self {
            log,
            generation,
            seq,
            hash,
        }
    }

    /// What to keep elsewhere, so that a log that is cut off or written anew is found out.
    #[must_use]
    pub const fn known(&self) -> KnownHead {
        KnownHead {
            seq: self.seq,
            hash: self.hash,
        }
    }
}

/// The message that is signed.
pub(super) struct HeadMessage([u8; HEAD.len() + 16 + 8 + 32]);

impl HeadMessage {
    pub(super) fn new(log: LogId, seq: u64, hash: RecordHash) -> Self {
        let mut message = [0; HEAD.len() + 16 + 8 + 32];
        let parts = HEAD
            .iter()
            .chain(&log.0)
            .copied()
            .chain(seq.to_be_bytes())
            .chain(hash.0);
        for (to, from) in message.iter_mut().zip(parts) {
            *to = from;
        }
        Self(message)
    }

    pub(super) fn sign(&self, key: &DocumentKey) -> Signature {
        key.sign_raw(&self.0)
    }

    pub(super) fn verify(
        &self,
        key: &DocumentPublicKey,
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        key.verify_raw(&self.0, signature)
    }
}

/// A record that is known to have been in a log: its number and hash. As text `17:` and 64 hexadecimal digits.
///
/// ```
/// use mvm_core::audit::KnownHead;
///
/// let text = format!("17:{}", "ab".repeat(32));
/// let head: KnownHead = text.parse()?;
/// assert_eq!(head.seq, 17);
/// assert_eq!(head.to_string(), text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a pair, with a text form of both"
)]
pub struct KnownHead {
    /// The number of the record, from 1.
    pub seq: u64,
    /// The hash of the record.
    pub hash: RecordHash,
}

/// A text is no [`KnownHead`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "not a head: expected the number of a record, `:` and the 64 hexadecimal digits of its hash"
)]
pub struct HeadTextError;

impl_error!(HeadTextError);

impl FromStr for KnownHead {
    type Err = HeadTextError;

    fn from_str(text: &str) -> Result<Self, HeadTextError> {
        let (number, digits) = text.split_once(':').ok_or(HeadTextError)?;
        let mut cursor = Cursor(number.as_bytes());
        let seq = cursor.number().ok_or(HeadTextError)?;
        let mut hash = [0; 32];
        hex_decode(digits.as_bytes(), &mut hash).map_err(|_| HeadTextError)?;
        if seq == 0 || !cursor.0.is_empty() {
            return Err(HeadTextError);
        }
        Ok(Self {
            seq,
            hash: RecordHash(hash),
        })
    }
}

impl fmt::Display for KnownHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}
