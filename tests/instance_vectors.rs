//! Instances, their policies and their metrics against the vectors of 0.13.0.
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "common/vectors.rs"]
mod vectors;

use mvm_core::idle_metrics::{CpuPercent, IdleMetrics};
use mvm_core::instance::{
    InstanceAction, InstanceNet, InstanceState, InstanceStatus, validate_transition,
};
use mvm_core::pool::{Role, RuntimePolicy, SleepPolicyConfig};
use serde_json::json;
use vectors::{Counts, assert_type, behaviour, check, text};

#[test]
fn documents() {
    let counts = |json, min, bad, badid| Counts {
        json,
        min,
        bad,
        badid,
    };
    assert_type::<InstanceStatus>("InstanceStatus", counts(7, 0, 20, 0));
    assert_type::<InstanceNet>("InstanceNet", counts(5, 2, 20, 0));
    assert_type::<InstanceState>("InstanceState", counts(6, 7, 31, 6));
    assert_type::<InstanceAction>("InstanceAction", counts(6, 0, 18, 0));
    assert_type::<IdleMetrics>("IdleMetrics", counts(8, 7, 15, 0));
    assert_type::<Role>("Role", counts(4, 0, 14, 0));
    assert_type::<RuntimePolicy>("RuntimePolicy", counts(5, 3, 12, 0));
    assert_type::<SleepPolicyConfig>("SleepPolicyConfig", counts(8, 4, 12, 0));
}

/// The harness itself: a type that reads too little, and one that reads too much, are found out.
#[test]
fn the_harness_finds_wrong_types() {
    let (counts, wrong) = check::<Role>("InstanceStatus");
    assert_eq!((counts.json, wrong.len()), (7, 2 * 7));
    let (counts, wrong) = check::<serde_json::Value>("InstanceStatus");
    assert!(counts.bad > 0 && wrong.iter().any(|line| line.starts_with("json_bad ")));
    let (counts, wrong) = check::<serde_json::Value>("InstanceState");
    assert_eq!(counts.badid, 6);
    assert_eq!(
        wrong
            .iter()
            .filter(|line| line.starts_with("json_badid "))
            .count(),
        6
    );
    // Members in another order than 0.13.0's.
    assert!(
        wrong
            .iter()
            .any(|line| line.contains("full") && line.contains("wrote"))
    );
}

#[test]
fn transitions() {
    for row in behaviour("validate_transition", 49) {
        let (from, to) = (
            text(&row, "from").parse().unwrap(),
            text(&row, "to").parse().unwrap(),
        );
        let result = validate_transition(from, to);
        assert_eq!(json!(result.is_ok()), row["ok"], "{from} -> {to}");
        assert_eq!(from.can_become(to), result.is_ok());
        assert_eq!(from.successors().any(|next| next == to), result.is_ok());
        if let Err(error) = result {
            assert_eq!((error.from, error.to), (from, to));
            let message = error.to_string();
            assert!(message.contains(text(&row, "from")) && message.contains(text(&row, "to")));
        }
    }
    // In a constant, too.
    const ALLOWED: bool =
        validate_transition(InstanceStatus::Ready, InstanceStatus::Running).is_ok();
    const { assert!(ALLOWED) };
}

#[test]
fn names() {
    let mut seen = 0;
    for row in behaviour("enum_names", 189) {
        let (name, variant) = (text(&row, "serde"), text(&row, "variant"));
        let (debug, display) = match text(&row, "type") {
            "InstanceStatus" => {
                let status: InstanceStatus = serde_json::from_value(json!(name)).unwrap();
                assert_eq!(name.parse(), Ok(status));
                (format!("{status:?}"), status.to_string())
            }
            "InstanceAction" => {
                let action: InstanceAction = serde_json::from_value(json!(name)).unwrap();
                assert_eq!(name.to_lowercase().parse(), Ok(action));
                (format!("{action:?}"), action.to_string())
            }
            "Role" => {
                let role: Role = serde_json::from_value(json!(name)).unwrap();
                assert_eq!(name.parse(), Ok(role));
                (format!("{role:?}"), role.to_string())
            }
            _ => continue,
        };
        seen += 1;
        assert_eq!((debug.as_str(), display.as_str()), (variant, name));
    }
    assert_eq!(seen, 7 + 6 + 4);
    assert!("Running".parse::<InstanceStatus>().is_err());
    assert!("restart".parse::<InstanceAction>().is_err());
    assert!("Worker".parse::<Role>().is_err());
}

