//! The client.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use crate::fleet::protocol::{ClientHandshake, Frames, HostdRequest, HostdResponse, Opened};
use crate::host::channel::Deadline;
use crate::host::hostd::client::{
    Failed, LATE_READS, QUEUE_PAUSE, REPEAT_PAUSES, check_server, hello_frame, is_closed,
};
use crate::host::hostd::client_error::{ClientError, ClientFault, ClientStep};
use crate::host::hostd::limits::ClientOptions;
use crate::host::hostd::line::Line;
use crate::host::hostd::listener::try_connect;
use crate::host::hostd::peer::Peer;
use crate::host::hostd::system;

/// A connection to hostd, for one request at a time, as the blocking
/// [`Client`](crate::protocol::Client) is.
///
/// The future of a call may be dropped at any moment. The request is given up then, as if its deadline had
/// passed: it may have been begun, and the next call gets its own answer all the same.
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

impl Client {
    /// Connects, looks who the server is, and agrees with it on a version. A server that speaks version 1 only
    /// is connected to a second time for that.
    ///
    /// # Errors
    /// [`ClientError`], with [`ClientFault::WrongServer`] before anything is sent.
    pub async fn connect(
        path: impl Into<PathBuf>,
        options: ClientOptions,
        deadline: Deadline,
    ) -> Result<Self, ClientError> {
        let mut this = Self {
            path: path.into(),
            options,
            link: None,
        };
        match open(&this.path, &this.options, deadline).await {
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
    pub async fn call(
        &mut self,
        request: HostdRequest,
        deadline: Deadline,
    ) -> Result<HostdResponse, ClientError> {
        match self.try_call(request, deadline).await {
            Ok(response) => Ok(response),
            Err(failed) => Err(self.error(failed)),
        }
    }

    async fn try_call(
        &mut self,
        request: HostdRequest,
        deadline: Deadline,
    ) -> Result<HostdResponse, Failed> {
        let fresh = self.ready(deadline).await?;
        match self.exchange(request.clone(), deadline).await {
            // It was closed while nothing was under way, and that shows only now.
            Err((fault, false)) if !fresh && self.options.reconnect && is_closed(&fault) => {
                self.ready(deadline).await?;
                self.exchange(request, deadline).await
            }
            result => result,
        }
    }

    /// Asks as often as it takes, until the deadline, while hostd is [gone](ClientError::is_gone): for requests
    /// that may be done twice, and for programs that outlive a restart of hostd.
    ///
    /// # Errors
    /// Those of [`call`](Self::call), the last one where the time is over; where hostd has got the request in
    /// any attempt, [`may_have_begun`](ClientError::may_have_begun) is set.
    pub async fn call_repeatable(
        &mut self,
        request: HostdRequest,
        deadline: Deadline,
    ) -> Result<HostdResponse, ClientError> {
        let [mut pause, longest] = REPEAT_PAUSES;
        let mut begun = false;
        loop {
            let mut error = match self.call(request.clone(), deadline).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            begun |= error.may_have_begun;
            error.may_have_begun = begun;
            match deadline.remaining() {
                Some(left) if left > pause && self.options.reconnect && error.is_gone() => {
                    sleep(pause).await;
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
    pub async fn ping(&mut self, deadline: Deadline) -> Result<HostdResponse, ClientError> {
        self.call_repeatable(HostdRequest::Ping, deadline).await
    }

    fn error(&self, (fault, may_have_begun): Failed) -> ClientError {
        ClientError {
            path: self.path.clone(),
            may_have_begun,
            fault,
        }
    }

    /// Sees to it that there is a connection. `true` if it is a new one.
    async fn ready(&mut self, deadline: Deadline) -> Result<bool, Failed> {
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
        let link = open(&self.path, &self.options, deadline).await;
        self.link = Some(link.map_err(|fault| (fault, false))?);
        Ok(true)
    }

    async fn exchange(
        &mut self,
        request: HostdRequest,
        deadline: Deadline,
    ) -> Result<HostdResponse, Failed> {
        let Some(link) = &mut self.link else {
            return Err((ClientFault::Ended, false));
        };
        let result = link.exchange(request, deadline).await;
        if let Err((fault, _)) = &result
            && !matches!(fault, ClientFault::Expired { .. } | ClientFault::Request(_))
        {
            self.link = None;
        }
        result
    }
}

impl Link {
    /// Whether the server has closed it since. Late answers that have come are taken in.
    fn has_ended(&mut self) -> bool {
        for _ in 0..LATE_READS {
            match self.stream.try_read(self.line.space()) {
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

    async fn exchange(
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
            let rest = self.line.unsent();
            let sent = send_some(&self.stream, rest, ClientStep::Sending, deadline).await;
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
            let n = read_some(&self.stream, self.line.space(), step, deadline).await;
            match n.map_err(|fault| (fault, true))? {
                0 => return Err((ClientFault::Closed { step }, true)),
                n => self.line.received(n),
            }
        }
    }
}

/// A connection in the version that both speak.
async fn open(
    path: &Path,
    options: &ClientOptions,
    deadline: Deadline,
) -> Result<Link, ClientFault> {
    let (stream, server) = dial(path, options, deadline).await?;
    let handshake = if options.version_1 {
        ClientHandshake::new()
    } else {
        ClientHandshake::without_version_1()
    };
    let mut frames = Frames::new();
    match hello(&stream, &mut frames, handshake, deadline).await? {
        Opened::Ready(session) => Ok(Link {
            stream,
            server,
            line: Line::new(session, frames),
        }),
        Opened::Reconnect(session) => {
            drop(stream);
            let (stream, server) = dial(path, options, deadline).await?;
            Ok(Link {
                stream,
                server,
                line: Line::new(session, Frames::new()),
            })
        }
    }
}

async fn hello(
    stream: &UnixStream,
    frames: &mut Frames,
    handshake: ClientHandshake,
    deadline: Deadline,
) -> Result<Opened, ClientFault> {
    let step = ClientStep::Hello;
    let frame = hello_frame(&handshake)?;
    let mut rest = &*frame;
    while !rest.is_empty() {
        match send_some(stream, rest, step, deadline).await {
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(ClientFault::Closed { .. }) => return Ok(handshake.closed()?),
            Err(fault) => return Err(fault),
        }
    }
    loop {
        if let Some(body) = frames.next_body()? {
            return Ok(handshake.answer(body)?);
        }
        match read_some(stream, frames.space(), step, deadline).await {
            Ok(0) | Err(ClientFault::Closed { .. }) => return Ok(handshake.closed()?),
            Ok(n) => frames.advance(n),
            Err(fault) => return Err(fault),
        }
    }
}

/// Connects, and looks who is there before anything is sent.
async fn dial(
    path: &Path,
    options: &ClientOptions,
    deadline: Deadline,
) -> Result<(UnixStream, Option<Peer>), ClientFault> {
    let step = ClientStep::Connecting;
    loop {
        let source = match try_connect(path) {
            Ok(stream) => {
                let server = check_server(&stream, options)?;
                let stream = UnixStream::from_std(stream);
                return Ok((
                    stream.map_err(|source| ClientFault::Io { step, source })?,
                    server,
                ));
            }
            Err(Errno::AGAIN) => {
                within(deadline, step, sleep(QUEUE_PAUSE)).await?;
                continue;
            }
            Err(error) => error.into(),
        };
        return Err(ClientFault::Io { step, source });
    }
}

async fn send_some(
    stream: &UnixStream,
    bytes: &[u8],
    step: ClientStep,
    deadline: Deadline,
) -> Result<usize, ClientFault> {
    loop {
        match stream.try_io(Interest::WRITABLE, || system::send(stream, bytes)) {
            Ok(n) => return Ok(n),
            Err(error) => again(error, step)?,
        }
        let ready = within(deadline, step, stream.writable()).await?;
        ready.map_err(|error| ClientFault::io(step, error))?;
    }
}

/// 0 at the end of the stream.
async fn read_some(
    stream: &UnixStream,
    space: &mut [u8],
    step: ClientStep,
    deadline: Deadline,
) -> Result<usize, ClientFault> {
    loop {
        match stream.try_read(space) {
            Ok(n) => return Ok(n),
            Err(error) => again(error, step)?,
        }
        let ready = within(deadline, step, stream.readable()).await?;
        ready.map_err(|error| ClientFault::io(step, error))?;
    }
}

fn again(error: io::Error, step: ClientStep) -> Result<(), ClientFault> {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(()),
        _ => Err(ClientFault::io(step, error)),
    }
}

async fn within<T>(
    deadline: Deadline,
    step: ClientStep,
    future: impl Future<Output = T>,
) -> Result<T, ClientFault> {
    let left = deadline.remaining().ok_or(ClientFault::Expired { step })?;
    timeout(left, future)
        .await
        .map_err(|_| ClientFault::Expired { step })
}
