//! The blocking client.

use core::time::Duration;
use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::io::Errno;

use super::client_error::{ClientError, ClientFault, ClientStep};
use super::limits::ClientOptions;
use super::line::Line;
use super::listener::try_connect;
use super::peer::Peer;
use super::{system, wait};
use crate::fleet::protocol::{ClientHandshake, Frames, HostdRequest, HostdResponse, Opened};
use crate::host::channel::Deadline;
use crate::limits::HOSTD_PENDING_MAX;

/// How long to wait before asking again whether a server has room in its queue.
pub(super) const QUEUE_PAUSE: Duration = Duration::from_millis(2);

/// How often late answers are read before a call. More than can be under way come from a server that is not
/// worth listening to.
pub(super) const LATE_READS: usize = HOSTD_PENDING_MAX;

/// The pauses between attempts of [`Client::call_repeatable`]: the first, and the longest.
pub(super) const REPEAT_PAUSES: [Duration; 2] =
    [Duration::from_millis(20), Duration::from_millis(500)];

/// A connection to hostd, for one request at a time.
///
/// Every call has one deadline for all that it does: connecting anew, writing, waiting. After a call that
/// was not answered in time the client goes on: in version 2 the late answer is known by its number and
/// dropped, in version 1 the connection is given up with the call. An answer is never taken for another's.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    options: ClientOptions,
    link: Option<Link>,
}

#[derive(Debug)]
struct Link {
    stream: UnixStream,
    server: Option<Peer>,
    line: Line,
}

/// What went wrong, and whether the whole request was out by then.
pub(super) type Failed = (ClientFault, bool);

impl Client {
    /// Connects, looks who the server is, and agrees with it on a version. A server that speaks version 1 only
    /// is connected to a second time for that.
    ///
    /// # Errors
    /// [`ClientError`], with [`ClientFault::WrongServer`] before anything is sent.
    pub fn connect(
        path: impl Into<PathBuf>,
        options: ClientOptions,
        deadline: Deadline,
    ) -> Result<Self, ClientError> {
        let mut this = Self {
            path: path.into(),
            options,
            link: None,
        };
        match open(&this.path, &this.options, deadline) {
            Ok(link) => this.link = Some(link),
            Err(fault) => return Err(this.error((fault, false))),
        }
        Ok(this)
    }

    /// The version of the connection, while there is one.
    #[must_use]
    pub fn version(&self) -> Option<u16> {
        self.link.as_ref().map(|link| link.line.version())
    }

    /// Who the server is, while there is a connection and unless it was
    /// [not asked](ClientOptions::with_any_server).
    #[must_use]
    pub fn server(&self) -> Option<Peer> {
        self.link.as_ref().and_then(|link| link.server)
    }

    /// Asks, and waits for the answer. An answer that says that hostd failed is one:
    /// [`HostdResponse::Error`].
    ///
    /// The request goes out once. A connection that has ended since the last call is made anew first, unless
    /// the options say otherwise.
    ///
    /// # Errors
    /// [`ClientError`]; it says whether the request [may have been begun](ClientError::may_have_begun).
    pub fn call(
        &mut self,
        request: HostdRequest,
        deadline: Deadline,
    ) -> Result<HostdResponse, ClientError> {
        let fresh = self.ready(deadline).map_err(|failed| self.error(failed))?;
        match self.exchange(request.clone(), deadline) {
            // It was closed while nothing was under way, and that shows only now.
            Err((fault, false)) if !fresh && self.options.reconnect && is_closed(&fault) => self
                .ready(deadline)
                .and_then(|_| self.exchange(request, deadline))
                .map_err(|failed| self.error(failed)),
            result => result.map_err(|failed| self.error(failed)),
        }
    }

