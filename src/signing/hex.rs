//! Hexadecimal without a heap: lower case out, either case in.

use thiserror_no_std::Error;

/// Why text is not the hexadecimal form of so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum HexError {
    /// Not the one length that is right.
    #[error("{len} hexadecimal digits where {expected} are needed")]
    WrongLength {
        /// Length of the text, in bytes.
        len: usize,
        /// The length that is needed, in digits.
        expected: usize,
    },
    /// A character is not a hexadecimal digit.
    #[error("no hexadecimal digit at byte {at}")]
    InvalidDigit {
        /// Offset of the character, in bytes.
        at: usize,
    },
}

impl_error!(HexError);

/// The value of one digit.
const fn value(digit: u8) -> Option<u8> {
    let number = digit.wrapping_sub(b'0');
    let letter = (digit | 0x20).wrapping_sub(b'a');
    if number < 10 {
        Some(number)
    } else if letter < 6 {
        Some(letter.wrapping_add(10))
    } else {
        None
    }
}

pub(crate) fn decode(text: &[u8], out: &mut [u8]) -> Result<(), HexError> {
    let expected = out.len().saturating_mul(2);
    if text.len() != expected {
        return Err(HexError::WrongLength {
            len: text.len(),
            expected,
        });
    }
    let (pairs, _) = text.as_chunks();
    for (index, (byte, [high, low])) in out.iter_mut().zip(pairs).enumerate() {
        let at = index.saturating_mul(2);
        let high = value(*high).ok_or(HexError::InvalidDigit { at })?;
        let low = value(*low).ok_or(HexError::InvalidDigit {
            at: at.saturating_add(1),
        })?;
        *byte = high << 4 | low;
    }
    Ok(())
}

/// Calls `emit` with each digit of `bytes`, lower case.
pub(crate) fn digits(bytes: &[u8], mut emit: impl FnMut(u8)) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            emit(nibble.wrapping_add(if nibble < 10 { b'0' } else { b'a' - 10 }));
        }
    }
}

/// Writes `bytes` as digits into formatted output.
pub(crate) fn write(bytes: &[u8], f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
    use core::fmt::Write;
    let mut result = Ok(());
    digits(bytes, |digit| {
        result = result.and_then(|()| f.write_char(char::from(digit)))
    });
    result
}
