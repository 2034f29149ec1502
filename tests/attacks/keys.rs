//! Keys and signatures: strict verification, no weak keys, and one key for one purpose.

use ed25519_dalek::{Signature as AnySignature, Verifier, VerifyingKey};
use mvm_core::naming::SignerId;
use mvm_core::session::*;
use mvm_core::signing::{
    DocumentKey, DocumentPublicKey, KeyError, KeyTextError, RESERVED_PREFIX, SignError, Signature,
    SignedPayload, TrustedKey, VerifyError,
};

use crate::forge::{self, Frame, GuestHello};
use crate::world::*;

fn bytes(hex: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().as_chunks::<2>().0) {
        *byte = u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
    }
    assert_eq!(hex.len(), 64);
    bytes
}

/// The eight points of small order in canonical form.
const SMALL_ORDER: [&str; 8] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

#[test]
fn a_key_of_small_order_is_refused_when_it_is_parsed() {
    let mut seen = 0;
    for hex in SMALL_ORDER {
        let weak = bytes(hex);
        // It is a point of the curve: a laxer parser takes it.
        assert!(VerifyingKey::from_bytes(&weak).unwrap().is_weak());
        assert_eq!(
            HostPublicKey::from_bytes(&weak),
            Err(KeyError::Weak),
            "{hex}"
        );
        assert_eq!(GuestPublicKey::from_bytes(&weak), Err(KeyError::Weak));
        assert_eq!(DocumentPublicKey::from_bytes(&weak), Err(KeyError::Weak));
        seen += 1;
    }
    assert_eq!(seen, 8);
}

#[test]
fn a_key_whose_y_is_not_reduced_is_refused_when_it_is_parsed() {
    // y from 2^255 - 19 to 2^255 - 1, with either sign: 19 second spellings of 0 to 18.
    let mut lax = 0;
    for low in 0xed..=0xffu8 {
        for top in [0x7f, 0xff] {
            let mut y = [0xff; 32];
            (y[0], y[31]) = (low, top);
            lax += usize::from(VerifyingKey::from_bytes(&y).is_ok());
            assert_eq!(
                HostPublicKey::from_bytes(&y),
                Err(KeyError::NotCanonical),
                "{low:x} {top:x}"
            );
            assert_eq!(GuestPublicKey::from_bytes(&y), Err(KeyError::NotCanonical));
            assert_eq!(
                DocumentPublicKey::from_bytes(&y),
                Err(KeyError::NotCanonical)
            );
        }
    }
    assert!(lax > 10, "of 38 spellings a laxer parser takes {lax}");
    // The greatest y that is reduced is not refused for its spelling.
    assert_eq!(
        HostPublicKey::from_bytes(&bytes(SMALL_ORDER[1])),
        Err(KeyError::Weak)
    );
}

#[test]
fn a_signature_that_fits_every_message_has_no_key_to_fit() {
    let identity = bytes(SMALL_ORDER[0]);
    let mut universal = [0; 64];
    universal[0] = 1;
    let lax = VerifyingKey::from_bytes(&identity).unwrap();
    for message in [b"".as_slice(), b"one", b"another"] {
        assert!(
            lax.verify(message, &AnySignature::from_bytes(&universal))
                .is_ok()
        );
    }
    assert_eq!(GuestPublicKey::from_bytes(&identity), Err(KeyError::Weak));
    // Nor is it accepted under a good key, where a laxer check rests on R alone.
    let (mut world, mut pair) = live();
    let frame = [
        Frame {
            sequence: 0,
            kind: 0,
            payload: vec![],
        }
        .encode(),
        universal.to_vec(),
    ]
    .concat();
    assert_eq!(
        pair.guest_opens(&mut world, &frame),
        Err(OpenError::BadSignature)
    );
}

fn live() -> (World, Pair) {
    let mut world = World::new();
    let pair = world.connect();
    (world, pair)
}

/// S + L: the same residue, another number.
fn malleated(signature: &[u8]) -> Vec<u8> {
    const L: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let mut signature = signature.to_vec();
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(bytes(L)) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(carry, 0);
    signature
}

#[test]
fn a_signature_made_into_a_second_one_is_refused_in_frames() {
    let (mut world, mut pair) = live();
    let frame = pair.host_seals(&world, b"x").unwrap();
    let (head, signature) = frame.split_at(frame.len() - 64);
    let second = [head, &malleated(signature)].concat();
    assert_eq!(
        pair.guest_opens(&mut world, &second),
        Err(OpenError::BadSignature)
    );
}

