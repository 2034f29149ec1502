//! What a server tells of itself.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use std::io;

use super::peer::Peer;
use crate::fleet::protocol::RefusalReason;
use crate::wire::frame::FrameError;

/// Something that happened on a server. Its `Display` is one line for a log.
///
/// Each is counted in [`ServerCounts`] as well, whether or not anybody listens.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerEvent<'a> {
    /// A connection was let in.
    Accepted {
        /// Whose.
        peer: Peer,
    },
    /// A connection was closed before anything was read from it.
    Rejected {
        /// Whose, as far as that is known.
        peer: Option<Peer>,
        /// Why.
        reason: Rejection<'a>,
    },
    /// A frame was no request. Nothing of it was done, and the client was told.
    Refused {
        /// Whose.
        peer: Peer,
        /// Why.
        reason: &'a RefusalReason,
    },
    /// A request was not given to the handler, or the handler did not answer it. The client was told.
    Unanswered {
        /// Whose.
        peer: Peer,
        /// Why.
        reason: Unanswered,
    },
    /// A connection that was let in has ended.
    Closed {
        /// Whose.
        peer: Peer,
        /// Why.
        reason: &'a Close,
    },
    /// No connection could be accepted: too many open files, as a rule. The server tries again after a
    /// pause of up to one second.
    AcceptFailed {
        /// The operating system's error.
        error: &'a io::Error,
    },
}

/// Why a connection was not let in.
#[derive(Debug)]
#[non_exhaustive]
pub enum Rejection<'a> {
    /// Its credentials could not be read.
    NoCredentials(&'a io::Error),
    /// The allow list does not name it.
    NotAllowed,
    /// There are as many connections as there may be.
    TooMany {
        /// How many.
        max: usize,
    },
    /// This user has as many connections as one may have.
    TooManyOfUid {
        /// How many.
        max: usize,
    },
    /// There is no thread, or no room with the reactor, for it.
    NoResources(&'a io::Error),
}

/// Why a request got an error for an answer that is not the handler's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unanswered {
    /// Its time was over before it could begin. It was not begun.
    Expired,
    /// The server is shutting down. It was not begun.
    Stopping,
    /// The connection has as many requests under way as it may. It was not begun.
    TooMany,
    /// The handler panicked.
    Panicked,
}

/// Why a connection has ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Close {
    /// The client closed it.
    ByClient,
    /// Nothing was asked for too long.
    Idle,
    /// A frame, or the first one, was not complete in time.
    Slow,
    /// The client did not take an answer in time.
    NotReading,
    /// What came cannot be cut into frames.
    Frame(FrameError),
    /// What came was refused, and there was no going on.
    Refused,
    /// The server is shutting down.
    Stopping,
    /// The operating system's error.
    Io(io::Error),
}

impl fmt::Display for ServerEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { peer } => write!(f, "{peer}: let in"),
            Self::Rejected { peer, reason } => {
                match peer {
                    Some(peer) => write!(f, "{peer}")?,
                    None => f.write_str("somebody")?,
                }
                write!(f, ": not let in: {reason}")
            }
            Self::Refused { peer, reason } => write!(f, "{peer}: {reason}"),
            Self::Unanswered { peer, reason } => write!(f, "{peer}: {reason}"),
            Self::Closed { peer, reason } => write!(f, "{peer}: closed: {reason}"),
            Self::AcceptFailed { error } => write!(f, "no connection can be accepted: {error}"),
        }
    }
}

impl fmt::Display for Rejection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCredentials(error) => write!(f, "who it is cannot be known: {error}"),
            Self::NotAllowed => f.write_str("not on the allow list"),
            Self::TooMany { max } => write!(f, "{max} connections are open"),
            Self::TooManyOfUid { max } => write!(f, "{max} connections of this user are open"),
            Self::NoResources(error) => write!(f, "it cannot be served: {error}"),
        }
    }
}

// These are the words of the answers too.
impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the time was over before it could begin: nothing was done",
            Self::Stopping => "hostd is shutting down: nothing was done",
            Self::TooMany => "too many requests are under way on this connection: nothing was done",
            Self::Panicked => "hostd failed at it: how far it came is not known",
        })
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByClient => f.write_str("by the client"),
            Self::Idle => f.write_str("nothing was asked for too long"),
            Self::Slow => f.write_str("a frame was not complete in time"),
            Self::NotReading => f.write_str("the client did not take an answer in time"),
            Self::Frame(error) => error.fmt(f),
            Self::Refused => f.write_str("what came was refused"),
            Self::Stopping => f.write_str("hostd is shutting down"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often things have happened since the server began.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct ServerCounts {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: AtomicU64,)*
        }

        impl Counters {
            pub(super) fn read(&self) -> ServerCounts {
                ServerCounts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counts! {
    /// Connections let in.
    accepted,
    /// Connections let in that have ended.
    closed,
    /// Not let in: not on the allow list.
    not_allowed,
    /// Not let in: credentials that cannot be read.
    no_credentials,
    /// Not let in: too many connections.
    too_many,
    /// Not let in: too many connections of one user.
    too_many_of_uid,
    /// Not let in: no thread for it.
    no_resources,
    /// Requests that were read, pings among them, whatever became of them.
    requests,
    /// Frames that were no request, or no hello.
    refused,
    /// Requests whose time was over before they could begin.
    expired,
    /// Requests that came while the server was shutting down.
    stopping,
    /// Requests beyond what one connection may have under way.
    too_many_requests,
    /// Handlers that panicked.
    panicked,
    /// Ended: nothing was asked for too long.
    closed_idle,
    /// Ended: a frame was not complete in time.
    closed_slow,
    /// Ended: an answer was not taken in time.
    closed_not_reading,
    /// Ended: what came was no frame, or refused for good.
    closed_broken,
    /// Ended: an error of the operating system.
    closed_error,
    /// Failures to accept a connection.
    accept_failed,
    /// Panics of the function that is told of events.
    hook_panicked,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn event(&self, event: &ServerEvent<'_>) {
        match event {
            ServerEvent::Accepted { .. } => count(&self.accepted),
            ServerEvent::Rejected { reason, .. } => count(match reason {
                Rejection::NoCredentials(_) => &self.no_credentials,
                Rejection::NotAllowed => &self.not_allowed,
                Rejection::TooMany { .. } => &self.too_many,
                Rejection::TooManyOfUid { .. } => &self.too_many_of_uid,
                Rejection::NoResources(_) => &self.no_resources,
            }),
            ServerEvent::Refused { .. } => count(&self.refused),
            ServerEvent::Unanswered { reason, .. } => count(match reason {
                Unanswered::Expired => &self.expired,
                Unanswered::Stopping => &self.stopping,
                Unanswered::TooMany => &self.too_many_requests,
                Unanswered::Panicked => &self.panicked,
            }),
            ServerEvent::Closed { reason, .. } => {
                count(&self.closed);
                match reason {
                    Close::ByClient | Close::Stopping => {}
                    Close::Idle => count(&self.closed_idle),
                    Close::Slow => count(&self.closed_slow),
                    Close::NotReading => count(&self.closed_not_reading),
                    Close::Frame(_) | Close::Refused => count(&self.closed_broken),
                    Close::Io(_) => count(&self.closed_error),
                }
            }
            ServerEvent::AcceptFailed { .. } => count(&self.accept_failed),
        }
    }
}
