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
    /// Resident memory of the init itself, in KiB (`Rss` of `smaps_rollup`; `VmRSS` is only brought up to date
    /// every 64 page faults in some kernels, more than the init has).
    pub init_resident_kib: u64,
    /// Of it what is not shared with the page cache, in KiB (`Anonymous`).
    pub init_anonymous_kib: u64,
    /// Time that processors were at work since boot, in ticks of 10 ms.
    pub busy_ticks: u64,
    /// Time that they were idle or waited for devices, in ticks of 10 ms.
    pub idle_ticks: u64,
    /// Bytes received and sent over all interfaces but `lo`.
    pub network_bytes: u64,
}

/// Longest encoding of [`Numbers`], in bytes.
pub const NUMBERS_MAX: usize = 12 * 10;

impl Numbers {
    /// Writes them as postcard to the front of `out` and gives the length; so a guest needs no serializer.
    pub fn write(&self, out: &mut [u8; NUMBERS_MAX]) -> usize {
        let mut len: usize = 0;
        for value in [
            self.started_ms,
            self.uptime_ms,
            self.load_hundredths,
            self.memory_total_kib,
            self.memory_available_kib,
            self.processes,
            self.oom_kills,
            self.init_resident_kib,
            self.init_anonymous_kib,
            self.busy_ticks,
            self.idle_ticks,
            self.network_bytes,
        ] {
            varint(value, out, &mut len);
        }
        len
    }
}

/// Writes a number in seven bits a byte, the low ones first.
fn varint(value: u64, out: &mut [u8], len: &mut usize) {
    let mut rest = value;
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        let more = if rest > 0 { 0x80 } else { 0 };
        if let Some(place) = out.get_mut(*len) {
            *place = low & 0x7F | more;
            *len = len.saturating_add(1);
        }
        if rest == 0 {
            break;
        }
    }
}

/// Longest encoding of [`Clock`], in bytes.
pub const CLOCK_MAX: usize = 10 + 5;

impl Clock {
    /// As [`Numbers::write`].
    pub fn write(&self, out: &mut [u8; CLOCK_MAX]) -> usize {
        let mut len = 0;
        // Zigzag: the sign is the lowest bit.
        varint(
            (self.seconds << 1 ^ self.seconds >> 63).cast_unsigned(),
            out,
            &mut len,
        );
        varint(u64::from(self.nanoseconds), out, &mut len);
        len
    }
}

/// The guest's time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Seconds since 1970.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanoseconds: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvm_core::wire::codec::decode;

    #[test]
    fn what_is_written_is_postcard() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let numbers = Numbers {
                started_ms: value,
                uptime_ms: 1,
                load_hundredths: value,
                memory_total_kib: 2,
                memory_available_kib: value,
                processes: 3,
                oom_kills: value,
                init_resident_kib: 4,
                init_anonymous_kib: value,
                busy_ticks: 5,
                idle_ticks: 6,
                network_bytes: value,
            };
            let mut out = [0; NUMBERS_MAX];
            let len = numbers.write(&mut out);
            assert_eq!(decode::<Numbers>(&out[..len]), Ok(numbers));
        }
        let all = Numbers {
            started_ms: u64::MAX,
            ..Numbers::default()
        };
        assert_eq!(all.write(&mut [0; NUMBERS_MAX]), 10 + 11);
        for seconds in [0, 1, -1, 1_800_000_000, i64::MIN, i64::MAX] {
            for nanoseconds in [0, 999_999_999] {
                let clock = Clock {
                    seconds,
                    nanoseconds,
                };
                let mut out = [0; CLOCK_MAX];
                let len = clock.write(&mut out);
                assert_eq!(decode::<Clock>(&out[..len]), Ok(clock));
            }
        }
    }
}
