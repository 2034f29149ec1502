//! "After an error a session refuses every further call", and no error or debug output tells a
//! secret.

use mvm_core::limits::FRAME_BODY_MAX;
use mvm_core::session::*;
use mvm_core::wire::codec::DecodeError;

use crate::forge::{self, Frame};
use crate::world::*;

type Break = fn(&mut World, &mut Pair, &[u8; 32]) -> OpenError;

/// Every reason for which a guest opens nothing, each brought about.
const BREAKS: &[(&str, Break)] = &[
    ("signature", |world, pair, _| {
        let frame = pair.host_seals(world, b"x").unwrap();
        let forged = Frame::rewrite(&frame, |frame| frame.payload = b"y".to_vec());
        pair.guest_opens(world, &forged).unwrap_err()
    }),
    ("sequence", |world, pair, _| {
        pair.host_seals(world, b"x").unwrap();
        let second = pair.host_seals(world, b"x").unwrap();
        pair.guest_opens(world, &second).unwrap_err()
    }),
    ("encoding", |world, pair, _| {
        pair.guest_opens(world, b"short").unwrap_err()
    }),
    ("trailing", |world, pair, _| {
        pair.guest_opens(world, &[0; 68]).unwrap_err()
    }),
    ("length", |world, pair, _| {
        pair.guest_opens(world, &vec![0; FRAME_BODY_MAX + 1])
            .unwrap_err()
    }),
    ("kind", |world, pair, t2| {
        let frame = Frame {
            sequence: 0,
            kind: 9,
            payload: vec![],
        }
        .signed(HOST_SEED, t2, b'H');
        pair.guest_opens(world, &frame).unwrap_err()
    }),
    ("close with payload", |world, pair, t2| {
        let frame = Frame {
            sequence: 0,
            kind: 1,
            payload: vec![1],
        }
        .signed(HOST_SEED, t2, b'H');
        pair.guest_opens(world, &frame).unwrap_err()
    }),
    ("after close", |world, pair, t2| {
        let close = pair.host_closes(world).unwrap();
        pair.guest_opens(world, &close).unwrap();
        let frame = Frame {
            sequence: 1,
            kind: 0,
            payload: vec![],
        }
        .signed(HOST_SEED, t2, b'H');
        pair.guest_opens(world, &frame).unwrap_err()
    }),
    ("superseded", |world, pair, _| {
        world.connect();
        pair.guest_opens(world, &[]).unwrap_err()
    }),
    ("restored", |world, pair, _| {
        world.at_guest.restore();
        pair.guest_opens(world, &[]).unwrap_err()
    }),
    ("expired", |world, pair, _| {
        world.at_guest.sleep(LIFETIME_MS);
        pair.guest_opens(world, &[]).unwrap_err()
    }),
    ("untrusted", |world, pair, _| {
        world
            .guest
            .trust_mut()
            .remove(&host_key(HOST_SEED).public());
        pair.guest_opens(world, &[]).unwrap_err()
    }),
    ("generation", |world, pair, _| {
        world.host.raise(2).unwrap();
        world.connect_to(OTHER_SERVICE);
        pair.guest_opens(world, &[]).unwrap_err()
    }),
];

