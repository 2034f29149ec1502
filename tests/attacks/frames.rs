//! Frames: injective agreement, the authenticated end, limits.
//!
//! "A receiver accepts the n-th payload of a direction at most once, and only if the peer sealed
//! exactly that payload, of that kind, as the n-th of that direction of *this* session with *this*
//! service."

use mvm_core::limits::FRAME_BODY_MAX;
use mvm_core::session::*;
use mvm_core::wire::codec::DecodeError;
use mvm_core::wire::frame::{FrameDecoder, FrameError};

use crate::forge::{self, Frame};
use crate::world::*;

const HOST_TO_GUEST: u8 = 0x48;
const GUEST_TO_HOST: u8 = 0x47;
const DATA: u8 = 0;
const CLOSE: u8 = 1;

/// A session whose transcript the attacker can compute, as everybody can who reads the wire.
fn observed() -> (World, Pair, [u8; 32]) {
    let mut world = World::new();
    let (pair, wire) = world.recorded(SERVICE);
    let t2 = forge::t2(&wire.hello, &wire.answer, &wire.finish);
    (world, pair, t2)
}

fn data(sequence: u64, payload: &[u8]) -> Frame {
    Frame {
        sequence,
        kind: DATA,
        payload: payload.to_vec(),
    }
}

#[test]
fn the_frame_is_byte_for_byte_what_the_protocol_says() {
    let (mut world, mut pair, t2) = observed();
    for (sequence, payload) in [b"".as_slice(), b"one", &[2; 200]].into_iter().enumerate() {
        let frame = data(sequence as u64, payload);
        let expected = frame.signed(HOST_SEED, &t2, HOST_TO_GUEST);
        assert_eq!(pair.host_seals(&world, payload), Ok(expected));
        let forged = frame.signed(GUEST_SEED, &t2, GUEST_TO_HOST);
        assert_eq!(
            pair.host_opens(&mut world, &forged),
            Ok(Opened::Data(payload))
        );
    }
    let close = Frame {
        sequence: 3,
        kind: CLOSE,
        payload: vec![],
    };
    assert_eq!(
        pair.host_closes(&world),
        Ok(close.signed(HOST_SEED, &t2, HOST_TO_GUEST))
    );
    let close = close.signed(GUEST_SEED, &t2, GUEST_TO_HOST);
    assert_eq!(pair.host_opens(&mut world, &close), Ok(Opened::Closed));
}

#[test]
fn a_frame_with_any_one_bit_flipped_is_refused() {
    let mut flipped = 0;
    let mut world = World::new();
    for bit in 0.. {
        let mut pair = world.connect();
        let mut frame = pair.host_seals(&world, b"start").unwrap();
        if bit / 8 >= frame.len() {
            break;
        }
        frame[bit / 8] ^= 1 << (bit % 8);
        assert!(pair.guest_opens(&mut world, &frame).is_err(), "bit {bit}");
        flipped += 1;
    }
    // Sequence, kind, length, payload, signature.
    assert_eq!(flipped, 8 * (1 + 1 + 1 + 5 + 64));
}

#[test]
fn a_payload_at_another_place_of_its_session_is_refused() {
    let mut world = World::new();
    for wrong in [1u64, 2, 3] {
        let mut pair = world.connect();
        let frames: Vec<_> = (0..4)
            .map(|_| pair.host_seals(&world, b"same").unwrap())
            .collect();
        let moved = Frame::rewrite(&frames[wrong as usize], |frame| frame.sequence = 0);
        assert_eq!(
            pair.guest_opens(&mut world, &moved),
            Err(OpenError::BadSignature)
        );
    }
}

