//! The form that blocks a thread, on backon's loop.
//!
//! backon knows neither deadlines nor reasons: both come in through the delays, which end where the
//! deadline would be reached and remember why.

use core::cell::Cell;
use core::fmt::Display;
use core::time::Duration;
use std::time::Instant;

use backon::BlockingRetryable;

use super::{Attempt, Classify, GaveUp, Retry, RetryError, events};
use crate::retry_policy::RetryPolicy;

impl<W> Retry<'_, W> {
    /// Calls the operation until it succeeds, in this thread, which sleeps in between.
    ///
    /// # Errors
    /// [`RetryError`] with the last error.
    pub fn call<T, E, F>(&self, mut operation: F) -> Result<T, RetryError<E>>
    where
        E: Display,
        F: FnMut(Attempt) -> Result<T, E>,
        W: Classify<E>,
    {
        let mut schedule = self.schedule(Instant::now);
        let end = schedule.end;
        let attempts = Cell::new(0_u32);
        let result = (|| {
            attempts.set(attempts.get().saturating_add(1));
            operation(Attempt {
                number: attempts.get(),
                end,
            })
        })
        .retry(&mut schedule)
        .when(|error| self.when.is_retryable(error))
        .notify(|error, delay| {
            let max = self.policy.max_attempts();
            events::retrying(self.label, attempts.get(), max, delay, error);
        })
        .call();
        result.map_err(|last| {
            self.give_up(RetryError {
                attempts: attempts.get(),
                reason: schedule.reason,
                last: Some(last),
            })
        })
    }

    /// Says that it is over.
    pub(super) fn give_up<E: Display>(&self, error: RetryError<E>) -> RetryError<E> {
        let last = error.last().map(|last| -> &dyn Display { last });
        events::gave_up(self.label, error.attempts(), &error.reason(), last);
        error
    }
}

/// 0.13.0's form: `max_attempts` attempts, the first one included, with delays that begin with
/// `base_delay` and double; `label` is for events. It is [`Retry::call`] with
/// [`RetryPolicy::doubling`](super::RetryPolicy::doubling).
///
/// # Errors
/// [`RetryError`]: with the last error, or with [`GaveUp::Policy`] for no attempt at all, where 0.13.0
/// panicked, and for a delay of more than a year.
///
/// # Examples
/// ```
/// use core::time::Duration;
/// use mvm_core::retry::retry;
///
/// let mut answers = [Err("not yet"), Ok(42)].into_iter();
/// let answer = retry(3, Duration::from_millis(1), "asking", || answers.next().unwrap_or(Err("gone")))?;
/// assert_eq!(answer, 42);
///
/// assert!(retry(0, Duration::from_millis(1), "asking", || Ok::<_, &str>(42)).is_err());
/// # Ok::<(), mvm_core::retry::RetryError<&str>>(())
/// ```
pub fn retry<T, E, F>(
    max_attempts: u32,
    base_delay: Duration,
    label: &str,
    mut operation: F,
) -> Result<T, RetryError<E>>
where
    E: Display,
    F: FnMut() -> Result<T, E>,
{
    let policy = RetryPolicy::doubling(max_attempts, base_delay).map_err(|error| RetryError {
        attempts: 0,
        reason: GaveUp::Policy(error),
        last: None,
    })?;
    Retry::new(policy, label).call(|_| operation())
}
