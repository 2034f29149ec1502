//! A code.

use std::process::ExitStatus;

use super::Exit;

pub(in super::super) fn exit(status: ExitStatus) -> Option<Exit> {
    status.code().map(Exit::Code)
}