#[test]
fn reordered_frames_are_refused() {
    let mut world = World::new();
    let mut pair = world.connect();
    let frames: Vec<_> = (0..3)
        .map(|n: u8| pair.guest_seals(&world, &[n]).unwrap())
        .collect();
    assert_eq!(
        pair.host_opens(&mut world, &frames[0]),
        Ok(Opened::Data(&[0]))
    );
    let refused = OpenError::SequenceGap {
        expected: 1,
        got: 2,
    };
    assert_eq!(pair.host_opens(&mut world, &frames[2]), Err(refused));
    // The one that was due comes too late: there is no session any more.
    let refused = OpenError::Ended(Ended::Poisoned);
    assert_eq!(pair.host_opens(&mut world, &frames[1]), Err(refused));
}

#[test]
fn a_gap_is_refused_even_from_the_peer_itself() {
    let (mut world, mut pair, t2) = observed();
    let skipping = data(1, b"x").signed(GUEST_SEED, &t2, GUEST_TO_HOST);
    let refused = OpenError::SequenceGap {
        expected: 0,
        got: 1,
    };
    assert_eq!(pair.host_opens(&mut world, &skipping), Err(refused));
}

#[test]
fn the_highest_sequence_number_is_refused_even_from_the_peer_itself() {
    let (mut world, mut pair, t2) = observed();
    let last = data(u64::MAX, b"x").signed(GUEST_SEED, &t2, GUEST_TO_HOST);
    let refused = OpenError::SequenceGap {
        expected: 0,
        got: u64::MAX,
    };
    assert_eq!(pair.host_opens(&mut world, &last), Err(refused));
    // The instance is not lost by it: the next handshake gives a session as good as any.
    world.connect().talks(&mut world);
}

#[test]
fn data_is_not_taken_for_a_close() {
    let mut world = World::new();
    let mut pair = world.connect();
    let empty = pair.host_seals(&world, b"").unwrap();
    let close = Frame::rewrite(&empty, |frame| frame.kind = CLOSE);
    assert_eq!(
        pair.guest_opens(&mut world, &close),
        Err(OpenError::BadSignature)
    );
}

#[test]
fn a_close_is_not_taken_for_data() {
    let mut world = World::new();
    let mut pair = world.connect();
    let close = pair.host_closes(&world).unwrap();
    let empty = Frame::rewrite(&close, |frame| frame.kind = DATA);
    assert_eq!(
        pair.guest_opens(&mut world, &empty),
        Err(OpenError::BadSignature)
    );
}

#[test]
fn a_kind_that_does_not_exist_is_refused_even_when_signed() {
    for kind in [2, 0x7f, 0xff] {
        let (mut world, mut pair, t2) = observed();
        let frame = Frame {
            sequence: 0,
            kind,
            payload: vec![],
        }
        .signed(HOST_SEED, &t2, HOST_TO_GUEST);
        assert_eq!(
            pair.guest_opens(&mut world, &frame),
            Err(OpenError::UnknownKind { kind })
        );
    }
}

#[test]
fn a_close_that_carries_something_is_refused_even_when_signed() {
    let (mut world, mut pair, t2) = observed();
    let close = Frame {
        sequence: 0,
        kind: CLOSE,
        payload: b"bye".to_vec(),
    };
    let close = close.signed(HOST_SEED, &t2, HOST_TO_GUEST);
    let refused = OpenError::CloseWithPayload { len: 3 };
    assert_eq!(pair.guest_opens(&mut world, &close), Err(refused));
}

#[test]
fn a_frame_reflected_to_its_sender_is_refused_on_both_sides() {
    let mut world = World::new();
    let mut pair = world.connect();
    let from_host = pair.host_seals(&world, b"x").unwrap();
    let from_guest = pair.guest_seals(&world, b"x").unwrap();
    assert_eq!(
        pair.host_opens(&mut world, &from_host),
        Err(OpenError::BadSignature)
    );
    assert_eq!(
        pair.guest_opens(&mut world, &from_guest),
        Err(OpenError::BadSignature)
    );
}

