//! Why a call came to nothing.

use core::fmt;
use std::io;
use std::path::PathBuf;

use thiserror_no_std::Error;

use super::peer::{AllowList, Peer};
use crate::fleet::protocol::{HandshakeError, ReceiveError, RequestError};
use crate::wire::frame::FrameError;

/// What a client was at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientStep {
    /// Connecting.
    Connecting,
    /// Agreeing on the version.
    Hello,
    /// Sending the request.
    Sending,
    /// Waiting for the answer.
    Waiting,
}

impl fmt::Display for ClientStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Hello => "agreeing on the version",
            Self::Sending => "sending the request",
            Self::Waiting => "waiting for the answer",
        })
    }
}

/// Why there is no answer of hostd.
#[derive(Debug, Error)]
#[error("{}: {fault}", .path.display())]
#[non_exhaustive]
pub struct ClientError {
    /// The socket.
    pub path: PathBuf,
    /// Whether hostd has got the whole request: it may have been done, in part or in full. Otherwise it was
    /// not, and will not be.
    pub may_have_begun: bool,
    /// What was wrong.
    #[source]
    pub fault: ClientFault,
}

/// What was wrong with a call.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientFault {
    /// The operating system's error. While connecting: nobody listens, or one may not.
    #[error("{step}: {source}")]
    Io {
        /// At what.
        step: ClientStep,
        /// The error, as it came.
        source: io::Error,
    },
    /// The deadline of the call passed.
    #[error("{step}: not done in time")]
    Expired {
        /// At what.
        step: ClientStep,
    },
    /// The server closed the connection: it is going down, does not let this user in, has as many
    /// connections as it may, or has ended one that was idle.
    #[error("{step}: hostd closed the connection")]
    Closed {
        /// At what.
        step: ClientStep,
    },
    /// Somebody else listens. Nothing was sent.
    #[error("the server is {server}, expected was {expected}")]
    WrongServer {
        /// Who it is.
        server: Peer,
        /// Who it should be.
        expected: AllowList,
    },
    /// There is no version that both speak, or the answer to the hello is none.
    #[error("{0}")]
    Handshake(HandshakeError),
    /// The request was not sent.
    #[error("{0}")]
    Request(RequestError),
    /// What came is no answer.
    #[error("{0}")]
    Answer(ReceiveError),
    /// What came cannot be cut into frames.
    #[error("{0}")]
    Frame(FrameError),
    /// The connection has ended, and [is not to be made anew](super::ClientOptions::without_reconnect).
    #[error("the connection has ended")]
    Ended,
}

impl_error!(ClientError, ClientFault);

impl ClientError {
    /// Whether the deadline of the call passed.
    #[must_use]
    pub const fn is_expired(&self) -> bool {
        matches!(self.fault, ClientFault::Expired { .. })
    }

    /// Whether hostd was not there, or went away: a moment later it may be there again.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match &self.fault {
            ClientFault::Closed { .. } => true,
            ClientFault::Io { step, source } => match step {
                ClientStep::Connecting => matches!(
                    source.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ),
                _ => true,
            },
            _ => false,
        }
    }
}

macro_rules! from {
    ($($error:ty => $variant:ident),* $(,)?) => {$(
        impl From<$error> for ClientFault {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

from! {
    HandshakeError => Handshake,
    RequestError => Request,
    ReceiveError => Answer,
    FrameError => Frame,
}

impl ClientFault {
    /// An error of a read or a write. That the peer has gone is told in one way only.
    pub(super) fn io(step: ClientStep, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Closed { step },
            _ => Self::Io { step, source },
        }
    }
}
