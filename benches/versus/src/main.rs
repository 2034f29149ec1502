//! mvm-core against its version 0.13.0: `cargo run --release -- --bench` in this folder.
//!
//! 0.13.0 has the types of its frames and leaves reading, writing and signing them to its users;
//! what is measured is what they do: JSON, and Ed25519 over the payload.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer, SigningKey};
use mvm_core::agent::DesiredState;
use mvm_core::document::Document;
use mvm_core::instance::{InstanceState, InstanceStatus, validate_transition};
use mvm_core::limits::FRAME_BODY_MAX;
use mvm_core::naming::{
    HostOffset, IdKind, InstanceId, MacAddr, TapName, TenantNetId, parse_instance_path, validate_id,
};
use mvm_core::protocol::{Frames, encode_body};
use mvm_core::session::*;
use mvm_core::wire::codec;
use mvm_core::wire::frame::{FrameDecoder, encode_header};
use old::security::AuthenticatedFrame;
use old::signing::SignedPayload;

#[path = "../../harness/mod.rs"]
mod harness;
#[path = "../../harness/heap.rs"]
mod heap;
mod host;
#[path = "../../harness/state.rs"]
mod state;
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

/// The longest id there is.
const LONGEST: &str = "a23456789-123456789-123456789-123456789-123456789-123456789-123";

fn main() {
    if std::env::var_os("RUST_BACKTRACE").is_some() {
        println!("RUST_BACKTRACE is set: each error of 0.13.0 takes a backtrace, unset it\n");
    }
    let contests = vec![
        id("id of 63 bytes, valid", LONGEST),
        id(
            "id of 63 bytes, invalid",
            "a23456789-123456789-123456789-123456789-123456789-123456789-12C",
        ),
        path(),
        transition(),
        tap_and_mac(),
        encode(64, 0.08),
        encode(16 * 1024, 0.01),
        decode(64, 0.04),
        decode(16 * 1024, 0.003),
        seal(16 * 1024, 0.6),
        open(16 * 1024, 0.32),
        instance_state(),
        hostd_frame(10 * 1024),
        metrics_text(),
        contended_counter(),
        host::audit_append(),
        host::save(),
        host::round_trip(),
        desired_state(if std::env::args().any(|argument| argument == "--bench") {
            100_000
        } else {
            1000
        }),
    ];
    run("mvm-core against 0.13.0", "0.13.0", contests);
    host::audit_verify(if std::env::args().any(|argument| argument == "--bench") {
        300_000
    } else {
        1000
    });
    desired_state_heap(10_000);
    let (ours, theirs) = (sealed_length(64), old_frame(64).len() + 4);
    println!(
        "bytes of a signed frame with 64 B: {ours} and {theirs}, {:.3} (<= 0.22)",
        ours as f64 / theirs as f64
    );
}

fn id(item: &'static str, text: &'static str) -> Contest<'static> {
    Contest {
        item,
        ours: batch(move || validate_id(black_box(text), IdKind::Tenant)),
        floor: batch(move || old::naming::validate_id(black_box(text), "tenant")),
        goal: Some(0.13),
    }
}

/// Of the counters of a process, which are all 0 in both.
fn metrics_text() -> Contest<'static> {
    Contest {
        item: "metrics text",
        ours: batch(|| {
            black_box(mvm_core::observability::metrics::global()).prometheus_exposition()
        }),
        floor: batch(|| black_box(old::observability::metrics::global()).prometheus_exposition()),
        goal: Some(1.0),
    }
}

/// Two threads count at once.
fn contended_counter() -> Contest<'static> {
    fn both(count: impl Fn() + Sync, times: u32) -> Duration {
        let start = Barrier::new(2);
        let work = || {
            start.wait();
            let began = Instant::now();
            for _ in 0..times {
                count();
            }
            began
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(work);
            let began = work();
            other.join().unwrap().min(began).elapsed()
        })
    }
    let metrics = mvm_core::observability::metrics::Metrics::new();
    Contest {
        item: "counter, two threads",
        ours: Box::new(move |times| both(|| black_box(&metrics).requests_total.inc(), times)),
        floor: Box::new(|times| {
            let metrics = old::observability::metrics::global();
            let count = || {
                black_box(metrics)
                    .requests_total
                    .fetch_add(1, Ordering::Relaxed);
            };
            both(count, times)
        }),
        goal: Some(0.5),
    }
}

