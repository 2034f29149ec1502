//! Entries of audit logs.

use mvm_core::audit::{AuditAction, AuditEntry, LocalAuditEvent, LocalAuditKind};
use mvm_core::document::Document;

use crate::support::{assert_agrees, assert_document, assert_names};
use crate::vectors::{behaviour, rows, text};

#[test]
fn documents() {
    assert_document::<LocalAuditKind>("LocalAuditKind", [16, 0, 38, 0]);
    assert_document::<AuditAction>("AuditAction", [28, 0, 62, 0]);
    assert_document::<AuditEntry>("AuditEntry", [5, 6, 21, 6]);
}

/// 0.13.0 wrote `+00:00` for UTC: the instant is the same, and `Z` is written.
#[test]
fn local_events() {
    let mut offsets = 0;
    let (json, min) = (
        rows("json/LocalAuditEvent.jsonl"),
        rows("json_min/LocalAuditEvent.jsonl"),
    );
    assert_eq!((json.len(), min.len()), (5, 6));
    for row in json.iter().chain(&min) {
        let full = row["full"].as_str().unwrap_or_else(|| text(row, "doc"));
        let event: LocalAuditEvent = serde_json::from_str(text(row, "doc")).unwrap();
        let wanted = full.replace("+00:00", "Z");
        assert_eq!(serde_json::to_string(&event).unwrap(), wanted);
        assert_eq!(serde_json::from_str(full).ok(), Some(event));
        offsets += usize::from(full.contains("+00:00"));
    }
    assert_eq!(offsets, 6);
    let bad = rows("json_bad/LocalAuditEvent.jsonl");
    assert_eq!(bad.len(), 15);
    for row in bad {
        assert!(serde_json::from_str::<LocalAuditEvent>(text(&row, "doc")).is_err());
    }
    assert_agrees::<LocalAuditEvent>("LocalAuditEvent");
}

#[test]
fn names() {
    assert_names("LocalAuditKind", LocalAuditKind::ALL);
    assert_names("AuditAction", AuditAction::ALL);
}

/// A time that is none is refused; 0.13.0 took any text.
#[test]
fn laxness() {
    let table = behaviour("json_lax", 16);
    let row = table
        .iter()
        .find(|row| row["type"] == "LocalAuditEvent")
        .unwrap();
    let invalid = LocalAuditEvent::from_json(text(row, "input").as_bytes()).unwrap_err();
    assert_eq!(invalid.problems().len(), 1);
    assert_eq!(invalid.problems()[0].path, "timestamp");
}

#[test]
fn every_problem_of_an_entry() {
    let json = br#"{
        "timestamp": "now", "tenant_id": "A", "pool_id": "", "instance_id": "a/b",
        "action": "Restarted",
        "threats": [{
            "category": "Secret", "pattern_id": "", "severity": "high",
            "matched_text": "", "context": ""
        }],
        "gate_decision": "Allow"
    }"#;
    let invalid = AuditEntry::from_json(json).unwrap_err();
    let paths: Vec<_> = invalid
        .problems()
        .iter()
        .map(|it| it.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "timestamp",
            "tenant_id",
            "pool_id",
            "instance_id",
            "action",
            "threats[0].category",
            "threats[0].severity",
        ]
    );
}
