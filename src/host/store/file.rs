//! From bytes to documents and back.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use serde::Deserialize;
use serde_json::Value;

use super::error::StoreError;
use super::stored::{Stored, misplaced};
use crate::fleet::document::Invalid;
use crate::fleet::migration::{MigrateError, upgrade};
use crate::limits::STORED_DOCUMENT_MAX;

/// The bytes of a document's file, `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let failed = |error| StoreError::Read {
        path: path.into(),
        error,
    };
    // A pipe in the place of the file does not block.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    check_length(path, found.len())?;
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0));
    // It may have grown since.
    file.take(max().saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    check_length(path, u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
    Ok(Some(bytes))
}

fn max() -> u64 {
    u64::try_from(STORED_DOCUMENT_MAX).unwrap_or(u64::MAX)
}

pub(super) fn check_length(path: &Path, len: u64) -> Result<(), StoreError> {
    if len <= max() {
        return Ok(());
    }
    Err(StoreError::TooLong {
        path: path.into(),
        len,
        max: max(),
    })
}

/// The one member that is looked at before the others.
#[derive(Deserialize)]
struct Marked {
    #[serde(default)]
    schema_version: Option<Value>,
}

/// A document from its file, of today's shape or an older one.
pub(super) fn decode<T: Stored>(path: &Path, key: &T::Key, bytes: &[u8]) -> Result<T, StoreError> {
    let known = u64::try_from(T::MIGRATIONS.len()).unwrap_or(u64::MAX);
    let invalid = |invalid| StoreError::Invalid {
        path: path.into(),
        invalid,
    };
    // What is no object has no version, and is told of by the document itself.
    let version = serde_json::from_slice::<Marked>(bytes).map(|marked| marked.schema_version);
    let today = match version {
        Ok(Some(Value::Number(found))) => found.as_u64() == Some(known),
        Ok(None) => known == 0,
        Ok(Some(_)) => false,
        Err(_) => true,
    };
    let document = if today {
        // Where something is wrong, it is read again to know where.
        T::from_json(bytes).or_else(|_| T::check_json(bytes).result)
    } else {
        let value = serde_json::from_slice::<Value>(bytes)
            .map_err(|error| invalid(Invalid::unwritable(error.to_string())))?;
        let upgraded = upgrade(value, T::MIGRATIONS).map_err(|error| version_error(path, error))?;
        T::from_json(upgraded.to_string().as_bytes())
    }
    .map_err(invalid)?;
    check_place(path, key, &document)?;
    Ok(document)
}

fn version_error(path: &Path, error: MigrateError<String>) -> StoreError {
    StoreError::Version {
        path: path.into(),
        error,
    }
}

fn check_place<T: Stored>(path: &Path, key: &T::Key, document: &T) -> Result<(), StoreError> {
    match misplaced(document, key) {
        None => Ok(()),
        Some((member, found, expected)) => Err(StoreError::Misplaced {
            path: path.into(),
            member,
            found,
            expected,
        }),
    }
}

/// The bytes of a document's file, for a document that can be read again.
pub(super) fn encode<T: Stored>(
    path: &Path,
    key: &T::Key,
    document: &T,
) -> Result<Vec<u8>, StoreError> {
    let invalid = |invalid| StoreError::Invalid {
        path: path.into(),
        invalid,
    };
    check_place(path, key, document)?;
    document.validate().map_err(invalid)?;
    let mut bytes = serde_json::to_vec_pretty(document)
        .map_err(|error| invalid(Invalid::unwritable(error.to_string())))?;
    bytes.push(b'\n');
    mark(&mut bytes, T::MIGRATIONS.len());
    check_length(path, u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
    Ok(bytes)
}

/// Puts the version in front of the other members, where the shape has changed since 0.13.0 and the type
/// does not write it itself.
fn mark(bytes: &mut Vec<u8>, known: usize) {
    if known == 0 {
        return;
    }
    let marked = serde_json::from_slice::<Marked>(bytes);
    if !matches!(
        marked,
        Ok(Marked {
            schema_version: None
        })
    ) {
        return;
    }
    let end = if bytes.starts_with(b"{}") { "" } else { "," };
    let member = alloc::format!("\n  \"schema_version\": {known}{end}");
    if bytes.first() == Some(&b'{') {
        bytes.splice(1..1, member.into_bytes());
    }
}
