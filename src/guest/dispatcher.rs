//! The guest's side: requests checked before its program sees them, answers checked before they
//! are sent.

use super::calls::leaves_time;
use super::capability::Negotiated;
use super::envelope::{EnvelopeError, Op, Request, RequestId, put};
use super::failure::Failure;
use super::lifecycle::{Lifecycle, Ticket, needs};
use super::message::{Answer, Call, Shutdown, SleepPrep};
use super::wake::Steps;
use crate::naming::InstanceId;
use crate::wire::codec::EncodeError;
use crate::wire::fields::Writer;

/// Why a session has to end, found in what the host sent. Poison or close it; every further call
/// of the [`Dispatcher`] fails alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DispatchError {
    /// A payload that is no request.
    #[error("{0}")]
    Envelope(EnvelopeError),
    /// A number that is not above every one before it: no answer to it could be told from another.
    #[error("request number {} after {}", .id.0, .last.0)]
    IdReused {
        /// The number.
        id: RequestId,
        /// The greatest number before it.
        last: RequestId,
    },
    /// The guest has been put to sleep, or was restored: every session has ended with that.
    #[error("every session has ended")]
    Ended,
}
impl_error!(DispatchError);
const _: () = assert!(size_of::<DispatchError>() <= 32);

/// Why an answer was not written. Nothing may be sent for it, and the session has to end: the host
/// will not get an answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RespondError {
    /// The deadline has passed.
    #[error("request {} expired {by_ms} ms ago", .id.0)]
    Expired {
        /// The request.
        id: RequestId,
        /// How long ago, in milliseconds.
        by_ms: u64,
    },
    /// An answer to another operation than the one that was asked for.
    #[error("request {} was for operation {}, the answer is for {}", .id.0, .expected.code(), .got.code())]
    WrongOp {
        /// The request.
        id: RequestId,
        /// Its operation.
        expected: Op,
        /// The answer's.
        got: Op,
    },
    /// The guest was restored while it was at work on the request, or another session took over.
    #[error("something else took over from request {}", .id.0)]
    Superseded {
        /// The request.
        id: RequestId,
    },
    /// The output buffer is too small, or the answer is longer than
    /// [`CONTROL_MESSAGE_MAX`](crate::limits::CONTROL_MESSAGE_MAX).
    #[error("{0}")]
    Encode(EncodeError),
}
impl_error!(RespondError);
const _: () = assert!(size_of::<RespondError>() <= 24);

/// What a payload turned out to be.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "every request needs its answer"]
// There is no heap to put the call on, and one is held at a time.
#[allow(clippy::large_enum_variant)]
pub enum Incoming<'a> {
    /// A request that may be carried out. Its answer goes through the responder.
    Call(Call<'a>, Responder),
    /// A request that may not: write the refusal and send it. The session goes on.
    Refused(Refusal),
}

/// A request that is refused, for a reason it already has.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "every request needs its answer"]
pub struct Refusal {
    id: RequestId,
    op: Op,
    failure: Failure,
}

impl Refusal {
    /// The reason.
    #[must_use]
    pub const fn failure(&self) -> Failure {
        self.failure
    }

    /// Writes the answer to the front of `out`, the payload to seal, and gives its length.
    ///
    /// # Errors
    ///
    /// `out` is too small; 32 bytes are always enough.
    pub fn encode(self, out: &mut [u8]) -> Result<usize, EncodeError> {
        write_failure(self.id, self.op, self.failure, out)
    }
}

/// What to do once an answer has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[must_use = "a snapshot must not hold an open session"]
pub enum AfterResponse {
    /// Go on.
    Continue,
    /// Close this session, so that its host knows that nothing was cut off, and end every session
    /// and every pending handshake of the guest, of all services, this one included
    /// (`GuestEndpoint::prepare_sleep` of the [session](crate::session)). Also if sending failed:
    /// the guest is asleep.
    EndSessions {
        /// And give up the binding to the instance.
        unbind: bool,
    },
    /// Shut down.
    Shutdown(Shutdown),
}

