//! A stream of tokio's, what has arrived on it, and the deadline of each call.

use ::core::future::Future;
use ::core::time::Duration;
use std::io::{self, ErrorKind};

use ::tokio::io::{AsyncReadExt, AsyncWriteExt};
use ::tokio::time::{Instant, timeout_at};

use super::Stream;
use crate::host::channel::connection::Arrival;
use crate::host::channel::input::Input;
use crate::host::channel::{ChannelError, Deadline, Doing};
use crate::wire::connect::ConnectLine;
use crate::wire::frame::FrameError;

/// So much time from now, by the clock of the runtime: that is the one the timers go by.
pub(super) fn later(total: Duration) -> Deadline {
    let now = Instant::now();
    let end = now.checked_add(total).unwrap_or(now);
    Deadline::at(end.into_std())
}

/// Whether there is time left, by the clock of the runtime.
pub(super) fn is_over(deadline: Deadline) -> bool {
    Instant::now() >= Instant::from_std(deadline.instant())
}

/// `None` where the deadline passed first.
async fn until<T>(deadline: Deadline, work: impl Future<Output = T>) -> Option<T> {
    timeout_at(Instant::from_std(deadline.instant()), work)
        .await
        .ok()
}

/// A stream on which no handshake has been made, and what has arrived on it so far. As the blocking
/// [`Connection`](crate::channel::Connection), with the same bounds.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    input: Input,
}

impl<S: Stream> Connection<S> {
    /// A stream that leads straight to the peer.
    #[must_use]
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            input: Input::new(),
        }
    }

    /// A stream to a VMM's vsock socket: asks for the guest's `port` and reads the answer, and loses not a
    /// byte of what the guest sends behind it. A future that is dropped drops the stream.
    ///
    /// # Errors
    /// [`ChannelError::NobodyListens`], [`ChannelError::Connect`], [`ChannelError::Hangup`],
    /// [`ChannelError::Expired`], [`ChannelError::Io`].
    pub async fn through_vsock(
        stream: S,
        port: u32,
        deadline: Deadline,
    ) -> Result<Self, ChannelError> {
        let mut this = Self::new(stream);
        let doing = Doing::Connecting;
        let mut line = [0; ConnectLine::MAX_LEN];
        let line = ConnectLine { port }.encode(&mut line);
        this.write(line, deadline, doing).await?;
        while !this.input.take_ok_line()? {
            match this.read(deadline, doing).await? {
                Some(0) => return Err(this.input.no_ok_line(port)),
                Some(_) => {}
                None => return Err(ChannelError::Expired { doing }),
            }
        }
        Ok(this)
    }

    /// The stream.
    pub const fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream. What has arrived and has not been taken is lost.
    pub fn into_stream(self) -> S {
        self.stream
    }

    /// Waits for a whole frame. May be dropped at any time: what has arrived is kept.
    pub(super) async fn wait(
        &mut self,
        deadline: Deadline,
        doing: Doing,
    ) -> Result<Arrival, ChannelError> {
        self.input.wipe_taken();
        while !self.input.has_frame()? {
            match self.read(deadline, doing).await? {
                Some(0) => return Ok(Arrival::End),
                Some(_) => {}
                None => return Ok(Arrival::NotYet),
            }
        }
        Ok(Arrival::Frame)
    }

    /// The number of bytes read, 0 at the end of the stream, or `None` when the deadline passed.
    async fn read(
        &mut self,
        deadline: Deadline,
        doing: Doing,
    ) -> Result<Option<usize>, ChannelError> {
        // A timer alone would let through a stream that always has another byte.
        while !is_over(deadline) {
            match until(deadline, self.stream.read(self.input.space())).await {
                None => return Ok(None),
                Some(Ok(count)) => {
                    self.input.advance(count);
                    return Ok(Some(count));
                }
                // The peer closed without reading all that it was sent: an end like any other.
                Some(Err(error)) if error.kind() == ErrorKind::ConnectionReset => {
                    return Ok(Some(0));
                }
                Some(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Some(Err(error)) => return Err(ChannelError::Io { doing, error }),
            }
        }
        Ok(None)
    }

    /// The frame for which [`wait`](Self::wait) has waited; empty if it has not.
    pub(super) fn body(&mut self) -> Result<&[u8], FrameError> {
        self.input.take()
    }

    /// As [`wait`](Self::wait) and [`body`](Self::body) for a message of the handshake.
    pub(super) async fn handshake_body(
        &mut self,
        deadline: Deadline,
    ) -> Result<&[u8], ChannelError> {
        let doing = Doing::Handshake;
        match self.wait(deadline, doing).await? {
            Arrival::Frame => Ok(self.input.take()?),
            Arrival::End => Err(ChannelError::Hangup { doing }),
            Arrival::NotYet => Err(ChannelError::Expired { doing }),
        }
    }

    /// Writes all of `bytes`. Where it fails or is dropped, an unknown part of them is out, and the stream
    /// is lost.
    pub(super) async fn write(
        &mut self,
        bytes: &[u8],
        deadline: Deadline,
        doing: Doing,
    ) -> Result<(), ChannelError> {
        let work = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let result = match is_over(deadline) {
            false => until(deadline, work).await,
            true => None,
        };
        match result {
            None => Err(ChannelError::Expired { doing }),
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(ChannelError::of_write(doing, error)),
        }
    }

    /// Tells the peer that nothing more will be written, as far as it listens.
    pub(super) async fn shutdown(&mut self, deadline: Deadline) {
        let _: Option<io::Result<()>> = until(deadline, self.stream.shutdown()).await;
    }

    /// The peer has proved who it is: whole frames from now on.
    pub(super) fn grow(&mut self) {
        self.input.grow();
    }
}
