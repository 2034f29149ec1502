//! The life of an instance: its statuses, the transitions between them, its recorded state.
//!
//! # The life
//!
#![doc = include_str!("transitions.md")]
//!
//! [`validate_transition`] reads one table, and the diagram is written from the same table by
//! [`write_mermaid`]; a test compares the two. An edge is labelled with its [`InstanceAction`].
//! Two are easily overlooked: `destroyed → destroyed` is allowed, as destroying twice is no error,
//! and `ready → ready` is a rebuild.
//!
//! # Changes are intents, then facts
//! A status is what an instance *is*. So [`InstanceState::begin`] records an intent and leaves the
//! status alone, and [`InstanceState::commit`] changes the status when the operation has been
//! carried out; [`InstanceState::abort`] withdraws the intent. While one is pending no other can
//! begin. After a successful `begin`, `commit` can only fail for facts that do not fit, and then
//! changes nothing.
//!
//! A program that stops in between finds the intent in the file when it starts again, and
//! [`InstanceState::resolve`] turns it into a fact or withdraws it, from what is *seen* of the
//! instance. The intent is a member `pending` that 0.13.0 ignores, and drops when it writes the
//! file: that there is none means that none is known, so `resolve` is right there too.
//!
//! # Bookkeeping
//! What `commit` (and `resolve`, when it enters a status) records; `now` is the time its caller
//! gives:
//!
//! | transition | `firecracker_pid` | `last_started_at` | `last_stopped_at` | `entered_running_at` | `entered_warm_at` |
//! | --- | --- | --- | --- | --- | --- |
//! | created → ready, ready → ready | none | | | | |
//! | ready, stopped → running (`Start`) | from the facts | now | | now | |
//! | sleeping → running (`Wake`) | from the facts | now | | now | |
//! | warm → running (`Wake`) | kept | | | now | |
//! | running → warm (`Warm`) | kept | | | | now |
//! | warm → sleeping (`Sleep`) | none | | | | |
//! | running, warm, sleeping → stopped (`Stop`) | none | | now | | |
//! | running, warm, sleeping → destroyed (`Destroy`) | none | | now | | |
//! | created, ready, stopped, destroyed → destroyed | none | | | | |
//!
//! An empty cell keeps what was recorded: each time says when something happened *last*. Times are
//! recorded as they are given, also where the clock was set back in between: what is compared later
//! is compared by that clock. Nothing in the machine depends on their order; [`may_leave`] and
//! [`idle_decision`] say what they do with a time in the future.
//!
//! # The file
//! [`InstanceState`] is JSON only, with 0.13.0's members in 0.13.0's order. Unknown members are
//! ignored; `role`, `idle_metrics` and everything that can be `null` may be left out. Refused is
//! what 0.13.0 let pass: an id, address, time or process id that cannot be one, a TAP name and a MAC
//! address of two instances, and a pending transition that the table does not have. A record of
//! 0.13.0 may be incoherent all the same, a running instance without a process id for example: it
//! can be read, and `resolve` puts it right.
//!
//! [`InstanceStatus`] and [`InstanceNet`] also travel in postcard; they draw their bytes.

mod action;
pub(crate) mod decide;
mod net;
mod pid;
mod resolve;
mod state;
mod status;

pub use action::{InstanceAction, UnknownAction};
pub use decide::{IdleDecision, KeepReason, TooSoon, idle_decision, may_leave};
pub use net::{InstanceNet, PrefixLen, PrefixLenError};
pub use pid::{Pid, PidError};
pub use resolve::{Observed, ObservedProcess, Resolution, Unexplained};
pub use state::{
    BeginError, CommitError, CommitFacts, InstanceState, NotPending, PendingTransition,
};
pub use status::{
    InstanceStatus, TransitionError, UnknownStatus, validate_transition, write_mermaid,
};

#[cfg(feature = "alloc")]
pub(crate) use state::Kept;
