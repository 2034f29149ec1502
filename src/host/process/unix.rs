//! One thread waits for everything at once: the program's end, its output, room for its input, and the time.

use alloc::vec::Vec;
use core::time::Duration;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::kept::Buffer;
use super::{Done, Failure, Input, Job, Kept, LAST_PATIENCE, Output, nothing_kept};

// Twins: a descriptor that says when a process has ended, where the system has such a thing.
#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "end/pidfd.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    path = "end/none.rs"
)]
mod end;

/// How often to look whether the program has ended, where nothing says so.
const PAUSE: Duration = Duration::from_millis(5);
/// How much is read at once, in bytes: what a pipe of Linux holds.
const READ_LEN: usize = 64 * 1024;

/// Runs a program to its end.
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
        grace,
        linger,
    } = job;
    let own_group = deadline.is_some();
    if own_group {
        command.process_group(0);
    }
    let input = match input {
        Input::Nothing => {
            command.stdin(Stdio::null());
            None
        }
        Input::Inherited => {
            command.stdin(Stdio::inherit());
            None
        }
        Input::Bytes(bytes) => {
            let (feed, stdin) = Feed::new(bytes).map_err(Failure::Start)?;
            command.stdin(stdin);
            Some(feed)
        }
    };
    command.stdout(stdio(stdout)).stderr(stdio(stderr));
    let mut child = command.spawn().map_err(Failure::Start)?;
    // Its copies of the child's descriptors.
    drop(command);
    let pipes = [
        child.stdout.take().map(OwnedFd::from),
        child.stderr.take().map(OwnedFd::from),
    ];
    let mut running = Running {
        ended: end::of(&child),
        child: Some(child),
        own_group,
    };
    let [out, err] = pipes;
    let mut streams = [Stream::new(out, stdout), Stream::new(err, stderr)];
    let watch = Watch {
        start,
        deadline,
        grace,
        linger,
    };
    let (status, timed_out) = watch
        .until_over(&mut running, input, &mut streams)
        .map_err(Failure::Watch)?;
    let [stdout, stderr] = streams.map(Stream::finish);
    Ok(Done {
        status,
        timed_out,
        stdout,
        stderr,
    })
}

fn stdio(output: Output) -> Stdio {
    match output {
        Output::Dropped => Stdio::null(),
        Output::Inherited => Stdio::inherit(),
        Output::Kept(_) => Stdio::piped(),
    }
}

/// What is done when the time is up, in order.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Running,
    /// The group has been asked to end, and is killed at this time.
    Asked(Instant),
    /// The group has been killed, and is given up at this time.
    Killed(Instant),
}

struct Watch {
    start: Instant,
    deadline: Option<Duration>,
    grace: Duration,
    linger: Option<Duration>,
}

impl Watch {
    fn until_over(
        &self,
        running: &mut Running,
        mut input: Option<Feed<'_>>,
        streams: &mut [Stream; 2],
    ) -> io::Result<(Option<ExitStatus>, bool)> {
        let mut buffer = alloc::vec![0; READ_LEN];
        let mut phase = Phase::Running;
        let mut ended: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if ended.is_none() && running.has_ended()? {
                ended = Some(now);
                // It would be ready from now on.
                running.ended = None;
            }
            let open = streams.iter().any(|stream| stream.pipe.is_some());
            let next = match (phase, ended) {
                (Phase::Running, Some(_)) if !open => break,
                (Phase::Running, Some(at)) => {
                    let linger = self.linger.map(|linger| after(at, linger));
                    if linger.is_some_and(|end| end <= now) {
                        break;
                    }
                    earlier(linger, self.end())
                }
                (Phase::Running, None) => self.end(),
                // What is left of the group has lost the program that it belongs to and has nothing to
                // say: nothing tells whether there is anything left at all.
                (Phase::Asked(_), Some(_)) if !open => {
                    running.kill();
                    break;
                }
                (Phase::Asked(end), _) => Some(end),
                (Phase::Killed(_), Some(_)) if !open => break,
                (Phase::Killed(end), _) if end <= now => break,
                (Phase::Killed(end), _) => Some(end),
            };
            if next.is_some_and(|next| next <= now) {
                phase = match phase {
                    Phase::Running if !self.grace.is_zero() => {
                        running.ask();
                        Phase::Asked(after(now, self.grace))
                    }
                    Phase::Running | Phase::Asked(_) | Phase::Killed(_) => {
                        running.kill();
                        Phase::Killed(after(now, LAST_PATIENCE))
                    }
                };
                continue;
            }
            let patience = next.map(|next| next.saturating_duration_since(now));
            wait(
                running,
                &mut input,
                streams,
                ended.is_none(),
                patience,
                &mut buffer,
            )?;
        }
        let timed_out = !matches!(phase, Phase::Running);
        Ok((running.reap()?, timed_out))
    }

    fn end(&self) -> Option<Instant> {
        self.deadline.map(|deadline| after(self.start, deadline))
    }
}

/// Stands for "never" where an instant cannot express it: a century.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