#[test]
fn after_any_error_of_open_every_call_is_refused() {
    let mut reasons = Vec::new();
    for (name, break_it) in BREAKS {
        let mut world = World::new();
        let (mut pair, wire) = world.recorded(SERVICE);
        let t2 = forge::t2(&wire.hello, &wire.answer, &wire.finish);
        let reason = break_it(&mut world, &mut pair, &t2);
        reasons.push(reason);
        // A frame that is good in every way but for what happened before.
        for sequence in 0..2 {
            let good = Frame {
                sequence,
                kind: 0,
                payload: b"x".to_vec(),
            }
            .signed(HOST_SEED, &t2, b'H');
            let refused = OpenError::Ended(Ended::Poisoned);
            assert_eq!(pair.guest_opens(&mut world, &good), Err(refused), "{name}");
        }
        let refused = Err(SealError::Ended(Ended::Poisoned));
        assert_eq!(pair.guest_seals(&world, b"x"), refused, "{name}");
        assert_eq!(pair.guest_closes(&world), refused, "{name}");
        assert_eq!(
            pair.guest.check(&world.guest, &world.at_guest),
            Err(Ended::Poisoned)
        );
        let sleep = world.guest.prepare_sleep(pair.guest, &world.at_guest, true);
        assert_eq!(sleep, Err(Ended::Poisoned), "{name}");
    }
    let short = DecodeError::UnexpectedEnd { len: 5 };
    let mut expected = vec![
        OpenError::BadSignature,
        OpenError::SequenceGap {
            expected: 0,
            got: 1,
        },
        OpenError::Malformed(short),
        OpenError::Malformed(DecodeError::TrailingBytes { count: 1 }),
        OpenError::FrameTooLong {
            len: FRAME_BODY_MAX + 1,
            max: FRAME_BODY_MAX,
        },
        OpenError::UnknownKind { kind: 9 },
        OpenError::CloseWithPayload { len: 1 },
        OpenError::AfterClose,
    ];
    for ended in [
        Ended::Superseded,
        Ended::IncarnationChanged,
        Ended::Expired,
        Ended::Untrusted,
        Ended::StaleGeneration,
    ] {
        expected.push(OpenError::Ended(ended));
    }
    assert_eq!(reasons, expected);
}

#[test]
fn after_any_error_of_seal_every_call_is_refused() {
    type Break = fn(&mut World, &mut Pair) -> SealError;
    let breaks: [(SealError, Break); 6] = [
        (
            SealError::PayloadTooLong {
                len: PAYLOAD_MAX + 1,
                max: PAYLOAD_MAX,
            },
            |world, pair| {
                pair.host_seals(world, &vec![0; PAYLOAD_MAX + 1])
                    .unwrap_err()
            },
        ),
        (
            SealError::BufferTooSmall {
                needed: 72,
                len: 71,
            },
            |world, pair| {
                pair.host
                    .seal(&world.host, &world.at_host, b"x", &mut [0; 71])
                    .unwrap_err()
            },
        ),
        (SealError::Closed, |world, pair| {
            pair.host_closes(world).unwrap();
            pair.host_seals(world, b"x").unwrap_err()
        }),
        (
            SealError::Ended(Ended::IncarnationChanged),
            |world, pair| {
                world.at_host.restore_after_reads(1);
                pair.host_seals(world, b"x").unwrap_err()
            },
        ),
        (SealError::Ended(Ended::Expired), |world, pair| {
            world.at_host.sleep(LIFETIME_MS);
            pair.host_seals(world, b"x").unwrap_err()
        }),
        (SealError::Ended(Ended::Superseded), |world, pair| {
            world.host.raise(2).unwrap();
            pair.host_seals(world, b"x").unwrap_err()
        }),
    ];
    for (expected, break_it) in breaks {
        let mut world = World::new();
        let mut pair = world.connect();
        let frame = pair.guest_seals(&world, b"x").unwrap();
        assert_eq!(break_it(&mut world, &mut pair), expected);
        let refused = OpenError::Ended(Ended::Poisoned);
        assert_eq!(
            pair.host_opens(&mut world, &frame),
            Err(refused),
            "{expected:?}"
        );
        assert!(!world.host.is_confirmed());
        let refused = Err(SealError::Ended(Ended::Poisoned));
        assert_eq!(pair.host_seals(&world, b"x"), refused, "{expected:?}");
        assert_eq!(pair.host_closes(&world), refused, "{expected:?}");
    }
}

#[test]
fn a_session_that_was_given_up_refuses_every_call() {
    let mut world = World::new();
    let mut pair = world.connect();
    let frame = pair.guest_seals(&world, b"x").unwrap();
    pair.host.poison();
    let refused = OpenError::Ended(Ended::Poisoned);
    assert_eq!(pair.host_opens(&mut world, &frame), Err(refused));
    assert_eq!(
        pair.host_seals(&world, b"x"),
        Err(SealError::Ended(Ended::Poisoned))
    );
    assert_eq!(pair.host.end_of_stream(), Err(Truncated { received: 0 }));
}