#[test]
fn a_signature_made_into_a_second_one_is_refused_in_handshakes() {
    let mut world = World::new();
    let (waiting, hello) = world.begin(SERVICE);
    let (awaiting, answer) = world.reply(SERVICE, &hello).unwrap();
    let (head, signature) = answer.split_at(answer.len() - 64);
    let second = [head, &malleated(signature)].concat();
    assert_eq!(
        world.verify(waiting, &second).err(),
        Some(HandshakeError::BadSignature)
    );
    let (head, signature) = GuestHello::parse(&answer);
    let t1 = forge::t1(&hello, &head.encode());
    let finish = forge::sign(HOST_SEED, &forge::host_message(&t1, &signature));
    assert_eq!(
        world.complete(awaiting, &malleated(&finish)).err(),
        Some(HandshakeError::BadSignature)
    );
}

#[test]
fn a_signature_made_into_a_second_one_is_refused_in_documents() {
    let (key, signer) = (
        DocumentKey::from_seed(&[1; 32]),
        SignerId::new("coordinator-1").unwrap(),
    );
    let trusted = [TrustedKey::new(signer.clone(), key.public())];
    let signed = SignedPayload::sign(b"{}".as_slice(), signer.clone(), &key).unwrap();
    assert!(signed.verify(&trusted, None).is_ok());
    let second = malleated(signed.signature().as_bytes()).try_into().unwrap();
    let second = SignedPayload::from_parts(b"{}".as_slice(), Signature::from_bytes(second), signer);
    assert_eq!(
        second.verify(&trusted, None).err(),
        Some(VerifyError::BadSignature)
    );
}

/// Everything the keys of a session ever sign, with the key that signs it.
fn everything_signed() -> Vec<([u8; 32], Vec<u8>, [u8; 64])> {
    let mut world = World::new();
    let (mut pair, wire) = world.recorded(SERVICE);
    let (head, guest_signature) = GuestHello::parse(&wire.answer);
    let t1 = forge::t1(&wire.hello, &head.encode());
    let t2 = forge::t2(&wire.hello, &wire.answer, &wire.finish);
    let mut signed = vec![
        (GUEST_SEED, forge::guest_message(&t1), guest_signature),
        (
            HOST_SEED,
            forge::host_message(&t1, &guest_signature),
            wire.finish.clone().try_into().unwrap(),
        ),
    ];
    for (seed, direction, frame) in [
        (HOST_SEED, b'H', pair.host_seals(&world, b"x").unwrap()),
        (GUEST_SEED, b'G', pair.guest_seals(&world, b"").unwrap()),
        (HOST_SEED, b'H', pair.host_closes(&world).unwrap()),
    ] {
        let (frame, signature) = Frame::parse(&frame);
        signed.push((seed, frame.message(&t2, direction), signature));
    }
    signed
}

#[test]
fn everything_signed_in_a_session_starts_with_a_context_of_its_own() {
    let mut contexts = Vec::new();
    for (seed, message, signature) in everything_signed() {
        let key = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
        assert!(
            key.verify_strict(&message, &AnySignature::from_bytes(&signature))
                .is_ok()
        );
        assert!(message.starts_with(RESERVED_PREFIX));
        let end = message.iter().position(|byte| *byte == 0).unwrap();
        contexts.push(String::from_utf8(message[..end].to_vec()).unwrap());
    }
    assert_eq!(
        contexts,
        [
            "mvm-core/session/v3/guest",
            "mvm-core/session/v3/host",
            "mvm-core/frame/v3",
            "mvm-core/frame/v3",
            "mvm-core/frame/v3",
        ]
    );
}

#[test]
fn no_signature_of_a_session_is_a_documents_even_under_one_key_for_both() {
    let signer = SignerId::new("guest-key-1").unwrap();
    for (seed, message, signature) in everything_signed() {
        // The types forbid this; a key file written by hand does not.
        let trusted = [TrustedKey::new(
            signer.clone(),
            DocumentKey::from_seed(&seed).public(),
        )];
        let document = SignedPayload::from_parts(
            &message[..],
            Signature::from_bytes(signature),
            signer.clone(),
        );
        assert_eq!(
            document.verify(&trusted, None).err(),
            Some(VerifyError::ReservedPrefix)
        );
    }
}

