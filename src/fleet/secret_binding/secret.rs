//! Texts that are nobody's business.

use alloc::string::String;
use core::fmt;
use core::mem;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize;

use crate::fleet::document::{At, Field, Problems, Reason};
use crate::fleet::text::TextError;
use crate::limits::SECRET_VALUE_MAX;

use super::BindingError;

/// A text that may be secret: not shown by `Debug`, not cloned, overwritten when it is dropped.
///
/// Only what is in here is overwritten. A program that had the text before, a parser that took an escape
/// apart, the kernel's buffers: they have copies of their own.
pub struct SecretText(String);

impl SecretText {
    /// Takes a text over, without a copy.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn secret_str(&self) -> &str {
        &self.0
    }
}

impl Drop for SecretText {
    fn drop(&mut self) {
        let mut bytes = mem::take(&mut self.0).into_bytes();
        // What lies behind the end may be of a longer text that was here before.
        bytes.resize(bytes.capacity(), 0);
        bytes.as_mut_slice().zeroize();
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// The value of a secret as an HTTP header can carry it: 1 to [`SECRET_VALUE_MAX`] bytes without control
/// characters, so that it cannot end its header and begin another.
///
/// ```
/// use mvm_core::secret_binding::SecretValue;
///
/// let value = SecretValue::new("sk-1:2=3".to_owned())?;
/// assert_eq!(value.secret_str(), "sk-1:2=3");
/// assert_eq!(format!("{value:?}"), "SecretValue(..)");
/// assert!(SecretValue::new("sk-1\r\nHost: evil".to_owned()).is_err());
/// # Ok::<(), mvm_core::text::TextError>(())
/// ```
pub struct SecretValue(SecretText);

impl SecretValue {
    /// Takes a text over.
    ///
    /// # Errors
    /// [`TextError`], which holds nothing of the text.
    pub fn new(text: String) -> Result<Self, TextError> {
        // Also when it is refused it is overwritten.
        let text = SecretText::new(text);
        check(text.secret_str())?;
        Ok(Self(text))
    }

    /// The value.
    #[must_use]
    pub fn secret_str(&self) -> &str {
        self.0.secret_str()
    }
}

fn check(text: &str) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    let (len, max) = (text.len(), SECRET_VALUE_MAX);
    if len > max {
        return Err(TextError::TooLong { len, max });
    }
    match text.char_indices().find(|(_, found)| found.is_control()) {
        Some((at, _)) => Err(TextError::InvalidCharacter { at }),
        None => Ok(()),
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(..)")
    }
}

impl Serialize for SecretValue {
    /// Writes the value: a document with secrets is a secret.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.secret_str())
    }
}

impl<'de> Deserialize<'de> for SecretValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::fleet::document::deserialize(deserializer, "SecretValue")
    }
}

/// The mirror of a value, as careful as the value itself.
#[doc(hidden)]
#[allow(clippy::exhaustive_enums)] // a text is borrowed or it is not
pub enum RawSecret<'a> {
    Borrowed(&'a str),
    Owned(SecretText),
}

impl<'de: 'a, 'a> Deserialize<'de> for RawSecret<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecretVisitor;

        impl<'de> Visitor<'de> for SecretVisitor {
            type Value = RawSecret<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(RawSecret::Borrowed(text))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                self.visit_string(text.into())
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(RawSecret::Owned(SecretText::new(text)))
            }
        }

        deserializer.deserialize_string(SecretVisitor)
    }
}

impl Field for SecretValue {
    type Raw<'a> = RawSecret<'a>;

    fn read(raw: RawSecret<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let text = match raw {
            RawSecret::Borrowed(text) => SecretText::new(text.into()),
            RawSecret::Owned(text) => text,
        };
        match check(text.secret_str()) {
            Ok(()) => Some(Self(text)),
            Err(error) => {
                problems.add(at, Reason::Binding(BindingError::Value(error)));
                None
            }
        }
    }

    fn raw(&self) -> RawSecret<'_> {
        RawSecret::Borrowed(self.secret_str())
    }
}
