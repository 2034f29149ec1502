//! Every decoder on arbitrary bytes, on well-formed bytes with changes, and (for what is signed) on
//! every single change there is. What must hold is in `common/targets.rs`.
#![cfg(feature = "std")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc
)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

#[path = "common/audit.rs"]
mod audit;
#[path = "common/mutate.rs"]
mod mutate;
#[path = "common/reference.rs"]
mod reference;
#[path = "common/seeds.rs"]
mod seeds;
#[path = "common/targets.rs"]
mod targets;
use mutate::{Random, mutate};
use seeds::seeds;
use targets::{TARGETS, Target};

/// Runs a target and says on which bytes it failed.
fn run(name: &str, target: Target, data: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(data))) {
        eprintln!("{name} on {data:02x?}");
        std::panic::resume_unwind(panic);
    }
}

/// Changes of each seed. `DECODER_CASES` is for CPUs that are emulated, where fewer must do.
fn cases() -> usize {
    let set = std::env::var("DECODER_CASES");
    set.map_or(3000, |cases| cases.parse().expect("a number"))
}

/// Those that check signatures cost a hundred times the others.
fn share(name: &str, all: usize) -> usize {
    match name {
        "host_hello" | "guest_hello" | "host_finish" | "session_frame" | "admission" => all / 10,
        // Long seeds, in which every line is hashed.
        "audit_log" => all / 6,
        // Many seeds.
        "documents" => all / 30,
        _ => all,
    }
}

#[test]
fn seeds_and_what_is_near_them() {
    let mut random = Random::new(0x6d76_6d2d_636f_7265);
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name}");
        for seed in &seeds {
            run(name, target, seed);
            // Long seeds, whose every value is cut off somewhere all the same.
            let step = match name {
                "documents" => 7,
                "audit_log" => 3,
                _ => 1,
            };
            for end in (0..seed.len()).step_by(step) {
                run(name, target, &seed[..end]);
            }
            for _ in 0..share(name, cases()) {
                run(name, target, &mutate(seed, &seeds, &mut random));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases().min(400) as u32))]

    #[test]
    fn arbitrary_bytes(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        for (name, target) in TARGETS {
            run(name, target, &data);
        }
    }

    #[test]
    fn arbitrary_text(text in "\\PC{0,80}") {
        for (name, target) in TARGETS {
            run(name, target, text.as_bytes());
        }
    }
}

/// No bit of a signed message can be changed, nothing can be cut off and nothing added.
///
/// The targets themselves compare: whatever differs from the one right message must be refused.
/// For a hello of the host, which is not signed, the host must refuse the guest's answer to it.
#[test]
fn every_single_change_of_a_session_message() {
    let signed = ["host_hello", "guest_hello", "host_finish", "session_frame"];
    let mut changes = 0;
    for name in signed {
        let (_, target) = TARGETS.iter().find(|(other, _)| *other == name).unwrap();
        for seed in seeds(name) {
            for bit in 0..seed.len() * 8 {
                let mut changed = seed.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                run(name, *target, &changed);
                changes += 1;
            }
            for byte in [0, 1, 0xff] {
                run(name, *target, &[&seed[..], &[byte]].concat());
                run(name, *target, &[&[byte], &seed[..]].concat());
                changes += 2;
            }
        }
    }
    assert!(changes > 7_000, "{changes}");
}

/// The invariants of the targets are not empty: what is right is seen to be accepted.
#[test]
fn the_seeds_reach_the_other_side() {
    use mvm_core::guest::{Answer, Call, Request, Response};
    use mvm_core::instance::InstanceState;
    use mvm_core::signing::{SignedDocument, SignedPayload};
    use mvm_core::wire::codec;

    let requests = seeds("guest_request")
        .iter()
        .filter(|seed| {
            Request::decode(seed).is_ok_and(|r| matches!(Call::decode(r.op, r.body), Ok(Some(_))))
        })
        .count();
    assert_eq!(requests, 6);
    let responses = seeds("guest_response")
        .iter()
        .filter(|seed| {
            Response::decode(seed)
                .is_ok_and(|r| matches!(Answer::decode(r.op, r.body), Ok(Some(_))))
        })
        .count();
    assert_eq!(responses, 5);
    for (seed, (name, _, _)) in seeds("documents").iter().zip(targets::DOCUMENTS) {
        let value: serde_json::Value = serde_json::from_slice(&seed[1..]).unwrap();
        assert!(!value.is_null(), "{name}");
    }
    let bindings = seeds("secret_binding_text");
    let read = |seed: &&Vec<u8>| {
        let text = std::str::from_utf8(seed).unwrap();
        text.parse::<mvm_core::secret_binding::SecretBinding>()
            .is_ok()
    };
    assert_eq!(bindings.iter().filter(read).count(), 5);
    let states = seeds("instance_state_json");
    for seed in &states {
        serde_json::from_slice::<InstanceState>(seed).unwrap();
    }
    for seed in seeds("signed_document_json") {
        serde_json::from_slice::<SignedDocument>(&seed).unwrap();
    }
    for seed in seeds("signed_payload_postcard") {
        codec::decode::<SignedPayload<&[u8]>>(&seed).unwrap();
    }
}
