//! Files that were written by older programs: one step for each version of their shape.
//!
//! A stored document bears the version of its shape in the member `schema_version`; without it, it is of
//! version 0. The steps of a type are a list: the first makes version 1 of version 0, and so on, so the
//! length of the list *is* the newest version that the program knows. What is newer is refused: a program
//! that writes back a file it understands in part destroys the rest.
//!
//! ```
//! use mvm_core::migration::{MigrateError, MigrateFn, upgrade};
//! use serde_json::{Value, json};
//!
//! fn rename(mut file: Value) -> Result<Value, &'static str> {
//!     let members = file.as_object_mut().ok_or("no object")?;
//!     let name = members.remove("title").ok_or("no title")?;
//!     members.insert("name".to_owned(), name);
//!     Ok(file)
//! }
//!
//! const STEPS: &[MigrateFn<&str>] = &[rename];
//!
//! let upgraded = upgrade(json!({"title": "web"}), STEPS)?;
//! assert_eq!(upgraded, json!({"name": "web", "schema_version": 1}));
//! // 2^32 is newer too: nothing of a version is cut off.
//! let newer = upgrade(json!({"schema_version": 4_294_967_296_u64}), STEPS);
//! assert_eq!(newer, Err(MigrateError::Newer { found: 4_294_967_296, known: 1 }));
//! # Ok::<(), MigrateError<&str>>(())
//! ```

use core::fmt;

use serde_json::Value;
use thiserror_no_std::Error;

const MEMBER: &str = "schema_version";

/// Makes a document of the next version.
pub type MigrateFn<E> = fn(Value) -> Result<Value, E>;

/// `schema_version` is there and is no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("schema_version is no whole number of 0 to 2^64 - 1")]
pub struct SchemaVersionError;

impl_error!(SchemaVersionError);

/// Why a document was not brought to another version. `E` is the error of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MigrateError<E> {
    /// The document's version cannot be read.
    Version(SchemaVersionError),
    /// The document is newer than what is wanted: it was written by a newer program.
    Newer {
        /// Its version.
        found: u64,
        /// The newest version that is known.
        known: u64,
    },
    /// There is no step from this version on.
    NoMigration {
        /// The version.
        from: u64,
        /// How many steps there are.
        steps: usize,
    },
    /// A step failed.
    Step {
        /// The version that it began with.
        from: u64,
        /// Its error.
        error: E,
    },
    /// A step made something that is no object, which can bear no version.
    NotAnObject {
        /// The version that it began with.
        from: u64,
    },
}

impl<E: fmt::Display> fmt::Display for MigrateError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(error) => error.fmt(f),
            Self::Newer { found, known } => write!(
                f,
                "schema version {found} is newer than {known}, the newest that is known: upgrade this program"
            ),
            Self::NoMigration { from, steps } => write!(
                f,
                "no migration from schema version {from} on: there are {steps} steps"
            ),
            Self::Step { from, error } => {
                write!(f, "migration from schema version {from}: {error}")
            }
            Self::NotAnObject { from } => {
                write!(f, "migration from schema version {from} made no object")
            }
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for MigrateError<E> {}

/// The version of a document: its member `schema_version`, and 0 where that is absent or `null`.
///
/// # Errors
/// [`SchemaVersionError`] if it is something else than a whole number. 0.13.0 took that for version 0, and
/// cut a number to 32 bits: both make a file of a newer program look like the oldest.
///
/// ```
/// use mvm_core::migration::schema_version_of;
/// use serde_json::json;
///
/// assert_eq!(schema_version_of(&json!({"schema_version": 4_294_967_297_u64})), Ok(4_294_967_297));
/// assert_eq!(schema_version_of(&json!({})), Ok(0));
/// assert!(schema_version_of(&json!({"schema_version": "2"})).is_err());
/// ```
pub fn schema_version_of(document: &Value) -> Result<u64, SchemaVersionError> {
    match document.get(MEMBER) {
        None | Some(Value::Null) => Ok(0),
        Some(version) => version.as_u64().ok_or(SchemaVersionError),
    }
}

/// Takes a document from version `from` to version `to`; `steps` begins with the one from version 0.
///
/// The steps do what they do: `schema_version` is theirs to write. [`upgrade`] reads and writes it.
///
/// # Errors
/// [`MigrateError::Newer`] if `from` is above `to`, [`MigrateError::NoMigration`] if a step is missing, in
/// which case none has run, [`MigrateError::Step`].
pub fn migrate<E>(
    document: Value,
    from: u64,
    to: u64,
    steps: &[MigrateFn<E>],
) -> Result<Value, MigrateError<E>> {
    let mut document = document;
    for (version, step) in wanted(from, to, steps)? {
        document = run(document, version, step)?;
    }
    Ok(document)
}

/// Brings a document to the newest version, from whichever it has: version `steps.len()`.
///
/// After each step `schema_version` says what the document is now. A document that is of the newest
/// version already is not touched.
///
/// # Errors
/// [`MigrateError`].
pub fn upgrade<E>(document: Value, steps: &[MigrateFn<E>]) -> Result<Value, MigrateError<E>> {
    let from = schema_version_of(&document).map_err(MigrateError::Version)?;
    let known = u64::try_from(steps.len()).unwrap_or(u64::MAX);
    let mut document = document;
    for (version, step) in wanted(from, known, steps)? {
        document = run(document, version, step)?;
        let members = document
            .as_object_mut()
            .ok_or(MigrateError::NotAnObject { from: version })?;
        members.insert(MEMBER.into(), Value::from(version.saturating_add(1)));
    }
    Ok(document)
}

/// The steps from one version to another, each with the version that it begins with: all of them, or none.
fn wanted<E>(
    from: u64,
    to: u64,
    steps: &[MigrateFn<E>],
) -> Result<impl Iterator<Item = (u64, MigrateFn<E>)> + '_, MigrateError<E>> {
    if from > to {
        let (found, known) = (from, to);
        return Err(MigrateError::Newer { found, known });
    }
    let known = u64::try_from(steps.len()).unwrap_or(u64::MAX);
    if to > known && to > from {
        return Err(MigrateError::NoMigration {
            from: known.max(from),
            steps: steps.len(),
        });
    }
    let range = usize::try_from(from).unwrap_or(usize::MAX)..usize::try_from(to).unwrap_or(0);
    let steps = steps.get(range).unwrap_or_default();
    Ok((from..).zip(steps.iter().copied()))
}

fn run<E>(document: Value, from: u64, step: MigrateFn<E>) -> Result<Value, MigrateError<E>> {
    step(document).map_err(|error| MigrateError::Step { from, error })
}
