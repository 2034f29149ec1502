//! The handshake: order of checks, no downgrade, nothing replayed, nothing rewritten.

use mvm_core::limits::{EXTENSIONS_MAX, HANDSHAKE_BODY_MAX, HANDSHAKE_DEADLINE_MS};
use mvm_core::session::*;
use mvm_core::wire::codec::DecodeError;
use mvm_core::wire::frame::{FrameDecoder, FrameError};

use crate::forge::{self, GuestHello, HostHello};
use crate::world::*;

/// The whole handshake with each message rewritten on its way; whether both sides completed it, or
/// why the first did not.
fn through(
    world: &mut World,
    hello: impl FnOnce(Vec<u8>) -> Vec<u8>,
    answer: impl FnOnce(Vec<u8>) -> Vec<u8>,
    finish: impl FnOnce(Vec<u8>) -> Vec<u8>,
) -> Result<Pair, (Side, HandshakeError)> {
    let (waiting, sent) = world.begin(SERVICE);
    let (awaiting, sent) = world
        .reply(SERVICE, &hello(sent))
        .map_err(|e| (Side::Guest, e))?;
    let verified = world
        .verify(waiting, &answer(sent))
        .map_err(|e| (Side::Host, e))?;
    let (host, sent) = world.prove(verified).map_err(|e| (Side::Host, e))?;
    let guest = world
        .complete(awaiting, &finish(sent))
        .map_err(|e| (Side::Guest, e))?;
    Ok(Pair { host, guest })
}

fn same(message: Vec<u8>) -> Vec<u8> {
    message
}

/// A `HostHello` rewritten in flight.
fn hello_rewritten(change: impl FnOnce(&mut HostHello)) -> (Side, HandshakeError) {
    let rewritten = |hello: Vec<u8>| HostHello::rewrite(&hello, change);
    through(&mut World::new(), rewritten, same, same)
        .err()
        .unwrap()
}

/// A `GuestHello` rewritten in flight.
fn answer_rewritten(change: impl FnOnce(&mut GuestHello)) -> (Side, HandshakeError) {
    let rewritten = |answer: Vec<u8>| GuestHello::rewrite(&answer, change);
    through(&mut World::new(), same, rewritten, same)
        .err()
        .unwrap()
}

/// What a guest says to a hello with one change.
fn guest_says(change: impl FnOnce(&mut HostHello)) -> Result<(), HandshakeError> {
    let mut world = World::new();
    let (_waiting, hello) = world.begin(SERVICE);
    let hello = HostHello::rewrite(&hello, change);
    world.offer(SERVICE, &hello).map(|_| ())
}

