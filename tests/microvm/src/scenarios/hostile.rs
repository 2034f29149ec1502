//! A guest that means harm: every way ends with the right error, in time, and with little memory.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use mvm_core::channel::{Caller, ChannelError, ControlError, Deadline, Dial, Doing};
use mvm_core::guest::{Call, Capabilities, Ping};
use mvm_core::limits::HANDSHAKE_DEADLINE_MS;
use mvm_core::session::{HandshakeError, OpenError};

use super::{BOOT, World};
use crate::ensure;
use crate::error::{Error, Must, While};
use crate::host::{self, Host, held};
use crate::hostile::*;
use crate::setting::Fault;

/// For a request.
const ASKED: Duration = Duration::from_secs(3);
/// What may come on top of a deadline where the machine has much to do.
const LATE: Duration = Duration::from_millis(1500);
/// How much more memory the host may have had for all of them together, in KiB.
const MEMORY_KIB: u64 = 16 * 1024;

/// What a host says of a guest.
type Verdict = Result<(), ControlError>;

pub(super) fn run(world: &World<'_>) -> Result<(), Error> {
    let setting = world.setting;
    let spec = world.spec(&setting.inside, "", "hostile")?;
    let mut machine = world.boot(&spec)?;
    machine.line("hostile: listening", BOOT)?;
    let vsock = machine.vsock();
    let before = resident_kib("VmRSS:")?;
    let results: Vec<Result<(), Error>> = thread::scope(|scope| {
        let threads = CASES.map(|case| {
            let (vsock, fault) = (&vsock, setting.fault);
            scope.spawn(move || meet(vsock, case, fault))
        });
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|result| result.unwrap_or_else(|_| Err(Error::NotHeld("a panic".to_owned())))).collect()
    });
    let most = resident_kib("VmHWM:")?;
    results.into_iter().collect::<Result<(), Error>>()?;
    ensure!(most < before + MEMORY_KIB, "{most} KiB of memory, {before} before");
    held(format_args!("all of it took {} KiB of the host's memory at most", most.saturating_sub(before)));
    Ok(())
}

/// A port, what is expected, and how to tell.
type Case = (u32, &'static str, Duration, fn(&Verdict) -> bool);

const HANDSHAKE: Duration = Duration::from_millis(HANDSHAKE_DEADLINE_MS);

macro_rules! channel {
    ($pattern:pat) => {
        |verdict| matches!(verdict, Err(ControlError::Channel($pattern)))
    };
}

const CASES: [Case; PORTS.len()] = [
    (CLOSES, "Hangup", HANDSHAKE, channel!(ChannelError::Hangup { doing: Doing::Handshake })),
    (
        GARBAGE,
        "TooLong",
        HANDSHAKE,
        channel!(ChannelError::Handshake(HandshakeError::TooLong { len: 0xDEAD_BEEF, max: 1024 })),
    ),
    (
        OVERSIZE,
        "TooLong",
        HANDSHAKE,
        channel!(ChannelError::Handshake(HandshakeError::TooLong { len: 0xFFFF_FFFF, max: 1024 })),
    ),
    (SILENT, "Expired", HANDSHAKE, channel!(ChannelError::Expired { doing: Doing::Handshake })),
    (DRIPS, "Expired", HANDSHAKE, channel!(ChannelError::Expired { doing: Doing::Handshake })),
    (
        GARBAGE_LATER,
        "a frame that is malformed",
        ASKED,
        channel!(ChannelError::Open(OpenError::Malformed(_))),
    ),
    (
        OTHER_KEY,
        "UntrustedGuest",
        HANDSHAKE,
        channel!(ChannelError::Handshake(HandshakeError::UntrustedGuest)),
    ),
    (FORGED, "BadSignature", HANDSHAKE, channel!(ChannelError::Handshake(HandshakeError::BadSignature))),
    (ENDLESS, "an answer to nothing", ASKED, |verdict| matches!(verdict, Err(ControlError::Call(_)))),
    (
        FLOOD,
        "a hello that is malformed",
        HANDSHAKE,
        channel!(ChannelError::Handshake(HandshakeError::Malformed(_))),
    ),
    (DRIPS_LATER, "Expired", ASKED, |verdict| matches!(verdict, Err(ControlError::Call(_)))),
    (CUTS, "Truncated", ASKED, channel!(ChannelError::Truncated(_))),
];

fn meet(vsock: &Path, (port, expected, limit, is_it): Case, fault: Option<Fault>) -> Result<(), Error> {
    let key = match (port, fault) {
        (OTHER_KEY, Some(Fault::TrustsAnotherGuest)) => host::other_guest_key(),
        _ => host::guest_key(),
    };
    let host = Host::new(1, key.public())?;
    let deadline = Deadline::after(host::ANSWER);
    let connection = Dial::vsock(vsock, port).dial(deadline).must(format!("port {port}"))?;
    let mut start = Instant::now();
    let verdict = host.shake(connection, port, deadline).map_err(ControlError::from).and_then(|channel| {
        start = Instant::now();
        let mut caller = Caller::new(channel, Capabilities::KNOWN);
        caller.call(&Call::Ping(Ping { nonce: 1 }), ASKED).map(drop)
    });
    let took = start.elapsed();
    ensure!(is_it(&verdict), "port {port}: {expected}, and not {verdict:?}");
    ensure!(took < limit + LATE, "port {port}: {} ms for {expected}", took.as_millis());
    let error = verdict.err().map(|error| error.to_string()).unwrap_or_default();
    held(format_args!("hostile guest, port {port}: {expected} after {} ms ({error})", took.as_millis()));
    Ok(())
}

/// A number of KiB that the kernel has for this process.
fn resident_kib(name: &str) -> Result<u64, Error> {
    let status = std::fs::read_to_string("/proc/self/status").doing("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).must(name)?;
    line.trim().trim_end_matches(" kB").parse().must(line)
}
