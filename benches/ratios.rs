//! What the core costs above what it stands on: one pass over the bytes, a table, memcpy, raw
//! Ed25519 and one hash. `cargo bench --bench ratios`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::std_instead_of_core
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use mvm_core::instance::{InstanceStatus, validate_transition};
use mvm_core::limits::FRAME_BODY_MAX;
use mvm_core::naming::{IdKind, InstanceId, validate_id};
use mvm_core::session::*;
use mvm_core::wire::codec::{self, Bytes};
use mvm_core::wire::frame::{FrameDecoder, encode_header, frame_into};
use sha2::{Digest, Sha512_256};

mod harness;
use harness::{Batch, Contest, batch, run};

struct Machine;

impl Environment for Machine {
    fn mark(&self) -> Mark {
        Mark::Changing(1)
    }
    fn monotonic_millis(&self) -> u64 {
        0
    }
}

const LIFETIME: u64 = u64::MAX;

/// Both ends of one session.
struct Pair {
    host: HostEndpoint,
    guest: GuestEndpoint,
    at_host: HostSession<'static>,
    at_guest: GuestSession<'static>,
}

impl Pair {
    fn new(host_key: &'static HostKey, guest_key: &'static GuestKey) -> Self {
        let instance = InstanceId::new("i-0a1b2c3d").unwrap();
        let mut host =
            HostEndpoint::new(instance, 1, GuestTrust::pinned(guest_key.public())).unwrap();
        let mut trust = TrustedHosts::new();
        trust.insert(TrustedHost::new(host_key.public())).unwrap();
        let mut guest = GuestEndpoint::new(trust);
        let (mut a, mut b) = ([0; 512], [0; 512]);
        let asked = HostOptions {
            service: 1,
            capabilities: 0,
            extensions: &[],
            lifetime_ms: LIFETIME,
        };
        let served = GuestOptions {
            service: 1,
            capabilities: 0,
            extensions: &[],
            lifetime_ms: LIFETIME,
        };
        let (waiting, n) = host
            .begin(host_key, asked, Entropy::new([3; 32]), &Machine, &mut a)
            .unwrap();
        let offer = guest
            .receive(guest_key, served, &Machine, &a[4..n])
            .unwrap();
        let (answered, n) = offer
            .answer(&mut guest, Entropy::new([4; 32]), &Machine, &mut b)
            .unwrap();
        let Received::Verified(verified) = waiting.receive(&mut host, &Machine, &b[4..n]).unwrap()
        else {
            panic!("the key was pinned");
        };
        let (at_host, n) = verified.finish(&mut host, &Machine, &mut a).unwrap();
        let at_guest = answered.finish(&mut guest, &Machine, &a[4..n]).unwrap();
        Self {
            host,
            guest,
            at_host,
            at_guest,
        }
    }
}

fn main() {
    let host_key: &'static HostKey = Box::leak(Box::new(HostKey::from_seed(&[1; 32])));
    let guest_key: &'static GuestKey = Box::leak(Box::new(GuestKey::from_seed(&[2; 32])));
    let contests = vec![
        ids(
            "id of 24 bytes, valid",
            "tenant-acme-production-7",
            Some(2.0),
        ),
        ids(
            "id of 63 bytes, valid",
            "a23456789-123456789-123456789-123456789-123456789-123456789-123",
            Some(2.0),
        ),
        ids("id of 10 bytes, valid", "i-0a1b2c3d", Some(2.0)),
        ids(
            "id of 24 bytes, last one invalid",
            "tenant-acme-production-_",
            Some(2.0),
        ),
        transitions(),
        encode(64, None),
        encode(16 * 1024, Some(3.0)),
        decode(64, None),
        decode(16 * 1024, Some(3.0)),
        decode_moved(16 * 1024, None),
        decode_moved(256 * 1024, None),
        whole_body_encode(64, None),
        whole_body_encode(16 * 1024, Some(3.0)),
        whole_body_decode(64, None),
        whole_body_decode(16 * 1024, Some(3.0)),
        seal(64, host_key, guest_key),
        seal(16 * 1024, host_key, guest_key),
        open(64, host_key, guest_key),
        open(16 * 1024, host_key, guest_key),
    ];
    run("mvm-core against what it stands on", "floor", contests);
}

/// The floor: one pass that asks of each byte whether it is one of the alphabet.
fn ids(item: &'static str, text: &'static str, goal: Option<f64>) -> Contest<'static> {
    fn pass(bytes: &[u8]) -> bool {
        bytes
            .iter()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    }
    assert_eq!(
        pass(text.as_bytes()),
        validate_id(text, IdKind::Tenant).is_ok()
    );
    Contest {
        item,
        ours: batch(move || validate_id(black_box(text), IdKind::Tenant)),
        floor: batch(move || pass(black_box(text.as_bytes()))),
        goal,
    }
}

