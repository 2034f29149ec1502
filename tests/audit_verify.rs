//! What verification finds in logs that were made from the description of their form alone.
#![cfg(feature = "alloc")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]

#[path = "common/audit.rs"]
mod audit;

use audit::{SEED, Writer};
use mvm_core::audit::{
    Fault, Finding, HeadSource, KnownHead, LineKind, LocalAuditEvent, Report, Verifier, read_line,
};
use mvm_core::signing::DocumentKey;

/// Verifies files in pieces of `step` bytes.
fn verify_with(mut verifier: Verifier, files: &[&[u8]], step: usize) -> (Vec<Finding>, Report) {
    let mut findings = Vec::new();
    let mut found = |finding| findings.push(finding);
    for file in files {
        for piece in file.chunks(step) {
            verifier.feed(piece, &mut found);
        }
        verifier.end_file(&mut found);
    }
    let report = verifier.finish(&mut found);
    assert_eq!(report.findings, findings.len() as u64);
    assert_eq!(report.is_ok(), findings.is_empty());
    (findings, report)
}

fn verify(files: &[&[u8]]) -> (Vec<Finding>, Report) {
    let (whole, report) = verify_with(Verifier::new(), files, usize::MAX);
    for step in [1, 7, 100] {
        assert_eq!(
            verify_with(Verifier::new(), files, step),
            (whole.clone(), report)
        );
    }
    (whole, report)
}

fn faults(files: &[&[u8]]) -> Vec<Fault> {
    verify(files)
        .0
        .iter()
        .map(|finding| finding.fault)
        .collect()
}

fn held(writer: &Writer, files: &[&[u8]]) -> Vec<Finding> {
    let mut verifier = Verifier::new();
    verifier.expect(writer.head().parse().unwrap());
    verify_with(verifier, files, usize::MAX).0
}

fn key() -> DocumentKey {
    DocumentKey::from_seed(&SEED)
}

