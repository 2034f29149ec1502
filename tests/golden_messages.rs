//! Every message of the session protocol against golden bytes, both ways.
//!
//! The bytes come from elsewhere (`tests/vectors/session`); `common/reference.rs` computes them once
//! more, also for inputs that are in no file.
#![cfg(feature = "std")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc
)]

use mvm_core::limits::{FRAME_BODY_MAX, HANDSHAKE_BODY_MAX};
use mvm_core::naming::InstanceId;
use mvm_core::session::*;
use mvm_core::wire::codec::DecodeError;
use proptest::prelude::*;
use serde::Deserialize;

#[path = "common/hex.rs"]
mod hex;
#[path = "common/reference.rs"]
mod reference;
use hex::{unhex, unhex_array};
use reference::{Inputs, Transcript};

struct Machine(Mark);

impl Environment for Machine {
    fn mark(&self) -> Mark {
        self.0
    }
    fn monotonic_millis(&self) -> u64 {
        1_000
    }
}

fn machine(mark: Option<u64>) -> Machine {
    Machine(mark.map_or(Mark::Constant, Mark::Changing))
}

// ---- the files -----------------------------------------------------------------------------

#[derive(Deserialize)]
struct Handshake {
    case: String,
    host_seed: String,
    guest_seed: String,
    host_entropy: String,
    guest_entropy: String,
    host_mark: Option<String>,
    guest_mark: Option<String>,
    service: u16,
    instance: String,
    generation: String,
    seen: String,
    host_capabilities: u32,
    guest_capabilities: u32,
    host_extensions: String,
    guest_extensions: String,
    session_id: String,
    host_nonce: String,
    guest_nonce: String,
    host_hello: String,
    t1: String,
    guest_hello: String,
    host_finish: String,
    t2: String,
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    direction: char,
    kind: u8,
    sequence: u64,
    payload: String,
    body: String,
}

#[derive(Deserialize)]
struct RefusalRow {
    case: String,
    code: u8,
    body: String,
}

impl Handshake {
    fn inputs(&self) -> Inputs {
        let number = |text: &String| text.parse().unwrap();
        Inputs {
            host_seed: unhex_array(&self.host_seed),
            guest_seed: unhex_array(&self.guest_seed),
            host_entropy: unhex_array(&self.host_entropy),
            guest_entropy: unhex_array(&self.guest_entropy),
            host_mark: self.host_mark.as_ref().map(number),
            guest_mark: self.guest_mark.as_ref().map(number),
            service: self.service,
            instance: self.instance.clone(),
            generation: number(&self.generation),
            seen: number(&self.seen),
            host_capabilities: self.host_capabilities,
            guest_capabilities: self.guest_capabilities,
            host_extensions: unhex(&self.host_extensions),
            guest_extensions: unhex(&self.guest_extensions),
        }
    }

    /// All that is sent in one direction, gaps filled with empty data frames: kind, payload, body.
    fn frames(&self, direction: u8) -> Vec<(u8, Vec<u8>, Vec<u8>)> {
        let transcript = self.inputs().transcript();
        let mut all = Vec::new();
        for frame in self
            .frames
            .iter()
            .filter(|frame| frame.direction as u8 == direction)
        {
            while (all.len() as u64) < frame.sequence {
                let body = transcript.frame(direction, 0, all.len() as u64, b"");
                all.push((0, Vec::new(), body));
            }
            all.push((frame.kind, unhex(&frame.payload), unhex(&frame.body)));
        }
        all
    }
}

