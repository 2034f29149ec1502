//! Trying again: how often, how long, and what comes out, blocking and with tokio's clock stopped.
#![cfg(feature = "std")]
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use mvm_core::retry::{GaveUp, Retry, RetryError, RetryPolicy, RetryPolicyError, retry};

const MS: Duration = Duration::from_millis(1);

fn quick(attempts: u32) -> RetryPolicy {
    RetryPolicy::new(attempts, Duration::ZERO, MS).unwrap()
}

#[test]
fn attempts_and_the_last_error() {
    for (max, succeeds_at, attempts) in [(1, 1, 1), (5, 1, 1), (5, 3, 3), (5, 5, 5)] {
        let count = Cell::new(0);
        let result = Retry::new(quick(max), "test").call(|attempt| {
            count.set(count.get() + 1);
            assert_eq!(attempt.number(), count.get());
            assert_eq!(attempt.end(), None);
            if count.get() < succeeds_at {
                Err(format!("failure {}", count.get()))
            } else {
                Ok("done")
            }
        });
        assert_eq!((result, count.get()), (Ok("done"), attempts));
    }
    for max in [1, 2, 7] {
        let count = Cell::new(0);
        let error = Retry::new(quick(max), "test")
            .call(|attempt| {
                count.set(attempt.number());
                Err::<(), _>(format!("failure {}", attempt.number()))
            })
            .unwrap_err();
        assert_eq!(count.get(), max);
        assert_eq!(error.attempts(), max);
        assert_eq!(error.reason(), GaveUp::Attempts);
        assert_eq!(error.last(), Some(&format!("failure {max}")));
        assert_eq!(error.into_last(), Some(format!("failure {max}")));
    }
}

#[test]
fn some_errors_are_not_worth_another_attempt() {
    let temporary = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
    let retry = Retry::new(quick(9), "test").when(temporary);
    let error = retry
        .call(|attempt| {
            Err::<(), _>(io::Error::from(match attempt.number() {
                1..=3 => io::ErrorKind::WouldBlock,
                _ => io::ErrorKind::NotFound,
            }))
        })
        .unwrap_err();
    assert_eq!(
        (error.attempts(), error.reason()),
        (4, GaveUp::NotRetryable)
    );
    assert_eq!(error.last().unwrap().kind(), io::ErrorKind::NotFound);
    // The last attempt is not asked about its worth twice.
    let error = Retry::new(quick(1), "test")
        .when(temporary)
        .call(|_| Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock)))
        .unwrap_err();
    assert_eq!((error.attempts(), error.reason()), (1, GaveUp::Attempts));
}

#[test]
fn errors_tell_all_of_it() {
    let fail = || Err::<(), _>(io::Error::other("no such guest"));
    let error = retry(2, Duration::ZERO, "test", fail).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed after 2 attempts, there are no more attempts: no such guest"
    );
    assert_eq!(error.source().unwrap().to_string(), "no such guest");
    let error = retry(1, Duration::ZERO, "test", fail).unwrap_err();
    assert!(error.to_string().starts_with("failed after 1 attempt, "));
    // Nothing is tried by a policy that there is not, and nothing panics.
    for (attempts, delay, reason) in [
        (0, MS, RetryPolicyError::NoAttempts),
        (0, Duration::MAX, RetryPolicyError::NoAttempts),
        (
            2,
            Duration::MAX,
            RetryPolicyError::BaseAboveMax {
                base: Duration::MAX,
            },
        ),
    ] {
        let error: RetryError<io::Error> = retry(attempts, delay, "test", || -> Result<(), _> {
            panic!("tried")
        })
        .unwrap_err();
        assert_eq!(error.reason(), GaveUp::Policy(reason));
        assert_eq!(
            (error.attempts(), error.to_string()),
            (0, reason.to_string())
        );
        assert!(error.source().is_some() && error.last().is_none());
    }
}

#[test]
fn delays_are_slept() {
    let policy = RetryPolicy::new(4, 10 * MS, 25 * MS).unwrap();
    let start = Instant::now();
    let error = Retry::new(policy, "test").call(|_| Err::<(), _>("no"));
    // 10, 20, 25.
    assert!(start.elapsed() >= 55 * MS);
    assert_eq!(error.unwrap_err().attempts(), 4);
}

