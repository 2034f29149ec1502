//! The workload, and everything else that ends below PID 1.

use mvm_core::guest::ComponentState;

use crate::console::say;
use crate::failed;
use crate::kernel::{self, Ended, Errno, Forked, NOCTTY, Pid, RDWR, SignalSet, WRONLY, open};
use crate::machine::uptime_ms;
use crate::sys::Arguments;

/// Status of a child that could not become its program.
const NOT_STARTED: u32 = 127;

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
        let (pid, state) = match kernel::fork() {
            Ok(Forked::Child) => become_workload(arguments),
            Ok(Forked::Parent(pid)) => {
                let number = u64::from(pid.0);
                say("workload $ is process #", &[path.to_bytes()], &[number]);
                (Some(pid), ComponentState::Ready)
            }
            Err(error) => {
                failed(
                    "cannot start the workload $: error #",
                    path.to_bytes(),
                    error,
                );
                (None, ComponentState::Failed { code: error.0 })
            }
        };
        Some(Self {
            pid,
            state,
            since_ms: uptime_ms(),
        })
    }

    /// Reports its end, if it is this child that ended.
    pub(crate) fn ended(&mut self, pid: Pid, how: Ended) {
        if self.pid != Some(pid) {
            return;
        }
        self.pid = None;
        self.since_ms = uptime_ms();
        // As shells tell it: the exit code, or 128 and the signal.
        let (line, number, above) = match how.code() {
            Ok(code) => ("workload ended: exit code #", code, 0),
            Err(signal) => ("workload ended: signal #", signal, 128),
        };
        say(line, &[], &[u64::from(number)]);
        let code = number.saturating_add(above);
        self.state = ComponentState::Failed { code };
    }
}

/// In the child: a session of its own, no input, the console for output, every signal let through.
fn become_workload(arguments: Arguments) -> ! {
    kernel::set_session();
    let _ = kernel::block(SignalSet::NONE);
    let null = open(c"/dev/null", RDWR);
    let console = open(c"/dev/console", WRONLY | NOCTTY);
    for (to, from) in [(0, &null), (1, &console), (2, &console)] {
        if let Ok(from) = from.as_ref().or(null.as_ref()) {
            let _ = kernel::duplicate(from, to);
        }
    }
    let error = arguments.exec();
    failed(
        "cannot run $: error #",
        arguments.workload().unwrap_or(c"").to_bytes(),
        error,
    );
    kernel::exit(NOT_STARTED)
}

/// Starts a child that writes everything to disk, and with `drop_caches` has the kernel forget what it has
/// only read: a snapshot holds it otherwise. It ends with status 0, or the kernel's code.
pub(crate) fn flush(drop_caches: bool) -> Result<Pid, Errno> {
    match kernel::fork()? {
        Forked::Parent(pid) => Ok(pid),
        Forked::Child => {
            kernel::sync();
            let dropped = if drop_caches { forget_caches() } else { Ok(()) };
            kernel::exit(dropped.err().map_or(0, |error| error.0))
        }
    }
}

fn forget_caches() -> Result<(), Errno> {
    let file = open(c"/proc/sys/vm/drop_caches", WRONLY)?;
    kernel::write(&file, b"3").map(|_| ())
}
