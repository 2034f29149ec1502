//! Verification, line by line.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::chain::{Chain, LineKind, Unchained, hashed, read_line};
use super::finding::{Fault, Finding, HeadSource, Place, Report};
use super::head::{Head, HeadMessage, KnownHead, LogId, RecordHash};
use super::lines::{Line, Lines};
use super::sidecar::{Sidecar, SidecarError};
use crate::signing::DocumentPublicKey;

/// How many of the last unchained lines a record may leave to the next one: those of programs that know no lock, which
/// came while it was being written. That takes microseconds, but the writer may have to wait for a processor.
const RECENT: usize = 1024;

/// Where a log stands, for those who go on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    pub(crate) log: Option<LogId>,
    pub(crate) generation: u64,
    /// Of the last record.
    pub(crate) seq: u64,
    /// Of the last record.
    pub(crate) hash: RecordHash,
    /// The offset behind the last whole line.
    pub(crate) end: u64,
    /// How many lines that is.
    pub(crate) lines: u64,
    /// All unchained lines so far.
    pub(crate) unchained: Unchained,
    /// How many of them records cover.
    pub(crate) covered: u64,
    /// The offset behind the last record.
    pub(crate) record_end: u64,
    /// The unchained lines in front of it.
    pub(crate) record_unchained: Unchained,
    pub(crate) lost: u64,
    pub(crate) cut: u64,
    /// Whether this file has a record.
    pub(crate) begun: bool,
}

impl Position {
    pub(crate) const START: Self = Self {
        log: None,
        generation: 0,
        seq: 0,
        hash: RecordHash::ZERO,
        end: 0,
        lines: 0,
        unchained: Unchained::NONE,
        covered: 0,
        record_end: 0,
        record_unchained: Unchained::NONE,
        lost: 0,
        cut: 0,
        begun: false,
    };
}

/// Verifies a log, in pieces of any size and in the order of its generations, and holds one line at most, and some
/// 40 KiB where lines are not chained.
///
/// What it finds is told of at once. `found` is called for each; after a finding it goes on.
///
/// ```
/// use mvm_core::audit::{Fault, Verifier};
///
/// // A log of 0.13.0: nothing is chained, and nothing is wrong.
/// let mut verifier = Verifier::new();
/// let mut found = Vec::new();
/// verifier.feed(b"{\"timestamp\":\"2025-01-01T00:00:00Z\",\"kind\":\"vm_s", &mut |fault| found.push(fault));
/// verifier.feed(b"tart\",\"vm_name\":null,\"detail\":null}\n{\"tim", &mut |fault| found.push(fault));
/// verifier.end_file(&mut |fault| found.push(fault));
/// let report = verifier.finish(&mut |fault| found.push(fault));
///
/// assert_eq!((report.records, report.unchained, report.findings), (0, 1, 1));
/// assert_eq!(found[0].fault, Fault::Torn { bytes: 5 });
/// assert_eq!((found[0].place.line, found[0].place.offset), (2, 84));
/// ```
#[derive(Debug)]
pub struct Verifier {
    lines: Lines,
    state: State,
}

#[derive(Debug)]
struct State {
    at: Position,
    /// Whether hashes are looked at; a writer that catches up only follows.
    check: bool,
    file: usize,
    /// What the hash of the last record is, where that differs from what it says.
    computed: RecordHash,
    /// What the unchained lines were before each of the last of them that is not covered, the oldest first.
    recent: VecDeque<Unchained>,
    /// How many unchained lines there were before what was verified is not known.
    unchained_known: bool,
    keys: Vec<DocumentPublicKey>,
    heads: Vec<Expected>,
    sealed: Option<u64>,
    report: Report,
}

#[derive(Debug)]
struct Expected {
    head: KnownHead,
    source: HeadSource,
    /// Whether a trusted key signed it.
    signed: bool,
    met: bool,
}

