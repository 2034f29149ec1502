//! The server: a task for each connection, and one for each operation.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::{Future, poll_fn};
use core::panic::AssertUnwindSafe;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use std::io::{self, ErrorKind};
use std::panic::catch_unwind;

use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::fleet::protocol::{HostdRequest, HostdResponse};
use crate::host::channel::Deadline;
use crate::host::hostd::event::{Close, ServerCounts, ServerEvent, Unanswered};
use crate::host::hostd::intake::{Intake, Step};
use crate::host::hostd::limits::ServerOptions;
use crate::host::hostd::listener::Listener;
use crate::host::hostd::peer::Peer;
use crate::host::hostd::server::Stopped;
use crate::host::hostd::service::{Backoff, Call, Job, Seat, Service, Verdict, answer, is_passing};
use crate::host::hostd::system;
use crate::limits::HOSTD_PENDING_MAX;

/// Does what is asked. A function or a closure that gives a future is one.
///
/// Pings do not come here: the server answers them.
pub trait Handler: Send + Sync + 'static {
    /// Does it, and says how it went: [`Ok`](HostdResponse::Ok) or [`HostdResponse::error`].
    ///
    /// It should be over by the [deadline](Call::deadline): the client waits no longer. It is not cut off
    /// then; when the server is, it is dropped. A panic is answered by an error, and
    /// [counted](ServerCounts::panicked).
    fn handle(
        &self,
        request: HostdRequest,
        call: Call,
    ) -> impl Future<Output = HostdResponse> + Send;
}

impl<F, R> Handler for F
where
    F: Fn(HostdRequest, Call) -> R + Send + Sync + 'static,
    R: Future<Output = HostdResponse> + Send,
{
    fn handle(
        &self,
        request: HostdRequest,
        call: Call,
    ) -> impl Future<Output = HostdResponse> + Send {
        self(request, call)
    }
}

type Handled = Pin<Box<dyn Future<Output = HostdResponse> + Send>>;
type Run = Arc<dyn Fn(HostdRequest, Call) -> Handled + Send + Sync>;

