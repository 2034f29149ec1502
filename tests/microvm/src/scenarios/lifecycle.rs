//! A guest is put to sleep, saved, and restored twice; the clones wake, and the old world stays dead.

use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use mvm_core::channel::{Caller, ChannelError, Connection, ControlError, Deadline};
use mvm_core::guest::{
    Answer, Call, Capabilities, ComponentState, Failure, Phase, Ping, SecretBytes, Shutdown, ShutdownMode,
    SleepPrep, Wake,
};
use mvm_core::instance::{InstanceNet, PrefixLen};
use mvm_core::naming::{HostOffset, InstanceId, TenantNetId};
use mvm_core::session::{Ended, GuestKey, HandshakeError, RefusalCode};
use mvm_core::time::Timestamp;

use super::{BOOT, World, fresh, now};
use crate::ensure;
use crate::error::{Error, Must};
use crate::host::{
    self, Host, INSTANCE, PORT, ask, clock, close, closed_by_guest, component, declined, extension, held,
    ping, random, raw, send_and_drain, timed,
};
use crate::machine::Machine;
use crate::tap::{Recording, Tap};

const PARAMETERS: &str = "mvm.instance=i-5c51564e mvm.generation=1 mvm.port=5252,5253,5254";
/// Years behind, so that nobody sets the clock by accident.
const CLOCK_AT_BOOT: &str = "2020-01-01T00:00:00";
/// How far apart clocks may be, in milliseconds.
const CLOCK_MS: i64 = 2000;
/// Generations of the two clones.
const GENERATIONS: [u64; 2] = [2, 3];
/// How often each clone is asked for random bytes.
const RANDOM: usize = 8;
/// For programs to end, in milliseconds.
const GRACE_MS: u32 = 5000;

pub(super) fn run(world: &World<'_>) -> Result<(), Error> {
    let setting = world.setting;
    let mut spec = world.spec(&setting.init, PARAMETERS, "/bin/workload stay")?;
    spec.clock = Some(CLOCK_AT_BOOT);
    let mut machine = world.boot(&spec)?;
    machine.line("workload: stays", BOOT)?;
    machine.line("guest-init: listening on vsock port 5254 ", BOOT)?;
    let host = Host::new(1, host::guest_key().public())?;

    let (mut old, recording) = taped(&host, &machine)?;
    ping(&mut old, 1)?;
    let mut other = host.open(&machine.vsock(), PORT + 2)?;
    ping(&mut other, 1)?;
    sleep(&host, &mut machine)?;
    let mut other = other.into_channel();
    let cut = other.receive(Deadline::after(host::ANSWER));
    let cut = cut.map(|opened| format!("{opened:?}"));
    ensure!(
        matches!(cut, Err(ChannelError::Truncated(_))),
        "another session of a guest that sleeps: {cut:?}"
    );
    held("the sessions of other services ended with it");

    let snapshot = world.path("snapshot");
    let (_, took) = timed(|| machine.snapshot(&snapshot))?;
    held(format_args!("a snapshot, in {took} ms"));
    let mut clones = in_parallel(|generation| {
        let folder = world.path(&format!("clone{generation}"));
        let machine = Machine::restore(setting, &spec, folder, &snapshot)?;
        Clone::wake(machine, generation, &recording)
    })?;
    held("two machines were restored from it, and woke");
    dead(&host, old)?;
    unlike(&clones)?;
    in_parallel_with(&mut clones, Clone::outlive)?;
    let modes = [ShutdownMode::PowerOff, ShutdownMode::Reboot];
    for (clone, mode) in clones.iter_mut().zip(modes) {
        clone.shut_down(mode)?;
    }
    Ok(())
}

/// Does something for each clone at the same time.
fn in_parallel<T: Send>(work: impl Fn(u64) -> Result<T, Error> + Sync) -> Result<Vec<T>, Error> {
    thread::scope(|scope| {
        let work = &work;
        let threads = GENERATIONS.map(|generation| scope.spawn(move || work(generation)));
        threads.into_iter().map(joined).collect()
    })
}

fn in_parallel_with<C: Send>(
    clones: &mut [C],
    work: impl Fn(&mut C) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = clones.iter_mut().map(|clone| scope.spawn(move || work(clone))).collect();
        threads.into_iter().try_for_each(joined)
    })
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T, Error>>) -> Result<T, Error> {
    let result = thread.join();
    result.unwrap_or_else(|_| Err(Error::NotHeld("a panic".to_owned())))
}

/// A session that somebody listens to.
fn taped<'h>(host: &'h Host, machine: &Machine) -> Result<(Caller<'h, Tap>, Recording), Error> {
    let deadline = Deadline::after(host::ANSWER);
    let stream = std::os::unix::net::UnixStream::connect(machine.vsock()).must("the vsock's socket")?;
    let (tap, recording) = Tap::new(stream);
    let connection = Connection::through_vsock(tap, PORT, deadline).must("a connection")?;
    let channel = host.shake(connection, PORT, deadline).must("a session")?;
    Ok((Caller::new(channel, Capabilities::KNOWN), recording))
}

