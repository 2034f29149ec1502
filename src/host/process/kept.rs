//! Output of which a part is kept, however long it is.

use alloc::vec::Vec;

/// Which part of an output is kept, and how many bytes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The beginning.
    First(usize),
    /// The end.
    Last(usize),
}

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) bytes: Vec<u8>,
    /// How many bytes are missing, behind them or before them.
    pub(crate) cut: u64,
}

/// An output that comes in pieces. It takes at most twice the room of what is kept.
#[derive(Debug)]
pub(super) struct Buffer {
    keep: Keep,
    bytes: Vec<u8>,
    cut: u64,
}

impl Buffer {
    pub(super) const fn new(keep: Keep) -> Self {
        Self {
            keep,
            bytes: Vec::new(),
            cut: 0,
        }
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        match self.keep {
            Keep::First(max) => {
                let room = max.saturating_sub(self.bytes.len());
                let (kept, rest) = piece.split_at_checked(room).unwrap_or((piece, &[]));
                self.bytes.extend_from_slice(kept);
                self.lose(rest.len());
            }
            Keep::Last(max) => {
                self.bytes.extend_from_slice(piece);
                // Moved once for each `max` bytes, not for each piece.
                if self.bytes.len() > max.saturating_mul(2) {
                    self.drop_first(self.bytes.len().saturating_sub(max));
                }
            }
        }
    }

    /// What is kept. Where something is missing, there is no part of a character.
    pub(super) fn finish(mut self) -> Kept {
        if let Keep::Last(max) = self.keep {
            self.drop_first(self.bytes.len().saturating_sub(max));
        }
        if self.cut > 0 {
            match self.keep {
                Keep::First(_) => {
                    let whole = whole_to(&self.bytes);
                    self.lose(self.bytes.len().saturating_sub(whole));
                    self.bytes.truncate(whole);
                }
                Keep::Last(_) => self.drop_first(whole_from(&self.bytes)),
            }
        }
        Kept {
            bytes: self.bytes,
            cut: self.cut,
        }
    }

    fn drop_first(&mut self, count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
        self.lose(count);
    }

    fn lose(&mut self, count: usize) {
        self.cut = self
            .cut
            .saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

/// The most bytes of a character that can stand before or behind a cut through it.
const PART_MAX: usize = 3;

const fn continues(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// Up to where there are whole characters, if the rest of the last one may be missing. Bytes that are
/// no text stay.
fn whole_to(bytes: &[u8]) -> usize {
    let near = bytes.len().saturating_sub(PART_MAX);
    let last = bytes.get(near..).unwrap_or_default();
    let Some(begin) = last.iter().rposition(|byte| !continues(*byte)) else {
        return bytes.len();
    };
    let begin = near.saturating_add(begin);
    match core::str::from_utf8(bytes.get(begin..).unwrap_or_default()) {
        // No length: it is the beginning of a character, and there is no more of it.
        Err(error) if error.error_len().is_none() => begin,
        _ => bytes.len(),
    }
}

/// From where there are whole characters, if the beginning of the first one may be missing.
fn whole_from(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take(PART_MAX)
        .take_while(|byte| continues(**byte))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(keep: Keep, pieces: &[&[u8]]) -> (Vec<u8>, u64) {
        let mut buffer = Buffer::new(keep);
        for piece in pieces {
            buffer.push(piece);
        }
        let kept = buffer.finish();
        (kept.bytes, kept.cut)
    }

    #[allow(clippy::as_conversions)]
    #[test]
    fn a_cut_is_between_characters() {
        let text = "añ€𝄞z";
        for max in 0..=text.len() + 1 {
            // By hand: the longest beginning and the longest end of whole characters.
            let first = (0..=max.min(text.len()))
                .rev()
                .find(|at| text.is_char_boundary(*at))
                .unwrap();
            let last = (text.len().saturating_sub(max)..=text.len())
                .find(|at| text.is_char_boundary(*at))
                .unwrap();
            for size in 1..=text.len() {
                let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
                let (bytes, cut) = kept(Keep::First(max), &pieces);
                assert_eq!(bytes, text.as_bytes()[..first], "{max} {size}");
                assert_eq!(cut, (text.len() - first) as u64);
                let (bytes, cut) = kept(Keep::Last(max), &pieces);
                assert_eq!(bytes, text.as_bytes()[last..], "{max} {size}");
                assert_eq!(cut, last as u64);
            }
        }
    }

    #[test]
    fn what_is_no_text_is_kept_as_it_is() {
        // Continuations without a beginning, a beginning without its continuation, bytes that never occur.
        for bytes in [
            &b"\x80\x80\x80\x80\x80\x80"[..],
            b"ab\xc3",
            b"ab\xe2\x82",
            b"\xff\xfe\xff\xfe",
            b"ab\xed\xa0",
        ] {
            assert_eq!(kept(Keep::First(99), &[bytes]), (bytes.to_vec(), 0));
            assert_eq!(kept(Keep::Last(99), &[bytes]), (bytes.to_vec(), 0));
        }
        // Where it is cut, only what may be part of a character goes.
        assert_eq!(
            kept(Keep::First(3), &[b"\x80\x80\x80\x80"]),
            ([0x80; 3].to_vec(), 1)
        );
        assert_eq!(kept(Keep::First(3), &[b"ab\xffd"]), (b"ab\xff".to_vec(), 1));
        assert_eq!(kept(Keep::First(3), &[b"ab\xc3d"]), (b"ab".to_vec(), 2));
        assert_eq!(
            kept(Keep::Last(5), &[b"a\x80\x80\x80\x80b"]),
            (b"\x80b".to_vec(), 4)
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut buffer = Buffer::new(Keep::Last(1000));
        for _ in 0..10_000 {
            buffer.push(&[b'x'; 100]);
            assert!(buffer.bytes.capacity() <= 4200);
        }
        let kept = buffer.finish();
        assert_eq!((kept.bytes.len(), kept.cut), (1000, 999_000));
        let mut buffer = Buffer::new(Keep::First(1000));
        for _ in 0..10_000 {
            buffer.push(&[b'x'; 100]);
            assert!(buffer.bytes.capacity() <= 2000);
        }
        let kept = buffer.finish();
        assert_eq!((kept.bytes.len(), kept.cut), (1000, 999_000));
    }
}