/// An answer has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[must_use = "the answer has to be sent, and there may be something to do afterwards"]
pub struct Written {
    /// Length of the payload to seal, in bytes.
    pub len: usize,
    /// What to do once it has been sent.
    pub then: AfterResponse,
}

/// What the end of a request means for the guest's life.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Effect {
    None,
    Sleep {
        ticket: Ticket,
        unbind: bool,
    },
    Wake {
        ticket: Ticket,
        steps: Steps,
        generation: u64,
    },
    Shutdown(Shutdown),
}

impl Effect {
    const fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Sleep { ticket, .. } | Self::Wake { ticket, .. } => Some(*ticket),
            _ => None,
        }
    }
}

/// The right to answer one request, once.
///
/// Dropped without an answer the request expires on the host, and that ends the session. An
/// unanswered [`Wake`](super::Wake) leaves the guest restoring, an unanswered [`SleepPrep`] leaves
/// it draining until [`Dispatcher::end`].
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "every request needs its answer"]
pub struct Responder {
    id: RequestId,
    op: Op,
    received_ms: u64,
    deadline_ms: u32,
    effect: Effect,
}

impl Responder {
    /// The request.
    #[must_use]
    pub const fn id(&self) -> RequestId {
        self.id
    }

    /// How many milliseconds are left for the answer; 0 at the deadline, which is still in time,
    /// and after it.
    #[must_use]
    pub fn remaining_ms(&self, now_ms: u64) -> u64 {
        u64::from(self.deadline_ms).saturating_sub(now_ms.saturating_sub(self.received_ms))
    }

    /// Writes an answer to the front of `out`, the payload to seal.
    ///
    /// The guest is asleep after the answer to [`SleepPrep`], and awake after the answer to
    /// [`Wake`](super::Wake) if its report says that every step is done.
    ///
    /// # Errors
    ///
    /// See [`RespondError`]. After it a guest that was draining is awake again, and one that was
    /// restoring still is.
    pub fn answer(
        self,
        lifecycle: &mut Lifecycle,
        answer: &Answer<'_>,
        now_ms: u64,
        out: &mut [u8],
    ) -> Result<Written, RespondError> {
        let ticket = self.effect.ticket();
        if ticket.is_some_and(|ticket| !lifecycle.holds(ticket)) {
            return Err(RespondError::Superseded { id: self.id });
        }
        let len = match self.checked(answer, now_ms, out) {
            Ok(len) => len,
            Err(error) => {
                self.undo(lifecycle);
                return Err(error);
            }
        };
        let then = match self.effect {
            Effect::None => AfterResponse::Continue,
            Effect::Sleep { ticket, unbind } => {
                lifecycle.drained(ticket);
                AfterResponse::EndSessions { unbind }
            }
            Effect::Wake {
                ticket,
                steps,
                generation,
            } => {
                match answer {
                    Answer::Wake(report) if report.check(steps).is_ok() => {
                        lifecycle.woken(ticket, generation);
                    }
                    _ => {}
                }
                AfterResponse::Continue
            }
            Effect::Shutdown(shutdown) => AfterResponse::Shutdown(shutdown),
        };
        Ok(Written { len, then })
    }

    /// Writes to the front of `out`, the payload to seal, that the request was not carried out,
    /// and gives its length. The session goes on.
    ///
    /// A guest that was draining is awake again, and one that was restoring still is.
    ///
    /// # Errors
    ///
    /// See [`RespondError`].
    pub fn fail(
        self,
        lifecycle: &mut Lifecycle,
        failure: Failure,
        now_ms: u64,
        out: &mut [u8],
    ) -> Result<usize, RespondError> {
        self.undo(lifecycle);
        self.in_time(now_ms)?;
        write_failure(self.id, self.op, failure, out).map_err(RespondError::Encode)
    }

    /// Writes an answer of the right kind in time.
    fn checked(
        &self,
        answer: &Answer<'_>,
        now_ms: u64,
        out: &mut [u8],
    ) -> Result<usize, RespondError> {
        self.in_time(now_ms)?;
        if answer.op() != self.op {
            return Err(RespondError::WrongOp {
                id: self.id,
                expected: self.op,
                got: answer.op(),
            });
        }
        write(self.id, answer, out).map_err(RespondError::Encode)
    }

