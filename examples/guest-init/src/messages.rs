//! The init's own messages, as [`Extension`](mvm_core::guest::Extension)s.
//!
//! All have an empty body. Answers are postcard.
//!
//! | kind | answer |
//! | --- | --- |
//! | [`NUMBERS`] | [`Numbers`] |
//! | [`RANDOM`] | 32 bytes of the kernel's random generator |
//! | [`CLOCK`] | [`Clock`] |

use serde::{Deserialize, Serialize};

/// Asks for [`Numbers`].
pub const NUMBERS: u32 = 1;
/// Asks for 32 bytes of the kernel's random generator: two clones of one snapshot that give the same have
/// not been woken.
pub const RANDOM: u32 = 2;
/// Asks for [`Clock`].
pub const CLOCK: u32 = 3;

/// The kernel's own numbers. What could not be read is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Numbers {
    /// When the init's first instruction ran, in milliseconds of `CLOCK_BOOTTIME`.
    pub started_ms: u64,
    /// Now, in milliseconds of `CLOCK_BOOTTIME`.
    pub uptime_ms: u64,
    /// Load of the last minute, in hundredths.
    pub load_hundredths: u64,
    /// Memory that the kernel has, in KiB (`MemTotal`).
    pub memory_total_kib: u64,
    /// Memory that programs could still get, in KiB (`MemAvailable`).
    pub memory_available_kib: u64,
    /// Processes and threads.
    pub processes: u64,
    /// Programs killed for want of memory since boot (`oom_kill`).
    pub oom_kills: u64,
    /// Resident memory of the init itself, in KiB (`VmRSS`).
    pub init_resident_kib: u64,
    /// Of it what is not shared with the page cache, in KiB (`RssAnon`).
    pub init_anonymous_kib: u64,
    /// Time that processors were at work since boot, in ticks of 10 ms.
    pub busy_ticks: u64,
    /// Time that they were idle or waited for devices, in ticks of 10 ms.
    pub idle_ticks: u64,
    /// Bytes received and sent over all interfaces but `lo`.
    pub network_bytes: u64,
}

/// The guest's time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Seconds since 1970.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanoseconds: u32,
}