#[test]
fn a_delay_that_would_reach_the_deadline_is_not_slept() {
    let policy = RetryPolicy::new(9, 3600 * 1000 * MS, 3600 * 1000 * MS).unwrap();
    let start = Instant::now();
    let retry = Retry::new(policy, "test").deadline(Duration::from_secs(1800));
    let error = retry
        .call(|attempt| {
            assert!(attempt.end().unwrap() > Instant::now());
            Err::<(), _>("no")
        })
        .unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(60));
    assert_eq!((error.attempts(), error.reason()), (1, GaveUp::Deadline));
    // Between the attempts, a deadline that has passed is as good as none left.
    let retry = Retry::new(quick(9), "test").deadline(5 * MS);
    let error = retry
        .call(|_| {
            std::thread::sleep(10 * MS);
            Err::<(), _>("slow")
        })
        .unwrap_err();
    assert_eq!((error.attempts(), error.reason()), (1, GaveUp::Deadline));
    // The first attempt is made without any time, and no deadline is too far.
    let retry = Retry::new(quick(9), "test");
    assert_eq!(
        retry.deadline(Duration::ZERO).call(|_| Ok::<_, &str>(1)),
        Ok(1)
    );
    assert_eq!(
        retry.deadline(Duration::MAX).call(|_| Ok::<_, &str>(1)),
        Ok(1)
    );
}

#[cfg(feature = "tokio")]
mod asynchronous {
    use super::*;
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use mvm_core::retry::Jitter;
    use tokio::time;

    const SECOND: Duration = Duration::from_secs(1);