#[test]
fn defaults() {
    let mut seen = 0;
    for row in behaviour("defaults", 30) {
        let ours = match text(&row, "name") {
            "Role::default" => serde_json::to_value(Role::default()),
            "RuntimePolicy::default" => serde_json::to_value(RuntimePolicy::default()),
            "SleepPolicyConfig::default" => serde_json::to_value(SleepPolicyConfig::default()),
            "IdleMetrics::default" => serde_json::to_value(IdleMetrics::default()),
            _ => continue,
        };
        seen += 1;
        assert_eq!(ours.unwrap(), row["value"], "{}", row["name"]);
    }
    assert_eq!(seen, 4);
}

/// Where 0.13.0 let a document pass that cannot be right.
#[test]
fn laxness() {
    let mut seen = 0;
    for row in behaviour("json_lax", 16) {
        let input = text(&row, "input");
        match text(&row, "type") {
            "InstanceNet" => {
                let error = serde_json::from_str::<InstanceNet>(input).unwrap_err();
                assert!(error.to_string().contains("33 bits"), "{error}");
                let right = input.replace("33", "32");
                assert!(serde_json::from_str::<InstanceNet>(&right).is_ok());
                // The TAP device of one instance with the MAC address of its neighbour.
                let mixed = right.replace("tn1i2", "tn1i3");
                let error = serde_json::from_str::<InstanceNet>(&mixed).unwrap_err();
                assert!(error.to_string().contains("different instances"), "{error}");
            }
            // A quirk of serde, and harmless.
            "Role" => assert_eq!(serde_json::from_str(input).ok(), Some(Role::Worker)),
            _ => continue,
        }
        seen += 1;
    }
    assert_eq!(seen, 2);
}

/// What 0.13.0 wrote for a share that is not finite cannot be read, and cannot come to be written.
#[test]
fn shares_that_are_not_finite() {
    let mut seen = 0;
    for row in behaviour("nonfinite_floats", 8) {
        if text(&row, "type") == "IdleMetrics" {
            seen += 1;
            let value: f32 = text(&row, "value").parse().unwrap();
            assert!(!value.is_finite() && CpuPercent::new(value).is_err());
            assert!(serde_json::from_str::<IdleMetrics>(text(&row, "json")).is_err());
        }
    }
    assert_eq!(seen, 2);
    for text in [
        "1e39", "1e999", "-1", "-0.5", "1e400", "NaN", "\"5\"", "null",
    ] {
        assert!(serde_json::from_str::<CpuPercent>(text).is_err(), "{text}");
    }
    assert_eq!(
        serde_json::from_str::<CpuPercent>("-0.0").ok(),
        Some(CpuPercent::ZERO)
    );
    let policy = r#"{"cpu_threshold":-1.0}"#;
    assert!(serde_json::from_str::<SleepPolicyConfig>(policy).is_err());
}

#[test]
fn shares_are_written_as_by_0_13_0() {
    for row in behaviour("float_text_f32", 21) {
        let bits = u32::from_str_radix(text(&row, "bits"), 16).unwrap();
        let share = CpuPercent::new(f32::from_bits(bits)).unwrap();
        let written = serde_json::to_string(&share).unwrap();
        assert_eq!(written, text(&row, "json"));
        let read: CpuPercent = serde_json::from_str(&written).unwrap();
        assert_eq!(read.get().to_bits(), bits);
    }
}

