//! An init that panics: the host sees a session that was cut off, and the machine ends.

use std::time::Duration;

use mvm_core::channel::{ChannelError, ControlError};

use super::{BOOT, World};
use crate::ensure;
use crate::error::Error;
use crate::host::{self, Host, PORT, extension, held, ping};
use crate::setting::Fault;

const PANICS: u32 = 666;

pub(super) fn run(world: &World<'_>) -> Result<(), Error> {
    let setting = world.setting;
    let spec = world.spec(&setting.planted, "", "/bin/workload orphans")?;
    let mut machine = world.boot(&spec)?;
    machine.line("guest-init: listening on vsock port 5252 ", BOOT)?;
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
