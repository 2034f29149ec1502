//! Before authentication: a refusal is a hint for people and changes nothing.

use mvm_core::session::*;
use mvm_core::signing::KeyError;
use mvm_core::wire::codec::DecodeError;

use crate::forge::{GuestHello, HostHello};
use crate::world::*;

/// What a guest may say of each error; all four bytes of it.
#[test]
fn a_refusal_is_four_bytes_of_which_none_is_the_guests_state() {
    let cases = [
        (HandshakeError::Malformed(DecodeError::InvalidValue), 1),
        (
            HandshakeError::TooLong {
                len: 2000,
                max: 1024,
            },
            1,
        ),
        (HandshakeError::VersionMismatch { min: 1, max: 2 }, 2),
        (
            HandshakeError::WrongService {
                offered: 1,
                served: 2,
            },
            3,
        ),
        (HandshakeError::NoCommonSuite { offered: 2 }, 4),
        (HandshakeError::UntrustedHost, 5),
        (HandshakeError::WrongInstance, 6),
        (
            HandshakeError::StaleGeneration {
                offered: 1,
                seen: 2,
            },
            7,
        ),
        (
            HandshakeError::StaleGeneration {
                offered: 1,
                seen: u64::MAX,
            },
            7,
        ),
        (HandshakeError::TooManyServices, 8),
    ];
    for (error, code) in cases {
        assert_eq!(
            refusal(&error).to_frame(),
            [0, 0, 0, 4, 0, code, 3, 3],
            "{error:?}"
        );
    }
}

#[test]
fn guests_that_differ_in_what_they_have_seen_refuse_with_the_same_bytes() {
    let refused_by = |floor| {
        let mut world = World::bound(floor, 1);
        let (_, hello) = world.begin(SERVICE);
        refusal(&world.reply(SERVICE, &hello).err().unwrap()).to_frame()
    };
    assert_eq!(refused_by(2), refused_by(u64::MAX));
    assert_eq!(refused_by(2), [0, 0, 0, 4, 0, 7, 3, 3]);
}

#[test]
fn a_stranger_learns_nothing_of_instance_and_generation() {
    // The same refusal for every instance and generation: trust is asked first.
    for (name, generation) in [(INSTANCE, 1), (INSTANCE, 9), (NEIGHBOUR, 9)] {
        let mut world = World::bound(5, 9);
        let (_, hello) = world.begin(SERVICE);
        let hello = HostHello::rewrite(&hello, |hello| {
            hello.host_key = *host_key(STRANGER_SEED).public().as_bytes();
            hello.instance = name.into();
            hello.generation = generation;
        });
        assert_eq!(
            world.reply(SERVICE, &hello).err(),
            Some(HandshakeError::UntrustedHost)
        );
    }
}

#[test]
fn every_refusal_reaches_the_host_as_what_it_is_and_changes_nothing_there() {
    let mut seen = 0;
    for code in 0..=255u8 {
        let mut world = World::bound(1, 5);
        let trust = world.host.trust().clone();
        let (waiting, before) = world.begin(SERVICE);
        let error = world.verify(waiting, &[0, code, 1, 2]).err().unwrap();
        let HandshakeError::Refused(refusal) = error else {
            panic!("{error:?}")
        };
        assert_eq!(
            (refusal.code, refusal.min_version, refusal.max_version),
            (RefusalCode(code), 1, 2)
        );
        assert_eq!(refusal.code.hint().is_some(), (1..=8).contains(&code));
        assert_eq!(
            (world.host.generation(), world.host.is_confirmed()),
            (5, false)
        );
        assert_eq!(world.host.trust(), &trust);
        // The next hello offers exactly what this one did.
        let (_, after) = world.begin(SERVICE);
        let (mut before, after) = (HostHello::parse(&before), HostHello::parse(&after));
        (before.session_id, before.host_nonce) = (after.session_id, after.host_nonce);
        assert_eq!(before, after);
        seen += 1;
    }
    assert_eq!(seen, 256);
}

#[test]
fn a_refusal_put_in_by_an_attacker_ends_the_attempt_and_no_session() {
    let mut world = World::new();
    let mut pair = world.connect();
    let (waiting, _) = world.begin(SERVICE);
    let refused = world.verify(waiting, &[0, 5, 3, 3]).err().unwrap();
    assert!(matches!(refused, HandshakeError::Refused(r) if r.code == RefusalCode::HOST));
    pair.talks(&mut world);
}

#[test]
fn a_refusal_of_any_other_length_is_malformed() {
    let refused = |body: &[u8]| {
        let mut world = World::new();
        let (waiting, _) = world.begin(SERVICE);
        world.verify(waiting, body).err().unwrap()
    };
    for len in 1..4 {
        let expected = HandshakeError::Malformed(DecodeError::UnexpectedEnd { len });
        assert_eq!(refused(&vec![0; len]), expected);
    }
    for count in [1, 2, 140] {
        let expected = HandshakeError::Malformed(DecodeError::TrailingBytes { count });
        assert_eq!(refused(&vec![0; 4 + count]), expected);
    }
}

#[test]
fn a_refusal_says_which_side_to_upgrade_where_versions_are_the_matter() {
    let refused = |min, max| {
        let mut world = World::new();
        let (waiting, _) = world.begin(SERVICE);
        world.verify(waiting, &[0, 2, min, max]).err().unwrap()
    };
    assert_eq!(refused(1, 2).upgrade(Side::Host), Some(Side::Guest));
    assert_eq!(refused(4, 9).upgrade(Side::Host), Some(Side::Host));
    assert_eq!(refused(3, 3).upgrade(Side::Host), None);
}

#[test]
fn a_refused_host_changes_nothing_in_the_guest() {
    let mut world = World::bound(5, 5);
    let mut pair = world.connect();
    let before = (world.guest.binding().clone(), world.guest.trust().clone());
    let (_, hello) = world.begin(SERVICE);
    let hello = HostHello::rewrite(&hello, |hello| hello.generation = 1);
    let error = world.reply(SERVICE, &hello).err().unwrap();
    assert_eq!(
        error,
        HandshakeError::StaleGeneration {
            offered: 1,
            seen: 5
        }
    );
    assert_eq!(
        (world.guest.binding().clone(), world.guest.trust().clone()),
        before
    );
    pair.talks(&mut world);
}

// What the keys of a hello may be, before anything is believed.

#[test]
fn a_host_key_that_is_no_key_can_not_even_be_trusted() {
    let mut world = World::new();
    let (_, hello) = world.begin(SERVICE);
    let mut identity = [0; 32];
    identity[0] = 1;
    let claimed = HostHello::rewrite(&hello, |hello| hello.host_key = identity);
    assert_eq!(
        world.reply(SERVICE, &claimed).err(),
        Some(HandshakeError::UntrustedHost)
    );
    assert_eq!(HostPublicKey::from_bytes(&identity), Err(KeyError::Weak));
}

#[test]
fn the_floor_is_told_to_a_trusted_host_alone_and_signed() {
    let mut world = World::bound(4, 5);
    let (_, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    assert_eq!(GuestHello::parse(&answer).0.seen, 4);
    let forged = GuestHello::rewrite(&answer, |hello| hello.seen = 5);
    let (waiting, hello) = world.begin(SERVICE);
    let (_, fresh) = world.reply(SERVICE, &hello).unwrap();
    assert_ne!(fresh, forged);
    let forged = GuestHello::rewrite(&fresh, |hello| hello.seen = 5);
    assert_eq!(
        world.verify(waiting, &forged).err(),
        Some(HandshakeError::BadSignature)
    );
}
