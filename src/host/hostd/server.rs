//! The blocking server: a thread for each connection, and some for what it asks in version 2.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::event::{Close, Rejection, ServerCounts, ServerEvent, Unanswered};
use super::intake::{Intake, Step};
use super::limits::ServerOptions;
use super::listener::Listener;
use super::peer::Peer;
use super::service::{Backoff, Call, Job, Seat, Service, Verdict, is_passing, lock};
use super::{system, wait};
use crate::fleet::protocol::{HostdRequest, HostdResponse};
use crate::host::channel::Deadline;
use crate::limits::HOSTD_PENDING_MAX;

/// Does what is asked. A function or a closure of the same form is one.
///
/// Requests of several connections, and in version 2 of one, are handled at the same time, each on a thread
/// of its own. Pings do not come here: the server answers them.
pub trait Handler: Send + Sync + 'static {
    /// Does it, and says how it went: [`Ok`](HostdResponse::Ok) or [`HostdResponse::error`].
    ///
    /// It should be over by the [deadline](Call::deadline): the client waits no longer. It is not cut off,
    /// because half an operation is worse than a late one. A panic is answered by an error, and
    /// [counted](ServerCounts::panicked).
    fn handle(&self, request: HostdRequest, call: &Call) -> HostdResponse;
}

impl<F> Handler for F
where
    F: Fn(HostdRequest, &Call) -> HostdResponse + Send + Sync + 'static,
{
    fn handle(&self, request: HostdRequest, call: &Call) -> HostdResponse {
        self(request, call)
    }
}

/// A server that runs. Dropped, it stops at once: connections are closed, operations under way come to their
/// end unheard.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
    /// What is written here ends the acceptor's waiting.
    wake: UnixStream,
}

/// How a server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// Connections that were closed although an operation was under way, or an answer not taken.
    pub cut: usize,
}

#[derive(Debug)]
struct Shared {
    service: Arc<Service>,
    stopping: AtomicBool,
    open: Mutex<Open>,
    /// One has gone.
    gone: Condvar,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    streams: BTreeMap<u64, Arc<UnixStream>>,
}

impl Server {
    /// Begins to accept connections.
    ///
    /// # Errors
    /// Those of the operating system: there is no thread for it, or no socket to wake it with.
    pub fn start(
        listener: Listener,
        options: ServerOptions,
        handler: impl Handler,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            service: Service::new(options),
            stopping: AtomicBool::new(false),
            open: Mutex::default(),
            gone: Condvar::new(),
        });
        let (wake, woken) = UnixStream::pair()?;
        let handler: Arc<dyn Handler> = Arc::new(handler);
        let acceptor = {
            let shared = Arc::clone(&shared);
            let run = move || accept(&listener, &woken, &shared, &handler);
            named("hostd-accept").spawn(run)?
        };
        Ok(Self {
            shared,
            acceptor: Some(acceptor),
            wake,
        })
    }

    /// How often things have happened so far.
    #[must_use]
    pub fn counts(&self) -> ServerCounts {
        self.shared.service.counters.read()
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.service.open()
    }

    /// Stops: first nobody is let in any more and the socket is removed; requests that come are answered by
    /// an error; operations under way and their answers have until `deadline`; then every connection is
    /// closed. A handler that still runs then comes to its end, and its answer goes nowhere.
    pub fn shutdown(mut self, deadline: Deadline) -> Stopped {
        self.stop_accepting();
        let mut open = lock(&self.shared.open);
        for stream in open.streams.values() {
            // What has arrived is still read, and answered; then comes the end.
            let _ = stream.shutdown(Shutdown::Read);
        }
        while !open.streams.is_empty() {
            let Some(left) = deadline.remaining() else {
                break;
            };
            open = self
                .shared
                .gone
                .wait_timeout(open, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let cut = open.streams.len();
        drop(open);
        Stopped { cut }
    }

    fn stop_accepting(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = system::send(&self.wake, &[0]);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop_accepting();
        for stream in lock(&self.shared.open).streams.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.into())
}

/// Accepts until it is woken. The listener is closed, and its socket removed, by who calls.
fn accept(
    listener: &Listener,
    woken: &UnixStream,
    shared: &Arc<Shared>,
    handler: &Arc<dyn Handler>,
) {
    let mut backoff = Backoff::new();
    loop {
        let failed = match wait::either(woken, &listener.socket) {
            Ok((true, _)) => return,
            Ok(_) => match listener.socket.accept() {
                Ok((stream, _)) => {
                    backoff = Backoff::new();
                    Connection::begin(stream, shared, handler);
                    continue;
                }
                Err(error) if is_passing(&error) => continue,
                Err(error) => error,
            },
            Err(error) => error,
        };
        let service = &shared.service;
        service.tell(&ServerEvent::AcceptFailed { error: &failed });
        // The connection that cannot be accepted stays in the queue: to ask again at once would be to spin.
        if wait::readable(woken, Deadline::after(backoff.next())).unwrap_or(false) {
            return;
        }
    }
}

/// A connection that was let in. It ends when the last thread that serves it lets go of it.
struct Connection {
    shared: Arc<Shared>,
    handler: Arc<dyn Handler>,
    key: u64,
    stream: Arc<UnixStream>,
    peer: Peer,
    /// One answer at a time.
    writing: Mutex<()>,
    work: Mutex<Work>,
    /// Why it ended, whoever noticed first.
    end: Mutex<Option<Close>>,
    _seat: Seat,
}

/// The requests of version 2 that are under way.
#[derive(Default)]
struct Work {
    waiting: VecDeque<Job>,
    /// Threads that do them.
    threads: usize,
    /// Those that have no answer yet, waiting or not.
    pending: usize,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let reason = lock(&self.end).take().unwrap_or(Close::ByClient);
        let peer = self.peer;
        let reason = &reason;
        self.shared
            .service
            .tell(&ServerEvent::Closed { peer, reason });
        lock(&self.shared.open).streams.remove(&self.key);
        self.shared.gone.notify_all();
    }
}

