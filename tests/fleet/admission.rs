//! Which desired states a node applies.

use mvm_core::agent::DesiredState;
use mvm_core::agent::admission::{
    Admission, AdmissionError, AdmissionRecord, AdmittedState, LastAdmitted, TimedState,
    accept_unsigned_for_development,
};
use mvm_core::document::{Document, Reason};
use mvm_core::naming::{NodeId, SignerId};
use mvm_core::signing::{DocumentKey, Signature, SignedDocument, TrustedKey, VerifyError};
use mvm_core::time::Timestamp;
use proptest::prelude::*;

const NOON: &str = "2026-06-01T12:00:00Z";
const ONE: &str = "2026-06-01T13:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn key() -> DocumentKey {
    DocumentKey::from_seed(&[7; 32])
}

fn signer() -> SignerId {
    SignerId::new("coordinator-1").unwrap()
}

fn node() -> NodeId {
    NodeId::new("node-1").unwrap()
}

fn sign(payload: impl Into<Vec<u8>>) -> SignedDocument {
    SignedDocument::sign(payload.into(), signer(), &key()).unwrap()
}

fn bare(sequence: u64, more: &str) -> String {
    format!(
        r#"{{"schema_version": 1, "node_id": "node-1", "tenants": [], "sequence": {sequence}{more}}}"#
    )
}

fn timed(until: &str, state: &str) -> String {
    format!(r#"{{"expires_at": "{until}", "desired_state": {state}}}"#)
}

/// Keys without an end.
fn keys() -> [TrustedKey; 1] {
    [TrustedKey::new(signer(), key().public())]
}

/// The same key until an instant.
fn keys_until(end: &str) -> [TrustedKey; 1] {
    keys().map(|key| key.between(None, Some(at(end))).unwrap())
}

fn admit(payload: &str, last: LastAdmitted) -> Result<AdmittedState, AdmissionError> {
    Admission::new(&node(), &keys_until(ONE), last, Some(at(NOON))).admit(&sign(payload))
}

fn first(payload: &str) -> AdmittedState {
    admit(payload, LastAdmitted::Nothing).unwrap()
}

fn after(payload: &str) -> LastAdmitted {
    LastAdmitted::Record(first(payload).record().clone())
}

#[test]
fn a_state_of_a_0_13_0_coordinator() {
    let admitted = first(&bare(3, ""));
    assert_eq!(admitted.state().node_id, node());
    assert_eq!(admitted.sequence, 3);
    assert_eq!(*admitted.signer_id(), signer());
    assert_eq!(admitted.expires_at(), Some(at(ONE)));
    assert_eq!(admitted.record().sequence, 3);
    assert!(!admitted.is_repeated());
    assert_eq!(admitted.clone().into_state(), *admitted.state());
}

#[test]
fn a_state_with_an_end() {
    for (own, key, end) in [
        ("2026-06-01T12:00:00Z", None, "2026-06-01T12:00:00Z"),
        ("2026-06-01T12:30:00Z", Some(ONE), "2026-06-01T12:30:00Z"),
        ("2026-06-01T14:00:00Z", Some(ONE), ONE),
    ] {
        let trusted = key.map_or_else(keys, keys_until);
        let signed = sign(timed(own, &bare(3, "")));
        let node = node();
        let admission = Admission::new(&node, &trusted, LastAdmitted::Nothing, Some(at(NOON)));
        assert_eq!(
            admission.admit(&signed).unwrap().expires_at(),
            Some(at(end))
        );
    }
    // The members in the other order, and other white space.
    let payload = format!(
        "\n{{ \"desired_state\" : {} , \"expires_at\": \"{ONE}\" }}",
        bare(3, "")
    );
    assert_eq!(first(&payload).sequence, 3);
    let escaped = timed(ONE, &bare(3, "")).replace("expires_at", "expires\\u005fat");
    assert_eq!(first(&escaped).sequence, 3);
    // Written by this crate.
    let written = TimedState {
        expires_at: at(ONE),
        desired_state: first(&bare(3, "")).into_state(),
    };
    assert_eq!(first(&serde_json::to_string(&written).unwrap()).sequence, 3);
}

#[test]
fn who_signed() {
    let payload = bare(3, "");
    let good = sign(payload.as_str());
    let other_key = DocumentKey::from_seed(&[8; 32]);
    let tampered = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = payload.clone().into_bytes();
        change(&mut bytes);
        SignedDocument::from_parts(bytes, *good.signature(), signer())
    };
    let signature = |error| AdmissionError::Signature(error);
    for (what, signed, expected) in [
        (
            "another key",
            SignedDocument::sign(payload.clone().into_bytes(), signer(), &other_key).unwrap(),
            VerifyError::BadSignature,
        ),
        (
            "another signer",
            SignedDocument::sign(
                payload.clone().into_bytes(),
                SignerId::new("x").unwrap(),
                &key(),
            )
            .unwrap(),
            VerifyError::UnknownSigner,
        ),
        (
            "another sequence",
            tampered(&|bytes| {
                let at = bytes.iter().position(|b| *b == b'3').unwrap();
                bytes[at] = b'4';
            }),
            VerifyError::BadSignature,
        ),
        (
            "more",
            tampered(&|bytes| bytes.push(b' ')),
            VerifyError::BadSignature,
        ),
        ("nothing", tampered(&Vec::clear), VerifyError::BadSignature),
        (
            "a message of a session",
            tampered(&|bytes| {
                *bytes = b"mvm-core/x".to_vec();
            }),
            VerifyError::ReservedPrefix,
        ),
    ] {
        let node = node();
        let trusted = keys_until(ONE);
        let admission = Admission::new(&node, &trusted, LastAdmitted::Nothing, Some(at(NOON)));
        assert_eq!(admission.admit(&signed), Err(signature(expected)), "{what}");
    }
    let node = node();
    let admit = |trusted: &[TrustedKey], now: Option<Timestamp>| {
        Admission::new(&node, trusted, LastAdmitted::Nothing, now)
            .without_expiry()
            .admit(&good)
    };
    assert_eq!(admit(&[], None), Err(signature(VerifyError::UnknownSigner)));
    let late = Some(at("2026-06-01T13:00:01Z"));
    assert_eq!(
        admit(&keys_until(ONE), late),
        Err(signature(VerifyError::NoLongerValid))
    );
    assert_eq!(
        admit(&keys_until(ONE), None),
        Err(signature(VerifyError::NoClock))
    );
    let from = keys().map(|key| key.between(Some(at(ONE)), None).unwrap());
    assert_eq!(
        admit(&from, Some(at(NOON))),
        Err(signature(VerifyError::NotYetValid))
    );
}

