//! `hostd ping` where there are no Unix sockets.

use std::process::ExitCode;

use super::PingArgs;
use crate::failure::Failure;

pub(super) fn run(args: &PingArgs, json: bool) -> ExitCode {
    let PingArgs {
        socket,
        timeout_ms: _,
        count: _,
        uid: _,
    } = args;
    Failure::of_file(socket, "this system lacks the sockets of hostd").tell(json)
}