    fn undo(&self, lifecycle: &mut Lifecycle) {
        if let Effect::Sleep { ticket, .. } = self.effect {
            lifecycle.not_drained(ticket);
        }
    }

    fn in_time(&self, now_ms: u64) -> Result<(), RespondError> {
        let age = now_ms.saturating_sub(self.received_ms);
        match age.checked_sub(u64::from(self.deadline_ms)) {
            Some(by_ms) if by_ms > 0 => Err(RespondError::Expired { id: self.id, by_ms }),
            _ => Ok(()),
        }
    }
}

/// Reads the requests of one session.
///
/// In this order, and only a request that passes all of it reaches the guest's program: size and
/// head, number, operation known, capabilities, phase of the [`Lifecycle`], body, deadline, and for
/// a [`Wake`](super::Wake) generation and instance of the session.
///
/// A deadline runs from [`receive`](Self::receive) on the guest's monotonic clock, a little later
/// than the host's: a guest never gives up before the host does, and does not answer after it.
///
/// ```
/// use mvm_core::guest::{
///     Answer, Call, Capabilities, Dispatcher, Incoming, Lifecycle, Negotiated, Pong,
/// };
/// use mvm_core::naming::InstanceId;
///
/// let mut lifecycle = Lifecycle::booted();
/// let negotiated = Negotiated::guest(Capabilities::STATUS, Capabilities::STATUS);
/// let instance = InstanceId::new("i-0123abcd").unwrap();
/// let mut dispatcher = Dispatcher::new(&mut lifecycle, negotiated, instance, 7);
///
/// let mut out = [0; 64];
/// let payload = [1, 0xF4, 0x03, 1, 9]; // request 1, 500 ms, ping, nonce 9
/// let (now_ms, uptime_ms) = (2_000, 2_000);
/// match dispatcher.receive(&mut lifecycle, &payload, now_ms).unwrap() {
///     Incoming::Call(Call::Ping(ping), responder) => {
///         let pong = Answer::Pong(Pong { nonce: ping.nonce, uptime_ms });
///         let written = responder.answer(&mut lifecycle, &pong, now_ms, &mut out).unwrap();
///         assert_eq!(out[..written.len], [1, 1, 0, 9, 0xD0, 0x0F]);
///     }
///     other => panic!("{other:?}"),
/// }
///
/// // An operation of a later version does not end the session.
/// match dispatcher.receive(&mut lifecycle, &[2, 100, 99, 1, 2, 3], now_ms).unwrap() {
///     Incoming::Refused(refusal) => assert_eq!(refusal.encode(&mut out), Ok(4)),
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Debug)]
pub struct Dispatcher {
    negotiated: Negotiated,
    instance: InstanceId,
    generation: u64,
    last_id: u32,
    /// The lifecycle's epoch at the beginning of the session.
    epoch: u32,
    /// The last [`SleepPrep`] of this session.
    drain: Option<Ticket>,
    over: Option<DispatchError>,
}

impl Dispatcher {
    /// At the beginning of a session for `instance` in `generation`, as the session says.
    ///
    /// A guest that was awake in another generation falls asleep: it has been restored.
    pub fn new(
        lifecycle: &mut Lifecycle,
        negotiated: Negotiated,
        instance: InstanceId,
        generation: u64,
    ) -> Self {
        lifecycle.session_began(generation);
        Self {
            negotiated,
            instance,
            generation,
            last_id: 0,
            epoch: lifecycle.epoch(),
            drain: None,
            over: None,
        }
    }

