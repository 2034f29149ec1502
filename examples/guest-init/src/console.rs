//! What the init says, line by line, on the console.

use heapless::String;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};

const PREFIX: &str = "guest-init: ";

/// A line that is being put together; what does not fit is left out.
pub(crate) struct Line(String<192, u8>);

impl Line {
    pub(crate) fn new(text: &str) -> Self {
        Self(String::new()).text(PREFIX).text(text)
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        for c in text.chars() {
            // One line stays one line, and a terminal is told nothing.
            let _ = self.0.push(if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
        }
        self
    }

    pub(crate) fn number(mut self, value: u64) -> Self {
        let mut digits = [0; 20];
        let mut rest = value;
        let mut count: usize = 0;
        for place in digits.iter_mut().rev() {
            // Below ten.
            *place = (rest % 10) as u8;
            rest /= 10;
            count = count.saturating_add(1);
            if rest == 0 {
                break;
            }
        }
        for digit in digits.iter().skip(digits.len().saturating_sub(count)) {
            let _ = self.0.push(char::from(b'0'.saturating_add(*digit)));
        }
        self
    }

    pub(crate) fn hex(mut self, bytes: &[u8]) -> Self {
        for nibble in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
            let _ = self.0.push(char::from_digit(u32::from(nibble), 16).unwrap_or('?'));
        }
        self
    }

    /// Writes it. A console that is not there, or takes nothing, holds nobody up for long and is no error.
    pub(crate) fn say(mut self) {
        if self.0.push('\n').is_err() {
            let _ = self.0.pop();
            let _ = self.0.push('\n');
        }
        let Some(console) = console() else { return };
        let mut rest = self.0.as_bytes();
        while let Ok(written @ 1..) = rustix::io::write(&console, rest) {
            rest = rest.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
        }
    }
}

/// Opened for each line: lines are few, and nothing has to be kept that a workload could inherit.
pub(crate) fn console() -> Option<OwnedFd> {
    open(c"/dev/console", OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).ok()
}
