//! Keys and signed documents against vectors from outside: RFC 8032, Wycheproof, 0.13.0.
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

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use mvm_core::naming::SignerId;
use mvm_core::signing::{
    DocumentKey, DocumentPublicKey, KeyError, KeyTextError, PUBLIC_TEXT_MAX, PublicKey,
    RESERVED_PREFIX, SECRET_TEXT_MAX, SecretKey, SignError, Signature, SignedDocument,
    SignedPayload, TrustError, TrustedKey, TrustedKeys, Usage, VerifyError,
};
use mvm_core::time::Timestamp;
use mvm_core::wire::codec::{self, DecodeError};
use serde::Deserialize;
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

#[path = "common/hex.rs"]
mod hex;
#[path = "common/vectors.rs"]
mod vectors;
use hex::{unhex, unhex_array};

/// The rows of a file of vectors.
fn rows<T: for<'de> Deserialize<'de>>(path: &str) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn signer(text: &str) -> SignerId {
    SignerId::new(text).unwrap()
}

fn trusting(key: DocumentPublicKey) -> TrustedKeys<1> {
    let mut keys = TrustedKeys::new();
    keys.insert(TrustedKey::new(signer("s"), key)).unwrap();
    keys
}

// ---- RFC 8032 ------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Rfc8032 {
    case: String,
    seed: String,
    public: String,
    message: String,
    signature: String,
}

#[test]
fn rfc_8032_vectors_hold_both_ways() {
    let rows: Vec<Rfc8032> = rows("signing/rfc8032.jsonl");
    let names: Vec<_> = rows.iter().map(|row| row.case.as_str()).collect();
    assert_eq!(
        names,
        ["TEST 1", "TEST 2", "TEST 3", "TEST 1024", "TEST SHA(abc)"]
    );
    let lengths: Vec<_> = rows.iter().map(|row| row.message.len() / 2).collect();
    assert_eq!(lengths, [0, 1, 2, 1023, 64]);
    for row in rows {
        let case = &row.case;
        let key = DocumentKey::from_seed(&unhex_array(&row.seed));
        assert_eq!(key.public().as_bytes(), &unhex_array(&row.public), "{case}");
        assert_eq!(
            DocumentPublicKey::from_hex(&row.public),
            Ok(key.public()),
            "{case}"
        );
        assert_eq!(
            DocumentKey::from_hex(&row.seed).unwrap().public(),
            key.public(),
            "{case}"
        );

        let message = unhex(&row.message);
        let signed = SignedPayload::sign(&message[..], signer("s"), &key).unwrap();
        assert_eq!(
            signed.signature().as_bytes(),
            &unhex_array(&row.signature),
            "{case}"
        );

        let received = SignedPayload::from_parts(
            &message[..],
            Signature::from_bytes(unhex_array(&row.signature)),
            signer("s"),
        );
        let trusted = trusting(DocumentPublicKey::from_hex(&row.public).unwrap());
        assert_eq!(
            received.verify(&trusted, None).unwrap().payload(),
            message,
            "{case}"
        );
    }
}

#[test]
fn no_bit_of_a_signed_document_can_be_changed() {
    let rows: Vec<Rfc8032> = rows("signing/rfc8032.jsonl");
    let row = &rows[2];
    let trusted = trusting(DocumentPublicKey::from_hex(&row.public).unwrap());
    let (message, signature) = (unhex(&row.message), unhex(&row.signature));
    let mut refused = 0;
    for bit in 0..(message.len() + signature.len()) * 8 {
        let mut all = [&message[..], &signature[..]].concat();
        all[bit / 8] ^= 1 << (bit % 8);
        let (message, signature) = all.split_at(message.len());
        let forged = SignedPayload::from_parts(
            message,
            Signature::from_bytes(signature.try_into().unwrap()),
            signer("s"),
        );
        assert_eq!(
            forged.verify(&trusted, None),
            Err(VerifyError::BadSignature),
            "bit {bit}"
        );
        refused += 1;
    }
    assert_eq!(refused, (2 + 64) * 8);
}

// ---- Wycheproof ----------------------------------------------------------------------------

/// Cases that the file calls valid and this crate refuses, by tcId. Strict verification may refuse
/// what cofactored verification accepts (a key or an R of small order); the file has no such case.
const STRICTER_THAN_THE_FILE: [usize; 0] = [];

