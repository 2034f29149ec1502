//! What all commands have in common: where they write, completions, manual pages.
#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::pipe;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn mvm_core(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mvm-core"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    mvm_core(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The commands that people are told of.
fn commands() -> Vec<String> {
    let help = text(&run(&["--help"]).stdout);
    let list = help.split("Commands:\n").nth(1).unwrap();
    let list = list.split("\n\n").next().unwrap();
    let names: Vec<_> = list
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .filter(|name| name != "help")
        .collect();
    assert!(
        names.len() >= 6 && names.contains(&"check".to_owned()),
        "{help}"
    );
    names
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success());
        let script = text(&output.stdout);
        for name in commands() {
            assert!(script.contains(&name), "{shell}: {name}");
        }
        // What a command takes, and not only that there is one.
        assert!(script.contains("deny-warnings"), "{shell}");
        let output = run(&["completions", shell, "--json"]);
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["script"], script);
        assert_eq!(
            (&document["ok"], &document["shell"]),
            (&true.into(), &shell.into())
        );
    }
    assert_eq!(run(&["completions", "tcsh"]).status.code(), Some(2));
}

#[test]
fn there_is_a_page_for_every_command() {
    let page = text(&run(&["man"]).stdout);
    assert!(page.contains(".TH mvm-core 1"), "{page}");
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("share/man1");
    let output = run(&["man", "--out-dir", pages.to_str().unwrap(), "--json"]);
    assert!(output.status.success());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told: BTreeSet<_> = document["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file.as_str().unwrap().to_owned())
        .collect();
    let there: BTreeSet<_> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, there);
    for name in commands() {
        assert!(page.contains(&name.replace('-', "\\-")), "{name}");
        let own = fs::read_to_string(pages.join(format!("mvm-core-{name}.1"))).unwrap();
        // Its name, and what it does in one line.
        assert!(own.contains(&format!(".TH mvm-core-{name} 1")), "{own}");
        assert!(own.contains(".SH DESCRIPTION"), "{own}");
    }
    // Hidden commands have none, nor has `help`.
    assert!(
        there
            .iter()
            .all(|file| !file.contains("demo-guest.1") && !file.contains("help"))
    );
}

#[test]
fn pages_that_cannot_be_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().join("below");
    let output = run(&["man", "--out-dir", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains(path.to_str().unwrap()));
    let output = run(&["man", "--out-dir", path.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["ok"], false);
}

/// Arguments with which a command has something to say.
fn arguments(name: &str) -> Vec<&str> {
    match name {
        "check" => vec![name, "desired-state"],
        "route" => vec![name, "-", "--port", "1", "--source", "10.0.0.1"],
        "completions" => vec![name, "bash"],
        _ => vec![name],
    }
}

#[test]
fn readers_may_go_away() {
    for name in commands() {
        for json in [false, true] {
            let mut args = arguments(&name);
            if json {
                args.push("--json");
            }
            let expected = run(&args).status;
            // Nobody reads any of it.
            let (reader, writer) = pipe().unwrap();
            drop(reader);
            let output = mvm_core(&args).stdout(writer).output().unwrap();
            assert_eq!(output.status, expected, "{args:?}");
            assert!(!text(&output.stderr).contains("panicked"), "{output:?}");
            // Nor what goes to standard error.
            let (reader, writer) = pipe().unwrap();
            drop(reader);
            let error = writer.try_clone().unwrap();
            let status = mvm_core(&args).stdout(writer).stderr(error).status();
            assert_eq!(status.unwrap(), expected, "{args:?}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    for args in [
        &["completions", "bash"][..],
        &["check", "desired-state"],
        &["man", "--json"],
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = mvm_core(args).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let said = text(&output.stderr);
        assert!(said.contains("cannot write to standard output"), "{said}");
    }
}

#[test]
fn progress_is_for_terminals() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    // Larger than what is worth a line on a terminal.
    let long = format!("[{}1]", "1,".repeat(3 << 20));
    std::io::Write::write_all(&mut file, long.as_bytes()).unwrap();
    let output = run(&["check", "routing-table", file.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "");
}
