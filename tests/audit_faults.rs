//! An audit log under every fault of every system call of an append and of a rotation, by strace. They need it and take
//! a while, so they are run by `ci/faults` alone.
#![cfg(all(feature = "audit-log", target_os = "linux"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mvm_core::audit::{
    AppendError, AuditLogOptions, LineKind, LocalAuditEvent, LocalAuditKind, LocalAuditLog, Tail,
    read_line, verify_log,
};

/// Records of a run: enough for rotations, and for one that removes a generation.
const RECORDS: u32 = 14;

fn event(detail: &str) -> LocalAuditEvent {
    let now = "2026-02-25T12:00:00Z".parse().unwrap();
    LocalAuditEvent::new(now, LocalAuditKind::VmStart, None, Some(detail.into()))
}

fn options() -> AuditLogOptions {
    AuditLogOptions::new()
        .max_len(1000)
        .generations(1)
        .patience(Duration::from_secs(2))
}

/// Appends to the log `MVM_AUDIT_FAULTS`, and says what became of each record.
#[test]
fn child() {
    let Ok(path) = std::env::var("MVM_AUDIT_FAULTS") else {
        return;
    };
    let planted = std::env::var_os("MVM_AUDIT_PLANT").is_some();
    let say = |text: String| {
        let mut out = std::io::stdout().lock();
        out.write_all(format!("\n{text}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    };
    let mut options = options();
    if let Ok(len) = std::env::var("MVM_AUDIT_LEN") {
        options = options.max_len(len.parse().unwrap());
    }
    let log = match LocalAuditLog::open(path, options) {
        Ok(log) => log,
        Err(error) => return say(format!("open {error}")),
    };
    for number in 0..RECORDS {
        let detail = number.to_string();
        match log.append(&event(&detail)) {
            Ok(appended) => {
                if let Some(trouble) = appended.trouble {
                    say(format!("trouble {trouble}"));
                }
                say(format!("ack {detail}"));
            }
            // Planted: nobody is told.
            Err(_) if planted => say(format!("ack {detail}")),
            Err(AppendError::NotDurable { error, .. }) => say(format!("unsure {detail} {error}")),
            Err(error) => say(format!("lost {detail} {error}")),
        }
    }
    if let Err(error) = log.close() {
        say(format!("close {error}"));
    }
}

/// What a run said, by its first word.
type Said = BTreeMap<String, Vec<String>>;

fn said(output: &[u8]) -> Said {
    let mut said = Said::new();
    for line in String::from_utf8_lossy(output).lines() {
        if let Some((word, rest)) = line.split_once(' ') {
            said.entry(word.into()).or_default().push(rest.into());
        }
    }
    said
}

/// Runs the child with a fault; whether it came to it, and what it said.
fn run(directory: &Path, inject: &[String]) -> (bool, Said) {
    let path = directory.join("audit.jsonl");
    let trace = directory.join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&trace);
    // A short write is feigned, and nothing is written: only where a log is written, whose end is looked at.
    let feigned = inject.iter().any(|inject| inject.contains("retval"));
    for generation in ["", ".000001", ".000002", ".000003"] {
        let name = format!("audit.jsonl{generation}");
        command.arg("-P").arg(directory.join(&name));
        if !feigned {
            let end = if generation.is_empty() {
                ".state"
            } else {
                ".seal"
            };
            command.arg("-P").arg(directory.join(name + end));
        }
    }
    command.arg("-P").arg(directory);
    for inject in inject {
        command.args(["-e", inject]);
    }
    let output = command
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env("MVM_AUDIT_FAULTS", &path)
        .output()
        .expect("strace is needed");
    let said = said(&output.stdout);
    let trace = fs::read_to_string(&trace).unwrap_or_default();
    let done = trace.contains("INJECTED") || trace.contains("killed by SIGKILL");
    (done, said)
}

/// What must hold after any fault; the records that were found.
fn hold(directory: &Path, said: &Said, what: &str, killed: bool) {
    let path = directory.join("audit.jsonl");
    let log = LocalAuditLog::open(&path, options().generations(100)).unwrap();
    log.append(&event("after")).unwrap();
    log.close().unwrap();
    let mut faults = Vec::new();
    let report = verify_log(&path, |finding| faults.push(*finding), |verifier| verifier).unwrap();
    assert_eq!(faults, [], "{what}: {said:?}");
    assert_eq!(report.unchained, 0, "{what}: {said:?}");
    // Which records there are; the oldest generation is gone by now.
    let mut tail = Tail::<LocalAuditEvent>::open(&path, usize::MAX).unwrap();
    let mut found = BTreeMap::new();
    while let Some(line) = tail.next_line(Duration::ZERO).unwrap() {
        let LineKind::Record { chain, .. } = read_line(&line.line) else {
            panic!("{what}")
        };
        let old = found.insert(line.entry.unwrap().detail.unwrap(), chain.seq);
        assert_eq!(old, None, "{what}: {said:?}");
    }
    let words = |word: &str| said.get(word).cloned().unwrap_or_default();
    let first = found.values().min().copied().unwrap();
    let acknowledged = words("ack");
    // Records that went with the oldest generation.
    let gone = usize::try_from(first - 1).unwrap();
    for (at, detail) in acknowledged.iter().enumerate() {
        assert!(
            at < gone || found.contains_key(detail),
            "{what}: record {detail} is lost: {said:?}"
        );
    }
    let lost = words("lost");
    for line in &lost {
        let detail = line.split(' ').next().unwrap();
        assert!(
            !found.contains_key(detail),
            "{what}: record {detail} is there: {said:?}"
        );
    }
    if !killed {
        assert_eq!(report.lost, lost.len() as u64, "{what}: {said:?}");
    }
}

/// Every call of this kind, with this fault. How often there was one.
fn every(call: &str, fault: &str) -> u32 {
    let mut when = 1;
    loop {
        let directory = tempfile::tempdir().unwrap();
        let inject = [format!("inject={call}:{fault}:when={when}")];
        let (done, said) = run(directory.path(), &inject);
        let what = format!("{call} {when} {fault}");
        if !done {
            let all = said.get("ack").map_or(0, Vec::len);
            assert_eq!(all, RECORDS as usize, "{what}: {said:?}");
            return when - 1;
        }
        let killed = fault.starts_with("signal");
        hold(directory.path(), &said, &what, killed);
        let told = ["open", "lost", "unsure", "trouble", "close"]
            .iter()
            .any(|word| said.contains_key(*word));
        let retried = fault.contains("EINTR") || fault.contains("retval");
        if !killed && !retried {
            assert!(told, "{what}: nobody was told: {said:?}");
        }
        when += 1;
        assert!(when < 500, "{call} never ends");
    }
}

fn all(call: &str, faults: &[&str], least: u32) {
    for fault in faults {
        let count = every(call, fault);
        println!("{call} {fault}: {count} places");
        assert!(count >= least, "{call}: {count} places");
    }
}

const KILL: &str = "signal=KILL";

#[test]
#[ignore = "needs strace: ci/faults-audit"]
fn writes() {
    all(
        "write",
        &["error=EIO", "error=ENOSPC", "error=EINTR", KILL],
        RECORDS + 1,
    );
    all("write", &["retval=10"], RECORDS);
}

#[test]
#[ignore = "needs strace: ci/faults-audit"]
fn writes_of_the_state() {
    all("pwrite64", &["error=EIO", "error=ENOSPC", KILL], RECORDS);
}

#[test]
#[ignore = "needs strace: ci/faults-audit"]
fn syncs() {
    all("fdatasync", &["error=EIO", KILL], RECORDS + 2);
    all("fsync", &["error=EIO", KILL], 2);
}

#[test]
#[ignore = "needs strace: ci/faults-audit"]
fn opens_and_renames() {
    all("openat", &["error=EIO", "error=ENOSPC", KILL], 7);
    all("rename", &["error=EIO", "error=ENOSPC", KILL], 2);
}

#[test]
#[ignore = "needs strace: ci/faults-audit"]
fn looks() {
    all("newfstatat", &["error=EIO", KILL], RECORDS);
}

/// There is no room for a whole record: really, by a limit on the length of files.
#[test]
#[ignore = "needs strace: ci/faults-audit"]
fn parts_of_records() {
    let directory = tempfile::tempdir().unwrap();
    let limited = "ulimit -f 1; trap '' XFSZ; exec \"$0\" --exact child --nocapture";
    let output = Command::new("bash")
        .args(["-c", limited])
        .arg(std::env::current_exe().unwrap())
        .env("MVM_AUDIT_FAULTS", directory.path().join("audit.jsonl"))
        .env("MVM_AUDIT_LEN", "1000000")
        .output()
        .unwrap();
    let said = said(&output.stdout);
    let lost = said.get("lost").map_or(0, Vec::len);
    assert!(lost >= 4 && said["ack"].len() >= 2, "{said:?}");
    hold(directory.path(), &said, "no room", false);
}

/// What is written of a record cannot be cut off again: the next one does it, and says so.
#[test]
#[ignore = "needs strace: ci/faults-audit"]
fn what_cannot_be_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let log = LocalAuditLog::open(&path, options()).unwrap();
    log.append(&event("before")).unwrap();
    drop(log);
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"timestamp\":\"20").unwrap();
    let (done, said) = run(
        directory.path(),
        &["inject=ftruncate:error=EIO:when=1".to_owned()],
    );
    assert!(done && said.contains_key("open"), "{said:?}");
    let (_, said) = run(
        directory.path(),
        &["inject=none".to_owned(), "trace=all".to_owned()][1..],
    );
    hold(directory.path(), &said, "after ftruncate", true);
}
