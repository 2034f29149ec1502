//! When a call has to be over.

use core::time::Duration;
use std::time::Instant;

/// Stands for "never" where an instant cannot express it: a century.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The instant at which a whole call has to be over, however many reads and writes it takes.
///
/// The time left is computed anew before each of them: a peer that sends one byte at a time gains
/// nothing by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// So much time from now. What is beyond a century is a century.
    #[must_use]
    pub fn after(total: Duration) -> Self {
        let now = Instant::now();
        let end = now.checked_add(total.min(FAR));
        Self(end.unwrap_or(now))
    }

    /// So many milliseconds from now.
    #[must_use]
    pub fn after_millis(total: u64) -> Self {
        Self::after(Duration::from_millis(total))
    }

    /// At an instant.
    #[must_use]
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// The instant.
    #[must_use]
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// The one that comes first.
    #[must_use]
    pub fn or_earlier(self, other: Self) -> Self {
        self.min(other)
    }

    /// The time left, or `None` if there is none.
    #[must_use]
    pub fn remaining(self) -> Option<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}