#[test]
fn documents_that_are_not_valid() {
    for (payload, path) in [
        ("".to_string(), ""),
        ("[]".into(), ""),
        ("{}".into(), ""),
        ("{\"node_id\": \"node-1\"".into(), ""),
        (bare(3, ", \"other\": 1"), "other"),
        (
            bare(3, ", \"expires_at\": \"2026-06-01T13:00:00Z\""),
            "expires_at",
        ),
        (bare(3, "").replace("node-1", "-"), "node_id"),
        (bare(3, "").replace(": 1,", ": 0,"), "schema_version"),
        (timed("soon", &bare(3, "")), "expires_at"),
        (
            timed(ONE, &bare(3, "")).replace("node-1", "-"),
            "desired_state.node_id",
        ),
        (
            timed(ONE, &bare(3, "")).replace("}}", "}, \"not_before\": 1}"),
            "not_before",
        ),
        (
            timed(ONE, &timed(ONE, &bare(3, ""))),
            "desired_state.expires_at",
        ),
        (format!("{{\"expires_at\": \"{ONE}\"}}"), ""),
        (format!("{} {}", bare(3, ""), bare(4, "")), ""),
    ] {
        match admit(&payload, LastAdmitted::Nothing) {
            Err(AdmissionError::Invalid(invalid)) => {
                assert_eq!(invalid.problems()[0].path, path, "{payload}");
            }
            other => panic!("{payload}: {other:?}"),
        }
    }
    // The rules between values count too.
    let twice = r#"{"schema_version": 1, "node_id": "node-1", "tenants": [T, T]}"#.replace(
        'T',
        r#"{"tenant_id": "a", "network": {"tenant_net_id": 1, "ipv4_subnet": "10.0.0.0/24"}, "pools": [],
            "quotas": {"max_vcpus": 1, "max_mem_mib": 1, "max_running": 1, "max_warm": 1, "max_pools": 1,
            "max_instances_per_pool": 1, "max_disk_gib": 1}}"#,
    );
    match admit(&twice, LastAdmitted::Nothing) {
        Err(AdmissionError::Invalid(invalid)) => {
            assert!(matches!(
                invalid.problems()[0].reason,
                Reason::Duplicate { .. }
            ));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn newer_schemas() {
    for (found, payload) in [
        (2, bare(3, "").replace(": 1,", ": 2,")),
        (
            2,
            bare(3, ", \"new\": {\"a\": [1]}").replace(": 1,", ": 2,"),
        ),
        (
            2,
            timed(ONE, &bare(3, ", \"new\": 1").replace(": 1,", ": 2,")),
        ),
        // Not cut to 32 bits.
        (4_294_967_297, bare(3, "").replace(": 1,", ": 4294967297,")),
    ] {
        let refused = admit(&payload, LastAdmitted::Nothing).unwrap_err();
        assert_eq!(
            refused,
            AdmissionError::NewerSchema { found, known: 1 },
            "{payload}"
        );
        assert!(refused.to_string().contains("upgrade this node"));
    }
}

#[test]
fn another_node() {
    let payload = bare(3, "").replace("node-1", "node-2");
    let theirs = NodeId::new("node-2").unwrap();
    let expected = AdmissionError::OtherNode { theirs };
    assert_eq!(
        admit(&payload, LastAdmitted::Nothing),
        Err(expected.clone())
    );
    assert_eq!(
        admit(&timed(ONE, &payload), LastAdmitted::Nothing),
        Err(expected)
    );
}

#[test]
fn sequences() {
    let last = || after(&bare(5, ""));
    assert_eq!(
        admit(&bare(4, ""), last()),
        Err(AdmissionError::Backwards {
            sequence: 4,
            last: 5
        })
    );
    assert_eq!(
        admit(&bare(0, ""), last()),
        Err(AdmissionError::Backwards {
            sequence: 0,
            last: 5
        })
    );
    // Again, however it is written, and with another end: not another state.
    for payload in [
        bare(5, ""),
        bare(5, ", \"prune_unknown_pools\": false"),
        timed(ONE, &bare(5, "")),
        timed("2027-01-01T00:00:00Z", &bare(5, "").replace(' ', "\n")),
    ] {
        let again = admit(&payload, last()).unwrap();
        assert!(again.is_repeated(), "{payload}");
        assert_eq!(again.record(), first(&bare(5, "")).record());
    }
    assert_eq!(
        admit(&bare(5, ", \"prune_unknown_pools\": true"), last()),
        Err(AdmissionError::Reused { sequence: 5 })
    );
    for sequence in [6, 7, u64::MAX] {
        let next = admit(&bare(sequence, ""), last()).unwrap();
        assert!(!next.is_repeated());
        assert_eq!(next.record().sequence, sequence);
    }
    // Without a number it is 0: one is admitted, and no other one.
    let unnumbered = r#"{"schema_version": 1, "node_id": "node-1", "tenants": []}"#;
    let last = after(unnumbered);
    assert!(admit(unnumbered, last.clone()).unwrap().is_repeated());
    assert_eq!(
        admit(&bare(0, ", \"prune_unknown_tenants\": true"), last),
        Err(AdmissionError::Reused { sequence: 0 })
    );
}

#[test]
fn a_lost_record() {
    for sequence in [0, 5, u64::MAX] {
        assert_eq!(
            admit(&bare(sequence, ""), LastAdmitted::Lost),
            Err(AdmissionError::RecordLost)
        );
    }
    assert_eq!(
        admit(&bare(4, ""), LastAdmitted::AtLeast(5)),
        Err(AdmissionError::Backwards {
            sequence: 4,
            last: 5
        })
    );
    for sequence in [5, 6] {
        assert!(
            !admit(&bare(sequence, ""), LastAdmitted::AtLeast(5))
                .unwrap()
                .is_repeated()
        );
    }
}

#[test]
fn ends() {
    let node = node();
    let trusted = keys();
    let admission =
        |now: Option<&str>| Admission::new(&node, &trusted, LastAdmitted::Nothing, now.map(at));
    let signed = sign(timed(NOON, &bare(3, "")));
    assert!(admission(Some(NOON)).admit(&signed).is_ok());
    let late = at("2026-06-01T12:00:00.000000001Z");
    let expired = AdmissionError::Expired {
        at: at(NOON),
        now: late,
    };
    let one_later = admission(Some("2026-06-01T12:00:00.000000001Z"));
    assert_eq!(one_later.admit(&signed), Err(expired.clone()));
    // Whatever else is allowed.
    assert_eq!(one_later.without_expiry().admit(&signed), Err(expired));
    let no_clock = AdmissionError::NoClock { at: at(NOON) };
    assert_eq!(admission(None).admit(&signed), Err(no_clock));

    // Neither the state nor the key has an end.
    let endless = sign(bare(3, ""));
    for now in [None, Some(NOON)] {
        assert_eq!(
            admission(now).admit(&endless),
            Err(AdmissionError::NoExpiry)
        );
        let admitted = admission(now).without_expiry().admit(&endless).unwrap();
        assert_eq!(admitted.expires_at(), None);
    }
}

#[test]
fn what_was_admitted_once_expires_too() {
    let payload = timed(NOON, &bare(3, ""));
    let last = after(&payload);
    let (node, trusted) = (node(), keys());
    let admission = Admission::new(&node, &trusted, last, Some(at("2026-06-01T12:00:01Z")));
    assert!(matches!(
        admission.admit(&sign(payload)),
        Err(AdmissionError::Expired { .. })
    ));
}

#[test]
fn records_are_documents() {
    let record = first(&bare(5, "")).record().clone();
    let json = serde_json::to_string(&record).unwrap();
    assert_eq!(
        AdmissionRecord::from_json(json.as_bytes()),
        Ok(record.clone())
    );
    // Fixed: a newer program must find its older one's states the same.
    assert_eq!(
        json,
        r#"{"sequence":5,"state_hash":"db24153812f385854739ce5d96a05e8d8090c9768afa7c68ea0f3f3b98b7bc36"}"#
    );
    assert_eq!(record.state_hash.len(), 64);
}

#[test]
fn unsigned_states_have_their_own_way() {
    let read = |json: &str| serde_json::from_str::<DesiredState>(json).unwrap();
    let accepted = accept_unsigned_for_development(read(&bare(3, "")), &node()).unwrap();
    assert_eq!(accepted.state().sequence, 3);
    assert_eq!(accepted.into_state(), read(&bare(3, "")));
    let other = bare(3, "").replace("node-1", "node-2");
    assert!(matches!(
        accept_unsigned_for_development(read(&other), &node()),
        Err(AdmissionError::OtherNode { .. })
    ));
    let newer = bare(3, "").replace(": 1,", ": 2,");
    assert_eq!(
        accept_unsigned_for_development(read(&newer), &node()),
        Err(AdmissionError::NewerSchema { found: 2, known: 1 })
    );
    let old = bare(3, "").replace(": 1,", ": 0,");
    assert!(matches!(
        accept_unsigned_for_development(read(&old), &node()),
        Err(AdmissionError::Invalid(_))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Nothing that was not signed is admitted: one byte of payload, signature or signer is another one, or
    /// all of it is anybody's.
    #[test]
    fn nothing_unsigned_is_admitted(
        at_byte in 0usize..1000,
        bit in 0u8..8,
        part in 0u8..4,
        noise in prop::collection::vec(any::<u8>(), 0..100),
        stranger in any::<[u8; 32]>(),
    ) {
        let good = sign(timed(ONE, &bare(3, "")));
        let mut payload = good.unverified_payload().to_vec();
        let mut signature = *good.signature().as_bytes();
        let mut signer_id = signer();
        match part {
            0 => { let at = at_byte % payload.len(); payload[at] ^= 1 << bit; }
            1 => signature[at_byte % 64] ^= 1 << bit,
            2 => signer_id = SignerId::new("coordinator-2").unwrap(),
            _ => payload = noise,
        }
        let forged = SignedDocument::from_parts(payload.clone(), Signature::from_bytes(signature), signer_id);
        let (node, trusted) = (node(), keys());
        let admission = Admission::new(&node, &trusted, LastAdmitted::Nothing, Some(at(NOON)))
            .without_expiry();
        let refused = matches!(admission.admit(&forged), Err(AdmissionError::Signature(_)));
        prop_assert!(refused);
        if stranger != [7; 32] {
            let theirs = DocumentKey::from_seed(&stranger);
            let theirs = SignedDocument::sign(good.unverified_payload().to_vec(), signer(), &theirs).unwrap();
            let refused = admission.admit(&theirs);
            prop_assert_eq!(refused, Err(AdmissionError::Signature(VerifyError::BadSignature)));
        }
    }

    /// Whatever comes in whatever order, what is admitted never goes back, and one sequence is one state.
    #[test]
    fn sequences_never_go_back(states in prop::collection::vec((0u64..6, any::<bool>()), 1..30)) {
        let mut last = LastAdmitted::Nothing;
        let mut admitted: Vec<(u64, bool)> = Vec::new();
        for (sequence, prune) in states {
            let payload = bare(sequence, &format!(", \"prune_unknown_pools\": {prune}"));
            let expected = admitted.last().is_none_or(|(before, pruned)| {
                sequence > *before || (sequence == *before && prune == *pruned)
            });
            match admit(&payload, last.clone()) {
                Ok(state) => {
                    prop_assert!(expected);
                    prop_assert_eq!(state.is_repeated(), admitted.last() == Some(&(sequence, prune)));
                    last = LastAdmitted::Record(state.record().clone());
                    admitted.push((sequence, prune));
                }
                Err(error) => {
                    prop_assert!(!expected);
                    let right = matches!(
                        error,
                        AdmissionError::Backwards { .. } | AdmissionError::Reused { .. }
                    );
                    prop_assert!(right);
                }
            }
        }
    }
}