/// All of Wycheproof's Ed25519 cases through what a user of this crate calls.
///
/// Signatures that are not 64 bytes long have no `Signature`: for them the whole document is parsed,
/// from both encodings, and that must fail.
#[test]
fn every_wycheproof_case_is_judged_as_the_file_judges_it() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    assert_eq!(
        set.number_of_tests, 151,
        "the file has changed; count again"
    );
    let mut judged: BTreeMap<&str, usize> = BTreeMap::new();
    let mut stricter = Vec::new();
    for group in &set.test_groups {
        // Each key in this file is a canonical one of full order.
        let key = DocumentPublicKey::from_bytes(group.key.pk[..].try_into().unwrap()).unwrap();
        let trusted = trusting(key);
        for test in &group.tests {
            let id = test.tc_id;
            let accepted = match <[u8; 64]>::try_from(&test.sig[..]) {
                Ok(signature) => {
                    let signature = Signature::from_bytes(signature);
                    let document = SignedPayload::from_parts(&test.msg[..], signature, signer("s"));
                    document.verify(&trusted, None).is_ok()
                }
                Err(_) => {
                    *judged.entry("of a wrong length").or_default() += 1;
                    parses_with_any_signature(&test.msg, &test.sig)
                }
            };
            match test.result {
                TestResult::Valid if !accepted => stricter.push(id),
                TestResult::Valid => *judged.entry("valid").or_default() += 1,
                TestResult::Invalid => {
                    assert!(!accepted, "tcId {id} was accepted: {}", test.comment);
                    *judged.entry("invalid").or_default() += 1;
                }
                // There is none; if one comes, somebody has to decide.
                TestResult::Acceptable => panic!("tcId {id} needs a decision: {}", test.comment),
            }
        }
    }
    assert_eq!(stricter, STRICTER_THAN_THE_FILE);
    let expected = BTreeMap::from([("valid", 88), ("invalid", 63), ("of a wrong length", 12)]);
    assert_eq!(judged, expected);
    assert_eq!(
        judged["valid"] + judged["invalid"] + stricter.len(),
        set.number_of_tests
    );
}

fn parses_with_any_signature(message: &[u8], signature: &[u8]) -> bool {
    let json = serde_json::json!({ "payload": message, "signature": signature, "signer_id": "s" });
    let mut postcard = vec![0; 2048];
    let written = codec::encode(&codec::Bytes(message), &mut postcard).unwrap();
    postcard.truncate(written);
    postcard.extend_from_slice(signature);
    postcard.extend_from_slice(b"\x01s");
    serde_json::from_value::<SignedDocument>(json).is_ok()
        || codec::decode::<SignedPayload<&[u8]>>(&postcard).is_ok()
}

#[test]
fn the_parser_used_for_wrong_lengths_accepts_the_right_one() {
    assert!(parses_with_any_signature(b"message", &[7; 64]));
    for length in [0, 1, 32, 63, 65, 66, 96, 128] {
        assert!(
            !parses_with_any_signature(b"message", &vec![7; length]),
            "{length}"
        );
    }
}

// ---- keys ----------------------------------------------------------------------------------

/// The points of order 1, 2, 4 and 8, in every encoding that decodes to one of them.
const SMALL_ORDER: [(&str, KeyError); 14] = [
    (
        "0100000000000000000000000000000000000000000000000000000000000000",
        KeyError::Weak,
    ),
    (
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        KeyError::Weak,
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000000",
        KeyError::Weak,
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000080",
        KeyError::Weak,
    ),
    (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        KeyError::Weak,
    ),
    (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        KeyError::Weak,
    ),
    (
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        KeyError::Weak,
    ),
    (
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        KeyError::Weak,
    ),
    // x = 0 with the sign of x set: RFC 8032 §5.1.3 has no such point. The decoder below takes it
    // for the point without the sign, and that is weak.
    (
        "0100000000000000000000000000000000000000000000000000000000000080",
        KeyError::Weak,
    ),
    (
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        KeyError::Weak,
    ),
    // y = p and y = p + 1, which are 0 and 1 again.
    (
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        KeyError::NotCanonical,
    ),
    (
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        KeyError::NotCanonical,
    ),
    (
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        KeyError::NotCanonical,
    ),
    (
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        KeyError::NotCanonical,
    ),
];

