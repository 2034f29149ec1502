//! `guest`: one request to a guest, and its answer.

mod request;
mod show;

use alloc::string::ToString;
use core::time::Duration;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use clap::Args;
use mvm_core::channel::{
    Caller, ChannelError, ControlError, Deadline, Dial, HostChannel, Local, SystemEnvironment,
};
use mvm_core::guest::Capabilities;
use mvm_core::naming::InstanceId;
use mvm_core::session::{GuestPublicKey, GuestTrust, HostEndpoint, HostKey, HostOptions, Opened};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::keys::files;
use crate::style::{DIM, GOOD, visible};

#[derive(Args)]
#[command(group(clap::ArgGroup::new("where").required(true).args(["socket", "vsock"])))]
pub(crate) struct GuestArgs {
    /// A Unix socket that leads straight to the guest.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The VMM's Unix socket of its vsock device (Firecracker's uds_path).
    #[arg(long, value_name = "PATH")]
    vsock: Option<PathBuf>,
    /// The guest's vsock port.
    #[arg(long, default_value_t = 5252)]
    port: u32,
    /// The service that is asked for. By default the low 16 bits of the port.
    #[arg(long)]
    service: Option<u16>,
    /// The file of this host's secret key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The guest's key: the file of its public key, its 64 hexadecimal digits, or its fingerprint's 32.
    #[arg(long, value_name = "KEY")]
    trust: String,
    /// The instance that the guest belongs to.
    #[arg(long, value_parser = instance)]
    instance: InstanceId,
    /// The instance's generation. A guest refuses one that is below what it has seen.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    generation: u64,
    /// For everything together, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    timeout: u32,
    /// Wait for a guest that boots, instead of telling at once that it is not there.
    #[arg(long)]
    wait: bool,
    #[command(subcommand)]
    request: request::Request,
}

fn instance(text: &str) -> Result<InstanceId, String> {
    InstanceId::new(text).map_err(|error| error.to_string())
}

/// Whom to trust.
enum Trust {
    Key(GuestPublicKey),
    /// In hexadecimal digits.
    Fingerprint(String),
}

impl Trust {
    fn read(text: &str) -> Result<Self, Failure> {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match text.len() {
            64 if digits => GuestPublicKey::from_hex(text)
                .map(Self::Key)
                .map_err(|error| Failure::untried(format_args!("--trust: {error}"))),
            32 if digits => Ok(Self::Fingerprint(text.to_ascii_lowercase())),
            _ => files::public_key(text.as_ref()).map(Self::Key),
        }
    }
}

pub(crate) fn run(args: &GuestArgs, json: bool) -> ExitCode {
    match tried(args, json) {
        Ok(code) => code,
        Err(failure) => failure.tell(json),
    }
}

fn tried(args: &GuestArgs, json: bool) -> Result<ExitCode, Failure> {
    let start = Instant::now();
    let total = Duration::from_secs(u64::from(args.timeout));
    let deadline = Deadline::after(total);
    let key: HostKey = files::secret_key(&args.key)?;
    let trust = Trust::read(&args.trust)?;
    let call = args.request.call(&args.instance, args.generation)?;

    let known = match &trust {
        Trust::Key(key) => GuestTrust::pinned(*key),
        Trust::Fingerprint(_) => GuestTrust::FirstUse,
    };
    let endpoint = HostEndpoint::new(args.instance.clone(), args.generation, known)
        .map_err(Failure::untried)?;
    let endpoint = Mutex::new(endpoint);
    let machine = SystemEnvironment::without_restore_mark();
    let local = Local::new(&key, &endpoint, &machine);

    let connection = {
        let dial = match (&args.socket, &args.vsock) {
            (Some(socket), _) => Dial::unix(socket),
            (None, Some(socket)) => Dial::vsock(socket, args.port),
            (None, None) => return Err(Failure::untried("--socket or --vsock is needed")),
        };
        let dial = dial.with_attempt(if args.wait {
            Duration::from_secs(2)
        } else {
            total
        });
        let reached = if args.wait {
            dial.dial(deadline)
        } else {
            dial.once(deadline)
        };
        reached.map_err(Failure::untried)?
    };
    let service = args.service.unwrap_or_else(|| {
        let [.., high, low] = args.port.to_be_bytes();
        u16::from_be_bytes([high, low])
    });
    let options = HostOptions {
        service,
        capabilities: Capabilities::KNOWN.bits(),
        extensions: &[],
        lifetime_ms: u64::from(args.timeout).saturating_mul(1000),
    };
    let pin = |_: &InstanceId, key: &GuestPublicKey| match &trust {
        Trust::Fingerprint(expected) if key.fingerprint().to_string() != *expected => {
            let got = key.fingerprint();
            Err(io::Error::other(format!("the guest has the key {got}")))
        }
        _ => Ok(()),
    };
    let channel = HostChannel::connect_or_pin(connection, local, options, pin, deadline)
        .map_err(|error| no_session(&error))?;
    let session = session(&channel);

    let mut caller = Caller::new(channel, Capabilities::KNOWN);
    let left = deadline.remaining().unwrap_or_default();
    let asked = caller
        .call(&call, left)
        .map_err(|error| no_answer(&error, &session))?;
    let took_ms = asked.took_ms;
    let shown = show::outcome(&call, &asked.outcome);
    drop(asked);

    // The answer has come. Whether the guest says goodbye too changes nothing of it, and it is told.
    let closed = if args.request.ends_sessions() {
        let mut channel = caller.into_channel();
        channel
            .receive(deadline)
            .is_ok_and(|end| end == Opened::Closed)
    } else {
        caller.close(deadline).is_ok()
    };
    if json {
        let document = json!({
            "ok": shown.ok,
            "request": args.request.name(),
            "session": session,
            "took_ms": took_ms,
            "answer": shown.answer,
            "failure": shown.failure,
            "closed": closed,
        });
        outln!("{document:#}");
    } else {
        for line in &shown.lines {
            outln!("{}", visible(line));
        }
        if shown.ok {
            let whole = start.elapsed().as_millis();
            outln!(
                "{GOOD}answered{GOOD:#} {DIM}in {took_ms} ms, {whole} ms with the handshake{DIM:#}"
            );
        }
    }
    match shown.failure {
        Some(failure) if !json => Err(Failure::no(failure)),
        _ => Ok(ExitCode::from(u8::from(!shown.ok))),
    }
}

/// What both sides know of the session.
fn session<S: mvm_core::channel::DeadlineStream>(channel: &HostChannel<'_, S>) -> Value {
    let session = channel.session();
    json!({
        "instance": session.instance().as_str(),
        "generation": session.generation(),
        "service": session.service(),
        "guest_key": session.peer_key().fingerprint().to_string(),
        "capabilities": session.capabilities(),
    })
}

/// A guest was reached, and it is not the one, does not want this host, or is none.
fn no_session(error: &ChannelError) -> Failure {
    Failure::no(error)
        .with("at", "handshake")
        .with("refused", error.refused().map(|code| code.0))
}

fn no_answer(error: &ControlError, session: &Value) -> Failure {
    Failure::no(error)
        .with("at", "request")
        .with("session", session.clone())
}
