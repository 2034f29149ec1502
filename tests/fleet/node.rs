//! Nodes.

use mvm_core::node::{NodeInfo, NodeStats};

use crate::vectors::{Counts, assert_type, default_of};

#[test]
fn documents() {
    assert_type::<NodeInfo>("NodeInfo", Counts::new(5, 7, 22, 2));
    assert_type::<NodeStats>("NodeStats", Counts::new(5, 2, 21, 0));
}

#[test]
fn defaults() {
    assert_eq!(
        serde_json::to_value(NodeStats::default()).unwrap(),
        default_of("NodeStats::default")
    );
}
