//! `flock(2)` on the directory itself: it leaves no file behind, and goes when its holder dies.

use core::time::Duration;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Instant;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::host::flock::attempt;

/// How long to wait before looking again whether a lock is free.
const PAUSE: Duration = Duration::from_millis(10);

/// Held until it is dropped.
pub(in crate::host::user_config) struct Lock {
    // Closing the file gives the lock back.
    _directory: File,
}

impl Lock {
    /// Waits at most `patience` for the lock of a directory.
    ///
    /// File systems without locks are taken as they are: there, the check that the file has not
    /// changed since it was read is all there is.
    pub(in crate::host::user_config) fn of(
        directory: &Path,
        patience: Duration,
    ) -> io::Result<Self> {
        let directory_file = File::open(directory)?;
        let start = Instant::now();
        loop {
            match attempt(&directory_file, FlockOperation::NonBlockingLockExclusive) {
                Ok(true) | Err(Errno::OPNOTSUPP | Errno::NOLCK | Errno::BADF | Errno::INVAL) => {
                    return Ok(Self {
                        _directory: directory_file,
                    });
                }
                Ok(false) if start.elapsed() < patience => std::thread::sleep(PAUSE),
                Ok(false) => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
