//! Instants of the civil calendar: RFC 3339 in and out, integers between host and guest.
//!
//! A [`Timestamp`] is a count of nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted
//! (as POSIX and RFC 3339 count), within 0001-01-01T00:00:00Z ..= 9999-12-31T23:59:59.999999999Z:
//! exactly the instants that RFC 3339 can write with `Z` and a year above 0000. Every
//! `Timestamp` that exists can therefore be written, and what was written reads back as the same
//! instant.
//!
//! # Text
//! Out: `2026-02-25T12:00:00Z`, with 0, 3, 6 or 9 fraction digits, the fewest that lose nothing.
//!
//! In: the grammar of RFC 3339 section 5.6, and nothing else:
//! - `T` and `Z` may be in lower case (the grammar says so); a space in place of the `T` is refused
//!   (the grammar has none: the RFC mentions it as a choice of applications).
//! - An offset `±hh:mm` (hours 00–23, minutes 00–59) is taken off the instant, and is then
//!   forgotten. `-00:00` ("offset unknown") means the same instant as `Z`.
//! - One to nine fraction digits. More would lose something: they are an error, also when zero.
//! - Second 60 is an error of its own, [`ParseTimestampError::LeapSecond`]: a count without leap
//!   seconds has no place for it, and moving it to a neighbour would be a silent change.
//! - An instant that leaves the range once its offset is taken off is an error.
//!
//! # Bytes
//! With a serialiser that is not human-readable (postcard) a timestamp is an `i64` of seconds since
//! 1970 (rounded down, so also before 1970 the nanoseconds count forward) and then a `u32` of
//! nanoseconds below 1,000,000,000. In postcard that is
//!
//! ```text
//! byte 0 ..     seconds: zigzag varint, 1 to 6 bytes in this range
//! then          nanoseconds: varint, 1 to 5 bytes
//! ```
//!
//! # Example
//! ```
//! use mvm_core::time::Timestamp;
//!
//! let t: Timestamp = "2026-02-25T13:00:00.5+01:00".parse()?;
//! assert_eq!((t.seconds(), t.subsec_nanos()), (1_772_020_800, 500_000_000));
//! let mut text = [0; Timestamp::MAX_TEXT_LEN];
//! assert_eq!(t.format(&mut text), "2026-02-25T12:00:00.500Z");
//! # Ok::<(), mvm_core::time::ParseTimestampError>(())
//! ```

mod civil;
mod format;
mod parse;
mod serial;

pub use parse::{Expected, ParseTimestampError, TimestampPart};

use core::time::Duration;

use crate::limits::{
    NANOS_PER_SECOND, TIMESTAMP_MAX_SECONDS, TIMESTAMP_MIN_SECONDS, TIMESTAMP_TEXT_MAX,
};

/// An instant, in nanoseconds, from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z.
///
/// `Ord` is the order in time. `Debug` and `Display` write RFC 3339; see the
/// [module's documentation](self) for the text and the bytes.
///
/// A timestamp comes from a wall clock, and wall clocks are set back: what is computed from two
/// readings must bear `later < earlier`, which is why [`duration_since`](Self::duration_since)
/// gives an `Option`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Timestamp {
    // The order of the fields is the order in time.
    seconds: i64,
    nanos: u32,
}

const _: () = assert!(size_of::<Timestamp>() <= 16);

impl Timestamp {
    /// 0001-01-01T00:00:00Z, the earliest timestamp.
    pub const MIN: Self = Self {
        seconds: TIMESTAMP_MIN_SECONDS,
        nanos: 0,
    };
    /// 9999-12-31T23:59:59.999999999Z, the latest timestamp.
    pub const MAX: Self = Self {
        seconds: TIMESTAMP_MAX_SECONDS,
        nanos: NANOS_PER_SECOND - 1,
    };
    /// 1970-01-01T00:00:00Z, where the count of seconds is 0.
    pub const UNIX_EPOCH: Self = Self {
        seconds: 0,
        nanos: 0,
    };
    /// Bytes of the longest text that [`format`](Self::format) writes: 30,
    /// `9999-12-31T23:59:59.999999999Z`.
    pub const MAX_TEXT_LEN: usize = TIMESTAMP_TEXT_MAX;

