//! `hostd`: the privileged daemon on this machine.

// Twins: where there are Unix sockets, and where there are none.
#[cfg_attr(unix, path = "ping.rs")]
#[cfg_attr(not(unix), path = "other.rs")]
mod ping;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use mvm_core::protocol::HOSTD_SOCKET_PATH;

#[derive(Subcommand)]
pub(crate) enum HostdCommand {
    /// Ask hostd whether it is there, and tell who answers, in which version, and how fast.
    ///
    /// Exit code: 0 if it answered, 1 if what is there is not what it should be (another user's server, another
    /// version, no answer to the question) or does not answer in time, 2 if it could not be asked.
    ///
    /// With --json: {"ok", "socket", "version", "server": {"uid", "gid", "pid"}, "round_trip_us": {"count", "min",
    /// "median", "max"}, "error"}; what is not known is null, and so the error if all is well.
    Ping(PingArgs),
}

#[derive(Args)]
pub(crate) struct PingArgs {
    /// The socket.
    #[arg(long, default_value = HOSTD_SOCKET_PATH)]
    socket: PathBuf,
    /// How long all of it may take, in milliseconds.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout_ms: u64,
    /// How often to ask.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// The user that the server must be. By default root or the one who asks.
    #[arg(long)]
    uid: Option<u32>,
}

pub(crate) fn run(command: &HostdCommand, json: bool) -> ExitCode {
    match command {
        HostdCommand::Ping(args) => ping::run(args, json),
    }
}
