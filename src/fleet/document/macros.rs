//! Documents from one description each: the type, its mirror, and how one becomes the other.

/// The codec of a member: its own, unless another one is named.
macro_rules! codec {
    () => {
        $crate::fleet::document::Plain
    };
    ($codec:ty) => {
        $codec
    };
}
pub(crate) use codec;

/// `Serialize`, `Deserialize` and the inherent functions of a document, over its [`Field`](super::Field) and
/// serde's derive with `remote = "Self"`.
macro_rules! document_impls {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if !serializer.is_human_readable() {
                    return Err(serde::ser::Error::custom(concat!(
                        stringify!($name),
                        " is JSON only"
                    )));
                }
                Self::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            /// Checks each value, but not the rules between values: see [`validate`](Self::validate).
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::fleet::document::deserialize(deserializer, stringify!($name))
            }
        }

        impl $crate::fleet::document::Document for $name {
            const NAME: &'static str = stringify!($name);
        }

        impl $name {
            /// Checks the rules between values, which the type itself does not hold.
            ///
            /// # Errors
            /// [`Invalid`](crate::document::Invalid) with every problem.
            pub fn validate(&self) -> Result<(), $crate::document::Invalid> {
                $crate::fleet::document::Document::validate(self)
            }
        }
    };
}
pub(crate) use document_impls;

