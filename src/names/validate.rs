//! The grammars of ids, template names and revision hashes, as `const fn` over bytes.

use core::fmt;

use thiserror_no_std::Error;

use crate::limits::{ID_MAX, REVISION_HASH_MAX};

/// What an id names. It selects nothing but the words of an error message: all kinds follow one
/// grammar, except [`Template`](IdKind::Template) in [`validate_template_name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum IdKind {
    /// A tenant.
    Tenant,
    /// A pool of a tenant.
    Pool,
    /// An instance of a pool.
    Instance,
    /// A node of the fleet.
    Node,
    /// The holder of a signing key.
    Signer,
    /// A virtual machine outside the fleet's hierarchy.
    Vm,
    /// A template.
    Template,
    /// A development network.
    Network,
    /// A host name of one label.
    Hostname,
    /// A session of 0.13.0's protocol between host and guest.
    Session,
}

impl IdKind {
    /// The words that messages use, e.g. `tenant id`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant id",
            Self::Pool => "pool id",
            Self::Instance => "instance id",
            Self::Node => "node id",
            Self::Signer => "signer id",
            Self::Vm => "VM name",
            Self::Template => "template name",
            Self::Network => "network name",
            Self::Hostname => "host name",
            Self::Session => "session id",
        }
    }

    const fn alphabet(self) -> &'static str {
        match self {
            Self::Template => "a-z, 0-9, '-' and '_'",
            _ => "a-z, 0-9 and '-'",
        }
    }
}

impl fmt::Display for IdKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a text is not an id of its kind. Positions are byte offsets from 0. The text itself is not
/// part of the error: it may be long, and it comes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum IdError {
    /// There is nothing.
    #[error("{kind} is empty")]
    Empty {
        /// What was to be named.
        kind: IdKind,
    },
    /// More bytes than an id may have.
    #[error("{kind} is {len} bytes long, at most {max} are allowed")]
    TooLong {
        /// What was to be named.
        kind: IdKind,
        /// Its length in bytes.
        len: usize,
        /// The greatest length in bytes.
        max: usize,
    },
    /// A character outside the alphabet.
    #[error("{kind} has {} at byte {at}; allowed are {}", shown(.found), kind.alphabet())]
    InvalidCharacter {
        /// What was to be named.
        kind: IdKind,
        /// Where the character begins.
        at: usize,
        /// The first character that is not allowed.
        found: char,
    },
    /// The first character is a hyphen.
    #[error("{kind} begins with '-'")]
    HyphenAtStart {
        /// What was to be named.
        kind: IdKind,
    },
    /// The last character is a hyphen.
    #[error("{kind} ends with '-'")]
    HyphenAtEnd {
        /// What was to be named.
        kind: IdKind,
    },
    /// The first character of a template name is an underscore.
    #[error("{kind} begins with '_'")]
    UnderscoreAtStart {
        /// What was to be named.
        kind: IdKind,
    },
}

impl_error!(IdError);
const _: () = assert!(size_of::<IdError>() <= 24);

/// Why a text is not a revision hash. Positions are byte offsets from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RevisionHashError {
    /// There is nothing.
    #[error("revision hash is empty")]
    Empty,
    /// More than [`REVISION_HASH_MAX`] bytes.
    #[error("revision hash is {len} bytes long, at most {max} are allowed")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The greatest length in bytes.
        max: usize,
    },
    /// A character outside the alphabet.
    #[error("revision hash has {} at byte {at}; allowed are a-z, A-Z, 0-9, '.', '_', ':', '+' and '-'", shown(.found))]
    InvalidCharacter {
        /// Where the character begins.
        at: usize,
        /// The first character that is not allowed.
        found: char,
    },
    /// `.` or `..`, which as a component of a path name other directories.
    #[error("revision hash is '.' or '..'")]
    Dots,
}

impl_error!(RevisionHashError);
const _: () = assert!(size_of::<RevisionHashError>() <= 24);

/// A character in a message: itself where it is printable ASCII, its number in any case of doubt.
/// (`char`'s `Debug` would link tables of several kilobytes into a guest.)
pub(super) struct Shown(char);

pub(super) const fn shown(found: &char) -> Shown {
    Shown(*found)
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_ascii_graphic() {
            write!(f, "'{}'", self.0)
        } else {
            write!(f, "U+{:04X}", u32::from(self.0))
        }
    }
}

