//! What can go wrong on a channel.

use core::fmt;
use std::io;

use thiserror_no_std::Error;

use crate::session::{
    Ended, GuestPublicKey, HandshakeError, OpenError, RefusalCode, SealError, Truncated,
};
use crate::wire::connect::ConnectError;
use crate::wire::frame::FrameError;

/// What a channel was at when something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Doing {
    /// Asking the VMM for a vsock port and waiting for its answer.
    Connecting,
    /// The handshake.
    Handshake,
    /// Sending a frame.
    Sending,
    /// Waiting for a frame.
    Receiving,
    /// Drawing entropy.
    DrawingEntropy,
    /// Storing a guest's key at its first use.
    Pinning,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting through the VMM",
            Self::Handshake => "the handshake",
            Self::Sending => "sending a frame",
            Self::Receiving => "receiving a frame",
            Self::DrawingEntropy => "drawing entropy",
            Self::Pinning => "storing the guest's key",
        })
    }
}

/// Why a call on a channel failed. Whatever it is, the channel takes no further calls; another
/// connection and another handshake are the way on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The operating system's error.
    #[error("{doing}: {error}")]
    Io {
        /// At what.
        doing: Doing,
        /// The error, as it came.
        error: io::Error,
    },
    /// The deadline of the call passed.
    #[error("{doing}: not done in time")]
    Expired {
        /// At what.
        doing: Doing,
    },
    /// The peer closed the stream before the handshake was over.
    #[error("{doing}: the peer closed the stream")]
    Hangup {
        /// At what.
        doing: Doing,
    },
    /// The stream ended without a verified close.
    #[error("{0}")]
    Truncated(Truncated),
    /// The VMM closed the stream without a line: nobody listens on that port.
    #[error("nobody listens on vsock port {port} of the guest")]
    NobodyListens {
        /// The guest's port.
        port: u32,
    },
    /// The VMM's answer is no `OK` line.
    #[error("the VMM's answer: {0}")]
    Connect(ConnectError),
    /// The stream cannot be cut into frames.
    #[error("{0}")]
    Frame(FrameError),
    /// The handshake failed. A guest has told the host so, as far as it may.
    #[error("{0}")]
    Handshake(HandshakeError),
    /// No key is known for the guest, and the call was not one that pins it.
    #[error("no key is known for this guest, and nothing was given to pin {key} with")]
    NotPinned {
        /// The key that the guest proved.
        key: GuestPublicKey,
    },
    /// Nothing could be sealed.
    #[error("{0}")]
    Seal(SealError),
    /// What came is not the frame that is due.
    #[error("{0}")]
    Open(OpenError),
    /// Another thread panicked while it held the endpoint.
    #[error("the endpoint's lock is poisoned: a thread panicked while it held it")]
    LockPoisoned,
}

impl_error!(ChannelError);

impl ChannelError {
    /// Why the session takes no more calls, where that is the reason.
    #[must_use]
    pub const fn ended(&self) -> Option<Ended> {
        match self {
            Self::Seal(SealError::Ended(ended)) | Self::Open(OpenError::Ended(ended)) => {
                Some(*ended)
            }
            _ => None,
        }
    }

    /// The code with which the guest refused the handshake, where it did.
    #[must_use]
    pub const fn refused(&self) -> Option<RefusalCode> {
        match self {
            Self::Handshake(HandshakeError::Refused(refusal)) => Some(refusal.code),
            _ => None,
        }
    }

    /// Whether the deadline of the call passed.
    #[must_use]
    pub const fn is_expired(&self) -> bool {
        matches!(self, Self::Expired { .. })
    }

    /// Of a write: a peer that closes in the handshake has hung up, whether that is noticed when it is
    /// written to or when it is waited for.
    pub(super) fn of_write(doing: Doing, error: io::Error) -> Self {
        match (doing, error.kind()) {
            (Doing::Handshake, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                Self::Hangup { doing }
            }
            _ => Self::Io { doing, error },
        }
    }
}

macro_rules! from {
    ($($error:ty => $variant:ident),* $(,)?) => {$(
        impl From<$error> for ChannelError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

from! {
    Truncated => Truncated,
    ConnectError => Connect,
    FrameError => Frame,
    HandshakeError => Handshake,
    SealError => Seal,
    OpenError => Open,
}
