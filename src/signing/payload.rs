//! Signed documents.

use core::fmt;
use core::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror_no_std::Error;

use crate::naming::SignerId;
use crate::time::Timestamp;
use crate::wire::codec::{self, DecodeError};

use super::{Document, DocumentKey, Signature, TrustedKey};

/// Every context that this crate signs under begins like this; no document may.
pub const RESERVED_PREFIX: &[u8] = b"mvm-core/";

/// Why a document was not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SignError {
    /// The payload begins with [`RESERVED_PREFIX`].
    #[error("a document must not begin with `mvm-core/`")]
    ReservedPrefix,
}

/// Why a signed document is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum VerifyError {
    /// The payload begins with [`RESERVED_PREFIX`]: no document, whoever signed it.
    #[error("a document must not begin with `mvm-core/`")]
    ReservedPrefix,
    /// No key of this signer is trusted.
    #[error("the signer is not trusted")]
    UnknownSigner,
    /// The signature fits a key of the signer whose time has not come.
    #[error("the signer's key is not valid yet")]
    NotYetValid,
    /// The signature fits a key of the signer whose time is over.
    #[error("the signer's key is no longer valid")]
    NoLongerValid,
    /// The signature fits a key that has a time, and the caller gave no time to check it against.
    #[error("the signer's key is valid for a time only, and no clock was given to check it")]
    NoClock,
    /// The signature fits none of the signer's keys.
    #[error("the signature fits no key of the signer")]
    BadSignature,
}

impl_error!(SignError, VerifyError);

/// Where the payload of a [`SignedPayload`] is kept: `&[u8]`, `heapless::Vec<u8, N>` or (with
/// `alloc`) `Vec<u8>`.
pub trait PayloadStorage<'de>: AsRef<[u8]> + Sized {
    /// Reads a payload: from a sequence of numbers in JSON, from a byte string in postcard.
    ///
    /// # Errors
    /// The deserializer's, and its `invalid_length` where the payload does not fit.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// For postcard and for building: a JSON array of numbers cannot be borrowed.
impl<'de: 'a, 'a> PayloadStorage<'de> for &'a [u8] {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        codec::Bytes::deserialize(deserializer).map(|bytes| bytes.0)
    }
}

/// A growing byte string, whatever it is stored in.
trait Collect: Default {
    fn push(&mut self, byte: u8) -> Result<(), ()>;
    fn extend(&mut self, bytes: &[u8]) -> Result<(), ()>;
}

struct CollectVisitor<C>(PhantomData<C>);

impl<'de, C: Collect> Visitor<'de> for CollectVisitor<C> {
    type Value = C;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes that fit the payload's buffer")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<C, E> {
        let mut all = C::default();
        all.extend(bytes)
            .map_err(|()| E::invalid_length(bytes.len(), &self))?;
        Ok(all)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<C, A::Error> {
        let mut all = C::default();
        let mut len = 0usize;
        while let Some(byte) = seq.next_element()? {
            len = len.saturating_add(1);
            all.push(byte)
                .map_err(|()| serde::de::Error::invalid_length(len, &self))?;
        }
        Ok(all)
    }
}

fn collect<'de, C: Collect, D: Deserializer<'de>>(deserializer: D) -> Result<C, D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_seq(CollectVisitor(PhantomData))
    } else {
        deserializer.deserialize_bytes(CollectVisitor(PhantomData))
    }
}

impl<const N: usize> Collect for heapless::Vec<u8, N> {
    fn push(&mut self, byte: u8) -> Result<(), ()> {
        Self::push(self, byte).map_err(|_| ())
    }
    fn extend(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.extend_from_slice(bytes).map_err(|_| ())
    }
}

impl<'de, const N: usize> PayloadStorage<'de> for heapless::Vec<u8, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        collect(deserializer)
    }
}

/// A payload, who signed it, and the signature: Ed25519 (RFC 8032) over the raw payload.
///
/// JSON, as 0.13.0 has it; in postcard `payload` is a varint length and the bytes, `signature` is
/// 64 bytes without a length, `signer_id` a varint length and the text:
///
/// ```text
/// {"payload":[123,125],"signature":[/* 64 numbers */],"signer_id":"coordinator-1"}
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SignedPayload<P> {
    payload: P,
    signature: Signature,
    signer_id: SignerId,
}

/// The JSON form of a signed document.
#[cfg(feature = "alloc")]
pub type SignedDocument = SignedPayload<alloc::vec::Vec<u8>>;

impl<P: AsRef<[u8]>> SignedPayload<P> {
    /// Signs `payload`.
    ///
    /// # Errors
    /// [`SignError::ReservedPrefix`].
    pub fn sign(payload: P, signer_id: SignerId, key: &DocumentKey) -> Result<Self, SignError> {
        if payload.as_ref().starts_with(RESERVED_PREFIX) {
            return Err(SignError::ReservedPrefix);
        }
        let signature = key.sign_raw(payload.as_ref());
        Ok(Self {
            payload,
            signature,
            signer_id,
        })
    }

    /// Puts together what came from elsewhere; nothing is checked before
    /// [`verify`](Self::verify).
    #[must_use]
    pub const fn from_parts(payload: P, signature: Signature, signer_id: SignerId) -> Self {
        Self {
            payload,
            signature,
            signer_id,
        }
    }

