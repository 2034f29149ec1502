//! `CLOCK_BOOTTIME`: unlike `CLOCK_MONOTONIC` it goes on while the machine is suspended, so that a
//! session's lifetime is not stretched by that (Linux, `clock_gettime(2)`).

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the machine booted.
pub(super) fn millis() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let millis = u64::try_from(now.tv_nsec / 1_000_000).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(millis)
}
