//! The members that make an entry a record of a chain.

use alloc::vec::Vec;

use super::cursor::{Cursor, push_hex, push_number};
use super::head::{HeadMessage, LogId, RecordHash};
use crate::signing::{DocumentKey, Fingerprint, Signature};

/// What begins the member of a record. In JSON it cannot be part of a text, where quotation marks have a backslash.
const MARK: &[u8] = b",\"chain\":{";
/// What stands in front of the hash's digits.
const HASH: &[u8] = b"\"hash\":\"";
/// What stands behind them.
const END: &[u8] = b"\"}}";
/// Digits of a hash.
const DIGITS: usize = 64;
/// More than the longest member has.
const MEMBER_MAX: usize = 1024;

/// From where a chain goes on: in the first record of each generation, and where a writer found the log shorter than it
/// had been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Anchor {
    /// Which log it is.
    pub log: LogId,
    /// The generation, from 1.
    pub generation: u64,
    /// The hash of the record before, zeros for the first.
    pub previous: RecordHash,
}

/// Unchained lines since the log began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unchained {
    /// How many there are.
    pub lines: u64,
    /// The hash of all of them.
    pub hash: RecordHash,
}

impl Unchained {
    /// None.
    pub const NONE: Self = Self {
        lines: 0,
        hash: RecordHash::ZERO,
    };

    /// These and one more, behind the record with this number.
    pub(super) fn and(self, seq: u64, line: &[u8]) -> Self {
        Self {
            lines: self.lines.saturating_add(1),
            hash: self.hash.and_unchained(seq, line),
        }
    }
}

/// A signature of the record before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Whose key signed.
    pub key: Fingerprint,
    /// The signature.
    pub signature: Signature,
}

impl Checkpoint {
    pub(crate) fn sign(key: &DocumentKey, log: LogId, seq: u64, hash: RecordHash) -> Self {
        Self {
            key: key.public().fingerprint(),
            signature: HeadMessage::new(log, seq, hash).sign(key),
        }
    }

    pub(super) fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(b"\"key\":\"");
        push_hex(into, self.key.as_bytes());
        into.extend_from_slice(b"\",\"sig\":\"");
        push_hex(into, self.signature.as_bytes());
        into.push(b'"');
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.literal(b"\"key\":\"")?;
        let key = Fingerprint::from_bytes(cursor.hex()?);
        cursor.literal(b"\",\"sig\":\"")?;
        let signature = Signature::from_bytes(cursor.hex()?);
        cursor.literal(b"\"")?;
        Some(Self { key, signature })
    }
}

impl Unchained {
    pub(super) fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(b"\"unchained\":{\"lines\":");
        push_number(into, self.lines);
        into.extend_from_slice(b",\"hash\":\"");
        push_hex(into, self.hash.as_bytes());
        into.extend_from_slice(b"\"}");
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.literal(b"\"unchained\":{\"lines\":")?;
        let lines = cursor.number()?;
        cursor.literal(b",\"hash\":\"")?;
        let hash = RecordHash::from_bytes(cursor.hex()?);
        cursor.literal(b"\"}")?;
        Some(Self { lines, hash })
    }
}

/// What a record says beside its entry; see the [form of a log](crate::audit#the-form-of-a-log).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chain {
    /// The number of the record, from 1.
    pub seq: u64,
    /// From where the chain goes on, where it does not go on from the line before.
    pub anchor: Option<Anchor>,
    /// The unchained lines that this record covers, where there are new ones.
    pub unchained: Option<Unchained>,
    /// How many records could not be written since the log began, where there are new ones.
    pub lost: Option<u64>,
    /// How many bytes of torn lines were cut off since the log began, where there are new ones.
    pub cut: Option<u64>,
    /// A signature of the record before.
    pub checkpoint: Option<Checkpoint>,
    /// The hash that the record says it has.
    pub hash: RecordHash,
}

/// [`Chain`] without the hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Members {
    pub(crate) seq: u64,
    pub(crate) anchor: Option<(LogId, u64, RecordHash)>,
    pub(crate) unchained: Option<Unchained>,
    pub(crate) lost: Option<u64>,
    pub(crate) cut: Option<u64>,
    pub(crate) checkpoint: Option<Checkpoint>,
}

/// Makes an entry's JSON a whole line with its newline, and gives its hash. `None` where it is not an object with
/// members.
pub(crate) fn finish_line(
    line: &mut Vec<u8>,
    members: &Members,
    log: LogId,
    previous: RecordHash,
) -> Option<RecordHash> {
    if line.pop() != Some(b'}') || line.ends_with(b"{") {
        return None;
    }
    line.extend_from_slice(MARK);
    line.extend_from_slice(b"\"seq\":");
    push_number(line, members.seq);
    if let Some((log, generation, previous)) = &members.anchor {
        line.extend_from_slice(b",\"log\":\"");
        push_hex(line, log.as_bytes());
        line.extend_from_slice(b"\",\"gen\":");
        push_number(line, *generation);
        line.extend_from_slice(b",\"prev\":\"");
        push_hex(line, previous.as_bytes());
        line.push(b'"');
    }
    if let Some(unchained) = &members.unchained {
        line.push(b',');
        unchained.write(line);
    }
    for (name, number) in [
        (&b",\"lost\":"[..], members.lost),
        (b",\"cut\":", members.cut),
    ] {
        if let Some(number) = number {
            line.extend_from_slice(name);
            push_number(line, number);
        }
    }
    if let Some(checkpoint) = &members.checkpoint {
        line.extend_from_slice(b",\"checkpoint\":{");
        checkpoint.write(line);
        line.push(b'}');
    }
    line.push(b',');
    line.extend_from_slice(HASH);
    let hash = RecordHash::of_record(log, previous, line);
    push_hex(line, hash.as_bytes());
    line.extend_from_slice(END);
    line.push(b'\n');
    Some(hash)
}