    /// Who claims to have signed.
    #[must_use]
    pub const fn signer_id(&self) -> &SignerId {
        &self.signer_id
    }

    /// The signature, not verified.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The payload, not verified: for storing and forwarding, not for acting on.
    #[must_use]
    pub fn unverified_payload(&self) -> &[u8] {
        self.payload.as_ref()
    }

    /// Checks the signature, strictly, against the signer's keys.
    ///
    /// `now` is the time to check validity windows against. A caller without a clock it trusts
    /// passes `None`; then only keys without a window count.
    ///
    /// # Errors
    /// Every [`VerifyError`].
    pub fn verify(
        &self,
        trusted: &[TrustedKey],
        now: Option<Timestamp>,
    ) -> Result<Verified<'_>, VerifyError> {
        let payload = self.payload.as_ref();
        let not_after = verify(payload, &self.signature, &self.signer_id, trusted, now)?;
        Ok(Verified {
            payload,
            signer_id: &self.signer_id,
            not_after,
        })
    }
}

/// Until when the key that fits counts. Not generic over the storage, so that it is compiled once.
fn verify(
    payload: &[u8],
    signature: &Signature,
    signer_id: &SignerId,
    trusted: &[TrustedKey],
    now: Option<Timestamp>,
) -> Result<Option<Timestamp>, VerifyError> {
    if payload.starts_with(RESERVED_PREFIX) {
        return Err(VerifyError::ReservedPrefix);
    }
    let mut refusal = VerifyError::UnknownSigner;
    for entry in trusted
        .iter()
        .filter(|entry| entry.signer_id() == signer_id)
    {
        if entry.key().verify_raw(payload, signature).is_err() {
            if refusal == VerifyError::UnknownSigner {
                refusal = VerifyError::BadSignature;
            }
            continue;
        }
        // The signature fits; what is left is the key's time. Every key of the signer is tried, so
        // that a key listed twice with two windows counts in both.
        refusal = match (entry.window(), now) {
            ((None, None), _) => return Ok(None),
            (_, None) => VerifyError::NoClock,
            ((Some(from), _), Some(now)) if now < from => VerifyError::NotYetValid,
            ((_, Some(to)), Some(now)) if now > to => VerifyError::NoLongerValid,
            ((_, to), _) => return Ok(to),
        };
    }
    Err(refusal)
}

/// A payload whose signature was checked. Only [`SignedPayload::verify`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Verified<'a> {
    payload: &'a [u8],
    signer_id: &'a SignerId,
    not_after: Option<Timestamp>,
}

impl<'a> Verified<'a> {
    /// The payload, as it was signed.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Who signed it.
    #[must_use]
    pub const fn signer_id(&self) -> &'a SignerId {
        self.signer_id
    }

    /// The last instant at which the key that the signature fits counts; `None` where it counts for ever.
    #[must_use]
    pub const fn not_after(&self) -> Option<Timestamp> {
        self.not_after
    }

    /// Decodes a payload that is in postcard.
    ///
    /// # Errors
    /// Every [`DecodeError`].
    pub fn decode<T: Deserialize<'a> + Serialize>(&self) -> Result<T, DecodeError> {
        codec::decode(self.payload)
    }
}

/// Numbers for people, bytes between programs.
struct Payload<'a>(&'a [u8]);

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_seq(self.0)
        } else {
            serializer.serialize_bytes(self.0)
        }
    }
}

impl<P: AsRef<[u8]>> Serialize for SignedPayload<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename = "SignedPayload")]
        struct Fields<'a> {
            payload: Payload<'a>,
            signature: &'a Signature,
            signer_id: &'a SignerId,
        }
        Fields {
            payload: Payload(self.payload.as_ref()),
            signature: &self.signature,
            signer_id: &self.signer_id,
        }
        .serialize(serializer)
    }
}

impl<'de, P: PayloadStorage<'de>> Deserialize<'de> for SignedPayload<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            rename = "SignedPayload",
            bound(deserialize = "P: PayloadStorage<'de>")
        )]
        struct Fields<P> {
            #[serde(deserialize_with = "P::deserialize")]
            payload: P,
            signature: Signature,
            signer_id: SignerId,
        }
        let Fields {
            payload,
            signature,
            signer_id,
        } = Fields::deserialize(deserializer)?;
        Ok(Self {
            payload,
            signature,
            signer_id,
        })
    }
}

// Documents are signed with document keys and nothing else: the type says so.
const _: fn(&DocumentKey) -> &super::SecretKey<Document> = |key| key;

#[cfg(feature = "alloc")]
mod heap {
    use super::{Collect, Deserializer, PayloadStorage, collect};
    use alloc::vec::Vec;

    impl Collect for Vec<u8> {
        fn push(&mut self, byte: u8) -> Result<(), ()> {
            Self::push(self, byte);
            Ok(())
        }
        fn extend(&mut self, bytes: &[u8]) -> Result<(), ()> {
            self.extend_from_slice(bytes);
            Ok(())
        }
    }

    impl<'de> PayloadStorage<'de> for Vec<u8> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            collect(deserializer)
        }
    }
}
