//! A template: a guest that belongs to nobody is bound by the first handshake, gives its instance up in its
//! sleep, and wakes as another one.

use std::time::Duration;

use mvm_core::channel::ChannelError;
use mvm_core::guest::{Answer, Call, ComponentState, Phase, SecretBytes, SleepPrep, Wake};
use mvm_core::naming::InstanceId;
use mvm_core::session::{GuestKey, GuestPublicKey, RefusalCode};

use super::{BOOT, World, fresh, hex, now};
use crate::ensure;
use crate::error::{Error, Must};
use crate::host::{self, Host, PORT, ask, close, closed_by_guest, component, held, ping};
use crate::machine::Machine;

/// What the template is called while it is prepared.
const TEMPLATE: &str = "i-7e3a1a7e";
/// What becomes of it.
const CLONE: &str = "i-c10e0001";
/// Above that of the clone: generations belong to an instance.
const GENERATION: u64 = 40;

pub(super) fn run(world: &World<'_>) -> Result<(), Error> {
    let spec = world.spec(&world.setting.init, "", "/bin/workload interrupt")?;
    let mut machine = world.boot(&spec)?;
    machine.line("guest-init: listening on vsock port 5252 ", BOOT)?;
    let image = host::guest_key().public();

    let before = Host::of(TEMPLATE, GENERATION, image)?;
    let mut caller = before.open(&machine.vsock(), PORT)?;
    ping(&mut caller, 1)?;
    refused(&machine, CLONE, 1, image)?;
    held(
        "the first handshake binds a guest that has no instance: one for another instance is refused (code 6)",
    );
    sleep(&mut caller, true)?;
    closed_by_guest(caller)?;
    machine.line("guest-init: asleep, bound to no instance", BOOT)?;

    let seed = fresh()?;
    let after = Host::of(CLONE, 1, image)?;
    let mut caller = after.open(&machine.vsock(), PORT)?;
    wake(&mut caller, Wake { new_guest_key: Some(SecretBytes::new(seed)), ..plain(1)? })?;
    close(caller)?;
    refused(&machine, TEMPLATE, GENERATION + 1, image)?;
    held("asleep without an instance it is bound by another one, and the old one is refused (code 6)");

    let key = GuestKey::from_seed(&seed).public();
    machine.line(&format!("guest-init: guest key {}", hex(key.as_bytes())), host::ANSWER)?;
    let after = Host::of(CLONE, 1, key)?;
    let mut caller = after.open(&machine.vsock(), PORT)?;
    host::status(&mut caller, |report| {
        ensure!(report.phase == Phase::AWAKE, "phase {}", report.phase.code());
        let workload = component(report, "workload");
        ensure!(workload == Some(ComponentState::Ready), "workload: {workload:?}");
        Ok(())
    })?;
    sleep(&mut caller, false)?;
    closed_by_guest(caller)?;
    let mut caller = after.open(&machine.vsock(), PORT)?;
    let identity = Some(InstanceId::new(CLONE).must("an instance")?);
    wake(&mut caller, Wake { identity, ..plain(1)? })?;
    held("a guest that was not restored wakes in the generation in which it went to sleep");
    interrupted(&mut machine)
}

/// Its workload sees the name that the second wake set, and sends SIGINT to init.
fn interrupted(machine: &mut Machine) -> Result<(), Error> {
    machine.line(&format!("workload: {CLONE}, and SIGINT"), host::ANSWER)?;
    let status = machine.exit(Duration::from_secs(20))?;
    ensure!(status.code() == Some(0), "QEMU: {status}");
    for line in
        ["signal 2", "shutting down, 5000 ms for programs to end", "workload ended: signal 15", "rebooting"]
    {
        machine.line(&format!("guest-init: {line}"), Duration::ZERO)?;
    }
    held("SIGINT ends the programs and reboots");
    Ok(())
}

fn refused(machine: &Machine, instance: &str, generation: u64, key: GuestPublicKey) -> Result<(), Error> {
    let verdict = Host::of(instance, generation, key)?.try_open(&machine.vsock(), PORT)?.map(drop);
    let code = verdict.as_ref().err().and_then(ChannelError::refused);
    ensure!(code == Some(RefusalCode::INSTANCE), "a host of {instance}: {verdict:?}");
    Ok(())
}

fn sleep(caller: &mut host::Session<'_>, unbind: bool) -> Result<(), Error> {
    let prep = SleepPrep { flush_deadline_ms: 4000, unbind };
    ask(caller, &Call::SleepPrep(prep)).map(drop)
}

/// A wake that only has what each one has.
fn plain(generation: u64) -> Result<Wake, Error> {
    Ok(Wake {
        generation,
        wall_clock: now()?,
        entropy: SecretBytes::new(fresh()?),
        identity: None,
        network: None,
        new_guest_key: None,
    })
}

fn wake(caller: &mut host::Session<'_>, wake: Wake) -> Result<(), Error> {
    let steps = wake.steps();
    match ask(caller, &Call::Wake(wake))? {
        Answer::Wake(report) => report.check(steps).must(format!("{report:?}")),
        other => Err(Error::NotHeld(format!("a report: {other:?}"))),
    }
}
