//! What goes wrong with files.

use core::fmt;
use std::io;
use std::path::PathBuf;

use thiserror_no_std::Error;

use crate::audit::Head;
use crate::fleet::audit::SidecarError;
use crate::naming::EntropyError;

/// What was done when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Creating or opening the directory.
    Directory,
    /// Opening the log, or creating it.
    Opening,
    /// Waiting for the other writers.
    Locking,
    /// Looking at the log and its generations.
    Looking,
    /// Reading.
    Reading,
    /// Writing a record.
    Writing,
    /// Cutting off a part of a line.
    Cutting,
    /// Making records durable.
    Syncing,
    /// Writing the state file.
    State,
    /// Writing the seal of a generation.
    Sealing,
    /// Renaming a generation.
    Renaming,
    /// Giving a new generation the mode and owner of the one before.
    Permissions,
    /// Removing a generation that is too old.
    Removing,
    /// Making a new or changed name durable.
    SyncingDirectory,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "opening the directory",
            Self::Opening => "opening",
            Self::Locking => "waiting for the lock",
            Self::Looking => "looking at the log",
            Self::Reading => "reading",
            Self::Writing => "writing a record",
            Self::Cutting => "cutting off a part of a line",
            Self::Syncing => "making records durable",
            Self::State => "writing the state of the log",
            Self::Sealing => "sealing a generation",
            Self::Renaming => "renaming a generation",
            Self::Permissions => "keeping mode and owner",
            Self::Removing => "removing an old generation",
            Self::SyncingDirectory => "making a name durable",
        })
    }
}

/// Something could not be done with a file of a log.
#[derive(Debug, Error)]
#[error("{}: {step}: {error}", .path.display())]
#[non_exhaustive]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// At what.
    pub step: Step,
    /// The operating system's error; `TimedOut` where others hold the lock for too long.
    pub error: io::Error,
}

/// Why a log was not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A file cannot be used.
    #[error("{0}")]
    File(FileError),
    /// The state file is of a newer version, or no state file at all.
    #[error("{}: {error}", .path.display())]
    State {
        /// The state file.
        path: PathBuf,
        /// What is wrong with it.
        error: SidecarError,
    },
    /// A new log needs an id, and there is no entropy.
    #[error("{0}")]
    Entropy(EntropyError),
}

impl From<FileError> for OpenError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

/// Why a record is not in the log, or may not stay there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AppendError {
    /// It was not written. It is counted, and the next record of this program says so.
    #[error("{0}")]
    NotWritten(FileError),
    /// It is longer than a line may be. It is counted as not written.
    #[error("a record of {len} bytes, at most {max} are possible")]
    TooLong {
        /// Its length in bytes, as far as it is known.
        len: usize,
        /// The greatest length in bytes.
        max: usize,
    },
    /// The entry cannot be written as JSON. It is counted as not written.
    #[error("{0}")]
    Json(serde_json::Error),
    /// It was written, and may be gone after a power cut.
    #[error("record {} was written and may not be durable: {error}", .head.seq)]
    NotDurable {
        /// The record.
        head: Head,
        /// Why.
        error: FileError,
    },
}

impl_error!(FileError, OpenError, AppendError);
