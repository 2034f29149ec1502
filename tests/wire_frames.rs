//! Properties of the frame decoder and of the vsock lines, against a reference in a few lines.

#![allow(
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use mvm_core::limits::{FRAME_BODY_MAX, FRAME_HEADER_LEN, HANDSHAKE_BODY_MAX};
use mvm_core::wire::connect::{ConnectError, ConnectLine, OkLine};
use mvm_core::wire::frame::{
    FrameDecoder, FrameEncodeError, FrameError, encode_header, frame_into,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// What the whole stream means, read at once.
fn reference(
    mut stream: &[u8],
    capacity: usize,
    limit: usize,
) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
    let mut bodies = Vec::new();
    while !stream.is_empty() {
        let have = stream.len();
        let Some(header) = stream.first_chunk::<4>() else {
            return (bodies, Err(FrameError::Truncated { have, needed: 4 }));
        };
        let len = u32::from_be_bytes(*header) as usize;
        // `usize` may have 32 bits.
        let needed = len.saturating_add(4);
        if len > limit {
            return (bodies, Err(FrameError::TooLong { len, max: limit }));
        }
        if needed > capacity {
            return (bodies, Err(FrameError::BufferTooSmall { needed, capacity }));
        }
        if have < needed {
            return (bodies, Err(FrameError::Truncated { have, needed }));
        }
        bodies.push(stream[4..needed].to_vec());
        stream = &stream[needed..];
    }
    (bodies, Ok(()))
}

/// The decoder under test, fed in reads of the given sizes, cyclically.
fn decode(
    mut stream: &[u8],
    reads: &[usize],
    capacity: usize,
    limit: usize,
) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
    let mut buffer = vec![0x55; capacity];
    let mut decoder = FrameDecoder::new(&mut buffer, limit);
    let mut bodies = Vec::new();
    for size in reads.iter().cycle() {
        loop {
            match decoder.next_body() {
                Ok(Some(body)) => bodies.push(body.to_vec()),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next_body(), Err(error));
                    return (bodies, Err(error));
                }
            }
        }
        let space = decoder.space();
        assert!(!space.is_empty());
        let n = stream.len().min(*size).min(space.len());
        if n == 0 {
            break;
        }
        space[..n].copy_from_slice(&stream[..n]);
        decoder.advance(n);
        stream = &stream[n..];
    }
    (bodies, decoder.finish())
}

proptest! {
    #[test]
    fn frames_survive_every_way_of_reading_them(
        bodies in vec(vec(any::<u8>(), 0..40), 0..12),
        reads in vec(1_usize..50, 1..8),
        slack in 0_usize..60,
    ) {
        let mut stream = vec![0; 4096];
        let mut end = 0;
        for body in &bodies {
            end += frame_into(body, 40, &mut stream[end..]).unwrap();
        }
        prop_assert_eq!(
            decode(&stream[..end], &reads, FRAME_HEADER_LEN + 40 + slack, 40),
            (bodies, Ok(()))
        );
    }

    /// Headers of small lengths are frequent here, so that frames, errors and cuts all happen.
    #[test]
    fn arbitrary_streams_are_read_like_the_reference_does(
        parts in vec((0_u32..24, vec(any::<u8>(), 0..24), any::<bool>()), 0..10),
        tail in vec(any::<u8>(), 0..8),
        reads in vec(1_usize..40, 1..6),
        capacity in 4_usize..64,
        limit in 0_usize..32,
    ) {
        let mut stream = Vec::new();
        for (len, body, honest) in parts {
            let len = if honest { u32::try_from(body.len()).unwrap() } else { len };
            stream.extend_from_slice(&len.to_be_bytes());
            stream.extend_from_slice(&body);
        }
        stream.extend_from_slice(&tail);
        prop_assert_eq!(
            decode(&stream, &reads, capacity, limit),
            reference(&stream, capacity, limit)
        );
    }

    #[test]
    fn lines_come_back_and_leave_the_rest(port: u32, behind in vec(any::<u8>(), 0..20)) {
        let mut line = [0; ConnectLine::MAX_LEN];
        let line = ConnectLine { port }.encode(&mut line);
        let received = [line, &behind].concat();
        prop_assert_eq!(ConnectLine::parse(&received), Ok(Some((ConnectLine { port }, line.len()))));
        let mut line = [0; OkLine::MAX_LEN];
        let line = OkLine { port }.encode(&mut line);
        let received = [line, &behind].concat();
        prop_assert_eq!(OkLine::parse(&received), Ok(Some((OkLine { port }, line.len()))));
    }

    /// What is accepted is exactly what the encoder writes.
    #[test]
    fn only_canonical_lines_are_accepted(text in "OK [0-9 +\\-]{0,12}\n?") {
        let parsed = OkLine::parse(text.as_bytes());
        let canonical = text
            .strip_prefix("OK ")
            .and_then(|rest| rest.strip_suffix('\n'))
            .and_then(|digits| digits.parse::<u32>().ok())
            .filter(|port| format!("OK {port}\n") == text);
        match parsed {
            Ok(Some((line, len))) => {
                prop_assert_eq!(Some(line.port), canonical);
                prop_assert_eq!(len, text.len());
            }
            Ok(None) => prop_assert!(!text.ends_with('\n')),
            Err(_) => prop_assert_eq!(canonical, None),
        }
    }

    #[test]
    fn lines_of_arbitrary_bytes_are_refused_in_time(bytes in vec(any::<u8>(), 0..64)) {
        if bytes.len() >= ConnectLine::MAX_LEN {
            prop_assert_ne!(ConnectLine::parse(&bytes), Ok(None));
            prop_assert_ne!(OkLine::parse(&bytes), Ok(None));
        }
    }
}

