//! `doctor` as a program sees it, on this machine and on one that is made of files.
#![cfg(all(feature = "cli", unix))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A machine that is made of files: its root, its home, and the directory of its programs.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for directory in ["root/dev", "home", "bin"] {
            fs::create_dir_all(machine.0.path().join(directory)).unwrap();
        }
        machine
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path(&format!("bin/{name}"));
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn doctor(&self, variables: &[(&str, &str)], args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mvm-core"));
        command
            .args(["doctor", "--root", &self.path("root")])
            .args(args)
            .env_clear()
            .env("HOME", self.path("home"))
            .env("PATH", self.path("bin"))
            .envs(variables.iter().copied());
        command.output().unwrap()
    }
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn check<'a>(document: &'a Value, id: &str) -> &'a Value {
    let checks = document["checks"].as_array().unwrap();
    checks.iter().find(|check| check["id"] == id).unwrap()
}

#[test]
fn the_shape_holds_on_any_machine() {
    let output = Command::new(env!("CARGO_BIN_EXE_mvm-core"))
        .args(["doctor", "--json"])
        .output()
        .unwrap();
    let told = document(&output);
    let wanted = match told["verdict"].as_str().unwrap() {
        "yes" => 0,
        "no" => 1,
        "unknown" => 2,
        other => panic!("{other}"),
    };
    assert_eq!(output.status.code(), Some(wanted));
    assert_eq!(told["ok"], wanted == 0);
    let checks = told["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 15);
    for check in checks {
        let mark = check["mark"].as_str().unwrap();
        assert!(["good", "note", "advice", "bad", "unknown"].contains(&mark));
        assert!(!check["found"].as_str().unwrap().is_empty());
        assert!(check["help"].is_string() || check["help"].is_null());
        // What is bad is needed, and says what helps; what is only advice never decides.
        if mark == "bad" {
            assert_eq!(check["needed"], true);
            assert!(check["help"].is_string(), "{check}");
        }
    }
    // The evidence, as the library has it.
    assert_eq!(told["platform"]["arch"], std::env::consts::ARCH);
    assert!(!told["platform"]["kvm"].is_null());
}

/// Elsewhere the answer is that nothing can ask.
const KVM_CAN_BE_ASKED: bool = cfg!(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    )
));

#[test]
fn a_machine_without_anything() {
    let machine = Machine::new();
    let output = machine.doctor(&[], &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let told = document(&output);
    assert_eq!(told["verdict"], "no");
    assert_eq!(told["platform"]["kvm"], "missing");
    assert_eq!(check(&told, "kvm")["mark"], "bad");
    assert_eq!(check(&told, "cgroup-v2")["mark"], "advice");
    assert_eq!(check(&told, "nix")["needed"], false);
    assert_eq!(check(&told, "data-dir")["mark"], "note");

    let output = machine.doctor(&[], &[]);
    assert_eq!(output.status.code(), Some(1));
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(
        lines.contains("bad     KVM               there is no /dev/kvm\n"),
        "{lines}"
    );
    assert!(lines.contains("help: load the module"), "{lines}");
    // On other CPUs the system is missing too.
    let firecracker_runs = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
    let system = if firecracker_runs { "" } else { "system, " };
    let verdict = format!("no microVM can run here: {system}KVM");
    assert!(lines.contains(&verdict), "{lines}");
    assert!(
        !lines.contains('\u{1b}'),
        "no colours where it is no terminal"
    );
}

#[test]
fn a_file_is_not_kvm_and_a_program_is_asked() {
    let machine = Machine::new();
    fs::write(machine.path("root/dev/kvm"), "").unwrap();
    machine.program("firecracker", "echo 'Firecracker v1.7.0'");
    machine.program("docker", "echo 'no\u{1b}[2J daemon' >&2; exit 1");
    let output = machine.doctor(&[("MVM_FC_VERSION", "1.7")], &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let told = document(&output);
    assert_eq!(
        told["platform"]["kvm"]["unusable"].is_object(),
        KVM_CAN_BE_ASKED
    );
    assert_eq!(check(&told, "firecracker")["mark"], "good");
    assert_eq!(check(&told, "docker")["mark"], "advice");
    let found = check(&told, "docker")["found"].as_str().unwrap();
    assert!(
        found.contains("daemon") && !found.contains('\u{1b}'),
        "{found}"
    );

    let told = document(&machine.doctor(&[("MVM_FC_VERSION", "v1.14.1")], &["--json"]));
    let firecracker = check(&told, "firecracker");
    assert_eq!(firecracker["mark"], "advice");
    assert!(
        firecracker["found"]
            .as_str()
            .unwrap()
            .contains("v1.14.1 is expected")
    );
}

#[test]
fn a_program_that_does_not_answer() {
    let machine = Machine::new();
    machine.program("firecracker", "exec /bin/sleep 60");
    let output = machine.doctor(&[], &["--json", "--deadline", "1"]);
    let told = document(&output);
    assert_eq!(check(&told, "firecracker")["mark"], "unknown");
    // There is no KVM either, and that is known.
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn places() {
    let machine = Machine::new();
    let (open, mine, file) = (
        machine.path("open"),
        machine.path("mine"),
        machine.path("file"),
    );
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    fs::create_dir(&mine).unwrap();
    fs::set_permissions(&mine, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(&file, "").unwrap();
    fs::write(Path::new(&mine).join("config.toml"), "lima_cpus = 0\n").unwrap();
    let long = format!("/{}", "x".repeat(200));
    let variables = [
        ("MVM_DATA_DIR", open.as_str()),
        ("MVM_CONFIG_DIR", &mine),
        ("MVM_CACHE_DIR", "relative"),
        ("MVM_STATE_DIR", &file),
    ];
    let told = document(&machine.doctor(&variables, &["--json", "--socket-base", &long]));
    for (id, mark, said) in [
        (
            "data-dir",
            "advice",
            "anybody can write into it (mode 0777)",
        ),
        ("config-dir", "good", "mode 0700"),
        ("cache-dir", "advice", "MVM_CACHE_DIR is \"relative\""),
        ("state-dir", "advice", "not a directory"),
        ("share-dir", "note", "(default): not there yet"),
        ("config-file", "advice", "line 1, column 13"),
        ("sockets", "advice", "201 bytes long"),
    ] {
        let check = check(&told, id);
        assert_eq!(check["mark"], mark, "{check}");
        assert!(check["found"].as_str().unwrap().contains(said), "{check}");
        assert_eq!(check["needed"], false);
    }
    let told = document(&machine.doctor(&[], &["--json"]));
    assert_eq!(check(&told, "sockets")["mark"], "good");
}

#[test]
fn usage() {
    let machine = Machine::new();
    for args in [&["--deadline", "0"][..], &["--deadline", "x"], &["extra"]] {
        assert_eq!(machine.doctor(&[], args).status.code(), Some(2), "{args:?}");
    }
}
