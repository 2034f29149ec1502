//! The core's signed documents as documents: every problem with its path.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer};

use super::document::{At, Document, Field, Objects, Problems, Text};
use crate::names::SignerId;
use crate::signing::{Signature, SignedDocument};

/// Reading one verifies nothing: [`verify`](SignedDocument::verify) does.
///
/// ```
/// use mvm_core::document::Document;
/// use mvm_core::signing::SignedDocument;
///
/// let json = br#"{"payload": [123, 125], "signature": [1, 2, 3], "signer_id": "Coordinator"}"#;
/// let invalid = SignedDocument::from_json(json).unwrap_err();
/// let problems: Vec<_> = invalid.problems().iter().map(|problem| problem.to_string()).collect();
/// assert_eq!(problems[0], "signature: 3 bytes, 64 are wanted");
/// assert!(problems[1].starts_with("signer_id: "));
/// ```
impl Document for SignedDocument {
    const NAME: &'static str = "SignedPayload";
}

impl Field for Signature {
    type Raw<'a> = Vec<u8>;

    fn read(raw: Vec<u8>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        Field::read(raw, at, problems).map(Self::from_bytes)
    }

    fn raw(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

#[derive(Deserialize)]
#[serde(remote = "Self", expecting = "an object")]
#[allow(unreachable_pub, missing_docs, clippy::exhaustive_structs)]
pub struct SignedRaw<'a> {
    // The longest part of what a coordinator sends: moved, not read byte by byte.
    payload: Cow<'a, [u8]>,
    signature: Vec<u8>,
    #[serde(borrow)]
    signer_id: Text<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for SignedRaw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(Objects(deserializer))
    }
}

impl Field for SignedDocument {
    type Raw<'a> = SignedRaw<'a>;

    fn read(raw: SignedRaw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let signature = Signature::read(raw.signature, &at.member("signature"), problems);
        let signer_id = SignerId::read(raw.signer_id, &at.member("signer_id"), problems);
        Some(Self::from_parts(
            raw.payload.into_owned(),
            signature?,
            signer_id?,
        ))
    }

    fn raw(&self) -> SignedRaw<'_> {
        SignedRaw {
            payload: Cow::Borrowed(self.unverified_payload()),
            signature: self.signature().raw(),
            signer_id: self.signer_id().raw(),
        }
    }
}
