//! The core's records as documents: what serde reads and what `Document` reads is the same.

use mvm_core::document::{Document, Problem, Reason};
use mvm_core::idle_metrics::IdleMetrics;
use mvm_core::instance::{
    InstanceAction, InstanceNet, InstanceState, InstanceStatus, validate_transition,
};
use mvm_core::signing::SignedDocument;
use serde_json::{Value, json};

use crate::mutate::{Random, mutate};
use crate::vectors::{rows, text};

/// All documents of a type that the vectors have, good and bad.
fn documents(name: &str) -> Vec<String> {
    ["json", "json_min", "json_bad", "json_badid"]
        .iter()
        .flat_map(|folder| rows(&format!("{folder}/{name}.jsonl")))
        .map(|row| text(&row, "doc").to_owned())
        .collect()
}

/// Reads both ways: whether they took it, and the problems where they did not.
fn read<T: Document + PartialEq + core::fmt::Debug>(json: &[u8]) -> Result<T, Vec<Problem>> {
    let by_serde = serde_json::from_slice::<T>(json);
    let shown = String::from_utf8_lossy(json);
    match (by_serde, T::from_json(json)) {
        (Ok(by_serde), Ok(document)) => {
            assert_eq!(by_serde, document, "{shown}");
            assert_eq!(document.validate(), Ok(()));
            Ok(document)
        }
        (Err(_), Err(invalid)) => Err(invalid.into_problems()),
        // Arrays of the members' values, and names as the only member of an object, which derived
        // implementations take.
        (Ok(_), Err(invalid)) => {
            let problems = invalid.into_problems();
            let quirk = |reason: &Reason| match reason {
                Reason::Shape(words) => {
                    words.ends_with("sequence, expected an object")
                        || words.ends_with("map, expected a string")
                }
                _ => false,
            };
            assert!(
                problems.iter().all(|it| quirk(&it.reason)),
                "{shown}: {problems:?}"
            );
            Err(problems)
        }
        (Err(error), Ok(_)) => panic!("{shown}: only serde refuses: {error}"),
    }
}

/// What a value is replaced by.
fn candidates() -> Vec<Value> {
    let mut all = vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(24),
        json!(33),
        json!(256),
        json!(2_147_483_648_u64),
        json!(u64::MAX),
        json!(0.5),
        json!(-0.5),
        json!(1e39),
        json!([]),
        json!({}),
        json!([1, 2]),
        json!({"Start": null}),
    ];
    all.extend(
        [
            "",
            "running",
            "Running",
            "Start",
            "START",
            "worker",
            "nonesuch",
            "i-0a1b2c3d",
            "-a",
            "é",
            "tn1i2",
            "tn01i2",
            "02:fc:00:01:00:02",
            "02:FC:00:01:00:02",
            "10.0.0.1",
            "10.0.0.01",
            "::1",
            "2025-01-01T00:00:00Z",
            "2025-01-01T00:00:00+01:00",
            "2025-02-29T00:00:00Z",
            "sha256:abc",
            "../x",
            "5",
        ]
        .map(|it| json!(it)),
    );
    all
}

/// The paths of all values of a document.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                pointers(value, &format!("{at}/{name}"), all);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                pointers(value, &format!("{at}/{index}"), all);
            }
        }
        _ => {}
    }
}

/// Both ways agree on every document of the vectors, on each with one value replaced or left out, and on
/// each with some bytes changed: how many were taken and how many refused.
fn agree<T: Document + PartialEq + core::fmt::Debug>(name: &str) -> (usize, usize) {
    let (mut taken, mut refused) = (0, 0);
    let mut count = |json: &[u8]| match read::<T>(json) {
        Ok(_) => taken += 1,
        Err(problems) => {
            assert!(!problems.is_empty());
            refused += 1;
        }
    };
    let documents = documents(name);
    assert!(!documents.is_empty());
    let bytes: Vec<Vec<u8>> = documents.iter().map(|it| it.clone().into_bytes()).collect();
    let mut random = Random::new(7);
    for document in &bytes {
        count(document);
        for _ in 0..20 {
            count(&mutate(document, &bytes, &mut random));
        }
    }
    // The good ones with all members and with few.
    for folder in ["json", "json_min"] {
        let Some(row) = rows(&format!("{folder}/{name}.jsonl")).into_iter().next() else {
            continue;
        };
        let value: Value = serde_json::from_str(text(&row, "doc")).unwrap();
        let mut all = Vec::new();
        pointers(&value, "", &mut all);
        for pointer in all {
            // Bytes of signatures are all alike.
            if pointer.ends_with(|digit: char| digit.is_ascii_digit()) && !pointer.ends_with("/0") {
                continue;
            }
            for candidate in candidates() {
                let mut changed = value.clone();
                *changed.pointer_mut(&pointer).unwrap() = candidate;
                count(changed.to_string().as_bytes());
            }
            if let Some((parent, name)) = pointer.rsplit_once('/') {
                let mut changed = value.clone();
                if let Some(Value::Object(members)) = changed.pointer_mut(parent) {
                    members.remove(name);
                    count(changed.to_string().as_bytes());
                }
            }
        }
    }
    (taken, refused)
}

