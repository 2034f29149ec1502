//! The beginnings of paths that routes ask for.

use alloc::boxed::Box;

use thiserror_no_std::Error;

use crate::fleet::document::{Reason, text_fields};
use crate::fleet::text::boxed_text;
use crate::limits::PATH_PREFIX_MAX;

/// Why a text is not a path prefix. Positions are byte offsets from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PathPrefixError {
    /// It does not begin with a slash.
    #[error("a path prefix begins with a slash")]
    NoSlash,
    /// Too many bytes.
    #[error("{len} bytes long, at most {max} are allowed")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The greatest length in bytes.
        max: usize,
    },
    /// Two slashes in a row.
    #[error("the segment at byte {at} is empty")]
    EmptySegment {
        /// Where the segment would begin.
        at: usize,
    },
    /// A segment that is `.` or `..`.
    #[error("the segment at byte {at} is `.` or `..`, which no resolved path has")]
    DotSegment {
        /// Where the segment begins.
        at: usize,
    },
    /// A character that no path has as itself: a space, `?`, `#`, a control character, one that is not ASCII.
    #[error("the character at byte {at} is not allowed in a path")]
    InvalidCharacter {
        /// Where the character begins.
        at: usize,
    },
    /// A percent sign without two hexadecimal digits, the letters in capitals.
    #[error("the percent sign at byte {at} is not followed by two hexadecimal digits in capitals")]
    Percent {
        /// Where the percent sign is.
        at: usize,
    },
    /// A letter, a digit, or one of `-._~`, written as a percent encoding.
    #[error("the percent encoding at byte {at} must be the character itself")]
    Encoded {
        /// Where the percent sign is.
        at: usize,
    },
}

impl_error!(PathPrefixError);

/// The beginning of a path, on segment boundaries: `/api` is the beginning of `/api`, `/api/` and `/api/v1`,
/// and not of `/apix`.
///
/// # Grammar
/// 1 to [`PATH_PREFIX_MAX`] bytes: an absolute path (RFC 3986, section 3.3) in normal form (section 6.2.2),
/// so that one path has one spelling.
///
/// - It begins with a slash. No segment is empty, `.` or `..`.
/// - Characters are those that a path may have as themselves: `A-Z a-z 0-9 - . _ ~ ! $ & ' ( ) * + , ; = : @`.
///   None of them means anything more; `*` is a star.
/// - Everything else is percent-encoded, in capitals (`%C3%A9`); what need not be encoded (letters, digits and
///   `- . _ ~`) is not.
/// - A slash at the end is allowed and changes nothing: `/api/` is the beginning of the same paths as `/api`.
///   As texts they differ, and so they are not equal.
///
/// # Matching
/// Bytes are compared: no case is folded, nothing is decoded, no `..` is resolved. A gateway must bring a path
/// to normal form before it looks it up, if what is behind it does: else `/public/../admin` is taken for
/// something below `/public`.
///
/// What follows a `?` or `#` is no part of a path and is not looked at. What does not begin with a slash is no
/// path at all, and has no beginning: `*` of an HTTP `OPTIONS`, and the empty text, which stands for traffic
/// that has no path.
///
/// ```
/// use mvm_core::routing::{PathPrefix, PathPrefixError};
///
/// let api = PathPrefix::new("/api/v1/")?;
/// assert_eq!(api.as_str(), "/api/v1/");
/// for path in ["/api/v1", "/api/v1/", "/api/v1/users?page=2", "/api/v1?page=2"] {
///     assert!(api.matches(path));
/// }
/// for path in ["/api", "/api/v10", "/API/v1", "/x/../api/v1", ""] {
///     assert!(!api.matches(path));
/// }
/// let everything = PathPrefix::new("/")?;
/// assert!(everything.matches("/api") && !everything.matches(""));
///
/// assert_eq!(PathPrefix::new("api"), Err(PathPrefixError::NoSlash));
/// assert_eq!(PathPrefix::new("/a/../b"), Err(PathPrefixError::DotSegment { at: 3 }));
/// assert_eq!(PathPrefix::new("/caf\u{e9}"), Err(PathPrefixError::InvalidCharacter { at: 4 }));
/// assert_eq!(PathPrefix::new("/%7Euser"), Err(PathPrefixError::Encoded { at: 1 }));
/// # Ok::<(), PathPrefixError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPrefix(Box<str>);

