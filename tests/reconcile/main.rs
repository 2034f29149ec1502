//! The reconcile plan: its rules on small fleets, and its properties on random ones.
#![cfg(feature = "alloc")]
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]

mod check;
mod minimal;
mod properties;
mod random;
mod rules;
mod sim;