#[test]
fn both_ways_agree() {
    for (name, (taken, refused)) in [
        ("InstanceState", agree::<InstanceState>("InstanceState")),
        ("InstanceNet", agree::<InstanceNet>("InstanceNet")),
        ("IdleMetrics", agree::<IdleMetrics>("IdleMetrics")),
        ("InstanceStatus", agree::<InstanceStatus>("InstanceStatus")),
        ("InstanceAction", agree::<InstanceAction>("InstanceAction")),
        ("SignedPayload", agree::<SignedDocument>("SignedPayload")),
    ] {
        assert!(taken >= 6 && refused > 60, "{name}: {taken}, {refused}");
    }
}

/// The first good document of the state.
fn state() -> Value {
    let rows = rows("json/InstanceState.jsonl");
    let row = rows.iter().find(|row| row["case"] == "full").unwrap();
    serde_json::from_str(text(row, "doc")).unwrap()
}

#[test]
fn every_value_has_its_path() {
    let mut state = state();
    let bad = [
        ("/instance_id", json!("A")),
        ("/pool_id", json!("")),
        ("/tenant_id", json!("a.b")),
        ("/status", json!("idle")),
        ("/net/tap_dev", json!("eth0")),
        ("/net/mac", json!("x")),
        ("/net/guest_ip", json!("::1")),
        ("/net/gateway_ip", json!("10.0.0")),
        ("/net/cidr", json!(33)),
        ("/role", json!("Worker")),
        ("/revision_hash", json!("..")),
        ("/firecracker_pid", json!(0)),
        ("/last_started_at", json!("yesterday")),
        ("/last_stopped_at", json!("2025-02-29T00:00:00Z")),
        ("/idle_metrics/cpu_pct", json!(-1)),
        ("/idle_metrics/last_updated", json!("")),
        ("/last_health_check_at", json!("x")),
        ("/manual_override_until", json!("x")),
        ("/entered_running_at", json!("x")),
        ("/entered_warm_at", json!("x")),
        ("/last_busy_at", json!("x")),
    ];
    let mut wanted = Vec::new();
    for (pointer, value) in bad {
        *state.pointer_mut(pointer).unwrap() = value;
        wanted.push(pointer.trim_start_matches('/').replace('/', "."));
    }
    state["pending"] = json!({"to": "gone", "since": "x"});
    wanted.extend(["pending.to".into(), "pending.since".into()]);
    let problems = read::<InstanceState>(state.to_string().as_bytes()).unwrap_err();
    let mut paths: Vec<_> = problems.into_iter().map(|problem| problem.path).collect();
    paths.sort();
    wanted.sort();
    assert_eq!(paths, wanted);
}

#[test]
fn tap_device_and_mac_address_belong_together() {
    let mut net = json!({
        "tap_dev": "tn3i5", "mac": "02:fc:00:03:00:05",
        "guest_ip": "10.0.0.2", "gateway_ip": "10.0.0.1", "cidr": 24,
    });
    assert!(read::<InstanceNet>(net.to_string().as_bytes()).is_ok());
    net["tap_dev"] = json!("tn3i6");
    let problems = read::<InstanceNet>(net.to_string().as_bytes()).unwrap_err();
    let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        ["mac: contradicts tap_dev: expected 02:fc:00:03:00:06"]
    );
    // In a record the path leads there.
    let mut state = state();
    state["net"] = net;
    let problems = read::<InstanceState>(state.to_string().as_bytes()).unwrap_err();
    assert_eq!(problems[0].path, "net.mac");
    assert!(problems[0].to_string().contains("contradicts net.tap_dev"));
}

#[test]
fn a_pending_transition_is_one_of_the_table() {
    let mut state = state();
    for from in InstanceStatus::ALL {
        for to in InstanceStatus::ALL {
            state["status"] = json!(from);
            for since in ["2025-01-01T00:00:00Z", "bad"] {
                state["pending"] = json!({"to": to, "since": since});
                let read = read::<InstanceState>(state.to_string().as_bytes());
                let mut wanted = Vec::new();
                if since == "bad" {
                    wanted.push("pending.since");
                }
                if validate_transition(from, to).is_err() {
                    wanted.push("pending.to");
                }
                match read {
                    Ok(read) => {
                        assert!(wanted.is_empty(), "{from} {to}");
                        assert_eq!(read.pending().unwrap().to, to);
                    }
                    Err(problems) => {
                        let paths: Vec<_> = problems.iter().map(|it| it.path.as_str()).collect();
                        assert_eq!(paths, wanted, "{from} {to}");
                    }
                }
            }
        }
    }
}

#[test]
fn names_of_actions_are_exact() {
    // An operator may type them in any case, a document may not.
    assert_eq!("stop".parse(), Ok(InstanceAction::Stop));
    assert_eq!(read(b"\"Stop\""), Ok(InstanceAction::Stop));
    let problems = read::<InstanceAction>(b"\"stop\"").unwrap_err();
    assert!(matches!(problems[0].reason, Reason::UnknownName { known } if known.contains("Stop")));
}
