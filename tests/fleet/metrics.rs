//! Snapshots of counters.

use core::time::Duration;

use mvm_core::observability::metrics::{MetricsIncrease, MetricsSnapshot};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::assert_document;
use crate::vectors::{rows, text};

#[test]
fn documents() {
    assert_document::<MetricsSnapshot>("MetricsSnapshot", [5, 2, 53, 0]);
}

const GAUGES: [&str; 4] = [
    "reconcile_duration_ms",
    "build_image_duration_ms",
    "vm_start_duration_ms",
    "vsock_handshake_rtt_ms",
];

/// The members by name, so that none is forgotten here that was forgotten there.
fn members(snapshot: &MetricsSnapshot) -> Map<String, Value> {
    match serde_json::to_value(snapshot) {
        Ok(Value::Object(members)) => members,
        other => panic!("{other:?}"),
    }
}

/// A snapshot whose members are these.
fn snapshot(values: &[u64]) -> MetricsSnapshot {
    let names = members(&MetricsSnapshot::default());
    assert_eq!(names.len(), 24);
    assert_eq!(values.len(), names.len());
    let members: Map<_, _> = names
        .into_iter()
        .zip(values)
        .map(|((name, _), value)| (name, json!(value)))
        .collect();
    serde_json::from_value(Value::Object(members)).unwrap()
}

/// Small numbers, and some at the end.
fn snapshots() -> impl Strategy<Value = MetricsSnapshot> {
    let value = prop_oneof![
        4 => 0..1000_u64,
        1 => any::<u64>(),
        1 => u64::MAX - 2..=u64::MAX,
    ];
    proptest::collection::vec(value, 24).prop_map(|values| snapshot(&values))
}

/// Holds each member of `found` against what `counter` and `gauge` make of two.
fn assert_each(
    found: &MetricsSnapshot,
    [one, other]: [&MetricsSnapshot; 2],
    counter: fn(u64, u64) -> u64,
    gauge: fn(u64, u64) -> u64,
) {
    let (one, other) = (members(one), members(other));
    for (name, found) in members(found) {
        let (one, other) = (one[&name].as_u64().unwrap(), other[&name].as_u64().unwrap());
        let is_gauge = GAUGES.contains(&name.as_str());
        let wanted = if is_gauge { gauge } else { counter }(one, other);
        assert_eq!(found, wanted, "{name}");
    }
}

fn restarted(later: &MetricsSnapshot, earlier: &MetricsSnapshot) -> bool {
    let earlier = members(earlier);
    members(later).iter().any(|(name, value)| {
        !GAUGES.contains(&name.as_str()) && value.as_u64() < earlier[name].as_u64()
    })
}

#[test]
fn every_counter_that_goes_back_is_a_restart() {
    let earlier = snapshot(&[5; 24]);
    for (index, (name, _)) in members(&earlier).into_iter().enumerate() {
        let mut values = [9; 24];
        values[index] = 4;
        let increase = snapshot(&values).since(&earlier);
        let gauge = GAUGES.contains(&name.as_str());
        assert_eq!(increase.restarted, !gauge, "{name}");
        if gauge {
            assert_eq!(members(&increase.counted)[&name], 4, "{name}");
        } else {
            assert_eq!(increase.counted, snapshot(&values), "{name}");
        }
    }
}

/// A node that starts again does not spoil the fleet's increase.
#[test]
fn increases_are_merged_after_they_are_taken() {
    let (quiet, busy) = (snapshot(&[1000; 24]), snapshot(&[10; 24]));
    let (quiet_later, busy_again) = (snapshot(&[1001; 24]), snapshot(&[3; 24]));
    let fleet = quiet_later.since(&quiet).merge(&busy_again.since(&busy));
    assert!(fleet.restarted);
    assert_eq!(fleet.counted.requests_total, 4);
}

#[test]
fn snapshots_of_the_vectors() {
    let all: Vec<MetricsSnapshot> = rows("json/MetricsSnapshot.jsonl")
        .iter()
        .map(|row| serde_json::from_str(text(row, "doc")).unwrap())
        .collect();
    assert_eq!(all.len(), 5);
    let sum = all
        .iter()
        .fold(MetricsSnapshot::default(), |sum, it| sum.merge(it));
    assert_eq!(
        sum.requests_total,
        all.iter().map(|it| it.requests_total).sum::<u64>()
    );
    assert_eq!(
        Some(sum.vm_start_duration_ms),
        all.iter().map(|it| it.vm_start_duration_ms).max()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn merging(a in snapshots(), b in snapshots(), c in snapshots()) {
        let merged = a.merge(&b);
        assert_each(&merged, [&a, &b], u64::saturating_add, u64::max);
        prop_assert_eq!(merged, b.merge(&a));
        prop_assert_eq!(merged.merge(&c), a.merge(&b.merge(&c)));
        prop_assert_eq!(a.merge(&MetricsSnapshot::default()), a);
    }

    #[test]
    fn increases(a in snapshots(), b in snapshots()) {
        let increase = b.since(&a);
        prop_assert_eq!(increase.restarted, restarted(&b, &a));
        if increase.restarted {
            prop_assert_eq!(increase.counted, b);
        } else {
            assert_each(&increase.counted, [&b, &a], |b, a| b - a, |b, _| b);
        }
        // From the start everything, from itself nothing.
        prop_assert_eq!(a.since(&MetricsSnapshot::default()).counted, a);
        assert_each(&a.since(&a).counted, [&a, &a], |_, _| 0, |a, _| a);
        prop_assert!(!a.since(&a).restarted);
        prop_assert_eq!(increase.merge(&MetricsIncrease::default()), increase);
    }

    /// What is added comes out again, unless it did not fit.
    #[test]
    fn what_was_added_was_counted(a in proptest::collection::vec(0..u64::MAX / 2, 24),
                                  more in proptest::collection::vec(0..u64::MAX / 2, 24)) {
        let (a, more) = (snapshot(&a), snapshot(&more));
        let increase = a.merge(&more).since(&a);
        prop_assert!(!increase.restarted);
        assert_each(&increase.counted, [&a, &more], |_, more| more, u64::max);
    }

    #[test]
    fn rates(a in snapshots(), b in snapshots(), nanos in 1..=u64::MAX) {
        let over = Duration::from_nanos(nanos);
        let increase = b.since(&a);
        let rates = increase.rates(over).unwrap();
        for rate in [
            rates.requests_total,
            rates.requests_failed,
            rates.reconcile_runs,
            rates.instances_created,
            rates.instances_deferred,
            rates.connections_rejected,
        ] {
            prop_assert!(rate.is_finite() && rate >= 0.0);
        }
        let counted = rates.connections_rejected * over.as_secs_f64();
        let wanted = increase.counted.connections_rejected as f64;
        prop_assert!((counted - wanted).abs() <= wanted * 1e-12);
        prop_assert_eq!(increase.rates(Duration::ZERO), None);
        // The greatest numbers there are.
        let most = snapshot(&[u64::MAX; 24]).since(&MetricsSnapshot::default());
        prop_assert!(most.rates(Duration::from_nanos(1)).unwrap().requests_total.is_finite());
    }
}
