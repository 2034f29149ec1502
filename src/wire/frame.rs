//! Length-prefixed frames.
//!
//! ```text
//! offset  0        1        2        3        4                    4 + len
//!         ├────────┴────────┴────────┴────────┼────────────────────┤
//!         │ len: u32, big-endian              │ body: len bytes    │ next frame …
//! ```
//!
//! `len` counts the body only and may be 0. A `len` above the limit in force
//! ([`HANDSHAKE_BODY_MAX`](crate::limits::HANDSHAKE_BODY_MAX) before a session is established,
//! [`FRAME_BODY_MAX`](crate::limits::FRAME_BODY_MAX) afterwards) is refused from these four bytes
//! alone. The sender checks the same limit: a frame that the peer must refuse would cost the whole
//! stream, because there is no way to find the next frame behind it.
//!
//! # Receiving
//!
//! [`FrameDecoder`] works in one buffer that its caller owns. Bytes are read straight into it, and
//! bodies are handed out where they lie:
//!
//! ```
//! use mvm_core::limits::HANDSHAKE_BODY_MAX;
//! use mvm_core::wire::frame::FrameDecoder;
//!
//! # fn main() -> Result<(), mvm_core::wire::frame::FrameError> {
//! let mut stream: &[u8] = b"\0\0\0\x05hello\0\0\0\0\0\0\0\x02";
//! let mut buffer = [0; 64];
//! let mut decoder = FrameDecoder::new(&mut buffer, HANDSHAKE_BODY_MAX);
//! let mut bodies = Vec::new();
//! loop {
//!     while let Some(body) = decoder.next_body()? {
//!         bodies.push(body.to_vec());
//!     }
//!     let n = std::io::Read::read(&mut stream, decoder.space()).unwrap();
//!     if n == 0 {
//!         break;
//!     }
//!     decoder.advance(n);
//! }
//! assert_eq!(bodies, [b"hello".to_vec(), vec![]]);
//! // The stream ended inside a third frame, and that is not the same as ending after the second.
//! assert!(decoder.finish().is_err());
//! # Ok(())
//! # }
//! ```
//!
//! The contract: after [`next_body`](FrameDecoder::next_body) returned `Ok(None)`,
//! [`space`](FrameDecoder::space) is not empty. A byte is moved at most once, when the frame it
//! belongs to has no room behind what came before it; frames that arrive together are not moved at
//! all. After an error every further call fails with the same error.

use crate::limits::FRAME_HEADER_LEN;
use crate::wire::copy;

/// Why a stream cannot be cut into frames any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FrameError {
    /// The peer announced a body above the limit in force.
    #[error("a frame of {len} bytes was announced, {max} are allowed")]
    TooLong {
        /// Announced length of the body in bytes.
        len: usize,
        /// The limit in force in bytes.
        max: usize,
    },
    /// The frame is within the limit, and the caller's buffer is too small for it.
    #[error("a frame needs {needed} bytes of buffer, there are {capacity}")]
    BufferTooSmall {
        /// Bytes of header and body.
        needed: usize,
        /// Length of the buffer in bytes.
        capacity: usize,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended after {have} of {needed} bytes of a frame")]
    Truncated {
        /// Bytes of the frame that arrived, header included.
        have: usize,
        /// Bytes the frame has, or those of the header while that is incomplete.
        needed: usize,
    },
    /// The stream ended and a complete frame had not been taken.
    #[error("the stream ended with {have} bytes of complete frames not taken")]
    Unread {
        /// Bytes that had not been taken.
        have: usize,
    },
    /// The caller claimed to have written or taken more bytes than there were.
    #[error("{claimed} bytes were claimed where {available} were available")]
    Overrun {
        /// Bytes the caller claimed.
        claimed: usize,
        /// Bytes there were.
        available: usize,
    },
}
impl_error!(FrameError);
const _: () = assert!(size_of::<FrameError>() <= 24);

