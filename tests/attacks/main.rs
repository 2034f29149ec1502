//! The attack suite of the session protocol: a test for each rule of `src/session/protocol.md`.
//!
//! * `paired`: attacks on the holes of version 0.13.0. Each is written once and runs twice: against
//!   protocol v3, which refuses it with the error that is asserted, and against a re-creation of the
//!   scheme of 0.13.0 (`legacy`), where it succeeds. The second run is the negative control: it shows
//!   that the attack attacks.
//! * The other modules hold the rules that 0.13.0 has no counterpart for.
//!
//! The attacker's tools are in `forge`: an encoder, the transcript and the signatures of the
//! protocol, written a second time from its text alone, for peers that hold a key and misbehave.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::std_instead_of_alloc,
    reason = "a test that panics has failed, as it should"
)]

mod fail_closed;
mod forge;
mod frames;
mod handshake;
mod keys;
mod legacy;
mod paired;
mod pending;
mod refusal;
mod restore;
mod trust;
mod world;