/// Checks an id: 1 to 63 bytes of `a-z`, `0-9` and `-`, the first and the last not `-`. ASCII only.
///
/// These are exactly the texts that 0.13.0 accepts, and each of them is a DNS label.
///
/// # Errors
/// The first rule that is broken, in this order: length, alphabet, start, end.
///
/// # Examples
/// ```
/// use mvm_core::naming::{IdError, IdKind, validate_id};
///
/// assert_eq!(validate_id("acme-2", IdKind::Tenant), Ok(()));
/// let error = validate_id("acme/2", IdKind::Tenant).unwrap_err();
/// assert_eq!(error, IdError::InvalidCharacter { kind: IdKind::Tenant, at: 4, found: '/' });
/// assert_eq!(error.to_string(), "tenant id has '/' at byte 4; allowed are a-z, 0-9 and '-'");
/// ```
#[inline]
pub const fn validate_id(text: &str, kind: IdKind) -> Result<(), IdError> {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return Err(IdError::Empty { kind });
    };
    let good = bytes.len() <= ID_MAX && *first != b'-' && *last != b'-' && all_of(bytes, b'-');
    if good {
        Ok(())
    } else {
        Err(id_fault(text, kind, b'-'))
    }
}

/// The bytes, if [`validate_id`] has nothing to say against them.
pub(super) fn id_bytes(bytes: &[u8]) -> Option<&[u8]> {
    let good = bytes.len() <= ID_MAX
        && bytes.iter().all(|byte| is_one_of(*byte, b'-'))
        && !matches!(bytes, [] | [b'-', ..] | [.., b'-']);
    good.then_some(bytes)
}

/// Checks the name of a virtual machine outside the fleet's hierarchy: [`validate_id`] under
/// 0.13.0's name for it.
///
/// # Errors
/// As [`validate_id`], with [`IdKind::Vm`].
#[inline]
pub const fn validate_vm_name(text: &str) -> Result<(), IdError> {
    validate_id(text, IdKind::Vm)
}

/// Checks the name of a template: 1 to 63 bytes of `a-z`, `0-9`, `-` and `_`, the first a letter or
/// a digit. Unlike an id it may end with `-`.
///
/// # Errors
/// The first rule that is broken, in this order: length, alphabet, start.
///
/// # Examples
/// ```
/// use mvm_core::naming::{IdError, IdKind, validate_template_name};
///
/// assert_eq!(validate_template_name("web_base-"), Ok(()));
/// assert_eq!(
///     validate_template_name("_base"),
///     Err(IdError::UnderscoreAtStart { kind: IdKind::Template }),
/// );
/// ```
pub const fn validate_template_name(text: &str) -> Result<(), IdError> {
    let kind = IdKind::Template;
    let bytes = text.as_bytes();
    let Some(first) = bytes.first() else {
        return Err(IdError::Empty { kind });
    };
    let good = bytes.len() <= ID_MAX && *first != b'-' && *first != b'_' && all_of(bytes, b'_');
    if good {
        Ok(())
    } else {
        Err(id_fault(text, kind, b'_'))
    }
}

/// Checks a revision hash: 1 to 128 bytes of `0-9`, `A-Z`, `a-z` and `. _ : + -`, but neither `.`
/// nor `..`. It becomes a component of paths; `sha256:…` and Nix's base 32 occur.
///
/// # Errors
/// The first rule that is broken, in this order: length, alphabet, dots.
pub const fn validate_revision_hash(text: &str) -> Result<(), RevisionHashError> {
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Err(RevisionHashError::Empty);
    }
    if bytes.len() > REVISION_HASH_MAX {
        return Err(RevisionHashError::TooLong {
            len: bytes.len(),
            max: REVISION_HASH_MAX,
        });
    }
    let mut rest = bytes;
    let mut at: usize = 0;
    while let Some((byte, tail)) = rest.split_first() {
        if !is_hash_byte(*byte) {
            return Err(RevisionHashError::InvalidCharacter {
                at,
                found: first_char(rest),
            });
        }
        at = at.wrapping_add(1);
        rest = tail;
    }
    if matches!(bytes, b"." | b"..") {
        return Err(RevisionHashError::Dots);
    }
    Ok(())
}

/// Whether a byte is a letter, a digit, `-` or `also`. One comparison for each range: a byte below
/// it wraps to a large number.
const fn is_one_of(byte: u8, also: u8) -> bool {
    (byte.wrapping_sub(b'a') < 26)
        | (byte.wrapping_sub(b'0') < 10)
        | (byte == b'-')
        | (byte == also)
}

