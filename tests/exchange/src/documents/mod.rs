//! Values of every document type, of both versions from one description each.
//!
//! A member that is a text in 0.13.0 has the name of its grammar behind a colon: our types are stricter than
//! those texts, and what is compared here is what both accept. Our own values come from our types alone.

use crate::exchange::{Both, Effort, Seen};

mod agent;
mod audit;
mod catalog;
mod dev_network;
mod instance;
mod metrics;
mod node;
mod pool;
mod protocol;
mod routing;
mod secret_binding;
mod security;
mod signing;
mod template;
mod tenant;
mod text;
mod vm_backend;

/// One type of both versions.
pub struct Pair {
    /// Its name in 0.13.0.
    pub name: &'static str,
    /// [`exchange::ours`](crate::exchange::ours).
    pub ours: fn(Effort) -> Result<Seen, String>,
    /// [`exchange::theirs`](crate::exchange::theirs).
    pub theirs: fn(Effort) -> Result<Seen, String>,
    /// [`exchange::changed`](crate::exchange::changed).
    pub changed: fn(Effort) -> Result<Seen, String>,
    /// [`exchange::both`](crate::exchange::both).
    pub both: fn(&str) -> Both,
}

/// All of them.
pub fn pairs() -> Vec<Pair> {
    [
        agent::pairs(),
        audit::pairs(),
        catalog::pairs(),
        dev_network::pairs(),
        instance::pairs(),
        metrics::pairs(),
        node::pairs(),
        pool::pairs(),
        protocol::pairs(),
        routing::pairs(),
        secret_binding::pairs(),
        security::pairs(),
        signing::pairs(),
        template::pairs(),
        tenant::pairs(),
        vm_backend::pairs(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Types that exist under one name in `ours` and `theirs`, with all their members or variants: one that is
/// forgotten does not compile.
macro_rules! documents {
    ($( $what:ident $name:ident $body:tt )*) => {
        $(
            $crate::documents::documents!(@$what ours $name $body);
            $crate::documents::documents!(@$what theirs $name $body);
        )*

        pub(super) fn pairs() -> Vec<$crate::documents::Pair> {
            vec![$($crate::documents::pair!($name)),*]
        }
    };

    (@record ours $name:ident { $($field:ident $(: $kind:expr)?),* $(,)? }) => {
        impl $crate::source::Any for ours::$name {
            fn any(_source: &mut $crate::source::Source<'_>) -> Self {
                Self { $($field: $crate::source::any(_source)),* }
            }
        }
    };
    (@record theirs $name:ident { $($field:ident $(: $kind:expr)?),* $(,)? }) => {
        impl $crate::source::Any for theirs::$name {
            fn any(_source: &mut $crate::source::Source<'_>) -> Self {
                Self { $($field: $crate::documents::documents!(@value _source $($kind)?)),* }
            }
        }
    };

    (@choice ours $name:ident { $(
        $variant:ident $(($kind:expr))? $({ $($field:ident $(: $field_kind:expr)?),* $(,)? })?
    ),* $(,)? }) => {
        $crate::documents::documents!(@made ours $name { $(
            $variant { $variant $(($crate::documents::documents!(@any $kind)))? $({ $($field: $crate::source::any),* })? }
        )* });
    };
    (@choice theirs $name:ident { $(
        $variant:ident $(($kind:expr))? $({ $($field:ident $(: $field_kind:expr)?),* $(,)? })?
    ),* $(,)? }) => {
        $crate::documents::documents!(@made theirs $name { $(
            $variant { $variant $(($kind))? $({ $($field: $crate::documents::documents!(@kind $($field_kind)?)),* })? }
        )* });
    };
    (@made $side:ident $name:ident { $(
        $variant:ident { $same:ident $(($kind:expr))? $({ $($field:ident: $field_kind:expr),* })? }
    )* }) => {
        impl $crate::source::Any for $side::$name {
            fn any(source: &mut $crate::source::Source<'_>) -> Self {
                type Make = fn(&mut $crate::source::Source<'_>) -> $side::$name;
                let all: &[Make] = &[$(
                    |_source| $side::$name::$variant
                        $(($crate::source::call($kind, _source)))?
                        $({ $($field: $crate::source::call($field_kind, _source)),* })?
                ),*];
                let made = source.one_of(all)(source);
                match made {
                    $( $side::$name::$variant { .. } => made, )*
                }
            }
        }
    };

    (@value $source:ident) => { $crate::source::any($source) };
    (@value $source:ident $kind:expr) => { $crate::source::call($kind, $source) };
    (@kind) => { $crate::source::any };
    (@kind $kind:expr) => { $kind };
    (@any $kind:expr) => { $crate::source::any };
}
pub(crate) use documents;

/// The [`Pair`] of a type. Where it cannot be compared, behind a comma what compares it.
macro_rules! pair {
    ($name:ident) => {
        $crate::documents::pair!($name, |one, other| one == other)
    };
    ($name:ident, $equal:expr) => {
        $crate::documents::Pair {
            name: stringify!($name),
            ours: |effort| $crate::exchange::ours::<ours::$name, theirs::$name>(effort, $equal),
            theirs: |effort| $crate::exchange::theirs::<ours::$name, theirs::$name>(effort, $equal),
            changed: |effort| {
                $crate::exchange::changed::<ours::$name, theirs::$name>(effort, $equal)
            },
            both: $crate::exchange::both::<ours::$name, theirs::$name>,
        }
    };
}
pub(crate) use pair;
