//! What can go wrong with stored documents.

use alloc::string::String;
use std::io;
use std::path::PathBuf;

use thiserror_no_std::Error;

use super::lock::LockError;
use crate::fleet::document::Invalid;
use crate::fleet::migration::MigrateError;
use crate::host::atomic::WriteError;

/// Why a document was not read, written or removed. Each variant has the file.
///
/// Whatever is in error, the file has its old content or the new one, whole. The new one only where
/// [`in_place`](Self::in_place) says so.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such document.
    #[error("{}: there is none", .path.display())]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// There is one already.
    #[error("{}: there is one already", .path.display())]
    Exists {
        /// Where it is.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("{}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        error: io::Error,
    },
    /// It is longer than any document is
    /// ([`STORED_DOCUMENT_MAX`](crate::limits::STORED_DOCUMENT_MAX)). Such a file is not read, and none is
    /// written.
    #[error("{}: {len} bytes, a document has at most {max}", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
        /// The greatest length in bytes.
        max: u64,
    },
    /// It is not valid. In a file each problem has its line and column.
    #[error("{}: {invalid}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Every problem.
        #[source]
        invalid: Invalid,
    },
    /// It cannot be brought to the shape that this program knows; it was written by a newer one for
    /// example.
    #[error("{}: {error}", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: MigrateError<String>,
    },
    /// It is of something else than its path says.
    #[error("{}: {member} is {found:?}, at this place it must be {expected:?}", .path.display())]
    Misplaced {
        /// The file.
        path: PathBuf,
        /// The member that says of what it is.
        member: &'static str,
        /// What that says.
        found: String,
        /// What the path says.
        expected: String,
    },
    /// It cannot be locked.
    #[error("{0}")]
    Lock(#[source] LockError),
    /// It cannot be written or removed.
    #[error("{0}")]
    Write(#[source] WriteError),
    /// A directory is not empty: there are pools or instances in it.
    #[error("{}: {count} are still there", .path.display())]
    NotEmpty {
        /// The directory of pools or instances.
        path: PathBuf,
        /// How many entries it has.
        count: usize,
    },
}

impl_error!(StoreError);

impl StoreError {
    /// Whether what was to be done is done all the same: it is not known to survive a power cut, or something is
    /// left for [`clean`](super::StateStore::clean).
    #[must_use]
    pub fn in_place(&self) -> bool {
        use crate::host::atomic::WriteStep::{Discarding, SyncingDirectory};
        matches!(self, Self::Write(error) if matches!(error.step, Discarding | SyncingDirectory))
    }

    /// Whether there was no such document.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}

impl From<LockError> for StoreError {
    fn from(error: LockError) -> Self {
        Self::Lock(error)
    }
}

impl From<WriteError> for StoreError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}