/// Whether [`is_one_of`] holds for all bytes, without a branch on a byte: chunks of 16 or 8 become
/// vectors, and the last one overlaps the one before it, so that no bytes are left over.
#[inline]
const fn all_of(bytes: &[u8], also: u8) -> bool {
    let Some(last) = bytes.last_chunk::<16>() else {
        return match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            (Some(first), Some(last)) => chunk_of(first, also) & chunk_of(last, also),
            _ => chunk_of(bytes, also),
        };
    };
    let mut good = chunk_of(last, also);
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<16>() {
        good &= chunk_of(chunk, also);
        rest = tail;
    }
    good
}

#[inline]
const fn chunk_of(bytes: &[u8], also: u8) -> bool {
    let mut good = true;
    let mut rest = bytes;
    while let Some((byte, tail)) = rest.split_first() {
        good &= is_one_of(*byte, also);
        rest = tail;
    }
    good
}

const fn is_hash_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'+' | b'-')
}

/// What is wrong with a text that is not empty and not valid, where `also` is allowed beside the
/// bytes of every id. Total all the same: a valid text gives the fault of its end.
#[cold]
#[inline(never)]
const fn id_fault(text: &str, kind: IdKind, also: u8) -> IdError {
    let bytes = text.as_bytes();
    if bytes.len() > ID_MAX {
        return IdError::TooLong {
            kind,
            len: bytes.len(),
            max: ID_MAX,
        };
    }
    let mut rest = bytes;
    let mut at: usize = 0;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        if !chunk_of(chunk, also) {
            break;
        }
        at = at.wrapping_add(8);
        rest = tail;
    }
    while let Some((byte, tail)) = rest.split_first() {
        if !is_one_of(*byte, also) {
            return IdError::InvalidCharacter {
                kind,
                at,
                found: first_char(rest),
            };
        }
        at = at.wrapping_add(1);
        rest = tail;
    }
    match bytes.first() {
        Some(b'-') => IdError::HyphenAtStart { kind },
        Some(b'_') => IdError::UnderscoreAtStart { kind },
        _ => IdError::HyphenAtEnd { kind },
    }
}

/// The character that begins a part of a `str`; U+FFFD if none does.
pub(super) const fn first_char(utf8: &[u8]) -> char {
    match split_char(utf8) {
        Some((found, _)) => found,
        None => char::REPLACEMENT_CHARACTER,
    }
}

/// Splits off the first character of a part of a `str` (`chars` is not `const`).
pub(super) const fn split_char(utf8: &[u8]) -> Option<(char, &[u8])> {
    let Some((first, mut rest)) = utf8.split_first() else {
        return None;
    };
    // The ones at the front of the first byte and the zero behind them say how many bytes there
    // are; what follows them, and six bits of each further byte, is the character's number.
    let mut code = match first.leading_ones() {
        0 => u32_from(*first),
        ones => u32_from(*first) & (0x7f_u32 >> ones),
    };
    while let Some((byte, tail)) = rest.split_first() {
        if *byte & 0xc0 != 0x80 {
            break;
        }
        code = code << 6 | u32_from(*byte & 0x3f);
        rest = tail;
    }
    match char::from_u32(code) {
        Some(found) => Some((found, rest)),
        None => None,
    }
}

/// `u32::from`, which is not `const`.
const fn u32_from(byte: u8) -> u32 {
    u32::from_be_bytes([0, 0, 0, byte])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_judged_as_their_bytes() {
        let mut faults = 0;
        for also in *b"-_" {
            for len in 1..=ID_MAX {
                for at in 0..len {
                    for byte in 0..=u8::MAX {
                        let mut bytes = [b'a'; ID_MAX];
                        bytes[at] = byte;
                        let good = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-') || byte == also;
                        assert_eq!(
                            all_of(&bytes[..len], also),
                            good,
                            "{byte:#x} at {at} of {len}"
                        );
                        faults += usize::from(!good);
                    }
                }
            }
        }
        // 219 bytes are not in ids, 218 not in template names.
        assert_eq!(faults, (219 + 218) * ID_MAX * (ID_MAX + 1) / 2);
    }

    #[test]
    fn characters_are_split_off_as_by_core() {
        for found in '\0'..=char::MAX {
            let mut buffer = [0; 4];
            let bytes = found.encode_utf8(&mut buffer).as_bytes();
            assert_eq!(split_char(bytes), Some((found, &[][..])));
        }
        assert_eq!(first_char("é!".as_bytes()), 'é');
        assert_eq!(first_char(b""), char::REPLACEMENT_CHARACTER);
    }
}
