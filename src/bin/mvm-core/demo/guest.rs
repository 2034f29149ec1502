//! The guest's process: stands in for a microVM with its agent, its VMM's vsock socket, and the
//! clock and restore mark that the VMM gives it.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use mvm_core::channel::{
    ChannelError, Connection, ControlError, Deadline, GuestChannel, Local, Served, Server,
    SystemEnvironment,
};
use mvm_core::guest::{
    Answer, Call, Capabilities, Component, ComponentName, ComponentState, Components, Failure,
    Lifecycle, Pong, StatusReport, Step, StepOutcome, Wake, WakeReport,
};
use mvm_core::session::{
    Entropy, GuestEndpoint, GuestKey, GuestOptions, HostPublicKey, Mark, TrustedHost, TrustedHosts,
};
use mvm_core::time::Timestamp;
use mvm_core::wire::connect::{ConnectLine, OkLine};
use serde_json::{Value, json};
use zeroize::Zeroize;

use super::report::Trouble;
use super::watched::Watched;
use super::{LIFETIME_MS, PATIENCE, SERVICES, TELEMETRY, bits, check_value, hex, mix};

/// What this guest can do: it takes no new key, is not cloned, and has no fleet's messages.
pub(super) const OFFERED: Capabilities = Capabilities::STATUS
    .union(Capabilities::SLEEP_PREP)
    .union(Capabilities::WAKE)
    .union(Capabilities::IDENTITY)
    .union(Capabilities::NETWORK)
    .union(Capabilities::SHUTDOWN);

/// What a microVM reads from VMClock or VMGenID.
static RESTORE_MARK: AtomicU64 = AtomicU64::new(1);

fn restore_mark() -> Mark {
    Mark::Changing(RESTORE_MARK.load(Ordering::SeqCst))
}

/// What the agent has to keep right, and what a restore makes wrong.
struct Machine {
    /// The generator's state; entropy is drawn from it and the operating system.
    pool: [u8; 32],
    /// How far the wall clock is off, in milliseconds: a microVM's stands still while it sleeps.
    clock_ms: i64,
    clock: ComponentState,
    hostname: Option<String>,
    network: Option<Value>,
    slept: Option<Instant>,
    /// Requests answered so far, of all sessions.
    pings: u64,
    /// Makes the wake leave out the network, for the demo's negative control.
    skip_network: bool,
}

struct Agent {
    key: GuestKey,
    endpoint: Mutex<GuestEndpoint>,
    lifecycle: Mutex<Lifecycle>,
    machine: Mutex<Machine>,
    env: SystemEnvironment,
    started: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One line of JSON to the host. A host that is gone ends the guest through its standard input.
pub(super) fn report(event: &Value) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{event}").and_then(|()| out.flush());
}

/// The error that counts, with its type.
pub(super) fn typed(error: &ChannelError) -> String {
    match error {
        ChannelError::Open(error) => format!("OpenError::{error:?}"),
        ChannelError::Seal(error) => format!("SealError::{error:?}"),
        ChannelError::Handshake(error) => format!("HandshakeError::{error:?}"),
        ChannelError::Truncated(error) => format!("{error:?}"),
        other => format!("ChannelError::{other:?}"),
    }
}

fn typed_control(error: &ControlError) -> String {
    match error {
        ControlError::Channel(error) => typed(error),
        other => format!("ControlError::{other:?}"),
    }
}

fn line() -> Result<String, Trouble> {
    let mut line = String::new();
    if io::stdin().read_line(&mut line)? == 0 {
        return Err("standard input ended before everything was provisioned".into());
    }
    Ok(line)
}

/// Provisioned through standard input: the guest's secret key, the host's public key, and a line of
/// JSON.
fn provisioned() -> Result<Agent, Trouble> {
    let mut secret = line()?;
    let key = GuestKey::from_text(&secret);
    secret.zeroize();
    let mut trusted = TrustedHosts::new();
    trusted.insert(TrustedHost::new(HostPublicKey::from_text(&line()?)?))?;
    let more: Value = serde_json::from_str(&line()?)?;
    let mut pool = [0; 32];
    getrandom::fill(&mut pool)?;
    Ok(Agent {
        key: key?,
        endpoint: Mutex::new(GuestEndpoint::new(trusted)),
        lifecycle: Mutex::new(Lifecycle::booted()),
        machine: Mutex::new(Machine {
            pool,
            clock_ms: 0,
            clock: ComponentState::Ready,
            hostname: None,
            network: None,
            slept: None,
            pings: 0,
            skip_network: more.get("skip_network") == Some(&Value::Bool(true)),
        }),
        env: SystemEnvironment::with_mark(restore_mark),
        started: Instant::now(),
    })
}

