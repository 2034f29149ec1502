//! Trust: who accepts whom, what a key's removal ends, trust on first use, the binding and its floor.

use core::cell::{Cell, RefCell};

use mvm_core::session::*;
use mvm_core::time::Timestamp;
use proptest::prelude::*;

use crate::forge::{self, GuestHello, HostHello};
use crate::world::*;

const UNTRUSTED: Option<Ended> = Some(Ended::Untrusted);

fn bound(name: &str, floor: u64) -> Binding {
    Binding::Bound {
        instance: instance(name),
        floor,
    }
}

#[test]
fn a_guest_without_trusted_hosts_accepts_nobody() {
    let mut world = World::new();
    world.guest = GuestEndpoint::new(TrustedHosts::new());
    let (_waiting, hello) = world.begin(SERVICE);
    assert_eq!(
        world.reply(SERVICE, &hello).err(),
        Some(HandshakeError::UntrustedHost)
    );
}

#[test]
fn a_host_that_names_a_trusted_key_without_holding_it_completes_nothing() {
    let mut world = World::new();
    let (_waiting, hello) = world.begin(SERVICE);
    let (awaiting, answer) = world.reply(SERVICE, &hello).unwrap();
    let (head, signature) = GuestHello::parse(&answer);
    let t1 = forge::t1(&hello, &head.encode());
    let forged = forge::sign(STRANGER_SEED, &forge::host_message(&t1, &signature));
    assert_eq!(
        world.complete(awaiting, &forged).err(),
        Some(HandshakeError::BadSignature)
    );
    assert_eq!(world.guest.binding(), &Binding::Unbound);
}

