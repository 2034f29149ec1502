//! Audit logs of both versions, in one file.

use std::time::Duration;

use mvm_core::audit::{
    AuditEntry, AuditLog, AuditLogOptions, Durability, LocalAuditEvent, LocalAuditKind,
    LocalAuditLog, Tail, verify_log,
};
use mvm_core::signing::DocumentKey;
use mvm_core_exchange::source::{Any, Source};

fn options() -> AuditLogOptions {
    AuditLogOptions::new()
        .durability(Durability::None)
        .max_len(6000)
        .generations(1000)
        .sign_with(DocumentKey::from_seed(&[5; 32]))
        .checkpoints(3, Duration::from_secs(3600))
}

/// Every line that is written, with all members that a record can have, is an entry of 0.13.0, the same one.
#[test]
fn records_are_entries_of_0_13_0() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let log = AuditLog::<AuditEntry>::open(&path, options()).unwrap();
    let mut written = Vec::new();
    for number in 0..60_u64 {
        let numbers: Vec<u64> = (0..400_u64)
            .map(|at| {
                (at + 1)
                    .wrapping_mul(number + 7)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    >> 7
            })
            .collect();
        let entry = AuditEntry::any(&mut Source::new(&numbers));
        if number % 9 == 4 {
            let mut file = std::fs::OpenOptions::new()
                .append(true)
                .open(&path)
                .unwrap();
            std::io::Write::write_all(&mut file, b"{\"torn").unwrap();
        }
        log.append(&entry).unwrap();
        written.push(serde_json::to_value(&entry).unwrap());
    }
    let report = verify_log(&path, |finding| panic!("{finding:?}"), |verifier| verifier).unwrap();
    assert!(
        report.cut > 0 && report.unknown_signatures > 10 && report.last.unwrap().generation > 2
    );
    let mut tail = Tail::<AuditEntry>::open(&path, usize::MAX).unwrap();
    let mut read = Vec::new();
    while let Some(line) = tail.next_line(Duration::ZERO).unwrap() {
        let old: old::audit::AuditEntry = serde_json::from_slice(&line.line).unwrap();
        read.push(serde_json::to_value(&old).unwrap());
    }
    assert_eq!(read, written);
}

/// 0.13.0 and this crate write one log in turn.
#[test]
fn a_log_of_both() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log").join("audit.jsonl");
    let old_log = old::audit::LocalAuditLog::open(&path).unwrap();
    let old_event = || {
        old::audit::LocalAuditEvent::now(
            old::audit::LocalAuditKind::VmStop,
            Some("dev".into()),
            None,
        )
    };
    old_log.append(&old_event()).unwrap();
    let log = LocalAuditLog::open(&path, options().max_len(1 << 20)).unwrap();
    for _ in 0..20 {
        let now = "2026-02-25T12:00:00Z".parse().unwrap();
        log.append(&LocalAuditEvent::new(
            now,
            LocalAuditKind::VmStart,
            None,
            None,
        ))
        .unwrap();
        old_log.append(&old_event()).unwrap();
    }
    let report = verify_log(&path, |finding| panic!("{finding:?}"), |verifier| verifier).unwrap();
    assert_eq!(
        (report.records, report.unchained, report.uncovered),
        (20, 21, 1)
    );
    let text = std::fs::read_to_string(&path).unwrap();
    for line in text.lines() {
        serde_json::from_str::<old::audit::LocalAuditEvent>(line).unwrap();
        serde_json::from_str::<LocalAuditEvent>(line).unwrap();
    }
    assert_eq!(text.lines().count(), 41);
}