/// A server that runs. Dropped, it stops at once: connections are closed and operations dropped.
pub struct Server {
    service: Arc<Service>,
    /// Until when operations under way may go on, once it stops.
    stop: watch::Sender<Option<Deadline>>,
    acceptor: JoinHandle<usize>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Begins to accept connections, on the runtime in which it is called.
    ///
    /// # Errors
    /// Those of the operating system; outside of a runtime.
    pub fn start(
        listener: Listener,
        options: ServerOptions,
        handler: impl Handler,
    ) -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let Listener { socket, place } = listener;
        let socket = UnixListener::from_std(socket)?;
        let service = Service::new(options);
        let (stop, stopped) = watch::channel(None);
        let handler = Arc::new(handler);
        let shared = Shared {
            service: Arc::clone(&service),
            stopped,
            run: Arc::new(move |request, call| {
                let handler = Arc::clone(&handler);
                Box::pin(async move { handler.handle(request, call).await })
            }),
        };
        let accepting = async move {
            let mut connections = JoinSet::new();
            let deadline = accept(&socket, &shared, &mut connections).await;
            // The socket goes before its name, and both before anything is waited for.
            drop(socket);
            drop(place);
            let all = async { while connections.join_next().await.is_some() {} };
            let _ = timeout(deadline.remaining().unwrap_or_default(), all).await;
            // What is left is dropped with the set.
            connections.len()
        };
        Ok(Self {
            service,
            stop,
            acceptor: runtime.spawn(accepting),
        })
    }

    /// How often things have happened so far.
    #[must_use]
    pub fn counts(&self) -> ServerCounts {
        self.service.counters.read()
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.service.open()
    }

    /// Stops: first nobody is let in any more and the socket is removed; requests that come are answered by
    /// an error; operations under way and their answers have until `deadline`; then every connection is
    /// closed, and what still runs is dropped at its next `await`.
    pub async fn shutdown(mut self, deadline: Deadline) -> Stopped {
        let _ = self.stop.send(Some(deadline));
        let cut = (&mut self.acceptor).await.unwrap_or_default();
        Stopped { cut }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

#[derive(Clone)]
struct Shared {
    service: Arc<Service>,
    stopped: watch::Receiver<Option<Deadline>>,
    run: Run,
}

impl Shared {
    /// Until when to go on, once the server stops.
    async fn stopped(&mut self) -> Deadline {
        match self.stopped.wait_for(Option::is_some).await {
            Ok(deadline) => deadline.unwrap_or_else(|| Deadline::after_millis(0)),
            Err(_) => Deadline::after_millis(0),
        }
    }
}

/// Accepts until the server stops.
async fn accept(socket: &UnixListener, shared: &Shared, connections: &mut JoinSet<()>) -> Deadline {
    enum Happened {
        Stopped(Deadline),
        Accepted(io::Result<UnixStream>),
    }
    let mut backoff = Backoff::new();
    let mut ending = shared.clone();
    loop {
        let happened = {
            let mut stopped = pin!(ending.stopped());
            poll_fn(|cx| {
                if let Poll::Ready(deadline) = stopped.as_mut().poll(cx) {
                    return Poll::Ready(Happened::Stopped(deadline));
                }
                // Those that have ended are forgotten.
                while let Poll::Ready(Some(_)) = connections.poll_join_next(cx) {}
                let accepted = ready!(socket.poll_accept(cx));
                Poll::Ready(Happened::Accepted(accepted.map(|(stream, _)| stream)))
            })
            .await
        };
        let error = match happened {
            Happened::Stopped(deadline) => return deadline,
            Happened::Accepted(Ok(stream)) => {
                backoff = Backoff::new();
                if let Some((peer, seat)) = shared.service.admit(&stream) {
                    shared.service.tell(&ServerEvent::Accepted { peer });
                    let connection = Connection::new(stream, peer, seat, shared.clone());
                    connections.spawn(connection.serve());
                }
                continue;
            }
            Happened::Accepted(Err(error)) if is_passing(&error) => continue,
            Happened::Accepted(Err(error)) => error,
        };
        let service = &shared.service;
        service.tell(&ServerEvent::AcceptFailed { error: &error });
        // The connection that cannot be accepted stays in the queue: to ask again at once would be to spin.
        if let Ok(deadline) = timeout(backoff.next(), ending.stopped()).await {
            return deadline;
        }
    }
}

/// A connection that was let in.
struct Connection {
    stream: UnixStream,
    intake: Intake,
    /// When the frame that has begun, or the first one, must be whole.
    whole_by: Option<Deadline>,
    /// When the next request must have begun to come, while nothing is under way.
    idle_by: Deadline,
    /// Whether the client may still ask.
    reading: bool,
    output: Output,
    jobs: JoinSet<Vec<u8>>,
    waiting: VecDeque<Job>,
    stopping: bool,
    shared: Shared,
    end: End,
}

/// Tells of the end, however it comes.
struct End {
    service: Arc<Service>,
    peer: Peer,
    reason: Option<Close>,
    _seat: Seat,
}

impl Drop for End {
    fn drop(&mut self) {
        // Dropped in the middle: the server is cut.
        let reason = &self.reason.take().unwrap_or(Close::Stopping);
        let peer = self.peer;
        self.service.tell(&ServerEvent::Closed { peer, reason });
    }
}

/// Answers that are not out yet.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    sent: usize,
    by: Option<Deadline>,
}

enum Happened {
    Answered(Vec<u8>),
    Readable,
    Writable,
    Time,
    Stopping,
}

impl Connection {
    fn new(stream: UnixStream, peer: Peer, seat: Seat, shared: Shared) -> Self {
        let service = Arc::clone(&shared.service);
        let options = &service.options;
        Self {
            stream,
            intake: Intake::new(options.version_1),
            whole_by: Some(Deadline::after(options.frame)),
            idle_by: Deadline::after(options.idle),
            reading: true,
            output: Output::default(),
            jobs: JoinSet::new(),
            waiting: VecDeque::new(),
            stopping: false,
            shared,
            end: End {
                service,
                peer,
                reason: None,
                _seat: seat,
            },
        }
    }

