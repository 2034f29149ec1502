//! The kernel's text files, line by line.

use crate::messages::Numbers;

/// Longest line that is kept, in bytes: what is looked for stands at the front of lines.
pub const LINE_MAX: usize = 384;

/// Makes lines of a file that is read in pieces.
#[derive(Debug)]
pub struct Lines {
    kept: [u8; LINE_MAX],
    len: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

impl Lines {
    /// At the beginning of a file.
    pub const fn new() -> Self {
        Self {
            kept: [0; LINE_MAX],
            len: 0,
        }
    }

    /// Takes the next byte, and gives the line that it ends, without the end. Of a line longer than
    /// [`LINE_MAX`] the rest is left out.
    pub fn push(&mut self, byte: u8) -> Option<&[u8]> {
        if byte == b'\n' {
            let line = self.kept.get(..self.len);
            self.len = 0;
            return line;
        }
        if let Some(place) = self.kept.get_mut(self.len) {
            *place = byte;
            self.len = self.len.saturating_add(1);
        }
        None
    }
}

/// Puts what a line of `meminfo`, `vmstat`, `smaps_rollup`, `stat` or `net/dev` says to its place. No name
/// stands in two of them.
pub fn take(all: &mut Numbers, line: &[u8]) {
    for (name, place) in [
        ("MemTotal:", &mut all.memory_total_kib),
        ("MemAvailable:", &mut all.memory_available_kib),
        ("oom_kill ", &mut all.oom_kills),
        ("Rss:", &mut all.init_resident_kib),
        ("Anonymous:", &mut all.init_anonymous_kib),
    ] {
        if let Some(value) = field(line, name) {
            *place = value;
        }
    }
    if let Some((busy, idle)) = cpu(line) {
        (all.busy_ticks, all.idle_ticks) = (busy, idle);
    }
    let bytes = interface(line).unwrap_or_default();
    all.network_bytes = all.network_bytes.saturating_add(bytes);
}

/// The same of `loadavg`: "0.20 0.18 0.12 1/80 11206", which is load in two numbers, twice more, running,
/// all, the last process.
pub fn take_load(all: &mut Numbers, line: &[u8]) {
    let mut parts = Parts(line);
    let whole = parts.next().unwrap_or_default().saturating_mul(100);
    all.load_hundredths = whole.saturating_add(parts.next().unwrap_or_default());
    all.processes = parts.nth(5).unwrap_or_default();
}

/// The numbers of a line, from left to right; what is no number is skipped.
struct Parts<'a>(&'a [u8]);

impl Iterator for Parts<'_> {
    type Item = u64;

    #[inline(never)]
    fn next(&mut self) -> Option<u64> {
        while !self.0.is_empty() {
            let end = self.0.iter().position(|byte| !byte.is_ascii_alphanumeric());
            let (part, rest) = self.0.split_at_checked(end.unwrap_or(self.0.len()))?;
            self.0 = rest.get(1..).unwrap_or_default();
            if let Some(value) = number(part) {
                return Some(value);
            }
        }
        None
    }
}

/// Bytes that are ASCII, as text. (To find out whether they are UTF-8 takes 700 bytes of code.)
#[allow(unsafe_code)]
pub fn ascii(bytes: &[u8]) -> Option<&str> {
    if !bytes.iter().all(u8::is_ascii) {
        return None;
    }
    // SAFETY: ASCII is UTF-8.
    unsafe { Some(str::from_utf8_unchecked(bytes)) }
}

/// A decimal number and nothing else.
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// What stands behind `front`, with which the text begins.
pub(crate) fn after<'a>(text: &'a [u8], front: &[u8]) -> Option<&'a [u8]> {
    let (begin, rest) = text.split_at_checked(front.len())?;
    (begin == front).then_some(rest)
}

/// The first number of a line that begins with `name`.
pub fn field(line: &[u8], name: &str) -> Option<u64> {
    Parts(after(line, name.as_bytes())?).next()
}

/// Busy and idle ticks of the line `cpu ` of `/proc/stat`.
pub fn cpu(line: &[u8]) -> Option<(u64, u64)> {
    let mut busy: u64 = 0;
    let mut idle: u64 = 0;
    // user nice system idle iowait irq softirq steal; what guests of this guest use is in user already.
    for (at, ticks) in Parts(after(line, b"cpu ")?).take(8).enumerate() {
        let sum = if at == 3 || at == 4 {
            &mut idle
        } else {
            &mut busy
        };
        *sum = sum.saturating_add(ticks);
    }
    Some((busy, idle))
}

/// Received and sent bytes of a line of `/proc/net/dev`, of every interface but `lo`.
pub fn interface(line: &[u8]) -> Option<u64> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, counts) = line.split_at_checked(colon)?;
    if name.trim_ascii() == b"lo" {
        return None;
    }
    let mut counts = Parts(counts);
    let received = counts.next()?;
    Some(received.saturating_add(counts.nth(7)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Lines::new();
        let mut got = Vec::new();
        for byte in text {
            got.extend(lines.push(*byte).map(<[u8]>::to_vec));
        }
        got
    }

    #[test]
    fn lines_come_whole_but_for_what_is_too_long() {
        let text = b"MemTotal:  1 kB\n\nMemAvailable: 22 kB\n";
        let lines: [&[u8]; 3] = [b"MemTotal:  1 kB", b"", b"MemAvailable: 22 kB"];
        assert_eq!(split(text), lines);
        assert_eq!(split(b"not ended"), [[0; 0]; 0]);
        let long = [[b'a'; LINE_MAX + 9].as_slice(), b"\nb\n"].concat();
        assert_eq!(split(&long), [vec![b'a'; LINE_MAX], vec![b'b']]);
    }

    #[test]
    fn every_file_gives_its_numbers() {
        let mut all = Numbers::default();
        for line in split(include_bytes!("proc.txt")) {
            take(&mut all, &line);
        }
        take_load(&mut all, b"0.20 0.18 0.12 1/80 11206");
        let expected = Numbers {
            load_hundredths: 20,
            memory_total_kib: 229_380,
            memory_available_kib: 196_512,
            processes: 80,
            oom_kills: 3,
            init_resident_kib: 100,
            init_anonymous_kib: 24,
            busy_ticks: 27,
            idle_ticks: 90,
            network_bytes: 1050,
            ..Numbers::default()
        };
        assert_eq!(all, expected);
    }

    #[test]
    fn fields() {
        assert_eq!(
            field(b"MemAvailable:   220156 kB", "MemAvailable:"),
            Some(220_156)
        );
        assert_eq!(field(b"oom_kill 3", "oom_kill "), Some(3));
        assert_eq!(field(b"oom_kill_x 3", "oom_kill "), None);
        assert_eq!(field(b"VmRSS: 99999999999999999999 kB", "VmRSS:"), None);
        assert_eq!(field(b"VmRSS:", "VmRSS:"), None);
        assert_eq!(field(b"", "VmRSS:"), None);
    }

    #[test]
    fn processors_and_interfaces() {
        assert_eq!(cpu(b"cpu  1 2 3 40 50 6 7 8 900 900"), Some((27, 90)));
        assert_eq!(cpu(b"cpu0 1 2 3 4"), None);
        let eth0 = b"  eth0: 1000 1 0 0 0 0 0 0 50 1 0 0 0 0 0 0";
        assert_eq!(interface(eth0), Some(1050));
        assert_eq!(interface(b"    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0"), None);
        assert_eq!(interface(b" face |bytes packets"), None);
        assert_eq!(interface(b"  eth0: 1000 1"), None);
    }
}
