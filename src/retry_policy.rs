//! The policy: how often to try, and how long to wait in between.

use core::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::RETRY_DELAY_MAX;

/// How a delay is spread. `d` is the delay that the policy computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Jitter {
    /// Exactly `d`. The default.
    #[default]
    None,
    /// Even over `0 ..= d`. Spreads a crowd best.
    Full,
    /// Even over `d/2 ..= d`, where a wait must not become too short.
    Equal,
}

/// How often to try, and how long to wait in between. See the [module's documentation](crate::retry).
///
/// With serde it is a map of `max_attempts`, `base_delay`, `max_delay` (each `{secs, nanos}`),
/// `multiplier` (2 where left out) and `jitter` (`none` where left out), checked as by
/// [`new`](Self::new).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RetryPolicy {
    /// At least 1.
    max_attempts: u32,
    /// At least 1.
    multiplier: u32,
    /// At most `max_nanos`.
    base_nanos: u64,
    /// At most `RETRY_DELAY_MAX`.
    max_nanos: u64,
    jitter: Jitter,
}

/// `RETRY_DELAY_MAX` in nanoseconds: below 2^55.
const NANOS_MAX: u64 = match nanos_of(RETRY_DELAY_MAX) {
    Some(nanos) => nanos,
    None => 0,
};
const _: () = assert!(NANOS_MAX > 0);

/// Nanoseconds, where 64 bits can hold them (584 years).
const fn nanos_of(delay: Duration) -> Option<u64> {
    match delay.as_secs().checked_mul(1_000_000_000) {
        // A `u32` fits into a `u64`; `From` is not const.
        #[allow(clippy::as_conversions)]
        Some(nanos) => nanos.checked_add(delay.subsec_nanos() as u64),
        None => None,
    }
}

impl RetryPolicy {
    /// `max_attempts` attempts, the first included; `base_delay` after the first failure, twice as
    /// long after each further one, never longer than `max_delay`; no jitter.
    ///
    /// # Errors
    /// [`RetryPolicyError`]: no attempt, a base above the maximum, or a maximum above
    /// [`RETRY_DELAY_MAX`].
    pub const fn new(
        max_attempts: u32,
        base_delay: Duration,
        max_delay: Duration,
    ) -> Result<Self, RetryPolicyError> {
        if max_attempts == 0 {
            return Err(RetryPolicyError::NoAttempts);
        }
        let max_nanos = match nanos_of(max_delay) {
            Some(nanos) if nanos <= NANOS_MAX => nanos,
            _ => return Err(RetryPolicyError::DelayTooLong { delay: max_delay }),
        };
        let base_nanos = match nanos_of(base_delay) {
            Some(nanos) if nanos <= max_nanos => nanos,
            _ => return Err(RetryPolicyError::BaseAboveMax { base: base_delay }),
        };
        Ok(Self {
            max_attempts,
            multiplier: 2,
            base_nanos,
            max_nanos,
            jitter: Jitter::None,
        })
    }

    /// What 0.13.0's `retry(max_attempts, base_delay, …)` did: each delay twice the one before, no
    /// jitter, no cap but [`RETRY_DELAY_MAX`] (where 0.13.0 went on to an overflow and a panic).
    ///
    /// # Errors
    /// [`RetryPolicyError`], as [`new`](Self::new); for no attempt 0.13.0 panicked.
    pub const fn doubling(
        max_attempts: u32,
        base_delay: Duration,
    ) -> Result<Self, RetryPolicyError> {
        Self::new(max_attempts, base_delay, RETRY_DELAY_MAX)
    }

    /// The same policy with another multiplier: 1 for equal delays, 2 for doubling.
    ///
    /// # Errors
    /// [`RetryPolicyError::NoMultiplier`] for 0.
    pub const fn with_multiplier(self, multiplier: u32) -> Result<Self, RetryPolicyError> {
        if multiplier == 0 {
            return Err(RetryPolicyError::NoMultiplier);
        }
        Ok(Self { multiplier, ..self })
    }

    /// The same policy with another jitter.
    pub const fn with_jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }

    /// Attempts, the first included: at least 1.
    pub const fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// The delay after the first failure, before jitter.
    pub const fn base_delay(&self) -> Duration {
        Duration::from_nanos(self.base_nanos)
    }

    /// The longest delay.
    pub const fn max_delay(&self) -> Duration {
        Duration::from_nanos(self.max_nanos)
    }

    /// How many times as long as the one before each delay is, up to the maximum: at least 1.
    pub const fn multiplier(&self) -> u32 {
        self.multiplier
    }

    /// How delays are spread.
    pub const fn jitter(&self) -> Jitter {
        self.jitter
    }

    /// The delays in order: one fewer than attempts. `entropy` gives 64 random bits and is called
    /// once for each delay, and not at all without jitter.
    pub fn delays<F: FnMut() -> u64>(&self, entropy: F) -> Delays<F> {
        Delays {
            backoff: self.backoff(),
            entropy,
        }
    }

    /// The delays in order, for callers that have no closure to give.
    pub const fn backoff(&self) -> Backoff {
        Backoff {
            left: self.max_attempts.saturating_sub(1),
            nanos: self.base_nanos,
            policy: *self,
        }
    }

    /// The most that all delays together can last (attempts not counted); saturates at
    /// [`Duration::MAX`].
    ///
    /// ```
    /// use core::time::Duration;
    /// use mvm_core::retry::RetryPolicy;
    /// let policy = RetryPolicy::new(4, Duration::from_secs(1), Duration::from_secs(3))?;
    /// assert_eq!(policy.total_delay_max(), Duration::from_secs(1 + 2 + 3));
    /// # Ok::<(), mvm_core::retry::RetryPolicyError>(())
    /// ```
    pub fn total_delay_max(&self) -> Duration {
        let mut total = Duration::ZERO;
        let mut backoff = self.with_jitter(Jitter::None).backoff();
        // Delays that grow do so at least twofold from at least a nanosecond: 55 steps at most.
        while backoff.grows() {
            match backoff.next(0) {
                Some(delay) => total = total.saturating_add(delay),
                None => return total,
            }
        }
        let rest = Duration::from_nanos(backoff.nanos).saturating_mul(backoff.left);
        total.saturating_add(rest)
    }
}