#[test]
fn the_direction_is_signed_and_not_only_implied_by_the_keys() {
    // A peer that signs the other direction's byte with its own key is refused too.
    let (mut world, mut pair, t2) = observed();
    let wrong = data(0, b"x").signed(HOST_SEED, &t2, GUEST_TO_HOST);
    assert_eq!(
        pair.guest_opens(&mut world, &wrong),
        Err(OpenError::BadSignature)
    );
    let wrong = data(0, b"x").signed(GUEST_SEED, &t2, HOST_TO_GUEST);
    assert_eq!(
        pair.host_opens(&mut world, &wrong),
        Err(OpenError::BadSignature)
    );
}

#[test]
fn a_frame_of_another_service_is_refused() {
    let mut world = World::new();
    let mut control = world.connect_to(SERVICE);
    let mut console = world.connect_to(OTHER_SERVICE);
    let frame = console.host_seals(&world, b"x").unwrap();
    assert_eq!(
        control.guest_opens(&mut world, &frame),
        Err(OpenError::BadSignature)
    );
    console.talks_on(&mut world, &frame);
}

impl Pair {
    /// The frame is still good where it belongs.
    fn talks_on(&mut self, world: &mut World, frame: &[u8]) {
        assert!(matches!(
            self.guest_opens(world, frame),
            Ok(Opened::Data(_))
        ));
    }
}

#[test]
fn nothing_follows_a_close() {
    let (mut world, mut pair, t2) = observed();
    let close = pair.host_closes(&world).unwrap();
    assert_eq!(pair.guest_opens(&mut world, &close), Ok(Opened::Closed));
    assert!(pair.guest.is_peer_closed());
    let after = data(1, b"one more").signed(HOST_SEED, &t2, HOST_TO_GUEST);
    assert_eq!(
        pair.guest_opens(&mut world, &after),
        Err(OpenError::AfterClose)
    );
}

#[test]
fn a_second_close_is_refused() {
    let (mut world, mut pair, t2) = observed();
    let close = pair.guest_closes(&world).unwrap();
    assert_eq!(pair.host_opens(&mut world, &close), Ok(Opened::Closed));
    let again = Frame {
        sequence: 1,
        kind: CLOSE,
        payload: vec![],
    }
    .signed(GUEST_SEED, &t2, GUEST_TO_HOST);
    assert_eq!(
        pair.host_opens(&mut world, &again),
        Err(OpenError::AfterClose)
    );
}

#[test]
fn nothing_is_sealed_after_ones_own_close() {
    let world = &mut World::new();
    let mut pair = world.connect();
    pair.host_closes(world).unwrap();
    assert_eq!(pair.host_seals(world, b"x"), Err(SealError::Closed));
    let mut pair = world.connect();
    pair.guest_closes(world).unwrap();
    assert_eq!(pair.guest_closes(world), Err(SealError::Closed));
}

#[test]
fn a_close_ends_one_direction_and_not_the_other() {
    let mut world = World::new();
    let mut pair = world.connect();
    let close = pair.host_closes(&world).unwrap();
    assert_eq!(pair.guest_opens(&mut world, &close), Ok(Opened::Closed));
    let rest = pair.guest_seals(&world, b"the rest").unwrap();
    assert_eq!(
        pair.host_opens(&mut world, &rest),
        Ok(Opened::Data(b"the rest"))
    );
}

#[test]
fn a_stream_that_ends_without_a_verified_close_is_truncated() {
    let mut world = World::new();
    let pair = world.connect();
    assert_eq!(pair.guest.end_of_stream(), Err(Truncated { received: 0 }));
    assert_eq!(pair.host.end_of_stream(), Err(Truncated { received: 0 }));

    let mut pair = world.connect();
    pair.talks(&mut world);
    // Sealed and never delivered, and one that the attacker makes of a frame of data.
    let close = pair.host_closes(&world).unwrap();
    let forged = Frame::rewrite(&close, |frame| frame.sequence = 2);
    let refused = OpenError::SequenceGap {
        expected: 1,
        got: 2,
    };
    assert_eq!(pair.guest_opens(&mut world, &forged), Err(refused));
    assert_eq!(pair.guest.end_of_stream(), Err(Truncated { received: 1 }));
    // One's own close says nothing of what the peer still had to say.
    assert_eq!(pair.host.end_of_stream(), Err(Truncated { received: 1 }));
}