#[test]
fn keys_of_small_order_are_refused_wherever_a_key_is_read() {
    for (text, error) in SMALL_ORDER {
        let bytes: [u8; 32] = unhex_array(text);
        assert_eq!(DocumentPublicKey::from_bytes(&bytes), Err(error), "{text}");
        assert_eq!(DocumentPublicKey::from_hex(text), Err(error), "{text}");
        let line = format!("mvm-core-key v1 document public {text}\n");
        assert_eq!(
            DocumentPublicKey::from_text(&line),
            Err(KeyTextError::Key(error)),
            "{text}"
        );
        assert_eq!(
            codec::decode::<DocumentPublicKey>(&bytes),
            Err(DecodeError::InvalidValue),
            "{text}"
        );
        let json = serde_json::to_string(&bytes).unwrap();
        assert!(
            serde_json::from_str::<DocumentPublicKey>(&json).is_err(),
            "{text}"
        );
    }
    let good = DocumentKey::from_seed(&[1; 32]).public();
    let json = serde_json::to_string(&good).unwrap();
    assert_eq!(
        serde_json::from_str::<DocumentPublicKey>(&json).unwrap(),
        good
    );
    assert_eq!(
        codec::decode::<DocumentPublicKey>(good.as_bytes()),
        Ok(good)
    );
}

#[test]
fn every_y_that_is_not_reduced_is_refused() {
    let mut refused = 0;
    for low in 0xed..=0xffu8 {
        for last in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, last);
            assert_eq!(
                DocumentPublicKey::from_bytes(&bytes),
                Err(KeyError::NotCanonical),
                "{bytes:02x?}"
            );
            refused += 1;
        }
    }
    assert_eq!(refused, 38);
    // The largest reduced y is the point of order two; below it lie ordinary points.
    let mut ordinary = 0;
    for low in 0..0xecu8 {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (low, 0x7f);
        match DocumentPublicKey::from_bytes(&bytes) {
            Ok(key) => {
                assert_eq!(key.as_bytes(), &bytes);
                ordinary += 1;
            }
            Err(error) => assert_eq!(error, KeyError::NotOnCurve, "{bytes:02x?}"),
        }
    }
    assert!(ordinary > 50, "{ordinary}");
}

fn text_forms<U: Usage>(others: [&str; 2]) {
    let key = SecretKey::<U>::from_seed(&[0x5a; 32]);
    let secret = key.to_text();
    let secret = secret.secret_str();
    let public = key.public().to_text();
    let seed = "5a".repeat(32);
    assert_eq!(
        secret,
        format!("mvm-core-key v1 {} secret {seed}\n", U::LABEL)
    );
    assert_eq!(
        &*public,
        format!("mvm-core-key v1 {} public {}\n", U::LABEL, key.public())
    );
    assert!(secret.len() <= SECRET_TEXT_MAX && public.len() <= PUBLIC_TEXT_MAX);
    assert_eq!(
        SecretKey::<U>::from_text(secret).unwrap().secret_seed(),
        &[0x5a; 32]
    );
    assert_eq!(PublicKey::<U>::from_text(&public), Ok(key.public()));
    for other in others {
        let wrong = KeyTextError::WrongUsage { expected: U::LABEL };
        assert_eq!(
            SecretKey::<U>::from_text(&secret.replace(U::LABEL, other)).err(),
            Some(wrong)
        );
        assert_eq!(
            PublicKey::<U>::from_text(&public.replace(U::LABEL, other)),
            Err(wrong)
        );
    }
    let secret_wanted = KeyTextError::WrongHalf { expected: "secret" };
    let public_wanted = KeyTextError::WrongHalf { expected: "public" };
    assert_eq!(
        SecretKey::<U>::from_text(&public).err(),
        Some(secret_wanted)
    );
    assert_eq!(PublicKey::<U>::from_text(secret), Err(public_wanted));
    // A change of any one character is an error, or it is a digit and makes another key.
    let (mut other_keys, digits) = (0, public.len() - 65..public.len() - 1);
    for at in 0..public.len() {
        let mut bytes = public.as_bytes().to_vec();
        bytes[at] ^= 1;
        match PublicKey::<U>::from_text(core::str::from_utf8(&bytes).unwrap()) {
            Ok(other) => {
                assert!(digits.contains(&at) && other != key.public(), "byte {at}");
                other_keys += 1;
            }
            Err(error) => assert!(
                error != KeyTextError::NotAKey || at < 15,
                "byte {at}: {error}"
            ),
        }
    }
    // About half of all y are on the curve.
    assert!((10..54).contains(&other_keys), "{other_keys}");
}

#[test]
fn key_files_say_what_they_hold_for_each_usage() {
    use mvm_core::signing::{Document, Guest, Host};
    text_forms::<Document>(["host", "guest"]);
    text_forms::<Host>(["document", "guest"]);
    text_forms::<Guest>(["document", "host"]);
}

