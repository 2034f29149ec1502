//! What can go wrong, one enum per operation.

use thiserror_no_std::Error;

use crate::wire::codec::{DecodeError, EncodeError};

use super::message::{ExtensionsTooLong, Refusal, VERSION};

/// The two ends of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums, reason = "a session has two ends")]
pub enum Side {
    /// The program outside the microVM.
    Host,
    /// The agent inside it.
    Guest,
}

impl core::fmt::Display for Side {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Guest => "guest",
        })
    }
}

/// Why a handshake did not complete. Whatever the reason, nobody falls back to anything weaker; a
/// host may begin another handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum HandshakeError {
    /// The message is longer than any of its kind.
    #[error("a handshake message of {len} bytes, {max} are allowed")]
    TooLong {
        /// Its length, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// The message is not one canonical encoding of what was expected.
    #[error("malformed handshake message: {0}")]
    Malformed(DecodeError),
    /// No version in common.
    #[error("the peer offers protocol versions {min} to {max}, this side speaks {VERSION}: {}", version_advice(*.max))]
    VersionMismatch {
        /// The lowest version the peer offers.
        min: u8,
        /// The highest version the peer offers.
        max: u8,
    },
    /// The hello is for another service; a rewritten `CONNECT` port would do this.
    #[error("the hello asks for service {offered}, this one is {served}")]
    WrongService {
        /// The service in the hello.
        offered: u16,
        /// The service that listens.
        served: u16,
    },
    /// No cipher suite in common, or the peer chose one that was not offered.
    #[error("no common cipher suite (peer: {offered:#010b})")]
    NoCommonSuite {
        /// The peer's suites, as bits.
        offered: u8,
    },
    /// The host's key is not one that this guest was provisioned with for this generation.
    #[error("the host's key is not trusted")]
    UntrustedHost,
    /// The guest's key is not the one provisioned for the instance that was named.
    #[error("the guest's key is not the one provisioned for this instance")]
    UntrustedGuest,
    /// The guest is bound to another instance.
    #[error("the guest is bound to another instance")]
    WrongInstance,
    /// The host is behind: a newer incarnation of the instance was seen.
    #[error("generation {offered} is behind generation {seen}, which was seen already")]
    StaleGeneration {
        /// The host's generation.
        offered: u64,
        /// The highest generation the guest has seen.
        seen: u64,
    },
    /// The machine was restored from a snapshot in between.
    #[error(
        "the machine was restored from a snapshot; this handshake belongs to an earlier incarnation"
    )]
    IncarnationChanged,
    /// A later handshake took its place.
    #[error("a later handshake took this one's place")]
    Superseded,
    /// It took longer than allowed.
    #[error("the handshake was not completed in time")]
    Expired,
    /// The guest will not go on; an unauthenticated hint.
    #[error("the guest refused: {} (code {}; it speaks versions {} to {})",
        .0.code.hint().unwrap_or("for a reason this version does not know"), .0.code.0, .0.min_version, .0.max_version)]
    Refused(Refusal),
    /// The signature does not fit.
    #[error("the peer's signature does not fit this handshake")]
    BadSignature,
    /// Sessions of so many services are open that there is no room for another.
    #[error("no room for a session of another service")]
    TooManyServices,
    /// The extensions of either side are too long.
    #[error("{0}")]
    Extensions(ExtensionsTooLong),
    /// The output buffer is too small; see the `*_FRAME_MAX` constants.
    #[error("an output buffer of {len} bytes is too small")]
    BufferTooSmall {
        /// Its length, in bytes.
        len: usize,
    },
}

const fn version_advice(max: u8) -> &'static str {
    if max < VERSION {
        "upgrade the peer"
    } else {
        "upgrade this side"
    }
}

impl HandshakeError {
    /// Which side has to be upgraded, where that is what is wrong. `local` is the side that asks.
    #[must_use]
    pub const fn upgrade(&self, local: Side) -> Option<Side> {
        let peer = match local {
            Side::Host => Side::Guest,
            Side::Guest => Side::Host,
        };
        let (min, max) = match self {
            Self::VersionMismatch { min, max } => (*min, *max),
            Self::Refused(Refusal {
                min_version,
                max_version,
                ..
            }) => (*min_version, *max_version),
            _ => return None,
        };
        if max < VERSION {
            Some(peer)
        } else if min > VERSION {
            Some(local)
        } else {
            None
        }
    }
}