#[test]
fn a_stream_that_ends_after_a_verified_close_is_complete() {
    let mut world = World::new();
    let mut pair = world.connect();
    let close = pair.host_closes(&world).unwrap();
    assert_eq!(pair.guest_opens(&mut world, &close), Ok(Opened::Closed));
    let close = pair.guest_closes(&world).unwrap();
    assert_eq!(pair.host_opens(&mut world, &close), Ok(Opened::Closed));
    assert_eq!(pair.guest.end_of_stream(), Ok(()));
    assert_eq!(pair.host.end_of_stream(), Ok(()));
}

#[test]
fn a_stream_cut_inside_a_frame_is_truncated() {
    let mut world = World::new();
    let mut pair = world.connect();
    let frame = pair.host_seals(&world, b"start").unwrap();
    let mut stream = (frame.len() as u32).to_be_bytes().to_vec();
    stream.extend_from_slice(&frame);
    for cut in 1..stream.len() {
        let mut buffer = [0; 256];
        let mut decoder = FrameDecoder::new(&mut buffer, FRAME_BODY_MAX);
        decoder.space()[..cut].copy_from_slice(&stream[..cut]);
        decoder.advance(cut);
        let expected = if cut < 4 { 4 } else { stream.len() };
        let mut refused = decoder.next_body().map(|body| body.is_some());
        // A body that does not fit the buffer is never waited for.
        if refused == Ok(false) {
            refused = decoder.finish().map(|()| true);
        }
        assert_eq!(
            refused,
            Err(FrameError::Truncated {
                have: cut,
                needed: expected
            })
        );
    }
}

#[test]
fn bytes_after_the_payload_are_refused() {
    for extra in [1, 7] {
        let mut world = World::new();
        let mut pair = world.connect();
        let frame = pair.host_seals(&world, b"x").unwrap();
        let (head, signature) = frame.split_at(frame.len() - 64);
        let longer = [head, &vec![0; extra], signature].concat();
        let refused = OpenError::Malformed(DecodeError::TrailingBytes { count: extra });
        assert_eq!(pair.guest_opens(&mut world, &longer), Err(refused));
    }
}

#[test]
fn a_payload_longer_than_its_frame_is_refused() {
    let mut world = World::new();
    let mut pair = world.connect();
    let frame = pair.host_seals(&world, b"xyz").unwrap();
    let (head, signature) = frame.split_at(frame.len() - 64);
    let shorter = [&head[..head.len() - 1], signature].concat();
    let refused = OpenError::Malformed(DecodeError::UnexpectedEnd {
        len: shorter.len() - 64,
    });
    assert_eq!(pair.guest_opens(&mut world, &shorter), Err(refused));
}

#[test]
fn a_body_shorter_than_a_signature_is_refused() {
    for len in [0, 1, 63, 64, 66] {
        let mut world = World::new();
        let mut pair = world.connect();
        let short = vec![0; len];
        let refused = pair.guest_opens(&mut world, &short).unwrap_err();
        let unsigned = len.saturating_sub(64);
        let len = if len < 64 { len } else { unsigned };
        assert_eq!(
            refused,
            OpenError::Malformed(DecodeError::UnexpectedEnd { len })
        );
    }
}

#[test]
fn varints_that_are_not_minimal_are_refused_in_every_member() {
    let (_, _, t2) = observed();
    let frame = data(0, b"x");
    let signature = forge::sign(HOST_SEED, &frame.message(&t2, HOST_TO_GUEST));
    // The same values, so that the signature fits: only the bytes differ.
    let mut sequence = Vec::new();
    forge::padded_varint(0, &mut sequence);
    let mut length = Vec::new();
    forge::padded_varint(1, &mut length);
    let padded = [
        (
            0,
            [sequence.as_slice(), &[DATA], &[1], b"x", &signature].concat(),
        ),
        (
            2,
            [[0].as_slice(), &[DATA], &length, b"x", &signature].concat(),
        ),
    ];
    for (at, body) in padded {
        let (mut world, mut pair, same) = observed();
        assert_eq!(same, t2);
        let refused = OpenError::Malformed(DecodeError::NonCanonical { at });
        assert_eq!(pair.guest_opens(&mut world, &body), Err(refused));
    }
    let (mut world, mut pair, _) = observed();
    let minimal = [[0].as_slice(), &[DATA], &[1], b"x", &signature].concat();
    assert_eq!(
        pair.guest_opens(&mut world, &minimal),
        Ok(Opened::Data(b"x"))
    );
}