/// The floor: a table of seven bytes, one bit for each status that may follow.
fn transitions() -> Contest<'static> {
    let pairs: Vec<_> = InstanceStatus::ALL
        .into_iter()
        .flat_map(|from| InstanceStatus::ALL.map(|to| (from, to)))
        .collect();
    let mut table = [0u8; 7];
    for (from, to) in &pairs {
        table[*from as usize] |= u8::from(validate_transition(*from, *to).is_ok()) << (*to as u8);
    }
    let same = pairs.clone();
    Contest {
        item: "transition check, all 49",
        ours: batch(move || {
            black_box(&pairs)
                .iter()
                .filter(|(from, to)| validate_transition(*from, *to).is_ok())
                .count()
        }),
        floor: batch(move || {
            black_box(&same)
                .iter()
                .filter(|(from, to)| black_box(&table)[*from as usize] >> (*to as u8) & 1 == 1)
                .count()
        }),
        goal: Some(2.0),
    }
}

/// The members of a frame in front of the payload, and the space a signature takes.
type Head = (u64, u8, u32);
const SIGNATURE: usize = 64;

/// A payload and room for its frame, for both contestants alike: half a page apart, because memory
/// that lies a multiple of 4 KiB behind what is being read is slow to write.
fn buffers(len: usize) -> (&'static [u8], &'static mut [u8]) {
    let room = len + FRAME_OVERHEAD_MAX;
    let memory = Box::leak(vec![7; len + 4096 + room].into_boxed_slice());
    let (payload, rest) = memory.split_at_mut(len);
    let gap = (2048 + 4096 - len % 4096) % 4096;
    (payload, &mut rest[gap..][..room])
}

/// To the place in a frame where its payload lies.
fn copy(len: usize) -> Batch<'static> {
    let (from, to) = buffers(len);
    batch(move || {
        black_box(&mut to[9..9 + len]).copy_from_slice(black_box(from));
        to[9]
    })
}

fn name(what: &'static str, len: usize) -> &'static str {
    let size = if len < 1024 {
        format!("{len} B")
    } else {
        format!("{} KiB", len / 1024)
    };
    Box::leak(format!("{what}, {size}").into_boxed_str())
}

/// As a session writes a frame, but for hash and signature.
fn encode(len: usize, goal: Option<f64>) -> Contest<'static> {
    let (payload, out) = buffers(len);
    let ours = batch(move || {
        let payload = black_box(payload);
        let head: Head = (1, 0, payload.len() as u32);
        let (prefix, rest) = black_box(&mut *out).split_first_chunk_mut::<4>().unwrap();
        let used = codec::encode(&head, rest).unwrap();
        rest[used..used + payload.len()].copy_from_slice(payload);
        *prefix = encode_header(used + payload.len() + SIGNATURE, FRAME_BODY_MAX).unwrap();
        used
    });
    Contest {
        item: name("frame encode, unsigned", len),
        ours,
        floor: copy(len),
        goal,
    }
}

/// As a program reads frames: into the decoder's buffer, out of it, head and payload.
fn decode(len: usize, goal: Option<f64>) -> Contest<'static> {
    let mut frame = vec![0; len + FRAME_OVERHEAD_MAX];
    let mut body = vec![0; 16];
    let used = codec::encode(&(1u64, 0u8, len as u32) as &Head, &mut body).unwrap();
    body.truncate(used);
    body.resize(used + len + SIGNATURE, 7);
    let written = frame_into(&body, FRAME_BODY_MAX, &mut frame).unwrap();
    frame.truncate(written);
    let mut buffer = vec![0; FRAME_BODY_MAX + 4];
    let mut decoder = FrameDecoder::new(
        Box::leak(buffer.split_off(0).into_boxed_slice()),
        FRAME_BODY_MAX,
    );
    let ours = batch(move || {
        decoder.space()[..frame.len()].copy_from_slice(black_box(&frame));
        decoder.advance(frame.len());
        let body = decoder.next_body().unwrap().unwrap();
        let (head, _signature) = body.split_last_chunk::<SIGNATURE>().unwrap();
        let ((sequence, kind, length), payload) = codec::take::<Head>(head).unwrap();
        assert_eq!(length as usize, payload.len());
        sequence + u64::from(kind) + u64::from(payload[len - 1])
    });
    Contest {
        item: name("frame decode, unsigned", len),
        ours,
        floor: copy(len),
        goal,
    }
}