/// Records, checkpoints, counts and unchained lines, in two generations.
fn everything() -> (Writer, [Vec<u8>; 2]) {
    let mut writer = Writer::new();
    writer
        .old()
        .old()
        .record("")
        .record(r#","lost":3"#)
        .signed();
    writer.old().record(r#","lost":4,"cut":17"#);
    let first = writer.next_generation();
    writer.old().signed().record("").old().record("");
    let second = writer.bytes.clone();
    (writer, [first, second])
}

#[test]
fn a_whole_log() {
    let (writer, [first, second]) = everything();
    let (findings, report) = verify(&[&first, &second]);
    assert_eq!(findings, []);
    assert_eq!(
        (report.records, report.unchained, report.uncovered),
        (7, 5, 0)
    );
    assert_eq!((report.lost, report.cut, report.unreadable), (4, 17, 0));
    assert_eq!((report.signatures, report.unknown_signatures), (0, 2));
    assert_eq!(report.bytes, (first.len() + second.len()) as u64);
    let last = report.last.unwrap();
    assert_eq!(last.known().to_string(), writer.head());
    assert_eq!((last.generation, report.first.unwrap().seq), (2, 1));
    assert_eq!(held(&writer, &[&first, &second]), []);

    let verifier = Verifier::new().trust(key().public());
    let (findings, report) = verify_with(verifier, &[&first, &second], 64);
    assert_eq!((findings, report.signatures), (vec![], 2));
    assert_eq!(report.signed_to, Some(4));

    // The generation that is left, and the log as one file.
    let (findings, report) = verify(&[&second]);
    assert_eq!((findings, report.first.unwrap().seq), (vec![], 5));
    assert_eq!(verify(&[&[first, second].concat()]).0, []);
}

#[test]
fn a_record_is_an_entry() {
    let (_, [first, _]) = everything();
    let line = first.split(|byte| *byte == b'\n').nth(2).unwrap();
    let LineKind::Record { chain, entry_len } = read_line(line) else {
        panic!("a record")
    };
    let entry = [&line[..entry_len], b"}"].concat();
    assert_eq!(entry, Writer::entry(1).into_bytes());
    assert_eq!((chain.seq, chain.unchained.unwrap().lines), (1, 2));
    assert_eq!(chain.anchor.unwrap().generation, 1);
    // Whole lines are entries too.
    let event: LocalAuditEvent = serde_json::from_slice(line).unwrap();
    assert_eq!(event.vm_name.as_deref(), Some("vm-1"));
}

#[test]
fn every_changed_byte_is_found() {
    let (writer, [first, second]) = everything();
    for (number, file) in [&first, &second].into_iter().enumerate() {
        for at in 0..file.len() {
            {
                let mut changed = file.clone();
                changed[at] ^= [1, 0x20, 0x80][at % 3];
                let files = if number == 0 {
                    [&changed[..], &second[..]]
                } else {
                    [&first[..], &changed[..]]
                };
                let findings = held(&writer, &files);
                assert!(!findings.is_empty(), "byte {at} of file {number}");
                // Not before the line, and not behind the next record.
                let line = file[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
                let place = findings[0].place;
                let near = place.file == number && (line..=line + 3).contains(&place.line);
                // What a later generation says of the end of the one before.
                let next = number == 0 && place.file == 1 && place.line <= 2;
                assert!(
                    near || next,
                    "byte {at} of {number}, line {line}: {place:?}"
                );
            }
        }
    }
}

/// Also the bytes of the last record are found without any head.
#[test]
fn every_changed_byte_of_records_is_found_by_the_log_itself() {
    let mut writer = Writer::new();
    writer.record("").signed().record(r#","lost":1"#);
    for at in 0..writer.bytes.len() {
        for change in (0..8).map(|bit| 1_u8 << bit) {
            let mut changed = writer.bytes.clone();
            changed[at] ^= change;
            let (findings, _) = verify_with(Verifier::new(), &[&changed], usize::MAX);
            assert!(!findings.is_empty(), "byte {at} ^ {change}");
        }
    }
}

#[test]
fn lines_left_out_repeated_and_swapped_are_found() {
    let (writer, [first, second]) = everything();
    let log = [first, second].concat();
    let lines: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
    for at in 0..lines.len() {
        let mut all = lines.clone();
        all.remove(at);
        assert!(!held(&writer, &[&all.concat()]).is_empty(), "without {at}");
        for to in 0..=lines.len() {
            let mut all = lines.clone();
            all.insert(to, lines[at]);
            let mut verifier = Verifier::new();
            verifier.expect(writer.head().parse().unwrap());
            let (findings, report) = verify_with(verifier, &[&all.concat()], usize::MAX);
            // An unchained line behind those that the last record covers is one that no record covers yet.
            let uncovered = report.uncovered == 1 && read_line(lines[at]) == LineKind::Unchained;
            assert!(!findings.is_empty() || uncovered, "{at} again at {to}");
        }
        for other in at + 1..lines.len() {
            let mut all = lines.clone();
            all.swap(at, other);
            assert!(
                !held(&writer, &[&all.concat()]).is_empty(),
                "{at} and {other} swapped"
            );
        }
        // Cut off here.
        let findings = held(&writer, &[&lines[..at].concat()]);
        assert!(
            matches!(
                findings[0].fault,
                Fault::Truncated {
                    source: HeadSource::Kept,
                    ..
                }
            ),
            "{at}: {findings:?}"
        );
    }
    for end in (0..log.len()).step_by(3) {
        assert!(
            !held(&writer, &[&log[..end]]).is_empty(),
            "cut off at {end}"
        );
    }
}

#[test]
fn findings_have_their_place() {
    let mut writer = Writer::new();
    for _ in 0..5 {
        writer.record("");
    }
    let log = String::from_utf8(writer.bytes.clone()).unwrap();
    let offset = log.find("vm-3").unwrap();
    let start = log[..offset].rfind('\n').unwrap() + 1;
    let changed = log.replace("vm-3", "vm-9");
    let (findings, report) = verify(&[changed.as_bytes()]);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].fault, Fault::Edited { seq: 3 });
    let place = findings[0].place;
    assert_eq!(
        (place.file, place.generation, place.line, place.offset),
        (0, 1, 3, start as u64)
    );
    assert_eq!(report.records, 5);

    let without: String = log
        .split_inclusive('\n')
        .enumerate()
        .filter(|(at, _)| *at != 1 && *at != 2)
        .map(|(_, line)| line)
        .collect();
    assert_eq!(
        faults(&[without.as_bytes()]),
        [Fault::Missing { from: 2, to: 3 }]
    );

    // A hash that was changed is told of once.
    let hash = log.lines().nth(1).unwrap();
    let digit = &hash[hash.len() - 20..hash.len() - 3];
    let changed = log.replace(digit, &"0".repeat(digit.len()));
    assert_eq!(faults(&[changed.as_bytes()]), [Fault::Edited { seq: 2 }]);
}

#[test]
fn unchained_lines_hide_nothing() {
    // A record that is made a line of 0.13.0.
    let mut writer = Writer::new();
    writer.record("").record("").record("");
    let log = String::from_utf8(writer.bytes.clone()).unwrap();
    let second = log.lines().nth(1).unwrap();
    let stripped = log.replace(second, &Writer::entry(2));
    assert_eq!(
        faults(&[stripped.as_bytes()]),
        [Fault::Missing { from: 2, to: 2 }]
    );
    let half = log.replace(second, &second.replace(r#""chain":{"seq":2,"#, ""));
    assert_eq!(faults(&[half.as_bytes()])[0], Fault::Malformed);

    // Covered lines; and one that comes behind, which no record covers.
    let mut writer = Writer::new();
    writer.record("").old().old().record("").old();
    let log = String::from_utf8(writer.bytes.clone()).unwrap();
    let (findings, report) = verify(&[log.as_bytes()]);
    assert_eq!(
        (findings, report.unchained, report.uncovered),
        (vec![], 3, 1)
    );
    let covered = Writer::entry(1001);
    let changed = log.replace(&covered, &Writer::entry(2001));
    assert_eq!(
        faults(&[changed.as_bytes()]),
        [Fault::UnchainedChanged { seq: 2 }]
    );
    let removed = log.replace(&(covered + "\n"), "");
    assert_eq!(
        faults(&[removed.as_bytes()]),
        [Fault::UnchainedChanged { seq: 2 }]
    );
}

#[test]
fn what_0_13_0_writes_while_a_record_is_written() {
    // Its line came behind the look at the end, and before the record: the next record covers it.
    let mut writer = Writer::new();
    writer.record("");
    let line = Writer::entry(77) + "\n";
    writer.bytes.extend_from_slice(line.as_bytes());
    writer.record("");
    writer.count_behind(1, line.trim_end());
    writer.record("");
    let (findings, report) = verify(&[&writer.bytes]);
    assert_eq!((findings, report.uncovered), (vec![], 0));

    // Its line had no newline yet, which came behind the record.
    let mut writer = Writer::new();
    writer.record("");
    writer.bytes.extend_from_slice(line.trim_end().as_bytes());
    writer.record("");
    writer.bytes.push(b'\n');
    writer.count_behind(1, line.trim_end());
    writer.count_old("");
    writer.record("");
    let (findings, report) = verify(&[&writer.bytes]);
    assert_eq!((findings, report.records), (vec![], 3));
    assert_eq!((report.unchained, report.unreadable), (2, 0));
}

#[test]
fn signatures() {
    let (_, [first, second]) = everything();
    let trusting = || Verifier::new().trust(key().public());
    // A log without one, by somebody who makes all hashes right.
    let mut forged = Writer::new();
    forged.record("").record("");
    let (findings, _) = verify_with(trusting(), &[&forged.bytes], 64);
    assert_eq!(findings[0].fault, Fault::Unsigned);
    // Written anew with signatures of the right log.
    let text = String::from_utf8(second.clone()).unwrap();
    let at = text.find(r#""checkpoint""#).unwrap();
    let checkpoint = &text[at..at + text[at..].find('}').unwrap() + 1];
    let mut forged = Writer::new();
    forged.record("").record(&format!(",{checkpoint}"));
    let (findings, _) = verify_with(trusting(), &[&forged.bytes], 64);
    assert_eq!(findings[0].fault, Fault::BadCheckpoint { seq: 1 });
    // Another key.
    let other = DocumentKey::from_seed(&[8; 32]).public();
    let (findings, report) = verify_with(Verifier::new().trust(other), &[&first, &second], 64);
    assert_eq!(
        (findings[0].fault, report.unknown_signatures),
        (Fault::Unsigned, 2)
    );
    assert_eq!(report.unknown_key, Some(key().public().fingerprint()));
}

#[test]
fn heads() {
    let (writer, [first, second]) = everything();
    let mut other: KnownHead = writer.head().parse().unwrap();
    other.seq = 3;
    let mut verifier = Verifier::new();
    verifier.expect(other);
    let (findings, _) = verify_with(verifier, &[&first, &second], 64);
    let source = HeadSource::Kept;
    assert_eq!(
        findings[0].fault,
        Fault::OtherHead {
            head: other,
            source
        }
    );
    let mut verifier = Verifier::new();
    verifier.expect(other);
    let (findings, _) = verify_with(verifier, &[&second], 64);
    assert_eq!(
        findings[0].fault,
        Fault::Before {
            head: other,
            source
        }
    );
    for text in [
        "",
        "1",
        "1:",
        "0:00",
        &format!("0:{}", "a".repeat(64)),
        &format!("01:{}", "a".repeat(64)),
        &format!("1:{}", "g".repeat(64)),
    ] {
        assert!(text.parse::<KnownHead>().is_err(), "{text}");
    }
}
