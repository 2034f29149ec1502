//! A thread for each pipe, and no process groups: what a program has started itself is not killed with it.

use alloc::sync::Arc;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::kept::Buffer;
use super::{Done, Failure, Input, Job, Kept, LAST_PATIENCE, Output, nothing_kept};

/// How often to look whether the program has ended.
const PAUSE: Duration = Duration::from_millis(5);
/// How long to wait at once for what may take for ever.
const LONG: Duration = Duration::from_secs(3600);

/// Runs a program to its end, without a grace.
///
/// # Errors
/// [`Failure`]; it does not run any more then.
pub(crate) fn run(job: Job<'_>) -> Result<Done, Failure> {
    let start = Instant::now();
    let Job {
        mut command,
        input,
        stdout,
        stderr,
        deadline,
        linger,
        ..
    } = job;
    let left = || deadline.map(|deadline: Duration| deadline.saturating_sub(start.elapsed()));
    command
        .stdin(match input {
            Input::Nothing => Stdio::null(),
            Input::Inherited => Stdio::inherit(),
            Input::Bytes(_) => Stdio::piped(),
        })
        .stdout(stdio(stdout))
        .stderr(stdio(stderr));
    let child = command.spawn().map_err(Failure::Start)?;
    let running = Running(Some(child));
    watch(running, input, [stdout, stderr], linger, left).map_err(Failure::Watch)
}

fn watch(
    mut running: Running,
    input: Input<'_>,
    [stdout, stderr]: [Output; 2],
    linger: Option<Duration>,
    left: impl Fn() -> Option<Duration>,
) -> io::Result<Done> {
    if let Input::Bytes(bytes) = input
        && let Some(mut pipe) = running.child().and_then(|child| child.stdin.take())
    {
        let bytes = bytes.to_vec();
        // A program that does not want all of its input closes the pipe, and that is its own affair.
        thread::Builder::new().spawn(move || pipe.write_all(&bytes))?;
    }
    let out = running.child().and_then(|child| child.stdout.take());
    let err = running.child().and_then(|child| child.stderr.take());
    let out = Reader::of(out, stdout)?;
    let err = Reader::of(err, stderr)?;
    let mut status = running.wait(left())?;
    let mut timed_out = status.is_none();
    if timed_out {
        running.kill();
        status = running.wait(Some(LAST_PATIENCE))?;
    } else {
        let patience = linger.into_iter().chain(left()).min();
        let ended = out.wait(patience) && err.wait(linger.into_iter().chain(left()).min());
        timed_out = !ended && left().is_some_and(|left| left.is_zero());
    }
    Ok(Done {
        status,
        timed_out,
        stdout: out.take(),
        stderr: err.take(),
    })
}

fn stdio(output: Output) -> Stdio {
    match output {
        Output::Dropped => Stdio::null(),
        Output::Inherited => Stdio::inherit(),
        Output::Kept(_) => Stdio::piped(),
    }
}

/// A program that is killed and reaped on every way out of here.
struct Running(Option<Child>);

impl Running {
    fn child(&mut self) -> Option<&mut Child> {
        self.0.as_mut()
    }

    /// How the program ended, `None` if it did not in time.
    fn wait(&mut self, patience: Option<Duration>) -> io::Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            let Some(child) = self.child() else {
                return Ok(None);
            };
            if let Some(status) = child.try_wait()? {
                self.0 = None;
                return Ok(Some(status));
            }
            let left = match patience {
                Some(patience) => match patience.checked_sub(start.elapsed()) {
                    Some(left) => left,
                    None => return Ok(None),
                },
                None => PAUSE,
            };
            thread::sleep(PAUSE.min(left));
        }
    }

    fn kill(&mut self) {
        if let Some(child) = self.child() {
            // There is nobody to kill if it has ended.
            let _ = child.kill();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        if !matches!(self.wait(Some(LAST_PATIENCE)), Ok(Some(_)))
            && let Some(mut child) = self.0.take()
        {
            // Reaped whenever it dies. Where not even a thread can be had, it stays a zombie.
            let _ = thread::Builder::new().spawn(move || child.wait());
        }
    }
}

/// What a program writes into a pipe, read by a thread. The thread ends with the pipe.
struct Reader {
    buffer: Option<Arc<Mutex<Buffer>>>,
    keep: Output,
    ended: Receiver<()>,
}

impl Reader {
    fn of(pipe: Option<impl Read + Send + 'static>, output: Output) -> io::Result<Self> {
        let (end, ended) = channel();
        let buffer = match output {
            Output::Kept(keep) => Some(Arc::new(Mutex::new(Buffer::new(keep)))),
            Output::Dropped | Output::Inherited => None,
        };
        if let (Some(buffer), Some(pipe)) = (&buffer, pipe) {
            let buffer = Arc::clone(buffer);
            thread::Builder::new().spawn(move || {
                keep(pipe, &buffer);
                // Nobody may be waiting any more.
                let _ = end.send(());
            })?;
        }
        // Without a pipe, the sender is gone, and nothing is waited for.
        Ok(Self {
            buffer,
            keep: output,
            ended,
        })
    }

    /// Whether the pipe came to its end before patience did.
    fn wait(&self, patience: Option<Duration>) -> bool {
        use std::sync::mpsc::RecvTimeoutError::Timeout;
        loop {
            match self.ended.recv_timeout(patience.unwrap_or(LONG)) {
                Err(Timeout) if patience.is_none() => {}
                Err(Timeout) => return false,
                Ok(()) | Err(_) => return true,
            }
        }
    }

    /// What has come so far, or by the end of the pipe if that is near.
    fn take(self) -> Kept {
        self.wait(Some(LAST_PATIENCE));
        let (Some(buffer), Output::Kept(keep)) = (self.buffer, self.keep) else {
            return nothing_kept();
        };
        let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
        core::mem::replace(&mut *buffer, Buffer::new(keep)).finish()
    }
}

fn keep(mut pipe: impl Read, kept: &Mutex<Buffer>) {
    let mut buffer = [0; 4096];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => kept
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(buffer.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