type Found<'a> = &'a mut dyn FnMut(Finding);

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier {
    /// Knows nothing but the log.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Position::START, true)
    }

    /// Goes on from a position without looking at hashes.
    pub(crate) fn following(at: Position) -> Self {
        Self::with(at, false)
    }

    fn with(at: Position, check: bool) -> Self {
        Self {
            lines: Lines::at(at.lines, at.end),
            state: State {
                at,
                check,
                file: 0,
                computed: at.hash,
                recent: VecDeque::new(),
                unchained_known: true,
                keys: Vec::new(),
                heads: Vec::new(),
                sealed: None,
                report: Report::default(),
            },
        }
    }

    /// Trusts the checkpoints of a key. Keys do not expire here: what was signed in their time stays signed.
    #[must_use]
    pub fn trust(mut self, key: DocumentPublicKey) -> Self {
        self.state.keys.push(key);
        self
    }

    /// Holds the log against a record that is known to have been in it. To be called before the record comes.
    pub fn expect(&mut self, head: KnownHead) {
        self.state.expect(head, HeadSource::Kept, false);
    }

    /// Holds the log against its state. To be called before the first byte, and with a state that was read before the
    /// log.
    pub fn expect_state(&mut self, state: &Sidecar, found: &mut dyn FnMut(Finding)) {
        self.state.sidecar(state, HeadSource::State, found);
    }

    /// Holds the file that comes next against its seal.
    pub fn expect_seal(&mut self, seal: &Sidecar, found: &mut dyn FnMut(Finding)) {
        self.state.sealed = Some(seal.length);
        self.state.sidecar(seal, HeadSource::Seal, found);
    }

    /// Tells of a seal or a state that there is and that cannot be read.
    pub fn damaged(
        &mut self,
        source: HeadSource,
        error: SidecarError,
        found: &mut dyn FnMut(Finding),
    ) {
        let state = &mut self.state;
        let place = Place::new(state.file, state.at.generation, 0, 0);
        state.tell(found, place, Fault::DamagedSidecar { source, error });
    }

    /// The next bytes of a file.
    pub fn feed(&mut self, bytes: &[u8], found: &mut dyn FnMut(Finding)) {
        let state = &mut self.state;
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        state.report.bytes = state.report.bytes.saturating_add(len);
        self.lines.feed(bytes, &mut |line| state.line(&line, found));
    }

    /// The file ends. The next bytes are those of the next generation.
    pub fn end_file(&mut self, found: &mut dyn FnMut(Finding)) {
        let (line, offset) = self.lines.place();
        let state = &mut self.state;
        let place = Place::new(state.file, state.at.generation, line, offset);
        let bytes = self.lines.torn();
        if bytes > 0 {
            state.tell(found, place, Fault::Torn { bytes });
        }
        let length = offset.saturating_add(bytes);
        if let Some(sealed) = state.sealed.take()
            && sealed != length
        {
            let fault = Fault::OtherLength {
                sealed,
                found: length,
            };
            state.tell(found, place, fault);
        }
        state.file = state.file.saturating_add(1);
        state.at.begun = false;
        (state.at.end, state.at.lines) = (0, 0);
        self.lines = Lines::default();
    }

    /// The log ends.
    pub fn finish(mut self, found: &mut dyn FnMut(Finding)) -> Report {
        let (line, offset) = self.lines.place();
        let state = &mut self.state;
        let place = Place::new(state.file, state.at.generation, line, offset);
        let first = state.report.first.map_or(0, |first| first.seq);
        for expected in core::mem::take(&mut state.heads) {
            let (head, source, last) = (expected.head, expected.source, state.at.seq);
            // One that is missing in between was told of.
            if expected.met || (first..last).contains(&head.seq) && state.report.findings > 0 {
                continue;
            }
            let fault = if head.seq < first {
                Fault::Before { head, source }
            } else {
                Fault::Truncated { head, source, last }
            };
            state.tell(found, place, fault);
        }
        if !state.keys.is_empty() && state.report.signed_to.is_none() {
            state.tell(found, place, Fault::Unsigned);
        }
        let at = &state.at;
        let mut report = state.report;
        report.uncovered = at
            .unchained
            .lines
            .saturating_sub(at.covered)
            .min(report.unchained);
        (report.lost, report.cut) = (at.lost, at.cut);
        report
    }

    /// Where it stands, and how many bytes there are behind the last newline.
    pub(crate) fn position(&self) -> (Position, u64) {
        (self.state.at, self.lines.torn())
    }
}

impl State {
    fn tell(&mut self, found: Found<'_>, place: Place, fault: Fault) {
        self.report.findings = self.report.findings.saturating_add(1);
        found(Finding { place, fault });
    }