/// The delays of a policy, as yet without entropy. See [`RetryPolicy::backoff`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Backoff {
    left: u32,
    nanos: u64,
    policy: RetryPolicy,
}

impl Backoff {
    /// The next delay, spread by 64 random bits; `None` when the attempts are used up.
    #[allow(clippy::should_implement_trait)] // it takes an argument
    pub fn next(&mut self, entropy: u64) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let nanos = self.nanos;
        self.nanos = nanos
            .saturating_mul(u64::from(self.policy.multiplier))
            .min(self.policy.max_nanos);
        let nanos = match self.policy.jitter {
            Jitter::None => nanos,
            Jitter::Full => share(nanos, entropy),
            Jitter::Equal => {
                let half = nanos / 2;
                // The two halves are at most the whole.
                nanos.wrapping_sub(half).wrapping_add(share(half, entropy))
            }
        };
        Some(Duration::from_nanos(nanos))
    }

    /// How many delays are left.
    pub const fn left(&self) -> u32 {
        self.left
    }

    /// Whether the delays still get longer.
    const fn grows(&self) -> bool {
        self.policy.multiplier > 1 && self.nanos > 0 && self.nanos < self.policy.max_nanos
    }
}

/// An even share of `0 ..= nanos` (below 2^55): the product with the upper 32 bits of entropy as a
/// fraction of 2^32, rounded down, without 128-bit arithmetic.
fn share(nanos: u64, entropy: u64) -> u64 {
    let fraction = entropy >> 32;
    // One more than the value, so that the value itself can come out.
    let range = nanos.wrapping_add(1);
    let low = (range & 0xffff_ffff).wrapping_mul(fraction) >> 32;
    (range >> 32).wrapping_mul(fraction).wrapping_add(low)
}

/// An iterator over the delays of a policy. See [`RetryPolicy::delays`].
#[derive(Debug, Clone)]
pub struct Delays<F> {
    backoff: Backoff,
    entropy: F,
}

impl<F: FnMut() -> u64> Iterator for Delays<F> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let entropy = if self.backoff.left == 0 || self.backoff.policy.jitter == Jitter::None {
            0
        } else {
            (self.entropy)()
        };
        self.backoff.next(entropy)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match usize::try_from(self.backoff.left) {
            Ok(left) => (left, Some(left)),
            Err(_) => (usize::MAX, None),
        }
    }
}

impl<F: FnMut() -> u64> core::iter::FusedIterator for Delays<F> {}

/// Why numbers are not a [`RetryPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RetryPolicyError {
    /// No attempt at all.
    #[error("retry policy: 0 attempts, at least 1 is needed")]
    NoAttempts,
    /// A multiplier of 0.
    #[error("retry policy: multiplier 0, at least 1 is needed")]
    NoMultiplier,
    /// The base delay is longer than the maximum.
    #[error("retry policy: the base delay {base:?} is longer than the maximum")]
    BaseAboveMax {
        /// The base delay.
        base: Duration,
    },
    /// The maximum delay is longer than [`RETRY_DELAY_MAX`].
    #[error("retry policy: a delay of {delay:?}, at most a year is possible")]
    DelayTooLong {
        /// The maximum delay.
        delay: Duration,
    },
}

impl_error!(RetryPolicyError);
const _: () = assert!(size_of::<RetryPolicyError>() <= 24);

#[derive(Serialize, Deserialize)]
#[serde(rename = "RetryPolicy")]
struct Shape {
    max_attempts: u32,
    base_delay: Duration,
    max_delay: Duration,
    #[serde(default = "default_multiplier")]
    multiplier: u32,
    #[serde(default)]
    jitter: Jitter,
}

fn default_multiplier() -> u32 {
    2
}

impl Serialize for RetryPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Shape {
            max_attempts: self.max_attempts,
            base_delay: self.base_delay(),
            max_delay: self.max_delay(),
            multiplier: self.multiplier,
            jitter: self.jitter,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RetryPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let shape = Shape::deserialize(deserializer)?;
        Self::new(shape.max_attempts, shape.base_delay, shape.max_delay)
            .and_then(|policy| policy.with_multiplier(shape.multiplier))
            .map(|policy| policy.with_jitter(shape.jitter))
            .map_err(D::Error::custom)
    }
}