/// What a host says to a guest that holds the right key and misbehaves.
fn host_says(change: impl FnOnce(&mut GuestHello)) -> Result<(), HandshakeError> {
    let mut world = World::new();
    let (waiting, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    let (mut forged, _) = GuestHello::parse(&answer);
    change(&mut forged);
    world
        .verify(waiting, &forged.signed(GUEST_SEED, &hello))
        .map(|_| ())
}

#[test]
fn the_messages_are_byte_for_byte_what_the_protocol_says() {
    let mut world = World::new();
    let (_, wire) = world.recorded(SERVICE);
    // Each `rewrite` asserts that the second encoder gives the same bytes.
    assert_eq!(HostHello::rewrite(&wire.hello, |_| ()), wire.hello);
    assert_eq!(GuestHello::rewrite(&wire.answer, |_| ()), wire.answer);
    let (answer, signature) = GuestHello::parse(&wire.answer);
    assert_eq!(answer.signed(GUEST_SEED, &wire.hello), wire.answer);
    let t1 = forge::t1(&wire.hello, &answer.encode());
    assert_eq!(
        forge::sign(HOST_SEED, &forge::host_message(&t1, &signature)).to_vec(),
        wire.finish
    );

    let hello = HostHello::parse(&wire.hello);
    // The first 32 bytes that this world drew, and its marks.
    let mut entropy = [0x5e; 32];
    entropy[..8].copy_from_slice(&1u64.to_le_bytes());
    let nonce = forge::hash(&[
        b"mvm-core/session/v3/host-nonce\0",
        &entropy,
        &100u64.to_be_bytes(),
        &hello.session_id,
        &1u64.to_be_bytes(),
    ]);
    assert_eq!(hello.host_nonce, nonce);
    entropy[..8].copy_from_slice(&2u64.to_le_bytes());
    let nonce = forge::hash(&[
        b"mvm-core/session/v3/guest-nonce\0",
        &entropy,
        &200u64.to_be_bytes(),
        &(wire.hello.len() as u32).to_be_bytes(),
        &wire.hello,
    ]);
    assert_eq!(answer.guest_nonce, nonce);
}

#[test]
fn a_handshake_with_any_one_bit_flipped_completes_on_neither_side_that_has_read_it() {
    let mut world = World::new();
    let (_, wire) = world.recorded(SERVICE);
    let lengths = [wire.hello.len(), wire.answer.len(), wire.finish.len()];
    let mut flipped = 0;
    for (message, length) in lengths.into_iter().enumerate() {
        for bit in 0..length * 8 {
            let flip = |at: usize| {
                move |mut body: Vec<u8>| {
                    if at == message {
                        body[bit / 8] ^= 1 << (bit % 8);
                    }
                    body
                }
            };
            let result = through(&mut world, flip(0), flip(1), flip(2));
            assert!(result.is_err(), "message {message} bit {bit}");
            flipped += 1;
        }
    }
    assert_eq!(flipped, lengths.iter().sum::<usize>() * 8);
    world.connect().talks(&mut world);
}

#[test]
fn the_guest_checks_length_version_encoding_service_suite_host_instance_and_generation_in_this_order()
 {
    // A hello with every fault at once; each line mends the one that was reported.
    let mut world = World::bound(7, 9);
    let (_waiting, good) = world.begin(SERVICE);
    let mut hello = HostHello::parse(&good);
    hello.min_version = 4;
    hello.max_version = 9;
    hello.service = OTHER_SERVICE;
    hello.suites = 0b10;
    hello.host_key = *host_key(STRANGER_SEED).public().as_bytes();
    hello.instance = NEIGHBOUR.into();
    hello.generation = 6;
    let too_long = vec![4; HANDSHAKE_BODY_MAX + 1];
    let mut says = |body: &[u8]| world.offer(SERVICE, body).map(|_| ());
    let refused = HandshakeError::TooLong {
        len: HANDSHAKE_BODY_MAX + 1,
        max: HANDSHAKE_BODY_MAX,
    };
    assert_eq!(says(&too_long), Err(refused));
    let trailing = |hello: &HostHello| [hello.encode(), vec![0; 3]].concat();
    assert_eq!(
        says(&trailing(&hello)),
        Err(HandshakeError::VersionMismatch { min: 4, max: 9 })
    );
    (hello.min_version, hello.max_version) = (3, 3);
    let refused = HandshakeError::Malformed(DecodeError::TrailingBytes { count: 3 });
    assert_eq!(says(&trailing(&hello)), Err(refused));
    let refused = HandshakeError::WrongService {
        offered: OTHER_SERVICE,
        served: SERVICE,
    };
    assert_eq!(says(&hello.encode()), Err(refused));
    hello.service = SERVICE;
    assert_eq!(
        says(&hello.encode()),
        Err(HandshakeError::NoCommonSuite { offered: 0b10 })
    );
    hello.suites = 1;
    assert_eq!(says(&hello.encode()), Err(HandshakeError::UntrustedHost));
    hello.host_key = *host_key(HOST_SEED).public().as_bytes();
    assert_eq!(says(&hello.encode()), Err(HandshakeError::WrongInstance));
    hello.instance = INSTANCE.into();
    assert_eq!(
        says(&hello.encode()),
        Err(HandshakeError::StaleGeneration {
            offered: 6,
            seen: 7
        })
    );
    hello.generation = 9;
    assert_eq!(hello.encode(), good);
    assert_eq!(says(&good), Ok(()));
}

#[test]
fn the_host_checks_version_suite_key_signature_and_seen_in_this_order() {
    let mut world = World::bound(1, 5);
    let (_, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    let (mut forged, _) = GuestHello::parse(&answer);
    forged.version = 4;
    forged.suite = 0b11;
    forged.guest_key = *guest_key(STRANGER_SEED).public().as_bytes();
    forged.seen = 6;
    // The same entropy gives the same hello, and a host has one attempt at a time.
    let mut says = |answer: &dyn Fn(&[u8]) -> Vec<u8>| {
        let (waiting, hello) = world.begin(SERVICE);
        world.verify(waiting, &answer(&hello)).map(|_| ())
    };
    let by = |forged: &GuestHello, seed| {
        let forged = forged.clone();
        move |hello: &[u8]| forged.signed(seed, hello)
    };
    assert_eq!(
        says(&by(&forged, STRANGER_SEED)),
        Err(HandshakeError::VersionMismatch { min: 4, max: 4 })
    );
    forged.version = 3;
    assert_eq!(
        says(&by(&forged, STRANGER_SEED)),
        Err(HandshakeError::NoCommonSuite { offered: 0b11 })
    );
    forged.suite = 1;
    assert_eq!(
        says(&by(&forged, STRANGER_SEED)),
        Err(HandshakeError::UntrustedGuest)
    );
    forged.guest_key = *guest_key(GUEST_SEED).public().as_bytes();
    assert_eq!(
        says(&by(&forged, STRANGER_SEED)),
        Err(HandshakeError::BadSignature)
    );
    let refused = HandshakeError::StaleGeneration {
        offered: 5,
        seen: 6,
    };
    assert_eq!(says(&by(&forged, GUEST_SEED)), Err(refused));
    forged.seen = 1;
    assert_eq!(says(&by(&forged, GUEST_SEED)), Ok(()));
}

#[test]
fn a_hello_too_short_to_hold_a_version_range_is_refused() {
    for len in [0, 1] {
        let refused = World::new().offer(SERVICE, &vec![3; len]).map(|_| ());
        assert_eq!(
            refused,
            Err(HandshakeError::Malformed(DecodeError::UnexpectedEnd {
                len
            }))
        );
    }
}

#[test]
fn a_hello_cut_anywhere_is_refused() {
    let mut world = World::new();
    let (_waiting, hello) = world.begin(SERVICE);
    for len in 0..hello.len() {
        let refused = world.offer(SERVICE, &hello[..len]).map(|_| ());
        let expected = HandshakeError::Malformed(DecodeError::UnexpectedEnd { len });
        assert_eq!(refused, Err(expected));
    }
}

#[test]
fn version_zero_and_every_range_without_version_3_are_refused_and_the_right_side_is_to_upgrade() {
    let ranges = [
        (0, 0, Some(Side::Host)),
        (1, 2, Some(Side::Host)),
        (4, 4, Some(Side::Guest)),
        (4, 255, Some(Side::Guest)),
        (4, 2, Some(Side::Host)),
    ];
    for (min, max, to_upgrade) in ranges {
        let refused =
            guest_says(|hello| (hello.min_version, hello.max_version) = (min, max)).unwrap_err();
        assert_eq!(refused, HandshakeError::VersionMismatch { min, max });
        assert_eq!(refused.upgrade(Side::Guest), to_upgrade);
    }
    assert_eq!(guest_says(|hello| hello.max_version = 200), Ok(()));
}

#[test]
fn the_version_is_read_before_anything_that_a_later_version_may_have_changed() {
    let refused = World::new()
        .offer(SERVICE, &[4, 5, 0xff, 0xff, 0xff])
        .map(|_| ());
    assert_eq!(
        refused,
        Err(HandshakeError::VersionMismatch { min: 4, max: 5 })
    );
}

#[test]
fn a_host_accepts_no_version_that_it_did_not_offer() {
    for version in [1, 2, 4, 255] {
        let refused = HandshakeError::VersionMismatch {
            min: version,
            max: version,
        };
        assert_eq!(host_says(|hello| hello.version = version), Err(refused));
    }
    let upgrade = |version| {
        HandshakeError::VersionMismatch {
            min: version,
            max: version,
        }
        .upgrade(Side::Host)
    };
    assert_eq!(upgrade(2), Some(Side::Guest));
    assert_eq!(upgrade(4), Some(Side::Host));
}

#[test]
fn a_guest_hello_of_version_zero_is_no_guest_hello() {
    let refused = host_says(|hello| hello.version = 0).unwrap_err();
    assert!(
        matches!(
            refused,
            HandshakeError::Malformed(DecodeError::TrailingBytes { .. })
        ),
        "{refused:?}"
    );
}

#[test]
fn a_version_range_rewritten_in_flight_breaks_the_transcript() {
    assert_eq!(
        hello_rewritten(|hello| hello.min_version = 1),
        (Side::Host, HandshakeError::BadSignature)
    );
    assert_eq!(
        hello_rewritten(|hello| hello.max_version = 4),
        (Side::Host, HandshakeError::BadSignature)
    );
}

#[test]
fn a_guest_needs_a_suite_it_knows_among_those_offered() {
    for offered in [0, 0b10, 0b1111_1110] {
        let refused = HandshakeError::NoCommonSuite { offered };
        assert_eq!(guest_says(|hello| hello.suites = offered), Err(refused));
    }
    // Suites of later versions beside it are no fault.
    assert_eq!(guest_says(|hello| hello.suites = 0b1000_0001), Ok(()));
}

#[test]
fn a_host_accepts_exactly_one_suite_and_only_one_that_it_offered() {
    for suite in [0, 0b10, 0b11, 0b1000_0001, 0xff] {
        let refused = HandshakeError::NoCommonSuite { offered: suite };
        assert_eq!(host_says(|hello| hello.suite = suite), Err(refused));
    }
}

#[test]
fn suites_rewritten_in_flight_break_the_transcript() {
    assert_eq!(
        hello_rewritten(|hello| hello.suites = 0b11),
        (Side::Host, HandshakeError::BadSignature)
    );
    let refused = HandshakeError::NoCommonSuite { offered: 0b10 };
    assert_eq!(
        hello_rewritten(|hello| hello.suites = 0b10),
        (Side::Guest, refused)
    );
    assert_eq!(
        answer_rewritten(|hello| hello.suite = 0b10),
        (Side::Host, refused)
    );
}

#[test]
fn a_hello_moved_to_another_service_by_a_rewritten_port_is_refused() {
    let mut world = World::new();
    let (_waiting, hello) = world.begin(SERVICE);
    let refused = world.offer(OTHER_SERVICE, &hello).map(|_| ());
    let expected = HandshakeError::WrongService {
        offered: SERVICE,
        served: OTHER_SERVICE,
    };
    assert_eq!(refused, Err(expected));
}

#[test]
fn a_service_rewritten_to_fit_the_port_breaks_the_transcript() {
    let mut world = World::new();
    let (waiting, hello) = world.begin(SERVICE);
    let moved = HostHello::rewrite(&hello, |hello| hello.service = OTHER_SERVICE);
    let (_, answer) = world.reply(OTHER_SERVICE, &moved).unwrap();
    assert_eq!(
        world.verify(waiting, &answer).err(),
        Some(HandshakeError::BadSignature)
    );
}

#[test]
fn capabilities_rewritten_in_flight_break_the_transcript() {
    let refused = (Side::Host, HandshakeError::BadSignature);
    assert_eq!(hello_rewritten(|hello| hello.capabilities = 0), refused);
    assert_eq!(
        hello_rewritten(|hello| hello.capabilities = u32::MAX),
        refused
    );
    assert_eq!(answer_rewritten(|hello| hello.capabilities = 0), refused);
    assert_eq!(
        answer_rewritten(|hello| hello.capabilities = u32::MAX),
        refused
    );
}

#[test]
fn both_sides_use_the_intersection_of_full_offers() {
    let mut world = World::new();
    let (pair, wire) = world.recorded(SERVICE);
    assert_eq!(
        HostHello::parse(&wire.hello).capabilities,
        HOST_CAPABILITIES
    );
    assert_eq!(
        GuestHello::parse(&wire.answer).0.capabilities,
        GUEST_CAPABILITIES
    );
    let common = HOST_CAPABILITIES & GUEST_CAPABILITIES;
    assert_eq!(
        (pair.host.capabilities(), pair.guest.capabilities()),
        (common, common)
    );
}

#[test]
fn extensions_rewritten_in_flight_break_the_transcript() {
    let refused = (Side::Host, HandshakeError::BadSignature);
    assert_eq!(hello_rewritten(|hello| hello.extensions.clear()), refused);
    assert_eq!(hello_rewritten(|hello| hello.extensions.push(1)), refused);
    assert_eq!(answer_rewritten(|hello| hello.extensions.clear()), refused);
    assert_eq!(answer_rewritten(|hello| hello.extensions.push(1)), refused);
}

#[test]
fn unknown_extensions_are_ignored_up_to_their_limit() {
    let longest = [0xee; EXTENSIONS_MAX];
    let mut world = World::new();
    let (waiting, hello) = world.begin_with(HostOptions {
        extensions: &longest,
        ..host_options(SERVICE)
    });
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    assert!(world.verify(waiting, &answer).is_ok());
    assert_eq!(
        host_says(|hello| hello.extensions = longest.to_vec()),
        Ok(())
    );

    let longer = vec![0xee; EXTENSIONS_MAX + 1];
    let refused = guest_says(|hello| hello.extensions = longer.clone()).unwrap_err();
    assert!(matches!(refused, HandshakeError::Extensions(e) if e.len == EXTENSIONS_MAX + 1));
    let refused = host_says(|hello| hello.extensions = longer.clone()).unwrap_err();
    assert!(matches!(refused, HandshakeError::Extensions(e) if e.len == EXTENSIONS_MAX + 1));
}

#[test]
fn ones_own_extensions_are_held_to_the_limit_before_anything_is_sent() {
    let longer = [0; EXTENSIONS_MAX + 1];
    let mut world = World::new();
    let mut out = [0; 1024];
    let options = HostOptions {
        extensions: &longer,
        ..host_options(SERVICE)
    };
    let refused = world.host.begin(
        world.host_key,
        options,
        Entropy::new([1; 32]),
        &world.at_host,
        &mut out,
    );
    assert!(matches!(refused, Err(HandshakeError::Extensions(e)) if e.len == EXTENSIONS_MAX + 1));
    assert_eq!(out, [0; 1024]);
    let (_waiting, hello) = world.begin(SERVICE);
    let options = GuestOptions {
        extensions: &longer,
        ..guest_options(SERVICE)
    };
    let refused = world
        .guest
        .receive(world.guest_key, options, &world.at_guest, &hello);
    assert!(matches!(refused, Err(HandshakeError::Extensions(e)) if e.len == EXTENSIONS_MAX + 1));
}

#[test]
fn the_session_id_is_part_of_the_transcript() {
    let refused = (Side::Host, HandshakeError::BadSignature);
    assert_eq!(hello_rewritten(|hello| hello.session_id = [0; 16]), refused);
}

#[test]
fn the_nonces_are_part_of_the_transcript() {
    let refused = (Side::Host, HandshakeError::BadSignature);
    assert_eq!(hello_rewritten(|hello| hello.host_nonce = [0; 32]), refused);
    assert_eq!(
        answer_rewritten(|hello| hello.guest_nonce = [0; 32]),
        refused
    );
}

#[test]
fn instance_and_generation_are_part_of_the_transcript() {
    let refused = (Side::Host, HandshakeError::BadSignature);
    // The guest is not bound yet and takes what is written there.
    assert_eq!(
        hello_rewritten(|hello| hello.instance = NEIGHBOUR.into()),
        refused
    );
    assert_eq!(hello_rewritten(|hello| hello.generation = 2), refused);
    assert_eq!(answer_rewritten(|hello| hello.seen = 1), refused);
}

#[test]
fn a_host_key_swapped_in_flight_for_another_trusted_one_breaks_the_transcript() {
    let mut world = World::new();
    let other = host_key(STRANGER_SEED).public();
    world
        .guest
        .trust_mut()
        .insert(TrustedHost::new(other))
        .unwrap();
    let swap =
        |hello: Vec<u8>| HostHello::rewrite(&hello, |hello| hello.host_key = *other.as_bytes());
    let refused = through(&mut world, swap, same, same).err().unwrap();
    assert_eq!(refused, (Side::Host, HandshakeError::BadSignature));
}

#[test]
fn varints_that_are_not_minimal_are_refused_in_every_member_of_a_hello() {
    // The members that are varints, by the offset of their first byte in the hellos of this world.
    let mut world = World::new();
    let (_, wire) = world.recorded(SERVICE);
    let hello = HostHello::parse(&wire.hello);
    let instance = 3 + 2 + 16 + 32 + 32;
    let generation = instance + 1 + hello.instance.len();
    for (at, value) in [
        (3, 5252),
        (instance, 10),
        (generation, 1),
        (generation + 1, 7),
        (generation + 2, 4),
    ] {
        let mut member = Vec::new();
        forge::varint(value, &mut member);
        assert!(wire.hello[at..].starts_with(&member), "offset {at}");
        let mut padded = Vec::new();
        forge::padded_varint(value, &mut padded);
        let body = [&wire.hello[..at], &padded, &wire.hello[at + member.len()..]].concat();
        let refused = world.offer(SERVICE, &body).map(|_| ());
        let Err(HandshakeError::Malformed(DecodeError::NonCanonical { at: found })) = refused
        else {
            // Postcard itself refuses a u16 of more than three bytes.
            panic!("{at}: {refused:?}")
        };
        assert!((at..at + padded.len()).contains(&found), "{at}: {found}");
    }
}

#[test]
fn a_guest_hello_in_another_encoding_is_refused_even_when_signed_over_it() {
    let mut world = World::new();
    let (waiting, hello) = world.begin(SERVICE);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    // `seen` is the byte after the key.
    let head = &answer[..answer.len() - 64];
    let mut padded = head[..66].to_vec();
    forge::padded_varint(0, &mut padded);
    padded.extend_from_slice(&head[67..]);
    let signature = forge::sign(
        GUEST_SEED,
        &forge::guest_message(&forge::t1(&hello, &padded)),
    );
    padded.extend_from_slice(&signature);
    let refused = HandshakeError::Malformed(DecodeError::NonCanonical { at: 66 });
    assert_eq!(world.verify(waiting, &padded).err(), Some(refused));
}

#[test]
fn bytes_after_a_handshake_message_are_refused() {
    let longer = |mut message: Vec<u8>| {
        message.push(0);
        message
    };
    let one = HandshakeError::Malformed(DecodeError::TrailingBytes { count: 1 });
    assert_eq!(
        through(&mut World::new(), longer, same, same).err(),
        Some((Side::Guest, one))
    );
    assert_eq!(
        through(&mut World::new(), same, same, longer).err(),
        Some((Side::Guest, one))
    );
    // In front of a signature that is always the last 64 bytes.
    let longer = |message: Vec<u8>| {
        let (head, signature) = message.split_at(message.len() - 64);
        [head, &[0], signature].concat()
    };
    assert_eq!(
        through(&mut World::new(), same, longer, same).err(),
        Some((Side::Host, one))
    );
}

#[test]
fn short_answers_and_finishes_are_refused() {
    for len in [0, 1, 63] {
        let cut = |mut message: Vec<u8>| {
            message.truncate(len);
            message
        };
        let refused = HandshakeError::Malformed(DecodeError::UnexpectedEnd { len });
        assert_eq!(
            through(&mut World::new(), same, cut, same).err(),
            Some((Side::Host, refused))
        );
        assert_eq!(
            through(&mut World::new(), same, same, cut).err(),
            Some((Side::Guest, refused))
        );
    }
}

#[test]
fn an_oversize_handshake_message_is_refused_from_its_length_alone() {
    let announced = HANDSHAKE_BODY_MAX + 1;
    let mut buffer = [0; 16];
    let mut decoder = FrameDecoder::new(&mut buffer, HANDSHAKE_BODY_MAX);
    decoder.space()[..4].copy_from_slice(&(announced as u32).to_be_bytes());
    decoder.advance(4);
    let refused = FrameError::TooLong {
        len: announced,
        max: HANDSHAKE_BODY_MAX,
    };
    assert_eq!(decoder.next_body(), Err(refused));
    // And once more where somebody did without the decoder.
    let long = |_| vec![3; announced];
    let refused = HandshakeError::TooLong {
        len: announced,
        max: HANDSHAKE_BODY_MAX,
    };
    assert_eq!(
        through(&mut World::new(), long, same, same).err(),
        Some((Side::Guest, refused))
    );
    assert_eq!(
        through(&mut World::new(), same, long, same).err(),
        Some((Side::Host, refused))
    );
}

#[test]
fn a_recorded_host_hello_leads_to_no_session() {
    let mut world = World::new();
    let (mut pair, wire) = world.recorded(SERVICE);
    let (awaiting, answer) = world.reply(SERVICE, &wire.hello).unwrap();
    // The guest answers, freshly, and waits for a proof that nobody can give.
    assert_ne!(answer, wire.answer);
    assert_eq!(
        world.complete(awaiting, &wire.finish).err(),
        Some(HandshakeError::BadSignature)
    );
    pair.talks(&mut world);
}

#[test]
fn a_recorded_guest_hello_leads_to_no_session() {
    let mut world = World::new();
    let (_, wire) = world.recorded(SERVICE);
    let (waiting, _) = world.begin(SERVICE);
    assert_eq!(
        world.verify(waiting, &wire.answer).err(),
        Some(HandshakeError::BadSignature)
    );
}

#[test]
fn a_recorded_host_finish_completes_no_other_handshake() {
    let mut world = World::new();
    let (_, wire) = world.recorded(SERVICE);
    let (_waiting, hello) = world.begin(SERVICE);
    let (awaiting, _) = world.reply(SERVICE, &hello).unwrap();
    assert_eq!(
        world.complete(awaiting, &wire.finish).err(),
        Some(HandshakeError::BadSignature)
    );
}

#[test]
fn a_host_finish_by_another_trusted_host_completes_nothing() {
    let mut world = World::new();
    let other = host_key(STRANGER_SEED);
    world
        .guest
        .trust_mut()
        .insert(TrustedHost::new(other.public()))
        .unwrap();
    let (_waiting, hello) = world.begin(SERVICE);
    let (awaiting, answer) = world.reply(SERVICE, &hello).unwrap();
    let (head, signature) = GuestHello::parse(&answer);
    let t1 = forge::t1(&hello, &head.encode());
    let finish = forge::sign(STRANGER_SEED, &forge::host_message(&t1, &signature));
    assert_eq!(
        world.complete(awaiting, &finish).err(),
        Some(HandshakeError::BadSignature)
    );
}

#[test]
fn the_guests_own_signature_is_no_host_finish() {
    let reflect = |world: &mut World| {
        let (_waiting, hello) = world.begin(SERVICE);
        let (awaiting, answer) = world.reply(SERVICE, &hello).unwrap();
        world.complete(awaiting, &answer[answer.len() - 64..]).err()
    };
    assert_eq!(
        reflect(&mut World::new()),
        Some(HandshakeError::BadSignature)
    );
}

#[test]
fn a_hello_reflected_to_its_host_is_refused() {
    let mut world = World::new();
    let (waiting, hello) = world.begin(SERVICE);
    let refused = world.verify(waiting, &hello).err();
    assert_eq!(
        refused,
        Some(HandshakeError::Malformed(DecodeError::UnexpectedEnd {
            len: 39
        }))
    );
}

#[test]
fn after_a_failure_nobody_falls_back() {
    // Whatever an attacker makes fail, the host's next hello offers what the first one did.
    let mut world = World::new();
    let (waiting, first) = world.begin(SERVICE);
    let refusal = Refusal::clone(&refusal(&HandshakeError::VersionMismatch {
        min: 1,
        max: 1,
    }))
    .to_frame();
    let error = world.verify(waiting, &body(&refusal)).err().unwrap();
    assert!(matches!(error, HandshakeError::Refused(_)));
    let (_, second) = world.begin(SERVICE);
    let (mut first, second) = (HostHello::parse(&first), HostHello::parse(&second));
    (first.session_id, first.host_nonce) = (second.session_id, second.host_nonce);
    assert_eq!(first, second);
    // And a guest that refused one hello asks no less of the next.
    let refused = guest_says(|hello| hello.max_version = 2);
    assert_eq!(
        refused,
        Err(HandshakeError::VersionMismatch { min: 3, max: 2 })
    );
}

#[test]
fn a_handshake_has_one_total_deadline_at_every_step() {
    // How long the handshake waits before its second, third and fourth step, at each side's clock.
    let run = |waits: [u64; 4]| {
        let mut world = World::new();
        let (waiting, hello) = world.begin(SERVICE);
        world.sleep(waits[0]);
        let offer = world.offer(SERVICE, &hello).unwrap();
        world.sleep(waits[1]);
        let (awaiting, answer) = world.answer(offer).map_err(|e| ("answer", e))?;
        world.sleep(waits[2]);
        let verified = world.verify(waiting, &answer).map_err(|e| ("verify", e))?;
        world.sleep(waits[3]);
        let (_, finish) = world.prove(verified).map_err(|e| ("prove", e))?;
        world
            .complete(awaiting, &finish)
            .map_err(|e| ("complete", e))?;
        Ok(())
    };
    let over = HANDSHAKE_DEADLINE_MS + 1;
    assert_eq!(HANDSHAKE_DEADLINE_MS, 5_000);
    assert_eq!(run([0, 0, 0, HANDSHAKE_DEADLINE_MS]), Ok(()));
    assert_eq!(run([1_000, 1_000, 1_000, 2_000]), Ok(()));
    assert_eq!(
        run([0, over, 0, 0]),
        Err(("answer", HandshakeError::Expired))
    );
    assert_eq!(
        run([0, 0, over, 0]),
        Err(("verify", HandshakeError::Expired))
    );
    assert_eq!(
        run([over, 0, 0, 0]),
        Err(("verify", HandshakeError::Expired))
    );
    assert_eq!(
        run([0, 0, 0, over]),
        Err(("prove", HandshakeError::Expired))
    );
    // In total, and not for each step.
    assert_eq!(
        run([0, 2_000, 2_000, 2_000]),
        Err(("prove", HandshakeError::Expired))
    );
}

#[test]
fn a_guest_does_not_wait_for_a_finish_beyond_the_deadline() {
    let mut world = World::new();
    let (waiting, hello) = world.begin(SERVICE);
    let (awaiting, answer) = world.reply(SERVICE, &hello).unwrap();
    let verified = world.verify(waiting, &answer).unwrap();
    let (_, finish) = world.prove(verified).unwrap();
    world.at_guest.sleep(HANDSHAKE_DEADLINE_MS + 1);
    assert_eq!(
        world.complete(awaiting, &finish).err(),
        Some(HandshakeError::Expired)
    );
    assert_eq!(world.guest.binding(), &Binding::Unbound);
}

#[test]
fn a_clock_that_goes_back_during_a_handshake_ends_it() {
    let mut world = World::new();
    let (waiting, hello) = world.begin(SERVICE);
    let (awaiting, answer) = world.reply(SERVICE, &hello).unwrap();
    world.at_host.now.set(world.at_host.now.get() - 1);
    assert_eq!(
        world.verify(waiting, &answer).err(),
        Some(HandshakeError::Expired)
    );
    world.at_guest.now.set(world.at_guest.now.get() - 1);
    assert_eq!(
        world.complete(awaiting, &[0; 64]).err(),
        Some(HandshakeError::Expired)
    );
}

#[test]
fn nothing_that_could_be_sent_is_left_in_the_buffer_of_a_step_that_failed() {
    let mut world = World::new();
    let (waiting, hello) = world.begin(SERVICE);
    let offer = world.offer(SERVICE, &hello).unwrap();
    let mut out = [0xaa; 100];
    let refused = offer
        .answer(
            &mut world.guest,
            Entropy::new([1; 32]),
            &world.at_guest,
            &mut out,
        )
        .err();
    assert_eq!(refused, Some(HandshakeError::BufferTooSmall { len: 100 }));
    assert_eq!(out, [0; 100]);
    let (_, answer) = world.reply(SERVICE, &hello).unwrap();
    let verified = world.verify(waiting, &answer).unwrap();
    let mut out = [0xaa; 40];
    let refused = verified
        .finish(&mut world.host, &world.at_host, &mut out)
        .err();
    assert_eq!(refused, Some(HandshakeError::BufferTooSmall { len: 40 }));
    assert_eq!(out, [0; 40]);
}
