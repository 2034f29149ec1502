//! Audit logs as files: what is written, what others do to them, many programs at once, and programs that die.
#![cfg(all(feature = "audit-log", unix))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mvm_core::audit::{
    AppendError, AuditLogOptions, Durability, Fault, HeadSource, LineKind, LocalAuditEvent,
    LocalAuditKind, LocalAuditLog, OpenError, Report, Sidecar, Step, Tail, read_line, verify_log,
};
use mvm_core::signing::DocumentKey;
use tempfile::TempDir;

fn event(detail: &str) -> LocalAuditEvent {
    let now = "2026-02-25T12:00:00Z".parse().unwrap();
    LocalAuditEvent::new(now, LocalAuditKind::VmStart, None, Some(detail.into()))
}

fn quick() -> AuditLogOptions {
    AuditLogOptions::new().durability(Durability::None)
}

fn small() -> AuditLogOptions {
    quick().max_len(1000).generations(1000)
}

fn open(path: &Path, options: AuditLogOptions) -> LocalAuditLog {
    LocalAuditLog::open(path, options).unwrap()
}

fn scratch() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    (directory, path)
}

/// A program of this version that runs on while a newer one has come leaves the newer one's state alone.
#[test]
fn the_state_of_a_newer_program_is_left_alone() {
    let (directory, path) = scratch();
    let log = open(&path, AuditLogOptions::new());
    assert!(log.append(&event("before")).unwrap().trouble.is_none());
    let state = directory.path().join("audit.jsonl.state");
    let newer = fs::read_to_string(&state)
        .unwrap()
        .replace("\"version\":1,", "\"version\":2,");
    fs::write(&state, &newer).unwrap();
    let appended = log.append(&event("after")).unwrap();
    let trouble = appended.trouble.unwrap();
    assert_eq!((appended.head.seq, trouble.step), (2, Step::State));
    assert!(trouble.error.to_string().contains("upgrade"), "{trouble}");
    drop(log);
    assert_eq!(fs::read_to_string(&state).unwrap(), newer);
    let refused = LocalAuditLog::open(&path, AuditLogOptions::new()).unwrap_err();
    assert!(matches!(refused, OpenError::State { .. }), "{refused}");
}

fn verify(path: &Path) -> (Vec<Fault>, Report) {
    let mut faults = Vec::new();
    let report = verify_log(
        path,
        |finding| faults.push(finding.fault),
        |verifier| verifier,
    );
    (faults, report.unwrap())
}

fn good(path: &Path) -> Report {
    let (faults, report) = verify(path);
    assert_eq!(faults, []);
    report
}

fn append_raw(path: &Path, bytes: &str) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    file.write_all(bytes.as_bytes()).unwrap();
}

const OLD: &str =
    r#"{"timestamp":"2025-01-01T00:00:00+00:00","kind":"vm_stop","vm_name":null,"detail":"old"}"#;

/// Every line of a log in order, generations too.
fn lines(path: &Path) -> Vec<Vec<u8>> {
    let mut tail = Tail::<LocalAuditEvent>::open(path, usize::MAX).unwrap();
    std::iter::from_fn(|| tail.next_line(Duration::ZERO).unwrap())
        .map(|line| line.line)
        .collect()
}

#[test]
fn records_are_appended_and_the_log_goes_on() {
    let (_directory, path) = scratch();
    let log = open(&path, quick());
    assert_eq!(log.head(), None);
    for number in 1..=3 {
        let appended = log.append(&event("first")).unwrap();
        assert_eq!((appended.head.seq, appended.head.generation), (number, 1));
        assert!(appended.trouble.is_none());
    }
    let last = log.head().unwrap();
    log.close().unwrap();
    let log = open(&path, quick());
    assert_eq!(log.head(), Some(last));
    let head = log.append(&event("second")).unwrap().head;
    assert_eq!((head.seq, head.log), (4, last.log));
    let report = good(&path);
    assert_eq!((report.records, report.last), (4, Some(head)));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0);
}

