//! Directories that are durable, files that are gone for good, and what crashed writers left.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::{TEMPORARY_END, WriteError, WriteStep, parent, system, temporary_begin};

/// The mode of a directory that is created, less the umask; as 0.13.0's.
const DIRECTORY_MODE: u32 = 0o755;
/// How many letters and digits `tempfile` puts into a name.
const RANDOM: usize = 6;

fn failed(path: &Path, step: WriteStep) -> impl Fn(io::Error) -> WriteError {
    move |error| WriteError {
        path: path.into(),
        step,
        error,
    }
}

/// Creates a directory and those above it that are missing; gives the topmost one that was missing. They
/// are durable after [`sync_up`] only.
pub(in crate::host) fn create_directories(directory: &Path) -> Result<Option<PathBuf>, WriteError> {
    let mut missing = alloc::vec::Vec::new();
    let mut at = directory;
    loop {
        let failed = failed(at, WriteStep::CreatingDirectory);
        match fs::metadata(at) {
            Ok(found) if found.is_dir() => break,
            Ok(_) => return Err(failed(io::ErrorKind::NotADirectory.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(at),
            Err(error) => return Err(failed(error)),
        }
        match parent(at) {
            Some(parent) => at = parent,
            None => break,
        }
    }
    for directory in missing.iter().rev() {
        let created = fs::DirBuilder::new().mode(DIRECTORY_MODE).create(directory);
        match created {
            Ok(()) => {}
            // Somebody else was faster.
            Err(_) if directory.is_dir() => {}
            Err(error) => return Err(failed(directory, WriteStep::CreatingDirectory)(error)),
        }
    }
    Ok(missing.last().map(|topmost| topmost.to_path_buf()))
}

/// Makes the names in a directory durable, and those of the directories above it, up to and with `last`.
///
/// That the directories exist already does not say that their names are durable: who created them may
/// not have come to that yet.
pub(in crate::host) fn sync_up(directory: &Path, last: &Path) -> Result<(), WriteError> {
    let mut at = directory;
    loop {
        sync(at)?;
        if at == last {
            return Ok(());
        }
        match at.parent() {
            Some(parent) if parent.starts_with(last) => at = parent,
            _ => return Ok(()),
        }
    }
}

/// Makes the names in a directory durable.
pub(in crate::host) fn sync(directory: &Path) -> Result<(), WriteError> {
    system::sync_directory(directory).map_err(failed(directory, WriteStep::SyncingDirectory))
}

/// Removes a file durably; gives whether there was one.
pub(in crate::host) fn remove(path: &Path) -> Result<bool, WriteError> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(path, WriteStep::Removing)(error)),
    }
    if let Some(directory) = parent(path) {
        sync(directory)?;
    }
    Ok(true)
}

/// Whether a name is that of a temporary file of `name`.
pub(in crate::host) fn is_temporary(candidate: &OsStr, name: &OsStr) -> bool {
    candidate
        .as_bytes()
        .strip_prefix(temporary_begin(name).as_bytes())
        .and_then(|rest| rest.strip_suffix(TEMPORARY_END.as_bytes()))
        .is_some_and(|random| {
            random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_temporary_files() {
        let of = |candidate: &str| is_temporary(candidate.as_ref(), "a.json".as_ref());
        assert!(of(".a.json.x9ZaB0.tmp"));
        for other in [
            "a.json",
            ".a.json.lock",
            ".a.json.x9ZaB.tmp",
            ".a.json.x9ZaB01.tmp",
            ".a.json.x9Za-0.tmp",
            ".b.json.x9ZaB0.tmp",
            ".a.json.x9ZaB0.tmp~",
            "a.json.x9ZaB0.tmp",
        ] {
            assert!(!of(other), "{other}");
        }
    }

    /// That the names are what is written, whatever `tempfile` does.
    #[test]
    fn what_a_crashed_writer_leaves_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let begin = temporary_begin("a.json".as_ref());
        let mut builder = tempfile::Builder::new();
        let file = builder.prefix(&begin).suffix(TEMPORARY_END);
        let file = file.tempfile_in(directory.path()).unwrap();
        let name = file.path().file_name().unwrap();
        assert!(is_temporary(name, "a.json".as_ref()));
    }

    #[test]
    fn directories_and_what_is_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let deep = root.join("a/b/c");
        assert_eq!(create_directories(&deep).unwrap(), Some(root.join("a")));
        assert!(deep.is_dir());
        assert_eq!(create_directories(&deep).unwrap(), None);
        sync_up(&deep, root).unwrap();
        fs::write(root.join("file"), "").unwrap();
        for below in ["file", "file/x"] {
            let error = create_directories(&root.join(below)).unwrap_err();
            assert_eq!(error.step, WriteStep::CreatingDirectory);
            assert_eq!(error.error.kind(), io::ErrorKind::NotADirectory);
        }
        assert!(remove(&root.join("file")).unwrap());
        assert!(!remove(&root.join("file")).unwrap());
        assert_eq!(remove(&deep).unwrap_err().step, WriteStep::Removing);
    }
}