    /// The timestamp `seconds` after 1970-01-01T00:00:00Z (before it where negative) and
    /// `nanos` (0..=999,999,999) later.
    ///
    /// # Errors
    /// [`TimestampError`] where one of the two is out of range.
    ///
    /// ```
    /// use mvm_core::time::{Timestamp, TimestampError};
    /// // One nanosecond before 1970.
    /// assert_eq!(Timestamp::new(-1, 999_999_999)?.to_string(), "1969-12-31T23:59:59.999999999Z");
    /// assert_eq!(Timestamp::new(0, 1_000_000_000), Err(TimestampError::Nanos { nanos: 1_000_000_000 }));
    /// # Ok::<(), TimestampError>(())
    /// ```
    pub const fn new(seconds: i64, nanos: u32) -> Result<Self, TimestampError> {
        if seconds < TIMESTAMP_MIN_SECONDS || seconds > TIMESTAMP_MAX_SECONDS {
            return Err(TimestampError::Seconds { seconds });
        }
        if nanos >= NANOS_PER_SECOND {
            return Err(TimestampError::Nanos { nanos });
        }
        Ok(Self { seconds, nanos })
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down; negative before it.
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds since [`seconds`](Self::seconds): 0..=999,999,999, counting forward also before
    /// 1970.
    pub const fn subsec_nanos(self) -> u32 {
        self.nanos
    }

    /// The instant `duration` later, or `None` where that is after [`MAX`](Self::MAX).
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        let seconds = i64::try_from(duration.as_secs()).ok()?;
        let mut seconds = self.seconds.checked_add(seconds)?;
        // Both below 1e9, so the sum is below 2e9.
        let mut nanos = self.nanos.wrapping_add(duration.subsec_nanos());
        if nanos >= NANOS_PER_SECOND {
            nanos = nanos.wrapping_sub(NANOS_PER_SECOND);
            seconds = seconds.checked_add(1)?;
        }
        Self::new(seconds, nanos).ok()
    }

    /// The instant `duration` earlier, or `None` where that is before [`MIN`](Self::MIN).
    pub fn checked_sub(self, duration: Duration) -> Option<Self> {
        let seconds = i64::try_from(duration.as_secs()).ok()?;
        let mut seconds = self.seconds.checked_sub(seconds)?;
        let mut nanos = self.nanos;
        if nanos < duration.subsec_nanos() {
            // Below 2e9, as above.
            nanos = nanos.wrapping_add(NANOS_PER_SECOND);
            seconds = seconds.checked_sub(1)?;
        }
        Self::new(seconds, nanos.wrapping_sub(duration.subsec_nanos())).ok()
    }

    /// The time from `earlier` to `self`, or `None` where `earlier` is in fact later (a clock was
    /// set back, or the two come from different machines).
    ///
    /// ```
    /// use core::time::Duration;
    /// use mvm_core::time::Timestamp;
    /// let later = Timestamp::UNIX_EPOCH.checked_add(Duration::from_millis(1500)).unwrap();
    /// assert_eq!(later.duration_since(Timestamp::UNIX_EPOCH), Some(Duration::from_millis(1500)));
    /// assert_eq!(Timestamp::UNIX_EPOCH.duration_since(later), None);
    /// ```
    pub fn duration_since(self, earlier: Self) -> Option<Duration> {
        let mut seconds = self.seconds.checked_sub(earlier.seconds)?;
        let mut nanos = self.nanos;
        if nanos < earlier.nanos {
            nanos = nanos.wrapping_add(NANOS_PER_SECOND);
            seconds = seconds.checked_sub(1)?;
        }
        let nanos = nanos.wrapping_sub(earlier.nanos);
        // Always so; said here because `Duration::new` has a panic path that this removes.
        if nanos >= NANOS_PER_SECOND {
            return None;
        }
        Some(Duration::new(u64::try_from(seconds).ok()?, nanos))
    }
}

/// Why two integers are not a [`Timestamp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TimestampError {
    /// The seconds lie before the year 1 or after the year 9999.
    #[error("{seconds} seconds since 1970 lie outside the years 1 to 9999")]
    Seconds {
        /// The seconds since 1970 that were given.
        seconds: i64,
    },
    /// The nanoseconds are a second or more.
    #[error("{nanos} nanoseconds within a second: at most 999999999 are possible")]
    Nanos {
        /// The nanoseconds that were given.
        nanos: u32,
    },
}

impl_error!(TimestampError);
const _: () = assert!(size_of::<TimestampError>() <= 16);

/// A time of a system's clock and a [`Timestamp`] do not convert. With `std`, `Timestamp::now` and the
/// conversions from and to `SystemTime` give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ClockError {
    /// The system's time is outside the years 1 to 9999.
    #[error("the time of the system's clock is outside the years 1 to 9999")]
    Timestamp,
    /// The system cannot hold the timestamp (Windows begins in 1601, for example).
    #[error("the system's clock has no such time")]
    SystemTime,
}

impl_error!(ClockError);
