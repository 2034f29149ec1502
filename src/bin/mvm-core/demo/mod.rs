//! `demo`: host and guest in two processes, and the whole protocol between them.

mod guest;
mod host;
mod middle;
mod process;
mod report;
mod watched;

use alloc::sync::Arc;
use core::time::Duration;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use clap::{Args, ValueEnum};
use sha2::{Digest, Sha512_256};

use process::Remains;
use report::{Report, Trouble};

/// By convention the low 16 bits of the vsock port: control, telemetry, and one to be attacked.
const SERVICES: [u16; 3] = [CONTROL, TELEMETRY, ATTACKED];
const CONTROL: u16 = 5252;
const TELEMETRY: u16 = 5253;
const ATTACKED: u16 = 5254;

/// After this a run is over, whatever it is at. It only bounds a hang, as every limit here does that is
/// not tried in vain: a run takes a fraction of a second, and on a machine that is busy with other things
/// as long as it takes.
const HARD_LIMIT: Duration = Duration::from_secs(60);

/// How long a connection waits for its peer; longer than any run.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long the sessions of a run may live; longer than any run.
const LIFETIME_MS: u64 = 120_000;

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Negative control: leave something out, and see that the demo notices.
    #[arg(long, hide = true, value_name = "WHAT")]
    sabotage: Option<Sabotage>,
}

/// What can be left out. Each makes one check fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sabotage {
    /// The middle repeats nothing.
    Replay,
    /// The middle takes nothing from another session.
    Splice,
    /// The middle rewrites nothing.
    Rewrite,
    /// What was held back over the restore is never delivered.
    OldSession,
    /// The host that is behind is not behind.
    StaleHost,
    /// The guest does not set its network when it is woken.
    Wake,
}

#[derive(Args)]
pub(crate) struct GuestArgs {
    /// Where to listen.
    #[arg(long)]
    socket: PathBuf,
}

/// Clears up when it goes, also when a thread panics.
struct Cleared(Arc<Remains>);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.clear();
    }
}

pub(crate) fn run(args: &DemoArgs, json: bool) -> ExitCode {
    let remains = match random().and_then(|random| Remains::new(&random)) {
        Ok(remains) => Arc::new(remains),
        Err(trouble) => {
            errln!("mvm-core demo: no place for a socket: {trouble}");
            return ExitCode::from(2);
        }
    };
    let cleared = Cleared(Arc::clone(&remains));
    let watched = Arc::clone(&remains);
    thread::spawn(move || {
        thread::sleep(HARD_LIMIT);
        watched.clear();
        errln!("mvm-core demo: not done after {HARD_LIMIT:?}, given up");
        std::process::exit(1);
    });
    let mut report = Report::new(json, &host::PLANNED);
    host::run(&mut report, remains, args.sabotage);
    let held = report.finish();
    drop(cleared);
    ExitCode::from(u8::from(!held))
}

pub(crate) fn run_guest(args: &GuestArgs) -> ExitCode {
    match guest::run(&args.socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            errln!("mvm-core demo-guest: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn random() -> Result<String, Trouble> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Capabilities, as bits.
fn bits(bits: u32) -> String {
    format!("{bits:#011b}")
}

/// SHA-512/256 over the parts.
fn mix(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha512_256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Shows that two sides have the same secret, and not what it is.
fn check_value(secret: &[u8; 32]) -> String {
    let digest = mix(&[b"mvm-core demo check value\0", secret]);
    hex(digest.first_chunk::<8>().unwrap_or(&[0; 8]))
}
