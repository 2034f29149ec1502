//! Flake references.

use thiserror_no_std::Error;

use super::validate::{shown, split_char};
use crate::limits::FLAKE_REF_MAX;

/// Why a text is not a flake reference. Positions are byte offsets from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FlakeRefError {
    /// There is nothing.
    #[error("flake reference is empty")]
    Empty,
    /// More than [`FLAKE_REF_MAX`] bytes.
    #[error("flake reference is {len} bytes long, at most {max} are allowed")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The greatest length in bytes.
        max: usize,
    },
    /// A character that no flake reference needs and that a shell, a terminal or a reader may
    /// take for something else.
    #[error("flake reference has {} at byte {at}, which is not allowed", shown(.found))]
    InvalidCharacter {
        /// Where the character begins.
        at: usize,
        /// The first character that is not allowed.
        found: char,
    },
    /// A first character that would make it an option, a comment or an expansion.
    #[error("flake reference begins with {}", shown(.found))]
    InvalidStart {
        /// The first character.
        found: char,
    },
}

impl_error!(FlakeRefError);
const _: () = assert!(size_of::<FlakeRefError>() <= 24);

/// Checks a flake reference: 1 to 1,024 bytes of UTF-8.
///
/// - Of ASCII, the printable characters except space and ``" ' ` $ & | ; < > ( ) ! * [ ] { } \ ^``.
/// - The first character is none of `- # = @ % ~ ?`.
/// - Of the rest of Unicode no control, space, separator or format character (general categories
///   Cc, Zs, Zl, Zp and Cf, as of Unicode 16.0: the answer for a stored text must not change
///   with the compiler). Private-use and unassigned characters are allowed: no tool gives them a
///   meaning, and what is unassigned today may be a letter of the next version.
///
/// Pass a reference to a program as **one argument** all the same, never as part of a command
/// line: after the start `?`, `=`, `%`, `~` and `#` are allowed, because references have them, and
/// `?` is a wildcard of every shell.
///
/// # Errors
/// The first rule that is broken, in this order: length, alphabet, start.
///
/// # Examples
/// ```
/// use mvm_core::naming::{FlakeRefError, validate_flake_ref};
///
/// assert_eq!(validate_flake_ref("github:org/repo?ref=v1#minimal"), Ok(()));
/// assert_eq!(
///     validate_flake_ref("github:org/repo; reboot"),
///     Err(FlakeRefError::InvalidCharacter { at: 15, found: ';' }),
/// );
/// assert_eq!(
///     validate_flake_ref("--impure"),
///     Err(FlakeRefError::InvalidStart { found: '-' }),
/// );
/// ```
pub const fn validate_flake_ref(text: &str) -> Result<(), FlakeRefError> {
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Err(FlakeRefError::Empty);
    }
    if bytes.len() > FLAKE_REF_MAX {
        return Err(FlakeRefError::TooLong {
            len: bytes.len(),
            max: FLAKE_REF_MAX,
        });
    }
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        // Nearly all are ASCII: no character has to be made of those.
        if is_flake_byte(*first) {
            rest = tail;
            continue;
        }
        rest = match split_char(rest) {
            Some((found, tail)) if !found.is_ascii() && !is_invisible(found) => tail,
            Some((found, _)) => {
                let at = bytes.len().wrapping_sub(rest.len());
                return Err(FlakeRefError::InvalidCharacter { at, found });
            }
            None => break,
        };
    }
    match bytes.first() {
        Some(b'-' | b'#' | b'=' | b'@' | b'%' | b'~' | b'?') => Err(FlakeRefError::InvalidStart {
            found: super::validate::first_char(bytes),
        }),
        _ => Ok(()),
    }
}

/// The ASCII characters that are allowed.
const fn is_flake_byte(byte: u8) -> bool {
    matches!(byte, b'#' | b'%' | b'+'..=b':' | b'=' | b'?'..=b'Z' | b'_' | b'a'..=b'z' | b'~')
}

/// Beyond ASCII: control, space, separator and format characters. From `UnicodeData.txt` of
/// Unicode 16.0 (`tests/naming_vectors.rs` compares every character with another table);
/// neighbours of these categories share a range.
const fn is_invisible(found: char) -> bool {
    matches!(
        found,
        '\u{80}'..='\u{a0}'
            | '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{1680}'
            | '\u{180e}'
            | '\u{2000}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{205f}'..='\u{2064}'
            | '\u{2066}'..='\u{206f}'
            | '\u{3000}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0001}'
            | '\u{e0020}'..='\u{e007f}'
    )
}
