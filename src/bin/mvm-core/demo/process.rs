//! The guest's process as the host sees it: started, provisioned, heard, paused, and gone in the
//! end, whatever happens.

use alloc::sync::Arc;
use core::time::Duration;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use mvm_core::channel::Deadline;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;

use super::host::TOTAL;
use super::report::Trouble;

/// What has to be gone in the end: the process and the directory.
pub(super) struct Remains {
    child: Mutex<Option<Child>>,
    dir: PathBuf,
}

impl Remains {
    /// A directory for the socket that only its owner can look into, and no process yet.
    pub(super) fn new(random: &str) -> Result<Self, Trouble> {
        let dir = std::env::temp_dir().join(format!("mvm-core-demo-{random}"));
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        let child = Mutex::new(None);
        Ok(Self { child, dir })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the process, if it runs, and removes the directory, if it is there.
    pub(super) fn clear(&self) {
        if let Some(mut child) = self.child().take() {
            // A process that has ended already cannot be killed, and that is fine.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The guest's process and what it has reported.
pub(super) struct Guest {
    remains: Arc<Remains>,
    stdin: ChildStdin,
    events: Receiver<Value>,
    /// Reported and not yet asked for.
    waiting: Vec<Value>,
    pid: u32,
}

impl Guest {
    /// Starts the process. `provision` goes in through its standard input and nowhere else.
    pub(super) fn start(
        remains: Arc<Remains>,
        socket: &Path,
        provision: &str,
    ) -> Result<Self, Trouble> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("demo-guest")
            .arg("--socket")
            .arg(socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Its own group: an interrupt from the terminal reaches the host, and the guest ends
            // when its standard input does.
            .process_group(0)
            .spawn()?;
        let pid = child.id();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        *remains.child() = Some(child);
        let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else {
            return Err("the guest's process has no pipes".into());
        };
        let (sender, events) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        stdin.write_all(provision.as_bytes())?;
        stdin.flush()?;
        Ok(Self {
            remains,
            stdin,
            events,
            waiting: Vec::new(),
            pid,
        })
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Tells the guest something as its VMM would.
    pub(super) fn tell(&mut self, what: &Value) -> Result<(), Trouble> {
        writeln!(self.stdin, "{what}")?;
        Ok(self.stdin.flush()?)
    }

    /// The first report of a kind that fits, of those not yet asked for. `None` only where it never
    /// comes.
    pub(super) fn report(&mut self, event: &str, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let wanted = |report: &Value| {
            report.get("event").and_then(Value::as_str) == Some(event) && fits(report)
        };
        if let Some(at) = self.waiting.iter().position(wanted) {
            return Some(self.waiting.remove(at));
        }
        let deadline = Deadline::after(TOTAL);
        while let Some(left) = deadline.remaining() {
            let report = self.events.recv_timeout(left).ok()?;
            if wanted(&report) {
                return Some(report);
            }
            self.waiting.push(report);
        }
        None
    }

    /// Stops the process, as a VMM pauses virtual CPUs, and waits until it stands still.
    pub(super) fn pause(&self) -> Result<(), Trouble> {
        let pid = self.signal(Signal::STOP)?;
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let start = Instant::now();
        while start.elapsed() < TOTAL {
            if waitid(WaitId::Pid(pid), options)?.is_some_and(|status| status.stopped()) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err("the guest's process does not stop".into())
    }

    /// Lets it go on.
    pub(super) fn resume(&self) -> Result<(), Trouble> {
        self.signal(Signal::CONT).map(drop)
    }

    fn signal(&self, signal: Signal) -> Result<Pid, Trouble> {
        let child = self.remains.child();
        let pid = Pid::from_child(child.as_ref().ok_or("the guest's process is gone")?);
        kill_process(pid, signal)?;
        Ok(pid)
    }

    /// Waits for the process to end by itself.
    pub(super) fn ended(&self) -> Result<ExitStatus, Trouble> {
        let start = Instant::now();
        while start.elapsed() < TOTAL {
            {
                let mut child = self.remains.child();
                let running = child.as_mut().ok_or("the guest's process is gone")?;
                if let Some(status) = running.try_wait()? {
                    *child = None;
                    return Ok(status);
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err("the guest's process does not end".into())
    }
}

/// The permission bits of a file, in octal.
pub(super) fn mode(path: &Path) -> Result<String, Trouble> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    Ok(format!("{mode:04o}"))
}
