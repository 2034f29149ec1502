//! Programs with a deadline.

use core::time::Duration;
use std::io;
use std::path::Path;
use std::process::Command;

use super::probe::{End, Run};
use crate::host::process::{self, Input, Job, Keep, Output};

/// How much of an output is kept, in bytes.
const MAX_OUTPUT: usize = 64 * 1024;
/// How long to wait for output after a program's end: one that it left behind may keep the pipes.
const LINGER: Duration = Duration::from_millis(500);

/// Runs a program without input. When the deadline passes, it and all of its process group are
/// killed. Returns at the latest about a second after that.
pub(super) fn run(program: &Path, arguments: &[&str], deadline: Duration) -> io::Result<Run> {
    let mut command = Command::new(program);
    command.args(arguments);
    let kept = Output::Kept(Keep::First(MAX_OUTPUT));
    let done = process::run(Job {
        command,
        input: Input::Nothing,
        stdout: kept,
        stderr: kept,
        deadline: Some(deadline),
        grace: Duration::ZERO,
        linger: Some(LINGER),
    })?;
    let end = match done.status {
        Some(status) if !done.timed_out => End::Exited {
            code: status.code(),
        },
        _ => End::TimedOut,
    };
    Ok(Run {
        end,
        stdout: done.stdout.bytes,
        stderr: done.stderr.bytes,
    })
}