    /// Asks as often as it takes, until the deadline, while hostd is [gone](ClientError::is_gone): for requests
    /// that may be done twice, and for programs that outlive a restart of hostd.
    ///
    /// # Errors
    /// Those of [`call`](Self::call), the last one where the time is over; where hostd
    /// has got the request in any attempt, [`may_have_begun`](ClientError::may_have_begun) is set.
    pub fn call_repeatable(
        &mut self,
        request: HostdRequest,
        deadline: Deadline,
    ) -> Result<HostdResponse, ClientError> {
        let [mut pause, longest] = REPEAT_PAUSES;
        let mut begun = false;
        loop {
            let mut error = match self.call(request.clone(), deadline) {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            begun |= error.may_have_begun;
            error.may_have_begun = begun;
            match deadline.remaining() {
                Some(left) if left > pause && self.options.reconnect && error.is_gone() => {
                    thread::sleep(pause);
                }
                _ => return Err(error),
            }
            pause = pause.saturating_mul(2).min(longest);
        }
    }

    /// Asks whether hostd is there. It answers without its handler.
    ///
    /// # Errors
    /// Those of [`call_repeatable`](Self::call_repeatable).
    pub fn ping(&mut self, deadline: Deadline) -> Result<HostdResponse, ClientError> {
        self.call_repeatable(HostdRequest::Ping, deadline)
    }

    fn error(&self, (fault, may_have_begun): Failed) -> ClientError {
        ClientError {
            path: self.path.clone(),
            may_have_begun,
            fault,
        }
    }

    /// Sees to it that there is a connection. `true` if it is a new one.
    fn ready(&mut self, deadline: Deadline) -> Result<bool, Failed> {
        if let Some(link) = &mut self.link
            && link.line.is_usable()
            && !link.has_ended()
        {
            return Ok(false);
        }
        self.link = None;
        if !self.options.reconnect {
            return Err((ClientFault::Ended, false));
        }
        let link = open(&self.path, &self.options, deadline).map_err(|fault| (fault, false))?;
        self.link = Some(link);
        Ok(true)
    }

    fn exchange(
        &mut self,
        request: HostdRequest,
        deadline: Deadline,
    ) -> Result<HostdResponse, Failed> {
        let Some(link) = &mut self.link else {
            return Err((ClientFault::Ended, false));
        };
        let result = link.exchange(request, deadline);
        if let Err((fault, _)) = &result
            && !matches!(fault, ClientFault::Expired { .. } | ClientFault::Request(_))
        {
            self.link = None;
        }
        result
    }
}

pub(super) fn is_closed(fault: &ClientFault) -> bool {
    matches!(fault, ClientFault::Closed { .. })
}

impl Link {
    /// Whether the server has closed it since. Late answers that have come are taken in.
    fn has_ended(&mut self) -> bool {
        for _ in 0..LATE_READS {
            match (&self.stream).read(self.line.space()) {
                Ok(0) => return true,
                Ok(n) => self.line.received(n),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    kind => return kind != ErrorKind::WouldBlock,
                },
            }
            if self.line.take().is_err() {
                return true;
            }
        }
        true
    }

    fn exchange(
        &mut self,
        request: HostdRequest,
        deadline: Deadline,
    ) -> Result<HostdResponse, Failed> {
        let Some(left) = deadline.remaining() else {
            let step = ClientStep::Sending;
            return Err((ClientFault::Expired { step }, false));
        };
        let begun = self.line.begin(request, Some(left));
        begun.map_err(|fault| (fault, false))?;
        while !self.line.unsent().is_empty() {
            let sent = send_some(
                &self.stream,
                self.line.unsent(),
                ClientStep::Sending,
                deadline,
            );
            self.line.sent(sent.map_err(|fault| (fault, false))?);
        }
        let step = ClientStep::Waiting;
        loop {
            match self.line.take() {
                Ok(Some(response)) => return Ok(response),
                Ok(None) => {}
                Err(fault) => return Err((fault, true)),
            }
            // Late answers that never cease gain no time.
            if deadline.remaining().is_none() {
                return Err((ClientFault::Expired { step }, true));
            }
            let n = read_some(&self.stream, self.line.space(), step, deadline);
            match n.map_err(|fault| (fault, true))? {
                0 => return Err((ClientFault::Closed { step }, true)),
                n => self.line.received(n),
            }
        }
    }
}