/// Golden bytes of what travels in postcard, both ways.
#[test]
fn postcard() {
    fn both<T>(value: T, bytes: &[u8])
    where
        T: serde::Serialize + for<'de> serde::Deserialize<'de> + PartialEq + core::fmt::Debug,
    {
        let mut buffer = [0; 64];
        assert_eq!(
            postcard::to_slice(&value, &mut buffer).unwrap(),
            bytes,
            "{value:?}"
        );
        let (read, rest) = postcard::take_from_bytes::<T>(bytes).unwrap();
        assert_eq!((read, rest.len()), (value, 0));
        for len in 0..bytes.len() {
            assert!(postcard::from_bytes::<T>(&bytes[..len]).is_err());
        }
    }
    for (index, status) in (0..).zip(InstanceStatus::ALL) {
        both(status, &[index]);
    }
    for (index, action) in (0..).zip(InstanceAction::ALL) {
        both(action, &[index]);
    }
    for (index, role) in (0..).zip(Role::ALL) {
        both(role, &[index]);
    }
    assert!(postcard::from_bytes::<InstanceStatus>(&[7]).is_err());

    let net: InstanceNet = serde_json::from_str(
        r#"{"tap_dev":"tn300i7","mac":"02:fc:01:2c:00:07","guest_ip":"10.240.44.7","gateway_ip":"10.240.44.1","cidr":24}"#,
    )
    .unwrap();
    both(net, &[0xac, 0x02, 7, 10, 240, 44, 7, 10, 240, 44, 1, 24]);
    // Network 4096, offset 0 and a prefix of 33 bits.
    for bytes in [
        [0x80, 0x20, 7, 10, 240, 44, 7, 10, 240, 44, 1, 24],
        [0xac, 0x02, 0, 10, 240, 44, 7, 10, 240, 44, 1, 24],
        [0xac, 0x02, 7, 10, 240, 44, 7, 10, 240, 44, 1, 33],
    ] {
        assert!(
            postcard::from_bytes::<InstanceNet>(&bytes).is_err(),
            "{bytes:?}"
        );
    }

    let metrics = IdleMetrics {
        idle_secs: 300,
        cpu_pct: CpuPercent::new(0.5).unwrap(),
        net_bytes: 5,
        last_updated: Some("1970-01-01T00:00:01.000000002Z".parse().unwrap()),
    };
    both(metrics, &[0xac, 0x02, 0, 0, 0, 0x3f, 5, 1, 2, 2]);
    both(IdleMetrics::default(), &[0, 0, 0, 0, 0, 0, 0]);
    // NaN and infinity.
    assert!(postcard::from_bytes::<IdleMetrics>(&[0, 0, 0, 0xc0, 0x7f, 0, 0]).is_err());
    assert!(postcard::from_bytes::<IdleMetrics>(&[0, 0, 0, 0x80, 0x7f, 0, 0]).is_err());
}

/// The pending transition: there or not, and refused where the table does not have it.
#[test]
fn pending_in_the_file() {
    let rows = vectors::rows("json/InstanceState.jsonl");
    let row = rows.iter().find(|row| row["case"] == "full").unwrap();
    let mut state: InstanceState = serde_json::from_str(text(row, "doc")).unwrap();
    let now = "2026-02-25T12:00:00Z".parse().unwrap();
    state.begin(InstanceStatus::Warm, now).unwrap();
    let written = serde_json::to_string(&state).unwrap();
    let pending = r#","pending":{"to":"warm","since":"2026-02-25T12:00:00Z"}}"#;
    assert!(written.ends_with(pending), "{written}");
    // Nothing else changed, so that 0.13.0 reads what it knows.
    assert_eq!(written.replace(pending, "}"), text(row, "doc"));
    assert_eq!(
        serde_json::from_str::<InstanceState>(&written).unwrap(),
        state
    );

    let null = written.replace(pending, r#","pending":null}"#);
    assert_eq!(
        serde_json::from_str::<InstanceState>(&null)
            .unwrap()
            .pending(),
        None
    );
    for wrong in [
        r#""to":"sleeping""#,
        r#""to":"nonesuch""#,
        r#""from":"running""#,
    ] {
        let wrong = written.replace(r#""to":"warm""#, wrong);
        assert!(
            serde_json::from_str::<InstanceState>(&wrong).is_err(),
            "{wrong}"
        );
    }
}

/// The state is for files only: postcard has no omitted members, and could not read it again.
#[test]
fn the_state_is_json_only() {
    let rows = vectors::rows("json/InstanceState.jsonl");
    assert_eq!(rows.len(), 6);
    for row in rows {
        let state: InstanceState = serde_json::from_str(text(&row, "doc")).unwrap();
        assert!(postcard::to_slice(&state, &mut [0; 4096]).is_err());
    }
    assert!(postcard::from_bytes::<InstanceState>(&[0; 4096]).is_err());
}

/// Process ids that would make `kill` hit others are not read.
#[test]
fn process_ids() {
    let rows = vectors::rows("json/InstanceState.jsonl");
    let row = rows.iter().find(|row| row["case"] == "full").unwrap();
    let doc = |pid: &str| text(row, "doc").replace("4111", pid);
    for (pid, ok) in [
        ("1", true),
        ("4194304", true),
        ("2147483647", true),
        ("0", false),
        ("2147483648", false),
        ("4294967295", false),
        ("-1", false),
    ] {
        assert_eq!(
            serde_json::from_str::<InstanceState>(&doc(pid)).is_ok(),
            ok,
            "{pid}"
        );
    }
}
