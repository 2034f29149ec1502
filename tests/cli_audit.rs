//! `audit` as a program sees it: exit codes, JSON, and what people read.
#![cfg(all(feature = "cli", unix))]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use mvm_core::audit::{
    AuditLogOptions, Durability, Head, LocalAuditEvent, LocalAuditKind, LocalAuditLog,
};
use mvm_core::signing::DocumentKey;
use serde_json::{Value, json};
use tempfile::TempDir;

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mvm-core"))
        .arg("audit")
        .args(args)
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn append(path: &Path, details: &[&str]) -> Head {
    let options = AuditLogOptions::new()
        .durability(Durability::None)
        .max_len(1000)
        .sign_with(DocumentKey::from_seed(&[5; 32]));
    let log = LocalAuditLog::open(path, options).unwrap();
    for detail in details {
        let now = "2026-02-25T12:00:00Z".parse().unwrap();
        let name = Some("dev".to_owned());
        let event =
            LocalAuditEvent::new(now, LocalAuditKind::VmStart, name, Some((*detail).into()));
        log.append(&event).unwrap();
    }
    log.head().unwrap()
}

fn scratch() -> (TempDir, PathBuf, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let name = path.to_str().unwrap().to_owned();
    (directory, path, name)
}

#[test]
fn a_whole_log() {
    let (directory, path, name) = scratch();
    let head = append(&path, &["a", "b", "c", "d", "e", "f"]);
    let output = run(&["verify", &name]);
    assert_eq!(code(&output), 0);
    let text = stdout(&output);
    assert!(
        text.starts_with(&format!("whole {name}: 6 records\n")),
        "{text}"
    );
    assert!(text.contains(&format!("head {}", head.known())), "{text}");
    assert!(output.stderr.is_empty());

    let key = directory.path().join("key");
    fs::write(&key, DocumentKey::from_seed(&[5; 32]).public().to_text()).unwrap();
    let known = head.known().to_string();
    let output = run(&[
        "verify",
        "--json",
        &name,
        "--trusted-key",
        key.to_str().unwrap(),
        "--head",
        &known,
    ]);
    assert_eq!(code(&output), 0);
    let found = document(&output);
    assert_eq!(found["ok"], true);
    let log = &found["logs"][0];
    assert_eq!((&log["records"], &log["signed_to"]), (&json!(6), &json!(6)));
    assert_eq!(log["last"]["head"], known);
    assert_eq!(log["findings"], json!([]));
}

#[test]
fn what_is_wrong_has_its_place() {
    let (directory, path, name) = scratch();
    append(&path, &["a", "b"]);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"b\"", "\"B\"")).unwrap();
    let output = run(&["verify", &name]);
    assert_eq!(code(&output), 1);
    let shown = stdout(&output);
    assert!(shown.contains(":2: error: record 2 was changed"), "{shown}");
    assert!(shown.contains("NOT WHOLE"), "{shown}");
    let found = document(&run(&["verify", "--json", &name]));
    let finding = &found["logs"][0]["findings"][0];
    assert_eq!(
        (&finding["line"], &finding["generation"]),
        (&json!(2), &json!(1))
    );

    // Another key is not enough; a head of another log neither; two logs have no one head.
    fs::write(&path, &text).unwrap();
    let key = directory.path().join("key");
    fs::write(&key, DocumentKey::from_seed(&[6; 32]).public().to_text()).unwrap();
    assert_eq!(
        code(&run(&[
            "verify",
            &name,
            "--trusted-key",
            key.to_str().unwrap()
        ])),
        1
    );
    let head = format!("2:{}", "ab".repeat(32));
    assert_eq!(code(&run(&["verify", &name, "--head", &head])), 1);
    assert_eq!(code(&run(&["verify", &name, &name, "--head", &head])), 2);
    assert_eq!(code(&run(&["verify", &name, "--head", "2:x"])), 2);
    fs::write(&key, "no key").unwrap();
    assert_eq!(
        code(&run(&[
            "verify",
            &name,
            "--trusted-key",
            key.to_str().unwrap()
        ])),
        2
    );
    // One of two that cannot be read.
    let output = run(&["verify", "--json", &name, "/no/such/log"]);
    assert_eq!(code(&output), 2);
    let found = document(&output);
    assert_eq!(
        (
            &found["ok"],
            &found["logs"][0]["ok"],
            &found["logs"][1]["ok"]
        ),
        (&json!(false), &json!(true), &json!(false))
    );
}

#[test]
fn the_last_entries() {
    let (_directory, path, name) = scratch();
    append(&path, &["a", "b", "c", "d", "e", "f"]);
    let output = run(&["tail", "-n", "2", &name]);
    assert_eq!(code(&output), 0);
    assert_eq!(
        stdout(&output),
        "       5 2026-02-25T12:00:00Z VmStart dev e\n       6 2026-02-25T12:00:00Z VmStart dev f\n"
    );
    let text = stdout(&run(&["tail", "--json", &name]));
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 6);
    assert_eq!(
        (&lines[0]["seq"], &lines[0]["entry"]["detail"]),
        (&json!(1), &json!("a"))
    );
    assert_eq!(code(&run(&["tail", "/no/such/log"])), 2);
}

#[test]
fn entries_that_come() {
    let (_directory, path, name) = scratch();
    append(&path, &["a"]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_mvm-core"))
        .args(["audit", "tail", "--follow", "--json", &name])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> u64 {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        line["seq"].as_u64().unwrap()
    };
    assert_eq!(next(), 1);
    append(&path, &["b", "c", "d", "e", "f", "g"]);
    for seq in 2..=7 {
        assert_eq!(next(), seq);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