    async fn serve(mut self) {
        let reason = self.run().await.err();
        self.end.reason = Some(reason.unwrap_or(Close::ByClient));
    }

    /// Whether requests are taken: not before the answers before them are, nor, in version 1, where answers
    /// have no number, before there is one.
    fn is_open(&self) -> bool {
        let alone = self.intake.version() != Some(1) || self.jobs.is_empty();
        self.output.is_empty() && alone
    }

    fn is_busy(&self) -> bool {
        !self.jobs.is_empty() || !self.waiting.is_empty() || !self.output.is_empty()
    }

    /// `Ok` once the client has said that it asks nothing more, and has its answers.
    async fn run(&mut self) -> Result<(), Close> {
        loop {
            self.flush()?;
            while self.is_open() && self.step()? {}
            self.flush()?;
            if self.is_open() && !self.reading && !self.is_busy() {
                return if self.stopping {
                    Err(Close::Stopping)
                } else {
                    Ok(())
                };
            }
            let deadline = self.deadline()?;
            match self.happens(deadline).await? {
                Happened::Answered(frame) => {
                    self.output.add(&frame, &self.shared.service);
                    self.next_job();
                    self.idle_by = Deadline::after(self.shared.service.options.idle);
                }
                Happened::Readable => self.read()?,
                // Each is looked at above.
                Happened::Writable | Happened::Time => {}
                Happened::Stopping => self.stopping = true,
            }
        }
    }

    /// Does what the next frame says, if it is there.
    fn step(&mut self) -> Result<bool, Close> {
        let service = Arc::clone(&self.shared.service);
        let peer = self.end.peer;
        match self.intake.step() {
            Step::Read => return Ok(false),
            Step::Lost(error) => return Err(Close::Frame(error)),
            Step::Send(frame) => self.output.add(&frame, &service),
            Step::Refused(refusal) => {
                let reason = refusal.reason();
                service.tell(&ServerEvent::Refused { peer, reason });
                self.output.add(refusal.reply(), &service);
                if refusal.ends() {
                    // Whether it takes the reason or not.
                    let _ = self.flush();
                    return Err(Close::Refused);
                }
            }
            Step::Call {
                request,
                timeout,
                reply_to,
            } => {
                let version = self.intake.version().unwrap_or(1);
                match service.judge(peer, version, request, timeout, reply_to, self.stopping) {
                    Verdict::Answer(frame) => self.output.add(&frame, &service),
                    Verdict::Run(job) => {
                        let pending = self.waiting.len().saturating_add(self.jobs.len());
                        if pending >= HOSTD_PENDING_MAX {
                            let reason = Unanswered::TooMany;
                            let frame = service.unanswered(peer, job.reply_to, reason);
                            self.output.add(&frame, &service);
                        } else {
                            self.waiting.push_back(job);
                            self.next_job();
                        }
                    }
                }
            }
        }
        self.whole_by = None;
        self.idle_by = Deadline::after(service.options.idle);
        self.flush()?;
        Ok(true)
    }

    fn next_job(&mut self) {
        if self.jobs.len() < self.shared.service.options.calls
            && let Some(job) = self.waiting.pop_front()
        {
            let service = Arc::clone(&self.shared.service);
            let run = Arc::clone(&self.shared.run);
            self.jobs.spawn(handled(service, run, job));
        }
    }

    /// The time that is over first, or why it is.
    fn deadline(&mut self) -> Result<Deadline, Close> {
        let frame = self.shared.service.options.frame;
        let mut next = None;
        let mut consider = |by: Deadline, close: Close| {
            if by.remaining().is_none() {
                return Err(close);
            }
            next = Some(next.map_or(by, |other: Deadline| other.or_earlier(by)));
            Ok(())
        };
        if let Some(by) = self.output.by {
            consider(by, Close::NotReading)?;
        }
        if self.reading && self.output.bytes.is_empty() {
            if self.whole_by.is_none() && self.intake.torn().is_some() {
                self.whole_by = Some(Deadline::after(frame));
            }
            match self.whole_by {
                Some(by) if self.jobs.is_empty() || self.intake.version() != Some(1) => {
                    consider(by, Close::Slow)?;
                }
                None if self.jobs.is_empty() => consider(self.idle_by, Close::Idle)?,
                _ => {}
            }
        }
        Ok(next.unwrap_or_else(|| Deadline::after(self.shared.service.options.idle)))
    }

