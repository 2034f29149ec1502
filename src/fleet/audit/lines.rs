//! Lines out of pieces of any length, with no more memory than one line may take.

use alloc::vec::Vec;

use crate::limits::AUDIT_LINE_MAX;

/// A line of a file.
pub(super) struct Line<'a> {
    /// Its bytes without the newline; `None` where there are too many.
    pub(super) bytes: Option<&'a [u8]>,
    /// Its number in the file, from 1.
    pub(super) number: u64,
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// Where the next one begins.
    pub(super) end: u64,
}

/// The lines of one file.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    /// Bytes of that line, also of one that is too long to be kept.
    partial_len: u64,
    /// Lines that have ended.
    ended: u64,
    /// Where the line that has not ended begins.
    offset: u64,
}

impl Lines {
    /// Behind so many lines and bytes.
    pub(super) fn at(ended: u64, offset: u64) -> Self {
        Self {
            ended,
            offset,
            ..Self::default()
        }
    }

    /// Bytes behind the last newline.
    pub(super) const fn torn(&self) -> u64 {
        self.partial_len
    }

    /// The place of the line that has not ended: its number, and where it begins.
    pub(super) const fn place(&self) -> (u64, u64) {
        (self.ended.saturating_add(1), self.offset)
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8], each: &mut dyn FnMut(Line<'_>)) {
        while let Some(at) = newline(bytes) {
            let (line, rest) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
            bytes = rest.get(1..).unwrap_or(&[]);
            let len = self.partial_len.saturating_add(length(line));
            let end = self.offset.saturating_add(len).saturating_add(1);
            self.ended = self.ended.saturating_add(1);
            let whole = if self.partial_len == 0 {
                line
            } else {
                self.keep(line);
                &self.partial
            };
            let fits = usize::try_from(len).is_ok_and(|len| len <= AUDIT_LINE_MAX);
            each(Line {
                bytes: fits.then_some(whole),
                number: self.ended,
                offset: self.offset,
                end,
            });
            self.partial.clear();
            self.partial_len = 0;
            self.offset = end;
        }
        self.keep(bytes);
        self.partial_len = self.partial_len.saturating_add(length(bytes));
    }

    /// Keeps what may become a line of the longest length.
    fn keep(&mut self, bytes: &[u8]) {
        let room = AUDIT_LINE_MAX.saturating_sub(self.partial.len());
        let part = bytes.get(..room.min(bytes.len())).unwrap_or(bytes);
        self.partial.extend_from_slice(part);
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Where the first newline is: in steps of 32 bytes, which the compiler compares at once.
fn newline(bytes: &[u8]) -> Option<usize> {
    let mut at = 0_usize;
    for block in bytes.chunks(32) {
        if block.iter().fold(false, |any, byte| any | (*byte == b'\n')) {
            let within = block.iter().position(|byte| *byte == b'\n')?;
            return Some(at.saturating_add(within));
        }
        at = at.saturating_add(block.len());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// Bytes, number, offset and end.
    type Seen = (Option<Vec<u8>>, u64, u64, u64);

    fn lines(bytes: &[u8], step: usize) -> (Vec<Seen>, u64) {
        let (mut lines, mut all) = (Lines::default(), Vec::new());
        for piece in bytes.chunks(step) {
            lines.feed(piece, &mut |line| {
                let bytes = line.bytes.map(<[u8]>::to_vec);
                all.push((bytes, line.number, line.offset, line.end));
            });
        }
        (all, lines.torn())
    }

    #[test]
    fn pieces_of_any_length() {
        let text = b"one\n\nthree of them, which is a line of more than thirty-two bytes\nrest";
        let whole = lines(text, text.len());
        assert_eq!(whole.0.len(), 3);
        assert_eq!(whole.0[1], (Some(vec![]), 2, 4, 5));
        assert_eq!(whole.1, 4);
        for step in 1..text.len() {
            assert_eq!(lines(text, step), whole);
        }
    }

    #[test]
    fn no_more_than_a_line_is_kept() {
        for (len, fits) in [(AUDIT_LINE_MAX, true), (AUDIT_LINE_MAX + 1, false)] {
            let mut text = vec![b'x'; len];
            text.extend_from_slice(b"\nnext\n");
            for step in [4096, text.len()] {
                let (all, torn) = lines(&text, step);
                assert_eq!((all.len(), torn), (2, 0));
                assert_eq!(all[0].0.is_some(), fits);
                assert_eq!(all[1].0.as_deref(), Some(&b"next"[..]));
                assert_eq!(all[1].2, u64::try_from(len).unwrap() + 1);
            }
        }
        let mut kept = Lines::default();
        for _ in 0..100 {
            kept.feed(&[b'x'; 65536], &mut |_| {});
        }
        assert_eq!(kept.partial.len(), AUDIT_LINE_MAX);
        assert_eq!(kept.torn(), 6_553_600);
    }
}
