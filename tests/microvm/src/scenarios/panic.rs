//! An init that panics: the host sees a session that was cut off, and the machine ends.

use std::time::Duration;

use mvm_core::channel::{ChannelError, ControlError};

use super::{BOOT, World};
use crate::ensure;
use crate::error::Error;
use crate::host::{self, Host, PORT, extension, held, ping};
use crate::machine::Machine;
use crate::setting::Fault;

const PANICS: u32 = 666;

pub(super) fn run(world: &World<'_>) -> Result<(), Error> {
    let setting = world.setting;
    let mut spec = world.spec(&setting.planted, "", "/bin/workload orphans")?;
    spec.append = spec.append.replacen("mvm.modules=", "mvm.modules=absent,packed,", 1);
    let mut machine = world.boot(&spec)?;
    machine.line("guest-init: listening on vsock port 5252 ", BOOT)?;
    modules_that_are_none(&mut machine)?;
    let host = Host::new(1, host::guest_key().public())?;
    let mut caller = host.open(&machine.vsock(), PORT)?;
    ping(&mut caller, 1)?;
    let answer = caller.call(&extension(PANICS), host::ANSWER).map(|done| format!("{:?}", done.outcome));
    if setting.fault == Some(Fault::PanicAnswers) {
        ensure!(answer.is_ok(), "an answer: {answer:?}");
    }
    ensure!(
        matches!(answer, Err(ControlError::Channel(ChannelError::Truncated(_)))),
        "a session that is cut off: {answer:?}"
    );
    held("the host of an init that panics sees a session that was cut off");
    let status = machine.exit(Duration::from_secs(10))?;
    let line = machine.line("guest-init: panicked at ", Duration::ZERO)?;
    ensure!(line.contains("src/requests.rs:"), "«{line}»");
    held(format_args!("the console says where ({line}), and the machine ends ({status})"));
    Ok(())
}

/// Nothing is there under one name; what is there under the other is handed to the kernel as compressed, which
/// finds that it is not, or cannot unpack anything. Taken for a module as it is it would be error 8, ENOEXEC.
fn modules_that_are_none(machine: &mut Machine) -> Result<(), Error> {
    let mut error = |name| {
        let line = machine.line(&format!("guest-init: cannot load module {name}: error "), Duration::ZERO)?;
        Ok::<_, Error>(line.rsplit(' ').next().unwrap_or_default().to_owned())
    };
    let (absent, packed) = (error("absent")?, error("packed")?);
    ensure!(absent == "2", "a module that is not there: error {absent}");
    ensure!(!["2", "8"].contains(&packed.as_str()), "a module that is compressed: error {packed}");
    held(
        "a module that is not there, and one that cannot be unpacked, are reported, and the others are loaded",
    );
    Ok(())
}
