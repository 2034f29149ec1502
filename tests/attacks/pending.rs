//! Limits against unauthenticated work: at most 4 handshakes wait, each isolated from the others,
//! the oldest dropped; a host has one attempt at a time.

use mvm_core::limits::{PENDING_HANDSHAKES_MAX, SERVICES_MAX};
use mvm_core::session::*;
use mvm_core::wire::codec::DecodeError;

use crate::forge::{self, GuestHello, HostHello};
use crate::world::*;

/// A handshake that waits at the guest, and its proof, made by the host's key outside the endpoint:
/// an endpoint has one attempt at a time, several hosts that share a key have several.
struct Attempt {
    awaiting: GuestAwaitingFinish<'static>,
    finish: Vec<u8>,
}

fn attempt(world: &mut World, service: u16) -> Attempt {
    let (_, hello) = world.begin(service);
    let (awaiting, answer) = world.reply(service, &hello).unwrap();
    let (head, signature) = GuestHello::parse(&answer);
    let t1 = forge::t1(&hello, &head.encode());
    let finish = forge::sign(HOST_SEED, &forge::host_message(&t1, &signature)).to_vec();
    Attempt { awaiting, finish }
}

#[test]
fn four_handshakes_wait_and_the_fifth_drops_the_oldest_alone() {
    assert_eq!(PENDING_HANDSHAKES_MAX, 4);
    let mut world = World::new();
    let mut attempts: Vec<_> = (1..=5)
        .map(|service| attempt(&mut world, service))
        .collect();
    let Attempt { awaiting, finish } = attempts.remove(0);
    assert_eq!(
        world.complete(awaiting, &finish).err(),
        Some(HandshakeError::Superseded)
    );
    for Attempt { awaiting, finish } in attempts {
        assert!(world.complete(awaiting, &finish).is_ok());
    }
}

#[test]
fn a_handshake_that_fails_takes_no_other_with_it() {
    let mut world = World::new();
    let mut attempts: Vec<_> = (1..=4)
        .map(|service| attempt(&mut world, service))
        .collect();
    let failing = attempts.remove(1);
    let other_proof = attempts[0].finish.clone();
    assert_eq!(
        world.complete(failing.awaiting, &other_proof).err(),
        Some(HandshakeError::BadSignature)
    );
    for Attempt { awaiting, finish } in attempts {
        assert!(world.complete(awaiting, &finish).is_ok());
    }
}

#[test]
fn a_handshake_that_failed_gives_its_place_back() {
    let mut world = World::new();
    let first = attempt(&mut world, 1);
    for _ in 0..20 {
        let failing = attempt(&mut world, 2);
        assert!(world.complete(failing.awaiting, &[0; 64]).is_err());
    }
    assert!(world.complete(first.awaiting, &first.finish).is_ok());
}

#[test]
fn hellos_that_are_refused_take_no_place() {
    let mut world = World::bound(1, 1);
    let waiting = attempt(&mut world, SERVICE);
    let (_, hello) = world.begin(SERVICE);
    let strange = HostHello::rewrite(&hello, |hello| hello.host_key = [7; 32]);
    let elsewhere = HostHello::rewrite(&hello, |hello| hello.instance = NEIGHBOUR.into());
    for _ in 0..10 {
        assert_eq!(
            world.reply(SERVICE, &strange).err(),
            Some(HandshakeError::UntrustedHost)
        );
        assert_eq!(
            world.reply(SERVICE, &elsewhere).err(),
            Some(HandshakeError::WrongInstance)
        );
        let empty = HandshakeError::Malformed(DecodeError::UnexpectedEnd { len: 0 });
        assert_eq!(world.reply(SERVICE, &[]).err(), Some(empty));
    }
    assert!(world.complete(waiting.awaiting, &waiting.finish).is_ok());
}

#[test]
fn a_flood_of_hellos_ends_no_session() {
    let mut world = World::new();
    let (mut pair, wire) = world.recorded(SERVICE);
    for _ in 0..20 {
        assert!(world.reply(SERVICE, &wire.hello).is_ok());
    }
    pair.talks(&mut world);
}

#[test]
fn a_host_gives_up_its_own_attempt_before_it_begins_another() {
    let mut world = World::new();
    let (given_up, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    let (_current, _) = world.begin(OTHER_SERVICE);
    assert_eq!(
        world.verify(given_up, &answer).err(),
        Some(HandshakeError::Superseded)
    );

    let mut world = World::new();
    let (waiting, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    let given_up = world.verify(waiting, &answer).unwrap();
    let (_current, _) = world.begin(SERVICE);
    assert_eq!(
        world.prove(given_up).err(),
        Some(HandshakeError::Superseded)
    );
}

#[test]
fn a_host_attempt_that_failed_is_over_and_the_next_one_is_not() {
    let mut world = World::new();
    let (waiting, _) = world.begin(SERVICE);
    let refused = HandshakeError::Malformed(DecodeError::UnexpectedEnd { len: 0 });
    assert_eq!(world.verify(waiting, &[]).err(), Some(refused));
    world.connect().talks(&mut world);
}

#[test]
fn one_service_more_than_there_is_room_for_is_refused_and_ends_nothing() {
    let mut world = World::new();
    let mut pairs: Vec<_> = (0..SERVICES_MAX as u16)
        .map(|service| world.connect_to(service))
        .collect();
    let one_more = attempt(&mut world, 999);
    assert_eq!(
        world.complete(one_more.awaiting, &one_more.finish).err(),
        Some(HandshakeError::TooManyServices)
    );
    let (waiting, hello) = world.begin(999);
    let (_, answer) = world.reply(999, &hello).unwrap();
    let verified = world.verify(waiting, &answer).unwrap();
    assert_eq!(
        world.prove(verified).err(),
        Some(HandshakeError::TooManyServices)
    );
    for pair in &mut pairs {
        pair.talks(&mut world);
    }
}
