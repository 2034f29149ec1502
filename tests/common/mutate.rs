//! Changes to bytes, the same on every machine and in every run.

/// Marsaglia's xorshift64.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `end`; 0 where that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        match end {
            0 => 0,
            _ => (self.next() >> 11) as usize % end,
        }
    }
}

/// One to four changes of `bytes`: what a fuzzer does, without the guidance.
pub(crate) fn mutate(bytes: &[u8], others: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(out.len() + 1);
        let to = at + random.below(out.len() - at + 1).min(16);
        match random.below(9) {
            0 | 1 if at < out.len() => out[at] ^= 1 << random.below(8),
            2 if at < out.len() => {
                out[at] = [0, 1, 0x7f, 0x80, 0xff, b'-', b'/', b'\n', b'9'][random.below(9)];
            }
            3 => out.truncate(at),
            4 => out.insert(at, random.next() as u8),
            5 => drop(out.drain(at..to)),
            6 => {
                let piece = out[at..to].to_vec();
                let into = random.below(out.len() + 1);
                out.splice(into..into, piece);
            }
            7 if !others.is_empty() => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len() + 1);
                out.truncate(at);
                out.extend_from_slice(&other[from..]);
            }
            _ => {
                let count = random.below(12);
                out.extend((0..count).map(|_| random.next() as u8));
            }
        }
    }
    out
}