/// Serves until it is told to shut down, or standard input ends.
pub(super) fn run(socket: &Path) -> Result<(), Trouble> {
    // If the host is killed while this process is stopped, the kernel sends SIGHUP and SIGCONT, as to
    // every stopped process group that is orphaned (POSIX, `_exit`). The default action of SIGHUP would
    // end it before it sees that its standard input is over and clears up.
    signal_hook::flag::register(
        signal_hook::consts::SIGHUP,
        Arc::new(AtomicBool::new(false)),
    )?;
    // The group is not orphaned where the process that adopts this one is of the same session, such as a
    // container's first.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::CONT))?;
    let agent = provisioned()?;
    let listener = UnixListener::bind(socket)?;
    report(&json!({
        "event": "ready",
        "pid": std::process::id(),
        "key": agent.key.public().fingerprint().to_string(),
    }));
    thread::scope(|scope| {
        scope.spawn(|| follow_vmm(&agent, socket));
        for stream in listener.incoming() {
            let stream = stream?;
            let agent = &agent;
            scope.spawn(move || serve(agent, stream));
        }
        Ok(())
    })
}

/// Takes part in what a VMM does to its microVM. Whoever holds the other end is gone when it ends:
/// then so is the guest, and nothing is left of it.
fn follow_vmm(agent: &Agent, socket: &Path) {
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let told: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
        if let Some(mark) = told.get("restored").and_then(Value::as_u64) {
            restored(agent, mark);
        }
    }
    if let Some(dir) = socket.parent() {
        let _ = std::fs::remove_dir_all(dir);
    }
    std::process::exit(1);
}

fn restored(agent: &Agent, mark: u64) {
    RESTORE_MARK.store(mark, Ordering::SeqCst);
    lock(&agent.lifecycle).restored();
    let mut machine = lock(&agent.machine);
    let asleep = machine
        .slept
        .take()
        .map_or(Duration::ZERO, |at| at.elapsed());
    let asleep = i64::try_from(asleep.as_millis()).unwrap_or(i64::MAX);
    machine.clock_ms = machine.clock_ms.saturating_sub(asleep);
    machine.clock = ComponentState::Unknown;
    report(&json!({
        "event": "restored",
        "mark": mark,
        "asleep_ms": asleep,
        "phase": lock(&agent.lifecycle).phase().code(),
    }));
}

/// The VMM's part of a connection: reads the port that is asked for, and says that it is there.
fn connected(stream: &mut UnixStream) -> Result<u16, Trouble> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut received = Vec::new();
    loop {
        if let Some((line, _)) = ConnectLine::parse(&received)? {
            let service = u16::try_from(line.port)?;
            if !SERVICES.contains(&service) {
                return Err("nobody listens on that port".into());
            }
            let mut out = [0; OkLine::MAX_LEN];
            stream.write_all(OkLine { port: 1 << 30 }.encode(&mut out))?;
            return Ok(service);
        }
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        received.extend_from_slice(&byte);
    }
}

fn serve(agent: &Agent, mut stream: UnixStream) {
    let Ok(service) = connected(&mut stream) else {
        return;
    };
    let entropy = || {
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(io::Error::other)?;
        let machine = &mut lock(&agent.machine);
        machine.pool = mix(&[&machine.pool, &fresh]);
        Ok(Entropy::new(mix(&[b"draw", &machine.pool])))
    };
    let local = Local::new(&agent.key, &agent.endpoint, &agent.env).with_entropy(&entropy);
    let options = GuestOptions {
        service,
        capabilities: OFFERED.bits(),
        extensions: &[],
        lifetime_ms: LIFETIME_MS,
    };
    let connection = Connection::new(Watched::new(stream));
    let channel = match GuestChannel::accept(connection, local, options, Deadline::after(PATIENCE))
    {
        Ok(channel) => channel,
        Err(error) => {
            report(&json!({ "event": "refused", "service": service, "error": typed(&error) }));
            return;
        }
    };
    let session = channel.session();
    let id = hex(session.session_id());
    report(&json!({
        "event": "session",
        "session": id,
        "service": service,
        "host": session.peer_key().fingerprint().to_string(),
        "guest": agent.key.public().fingerprint().to_string(),
        "instance": session.instance().as_str(),
        "generation": session.generation(),
        "offered": bits(OFFERED.bits()),
        "capabilities": bits(session.capabilities()),
    }));
    if service == TELEMETRY {
        channel.stream().report(&id);
    }
    let server = Server::new(channel, OFFERED, &agent.lifecycle);
    let served = server
        .map_err(ControlError::Channel)
        .and_then(|server| server.serve(PATIENCE, |call, _| carry_out(agent, call)));
    let phase = lock(&agent.lifecycle).phase().code();
    let (how, error) = match &served {
        Ok(Served::Closed) => ("closed", None),
        Ok(Served::Asleep { .. }) => ("asleep", None),
        Ok(Served::Shutdown(_)) => ("shutdown", None),
        Ok(_) => ("other", None),
        Err(error) => ("error", Some(typed_control(error))),
    };
    report(&json!({
        "event": "end",
        "session": id,
        "service": service,
        "how": how,
        "error": error,
        "phase": phase,
    }));
    if let Ok(Served::Shutdown(_)) = served {
        std::process::exit(0);
    }
}

