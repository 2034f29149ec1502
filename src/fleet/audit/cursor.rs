//! The strict reading of what only this crate writes, and its writing.

use alloc::vec::Vec;

use crate::signing::{hex_decode, hex_digits};

/// What is left to be read.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl Cursor<'_> {
    /// Whether the next bytes are these; then they are read.
    pub(super) fn eat(&mut self, bytes: &[u8]) -> bool {
        match self.0.strip_prefix(bytes) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    /// These bytes and nothing else.
    pub(super) fn literal(&mut self, bytes: &[u8]) -> Option<()> {
        self.eat(bytes).then_some(())
    }

    /// A decimal number without leading zeros.
    pub(super) fn number(&mut self) -> Option<u64> {
        let digits = self
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = self.0.split_at_checked(digits)?;
        if digits.is_empty() || (digits.len() > 1 && digits.starts_with(b"0")) {
            return None;
        }
        let mut number = 0_u64;
        for digit in digits {
            number = number
                .checked_mul(10)?
                .checked_add(u64::from(digit.wrapping_sub(b'0')))?;
        }
        self.0 = rest;
        Some(number)
    }

    /// Twice `N` hexadecimal digits in lower case.
    pub(super) fn hex<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (digits, rest) = self.0.split_at_checked(N.saturating_mul(2))?;
        if digits.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        let mut bytes = [0; N];
        hex_decode(digits, &mut bytes).ok()?;
        self.0 = rest;
        Some(bytes)
    }
}

pub(super) fn push_number(into: &mut Vec<u8>, mut number: u64) {
    // 20 digits hold every `u64`.
    let mut digits = [0_u8; 20];
    let mut len = 0_usize;
    for digit in digits.iter_mut().rev() {
        let last = u8::try_from(number % 10).unwrap_or(0);
        *digit = b'0'.wrapping_add(last);
        len = len.saturating_add(1);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    into.extend_from_slice(
        digits
            .get(digits.len().saturating_sub(len)..)
            .unwrap_or(&[]),
    );
}

pub(super) fn push_hex(into: &mut Vec<u8>, bytes: &[u8]) {
    hex_digits(bytes, |digit| into.push(digit));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for number in [0, 1, 9, 10, 99, 1_000, u64::MAX] {
            let mut text = Vec::new();
            push_number(&mut text, number);
            assert_eq!(text, std::format!("{number}").into_bytes());
            assert_eq!(Cursor(&text).number(), Some(number));
        }
        for text in ["", "00", "01", "x", "-1", "18446744073709551616"] {
            assert_eq!(Cursor(text.as_bytes()).number(), None, "{text}");
        }
    }

    #[test]
    fn hexadecimal_is_in_lower_case() {
        assert_eq!(Cursor(b"0aff").hex(), Some([10, 255]));
        assert_eq!(Cursor(b"0aFf").hex::<2>(), None);
        assert_eq!(Cursor(b"0af").hex::<2>(), None);
    }
}