fn rows<T: for<'de> Deserialize<'de>>(file: &str) -> Vec<T> {
    let path = format!(
        "{}/tests/vectors/session/{file}",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn handshakes() -> Vec<Handshake> {
    let rows: Vec<Handshake> = rows("handshakes.jsonl");
    assert_eq!(rows.len(), 4);
    rows
}

#[test]
fn the_files_are_what_the_protocol_says() {
    let mut frames = 0;
    for row in handshakes() {
        let transcript = row.inputs().transcript();
        let case = &row.case;
        assert_eq!(transcript.session_id[..], unhex(&row.session_id), "{case}");
        assert_eq!(transcript.host_nonce[..], unhex(&row.host_nonce), "{case}");
        assert_eq!(
            transcript.guest_nonce[..],
            unhex(&row.guest_nonce),
            "{case}"
        );
        assert_eq!(transcript.host_hello, unhex(&row.host_hello), "{case}");
        assert_eq!(transcript.t1[..], unhex(&row.t1), "{case}");
        assert_eq!(transcript.guest_hello, unhex(&row.guest_hello), "{case}");
        assert_eq!(
            transcript.host_finish[..],
            unhex(&row.host_finish),
            "{case}"
        );
        assert_eq!(transcript.t2[..], unhex(&row.t2), "{case}");
        for frame in &row.frames {
            let body = transcript.frame(
                frame.direction as u8,
                frame.kind,
                frame.sequence,
                &unhex(&frame.payload),
            );
            assert_eq!(
                body,
                unhex(&frame.body),
                "{case}, frame {} {}",
                frame.direction,
                frame.sequence
            );
            frames += 1;
        }
    }
    assert_eq!(frames, 17);
}

// ---- the library against them ----------------------------------------------------------------

/// The body of a frame that the library wrote, whose length must be right.
fn body(frame: &[u8]) -> &[u8] {
    let (length, body) = frame.split_first_chunk::<4>().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, body.len());
    body
}

fn host_endpoint(inputs: &Inputs) -> HostEndpoint {
    let guest = GuestKey::from_seed(&inputs.guest_seed).public();
    let instance = InstanceId::new(&inputs.instance).unwrap();
    HostEndpoint::new(instance, inputs.generation, GuestTrust::pinned(guest)).unwrap()
}

fn guest_endpoint(inputs: &Inputs) -> GuestEndpoint {
    let mut trust = TrustedHosts::new();
    trust
        .insert(TrustedHost::new(
            HostKey::from_seed(&inputs.host_seed).public(),
        ))
        .unwrap();
    match inputs.seen {
        0 => GuestEndpoint::new(trust),
        floor => GuestEndpoint::bound(trust, InstanceId::new(&inputs.instance).unwrap(), floor),
    }
}

fn host_options(inputs: &Inputs) -> HostOptions<'_> {
    HostOptions {
        service: inputs.service,
        capabilities: inputs.host_capabilities,
        extensions: &inputs.host_extensions,
        lifetime_ms: 60_000,
    }
}

fn guest_options(inputs: &Inputs) -> GuestOptions<'_> {
    GuestOptions {
        service: inputs.service,
        capabilities: inputs.guest_capabilities,
        extensions: &inputs.guest_extensions,
        lifetime_ms: 60_000,
    }
}

/// Seals what this side sends, opens what it receives, and compares every byte.
fn exchange<E: Endpoint>(
    mut session: Session<'_, E>,
    endpoint: &mut E,
    env: &Machine,
    sends: &[(u8, Vec<u8>, Vec<u8>)],
    receives: &[(u8, Vec<u8>, Vec<u8>)],
) {
    let mut out = vec![0; 1024];
    for (kind, payload, golden) in sends {
        let written = match kind {
            0 => session.seal(endpoint, env, payload, &mut out).unwrap(),
            _ => session.close(endpoint, env, &mut out).unwrap(),
        };
        assert_eq!(body(&out[..written]), golden);
        assert!(written <= payload.len() + FRAME_OVERHEAD_MAX);
    }
    for (kind, payload, golden) in receives {
        let expected = if *kind == 0 {
            Opened::Data(payload)
        } else {
            Opened::Closed
        };
        assert_eq!(session.open(endpoint, env, golden), Ok(expected));
    }
    assert_eq!(
        session.frames(),
        (sends.len() as u64, receives.len() as u64)
    );
    assert_eq!(session.end_of_stream(), Ok(()));
}

