//! The host's side: requests in flight, and the answers that belong to them.

use super::capability::{Negotiated, NotNegotiated};
use super::envelope::{EnvelopeError, Op, RequestId, Response, put};
use super::failure::Failure;
use super::message::{Answer, Call, SleepPrep};
use crate::wire::codec::{self, DecodeError, EncodeError};

/// Why a request was not begun. Nothing is in flight because of it, and the session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BeginError {
    /// As many requests as there is room for wait for their answers.
    #[error("{max} requests are in flight")]
    TooManyCalls {
        /// The room there is.
        max: usize,
    },
    /// Every number has been used: begin another session.
    #[error("the session has no request number left")]
    IdsExhausted,
    /// The deadline is 0, or not above the time the request gives to flush.
    #[error("the deadline leaves no time for the answer")]
    DeadlineTooShort,
    /// The request needs what was not negotiated.
    #[error("{0}")]
    NotNegotiated(NotNegotiated),
    /// The output buffer is too small, or the message is longer than
    /// [`CONTROL_MESSAGE_MAX`](crate::limits::CONTROL_MESSAGE_MAX).
    #[error("{0}")]
    Encode(EncodeError),
    /// The session is over.
    #[error("{0}")]
    Over(CallError),
}
impl_error!(BeginError);
const _: () = assert!(size_of::<BeginError>() <= 40);

/// Why a session has to end. Poison or close it; every further call of [`Calls`] fails alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CallError {
    /// A request was not answered in time.
    #[error("request {} expired {by_ms} ms ago", .id.0)]
    Expired {
        /// The request.
        id: RequestId,
        /// How long ago, in milliseconds.
        by_ms: u64,
    },
    /// An answer came after its request's deadline.
    #[error("the answer to request {} came {by_ms} ms late", .id.0)]
    Late {
        /// The request.
        id: RequestId,
        /// By how much, in milliseconds.
        by_ms: u64,
    },
    /// An answer to a request that was never sent.
    #[error("an answer to request {}, which was never sent", .id.0)]
    UnknownId {
        /// The number in the answer.
        id: RequestId,
    },
    /// A second answer to a request.
    #[error("a second answer to request {}", .id.0)]
    AnsweredTwice {
        /// The request.
        id: RequestId,
    },
    /// An answer to another operation than the one that was asked for.
    #[error("request {} was for operation {}, its answer is for {}", .id.0, .expected.code(), .got.code())]
    WrongOp {
        /// The request.
        id: RequestId,
        /// Its operation.
        expected: Op,
        /// The answer's.
        got: Op,
    },
    /// A payload that is no answer.
    #[error("{0}")]
    Envelope(EnvelopeError),
    /// The body of an answer is not what its operation or outcome has.
    #[error("malformed answer to request {}: {error}", .id.0)]
    Body {
        /// The request.
        id: RequestId,
        /// What is wrong with it.
        error: DecodeError,
    },
}
impl_error!(CallError);
const _: () = assert!(size_of::<CallError>() <= 32);

/// A request and its answer have come together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Completed<'a> {
    /// The request.
    pub id: RequestId,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What the guest did, or why it did not.
    pub outcome: Result<Answer<'a>, Failure>,
}

/// One request in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct InFlight {
    id: u32,
    op: Op,
    began_ms: u64,
    deadline_ms: u32,
}

impl InFlight {
    fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.began_ms)
    }

    /// By how much it is over time, if it is.
    fn over_ms(&self, now_ms: u64) -> Option<u64> {
        self.age_ms(now_ms)
            .checked_sub(u64::from(self.deadline_ms))
            .filter(|over| *over > 0)
    }
}

