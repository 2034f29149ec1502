//! What a host asks of a guest: the payloads of a [session](crate::session).
//!
//! The session says who is speaking and that nothing was changed, repeated or left out. This
//! module says what is asked, which answer belongs to which request, and whether the guest may do
//! it now. It performs no I/O, reads no clock and needs no heap.
//!
//! * A host keeps one [`Calls`] for each session: it writes [`Call`]s and takes [`Answer`]s.
//! * A guest keeps one [`Lifecycle`], and one [`Dispatcher`] for each session: it takes [`Call`]s,
//!   each with a [`Responder`] that writes the [`Answer`].
//!
//! The contract:
//!
//! * An answer is accepted once, for the request with its number and operation, within the total
//!   deadline of that request. Anything else, and a request that expires, ends the session: every
//!   [`CallError`], [`DispatchError`] and [`RespondError`] means that it has to be poisoned or
//!   closed, and another one begun.
//! * A [`Failure`] is an answer: the session goes on. An operation that a guest does not know, or
//!   that was not negotiated, is such a failure, and [`Failure::upgrade`] says which side is behind.
//! * A guest whose sleep was answered, whose mark changed, or that is addressed in another
//!   generation than the one it was awake in, does nothing but answer [`Ping`], `Status`,
//!   [`Shutdown`] and [`Wake`] until **every** requested step of a [`Wake`] is done.
//! * After the answer to [`SleepPrep`] every session of the guest has to end
//!   ([`AfterResponse::EndSessions`]); its dispatchers refuse everything from then on.
//!
//! # Layout
//!
//! A payload is one message of at most [`CONTROL_MESSAGE_MAX`](crate::limits::CONTROL_MESSAGE_MAX)
//! bytes: a head of three varints, and a body up to the end of the payload. Everything is canonical
//! postcard: `varint` is LEB128 (7 bits a byte, the low ones first) in its shortest form, `zigzag`
//! a varint of a signed integer, `[u8; N]` is N bytes, `text` and `bytes` are a varint length and
//! so many bytes, `?` is `00` or `01` and the value.
//!
//! ```text
//! host → guest   id varint   deadline_ms varint   op varint        body …
//! guest → host   id varint   op varint            outcome varint   body …
//! ```
//!
//! `id` counts from 1, `deadline_ms` is above 0, `op` is below 65,536 and so is `outcome`: 0 is
//! success with the body of the table, everything else the code of a [`Failure`] with one varint of
//! detail (a `u64`) as its body. Codes are never used twice, and a code that is not known does not
//! make the head unreadable.
//!
//! | op | | request | answer | needs |
//! | --- | --- | --- | --- | --- |
//! | 1 | [`Ping`] | `nonce varint` | `nonce varint`, `uptime_ms varint` | |
//! | 2 | Status | | [`StatusReport`] | `STATUS` |
//! | 3 | [`SleepPrep`] | `flush_deadline_ms varint`, `unbind u8` (0, 1) | | `SLEEP_PREP`, to unbind `UNBIND` |
//! | 4 | [`Wake`] | see below | [`WakeReport`] | `WAKE`, `IDENTITY`, `NETWORK`, `REKEY` |
//! | 5 | [`Shutdown`] | `grace_ms varint`, `mode varint` (0 to 2) | | `SHUTDOWN` |
//! | 6 | [`Extension`] | `kind varint`, `body bytes` | `body bytes` | `EXTENSION` |
//!
//! ```text
//! StatusReport   phase u8   generation ? varint   uptime_ms varint
//!                count varint (0 to 16), then for each component:
//!                    name text (1 to 32 bytes)   state u8   detail varint   since_ms varint
//!
//! Wake           generation varint   seconds zigzag   nanoseconds varint   entropy [u8; 32]
//!                identity ? text   network ? InstanceNet   new_guest_key ? [u8; 32]
//!
//! WakeReport     entropy: outcome u8, detail varint
//!                clock:   outcome u8, detail varint   skew_ms ? zigzag
//!                identity, network, key: outcome u8, detail varint each
//! ```
//!
//! A ping with number 1, 500 ms and nonce 7, and its answer after 42 ms of uptime:
//!
//! ```text
//! 01   F4 03   01   07          01   01   00   07   2A
//! id   500 ms  ping nonce       id   ping ok   nonce uptime
//! ```

mod calls;
mod capability;
mod dispatcher;
mod envelope;
mod failure;
mod lifecycle;
mod message;
mod status;
mod wake;

pub use crate::session::Side;
pub use calls::{BeginError, CallError, Calls, Completed};
pub use capability::{Capabilities, Negotiated, NotNegotiated};
pub use dispatcher::{
    AfterResponse, DispatchError, Dispatcher, Incoming, Refusal, RespondError, Responder, Written,
};
pub use envelope::{EnvelopeError, Op, Request, RequestId, Response};
pub use failure::{Failure, OtherFailure};
pub use lifecycle::{Lifecycle, Phase};
pub use message::{Answer, Call, Extension, Ping, Pong, Shutdown, ShutdownMode, SleepPrep};
pub use status::{
    Component, ComponentName, ComponentNameError, ComponentState, Components, OtherState,
    StatusReport, TooManyComponents,
};
pub use wake::{NotWoken, OtherOutcome, SecretBytes, Step, StepOutcome, Steps, Wake, WakeReport};