impl Connection {
    fn begin(stream: UnixStream, shared: &Arc<Shared>, handler: &Arc<dyn Handler>) {
        let service = &shared.service;
        let Some((peer, seat)) = service.admit(&stream) else {
            return;
        };
        if let Err(error) = stream.set_nonblocking(true) {
            service.reject(Some(peer), Rejection::NoResources(&error));
            return;
        }
        // The thread gets the connection only once it runs: whether there is one is known before.
        let (give, take) = std::sync::mpsc::sync_channel::<Arc<Self>>(1);
        let serve = move || {
            if let Ok(connection) = take.recv() {
                let end = connection.serve();
                connection.ended(end);
            }
        };
        if let Err(error) = named("hostd-connection").spawn(serve) {
            service.reject(Some(peer), Rejection::NoResources(&error));
            return;
        }
        service.tell(&ServerEvent::Accepted { peer });
        let stream = Arc::new(stream);
        let key = {
            let mut open = lock(&shared.open);
            let key = open.next;
            open.next = key.wrapping_add(1);
            open.streams.insert(key, Arc::clone(&stream));
            key
        };
        let _ = give.send(Arc::new(Self {
            shared: Arc::clone(shared),
            handler: Arc::clone(handler),
            key,
            stream,
            peer,
            writing: Mutex::new(()),
            work: Mutex::default(),
            end: Mutex::new(None),
            _seat: seat,
        }));
    }

    /// Reads until there is no going on.
    fn serve(self: &Arc<Self>) -> Close {
        let options = &self.shared.service.options;
        let mut intake = Intake::new(options.version_1);
        let mut whole_by = Some(Deadline::after(options.frame));
        loop {
            match self.work_off(&mut intake) {
                Ok(true) => whole_by = None,
                Ok(false) => {}
                Err(end) => return end,
            }
            if let Err(end) = self.read(&mut intake, &mut whole_by) {
                return end;
            }
        }
    }

    /// Does what has arrived; whether that was a whole frame at least.
    fn work_off(self: &Arc<Self>, intake: &mut Intake) -> Result<bool, Close> {
        let service = &self.shared.service;
        let mut any = false;
        loop {
            match intake.step() {
                Step::Read => return Ok(any),
                Step::Lost(error) => return Err(Close::Frame(error)),
                Step::Send(frame) => self.write(&frame)?,
                Step::Refused(refusal) => {
                    let (peer, reason) = (self.peer, refusal.reason());
                    service.tell(&ServerEvent::Refused { peer, reason });
                    self.write(refusal.reply())?;
                    if refusal.ends() {
                        return Err(Close::Refused);
                    }
                }
                Step::Call {
                    request,
                    timeout,
                    reply_to,
                } => {
                    let version = intake.version().unwrap_or(1);
                    let stopping = self.shared.stopping.load(Ordering::SeqCst);
                    match service.judge(self.peer, version, request, timeout, reply_to, stopping) {
                        Verdict::Answer(frame) => self.write(&frame)?,
                        // Answers of version 1 have no number, so each comes before the next is read.
                        Verdict::Run(job) if version == 1 => self.write(&self.run(job))?,
                        Verdict::Run(job) => self.enlist(job)?,
                    }
                }
            }
            any = true;
        }
    }

