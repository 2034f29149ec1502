//! The agent's side.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use thiserror_no_std::Error;

use super::call::milliseconds;
use super::{
    ClientHello, EncodeError, HostdAnswer, HostdCall, HostdRequest, HostdResponse, Mismatch,
    RequestId, ServerHello, Versions, encode,
};
use crate::fleet::document::{Document, Invalid};
use crate::limits::HOSTD_PENDING_MAX;

/// The opening of a connection, before the peer's version is known.
///
/// ```
/// use mvm_core::protocol::{ClientHandshake, Opened};
///
/// let handshake = ClientHandshake::new();
/// assert_eq!(handshake.hello()?, b"\0\0\0\x1b{\"Hello\":{\"min\":1,\"max\":2}}");
/// let opened = handshake.answer(br#"{"Hello":{"version":2}}"#)?;
/// assert!(matches!(opened, Opened::Ready(session) if session.version() == 2));
///
/// // A peer of 0.13.0 cannot read the hello, and the connection is of no more use.
/// let handshake = ClientHandshake::new();
/// let opened = handshake.answer(br#"{"Error":{"message":"unknown variant"}}"#)?;
/// assert!(matches!(opened, Opened::Reconnect(session) if session.version() == 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct ClientHandshake {
    offered: Versions,
}

/// The version is known.
#[derive(Debug)]
#[must_use]
#[allow(clippy::exhaustive_enums)] // the peer is new or old
pub enum Opened {
    /// The connection goes on.
    Ready(ClientSession),
    /// The peer speaks version 1 and knows no hello. Close this connection, open a *new* one, and use the
    /// session there, with new [`Frames`](super::Frames).
    Reconnect(ClientSession),
}

/// Why a connection was not opened. Close it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// There is no version that both sides speak.
    #[error("{0}")]
    Mismatch(Mismatch),
    /// The peer chose a version that was not offered.
    #[error("the peer chose version {version}, offered were {offered}")]
    NotOffered {
        /// What it chose.
        version: u16,
        /// What was offered.
        offered: Versions,
    },
    /// The answer is none to a hello.
    #[error("the peer's answer to the hello is none: {0}")]
    Unexpected(Invalid),
    /// The peer says that there is no common version, and names one.
    #[error("the peer has {theirs}, and finds none of {offered} among them")]
    Contradiction {
        /// What was offered.
        offered: Versions,
        /// What the peer says it speaks.
        theirs: Versions,
    },
}

impl_error!(HandshakeError);

impl Default for ClientHandshake {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientHandshake {
    /// An opening that offers every version of [`Versions::SUPPORTED`].
    pub const fn new() -> Self {
        Self {
            offered: Versions::SUPPORTED,
        }
    }

    /// An opening that does not go back to version 1: for programs that need what version 2 has.
    pub const fn without_version_1() -> Self {
        Self {
            offered: Versions::WITHOUT_1,
        }
    }

    /// The first frame, to be sent before anything else.
    ///
    /// # Errors
    /// [`EncodeError`], which a hello does not have.
    pub fn hello(&self) -> Result<Vec<u8>, EncodeError> {
        encode(&ClientHello::Hello(self.offered))
    }

    /// Takes the body of the peer's first frame.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub fn answer(self, body: &[u8]) -> Result<Opened, HandshakeError> {
        let offered = self.offered;
        match ServerHello::from_json(body) {
            Ok(ServerHello::Hello { version }) if offered.contains(version) => {
                Ok(Opened::Ready(ClientSession::new(version)))
            }
            Ok(ServerHello::Hello { version }) => {
                Err(HandshakeError::NotOffered { version, offered })
            }
            Ok(ServerHello::NoCommonVersion(theirs)) => {
                Err(match Mismatch::between(offered, theirs) {
                    Some(mismatch) => HandshakeError::Mismatch(mismatch),
                    None => HandshakeError::Contradiction { offered, theirs },
                })
            }
            Err(invalid) => match HostdResponse::from_json(body) {
                Ok(HostdResponse::Error { .. }) => self.closed(),
                _ => Err(HandshakeError::Unexpected(invalid)),
            },
        }
    }

    /// The peer closed the connection without an answer.
    ///
    /// A peer that speaks version 2 may have done so too, because it was stopped: on the new connection it
    /// understands version 1 as well.
    ///
    /// # Errors
    /// [`HandshakeError::Mismatch`] if version 1 is not offered.
    pub fn closed(self) -> Result<Opened, HandshakeError> {
        match Mismatch::between(self.offered, Versions::ONE) {
            Some(mismatch) => Err(HandshakeError::Mismatch(mismatch)),
            None => Ok(Opened::Reconnect(ClientSession::version_1())),
        }
    }
}

/// An open connection: makes requests into frames, and says which request an answer belongs to.
///
/// In version 1 answers bear no number: there is one request at a time, and one that is
/// [given up](Self::give_up) takes the connection with it, because its late answer would be taken for
/// the next one's. In version 2 there may be [`HOSTD_PENDING_MAX`] at a time, answered in any order, and
/// a late answer is known as one.
///
/// ```
/// use core::time::Duration;
/// use mvm_core::protocol::{ClientSession, HostdRequest, HostdResponse, Received};
///
/// let mut session = ClientSession::version_1();
/// let (id, frame) = session.request(HostdRequest::Ping, None)?;
/// assert_eq!(frame, b"\0\0\0\x06\"Ping\"");
/// let received = session.receive(b"\"Pong\"")?;
/// assert_eq!(received, Received::Answer { id, response: HostdResponse::Pong });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct ClientSession {
    version: u16,
    /// The number of the next request.
    next: u64,
    pending: BTreeSet<RequestId>,
    lost: bool,
}

