//! Locks between programs and threads.
//!
//! A lock is `flock(2)` on a file of its own, `.<name>.lock` beside the file `<name>`: no two files have
//! one lock, and no data file is one. The kernel gives it back when its holder closes it or dies. It is
//! advisory: it keeps out who asks for it, and that is every program that uses this module.
//!
//! A lock file is only removed by who holds it alone, and who gets a lock looks whether its file is still the
//! one that others find; if not, it begins again. So two programs never hold "the" lock on two files.

use core::time::Duration;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{FlockOperation, OFlags};
use thiserror_no_std::Error;

use crate::host::flock::{attempt, is_at};
use crate::instance::Pid;

/// Who but root could open a lock file could keep everybody out.
const MODE: u32 = 0o600;
/// The first and the longest pause before looking again whether a lock is free.
const PAUSE: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(20);
/// A process id in a lock file: ten digits, padded with spaces in front, and a line feed.
const HOLDER_BYTES: usize = 11;

/// Who may hold a lock at once.
// Closed: flock has no others.
#[allow(clippy::exhaustive_enums)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// Any number that want it shared.
    Shared,
    /// One.
    Exclusive,
}

/// Why a lock was not got.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else held it for all of the time that was waited.
    #[error("{}: locked by {}", .path.display(), Holder(*.holder))]
    Expired {
        /// The lock file.
        path: PathBuf,
        /// Who held it alone. `None` where several shared it, or where that cannot be told.
        holder: Option<Pid>,
    },
    /// The operating system refuses; the directory does not exist for example.
    #[error("{}: not locked: {error}", .path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        error: io::Error,
    },
}

impl_error!(LockError);

struct Holder(Option<Pid>);

impl core::fmt::Display for Holder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("somebody else"),
        }
    }
}

impl LockError {
    /// Whether the directory of the lock does not exist.
    pub(super) fn no_directory(&self) -> bool {
        matches!(self, Self::Io { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

/// A lock, held until it is dropped.
#[derive(Debug)]
#[must_use = "a lock that is dropped is given back"]
pub struct FileLock {
    // Closing a file gives its lock back; 0.13.0's first, the other way round than they were got.
    _old: Option<File>,
    _file: File,
    path: PathBuf,
    mode: LockMode,
}

impl FileLock {
    /// Waits at most `patience` for the lock of a file, which need not exist; its directory must. No
    /// patience at all still looks once.
    ///
    /// Not fair: who has waited longest does not come first.
    ///
    /// # Errors
    /// [`LockError`]. A file system that has no locks is an error too.
    ///
    /// ```
    /// use core::time::Duration;
    /// use mvm_core::store::{FileLock, LockError, LockMode};
    ///
    /// # let directory = std::env::temp_dir().join(format!("mvm-lock-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// let file = directory.join("flake.lock");
    /// let lock = FileLock::acquire(&file, LockMode::Exclusive, Duration::from_secs(5))?;
    /// // The data is not touched, and another name has another lock.
    /// assert!(!file.exists());
    /// let other = directory.join("flake.toml");
    /// let other = FileLock::acquire(&other, LockMode::Exclusive, Duration::ZERO)?;
    ///
    /// let second = FileLock::acquire(&file, LockMode::Shared, Duration::ZERO).unwrap_err();
    /// let LockError::Expired { holder: Some(holder), .. } = second else { panic!("{second}") };
    /// assert_eq!(holder.get(), std::process::id());
    /// # drop((lock, other));
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn acquire(path: &Path, mode: LockMode, patience: Duration) -> Result<Self, LockError> {
        Self::wait(&beside(path), mode, &Patience::of(patience))
    }

    pub(super) fn wait(
        path: &Path,
        mode: LockMode,
        patience: &Patience,
    ) -> Result<Self, LockError> {
        let failed = |error: io::Error| LockError::Io {
            path: path.into(),
            error,
        };
        loop {
            let file = open(path).map_err(failed)?;
            take(&file, path, mode, patience)?;
            if is_at(path, &file).map_err(failed)? {
                note_holder(&file, mode);
                return Ok(Self {
                    _old: None,
                    _file: file,
                    path: path.into(),
                    mode,
                });
            }
            // Removed while it was waited for. There is a new one, or none.
            if patience.is_over() {
                return Err(LockError::Expired {
                    path: path.into(),
                    holder: None,
                });
            }
        }
    }

    /// 0.13.0's lock of `data` along with this one, so that its programs are kept out too.
    pub(super) fn and_old(mut self, data: &Path, patience: &Patience) -> Result<Self, LockError> {
        let path = data.with_extension("lock");
        // 0.13.0 locked the data itself there.
        if path == data || path == self.path {
            return Ok(self);
        }
        let file = open(&path).map_err(|error| LockError::Io {
            path: path.clone(),
            error,
        })?;
        take(&file, &path, self.mode, patience)?;
        self._old = Some(file);
        Ok(self)
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether others may hold it too.
    #[must_use]
    pub const fn mode(&self) -> LockMode {
        self.mode
    }

    /// Gives the lock back and removes its file, where it is held alone.
    pub(super) fn remove(self) -> io::Result<()> {
        match self.mode {
            LockMode::Shared => Ok(()),
            LockMode::Exclusive => fs::remove_file(&self.path),
        }
    }
}

/// The lock file of a file.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".lock");
    path.with_file_name(name)
}

/// Until when to wait.
pub(super) struct Patience(Option<Instant>);

impl Patience {
    /// What no instant can express is for ever.
    pub(super) fn of(patience: Duration) -> Self {
        Self(Instant::now().checked_add(patience))
    }

    fn remaining(&self) -> Duration {
        match self.0 {
            Some(end) => end.saturating_duration_since(Instant::now()),
            None => Duration::MAX,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.remaining().is_zero()
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

fn take(file: &File, path: &Path, mode: LockMode, patience: &Patience) -> Result<(), LockError> {
    let operation = match mode {
        LockMode::Shared => FlockOperation::NonBlockingLockShared,
        LockMode::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    let mut pause = PAUSE;
    loop {
        match attempt(file, operation) {
            Ok(true) => return Ok(()),
            Ok(false) => {
                let left = patience.remaining();
                if left.is_zero() {
                    return Err(LockError::Expired {
                        path: path.into(),
                        holder: noted_holder(file),
                    });
                }
                std::thread::sleep(pause.min(left));
                pause = pause.saturating_mul(2).min(PAUSE_MAX);
            }
            Err(error) => {
                return Err(LockError::Io {
                    path: path.into(),
                    error: error.into(),
                });
            }
        }
    }
}

/// Writes into the lock file who holds it alone, or that nobody does.
fn note_holder(file: &File, mode: LockMode) {
    let pid = match mode {
        LockMode::Exclusive => alloc::format!("{:>10}\n", std::process::id()),
        LockMode::Shared => alloc::format!("{:>10}\n", ""),
    };
    // For others' messages only: the lock holds also where the disk is full.
    let _ = file.write_all_at(pid.as_bytes(), 0);
}

fn noted_holder(file: &File) -> Option<Pid> {
    let mut text = [0; HOLDER_BYTES];
    file.read_exact_at(&mut text, 0).ok()?;
    let text = core::str::from_utf8(&text).ok()?;
    Pid::new(text.trim().parse().ok()?).ok()
}
