//! How a value is read in two steps: first whatever has its shape, then what is valid.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr};
use core::num::NonZeroU16;
use core::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::at::At;
use super::problem::{Problems, Reason};

/// A value of a document.
///
/// Its mirror, [`Raw`](Self::Raw), holds whatever has the right shape. A document is parsed into its mirror,
/// so that every value that is not valid can be told of, and then read from there.
pub trait Field: Sized {
    /// The mirror: the shape without the rules.
    type Raw<'a>: Deserialize<'a>;

    /// The value, if it is valid. Otherwise `None`, and the problems have at least one more.
    fn read(raw: Self::Raw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self>;

    /// The mirror of a value.
    fn raw(&self) -> Self::Raw<'_>;

    /// Rules *between* values, of this one and all below it: what the documentation of the type says.
    /// They look at mirrors, so they can be told of along with everything else.
    fn rules(raw: &Self::Raw<'_>, at: &At<'_>, problems: &mut Problems) {
        let _ = (raw, at, problems);
    }
}

/// Another way to write a `T` than its own, for single members.
pub trait Codec<T> {
    /// As [`Field::Raw`].
    type Raw<'a>: Deserialize<'a>;

    /// As [`Field::read`].
    fn read(raw: Self::Raw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<T>;

    /// As [`Field::raw`].
    fn raw(value: &T) -> Self::Raw<'_>;

    /// As [`Field::rules`].
    fn rules(raw: &Self::Raw<'_>, at: &At<'_>, problems: &mut Problems) {
        let _ = (raw, at, problems);
    }
}

/// A type's own way.
pub struct Plain;

impl<T: Field> Codec<T> for Plain {
    type Raw<'a> = T::Raw<'a>;

    fn read(raw: T::Raw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<T> {
        T::read(raw, at, problems)
    }

    fn raw(value: &T) -> T::Raw<'_> {
        value.raw()
    }

    fn rules(raw: &T::Raw<'_>, at: &At<'_>, problems: &mut Problems) {
        T::rules(raw, at, problems);
    }
}

/// `None` is the empty text: 0.13.0's members that default to `""`.
pub struct EmptyIsNone;

impl<T> Codec<Option<T>> for EmptyIsNone
where
    T: for<'a> Field<Raw<'a> = Text<'a>>,
{
    type Raw<'a> = Text<'a>;

    fn read(raw: Text<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Option<T>> {
        if raw.is_empty() {
            return Some(None);
        }
        T::read(raw, at, problems).map(Some)
    }

    fn raw(value: &Option<T>) -> Text<'_> {
        value.as_ref().map(Field::raw).unwrap_or_default()
    }
}

impl EmptyIsNone {
    /// For `#[serde(serialize_with)]`.
    pub(crate) fn serialize<T, S: serde::Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error>
    where
        T: for<'a> Field<Raw<'a> = Text<'a>>,
    {
        serializer.serialize_str(&<Self as Codec<Option<T>>>::raw(value))
    }
}

/// Any text: borrowed from the document where that has it as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text<'a>(pub Cow<'a, str>);

impl core::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }

        deserializer.deserialize_string(TextVisitor)
    }
}

/// Reads a text that has a grammar.
pub(crate) fn parse<T: FromStr>(
    text: &str,
    at: &At<'_>,
    problems: &mut Problems,
    reason: impl FnOnce(T::Err) -> Reason,
) -> Option<T> {
    match text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            problems.add(at, reason(error));
            None
        }
    }
}

/// Types that are texts in a document and come in through `FromStr`. `borrowed` ones have the text
/// themselves, `displayed` ones write it.
macro_rules! text_fields {
    (@raw borrowed $value:expr) => {
        $crate::fleet::document::Text::from(AsRef::<str>::as_ref($value))
    };
    (@raw displayed $value:expr) => {
        $crate::fleet::document::Text(alloc::borrow::Cow::Owned(alloc::string::ToString::to_string($value)))
    };
    ($($how:ident $ty:ty => $reason:expr;)*) => {$(
        impl $crate::fleet::document::Field for $ty {
            type Raw<'a> = $crate::fleet::document::Text<'a>;

            fn read(
                raw: Self::Raw<'_>,
                at: &$crate::fleet::document::At<'_>,
                problems: &mut $crate::fleet::document::Problems,
            ) -> Option<Self> {
                $crate::fleet::document::parse(&raw, at, problems, $reason)
            }

            fn raw(&self) -> Self::Raw<'_> {
                $crate::fleet::document::text_fields!(@raw $how self)
            }
        }
    )*};
}
pub(crate) use text_fields;

/// Types that are numbers in a document and come in through `TryFrom`.
macro_rules! number_fields {
    ($($ty:ty as $number:ty => $reason:expr;)*) => {$(
        impl Field for $ty {
            type Raw<'a> = $number;

            fn read(raw: $number, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
                match <$ty>::new(raw) {
                    Ok(value) => Some(value),
                    Err(error) => {
                        problems.add(at, $reason(error));
                        None
                    }
                }
            }

            fn raw(&self) -> $number {
                (*self).get()
            }
        }
    )*};
}

/// Types whose shape says it all: each is its own mirror.
macro_rules! plain_fields {
    ($($ty:ty),* $(,)?) => {$(
        impl $crate::fleet::document::Field for $ty {
            type Raw<'a> = Self;

            fn read(
                raw: Self,
                _: &$crate::fleet::document::At<'_>,
                _: &mut $crate::fleet::document::Problems,
            ) -> Option<Self> {
                Some(raw)
            }

            fn raw(&self) -> Self {
                self.clone()
            }
        }
    )*};
}
pub(crate) use plain_fields;