#[test]
fn every_policy() {
    for durability in [
        Durability::EveryRecord,
        Durability::Interval(Duration::ZERO),
        Durability::Interval(Duration::from_secs(3600)),
        Durability::None,
    ] {
        let (_directory, path) = scratch();
        let log = open(&path, small().durability(durability));
        for _ in 0..20 {
            assert!(log.append(&event("x")).unwrap().trouble.is_none());
        }
        drop(log);
        let report = good(&path);
        assert_eq!(report.records, 20);
        // The state knows the last one: without it the log is cut off.
        let all = fs::read(&path).unwrap();
        let cut = all[..all.len() - 1]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .unwrap()
            + 1;
        fs::write(&path, &all[..cut]).unwrap();
        let (faults, _) = verify(&path);
        assert!(
            matches!(
                faults[..],
                [Fault::Truncated {
                    source: HeadSource::State,
                    last: 19,
                    ..
                }]
            ),
            "{faults:?}"
        );
    }
}

#[test]
fn generations_are_sealed_kept_and_removed() {
    let (directory, path) = scratch();
    let log = open(&path, small().generations(3));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    for number in 0..60 {
        assert!(
            log.append(&event(&number.to_string()))
                .unwrap()
                .trouble
                .is_none()
        );
    }
    let report = good(&path);
    let generation = report.last.unwrap().generation;
    assert_eq!(report.first.unwrap().generation, generation - 3);
    assert_eq!(report.last.unwrap().seq, 60);
    let mut names: Vec<String> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 2 + 2 * 3, "{names:?}");
    for number in generation - 3..generation {
        let file = directory.path().join(format!("audit.jsonl.{number:06}"));
        let seal = directory
            .path()
            .join(format!("audit.jsonl.{number:06}.seal"));
        assert!(fs::metadata(&file).unwrap().len() <= 1000 + 500);
        let seal = Sidecar::from_bytes(&fs::read(seal).unwrap()).unwrap();
        assert_eq!(seal.length, fs::metadata(&file).unwrap().len());
        assert_eq!(seal.head.generation, number);
    }
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o604
    );
    // What was sealed and is cut off is found by the seal and by the next generation.
    let sealed = directory
        .path()
        .join(format!("audit.jsonl.{:06}", generation - 1));
    let all = fs::read(&sealed).unwrap();
    let cut = all[..all.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    fs::write(&sealed, &all[..cut]).unwrap();
    let (faults, _) = verify(&path);
    assert!(
        faults
            .iter()
            .any(|fault| matches!(fault, Fault::OtherLength { .. })),
        "{faults:?}"
    );
    assert!(
        faults
            .iter()
            .any(|fault| matches!(fault, Fault::Missing { .. })),
        "{faults:?}"
    );
    // A generation that is gone.
    fs::remove_file(&sealed).unwrap();
    let (faults, _) = verify(&path);
    assert!(
        matches!(faults[..], [Fault::Missing { .. }, ..]),
        "{faults:?}"
    );
}