fn after(start: Instant, time: Duration) -> Instant {
    start.checked_add(time.min(FAR)).unwrap_or(start)
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

/// Waits until something happens or patience is over, and does what can be done then.
fn wait(
    running: &Running,
    input: &mut Option<Feed<'_>>,
    streams: &mut [Stream; 2],
    alive: bool,
    patience: Option<Duration>,
    buffer: &mut [u8],
) -> io::Result<()> {
    let patience = if alive && running.ended.is_none() {
        Some(patience.map_or(PAUSE, |patience| patience.min(PAUSE)))
    } else {
        patience
    };
    let [out, err] = streams;
    // In the order of `ready` below; what is not there is not waited for.
    let watched: [Option<(BorrowedFd<'_>, PollFlags)>; 4] = [
        out.pipe.as_ref().map(|fd| (fd.as_fd(), PollFlags::IN)),
        err.pipe.as_ref().map(|fd| (fd.as_fd(), PollFlags::IN)),
        input
            .as_ref()
            .map(|feed| (feed.writer.as_fd(), PollFlags::OUT)),
        running.ended.as_ref().map(|fd| (fd.as_fd(), PollFlags::IN)),
    ];
    let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(watched.len());
    fds.extend(
        watched
            .iter()
            .flatten()
            .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)),
    );
    // What a `timespec` cannot hold is longer than anybody waits.
    let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
    match poll(&mut fds, patience.as_ref()) {
        Ok(_) => {}
        // The time left is computed anew.
        Err(Errno::INTR) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let mut answers = fds.iter().map(|fd| !fd.revents().is_empty());
    let ready = watched.map(|watched| watched.is_some() && answers.next().unwrap_or_default());
    drop(fds);
    let [out_ready, err_ready, input_ready, _] = ready;
    if out_ready {
        out.read(buffer)?;
    }
    if err_ready {
        err.read(buffer)?;
    }
    if input_ready
        && let Some(feed) = input
        && feed.write()?
    {
        // The end of the input, for the program.
        *input = None;
    }
    Ok(())
}

/// An output.
struct Stream {
    pipe: Option<OwnedFd>,
    buffer: Option<Buffer>,
}

impl Stream {
    fn new(pipe: Option<OwnedFd>, output: Output) -> Self {
        let buffer = match output {
            Output::Kept(keep) => Some(Buffer::new(keep)),
            Output::Dropped | Output::Inherited => None,
        };
        Self { pipe, buffer }
    }

    /// Reads once, so that one who writes without end holds up nothing.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let (Some(pipe), Some(kept)) = (&self.pipe, &mut self.buffer) else {
            return Ok(());
        };
        match rustix::io::read(pipe, &mut *buffer) {
            Ok(0) => self.pipe = None,
            Ok(len) => kept.push(buffer.get(..len).unwrap_or_default()),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn finish(self) -> Kept {
        self.buffer.map_or_else(nothing_kept, Buffer::finish)
    }
}

/// An input that is written as far as there is room for it.
///
/// The end that is read is kept open here too: a write can then never find that nobody reads any more,
/// which would be a `SIGPIPE` to this process if it does not ignore it. Bytes that the program does not
/// want stay in the pipe, and the run ends without them.
struct Feed<'a> {
    _reader: PipeReader,
    writer: PipeWriter,
    left: &'a [u8],
}

impl<'a> Feed<'a> {
    /// The feed, and the end for the program.
    fn new(bytes: &'a [u8]) -> io::Result<(Self, PipeReader)> {
        let (reader, writer) = io::pipe()?;
        // Of this end only: the two are different open files.
        rustix::io::ioctl_fionbio(&writer, true)?;
        let stdin = reader.try_clone()?;
        let feed = Self {
            _reader: reader,
            writer,
            left: bytes,
        };
        Ok((feed, stdin))
    }

    /// Writes what fits; whether that was all of it.
    fn write(&mut self) -> io::Result<bool> {
        while !self.left.is_empty() {
            match rustix::io::write(&self.writer, self.left) {
                Ok(len) => self.left = self.left.get(len..).unwrap_or_default(),
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

/// A program that is killed and reaped on every way out of here.
struct Running {
    child: Option<Child>,
    /// Ready to be read when the program has ended.
    ended: Option<OwnedFd>,
    own_group: bool,
}

impl Running {
    /// Whether the program has ended. It is not reaped, so that its number stays its own.
    fn has_ended(&self) -> io::Result<bool> {
        let Some(child) = &self.child else {
            return Ok(true);
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            match waitid(WaitId::Pid(Pid::from_child(child)), options) {
                Ok(status) => return Ok(status.is_some()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn ask(&mut self) {
        self.signal(Signal::TERM);
    }

    fn kill(&mut self) {
        self.signal(Signal::KILL);
    }

    fn signal(&mut self, signal: Signal) {
        let Some(child) = &self.child else {
            return;
        };
        let pid = Pid::from_child(child);
        // There is nobody to hit where all have ended. The program has not been reaped, so that the
        // number is still its own.
        let _ = if self.own_group {
            kill_process_group(pid, signal)
        } else {
            rustix::process::kill_process(pid, signal)
        };
    }

    /// Reaps the program, which has ended or was killed.
    fn reap(&mut self) -> io::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        // It may die any time; who is not waited for again is reaped when it does.
        let status = child.try_wait()?;
        if status.is_some() {
            self.child = None;
        }
        Ok(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        self.kill();
        let end = after(Instant::now(), LAST_PATIENCE);
        while matches!(self.reap(), Ok(None)) && self.child.is_some() && Instant::now() < end {
            thread::sleep(PAUSE);
        }
        if let Some(mut child) = self.child.take() {
            // Reaped whenever it dies. Where not even a thread can be had, it stays a zombie.
            let _ = thread::Builder::new().spawn(move || child.wait());
        }
    }
}