#[test]
fn a_host_writes_and_reads_the_golden_bytes() {
    for row in handshakes() {
        let inputs = row.inputs();
        let (key, env) = (
            HostKey::from_seed(&inputs.host_seed),
            machine(inputs.host_mark),
        );
        let mut endpoint = host_endpoint(&inputs);
        let mut out = [0; HOST_HELLO_FRAME_MAX];
        let entropy = Entropy::new(inputs.host_entropy);
        let (waiting, n) = endpoint
            .begin(&key, host_options(&inputs), entropy, &env, &mut out)
            .unwrap();
        assert_eq!(body(&out[..n]), unhex(&row.host_hello), "{}", row.case);
        let longest = row.case == "every member at its largest";
        assert_eq!(n == HOST_HELLO_FRAME_MAX, longest, "{}", row.case);

        let Received::Verified(verified) = waiting
            .receive(&mut endpoint, &env, &unhex(&row.guest_hello))
            .unwrap()
        else {
            panic!("the guest's key was pinned");
        };
        let (session, n) = verified.finish(&mut endpoint, &env, &mut out).unwrap();
        assert_eq!(body(&out[..n]), unhex(&row.host_finish), "{}", row.case);
        assert_eq!(n, HOST_FINISH_FRAME_LEN);
        assert_eq!(
            session.capabilities(),
            row.host_capabilities & row.guest_capabilities
        );
        assert_eq!(session.session_id()[..], unhex(&row.session_id));
        exchange(
            session,
            &mut endpoint,
            &env,
            &row.frames(b'H'),
            &row.frames(b'G'),
        );
        assert!(endpoint.is_confirmed());
    }
}

#[test]
fn a_guest_writes_and_reads_the_golden_bytes() {
    for row in handshakes() {
        let inputs = row.inputs();
        let (key, env) = (
            GuestKey::from_seed(&inputs.guest_seed),
            machine(inputs.guest_mark),
        );
        let mut endpoint = guest_endpoint(&inputs);
        let mut out = [0; GUEST_HELLO_FRAME_MAX];
        let hello = unhex(&row.host_hello);
        let offer = endpoint
            .receive(&key, guest_options(&inputs), &env, &hello)
            .unwrap();
        assert_eq!(offer.capabilities(), row.host_capabilities);
        assert_eq!(offer.extensions(), inputs.host_extensions);
        let entropy = Entropy::new(inputs.guest_entropy);
        let (waiting, n) = offer
            .answer(&mut endpoint, entropy, &env, &mut out)
            .unwrap();
        assert_eq!(body(&out[..n]), unhex(&row.guest_hello), "{}", row.case);
        let longest = row.case == "every member at its largest";
        assert_eq!(n == GUEST_HELLO_FRAME_MAX, longest, "{}", row.case);

        let session = waiting
            .finish(&mut endpoint, &env, &unhex(&row.host_finish))
            .unwrap();
        let instance = InstanceId::new(&inputs.instance).unwrap();
        assert_eq!(
            endpoint.binding(),
            &Binding::Bound {
                instance,
                floor: inputs.generation
            }
        );
        assert_eq!(session.session_id()[..], unhex(&row.session_id));
        exchange(
            session,
            &mut endpoint,
            &env,
            &row.frames(b'G'),
            &row.frames(b'H'),
        );
    }
}

