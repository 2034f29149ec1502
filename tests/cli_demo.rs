//! The demo as a program sees it: its exit code, its JSON, and what is left of it.
#![cfg(all(unix, feature = "cli"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

const CHECKS: [&str; 15] = [
    "guest",
    "handshake",
    "ping",
    "status",
    "start",
    "replay",
    "splice",
    "rewrite",
    "warm",
    "sleep",
    "old-session",
    "wake",
    "stale-host",
    "stop",
    "destroy",
];

/// A directory of this test's own, in which nothing may be left.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("mvm-test-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn command(tmp: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mvm-core"));
    command.args(args).env("TMPDIR", tmp);
    command
}

fn run(name: &str, args: &[&str]) -> Output {
    let scratch = Scratch::new(name);
    let output = command(&scratch.0, args).output().unwrap();
    assert!(scratch.is_empty(), "something is left of {args:?}");
    output
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn checks(document: &Value) -> &Vec<Value> {
    document["checks"].as_array().unwrap()
}

fn failed(document: &Value) -> Vec<&str> {
    checks(document)
        .iter()
        .filter(|check| check["ok"] != true)
        .map(|check| check["id"].as_str().unwrap())
        .collect()
}

/// A fact of a check; where both sides reported it, they agree.
fn fact<'d>(document: &'d Value, check: &str, name: &str) -> &'d Value {
    let found = checks(document).iter().find(|found| found["id"] == check);
    let fact = &found.unwrap()["facts"][name];
    assert!(!fact.is_null(), "{check} has no {name}");
    match fact.get("guest") {
        Some(guest) => {
            assert_eq!(guest, &fact["host"], "{check}: {name}");
            guest
        }
        None => fact,
    }
}

#[test]
fn everything_holds_and_was_measured() {
    let start = Instant::now();
    let output = run("holds", &["demo", "--json"]);
    let took = start.elapsed();
    let document = document(&output);
    assert_eq!(failed(&document), [""; 0], "{document:#}");
    assert_eq!(document["ok"], true);
    assert_eq!(output.status.code(), Some(0));
    assert!(took < Duration::from_secs(60), "{took:?}");
    let ids: Vec<_> = checks(&document).iter().map(|check| &check["id"]).collect();
    assert_eq!(ids, CHECKS);

    let number = |check, name| fact(&document, check, name).as_i64().unwrap();
    let text = |check, name| fact(&document, check, name).as_str().unwrap();
    assert_eq!(
        (number("handshake", "version"), number("handshake", "suite")),
        (3, 1)
    );
    assert_eq!(number("handshake", "generation"), 1);
    assert_eq!(number("wake", "generation"), 2);
    // Four signatures and as many verifications take their time, and not forever.
    assert!((20..5_000_000).contains(&number("handshake", "took us")));
    let (fastest, median) = (number("ping", "fastest us"), number("ping", "median us"));
    assert!(10 < fastest && fastest <= median, "{fastest} {median}");
    assert!(median <= number("ping", "slowest us"));
    assert_eq!(
        number("status", "pings answered"),
        number("ping", "frames opened")
    );
    assert_eq!(text("handshake", "host key").len(), 32);
    assert_ne!(
        text("handshake", "host key"),
        text("handshake", "guest key")
    );
    assert_ne!(
        text("handshake", "host offers"),
        text("handshake", "guest offers")
    );
    let asleep = number("old-session", "asleep ms");
    let skew = number("wake", "clock skew ms");
    // The guest's clock is behind by as long as it slept, less the way of the request.
    let behind_by = asleep - number("wake", "took us") / 1000 - 20..=asleep + 10;
    assert!(
        asleep >= 119 && behind_by.contains(&-skew),
        "{asleep} {skew}"
    );
    assert!(number("warm", "unanswered for us") >= 60_000);
    for (check, error) in [
        ("replay", "OpenError::SequenceGap { expected: 1, got: 0 }"),
        ("splice", "OpenError::BadSignature"),
        ("rewrite", "OpenError::BadSignature"),
        ("old-session", "OpenError::Ended(Superseded)"),
        (
            "stale-host",
            "HandshakeError::StaleGeneration { offered: 1, seen: 2 }",
        ),
    ] {
        assert_eq!(text(check, "guest's error"), error);
    }
    for (check, status) in [
        ("start", "ready until it was done, then running"),
        ("warm", "running until it was done, then warm"),
        ("sleep", "warm until it was done, then sleeping"),
        ("wake", "sleeping until it was done, then running"),
        ("stop", "running until it was done, then stopped"),
        ("destroy", "stopped until it was done, then destroyed"),
    ] {
        assert_eq!(text(check, "status"), status);
    }
}

