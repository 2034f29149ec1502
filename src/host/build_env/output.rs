//! What programs leave behind.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::command::shown;
use super::error::ShellError;
use crate::host::process::Kept;

// Twins: signals.
#[cfg_attr(unix, path = "exit/unix.rs")]
#[cfg_attr(not(unix), path = "exit/other.rs")]
mod status;

pub(super) use status::exit;

/// How a program came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exit {
    /// By itself, with this code; 0 is success. A shell gives 127 for a program that it does not find, 126
    /// for one that it cannot run, and 128 plus the signal's number for one that was killed.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// Whether the program was successful.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Code(0))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// An output, of which a part may be missing.
///
/// It is never cut inside a character: what is missing of one at the limit is missing altogether. Bytes that
/// are no text are kept as they are.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Captured {
    bytes: Vec<u8>,
    cut: u64,
    cut_before: bool,
}

impl Captured {
    /// All of an output, for doubles.
    #[must_use]
    pub fn whole(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            cut: 0,
            cut_before: false,
        }
    }

    /// The beginning of an output of which as many bytes are missing, for doubles.
    #[must_use]
    pub fn beginning(bytes: impl Into<Vec<u8>>, missing: u64) -> Self {
        Self {
            bytes: bytes.into(),
            cut: missing,
            cut_before: false,
        }
    }

    pub(super) fn of(kept: Kept, cut_before: bool) -> Self {
        Self {
            bytes: kept.bytes,
            cut: kept.cut,
            // Of no account where nothing is missing, also when two are compared.
            cut_before: cut_before && kept.cut > 0,
        }
    }

    /// The bytes that were kept.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes are missing: behind those that were kept, or before them in an error output.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.cut
    }

    /// Whether nothing is missing.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.cut == 0
    }

    /// The text that was kept, with U+FFFD for what is none.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// The bytes that were kept.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The text that was kept, and in brackets how much is missing where it is.
impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = self.cut;
        if self.cut_before {
            write!(f, "[{cut} bytes cut] ")?;
        }
        f.write_str(&self.text())?;
        if !self.is_whole() && !self.cut_before {
            write!(f, " [{cut} bytes cut]")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Captured")
            .field("text", &self.text())
            .field("missing", &self.cut)
            .finish()
    }
}

/// What a program has written, and how it came to its end.
// Exhaustive: environments build it.
#[allow(clippy::exhaustive_structs)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutput {
    /// How it came to its end.
    pub exit: Exit,
    /// Its output; nothing if it was visible.
    pub stdout: Captured,
    /// Its error output; nothing if it was visible.
    pub stderr: Captured,
}

impl CommandOutput {
    /// The output of a program that was successful.
    ///
    /// This and [`into_text`](Self::into_text) are for who implements a
    /// [`ShellEnvironment`](super::ShellEnvironment); `command` is what has run, for the error.
    ///
    /// # Errors
    /// [`ShellError::Failed`].
    pub fn into_success(self, command: &dyn fmt::Display) -> Result<Self, ShellError> {
        if self.exit.is_success() {
            return Ok(self);
        }
        Err(ShellError::Failed {
            command: shown(&command.to_string()),
            output: Box::new(self),
        })
    }

    /// The whole output of a program that was successful, as text.
    ///
    /// # Errors
    /// [`ShellError::Failed`], [`ShellError::TooLong`], [`ShellError::NotText`].
    pub fn into_text(self, command: &dyn fmt::Display) -> Result<String, ShellError> {
        let stdout = self.into_success(command)?.stdout;
        if !stdout.is_whole() {
            return Err(ShellError::TooLong {
                command: shown(&command.to_string()),
                stdout: Box::new(stdout),
            });
        }
        String::from_utf8(stdout.into_bytes()).map_err(|error| ShellError::NotText {
            command: shown(&command.to_string()),
            at: error.utf8_error().valid_up_to(),
            stdout: Box::new(Captured::whole(error.into_bytes())),
        })
    }
}