#[test]
fn refusals_are_the_golden_bytes_both_ways() {
    let row = &handshakes()[0];
    let inputs = row.inputs();
    let rows: Vec<RefusalRow> = rows("refusals.jsonl");
    assert_eq!(rows.len(), 8);
    for refused in rows {
        // What makes a real guest refuse for this reason; where no hello can, the error itself.
        let error = provoke(&refused.case, &inputs);
        let frame = refusal(&error).to_frame();
        assert_eq!(frame.len(), REFUSAL_FRAME_LEN);
        assert_eq!(body(&frame), unhex(&refused.body), "{}", refused.case);

        // What a host makes of the golden bytes.
        let (key, env) = (
            HostKey::from_seed(&inputs.host_seed),
            machine(inputs.host_mark),
        );
        let mut endpoint = host_endpoint(&inputs);
        let mut out = [0; HOST_HELLO_FRAME_MAX];
        let begin = |endpoint: &mut HostEndpoint, out: &mut [u8]| {
            let entropy = Entropy::new(inputs.host_entropy);
            endpoint
                .begin(&key, host_options(&inputs), entropy, &env, out)
                .unwrap()
                .0
        };
        let waiting = begin(&mut endpoint, &mut out);
        let Err(HandshakeError::Refused(read)) =
            waiting.receive(&mut endpoint, &env, &unhex(&refused.body))
        else {
            panic!("{}: not read as a refusal", refused.case);
        };
        assert_eq!(
            (read.code, read.min_version, read.max_version),
            (RefusalCode(refused.code), 3, 3)
        );
        assert!(read.code.hint().is_some(), "{}", refused.case);
        assert_eq!(read.to_frame(), frame);

        // Exactly four bytes.
        let longer = [&unhex(&refused.body)[..], &[0]].concat();
        let waiting = begin(&mut endpoint, &mut out);
        assert_eq!(
            waiting.receive(&mut endpoint, &env, &longer).err(),
            Some(HandshakeError::Malformed(DecodeError::TrailingBytes {
                count: 1
            }))
        );
        for shorter in 1..4 {
            let waiting = begin(&mut endpoint, &mut out);
            assert_eq!(
                waiting
                    .receive(&mut endpoint, &env, &unhex(&refused.body)[..shorter])
                    .err(),
                Some(HandshakeError::Malformed(DecodeError::UnexpectedEnd {
                    len: shorter
                }))
            );
        }
    }
}

/// The error of a guest, bound to the instance of `inputs` at generation 1, for each reason.
fn provoke(case: &str, inputs: &Inputs) -> HandshakeError {
    let mut sent = inputs.clone();
    sent.seen = 1;
    let mut endpoint = guest_endpoint(&sent);
    match case {
        "service" => sent.service = 1,
        "host" => sent.host_seed = [0x77; 32],
        "instance" => sent.instance = "i-ffffffff".into(),
        "generation" => sent.generation = 0,
        _ => {}
    }
    let mut hello = sent.transcript().host_hello;
    match case {
        "malformed" => hello.push(0),
        "version" => hello[..2].copy_from_slice(&[4, 9]),
        "suite" => hello[2] = 2,
        "busy" => return HandshakeError::TooManyServices,
        _ => {}
    }
    let key = GuestKey::from_seed(&inputs.guest_seed);
    endpoint
        .receive(&key, guest_options(inputs), &machine(None), &hello)
        .unwrap_err()
}

// ---- inputs that are in no file --------------------------------------------------------------