#[test]
fn no_document_is_signed_that_a_session_could_take_for_its_own() {
    let (key, signer) = (
        DocumentKey::from_seed(&HOST_SEED),
        SignerId::new("coordinator-1").unwrap(),
    );
    for (_, message, _) in everything_signed() {
        let refused = SignedPayload::sign(&message[..], signer.clone(), &key).err();
        assert_eq!(refused, Some(SignError::ReservedPrefix));
    }
    let refused = SignedPayload::sign(RESERVED_PREFIX, signer.clone(), &key).err();
    assert_eq!(refused, Some(SignError::ReservedPrefix));
    // One byte short of the prefix is a document like any other.
    assert!(
        SignedPayload::sign(&RESERVED_PREFIX[..RESERVED_PREFIX.len() - 1], signer, &key).is_ok()
    );
}

#[test]
fn a_documents_signature_proves_nothing_in_a_session() {
    // The guest's own key signs a document, and that is presented as its hello.
    let signer = SignerId::new("guest-key-1").unwrap();
    let mut world = World::new();
    let (waiting, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    let (head, _) = GuestHello::parse(&answer);
    let t1 = forge::t1(&hello, &head.encode());
    let document = SignedPayload::sign(t1, signer, &DocumentKey::from_seed(&GUEST_SEED)).unwrap();
    let forged = [head.encode(), document.signature().as_bytes().to_vec()].concat();
    assert_eq!(
        world.verify(waiting, &forged).err(),
        Some(HandshakeError::BadSignature)
    );
}

#[test]
fn a_trusted_host_chooses_nothing_of_what_the_guest_signs() {
    // Even the provisioned host gets a signature over the guest's context and a hash, and nothing
    // that it wrote itself.
    let mut world = World::new();
    let wanted = br#"{"instances":[]}"#;
    let (_, hello) = world.begin_with(HostOptions {
        extensions: wanted,
        ..host_options(SERVICE)
    });
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    let signature = AnySignature::from_bytes(answer.last_chunk::<64>().unwrap());
    let key = ed25519_dalek::SigningKey::from_bytes(&GUEST_SEED).verifying_key();
    for message in [wanted.as_slice(), &hello, &answer[..answer.len() - 64]] {
        assert!(key.verify(message, &signature).is_err());
    }
    let t1 = forge::t1(&hello, &answer[..answer.len() - 64]);
    assert!(
        key.verify_strict(&forge::guest_message(&t1), &signature)
            .is_ok()
    );
}

#[test]
fn a_key_file_is_good_for_the_usage_it_names_and_no_other() {
    let (host, guest, document) = (
        HostKey::from_seed(&[1; 32]).to_text(),
        GuestKey::from_seed(&[1; 32]).to_text(),
        DocumentKey::from_seed(&[1; 32]).to_text(),
    );
    let wrong = |expected| Some(KeyTextError::WrongUsage { expected });
    assert_eq!(HostKey::from_text(guest.secret_str()).err(), wrong("host"));
    assert_eq!(
        HostKey::from_text(document.secret_str()).err(),
        wrong("host")
    );
    assert_eq!(GuestKey::from_text(host.secret_str()).err(), wrong("guest"));
    assert_eq!(
        GuestKey::from_text(document.secret_str()).err(),
        wrong("guest")
    );
    assert_eq!(
        DocumentKey::from_text(host.secret_str()).err(),
        wrong("document")
    );
    assert_eq!(
        DocumentKey::from_text(guest.secret_str()).err(),
        wrong("document")
    );
    assert!(HostKey::from_text(host.secret_str()).is_ok());
}

#[test]
fn a_key_that_0_13_0_could_load_is_no_session_key_file() {
    // 0.13.0 kept seeds as bare digits.
    let bare = "0101010101010101010101010101010101010101010101010101010101010101";
    assert_eq!(HostKey::from_text(bare).err(), Some(KeyTextError::NotAKey));
    assert_eq!(GuestKey::from_text(bare).err(), Some(KeyTextError::NotAKey));
    assert_eq!(
        HostPublicKey::from_text(bare).err(),
        Some(KeyTextError::NotAKey)
    );
}
