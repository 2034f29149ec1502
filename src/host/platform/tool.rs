//! Programs that are asked for their version.

use alloc::string::String;
use core::fmt;
use core::time::Duration;
use std::path::PathBuf;

use serde::Serialize;

use super::device::Errno;
use super::probe::{End, Probe};

/// How much of what a program says is kept, in characters.
const MAX_MESSAGE: usize = 200;

/// Whether a program answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolStatus {
    /// It was not found.
    Missing,
    /// It cannot be started.
    NotStarted {
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        errno: Errno,
    },
    /// It did not answer in time, and was killed.
    TimedOut {
        /// Where it is.
        path: PathBuf,
        /// How long it had.
        deadline: Duration,
    },
    /// It said no.
    Failed {
        /// Where it is.
        path: PathBuf,
        /// Its exit code, `None` if a signal ended it. It is 0 if it said nothing at all.
        code: Option<i32>,
        /// The first line of its error output, at most 200 characters.
        message: String,
    },
    /// It answered.
    Ready {
        /// Where it is.
        path: PathBuf,
        /// The first line of its answer, at most 200 characters.
        version: String,
    },
}

impl ToolStatus {
    /// Whether it answered.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Ready { .. })
    }

    /// What it answered.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        match self {
            Self::Ready { version, .. } => Some(version),
            _ => None,
        }
    }
}

impl fmt::Display for ToolStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("not found"),
            Self::NotStarted { path, errno } => write!(f, "{}: {errno}", path.display()),
            Self::TimedOut { path, deadline } => {
                write!(f, "{}: no answer within {deadline:?}", path.display())
            }
            Self::Failed {
                path,
                code,
                message,
            } => {
                write!(f, "{}: ", path.display())?;
                match code {
                    Some(code) => write!(f, "exit code {code}")?,
                    None => f.write_str("ended by a signal")?,
                }
                if message.is_empty() {
                    return Ok(());
                }
                write!(f, ": {message}")
            }
            Self::Ready { path, version } => write!(f, "{version} ({})", path.display()),
        }
    }
}

/// Asks the program `name`, or the first that exists at one of `places`.
pub(super) fn ask(
    probe: &dyn Probe,
    name: &str,
    places: &[&str],
    arguments: &[&str],
    deadline: Duration,
) -> ToolStatus {
    let found = probe
        .find(name)
        .or_else(|| places.iter().find_map(|place| probe.find(place)));
    let Some(path) = found else {
        return ToolStatus::Missing;
    };
    let run = match probe.run(&path, arguments, deadline) {
        Ok(run) => run,
        Err(error) => {
            let errno = Errno::of(&error);
            return ToolStatus::NotStarted { path, errno };
        }
    };
    match run.end {
        End::TimedOut => ToolStatus::TimedOut { path, deadline },
        End::Exited { code } => match first_line(&run.stdout) {
            version if code == Some(0) && !version.is_empty() => {
                ToolStatus::Ready { path, version }
            }
            _ => ToolStatus::Failed {
                path,
                code,
                message: first_line(&run.stderr),
            },
        },
    }
}

/// The first line that is not blank, without characters that could do something to a terminal.
fn first_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_MESSAGE)
        .collect()
}