/// What a line of a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[allow(
    clippy::large_enum_variant,
    reason = "most lines are records, and a box for each would cost more"
)]
pub enum LineKind {
    /// It has the form of a record. Whether its hash fits is not known yet.
    Record {
        /// What it says.
        chain: Chain,
        /// Bytes of the entry, whose closing brace is not among them.
        entry_len: usize,
    },
    /// What 0.13.0 or somebody else wrote.
    Unchained,
    /// It has the mark of a record and not its form.
    Malformed,
}

/// Tells what a line is. `line` has no newline.
///
/// ```
/// use mvm_core::audit::{LineKind, read_line};
///
/// assert_eq!(read_line(br#"{"kind":"vm_start"}"#), LineKind::Unchained);
/// assert_eq!(read_line(br#"{"kind":"vm_start","chain":{"seq":1}}"#), LineKind::Malformed);
/// ```
#[must_use]
pub fn read_line(line: &[u8]) -> LineKind {
    if let Some(entry_len) = last_mark(line)
        && let Some(chain) = line
            .get(entry_len.saturating_add(MARK.len())..)
            .and_then(read_chain)
    {
        return LineKind::Record { chain, entry_len };
    }
    if looks_like_a_record(line) {
        LineKind::Malformed
    } else {
        LineKind::Unchained
    }
}

/// Bytes of a record's line that are hashed.
pub(super) fn hashed(line: &[u8]) -> &[u8] {
    let rest = DIGITS.saturating_add(END.len());
    line.get(..line.len().saturating_sub(rest)).unwrap_or(&[])
}

/// Where the last mark is, not further from the end than it can be.
fn last_mark(line: &[u8]) -> Option<usize> {
    let mut end = line.len();
    let least = end.saturating_sub(MEMBER_MAX);
    // Marks begin with the one comma that stands in front of the word.
    while let Some(at) = line
        .get(least..end)
        .and_then(|part| part.iter().rposition(|byte| *byte == b','))
    {
        let at = least.saturating_add(at);
        if line.get(at..).is_some_and(|rest| rest.starts_with(MARK)) {
            return Some(at);
        }
        end = at;
    }
    None
}

/// No single change to a record takes both the mark and the end away.
fn looks_like_a_record(line: &[u8]) -> bool {
    let ends = line.strip_suffix(END).is_some_and(|rest| {
        rest.len()
            .checked_sub(DIGITS)
            .and_then(|at| rest.split_at_checked(at))
            .is_some_and(|(rest, digits)| {
                rest.ends_with(HASH) && digits.iter().all(u8::is_ascii_hexdigit)
            })
    });
    ends || line.windows(MARK.len()).any(|part| part == MARK)
}

/// Everything behind the mark.
fn read_chain(bytes: &[u8]) -> Option<Chain> {
    let mut cursor = Cursor(bytes);
    cursor.literal(b"\"seq\":")?;
    let seq = cursor.number().filter(|seq| *seq > 0)?;
    cursor.literal(b",")?;
    let mut anchor = None;
    if cursor.eat(b"\"log\":\"") {
        let log = LogId::from_bytes(cursor.hex()?);
        cursor.literal(b"\",\"gen\":")?;
        let generation = cursor.number().filter(|generation| *generation > 0)?;
        cursor.literal(b",\"prev\":\"")?;
        let previous = RecordHash::from_bytes(cursor.hex()?);
        cursor.literal(b"\",")?;
        anchor = Some(Anchor {
            log,
            generation,
            previous,
        });
    }
    let mut unchained = None;
    if cursor.0.starts_with(b"\"unchained\"") {
        unchained = Some(Unchained::read(&mut cursor)?);
        cursor.literal(b",")?;
    }
    let mut count = |name: &[u8]| -> Option<Option<u64>> {
        if !cursor.eat(name) {
            return Some(None);
        }
        let number = cursor.number()?;
        cursor.literal(b",")?;
        Some(Some(number))
    };
    let lost = count(b"\"lost\":")?;
    let cut = count(b"\"cut\":")?;
    let mut checkpoint = None;
    if cursor.eat(b"\"checkpoint\":{") {
        checkpoint = Some(Checkpoint::read(&mut cursor)?);
        cursor.literal(b"},")?;
    }
    cursor.literal(HASH)?;
    let hash = RecordHash::from_bytes(cursor.hex()?);
    cursor.literal(END)?;
    cursor.0.is_empty().then_some(Chain {
        seq,
        anchor,
        unchained,
        lost,
        cut,
        checkpoint,
        hash,
    })
}