#[test]
fn an_oversize_frame_is_refused_from_its_length_alone() {
    let announced = FRAME_BODY_MAX + 1;
    let mut buffer = [0; 16];
    let mut decoder = FrameDecoder::new(&mut buffer, FRAME_BODY_MAX);
    decoder.space()[..4].copy_from_slice(&(announced as u32).to_be_bytes());
    decoder.advance(4);
    let refused = FrameError::TooLong {
        len: announced,
        max: FRAME_BODY_MAX,
    };
    assert_eq!(decoder.next_body(), Err(refused));
    assert_eq!(decoder.next_body(), Err(refused));
}

#[test]
fn an_oversize_body_is_refused_before_it_is_looked_at() {
    let mut world = World::new();
    let mut pair = world.connect();
    let body = vec![0; FRAME_BODY_MAX + 1];
    let refused = OpenError::FrameTooLong {
        len: FRAME_BODY_MAX + 1,
        max: FRAME_BODY_MAX,
    };
    assert_eq!(pair.guest_opens(&mut world, &body), Err(refused));
}

#[test]
fn the_longest_payload_passes_and_one_byte_more_is_refused() {
    let mut world = World::new();
    let mut pair = world.connect();
    let longest = vec![7; PAYLOAD_MAX];
    let frame = pair.host_seals(&world, &longest).unwrap();
    assert!(frame.len() <= FRAME_BODY_MAX);
    assert_eq!(
        pair.guest_opens(&mut world, &frame),
        Ok(Opened::Data(&longest))
    );
    let longer = vec![7; PAYLOAD_MAX + 1];
    let refused = SealError::PayloadTooLong {
        len: PAYLOAD_MAX + 1,
        max: PAYLOAD_MAX,
    };
    assert_eq!(pair.host_seals(&world, &longer), Err(refused));
}

#[test]
fn a_signature_of_another_message_under_the_same_key_is_refused() {
    // Everything the guest's key ever signs in the open: its hello, and a frame.
    let mut world = World::new();
    let (mut pair, wire) = world.recorded(SERVICE);
    let hello_signature = wire.answer.last_chunk::<64>().unwrap();
    let frame = [data(0, b"x").encode(), hello_signature.to_vec()].concat();
    assert_eq!(
        pair.host_opens(&mut world, &frame),
        Err(OpenError::BadSignature)
    );
    let frame = [data(0, b"x").encode(), wire.finish.clone()].concat();
    assert_eq!(
        pair.guest_opens(&mut world, &frame),
        Err(OpenError::BadSignature)
    );
}

#[test]
fn the_first_frame_a_host_opens_confirms_the_generation_and_no_refused_one_does() {
    let mut world = World::new();
    let mut pair = world.connect();
    assert!(!world.host.is_confirmed());
    let frame = pair.guest_seals(&world, b"x").unwrap();
    let forged = Frame::rewrite(&frame, |frame| frame.payload = b"y".to_vec());
    assert_eq!(
        pair.host_opens(&mut world, &forged),
        Err(OpenError::BadSignature)
    );
    assert!(!world.host.is_confirmed());
    let mut pair = world.connect();
    let frame = pair.guest_seals(&world, b"x").unwrap();
    assert_eq!(pair.host_opens(&mut world, &frame), Ok(Opened::Data(b"x")));
    assert!(world.host.is_confirmed());
}
