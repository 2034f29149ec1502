//! Ed25519 keys, and documents signed with them.
//!
//! # Keys know what they are for
//! [`SecretKey`] and [`PublicKey`] carry their [`Usage`] in their type: [`Document`] keys sign
//! documents (this module), [`Host`] and [`Guest`] keys sign the messages of a
//! [`session`](crate::session). There is no conversion between them, and their text forms name the
//! usage, so that a key file cannot be used for the wrong thing either. A key that version 0.13.0
//! ever loaded must never become a session key: 0.13.0 signs whatever it is sent.
//!
//! After a [`PublicKey`] was made, it is a canonical point of the curve that is not of small order
//! (RFC 8032 §5.1.3, and the stricter rules behind `verify_strict`), so one signature can never fit
//! two messages.
//!
//! # Signed documents
//! [`SignedPayload`] is the document signature of 0.13.0: Ed25519 over the raw payload.
//! [`SignedPayload::verify`] gives a [`Verified`], and only that lets the payload be decoded. A
//! payload that begins with [`RESERVED_PREFIX`] is refused on both sides, which keeps documents and
//! session messages apart even where a key were used for both.
//!
//! ```
//! use mvm_core::naming::SignerId;
//! use mvm_core::signing::{DocumentKey, SignedPayload, TrustedKey, TrustedKeys};
//!
//! let key = DocumentKey::from_seed(&[7; 32]);
//! let signer = SignerId::new("coordinator-1").unwrap();
//! let mut trusted = TrustedKeys::<2>::new();
//! trusted.insert(TrustedKey::new(signer.clone(), key.public())).unwrap();
//!
//! let signed = SignedPayload::sign(&b"{}"[..], signer, &key).unwrap();
//! let verified = signed.verify(&trusted, None).unwrap();
//! assert_eq!(verified.payload(), b"{}");
//! ```

mod fingerprint;
mod hex;
mod key;
mod payload;
mod text;
mod trusted;

pub use fingerprint::Fingerprint;
pub use hex::HexError;
#[cfg(feature = "alloc")]
pub(crate) use hex::{decode as hex_decode, digits as hex_digits, write as write_hex};
pub use key::{BadSignature, KeyError, PublicKey, SecretKey, Signature};
pub use key::{Document, Guest, Host, Usage};
pub(crate) use key::{expand, verify_strict};
#[cfg(feature = "alloc")]
pub use payload::SignedDocument;
pub use payload::{
    PayloadStorage, RESERVED_PREFIX, SignError, SignedPayload, Verified, VerifyError,
};
pub use text::{KeyTextError, PUBLIC_TEXT_MAX, SECRET_TEXT_MAX, SecretText};
pub use trusted::{TrustError, TrustedKey, TrustedKeys};

use sha2::{Digest, Sha512_256};

/// The secret key of a signer of documents.
pub type DocumentKey = SecretKey<Document>;
/// The public key of a signer of documents.
pub type DocumentPublicKey = PublicKey<Document>;

/// SHA-512/256 (FIPS 180-4 §5.3.6.2) over the parts, one after the other. Callers make the
/// concatenation unambiguous: a NUL-terminated context first, then fixed widths or lengths.
pub(crate) fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha512_256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
