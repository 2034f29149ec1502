//! Stored states need Unix: locks, and directories that can be made durable.

use std::process::ExitCode;

use clap::Args;

use crate::failure::Failure;

/// Takes nothing.
#[derive(Args)]
pub(crate) struct StateArgs {}

pub(crate) fn run(_args: &StateArgs, json: bool) -> ExitCode {
    Failure::untried("stored states are read on Unix only").tell(json)
}