prop_compose! {
    fn any_inputs()(
        seeds in any::<([u8; 32], [u8; 32])>(),
        entropies in any::<([u8; 32], [u8; 32])>(),
        marks in any::<(Option<u64>, Option<u64>)>(),
        service in any::<u16>(),
        instance in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
        generation in prop_oneof![1..1000u64, 1..=u64::MAX],
        behind in prop_oneof![Just(0u64), any::<u64>()],
        capabilities in any::<(u32, u32)>(),
        host_extensions in proptest::collection::vec(any::<u8>(), 0..=128),
        guest_extensions in proptest::collection::vec(any::<u8>(), 0..=128),
    ) -> Inputs {
        Inputs {
            host_seed: seeds.0,
            guest_seed: seeds.1,
            host_entropy: entropies.0,
            guest_entropy: entropies.1,
            host_mark: marks.0,
            guest_mark: marks.1,
            service,
            instance,
            generation,
            seen: generation.saturating_sub(behind),
            host_capabilities: capabilities.0,
            guest_capabilities: capabilities.1,
            host_extensions,
            guest_extensions,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_handshake_is_byte_for_byte_the_protocols(
        inputs in any_inputs(),
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..6),
    ) {
        let transcript = inputs.transcript();
        let (host_key, guest_key) =
            (HostKey::from_seed(&inputs.host_seed), GuestKey::from_seed(&inputs.guest_seed));
        let (host_env, guest_env) = (machine(inputs.host_mark), machine(inputs.guest_mark));
        let (mut host, mut guest) = (host_endpoint(&inputs), guest_endpoint(&inputs));
        let (mut a, mut b) = ([0; 1024], [0; 1024]);

        let entropy = Entropy::new(inputs.host_entropy);
        let (waiting, n) = host.begin(&host_key, host_options(&inputs), entropy, &host_env, &mut a).unwrap();
        prop_assert_eq!(body(&a[..n]), &transcript.host_hello);
        let offer = guest.receive(&guest_key, guest_options(&inputs), &guest_env, body(&a[..n])).unwrap();
        let entropy = Entropy::new(inputs.guest_entropy);
        let (answered, n) = offer.answer(&mut guest, entropy, &guest_env, &mut b).unwrap();
        prop_assert_eq!(body(&b[..n]), &transcript.guest_hello);
        let Received::Verified(verified) = waiting.receive(&mut host, &host_env, body(&b[..n])).unwrap() else {
            panic!("the guest's key was pinned");
        };
        let (at_host, n) = verified.finish(&mut host, &host_env, &mut a).unwrap();
        prop_assert_eq!(body(&a[..n]), transcript.host_finish);
        let at_guest = answered.finish(&mut guest, &guest_env, body(&a[..n])).unwrap();

        let frames = |direction| all_frames(&transcript, direction, &payloads);
        exchange(at_host, &mut host, &host_env, &frames(b'H'), &frames(b'G'));
        exchange(at_guest, &mut guest, &guest_env, &frames(b'G'), &frames(b'H'));
    }
}

/// The payloads as data frames, and a close.
fn all_frames(
    transcript: &Transcript,
    direction: u8,
    payloads: &[Vec<u8>],
) -> Vec<(u8, Vec<u8>, Vec<u8>)> {
    let data = payloads.iter().map(|payload| (0, payload.clone()));
    let all = data.chain([(1, Vec::new())]).enumerate();
    all.map(|(sequence, (kind, payload))| {
        let body = transcript.frame(direction, kind, sequence as u64, &payload);
        (kind, payload, body)
    })
    .collect()
}

// ---- the largest ---------------------------------------------------------------------------

/// Both ends of the first golden handshake.
fn sessions<'k>(
    inputs: &Inputs,
    host_key: &'k HostKey,
    guest_key: &'k GuestKey,
) -> (
    HostEndpoint,
    HostSession<'k>,
    GuestEndpoint,
    GuestSession<'k>,
) {
    let transcript = inputs.transcript();
    let (host_env, guest_env) = (machine(inputs.host_mark), machine(inputs.guest_mark));
    let (mut host, mut guest) = (host_endpoint(inputs), guest_endpoint(inputs));
    let mut out = [0; 1024];
    let entropy = Entropy::new(inputs.host_entropy);
    let (waiting, _) = host
        .begin(host_key, host_options(inputs), entropy, &host_env, &mut out)
        .unwrap();
    let Received::Verified(verified) = waiting
        .receive(&mut host, &host_env, &transcript.guest_hello)
        .unwrap()
    else {
        panic!("the guest's key was pinned");
    };
    let (at_host, _) = verified.finish(&mut host, &host_env, &mut out).unwrap();
    let offer = guest
        .receive(
            guest_key,
            guest_options(inputs),
            &guest_env,
            &transcript.host_hello,
        )
        .unwrap();
    let entropy = Entropy::new(inputs.guest_entropy);
    let (answered, _) = offer
        .answer(&mut guest, entropy, &guest_env, &mut out)
        .unwrap();
    let at_guest = answered
        .finish(&mut guest, &guest_env, &transcript.host_finish)
        .unwrap();
    (host, at_host, guest, at_guest)
}

