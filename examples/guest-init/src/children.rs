//! The workload, and everything else that ends below PID 1.

use mvm_core::guest::ComponentState;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, setsid, wait,
};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use crate::console::say;
use crate::descriptor::open;
use crate::failed;
use crate::machine::uptime_ms;
use crate::sys::{self, Arguments, Forked, SignalSet};

/// Status of a child that could not become its program.
const NOT_STARTED: i32 = 127;

/// The workload: what has become of it, and since when.
#[derive(Clone, Copy)]
pub(crate) struct Workload {
    pid: Option<Pid>,
    pub(crate) state: ComponentState,
    pub(crate) since_ms: u64,
}

impl Workload {
    /// Starts it. One that cannot be started has failed with the kernel's code, or with 127 where its file
    /// is none.
    pub(crate) fn start(arguments: Arguments) -> Option<Self> {
        let path = arguments.workload()?;
        let (pid, state) = match sys::fork() {
            Ok(Forked::Child) => become_workload(arguments),
            Ok(Forked::Parent(pid)) => {
                let number = u64::from(pid.as_raw_nonzero().get().unsigned_abs());
                say("workload $ is process #", &[path.to_bytes()], &[number]);
                (Some(pid), ComponentState::Ready)
            }
            Err(error) => {
                failed(
                    "cannot start the workload $: error #",
                    path.to_bytes(),
                    error,
                );
                (
                    None,
                    ComponentState::Failed {
                        code: error.raw_os_error().unsigned_abs(),
                    },
                )
            }
        };
        Some(Self {
            pid,
            state,
            since_ms: uptime_ms(),
        })
    }

    /// Reports its end, if it is this child that ended.
    pub(crate) fn ended(&mut self, pid: Pid, status: WaitStatus) {
        if self.pid != Some(pid) {
            return;
        }
        self.pid = None;
        self.since_ms = uptime_ms();
        // As shells tell it: the exit code, or 128 and the signal.
        let (line, number, above) = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => ("workload ended: exit code #", code, 0),
            (None, signal) => ("workload ended: signal #", signal.unwrap_or_default(), 128),
        };
        let number = number.unsigned_abs();
        say(line, &[], &[u64::from(number)]);
        let code = number.saturating_add(above);
        self.state = ComponentState::Failed { code };
    }
}

/// In the child: a session of its own, no input, the console for output, every signal let through.
fn become_workload(arguments: Arguments) -> ! {
    let _ = setsid();
    let _ = sys::block(SignalSet::NONE);
    if let Ok(null) = open(c"/dev/null", OFlags::RDWR) {
        let _ = dup2_stdin(&null);
        let _ = dup2_stdout(&null);
        let _ = dup2_stderr(&null);
    }
    if let Ok(console) = open(c"/dev/console", OFlags::WRONLY | OFlags::NOCTTY) {
        let _ = dup2_stdout(&console);
        let _ = dup2_stderr(&console);
    }
    let error = arguments.exec();
    failed(
        "cannot run $: error #",
        arguments.workload().unwrap_or(c"").to_bytes(),
        error,
    );
    sys::exit(NOT_STARTED)
}

/// The next child that has ended; `None` where none has.
pub(crate) fn reap() -> Option<(Pid, WaitStatus)> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(ended) => return ended,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// Whether there is a child at all, living or not.
pub(crate) fn has_children() -> bool {
    !matches!(
        rustix::process::waitid(
            rustix::process::WaitId::All,
            rustix::process::WaitIdOptions::EXITED
                | rustix::process::WaitIdOptions::NOHANG
                | rustix::process::WaitIdOptions::NOWAIT,
        ),
        Err(Errno::CHILD)
    )
}

/// Sends a signal to every process but this one.
pub(crate) fn signal_all(signal: Signal) {
    // The group of PID 1 is written -1 in the call, and that means everybody.
    let _ = kill_process_group(Pid::INIT, signal);
}

/// Ends a child without asking.
pub(crate) fn kill(pid: Pid) {
    let _ = kill_process(pid, Signal::KILL);
}

/// Starts a child that writes everything to disk, and with `drop_caches` has the kernel forget what it has
/// only read: a snapshot holds it otherwise. It ends with status 0, or the kernel's code.
pub(crate) fn flush(drop_caches: bool) -> Result<Pid, Errno> {
    match sys::fork()? {
        Forked::Parent(pid) => Ok(pid),
        Forked::Child => {
            rustix::fs::sync();
            let dropped = if drop_caches { forget_caches() } else { Ok(()) };
            sys::exit(dropped.err().map_or(0, Errno::raw_os_error))
        }
    }
}

fn forget_caches() -> Result<(), Errno> {
    let file = open(c"/proc/sys/vm/drop_caches", OFlags::WRONLY)?;
    rustix::io::write(&file, b"3").map(|_| ())
}