impl PathPrefix {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// [`PathPrefixError`]; of several reasons the one furthest to the left.
    pub fn new(text: &str) -> Result<Self, PathPrefixError> {
        validate(text)?;
        Ok(Self(text.into()))
    }

    /// Whether it is the beginning of `path`, as the type's documentation says.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        visible(path).is_some_and(|path| covers(trimmed(self), path))
    }
}

boxed_text!(PathPrefix, PathPrefixError);

text_fields! {
    borrowed PathPrefix => Reason::PathPrefix;
}

/// Checks the grammar of [`PathPrefix`].
pub(super) fn validate(text: &str) -> Result<(), PathPrefixError> {
    let Some(segments) = text.strip_prefix('/') else {
        return Err(PathPrefixError::NoSlash);
    };
    if text.len() > PATH_PREFIX_MAX {
        let (len, max) = (text.len(), PATH_PREFIX_MAX);
        return Err(PathPrefixError::TooLong { len, max });
    }
    let mut at: usize = 1;
    let mut rest = segments;
    while !rest.is_empty() {
        let (segment, behind) = rest.split_once('/').unwrap_or((rest, ""));
        match segment {
            "" => return Err(PathPrefixError::EmptySegment { at }),
            "." | ".." => return Err(PathPrefixError::DotSegment { at }),
            _ => characters(segment, at)?,
        }
        at = at.saturating_add(segment.len()).saturating_add(1);
        rest = behind;
    }
    Ok(())
}

/// Checks the characters of a segment, which begins at byte `at`.
fn characters(segment: &str, at: usize) -> Result<(), PathPrefixError> {
    let mut bytes = segment.bytes().zip(at..);
    while let Some((byte, at)) = bytes.next() {
        match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|(byte, _)| hexadecimal(byte));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(PathPrefixError::Percent { at });
                };
                if unreserved(high << 4 | low) {
                    return Err(PathPrefixError::Encoded { at });
                }
            }
            _ if unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte) => {}
            _ => return Err(PathPrefixError::InvalidCharacter { at }),
        }
    }
    Ok(())
}

/// What stands for itself everywhere in a URI (RFC 3986, section 2.3).
const fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn hexadecimal(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'A'..=b'F' => Some(byte.wrapping_sub(b'A').wrapping_add(10)),
        _ => None,
    }
}

/// A prefix without a slash at the end: `/` is the empty text. All that matching and comparing needs.
pub(super) fn trimmed(prefix: &str) -> &[u8] {
    let bytes = prefix.as_bytes();
    bytes.strip_suffix(b"/").unwrap_or(bytes)
}

/// What of a path is looked at: one byte more than the longest prefix, and nothing from a `?` or `#`
/// on. `None` if it is no path.
pub(super) fn visible(path: &str) -> Option<&[u8]> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return None;
    }
    let bytes = bytes
        .get(..PATH_PREFIX_MAX.saturating_add(1))
        .unwrap_or(bytes);
    let end = bytes.iter().position(|byte| matches!(byte, b'?' | b'#'));
    end.map_or(Some(bytes), |end| bytes.get(..end))
}

/// Whether a [`trimmed`] prefix is the beginning of a [`visible`] path.
fn covers(prefix: &[u8], path: &[u8]) -> bool {
    path.starts_with(prefix) && on_boundary(prefix.len(), path)
}

/// Whether a segment ends at `len`.
pub(super) fn on_boundary(len: usize, path: &[u8]) -> bool {
    path.get(len).is_none_or(|&next| next == b'/')
}
