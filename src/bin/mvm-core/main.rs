//! `mvm-core`, the operator's tool.

extern crate alloc;

// First, for its macros.
#[macro_use]
mod output;

#[cfg(unix)]
mod audit;
#[cfg(not(unix))]
#[path = "audit/unsupported.rs"]
mod audit;
mod config;
#[cfg(unix)]
mod demo;
#[cfg(not(unix))]
#[path = "demo/unsupported.rs"]
mod demo;
mod doctor;
mod documents;
mod failure;
#[cfg(unix)]
mod guest;
#[cfg(not(unix))]
#[path = "guest/unsupported.rs"]
mod guest;
mod hostd;
mod keys;
mod pages;
mod progress;
#[cfg(unix)]
mod state;
#[cfg(not(unix))]
#[path = "state/unsupported.rs"]
mod state;
mod style;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Documents and sessions of a Firecracker microVM fleet.
///
/// Exit code: 0 if everything held, 1 if something did not, 2 if it could not be tried.
#[derive(Parser)]
#[command(name = "mvm-core", version, arg_required_else_help = true)]
struct Cli {
    /// Write one JSON document instead of text for people.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read a document and tell of everything that is wrong with it, with path, line and column.
    ///
    /// Exit code: 0 if it is valid, 1 if it is not, 2 if it could not be read.
    ///
    /// With --json: {"ok", "type", "file", "problems": [{"path", "message", "line", "column"}], "omitted_problems",
    /// "warnings": [as problems], "omitted_warnings"}; line and column, both from 1, are null where there is
    /// no place; of each kind 1,000 are listed and the others counted. Where it could not be read: {"ok": false,
    /// "type", "file", "error"}.
    Check(documents::CheckArgs),
    /// Tell which route of a routing table takes a request.
    ///
    /// Exit code: 0 if one does, 1 if none does or the table is not valid, 2 if it could not be read.
    ///
    /// With --json: {"ok", "index", "route"}, the index counted from 0 and both null where no route takes it; where
    /// the table is not valid or could not be read, as `check` has it.
    Route(documents::RouteArgs),
    /// Tell what has to be done on a node so that it has what is desired, in which order, and what has to wait.
    ///
    /// Nothing is done. The same files and the same time give the same plan.
    ///
    /// Exit code: 0 if there is a plan, 1 if something that is desired cannot be or a document is not valid, 2 if one
    /// could not be read.
    ///
    /// With --json: {"ok", "plan": {"actions", "deferred", "refused", "unknown"}, "documents"}; where a document is not
    /// valid, the plan is null, and both documents are as `check` has them.
    Plan(documents::PlanArgs),
    /// Run host and guest in two processes over a Unix socket, and the whole protocol between them.
    ///
    /// Needs no root and no network. Every line is what the two processes measured and reported; a
    /// check holds only where both saw the same. The guest's process stands in for the microVM: it is
    /// stopped where the microVM's virtual CPUs would be paused, and told of a restore where the
    /// microVM would be restored.
    ///
    /// With --json: {"ok", "elapsed_ms", "checks": [{"id", "title", "ok", "took_us", "facts": {name:
    /// value}, "failures": [text]}]}; a fact that both sides reported is {"host", "guest"}.
    Demo(demo::DemoArgs),
    /// Tell what this machine offers to run microVMs, and what would help where it does not.
    ///
    /// Exit code: 0 if a microVM can run here, 1 if not, 2 if that could not be tried.
    ///
    /// With --json: {"ok", "verdict": "yes" | "no" | "unknown", "checks": [{"id", "title", "mark": "good" | "note" |
    /// "advice" | "bad" | "unknown", "needed", "found", "help"}], "platform": what was asked, as the library has it};
    /// help is null where there is none, and a microVM can run if every check that is needed is not bad or unknown.
    Doctor(doctor::DoctorArgs),
    /// Make a key: a secret one in a file that only its owner may read, and the public one beside it.
    ///
    /// The secret is never shown. A file that exists is not overwritten unless --force says so, and then it is
    /// replaced: a symbolic link, not what it points to.
    ///
    /// Exit code: 0 if the key was made, 1 if a file is in the way, 2 if one could not be written.
    ///
    /// With --json: {"ok", "usage", "file", "public_file", "public_key": 64 hexadecimal digits, "public_text": the line
    /// of a public key file, "fingerprint"}; where it was not made, {"ok": false, "error"}.
    Keygen(keys::KeygenArgs),
    /// Sign a document.
    ///
    /// Writes {"payload", "signature", "signer_id"}, which 0.13.0 reads, too: Ed25519 over the bytes as they are.
    ///
    /// Exit code: 0 if it was signed, 1 if it must not be (it is not valid, too long or begins like a message of a session),
    /// 2 if something could not be read or written.
    ///
    /// With --json: {"ok", "signer", "fingerprint", "file", "document"}; file is null without --out, and document null
    /// with it. Where it was not signed, {"ok": false, "error"}, and as `check` has it where the document is not valid.
    Sign(keys::SignArgs),
    /// Verify a signed document, and write what was signed.
    ///
    /// Nothing of it is written unless the signature fits a trusted key whose time it is, and what else was asked for holds.
    ///
    /// Files of trusted keys have a line for each: the id of the signer, the line of its public key file, and, if its
    /// time is limited, not-before=TIME and not-after=TIME, both included. Lines that begin with # are not read.
    ///
    /// Exit code: 0 if it is verified, 1 if not, 2 if that could not be tried.
    ///
    /// With --json: {"ok", "file", "signer", "not_after": the end of the key's time, "payload": a string, or an array of
    /// numbers where it is not UTF-8, "admission": null, or {"sequence", "expires_at", "repeated", "record"}}; where it is not
    /// verified, {"ok": false, "error"}, and as `check` has it where a document is not valid.
    Verify(keys::VerifyArgs),
    /// Ask a guest something, over a Unix socket or its VMM's vsock socket.
    ///
    /// Opens a session of its own for one request and closes it. A guest serves one session of a service: this one
    /// takes the place of the one that a host daemon has, which notices that and opens another.
    ///
    /// Exit code: 0 if the guest did it, 1 if it was reached and did not, refused the session, is not the guest that is
    /// trusted, or did not answer in time, 2 if it was not reached, or a key or an argument is wrong.
    ///
    /// With --json: {"ok", "request", "session": {"instance", "generation", "service", "guest_key": the fingerprint,
    /// "capabilities": bits}, "took_ms", "answer", "failure", "closed": whether the end of the session was verified}.
    /// The answer is {"uptime_ms"} to ping; {"ready", "phase", "generation", "uptime_ms", "components": [{"name", "state",
    /// "since_ms"}]} to status; {"steps": {step: text}, "clock_skew_ms"} to wake; {"body": hexadecimal digits} to
    /// extension; else null. Where there was no answer, {"ok": false, "error"}, and "at": "handshake" with "refused": the
    /// guest's code or null, or "at": "request" with "session", if a guest was reached.
    Guest(guest::GuestArgs),
    /// Read and change the user's config.toml, and tell where files of the user are.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Talk to hostd, the privileged daemon of this machine.
    #[command(subcommand)]
    Hostd(hostd::HostdCommand),
    /// Write the completions for a shell to standard output.
    ///
    /// With --json: {"ok", "shell", "script"}.
    Completions(pages::CompletionsArgs),
    /// Write the manual page to standard output, or all pages into a directory.
    ///
    /// Exit code: 0 if they were written, 2 if not.
    ///
    /// With --json: {"ok", "page"}, with a directory {"ok", "files"}; where they could not be written, {"ok": false,
    /// "error"}.
    Man(pages::ManArgs),
    /// Verify audit logs, and show their entries.
    Audit(audit::AuditArgs),
    /// Show and record what state an instance is in, and draw the state machine.
    State(state::StateArgs),
    /// The guest's process of `demo`.
    #[command(hide = true)]
    DemoGuest(demo::GuestArgs),
}

fn main() -> ExitCode {
    output::finish(run(Cli::parse()))
}

fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Check(args) => documents::check(&args, cli.json),
        Command::Route(args) => documents::route(&args, cli.json),
        Command::Plan(args) => documents::plan(&args, cli.json),
        Command::Demo(args) => demo::run(&args, cli.json),
        Command::Doctor(args) => doctor::run(&args, cli.json),
        Command::Keygen(args) => keys::keygen(&args, cli.json),
        Command::Sign(args) => keys::sign(&args, cli.json),
        Command::Verify(args) => keys::verify(&args, cli.json),
        Command::Guest(args) => guest::run(&args, cli.json),
        Command::Config(command) => config::run(&command, cli.json),
        Command::Hostd(command) => hostd::run(&command, cli.json),
        Command::Completions(args) => pages::completions(&args, Cli::command(), cli.json),
        Command::Man(args) => pages::man(&args, Cli::command(), cli.json),
        Command::Audit(args) => audit::run(&args, cli.json),
        Command::State(args) => state::run(&args, cli.json),
        Command::DemoGuest(args) => demo::run_guest(&args),
    }
}