/// As above, but all except the last byte arrives behind an empty frame, in a buffer that has no room
/// for both: what there is of the frame has to be moved by four bytes, the worst distance.
fn decode_moved(len: usize, goal: Option<f64>) -> Contest<'static> {
    let body = vec![7; len];
    let mut stream = vec![0; 4];
    stream.extend_from_slice(&encode_header(len, FRAME_BODY_MAX).unwrap());
    stream.extend_from_slice(&body);
    let buffer = Box::leak(vec![0; len + 4].into_boxed_slice());
    let mut decoder = FrameDecoder::new(buffer, FRAME_BODY_MAX);
    let ours = batch(move || {
        let (first, rest) = black_box(&stream).split_at(len + 4);
        decoder.space().copy_from_slice(first);
        decoder.advance(first.len());
        assert_eq!(decoder.next_body().unwrap().map(|body| body.len()), Some(0));
        assert!(decoder.next_body().unwrap().is_none());
        decoder.space()[..rest.len()].copy_from_slice(rest);
        decoder.advance(rest.len());
        decoder.next_body().unwrap().map(|body| body[len - 1])
    });
    Contest {
        item: name("frame decode, moved in its buffer", len),
        ours,
        floor: copy(len),
        goal,
    }
}

/// A body with a byte string in it through the codec as a whole.
fn whole_body_encode(len: usize, goal: Option<f64>) -> Contest<'static> {
    let (payload, out) = buffers(len);
    let ours = batch(move || {
        let value = (1u64, 0u8, Bytes(black_box(payload)));
        codec::encode(&value, black_box(&mut *out)).unwrap()
    });
    Contest {
        item: name("codec, byte string in", len),
        ours,
        floor: copy(len),
        goal,
    }
}

/// The same back: this compares the whole body with its canonical encoding.
fn whole_body_decode(len: usize, goal: Option<f64>) -> Contest<'static> {
    let payload = vec![7; len];
    let mut body = vec![0; len + FRAME_OVERHEAD_MAX];
    let written = codec::encode(&(1u64, 0u8, Bytes(&payload)), &mut body).unwrap();
    body.truncate(written);
    let ours = batch(move || {
        let value = codec::decode::<(u64, u8, Bytes<'_>)>(black_box(&body)).unwrap();
        value.2.0.len()
    });
    Contest {
        item: name("codec, byte string out", len),
        ours,
        floor: copy(len),
        goal,
    }
}

/// The floor: one hash of the payload, one signature over 92 bytes.
fn seal(len: usize, host_key: &'static HostKey, guest_key: &'static GuestKey) -> Contest<'static> {
    let Pair {
        host, mut at_host, ..
    } = Pair::new(host_key, guest_key);
    let (payload, out) = buffers(len);
    let same = payload;
    let ours = batch(move || {
        at_host
            .seal(&host, &Machine, black_box(payload), out)
            .unwrap()
    });
    let key = SigningKey::from_bytes(&[1; 32]);
    let mut message = [7; 92];
    let floor = batch(move || {
        message[60..].copy_from_slice(&Sha512_256::digest(black_box(same)));
        key.sign(&message)
    });
    Contest {
        item: name("sealed frame, written", len),
        ours,
        floor,
        goal: Some(1.05),
    }
}

/// The floor: one hash of the payload, one strict verification over 92 bytes. Each frame is opened
/// once, so they are sealed beforehand, outside of the time.
fn open(len: usize, host_key: &'static HostKey, guest_key: &'static GuestKey) -> Contest<'static> {
    let Pair {
        host,
        mut guest,
        mut at_host,
        mut at_guest,
    } = Pair::new(host_key, guest_key);
    let payload = vec![7; len];
    let ours: Batch<'static> = Box::new(move |times| {
        let mut frames = vec![vec![0; len + FRAME_OVERHEAD_MAX]; times as usize];
        for frame in &mut frames {
            let written = at_host.seal(&host, &Machine, &payload, frame).unwrap();
            frame.truncate(written);
        }
        let start = Instant::now();
        for frame in &frames {
            black_box(at_guest.open(&mut guest, &Machine, &frame[4..]).unwrap());
        }
        start.elapsed()
    });
    let key = SigningKey::from_bytes(&[1; 32]);
    let verifying: VerifyingKey = key.verifying_key();
    let floor: Batch<'static> = Box::new(move |times| {
        let payloads: Vec<Vec<u8>> = (0..times).map(|_| vec![7; len]).collect();
        let mut messages = vec![[7; 92]; times as usize];
        for (message, payload) in messages.iter_mut().zip(&payloads) {
            message[60..].copy_from_slice(&Sha512_256::digest(payload));
        }
        let signatures: Vec<_> = messages.iter().map(|message| key.sign(message)).collect();
        let mut time = Duration::ZERO;
        let start = Instant::now();
        for (payload, signature) in payloads.iter().zip(&signatures) {
            let mut message = [7; 92];
            message[60..].copy_from_slice(&Sha512_256::digest(black_box(payload)));
            verifying
                .verify_strict(&message, black_box(signature))
                .unwrap();
        }
        time += start.elapsed();
        time
    });
    Contest {
        item: name("sealed frame, read", len),
        ours,
        floor,
        goal: Some(1.05),
    }
}
