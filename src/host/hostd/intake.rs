//! What arrives on a connection of a server, without input and output.

use alloc::vec::Vec;
use core::time::Duration;

use crate::fleet::protocol::{Frames, HostdRequest, Incoming, Refusal, ReplyTo, ServerSession};
use crate::wire::frame::FrameError;

/// The frames of a connection and its version.
#[derive(Debug)]
pub(super) struct Intake {
    frames: Frames,
    session: ServerSession,
}

/// What to do next.
#[derive(Debug)]
// It is looked at at once, and not kept.
#[allow(clippy::large_enum_variant)]
pub(super) enum Step {
    /// Read.
    Read,
    /// Send this frame.
    Send(Vec<u8>),
    /// Do this.
    Call {
        request: HostdRequest,
        timeout: Option<Duration>,
        reply_to: ReplyTo,
    },
    /// Send what the refusal says, and close if it says so.
    Refused(Refusal),
    /// Close.
    Lost(FrameError),
}

impl Intake {
    pub(super) const fn new(version_1: bool) -> Self {
        let session = if version_1 {
            ServerSession::new()
        } else {
            ServerSession::without_version_1()
        };
        Self {
            frames: Frames::new(),
            session,
        }
    }

    /// To be called until it says [`Step::Read`].
    pub(super) fn step(&mut self) -> Step {
        let body = match self.frames.next_body() {
            Ok(Some(body)) => body,
            Ok(None) => return Step::Read,
            Err(error) => return Step::Lost(error),
        };
        match self.session.receive(body) {
            Ok(Incoming::Hello { reply }) => Step::Send(reply),
            Ok(Incoming::Request {
                request,
                timeout,
                reply_to,
            }) => Step::Call {
                request,
                timeout,
                reply_to,
            },
            Err(refusal) => Step::Refused(refusal),
        }
    }

    /// The version, once it is known.
    pub(super) const fn version(&self) -> Option<u16> {
        self.session.version()
    }

    pub(super) fn space(&mut self) -> &mut [u8] {
        self.frames.space()
    }

    pub(super) fn advance(&mut self, n: usize) {
        self.frames.advance(n);
    }

    /// The error of a stream that ends here: inside a frame.
    pub(super) fn torn(&mut self) -> Option<FrameError> {
        self.frames.finish().err()
    }
}
