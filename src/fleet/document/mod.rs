//! Reading documents as a whole: every problem with its path, not the first.
//!
//! A document is JSON. Reading it goes in three steps:
//!
//! 1. **Shape.** The text must be JSON, and have the members and types that it should. The first thing that
//!    is wrong here is the only one that is told of, with line, column and path.
//! 2. **Rules between values**: limits, duplicates, references, quotas, as each type documents.
//! 3. **Values**: each id, address, time stamp, number is parsed by its own type.
//!
//! Steps 2 and 3 tell of *everything* that is wrong. [`Document::from_json`] does all three;
//! serde's `Deserialize` does 1 and 3 and gives the first problem; [`Document::validate`] does 2
//! for a value that was made by a program.
//!
//! Objects are objects: an array of the members' values, which 0.13.0 took for one and never wrote, is
//! refused.
//!
//! # Stricter than 0.13.0
//! Whatever 0.13.0 wrote of its own accord is read. What it took from others without a look is refused
//! where it can mean nothing, or harm:
//!
#![doc = include_str!("stricter.md")]
//!
//! # Unknown members
//! `DesiredState`, `DesiredTenant`, `DesiredTenantNetwork` and `DesiredPool` refuse them, as in 0.13.0; all
//! other documents ignore them, because a newer program may have written them.
//! [`check_json`](Document::check_json) gives the ignored ones as warnings: one may be a typing mistake.

mod at;
mod field;
mod json;
mod macros;
mod objects;
mod places;
mod problem;
mod unique;
mod unknown;

use alloc::vec::Vec;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

pub use at::At;
pub use field::{Codec, Field, Text};
pub use json::Warning;
pub use problem::{Invalid, Position, Problem, Problems, Reason};

pub(crate) use field::{EmptyIsNone, Plain, parse, plain_fields, text_fields};
pub(crate) use macros::{
    codec, document, document_enum, document_impls, known_names, mirror, names, variant_name,
};
pub(crate) use objects::Objects;
pub(crate) use unique::{Sorted, unique};

/// A type that is stored or sent as JSON. See the [module's documentation](self).
pub trait Document: Field + Serialize + DeserializeOwned {
    /// The name of the type.
    const NAME: &'static str;

    /// Reads a document and checks it as a whole.
    ///
    /// # Errors
    /// [`Invalid`] with every problem; with line and column only where the shape is wrong.
    fn from_json(json: &[u8]) -> Result<Self, Invalid> {
        json::read(json)
    }

    /// [`from_json`](Self::from_json) for people: every problem has its line and column, and
    /// unknown members are told of.
    ///
    /// # Cost
    /// The text is parsed twice, and passed over once more where there is something to tell of: time grows
    /// with the text. At most two copies of the parsed document are held at a time. What is told of takes
    /// no more than a few MiB, whatever the document has: [`PROBLEMS_MAX`](crate::limits::PROBLEMS_MAX)
    /// problems and as many warnings, in whose paths a name has at most
    /// [`PATH_NAME_MAX`](crate::limits::PATH_NAME_MAX) characters, and a small table of the steps of those
    /// paths.
    fn check_json(json: &[u8]) -> Checked<Self> {
        json::check(json)
    }

    /// Checks the rules between values, which the type itself does not hold.
    ///
    /// # Errors
    /// [`Invalid`] with every problem.
    fn validate(&self) -> Result<(), Invalid> {
        let mut problems = Problems::new();
        Self::rules(&self.raw(), &At::ROOT, &mut problems);
        problems.finish()
    }
}

/// What [`Document::check_json`] found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Checked<T> {
    /// The document, or what is wrong with it.
    pub result: Result<T, Invalid>,
    /// What is allowed and may still not be meant, in the order of the text. Nothing where the shape is
    /// wrong.
    pub warnings: Vec<Warning>,
    /// How many more warnings there are: [`PROBLEMS_MAX`](crate::limits::PROBLEMS_MAX) are kept.
    pub omitted_warnings: usize,
}

/// For `Deserialize`: the value of a document, without the rules between values.
pub(crate) fn deserialize<'de, T: Field, D: Deserializer<'de>>(
    deserializer: D,
    name: &str,
) -> Result<T, D::Error> {
    if !deserializer.is_human_readable() {
        return Err(D::Error::custom(format_args!("{name} is JSON only")));
    }
    let raw = T::Raw::deserialize(deserializer)?;
    let mut problems = Problems::only_first();
    T::read(raw, &At::ROOT, &mut problems)
        .ok_or_else(|| D::Error::custom(field::first_problem(problems)))
}
