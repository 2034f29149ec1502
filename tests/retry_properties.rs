//! Retry policies: the delays of a table, and what holds for all policies.
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use core::time::Duration;

use mvm_core::limits::RETRY_DELAY_MAX;
use mvm_core::retry::{Jitter, RetryPolicy, RetryPolicyError};
use proptest::prelude::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn delays(policy: &RetryPolicy) -> Vec<Duration> {
    policy
        .delays(|| panic!("no entropy without jitter"))
        .collect()
}

#[test]
fn tables() {
    for (attempts, base, max, multiplier, expected) in [
        (1, 100, 1000, 2, &[][..]),
        (2, 100, 1000, 2, &[100]),
        (6, 100, 1000, 2, &[100, 200, 400, 800, 1000]),
        (5, 100, 1000, 3, &[100, 300, 900, 1000]),
        (4, 100, 1000, 1, &[100, 100, 100]),
        (4, 0, 1000, 2, &[0, 0, 0]),
        (4, 0, 0, 2, &[0, 0, 0]),
        (4, 1000, 1000, 2, &[1000, 1000, 1000]),
        (3, 1, 1000, u32::MAX, &[1, 1000]),
    ] {
        let policy = RetryPolicy::new(attempts, ms(base), ms(max)).unwrap();
        let policy = policy.with_multiplier(multiplier).unwrap();
        let expected: Vec<Duration> = expected.iter().copied().map(ms).collect();
        assert_eq!(delays(&policy), expected, "{policy:?}");
        assert_eq!(
            policy.total_delay_max(),
            expected.iter().sum(),
            "{policy:?}"
        );
        assert_eq!(
            policy.delays(|| 0).size_hint(),
            (expected.len(), Some(expected.len()))
        );
    }
}

/// 0.13.0 doubled a `Duration` after each failure, and so does this policy, until a year.
#[test]
fn the_policy_of_0_13_0() {
    let base = Duration::from_nanos(1_500_001);
    let policy = RetryPolicy::doubling(100, base).unwrap();
    let mut theirs = base;
    let mut capped = 0;
    for ours in delays(&policy) {
        if theirs <= RETRY_DELAY_MAX {
            assert_eq!(ours, theirs);
            theirs *= 2;
        } else {
            assert_eq!(ours, RETRY_DELAY_MAX);
            capped += 1;
        }
    }
    assert_eq!(capped, 99 - 35);
    assert_eq!(
        RetryPolicy::doubling(0, base),
        Err(RetryPolicyError::NoAttempts)
    );
}

#[test]
fn refused() {
    let year = RETRY_DELAY_MAX;
    let tick = Duration::from_nanos(1);
    assert_eq!(
        RetryPolicy::new(0, ms(1), ms(1)),
        Err(RetryPolicyError::NoAttempts)
    );
    assert_eq!(
        RetryPolicy::new(1, ms(2), ms(1)),
        Err(RetryPolicyError::BaseAboveMax { base: ms(2) })
    );
    assert!(RetryPolicy::new(u32::MAX, year, year).is_ok());
    for delay in [year + tick, Duration::from_secs(u64::MAX), Duration::MAX] {
        assert_eq!(
            RetryPolicy::new(1, ms(1), delay),
            Err(RetryPolicyError::DelayTooLong { delay })
        );
    }
    assert_eq!(
        RetryPolicy::new(1, Duration::MAX, year),
        Err(RetryPolicyError::BaseAboveMax {
            base: Duration::MAX
        })
    );
    let policy = RetryPolicy::new(1, ms(1), ms(1)).unwrap();
    assert_eq!(
        policy.with_multiplier(0),
        Err(RetryPolicyError::NoMultiplier)
    );
}

/// The ends of the ranges of jitter, and their middle.
#[test]
fn jitter_reaches_both_ends() {
    let policy = RetryPolicy::new(2, ms(1000), ms(1000)).unwrap();
    let delay = |jitter, entropy| {
        policy
            .with_jitter(jitter)
            .delays(|| entropy)
            .next()
            .unwrap()
    };
    for (jitter, least) in [(Jitter::Full, 0), (Jitter::Equal, 500)] {
        assert_eq!(delay(jitter, 0), ms(least));
        assert_eq!(delay(jitter, u64::MAX), ms(1000));
        assert_eq!(delay(jitter, 1 << 63), ms(least.midpoint(1000)));
    }
}

#[test]
fn entropy_is_asked_for_once_a_delay() {
    let policy = RetryPolicy::new(4, ms(100), ms(1000))
        .unwrap()
        .with_jitter(Jitter::Full);
    let mut asked = 0;
    let mut iterator = policy.delays(|| {
        asked += 1;
        u64::MAX
    });
    assert_eq!(
        iterator.by_ref().collect::<Vec<_>>(),
        [ms(100), ms(200), ms(400)]
    );
    assert_eq!(iterator.next(), None);
    assert_eq!(asked, 3);
}