    fn expect(&mut self, head: KnownHead, source: HeadSource, signed: bool) {
        // Before the first record there is nothing to hold against.
        if head.seq > 0 {
            self.heads.push(Expected {
                head,
                source,
                signed,
                met: false,
            });
        }
    }

    fn sidecar(&mut self, sidecar: &Sidecar, source: HeadSource, found: Found<'_>) {
        let signed = sidecar.signed_by(&self.keys);
        if signed == Some(false) {
            let place = Place::new(self.file, self.at.generation, 0, 0);
            self.tell(found, place, Fault::BadSidecar { source });
        }
        self.expect(sidecar.head.known(), source, signed == Some(true));
    }

    fn line(&mut self, line: &Line<'_>, found: Found<'_>) {
        let place = Place::new(self.file, self.at.generation, line.number, line.offset);
        (self.at.end, self.at.lines) = (line.end, line.number);
        let Some(bytes) = line.bytes else {
            // No record has so many bytes. What it says is not looked at, and its place in the chain of lines is that
            // of an empty one.
            self.unchained(b"", true);
            return;
        };
        match read_line(bytes) {
            LineKind::Record { chain, .. } => self.record(place, bytes, &chain, found),
            LineKind::Unchained => self.unchained(bytes, false),
            LineKind::Malformed => {
                self.unchained(bytes, false);
                self.tell(found, place, Fault::Malformed);
            }
        }
    }

    fn unchained(&mut self, line: &[u8], too_long: bool) {
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(self.at.unchained);
        self.at.unchained = self.at.unchained.and(self.at.seq, line);
        if self.check {
            self.report.unchained = self.report.unchained.saturating_add(1);
            let readable =
                line.is_empty() || serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
            if too_long || !readable {
                self.report.unreadable = self.report.unreadable.saturating_add(1);
            }
        }
    }

    fn record(&mut self, place: Place, line: &[u8], chain: &Chain, found: Found<'_>) {
        let Chain { seq, hash, .. } = *chain;
        let first = self.at.seq == 0;
        let expected = self.at.seq.saturating_add(1);
        let mut previous = Some(self.at.hash);
        if let Some(anchor) = &chain.anchor {
            if self.at.log.is_some_and(|log| log != anchor.log) {
                self.tell(found, place, Fault::OtherLog { seq });
            }
            let follows = [self.at.hash, self.computed].contains(&anchor.previous);
            // Where the first of these files goes on from cannot be told; the first record goes on from nothing.
            let told = seq == expected && (!first || seq == 1);
            if told && !follows {
                self.tell(found, place, Fault::OtherPrevious { seq });
            }
            self.at.log = Some(anchor.log);
            self.at.generation = anchor.generation;
            previous = Some(anchor.previous);
        } else if first || !self.at.begun {
            self.tell(found, place, Fault::NoAnchor { seq });
            previous = previous.filter(|_| !first && seq == expected);
        }
        // What came before a later generation is gone as a matter of course; what came before a record without an
        // anchor was told of.
        let begins_later = first && chain.anchor.is_none_or(|anchor| anchor.generation > 1);
        if seq < expected {
            self.tell(found, place, Fault::OutOfOrder { seq, expected });
            previous = chain.anchor.map(|anchor| anchor.previous);
        } else if seq > expected && !begins_later {
            let (from, to) = (expected, seq.saturating_sub(1));
            self.tell(found, place, Fault::Missing { from, to });
            previous = chain.anchor.map(|anchor| anchor.previous);
        }
        if first && seq != 1 {
            // What came before is not here.
            self.unchained_known = false;
        }
        let other = core::mem::replace(&mut self.computed, hash);
        // Also who only follows must see a line that another one was fused with.
        if self.check || !ends_of_values(line).is_empty() {
            self.check_hash(place, line, chain, (previous, other), found);
        }
        self.covers(place, chain, found);
        self.at.lost = self.at.lost.max(chain.lost.unwrap_or(0));
        self.at.cut = self.at.cut.max(chain.cut.unwrap_or(0));
        (self.at.seq, self.at.hash, self.at.begun) = (seq, hash, true);
        (self.at.record_end, self.at.record_unchained) = (self.at.end, self.at.unchained);
        if self.check {
            self.count(place, chain, found);
        }
    }