#[test]
fn fingerprints_tell_keys_and_usages_apart() {
    use mvm_core::session::{GuestKey, HostKey};
    use sha2::{Digest, Sha512_256};
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..20u8 {
        let document = DocumentKey::from_seed(&[seed; 32]).public();
        seen.insert(document.fingerprint().to_string());
        seen.insert(
            HostKey::from_seed(&[seed; 32])
                .public()
                .fingerprint()
                .to_string(),
        );
        seen.insert(
            GuestKey::from_seed(&[seed; 32])
                .public()
                .fingerprint()
                .to_string(),
        );
        let input = [
            &b"mvm-core/fingerprint/v1\0document\0"[..],
            document.as_bytes(),
        ]
        .concat();
        let mut expected = String::new();
        for byte in &Sha512_256::digest(&input)[..16] {
            write!(expected, "{byte:02x}").unwrap();
        }
        assert_eq!(document.fingerprint().to_string(), expected);
    }
    assert_eq!(seen.len(), 60);
}

// ---- documents -----------------------------------------------------------------------------

#[test]
fn what_begins_like_a_context_of_ours_is_neither_signed_nor_believed() {
    let key = DocumentKey::from_seed(&[3; 32]);
    let dalek = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
    let trusted = trusting(key.public());
    for reserved in [
        RESERVED_PREFIX,
        b"mvm-core/frame/v3\0",
        b"mvm-core/session/v3/host\0and more",
    ] {
        let error = SignedPayload::sign(reserved, signer("s"), &key).unwrap_err();
        assert_eq!(error, SignError::ReservedPrefix);
        // Even a signature that fits is worth nothing.
        let signature = ed25519_dalek::Signer::sign(&dalek, reserved).to_bytes();
        let forged =
            SignedPayload::from_parts(reserved, Signature::from_bytes(signature), signer("s"));
        assert_eq!(
            forged.verify(&trusted, None),
            Err(VerifyError::ReservedPrefix)
        );
    }
    for near in [
        &b"mvm-core"[..],
        b"mvm-core\0",
        b"Mvm-core/",
        b" mvm-core/",
        b"",
    ] {
        let signed = SignedPayload::sign(near, signer("s"), &key).unwrap();
        assert!(signed.verify(&trusted, None).is_ok(), "{near:?}");
    }
}

#[test]
fn documents_of_0_13_0_are_read_and_written_alike() {
    let counts = vectors::Counts {
        json: 5,
        min: 2,
        bad: 20,
        badid: 2,
    };
    vectors::assert_type::<SignedDocument>("SignedPayload", counts);
}

#[test]
fn the_three_storages_are_one_format() {
    let key = DocumentKey::from_seed(&[8; 32]);
    for length in [0, 1, 127, 128, 300] {
        let payload = vec![0xa7; length];
        let borrowed = SignedPayload::sign(&payload[..], signer("coordinator-1"), &key).unwrap();
        let heap = SignedPayload::sign(payload.clone(), signer("coordinator-1"), &key).unwrap();
        let fixed: heapless::Vec<u8, 300> = heapless::Vec::from_slice(&payload).unwrap();
        let fixed = SignedPayload::sign(fixed, signer("coordinator-1"), &key).unwrap();

        let mut bytes = [[0; 512]; 3];
        let written = codec::encode(&borrowed, &mut bytes[0]).unwrap();
        assert_eq!(codec::encode(&fixed, &mut bytes[1]), Ok(written));
        assert_eq!(codec::encode(&heap, &mut bytes[2]), Ok(written));
        let prefix = if length < 128 { 1 } else { 2 };
        assert_eq!(written, prefix + length + 64 + 1 + 13);
        assert_eq!(bytes[0], bytes[1]);
        assert_eq!(bytes[0], bytes[2]);

        let body = &bytes[0][..written];
        assert_eq!(
            codec::decode::<SignedPayload<&[u8]>>(body).as_ref(),
            Ok(&borrowed)
        );
        assert_eq!(
            codec::decode::<SignedPayload<heapless::Vec<u8, 300>>>(body).as_ref(),
            Ok(&fixed)
        );
        assert_eq!(codec::decode::<SignedDocument>(body).as_ref(), Ok(&heap));

        let json = serde_json::to_string(&heap).unwrap();
        assert_eq!(serde_json::to_string(&borrowed).unwrap(), json);
        assert_eq!(serde_json::to_string(&fixed).unwrap(), json);
        assert_eq!(
            serde_json::from_str::<SignedPayload<heapless::Vec<u8, 300>>>(&json).unwrap(),
            fixed
        );
    }
}

