//! The fleet's documents: each type against the vectors of 0.13.0, and what is made of them.
#![cfg(feature = "alloc")]
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]

#[path = "../common/mutate.rs"]
mod mutate;
#[path = "../common/vectors.rs"]
mod vectors;

mod admission;
mod agent;
mod audit;
mod catalog;
mod desired_state;
mod dev_network;
mod document;
mod instance;
mod metrics;
mod migration;
mod node;
mod pool;
mod protocol;
mod routing;
mod secret_binding;
mod security;
mod support;
mod template;
mod tenant;
mod vm_backend;
