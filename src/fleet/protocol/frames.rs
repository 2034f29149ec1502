//! Frames of hostd, over the core's [`wire::frame`](crate::wire::frame).

use alloc::vec::Vec;

use serde::Serialize;
use thiserror_no_std::Error;

use crate::limits::{FRAME_HEADER_LEN, HOSTD_BUFFER_KEPT, HOSTD_BUFFER_LEN, HOSTD_FRAME_MAX};
use crate::wire::frame::{FrameDecoder, FrameError, FrameProgress, FrameTooLong, encode_header};

/// Header and body of the longest frame, in bytes.
const WHOLE_MAX: usize = HOSTD_FRAME_MAX + FRAME_HEADER_LEN;
const _: () =
    assert!(HOSTD_BUFFER_LEN >= FRAME_HEADER_LEN && HOSTD_BUFFER_LEN <= HOSTD_BUFFER_KEPT);
const _: () = assert!(HOSTD_BUFFER_KEPT <= WHOLE_MAX);

/// Why a message was not made into a frame. Nothing of it may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The peer would have to refuse it, and the stream would be lost.
    #[error("a message of {len} bytes is above the limit of {max}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The value cannot be written as JSON. No type of this crate's is like that.
    #[error("the message cannot be written as JSON")]
    NotJson,
}

impl_error!(EncodeError);

impl From<FrameTooLong> for EncodeError {
    fn from(FrameTooLong { len, max }: FrameTooLong) -> Self {
        Self::TooLong { len, max }
    }
}

/// The frame of a body: header and body.
///
/// # Errors
/// [`EncodeError::TooLong`] above [`HOSTD_FRAME_MAX`].
///
/// ```
/// assert_eq!(mvm_core::protocol::encode_body(b"{}").unwrap(), b"\0\0\0\x02{}");
/// ```
pub fn encode_body(body: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let header = encode_header(body.len(), HOSTD_FRAME_MAX)?;
    let mut frame = Vec::with_capacity(body.len().saturating_add(FRAME_HEADER_LEN));
    frame.extend_from_slice(&header);
    frame.extend_from_slice(body);
    Ok(frame)
}

/// The frame of a message. 0.13.0's peers are sent a [`HostdRequest`](super::HostdRequest) or a
/// [`HostdResponse`](super::HostdResponse) as it is.
///
/// # Errors
/// [`EncodeError`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, EncodeError> {
    let body = serde_json::to_vec(message).map_err(|_| EncodeError::NotJson)?;
    encode_body(&body)
}

/// Cuts what is received into bodies.
///
/// Its buffer begins with [`HOSTD_BUFFER_LEN`] bytes and grows with what *arrives*, not with what is
/// announced, to one frame of the greatest length at most; behind a frame for which it grew beyond
/// [`HOSTD_BUFFER_KEPT`] bytes it is given back.
///
/// ```
/// use mvm_core::protocol::Frames;
///
/// let mut stream: &[u8] = b"\0\0\0\x06\"Ping\"\0\0\0\x04\"Ok\"";
/// let mut frames = Frames::new();
/// let mut bodies = Vec::new();
/// loop {
///     while let Some(body) = frames.next_body()? {
///         bodies.push(body.to_vec());
///     }
///     let n = std::io::Read::read(&mut stream, frames.space()).unwrap();
///     if n == 0 {
///         break;
///     }
///     frames.advance(n);
/// }
/// frames.finish()?;
/// assert_eq!(bodies, [b"\"Ping\"".to_vec(), b"\"Ok\"".to_vec()]);
/// # Ok::<(), mvm_core::wire::frame::FrameError>(())
/// ```
///
/// After [`next_body`](Self::next_body) returned `Ok(None)`, [`space`](Self::space) is not empty. After an
/// error every further call fails with the same error: close the connection.
#[derive(Debug)]
pub struct Frames {
    buffer: Vec<u8>,
    progress: FrameProgress,
}

impl Default for Frames {
    fn default() -> Self {
        Self::new()
    }
}

impl Frames {
    /// At the start of a stream. Nothing is allocated yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            buffer: Vec::new(),
            progress: FrameProgress::new(HOSTD_FRAME_MAX),
        }
    }

    /// Where the next bytes of the stream belong; tell [`advance`](Self::advance) how many came.
    ///
    /// Empty only if a complete frame waits in a full buffer, or after an error.
    pub fn space(&mut self) -> &mut [u8] {
        if self.progress.unread().is_empty() && self.buffer.len() > HOSTD_BUFFER_KEPT {
            self.buffer.truncate(HOSTD_BUFFER_LEN);
            self.buffer.shrink_to(HOSTD_BUFFER_LEN);
        }
        if !self.has_space() && self.wants_more() {
            let grown = self.buffer.len().saturating_mul(2);
            self.buffer
                .resize(grown.clamp(HOSTD_BUFFER_LEN, WHOLE_MAX), 0);
        }
        if !self.has_space() {
            return &mut [];
        }
        self.buffer
            .get_mut(self.progress.unread().end..)
            .unwrap_or_default()
    }

    /// Says that `n` bytes of the stream have been written to the front of [`space`](Self::space).
    ///
    /// More than it had room for is [`FrameError::Overrun`], reported by the next call of
    /// [`next_body`](Self::next_body).
    pub fn advance(&mut self, n: usize) {
        let mut decoder = FrameDecoder::resume(&mut self.buffer, self.progress);
        decoder.advance(n);
        self.progress = decoder.progress();
    }

    /// Takes the next complete body, or `None` while it is incomplete.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] as soon as the four bytes of a header are there, [`FrameError::Overrun`]
    /// after a wrong [`advance`](Self::advance).
    pub fn next_body(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let start = self.progress.unread().start;
        let mut decoder = FrameDecoder::resume(&mut self.buffer, self.progress);
        let taken = match decoder.next_body() {
            Ok(body) => body.is_some(),
            // The buffer has not grown so far yet: not an error of the stream, and not kept.
            Err(FrameError::BufferTooSmall { needed, .. }) if needed <= WHOLE_MAX => {
                return Ok(None);
            }
            Err(error) => {
                self.progress = decoder.progress();
                return Err(error);
            }
        };
        self.progress = decoder.progress();
        if !taken {
            return Ok(None);
        }
        let body = start.saturating_add(FRAME_HEADER_LEN)..self.progress.unread().start;
        Ok(self.buffer.get(body))
    }

    /// Says that the stream has ended.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] inside a frame, [`FrameError::Unread`] with a frame not taken, or the
    /// error that came before.
    pub fn finish(&mut self) -> Result<(), FrameError> {
        FrameDecoder::resume(&mut self.buffer, self.progress).finish()
    }

    /// Whether there is room behind what has arrived, after it was moved to the front if that helps.
    fn has_space(&mut self) -> bool {
        let mut decoder = FrameDecoder::resume(&mut self.buffer, self.progress);
        let room = !decoder.space().is_empty();
        self.progress = decoder.progress();
        room
    }

    /// Whether the next frame is incomplete, and the stream not lost.
    fn wants_more(&mut self) -> bool {
        matches!(self.finish(), Ok(()) | Err(FrameError::Truncated { .. }))
    }
}
