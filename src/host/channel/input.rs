//! What has arrived on a stream, cut into frames.

use alloc::vec;
use alloc::vec::Vec;
use zeroize::Zeroize;

use super::error::{ChannelError, Doing};
use crate::limits::{FRAME_BODY_MAX, FRAME_HEADER_LEN, HANDSHAKE_BODY_MAX};
use crate::wire::connect::{ConnectError, OkLine};
use crate::wire::frame::{FrameDecoder, FrameError, FrameProgress};

/// What has arrived. Not a part of a connection so that the stream can be moved out of that.
pub(super) struct Input {
    buffer: Vec<u8>,
    progress: FrameProgress,
    /// The body that was handed out last.
    taken: core::ops::Range<usize>,
    /// Bytes beyond this have never been written to.
    used: usize,
}

impl Input {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; FRAME_HEADER_LEN.saturating_add(HANDSHAKE_BODY_MAX)],
            progress: FrameProgress::new(HANDSHAKE_BODY_MAX),
            taken: 0..0,
            used: 0,
        }
    }

    fn decoder(&mut self) -> FrameDecoder<'_> {
        FrameDecoder::resume(&mut self.buffer, self.progress)
    }

    /// Where the next bytes go. To be followed by [`advance`](Self::advance) with their number.
    pub(super) fn space(&mut self) -> &mut [u8] {
        // What has arrived may be moved to the front for that, also where nothing comes.
        let mut decoder = self.decoder();
        let _ = decoder.space();
        self.progress = decoder.progress();
        let from = self.progress.unread().end;
        self.buffer.get_mut(from..).unwrap_or_default()
    }

    pub(super) fn advance(&mut self, count: usize) {
        let mut decoder = self.decoder();
        decoder.advance(count);
        self.progress = decoder.progress();
        self.used = self.used.max(self.progress.unread().end);
    }

    /// Whether a whole frame is there. It is looked for and not taken.
    pub(super) fn has_frame(&mut self) -> Result<bool, FrameError> {
        Ok(self.decoder().next_body()?.is_some())
    }

    /// Takes the VMM's line off the front, if all of it is there.
    pub(super) fn take_ok_line(&mut self) -> Result<bool, ConnectError> {
        let mut decoder = self.decoder();
        let Some((_, len)) = OkLine::parse(decoder.unread())? else {
            return Ok(false);
        };
        decoder.skip(len);
        self.progress = decoder.progress();
        Ok(true)
    }

    /// What the end of the stream means before that line has come.
    pub(super) fn no_ok_line(&self, port: u32) -> ChannelError {
        if self.progress.unread().is_empty() {
            return ChannelError::NobodyListens { port };
        }
        let doing = Doing::Connecting;
        ChannelError::Hangup { doing }
    }

    /// The next frame's body; empty if there is none.
    pub(super) fn take(&mut self) -> Result<&[u8], FrameError> {
        let before = self.progress;
        let mut decoder = FrameDecoder::resume(&mut self.buffer, before);
        let len = decoder.next_body()?.map_or(0, |body| body.len());
        self.progress = decoder.progress();
        let end = self.progress.unread().start;
        self.taken = end.saturating_sub(len)..end;
        Ok(self.buffer.get(self.taken.clone()).unwrap_or_default())
    }

    /// Wipes the body that was handed out last.
    pub(super) fn wipe_taken(&mut self) {
        let taken = core::mem::replace(&mut self.taken, 0..0);
        if let Some(bytes) = self.buffer.get_mut(taken) {
            bytes.zeroize();
        }
    }

    /// Makes room for the frames of a session. Fresh zeroed memory costs nothing until it is used.
    pub(super) fn grow(&mut self) {
        let mut larger = vec![0; FRAME_HEADER_LEN.saturating_add(FRAME_BODY_MAX)];
        for (to, from) in larger.iter_mut().zip(&self.buffer) {
            *to = *from;
        }
        self.buffer.zeroize();
        self.buffer = larger;
        let mut decoder = self.decoder();
        decoder.set_limit(FRAME_BODY_MAX);
        self.progress = decoder.progress();
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if let Some(used) = self.buffer.get_mut(..self.used) {
            used.zeroize();
        }
    }
}

impl core::fmt::Debug for Input {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let unread = self.progress.unread().len();
        f.debug_struct("Input")
            .field("unread", &unread)
            .finish_non_exhaustive()
    }
}