/// A body is longer than the limit in force; nothing may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("a frame of {len} bytes is above the limit of {max}")]
#[non_exhaustive]
pub struct FrameTooLong {
    /// Length of the body in bytes.
    pub len: usize,
    /// The limit in bytes.
    pub max: usize,
}
impl_error!(FrameTooLong);

/// Why a body was not framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FrameEncodeError {
    /// The body is above the limit.
    #[error("a frame of {len} bytes is above the limit of {max}")]
    TooLong {
        /// Length of the body in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The output buffer cannot hold header and body.
    #[error("a frame needs {needed} bytes of buffer, there are {capacity}")]
    BufferTooSmall {
        /// Bytes of header and body.
        needed: usize,
        /// Length of the buffer in bytes.
        capacity: usize,
    },
}
impl_error!(FrameEncodeError);
const _: () = assert!(size_of::<FrameEncodeError>() <= 24);

impl From<FrameTooLong> for FrameEncodeError {
    fn from(FrameTooLong { len, max }: FrameTooLong) -> Self {
        Self::TooLong { len, max }
    }
}

/// The header of a body of `len` bytes.
///
/// For senders that build the body in place, behind four bytes they have kept free.
///
/// # Errors
///
/// `len` is above `limit` (bytes), or does not fit the header's `u32`.
///
/// ```
/// use mvm_core::wire::frame::encode_header;
///
/// assert_eq!(encode_header(258, 1024), Ok([0, 0, 1, 2]));
/// assert!(encode_header(1025, 1024).is_err());
/// ```
pub fn encode_header(len: usize, limit: usize) -> Result<[u8; FRAME_HEADER_LEN], FrameTooLong> {
    match u32::try_from(len) {
        Ok(short) if len <= limit => Ok(short.to_be_bytes()),
        _ => Err(FrameTooLong { len, max: limit }),
    }
}

/// Writes header and `body` to the front of `out` and returns how many bytes that took.
///
/// # Errors
///
/// The body is above `limit` (bytes), or `out` is too small. Nothing has been written then.
pub fn frame_into(body: &[u8], limit: usize, out: &mut [u8]) -> Result<usize, FrameEncodeError> {
    let header = encode_header(body.len(), limit)?;
    let needed = body.len().saturating_add(FRAME_HEADER_LEN);
    let capacity = out.len();
    let short = FrameEncodeError::BufferTooSmall { needed, capacity };
    let (head, rest) = out
        .split_first_chunk_mut::<FRAME_HEADER_LEN>()
        .ok_or(short)?;
    let target = rest.get_mut(..body.len()).ok_or(short)?;
    *head = header;
    copy(target, body);
    Ok(needed)
}

/// Moves all bytes from `distance` on to the front.
///
/// Through registers, each piece read before its place is written, so that it is as fast for a
/// distance of four bytes as for any other: `copy_within` is `memmove`, 1.6 kB that nothing else in a
/// guest needs.
fn move_down(bytes: &mut [u8], distance: usize) {
    const PIECE: usize = size_of::<u128>();
    let mut rest = bytes;
    loop {
        let from = rest.get(distance..).unwrap_or_default();
        let Some((first, from)) = from.split_first_chunk::<PIECE>() else {
            break;
        };
        let Some(second) = from.first_chunk::<PIECE>() else {
            break;
        };
        let pieces = (u128::from_ne_bytes(*first), u128::from_ne_bytes(*second));
        let Some((first, later)) = rest.split_first_chunk_mut::<PIECE>() else {
            return;
        };
        let Some((second, later)) = later.split_first_chunk_mut::<PIECE>() else {
            return;
        };
        (*first, *second) = (pieces.0.to_ne_bytes(), pieces.1.to_ne_bytes());
        rest = later;
    }
    let mut at: usize = 0;
    while let Some(byte) = rest.get(at.saturating_add(distance)).copied() {
        if let Some(to) = rest.get_mut(at) {
            *to = byte;
        }
        at = at.saturating_add(1);
    }
}

