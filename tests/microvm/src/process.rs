//! Programs that end with the harness, whatever becomes of it.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, While};

/// How often to look again at what gives no notice.
pub const POLL: Duration = Duration::from_millis(10);
/// How much of a log an error shows, in bytes.
const TAIL: usize = 2000;

/// What runs now.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running() -> MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kill(id: u32) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have ended already.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Kills everything that was started and runs still. For a harness that ends at once.
pub fn kill_all() {
    running().drain(..).for_each(kill);
}

/// The end of a text file, or why there is none.
#[must_use]
pub fn tail(path: &Path) -> String {
    match std::fs::read(path) {
        Ok(bytes) => {
            let from = bytes.len().saturating_sub(TAIL);
            let text = String::from_utf8_lossy(&bytes[from..]).into_owned();
            format!("--- the end of {}:\n{}", path.display(), text.trim_end())
        }
        Err(error) => format!("--- {}: {error}", path.display()),
    }
}

/// Asks `look` until it gives something, for `limit` at most.
///
/// # Errors
/// What `look` gives; [`Error::NotInTime`] with what `tail` gives.
pub fn wait_until<T>(
    what: &str,
    limit: Duration,
    tail: impl Fn() -> String,
    mut look: impl FnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let start = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if start.elapsed() >= limit {
            let what = what.to_owned();
            let tail = tail();
            return Err(Error::NotInTime { what, limit, tail });
        }
        thread::sleep(POLL);
    }
}

/// A program that was started. It is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it, with its output in a file beside `log`'s name.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn start<A: AsRef<OsStr>>(
        program: &Path,
        args: impl IntoIterator<Item = A>,
        log: PathBuf,
    ) -> Result<Self, Error> {
        let name = program.display().to_string();
        let out = File::create(&log).doing(log.display())?;
        let errors = out.try_clone().doing(log.display())?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null());
        let child = command.stdout(out).stderr(errors).spawn().doing(&name)?;
        running().push(child.id());
        Ok(Self { name, child, log })
    }

    /// What it said.
    #[must_use]
    pub fn tail(&self) -> String {
        tail(&self.log)
    }

    /// Fails where it has ended.
    ///
    /// # Errors
    /// [`Error::Ended`], [`Error::Io`].
    pub fn check(&mut self, what: &str) -> Result<(), Error> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => Err(Error::Ended {
                what: what.to_owned(),
                program: format!("{} has ended, {status}", self.name),
                tail: self.tail(),
            }),
        }
    }

    /// Its status, if it has ended.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child.try_wait().doing(&self.name)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let id = self.child.id();
        let _ = self.child.kill();
        let _ = self.child.wait();
        running().retain(|other| *other != id);
    }
}
