//! Files that are replaced as a whole or not at all.
//!
//! # What holds
//! While [`replace`] runs and whenever it is cut off, the path has the old content or the new one,
//! whole; after it has returned `Ok`, the new one also after a power cut, as far as the file system
//! keeps what it promises for `fsync`. The steps: a temporary file in the same directory, owner and
//! mode of the old file, all bytes, `fsync`, rename, `fsync` of the directory.
//!
//! A symbolic link stays, what it points to is replaced. Hard links, access control lists and
//! extended attributes of the old file do not carry over: the new one is another inode.

use core::fmt;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};
use thiserror_no_std::Error;

// Twins: who owns a file, what may be done with it, and how a directory is made durable.
#[cfg_attr(unix, path = "atomic/unix.rs")]
#[cfg_attr(not(unix), path = "atomic/other.rs")]
mod system;

// What the store does beyond: directories, and what crashed writers leave behind.
#[cfg(all(feature = "paths", unix))]
pub(in crate::host) mod tree;

/// What was done to a file when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteStep {
    /// Creating the directory that it is in.
    CreatingDirectory,
    /// Following the symbolic links to the file and looking at what is there.
    Resolving,
    /// Creating the temporary file.
    Creating,
    /// Giving it the old file's owner and mode.
    Permissions,
    /// Writing its bytes.
    Writing,
    /// Making it durable.
    Syncing,
    /// Putting it in the old file's place.
    Renaming,
    /// Removing it.
    Removing,
    /// Removing what was in a directory that is removed. It is gone all the same.
    Discarding,
    /// Making that durable. The new content is in place, and may be the old one again after a power
    /// cut.
    SyncingDirectory,
}

impl fmt::Display for WriteStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreatingDirectory => "creating the directory",
            Self::Resolving => "looking at the file",
            Self::Creating => "creating the temporary file",
            Self::Permissions => "keeping the file's owner and mode",
            Self::Writing => "writing the temporary file",
            Self::Syncing => "making the temporary file durable",
            Self::Renaming => "renaming the temporary file",
            Self::Removing => "removing it",
            Self::Discarding => "removing what is left of it",
            Self::SyncingDirectory => "making the new name durable",
        })
    }
}

/// A file could not be replaced. Unless the step is [`WriteStep::SyncingDirectory`], it is as it was.
#[derive(Debug, Error)]
#[error("{}: {step}: {error}", .path.display())]
#[non_exhaustive]
pub struct WriteError {
    /// The file, with symbolic links followed as far as that was possible.
    pub path: PathBuf,
    /// At what.
    pub step: WriteStep,
    /// The operating system's error.
    #[source]
    pub error: io::Error,
}

impl_error!(WriteError);

/// What the names of temporary files begin and end with; six letters and digits are in between.
const TEMPORARY_END: &str = ".tmp";

/// What the names of the temporary files of a file begin with.
pub(in crate::host) fn temporary_begin(name: &OsStr) -> OsString {
    let mut begin = OsString::from(".");
    begin.push(name);
    begin.push(".");
    begin
}

/// Replaces a file or creates it, see the page of the module.
///
/// `new_mode` is the mode of a file that did not exist, less the umask, where the system has modes.
pub(crate) fn replace(path: &Path, content: &[u8], new_mode: u32) -> Result<(), WriteError> {
    let (target, old) = resolve(path)?;
    let at = |step| {
        let path = target.clone();
        move |error| WriteError { path, step, error }
    };
    let (Some(directory), Some(name)) = (parent(&target), target.file_name()) else {
        return Err(at(WriteStep::Resolving)(io::ErrorKind::IsADirectory.into()));
    };
    let prefix = temporary_begin(name);
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(TEMPORARY_END);
    if old.is_none() {
        system::create_with_mode(&mut builder, new_mode);
    }
    // Removed when it is dropped, that is on every way out before it is renamed.
    let mut new = builder
        .tempfile_in(directory)
        .map_err(at(WriteStep::Creating))?;
    if let Some(old) = &old {
        system::keep_permissions(new.as_file(), old).map_err(at(WriteStep::Permissions))?;
    }
    new.write_all(content).map_err(at(WriteStep::Writing))?;
    new.as_file().sync_all().map_err(at(WriteStep::Syncing))?;
    rename(new, &target).map_err(at(WriteStep::Renaming))?;
    system::sync_directory(directory).map_err(at(WriteStep::SyncingDirectory))
}

