//! The end of the machine.

use mvm_core::guest::{Shutdown, ShutdownMode};

use crate::children::{Workload, flush};
use crate::console::say;
use crate::kernel::{
    self, Fd, POLLIN, Polled, Reboot, SIGCONT, SIGKILL, SIGTERM, has_children, kill, next_signal,
    reap,
};
use crate::machine::uptime_ms;

/// How long the disks may take, in milliseconds: a machine that cannot write must still end.
const FLUSH_MS: u64 = 10_000;
/// How long killed programs may take to be gone, in milliseconds.
const KILLED_MS: u64 = 2_000;

/// Lets programs end by themselves, ends those that have not, writes everything to disk, and ends the
/// machine.
pub(crate) fn run(shutdown: Shutdown, mut workload: Option<Workload>, signals: &Fd) -> ! {
    let grace_ms = u64::from(shutdown.grace_ms);
    say("shutting down, # ms for programs to end", &[], &[grace_ms]);
    let mut gone = |ms: u64| {
        let until = uptime_ms().saturating_add(ms);
        loop {
            while let Some((pid, status)) = reap() {
                if let Some(workload) = &mut workload {
                    workload.ended(pid, status);
                }
            }
            if !has_children() || !wait_for_child(signals, until) {
                return;
            }
        }
    };
    kill(None, SIGTERM);
    // A stopped program does not get the signal before it goes on.
    kill(None, SIGCONT);
    gone(grace_ms);
    kill(None, SIGKILL);
    gone(KILLED_MS);
    if let Ok(child) = flush(false) {
        gone(FLUSH_MS);
        kill(Some(child), SIGKILL);
    }
    end(shutdown.mode)
}

/// Waits for a signal; `false` once the time has come.
fn wait_for_child(signals: &Fd, until_ms: u64) -> bool {
    let left = until_ms.saturating_sub(uptime_ms());
    if left == 0 {
        return false;
    }
    kernel::poll(&mut [Polled::new(signals, POLLIN)], Some(left));
    while next_signal(signals).is_some() {}
    true
}

/// Ends the machine now.
pub(crate) fn end(mode: ShutdownMode) -> ! {
    let (text, command) = match mode {
        ShutdownMode::Reboot => ("rebooting", Reboot::RESTART),
        ShutdownMode::Halt => ("halting", Reboot::HALT),
        _ => ("powering off", Reboot::POWER_OFF),
    };
    say(text, &[], &[]);
    kernel::reboot(command);
    // The kernel panics when PID 1 ends, which ends the machine in its own way.
    kernel::exit(1)
}