plain_fields! {
    bool, u8, u16, u32, u64, serde_json::Value,
}

use crate::{idle_metrics, instance, names, policy, time};

text_fields! {
    borrowed names::TenantId => Reason::Id;
    borrowed names::PoolId => Reason::Id;
    borrowed names::InstanceId => Reason::Id;
    borrowed names::NodeId => Reason::Id;
    borrowed names::SignerId => Reason::Id;
    borrowed names::TemplateId => Reason::Id;
    borrowed names::VmName => Reason::Id;
    borrowed names::RevisionHash => Reason::RevisionHash;
    borrowed names::BridgeName => Reason::Net;
    borrowed names::TapName => Reason::Net;
    displayed names::MacAddr => Reason::Net;
    displayed time::Timestamp => Reason::Timestamp;
    displayed Ipv4Addr => |_| Reason::Address("IPv4");
    displayed IpAddr => |_| Reason::Address("IP");
}

/// Closed sets of names.
macro_rules! name_fields {
    ($($ty:ty => $known:literal;)*) => {
        text_fields! {$(
            displayed $ty => |_| Reason::UnknownName { known: $known };
        )*}
    };
}

name_fields! {
    policy::Role => "gateway, worker, builder, capability-imessage";
    instance::InstanceStatus => "created, ready, running, warm, sleeping, stopped, destroyed";
}

number_fields! {
    names::TenantNetId as u16 => Reason::Net;
    instance::PrefixLen as u8 => Reason::PrefixLen;
    instance::Pid as u32 => Reason::Pid;
    idle_metrics::CpuPercent as f32 => Reason::CpuPercent;
}

/// A number that is not 0: ports.
impl Field for NonZeroU16 {
    type Raw<'a> = u16;

    fn read(raw: u16, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let number = Self::new(raw);
        if number.is_none() {
            let (value, max) = (raw.into(), u16::MAX.into());
            problems.add(at, Reason::OutOfRange { value, min: 1, max });
        }
        number
    }

    fn raw(&self) -> u16 {
        self.get()
    }
}

impl Field for String {
    type Raw<'a> = Text<'a>;

    fn read(raw: Text<'_>, _: &At<'_>, _: &mut Problems) -> Option<Self> {
        Some(raw.0.into_owned())
    }

    fn raw(&self) -> Text<'_> {
        Text::from(self.as_str())
    }
}

impl<T: Field> Field for Option<T> {
    type Raw<'a> = Option<T::Raw<'a>>;

    fn read(raw: Self::Raw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        match raw {
            None => Some(None),
            Some(raw) => T::read(raw, at, problems).map(Some),
        }
    }

    fn raw(&self) -> Self::Raw<'_> {
        self.as_ref().map(Field::raw)
    }

    fn rules(raw: &Self::Raw<'_>, at: &At<'_>, problems: &mut Problems) {
        if let Some(raw) = raw {
            T::rules(raw, at, problems);
        }
    }
}

impl<T: Field> Field for Vec<T> {
    type Raw<'a> = Vec<T::Raw<'a>>;

    fn read(raw: Self::Raw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let wanted = raw.len();
        let mut all = Self::with_capacity(wanted);
        for (index, raw) in raw.into_iter().enumerate() {
            // What is wrong behind a bad one is told of all the same.
            if let Some(value) = T::read(raw, &at.item(index), problems) {
                all.push(value);
            }
        }
        (all.len() == wanted).then_some(all)
    }

    fn raw(&self) -> Self::Raw<'_> {
        self.iter().map(Field::raw).collect()
    }

    fn rules(raw: &Self::Raw<'_>, at: &At<'_>, problems: &mut Problems) {
        for (index, raw) in raw.iter().enumerate() {
            T::rules(raw, &at.item(index), problems);
        }
    }
}

impl<T: Field> Field for BTreeMap<String, T> {
    type Raw<'a> = BTreeMap<String, T::Raw<'a>>;

    fn read(raw: Self::Raw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let wanted = raw.len();
        let mut all = Self::new();
        for (name, raw) in raw {
            if let Some(value) = T::read(raw, &at.member(&name), problems) {
                all.insert(name, value);
            }
        }
        (all.len() == wanted).then_some(all)
    }

    fn raw(&self) -> Self::Raw<'_> {
        self.iter()
            .map(|(name, value)| (name.clone(), value.raw()))
            .collect()
    }

    fn rules(raw: &Self::Raw<'_>, at: &At<'_>, problems: &mut Problems) {
        for (name, raw) in raw {
            T::rules(raw, &at.member(name), problems);
        }
    }
}

impl<T: Field> Field for Box<T> {
    type Raw<'a> = Box<T::Raw<'a>>;

    fn read(raw: Self::Raw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        T::read(*raw, at, problems).map(Self::new)
    }

    fn raw(&self) -> Self::Raw<'_> {
        Box::new(self.as_ref().raw())
    }

    fn rules(raw: &Self::Raw<'_>, at: &At<'_>, problems: &mut Problems) {
        T::rules(raw, at, problems);
    }
}

/// Bytes of a fixed number: keys and signatures, arrays of numbers in JSON.
impl<const N: usize> Field for [u8; N] {
    type Raw<'a> = Vec<u8>;

    fn read(raw: Vec<u8>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let len = raw.len();
        let bytes = raw.try_into().ok();
        if bytes.is_none() {
            problems.add(at, Reason::WrongLength { len, wanted: N });
        }
        bytes
    }

    fn raw(&self) -> Vec<u8> {
        self.to_vec()
    }
}

/// The path and what is wrong, in one text: for errors of serde.
pub(super) fn first_problem(problems: Problems) -> String {
    problems.into_invalid().to_string()
}
