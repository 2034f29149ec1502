//! The files of a log, and what is done with them.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{AtFlags, FlockOperation, statat};
use rustix::io::Errno;

use super::error::{FileError, Step};
use crate::fleet::audit::{RecordHash, Sidecar, SidecarError};
use crate::host::flock::attempt;
use crate::limits::AUDIT_SIDECAR_LEN;

/// Digits of a generation's number, at least.
const WIDTH: usize = 6;
/// Bytes that are read at a time.
const CHUNK: usize = 64 * 1024;
/// The shortest and the longest pause between two looks at a lock.
const PAUSES: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(2));

/// Where a log is, without symbolic links.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) directory: PathBuf,
    pub(super) name: OsString,
}

/// Which file it is, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) len: u64,
}

impl Files {
    /// Follows symbolic links, as far as there is something.
    pub(super) fn of(path: &Path) -> Result<Self, FileError> {
        let failed = |step| {
            let path = path.to_owned();
            move |error| FileError { path, step, error }
        };
        let target = match fs::canonicalize(path) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(failed(Step::Opening)(error)),
        };
        let Some(name) = target.file_name() else {
            return Err(failed(Step::Opening)(io::ErrorKind::IsADirectory.into()));
        };
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let directory = match fs::canonicalize(parent) {
            Ok(directory) => directory,
            // Made absolute: whoever opens the log may create it, and the working directory may change.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::path::absolute(parent).map_err(failed(Step::Directory))?
            }
            Err(error) => return Err(failed(Step::Directory)(error)),
        };
        Ok(Self {
            directory,
            name: name.to_owned(),
        })
    }

    fn beside(&self, end: &str) -> PathBuf {
        let mut name = self.name.clone();
        name.push(end);
        self.directory.join(name)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    pub(super) fn state(&self) -> PathBuf {
        self.beside(".state")
    }

    pub(super) fn generation(&self, number: u64) -> PathBuf {
        self.beside(&format!(".{number:0WIDTH$}"))
    }

    pub(super) fn seal(&self, number: u64) -> PathBuf {
        self.beside(&format!(".{number:0WIDTH$}.seal"))
    }

    /// The numbers of the sealed generations that there are, in order.
    pub(super) fn generations(&self) -> Result<Vec<u64>, FileError> {
        let failed = |error| self.failed(&self.directory, Step::Looking, error);
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            numbers.extend(self.number(&name));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn number(&self, name: &OsStr) -> Option<u64> {
        use std::os::unix::ffi::OsStrExt;
        let rest = name.as_bytes().strip_prefix(self.name.as_bytes())?;
        let digits = core::str::from_utf8(rest.strip_prefix(b".")?).ok()?;
        let number = digits.parse().ok().filter(|number| *number > 0)?;
        // One spelling: `+1` and `0000001` are somebody else's.
        (digits == format!("{number:0WIDTH$}")).then_some(number)
    }

    #[allow(clippy::unused_self, reason = "reads better where it is used")]
    pub(super) fn failed(&self, path: &Path, step: Step, error: io::Error) -> FileError {
        let path = path.to_owned();
        FileError { path, step, error }
    }

    /// An error of the log itself.
    pub(super) fn log_failed(&self, step: Step) -> impl FnOnce(io::Error) -> FileError {
        let path = self.log();
        move |error| FileError { path, step, error }
    }

    /// What is at the log's path now.
    pub(super) fn look(&self, directory: &File) -> Result<Option<Found>, FileError> {
        loop {
            return match statat(directory, self.name.as_os_str(), AtFlags::empty()) {
                Ok(stat) => {
                    #[allow(
                        clippy::useless_conversion,
                        clippy::unnecessary_fallible_conversions,
                        reason = "the types differ between systems"
                    )]
                    let found = Found {
                        device: u64::try_from(stat.st_dev).unwrap_or(0),
                        inode: u64::try_from(stat.st_ino).unwrap_or(0),
                        len: u64::try_from(stat.st_size).unwrap_or(0),
                    };
                    Ok(Some(found))
                }
                Err(Errno::NOENT) => Ok(None),
                Err(Errno::INTR) => continue,
                Err(error) => Err(self.log_failed(Step::Looking)(error.into())),
            };
        }
    }

    pub(super) fn sync_directory(&self, directory: &File) -> Result<(), FileError> {
        directory
            .sync_all()
            .map_err(|error| self.failed(&self.directory, Step::SyncingDirectory, error))
    }

    /// Opens the log for appending, and creates it with this mode where there is none.
    pub(super) fn open_log(&self, mode: u32) -> Result<File, FileError> {
        OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(mode)
            .open(self.log())
            .map_err(self.log_failed(Step::Opening))
    }
}

