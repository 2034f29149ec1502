//! The host's process: goes through the steps, measures, and compares with what the guest reports.

mod attack;
mod life;
mod talk;

use alloc::sync::Arc;
use core::net::Ipv4Addr;
use core::time::Duration;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use mvm_core::channel::{
    Caller, ChannelError, Connection, ControlError, Deadline, HostChannel, Local, SystemEnvironment,
};
use mvm_core::guest::{Answer, Call, Capabilities, Ping, Pong, StatusReport};
use mvm_core::instance::{
    CommitFacts, InstanceAction, InstanceNet, InstanceState, InstanceStatus, Pid, PrefixLen,
};
use mvm_core::naming::{HostOffset, PoolId, TenantId, TenantNetId, generate_instance_id};
use mvm_core::pool::Role;
use mvm_core::session::{GuestKey, GuestTrust, HostEndpoint, HostKey, HostOptions};
use mvm_core::time::Timestamp;
use serde_json::Value;
use zeroize::Zeroize;

use super::middle::{Middle, Plan};
use super::process::{Guest, Remains};
use super::report::{Check, Report, Trouble};
use super::{LIFETIME_MS, Sabotage, hex};

/// Every check of a run, in order.
pub(super) const PLANNED: [(&str, &str); 15] = [
    ("guest", "a second process, its keys through a pipe"),
    ("handshake", "host and guest authenticate each other"),
    ("ping", "signed requests and answers"),
    ("status", "readiness, as facts"),
    ("start", "ready → running"),
    ("replay", "a frame is repeated in the middle"),
    ("splice", "a frame of another session is put in its place"),
    (
        "rewrite",
        "a repeated frame gets the sequence number that is due",
    ),
    ("warm", "running → warm"),
    ("sleep", "warm → sleeping, every session ends"),
    ("old-session", "what was before the restore is refused"),
    ("wake", "sleeping → running, a new generation"),
    ("stale-host", "a host of the old generation is refused"),
    ("stop", "running → stopped"),
    ("destroy", "stopped → destroyed"),
];

const OFFERED: Capabilities = Capabilities::KNOWN;
const PINGS: usize = 50;
/// Total time for a request, and for everything else that is not tried in vain. No check waits for it
/// to pass, with nothing left out and with something.
pub(super) const TOTAL: Duration = Duration::from_secs(20);
/// Time for what is tried in vain.
const SHORT: Duration = Duration::from_millis(60);
const PAUSE: Duration = Duration::from_millis(120);

fn soon() -> Deadline {
    Deadline::after(TOTAL)
}

/// What the host has, for the whole run.
struct Host {
    key: HostKey,
    endpoint: Mutex<HostEndpoint>,
    machine: SystemEnvironment,
    guest_key: GuestKey,
    socket: PathBuf,
    net: InstanceNet,
    sabotage: Option<Sabotage>,
}

/// A session on the host's side, and the middle it goes through.
struct Line<'a> {
    caller: Caller<'a, UnixStream>,
    middle: Middle,
    took: Duration,
    id: String,
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn seed() -> Result<[u8; 32], Trouble> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}

impl Host {
    fn new(socket: &Path, sabotage: Option<Sabotage>) -> Result<Self, Trouble> {
        let (mut for_host, mut for_guest) = (seed()?, seed()?);
        let (key, guest_key) = (
            HostKey::from_seed(&for_host),
            GuestKey::from_seed(&for_guest),
        );
        for_host.zeroize();
        for_guest.zeroize();
        let trust = GuestTrust::pinned(guest_key.public());
        let endpoint = HostEndpoint::new(generate_instance_id()?, 1, trust)?;
        Ok(Self {
            key,
            endpoint: Mutex::new(endpoint),
            machine: SystemEnvironment::without_restore_mark(),
            guest_key,
            socket: socket.to_owned(),
            net: InstanceNet::new(
                TenantNetId::new(3)?,
                HostOffset::new(5)?,
                Ipv4Addr::new(10, 240, 3, 5),
                Ipv4Addr::new(10, 240, 3, 1),
                PrefixLen::new(24)?,
            ),
            sabotage,
        })
    }

    fn sabotaged(&self, what: Sabotage) -> bool {
        self.sabotage == Some(what)
    }

    /// A plan, unless it is the one to be left out.
    fn unless(&self, left_out: Sabotage, plan: Plan) -> Plan {
        if self.sabotaged(left_out) {
            Plan::Relay
        } else {
            plan
        }
    }

    /// Connects to a service of the guest, through somebody in the middle.
    fn open(&self, service: u16, plan: Plan) -> Result<Line<'_>, Trouble> {
        let (stream, middle) = Middle::between(&self.socket, plan)?;
        Ok(self.open_as(&self.endpoint, service, stream, middle)?)
    }

    fn open_as<'a>(
        &'a self,
        endpoint: &'a Mutex<HostEndpoint>,
        service: u16,
        stream: UnixStream,
        middle: Middle,
    ) -> Result<Line<'a>, ChannelError> {
        let connection = Connection::through_vsock(stream, u32::from(service), soon())?;
        let local = Local::new(&self.key, endpoint, &self.machine);
        let options = HostOptions {
            service,
            capabilities: OFFERED.bits(),
            extensions: &[],
            lifetime_ms: LIFETIME_MS,
        };
        let start = Instant::now();
        let channel = HostChannel::connect(connection, local, options, soon())?;
        let took = start.elapsed();
        let id = hex(channel.session().session_id());
        let caller = Caller::new(channel, OFFERED);
        Ok(Line {
            caller,
            middle,
            took,
            id,
        })
    }
}

