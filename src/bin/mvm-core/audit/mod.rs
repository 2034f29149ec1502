//! Audit logs: whether they are whole, and what comes.

mod tail;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use mvm_core::audit::KnownHead;

#[derive(Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Tell whether audit logs are whole: every record that was changed, left out, put elsewhere or cut off, with its place.
    ///
    /// A log is read with its sealed generations, their seals and its state; programs may go on writing it. Without a
    /// trusted key and a head that was kept elsewhere, whoever can write all of these files can write them anew, and the
    /// end of the log is only held against its state.
    ///
    /// Exit code: 0 if nothing is wrong, 1 if something is, 2 if a file could not be read.
    ///
    /// With --json: {"ok", "logs": [{"ok", "file", "findings": [{"file", "generation", "line", "offset", "message"}],
    /// "omitted_findings", "records", "first", "last", "unchained", "uncovered", "unreadable", "lost", "cut", "signatures",
    /// "unknown_signatures", "signed_to", "bytes"}]}; first and last are {"log", "generation", "head"}, where head is what
    /// --head takes, or null; of findings 1,000 are listed and the others counted. Of a log that could not be read:
    /// {"ok": false, "file", "error"}.
    Verify(VerifyArgs),
    /// Show the last entries of an audit log, and those that come.
    ///
    /// Exit code: 0, or 2 if the log could not be read.
    ///
    /// With --json a line for each: {"seq", "entry", "line"}; seq is null for a line without a chain, entry for one that is
    /// none, and line, its text, for one that is.
    Tail(TailArgs),
}

#[derive(Args)]
struct VerifyArgs {
    /// The logs.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A file with a public key for documents, whose checkpoints are believed. Something of each log must be signed with one
    /// of them.
    #[arg(long, value_name = "FILE")]
    trusted_key: Vec<PathBuf>,
    /// A record that is known to have been in the log, as SEQ:HASH. Only with one log.
    #[arg(long, value_name = "SEQ:HASH")]
    head: Vec<KnownHead>,
}

#[derive(Args)]
struct TailArgs {
    /// The log.
    file: PathBuf,
    /// How many entries to begin with.
    #[arg(short = 'n', long, default_value_t = 10)]
    lines: usize,
    /// Go on until interrupted, also into the next generation.
    #[arg(short, long)]
    follow: bool,
}

pub(crate) fn run(args: &AuditArgs, json: bool) -> ExitCode {
    match &args.command {
        AuditCommand::Verify(args) => verify::run(args, json),
        AuditCommand::Tail(args) => tail::run(args, json),
    }
}