fn rename(new: NamedTempFile, target: &Path) -> io::Result<()> {
    match new.persist(target) {
        Ok(_file) => Ok(()),
        Err(error) => Err(error.error),
    }
}

/// The directory that a file is in, `.` for a bare name.
pub(in crate::host) fn parent(path: &Path) -> Option<&Path> {
    path.parent().map(|parent| {
        if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        }
    })
}

/// How many symbolic links in a row are followed: the kernel's limit on Linux.
const MAX_LINKS: u32 = 40;

/// Where a path leads through symbolic links, and what is there: a regular file or nothing.
pub(in crate::host) fn resolve(path: &Path) -> Result<(PathBuf, Option<Metadata>), WriteError> {
    let mut target = path.to_path_buf();
    let mut result = Err(io::Error::other("too many levels of symbolic links"));
    for _ in 0..=MAX_LINKS {
        match fs::symlink_metadata(&target) {
            Ok(found) if found.is_symlink() => match fs::read_link(&target) {
                // An absolute link replaces all of it.
                Ok(link) => target = parent(&target).map(|base| base.join(&link)).unwrap_or(link),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            },
            Ok(found) => {
                result = if found.is_file() {
                    Ok(Some(found))
                } else {
                    Err(io::Error::other("it is not a regular file"))
                };
                break;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                result = Ok(None);
                break;
            }
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    match result {
        Ok(found) => Ok((target, found)),
        Err(error) => Err(WriteError {
            path: target,
            step: WriteStep::Resolving,
            error,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(path: &Path) -> (WriteStep, PathBuf) {
        let error = replace(path, b"new", 0o600).unwrap_err();
        (error.step, error.path)
    }

    #[test]
    fn the_old_content_or_the_new() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        replace(&path, b"old", 0o600).unwrap();
        let reader = fs::File::open(&path).unwrap();
        replace(&path, b"newer", 0o600).unwrap();
        // Who has the old file open still has all of it.
        assert_eq!(io::read_to_string(reader).unwrap(), "old");
        assert_eq!(fs::read(&path).unwrap(), b"newer");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("directory");
        fs::create_dir(&path).unwrap();
        assert_eq!(failed(&path), (WriteStep::Resolving, path.clone()));
        assert!(path.is_dir());
        assert_eq!(failed(Path::new("/")).0, WriteStep::Resolving);
        assert_eq!(failed(Path::new("..")).0, WriteStep::Resolving);
        let path = directory.path().join("missing").join("file");
        assert_eq!(failed(&path), (WriteStep::Creating, path.clone()));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_not_renamed_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "old").unwrap();
        let new = tempfile::NamedTempFile::new_in(directory.path()).unwrap();
        // The name is a directory by now.
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(rename(new, &path).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_as_far_as_the_kernel_does() {
        let directory = tempfile::tempdir().unwrap();
        let link = |name: u32| {
            directory
                .path()
                .join(alloc::string::ToString::to_string(&name))
        };
        for name in 1..=41 {
            std::os::unix::fs::symlink(link(name - 1), link(name)).unwrap();
        }
        fs::write(link(0), "old").unwrap();
        for (name, follows) in [(40, true), (41, false)] {
            assert_eq!(resolve(&link(name)).is_ok(), follows);
            assert_eq!(fs::read(link(name)).is_ok(), follows);
        }
    }
}
