//! Files of keys and of signed documents.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use mvm_core::signing::{
    KeyTextError, PUBLIC_TEXT_MAX, PublicKey, SECRET_TEXT_MAX, SecretKey, Usage,
};
use tempfile::{Builder, NamedTempFile};
use zeroize::Zeroize;

use crate::failure::Failure;

// Twins: who may read a file.
#[cfg_attr(unix, path = "files/unix.rs")]
#[cfg_attr(not(unix), path = "files/other.rs")]
mod permissions;

/// Who may read a file that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// Its owner alone.
    Owner,
    /// Whom the umask lets.
    Anybody,
}

/// What to do where there is a file of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// Leave it alone, and fail.
    Keep,
    /// Replace what has the name, a symbolic link too.
    Replace,
    /// Replace the file that the name leads to, and keep its mode.
    Update,
}

/// A file with all of its content that has no name yet. It is gone when this is dropped.
pub(super) struct Prepared {
    file: NamedTempFile,
    path: PathBuf,
    existing: Existing,
}

impl Prepared {
    pub(super) fn new(
        path: &Path,
        content: &[u8],
        readers: Readers,
        existing: Existing,
    ) -> Result<Self, Failure> {
        let failed = |error| Failure::of_file(path, error);
        let mut path = path.to_path_buf();
        let mut mode = None;
        let found = match existing {
            Existing::Update => fs::metadata(&path),
            Existing::Keep | Existing::Replace => fs::symlink_metadata(&path),
        };
        match (found, existing) {
            (Ok(_), Existing::Keep) => return Err(in_the_way(&path)),
            (Ok(found), _) if !(found.is_file() || found.is_symlink()) => {
                return Err(failed(io::Error::other("it is not a regular file")));
            }
            (Ok(found), Existing::Update) => {
                path = fs::canonicalize(&path).map_err(failed)?;
                mode = Some(found.permissions());
            }
            _ => {}
        }
        let failed = |error| Failure::of_file(&path, error);
        let mut builder = Builder::new();
        builder.prefix(".mvm-core-").suffix(".tmp");
        // Without this it is its owner's alone from its first moment.
        if readers == Readers::Anybody {
            permissions::for_anybody(&mut builder);
        }
        let mut file = builder.tempfile_in(directory(&path)).map_err(failed)?;
        if let Some(mode) = mode {
            file.as_file().set_permissions(mode).map_err(failed)?;
        }
        file.write_all(content).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        Ok(Self {
            file,
            path,
            existing,
        })
    }

    /// Gives it its name, at once and for good.
    pub(super) fn put(self) -> Result<(), Failure> {
        let path = self.path;
        match self.existing {
            Existing::Keep => self.file.persist_noclobber(&path),
            Existing::Replace | Existing::Update => self.file.persist(&path),
        }
        .map_err(|failed| match failed.error.kind() {
            // It came in between.
            io::ErrorKind::AlreadyExists => in_the_way(&path),
            _ => Failure::of_file(&path, failed.error),
        })?;
        permissions::sync_directory(directory(&path)).map_err(|error| {
            Failure::of_file(&path, format_args!("written, but not durable: {error}"))
        })
    }
}

fn in_the_way(path: &Path) -> Failure {
    Failure::no(format_args!(
        "{}: the file exists and is left as it is",
        path.display()
    ))
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes a result to a file, which is replaced as a whole or not at all.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    Prepared::new(path, content, Readers::Anybody, Existing::Update)?.put()
}

/// Reads a secret key, whose file nobody else may read.
pub(crate) fn secret_key<U: Usage>(path: &Path) -> Result<SecretKey<U>, Failure> {
    let failed = |error: &dyn core::fmt::Display| Failure::of_file(path, error);
    let file = File::open(path).map_err(|error| failed(&error))?;
    permissions::is_private(&file).map_err(|error| failed(&error))?;
    let mut buffer = [0; SECRET_TEXT_MAX + 1];
    let key = read(file, &mut buffer)
        .map_err(|error| failed(&error))
        .and_then(|text| SecretKey::from_text(text).map_err(|error| failed(&error)));
    buffer.zeroize();
    key
}

pub(crate) fn public_key<U: Usage>(path: &Path) -> Result<PublicKey<U>, Failure> {
    let failed = |error: &dyn core::fmt::Display| Failure::of_file(path, error);
    let file = File::open(path).map_err(|error| failed(&error))?;
    let mut buffer = [0; PUBLIC_TEXT_MAX + 1];
    let text = read(file, &mut buffer).map_err(|error| failed(&error))?;
    PublicKey::from_text(text).map_err(|error| failed(&error))
}

/// The text of a file that fits; of a longer one too much for a key, so that it is found to be none.
fn read(file: File, buffer: &mut [u8]) -> io::Result<&str> {
    let room = buffer.len();
    let mut len = 0;
    let mut file = file.take(u64::try_from(room).unwrap_or(u64::MAX));
    while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(more) => len = len.saturating_add(more),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let text = buffer.get(..len).unwrap_or_default();
    // The reason is the same, and never what is in the file.
    core::str::from_utf8(text).map_err(|_| io::Error::other(KeyTextError::NotAKey.to_string()))
}
