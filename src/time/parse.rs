//! RFC 3339 in. The grammar and what is decided where the RFC leaves room is in the module's
//! documentation.

use core::str::FromStr;

use super::Timestamp;
use super::civil::{Date, days_from_date, days_in_month};
use crate::limits::TIMESTAMP_MIN_SECONDS;

/// A number in the text of a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TimestampPart {
    /// The year, 0001..=9999.
    Year,
    /// The month, 01..=12.
    Month,
    /// The day, 01 to the length of its month.
    Day,
    /// The hour, 00..=23.
    Hour,
    /// The minute, 00..=59.
    Minute,
    /// The second, 00..=59.
    Second,
    /// The hours of the offset, 00..=23.
    OffsetHour,
    /// The minutes of the offset, 00..=59.
    OffsetMinute,
}

impl core::fmt::Display for TimestampPart {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Second => "second",
            Self::OffsetHour => "hour of the offset",
            Self::OffsetMinute => "minute of the offset",
        })
    }
}

/// What the grammar of RFC 3339 wants at a place of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Expected {
    /// A decimal digit.
    Digit,
    /// The `-` between year, month and day.
    Hyphen,
    /// The `T` or `t` between date and time.
    T,
    /// The `:` between hours, minutes and seconds.
    Colon,
    /// `Z`, `z`, `+` or `-`; after the seconds also `.`.
    Offset,
    /// Nothing: the timestamp is complete.
    End,
}

impl core::fmt::Display for Expected {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Digit => "a digit",
            Self::Hyphen => "'-'",
            Self::T => "'T'",
            Self::Colon => "':'",
            Self::Offset => "'Z' or an offset",
            Self::End => "the end",
        })
    }
}

/// Why a text is not a [`Timestamp`]. `at` counts bytes from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ParseTimestampError {
    /// The text ends before the timestamp is complete.
    #[error("timestamp: text ends at byte {at}, where {expected} is expected")]
    Ended {
        /// The length of the text.
        at: u8,
        /// What is missing.
        expected: Expected,
    },
    /// A byte that the grammar does not have at this place.
    #[error("timestamp: byte {at} is {found:#04x}, where {expected} is expected")]
    Unexpected {
        /// Where the byte is.
        at: u8,
        /// The byte.
        found: u8,
        /// What the grammar has there.
        expected: Expected,
    },
    /// A number that its part of a date or time does not have, such as month 13, or day 29 in
    /// February of a year without a leap day.
    #[error("timestamp: {value} at byte {at} is not a possible {part}")]
    OutOfRange {
        /// Which part.
        part: TimestampPart,
        /// Where the number begins.
        at: u8,
        /// The number.
        value: u16,
    },
    /// Second 60. A [`Timestamp`] counts without leap seconds.
    #[error("timestamp: leap second at byte {at}")]
    LeapSecond {
        /// Where the `60` begins.
        at: u8,
    },
    /// More than nine fraction digits.
    #[error("timestamp: a tenth fraction digit at byte {at}, at most 9 can be kept")]
    TooPrecise {
        /// Where the tenth digit is.
        at: u8,
    },
    /// With its offset taken off, the instant lies before the year 1 or after the year 9999.
    #[error("timestamp: outside the years 1 to 9999 once the offset at byte {at} is taken off")]
    BeyondRange {
        /// Where the offset begins.
        at: u8,
    },
}

impl_error!(ParseTimestampError);
const _: () = assert!(size_of::<ParseTimestampError>() <= 8);

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        if let Some(timestamp) = whole_seconds(text.as_bytes()) {
            return Ok(timestamp);
        }
        let mut input = Input {
            rest: text.as_bytes(),
            at: 0,
        };
        let timestamp = input.timestamp()?;
        input.end()?;
        Ok(timestamp)
    }
}

impl TryFrom<&str> for Timestamp {
    type Error = ParseTimestampError;

    fn try_from(text: &str) -> Result<Self, ParseTimestampError> {
        text.parse()
    }
}

