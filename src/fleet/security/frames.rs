//! 0.13.0's frames between host and guest, as data.

use alloc::boxed::Box;

use crate::fleet::document::{Reason, document, text_fields};
use crate::fleet::text::boxed_text;
use crate::names::{IdError, IdKind, validate_id};
use crate::signing::{Signature, SignedDocument};
use crate::time::Timestamp;

/// The version of 0.13.0's signed frames. Legacy and insecure: see the [module's documentation](super).
pub const PROTOCOL_VERSION_AUTHENTICATED: u8 = 2;

/// The version of the frames before those, which are not signed at all.
pub const PROTOCOL_VERSION_LEGACY: u8 = 1;

/// The id of a session of 0.13.0, chosen by the host: a UUID as a rule, and an id of
/// [`validate_id`] always.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegacySessionId(Box<str>);

impl LegacySessionId {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// Those of [`validate_id`].
    pub fn new(text: &str) -> Result<Self, IdError> {
        validate_id(text, IdKind::Session)?;
        Ok(Self(text.into()))
    }
}

boxed_text!(LegacySessionId, IdError);

text_fields! {
    borrowed LegacySessionId => Reason::Id;
}

document! {
    /// A signed frame of 0.13.0. **Legacy and insecure**: the signature covers the payload only, so everything
    /// else here can be changed, and the payload moved to another session. See [`session`](crate::session) for what
    /// replaces it.
    #[derive(Eq)]
    pub struct AuthenticatedFrame {
        /// The version of the protocol: 2.
        version: u8,
        /// The session. Not signed.
        session_id: LegacySessionId,
        /// Grows by one with each frame of a session. Not signed.
        sequence: u64,
        /// When the frame was made. Not signed.
        timestamp: Timestamp,
        /// A request or response in JSON, and its signature.
        signed: SignedDocument,
    }
}

document! {
    /// How a host of 0.13.0 opened a session. **Legacy and insecure**: it names no guest that it expects, and nothing
    /// tells the guest that the key is its host's.
    #[derive(Eq)]
    pub struct SessionHello {
        /// The version that the host speaks.
        version: u8,
        /// The session that is to be.
        session_id: LegacySessionId,
        /// What the guest is to sign.
        challenge: [u8; 32],
        /// The host's Ed25519 key, not checked.
        host_pubkey: [u8; 32],
    }
}

document! {
    /// How a guest of 0.13.0 answered. **Legacy and insecure**: what it signed was whatever it was given.
    #[derive(Eq)]
    pub struct SessionHelloAck {
        /// The version that the guest speaks.
        version: u8,
        /// The session that it was asked for.
        session_id: LegacySessionId,
        /// The signature of the challenge, not verified.
        challenge_response: Signature,
        /// The guest's Ed25519 key, not checked.
        guest_pubkey: [u8; 32],
    }
}
