//! `state` as a program sees it: exit codes, JSON, and what people read.
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
use std::path::PathBuf;
use std::process::{Command, Output};

use mvm_core::document::Document;
use mvm_core::instance::{InstanceAction, InstanceState, InstanceStatus, write_mermaid};
use mvm_core::naming::{InstancePath, parse_instance_path};
use mvm_core::paths::FleetLayout;
use mvm_core::store::StateStore;
use mvm_core::time::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

const RECORD: &str = r#"{"instance_id":"i-1","pool_id":"web","tenant_id":"acme","status":"ready","net":{"tap_dev":"tn3i5","mac":"02:fc:00:03:00:05","guest_ip":"10.240.3.5","gateway_ip":"10.240.3.1","cidr":24}}"#;

struct Fleet {
    root: TempDir,
    store: StateStore,
}

impl Fleet {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = StateStore::new(FleetLayout::new(root.path()).unwrap());
        let state = InstanceState::from_json(RECORD.as_bytes()).unwrap();
        store.create(&instance(), &state).unwrap();
        Self { root, store }
    }

    fn file(&self) -> PathBuf {
        self.store.layout().instance_state_path(&instance())
    }

    fn state(&self, args: &[&str]) -> Output {
        let (args, json) = match args.split_last() {
            Some((&"--json", args)) => (args, true),
            _ => (args, false),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_mvm-core"));
        command.arg("state").args(&args[..1]);
        command.arg("--root").arg(self.root.path()).args(&args[1..]);
        if json {
            command.arg("--json");
        }
        command.output().unwrap()
    }

    /// Exit code and document.
    fn json(&self, args: &[&str]) -> (i32, Value) {
        let mut args = args.to_vec();
        args.push("--json");
        let output = self.state(&args);
        let document = serde_json::from_slice(&output.stdout);
        let document = document.unwrap_or_else(|_| panic!("{output:?}"));
        (output.status.code().unwrap(), document)
    }
}

fn instance() -> InstancePath {
    parse_instance_path("acme/web/i-1").unwrap()
}

const I: &str = "acme/web/i-1";

#[test]
fn a_life() {
    let fleet = Fleet::new();
    let (code, shown) = fleet.json(&["show", I]);
    assert_eq!((code, &shown["ok"]), (0, &Value::Bool(true)));
    assert_eq!(shown["state"]["status"], "ready");
    assert_eq!(shown["actions"], serde_json::json!(["Start", "Destroy"]));
    assert_eq!(shown["in_progress"], Value::Null);
    assert_eq!(shown["file"], fleet.file().to_str().unwrap());

    let (code, begun) = fleet.json(&["transition", I, "begin", "--action", "start"]);
    assert_eq!(
        (code, &begun["state"]["pending"]["to"]),
        (0, &"running".into())
    );
    // The program that began it has ended.
    let (_, shown) = fleet.json(&["show", I]);
    assert_eq!(
        (&shown["in_progress"], &shown["holder"]),
        (&Value::Bool(false), &Value::Null)
    );
    assert_eq!(shown["actions"], serde_json::json!([]));
    let text = String::from_utf8(fleet.state(&["show", I]).stdout).unwrap();
    assert!(
        text.contains("becoming running since ") && text.contains("is gone"),
        "{text}"
    );

    let (code, failed) = fleet.json(&["transition", I, "begin", "--action", "start"]);
    assert_eq!((code, &failed["ok"]), (1, &Value::Bool(false)));
    assert!(
        failed["error"]
            .as_str()
            .unwrap()
            .contains("is pending since")
    );
    let (code, failed) = fleet.json(&["transition", I, "commit"]);
    assert_eq!(code, 1);
    assert!(
        failed["error"]
            .as_str()
            .unwrap()
            .contains("the process is missing")
    );
    let (code, done) = fleet.json(&["transition", I, "commit", "--pid", "4711"]);
    assert_eq!((code, &done["state"]["status"]), (0, &"running".into()));
    let (code, _) = fleet.json(&["transition", I, "abort"]);
    assert_eq!(code, 1);
    // Facts that do not fit leave nothing behind.
    let (code, _) = fleet.json(&["transition", I, "whole", "--action", "stop", "--pid", "1"]);
    assert_eq!(code, 1);
    let (code, done) = fleet.json(&["transition", I, "whole", "--action", "stop"]);
    assert_eq!((code, &done["state"]["status"]), (0, &"stopped".into()));
    let state: InstanceState = fleet.store.load(&instance()).unwrap();
    assert_eq!(
        (state.status(), state.pending()),
        (InstanceStatus::Stopped, None)
    );
}

#[test]
fn who_has_it_in_hand() {
    let fleet = Fleet::new();
    let path = instance();
    let now = Timestamp::now().unwrap();
    let transition = fleet
        .store
        .begin(&path, InstanceAction::Start, now)
        .unwrap();
    let (_, shown) = fleet.json(&["show", I]);
    assert_eq!(shown["in_progress"], true);
    assert_eq!(shown["holder"], std::process::id());
    drop(transition);
    let (code, _) = fleet.json(&["transition", I, "abort"]);
    assert_eq!(code, 0);
}

#[test]
fn what_is_wrong_and_what_is_not_there() {
    let fleet = Fleet::new();
    let (code, missing) = fleet.json(&["show", "acme/web/i-2"]);
    assert_eq!(code, 2);
    assert!(
        missing["error"]
            .as_str()
            .unwrap()
            .ends_with("instance.json: there is none")
    );
    let (code, _) = fleet.json(&["transition", "acme/web/i-2", "begin", "--to", "ready"]);
    assert_eq!(code, 2);
    fs::write(
        fleet.file(),
        RECORD.replace("ready", "idle").replace("24}", "33}"),
    )
    .unwrap();
    let (code, wrong) = fleet.json(&["show", I]);
    assert_eq!(code, 1);
    assert_eq!(wrong["problems"].as_array().unwrap().len(), 2, "{wrong}");
    let file = fleet.file();
    let by_file = |file: &PathBuf| {
        Command::new(env!("CARGO_BIN_EXE_mvm-core"))
            .args(["state", "show", "--json", "--file"])
            .arg(file)
            .output()
            .unwrap()
    };
    assert_eq!(by_file(&file).status.code(), Some(1));
    fs::write(&file, RECORD).unwrap();
    assert_eq!(by_file(&file).status.code(), Some(0));
    assert_eq!(by_file(&file.join("x")).status.code(), Some(2));
    // Not an instance, and no goal.
    assert_eq!(fleet.state(&["show", "acme/../i-1"]).status.code(), Some(2));
    assert_eq!(
        fleet.state(&["transition", I, "begin"]).status.code(),
        Some(2)
    );
}

#[test]
fn pictures_of_the_table() {
    let graph = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mvm-core"))
            .args(["state", "graph"])
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let mut mermaid = String::new();
    write_mermaid(&mut mermaid).unwrap();
    assert_eq!(graph(&[]), mermaid);
    let dot = graph(&["--format", "dot"]);
    let document: Value = serde_json::from_str(&graph(&["--json"])).unwrap();
    let edges = document["edges"].as_array().unwrap();
    let mut count = 0;
    for from in InstanceStatus::ALL {
        for to in from.successors() {
            count += 1;
            assert!(
                dot.contains(&format!("    {from} -> {to} [label=\"")),
                "{from} {to}"
            );
            assert!(
                edges
                    .iter()
                    .any(|edge| { edge["from"] == from.as_str() && edge["to"] == to.as_str() })
            );
        }
    }
    assert_eq!(
        (edges.len(), dot.matches(" -> ").count()),
        (count, count + 1)
    );
}
