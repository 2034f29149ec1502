//! The wall clock.

use std::time::SystemTime;

use crate::time::{ClockError, Timestamp};

impl Timestamp {
    /// What the system's wall clock shows now.
    ///
    /// # Errors
    /// [`ClockError`] where that is outside the years 1 to 9999.
    ///
    /// ```
    /// use mvm_core::time::Timestamp;
    /// assert!(Timestamp::now()? > Timestamp::UNIX_EPOCH);
    /// # Ok::<(), mvm_core::time::ClockError>(())
    /// ```
    pub fn now() -> Result<Self, ClockError> {
        Self::try_from(SystemTime::now())
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = ClockError;

    fn try_from(time: SystemTime) -> Result<Self, ClockError> {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self::UNIX_EPOCH.checked_add(after),
            Err(error) => Self::UNIX_EPOCH.checked_sub(error.duration()),
        }
        .ok_or(ClockError::Timestamp)
    }
}

impl TryFrom<Timestamp> for SystemTime {
    type Error = ClockError;

    /// Where the system's clock ticks more slowly than in nanoseconds (Windows: 100 ns), what is
    /// less than a tick is cut off.
    fn try_from(time: Timestamp) -> Result<Self, ClockError> {
        match time.duration_since(Timestamp::UNIX_EPOCH) {
            Some(after) => Self::UNIX_EPOCH.checked_add(after),
            None => Timestamp::UNIX_EPOCH
                .duration_since(time)
                .and_then(|before| Self::UNIX_EPOCH.checked_sub(before)),
        }
        .ok_or(ClockError::SystemTime)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn both_ways() {
        for text in [
            "1970-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999999900Z",
            "1901-01-01T00:00:00.1Z",
            "2026-02-25T12:00:00.1234567Z",
            "9999-12-31T23:59:59.9999999Z",
        ] {
            let timestamp: Timestamp = text.parse().unwrap();
            let system = SystemTime::try_from(timestamp).unwrap();
            assert_eq!(Timestamp::try_from(system), Ok(timestamp), "{text}");
        }
        let system = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
        let timestamp = Timestamp::try_from(system).unwrap();
        assert_eq!(
            (timestamp.seconds(), timestamp.subsec_nanos()),
            (1, 500_000_000)
        );
        let system = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
        let timestamp = Timestamp::try_from(system).unwrap();
        assert_eq!(
            (timestamp.seconds(), timestamp.subsec_nanos()),
            (-2, 500_000_000)
        );
    }

    #[test]
    fn out_of_range() {
        let Some(late) = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(253_402_300_800))
        else {
            return;
        };
        assert_eq!(Timestamp::try_from(late), Err(ClockError::Timestamp));
    }

    #[test]
    fn now_is_between_two_readings() {
        let before = Timestamp::try_from(SystemTime::now()).unwrap();
        let now = Timestamp::now().unwrap();
        let after = Timestamp::try_from(SystemTime::now()).unwrap();
        assert!(before <= now && now <= after);
    }
}