/// 0.13.0 only splits; the new one also validates every segment.
fn path() -> Contest<'static> {
    let text = "acme/api-pool/i-0a1b2c3d";
    Contest {
        item: "instance path, ours with validation",
        ours: batch(move || parse_instance_path(black_box(text)).unwrap()),
        floor: batch(move || {
            old::naming::parse_instance_path(black_box(text)).map(|path| path.0.len())
        }),
        goal: Some(0.7),
    }
}

fn transition() -> Contest<'static> {
    use old::instance::InstanceStatus as Old;
    Contest {
        item: "transition, refused",
        ours: batch(|| {
            validate_transition(black_box(InstanceStatus::Running), InstanceStatus::Sleeping)
        }),
        floor: batch(|| old::instance::validate_transition(black_box(Old::Running), Old::Sleeping)),
        goal: Some(0.05),
    }
}

fn tap_and_mac() -> Contest<'static> {
    let (net, offset) = (TenantNetId::new(221).unwrap(), HostOffset::new(86).unwrap());
    Contest {
        item: "tap and mac",
        ours: batch(move || {
            (
                TapName::new(black_box(net), offset),
                MacAddr::new(net, offset),
            )
        }),
        floor: batch(move || {
            (
                old::naming::tap_name(black_box(221), 86),
                old::naming::mac_address(221, 86),
            )
        }),
        goal: Some(0.2),
    }
}

fn name(what: &str, len: usize) -> &'static str {
    let size = if len < 1024 {
        format!("{len} B")
    } else {
        format!("{} KiB", len / 1024)
    };
    Box::leak(format!("{what}, {size}").into_boxed_str())
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 37 + 11) as u8).collect()
}

fn old_value(payload: Vec<u8>, signature: Vec<u8>) -> AuthenticatedFrame {
    AuthenticatedFrame {
        version: 2,
        session_id: "5f7c1a52-9a1b-4c58-9a2e-3d1f0b6a7c88".into(),
        sequence: 1,
        timestamp: "2026-02-25T12:00:00Z".into(),
        signed: SignedPayload {
            payload,
            signature,
            signer_id: "host".into(),
        },
    }
}

fn old_frame(len: usize) -> Vec<u8> {
    let signature = SigningKey::from_bytes(&[1; 32])
        .sign(&payload(len))
        .to_bytes()
        .to_vec();
    serde_json::to_vec(&old_value(payload(len), signature)).unwrap()
}

type Head = (u64, u8, u32);

fn encode(len: usize, goal: f64) -> Contest<'static> {
    let (bytes, mut out) = (payload(len), vec![0; len + FRAME_OVERHEAD_MAX]);
    let ours = batch(move || {
        let bytes = black_box(&bytes[..]);
        let head: Head = (1, 0, bytes.len() as u32);
        let (prefix, rest) = out.split_first_chunk_mut::<4>().unwrap();
        let used = codec::encode(&head, rest).unwrap();
        rest[used..used + bytes.len()].copy_from_slice(bytes);
        *prefix = encode_header(used + bytes.len() + 64, FRAME_BODY_MAX).unwrap();
        black_box(&mut out[..]).len()
    });
    let value = old_value(payload(len), vec![7; 64]);
    let floor = batch(move || {
        let body = serde_json::to_vec(black_box(&value)).unwrap();
        let mut frame = Vec::with_capacity(body.len() + 4);
        frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
        frame.extend_from_slice(&body);
        frame
    });
    Contest {
        item: name("frame encode, no crypto", len),
        ours,
        floor,
        goal: Some(goal),
    }
}

