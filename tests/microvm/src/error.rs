//! What can go wrong in a run.

use std::fmt::{self, Display};
use std::io;
use std::time::Duration;

/// Why a scenario ended before everything held.
#[derive(Debug)]
pub enum Error {
    /// Something is not as it has to be.
    NotHeld(String),
    /// A wait was over.
    NotInTime {
        /// What was waited for.
        what: String,
        /// For how long.
        limit: Duration,
        /// The end of the console, or of a program's output.
        tail: String,
    },
    /// A program that has to run has ended.
    Ended {
        /// What was waited for.
        what: String,
        /// The program, and its status.
        program: String,
        /// The end of the console, or of a program's output.
        tail: String,
    },
    /// QEMU did not do what it was told.
    Qmp {
        /// The command.
        command: String,
        /// QEMU's answer.
        answer: String,
    },
    /// The operating system's error.
    Io {
        /// At what.
        what: String,
        /// The error.
        error: io::Error,
    },
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHeld(what) => write!(f, "did not hold: {what}"),
            Self::NotInTime { what, limit, tail } => {
                write!(f, "not in {} ms: {what}\n{tail}", limit.as_millis())
            }
            Self::Ended { what, program, tail } => write!(f, "{program}, while waiting for {what}\n{tail}"),
            Self::Qmp { command, answer } => write!(f, "QEMU: {command}: {answer}"),
            Self::Io { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// Says what was done when an error came.
pub trait While<T> {
    /// An error of the operating system.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn doing(self, what: impl Display) -> Result<T, Error>
    where
        Self: Sized;
}

impl<T> While<T> for io::Result<T> {
    fn doing(self, what: impl Display) -> Result<T, Error> {
        self.map_err(|error| Error::Io { what: what.to_string(), error })
    }
}

/// Makes an error something that did not hold.
pub trait Must<T> {
    /// With `what` had to succeed.
    ///
    /// # Errors
    /// [`Error::NotHeld`].
    fn must(self, what: impl Display) -> Result<T, Error>
    where
        Self: Sized;
}

impl<T, E: Display> Must<T> for Result<T, E> {
    fn must(self, what: impl Display) -> Result<T, Error> {
        self.map_err(|error| Error::NotHeld(format!("{what}: {error}")))
    }
}

impl<T> Must<T> for Option<T> {
    fn must(self, what: impl Display) -> Result<T, Error> {
        self.ok_or_else(|| Error::NotHeld(what.to_string()))
    }
}

/// Ends a scenario where a condition does not hold.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::error::Error::NotHeld(format!($($what)+)));
        }
    };
}