    async fn happens(&mut self, deadline: Deadline) -> Result<Happened, Close> {
        let writing = !self.output.is_empty();
        let reading = self.reading && self.is_open();
        let stopping = self.stopping;
        let Self {
            stream,
            jobs,
            shared,
            ..
        } = self;
        let mut time = pin!(sleep(deadline.remaining().unwrap_or_default()));
        let mut stopped = pin!(shared.stopped());
        poll_fn(|cx| {
            if let Poll::Ready(Some(joined)) = jobs.poll_join_next(cx) {
                // Panics are caught within; nobody aborts one.
                return Poll::Ready(Ok(Happened::Answered(joined.unwrap_or_default())));
            }
            if writing && let Poll::Ready(result) = stream.poll_write_ready(cx) {
                return Poll::Ready(result.map(|()| Happened::Writable).map_err(Close::Io));
            }
            if !stopping && stopped.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(Happened::Stopping));
            }
            // While it is stopping, what has arrived is read, and nothing is waited for.
            if reading && (stopping || stream.poll_read_ready(cx).is_ready()) {
                return Poll::Ready(Ok(Happened::Readable));
            }
            time.as_mut().poll(cx).map(|()| Ok(Happened::Time))
        })
        .await
    }

    fn read(&mut self) -> Result<(), Close> {
        let torn = self.intake.torn();
        let space = self.intake.space();
        let result = if self.stopping {
            // What the reactor has not heard of yet has arrived all the same.
            rustix::io::read(&self.stream, space).map_err(io::Error::from)
        } else {
            self.stream.try_read(space)
        };
        match result {
            Ok(0) => {
                self.reading = false;
                match torn {
                    Some(error) if !self.stopping => Err(Close::Frame(error)),
                    _ => Ok(()),
                }
            }
            Ok(n) => {
                self.intake.advance(n);
                Ok(())
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock if self.stopping => {
                    self.reading = false;
                    Ok(())
                }
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(()),
                ErrorKind::ConnectionReset => Err(Close::ByClient),
                _ => Err(Close::Io(error)),
            },
        }
    }

    /// Writes as much as there is room for.
    fn flush(&mut self) -> Result<(), Close> {
        while !self.output.is_empty() {
            let rest = self.output.rest();
            let stream = &self.stream;
            match stream.try_io(Interest::WRITABLE, || system::send(stream, rest)) {
                Ok(n) => self.output.sent(n),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => return Ok(()),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                        return Err(Close::ByClient);
                    }
                    _ => return Err(Close::Io(error)),
                },
            }
        }
        Ok(())
    }
}

impl Output {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    fn add(&mut self, frame: &[u8], service: &Service) {
        if self.is_empty() {
            self.by = Some(Deadline::after(service.options.frame));
        }
        self.bytes.extend_from_slice(frame);
    }

    fn sent(&mut self, n: usize) {
        self.sent = self.sent.saturating_add(n);
        if self.rest().is_empty() {
            *self = Self::default();
        }
    }
}

/// Runs the handler, unless it is too late for that, and makes the frame of its answer.
async fn handled(service: Arc<Service>, run: Run, job: Job) -> Vec<u8> {
    let Job {
        request,
        call,
        reply_to,
    } = job;
    if call.deadline().remaining().is_none() {
        return service.unanswered(call.peer(), reply_to, Unanswered::Expired);
    }
    let handled = Caught(Box::pin(async move { run(request, call).await }));
    match handled.await {
        Some(response) => answer(reply_to, response),
        None => service.unanswered(call.peer(), reply_to, Unanswered::Panicked),
    }
}

/// `None` where it panicked.
struct Caught(Handled);

impl Future for Caught {
    type Output = Option<HostdResponse>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    }
}
