//! hostd's side.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{
    ClientHello, EncodeError, HostdAnswer, HostdCall, HostdRequest, HostdResponse, Mismatch,
    RequestId, ServerHello, Versions, encode,
};
use crate::fleet::document::{Document, Invalid};

/// A connection of a client.
///
/// ```
/// use mvm_core::protocol::{HostdRequest, HostdResponse, Incoming, ServerSession};
///
/// // A client of 0.13.0 says no hello.
/// let mut session = ServerSession::new();
/// match session.receive(b"\"Ping\"")? {
///     Incoming::Request { request, reply_to, .. } => {
///         assert_eq!(request, HostdRequest::Ping);
///         assert_eq!(reply_to.reply(HostdResponse::Pong)?, b"\0\0\0\x06\"Pong\"");
///     }
///     Incoming::Hello { .. } => unreachable!(),
/// }
/// assert_eq!(session.version(), Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct ServerSession {
    versions: Versions,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing has come.
    Fresh,
    /// The version is known.
    Open(u16),
    /// Nothing more is read.
    Ended,
}

/// What a frame of the client says.
#[derive(Debug)]
// A client opens a connection or asks; and what it asks is looked at at once, and not kept.
#[allow(clippy::exhaustive_enums, clippy::large_enum_variant)]
#[must_use]
pub enum Incoming {
    /// The version is settled: send this frame, and go on.
    Hello {
        /// The answer.
        reply: Vec<u8>,
    },
    /// Do this.
    Request {
        /// What is to be done.
        request: HostdRequest,
        /// How long the client waits from now. Begin nothing after that.
        timeout: Option<Duration>,
        /// Where the answer belongs.
        reply_to: ReplyTo,
    },
}

/// Makes the one answer to a request into a frame.
#[derive(Debug)]
#[must_use = "a request is answered"]
pub struct ReplyTo {
    /// In version 2.
    id: Option<RequestId>,
}

impl ReplyTo {
    /// The number of the request, which version 1 has not.
    #[must_use]
    pub const fn id(&self) -> Option<RequestId> {
        self.id
    }

    /// The frame of the answer.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] for an error message that is; those of [`HostdResponse::error`] are not.
    pub fn reply(self, response: HostdResponse) -> Result<Vec<u8>, EncodeError> {
        match self.id {
            None => encode(&response),
            id => encode(&HostdAnswer { id, response }),
        }
    }
}

/// A frame that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Refusal {
    reply: Vec<u8>,
    reason: RefusalReason,
    ends: bool,
}

/// Why a frame is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// There is no version that both sides speak.
    Mismatch(Mismatch),
    /// It is a hello that cannot be read.
    Hello(Invalid),
    /// It is no request.
    Request(Invalid),
    /// The connection had ended before.
    Ended,
}

impl Refusal {
    /// What to send: one frame, or nothing.
    #[must_use]
    pub fn reply(&self) -> &[u8] {
        &self.reply
    }

    /// Whether to close the connection then. Otherwise it goes on: a request was wrong, the next one
    /// may be right.
    #[must_use]
    pub const fn ends(&self) -> bool {
        self.ends
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> &RefusalReason {
        &self.reason
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mismatch(mismatch) => mismatch.fmt(f),
            Self::Hello(invalid) => write!(f, "not a hello: {invalid}"),
            Self::Request(invalid) => write!(f, "not a request: {invalid}"),
            Self::Ended => f.write_str("the connection had ended"),
        }
    }
}

impl core::error::Error for Refusal {}

/// Whether a body is a hello, right or wrong. No request has a member of this name.
fn is_hello(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        #[serde(rename = "Hello")]
        _hello: IgnoredAny,
    }

    serde_json::from_slice::<Probe>(body).is_ok()
}

/// The number of a call that is wrong otherwise.
fn call_id(body: &[u8]) -> Option<RequestId> {
    #[derive(Deserialize)]
    struct Probe {
        id: RequestId,
    }

    serde_json::from_slice::<Probe>(body)
        .ok()
        .map(|probe| probe.id)
}

impl Default for ServerSession {
    fn default() -> Self {
        Self::new()
    }
}

