//! Digits out and in, for texts whose capacity the caller has proved: without `core::fmt`, which
//! costs a guest kilobytes.

use heapless::string::StringView;

/// Base 32 without `i`, `l`, `o` and `u` (Crockford's alphabet in lower case).
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Appends two lower-case hexadecimal digits for each byte.
pub(super) fn push_hex(text: &mut StringView<u8>, bytes: &[u8]) {
    for byte in bytes {
        push_digit(text, byte >> 4);
        push_digit(text, byte & 0x0f);
    }
}

/// Appends the base-32 digit of a number below 32; it is also the hexadecimal one below 16.
fn push_digit(text: &mut StringView<u8>, value: u8) {
    if let Some(digit) = BASE32.get(usize::from(value)) {
        let _ = text.push(char::from(*digit));
    }
}

/// Appends a number in decimal, without leading zeros.
pub(super) fn push_decimal(text: &mut StringView<u8>, number: u32) {
    let mut digits = [0; 10];
    let mut left = number;
    for digit in digits.iter_mut().rev() {
        // A remainder by 10 fits a byte.
        [*digit, ..] = (left % 10).to_le_bytes();
        left /= 10;
    }
    let zeros = digits
        .iter()
        .take(9)
        .take_while(|digit| **digit == 0)
        .count();
    for digit in digits.iter().skip(zeros) {
        push_digit(text, *digit);
    }
}

/// Reads a decimal number: digits only, no leading zeros, nothing else, at most 65,535.
pub(super) fn parse_decimal(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || (digits.len() > 1 && digits.first() == Some(&b'0')) {
        return None;
    }
    let mut number: u16 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u16::from(digit))?;
    }
    Some(number)
}

/// Cuts a text at the first `separator`, which is ASCII. (`split_once` links a searcher.)
pub(super) fn cut(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == separator)?;
    let (head, rest) = text.split_at_checked(at)?;
    let (_, tail) = rest.split_at_checked(1)?;
    Some((head, tail))
}

/// Reads two lower-case hexadecimal digits.
pub(super) fn parse_hex(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    });
    Some(high? << 4 | low?)
}

/// Appends `digits` base-32 digits: five bits each, from the most significant bit of the first
/// byte on. Bits beyond the last byte are 0.
pub(super) fn push_base32(text: &mut StringView<u8>, bytes: &[u8], digits: usize) {
    let mut source = bytes.iter();
    let (mut window, mut bits): (u16, u8) = (0, 0);
    for _ in 0..digits {
        if bits < 5 {
            window = window << 8 | u16::from(source.next().copied().unwrap_or(0));
            bits = bits.wrapping_add(8);
        }
        bits = bits.wrapping_sub(5);
        let [digit, _] = (window.wrapping_shr(u32::from(bits)) & 0x1f).to_le_bytes();
        push_digit(text, digit);
    }
}

/// Whether a byte is a base-32 digit.
pub(super) fn is_base32(byte: u8) -> bool {
    BASE32.contains(&byte)
}