impl Line<'_> {
    fn ping(&mut self, nonce: u64, total: Duration) -> Result<Pong, ControlError> {
        match self
            .caller
            .call(&Call::Ping(Ping { nonce }), total)?
            .outcome
        {
            Ok(Answer::Pong(pong)) => Ok(pong),
            _ => Err(ControlError::Closed),
        }
    }

    fn status<T>(&mut self, look: impl FnOnce(&StatusReport<'_>) -> T) -> Result<T, Trouble> {
        match self.caller.call(&Call::Status, TOTAL)?.outcome {
            Ok(Answer::Status(report)) => Ok(look(&report)),
            Ok(_) => Err("an answer to something else".into()),
            Err(failure) => Err(failure.into()),
        }
    }
}

/// The report of the guest on a session, once it has come to its end.
fn end_of(guest: &mut Guest, id: &str) -> Option<Value> {
    guest.report("end", |report| is(report, "session", id))
}

fn is(report: &Value, member: &str, value: &str) -> bool {
    report.get(member).and_then(Value::as_str) == Some(value)
}

fn get<'v>(report: Option<&'v Value>, member: &str) -> Option<&'v Value> {
    report.and_then(|report| report.get(member))
}

/// Goes through all steps, as far as they go.
pub(super) fn run(report: &mut Report, remains: Arc<Remains>, sabotage: Option<Sabotage>) {
    let socket = remains.dir().join("v.sock");
    let prepared = Host::new(&socket, sabotage).and_then(|host| {
        let state = InstanceState::new(
            TenantId::new("acme")?,
            PoolId::new("workers")?,
            host.endpoint.lock().map_err(|_| "lock")?.instance().clone(),
            host.net,
            Role::Worker,
        );
        Ok((host, state))
    });
    let (host, state) = match prepared {
        Ok(prepared) => prepared,
        Err(trouble) => {
            report.check::<()>("guest", |_| Err(trouble));
            return;
        }
    };
    report.heading(format_args!(
        "Host (process {}) and guest in two processes, between them {}",
        std::process::id(),
        socket.display(),
    ));
    let mut life = Life { state };
    // The build is not part of the demo, its transition is.
    let built = life
        .begin(InstanceStatus::Ready)
        .and_then(|()| life.commit(CommitFacts::default()));
    let started = life.state.begin_action(InstanceAction::Start, now());
    let Some(mut guest) = report.check("guest", |check| {
        built?;
        started?;
        life::start_guest(check, &host, &remains)
    }) else {
        return;
    };
    run_steps(report, &host, &mut guest, &mut life, &remains);
}

fn run_steps(
    report: &mut Report,
    host: &Host,
    guest: &mut Guest,
    life: &mut Life,
    remains: &Remains,
) -> Option<()> {
    let mut control = report.check("handshake", |check| talk::handshake(check, host, guest))?;
    report.check("ping", |check| talk::ping(check, &mut control));
    report.check("status", |check| talk::status(check, &mut control, guest));
    report.check("start", |check| {
        let pid = Pid::new(guest.pid())?;
        life.show(check, |life| life.commit(CommitFacts::process(pid)))
    })?;
    report.check("replay", |check| attack::replay(check, host, guest));
    report.check("splice", |check| attack::splice(check, host, guest));
    report.check("rewrite", |check| attack::rewrite(check, host, guest));
    report.check("warm", |check| {
        life::warm(check, host, guest, &mut control, life)
    })?;
    let old = report.check("sleep", |check| {
        life::sleep(check, host, guest, control, life)
    })?;
    let asleep = report.check("old-session", |check| {
        attack::old_session(check, host, guest, old)
    })?;
    let mut control = report.check("wake", |check| life::wake(check, host, guest, life, asleep))?;
    report.check("stale-host", |check| attack::stale_host(check, host, guest));
    report.check("stop", |check| life::stop(check, guest, &mut control, life))?;
    report.check("destroy", |check| life::destroy(check, remains, life))
}

fn now() -> Timestamp {
    // A clock outside of the years 1 to 9999 is not worth a second error type here.
    Timestamp::now().unwrap_or(Timestamp::MAX)
}

/// The instance's record, changed as a host changes it: an intent, then a fact.
struct Life {
    state: InstanceState,
}

impl Life {
    fn begin(&mut self, to: InstanceStatus) -> Result<(), Trouble> {
        self.state.begin(to, now())?;
        Ok(())
    }

    fn commit(&mut self, facts: CommitFacts) -> Result<(), Trouble> {
        self.state.commit(now(), facts)?;
        Ok(())
    }

    /// Reports a transition that has begun: what the status was meanwhile, and what it is now.
    fn show(
        &mut self,
        check: &mut Check,
        commit: impl FnOnce(&mut Self) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let from = self.state.status();
        let pending = self.state.pending();
        commit(self)?;
        let to = self.state.status();
        check.expect(pending.is_some_and(|pending| pending.to == to), || {
            format!("no transition to {to} was pending")
        });
        check.fact("status", format!("{from} until it was done, then {to}"));
        let pid = self.state.firecracker_pid().map(Pid::get);
        check.fact("process recorded", pid);
        Ok(())
    }
}
