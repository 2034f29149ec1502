//! What a channel does between its reads and writes, whatever they are done with.

use alloc::vec::Vec;
use zeroize::Zeroize;

use super::{ChannelError, Local};
use crate::session::{
    Ended, Endpoint, FRAME_OVERHEAD_MAX, Opened, PAYLOAD_MAX, SealError, Session, Truncated,
};
use crate::wire::frame::FrameError;

/// A frame on its way out; wiped when it is done with.
struct Output {
    bytes: Vec<u8>,
    /// How much of `bytes` is the frame.
    len: usize,
}

impl Output {
    fn wipe(&mut self) {
        if let Some(frame) = self.bytes.get_mut(..self.len) {
            frame.zeroize();
        }
        self.len = 0;
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// A session and the frame that it sends.
pub(super) struct Core<'a, E: Endpoint> {
    pub(super) session: Session<'a, E>,
    pub(super) local: Local<'a, E>,
    output: Output,
    /// Whether the close is out.
    pub(super) closed: bool,
}

impl<'a, E: Endpoint> Core<'a, E> {
    pub(super) const fn new(session: Session<'a, E>, local: Local<'a, E>) -> Self {
        Self {
            session,
            local,
            output: Output {
                bytes: Vec::new(),
                len: 0,
            },
            closed: false,
        }
    }

    pub(super) fn check(&self) -> Result<(), ChannelError> {
        if self.is_half_written() {
            return Err(ChannelError::Open(Ended::Poisoned.into()));
        }
        let endpoint = self.local.lock()?;
        let result = self.session.check(&endpoint, self.local.env);
        result.map_err(|ended| ChannelError::Open(ended.into()))
    }

    /// Whether a frame was made and given up before all of it was written. An unknown part of it is out,
    /// and nothing can follow it.
    const fn is_half_written(&self) -> bool {
        self.output.len > 0
    }

    /// Makes the next frame, of a payload or the close. It has to be written, all of it, and
    /// [wiped](Self::wipe) then.
    pub(super) fn seal(&mut self, payload: Option<&[u8]>) -> Result<(), ChannelError> {
        if self.is_half_written() {
            self.wipe();
            self.session.poison();
        }
        let result = self.try_seal(payload);
        self.settle(result)
    }

    fn try_seal(&mut self, payload: Option<&[u8]>) -> Result<(), ChannelError> {
        let len = payload.map_or(0, <[u8]>::len);
        if len > PAYLOAD_MAX {
            let max = PAYLOAD_MAX;
            return Err(SealError::PayloadTooLong { len, max }.into());
        }
        let room = len.saturating_add(FRAME_OVERHEAD_MAX);
        let bytes = &mut self.output.bytes;
        if bytes.len() < room {
            bytes.resize(room, 0);
        }
        let endpoint = self.local.lock()?;
        let (env, out) = (self.local.env, bytes.as_mut_slice());
        self.output.len = match payload {
            Some(payload) => self.session.seal(&endpoint, env, payload, out)?,
            None => self.session.close(&endpoint, env, out)?,
        };
        Ok(())
    }

    /// The frame that is to be written.
    pub(super) fn frame(&self) -> &[u8] {
        self.output.bytes.get(..self.output.len).unwrap_or_default()
    }

    /// The frame has been written, or will not be.
    pub(super) fn wipe(&mut self) {
        self.output.wipe();
    }

    pub(super) fn into_session(mut self) -> Session<'a, E> {
        if self.is_half_written() {
            self.session.poison();
        }
        self.session
    }

    /// What a frame holds that has arrived. An error has ended the session.
    pub(super) fn open<'b>(
        &mut self,
        body: Result<&'b [u8], FrameError>,
    ) -> Result<Opened<'b>, ChannelError> {
        // A session whose frame is lost is not used again; `open` itself sees to its own errors.
        let body = body.inspect_err(|_| self.session.poison())?;
        let mut endpoint = self.local.lock().inspect_err(|_| self.session.poison())?;
        Ok(self.session.open(&mut endpoint, self.local.env, body)?)
    }

    /// The stream has ended without the peer's close.
    pub(super) const fn truncated(&self) -> ChannelError {
        let (_, received) = self.session.frames();
        ChannelError::Truncated(Truncated { received })
    }

    pub(super) fn settle<T>(&mut self, result: Result<T, ChannelError>) -> Result<T, ChannelError> {
        if result.is_err() {
            self.session.poison();
        }
        result
    }
}
