//! Which members of a document nobody reads.
//!
//! A deserializer around serde's that keeps the path to where it is, and tells of each value that is
//! thrown away. (`serde_ignored` does the same, but leaves the variants of enums out of its paths.)

use alloc::borrow::Cow;
use core::fmt;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::{At, Text};

/// Reads an `R`, and tells of the places of the values that it threw away, in the order of the text.
/// Reading ends where the text has not the shape of an `R`.
pub(super) fn members<'de, R: serde::Deserialize<'de>>(
    json: &'de [u8],
    tell: &mut dyn FnMut(&At<'_>),
) {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    // Callers know that the shape is right.
    let _ = R::deserialize(Watch {
        inner: &mut deserializer,
        at: &At::ROOT,
        tell,
    });
}

/// A deserializer, a visitor, a seed or the access to an enum, at a place.
struct Watch<'w, X> {
    inner: X,
    at: &'w At<'w>,
    tell: &'w mut dyn FnMut(&At<'_>),
}

macro_rules! deserializer {
    ($($method:ident($($name:ident: $ty:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $ty,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = Watch { inner: visitor, at: self.at, tell: self.tell };
            self.inner.$method($($name,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Watch<'_, D> {
    type Error = D::Error;

    deserializer! {
        deserialize_any() deserialize_bool()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char()
        deserialize_str() deserialize_string() deserialize_bytes() deserialize_byte_buf()
        deserialize_option() deserialize_unit() deserialize_seq() deserialize_map()
        deserialize_identifier()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        (self.tell)(self.at);
        self.inner.deserialize_ignored_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! visitor {
    ($($method:ident($($name:ident: $ty:ty)?))*) => {$(
        fn $method<E: Error>(self $(, $name: $ty)?) -> Result<V::Value, E> {
            self.inner.$method($($name)?)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watch<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visitor! {
        visit_bool(value: bool)
        visit_i8(value: i8) visit_i16(value: i16) visit_i32(value: i32) visit_i64(value: i64)
        visit_i128(value: i128)
        visit_u8(value: u8) visit_u16(value: u16) visit_u32(value: u32) visit_u64(value: u64)
        visit_u128(value: u128)
        visit_f32(value: f32) visit_f64(value: f64) visit_char(value: char)
        visit_str(value: &str) visit_borrowed_str(value: &'de str)
        visit_string(value: alloc::string::String)
        visit_bytes(value: &[u8]) visit_borrowed_bytes(value: &'de [u8])
        visit_byte_buf(value: alloc::vec::Vec<u8>)
        visit_none() visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, some: D) -> Result<V::Value, D::Error> {
        let deserializer = Watch {
            inner: some,
            at: self.at,
            tell: self.tell,
        };
        self.inner.visit_some(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let deserializer = Watch {
            inner,
            at: self.at,
            tell: self.tell,
        };
        self.inner.visit_newtype_struct(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Items {
            inner: seq,
            at: self.at,
            tell: self.tell,
            next: 0,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Members {
            inner: map,
            at: self.at,
            tell: self.tell,
            name: Text::default(),
        })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        let access = Watch {
            inner: data,
            at: self.at,
            tell: self.tell,
        };
        self.inner.visit_enum(access)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Watch<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Watch {
            inner: deserializer,
            at: self.at,
            tell: self.tell,
        })
    }
}

struct Items<'w, A> {
    inner: A,
    at: &'w At<'w>,
    tell: &'w mut dyn FnMut(&At<'_>),
    next: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Items<'_, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        let at = self.at.item(self.next);
        self.next = self.next.saturating_add(1);
        self.inner.next_element_seed(Watch {
            inner: seed,
            at: &at,
            tell: self.tell,
        })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct Members<'w, 'de, A> {
    inner: A,
    at: &'w At<'w>,
    tell: &'w mut dyn FnMut(&At<'_>),
    name: Text<'de>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        // No document has other names than texts.
        let Some(name) = self.inner.next_key::<Text<'de>>()? else {
            return Ok(None);
        };
        self.name = name;
        read_name(&self.name, seed).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        let at = self.at.member(&self.name);
        self.inner.next_value_seed(Watch {
            inner: seed,
            at: &at,
            tell: self.tell,
        })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

/// Gives a name that was read here to who wanted to read it.
fn read_name<'de, S: DeserializeSeed<'de>, E: Error>(
    name: &Text<'de>,
    seed: S,
) -> Result<S::Value, E> {
    match &name.0 {
        Cow::Borrowed(name) => seed.deserialize(BorrowedStrDeserializer::new(name)),
        Cow::Owned(name) => seed.deserialize(StrDeserializer::new(name)),
    }
}

impl<'w, 'de, A: EnumAccess<'de>> EnumAccess<'de> for Watch<'w, A> {
    type Error = A::Error;
    type Variant = Variant<'w, 'de, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (name, access) = self.inner.variant::<Text<'de>>()?;
        let value = read_name(&name, seed)?;
        let variant = Variant {
            inner: access,
            at: self.at,
            tell: self.tell,
            name,
        };
        Ok((value, variant))
    }
}

/// What a variant holds.
struct Variant<'w, 'de, A> {
    inner: A,
    at: &'w At<'w>,
    tell: &'w mut dyn FnMut(&At<'_>),
    name: Text<'de>,
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Variant<'_, 'de, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.inner.newtype_variant_seed(Watch {
            inner: seed,
            at: &self.at.member(&self.name),
            tell: self.tell,
        })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = Watch {
            inner: visitor,
            at: &self.at.member(&self.name),
            tell: self.tell,
        };
        self.inner.tuple_variant(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = Watch {
            inner: visitor,
            at: &self.at.member(&self.name),
            tell: self.tell,
        };
        self.inner.struct_variant(fields, visitor)
    }
}