#[test]
fn a_torn_end_is_cut_off_and_said() {
    let (_directory, path) = scratch();
    let log = open(&path, quick());
    log.append(&event("one")).unwrap();
    append_raw(&path, r#"{"timestamp":"2026"#);
    let (faults, _) = verify(&path);
    assert_eq!(faults, [Fault::Torn { bytes: 18 }]);
    // By the program that has it open.
    log.append(&event("two")).unwrap();
    assert_eq!(good(&path).cut, 18);
    append_raw(&path, r#"{"k"#);
    drop(log);
    // And by one that opens it, even if that one dies before it writes.
    drop(open(&path, quick()));
    let log = open(&path, quick());
    log.append(&event("three")).unwrap();
    let report = good(&path);
    assert_eq!((report.cut, report.records, report.unchained), (21, 3, 0));
    // It is said once.
    log.append(&event("four")).unwrap();
    let last = lines(&path).pop().unwrap();
    let LineKind::Record { chain, .. } = read_line(&last) else {
        panic!()
    };
    assert_eq!(chain.cut, None);
}

#[test]
fn what_0_13_0_writes_in_between_is_kept_and_covered() {
    let (_directory, path) = scratch();
    append_raw(&path, &format!("{OLD}\n{OLD}\n"));
    let log = open(&path, small());
    log.append(&event("one")).unwrap();
    append_raw(&path, &format!("{OLD}\n"));
    log.append(&event("two")).unwrap();
    // Between its two writes.
    append_raw(&path, OLD);
    log.append(&event("three")).unwrap();
    append_raw(&path, "\n");
    for _ in 0..20 {
        log.append(&event("more")).unwrap();
    }
    let report = good(&path);
    assert_eq!((report.records, report.unchained), (23, 5));
    assert_eq!((report.uncovered, report.unreadable), (0, 0));
    // All of them are entries.
    assert_eq!(
        lines(&path)
            .iter()
            .filter(|line| serde_json::from_slice::<LocalAuditEvent>(line).is_ok())
            .count(),
        23 + 4
    );
    // A new program that finds only the last generation goes on with the same count.
    drop(log);
    fs::remove_file(path.with_extension("jsonl.state")).unwrap();
    let log = open(&path, small());
    append_raw(&path, &format!("{OLD}\n"));
    log.append(&event("last")).unwrap();
    assert_eq!(good(&path).uncovered, 0);
}

#[test]
fn records_that_vanish_are_said() {
    let (_directory, path) = scratch();
    let log = open(&path, quick());
    for _ in 0..5 {
        log.append(&event("x")).unwrap();
    }
    let all = fs::read_to_string(&path).unwrap();
    let keep: String = all.split_inclusive('\n').take(3).collect();
    fs::write(&path, &keep).unwrap();
    assert_eq!(log.append(&event("y")).unwrap().head.seq, 6);
    let (faults, _) = verify(&path);
    assert_eq!(faults, [Fault::Missing { from: 4, to: 5 }]);
    // Also by a program that knows it from the state alone.
    drop(log);
    fs::write(&path, &keep).unwrap();
    let log = open(&path, quick());
    assert_eq!(log.append(&event("z")).unwrap().head.seq, 7);
    let (faults, _) = verify(&path);
    assert_eq!(faults, [Fault::Missing { from: 4, to: 6 }]);
    // A log that was removed goes on in a new file.
    fs::remove_file(&path).unwrap();
    assert_eq!(log.append(&event("z")).unwrap().head.seq, 8);
    let (faults, _) = verify(&path);
    assert!(
        matches!(
            faults[..],
            [Fault::Missing { from: 1, to: 7 }, Fault::Before { .. }]
        ),
        "{faults:?}"
    );
}

#[test]
fn what_is_lost_is_counted() {
    let (_directory, path) = scratch();
    let log = open(&path, quick().patience(Duration::from_millis(20)));
    log.append(&event("one")).unwrap();
    let state = File::open(path.with_extension("jsonl.state")).unwrap();
    rustix::fs::flock(&state, rustix::fs::FlockOperation::LockExclusive).unwrap();
    for _ in 0..2 {
        let error = log.append(&event("lost")).unwrap_err();
        let AppendError::NotWritten(error) = error else {
            panic!("{error}")
        };
        assert_eq!(
            (error.step, error.error.kind()),
            (Step::Locking, std::io::ErrorKind::TimedOut)
        );
    }
    rustix::fs::flock(&state, rustix::fs::FlockOperation::Unlock).unwrap();
    // Too long is lost too; now it is counted where others find it.
    let long = "x".repeat(300_000);
    assert!(matches!(
        log.append(&event(&long)),
        Err(AppendError::TooLong { .. })
    ));
    let other = open(&path, quick());
    other.append(&event("two")).unwrap();
    assert_eq!(good(&path).lost, 3);
    log.append(&event("three")).unwrap();
    assert_eq!(good(&path).lost, 3);
    drop((log, other));
    let log = open(&path, quick());
    log.append(&event("four")).unwrap();
    assert_eq!(good(&path).lost, 3);
}

#[test]
fn a_rotation_that_was_cut_off() {
    let (directory, path) = scratch();
    let fill = |count| {
        let log = open(&path, small());
        for _ in 0..count {
            log.append(&event("some text that takes room")).unwrap();
        }
    };
    fill(3);
    let log_len = fs::metadata(&path).unwrap().len();
    assert!(log_len < 1100);
    let first = directory.path().join("audit.jsonl.000001");
    // Sealed and not renamed, and half a seal at that.
    fs::write(directory.path().join("audit.jsonl.000001.seal"), b"{\"vers").unwrap();
    fill(3);
    assert!(first.exists());
    good(&path);
    // Renamed, and no new file.
    fs::rename(&path, directory.path().join("audit.jsonl.000002")).unwrap();
    let report = good(&path);
    assert_eq!(report.records, 6);
    fill(1);
    let report = good(&path);
    assert_eq!((report.records, report.last.unwrap().generation), (7, 3));
    // A new file with nothing in it; without a state.
    fs::rename(&path, directory.path().join("audit.jsonl.000003")).unwrap();
    fs::write(&path, b"").unwrap();
    fs::remove_file(directory.path().join("audit.jsonl.state")).unwrap();
    fill(1);
    let report = good(&path);
    assert_eq!((report.records, report.last.unwrap().generation), (8, 4));
}

#[test]
fn two_writers_in_turn() {
    let (_directory, path) = scratch();
    let (one, two) = (open(&path, small()), open(&path, small()));
    for number in 0..40 {
        let log = if number % 3 == 0 { &one } else { &two };
        assert_eq!(log.append(&event("x")).unwrap().head.seq, number + 1);
    }
    assert_eq!(good(&path).records, 40);
}

#[test]
fn checkpoints() {
    let (_directory, path) = scratch();
    let key = || DocumentKey::from_seed(&[5; 32]);
    let options = || {
        small()
            .sign_with(key())
            .checkpoints(4, Duration::from_secs(3600))
    };
    let log = open(&path, options());
    for _ in 0..30 {
        log.append(&event("x")).unwrap();
    }
    drop(log);
    let trusting = |path: &Path| {
        let mut faults = Vec::new();
        let report = verify_log(
            path,
            |finding| faults.push(finding.fault),
            |verifier| verifier.trust(key().public()),
        );
        (faults, report.unwrap())
    };
    let (faults, report) = trusting(&path);
    assert_eq!(faults, []);
    // The state is signed.
    assert_eq!(report.signed_to, Some(30));
    assert!(report.signatures > 7, "{report:?}");
    let state = path.with_extension("jsonl.state");
    let text = fs::read(&state).unwrap();
    let mut sidecar = Sidecar::from_bytes(&text).unwrap();
    sidecar.head.seq = 29;
    fs::write(&state, sidecar.to_bytes()).unwrap();
    let (faults, _) = trusting(&path);
    assert!(
        matches!(
            faults[0],
            Fault::BadSidecar {
                source: HeadSource::State
            }
        ),
        "{faults:?}"
    );
    // One that is damaged is no excuse.
    fs::write(&state, &text[..100]).unwrap();
    let (faults, _) = trusting(&path);
    assert!(
        matches!(faults[..], [Fault::DamagedSidecar { .. }]),
        "{faults:?}"
    );
    // Without it there is at least what is in the log.
    fs::remove_file(&state).unwrap();
    let (faults, report) = trusting(&path);
    assert_eq!(faults, []);
    assert!(report.signed_to.unwrap() >= 26);
}

#[test]
fn the_last_lines_and_those_that_come() {
    let (_directory, path) = scratch();
    let log = open(&path, small());
    for number in 1..=20 {
        log.append(&event(&number.to_string())).unwrap();
    }
    let numbers = |tail: &mut Tail<LocalAuditEvent>| -> Vec<u64> {
        std::iter::from_fn(|| tail.next_line(Duration::ZERO).unwrap())
            .map(|line| {
                let detail = line.entry.unwrap().detail.unwrap();
                let seq = line.chain.unwrap().seq;
                assert_eq!(detail, seq.to_string());
                seq
            })
            .collect()
    };
    for count in [0, 1, 2, 3, 7, 20] {
        let mut tail = Tail::open(&path, count as usize).unwrap();
        assert_eq!(numbers(&mut tail), (21 - count..=20).collect::<Vec<_>>());
    }
    let mut tail = Tail::open(&path, 1).unwrap();
    assert_eq!(numbers(&mut tail), [20]);
    // Through several generations.
    for number in 21..=40 {
        log.append(&event(&number.to_string())).unwrap();
    }
    assert_eq!(numbers(&mut tail), (21..=40).collect::<Vec<_>>());
    append_raw(&path, &OLD[..10]);
    assert_eq!(numbers(&mut tail), [0; 0]);
    append_raw(&path, &format!("{}\n", &OLD[10..]));
    let line = tail.next_line(Duration::ZERO).unwrap().unwrap();
    assert_eq!((line.chain, line.line), (None, OLD.as_bytes().to_vec()));
    let waiting = std::thread::spawn(move || tail.next_line(Duration::from_secs(30)).unwrap());
    log.append(&event("41")).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap().chain.unwrap().seq, 41);
}

#[test]
fn a_log_behind_a_link() {
    let (directory, path) = scratch();
    let there = directory.path().join("there");
    fs::create_dir(&there).unwrap();
    std::os::unix::fs::symlink(there.join("real.jsonl"), &path).unwrap();
    fs::write(there.join("real.jsonl"), b"").unwrap();
    let log = open(&path, small());
    for _ in 0..10 {
        log.append(&event("x")).unwrap();
    }
    assert!(path.is_symlink());
    assert!(there.join("real.jsonl.000001").exists());
    assert_eq!(good(&path).records, 10);
}

// ---- many programs ---------------------------------------------------------------------------

/// What `child` does: `MVM_AUDIT_CHILD` is `path records durability name`. It says each record that it has an answer for.
#[test]
fn child() {
    let Ok(task) = std::env::var("MVM_AUDIT_CHILD") else {
        return;
    };
    let words: Vec<&str> = task.split(' ').collect();
    let durability = if words[2] == "every" {
        Durability::EveryRecord
    } else {
        Durability::None
    };
    let options = AuditLogOptions::new()
        .durability(durability)
        .max_len(words[3].parse().unwrap())
        .generations(100_000)
        .patience(Duration::from_secs(60));
    let log = open(Path::new(words[0]), options);
    let count: u64 = words[1].parse().unwrap();
    let mut out = std::io::stdout().lock();
    for number in 0..count {
        let detail = format!("{}-{number}", words[4]);
        if std::env::var_os("MVM_AUDIT_PLANT").is_some() {
            two_writes(Path::new(words[0]), &detail);
        }
        let appended = log.append(&event(&detail)).unwrap();
        assert!(appended.trouble.is_none(), "{:?}", appended.trouble);
        // One write, so that a kill does not tear it.
        let line = format!(
            "\nack {} {} {detail}\n",
            appended.head.seq, appended.head.hash
        );
        out.write_all(line.as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

/// A planted fault: a record in two writes, without the lock.
fn two_writes(path: &Path, detail: &str) {
    let line = serde_json::to_vec(&event(detail)).unwrap();
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    let (first, second) = line.split_at(line.len() / 2);
    file.write_all(first).unwrap();
    std::thread::yield_now();
    file.write_all(second).unwrap();
    file.write_all(b"\n").unwrap();
}

fn spawn(path: &Path, records: u64, durability: &str, max_len: u64, name: &str) -> Child {
    let task = format!("{} {records} {durability} {max_len} {name}", path.display());
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env("MVM_AUDIT_CHILD", task)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Number to hash and detail of what was acknowledged.
type Acknowledged = BTreeMap<u64, (String, String)>;

fn collect(child: &mut Child, all: &mut Acknowledged) -> u64 {
    let mut count = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        if let ["ack", seq, hash, detail] = words[..] {
            let old = all.insert(seq.parse().unwrap(), (hash.into(), detail.into()));
            assert_eq!(old, None, "record {seq} was given twice");
            count += 1;
        }
    }
    count
}

/// Every acknowledged record is there, once, with its hash, and the log verifies.
fn hold(path: &Path, all: &Acknowledged) -> Report {
    let report = good(path);
    let mut seen = BTreeMap::new();
    for line in lines(path) {
        let LineKind::Record { chain, .. } = read_line(&line) else {
            panic!("unchained")
        };
        let entry: LocalAuditEvent = serde_json::from_slice(&line).unwrap();
        let old = seen.insert(chain.seq, (chain.hash.to_string(), entry.detail.unwrap()));
        assert_eq!(old, None);
    }
    for (seq, record) in all {
        assert_eq!(seen.get(seq), Some(record), "record {seq}");
    }
    assert_eq!(report.records, seen.len() as u64);
    report
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// `MVM_AUDIT_RECORDS`: how many each of eight programs appends.
#[test]
fn eight_programs_append_and_rotate_at_once() {
    let (_directory, path) = scratch();
    let records = number("MVM_AUDIT_RECORDS", 60);
    let mut children: Vec<Child> = (0..8)
        .map(|name| spawn(&path, records, "none", 4000, &name.to_string()))
        .collect();
    let mut all = Acknowledged::new();
    for child in &mut children {
        assert_eq!(collect(child, &mut all), records);
        assert!(child.wait().unwrap().success());
    }
    let report = hold(&path, &all);
    assert_eq!(report.records, 8 * records);
    assert!(report.last.unwrap().generation > records / 3);
    assert_eq!((report.lost, report.cut), (0, 0));
    println!("{report:?}");
}

/// `MVM_AUDIT_KILLS`: how many programs are killed while they append.
#[test]
fn programs_that_are_killed_lose_nothing() {
    let (_directory, path) = scratch();
    let kills = number("MVM_AUDIT_KILLS", 6);
    let mut all = Acknowledged::new();
    for kill in 0..kills {
        let mut child = spawn(&path, u64::MAX, "every", 4000, &format!("k{kill}"));
        let start = Instant::now();
        // Once it has begun, at another moment each time.
        let len = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
        let before = len(&path);
        while len(&path) == before && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(500 + kill * 1733 % 9000));
        child.kill().unwrap();
        collect(&mut child, &mut all);
        child.wait().unwrap();
        // What a kill within a write leaves behind.
        if kill % 2 == 1 {
            append_raw(&path, r#"{"timestamp":"2026-0"#);
        }
    }
    let log = open(
        &path,
        AuditLogOptions::new().max_len(4000).generations(100_000),
    );
    let head = log.append(&event("last")).unwrap().head;
    all.insert(head.seq, (head.hash.to_string(), "last".into()));
    let report = hold(&path, &all);
    assert_eq!(report.cut, 20 * (kills / 2));
    println!("{} acknowledged, {report:?}", all.len());
}

/// A program that knows nothing of the lock, as 0.13.0, which writes a line and its newline one after the other.
#[test]
fn together_with_a_program_of_0_13_0() {
    let (_directory, path) = scratch();
    open(&path, quick()).close().unwrap();
    let old = {
        let path = path.clone();
        std::thread::spawn(move || {
            for _ in 0..300 {
                let mut file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(&path)
                    .unwrap();
                file.write_all(OLD.as_bytes()).unwrap();
                file.write_all(b"\n").unwrap();
                std::thread::sleep(Duration::from_micros(100));
            }
        })
    };
    let log = open(&path, quick());
    let mut count = 0;
    while !old.is_finished() || count < 300 {
        log.append(&event("new")).unwrap();
        count += 1;
    }
    old.join().unwrap();
    log.append(&event("last")).unwrap();
    let report = good(&path);
    assert_eq!((report.records, report.uncovered), (count + 1, 0));
    // Nothing that it wrote is lost; empty lines are where a newline came late.
    assert!(report.unchained >= 300, "{report:?}");
    assert_eq!(report.cut, 0);
}
