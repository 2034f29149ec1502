//! What the init says, line by line, on the console.

use crate::kernel::{NOCTTY, NONBLOCK, WRONLY, open, write};

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
        for digit in digits.get(first..).unwrap_or_default() {
            self.push(*digit);
        }
    }
}

/// Says a line, with the next of the texts at each `$` and the next of the numbers at each `#`.
///
/// A console that is not there, or takes nothing, holds nobody up and is no error. It is opened for each line:
/// lines are few, and nothing is kept that a workload could inherit.
#[inline(never)]
pub(crate) fn say(line: &str, texts: &[&[u8]], numbers: &[u64]) {
    let (mut texts, mut numbers) = (texts.iter(), numbers.iter());
    let mut out = Line {
        bytes: [0; LINE_MAX],
        len: 0,
    };
    for byte in b"guest-init: ".iter().chain(line.as_bytes()) {
        match byte {
            b'$' => {
                for byte in texts.next().copied().unwrap_or_default() {
                    // One line stays one line, and a terminal is told nothing.
                    let shown = matches!(byte, b' '..=b'~');
                    out.push(if shown { *byte } else { b'?' });
                }
            }
            b'#' => {
                out.number(numbers.next().copied().unwrap_or_default());
            }
            byte => out.push(*byte),
        }
    }
    out.len = out.len.min(LINE_MAX.saturating_sub(1));
    out.push(b'\n');
    let flags = WRONLY | NOCTTY | NONBLOCK;
    let Ok(console) = open(c"/dev/console", flags) else {
        return;
    };
    let mut rest = out.bytes.get(..out.len).unwrap_or_default();
    while let Ok(written @ 1..) = write(&console, rest) {
        rest = rest.get(written..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
    }
}

/// Says which key is the guest's.
pub(crate) fn say_key(key: &[u8; 32]) {
    let mut digits = [0; 64];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(key) {
        *pair = [byte >> 4, byte & 15].map(|nibble| match nibble {
            0..10 => b'0' | nibble,
            _ => b'a'.wrapping_sub(10).wrapping_add(nibble),
        });
    }
    say("guest key $", &[&digits], &[]);
}