/// What a frame of the peer says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // there is an answer, or there is none
pub enum Received {
    /// The answer to a request.
    Answer {
        /// The request.
        id: RequestId,
        /// How it went.
        response: HostdResponse,
    },
    /// The answer to a request that was given up, or a second one. Nothing is to be done.
    Late {
        /// The request.
        id: RequestId,
    },
}

/// Why a request cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It makes no frame.
    #[error("{0}")]
    Encode(EncodeError),
    /// The answers of others have to come first.
    #[error("{max} requests are under way, which is all that this connection may have")]
    Busy {
        /// How many there may be: 1 in version 1.
        max: usize,
    },
    /// The connection is of no more use: an answer was lost, or had no sense.
    #[error("the connection is lost: open a new one")]
    Lost,
}

impl_error!(RequestError);

/// Why a frame of the peer makes no sense. The session is lost: close the connection.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// It is no answer.
    #[error("not an answer: {0}")]
    Invalid(Invalid),
    /// Nothing was asked.
    #[error("an answer, and nothing was asked")]
    NotAsked,
    /// The answer to a request that was not made yet.
    #[error("an answer to request {id}, the next one is {next}")]
    UnknownRequest {
        /// The number of the answer.
        id: RequestId,
        /// The number of the next request.
        next: RequestId,
    },
    /// The peer could not read a request so far as to know its number.
    #[error("the peer could not read a request: {message}")]
    Refused {
        /// Its words.
        message: String,
    },
    /// The session was lost before.
    #[error("the connection is lost: open a new one")]
    Lost,
}

impl_error!(ReceiveError);

impl ClientSession {
    const fn new(version: u16) -> Self {
        Self {
            version,
            next: 0,
            pending: BTreeSet::new(),
            lost: false,
        }
    }

    /// A new connection to a peer that is known to speak version 1. It is sent no hello.
    pub const fn version_1() -> Self {
        Self::new(1)
    }

    /// The version of the connection.
    #[must_use]
    pub const fn version(&self) -> u16 {
        self.version
    }

    /// How many requests are under way.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Makes a request into a frame. With `timeout` the peer is told how long the answer is waited for;
    /// a peer of version 1 cannot be told. The caller keeps the time, and
    /// [gives the request up](Self::give_up) when it is over.
    ///
    /// # Errors
    /// [`RequestError`]; then nothing is under way that was not before.
    pub fn request(
        &mut self,
        request: HostdRequest,
        timeout: Option<Duration>,
    ) -> Result<(RequestId, Vec<u8>), RequestError> {
        if self.lost {
            return Err(RequestError::Lost);
        }
        let max = if self.version == 1 {
            1
        } else {
            HOSTD_PENDING_MAX
        };
        if self.pending.len() >= max {
            return Err(RequestError::Busy { max });
        }
        let id = RequestId(self.next);
        // Numbers that were used up would take a thousand years.
        let next = self.next.checked_add(1).ok_or(RequestError::Lost)?;
        let frame = if self.version == 1 {
            encode(&request)
        } else {
            encode(&HostdCall {
                id,
                timeout_ms: timeout.map(milliseconds),
                request,
            })
        };
        let frame = frame.map_err(RequestError::Encode)?;
        self.next = next;
        self.pending.insert(id);
        Ok((id, frame))
    }

    /// Takes the body of a frame from the peer.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub fn receive(&mut self, body: &[u8]) -> Result<Received, ReceiveError> {
        if self.lost {
            return Err(ReceiveError::Lost);
        }
        let received = if self.version == 1 {
            self.receive_1(body)
        } else {
            self.receive_2(body)
        };
        self.lost = received.is_err();
        received
    }

    fn receive_1(&mut self, body: &[u8]) -> Result<Received, ReceiveError> {
        let id = self.pending.pop_first().ok_or(ReceiveError::NotAsked)?;
        let response = HostdResponse::from_json(body).map_err(ReceiveError::Invalid)?;
        Ok(Received::Answer { id, response })
    }

    fn receive_2(&mut self, body: &[u8]) -> Result<Received, ReceiveError> {
        let HostdAnswer { id, response } =
            HostdAnswer::from_json(body).map_err(ReceiveError::Invalid)?;
        let Some(id) = id else {
            return Err(match response {
                HostdResponse::Error { message } => ReceiveError::Refused { message },
                _ => ReceiveError::NotAsked,
            });
        };
        if id.get() >= self.next {
            let next = RequestId(self.next);
            return Err(ReceiveError::UnknownRequest { id, next });
        }
        Ok(if self.pending.remove(&id) {
            Received::Answer { id, response }
        } else {
            Received::Late { id }
        })
    }

    /// Waits no more for the answer to a request. Whether hostd does it all the same is not known.
    ///
    /// Returns whether the connection can go on: in version 1 it cannot.
    #[must_use = "a connection that is lost is to be closed"]
    pub fn give_up(&mut self, id: RequestId) -> bool {
        if self.pending.remove(&id) && self.version == 1 {
            self.lost = true;
        }
        !self.lost
    }
}
