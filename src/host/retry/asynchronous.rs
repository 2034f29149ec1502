//! The form that waits with tokio, on backon's loop.
//!
//! As in the blocking form, the delays bring the deadline in. It cuts attempts too, and the error of the
//! last one that ended has to outlive backon's loop then: it is put aside, and backon sees only that
//! there was one.

use core::fmt::Display;
use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use backon::Retryable;

use super::{Attempt, Classify, GaveUp, Retry, RetryError, events};

/// The clock of tokio's timers, which tests may stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// An attempt failed; with what is put aside.
struct Failed;

impl<W> Retry<'_, W> {
    /// Calls the operation until it succeeds, and waits in between with tokio's timer. Needs the feature
    /// `tokio`, and a runtime with timers.
    ///
    /// When the [deadline](Self::deadline) passes, the attempt that is being made is dropped.
    ///
    /// # Cancellation
    /// Nothing runs outside of the future: when it is dropped, the attempt that is being made is dropped
    /// with it, and no further one begins. Whether a dropped attempt has had an effect is the
    /// operation's affair, as for the deadline.
    ///
    /// # Errors
    /// [`RetryError`] with the last error; with none if the deadline passed before an attempt had ended.
    ///
    /// # Examples
    /// ```
    /// use core::time::Duration;
    /// use mvm_core::retry::{GaveUp, Retry, RetryPolicy};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # runtime.block_on(async {
    /// let policy = RetryPolicy::doubling(5, Duration::from_millis(1))?;
    /// let retry = Retry::new(policy, "asking the guest").deadline(Duration::from_millis(20));
    /// let answer = retry.call_async(async |attempt| match attempt.number() {
    ///     1 => Err("not yet"),
    ///     number => Ok(number),
    /// });
    /// assert_eq!(answer.await, Ok(2));
    ///
    /// // An operation that never comes back.
    /// let error = retry.call_async(async |_| core::future::pending::<Result<(), &str>>().await);
    /// assert_eq!(error.await.unwrap_err().reason(), GaveUp::Deadline);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn call_async<T, E, F, Fut>(&self, mut operation: F) -> Result<T, RetryError<E>>
    where
        E: Display,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        W: Classify<E>,
    {
        let mut schedule = self.schedule(now);
        let end = schedule.end;
        let attempts = AtomicU32::new(0);
        let last = Mutex::new(None);
        let read = |with: &mut dyn FnMut(&E)| {
            if let Some(error) = &*last.lock().unwrap_or_else(PoisonError::into_inner) {
                with(error);
            }
        };
        let result = {
            let tries = (|| {
                let number = attempts.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                let attempt = operation(Attempt { number, end });
                let last = &last;
                async move {
                    attempt.await.map_err(|error| {
                        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        Failed
                    })
                }
            })
            .retry(&mut schedule)
            .when(|Failed| {
                let mut retryable = true;
                read(&mut |error| retryable = self.when.is_retryable(error));
                retryable
            })
            .notify(|Failed, delay| {
                let max = self.policy.max_attempts();
                let number = attempts.load(Ordering::Relaxed);
                read(&mut |error| events::retrying(self.label, number, max, delay, error));
            });
            match end {
                Some(end) => tokio::time::timeout_at(end.into(), tries).await.ok(),
                None => Some(tries.await),
            }
        };
        let reason = match result {
            Some(Ok(value)) => return Ok(value),
            Some(Err(Failed)) => schedule.reason,
            None => GaveUp::Deadline,
        };
        Err(self.give_up(RetryError {
            attempts: attempts.load(Ordering::Relaxed),
            reason,
            last: last.into_inner().unwrap_or_else(PoisonError::into_inner),
        }))
    }
}