fn carry_out(agent: &Agent, call: &Call<'_>) -> Result<Answer<'static>, Failure> {
    let uptime_ms = u64::try_from(agent.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match call {
        Call::Ping(ping) => {
            let mut machine = lock(&agent.machine);
            machine.pings = machine.pings.saturating_add(1);
            let nonce = ping.nonce;
            Ok(Answer::Pong(Pong { nonce, uptime_ms }))
        }
        Call::Status => Ok(Answer::Status(status(agent, uptime_ms)?)),
        Call::SleepPrep(_) => {
            lock(&agent.machine).slept = Some(Instant::now());
            Ok(Answer::SleepPrep)
        }
        Call::Wake(wake) => Ok(Answer::Wake(woken(agent, wake))),
        Call::Shutdown(_) => Ok(Answer::Shutdown),
        Call::Extension(extension) => Err(Failure::UnknownExtension {
            kind: extension.kind,
        }),
        other => Err(Failure::Unsupported { op: other.op() }),
    }
}

fn status(agent: &Agent, uptime_ms: u64) -> Result<StatusReport<'static>, Failure> {
    let machine = lock(&agent.machine);
    let mut components = Components::new();
    let states = [
        ("listener", ComponentState::Ready),
        ("wall-clock", machine.clock),
    ];
    for (name, state) in states {
        let failed = Failure::Failed { code: 1 };
        let name = ComponentName::new(name).map_err(|_| failed)?;
        let since_ms = uptime_ms;
        let component = Component {
            name,
            state,
            since_ms,
        };
        components.push(component).map_err(|_| failed)?;
    }
    let mut answer = StatusReport::new(&lock(&agent.lifecycle), uptime_ms);
    answer.components = components;
    report(&json!({
        "event": "status",
        "pings": machine.pings,
        "phase": answer.phase.code(),
        "ready": answer.is_ready(),
    }));
    Ok(answer)
}

/// Does each step, reports each by itself, and reads back what it has become.
fn woken(agent: &Agent, wake: &Wake) -> WakeReport {
    let mut machine = lock(&agent.machine);
    let mut outcome = WakeReport::new(wake.steps());

    machine.pool = mix(&[&machine.pool, wake.entropy.secret_bytes()]);
    outcome.set(Step::Entropy, StepOutcome::Done);

    let skew = Timestamp::now().ok().map(|now| {
        let clock = to_millis(now).saturating_add(machine.clock_ms);
        clock.saturating_sub(to_millis(wake.wall_clock))
    });
    if let Some(skew) = skew {
        machine.clock_ms = machine.clock_ms.saturating_sub(skew);
        machine.clock = ComponentState::Ready;
        outcome.set_clock_skew_ms(skew);
        outcome.set(Step::Clock, StepOutcome::Done);
    }
    if let Some(identity) = &wake.identity {
        machine.hostname = Some(identity.as_str().to_owned());
        outcome.set(Step::Identity, StepOutcome::Done);
    }
    if let (Some(network), false) = (&wake.network, machine.skip_network) {
        machine.network = serde_json::to_value(network).ok();
        outcome.set(Step::Network, StepOutcome::Done);
    }
    report(&json!({
        "event": "wake",
        "generation": wake.generation,
        "entropy": check_value(wake.entropy.secret_bytes()),
        "clock_skew_ms": skew,
        "identity": machine.hostname,
        "network": machine.network,
    }));
    outcome
}

/// Milliseconds since 1970.
pub(super) fn to_millis(time: Timestamp) -> i64 {
    let millis = i64::from(time.subsec_nanos() / 1_000_000);
    time.seconds().saturating_mul(1000).saturating_add(millis)
}