    /// Whether the hash fits, and the signature of the record before. `other` is the right hash of a record before
    /// whose hash is wrong.
    fn check_hash(
        &mut self,
        place: Place,
        line: &[u8],
        chain: &Chain,
        (previous, other): (Option<RecordHash>, RecordHash),
        found: Found<'_>,
    ) {
        let (Some(log), Some(previous)) = (self.at.log, previous) else {
            // Nothing to hold it against, which was told of.
            return;
        };
        let Chain { seq, hash, .. } = *chain;
        let computed = RecordHash::of_record(log, previous, hashed(line));
        if computed == hash {
            return self.check_signature(place, chain, log, previous, found);
        }
        if previous == self.at.hash
            && other != previous
            && RecordHash::of_record(log, other, hashed(line)) == hash
        {
            return self.check_signature(place, chain, log, other, found);
        }
        // A program of 0.13.0 writes a line and its newline one after the other, and this record came between.
        for at in ends_of_values(line) {
            let (before, record) = line.split_at_checked(at).unwrap_or((line, &[]));
            if RecordHash::of_record(log, previous, hashed(record)) == hash {
                self.unchained(before, false);
                return self.check_signature(place, chain, log, previous, found);
            }
        }
        self.tell(found, place, Fault::Edited { seq });
        self.computed = computed;
    }

    fn check_signature(
        &mut self,
        place: Place,
        chain: &Chain,
        log: LogId,
        previous: RecordHash,
        found: Found<'_>,
    ) {
        let Some(checkpoint) = &chain.checkpoint else {
            return;
        };
        let seq = chain.seq.saturating_sub(1);
        let key = self
            .keys
            .iter()
            .find(|key| key.fingerprint() == checkpoint.key);
        let Some(key) = key else {
            self.report.unknown_signatures = self.report.unknown_signatures.saturating_add(1);
            self.report.unknown_key = Some(checkpoint.key);
            return;
        };
        if HeadMessage::new(log, seq, previous)
            .verify(key, &checkpoint.signature)
            .is_err()
        {
            self.tell(found, place, Fault::BadCheckpoint { seq });
            return;
        }
        self.signed(seq);
    }

    fn signed(&mut self, seq: u64) {
        self.report.signatures = self.report.signatures.saturating_add(1);
        self.report.signed_to = self.report.signed_to.max(Some(seq));
    }

    /// The unchained lines that a record covers.
    fn covers(&mut self, place: Place, chain: &Chain, found: Found<'_>) {
        let Some(stated) = chain.unchained else {
            return;
        };
        let now = self.at.unchained;
        let fits = stated == now || self.recent.contains(&stated);
        if !fits {
            if self.check && self.unchained_known {
                let seq = chain.seq;
                self.tell(found, place, Fault::UnchainedChanged { seq });
            }
            // From here on what it says.
            self.at.unchained = stated;
            self.recent.clear();
        }
        self.unchained_known = true;
        self.at.covered = stated.lines;
        self.recent.retain(|recent| recent.lines > stated.lines);
    }

    fn count(&mut self, place: Place, chain: &Chain, found: Found<'_>) {
        self.report.records = self.report.records.saturating_add(1);
        let log = self.at.log.unwrap_or(LogId::from_bytes([0; 16]));
        let head = Head::new(log, self.at.generation, chain.seq, chain.hash);
        self.report.first = self.report.first.or(Some(head));
        self.report.last = Some(head);
        let mut faults = Vec::new();
        let mut signed = false;
        for expected in &mut self.heads {
            if expected.head.seq != chain.seq || expected.met {
                continue;
            }
            expected.met = true;
            if expected.head.hash == chain.hash {
                signed |= expected.signed;
            } else {
                let (head, source) = (expected.head, expected.source);
                faults.push(Fault::OtherHead { head, source });
            }
        }
        if signed {
            self.signed(chain.seq);
        }
        for fault in faults {
            self.tell(found, place, fault);
        }
    }
}

/// Where JSON objects end that another one follows directly.
fn ends_of_values(line: &[u8]) -> Vec<usize> {
    let (mut depth, mut text, mut escaped) = (0_usize, false, false);
    let mut ends = Vec::new();
    for (at, byte) in (1_usize..).zip(line) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            b'{' if !text => depth = depth.saturating_add(1),
            b'}' if !text => {
                depth = depth.saturating_sub(1);
                if depth == 0 && line.get(at) == Some(&b'{') && ends.len() < 8 {
                    ends.push(at);
                }
            }
            _ => {}
        }
    }
    ends
}
