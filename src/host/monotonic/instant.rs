//! The standard library's monotonic clock, where there is no `CLOCK_BOOTTIME`.

use std::sync::OnceLock;
use std::time::Instant;

/// Milliseconds since the first call in this process.
pub(super) fn millis() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
