//! A stream, what has arrived on it, and the deadline of each call.

use core::time::Duration;
use std::io::{self, ErrorKind};

use super::deadline::Deadline;
use super::error::{ChannelError, Doing};
use super::input::Input;
use super::stream::DeadlineStream;
use crate::wire::connect::ConnectLine;
use crate::wire::frame::FrameError;

/// How long to wait before asking a stream again that is in non-blocking mode.
const NONBLOCKING_PAUSE: Duration = Duration::from_millis(1);

/// A stream on which no handshake has been made, and what has arrived on it so far.
///
/// It holds [`HANDSHAKE_BODY_MAX`](crate::limits::HANDSHAKE_BODY_MAX) bytes and a frame's header; room for a whole frame is made only
/// once the peer has proved who it is. What was received and sent is wiped.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    input: Input,
}

/// What came of waiting for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A whole frame is there.
    Frame,
    /// The stream has ended, between frames or inside one.
    End,
    /// The deadline passed; what has arrived is kept.
    NotYet,
}

impl<S: DeadlineStream> Connection<S> {
    /// A stream that leads straight to the peer.
    #[must_use]
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            input: Input::new(),
        }
    }

    /// A stream to a VMM's vsock socket: asks for the guest's `port` and reads the answer, and not
    /// a byte more than that of what the guest sends.
    ///
    /// # Errors
    /// [`ChannelError::NobodyListens`], [`ChannelError::Connect`], [`ChannelError::Expired`],
    /// [`ChannelError::Io`].
    pub fn through_vsock(stream: S, port: u32, deadline: Deadline) -> Result<Self, ChannelError> {
        let mut this = Self::new(stream);
        let mut line = [0; ConnectLine::MAX_LEN];
        let line = ConnectLine { port }.encode(&mut line);
        write_all(&mut this.stream, line, deadline, Doing::Connecting)?;
        while !this.input.take_ok_line()? {
            let doing = Doing::Connecting;
            match this.read(deadline, doing)? {
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

    /// Waits for a whole frame.
    pub(super) fn wait(
        &mut self,
        deadline: Deadline,
        doing: Doing,
    ) -> Result<Arrival, ChannelError> {
        self.input.wipe_taken();
        while !self.input.has_frame()? {
            match self.read(deadline, doing)? {
                Some(0) => return Ok(Arrival::End),
                Some(_) => {}
                None => return Ok(Arrival::NotYet),
            }
        }
        Ok(Arrival::Frame)
    }

    /// The number of bytes read, 0 at the end of the stream, or `None` when the deadline passed.
    fn read(&mut self, deadline: Deadline, doing: Doing) -> Result<Option<usize>, ChannelError> {
        while let Some(left) = deadline.remaining() {
            tolerate_disconnected(self.stream.set_read_timeout(left), doing)?;
            match self.stream.read(self.input.space()) {
                Ok(count) => {
                    self.input.advance(count);
                    return Ok(Some(count));
                }
                // The peer closed without reading all that it was sent: an end like any other.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(Some(0)),
                Err(error) => pause_or_fail(error, deadline)
                    .map_err(|error| ChannelError::Io { doing, error })?,
            }
        }
        Ok(None)
    }

    /// The frame for which [`wait`](Self::wait) has waited; empty if it has not.
    pub(super) fn body(&mut self) -> Result<&[u8], FrameError> {
        self.input.take()
    }

    /// As [`wait`](Self::wait) and [`body`](Self::body) for a message of the handshake. The stream
    /// comes too, because the answer is made while the message is still needed.
    pub(super) fn handshake_body(
        &mut self,
        deadline: Deadline,
    ) -> Result<(&[u8], &mut S), ChannelError> {
        let doing = Doing::Handshake;
        match self.wait(deadline, doing)? {
            Arrival::Frame => Ok((self.input.take()?, &mut self.stream)),
            Arrival::End => Err(ChannelError::Hangup { doing }),
            Arrival::NotYet => Err(ChannelError::Expired { doing }),
        }
    }

    /// Writes all of `bytes`.
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        deadline: Deadline,
        doing: Doing,
    ) -> Result<(), ChannelError> {
        write_all(&mut self.stream, bytes, deadline, doing)
    }

    /// The peer has proved who it is: whole frames from now on.
    pub(super) fn grow(&mut self) {
        self.input.grow();
    }
}

/// Writes all of `bytes`. Where it fails, an unknown part of them is out, and the stream is lost.
pub(super) fn write_all<S: DeadlineStream>(
    stream: &mut S,
    mut bytes: &[u8],
    deadline: Deadline,
    doing: Doing,
) -> Result<(), ChannelError> {
    while !bytes.is_empty() {
        let left = deadline
            .remaining()
            .ok_or(ChannelError::Expired { doing })?;
        tolerate_disconnected(stream.set_write_timeout(left), doing)?;
        match stream.write(bytes) {
            Ok(0) => {
                let error = ErrorKind::WriteZero.into();
                return Err(ChannelError::Io { doing, error });
            }
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(error) => pause_or_fail(error, deadline)
                .map_err(|error| ChannelError::of_write(doing, error))?,
        }
    }
    Ok(())
}

/// macOS refuses to set a timeout on a socket whose peer has gone, on which nothing blocks anyway.
fn tolerate_disconnected(result: io::Result<()>, doing: Doing) -> Result<(), ChannelError> {
    match result {
        Err(error) if error.kind() != ErrorKind::InvalidInput => {
            Err(ChannelError::Io { doing, error })
        }
        _ => Ok(()),
    }
}

/// Errors that only mean "again", and nothing where the deadline has passed.
fn pause_or_fail(error: io::Error, deadline: Deadline) -> io::Result<()> {
    match error.kind() {
        ErrorKind::Interrupted => Ok(()),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            if let Some(left) = deadline.remaining() {
                std::thread::sleep(left.min(NONBLOCKING_PAUSE));
            }
            Ok(())
        }
        _ => Err(error),
    }
}
