//! The kernel's text files, read line by line in a small buffer.

/// Gives each complete line of a file that is read in pieces, without its end, to `line`.
///
/// A line longer than `buffer` is given in pieces: what is looked for stands at the front of lines.
pub fn lines(
    buffer: &mut [u8],
    mut read: impl FnMut(&mut [u8]) -> Option<usize>,
    mut line: impl FnMut(&[u8]),
) {
    let mut end: usize = 0;
    loop {
        let space = buffer.get_mut(end..).unwrap_or_default();
        let got = match read(space) {
            Some(got) if got > 0 && got <= space.len() => got,
            _ => break,
        };
        end = end.saturating_add(got);
        let mut start: usize = 0;
        loop {
            let rest = buffer.get(start..end).unwrap_or_default();
            let Some(len) = rest.iter().position(|byte| *byte == b'\n') else {
                break;
            };
            line(rest.get(..len).unwrap_or_default());
            start = start.saturating_add(len).saturating_add(1);
        }
        if start == 0 && end == buffer.len() {
            line(buffer);
            start = end;
        }
        buffer.copy_within(start..end, 0);
        end = end.saturating_sub(start);
    }
    if end > 0 {
        line(buffer.get(..end).unwrap_or_default());
    }
}

/// The numbers of a line, from left to right; what is no number is skipped.
pub fn numbers(line: &[u8]) -> impl Iterator<Item = u64> {
    line.split(|byte| !byte.is_ascii_alphanumeric())
        .filter_map(number)
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

/// The first number of a line that begins with `name`.
pub fn field(line: &[u8], name: &str) -> Option<u64> {
    numbers(line.strip_prefix(name.as_bytes())?).next()
}

/// Busy and idle ticks of the line `cpu ` of `/proc/stat`.
pub fn cpu(line: &[u8]) -> Option<(u64, u64)> {
    let mut busy: u64 = 0;
    let mut idle: u64 = 0;
    // user nice system idle iowait irq softirq steal; what guests of this guest use is in user already.
    for (at, ticks) in numbers(line.strip_prefix(b"cpu ")?).take(8).enumerate() {
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
    let mut counts = numbers(counts);
    let received = counts.next()?;
    Some(received.saturating_add(counts.nth(7)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &[u8], piece: usize, buffer: usize) -> Vec<Vec<u8>> {
        let mut rest = text;
        let mut got = Vec::new();
        let mut buffer = vec![0; buffer];
        lines(
            &mut buffer,
            |space| {
                let n = piece.min(rest.len()).min(space.len());
                space[..n].copy_from_slice(&rest[..n]);
                rest = &rest[n..];
                Some(n)
            },
            |line| got.push(line.to_vec()),
        );
        got
    }

    #[test]
    fn lines_come_whole_however_they_are_read() {
        let text = b"MemTotal:  1 kB\n\nMemAvailable: 22 kB\nlast";
        let whole: Vec<Vec<u8>> = text
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        for piece in 1..50 {
            assert_eq!(split(text, piece, 32), whole, "{piece}");
        }
        // A line that is too long comes in pieces, and nothing of it is lost.
        assert_eq!(split(text, 7, 8).concat(), whole.concat());
    }

    #[test]
    fn a_failed_or_lying_read_ends_it() {
        let mut seen = 0;
        lines(&mut [0; 8], |_| None, |_| seen += 1);
        lines(&mut [0; 8], |_| Some(9), |_| seen += 1);
        lines(&mut [], |_| Some(0), |_| seen += 1);
        assert_eq!(seen, 0);
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