/// Cuts a stream into frames, in a buffer of the caller. The [module](self) holds the contract.
///
/// The buffer should have [`FRAME_HEADER_LEN`] bytes more than the largest limit; a smaller one
/// works for as long as the frames fit it. A larger one lets more frames arrive in one read.
#[derive(Debug)]
pub struct FrameDecoder<'b> {
    buffer: &'b mut [u8],
    /// First byte that has not been handed out.
    start: usize,
    /// End of what has been received; `start <= end <= buffer.len()`.
    end: usize,
    limit: usize,
    failed: Option<FrameError>,
}

/// How far a decoder has come, without its buffer.
///
/// For a caller that owns the buffer for longer than it wants to lend it: it keeps this and the
/// buffer, and [resumes](FrameDecoder::resume) the decoder for each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FrameProgress {
    start: usize,
    end: usize,
    limit: usize,
    failed: Option<FrameError>,
}

impl FrameProgress {
    /// At the start of a stream, refusing bodies longer than `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            start: 0,
            end: 0,
            limit,
            failed: None,
        }
    }

    /// Where in the buffer the bytes are that have arrived and have not been taken.
    #[must_use]
    pub const fn unread(&self) -> core::ops::Range<usize> {
        self.start..self.end
    }
}

impl<'b> FrameDecoder<'b> {
    /// Goes on where a decoder stood. `buffer` must begin with the bytes of the buffer it had, and
    /// may be longer than that was.
    ///
    /// ```
    /// use mvm_core::wire::frame::{FrameDecoder, FrameProgress};
    ///
    /// # fn main() -> Result<(), mvm_core::wire::frame::FrameError> {
    /// let mut buffer = vec![0; 16];
    /// let mut progress = FrameProgress::new(8);
    /// for byte in *b"\0\0\0\x02ok" {
    ///     let mut decoder = FrameDecoder::resume(&mut buffer, progress);
    ///     decoder.space()[0] = byte;
    ///     decoder.advance(1);
    ///     progress = decoder.progress();
    /// }
    /// let body = FrameDecoder::resume(&mut buffer, progress).into_body()?;
    /// assert_eq!(body.as_deref(), Some(&b"ok"[..]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(buffer: &'b mut [u8], progress: FrameProgress) -> Self {
        let FrameProgress {
            start,
            end,
            limit,
            failed,
        } = progress;
        Self {
            buffer,
            start,
            end,
            limit,
            failed,
        }
    }

    /// How far it has come.
    #[must_use]
    pub const fn progress(&self) -> FrameProgress {
        FrameProgress {
            start: self.start,
            end: self.end,
            limit: self.limit,
            failed: self.failed,
        }
    }

    /// As [`next_body`](Self::next_body), for as long as the buffer lives. The decoder's
    /// [`progress`](Self::progress) behind that body is the one of a decoder that called
    /// [`next_body`](Self::next_body) at the same place.
    ///
    /// # Errors
    ///
    /// As [`next_body`](Self::next_body).
    pub fn into_body(mut self) -> Result<Option<&'b mut [u8]>, FrameError> {
        let range = self.take_body()?;
        Ok(range.and_then(|range| self.buffer.get_mut(range)))
    }

    /// A decoder at the start of a stream that refuses bodies longer than `limit` bytes.
    pub fn new(buffer: &'b mut [u8], limit: usize) -> Self {
        Self {
            buffer,
            start: 0,
            end: 0,
            limit,
            failed: None,
        }
    }

    /// Sets the longest body accepted from now on, in bytes.
    ///
    /// Holds for every frame not yet taken, also one that has already arrived.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Where the next bytes of the stream belong; tell [`advance`](Self::advance) how many came.
    ///
    /// Empty only if a complete frame waits in a full buffer, or after an error: call
    /// [`next_body`](Self::next_body) until it returns `Ok(None)` before reading.
    pub fn space(&mut self) -> &mut [u8] {
        if self.failed.is_some() {
            return &mut [];
        }
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.start > 0 {
            // An announced length above the buffer is `next_body`'s to report: nothing is moved
            // for a frame that will never be complete.
            let needed = self.needed();
            let fits_here = needed <= self.buffer.len().saturating_sub(self.start);
            if !fits_here && needed <= self.buffer.len() {
                self.compact();
            }
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that `n` bytes of the stream have been written to the front of [`space`](Self::space).
    ///
    /// More than it had room for is [`FrameError::Overrun`], reported by the next call of
    /// [`next_body`](Self::next_body).
    pub fn advance(&mut self, n: usize) {
        let available = self.buffer.len().saturating_sub(self.end);
        if n > available {
            self.fail(FrameError::Overrun {
                claimed: n,
                available,
            });
        } else {
            self.end = self.end.saturating_add(n);
        }
    }

    /// Takes the next complete body, or `None` while it is incomplete.
    ///
    /// The body may be changed (decrypted, say) where it lies.
    ///
    /// # Errors
    ///
    /// [`FrameError::TooLong`] as soon as the four bytes of a header are there,
    /// [`FrameError::BufferTooSmall`] where the buffer is the limit, [`FrameError::Overrun`] after
    /// a wrong [`advance`](Self::advance). The stream is lost then: every further call fails alike.
    pub fn next_body(&mut self) -> Result<Option<&mut [u8]>, FrameError> {
        let range = self.take_body()?;
        Ok(range.and_then(|range| self.buffer.get_mut(range)))
    }

    fn take_body(&mut self) -> Result<Option<core::ops::Range<usize>>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let capacity = self.buffer.len();
        let (needed, len) = match self.header() {
            Some(len) => (len.saturating_add(FRAME_HEADER_LEN), len),
            None => (FRAME_HEADER_LEN, 0),
        };
        if len > self.limit {
            let max = self.limit;
            return Err(self.fail(FrameError::TooLong { len, max }));
        }
        if needed > capacity {
            return Err(self.fail(FrameError::BufferTooSmall { needed, capacity }));
        }
        let start = self.start;
        let end = start.saturating_add(needed);
        // Fewer than four bytes can never reach the end of a header: `needed` is four then.
        if end > self.end {
            return Ok(None);
        }
        self.start = end;
        let body = start.saturating_add(FRAME_HEADER_LEN);
        Ok(Some(body..end))
    }

    /// The bytes that have arrived and have not been taken.
    ///
    /// Together with [`skip`](Self::skip) for what comes before the first frame: the
    /// [`OkLine`](super::connect::OkLine) of Firecracker's vsock is read into this buffer too, and
    /// the frames behind it are already where they belong.
    pub fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Drops the first `n` bytes of [`unread`](Self::unread).
    ///
    /// More than there are is [`FrameError::Overrun`], reported by the next call of
    /// [`next_body`](Self::next_body).
    pub fn skip(&mut self, n: usize) {
        let available = self.end.saturating_sub(self.start);
        if n > available {
            self.fail(FrameError::Overrun {
                claimed: n,
                available,
            });
        } else {
            self.start = self.start.saturating_add(n);
        }
    }

    /// Whether the stream may end here: no error, and no byte left over.
    pub fn is_clean(&self) -> bool {
        self.failed.is_none() && self.start == self.end
    }

    /// Says that the stream has ended.
    ///
    /// A stream that ends between two frames may still have been cut by somebody: only a verified
    /// close of the [session](crate::session) tells.
    ///
    /// # Errors
    ///
    /// [`FrameError::Truncated`] inside a frame, [`FrameError::Unread`] with a frame not taken, or
    /// the error that came before.
    pub fn finish(&self) -> Result<(), FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let have = self.end.saturating_sub(self.start);
        let needed = self.needed();
        if have == 0 {
            Ok(())
        } else if have < needed {
            Err(FrameError::Truncated { have, needed })
        } else {
            Err(FrameError::Unread { have })
        }
    }

    /// Moves what has arrived to the front.
    fn compact(&mut self) {
        if let Some(bytes) = self.buffer.get_mut(..self.end) {
            move_down(bytes, self.start);
        }
        self.end = self.end.saturating_sub(self.start);
        self.start = 0;
    }

    /// Length of the body announced by the first header, as soon as that is complete.
    fn header(&self) -> Option<usize> {
        let bytes = self.unread().first_chunk::<FRAME_HEADER_LEN>()?;
        // A length that `usize` cannot hold is above every limit.
        Some(usize::try_from(u32::from_be_bytes(*bytes)).unwrap_or(usize::MAX))
    }

    /// Bytes that the first frame has, as far as that is known.
    fn needed(&self) -> usize {
        self.header()
            .map_or(FRAME_HEADER_LEN, |len| len.saturating_add(FRAME_HEADER_LEN))
    }

    /// Stays in the failed state.
    fn fail(&mut self, error: FrameError) -> FrameError {
        // The first error is the reason, whatever is tried afterwards.
        *self.failed.get_or_insert(error)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// Feeds `stream` in reads of at most `step` bytes and collects the bodies.
    fn run(
        stream: &[u8],
        step: usize,
        capacity: usize,
        limit: usize,
    ) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
        let mut buffer = alloc::vec![0xAA; capacity];
        let mut decoder = FrameDecoder::new(&mut buffer, limit);
        let mut rest = stream;
        let mut bodies = Vec::new();
        loop {
            loop {
                match decoder.next_body() {
                    Ok(Some(body)) => bodies.push(body.to_vec()),
                    Ok(None) => break,
                    Err(error) => return (bodies, Err(error)),
                }
            }
            let space = decoder.space();
            assert!(!space.is_empty(), "no room although nothing is complete");
            let n = rest.len().min(step).min(space.len());
            if n == 0 {
                return (bodies, decoder.finish());
            }
            let (now, later) = rest.split_at(n);
            space[..n].copy_from_slice(now);
            decoder.advance(n);
            rest = later;
        }
    }

    fn stream(bodies: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for body in bodies {
            out.extend_from_slice(&encode_header(body.len(), 1 << 20).unwrap());
            out.extend_from_slice(body);
        }
        out
    }

    #[test]
    fn every_read_size_gives_the_same_bodies() {
        let bodies: [&[u8]; 6] = [b"", b"a", b"", b"twelve bytes", b"0123456789", b"x"];
        let bytes = stream(&bodies);
        for capacity in [16, 17, 20, 33, 64] {
            for step in 1..=bytes.len() {
                let (got, end) = run(&bytes, step, capacity, 12);
                assert_eq!(got, bodies, "capacity {capacity}, step {step}");
                assert_eq!(end, Ok(()));
            }
        }
    }

    #[test]
    fn a_stream_cut_anywhere_is_truncated_except_between_frames() {
        let bytes = stream(&[b"one", b"", b"three"]);
        let boundaries = [0, 7, 11, 20];
        for cut in 0..=bytes.len() {
            let (_, end) = run(&bytes[..cut], 5, 16, 16);
            if boundaries.contains(&cut) {
                assert_eq!(end, Ok(()), "cut at {cut}");
            } else {
                assert!(
                    matches!(end, Err(FrameError::Truncated { have, needed }) if have < needed),
                    "cut at {cut}: {end:?}"
                );
            }
        }
    }

    #[test]
    fn a_length_above_the_limit_is_refused_from_four_bytes() {
        for (header, max) in [
            ([0, 0, 4, 1], 1024),
            ([0xFF; 4], 1024),
            ([0, 4, 0, 1], 256 * 1024),
            ([0, 0, 0, 1], 0),
        ] {
            let mut buffer = [0; 2048];
            let mut decoder = FrameDecoder::new(&mut buffer, max);
            decoder.space()[..4].copy_from_slice(&header);
            decoder.advance(3);
            assert_eq!(decoder.next_body(), Ok(None));
            decoder.advance(1);
            let len = usize::try_from(u32::from_be_bytes(header)).unwrap();
            let error = FrameError::TooLong { len, max };
            assert_eq!(decoder.next_body(), Err(error));
            // It stays failed, whatever the limit is now.
            decoder.set_limit(usize::MAX);
            assert_eq!(decoder.next_body(), Err(error));
            assert_eq!(decoder.finish(), Err(error));
            assert!(!decoder.is_clean());
            assert!(decoder.space().is_empty());
        }
    }

    #[test]
    fn the_limit_itself_is_allowed_and_may_change_between_frames() {
        let mut buffer = [0; 64];
        let mut decoder = FrameDecoder::new(&mut buffer, 3);
        decoder.space()[..14].copy_from_slice(b"\0\0\0\x03abc\0\0\0\x04wxy");
        decoder.advance(14);
        assert_eq!(decoder.next_body().unwrap().unwrap(), b"abc");
        decoder.set_limit(4);
        assert_eq!(decoder.next_body(), Ok(None));
        decoder.space()[0] = b'z';
        decoder.advance(1);
        assert_eq!(decoder.next_body().unwrap().unwrap(), b"wxyz");
        assert!(decoder.is_clean());
    }

    #[test]
    fn a_buffer_that_is_too_small_is_an_error_and_not_a_hang() {
        let (bodies, end) = run(b"\0\0\0\x01a\0\0\0\x05", 9, 8, 1024);
        assert_eq!(bodies, [b"a"]);
        assert_eq!(
            end,
            Err(FrameError::BufferTooSmall {
                needed: 9,
                capacity: 8
            })
        );
        for capacity in 0..4 {
            let mut buffer = [0; 4];
            let mut decoder = FrameDecoder::new(&mut buffer[..capacity], 1024);
            assert_eq!(
                decoder.next_body(),
                Err(FrameError::BufferTooSmall {
                    needed: 4,
                    capacity
                })
            );
        }
    }

    #[test]
    fn frames_of_one_read_are_handed_out_where_they_lie() {
        let mut buffer = [0; 64];
        let base = buffer.as_ptr().addr();
        let mut decoder = FrameDecoder::new(&mut buffer, 16);
        decoder.space()[..13].copy_from_slice(b"\0\0\0\x02ab\0\0\0\x03cde");
        decoder.advance(13);
        let first = decoder.next_body().unwrap().unwrap().as_ptr().addr();
        let second = decoder.next_body().unwrap().unwrap().as_ptr().addr();
        assert_eq!([first - base, second - base], [4, 10]);
    }

    #[test]
    fn a_byte_is_moved_at_most_once() {
        // Frames of every length, reads of one byte: after each read the position of the first
        // byte of the frame in progress may change once, and only to the front.
        let mut buffer = [0; 24];
        let base = buffer.as_ptr().addr();
        let mut moves = 0;
        let mut frames = 0;
        let mut decoder = FrameDecoder::new(&mut buffer, 20);
        for len in (0..=20).cycle().take(500) {
            let bytes = stream(&[&[7; 20][..len]]);
            let mut moved = 0;
            let mut at = None;
            for byte in bytes {
                decoder.space()[0] = byte;
                let now = decoder.unread().as_ptr().addr() - base;
                if at.is_some_and(|before| before != now) {
                    assert_eq!(now, 0);
                    moved += 1;
                }
                at = Some(now);
                decoder.advance(1);
            }
            assert!(moved <= 1, "{len}");
            moves += moved;
            assert_eq!(decoder.next_body().unwrap().unwrap().len(), len);
            frames += 1;
        }
        // The decoder starts again at the front whenever it is empty, so nothing moves here.
        assert_eq!((frames, moves), (500, 0));

        // Two frames per read: the second is cut, moved to the front once, and complete there.
        let mut decoder = FrameDecoder::new(&mut buffer, 20);
        decoder.space()[..22].copy_from_slice(b"\0\0\0\x0A0123456789\0\0\0\x0Aabcd");
        decoder.advance(22);
        assert_eq!(decoder.next_body().unwrap().unwrap(), b"0123456789");
        assert_eq!(decoder.next_body(), Ok(None));
        assert_eq!(decoder.space().len(), 16);
        assert_eq!(decoder.unread(), b"\0\0\0\x0Aabcd");
        for byte in *b"efghij" {
            decoder.space()[0] = byte;
            assert_eq!(decoder.unread().as_ptr().addr(), base);
            decoder.advance(1);
        }
        assert_eq!(decoder.next_body().unwrap().unwrap(), b"abcdefghij");
    }

    #[test]
    fn every_distance_and_length_is_moved_as_copy_within_does() {
        let source: [u8; 150] = core::array::from_fn(|at| u8::try_from(at).unwrap());
        for len in 0..=source.len() {
            for distance in 0..=len {
                let (mut moved, mut expected) = (source, source);
                move_down(&mut moved[..len], distance);
                expected.copy_within(distance..len, 0);
                let end = len - distance;
                assert_eq!(moved[..end], expected[..end], "{len} by {distance}");
                assert_eq!(moved[len..], source[len..], "{len} by {distance}");
            }
        }
    }

    #[test]
    fn wrong_claims_are_errors() {
        let mut buffer = [0; 8];
        let mut decoder = FrameDecoder::new(&mut buffer, 4);
        decoder.advance(9);
        let overrun = FrameError::Overrun {
            claimed: 9,
            available: 8,
        };
        assert_eq!(decoder.next_body(), Err(overrun));

        let mut decoder = FrameDecoder::new(&mut buffer, 4);
        decoder.advance(2);
        decoder.skip(3);
        let overrun = FrameError::Overrun {
            claimed: 3,
            available: 2,
        };
        assert_eq!(decoder.next_body(), Err(overrun));
    }

    #[test]
    fn a_frame_not_taken_is_not_a_clean_end() {
        let mut buffer = [0; 8];
        let mut decoder = FrameDecoder::new(&mut buffer, 4);
        decoder.space()[..5].copy_from_slice(b"\0\0\0\x01a");
        decoder.advance(5);
        assert_eq!(decoder.finish(), Err(FrameError::Unread { have: 5 }));
        assert_eq!(decoder.next_body().unwrap().unwrap(), b"a");
        assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn the_sender_checks_the_limit_and_writes_nothing_on_error() {
        let mut out = [0xEE; 8];
        assert_eq!(
            frame_into(b"abcde", 4, &mut out),
            Err(FrameEncodeError::TooLong { len: 5, max: 4 })
        );
        assert_eq!(
            frame_into(b"abcde", 5, &mut out),
            Err(FrameEncodeError::BufferTooSmall {
                needed: 9,
                capacity: 8
            })
        );
        assert_eq!(
            frame_into(b"", 5, &mut out[..3]),
            Err(FrameEncodeError::BufferTooSmall {
                needed: 4,
                capacity: 3
            })
        );
        assert_eq!(out, [0xEE; 8]);
        assert_eq!(frame_into(b"abcd", 4, &mut out), Ok(8));
        assert_eq!(&out, b"\0\0\0\x04abcd");
        // Where a length has 32 bits, the header can hold each.
        let too_long = FrameTooLong {
            len: usize::MAX,
            max: usize::MAX,
        };
        assert_eq!(
            encode_header(usize::MAX, usize::MAX),
            u32::try_from(usize::MAX)
                .map(u32::to_be_bytes)
                .map_err(|_| too_long)
        );
    }
}
