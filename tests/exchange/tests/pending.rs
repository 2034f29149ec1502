//! What is pending is in the file and 0.13.0 drops it when it writes the file, and nothing else.

use mvm_core::instance::{InstanceState, InstanceStatus};
use mvm_core_exchange::source::{Any, Source};

#[test]
fn pending_is_ignored_and_dropped() {
    let now = "2026-02-25T12:00:00Z".parse().unwrap();
    let mut state = InstanceState::any(&mut Source::new(&[]));
    let before = serde_json::to_string(&state).unwrap();
    state.begin(InstanceStatus::Ready, now).unwrap();
    let json = serde_json::to_string(&state).unwrap();
    assert!(json.contains(r#""pending":{"to":"ready","since":"2026-02-25T12:00:00Z"}"#));
    let old: old::instance::InstanceState = serde_json::from_str(&json).unwrap();
    let back = serde_json::to_string(&old).unwrap();
    assert_eq!(back, before);
    let read: InstanceState = serde_json::from_str(&back).unwrap();
    assert_eq!(read.pending(), None);
}
