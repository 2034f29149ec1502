//! `demo` where there are no Unix sockets: the same functions, and one message.

use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct DemoArgs {}

#[derive(clap::Args)]
pub(crate) struct GuestArgs {}

pub(crate) fn run(_args: &DemoArgs, _json: bool) -> ExitCode {
    explain()
}

pub(crate) fn run_guest(_args: &GuestArgs) -> ExitCode {
    explain()
}

fn explain() -> ExitCode {
    errln!("mvm-core demo needs Unix sockets between processes, which this system lacks");
    ExitCode::from(2)
}