#[test]
fn as_data() {
    let json = r#"{"max_attempts":3,"base_delay":{"secs":0,"nanos":5000},"max_delay":{"secs":1,"nanos":0},"multiplier":3,"jitter":"full"}"#;
    let policy: RetryPolicy = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&policy).unwrap(), json);
    let short = json.replace(r#","multiplier":3,"jitter":"full""#, "");
    let short: RetryPolicy = serde_json::from_str(&short).unwrap();
    assert_eq!((short.multiplier(), short.jitter()), (2, Jitter::None));
    for (from, to) in [
        (r#""max_attempts":3"#, r#""max_attempts":0"#),
        (r#""multiplier":3"#, r#""multiplier":0"#),
        (r#"{"secs":0,"nanos":5000}"#, r#"{"secs":2,"nanos":0}"#),
        (r#"{"secs":1,"nanos":0}"#, r#"{"secs":99999999,"nanos":0}"#),
        (r#""full""#, r#""some""#),
    ] {
        let wrong = json.replace(from, to);
        assert_ne!(wrong, json);
        assert!(
            serde_json::from_str::<RetryPolicy>(&wrong).is_err(),
            "{wrong}"
        );
    }
}

/// Billions of attempts are counted without being walked through.
#[test]
fn totals_of_large_policies() {
    let policy = RetryPolicy::new(u32::MAX, ms(1000), ms(1000)).unwrap();
    assert_eq!(
        policy.total_delay_max(),
        Duration::from_secs(u64::from(u32::MAX) - 1)
    );
    let policy = RetryPolicy::doubling(u32::MAX, Duration::from_nanos(1)).unwrap();
    assert!(policy.total_delay_max() > Duration::from_secs(31_000_000 * 4_000_000_000));
    let policy = RetryPolicy::doubling(u32::MAX, Duration::ZERO).unwrap();
    assert_eq!(policy.total_delay_max(), Duration::ZERO);
}

proptest! {
    #[test]
    fn all_policies(
        attempts in 1..200_u32,
        base in 0..u64::MAX,
        max in 0..u64::MAX,
        shifts in (8..60_u32, 8..60_u32),
        multiplier in prop_oneof![1..10_u32, 1..=u32::MAX],
        jitter in prop_oneof![Just(Jitter::None), Just(Jitter::Full), Just(Jitter::Equal)],
        entropy in proptest::collection::vec(any::<u64>(), 200),
    ) {
        let (base, max) = (base >> shifts.0, max >> shifts.1);
        let (base, max) = (base.min(max), base.max(max));
        let policy = match RetryPolicy::new(attempts, Duration::from_nanos(base), Duration::from_nanos(max)) {
            Ok(policy) => policy.with_multiplier(multiplier).unwrap().with_jitter(jitter),
            Err(error) => {
                prop_assert!(Duration::from_nanos(max) > RETRY_DELAY_MAX, "{}", error);
                return Ok(());
            }
        };
        let mut random = entropy.iter().copied();
        let spread: Vec<Duration> = policy.delays(|| random.next().unwrap()).collect();
        // Computed anew, in numbers that cannot overflow.
        let mut whole = u128::from(base);
        for delay in &spread {
            let least = match jitter {
                Jitter::None => whole,
                Jitter::Full => 0,
                _ => whole / 2,
            };
            prop_assert!((least..=whole).contains(&delay.as_nanos()), "{:?} {}", delay, whole);
            whole = (whole * u128::from(multiplier)).min(u128::from(max));
        }
        prop_assert_eq!(spread.len() + 1, usize::try_from(attempts).unwrap());
        let total: Duration = spread.iter().sum();
        prop_assert!(total <= policy.total_delay_max());
        let exact: Duration = delays(&policy.with_jitter(Jitter::None)).iter().sum();
        prop_assert_eq!(exact, policy.total_delay_max());
    }

    /// An even spread: a thousand delays fall into each quarter of the range about equally often.
    #[test]
    fn full_jitter_is_even(delay in 4..1_000_000_000_000_u64, offset in any::<u64>()) {
        let delay = Duration::from_nanos(delay);
        let policy = RetryPolicy::new(2, delay, delay).unwrap().with_jitter(Jitter::Full);
        let mut quarters = [0; 5];
        for step in 0..1000_u64 {
            // Equally far apart over all of 64 bits.
            let entropy = offset.wrapping_add(step.wrapping_mul(u64::MAX / 1000));
            let spread = policy.delays(|| entropy).next().unwrap();
            let quarter = spread.as_nanos() * 4 / (delay.as_nanos() + 1);
            quarters[usize::try_from(quarter).unwrap()] += 1;
        }
        prop_assert_eq!(quarters[4], 0);
        if delay >= Duration::from_micros(1) {
            prop_assert!(quarters[..4].iter().all(|count| (245..=255).contains(count)), "{:?}", quarters);
        }
    }
}