    /// Waits for bytes: a frame that has begun must be whole in time, however many pieces it comes in.
    fn read(&self, intake: &mut Intake, whole_by: &mut Option<Deadline>) -> Result<(), Close> {
        let options = &self.shared.service.options;
        loop {
            let first = whole_by.is_some();
            let torn = intake.torn();
            let deadline = if first || torn.is_some() {
                *whole_by.get_or_insert_with(|| Deadline::after(options.frame))
            } else {
                Deadline::after(options.idle)
            };
            if !wait::readable(&*self.stream, deadline).map_err(Close::Io)? {
                if whole_by.is_some() {
                    return Err(Close::Slow);
                }
                if lock(&self.work).threads > 0 {
                    continue;
                }
                return Err(Close::Idle);
            }
            match (&*self.stream).read(intake.space()) {
                Ok(0) if self.shared.stopping.load(Ordering::SeqCst) => {
                    return Err(Close::Stopping);
                }
                Ok(0) => return Err(torn.map_or(Close::ByClient, Close::Frame)),
                Ok(n) => {
                    intake.advance(n);
                    return Ok(());
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => {}
                    ErrorKind::ConnectionReset => return Err(Close::ByClient),
                    _ => return Err(Close::Io(error)),
                },
            }
        }
    }

    fn run(&self, job: Job) -> Vec<u8> {
        let handle = |request, call: &Call| self.handler.handle(request, call);
        self.shared.service.run(job, handle)
    }

    /// Gives a request to a thread of its own, or has it wait for one.
    fn enlist(self: &Arc<Self>, job: Job) -> Result<(), Close> {
        let service = &self.shared.service;
        let refused = {
            let mut work = lock(&self.work);
            if work.pending >= HOSTD_PENDING_MAX {
                Some(job)
            } else {
                work.waiting.push_back(job);
                work.pending = work.pending.saturating_add(1);
                if work.threads < service.options.calls {
                    let this = Arc::clone(self);
                    match named("hostd-call").spawn(move || this.work()) {
                        Ok(_) => work.threads = work.threads.saturating_add(1),
                        // Another thread will come to it.
                        Err(_) if work.threads > 0 => {}
                        Err(error) => return Err(Close::Io(error)),
                    }
                }
                None
            }
        };
        match refused {
            None => Ok(()),
            Some(job) => {
                let reason = Unanswered::TooMany;
                self.write(&service.unanswered(self.peer, job.reply_to, reason))
            }
        }
    }

    /// Does what is waiting, until there is nothing.
    fn work(self: Arc<Self>) {
        loop {
            let job = {
                let mut work = lock(&self.work);
                let Some(job) = work.waiting.pop_front() else {
                    work.threads = work.threads.saturating_sub(1);
                    return;
                };
                job
            };
            let frame = self.run(job);
            // Before the answer is out: who has it may ask the next at once.
            {
                let mut work = lock(&self.work);
                work.pending = work.pending.saturating_sub(1);
            }
            if let Err(end) = self.write(&frame) {
                self.ended(end);
            }
        }
    }

    /// Writes an answer, in the time that it may take.
    fn write(&self, mut frame: &[u8]) -> Result<(), Close> {
        let _turn = lock(&self.writing);
        let deadline = Deadline::after(self.shared.service.options.frame);
        while !frame.is_empty() {
            match system::send(&*self.stream, frame) {
                Ok(n) => frame = frame.get(n..).unwrap_or_default(),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => {
                        if !wait::writable(&*self.stream, deadline).map_err(Close::Io)? {
                            return Err(Close::NotReading);
                        }
                    }
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                        return Err(Close::ByClient);
                    }
                    _ => return Err(Close::Io(error)),
                },
            }
        }
        Ok(())
    }

    /// Notes why it ended. Answers under way may still go out where the client has only said that it asks
    /// nothing more.
    fn ended(&self, end: Close) {
        let how = match end {
            Close::ByClient | Close::Stopping | Close::Idle => Shutdown::Read,
            _ => Shutdown::Both,
        };
        lock(&self.end).get_or_insert(end);
        let _ = self.stream.shutdown(how);
    }
}
