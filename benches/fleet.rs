//! What reading and checking a desired state costs above what serde_json needs to look at its text, whether
//! it grows with the number of pools alone, and what it costs the heap.
//! `cargo bench --bench fleet --features alloc`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::std_instead_of_core
)]

use std::hint::black_box;
use std::time::Duration;

use mvm_core::agent::DesiredState;
use mvm_core::document::Document;
use mvm_core::idle_metrics::IdleMetrics;
use mvm_core::instance::InstanceState;
use serde::de::IgnoredAny;

mod harness;
#[path = "harness/heap.rs"]
mod heap;
#[path = "harness/state.rs"]
mod state;
use harness::{Batch, Contest, batch, run};

const SMALL: usize = 10_000;
const LARGE: usize = 100_000;

fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let (small, large) = if measured {
        (SMALL, LARGE)
    } else {
        (100, 1000)
    };
    let (small, large) = (text(small), text(large));
    let metrics = r#"{"idle_secs":27199,"cpu_pct":0.5,"net_bytes":71603,"last_updated":"2025-06-15T08:30:00Z"}"#;
    let contests = vec![
        Contest {
            item: "desired state, small, read and checked, per pool",
            ours: read(&small),
            floor: scan(&small),
            goal: None,
        },
        Contest {
            item: "desired state, large, read and checked, per pool",
            ours: read(&large),
            floor: scan(&large),
            goal: None,
        },
        Contest {
            item: "large beside small, per pool",
            ours: read(&large),
            floor: read(&small),
            goal: Some(1.3),
        },
        Contest {
            item: "idle metrics",
            ours: batch(move || IdleMetrics::from_json(black_box(metrics).as_bytes()).unwrap()),
            floor: batch(move || serde_json::from_str::<IgnoredAny>(black_box(metrics)).unwrap()),
            goal: None,
        },
        instance_state(),
    ];
    run(
        "documents against serde_json's scanner",
        "scanner",
        contests,
    );
    for (json, pools) in [&small, &large] {
        let cost = heap::cost(|| DesiredState::from_json(json.as_bytes()).unwrap());
        println!(
            "heap of a state of {pools} pools, per pool: {:.1} allocations, {} bytes held; {} bytes of text",
            cost.allocations as f64 / f64::from(*pools),
            cost.held / *pools as usize,
            json.len() / *pools as usize,
        );
    }
}

/// A state, and how many pools it has.
type Text = (&'static str, u32);

fn text(pools: usize) -> Text {
    let json = state::desired_state(pools);
    DesiredState::from_json(json.as_bytes()).expect("a valid state");
    (Box::leak(json.into_boxed_str()), pools as u32)
}

/// For each pool.
fn each<T>(pools: u32, work: impl FnMut() -> T + 'static) -> Batch<'static> {
    let mut whole = batch(work);
    // A batch is as many whole documents as it takes; at least one.
    Box::new(move |times| {
        let documents = times.div_ceil(pools);
        let time: Duration = whole(documents);
        time.mul_f64(f64::from(times) / (f64::from(documents) * f64::from(pools)))
    })
}

fn read(&(json, pools): &Text) -> Batch<'static> {
    each(pools, move || {
        DesiredState::from_json(black_box(json).as_bytes()).unwrap()
    })
}

fn scan(&(json, pools): &Text) -> Batch<'static> {
    each(pools, move || {
        serde_json::from_str::<IgnoredAny>(black_box(json)).unwrap()
    })
}

fn instance_state() -> Contest<'static> {
    let json = r#"{"instance_id":"i-5c51564e","pool_id":"api-pool","tenant_id":"t1","status":"stopped","net":{"tap_dev":"tn221i86","mac":"02:fc:00:dd:00:56","guest_ip":"10.240.221.86","gateway_ip":"10.240.221.1","cidr":24},"role":"builder","revision_hash":"d69b5d505c1fe7522425d748753f0f4d","firecracker_pid":1684,"last_started_at":"2025-12-31T23:59:59Z","last_stopped_at":"2026-02-25T12:00:00Z","idle_metrics":{"idle_secs":27199,"cpu_pct":0.5,"net_bytes":71603,"last_updated":"2025-06-15T08:30:00Z"},"healthy":false,"last_health_check_at":null,"manual_override_until":null,"config_version":3,"secrets_epoch":null,"entered_running_at":null,"entered_warm_at":null,"last_busy_at":null}"#;
    Contest {
        item: "instance state",
        ours: batch(move || InstanceState::from_json(black_box(json).as_bytes()).unwrap()),
        floor: batch(move || serde_json::from_str::<IgnoredAny>(black_box(json)).unwrap()),
        goal: None,
    }
}
