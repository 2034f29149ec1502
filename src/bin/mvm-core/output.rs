//! Lines for people and for programs, whose readers may go away before the end.
//!
//! Every line goes through [`outln!`] and [`errln!`]: `println!` and its like panic where the other end of the
//! pipe is closed, as `| head -1` closes it. Here the rest is not written, and the command goes on: its exit code
//! says the same whoever reads along. Where standard output cannot be written for another reason, as a full disk,
//! [`finish`] says so, and the exit code is 2.

use core::fmt::Arguments;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

/// What kept standard output from being written, the first time.
static TROUBLE: OnceLock<io::Error> = OnceLock::new();

/// Writes a line to standard output, without colours where that is no terminal.
macro_rules! outln {
    ($($argument:tt)*) => {
        $crate::output::line(format_args!($($argument)*))
    };
}

/// Writes a line to standard error, without colours where that is no terminal.
macro_rules! errln {
    ($($argument:tt)*) => {
        $crate::output::error_line(format_args!($($argument)*))
    };
}

pub(crate) fn line(text: Arguments<'_>) {
    written(|| {
        let mut stdout = anstream::stdout().lock();
        writeln!(stdout, "{text}")?;
        stdout.flush()
    });
}

pub(crate) fn error_line(text: Arguments<'_>) {
    // There is nowhere left to say that this failed.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Writes bytes to standard output as they are.
pub(crate) fn bytes(bytes: &[u8]) {
    written(|| {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    });
}

fn written(write: impl FnOnce() -> io::Result<()>) {
    if TROUBLE.get().is_none()
        && let Err(error) = write()
    {
        let _ = TROUBLE.set(error);
    }
}

/// Whether nobody reads standard output any more, or it cannot be written.
pub(crate) fn is_gone() -> bool {
    TROUBLE.get().is_some()
}

/// The exit code of a command whose own is `code`: 2 if what it wrote did not arrive where it was to be kept.
pub(crate) fn finish(code: ExitCode) -> ExitCode {
    match TROUBLE.get() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            errln!("mvm-core: cannot write to standard output: {error}");
            ExitCode::from(2)
        }
        _ => code,
    }
}
