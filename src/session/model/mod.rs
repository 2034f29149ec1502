//! A model of host, guest and attacker that drives the code of this crate, explored exhaustively.
//!
//! # What it is
//! A state is a set of real endpoints with their pending handshakes and sessions, the snapshots that
//! were taken of them, and every message that was sent. A step is one call of this crate's API, a
//! snapshot, or a restore. [`explore`] goes breadth first through all states that a [`config`] can
//! reach and [`property`] judges every step, so that a counterexample is a shortest one. Nothing is
//! drawn at random: entropy is counted, and Ed25519 is deterministic.
//!
//! The **attacker** has every message that was ever sent by anyone, and none of the honest keys. It
//! delivers any of them, any number of times, in any order, to whoever waits for its kind, on either
//! service; it drops by not delivering; where a configuration says so it rewrites fields. It has
//! machines snapshotted and restored whenever it likes, and every restored machine lives on beside
//! the one it was made from: one that is killed is one that is left alone.
//!
//! # What must hold
//! [`property::Violation`] lists what may never happen. The properties know what was really sealed,
//! answered and completed, by digests of their own, and not by what the code under test says of it.
//!
//! # Bounds, and what is left out
//! - Each configuration's bounds are in [`config`]. Between them: two attempts of each host, two
//!   frames each way and a close, two services, two instances, two restores of one snapshot alive
//!   at once, and restores of restores.
//! - Time stands still: deadlines and lifetimes are tested elsewhere. So are more than four pending
//!   handshakes, and more than two services.
//! - A guest's `receive` and `answer` are one step, and so are a host's `receive` and `finish` except
//!   where a configuration is `stepwise`.
//! - Signatures are Ed25519's, and the attacker does not try to forge one: it moves messages and
//!   rewrites fields.
//!
//! # Reductions
//! - One message of junk stands for all that the receiver cannot read, and messages are delivered
//!   where their kind is awaited; `frames` and `one seed` deliver everything everywhere instead.
//! - Without `errors` a refusal does not lead on: see [`config::Config::errors`]. Where that is,
//!   a smaller configuration of the same kind is explored with it too.
//! - A call depends on nothing but the party it is made on and the bytes, so its result is computed
//!   once for each party's state. States of parties are told apart by 128-bit fingerprints, states
//!   of the world exactly.
//!
//! # Is it any good?
//! [`controls`] switches off each rule in `crate::rules` and each condition of the protocol's
//! "Restore", and the model finds the attack. A run in which a party never completes a handshake, or
//! nobody accepts a frame, fails.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::std_instead_of_alloc,
    clippy::unwrap_used,
    reason = "a test, which has std: an overflow or a bad index is to fail it"
)]

mod attacker;
mod config;
mod controls;
mod direct;
mod explore;
mod guest;
mod host;
mod party;
mod property;

use config::Config;

/// Explores and prints; no violation may be found.
fn holds(config: &Config) {
    let started = std::time::Instant::now();
    let report = explore::explore(config);
    std::println!("model: {report} ({:.1} s)", started.elapsed().as_secs_f32());
    assert!(report.violation.is_none(), "{report}\n{}", report.trace());
    let honest = config.hosts.iter().filter(|host| host.key == 0);
    assert_eq!(report.guests.len(), config.guests.len() + config.restores);
    assert_eq!(report.hosts.len(), honest.count() + config.host_restores);
    assert!(report.accepted > 0 || config.frames == 0);
}

macro_rules! holds {
    ($($name:ident: $config:expr;)*) => {$(
        #[test]
        fn $name() {
            holds(&$config);
        }
    )*};
}

holds! {
    frames: config::FRAMES;
    one_seed: config::ONE_SEED;
    handshakes: config::HANDSHAKES;
    succession: config::SUCCESSION;
    splice: config::SPLICE;
    removed_keys: config::REMOVED;
    generations: config::GENERATIONS;
    instances: config::INSTANCES;
    instances_with_one_key: config::ONE_KEY;
    first_use: config::FIRST_USE;
    clones: config::CLONES;
    restored_guest: Config { marks: config::Marks::Changing, ..config::RESTORE };
    restored_after_sleep: config::PLANNED;
    restored_host: config::HOST_RESTORE;
    splice_with_errors: Config { name: "splice, errors", frames: 1, errors: true, ..config::SPLICE };
    one_key_with_errors: Config { name: "instances with one key, errors", errors: true, ..config::ONE_KEY };
    restored_guest_with_errors: Config { name: "restore, errors", marks: config::Marks::Changing, frames: 1, restores: 1, errors: true, ..config::RESTORE };
    planned_with_errors: Config { name: "planned, errors", frames: 1, restores: 1, errors: true, ..config::PLANNED };
    restore_of_a_restore: config::CHAIN;
}
