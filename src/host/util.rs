//! Sizes as people write them. The name of the module is 0.13.0's.

use thiserror_no_std::Error;

/// Why a text is no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SizeError {
    /// There is nothing in it.
    #[error("the size is empty")]
    Empty,
    /// It does not begin with a number. There are no negative sizes.
    #[error("a size begins with a number")]
    NoNumber,
    /// The number has two dots, or no digit.
    #[error("the number of the size is malformed")]
    BadNumber,
    /// What follows the number is no unit.
    #[error("the unit of a size is K, M or G, with B or iB after it or not")]
    UnknownUnit,
    /// It is more than nothing, and would be rounded to 0 MiB.
    #[error("the size is not zero, but rounds to 0 MiB")]
    TooSmall,
    /// It is more than [`u32::MAX`] MiB.
    #[error("the size is above {} MiB", u32::MAX)]
    TooLarge,
}

impl_error!(SizeError);

/// The size in MiB that a text means, rounded to the nearest whole number, halves up.
///
/// A decimal number, white space or none, and a unit in any case: `K`, `KB`, `KiB`, `M`, `MB`, `MiB`, `G`,
/// `GB`, `GiB`; all are powers of 1,024, and no unit is MiB. The arithmetic is exact.
///
/// # Errors
/// [`SizeError`]. A size that is not zero never becomes 0.
///
/// ```
/// use mvm_core::util::{SizeError, parse_human_size};
///
/// assert_eq!(parse_human_size("512"), Ok(512));
/// assert_eq!(parse_human_size("1.5 GiB"), Ok(1536));
/// assert_eq!(parse_human_size("1024k"), Ok(1));
/// assert_eq!(parse_human_size("100K"), Err(SizeError::TooSmall));
/// assert_eq!(parse_human_size("4T"), Err(SizeError::UnknownUnit));
/// ```
pub fn parse_human_size(input: &str) -> Result<u32, SizeError> {
    let input = input.trim();
    if input.is_empty() {
        return Err(SizeError::Empty);
    }
    let end = input
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(input.len());
    let (number, unit) = input.split_at_checked(end).unwrap_or((input, ""));
    if number.is_empty() {
        return Err(SizeError::NoNumber);
    }
    let number = Decimal::parse(number)?;
    let unit = unit.trim();
    let is = |names: [&str; 3]| names.iter().any(|name| unit.eq_ignore_ascii_case(name));
    let (times, over) = if unit.is_empty() || is(["M", "MB", "MiB"]) {
        (1, 1)
    } else if is(["G", "GB", "GiB"]) {
        (1024, 1)
    } else if is(["K", "KB", "KiB"]) {
        (1, 1024)
    } else {
        return Err(SizeError::UnknownUnit);
    };
    number.rounded(times, over)
}

/// How many digits after the dot are looked at. Half a MiB in GiB has 11 (1/2048), and rounding
/// turns at those only, so that what is cut off can never change the result.
const FRACTION_DIGITS: usize = 12;
/// One, scaled by as many digits.
const ONE: u128 = 1_000_000_000_000;

/// A number cut off after [`FRACTION_DIGITS`].
struct Decimal {
    /// Times [`ONE`].
    scaled: u128,
    is_zero: bool,
}

impl Decimal {
    fn parse(text: &str) -> Result<Self, SizeError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(SizeError::BadNumber);
        }
        let padded = fraction.bytes().chain(core::iter::repeat(b'0'));
        let digits = whole.bytes().chain(padded.take(FRACTION_DIGITS));
        let mut scaled = 0_u128;
        for digit in digits {
            scaled = scaled
                .checked_mul(10)
                .and_then(|scaled| scaled.checked_add(u128::from(digit.checked_sub(b'0')?)))
                .ok_or(SizeError::TooLarge)?;
        }
        let is_zero = text.bytes().all(|c| matches!(c, b'0' | b'.'));
        Ok(Self { scaled, is_zero })
    }

    /// `self * times / over`, rounded.
    fn rounded(&self, times: u128, over: u128) -> Result<u32, SizeError> {
        let unit = ONE.checked_mul(over).ok_or(SizeError::TooLarge)?;
        let halves = self
            .scaled
            .checked_mul(times)
            .and_then(|scaled| scaled.checked_mul(2))
            .and_then(|scaled| scaled.checked_div(unit))
            .ok_or(SizeError::TooLarge)?;
        let rounded = halves.div_ceil(2);
        let size = u32::try_from(rounded).map_err(|_overflow| SizeError::TooLarge)?;
        if size == 0 && !self.is_zero {
            return Err(SizeError::TooSmall);
        }
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_are_exact() {
        for (text, size) in [
            ("4294967295", Ok(u32::MAX)),
            ("4294967295.49999999999999999999", Ok(u32::MAX)),
            ("4294967295.5", Err(SizeError::TooLarge)),
            ("4194303.9990234375G", Ok(u32::MAX)),
            ("4194304G", Err(SizeError::TooLarge)),
            (
                "99999999999999999999999999999999999999999",
                Err(SizeError::TooLarge),
            ),
            ("00000000000000000000000000000000000000000001", Ok(1)),
            ("0.5", Ok(1)),
            ("0.4999999999999999999999", Err(SizeError::TooSmall)),
            ("0.00000000000000000000001G", Err(SizeError::TooSmall)),
            ("0.00048828125G", Ok(1)),
            ("0.00048828124999999G", Err(SizeError::TooSmall)),
            ("511.999K", Err(SizeError::TooSmall)),
            ("512K", Ok(1)),
            ("0.000", Ok(0)),
            ("1.", Ok(1)),
            (".5G", Ok(512)),
            (".", Err(SizeError::BadNumber)),
            ("1.2.3", Err(SizeError::BadNumber)),
            ("1.5.", Err(SizeError::BadNumber)),
            ("1 2", Err(SizeError::UnknownUnit)),
            ("1\u{212a}", Err(SizeError::UnknownUnit)),
            ("\u{661}", Err(SizeError::NoNumber)),
            ("1e3", Err(SizeError::UnknownUnit)),
        ] {
            assert_eq!(parse_human_size(text), size, "{text}");
        }
    }
}
