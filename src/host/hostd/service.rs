//! What the blocking and the asynchronous server have in common: who is let in, and what becomes of a request.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::panic::AssertUnwindSafe;
use core::time::Duration;
use std::io;
use std::os::fd::AsFd;
use std::panic::catch_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::event::{Counters, Rejection, ServerEvent, Unanswered, count};
use super::limits::ServerOptions;
use super::peer::Peer;
use crate::fleet::protocol::{HostdRequest, HostdResponse, ReplyTo, RequestId};
use crate::host::channel::Deadline;

/// The circumstances of a request.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    peer: Peer,
    version: u16,
    id: Option<RequestId>,
    deadline: Deadline,
}

impl Call {
    /// Who asks.
    #[must_use]
    pub const fn peer(&self) -> Peer {
        self.peer
    }

    /// The version of the connection.
    #[must_use]
    pub const fn version(&self) -> u16 {
        self.version
    }

    /// The request's number on its connection, which version 1 has not.
    #[must_use]
    pub const fn id(&self) -> Option<RequestId> {
        self.id
    }

    /// When the client stops waiting, or the server's limit is reached, whichever comes first. The handler
    /// keeps it: nobody ends an operation half-way.
    #[must_use]
    pub const fn deadline(&self) -> Deadline {
        self.deadline
    }
}

/// A request for the handler.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) request: HostdRequest,
    pub(super) call: Call,
    pub(super) reply_to: ReplyTo,
}

/// What becomes of a request.
// It is looked at at once, and not kept.
#[allow(clippy::large_enum_variant)]
pub(super) enum Verdict {
    /// It has its answer: send this frame.
    Answer(Vec<u8>),
    /// It is for the handler.
    Run(Job),
}

/// Options, counts, and how many connections there are.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) options: ServerOptions,
    pub(super) counters: Counters,
    /// Open connections of each user.
    seats: Mutex<BTreeMap<u32, usize>>,
}

/// A connection's place among those that may be open; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    service: Arc<Service>,
    uid: u32,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = lock(&self.service.seats);
        if let Some(taken) = seats.get_mut(&self.uid) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                seats.remove(&self.uid);
            }
        }
    }
}

/// What is behind these locks is whole at every moment, so a panic of another thread does not spoil it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many seats are taken in all.
fn taken(seats: &BTreeMap<u32, usize>) -> usize {
    seats
        .values()
        .fold(0, |sum, number| sum.saturating_add(*number))
}

impl Service {
    pub(super) fn new(options: ServerOptions) -> Arc<Self> {
        Arc::new(Self {
            options,
            counters: Counters::default(),
            seats: Mutex::new(BTreeMap::new()),
        })
    }

    pub(super) fn tell(&self, event: &ServerEvent<'_>) {
        self.counters.event(event);
        if let Some(hook) = &self.options.hook
            && catch_unwind(AssertUnwindSafe(|| hook(event))).is_err()
        {
            count(&self.counters.hook_panicked);
        }
    }

    /// Whether a connection is let in, before anything is read from it.
    pub(super) fn admit(self: &Arc<Self>, stream: impl AsFd) -> Option<(Peer, Seat)> {
        let peer = match Peer::of(stream) {
            Ok(peer) => peer,
            Err(error) => {
                self.reject(None, Rejection::NoCredentials(&error));
                return None;
            }
        };
        if !self.options.allow.allows(&peer) {
            self.reject(Some(peer), Rejection::NotAllowed);
            return None;
        }
        match self.take_seat(peer.uid) {
            Ok(seat) => Some((peer, seat)),
            Err(reason) => {
                self.reject(Some(peer), reason);
                None
            }
        }
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        taken(&lock(&self.seats))
    }

    fn take_seat(self: &Arc<Self>, uid: u32) -> Result<Seat, Rejection<'static>> {
        let mut seats = lock(&self.seats);
        let all = taken(&seats);
        let max = self.options.connections;
        if all >= max {
            return Err(Rejection::TooMany { max });
        }
        let mine = seats.entry(uid).or_default();
        let max = self.options.connections_per_uid;
        if *mine >= max {
            return Err(Rejection::TooManyOfUid { max });
        }
        *mine = mine.saturating_add(1);
        Ok(Seat {
            service: Arc::clone(self),
            uid,
        })
    }

    pub(super) fn reject(&self, peer: Option<Peer>, reason: Rejection<'_>) {
        self.tell(&ServerEvent::Rejected { peer, reason });
    }

    /// What becomes of a request that has just been read.
    pub(super) fn judge(
        &self,
        peer: Peer,
        version: u16,
        request: HostdRequest,
        timeout: Option<Duration>,
        reply_to: ReplyTo,
        stopping: bool,
    ) -> Verdict {
        count(&self.counters.requests);
        if stopping {
            return Verdict::Answer(self.unanswered(peer, reply_to, Unanswered::Stopping));
        }
        if request == HostdRequest::Ping {
            return Verdict::Answer(answer(reply_to, HostdResponse::Pong));
        }
        let most = self.options.call;
        let call = Call {
            peer,
            version,
            id: reply_to.id(),
            deadline: Deadline::after(timeout.map_or(most, |timeout| timeout.min(most))),
        };
        Verdict::Run(Job {
            request,
            call,
            reply_to,
        })
    }

    /// The frame for a request that the handler did not answer.
    pub(super) fn unanswered(&self, peer: Peer, reply_to: ReplyTo, reason: Unanswered) -> Vec<u8> {
        self.tell(&ServerEvent::Unanswered { peer, reason });
        answer(reply_to, HostdResponse::error(&reason.to_string()))
    }

    /// Runs the handler, unless it is too late for that, and makes the frame of its answer.
    pub(super) fn run(
        &self,
        job: Job,
        handle: impl FnOnce(HostdRequest, &Call) -> HostdResponse,
    ) -> Vec<u8> {
        let Job {
            request,
            call,
            reply_to,
        } = job;
        if call.deadline.remaining().is_none() {
            return self.unanswered(call.peer, reply_to, Unanswered::Expired);
        }
        match catch_unwind(AssertUnwindSafe(|| handle(request, &call))) {
            Ok(response) => answer(reply_to, response),
            Err(_) => self.unanswered(call.peer, reply_to, Unanswered::Panicked),
        }
    }
}

/// The frame of an answer. A message that is too long is cut, so that there is always one.
pub(super) fn answer(reply_to: ReplyTo, response: HostdResponse) -> Vec<u8> {
    let response = match response {
        HostdResponse::Error { message } => HostdResponse::error(&message),
        other => other,
    };
    reply_to.reply(response).unwrap_or_default()
}

/// The errors of `accept` that concern the one connection only, or nothing at all.
pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
    )
}

/// The pause after a failure to accept, which doubles each time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff(Duration);

impl Backoff {
    const LEAST: Duration = Duration::from_millis(10);
    const MOST: Duration = Duration::from_secs(1);

    pub(super) const fn new() -> Self {
        Self(Self::LEAST)
    }

    pub(super) fn next(&mut self) -> Duration {
        let now = self.0;
        self.0 = now.saturating_mul(2).min(Self::MOST);
        now
    }
}