/// Text in which no two bytes of a secret may follow each other, in any of the usual spellings.
fn tells(text: &str, byte: u8) -> bool {
    let spellings = [
        format!("{byte:02x}{byte:02x}"),
        format!("{byte:02X}{byte:02X}"),
        format!("{byte}, {byte}"),
        format!("0x{byte:02x}, 0x{byte:02x}"),
    ];
    let dense: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    spellings
        .iter()
        .any(|spelling| dense.contains(spelling.as_str()))
}

#[test]
fn no_debug_output_tells_a_secret() {
    let entropy = Entropy::new([0xee; 32]);
    let mut world = World::new();
    let mut shown = vec![format!("{entropy:?}"), format!("{entropy:#?}")];
    let mut out = [0; HOST_HELLO_FRAME_MAX];
    let (waiting, n) = world
        .host
        .begin(
            world.host_key,
            host_options(SERVICE),
            entropy,
            &world.at_host,
            &mut out,
        )
        .unwrap();
    let hello = body(&out[..n]);
    shown.push(format!("{waiting:?}"));
    let offer = world.offer(SERVICE, &hello).unwrap();
    shown.push(format!("{offer:?}"));
    let mut out = [0; GUEST_HELLO_FRAME_MAX];
    let (awaiting, n) = offer
        .answer(
            &mut world.guest,
            Entropy::new([0xee; 32]),
            &world.at_guest,
            &mut out,
        )
        .unwrap();
    shown.push(format!("{awaiting:?}"));
    let verified = world.verify(waiting, &body(&out[..n])).unwrap();
    shown.push(format!("{verified:?}"));
    let (host, finish) = world.prove(verified).unwrap();
    let guest = world.complete(awaiting, &finish).unwrap();
    shown.push(format!("{host:?} {guest:?}"));
    shown.push(format!("{:?} {:?}", world.host, world.guest));
    shown.push(format!("{:?} {:?}", world.host_key, world.guest_key));
    shown.push(format!(
        "{:?} {:?}",
        world.host_key.to_text(),
        world.guest_key.to_text()
    ));
    assert_eq!(shown.len(), 10);
    for text in shown {
        for secret in [HOST_SEED[0], GUEST_SEED[0], 0xee] {
            assert!(!tells(&text, secret), "{text}");
        }
    }
    assert_eq!(format!("{:?}", Entropy::new([0xee; 32])), "Entropy(..)");
    // The test can fail.
    assert!(tells(&format!("{HOST_SEED:?}"), HOST_SEED[0]));
    assert!(tells(&format!("{HOST_SEED:#x?}"), HOST_SEED[0]));
}

#[test]
fn no_error_echoes_what_it_refused() {
    // A secret key where a public one is expected, and a seed with a fault.
    let secret = HostKey::from_seed(&[0xee; 32]).to_text();
    let errors = [
        format!(
            "{:?}",
            HostPublicKey::from_text(secret.secret_str()).unwrap_err()
        ),
        format!(
            "{}",
            HostPublicKey::from_text(secret.secret_str()).unwrap_err()
        ),
        format!(
            "{:?}",
            GuestKey::from_text(secret.secret_str()).unwrap_err()
        ),
        format!("{}", GuestKey::from_text(secret.secret_str()).unwrap_err()),
        format!("{:?}", HostKey::from_hex(&"ee".repeat(31)).unwrap_err()),
        format!(
            "{}",
            HostKey::from_hex(&format!("{}zz", "ee".repeat(31))).unwrap_err()
        ),
    ];
    for text in errors {
        assert!(!tells(&text, 0xee), "{text}");
    }
    // Nor is a payload or a key in what a session says.
    let mut world = World::new();
    let mut pair = world.connect();
    let frame = pair.host_seals(&world, &[0xee; 40]).unwrap();
    let forged = Frame::rewrite(&frame, |frame| frame.payload = vec![0xee; 41]);
    let error = pair.guest_opens(&mut world, &forged).unwrap_err();
    assert!(!tells(
        &format!("{error:?} {error} {pair_host:?}", pair_host = pair.host),
        0xee
    ));
}