#[test]
fn the_longest_payload_goes_through_and_one_byte_more_does_not() {
    let inputs = handshakes()[0].inputs();
    let (host_key, guest_key) = (
        HostKey::from_seed(&inputs.host_seed),
        GuestKey::from_seed(&inputs.guest_seed),
    );
    let (host_env, guest_env) = (machine(inputs.host_mark), machine(inputs.guest_mark));
    let (host, mut at_host, mut guest, mut at_guest) = sessions(&inputs, &host_key, &guest_key);

    let payload: Vec<u8> = (0..PAYLOAD_MAX).map(|at| at as u8).collect();
    let mut out = vec![0; PAYLOAD_MAX + FRAME_OVERHEAD_MAX];
    let written = at_host.seal(&host, &host_env, &payload, &mut out).unwrap();
    assert_eq!(
        body(&out[..written]),
        inputs.transcript().frame(b'H', 0, 0, &payload)
    );
    assert!(written - 4 <= FRAME_BODY_MAX);
    let opened = at_guest.open(&mut guest, &guest_env, body(&out[..written]));
    assert_eq!(opened, Ok(Opened::Data(&payload)));

    let longer = [&payload[..], &[0]].concat();
    let error = SealError::PayloadTooLong {
        len: PAYLOAD_MAX + 1,
        max: PAYLOAD_MAX,
    };
    assert_eq!(
        at_host.seal(&host, &host_env, &longer, &mut out),
        Err(error)
    );

    // A receiver looks at the length and at nothing else.
    let body = vec![0; FRAME_BODY_MAX + 1];
    let error = OpenError::FrameTooLong {
        len: FRAME_BODY_MAX + 1,
        max: FRAME_BODY_MAX,
    };
    assert_eq!(at_guest.open(&mut guest, &guest_env, &body), Err(error));
}

#[test]
fn a_handshake_message_above_its_limit_is_refused_from_its_length() {
    let inputs = handshakes()[0].inputs();
    let transcript = inputs.transcript();
    let (host_key, guest_key) = (
        HostKey::from_seed(&inputs.host_seed),
        GuestKey::from_seed(&inputs.guest_seed),
    );
    let (host_env, guest_env) = (machine(inputs.host_mark), machine(inputs.guest_mark));
    let error = HandshakeError::TooLong {
        len: HANDSHAKE_BODY_MAX + 1,
        max: HANDSHAKE_BODY_MAX,
    };

    let mut hello = transcript.host_hello.clone();
    hello.resize(HANDSHAKE_BODY_MAX + 1, 0);
    let mut guest = guest_endpoint(&inputs);
    let result = guest.receive(&guest_key, guest_options(&inputs), &guest_env, &hello);
    assert_eq!(result.err(), Some(error));

    let mut hello = transcript.guest_hello.clone();
    hello.resize(HANDSHAKE_BODY_MAX + 1, 0);
    let mut host = host_endpoint(&inputs);
    let mut out = [0; HOST_HELLO_FRAME_MAX];
    let entropy = Entropy::new(inputs.host_entropy);
    let (waiting, _) = host
        .begin(
            &host_key,
            host_options(&inputs),
            entropy,
            &host_env,
            &mut out,
        )
        .unwrap();
    assert_eq!(
        waiting.receive(&mut host, &host_env, &hello).err(),
        Some(error)
    );

    // Extensions of 129 bytes fit the length and are refused all the same, on both sides.
    let long = Inputs {
        host_extensions: vec![0; 129],
        guest_extensions: vec![0; 129],
        ..inputs.clone()
    };
    let hello = long.transcript().host_hello;
    let result = guest.receive(&guest_key, guest_options(&inputs), &guest_env, &hello);
    assert!(
        matches!(result, Err(HandshakeError::Extensions(_))),
        "{result:?}"
    );
    let entropy = Entropy::new(inputs.host_entropy);
    let result = host.begin(&host_key, host_options(&long), entropy, &host_env, &mut out);
    assert!(matches!(result, Err(HandshakeError::Extensions(_))));
    let result = guest.receive(
        &guest_key,
        guest_options(&long),
        &guest_env,
        &transcript.host_hello,
    );
    assert!(
        matches!(result, Err(HandshakeError::Extensions(_))),
        "{result:?}"
    );
    let answer = Inputs {
        guest_extensions: vec![0; 129],
        ..inputs.clone()
    }
    .transcript()
    .guest_hello;
    let entropy = Entropy::new(inputs.host_entropy);
    let (waiting, _) = host
        .begin(
            &host_key,
            host_options(&inputs),
            entropy,
            &host_env,
            &mut out,
        )
        .unwrap();
    let result = waiting.receive(&mut host, &host_env, &answer);
    assert!(matches!(result, Err(HandshakeError::Extensions(_))));
}