/// `2026-01-02T03:04:05Z`, the form that nearly every document has, in about half of the time of the grammar.
/// `None` where it is another form or not valid: then the grammar reads it, and says why not.
fn whole_seconds(text: &[u8]) -> Option<Timestamp> {
    let &[
        y0,
        y1,
        y2,
        y3,
        b'-',
        month0,
        month1,
        b'-',
        day0,
        day1,
        b'T',
        hour0,
        hour1,
        b':',
        minute0,
        minute1,
        b':',
        second0,
        second1,
        b'Z',
    ] = text
    else {
        return None;
    };
    // The greatest of the distances from '0': above 9 if one of them is no digit.
    let mut greatest = 0_u8;
    let mut two = |tens: u8, ones: u8| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        greatest = greatest.max(tens).max(ones);
        u32::from(tens)
            .wrapping_mul(10)
            .wrapping_add(u32::from(ones))
    };
    let year = two(y0, y1).wrapping_mul(100).wrapping_add(two(y2, y3));
    let (month, day) = (two(month0, month1), two(day0, day1));
    let (hour, minute) = (two(hour0, hour1), two(minute0, minute1));
    let second = two(second0, second1);
    let exists = greatest <= 9
        && year >= 1
        && day >= 1
        && day <= days_in_month(year, month)
        && hour <= 23
        && minute <= 59
        && second <= 59;
    if !exists {
        return None;
    }
    let of_day = hour
        .wrapping_mul(60)
        .wrapping_add(minute)
        .wrapping_mul(60)
        .wrapping_add(second);
    let seconds = i64::from(days_from_date(&Date { year, month, day }))
        .wrapping_mul(86_400)
        .wrapping_add(i64::from(of_day))
        .wrapping_add(TIMESTAMP_MIN_SECONDS);
    Timestamp::new(seconds, 0).ok()
}

/// What is left of the text. `at` is below 36: the grammar ends after 35 bytes at the latest.
struct Input<'a> {
    rest: &'a [u8],
    at: u8,
}

