//! RFC 3339 out.

use core::fmt;

use super::Timestamp;
use super::civil::date_from_days;
use crate::limits::{TIMESTAMP_MIN_SECONDS, TIMESTAMP_TEXT_MAX};

impl Timestamp {
    /// Writes the timestamp as RFC 3339 with `Z` and 0, 3, 6 or 9 fraction digits into `out`, and
    /// gives the text: 20, 24, 27 or 30 bytes. `core::fmt` is not involved, which a guest that
    /// counts its kilobytes does not link otherwise.
    ///
    /// ```
    /// use mvm_core::time::Timestamp;
    /// assert_eq!(Timestamp::MIN.format(&mut [0; 30]), "0001-01-01T00:00:00Z");
    /// assert_eq!(Timestamp::MAX.format(&mut [0; 30]), "9999-12-31T23:59:59.999999999Z");
    /// ```
    pub fn format<'a>(&self, out: &'a mut [u8; TIMESTAMP_TEXT_MAX]) -> &'a str {
        // Seconds since the year 1: not negative and below 2^39. A day is 675 × 2^7 seconds: with
        // the seven bits set aside, 32-bit division is enough.
        let seconds = self.seconds.wrapping_sub(TIMESTAMP_MIN_SECONDS);
        let rest = u32::try_from(seconds & 0x7f).unwrap_or(0);
        let high = u32::try_from(seconds >> 7).unwrap_or(0);
        let date = date_from_days(high / 675);
        let second = ((high % 675) << 7).wrapping_add(rest);

        let mut text = Text { out, len: 0 };
        text.digits(date.year, 4);
        text.byte(b'-');
        text.digits(date.month, 2);
        text.byte(b'-');
        text.digits(date.day, 2);
        text.byte(b'T');
        text.digits(second / 3600, 2);
        text.byte(b':');
        text.digits(second / 60 % 60, 2);
        text.byte(b':');
        text.digits(second % 60, 2);
        if self.nanos != 0 {
            text.byte(b'.');
            if self.nanos.is_multiple_of(1_000_000) {
                text.digits(self.nanos / 1_000_000, 3);
            } else if self.nanos.is_multiple_of(1_000) {
                text.digits(self.nanos / 1_000, 6);
            } else {
                text.digits(self.nanos, 9);
            }
        }
        text.byte(b'Z');
        text.finish()
    }
}

/// A cursor over the caller's buffer. It is 30 bytes and the calls above write at most 30: where
/// nothing fits nothing is written, and no call panics.
struct Text<'a> {
    out: &'a mut [u8; TIMESTAMP_TEXT_MAX],
    len: usize,
}

impl<'a> Text<'a> {
    fn byte(&mut self, byte: u8) {
        if let Some(slot) = self.out.get_mut(self.len) {
            *slot = byte;
            self.len = self.len.wrapping_add(1);
        }
    }

    /// The last `width` decimal digits of `value`.
    fn digits(&mut self, mut value: u32, width: usize) {
        let end = self.len.wrapping_add(width);
        if let Some(slots) = self.out.get_mut(self.len..end) {
            for slot in slots.iter_mut().rev() {
                *slot = b'0'.wrapping_add(u8::try_from(value % 10).unwrap_or(0));
                value /= 10;
            }
            self.len = end;
        }
    }

    fn finish(self) -> &'a str {
        let out: &'a [u8] = self.out;
        let text = out.get(..self.len).unwrap_or_default();
        core::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339, as [`format`](Self::format) writes it; width and alignment are obeyed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.format(&mut [0; TIMESTAMP_TEXT_MAX]))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.format(&mut [0; TIMESTAMP_TEXT_MAX]))
    }
}