/// A struct of a document.
///
/// ```text
/// document! {
///     /// Documentation.
///     #[derive(Eq)]                       // beside Debug, Clone, PartialEq and serde's
///     pub struct Name [deny_unknown_fields] rules(function) {
///         /// Documentation.
///         member: Type,
///         other: Option<TemplateId> as EmptyIsNone
///             [default; serialize_with = "EmptyIsNone::serialize"],
///     }
/// }
/// ```
///
/// In brackets serde's attributes: those of the mirror, and behind a semicolon those of writing.
/// `rules` is a `fn(&<Name as Field>::Raw<'_>, &At<'_>, &mut Problems)`, which runs before the rules of the
/// members. A type that holds secrets is no `Clone`: it begins with `@derive(Debug, serde::Serialize)` and has
/// no other derives.
macro_rules! document {
    (
        @derive($($derive:path),+)
        $(#[$meta:meta])*
        pub struct $name:ident $([$($container:meta),+])? $(rules($rules:path))? {
            $(
                $(#[$field_meta:meta])*
                $field:ident : $ty:ty $(as $codec:ident)? $([$($de:meta),* $(; $($ser:meta),+)?])?
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive($($derive),+)]
        #[serde(remote = "Self")]
        // Closed: exactly the members that 0.13.0 writes.
        #[allow(clippy::exhaustive_structs)]
        pub struct $name {
            $(
                $(#[$field_meta])*
                $($($(#[serde($ser)])+)?)?
                pub $field: $ty,
            )*
        }

        #[allow(unreachable_pub, missing_docs, clippy::exhaustive_structs)]
        const _: () = {
            use $crate::fleet::document::{At, Codec, Field, Problems};

            #[derive(serde::Deserialize)]
            $(#[serde($($container),+)])?
            #[serde(remote = "Self", expecting = "an object")]
            pub struct Raw<'a> {
                $(
                    $($(#[serde($de)])*)?
                    #[serde(borrow)]
                    pub $field: <$crate::fleet::document::codec!($($codec)?) as Codec<$ty>>::Raw<'a>,
                )*
            }

            impl<'de: 'a, 'a> serde::Deserialize<'de> for Raw<'a> {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    Raw::deserialize($crate::fleet::document::Objects(deserializer))
                }
            }

            impl Field for $name {
                type Raw<'a> = Raw<'a>;

                fn read(raw: Raw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
                    $(
                        let $field = <$crate::fleet::document::codec!($($codec)?) as Codec<$ty>>::read(
                            raw.$field,
                            &at.member(stringify!($field)),
                            problems,
                        );
                    )*
                    Some(Self { $($field: $field?),* })
                }

                fn raw(&self) -> Raw<'_> {
                    Raw {
                        $($field: <$crate::fleet::document::codec!($($codec)?) as Codec<$ty>>::raw(&self.$field)),*
                    }
                }

                fn rules(raw: &Raw<'_>, at: &At<'_>, problems: &mut Problems) {
                    $($rules(raw, at, problems);)?
                    $(
                        <$crate::fleet::document::codec!($($codec)?) as Codec<$ty>>::rules(
                            &raw.$field,
                            &at.member(stringify!($field)),
                            problems,
                        );
                    )*
                }
            }
        };

        $crate::fleet::document::document_impls!($name);
    };
    ($($description:tt)*) => {
        $crate::fleet::document::document! {
            @derive(Debug, Clone, PartialEq, serde::Serialize)
            $($description)*
        }
    };
}
pub(crate) use document;

/// An enum of a document whose variants hold something; one name, one value, as serde's externally tagged
/// ones. Variants are units, structs, or tuples of one, whose value is given a name.
///
/// ```text
/// document_enum! {
///     /// Documentation.
///     pub enum Name {
///         /// Documentation.
///         Unit,
///         /// Documentation.
///         Tuple(value: Type) as "tuple",
///         /// Documentation.
///         Struct {
///             /// Documentation.
///             member: Type [default],
///         },
///     }
/// }
/// ```
macro_rules! document_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $(
                $(#[$variant_meta:meta])*
                $variant:ident
                $(($value:ident : $inner:ty))?
                $({$(
                    $(#[$field_meta:meta])*
                    $field:ident : $ty:ty $(as $codec:ident)? $([$($de:meta),* $(; $($ser:meta),+)?])?
                ),* $(,)?})?
                $(as $text:literal)?
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[serde(remote = "Self")]
        // Closed: exactly the variants that 0.13.0 knows; it refuses any other.
        #[allow(clippy::exhaustive_enums)]
        pub enum $name {
            $(
                $(#[$variant_meta])*
                $(#[serde(rename = $text)])?
                $variant
                $(($inner))?
                $({$(
                    $(#[$field_meta])*
                    $($($(#[serde($ser)])+)?)?
                    $field: $ty,
                )*})?
            ),*
        }

        #[allow(unused_imports, unreachable_pub, missing_docs, clippy::exhaustive_enums)]
        const _: () = {
            use $crate::fleet::document::{At, Codec, Field, Problems, variant_name};

            #[derive(serde::Deserialize)]
            #[serde(remote = "Self")]
            pub enum Raw<'a> {
                $(
                    $(#[serde(rename = $text)])?
                    $variant
                    $((#[serde(borrow)] <$inner as Field>::Raw<'a>))?
                    $({$(
                        $($(#[serde($de)])*)?
                        #[serde(borrow)]
                        $field: <$crate::fleet::document::codec!($($codec)?) as Codec<$ty>>::Raw<'a>,
                    )*})?,
                )*
                // Some of these enums borrow nothing.
                #[doc(hidden)]
                #[serde(skip)]
                Never(core::convert::Infallible, core::marker::PhantomData<&'a ()>),
            }

            impl<'de: 'a, 'a> serde::Deserialize<'de> for Raw<'a> {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    Raw::deserialize($crate::fleet::document::Objects(deserializer))
                }
            }

            impl Field for $name {
                type Raw<'a> = Raw<'a>;

                #[allow(unused_variables)]
                fn read(raw: Raw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
                    match raw {
                        $(
                            Raw::$variant $(($value))? $({$($field),*})? => {
                                let at = at.member(variant_name!($variant $($text)?));
                                $(let $value = <$inner as Field>::read($value, &at, problems);)?
                                $($(
                                    let $field = <$crate::fleet::document::codec!($($codec)?) as Codec<$ty>>::read(
                                        $field,
                                        &at.member(stringify!($field)),
                                        problems,
                                    );
                                )*)?
                                Some(Self::$variant $(($value?))? $({$($field: $field?),*})?)
                            }
                        )*
                        Raw::Never(never, _) => match never {},
                    }
                }

                fn raw(&self) -> Raw<'_> {
                    match self {
                        $(
                            Self::$variant $(($value))? $({$($field),*})? => Raw::$variant
                                $((<$inner as Field>::raw($value)))?
                                $({$(
                                    $field: <$crate::fleet::document::codec!($($codec)?) as Codec<$ty>>::raw($field)
                                ),*})?,
                        )*
                    }
                }

                #[allow(unused_variables)]
                fn rules(raw: &Raw<'_>, at: &At<'_>, problems: &mut Problems) {
                    match raw {
                        $(
                            Raw::$variant $(($value))? $({$($field),*})? => {
                                let at = at.member(variant_name!($variant $($text)?));
                                $(<$inner as Field>::rules($value, &at, problems);)?
                                $($(
                                    <$crate::fleet::document::codec!($($codec)?) as Codec<$ty>>::rules(
                                        $field,
                                        &at.member(stringify!($field)),
                                        problems,
                                    );
                                )*)?
                            }
                        )*
                        Raw::Never(never, _) => match *never {},
                    }
                }
            }
        };

        $crate::fleet::document::document_impls!($name);
    };
}
pub(crate) use document_enum;

/// The mirror of a type that is not made by [`document!`]: a struct of its members' mirrors, and another one of
/// what can be read of them. The type's own [`Field`](super::Field) is written by hand over these.
///
/// ```text
/// mirror! {
///     NameRaw, NameValues {
///         member: Type [default],
///     }
/// }
/// ```
macro_rules! mirror {
    (
        $raw:ident, $values:ident {
            $( $field:ident : $ty:ty $([$($de:meta),+])? ),+ $(,)?
        }
    ) => {
        #[derive(serde::Deserialize)]
        #[serde(remote = "Self", expecting = "an object")]
        #[allow(unreachable_pub, missing_docs, clippy::exhaustive_structs)]
        pub struct $raw<'a> {
            $(
                $($(#[serde($de)])+)?
                #[serde(borrow)]
                $field: <$ty as $crate::fleet::document::Field>::Raw<'a>,
            )+
        }

        impl<'de: 'a, 'a> serde::Deserialize<'de> for $raw<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $raw::deserialize($crate::fleet::document::Objects(deserializer))
            }
        }

        /// Each value that is valid.
        struct $values {
            $( $field: Option<$ty>, )+
        }

        impl $raw<'_> {
            /// Reads every value, and tells of those that are not valid.
            fn values(
                self,
                at: &$crate::fleet::document::At<'_>,
                problems: &mut $crate::fleet::document::Problems,
            ) -> $values {
                $values {
                    $(
                        $field: <$ty as $crate::fleet::document::Field>::read(
                            self.$field,
                            &at.member(stringify!($field)),
                            problems,
                        ),
                    )+
                }
            }
        }
    };
}
pub(crate) use mirror;

macro_rules! variant_name {
    ($variant:ident) => {
        stringify!($variant)
    };
    ($variant:ident $text:literal) => {
        $text
    };
}
pub(crate) use variant_name;

/// A closed set of names: `as_str`, `ALL`, `Display`, `FromStr`, serde as a string.
macro_rules! names {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $text:literal ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        // Closed: exactly the names that 0.13.0 knows; it refuses any other.
        #[allow(clippy::exhaustive_enums)]
        pub enum $name {
            $( $(#[$variant_meta])* #[serde(rename = $text)] $variant ),+
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }

            const KNOWN: &'static str = $crate::fleet::document::known_names!($($text),+);
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl core::str::FromStr for $name {
            type Err = $crate::document::Reason;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::document::Reason::UnknownName { known: Self::KNOWN }),
                }
            }
        }

        $crate::fleet::document::text_fields! {
            displayed $name => |reason| reason;
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::fleet::document::deserialize(deserializer, stringify!($name))
            }
        }

        impl $crate::fleet::document::Document for $name {
            const NAME: &'static str = stringify!($name);
        }
    };
}
pub(crate) use names;

macro_rules! known_names {
    ($first:literal $(, $more:literal)*) => {
        concat!($first $(, ", ", $more)*)
    };
}
pub(crate) use known_names;
