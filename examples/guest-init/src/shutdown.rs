//! The end of the machine.

use mvm_core::guest::{Shutdown, ShutdownMode};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use rustix::process::Signal;
use rustix::system::{RebootCommand, reboot};

use crate::children::{Workload, flush, has_children, kill, reap, signal_all};
use crate::console::say;
use crate::descriptor::Fd;
use crate::machine::uptime_ms;
use crate::sys;

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
    signal_all(Signal::TERM);
    // A stopped program does not get the signal before it goes on.
    signal_all(Signal::CONT);
    gone(grace_ms);
    signal_all(Signal::KILL);
    gone(KILLED_MS);
    if let Ok(child) = flush(false) {
        gone(FLUSH_MS);
        kill(child);
    }
    end(shutdown.mode)
}

/// Waits for a signal; `false` once the time has come.
fn wait_for_child(signals: &Fd, until_ms: u64) -> bool {
    let left = until_ms.saturating_sub(uptime_ms());
    if left == 0 {
        return false;
    }
    let mut fds = [PollFd::new(signals, PollFlags::IN)];
    let _ = poll(&mut fds, Some(&timespec(left)));
    while let Ok(128) = rustix::io::read(signals, &mut [0; 128]) {}
    true
}

/// Milliseconds as the kernel wants them.
pub(crate) fn timespec(ms: u64) -> Timespec {
    let nanoseconds = (ms % 1000).saturating_mul(1_000_000);
    Timespec {
        tv_sec: i64::try_from(ms / 1000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    }
}

/// Ends the machine now.
pub(crate) fn end(mode: ShutdownMode) -> ! {
    let (text, command) = match mode {
        ShutdownMode::Reboot => ("rebooting", RebootCommand::Restart),
        ShutdownMode::Halt => ("halting", RebootCommand::Halt),
        _ => ("powering off", RebootCommand::PowerOff),
    };
    say(text, &[], &[]);
    let _ = reboot(command);
    // The kernel panics when PID 1 ends, which ends the machine in its own way.
    sys::exit(1)
}