#[test]
fn a_payload_that_does_not_fit_is_an_error_and_never_a_part_of_it() {
    let key = DocumentKey::from_seed(&[8; 32]);
    for (length, fits) in [
        (0, true),
        (15, true),
        (16, true),
        (17, false),
        (18, false),
        (400, false),
    ] {
        let document = SignedPayload::sign(vec![1; length], signer("s"), &key).unwrap();
        let mut bytes = [0; 512];
        let written = codec::encode(&document, &mut bytes).unwrap();
        type Small = SignedPayload<heapless::Vec<u8, 16>>;
        let from_postcard = codec::decode::<Small>(&bytes[..written]);
        let from_json = serde_json::from_str::<Small>(&serde_json::to_string(&document).unwrap());
        assert_eq!(from_postcard.is_ok(), fits, "{length}");
        assert_eq!(from_json.is_ok(), fits, "{length}");
        if fits {
            assert_eq!(
                from_postcard.unwrap().unverified_payload(),
                document.unverified_payload()
            );
            assert_eq!(
                from_json.unwrap().unverified_payload(),
                document.unverified_payload()
            );
        }
    }
    // A length that the input does not have, and one that no machine has.
    for claim in [
        &[5u8, 1, 2][..],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xff; 10],
    ] {
        assert!(codec::decode::<SignedPayload<&[u8]>>(claim).is_err());
        assert!(codec::decode::<SignedPayload<heapless::Vec<u8, 16>>>(claim).is_err());
        assert!(codec::decode::<SignedDocument>(claim).is_err());
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_window_includes_both_of_its_ends_and_needs_a_clock() {
    let key = DocumentKey::from_seed(&[4; 32]);
    let (from, to) = (at("2026-01-01T00:00:00Z"), at("2026-12-31T23:59:59.5Z"));
    let just_before = at("2025-12-31T23:59:59.999999999Z");
    let just_after = at("2026-12-31T23:59:59.500000001Z");
    let signed = SignedPayload::sign(&b"document"[..], signer("s"), &key).unwrap();
    let window = |from, to| {
        let mut keys = TrustedKeys::<1>::new();
        keys.insert(
            TrustedKey::new(signer("s"), key.public())
                .between(from, to)
                .unwrap(),
        )
        .unwrap();
        keys
    };
    use VerifyError::{NoClock, NoLongerValid, NotYetValid};
    type Case = (
        Option<Timestamp>,
        Option<Timestamp>,
        Option<Timestamp>,
        Result<(), VerifyError>,
    );
    let cases: [Case; 14] = [
        (Some(from), Some(to), Some(from), Ok(())),
        (Some(from), Some(to), Some(to), Ok(())),
        (Some(from), Some(to), Some(just_before), Err(NotYetValid)),
        (Some(from), Some(to), Some(just_after), Err(NoLongerValid)),
        (Some(from), Some(to), None, Err(NoClock)),
        (Some(from), None, Some(just_before), Err(NotYetValid)),
        (Some(from), None, Some(Timestamp::MAX), Ok(())),
        (Some(from), None, None, Err(NoClock)),
        (None, Some(to), Some(Timestamp::MIN), Ok(())),
        (None, Some(to), Some(just_after), Err(NoLongerValid)),
        (None, Some(to), None, Err(NoClock)),
        (Some(from), Some(from), Some(from), Ok(())),
        (None, None, None, Ok(())),
        (None, None, Some(Timestamp::MIN), Ok(())),
    ];
    for (index, (from, to, now, expected)) in cases.into_iter().enumerate() {
        assert_eq!(
            signed
                .verify(&window(from, to), now)
                .map(|verified| verified.not_after()),
            expected.map(|()| to),
            "case {index}"
        );
    }
    let backwards = TrustedKey::new(signer("s"), key.public()).between(Some(to), Some(from));
    assert_eq!(backwards, Err(TrustError::EmptyWindow));
    // What the key did not sign is a bad signature at any time: the window tells nothing about it.
    let other = SignedPayload::sign(
        &b"document"[..],
        signer("s"),
        &DocumentKey::from_seed(&[5; 32]),
    )
    .unwrap();
    for now in [Some(just_before), Some(from), Some(just_after), None] {
        assert_eq!(
            other.verify(&window(Some(from), Some(to)), now),
            Err(VerifyError::BadSignature)
        );
    }
}

#[test]
fn a_key_is_rotated_without_a_gap() {
    let (old, new) = (
        DocumentKey::from_seed(&[1; 32]),
        DocumentKey::from_seed(&[2; 32]),
    );
    let (overlap, end) = (at("2026-06-01T00:00:00Z"), at("2026-07-01T00:00:00Z"));
    let mut keys = TrustedKeys::<2>::new();
    keys.insert(
        TrustedKey::new(signer("s"), old.public())
            .between(None, Some(end))
            .unwrap(),
    )
    .unwrap();
    keys.insert(
        TrustedKey::new(signer("s"), new.public())
            .between(Some(overlap), None)
            .unwrap(),
    )
    .unwrap();
    let by = |key| SignedPayload::sign(&b"{}"[..], signer("s"), key).unwrap();
    let (by_old, by_new) = (by(&old), by(&new));
    use VerifyError::{BadSignature, NoLongerValid, NotYetValid, UnknownSigner};
    for (now, with_old, with_new) in [
        ("2026-05-31T23:59:59Z", Ok(()), Err(NotYetValid)),
        ("2026-06-01T00:00:00Z", Ok(()), Ok(())),
        ("2026-07-01T00:00:00Z", Ok(()), Ok(())),
        ("2026-07-01T00:00:01Z", Err(NoLongerValid), Ok(())),
    ] {
        assert_eq!(
            by_old.verify(&keys, Some(at(now))).map(|_| ()),
            with_old,
            "{now}"
        );
        assert_eq!(
            by_new.verify(&keys, Some(at(now))).map(|_| ()),
            with_new,
            "{now}"
        );
    }

    // The set changes all or not at all.
    let third = TrustedKey::new(signer("t"), old.public());
    assert_eq!(keys.insert(third), Err(TrustError::Full { capacity: 2 }));
    assert_eq!(
        keys.insert(TrustedKey::new(signer("s"), new.public())),
        Err(TrustError::Duplicate)
    );
    assert_eq!(keys.len(), 2);
    assert_eq!(keys.remove(&signer("t"), None), 0);
    assert_eq!(keys.remove(&signer("s"), Some(&old.public())), 1);
    assert_eq!(by_old.verify(&keys, Some(overlap)), Err(BadSignature));
    assert!(by_new.verify(&keys, Some(overlap)).is_ok());
    assert_eq!(keys.remove(&signer("s"), None), 1);
    assert_eq!(by_new.verify(&keys, Some(overlap)), Err(UnknownSigner));
}

#[test]
fn a_signature_counts_for_its_own_signer_only() {
    let key = DocumentKey::from_seed(&[1; 32]);
    let mut keys = TrustedKeys::<4>::new();
    keys.insert(TrustedKey::new(signer("a"), key.public()))
        .unwrap();
    keys.insert(TrustedKey::new(
        signer("b"),
        DocumentKey::from_seed(&[2; 32]).public(),
    ))
    .unwrap();
    let claim = |name| SignedPayload::sign(&b"x"[..], signer(name), &key).unwrap();
    assert_eq!(
        claim("a")
            .verify(&keys, None)
            .map(|v| v.signer_id().as_str() == "a"),
        Ok(true)
    );
    assert_eq!(
        claim("b").verify(&keys, None),
        Err(VerifyError::BadSignature)
    );
    assert_eq!(
        claim("c").verify(&keys, None),
        Err(VerifyError::UnknownSigner)
    );
    assert_eq!(
        claim("a").verify(&[], None),
        Err(VerifyError::UnknownSigner)
    );
}

#[test]
fn a_verified_payload_is_decoded_in_its_canonical_form_only() {
    let key = DocumentKey::from_seed(&[1; 32]);
    let trusted = trusting(key.public());
    for (payload, expected) in [
        (&[0xac, 0x02][..], Ok(300u32)),
        (
            &[0xac, 0x82, 0x00],
            Err(DecodeError::NonCanonical { at: 1 }),
        ),
        (
            &[0xac, 0x02, 0x00],
            Err(DecodeError::TrailingBytes { count: 1 }),
        ),
        (&[0xac], Err(DecodeError::UnexpectedEnd { len: 1 })),
    ] {
        let signed = SignedPayload::sign(payload, signer("s"), &key).unwrap();
        assert_eq!(
            signed.verify(&trusted, None).unwrap().decode::<u32>(),
            expected
        );
    }
}