impl From<DecodeError> for HandshakeError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

impl From<ExtensionsTooLong> for HandshakeError {
    fn from(error: ExtensionsTooLong) -> Self {
        Self::Extensions(error)
    }
}

impl From<EncodeError> for HandshakeError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::BufferTooSmall { len } => Self::BufferTooSmall { len },
            // The messages of this module have an encoding, always.
            EncodeError::Unsupported => Self::BufferTooSmall { len: 0 },
        }
    }
}

/// Why a session takes no more calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Ended {
    /// An earlier call failed.
    #[error("the session refuses every call after an error")]
    Poisoned,
    /// A later handshake of the same service completed, or all sessions were ended.
    #[error("the session was ended by a later one, or with all others")]
    Superseded,
    /// The machine was restored from a snapshot.
    #[error(
        "the machine was restored from a snapshot; the session belongs to an earlier incarnation"
    )]
    IncarnationChanged,
    /// The lifetime its caller gave it is over.
    #[error("the session's lifetime is over")]
    Expired,
    /// The peer's key is no longer trusted.
    #[error("the peer's key is no longer trusted")]
    Untrusted,
    /// The endpoint has moved on to another generation or instance.
    #[error("the session belongs to an earlier generation")]
    StaleGeneration,
}

/// Why nothing was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SealError {
    /// The session takes no more calls.
    #[error("{0}")]
    Ended(Ended),
    /// This side has closed already.
    #[error("nothing can be sent after the close")]
    Closed,
    /// The payload does not fit a frame.
    #[error("a payload of {len} bytes, {max} are allowed")]
    PayloadTooLong {
        /// Its length, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// The output buffer is too small.
    #[error("the frame needs {needed} bytes, the buffer has {len}")]
    BufferTooSmall {
        /// What the frame needs, in bytes.
        needed: usize,
        /// The buffer's length, in bytes.
        len: usize,
    },
    /// 2³² frames were sent.
    #[error("the session has sent all the frames it may")]
    SequenceExhausted,
}

/// Why nothing was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum OpenError {
    /// The session takes no more calls.
    #[error("{0}")]
    Ended(Ended),
    /// The body is longer than any frame's.
    #[error("a frame body of {len} bytes, {max} are allowed")]
    FrameTooLong {
        /// Its length, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// The body is not one canonical frame.
    #[error("malformed frame: {0}")]
    Malformed(DecodeError),
    /// A frame was lost, repeated, or reordered.
    #[error("frame {got} where frame {expected} is due")]
    SequenceGap {
        /// The sequence number that is due.
        expected: u64,
        /// The one in the frame.
        got: u64,
    },
    /// A kind of frame that this version does not know.
    #[error("unknown kind of frame {kind}")]
    UnknownKind {
        /// The kind.
        kind: u8,
    },
    /// The signature does not fit the payload at this place of this session.
    #[error("the frame's signature does not fit this place of this session")]
    BadSignature,
    /// The peer has closed already.
    #[error("a frame after the close")]
    AfterClose,
    /// A close carries nothing.
    #[error("a close with {len} bytes of payload")]
    CloseWithPayload {
        /// Length of the payload, in bytes.
        len: usize,
    },
    /// 2³² frames were received.
    #[error("the session has received all the frames it may")]
    SequenceExhausted,
}

/// The stream ended without a verified close: what came last may not be all that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("the stream was truncated: it ended without a verified close after {received} frames")]
pub struct Truncated {
    /// How many frames had arrived.
    pub received: u64,
}

impl From<Ended> for SealError {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl From<Ended> for OpenError {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl From<DecodeError> for OpenError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

impl_error!(HandshakeError, Ended, SealError, OpenError, Truncated);

const _: () = assert!(size_of::<HandshakeError>() <= 24);
const _: () = assert!(size_of::<OpenError>() <= 24);
const _: () = assert!(size_of::<SealError>() <= 24);
