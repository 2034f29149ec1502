//! Programs that are started, watched to their end, and killed when they take too long.
//!
//! A run is over when the program has ended *and* its output is at its end, which is what a shell's
//! `$(…)` waits for: something that the program has started and that keeps the pipe is part of it. A
//! program with a deadline leads a process group of its own. When the deadline passes, the group is asked
//! to end (`SIGTERM`) and killed after a grace (`SIGKILL`), while the number of the group is still held by
//! the program that has not been reaped: no other group can be hit. After that a run returns, also if
//! something has left the group and still has the pipe.

use alloc::vec::Vec;
use core::time::Duration;
use std::io;
use std::process::{Command, ExitStatus};

mod kept;

pub(crate) use kept::{Keep, Kept};

// Twins: one thread that waits for everything at once, and a thread for each pipe.
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::run;

// Compiled for unit tests too, which are what checks it where it is not used.
#[cfg(any(not(unix), test))]
mod portable;
#[cfg(not(unix))]
pub(crate) use portable::run;

/// How long a killed program may take to die, and its output to end: one in an uninterruptible wait
/// does not die, and what has left its group may keep its pipes.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// What a program reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input<'a> {
    /// Nothing.
    Nothing,
    /// What this process reads.
    Inherited,
    /// These bytes, as far as it wants them.
    Bytes(&'a [u8]),
}

/// Where a program's output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Nowhere.
    Dropped,
    /// Where this process's goes.
    Inherited,
    /// Here.
    Kept(Keep),
}

/// A program to run.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// The program, its arguments, its environment and its directory.
    pub(crate) command: Command,
    pub(crate) input: Input<'a>,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    /// How long all of it may take. With one, the program leads a process group of its own.
    pub(crate) deadline: Option<Duration>,
    /// How long the group has between `SIGTERM` and `SIGKILL`; without any it is killed at once.
    pub(crate) grace: Duration,
    /// How long to wait for the end of the output after the end of the program, at most: without an
    /// end until the deadline.
    pub(crate) linger: Option<Duration>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Done {
    /// How the program ended; nothing if it did not even when it was killed.
    pub(crate) status: Option<ExitStatus>,
    /// Whether the deadline passed before the run was over.
    pub(crate) timed_out: bool,
    pub(crate) stdout: Kept,
    pub(crate) stderr: Kept,
}

/// Why there is no end to tell of.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The program was not started.
    Start(io::Error),
    /// The program could not be watched. It was killed.
    Watch(io::Error),
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Start(error) | Failure::Watch(error) => error,
        }
    }
}

/// An output that was not kept.
fn nothing_kept() -> Kept {
    Kept {
        bytes: Vec::new(),
        cut: 0,
    }
}

#[cfg(all(test, unix))]
mod tests;