/// Everything that the recorded host wrote, but for the line to the VMM.
fn replayed(recording: &Recording) -> Vec<u8> {
    recording.writes().split_off(1).concat()
}

fn sleep(host: &Host, machine: &mut Machine) -> Result<(), Error> {
    let mut caller = host.open(&machine.vsock(), PORT + 1)?;
    let prep = SleepPrep { flush_deadline_ms: 4000, unbind: false };
    let (answer, took) = timed(|| ask(&mut caller, &Call::SleepPrep(prep)).map(|_| ()))?;
    let () = answer;
    ensure!(took < u128::from(prep.flush_deadline_ms), "SleepPrep took {took} ms");
    closed_by_guest(caller)?;
    machine.line("guest-init: asleep", BOOT)?;
    held(format_args!("SleepPrep was answered within its deadline ({took} ms), and the session closed"));
    Ok(())
}

/// The session that the host had before is of no more use to it.
fn dead(host: &Host, mut old: Caller<'_, Tap>) -> Result<(), Error> {
    let raised = host.endpoint().lock().must("the endpoint")?.raise(GENERATIONS[0]);
    raised.must("another generation")?;
    let call = Call::Ping(Ping { nonce: 3 });
    let verdict = old.call(&call, host::ANSWER).map(drop);
    let ended = match &verdict {
        Err(ControlError::Channel(error)) => error.ended(),
        _ => None,
    };
    ensure!(
        matches!(ended, Some(Ended::Superseded | Ended::StaleGeneration)),
        "the session of before: {verdict:?}"
    );
    held("the host's own session of before is dead");
    Ok(())
}

/// No two clones may have given the same bytes, at whatever place.
fn unlike(clones: &[Clone]) -> Result<(), Error> {
    let [first, second] = clones else {
        return Err(Error::NotHeld("two clones".to_owned()));
    };
    let same = first.random.iter().filter(|bytes| second.random.contains(bytes)).count();
    ensure!(same == 0, "{same} of {RANDOM} times two clones gave the same random bytes after their wake");
    held(format_args!("{RANDOM} times 32 random bytes differ between the clones"));
    Ok(())
}

/// A restored machine.
struct Clone {
    machine: Machine,
    generation: u64,
    replayed: Vec<u8>,
    random: Vec<[u8; 32]>,
    key: GuestKey,
}

impl Clone {
    /// From the first connection to where it is awake.
    fn wake(machine: Machine, generation: u64, recording: &Recording) -> Result<Self, Error> {
        let mut seed = [0x55; 32];
        seed[..8].copy_from_slice(&generation.to_be_bytes());
        let mut this = Self {
            machine,
            generation,
            replayed: replayed(recording),
            random: Vec::new(),
            key: GuestKey::from_seed(&seed),
        };
        this.replay_before()?;
        let host = Host::new(generation, host::guest_key().public())?;
        let mut caller = host.open(&this.machine.vsock(), PORT)?;
        this.asleep(&mut caller)?;
        let net = network(generation)?;
        let wake = Wake {
            generation,
            wall_clock: now()?,
            entropy: SecretBytes::new(fresh()?),
            identity: Some(InstanceId::new(INSTANCE).must("an instance")?),
            network: Some(net),
            new_guest_key: Some(SecretBytes::new(seed)),
        };
        let at_boot = format!("{CLOCK_AT_BOOT}Z").parse::<Timestamp>().must("a time")?;
        let behind = wake.wall_clock.duration_since(at_boot).must("a clock after 2020")?;
        let behind = i64::try_from(behind.as_millis()).must("a clock of this age")?;
        let steps = wake.steps();
        let Answer::Wake(report) = ask(&mut caller, &Call::Wake(wake))? else {
            return Err(Error::NotHeld("no report".to_owned()));
        };
        for _ in 0..RANDOM {
            this.random.push(random(&mut caller)?);
        }
        report.check(steps).must(format!("{report:?}"))?;
        let up = behind + report.clock_skew_ms().must("a skew")?;
        ensure!(
            (0..120_000).contains(&up),
            "a skew of {:?} ms, {behind} ms after the clock at boot",
            report.clock_skew_ms()
        );
        this.awake(&mut caller)?;
        let place = format!("workload: {INSTANCE} {} in 10.7.0.0 by {}", net.mac(), net.gateway_ip);
        this.machine.line(&place, host::ANSWER)?;
        this.held("its workload sees its host name, its hardware address and its network");
        Ok(this)
    }

    fn held(&self, what: &str) {
        held(format_args!("clone of generation {}: {what}", self.generation));
    }