#[test]
fn two_runs_have_nothing_in_common() {
    let (one, two) = (
        run("one", &["demo", "--json"]),
        run("two", &["demo", "--json"]),
    );
    let (one, two) = (document(&one), document(&two));
    for (check, name) in [
        ("handshake", "session"),
        ("handshake", "host key"),
        ("handshake", "guest key"),
        ("handshake", "instance"),
        ("wake", "entropy check"),
    ] {
        assert_ne!(fact(&one, check, name), fact(&two, check, name), "{name}");
    }
}

#[test]
fn what_is_left_out_is_noticed() {
    let mut seen = 0;
    for check in [
        "replay",
        "splice",
        "rewrite",
        "old-session",
        "wake",
        "stale-host",
    ] {
        let output = run(check, &["demo", "--json", "--sabotage", check]);
        let document = document(&output);
        assert_eq!(failed(&document), [check], "{document:#}");
        assert_eq!(document["ok"], false);
        assert_eq!(output.status.code(), Some(1), "{check}");
        seen += 1;
    }
    assert_eq!(seen, 6);
}

#[test]
fn text_is_for_people_and_colour_for_terminals() {
    let output = run("text", &["demo"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\x1b'), "escapes into a pipe");
    let held = text
        .lines()
        .filter(|line| line.starts_with("held "))
        .count();
    assert_eq!(held, CHECKS.len());
    assert!(text.contains("15 of 15 checks held"), "{text}");

    let output = run("red", &["demo", "--sabotage", "replay"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("FAILED replay"), "{text}");
    assert!(text.contains("14 of 15 checks held"), "{text}");
}

#[test]
fn usage() {
    for (args, code) in [
        (&[] as &[&str], 2),
        (&["demo", "--sabotage", "nothing"], 2),
        (&["demo", "--unknown"], 2),
        (&["nothing"], 2),
        (&["--help"], 0),
        (&["demo", "--help"], 0),
        (&["--version"], 0),
    ] {
        let output = run("usage", args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
    }
    let missing = Path::new("/nonexistent/directory");
    let output = command(missing, &["demo"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!output.stderr.is_empty());
}

/// Waits until something holds, a minute at most.
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A run of the demo that is killed once `reached` holds of its directory and process id.
fn killed_when(name: &str, mut reached: impl FnMut(&Path, u32) -> bool) {
    let scratch = Scratch::new(&format!("killed-{name}"));
    let start = || {
        let mut demo = command(&scratch.0, &["demo"]);
        demo.stdout(Stdio::null()).spawn().unwrap()
    };
    let mut child = start();
    wait_for(name, || {
        if reached(&scratch.0, child.id()) {
            return true;
        }
        // What lasts for a moment may have come and gone between two looks: then another run.
        if child.try_wait().unwrap().is_some() {
            child = start();
        }
        false
    });
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for(&format!("nothing is left ({name})"), || scratch.is_empty());
}

fn listens(scratch: &Path) -> bool {
    fs::read_dir(scratch)
        .unwrap()
        .any(|dir| dir.unwrap().path().join("v.sock").exists())
}

#[test]
fn nothing_is_left_of_a_run_that_is_killed() {
    killed_when("listening", |scratch, _| listens(scratch));
    // Somewhere in between.
    killed_when("running", |scratch, _| {
        let listens = listens(scratch);
        thread::sleep(Duration::from_millis(if listens { 10 } else { 0 }));
        listens
    });
}

/// While the guest is stopped it can clear nothing up, and the kernel hangs it up when it goes on.
#[cfg(target_os = "linux")]
fn killed_in_its_pause(name: &str) {
    // `pid (name) state parent …`, proc_pid_stat(5).
    let stopped_child = |parent: u32| {
        fs::read_dir("/proc").unwrap().flatten().any(|process| {
            let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            let fields = stat.rsplit(')').next().unwrap_or_default();
            fields.starts_with(&format!(" T {parent} "))
        })
    };
    killed_when(name, |_, pid| stopped_child(pid));
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_of_a_run_that_is_killed_in_its_pause() {
    killed_in_its_pause("paused");
}

/// As in a container, whose first process is of the same session: that one adopts the guest, whose process group
/// is not orphaned then.
#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_of_a_run_that_is_adopted_in_its_own_session() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    killed_in_its_pause("adopted");
}