/// A connection in the version that both speak.
fn open(path: &Path, options: &ClientOptions, deadline: Deadline) -> Result<Link, ClientFault> {
    let (stream, server) = dial(path, options, deadline)?;
    let handshake = if options.version_1 {
        ClientHandshake::new()
    } else {
        ClientHandshake::without_version_1()
    };
    let mut frames = Frames::new();
    match hello(&stream, &mut frames, handshake, deadline)? {
        Opened::Ready(session) => Ok(Link {
            stream,
            server,
            line: Line::new(session, frames),
        }),
        Opened::Reconnect(session) => {
            drop(stream);
            let (stream, server) = dial(path, options, deadline)?;
            Ok(Link {
                stream,
                server,
                line: Line::new(session, Frames::new()),
            })
        }
    }
}

fn hello(
    stream: &UnixStream,
    frames: &mut Frames,
    handshake: ClientHandshake,
    deadline: Deadline,
) -> Result<Opened, ClientFault> {
    let step = ClientStep::Hello;
    let frame = hello_frame(&handshake)?;
    let mut rest = &*frame;
    while !rest.is_empty() {
        match send_some(stream, rest, step, deadline) {
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(ClientFault::Closed { .. }) => return Ok(handshake.closed()?),
            Err(fault) => return Err(fault),
        }
    }
    loop {
        if let Some(body) = frames.next_body()? {
            return Ok(handshake.answer(body)?);
        }
        match read_some(stream, frames.space(), step, deadline) {
            Ok(0) | Err(ClientFault::Closed { .. }) => return Ok(handshake.closed()?),
            Ok(n) => frames.advance(n),
            Err(fault) => return Err(fault),
        }
    }
}

pub(super) fn hello_frame(handshake: &ClientHandshake) -> Result<alloc::vec::Vec<u8>, ClientFault> {
    use crate::fleet::protocol::RequestError;
    handshake
        .hello()
        .map_err(|error| ClientFault::Request(RequestError::Encode(error)))
}

/// Connects, and looks who is there before anything is sent.
fn dial(
    path: &Path,
    options: &ClientOptions,
    deadline: Deadline,
) -> Result<(UnixStream, Option<Peer>), ClientFault> {
    let step = ClientStep::Connecting;
    loop {
        match try_connect(path) {
            Ok(stream) => {
                let server = check_server(&stream, options)?;
                return Ok((stream, server));
            }
            Err(Errno::AGAIN) => {}
            Err(error) => {
                let source = error.into();
                return Err(ClientFault::Io { step, source });
            }
        }
        let left = deadline.remaining().ok_or(ClientFault::Expired { step })?;
        thread::sleep(left.min(QUEUE_PAUSE));
    }
}

/// Who the server is, if it is one of those that are expected.
pub(super) fn check_server(
    stream: impl std::os::fd::AsFd,
    options: &ClientOptions,
) -> Result<Option<Peer>, ClientFault> {
    let Some(expected) = &options.server else {
        return Ok(None);
    };
    let step = ClientStep::Connecting;
    let server = Peer::of(stream).map_err(|source| ClientFault::Io { step, source })?;
    if expected.allows(&server) {
        return Ok(Some(server));
    }
    let expected = expected.clone();
    Err(ClientFault::WrongServer { server, expected })
}

fn send_some(
    stream: &UnixStream,
    bytes: &[u8],
    step: ClientStep,
    deadline: Deadline,
) -> Result<usize, ClientFault> {
    let ready = |deadline| wait::writable(stream, deadline);
    some(step, deadline, ready, || system::send(stream, bytes))
}

/// 0 at the end of the stream.
fn read_some(
    stream: &UnixStream,
    space: &mut [u8],
    step: ClientStep,
    deadline: Deadline,
) -> Result<usize, ClientFault> {
    let ready = |deadline| wait::readable(stream, deadline);
    some(step, deadline, ready, || {
        let mut stream = stream;
        stream.read(space)
    })
}

/// Tries, and waits in between, until something was done or the deadline has passed.
fn some(
    step: ClientStep,
    deadline: Deadline,
    ready: impl Fn(Deadline) -> io::Result<bool>,
    mut attempt: impl FnMut() -> io::Result<usize>,
) -> Result<usize, ClientFault> {
    loop {
        match attempt() {
            Ok(n) => return Ok(n),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock => {
                    if !ready(deadline).map_err(|error| ClientFault::io(step, error))? {
                        return Err(ClientFault::Expired { step });
                    }
                }
                _ => return Err(ClientFault::io(step, error)),
            },
        }
    }
}
