//! `guest` where there are no Unix sockets: the same function, and one message.

use std::process::ExitCode;

use crate::failure::Failure;

#[derive(clap::Args)]
pub(crate) struct GuestArgs {}

pub(crate) fn run(_args: &GuestArgs, json: bool) -> ExitCode {
    Failure::untried("mvm-core guest needs Unix sockets, which this system lacks").tell(json)
}