/// The requests of one session that wait for their answers, at most `N`.
///
/// A request's deadline is the total time for its answer: from [`begin`](Self::begin) on the
/// host's monotonic clock, whatever the number of reads and writes that takes. An answer at
/// exactly the deadline is in time. (The guest counts from when it has received the request, so it
/// never gives up before the host does.)
///
/// **A request that expires ends the session**: the stream may hold half a request or an answer
/// that is still to come, and nobody can tell what the guest has done. Call
/// [`check`](Self::check) whenever a wait ends; it says how long the next one may be.
///
/// Every [`CallError`] is one of these ends: after it every further call fails with the same error,
/// the session has to be poisoned or closed, and another one begun.
///
/// All times are milliseconds of one clock that never goes back.
///
/// ```
/// use mvm_core::guest::{Call, CallError, Calls, Capabilities, Negotiated, Ping};
///
/// let negotiated = Negotiated::host(Capabilities::KNOWN, Capabilities::KNOWN);
/// let mut calls = Calls::<4>::new(negotiated);
/// let mut payload = [0; 64];
/// let ping = Call::Ping(Ping { nonce: 7 });
/// let (id, len) = calls.begin(&ping, 500, 10_000, &mut payload)?;
/// assert_eq!(payload[..len], [1, 0xF4, 0x03, 1, 7]);
///
/// // … seal, send, wait for at most this long:
/// assert_eq!(calls.check(10_100), Ok(Some(400)));
/// let completed = calls.accept(&[1, 1, 0, 7, 42], 10_101).unwrap();
/// assert_eq!((completed.id, completed.took_ms), (id, 101));
///
/// // The same answer once more ends the session.
/// assert_eq!(calls.accept(&[1, 1, 0, 7, 42], 10_102), Err(CallError::AnsweredTwice { id }));
/// # Ok::<(), mvm_core::guest::BeginError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls<const N: usize> {
    slots: [Option<InFlight>; N],
    negotiated: Negotiated,
    last_id: u32,
    over: Option<CallError>,
}

impl<const N: usize> Calls<N> {
    /// Nothing in flight, at the beginning of a session.
    #[must_use]
    pub const fn new(negotiated: Negotiated) -> Self {
        Self {
            slots: [None; N],
            negotiated,
            last_id: 0,
            over: None,
        }
    }

    /// Writes a request to the front of `out`, the payload to seal, and gives its number and length.
    ///
    /// `deadline_ms` is the total time for the answer from now on. The host's answer to
    /// [`SleepPrep`] needs its time too: its `flush_deadline_ms` must be below `deadline_ms`.
    ///
    /// # Errors
    ///
    /// See [`BeginError`]; nothing is in flight then, and no number is used.
    pub fn begin(
        &mut self,
        call: &Call<'_>,
        deadline_ms: u32,
        now_ms: u64,
        out: &mut [u8],
    ) -> Result<(RequestId, usize), BeginError> {
        self.check(now_ms).map_err(BeginError::Over)?;
        self.negotiated
            .require(call.needs())
            .map_err(BeginError::NotNegotiated)?;
        if !leaves_time(call, deadline_ms) {
            return Err(BeginError::DeadlineTooShort);
        }
        let id = self
            .last_id
            .checked_add(1)
            .ok_or(BeginError::IdsExhausted)?;
        let slot = self
            .slots
            .iter_mut()
            .find(|slot| slot.is_none())
            .ok_or(BeginError::TooManyCalls { max: N })?;
        let op = call.op();
        let len = write(id, deadline_ms, call, out).map_err(BeginError::Encode)?;
        *slot = Some(InFlight {
            id,
            op,
            began_ms: now_ms,
            deadline_ms,
        });
        self.last_id = id;
        Ok((RequestId(id), len))
    }

    /// Reads an answer, the payload of a frame the session has opened.
    ///
    /// # Errors
    ///
    /// See [`CallError`]; the session is over.
    pub fn accept<'a>(
        &mut self,
        payload: &'a [u8],
        now_ms: u64,
    ) -> Result<Completed<'a>, CallError> {
        if let Some(error) = self.over {
            return Err(error);
        }
        let result = accept(&mut self.slots, self.last_id, payload, now_ms);
        if let Err(error) = &result {
            self.over = Some(*error);
        }
        result
    }

    /// Whether every request still has time, and how many milliseconds the next to expire has;
    /// `None` with nothing in flight.
    ///
    /// # Errors
    ///
    /// [`CallError::Expired`], or what ended the session before.
    pub fn check(&mut self, now_ms: u64) -> Result<Option<u64>, CallError> {
        if let Some(error) = self.over {
            return Err(error);
        }
        next_expiry(&self.slots, now_ms).inspect_err(|error| self.over = Some(*error))
    }

    /// How many requests are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.slots.iter().flatten().count()
    }
}

