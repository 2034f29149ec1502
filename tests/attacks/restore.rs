//! Restored snapshots, generations, and what a later handshake does to what began earlier.

use mvm_core::session::*;

use crate::forge::{GuestHello, HostHello};
use crate::world::*;

const CHANGED: HandshakeError = HandshakeError::IncarnationChanged;
const SUPERSEDED: Option<Ended> = Some(Ended::Superseded);

/// What one handshake waits with on both sides, between two of its steps.
struct Waiting {
    host: HostVerified<'static>,
    guest: GuestAwaitingFinish<'static>,
}

impl World {
    /// A handshake up to the point where only the host's proof is missing.
    fn almost(&mut self, service: u16) -> Waiting {
        let (waiting, hello) = self.begin(service);
        let (guest, answer) = self.reply(service, &hello).unwrap();
        Waiting {
            host: self.verify(waiting, &answer).unwrap(),
            guest,
        }
    }
}

// The mark: "at hello, at finish, at every open, and before and after every seal".

#[test]
fn a_guest_restored_between_hello_and_answer_sends_no_answer() {
    let mut world = World::new();
    let (_waiting, hello) = world.begin(SERVICE);
    let offer = world.offer(SERVICE, &hello).unwrap();
    world.at_guest.restore();
    let mut out = [0xaa; GUEST_HELLO_FRAME_MAX];
    let refused = offer.answer(
        &mut world.guest,
        Entropy::new([1; 32]),
        &world.at_guest,
        &mut out,
    );
    assert_eq!(refused.err(), Some(CHANGED));
    assert_eq!(out, [0; GUEST_HELLO_FRAME_MAX]);
}

#[test]
fn a_guest_restored_before_the_finish_completes_nothing() {
    let mut world = World::new();
    let Waiting { host, guest } = world.almost(SERVICE);
    let (_, finish) = world.prove(host).unwrap();
    world.at_guest.restore();
    assert_eq!(world.complete(guest, &finish).err(), Some(CHANGED));
    assert_eq!(world.guest.binding(), &Binding::Unbound);
}

