//! Audit logs, made from the description of their form alone.
#![allow(dead_code, reason = "each user of these takes a part")]

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha512_256};

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha512_256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A log that is being written.
pub(crate) struct Writer {
    pub(crate) id: [u8; 16],
    pub(crate) seq: u64,
    pub(crate) generation: u64,
    pub(crate) previous: [u8; 32],
    pub(crate) unchained: (u64, [u8; 32]),
    covered: u64,
    pub(crate) anchor: bool,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) const SEED: [u8; 32] = [9; 32];

impl Writer {
    pub(crate) fn new() -> Self {
        Self {
            id: [0x1d; 16],
            seq: 0,
            generation: 1,
            previous: [0; 32],
            unchained: (0, [0; 32]),
            covered: 0,
            anchor: true,
            bytes: Vec::new(),
        }
    }

    pub(crate) fn entry(number: u64) -> String {
        format!(
            r#"{{"timestamp":"2026-02-25T12:00:00Z","kind":"vm_start","vm_name":"vm-{number}","detail":"say \"x\""}}"#
        )
    }

    /// A record; `more` is what stands between number and hash, with a comma in front.
    pub(crate) fn record(&mut self, more: &str) -> &mut Self {
        self.seq += 1;
        let entry = Self::entry(self.seq);
        let mut line = format!(
            r#"{},"chain":{{"seq":{}"#,
            entry.strip_suffix('}').unwrap(),
            self.seq
        );
        if std::mem::take(&mut self.anchor) {
            line += &format!(
                r#","log":"{}","gen":{},"prev":"{}""#,
                hex(&self.id),
                self.generation,
                hex(&self.previous)
            );
        }
        if self.unchained.0 > self.covered {
            let (lines, hash) = self.unchained;
            line += &format!(
                r#","unchained":{{"lines":{lines},"hash":"{}"}}"#,
                hex(&hash)
            );
            self.covered = lines;
        }
        line += more;
        line += r#","hash":""#;
        self.previous = hash(&[
            b"mvm-core/audit-record/v1\0",
            &self.id,
            &self.previous,
            line.as_bytes(),
        ]);
        line += &format!("{}\"}}}}\n", hex(&self.previous));
        self.bytes.extend_from_slice(line.as_bytes());
        self
    }

    /// A record with a signature of the one before.
    pub(crate) fn signed(&mut self) -> &mut Self {
        let key = SigningKey::from_bytes(&SEED);
        let message = [
            &b"mvm-core/audit-head/v1\0"[..],
            &self.id,
            &self.seq.to_be_bytes(),
            &self.previous,
        ]
        .concat();
        let public = key.verifying_key().to_bytes();
        let print = hash(&[b"mvm-core/fingerprint/v1\0", b"document", b"\0", &public]);
        self.record(&format!(
            r#","checkpoint":{{"key":"{}","sig":"{}"}}"#,
            hex(&print[..16]),
            hex(&key.sign(&message).to_bytes())
        ))
    }

    /// A line of 0.13.0.
    pub(crate) fn old(&mut self) -> &mut Self {
        let entry = Self::entry(1000 + self.unchained.0);
        self.count_old(&entry);
        self.bytes.extend_from_slice(entry.as_bytes());
        self.bytes.push(b'\n');
        self
    }

    pub(crate) fn count_old(&mut self, line: &str) {
        self.count_behind(self.seq, line);
    }

    pub(crate) fn count_behind(&mut self, seq: u64, line: &str) {
        let (lines, before) = self.unchained;
        let hash = hash(&[
            b"mvm-core/audit-unchained/v1\0",
            &before,
            &seq.to_be_bytes(),
            line.as_bytes(),
        ]);
        self.unchained = (lines + 1, hash);
    }

    /// What was written so far is a generation.
    pub(crate) fn next_generation(&mut self) -> Vec<u8> {
        self.generation += 1;
        self.anchor = true;
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn head(&self) -> String {
        format!("{}:{}", self.seq, hex(&self.previous))
    }
}