#[test]
fn a_guest_that_names_the_provisioned_key_without_holding_it_proves_nothing() {
    let mut world = World::new();
    let (waiting, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    let (head, _) = GuestHello::parse(&answer);
    let forged = head.signed(STRANGER_SEED, &hello);
    assert_eq!(
        world.verify(waiting, &forged).err(),
        Some(HandshakeError::BadSignature)
    );
}

#[test]
fn a_guest_key_is_good_for_its_own_instance_alone() {
    // Two instances of one fleet, each with its own endpoint at the host; the wire of one is led to
    // the guest of the other.
    let mut world = World::new();
    let neighbour = guest_key(NEIGHBOUR_SEED);
    let mut fleet = HostEndpoint::new(
        instance(NEIGHBOUR),
        1,
        GuestTrust::pinned(neighbour.public()),
    )
    .unwrap();
    let (waiting, hello) = world.begin(SERVICE);
    world.guest_key = neighbour;
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    assert_eq!(
        world.verify(waiting, &answer).err(),
        Some(HandshakeError::UntrustedGuest)
    );
    // The same guest is accepted where it belongs.
    let mut out = [0; HOST_HELLO_FRAME_MAX];
    let (waiting, n) = fleet
        .begin(
            world.host_key,
            host_options(SERVICE),
            Entropy::new([9; 32]),
            &world.at_host,
            &mut out,
        )
        .unwrap();
    let (_, answer) = world.reply(SERVICE, &body(&out[..n])).unwrap();
    assert!(matches!(
        waiting.receive(&mut fleet, &world.at_host, &answer),
        Ok(Received::Verified(_))
    ));
}

#[test]
fn a_bound_guest_refuses_other_instances() {
    let mut world = World::bound(1, 1);
    let (_waiting, hello) = world.begin(SERVICE);
    let other = HostHello::rewrite(&hello, |hello| hello.instance = NEIGHBOUR.into());
    assert_eq!(
        world.reply(SERVICE, &other).err(),
        Some(HandshakeError::WrongInstance)
    );
}

#[test]
fn a_host_key_counts_for_its_generations_alone() {
    let cases = [
        (4, Err(HandshakeError::UntrustedHost)),
        (5, Ok(())),
        (7, Ok(())),
        (8, Err(HandshakeError::UntrustedHost)),
    ];
    for (generation, expected) in cases {
        let mut world = World::bound(1, generation);
        let entry = TrustedHost::new(world.host_key.public()).for_generations(5, 7);
        world.guest.trust_mut().insert(entry).unwrap();
        let (_waiting, hello) = world.begin(SERVICE);
        assert_eq!(
            world.reply(SERVICE, &hello).map(|_| ()),
            expected,
            "{generation}"
        );
    }
}

#[test]
fn a_guest_key_counts_in_its_time_alone_and_never_without_a_clock() {
    let at = |seconds| Some(Timestamp::new(seconds, 0).unwrap());
    let cases = [
        (at(999), Err(HandshakeError::UntrustedGuest)),
        (at(1_000), Ok(())),
        (at(2_000), Ok(())),
        (at(2_001), Err(HandshakeError::UntrustedGuest)),
        (None, Err(HandshakeError::UntrustedGuest)),
    ];
    for (now, expected) in cases {
        let mut world = World::new();
        let mut guests = TrustedGuests::default();
        let entry = TrustedGuest::new(world.guest_key.public()).between(at(1_000), at(2_000));
        guests.insert(entry).unwrap();
        *world.host.trust_mut() = GuestTrust::Keys(guests);
        world.at_host.wall.set(now);
        let (waiting, hello) = world.begin(SERVICE);
        let (_, answer) = world.reply(SERVICE, &hello).unwrap();
        assert_eq!(
            world.verify(waiting, &answer).map(|_| ()),
            expected,
            "{now:?}"
        );
    }
}

#[test]
fn a_session_ends_with_the_time_of_its_guest_key() {
    let at = |seconds| Some(Timestamp::new(seconds, 0).unwrap());
    let mut world = World::new();
    let mut guests = TrustedGuests::default();
    guests
        .insert(TrustedGuest::new(world.guest_key.public()).between(None, at(2_000)))
        .unwrap();
    *world.host.trust_mut() = GuestTrust::Keys(guests);
    world.at_host.wall.set(at(1_000));
    let mut pair = world.connect();
    pair.talks(&mut world);
    world.at_host.wall.set(at(2_001));
    assert_eq!(
        pair.host_seals(&world, b"x"),
        Err(SealError::Ended(Ended::Untrusted))
    );
}

#[test]
fn removing_a_host_key_ends_its_sessions_at_the_guest_and_no_others() {
    let mut world = World::new();
    let other = host_key(STRANGER_SEED);
    world
        .guest
        .trust_mut()
        .insert(TrustedHost::new(other.public()))
        .unwrap();
    let mut removed = world.connect_to(SERVICE);
    world.host_key = other;
    let mut kept = world.connect_to(OTHER_SERVICE);
    assert!(
        world
            .guest
            .trust_mut()
            .remove(&host_key(HOST_SEED).public())
    );
    let frame = removed.host_seals(&world, b"x").unwrap();
    let refused = OpenError::Ended(Ended::Untrusted);
    assert_eq!(removed.guest_opens(&mut world, &frame), Err(refused));
    kept.talks(&mut world);
    // Trusting the key again brings nothing back to life.
    world
        .guest
        .trust_mut()
        .insert(TrustedHost::new(host_key(HOST_SEED).public()))
        .unwrap();
    let refused = OpenError::Ended(Ended::Poisoned);
    assert_eq!(removed.guest_opens(&mut world, &frame), Err(refused));
}

#[test]
fn removing_a_guest_key_ends_its_sessions_at_the_host() {
    let mut world = World::new();
    let mut pair = world.connect();
    let frame = pair.guest_seals(&world, b"x").unwrap();
    let key = world.guest_key.public();
    let GuestTrust::Keys(keys) = world.host.trust_mut() else {
        panic!("the key is pinned")
    };
    assert!(keys.remove(&key));
    assert_eq!(pair.ended(&world), [UNTRUSTED, None]);
    let refused = OpenError::Ended(Ended::Untrusted);
    assert_eq!(pair.host_opens(&mut world, &frame), Err(refused));
}

#[test]
fn removing_a_key_fails_the_handshakes_that_wait() {
    let mut world = World::new();
    let (waiting, hello) = world.begin(SERVICE);
    let (awaiting, answer) = world.reply(SERVICE, &hello).unwrap();
    let verified = world.verify(waiting, &answer).unwrap();
    let (_, finish) = world.prove(verified).unwrap();
    world.guest.trust_mut().remove(&world.host_key.public());
    assert_eq!(
        world.complete(awaiting, &finish).err(),
        Some(HandshakeError::UntrustedHost)
    );

    let mut world = World::new();
    let (waiting, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    let verified = world.verify(waiting, &answer).unwrap();
    *world.host.trust_mut() = GuestTrust::pinned(guest_key(NEIGHBOUR_SEED).public());
    assert_eq!(
        world.prove(verified).err(),
        Some(HandshakeError::UntrustedGuest)
    );
}

#[test]
fn the_first_handshake_that_completes_binds_and_none_before() {
    let mut world = World::bound(1, 5);
    world.guest = GuestEndpoint::new(trusting(&[world.host_key.public()]));
    let (waiting, hello) = world.begin(SERVICE);
    let offer = world.offer(SERVICE, &hello).unwrap();
    assert_eq!(world.guest.binding(), &Binding::Unbound);
    let (awaiting, answer) = world.answer(offer).unwrap();
    assert_eq!(world.guest.binding(), &Binding::Unbound);
    let verified = world.verify(waiting, &answer).unwrap();
    let (_, finish) = world.prove(verified).unwrap();
    world.complete(awaiting, &finish).unwrap();
    assert_eq!(world.guest.binding(), &bound(INSTANCE, 5));
}

#[test]
fn of_two_instances_that_bind_one_guest_the_second_is_refused_when_it_finishes() {
    // Both hellos were read while the guest was unbound.
    let mut world = World::new();
    let trust = GuestTrust::pinned(world.guest_key.public());
    let mut second = HostEndpoint::new(instance(NEIGHBOUR), 1, trust).unwrap();
    let mut out = [0; HOST_HELLO_FRAME_MAX];
    let (second_waiting, n) = second
        .begin(
            world.host_key,
            host_options(OTHER_SERVICE),
            Entropy::new([9; 32]),
            &world.at_host,
            &mut out,
        )
        .unwrap();
    let (second_awaiting, second_answer) = world.reply(OTHER_SERVICE, &body(&out[..n])).unwrap();
    let mut first = world.connect();
    let Ok(Received::Verified(verified)) =
        second_waiting.receive(&mut second, &world.at_host, &second_answer)
    else {
        panic!("the guest's key is good for both");
    };
    let mut finish = [0; HOST_FINISH_FRAME_LEN];
    verified
        .finish(&mut second, &world.at_host, &mut finish)
        .unwrap();
    let refused = world.complete(second_awaiting, &body(&finish)).err();
    assert_eq!(refused, Some(HandshakeError::WrongInstance));
    assert_eq!(world.guest.binding(), &bound(INSTANCE, 1));
    first.talks(&mut world);
}

#[test]
fn generations_below_the_floor_are_refused_and_the_floor_itself_is_a_reconnection() {
    for (generation, expected) in [
        (
            0,
            Err(HandshakeError::StaleGeneration {
                offered: 0,
                seen: 7,
            }),
        ),
        (
            6,
            Err(HandshakeError::StaleGeneration {
                offered: 6,
                seen: 7,
            }),
        ),
        (7, Ok(())),
        (8, Ok(())),
    ] {
        let mut world = World::bound(7, 7);
        let (_waiting, hello) = world.begin(SERVICE);
        let hello = HostHello::rewrite(&hello, |hello| hello.generation = generation);
        assert_eq!(world.reply(SERVICE, &hello).map(|_| ()), expected);
    }
    let mut world = World::bound(7, 7);
    world.connect();
    world.connect().talks(&mut world);
    assert_eq!(world.guest.binding(), &bound(INSTANCE, 7));
}

#[test]
fn an_unbound_guest_refuses_generation_zero() {
    let mut world = World::new();
    let (_waiting, hello) = world.begin(SERVICE);
    let hello = HostHello::rewrite(&hello, |hello| hello.generation = 0);
    let refused = HandshakeError::StaleGeneration {
        offered: 0,
        seen: 0,
    };
    assert_eq!(world.reply(SERVICE, &hello).err(), Some(refused));
    let trust = || GuestTrust::FirstUse;
    assert_eq!(
        HostEndpoint::new(instance(INSTANCE), 0, trust()).err(),
        Some(GenerationError::Zero)
    );
    assert_eq!(
        HostEndpoint::resume(instance(INSTANCE), 0, true, trust()).err(),
        Some(GenerationError::Zero)
    );
}

#[test]
fn a_generation_only_goes_up() {
    let mut world = World::bound(1, 5);
    for offered in [0, 4, 5] {
        let refused = GenerationError::NotRaised {
            offered,
            current: 5,
        };
        assert_eq!(world.host.raise(offered), Err(refused));
    }
    assert_eq!((world.host.raise(6), world.host.generation()), (Ok(()), 6));
}

#[test]
fn a_host_that_lost_its_store_restarts_above_what_it_held() {
    let now = Timestamp::new(1_800_000_000, 5).unwrap();
    for (stored, next) in [
        (None, 1_800_000_000),
        (Some(1), 1_800_000_000),
        (Some(1_799_999_999), 1_800_000_000),
        (Some(1_800_000_000), 1_800_000_001),
        (Some(u64::MAX), u64::MAX),
    ] {
        assert_eq!(HostEndpoint::next_generation(stored, now), next);
    }
    let before_1970 = Timestamp::new(-5, 0).unwrap();
    assert_eq!(HostEndpoint::next_generation(None, before_1970), 1);
}

#[test]
fn only_a_live_session_unbinds() {
    let unbind = |end: &dyn Fn(&mut World, &mut Pair)| {
        let mut world = World::new();
        let mut pair = world.connect();
        end(&mut world, &mut pair);
        let result = world.guest.prepare_sleep(pair.guest, &world.at_guest, true);
        if result.is_err() {
            assert_eq!(world.guest.binding(), &bound(INSTANCE, 1));
        } else {
            assert_eq!(world.guest.binding(), &Binding::Unbound);
        }
        result
    };
    assert_eq!(unbind(&|_, _| ()), Ok(()));
    assert_eq!(unbind(&|_, pair| pair.guest.poison()), Err(Ended::Poisoned));
    assert_eq!(
        unbind(&|world, _| drop(world.connect())),
        Err(Ended::Superseded)
    );
    assert_eq!(
        unbind(&|world, _| world.guest.end_all()),
        Err(Ended::Superseded)
    );
    assert_eq!(
        unbind(&|world, _| world.at_guest.restore()),
        Err(Ended::IncarnationChanged)
    );
    assert_eq!(
        unbind(&|world, _| world.at_guest.sleep(LIFETIME_MS)),
        Err(Ended::Expired)
    );
    let removes = |world: &mut World, _: &mut Pair| {
        world
            .guest
            .trust_mut()
            .remove(&host_key(HOST_SEED).public());
    };
    assert_eq!(unbind(&removes), Err(Ended::Untrusted));
    let forged = |world: &mut World, pair: &mut Pair| {
        assert_eq!(
            pair.guest_opens(world, &[0; 67]),
            Err(OpenError::BadSignature)
        );
    };
    assert_eq!(unbind(&forged), Err(Ended::Poisoned));
}

#[test]
fn a_planned_sleep_without_unbinding_keeps_instance_and_floor() {
    let mut world = World::bound(3, 4);
    let pair = world.connect();
    world
        .guest
        .prepare_sleep(pair.guest, &world.at_guest, false)
        .unwrap();
    assert_eq!(world.guest.binding(), &bound(INSTANCE, 4));
}

#[test]
fn clones_are_interchangeable_until_they_are_bound() {
    // One snapshot, taken unbound; two hosts' endpoints, and each binds one clone.
    for name in [INSTANCE, NEIGHBOUR] {
        let mut world = World::new();
        let pair = world.connect();
        world
            .guest
            .prepare_sleep(pair.guest, &world.at_guest, true)
            .unwrap();
        world.at_guest.restore();
        let trust = GuestTrust::pinned(world.guest_key.public());
        world.host = HostEndpoint::new(instance(name), 1, trust).unwrap();
        world.connect().talks(&mut world);
        assert_eq!(world.guest.binding(), &bound(name, 1));
    }
}

#[test]
fn a_new_guest_key_takes_the_place_of_the_one_that_clones_share() {
    let mut world = World::new();
    let mut old = world.connect();
    let new = guest_key(NEIGHBOUR_SEED);
    let GuestTrust::Keys(keys) = world.host.trust_mut() else {
        panic!("the key is pinned")
    };
    keys.insert(TrustedGuest::new(new.public())).unwrap();
    old.talks(&mut world);
    world.guest_key = new;
    let mut pair = world.connect();
    assert_eq!(pair.host.peer_key(), new.public());
    let GuestTrust::Keys(keys) = world.host.trust_mut() else {
        panic!("the key is pinned")
    };
    assert!(keys.remove(&guest_key(GUEST_SEED).public()));
    pair.talks(&mut world);
    // A clone that still has the old key is refused.
    world.guest_key = guest_key(GUEST_SEED);
    let (waiting, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    assert_eq!(
        world.verify(waiting, &answer).err(),
        Some(HandshakeError::UntrustedGuest)
    );
}

// Trust on first use.

type Pinned = RefCell<Vec<(String, GuestPublicKey)>>;

fn first_use(world: &mut World) -> (HostUnpinned<'static>, GuestAwaitingFinish<'static>) {
    let (waiting, hello) = world.begin(SERVICE);
    let (awaiting, answer) = world.reply(SERVICE, &hello).unwrap();
    match waiting
        .receive(&mut world.host, &world.at_host, &answer)
        .unwrap()
    {
        Received::FirstUse(unpinned) => (unpinned, awaiting),
        Received::Verified(_) => panic!("no key is known yet"),
    }
}

fn trusts_the_first() -> World {
    let mut world = World::new();
    *world.host.trust_mut() = GuestTrust::FirstUse;
    world
}

fn keep<'a>(
    store: &'a Pinned,
) -> impl FnOnce(&mvm_core::naming::InstanceId, &GuestPublicKey) -> Result<(), &'static str> + 'a {
    |instance, key| {
        store.borrow_mut().push((instance.as_str().into(), *key));
        Ok(())
    }
}

#[test]
fn first_use_pins_instance_and_key_once_and_before_the_host_proves_itself() {
    let mut world = trusts_the_first();
    let store = Pinned::default();
    let (unpinned, awaiting) = first_use(&mut world);
    assert_eq!(unpinned.guest_key(), world.guest_key.public());
    assert!(store.borrow().is_empty());
    // There is no way from here to a HostFinish but through the store.
    let verified = unpinned.pin(&mut world.host, keep(&store)).unwrap();
    assert_eq!(
        *store.borrow(),
        [(INSTANCE.to_string(), world.guest_key.public())]
    );
    assert_eq!(
        world.host.trust(),
        &GuestTrust::pinned(world.guest_key.public())
    );
    let (host, finish) = world.prove(verified).unwrap();
    let guest = world.complete(awaiting, &finish).unwrap();
    Pair { host, guest }.talks(&mut world);
    // From now on the key is known, and the store is not asked again.
    world.connect().talks(&mut world);
    assert_eq!(store.borrow().len(), 1);
}

#[test]
fn where_the_store_fails_no_finish_is_sent_and_nothing_is_pinned() {
    let mut world = trusts_the_first();
    let asked = Cell::new(0);
    let (unpinned, _awaiting) = first_use(&mut world);
    let failed = unpinned.pin(&mut world.host, |_, _| {
        asked.set(asked.get() + 1);
        Err("disk full")
    });
    assert_eq!(failed.err(), Some("disk full"));
    assert_eq!(
        (asked.get(), world.host.trust()),
        (1, &GuestTrust::FirstUse)
    );
    assert_eq!(world.guest.binding(), &Binding::Unbound);
}

#[test]
fn a_key_that_changes_after_first_use_is_refused() {
    let mut world = trusts_the_first();
    let (unpinned, _awaiting) = first_use(&mut world);
    let pinned = unpinned.pin(&mut world.host, keep(&Pinned::default()));
    assert!(pinned.is_ok());
    world.guest_key = guest_key(STRANGER_SEED);
    let (waiting, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    assert_eq!(
        world.verify(waiting, &answer).err(),
        Some(HandshakeError::UntrustedGuest)
    );
}

#[test]
fn first_use_believes_no_key_that_is_not_proved() {
    let mut world = trusts_the_first();
    let (waiting, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    let claimed = GuestHello::rewrite(&answer, |hello| {
        hello.guest_key = *guest_key(STRANGER_SEED).public().as_bytes();
    });
    assert_eq!(
        world.verify(waiting, &claimed).err(),
        Some(HandshakeError::BadSignature)
    );
    assert_eq!(world.host.trust(), &GuestTrust::FirstUse);
}

#[test]
fn first_use_believes_no_key_of_small_order() {
    let mut world = trusts_the_first();
    let (waiting, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    let (mut claimed, _) = GuestHello::parse(&answer);
    claimed.guest_key = [0; 32];
    claimed.guest_key[0] = 1;
    let mut forged = claimed.encode();
    forged.push(1);
    forged.extend_from_slice(&[0; 63]);
    assert_eq!(
        world.verify(waiting, &forged).err(),
        Some(HandshakeError::UntrustedGuest)
    );
}

#[test]
fn of_two_first_uses_at_once_the_one_that_was_given_up_pins_nothing() {
    let mut world = trusts_the_first();
    let store = Pinned::default();
    let (given_up, _) = first_use(&mut world);
    world.guest_key = guest_key(NEIGHBOUR_SEED);
    let (current, _) = first_use(&mut world);
    // The older one asks first: its attempt is over, so nothing of it may stay.
    let verified = given_up.pin(&mut world.host, keep(&store)).unwrap();
    assert!(store.borrow().is_empty());
    assert_eq!(
        world.prove(verified).err(),
        Some(HandshakeError::Superseded)
    );
    let verified = current.pin(&mut world.host, keep(&store)).unwrap();
    assert_eq!(
        *store.borrow(),
        [(INSTANCE.to_string(), guest_key(NEIGHBOUR_SEED).public())]
    );
    assert!(world.prove(verified).is_ok());
}

#[test]
fn a_first_use_that_comes_second_pins_nothing_and_completes_nothing() {
    // A key was installed by hand while the handshake waited.
    let mut world = trusts_the_first();
    let store = Pinned::default();
    let (unpinned, _awaiting) = first_use(&mut world);
    *world.host.trust_mut() = GuestTrust::pinned(guest_key(NEIGHBOUR_SEED).public());
    let verified = unpinned.pin(&mut world.host, keep(&store)).unwrap();
    assert!(store.borrow().is_empty());
    assert_eq!(
        world.prove(verified).err(),
        Some(HandshakeError::UntrustedGuest)
    );
    assert_eq!(
        world.host.trust(),
        &GuestTrust::pinned(guest_key(NEIGHBOUR_SEED).public())
    );
}

// "An attacker who cannot sign never moves a bound guest's floor."

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_an_attacker_without_a_key_sends_binding_and_floor_stay(
        noise in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..4),
        generations in proptest::collection::vec(any::<u64>(), 1..6),
        finishes in proptest::collection::vec(any::<[u8; 32]>(), 1..4),
        names_trusted_host in any::<bool>(),
    ) {
        let mut world = World::bound(7, 7);
        let (mut pair, wire) = world.recorded(SERVICE);
        let key = if names_trusted_host { HOST_SEED } else { STRANGER_SEED };
        for bytes in &noise {
            prop_assert!(world.reply(SERVICE, bytes).is_err());
        }
        let mut answered = 0;
        for generation in &generations {
            let hello = HostHello::rewrite(&wire.hello, |hello| {
                hello.generation = *generation;
                hello.host_key = *host_key(key).public().as_bytes();
            });
            for finish in &finishes {
                // What an attacker can sign with is his own key.
                let Ok((awaiting, answer)) = world.reply(SERVICE, &hello) else { continue };
                answered += 1;
                let (head, signature) = GuestHello::parse(&answer);
                let t1 = forge::t1(&hello, &head.encode());
                let proofs = [
                    [*finish, *finish].concat(),
                    forge::sign(STRANGER_SEED, &forge::host_message(&t1, &signature)).to_vec(),
                    wire.finish.clone(),
                ];
                let proof = &proofs[answered % proofs.len()];
                prop_assert_eq!(world.complete(awaiting, proof).err(), Some(HandshakeError::BadSignature));
            }
        }
        prop_assert!(names_trusted_host || answered == 0);
        prop_assert_eq!(world.guest.binding(), &bound(INSTANCE, 7));
        // Nor does any of it disturb the session that stands.
        pair.talks(&mut world);
    }
}
