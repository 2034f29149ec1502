//! What all validated texts have in common: storage, traits, literals, serde.

use core::{fmt, marker::PhantomData};

use heapless::{LenType, String};
use serde::{Deserializer, de};

/// A literal that was checked while the program was compiled; the macro [`id!`](crate::id) turns
/// it into a value of type `T` without a way to fail.
pub struct Literal<T> {
    text: &'static str,
    of: PhantomData<fn() -> T>,
}

impl<T> Literal<T> {
    /// The caller has checked the text.
    pub(super) const fn checked(text: &'static str) -> Self {
        Self {
            text,
            of: PhantomData,
        }
    }

    pub(super) const fn text(&self) -> &'static str {
        self.text
    }
}

impl<T> fmt::Debug for Literal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

/// A validated id, host name or other text from a literal, checked when the program is compiled.
///
/// The first argument is the name of a type of [`naming`](crate::naming) that has a `literal`
/// function.
///
/// ```
/// use mvm_core::{id, naming::TenantId};
///
/// let tenant: TenantId = id!(TenantId, "acme");
/// assert_eq!(tenant.as_str(), "acme");
/// ```
///
/// An invalid literal does not compile:
///
/// ```compile_fail
/// let tenant = mvm_core::id!(TenantId, "Acme");
/// ```
#[macro_export]
macro_rules! id {
    ($kind:ident, $text:expr) => {{
        #[allow(clippy::panic)] // At compile time only: the initialiser of a const.
        const LITERAL: $crate::naming::Literal<$crate::naming::$kind> =
            match $crate::naming::$kind::literal($text) {
                Some(literal) => literal,
                None => panic!(concat!("not a valid ", stringify!($kind))),
            };
        $crate::naming::$kind::from(LITERAL)
    }};
}

/// Copies a validated text. It fits: the capacity of each type is the length that its check allows.
/// (To have nothing to report here is a third of the code of every constructor.)
pub(super) fn store<const N: usize, L: LenType>(text: &str) -> String<N, L> {
    let mut stored = String::new();
    let _ = stored.push_str(text);
    stored
}

/// Reads a string and gives it to `parse`. Borrows from the input where the format can.
pub(super) fn deserialize<'de, T, E, D>(
    deserializer: D,
    expecting: &'static str,
    parse: fn(&str) -> Result<T, E>,
) -> Result<T, D::Error>
where
    E: fmt::Display,
    D: Deserializer<'de>,
{
    deserializer.deserialize_str(TextVisitor { expecting, parse })
}

struct TextVisitor<T, E> {
    expecting: &'static str,
    parse: fn(&str) -> Result<T, E>,
}

impl<T, E: fmt::Display> de::Visitor<'_> for TextVisitor<T, E> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<F: de::Error>(self, text: &str) -> Result<T, F> {
        (self.parse)(text).map_err(F::custom)
    }
}

/// The traits of a type that shows a `str`: a struct with `fn as_str(&self) -> &str` and
/// `fn $parse(&str) -> Result<Self, $error>`.
macro_rules! text_traits {
    ($name:ident, $error:ty, $parse:ident) => {
        impl core::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                self.as_str()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl core::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        // As `str` does: `Borrow` asks for the same equality, order and hash.
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.as_str() == other.as_str()
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> core::cmp::Ordering {
                self.as_str().cmp(other.as_str())
            }
        }

        impl core::hash::Hash for $name {
            fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.as_str())
            }
        }

        // Without escapes: no text of this module holds anything that needs one, and the tables
        // for them are large.
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), "(\""))?;
                f.write_str(self.as_str())?;
                f.write_str("\")")
            }
        }

        impl core::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::$parse(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $error;

            fn try_from(text: &str) -> Result<Self, $error> {
                Self::$parse(text)
            }
        }
    };
}
pub(super) use text_traits;

/// `Serialize` and `Deserialize` as a string, in every format.
macro_rules! text_serde {
    ($name:ident, $expecting:literal) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::names::text::deserialize(deserializer, $expecting, Self::new)
            }
        }
    };
}
pub(super) use text_serde;

/// A newtype over a `heapless::String` with a checking function.
macro_rules! text_newtype {
    ($(#[$meta:meta])* $name:ident($capacity:expr, $len:ty), $error:ty, $expecting:literal,
     $check:ident($($with:expr),*)) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub struct $name(heapless::String<{ $capacity }, $len>);

        impl $name {
            /// Checks and copies `text`.
            ///
            /// # Errors
            /// The first rule of the type that `text` breaks.
            pub fn new(text: &str) -> Result<Self, $error> {
                Self::check(text)?;
                Ok(Self::checked(text))
            }

            /// A text that was checked.
            pub(super) fn checked(text: &str) -> Self {
                Self(crate::names::text::store(text))
            }

            const fn check(text: &str) -> Result<(), $error> {
                $check(text $(, $with)*)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// For [`id!`](crate::id): the literal, if it is valid.
            pub const fn literal(text: &'static str) -> Option<crate::names::text::Literal<Self>> {
                match Self::check(text) {
                    Ok(()) => Some(crate::names::text::Literal::checked(text)),
                    Err(_) => None,
                }
            }
        }

        impl From<crate::names::text::Literal<$name>> for $name {
            fn from(literal: crate::names::text::Literal<$name>) -> Self {
                Self::checked(literal.text())
            }
        }

        crate::names::text::text_traits!($name, $error, new);
        crate::names::text::text_serde!($name, $expecting);
    };
}
pub(super) use text_newtype;
