//! A code or a signal.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::Exit;

/// How a program that has ended did so; nothing for one that has only stopped, which is not asked for.
pub(in super::super) fn exit(status: ExitStatus) -> Option<Exit> {
    let signal = || status.signal().map(Exit::Signal);
    status.code().map(Exit::Code).or_else(signal)
}
