//! What the init says, line by line, on the console.

use rustix::fs::{Mode, OFlags, open};

/// A piece of a line.
#[derive(Clone, Copy)]
pub(crate) enum Part<'a> {
    Text(&'a str),
    /// Text of somebody else.
    Bytes(&'a [u8]),
    Number(u64),
    Hex(&'a [u8]),
}
pub(crate) use Part::{Bytes, Hex, Number, Text};

/// Longest line, its end included, in bytes; of a longer one the rest is left out.
const LINE_MAX: usize = 192;

struct Line {
    bytes: [u8; LINE_MAX],
    len: usize,
}

impl Line {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len = self.len.saturating_add(1);
        }
    }

    fn push_all(&mut self, bytes: &[u8]) {
        for byte in bytes {
            // One line stays one line, and a terminal is told nothing.
            self.push(if matches!(byte, b' '..=b'~') {
                *byte
            } else {
                b'?'
            });
        }
    }

    fn number(&mut self, value: u64) {
        let mut digits = [0; 20];
        let mut rest = value;
        let mut first = digits.len();
        for (at, place) in digits.iter_mut().enumerate().rev() {
            // Below ten.
            #[allow(clippy::cast_possible_truncation, clippy::as_conversions)]
            {
                *place = b'0' | (rest % 10) as u8;
            }
            rest /= 10;
            first = at;
            if rest == 0 {
                break;
            }
        }
        self.push_all(digits.get(first..).unwrap_or_default());
    }
}

/// Says a line. A console that is not there, or takes nothing, holds nobody up and is no error. It is opened
/// for each line: lines are few, and nothing is kept that a workload could inherit.
pub(crate) fn say(parts: &[Part<'_>]) {
    let mut line = Line {
        bytes: [0; LINE_MAX],
        len: 0,
    };
    line.push_all(b"guest-init: ");
    for part in parts {
        match *part {
            Text(text) => line.push_all(text.as_bytes()),
            Bytes(bytes) => line.push_all(bytes),
            Number(value) => line.number(value),
            Hex(bytes) => {
                for nibble in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
                    line.push(if nibble < 10 {
                        b'0' | nibble
                    } else {
                        b'a'.wrapping_sub(10).wrapping_add(nibble)
                    });
                }
            }
        }
    }
    line.len = line.len.min(LINE_MAX.saturating_sub(1));
    line.push(b'\n');
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(console) = open(c"/dev/console", flags, Mode::empty()) else {
        return;
    };
    let mut rest = line.bytes.get(..line.len).unwrap_or_default();
    while let Ok(written @ 1..) = rustix::io::write(&console, rest) {
        rest = rest.get(written..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
    }
}