    /// The guest is bound to the generation of the recording still: it answers the hello, with another
    /// nonce, and the rest does not fit.
    fn replay_before(&self) -> Result<(), Error> {
        let mut stream = raw(&self.machine.vsock(), PORT)?;
        let got = send_and_drain(&mut stream, &self.replayed)?;
        let length = got.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let hello_alone = got.len() == usize::try_from(length).unwrap_or_default() + 4;
        ensure!(hello_alone && got.get(4) == Some(&3), "to a replayed session: {got:?}");
        self.held("a replayed session gets no further than the hello");
        Ok(())
    }

    fn asleep(&self, caller: &mut Caller<'_, std::os::unix::net::UnixStream>) -> Result<(), Error> {
        host::status(caller, |report| {
            ensure!(report.phase == Phase::ASLEEP, "phase {}", report.phase.code());
            Ok(())
        })?;
        let failure = declined(caller, &extension(guest_init::messages::RANDOM))?;
        ensure!(
            matches!(failure, Failure::NotAwake { phase: Phase::ASLEEP }),
            "asked before its wake: {failure:?}"
        );
        self.held("asleep, and does not work");
        Ok(())
    }

    fn awake(&self, caller: &mut Caller<'_, std::os::unix::net::UnixStream>) -> Result<(), Error> {
        let guest = clock(caller)?;
        let host = now()?;
        let apart = (host.seconds() - guest.seconds) * 1000
            + (i64::from(host.subsec_nanos()) - i64::from(guest.nanoseconds)) / 1_000_000;
        ensure!(apart.abs() <= CLOCK_MS, "clocks {apart} ms apart");
        host::status(caller, |report| {
            ensure!(report.phase == Phase::AWAKE, "phase {}", report.phase.code());
            let generation = report.generation;
            ensure!(generation == Some(self.generation), "generation {generation:?}");
            let workload = component(report, "workload");
            ensure!(workload == Some(ComponentState::Ready), "workload: {workload:?}");
            Ok(())
        })?;
        self.held("awake in its generation, its clock right, its workload as it was");
        Ok(())
    }

    /// What is over must stay over; what is new must count.
    fn outlive(&mut self) -> Result<(), Error> {
        let vsock = self.machine.vsock();
        let verdict =
            Host::new(self.generation, host::guest_key().public())?.try_open(&vsock, PORT)?.map(drop);
        ensure!(
            matches!(verdict, Err(ChannelError::Handshake(HandshakeError::UntrustedGuest))),
            "the key of before the wake: {verdict:?}"
        );
        let host = Host::new(self.generation, self.key.public())?;
        let mut caller = host.open(&vsock, PORT)?;
        ping(&mut caller, 1)?;
        self.held("has its new key");

        let stale = Host::new(1, self.key.public())?.try_open(&vsock, PORT + 1)?.map(drop);
        let code = stale.as_ref().err().and_then(ChannelError::refused);
        ensure!(code == Some(RefusalCode::GENERATION), "a stale generation: {stale:?}");
        let got = send_and_drain(&mut raw(&vsock, PORT)?, &self.replayed)?;
        ensure!(got == [0, 0, 0, 4, 0, RefusalCode::GENERATION.0, 3, 3], "to a replayed session: {got:?}");
        self.held("a stale generation and a replayed session are refused (code 7)");
        ping(&mut caller, 2)?;
        close(caller)?;
        self.held("and the session beside them goes on");
        Ok(())
    }

    fn shut_down(&mut self, mode: ShutdownMode) -> Result<(), Error> {
        let host = Host::new(self.generation, self.key.public())?;
        let mut caller = host.open(&self.machine.vsock(), PORT)?;
        let shutdown = Shutdown { grace_ms: GRACE_MS, mode };
        ask(&mut caller, &Call::Shutdown(shutdown))?;
        let grace = Duration::from_millis(GRACE_MS.into());
        let (status, took) = timed(|| self.machine.exit(grace))?;
        ensure!(status.code() == Some(0), "QEMU: {status}");
        for line in ["workload: SIGTERM", "guest-init: workload ended: exit code 0"] {
            self.machine.line(line, Duration::ZERO)?;
        }
        let end = match mode {
            ShutdownMode::PowerOff => "guest-init: powering off",
            _ => "guest-init: rebooting",
        };
        self.machine.line(end, Duration::ZERO)?;
        self.held(&format!("{end}: the workload got SIGTERM, and QEMU ended with code 0 after {took} ms"));
        Ok(())
    }
}

/// Each clone's own.
fn network(generation: u64) -> Result<InstanceNet, Error> {
    let offset = u8::try_from(generation).must("a small generation")?;
    Ok(InstanceNet::new(
        TenantNetId::new(7).must("a network")?,
        HostOffset::new(offset + 10).must("a place in it")?,
        Ipv4Addr::new(10, 7, 0, offset + 10),
        Ipv4Addr::new(10, 7, 0, 1),
        PrefixLen::new(24).must("a prefix")?,
    ))
}
