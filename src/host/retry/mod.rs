//! Trying again: the loops over a [`RetryPolicy`], which waits and counts.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use crate::retry_policy::{Backoff, Jitter, RetryPolicy};

use super::{entropy, events};

mod blocking;
mod error;

// What waits without a thread.
#[cfg(feature = "tokio")]
mod asynchronous;

pub use blocking::retry;
pub use error::{GaveUp, RetryError};

/// One attempt, as the operation sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    number: u32,
    end: Option<Instant>,
}

impl Attempt {
    /// Which one it is, from 1.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.number
    }

    /// When all attempts have to be over, if there is a deadline: a blocking operation bounds itself
    /// with it, since nobody else can.
    #[must_use]
    pub const fn end(self) -> Option<Instant> {
        self.end
    }
}

/// Whether there is a point in trying again after an error. Implemented for closures; [`Always`] is the
/// default of a [`Retry`].
pub trait Classify<E: ?Sized> {
    /// Whether another attempt may end otherwise.
    fn is_retryable(&self, error: &E) -> bool;
}

impl<E: ?Sized, F: Fn(&E) -> bool> Classify<E> for F {
    fn is_retryable(&self, error: &E) -> bool {
        self(error)
    }
}

/// Every error is worth another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Always;

impl<E: ?Sized> Classify<E> for Always {
    fn is_retryable(&self, _error: &E) -> bool {
        true
    }
}

/// How an operation is tried again: a policy, the operation's name for events, and what bounds it.
///
/// - [`deadline`](Self::deadline) bounds all attempts and delays together. A delay that would reach it is
///   not waited for: nothing could be tried after it. A blocking attempt that is being made is not
///   interrupted, and bounds itself with [`Attempt::end`]; an attempt of `call_async` (feature `tokio`) is
///   dropped when the deadline passes. The first attempt is always begun.
/// - [`when`](Self::when) says which errors are worth another attempt. Without it all are.
/// - Jitter takes its entropy from the operating system; where that gives none, delays are not spread.
/// - With the feature `observability`, each failure that is tried again and the giving up are events of
///   `tracing`, at the level `warn`, with the members `attempt`, `max_attempts`, `delay_ms` and `error`
///   of 0.13.0, or `attempts`, `reason` and `error`.
///
/// # Examples
/// ```
/// use core::time::Duration;
/// use std::io::{Error, ErrorKind};
/// use mvm_core::retry::{GaveUp, Retry, RetryPolicy};
///
/// let policy = RetryPolicy::new(5, Duration::from_millis(1), Duration::from_millis(8))?;
/// let retry = Retry::new(policy, "dialling the guest")
///     .deadline(Duration::from_secs(10))
///     .when(|error: &Error| error.kind() == ErrorKind::ConnectionRefused);
///
/// // The guest is not listening at first.
/// let answer = retry.call(|attempt| match attempt.number() {
///     1 | 2 => Err(Error::from(ErrorKind::ConnectionRefused)),
///     number => Ok(number),
/// })?;
/// assert_eq!(answer, 3);
///
/// // There is no point in asking again for what one may not have.
/// let error = retry.call(|_| Err::<(), _>(Error::from(ErrorKind::PermissionDenied))).unwrap_err();
/// assert_eq!((error.attempts(), error.reason()), (1, GaveUp::NotRetryable));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Retry<'a, W = Always> {
    policy: RetryPolicy,
    label: &'a str,
    deadline: Option<Duration>,
    when: W,
}

// By hand, because closures have none.
impl<W> fmt::Debug for Retry<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("policy", &self.policy)
            .field("label", &self.label)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl<'a> Retry<'a> {
    /// With a policy, and what is tried in the words of an event: "`label` failed, retrying".
    pub const fn new(policy: RetryPolicy, label: &'a str) -> Self {
        Self {
            policy,
            label,
            deadline: None,
            when: Always,
        }
    }
}

impl<'a, W> Retry<'a, W> {
    /// How long all attempts and delays may take together. Default: as long as they take.
    pub fn deadline(mut self, total: Duration) -> Self {
        self.deadline = Some(total);
        self
    }

    /// Which errors are worth another attempt. Default: all.
    pub fn when<N>(self, retryable: N) -> Retry<'a, N> {
        Retry {
            policy: self.policy,
            label: self.label,
            deadline: self.deadline,
            when: retryable,
        }
    }

    /// What the delays are, from now on.
    fn schedule(&self, now: fn() -> Instant) -> Schedule {
        // What is beyond the reach of the clock never comes.
        let end = self.deadline.and_then(|total| now().checked_add(total));
        Schedule {
            backoff: self.policy.backoff(),
            jitter: self.policy.jitter(),
            end,
            now,
            reason: GaveUp::NotRetryable,
        }
    }
}

/// The delays of one call, for backon: they end with the attempts, or where the next one would reach the
/// deadline.
struct Schedule {
    backoff: Backoff,
    jitter: Jitter,
    end: Option<Instant>,
    /// The clock of the one who sleeps.
    now: fn() -> Instant,
    /// Why there were no more delays; that none was asked for, until then.
    reason: GaveUp,
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let random = match self.jitter {
            Jitter::None => 0,
            Jitter::Full | Jitter::Equal => random(),
        };
        let Some(delay) = self.backoff.next(random) else {
            self.reason = GaveUp::Attempts;
            return None;
        };
        let left = self
            .end
            .map(|end| end.saturating_duration_since((self.now)()));
        if left.is_some_and(|left| left <= delay) {
            self.reason = GaveUp::Deadline;
            return None;
        }
        Some(delay)
    }
}

/// 64 random bits, or those that make the delay as long as it can be.
fn random() -> u64 {
    let mut bytes = [0; 8];
    match entropy::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => u64::MAX,
    }
}