impl Input<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Drops the byte that `peek` gave.
    fn advance(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
        self.at = self.at.wrapping_add(1);
    }

    fn mismatch(&self, expected: Expected) -> ParseTimestampError {
        match self.peek() {
            Some(found) => ParseTimestampError::Unexpected {
                at: self.at,
                found,
                expected,
            },
            None => ParseTimestampError::Ended {
                at: self.at,
                expected,
            },
        }
    }

    fn end(&self) -> Result<(), ParseTimestampError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.mismatch(Expected::End)),
        }
    }

    /// One of two bytes.
    fn byte(&mut self, a: u8, b: u8, expected: Expected) -> Result<(), ParseTimestampError> {
        match self.peek() {
            Some(byte) if byte == a || byte == b => {
                self.advance();
                Ok(())
            }
            _ => Err(self.mismatch(expected)),
        }
    }

    fn digit(&mut self) -> Result<u32, ParseTimestampError> {
        match self.peek() {
            Some(byte @ b'0'..=b'9') => {
                self.advance();
                Ok(u32::from(byte & 0x0f))
            }
            _ => Err(self.mismatch(Expected::Digit)),
        }
    }

    /// `width` digits (at most 4) that are `min..=max` together.
    fn number(
        &mut self,
        part: TimestampPart,
        width: u8,
        min: u32,
        max: u32,
    ) -> Result<u32, ParseTimestampError> {
        let at = self.at;
        let mut value = 0_u32;
        for _ in 0..width {
            value = value.wrapping_mul(10).wrapping_add(self.digit()?);
        }
        if part == TimestampPart::Second && value == 60 {
            return Err(ParseTimestampError::LeapSecond { at });
        }
        if value < min || value > max {
            return Err(ParseTimestampError::OutOfRange {
                part,
                at,
                value: u16::try_from(value).unwrap_or(u16::MAX),
            });
        }
        Ok(value)
    }

    /// Hours and minutes, in minutes: 0..=1439.
    fn hours_minutes(
        &mut self,
        hour: TimestampPart,
        minute: TimestampPart,
    ) -> Result<u32, ParseTimestampError> {
        let hours = self.number(hour, 2, 0, 23)?;
        self.byte(b':', b':', Expected::Colon)?;
        let minutes = self.number(minute, 2, 0, 59)?;
        Ok(hours.wrapping_mul(60).wrapping_add(minutes))
    }

    /// What follows a `.`: one to nine digits, as nanoseconds.
    fn fraction(&mut self) -> Result<u32, ParseTimestampError> {
        let mut nanos = self.digit()?;
        let mut scale = 8_u8;
        while let Some(b'0'..=b'9') = self.peek() {
            if scale == 0 {
                return Err(ParseTimestampError::TooPrecise { at: self.at });
            }
            nanos = nanos.wrapping_mul(10).wrapping_add(self.digit()?);
            scale = scale.wrapping_sub(1);
        }
        for _ in 0..scale {
            nanos = nanos.wrapping_mul(10);
        }
        Ok(nanos)
    }

    fn timestamp(&mut self) -> Result<Timestamp, ParseTimestampError> {
        let year = self.number(TimestampPart::Year, 4, 1, 9999)?;
        self.byte(b'-', b'-', Expected::Hyphen)?;
        let month = self.number(TimestampPart::Month, 2, 1, 12)?;
        self.byte(b'-', b'-', Expected::Hyphen)?;
        let day = self.number(TimestampPart::Day, 2, 1, days_in_month(year, month))?;
        self.byte(b'T', b't', Expected::T)?;
        let minutes = self.hours_minutes(TimestampPart::Hour, TimestampPart::Minute)?;
        self.byte(b':', b':', Expected::Colon)?;
        let second = self.number(TimestampPart::Second, 2, 0, 59)?;
        let nanos = if self.peek() == Some(b'.') {
            self.advance();
            self.fraction()?
        } else {
            0
        };
        let at = self.at;
        let offset = match self.peek() {
            Some(b'Z' | b'z') => {
                self.advance();
                0
            }
            Some(sign @ (b'+' | b'-')) => {
                self.advance();
                let minutes =
                    self.hours_minutes(TimestampPart::OffsetHour, TimestampPart::OffsetMinute)?;
                let seconds = i64::from(minutes).wrapping_mul(60);
                if sign == b'-' {
                    seconds.wrapping_neg()
                } else {
                    seconds
                }
            }
            _ => return Err(self.mismatch(Expected::Offset)),
        };
        let days = days_from_date(&Date { year, month, day });
        // Below 2^39 in all, and the offset is less than a day.
        let seconds = i64::from(days)
            .wrapping_mul(86_400)
            .wrapping_add(i64::from(minutes.wrapping_mul(60).wrapping_add(second)))
            .wrapping_sub(offset)
            .wrapping_add(TIMESTAMP_MIN_SECONDS);
        Timestamp::new(seconds, nanos).map_err(|_| ParseTimestampError::BeyondRange { at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grammar(text: &str) -> Result<Timestamp, ParseTimestampError> {
        let mut input = Input {
            rest: text.as_bytes(),
            at: 0,
        };
        let timestamp = input.timestamp()?;
        input.end()?;
        Ok(timestamp)
    }

    /// Every text that is one byte away from a good one, and every day of years with and without a leap day.
    #[test]
    fn the_short_way_and_the_grammar_agree() {
        let (mut short, mut refused) = (0, 0);
        let mut compare = |text: &str| {
            let quick = whole_seconds(text.as_bytes());
            let slow = grammar(text);
            assert_eq!(text.parse(), slow, "{text}");
            if let Some(quick) = quick {
                assert_eq!(slow, Ok(quick), "{text}");
                short += 1;
            } else {
                refused += 1;
                // What the grammar takes and this does not has another form: a small letter.
                assert!(slow.is_err() || text.contains(['t', 'z']), "{text}");
            }
        };
        for good in [
            "0001-01-01T00:00:00Z",
            "2024-02-29T23:59:59Z",
            "9999-12-31T23:59:59Z",
        ] {
            for at in 0..good.len() {
                for byte in 0..128_u8 {
                    let mut text = good.as_bytes().to_vec();
                    text[at] = byte;
                    compare(core::str::from_utf8(&text).unwrap());
                }
            }
        }
        for year in ["0000", "0001", "1900", "2000", "2023", "2024", "9999"] {
            for month in 0..=13 {
                for day in 0..=32 {
                    compare(&std::format!("{year}-{month:02}-{day:02}T12:30:00Z"));
                }
            }
        }
        assert!(short > 2400 && refused > 6000, "{short} and {refused}");
    }
}
