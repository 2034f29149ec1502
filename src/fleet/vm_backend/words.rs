//! Ids, paths and names of files.

use alloc::boxed::Box;

use crate::fleet::document::{Reason, text_fields};
use crate::fleet::text::{TextError, boxed_text};
use crate::limits::{FILE_NAME_MAX, PATH_MAX, VM_ID_MAX};

/// The id that a backend gave a virtual machine: 1 to 128 of `[0-9A-Za-z_.-]`, the first a letter or a digit.
///
/// Names of this crate and the ids of container engines are such; it can stand in a path, in a URL and, as it
/// does not begin with a hyphen, among the arguments of a program.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VmId(Box<str>);

/// An absolute path as text: up to 4,095 bytes, without NUL and other control characters, without the
/// components `.` and `..`, empty ones, and a slash at the end; `/` alone is one.
///
/// 0.13.0 has a `PathBuf` here, which is of the standard library; in JSON the two are the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsolutePath(Box<str>);

/// The name of a file: a single component of a path, up to 255 bytes, without control characters, neither
/// `.` nor `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Box<str>);

fn length(text: &str, max: usize) -> Result<(), TextError> {
    match text.len() {
        0 => Err(TextError::Empty),
        len if len > max => Err(TextError::TooLong { len, max }),
        _ => Ok(()),
    }
}

fn no_control(text: &str) -> Result<(), TextError> {
    match text.char_indices().find(|(_, found)| found.is_control()) {
        Some((at, _)) => Err(TextError::InvalidCharacter { at }),
        None => Ok(()),
    }
}

impl VmId {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn new(text: &str) -> Result<Self, TextError> {
        length(text, VM_ID_MAX)?;
        let wrong = text.bytes().enumerate().position(|(at, byte)| {
            let mark = at > 0 && matches!(byte, b'_' | b'.' | b'-');
            !byte.is_ascii_alphanumeric() && !mark
        });
        match wrong {
            Some(at) => Err(TextError::InvalidCharacter { at }),
            None => Ok(Self(text.into())),
        }
    }
}

impl AbsolutePath {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// [`TextError`]; a component that is not allowed is an [`InvalidCharacter`](TextError::InvalidCharacter)
    /// where it begins.
    pub fn new(text: &str) -> Result<Self, TextError> {
        length(text, PATH_MAX)?;
        no_control(text)?;
        let rest = text
            .strip_prefix('/')
            .ok_or(TextError::InvalidCharacter { at: 0 })?;
        let mut at = 1_usize;
        for component in rest.split('/').filter(|_| !rest.is_empty()) {
            if matches!(component, "" | "." | "..") {
                return Err(TextError::InvalidCharacter { at });
            }
            at = at.saturating_add(component.len()).saturating_add(1);
        }
        Ok(Self(text.into()))
    }
}

impl FileName {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn new(text: &str) -> Result<Self, TextError> {
        length(text, FILE_NAME_MAX)?;
        no_control(text)?;
        if matches!(text, "." | "..") {
            return Err(TextError::InvalidCharacter { at: 0 });
        }
        match text.find('/') {
            Some(at) => Err(TextError::InvalidCharacter { at }),
            None => Ok(Self(text.into())),
        }
    }
}

boxed_text!(VmId, TextError);
boxed_text!(AbsolutePath, TextError);
boxed_text!(FileName, TextError);

text_fields! {
    borrowed VmId => Reason::Text;
    borrowed AbsolutePath => Reason::Text;
    borrowed FileName => Reason::Text;
}

impl crate::fleet::document::Document for VmId {
    const NAME: &'static str = "VmId";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammars() {
        for (text, id, path, name) in [
            ("my-vm", true, false, true),
            ("9f86d081884c7d65", true, false, true),
            ("", false, false, false),
            (".", false, false, false),
            ("..", false, false, false),
            ("-x", false, false, true),
            ("a b", false, false, true),
            ("a/b", false, false, false),
            ("é", false, false, true),
            ("/", false, true, false),
            ("/run/mvm/guest.sock", false, true, false),
            ("/run/", false, false, false),
            ("//run", false, false, false),
            ("/run/../etc", false, false, false),
            ("/run/./x", false, false, false),
            ("/..", false, false, false),
            ("/a\nb", false, false, false),
            ("/a\0", false, false, false),
            ("a\0", false, false, false),
            ("run/x", false, false, false),
        ] {
            assert_eq!(VmId::new(text).is_ok(), id, "id {text:?}");
            assert_eq!(AbsolutePath::new(text).is_ok(), path, "path {text:?}");
            assert_eq!(FileName::new(text).is_ok(), name, "name {text:?}");
        }
        let text = "a".repeat(FILE_NAME_MAX + 1);
        assert!(VmId::new(&text[..VM_ID_MAX]).is_ok());
        assert!(VmId::new(&text[..=VM_ID_MAX]).is_err());
        assert!(FileName::new(&text[..FILE_NAME_MAX]).is_ok());
        assert!(FileName::new(&text).is_err());
        let path = alloc::format!("/{}", "a".repeat(PATH_MAX));
        assert!(AbsolutePath::new(&path).is_err());
        assert!(AbsolutePath::new(&path[..PATH_MAX]).is_ok());
        assert_eq!(
            AbsolutePath::new("/run/../x"),
            Err(TextError::InvalidCharacter { at: 5 })
        );
    }
}
