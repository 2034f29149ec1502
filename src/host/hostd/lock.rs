//! One server at a time: `flock(2)` on a file beside the socket.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, open};

use super::peer::own_uid;
use crate::host::flock::{attempt, is_at};

/// How often a lock file may vanish while it is being locked.
const ATTEMPTS: u32 = 64;

/// Held until it is dropped, which removes the file, or until the process ends, which leaves it.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock, or `None` if another has it. Only the user that made the file can open it, so that
    /// no other can hold the lock.
    pub(super) fn take(path: &Path) -> io::Result<Option<Self>> {
        for _ in 0..ATTEMPTS {
            let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let file = File::from(open(path, flags, Mode::RUSR | Mode::WUSR)?);
            let mine = file.metadata()?;
            if !mine.is_file() || ![0, own_uid()].contains(&mine.uid()) {
                return Err(io::Error::other("the lock file is somebody else's"));
            }
            if !attempt(&file, FlockOperation::NonBlockingLockExclusive)? {
                return Ok(None);
            }
            // Who had it before may have removed the file between opening and locking it.
            if is_at(path, &file)? {
                let path = path.to_path_buf();
                return Ok(Some(Self { file, path }));
            }
        }
        Err(io::Error::other("the lock file keeps vanishing"))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is locked nobody else takes the file for theirs. If it cannot be removed it stays, and
        // is locked by the next server.
        if is_at(&self.path, &self.file).unwrap_or(false) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    #[test]
    fn one_holder_at_a_time_although_the_file_comes_and_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let (holders, taken) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        if let Some(lock) = Lock::take(&path).unwrap() {
                            assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                            taken.fetch_add(1, Ordering::SeqCst);
                            holders.fetch_sub(1, Ordering::SeqCst);
                            drop(lock);
                        }
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0);
        assert!(!path.exists());
    }

    #[test]
    fn a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        std::os::unix::fs::symlink(directory.path().join("victim"), &path).unwrap();
        assert!(Lock::take(&path).is_err());
        assert!(!directory.path().join("victim").exists());
    }
}