fn decode(len: usize, goal: f64) -> Contest<'static> {
    let mut head = [0; 16];
    let used = codec::encode(&(1u64, 0u8, len as u32) as &Head, &mut head).unwrap();
    let body = [&head[..used], &payload(len), &[7; 64]].concat();
    let frame = [&(body.len() as u32).to_be_bytes()[..], &body].concat();
    let buffer = Box::leak(vec![0; FRAME_BODY_MAX + 4].into_boxed_slice());
    let mut decoder = FrameDecoder::new(buffer, FRAME_BODY_MAX);
    let ours = batch(move || {
        decoder.space()[..frame.len()].copy_from_slice(black_box(&frame));
        decoder.advance(frame.len());
        let body = decoder.next_body().unwrap().unwrap();
        let (head, _signature) = body.split_last_chunk::<64>().unwrap();
        let ((sequence, _, length), payload) = codec::take::<Head>(head).unwrap();
        assert_eq!(length as usize, payload.len());
        sequence + u64::from(payload[len - 1])
    });
    let body = old_frame(len);
    let floor =
        batch(move || serde_json::from_slice::<AuthenticatedFrame>(black_box(&body)).unwrap());
    Contest {
        item: name("frame decode, no crypto", len),
        ours,
        floor,
        goal: Some(goal),
    }
}

struct Pair {
    host: HostEndpoint,
    guest: GuestEndpoint,
    at_host: HostSession<'static>,
    at_guest: GuestSession<'static>,
}

fn pair() -> Pair {
    let host_key: &'static HostKey = Box::leak(Box::new(HostKey::from_seed(&[1; 32])));
    let guest_key: &'static GuestKey = Box::leak(Box::new(GuestKey::from_seed(&[2; 32])));
    let instance = InstanceId::new("i-0a1b2c3d").unwrap();
    let mut host = HostEndpoint::new(instance, 1, GuestTrust::pinned(guest_key.public())).unwrap();
    let mut trust = TrustedHosts::new();
    trust.insert(TrustedHost::new(host_key.public())).unwrap();
    let mut guest = GuestEndpoint::new(trust);
    let (mut a, mut b) = ([0; 512], [0; 512]);
    let asked = HostOptions {
        service: 1,
        capabilities: 0,
        extensions: &[],
        lifetime_ms: u64::MAX,
    };
    let served = GuestOptions {
        service: 1,
        capabilities: 0,
        extensions: &[],
        lifetime_ms: u64::MAX,
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
    Pair {
        host,
        guest,
        at_host,
        at_guest,
    }
}

fn sealed_length(len: usize) -> usize {
    let Pair {
        host, mut at_host, ..
    } = pair();
    at_host
        .seal(
            &host,
            &Machine,
            &payload(len),
            &mut vec![0; len + FRAME_OVERHEAD_MAX],
        )
        .unwrap()
}

fn seal(len: usize, goal: f64) -> Contest<'static> {
    let Pair {
        host, mut at_host, ..
    } = pair();
    let (bytes, mut out) = (payload(len), vec![0; len + FRAME_OVERHEAD_MAX]);
    let ours = batch(move || {
        at_host
            .seal(&host, &Machine, black_box(&bytes), &mut out)
            .unwrap()
    });
    let (key, bytes) = (SigningKey::from_bytes(&[1; 32]), payload(len));
    let floor = batch(move || {
        let signature = key.sign(black_box(&bytes)).to_bytes().to_vec();
        serde_json::to_vec(&old_value(bytes.clone(), signature)).unwrap()
    });
    Contest {
        item: name("sealed frame, written", len),
        ours,
        floor,
        goal: Some(goal),
    }
}