/// Whether a deadline is above what the call itself takes.
pub(super) const fn leaves_time(call: &Call<'_>, deadline_ms: u32) -> bool {
    match call {
        Call::SleepPrep(SleepPrep {
            flush_deadline_ms, ..
        }) => *flush_deadline_ms < deadline_ms,
        _ => deadline_ms > 0,
    }
}

fn write(id: u32, deadline_ms: u32, call: &Call<'_>, out: &mut [u8]) -> Result<usize, EncodeError> {
    let head = (id, deadline_ms, u32::from(call.op().code()));
    put(head, out, &|body| call.encode_body(body))
}

fn next_expiry(slots: &[Option<InFlight>], now_ms: u64) -> Result<Option<u64>, CallError> {
    let mut next: Option<u64> = None;
    for call in slots.iter().flatten() {
        if let Some(by_ms) = call.over_ms(now_ms) {
            let id = RequestId(call.id);
            return Err(CallError::Expired { id, by_ms });
        }
        let left = u64::from(call.deadline_ms).saturating_sub(call.age_ms(now_ms));
        next = Some(next.map_or(left, |next| next.min(left)));
    }
    Ok(next)
}

fn accept<'a>(
    slots: &mut [Option<InFlight>],
    last_id: u32,
    payload: &'a [u8],
    now_ms: u64,
) -> Result<Completed<'a>, CallError> {
    let response = Response::decode(payload).map_err(CallError::Envelope)?;
    let id = response.id;
    let mut found = None;
    for slot in slots.iter_mut() {
        if slot.is_some_and(|call| call.id == id.0) {
            found = slot.take();
        }
    }
    let Some(call) = found else {
        return Err(if id.0 == 0 || id.0 > last_id {
            CallError::UnknownId { id }
        } else {
            CallError::AnsweredTwice { id }
        });
    };
    if let Some(by_ms) = call.over_ms(now_ms) {
        return Err(CallError::Late { id, by_ms });
    }
    // The answer is in time; another request may have expired meanwhile.
    next_expiry(slots, now_ms)?;
    if response.op != call.op {
        return Err(CallError::WrongOp {
            id,
            expected: call.op,
            got: response.op,
        });
    }
    let body = |error| CallError::Body { id, error };
    let invalid = body(DecodeError::InvalidValue);
    let outcome = if response.outcome == 0 {
        let answer = Answer::decode(call.op, response.body).map_err(body)?;
        Ok(answer.ok_or(invalid)?)
    } else {
        let detail = codec::decode::<u64>(response.body).map_err(body)?;
        Err(Failure::from_wire(response.outcome, detail).ok_or(invalid)?)
    };
    Ok(Completed {
        id,
        took_ms: call.age_ms(now_ms),
        outcome,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::{Capabilities, Ping};

    #[test]
    fn numbers_run_out_and_are_not_used_again() {
        let all = Capabilities::KNOWN;
        let mut calls = Calls::<4>::new(Negotiated::host(all, all));
        calls.last_id = u32::MAX - 1;
        let mut out = [0; 64];
        let ping = Call::Ping(Ping { nonce: 0 });
        let (id, _) = calls.begin(&ping, 1, 0, &mut out).unwrap();
        assert_eq!(id.get(), u32::MAX);
        for _ in 0..2 {
            let error = calls.begin(&ping, 1, 0, &mut out);
            assert_eq!(error, Err(BeginError::IdsExhausted));
        }
        // What is in flight is not lost by that.
        let answer = [0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1, 0, 0, 0];
        assert_eq!(calls.accept(&answer, 1).unwrap().id, id);
    }
}