/// The whole way of a connection through the VMM's socket, in one buffer: the line, then frames
/// that arrived in the same read.
#[test]
fn the_ok_line_and_the_first_frames_share_a_buffer() {
    let received = b"OK 1073741824\n\0\0\0\x02hi\0\0\0\x01!";
    for step in 1..=received.len() {
        let mut buffer = [0; 64];
        let mut decoder = FrameDecoder::new(&mut buffer, HANDSHAKE_BODY_MAX);
        let mut bodies: Vec<Vec<u8>> = Vec::new();
        let mut port = None;
        for read in received.chunks(step) {
            decoder.space()[..read.len()].copy_from_slice(read);
            decoder.advance(read.len());
            if port.is_none() {
                match OkLine::parse(decoder.unread()).unwrap() {
                    Some((line, consumed)) => {
                        port = Some(line.port);
                        decoder.skip(consumed);
                    }
                    None => continue,
                }
            }
            while let Some(body) = decoder.next_body().unwrap() {
                bodies.push(body.to_vec());
            }
        }
        assert_eq!(port, Some(1_073_741_824), "step {step}");
        assert_eq!(bodies, [b"hi".to_vec(), b"!".to_vec()]);
        assert_eq!(decoder.finish(), Ok(()));
    }
}

/// A buffer made for the longest frame takes the longest frame, and one byte more is an error on
/// both sides.
#[test]
fn the_limits_of_the_protocol() {
    assert_eq!((HANDSHAKE_BODY_MAX, FRAME_BODY_MAX), (1024, 262_144));
    for limit in [HANDSHAKE_BODY_MAX, FRAME_BODY_MAX] {
        let body = vec![0x5A; limit + 1];
        let mut stream = vec![0; FRAME_HEADER_LEN + limit + 1];
        assert_eq!(
            frame_into(&body, limit, &mut stream),
            Err(FrameEncodeError::TooLong {
                len: limit + 1,
                max: limit
            })
        );
        let n = frame_into(&body[..limit], limit, &mut stream).unwrap();
        let reads = [4096, 1, 333];
        let (bodies, end) = decode(&stream[..n], &reads, FRAME_HEADER_LEN + limit, limit);
        assert_eq!((bodies.len(), end), (1, Ok(())));
        assert_eq!(bodies[0], body[..limit]);

        let header = encode_header(limit + 1, usize::MAX).unwrap();
        let (bodies, end) = decode(&header, &reads, FRAME_HEADER_LEN + limit, limit);
        let error = FrameError::TooLong {
            len: limit + 1,
            max: limit,
        };
        assert_eq!((bodies.len(), end), (0, Err(error)));
    }
}

/// 0.13.0 accepted all of these.
/// The longest that a header can announce, to a receiver that refuses nothing.
#[test]
fn a_frame_of_four_gigabytes_does_not_fit() {
    for len in [u32::MAX - 4, u32::MAX - 3, u32::MAX] {
        let stream = len.to_be_bytes();
        let (bodies, result) = decode(&stream, &[4], 64, usize::MAX);
        let needed = (len as usize).saturating_add(4);
        let capacity = 64;
        let error = FrameError::BufferTooSmall { needed, capacity };
        assert_eq!((bodies, result), (Vec::new(), Err(error)), "{len}");
    }
}

#[test]
fn lax_answers_are_refused() {
    for line in ["OK not-a-port\n", "OK\n", "OK 1 2\n", "OK 1\r\n", "OK 01\n"] {
        assert!(OkLine::parse(line.as_bytes()).is_err(), "{line:?}");
    }
    let endless = [b'O'; 100];
    assert_eq!(
        OkLine::parse(&endless),
        Err(ConnectError::Keyword { at: 1 })
    );
}