fn open(len: usize, goal: f64) -> Contest<'static> {
    let Pair {
        host,
        mut guest,
        mut at_host,
        mut at_guest,
    } = pair();
    let bytes = payload(len);
    // Each frame is opened once: they are sealed beforehand, outside of the time.
    let ours: Batch<'static> = Box::new(move |times| {
        let mut frames = vec![vec![0; len + FRAME_OVERHEAD_MAX]; times as usize];
        for frame in &mut frames {
            let written = at_host.seal(&host, &Machine, &bytes, frame).unwrap();
            frame.truncate(written);
        }
        let start = Instant::now();
        for frame in &frames {
            black_box(at_guest.open(&mut guest, &Machine, &frame[4..]).unwrap());
        }
        start.elapsed()
    });
    let (body, key) = (
        old_frame(len),
        SigningKey::from_bytes(&[1; 32]).verifying_key(),
    );
    let floor = batch(move || {
        let frame: AuthenticatedFrame = serde_json::from_slice(black_box(&body)).unwrap();
        let signature = ed25519_dalek::Signature::from_slice(&frame.signed.signature).unwrap();
        key.verify_strict(&frame.signed.payload, &signature)
            .unwrap();
        frame
    });
    Contest {
        item: name("sealed frame, read", len),
        ours,
        floor,
        goal: Some(goal),
    }
}

fn instance_state() -> Contest<'static> {
    let rows = include_str!("../../../tests/vectors/json/InstanceState.jsonl");
    let row: serde_json::Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
    let document: &'static str =
        Box::leak(row["doc"].as_str().unwrap().to_owned().into_boxed_str());
    Contest {
        item: "instance state from JSON",
        ours: batch(move || serde_json::from_str::<InstanceState>(black_box(document)).unwrap()),
        floor: batch(move || {
            serde_json::from_str::<old::instance::InstanceState>(black_box(document)).unwrap()
        }),
        goal: Some(0.85),
    }
}

/// Written and read again. 0.13.0 does so with tokio's traits; on memory it never waits.
fn hostd_frame(len: usize) -> Contest<'static> {
    fn now<T>(future: impl Future<Output = T>) -> T {
        let mut context = Context::from_waker(Waker::noop());
        match std::pin::pin!(future).poll(&mut context) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("memory is ready at once"),
        }
    }
    let (body, same) = (payload(len), payload(len));
    let mut frames = Frames::new();
    let ours = batch(move || {
        let frame = encode_body(black_box(&body)).unwrap();
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let space = frames.space();
            let n = rest.len().min(space.len());
            space[..n].copy_from_slice(&rest[..n]);
            frames.advance(n);
            rest = &rest[n..];
            if let Some(body) = frames.next_body().unwrap() {
                return body[len - 1];
            }
        }
        panic!("a whole frame");
    });
    let floor = batch(move || {
        let mut frame = Vec::new();
        now(old::protocol::write_frame(&mut frame, black_box(&same))).unwrap();
        now(old::protocol::read_frame(&mut &frame[..])).unwrap()[len - 1]
    });
    Contest {
        item: name("hostd frame, written and read", len),
        ours,
        floor,
        goal: Some(0.9),
    }
}

/// 0.13.0 only parses; the new one checks every value and every rule.
fn desired_state(pools: usize) -> Contest<'static> {
    let json: &'static str = Box::leak(state::desired_state(pools).into_boxed_str());
    Contest {
        item: "desired state, ours checked",
        ours: batch(move || DesiredState::from_json(black_box(json).as_bytes()).unwrap()),
        floor: batch(move || {
            serde_json::from_str::<old::agent::DesiredState>(black_box(json)).unwrap()
        }),
        goal: Some(0.7),
    }
}

fn desired_state_heap(pools: usize) {
    let json = state::desired_state(pools);
    let ours = heap::cost(|| DesiredState::from_json(json.as_bytes()).unwrap());
    let theirs = heap::cost(|| serde_json::from_str::<old::agent::DesiredState>(&json).unwrap());
    let each = |all: usize| all as f64 / pools as f64;
    println!(
        "allocations per pool: {:.1} and {:.1} (<= 5); bytes held: {:.0} and {:.0} (<= 914)",
        each(ours.allocations),
        each(theirs.allocations),
        each(ours.held),
        each(theirs.held)
    );
}
