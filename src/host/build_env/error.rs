//! What goes wrong with programs, and with what is built on them.

use alloc::boxed::Box;
use alloc::string::String;
use core::error::Error as CoreError;
use core::time::Duration;
use std::io;

use thiserror_no_std::Error;

use super::output::{Captured, CommandOutput};
use crate::names::{BridgeName, TapName};

/// Why a script or a program was of no use. `command` is the beginning of it, on one line.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShellError {
    /// It was not started: there is no such program, it cannot be executed, there is no such directory, an
    /// argument has a NUL, or the system has no room for another process.
    #[error("{command}: not started: {error}")]
    Start {
        /// What was to run.
        command: String,
        /// The operating system's error.
        #[source]
        error: io::Error,
    },
    /// It was started and could not be watched to its end; it was killed.
    #[error("{command}: lost: {error}")]
    Watch {
        /// What was running.
        command: String,
        /// The operating system's error.
        #[source]
        error: io::Error,
    },
    /// It came to an end other than success.
    #[error("{command}: {}{}", .output.exit, said(&.output.stderr))]
    Failed {
        /// What has run.
        command: String,
        /// How it ended, and what it wrote until then.
        output: Box<CommandOutput>,
    },
    /// Its deadline passed, and it was killed with its process group.
    #[error("{command}: killed after {deadline:?}{}", said(.stderr))]
    TimedOut {
        /// What was running.
        command: String,
        /// The deadline.
        deadline: Duration,
        /// What it wrote until then.
        stdout: Box<Captured>,
        /// What it wrote until then.
        stderr: Box<Captured>,
    },
    /// It was successful, and its output is too long to be given as a whole.
    #[error("{command}: its output is cut: {} bytes and {} more", .stdout.bytes().len(), .stdout.missing())]
    TooLong {
        /// What has run.
        command: String,
        /// The beginning of its output.
        stdout: Box<Captured>,
    },
    /// It was successful, and its output is no text.
    #[error("{command}: its output is not UTF-8 at byte {at}")]
    NotText {
        /// What has run.
        command: String,
        /// Where the first byte that does not fit is, from 0.
        at: usize,
        /// Its output.
        stdout: Box<Captured>,
    },
    /// A double was asked for something that it was not told of.
    #[error("{command}: not expected: {expected}")]
    Unexpected {
        /// What was to run.
        command: String,
        /// What was expected instead.
        expected: String,
    },
    /// An environment of another kind could not do it, for a reason of its own.
    #[error("{command}: {error}")]
    Other {
        /// What was to run.
        command: String,
        /// The environment's error.
        #[source]
        error: Box<dyn CoreError + Send + Sync>,
    },
}

impl_error!(ShellError);

/// How many bytes of an error output an error shows; it has all of it that was kept.
const SAID_MAX: usize = 1000;

/// The end of an error output, behind a colon.
fn said(stderr: &Captured) -> String {
    let text = stderr.text();
    let text = text.trim();
    if text.is_empty() {
        return String::new();
    }
    let mut begin = text.len().saturating_sub(SAID_MAX);
    while !text.is_char_boundary(begin) {
        begin = begin.saturating_add(1);
    }
    let dots = if begin == 0 && stderr.is_whole() {
        ""
    } else {
        "…"
    };
    alloc::format!(": {dots}{}", text.get(begin..).unwrap_or_default())
}

/// What is in the way of a network device.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LinkProblem {
    /// A device of this name is there, and is of another kind.
    #[error("there is a device of this name, and it is {found}, not {wanted}")]
    OtherKind {
        /// What it is, in the words of `ip`.
        found: String,
        /// What it would have to be.
        wanted: &'static str,
    },
    /// The device belongs to another bridge.
    #[error("it belongs to {bridge}")]
    OtherBridge {
        /// That bridge, or another device of which it is a part.
        bridge: String,
    },
    /// The device is to belong to the bridge of another network.
    #[error("{bridge} is not the bridge of its network")]
    OtherNetwork {
        /// That bridge.
        bridge: BridgeName,
    },
    /// The bridge that it is to belong to is not there.
    #[error("there is no {bridge}")]
    NoBridge {
        /// That bridge.
        bridge: BridgeName,
    },
    /// What `ip` says of it cannot be read. That of busybox has no JSON.
    #[error("what ip says of it cannot be read: {problem}")]
    Unreadable {
        /// What is wrong with it.
        problem: String,
    },
}

impl_error!(LinkProblem);

/// Why a [`BuildEnvironment`](super::BuildEnvironment) could not do it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A program.
    #[error("{0}")]
    Shell(#[source] ShellError),
    /// A document was not loaded.
    #[error("{what}: not loaded: {error}")]
    Load {
        /// Which one: `tenant acme`, `pool acme/workers`.
        what: String,
        /// The error of where it is kept.
        #[source]
        error: Box<dyn CoreError + Send + Sync>,
    },
    /// A revision was not recorded.
    #[error("{what}: not recorded: {error}")]
    Record {
        /// Which one: `revision 0a1b… of pool acme/workers`.
        what: String,
        /// The error of where it is kept.
        #[source]
        error: Box<dyn CoreError + Send + Sync>,
    },
    /// A bridge is not as it was to be.
    #[error("{bridge}: {problem}")]
    Bridge {
        /// The bridge.
        bridge: BridgeName,
        /// What is in the way.
        #[source]
        problem: LinkProblem,
    },
    /// A TAP device is not as it was to be.
    #[error("{tap}: {problem}")]
    Tap {
        /// The device.
        tap: TapName,
        /// What is in the way.
        #[source]
        problem: LinkProblem,
    },
}

impl_error!(BuildError);

impl From<ShellError> for BuildError {
    fn from(error: ShellError) -> Self {
        Self::Shell(error)
    }
}