impl ServerSession {
    /// A new connection, in any version of [`Versions::SUPPORTED`].
    pub const fn new() -> Self {
        Self {
            versions: Versions::SUPPORTED,
            state: State::Fresh,
        }
    }

    /// A new connection that is refused to clients of version 1.
    pub const fn without_version_1() -> Self {
        Self {
            versions: Versions::WITHOUT_1,
            state: State::Fresh,
        }
    }

    /// The version of the connection, as soon as it is known.
    #[must_use]
    pub const fn version(&self) -> Option<u16> {
        match self.state {
            State::Open(version) => Some(version),
            State::Fresh | State::Ended => None,
        }
    }

    /// Takes the body of a frame from the client.
    ///
    /// # Errors
    /// [`Refusal`], with what to send.
    pub fn receive(&mut self, body: &[u8]) -> Result<Incoming, Refusal> {
        match self.state {
            State::Fresh if is_hello(body) => self.hello(body),
            State::Fresh => match Mismatch::between(Versions::ONE, self.versions) {
                // In the words of version 1, which are all that the client understands.
                Some(mismatch) => {
                    let reply = encode(&HostdResponse::error(&mismatch.to_string()));
                    Err(self.end(reply, RefusalReason::Mismatch(mismatch)))
                }
                None => {
                    self.state = State::Open(1);
                    Self::receive_1(body)
                }
            },
            State::Open(1) => Self::receive_1(body),
            State::Open(_) => self.receive_2(body),
            State::Ended => Err(self.end(Ok(Vec::new()), RefusalReason::Ended)),
        }
    }

    fn hello(&mut self, body: &[u8]) -> Result<Incoming, Refusal> {
        let theirs = match ClientHello::from_json(body) {
            Ok(ClientHello::Hello(theirs)) => theirs,
            Err(invalid) => {
                let reason = RefusalReason::Hello(invalid);
                let reply = encode(&HostdResponse::error(&reason.to_string()));
                return Err(self.end(reply, reason));
            }
        };
        let Some(version) = self.versions.common(theirs) else {
            let reply = encode(&ServerHello::NoCommonVersion(self.versions));
            // Without a common version there is a mismatch.
            let reason = Mismatch::between(theirs, self.versions)
                .map_or(RefusalReason::Ended, RefusalReason::Mismatch);
            return Err(self.end(reply, reason));
        };
        self.state = State::Open(version);
        let reply = encode(&ServerHello::Hello { version }).unwrap_or_default();
        Ok(Incoming::Hello { reply })
    }

    fn receive_1(body: &[u8]) -> Result<Incoming, Refusal> {
        match HostdRequest::from_json(body) {
            Ok(request) => Ok(Incoming::Request {
                request,
                timeout: None,
                reply_to: ReplyTo { id: None },
            }),
            Err(invalid) => {
                let reason = RefusalReason::Request(invalid);
                Err(Refusal {
                    reply: encode(&HostdResponse::error(&reason.to_string())).unwrap_or_default(),
                    reason,
                    ends: false,
                })
            }
        }
    }

    fn receive_2(&mut self, body: &[u8]) -> Result<Incoming, Refusal> {
        match HostdCall::from_json(body) {
            Ok(HostdCall {
                id,
                timeout_ms,
                request,
            }) => Ok(Incoming::Request {
                request,
                timeout: timeout_ms.map(Duration::from_millis),
                reply_to: ReplyTo { id: Some(id) },
            }),
            Err(invalid) => {
                let id = call_id(body);
                let reason = RefusalReason::Request(invalid);
                let response = HostdResponse::error(&reason.to_string());
                let reply = encode(&HostdAnswer { id, response });
                if id.is_none() {
                    return Err(self.end(reply, reason));
                }
                Err(Refusal {
                    reply: reply.unwrap_or_default(),
                    reason,
                    ends: false,
                })
            }
        }
    }

    /// Reads nothing more. The answers of this module fit their frames, so there is one.
    fn end(&mut self, reply: Result<Vec<u8>, EncodeError>, reason: RefusalReason) -> Refusal {
        self.state = State::Ended;
        Refusal {
            reply: reply.unwrap_or_default(),
            reason,
            ends: true,
        }
    }
}