    /// Reads a request, the payload of a frame the session has opened.
    ///
    /// A [`SleepPrep`] that is given out leaves the guest draining, a [`Wake`](super::Wake)
    /// restoring.
    ///
    /// # Errors
    ///
    /// See [`DispatchError`]; the session is over.
    // Not inlined: a large value that is given is otherwise moved field by field, hundreds of bytes of code.
    #[inline(never)]
    pub fn receive<'a>(
        &mut self,
        lifecycle: &mut Lifecycle,
        payload: &'a [u8],
        now_ms: u64,
    ) -> Result<Incoming<'a>, DispatchError> {
        if let Some(error) = self.over {
            return Err(error);
        }
        let request = match self.number(lifecycle, payload) {
            Ok(request) => request,
            Err(error) => {
                self.over = Some(error);
                return Err(error);
            }
        };
        let (id, op, deadline_ms) = (request.id, request.op, request.deadline_ms);
        let call = match self.admit(lifecycle, &request) {
            Ok(call) => call,
            Err(failure) => return Ok(Incoming::Refused(Refusal { id, op, failure })),
        };
        let effect = match &call {
            Call::SleepPrep(SleepPrep { unbind, .. }) => {
                let ticket = lifecycle.drain();
                self.drain = Some(ticket);
                Effect::Sleep {
                    ticket,
                    unbind: *unbind,
                }
            }
            Call::Wake(wake) => Effect::Wake {
                ticket: lifecycle.restore(),
                steps: wake.steps(),
                generation: self.generation,
            },
            Call::Shutdown(shutdown) => Effect::Shutdown(*shutdown),
            _ => Effect::None,
        };
        let responder = Responder {
            id,
            op,
            received_ms: now_ms,
            deadline_ms,
            effect,
        };
        Ok(Incoming::Call(call, responder))
    }

    /// The session has ended, in whatever way.
    ///
    /// A guest that is draining for a [`SleepPrep`] of this session is awake again: its answer
    /// can't be delivered any more.
    pub fn end(self, lifecycle: &mut Lifecycle) {
        if let Some(ticket) = self.drain {
            lifecycle.not_drained(ticket);
        }
    }

    /// The session goes on, the head is fine and the number is new.
    fn number<'a>(
        &mut self,
        lifecycle: &Lifecycle,
        payload: &'a [u8],
    ) -> Result<Request<'a>, DispatchError> {
        if lifecycle.epoch() != self.epoch {
            return Err(DispatchError::Ended);
        }
        let request = Request::decode(payload).map_err(DispatchError::Envelope)?;
        let id = request.id;
        if id.0 <= self.last_id {
            let last = RequestId(self.last_id);
            return Err(DispatchError::IdReused { id, last });
        }
        self.last_id = id.0;
        Ok(request)
    }

    fn admit<'a>(&self, lifecycle: &Lifecycle, request: &Request<'a>) -> Result<Call<'a>, Failure> {
        let op = request.op;
        let unsupported = Failure::Unsupported { op };
        let needed = needs(op).ok_or(unsupported)?;
        self.negotiated
            .require(needed)
            .map_err(Failure::NotNegotiated)?;
        if !lifecycle.allows(op) {
            let phase = lifecycle.phase();
            return Err(Failure::NotAwake { phase });
        }
        let call = match Call::decode(op, request.body) {
            Ok(Some(call)) => call,
            Ok(None) => return Err(unsupported),
            Err(_) => return Err(Failure::Malformed),
        };
        // The message may need more than its operation does.
        self.negotiated
            .require(call.needs())
            .map_err(Failure::NotNegotiated)?;
        if !leaves_time(&call, request.deadline_ms) {
            return Err(Failure::DeadlineTooShort);
        }
        if let Call::Wake(wake) = &call {
            if wake.generation != self.generation {
                let session = self.generation;
                return Err(Failure::WrongGeneration { session });
            }
            if wake
                .identity
                .as_ref()
                .is_some_and(|identity| *identity != self.instance)
            {
                return Err(Failure::WrongIdentity);
            }
        }
        Ok(call)
    }
}

fn write(id: RequestId, answer: &Answer<'_>, out: &mut [u8]) -> Result<usize, EncodeError> {
    let head = (id.0, u32::from(answer.op().code()), 0);
    put(head, out, &|body| answer.encode_body(body))
}

fn write_failure(
    id: RequestId,
    op: Op,
    failure: Failure,
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    let (code, detail) = failure.to_wire();
    let head = (id.0, u32::from(op.code()), u32::from(code));
    put(head, out, &|body| {
        let mut writer = Writer::new(body);
        writer.varint(detail);
        writer.end()
    })
}