/// Reads a sidecar; `Ok(None)` where there is no such file.
pub(super) fn read_sidecar(path: &Path) -> io::Result<Option<Result<Sidecar, SidecarError>>> {
    match File::open(path) {
        Ok(file) => sidecar_of(&file).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a sidecar from its file.
pub(super) fn sidecar_of(file: &File) -> io::Result<Result<Sidecar, SidecarError>> {
    // One byte more than it has, to see that there is none.
    let mut bytes = vec![0; AUDIT_SIDECAR_LEN.saturating_add(1)];
    let mut len = 0_usize;
    loop {
        let part = bytes.get_mut(len..).unwrap_or(&mut []);
        match file.read_at(part, u64::try_from(len).unwrap_or(u64::MAX)) {
            Ok(0) => break,
            Ok(more) => len = len.saturating_add(more),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Sidecar::from_bytes(bytes.get(..len).unwrap_or(&[])))
}

/// Calls `each` with the bytes from `from` to `to`.
pub(super) fn read_range(
    file: &File,
    mut from: u64,
    to: u64,
    each: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK.min(usize::try_from(to.saturating_sub(from)).unwrap_or(CHUNK))];
    while from < to {
        let want = usize::try_from(to.saturating_sub(from)).unwrap_or(CHUNK);
        let want = want.min(buffer.len());
        let part = buffer.get_mut(..want).unwrap_or(&mut []);
        match file.read_at(part, from) {
            // Somebody has cut it off in the meantime.
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => {
                each(buffer.get(..len).unwrap_or(&[]));
                from = from.saturating_add(u64::try_from(len).unwrap_or(0));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a record with this hash ends at `end`.
pub(super) fn ends_with_hash(file: &File, end: u64, hash: RecordHash) -> io::Result<bool> {
    let wanted = format!("{hash}\"}}}}\n").into_bytes();
    let len = u64::try_from(wanted.len()).unwrap_or(u64::MAX);
    let Some(from) = end.checked_sub(len) else {
        return Ok(false);
    };
    let mut found = Vec::with_capacity(wanted.len());
    match read_range(file, from, end, &mut |bytes| found.extend_from_slice(bytes)) {
        Ok(()) => Ok(found == wanted),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The lock of all writers, held until it is dropped.
pub(super) struct Lock(Arc<File>);

impl Lock {
    /// Waits for it, `None` where others have it for longer.
    pub(super) fn wait(
        file: &Arc<File>,
        operation: FlockOperation,
        patience: Duration,
    ) -> io::Result<Option<Self>> {
        let mut start = None;
        let mut pause = PAUSES.0;
        loop {
            if attempt(file, operation)? {
                return Ok(Some(Self(Arc::clone(file))));
            }
            if start.get_or_insert_with(Instant::now).elapsed() >= patience {
                return Ok(None);
            }
            std::thread::sleep(pause);
            pause = pause.saturating_mul(2).min(PAUSES.1);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only a descriptor that is none could be refused; and closing gives the lock back too.
        let _ = attempt(&self.0, FlockOperation::Unlock);
    }
}
