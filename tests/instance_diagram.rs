//! The diagram in the documentation is the one that the transition table gives.
//!
//! `UPDATE=1 cargo test --test instance_diagram` writes it anew.
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use mvm_core::instance::{InstanceStatus, write_mermaid};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/instance/transitions.md");

fn generated() -> String {
    let mut text = String::from("```mermaid\n");
    write_mermaid(&mut text).unwrap();
    text.push_str("```\n");
    text
}

#[test]
fn the_documented_diagram_is_generated() {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(FILE, generated()).unwrap();
    }
    let stored = std::fs::read_to_string(FILE).unwrap();
    assert!(
        stored == generated(),
        "{FILE} differs from the transition table; write it anew with: \
         UPDATE=1 cargo test --test instance_diagram\n{}",
        generated()
    );
}

/// An edge for each pair that the table allows, and none else.
#[test]
fn the_diagram_has_exactly_the_edges_of_the_table() {
    let text = generated();
    let mut edges = 0;
    for from in InstanceStatus::ALL {
        for to in InstanceStatus::ALL {
            let edge = format!("    {from} --> {to}: ");
            assert_eq!(
                text.matches(&edge).count(),
                usize::from(from.can_become(to)),
                "{edge}"
            );
            edges += usize::from(from.can_become(to));
        }
    }
    assert_eq!(edges, 18);
    // With the header, both fences, the way in and the way out.
    assert_eq!(text.lines().count(), edges + 5);
}
