//! What an init weighs where it runs: its memory, and the time until it has answered.
//!
//! Prints `resident: N kB` and `answered: N ms`, for others to compare: nothing is held here. Both are what the
//! guest says, so that neither the boot before it nor the way to it counts.

use std::process::Command;

use super::{BOOT, VSOCK, World, millis};
use crate::ensure;
use crate::error::{Error, Must, While};
use crate::host::{self, Host, PORT, numbers, ping};
use crate::machine::Spec;

const PARAMETERS: &str = "mvm.instance=i-5c51564e mvm.generation=1";

/// No workload, and of the kernel's modules only what a vsock needs.
fn spec(world: &World<'_>) -> Result<Spec, Error> {
    world.spec_with(VSOCK, &world.setting.init, PARAMETERS, "")
}

/// The init on this library.
pub(super) fn ours(world: &World<'_>) -> Result<(), Error> {
    let spec = spec(world)?;
    let mut machine = world.boot(&spec)?;
    machine.line("guest-init: listening on vsock port 5252 ", BOOT)?;
    let host = Host::new(1, host::guest_key().public())?;
    let mut caller = host.open(&machine.vsock(), PORT)?;
    let answered = ping(&mut caller, 1)?;
    let kernel = numbers(&mut caller)?;
    ensure!(answered >= kernel.started_ms, "answered at {answered} ms: {kernel:?}");
    println!("resident: {} kB", kernel.init_resident_kib);
    println!("answered: {} ms", answered - kernel.started_ms);
    Ok(())
}

/// An init on another library, which says on its console what it weighs. Its host's program is in the place of
/// the command line tool, and is given the socket, the port and the seconds that it may take.
pub(super) fn theirs(world: &World<'_>) -> Result<(), Error> {
    let setting = world.setting;
    let spec = spec(world)?;
    let mut machine = world.boot(&spec)?;
    machine.line("guest: listening on vsock port 5252 ", BOOT)?;
    let mut host = Command::new(&setting.cli);
    host.arg(machine.vsock()).args(["5252", "30"]);
    let output = host.output().doing(setting.cli.display())?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr));
    let started = machine.line("guest: started at ", BOOT)?;
    let answered = machine.line("guest: ping answered at ", BOOT)?;
    let resident = machine.line("guest: resident ", BOOT)?;
    let started = millis(&started).must("when it started")?;
    let answered = millis(&answered).must("when it answered")?;
    println!("{}", resident.replace("guest: resident", "resident:"));
    println!("answered: {} ms", answered.saturating_sub(started));
    Ok(())
}
