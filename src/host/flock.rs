//! `flock(2)`, for every lock of this layer, and what lock files need that come and go.

use std::fs::{File, symlink_metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Takes a lock without waiting; whether it was free. `operation` is one that does not block.
pub(super) fn attempt(file: impl AsFd, operation: FlockOperation) -> Result<bool, Errno> {
    loop {
        match flock(&file, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// Whether a path leads to this very file. Who gets the lock of a lock file asks: whoever held it before may
/// have removed the file, and others lock another one by now.
pub(super) fn is_at(path: &Path, file: &File) -> io::Result<bool> {
    let held = file.metadata()?;
    match symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