#[test]
fn a_host_restored_before_the_answer_verifies_nothing() {
    let mut world = World::new();
    let (waiting, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    world.at_host.restore();
    assert_eq!(world.verify(waiting, &answer).err(), Some(CHANGED));
}

#[test]
fn a_host_restored_before_or_while_it_signs_sends_no_finish() {
    for reads in [0, 1] {
        let mut world = World::new();
        let Waiting { host, .. } = world.almost(SERVICE);
        world.at_host.restore_after_reads(reads);
        let mut out = [0xaa; HOST_FINISH_FRAME_LEN];
        let refused = host.finish(&mut world.host, &world.at_host, &mut out);
        assert_eq!(refused.err(), Some(CHANGED), "{reads}");
        assert_eq!(out, [0; HOST_FINISH_FRAME_LEN]);
    }
}

#[test]
fn a_session_opens_nothing_after_a_restore() {
    let mut world = World::new();
    let mut pair = world.connect();
    let to_guest = pair.host_seals(&world, b"x").unwrap();
    let to_host = pair.guest_seals(&world, b"x").unwrap();
    world.at_host.restore();
    world.at_guest.restore();
    let refused = OpenError::Ended(Ended::IncarnationChanged);
    assert_eq!(pair.guest_opens(&mut world, &to_guest), Err(refused));
    assert_eq!(pair.host_opens(&mut world, &to_host), Err(refused));
    // Two incarnations that could both confirm would be one too many.
    assert!(!world.host.is_confirmed());
}

#[test]
fn a_session_seals_nothing_after_a_restore_and_leaves_nothing_that_was_signed_during_one() {
    // The mark is read before and after the signature is made.
    for (reads, left) in [(0, 0xaa), (1, 0)] {
        let mut world = World::new();
        let mut pair = world.connect();
        world.at_guest.restore_after_reads(reads);
        let mut out = [0xaa; 72];
        let refused = pair
            .guest
            .seal(&world.guest, &world.at_guest, b"x", &mut out);
        assert_eq!(
            refused,
            Err(SealError::Ended(Ended::IncarnationChanged)),
            "{reads}"
        );
        assert_eq!(out, [left; 72], "{reads}");
        let refused = pair.guest_seals(&world, b"x");
        assert_eq!(refused, Err(SealError::Ended(Ended::Poisoned)));
    }
}

#[test]
fn a_restore_during_a_close_leaves_no_close() {
    let mut world = World::new();
    let mut pair = world.connect();
    world.at_host.restore_after_reads(1);
    let mut out = [0xaa; 71];
    let refused = pair.host.close(&world.host, &world.at_host, &mut out);
    assert_eq!(refused, Err(SealError::Ended(Ended::IncarnationChanged)));
    assert_eq!(out, [0; 71]);
}

#[test]
fn a_mark_that_comes_back_brings_no_session_back() {
    // Two restores of one snapshot get the same counter.
    let mut world = World::new();
    let mut pair = world.connect();
    world.at_guest.restore();
    let refused = pair.guest_seals(&world, b"x");
    assert_eq!(refused, Err(SealError::Ended(Ended::IncarnationChanged)));
    world.at_guest = Machine::new(Mark::Changing(200));
    assert_eq!(
        pair.guest_seals(&world, b"x"),
        Err(SealError::Ended(Ended::Poisoned))
    );
}

#[test]
fn a_constant_mark_detects_nothing_which_is_what_its_name_says() {
    // The negative control of the tests above: they fail for the mark.
    let mut world = World::new();
    world.at_guest = Machine::new(Mark::Constant);
    let mut pair = world.connect();
    world.at_guest.restore();
    pair.talks(&mut world);
}

#[test]
fn equal_entropy_under_different_marks_gives_different_transcripts() {
    let run = |host_mark: Mark, guest_mark: Mark| {
        let mut world = World::new();
        world.at_host = Machine::new(host_mark);
        world.at_guest = Machine::new(guest_mark);
        let (mut pair, wire) = world.recorded(SERVICE);
        let frame = pair.guest_seals(&world, b"x").unwrap();
        (wire, frame, pair, world)
    };
    let (wire, frame, ..) = run(Mark::Changing(1), Mark::Changing(2));
    let (again, same_frame, ..) = run(Mark::Changing(1), Mark::Changing(2));
    assert_eq!(
        (&wire.hello, &frame),
        (&again.hello, &same_frame),
        "entropy and marks are all there is"
    );
    for marks in [(1, 3), (3, 2)] {
        let (other, other_frame, mut pair, mut world) =
            run(Mark::Changing(marks.0), Mark::Changing(marks.1));
        assert_ne!(
            GuestHello::parse(&other.answer).0.guest_nonce,
            GuestHello::parse(&wire.answer).0.guest_nonce
        );
        assert_ne!(other.finish, wire.finish);
        assert_ne!(other_frame, frame);
        assert_eq!(
            pair.host_opens(&mut world, &frame),
            Err(OpenError::BadSignature)
        );
    }
    let (other, ..) = run(Mark::Changing(3), Mark::Changing(2));
    assert_ne!(
        HostHello::parse(&other.hello).host_nonce,
        HostHello::parse(&wire.hello).host_nonce
    );
}

#[test]
fn the_same_entropy_under_another_hello_gives_another_guest_nonce() {
    let mut nonces = Vec::new();
    for generation in [1, 2] {
        let mut world = World::new();
        let (_waiting, hello) = world.begin(SERVICE);
        let hello = HostHello::rewrite(&hello, |hello| hello.generation = generation);
        let (_, answer) = world.reply(SERVICE, &hello).unwrap();
        nonces.push(GuestHello::parse(&answer).0.guest_nonce);
    }
    assert_ne!(nonces[0], nonces[1]);
}

// Close before the snapshot.

#[test]
fn sleep_ends_every_session_of_every_service_and_every_handshake_that_waits() {
    let mut world = World::new();
    let asking = world.connect_to(SERVICE);
    let mut other = world.connect_to(OTHER_SERVICE);
    let to_other = other.host_seals(&world, b"x").unwrap();
    let (waiting, hello) = world.begin(1);
    let (awaiting, answer) = world.reply(1, &hello).unwrap();
    let (_unanswered, second) = world.begin(2);
    let offer = world
        .guest
        .receive(world.guest_key, guest_options(2), &world.at_guest, &second)
        .unwrap();
    drop((waiting, answer));
    world
        .guest
        .prepare_sleep(asking.guest, &world.at_guest, false)
        .unwrap();
    let refused = OpenError::Ended(Ended::Superseded);
    assert_eq!(other.guest_opens(&mut world, &to_other), Err(refused));
    assert_eq!(
        world.complete(awaiting, &[0; 64]).err(),
        Some(HandshakeError::Superseded)
    );
    assert_eq!(world.answer(offer).err(), Some(HandshakeError::Superseded));
    // A new handshake, after the restore or without one, is as good as any.
    world.connect().talks(&mut world);
}

#[test]
fn ended_sessions_stay_ended_in_every_restore_even_with_a_constant_mark_and_copied_entropy() {
    let mut world = World::new();
    world.at_guest = Machine::new(Mark::Constant);
    let mut recorded = world.connect_to(OTHER_SERVICE);
    let frame = recorded.host_seals(&world, b"x").unwrap();
    let asking = world.connect();
    world
        .guest
        .prepare_sleep(asking.guest, &world.at_guest, false)
        .unwrap();
    assert_eq!(
        recorded.guest_opens(&mut world, &frame),
        Err(OpenError::Ended(Ended::Superseded))
    );
}

// Generations.

#[test]
fn a_host_whose_guest_has_seen_a_later_generation_is_told_so() {
    // The host's store was lost or rolled back: the guest says what it has seen, signed.
    let mut world = World::bound(1, 5);
    let (waiting, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    let (mut later, _) = GuestHello::parse(&answer);
    later.seen = 9;
    let refused = HandshakeError::StaleGeneration {
        offered: 5,
        seen: 9,
    };
    assert_eq!(
        world
            .verify(waiting, &later.signed(GUEST_SEED, &hello))
            .err(),
        Some(refused)
    );
}

#[test]
fn a_guest_restored_behind_its_hosts_back_is_noticed_once_the_generation_was_confirmed() {
    let mut world = World::bound(1, 2);
    world.connect().talks(&mut world);
    assert!(world.host.is_confirmed());
    // An older snapshot of the guest: it has not seen generation 2.
    world.guest = GuestEndpoint::bound(trusting(&[world.host_key.public()]), instance(INSTANCE), 1);
    let (waiting, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    assert_eq!(world.verify(waiting, &answer).err(), Some(CHANGED));
    // A host that was restarted knows it from its store.
    let trust = GuestTrust::pinned(world.guest_key.public());
    world.host = HostEndpoint::resume(instance(INSTANCE), 2, true, trust).unwrap();
    let (waiting, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    assert_eq!(world.verify(waiting, &answer).err(), Some(CHANGED));
    // The remedy is a generation of its own.
    world.host.raise(3).unwrap();
    world.connect().talks(&mut world);
}

#[test]
fn before_a_generation_is_confirmed_a_guest_that_has_not_seen_it_is_no_surprise() {
    let mut world = World::bound(1, 2);
    // The finish was lost on its way.
    let Waiting { host, .. } = world.almost(SERVICE);
    world.prove(host).unwrap();
    assert!(!world.host.is_confirmed());
    world.connect().talks(&mut world);
}

#[test]
fn raising_the_generation_ends_sessions_and_handshakes_on_the_host() {
    let mut world = World::new();
    let pair = world.connect();
    let Waiting { host, .. } = world.almost(OTHER_SERVICE);
    let (waiting, _) = (host, ());
    world.host.raise(2).unwrap();
    assert_eq!(pair.ended(&world), [SUPERSEDED, None]);
    assert_eq!(world.prove(waiting).err(), Some(HandshakeError::Superseded));
    assert!(!world.host.is_confirmed());
}

#[test]
fn a_generation_raised_between_hello_and_finish_fails_the_older_handshake() {
    // Two services, so that nothing but the floor stands between the two.
    let mut world = World::bound(1, 1);
    let older = world.almost(SERVICE);
    let (_, finish) = world.prove(older.host).unwrap();
    world.host.raise(2).unwrap();
    let mut newer = world.connect_to(OTHER_SERVICE);
    let refused = HandshakeError::StaleGeneration {
        offered: 1,
        seen: 2,
    };
    assert_eq!(world.complete(older.guest, &finish).err(), Some(refused));
    assert_eq!(
        world.guest.binding(),
        &Binding::Bound {
            instance: instance(INSTANCE),
            floor: 2
        }
    );
    newer.talks(&mut world);
}

#[test]
fn the_guest_checks_signature_floor_and_mark_in_this_order_when_it_finishes() {
    // Faults: a bad signature, a floor that has moved, a changed mark; fewer each time.
    let run = |signature_fits: bool, floor_moves: bool| {
        let mut world = World::bound(1, 1);
        let older = world.almost(SERVICE);
        let (_, finish) = world.prove(older.host).unwrap();
        if floor_moves {
            world.host.raise(2).unwrap();
            world.connect_to(OTHER_SERVICE);
        }
        world.at_guest.restore();
        let finish = if signature_fits { finish } else { vec![0; 64] };
        world.complete(older.guest, &finish).err().unwrap()
    };
    assert_eq!(run(false, true), HandshakeError::BadSignature);
    assert_eq!(
        run(true, true),
        HandshakeError::StaleGeneration {
            offered: 1,
            seen: 2
        }
    );
    assert_eq!(run(true, false), CHANGED);
}

#[test]
fn a_completed_later_generation_ends_the_sessions_of_earlier_ones_on_every_service() {
    let mut world = World::new();
    let older = world.connect_to(OTHER_SERVICE);
    world.host.raise(2).unwrap();
    world.connect();
    assert_eq!(
        older.ended(&world),
        [SUPERSEDED, Some(Ended::StaleGeneration)]
    );
}

// "Completing a handshake poisons, atomically, every session and handshake of that service that
// began earlier."

#[test]
fn completing_a_handshake_ends_the_earlier_session_of_its_service_on_both_sides() {
    let mut world = World::new();
    let before = world.connect();
    assert_eq!(before.ended(&world), [None, None]);
    let mut after = world.connect();
    assert_eq!(before.ended(&world), [SUPERSEDED, SUPERSEDED]);
    after.talks(&mut world);
}

#[test]
fn a_handshake_that_only_began_or_failed_ends_no_session() {
    let mut world = World::new();
    let mut pair = world.connect();
    let Waiting { host, guest } = world.almost(SERVICE);
    pair.talks(&mut world);
    drop(host);
    assert_eq!(
        world.complete(guest, &[0; 64]).err(),
        Some(HandshakeError::BadSignature)
    );
    pair.talks(&mut world);
}

#[test]
fn completing_a_handshake_ends_those_of_its_service_that_began_earlier_and_wait() {
    let mut world = World::new();
    let older = world.almost(SERVICE);
    let (_, finish) = world.prove(older.host).unwrap();
    let mut newer = world.connect();
    assert_eq!(
        world.complete(older.guest, &finish).err(),
        Some(HandshakeError::Superseded)
    );
    newer.talks(&mut world);
}

#[test]
fn completing_a_handshake_does_not_end_those_that_began_later() {
    let mut world = World::new();
    let older = world.almost(SERVICE);
    let (older_host, finish) = world.prove(older.host).unwrap();
    let newer = world.almost(SERVICE);
    let older_guest = world.complete(older.guest, &finish).unwrap();
    let older = Pair {
        host: older_host,
        guest: older_guest,
    };
    assert_eq!(older.ended(&world), [None, None]);
    let (host, finish) = world.prove(newer.host).unwrap();
    let guest = world.complete(newer.guest, &finish).unwrap();
    assert_eq!(older.ended(&world), [SUPERSEDED, SUPERSEDED]);
    Pair { host, guest }.talks(&mut world);
}

#[test]
fn completing_a_handshake_ends_nothing_of_another_service() {
    let mut world = World::new();
    let mut other = world.connect_to(OTHER_SERVICE);
    let (_waiting, hello) = world.begin(7);
    let (awaiting, _) = world.reply(7, &hello).unwrap();
    world.connect();
    other.talks(&mut world);
    // The pending one of the third service fails for its signature, not for its place.
    assert_eq!(
        world.complete(awaiting, &[0; 64]).err(),
        Some(HandshakeError::BadSignature)
    );
}

// Lifetime.

#[test]
fn a_session_ends_at_its_lifetime_on_each_side() {
    let mut world = World::new();
    let mut pair = world.connect();
    world.sleep(LIFETIME_MS - 1);
    pair.talks(&mut world);
    world.sleep(1);
    assert_eq!(
        pair.ended(&world),
        [Some(Ended::Expired), Some(Ended::Expired)]
    );
    assert_eq!(
        pair.host_seals(&world, b"x"),
        Err(SealError::Ended(Ended::Expired))
    );
    assert_eq!(
        pair.guest_opens(&mut world, &[]),
        Err(OpenError::Ended(Ended::Expired))
    );
}

#[test]
fn a_clock_that_goes_back_ends_the_session() {
    let mut world = World::new();
    let mut pair = world.connect();
    world.at_guest.now.set(world.at_guest.now.get() - 1);
    assert_eq!(
        pair.guest_seals(&world, b"x"),
        Err(SealError::Ended(Ended::Expired))
    );
    world.at_guest.sleep(1);
    assert_eq!(
        pair.guest_seals(&world, b"x"),
        Err(SealError::Ended(Ended::Poisoned))
    );
    assert_eq!(
        pair.guest_opens(&mut world, &[]),
        Err(OpenError::Ended(Ended::Poisoned))
    );
}