    fn hourly(attempts: u32) -> RetryPolicy {
        RetryPolicy::new(attempts, 3600 * SECOND, 7200 * SECOND).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn delays_are_of_tokios_clock() {
        let start = time::Instant::now();
        let retry = Retry::new(hourly(4), "test");
        let result = retry.call_async(async |attempt| match attempt.number() {
            1..=3 => Err(attempt.number()),
            number => Ok(number),
        });
        assert_eq!(result.await, Ok(4));
        // 1 h, 2 h, 2 h.
        let hours = start.elapsed().as_secs() / 3600;
        assert_eq!(hours, 5);
        let error = retry.call_async(async |attempt| Err::<(), _>(attempt.number()));
        let error = error.await.unwrap_err();
        assert_eq!((error.attempts(), error.reason()), (4, GaveUp::Attempts));
        assert_eq!(error.last(), Some(&4));
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_holds_for_all_of_it() {
        // No delay that would reach it.
        let start = time::Instant::now();
        let retry = Retry::new(hourly(9), "test").deadline(4 * 3600 * SECOND);
        let error = retry
            .call_async(async |attempt| Err::<(), _>(attempt.number()))
            .await
            .unwrap_err();
        assert_eq!((error.attempts(), error.reason()), (3, GaveUp::Deadline));
        assert_eq!(start.elapsed().as_secs() / 3600, 3);
        // An attempt that does not come back is dropped, and the error before it is kept.
        let start = time::Instant::now();
        let dropped = Arc::new(AtomicU32::new(0));
        let error = retry
            .call_async(|attempt| {
                let guard = Guard(Arc::clone(&dropped));
                async move {
                    let _guard = guard;
                    if attempt.number() > 1 {
                        pending::<()>().await;
                    }
                    Err::<(), _>(attempt.number())
                }
            })
            .await
            .unwrap_err();
        assert_eq!((error.attempts(), error.reason()), (2, GaveUp::Deadline));
        assert_eq!(error.last(), Some(&1));
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
        assert_eq!(start.elapsed().as_secs() / 3600, 4);
        // Nor one of which there is no error.
        let error = retry.call_async(async |_| pending::<Result<(), String>>().await);
        let error = error.await.unwrap_err();
        assert_eq!((error.attempts(), error.last()), (1, None));
        assert_eq!(
            error.to_string(),
            "failed after 1 attempt, the deadline leaves no time for another attempt"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn jitter_is_drawn_anew() {
        let policy = RetryPolicy::new(5, 3600 * SECOND, 3600 * SECOND).unwrap();
        let mut times = Vec::new();
        for jitter in [Jitter::None, Jitter::Equal, Jitter::Full, Jitter::Full] {
            let start = time::Instant::now();
            let retry = Retry::new(policy.with_jitter(jitter), "test");
            let error = retry.call_async(async |_| Err::<(), _>("no")).await;
            assert_eq!(error.unwrap_err().attempts(), 5);
            times.push(start.elapsed());
        }
        // Four delays of an hour; that draws of 64 bits come out alike is as good as impossible.
        assert_eq!(times[0].as_secs(), 4 * 3600);
        assert!(times[1] < times[0] && times[1] >= times[0] / 2);
        assert!(times[2] < times[0] && times[3] < times[0]);
        assert_ne!(times[2], times[3]);
    }

    #[tokio::test(start_paused = true)]
    async fn classified() {
        let retry = Retry::new(hourly(9), "test").when(|error: &u32| *error < 3);
        let error = retry.call_async(async |attempt| Err::<(), _>(attempt.number()));
        let error = error.await.unwrap_err();
        assert_eq!(
            (error.attempts(), error.reason()),
            (3, GaveUp::NotRetryable)
        );
        assert_eq!(error.last(), Some(&3));
    }

    struct Guard(Arc<AtomicU32>);

    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Dropped in an attempt, and between attempts: nothing goes on.
    #[tokio::test(start_paused = true)]
    async fn cancelled() {
        for (wait, begun, dropped_by_then) in [
            // The first attempt takes a second and fails; the next one begins an hour later.
            (SECOND / 2, 1, 0),
            (2 * SECOND, 1, 1),
            (3601 * SECOND + SECOND / 2, 2, 1),
        ] {
            let count = AtomicU32::new(0);
            let dropped = Arc::new(AtomicU32::new(0));
            let retry = Retry::new(hourly(9), "test");
            let future = retry.call_async(|_| {
                count.fetch_add(1, Ordering::Relaxed);
                let guard = Guard(Arc::clone(&dropped));
                async move {
                    time::sleep(SECOND).await;
                    drop(guard);
                    Err::<(), _>("no")
                }
            });
            let mut future = Box::pin(future);
            assert!(time::timeout(wait, &mut future).await.is_err());
            assert_eq!(count.load(Ordering::Relaxed), begun);
            assert_eq!(dropped.load(Ordering::Relaxed), dropped_by_then);
            drop(future);
            // The attempt that was being made is gone with it, and there is no other one.
            assert_eq!(dropped.load(Ordering::Relaxed), begun);
            time::sleep(10 * 3600 * SECOND).await;
            assert_eq!(count.load(Ordering::Relaxed), begun);
        }
    }

    #[test]
    fn it_can_be_sent() {
        fn sent<T: Send>(_: &T) {}
        let retry = Retry::new(hourly(9), "test");
        let future = retry.call_async(|_| async { Err::<(), _>("no") });
        sent(&future);
    }
}

/// What is said, where anything is said.
#[cfg(feature = "observability")]
#[test]
fn events() {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        // A thread of another test may come to the events first, and has nobody that wants them: that is remembered.
        let _ = Retry::new(quick(2), "first").call(|_| Err::<(), _>("no"));
        tracing::callsite::rebuild_interest_cache();
        sink.0.lock().unwrap().clear();
        Retry::new(quick(2), "asking")
            .call(|_| Err::<(), _>("no"))
            .unwrap_err();
    });
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0]["level"], "WARN");
    assert_eq!(lines[0]["fields"]["message"], "asking failed, retrying");
    assert_eq!(lines[0]["fields"]["attempt"], 1);
    assert_eq!(lines[0]["fields"]["max_attempts"], 2);
    assert_eq!(lines[0]["fields"]["delay_ms"], 0);
    assert_eq!(lines[0]["fields"]["error"], "no");
    assert_eq!(lines[1]["fields"]["message"], "asking failed, giving up");
    assert_eq!(lines[1]["fields"]["attempts"], 2);
}
