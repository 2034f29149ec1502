//! Golden bytes of every control message, both ways, and properties of their decoders. The bytes
//! were made by an encoder of a few lines in another language, from the layout in the
//! documentation of `mvm_core::guest`.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod guest_support;

use core::net::Ipv4Addr;

use guest_support::*;
use mvm_core::guest::*;
use mvm_core::instance::{InstanceNet, PrefixLen};
use mvm_core::limits::CONTROL_MESSAGE_MAX;
use mvm_core::naming::{HostOffset, InstanceId, TenantNetId};
use mvm_core::time::Timestamp;
use mvm_core::wire::codec::{Bytes, DecodeError};
use proptest::collection::vec;
use proptest::prelude::*;

fn bytes_from(first: u8) -> [u8; 32] {
    core::array::from_fn(|at| first + u8::try_from(at).unwrap())
}

fn net(net: u16, offset: u8, guest: [u8; 4], gateway: [u8; 4], prefix: u8) -> InstanceNet {
    InstanceNet::new(
        TenantNetId::new(net).unwrap(),
        HostOffset::new(offset).unwrap(),
        Ipv4Addr::from(guest),
        Ipv4Addr::from(gateway),
        PrefixLen::new(prefix).unwrap(),
    )
}

fn full_wake() -> Wake {
    Wake {
        generation: GENERATION,
        wall_clock: "2026-02-25T12:00:00.5Z".parse().unwrap(),
        entropy: SecretBytes::new(bytes_from(0x20)),
        identity: Some(instance()),
        network: Some(net(300, 5, [10, 241, 44, 5], [10, 241, 44, 1], 24)),
        new_guest_key: Some(SecretBytes::new(bytes_from(0x80))),
    }
}

/// (request, deadline, bytes)
fn requests() -> Vec<(Call<'static>, u32, &'static str)> {
    vec![
        (
            Call::Ping(Ping { nonce: u64::MAX }),
            u32::MAX,
            "01 FFFFFFFF0F 01 FFFFFFFFFFFFFFFFFF01",
        ),
        (Call::Status, 1000, "01 E807 02"),
        (
            Call::SleepPrep(SleepPrep {
                flush_deadline_ms: 1500,
                unbind: true,
            }),
            2000,
            "01 D00F 03 DC0B 01",
        ),
        (
            Call::Wake(full_wake()),
            5000,
            "01 8827 04 AC02 8091F7990D 80CAB5EE01 \
             202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F \
             01 0A 692D3031323361626364 \
             01 AC02 05 0AF12C05 0AF12C01 18 \
             01 808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9F",
        ),
        (
            Call::Wake(Wake {
                wall_clock: Timestamp::MIN,
                identity: None,
                network: None,
                new_guest_key: None,
                ..full_wake()
            }),
            5000,
            "01 8827 04 AC02 FFDB8FF9CE03 00 \
             202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F 00 00 00",
        ),
        (
            Call::Shutdown(Shutdown {
                grace_ms: 30_000,
                mode: ShutdownMode::Reboot,
            }),
            60_000,
            "01 E0D403 05 B0EA01 01",
        ),
        (
            Call::Extension(Extension {
                kind: 0x0100_0002,
                body: Bytes(b"hello"),
            }),
            1,
            "01 01 06 82808008 05 68656C6C6F",
        ),
    ]
}

fn status() -> Answer<'static> {
    let mut report = StatusReport::new(&Lifecycle::asleep(), 86_400_000);
    report.phase = Phase::RESTORING;
    report.generation = Some(300);
    for (name, state, since_ms) in [
        ("kernel", ComponentState::Ready, 86_399_000),
        ("sshd@1.service", ComponentState::Starting, 0),
        ("db", ComponentState::Failed { code: 111 }, 128),
        ("net", ComponentState::Unknown, u64::MAX),
    ] {
        let name = ComponentName::new(name).unwrap();
        let component = Component {
            name,
            state,
            since_ms,
        };
        report.components.push(component).unwrap();
    }
    Answer::Status(report)
}

/// (the request it answers, answer, bytes)
fn answers() -> Vec<(Call<'static>, Answer<'static>, &'static str)> {
    let steps = full_wake().steps();
    let mut report = WakeReport::new(steps);
    report.set(Step::Entropy, StepOutcome::Done);
    report.set(Step::Clock, StepOutcome::Done);
    report.set_clock_skew_ms(-270_000_123);
    report.set(Step::Identity, StepOutcome::Failed { code: 13 });
    report.set(Step::Network, StepOutcome::NotRequested);
    report.set(Step::Key, StepOutcome::Done);
    let mut calls = requests().into_iter().map(|(call, ..)| call);
    let mut next = || calls.next().unwrap();
    let (ping, get_status, sleep, wake, small_wake) = (next(), next(), next(), next(), next());
    let small_steps = match &small_wake {
        Call::Wake(wake) => wake.steps(),
        other => panic!("{other:?}"),
    };
    vec![
        (
            ping,
            Answer::Pong(Pong {
                nonce: u64::MAX,
                uptime_ms: 86_400_000,
            }),
            "01 01 00 FFFFFFFFFFFFFFFFFF01 80B89929",
        ),
        (
            get_status,
            status(),
            "01 02 00 03 01AC02 80B89929 04 \
             06 6B65726E656C 02 00 98B09929 \
             0E 7373686440312E73657276696365 01 00 00 \
             02 6462 03 6F 8001 \
             03 6E6574 00 00 FFFFFFFFFFFFFFFFFF01",
        ),
        (
            Call::Status,
            Answer::Status(StatusReport::new(&Lifecycle::booted(), 1)),
            "01 02 00 00 00 01 00",
        ),
        (sleep, Answer::SleepPrep, "01 03 00"),
        (
            wake,
            Answer::Wake(report),
            "01 04 00 01 00 01 00 01 F5FFBE8102 02 0D 00 00 01 00",
        ),
        (
            small_wake,
            Answer::Wake(WakeReport::new(small_steps)),
            "01 04 00 02 00 02 00 00 00 00 00 00 00 00",
        ),
        (next(), Answer::Shutdown, "01 05 00"),
        (
            next(),
            Answer::Extension(Bytes(&[0, 0xFF, 1])),
            "01 06 00 03 00FF01",
        ),
    ]
}

/// (failure, bytes of it as the answer to a ping)
fn failures() -> Vec<(Failure, &'static str)> {
    let rekey = |own| {
        let missing = Capabilities::REKEY;
        let negotiated = Negotiated::host(own, Capabilities::NONE);
        Failure::NotNegotiated(negotiated.require(missing).unwrap_err())
    };
    vec![
        (
            Failure::Unsupported {
                op: Op::from_code(65_535),
            },
            "01 01 01 FFFF03",
        ),
        (rekey(Capabilities::REKEY), "01 01 02 C080808010"),
        (rekey(Capabilities::NONE), "01 01 02 40"),
        (
            Failure::NotAwake {
                phase: Phase::ASLEEP,
            },
            "01 01 03 02",
        ),
        (Failure::Malformed, "01 01 04 00"),
        (
            Failure::WrongGeneration { session: u64::MAX },
            "01 01 05 FFFFFFFFFFFFFFFFFF01",
        ),
        (Failure::WrongIdentity, "01 01 06 00"),
        (Failure::DeadlineTooShort, "01 01 07 00"),
        (
            Failure::UnknownExtension { kind: u32::MAX },
            "01 01 08 FFFFFFFF0F",
        ),
        (Failure::Busy, "01 01 09 00"),
        (Failure::Failed { code: 110 }, "01 01 0A 6E"),
    ]
}

#[test]
fn requests_are_written_and_read_as_drawn() {
    let mut seen = Vec::new();
    for (call, deadline_ms, bytes) in requests() {
        let bytes = hex(bytes);
        assert_eq!(request(&call, deadline_ms), bytes, "{call:?}");
        let (mut lifecycle, mut dispatcher) = awake();
        match dispatcher.receive(&mut lifecycle, &bytes, 0).unwrap() {
            Incoming::Call(got, responder) => {
                assert_eq!(got, call);
                assert_eq!(responder.id().get(), 1);
                assert_eq!(responder.remaining_ms(0), u64::from(deadline_ms));
            }
            other => panic!("{other:?}"),
        }
        seen.push(call.op().code());
    }
    assert_eq!(seen, [1, 2, 3, 4, 4, 5, 6]);
}

#[test]
fn answers_are_written_and_read_as_drawn() {
    let mut seen = Vec::new();
    for (call, answer, bytes) in answers() {
        let bytes = hex(bytes);
        let (mut lifecycle, mut dispatcher) = awake();
        let mut calls = Calls::<1>::new(everything().0);
        let mut out = [0; 1024];
        let (id, len) = calls.begin(&call, 9000, 0, &mut out).unwrap();
        let responder = accepted(&mut lifecycle, &mut dispatcher, &out[..len], 0);
        let written = responder
            .answer(&mut lifecycle, &answer, 0, &mut out)
            .unwrap();
        assert_eq!(out[..written.len], bytes, "{answer:?}");
        let completed = calls.accept(&bytes, 5).unwrap();
        assert_eq!((completed.id, completed.took_ms), (id, 5));
        assert_eq!(completed.outcome, Ok(answer));
        seen.push(call.op().code());
    }
    assert_eq!(seen, [1, 2, 2, 3, 4, 4, 5, 6]);
}

#[test]
fn failures_are_written_and_read_as_drawn() {
    let mut seen = 0;
    for (failure, bytes) in failures() {
        let bytes = hex(bytes);
        let (mut lifecycle, mut dispatcher) = awake();
        let mut calls = Calls::<1>::new(everything().0);
        let mut out = [0; 64];
        let ping = Call::Ping(Ping { nonce: 0 });
        let (_, len) = calls.begin(&ping, 100, 0, &mut out).unwrap();
        let responder = accepted(&mut lifecycle, &mut dispatcher, &out[..len], 0);
        let len = responder
            .fail(&mut lifecycle, failure, 0, &mut out)
            .unwrap();
        assert_eq!(out[..len], bytes, "{failure:?}");
        assert_eq!(calls.accept(&bytes, 0).unwrap().outcome, Err(failure));
        seen += 1;
    }
    assert_eq!(seen, 11);
}

#[test]
fn a_failure_of_a_later_version_is_kept() {
    let mut calls = Calls::<1>::new(everything().0);
    let mut out = [0; 64];
    calls.begin(&Call::Status, 100, 0, &mut out).unwrap();
    let newer = hex("01 02 E707 8001");
    match calls.accept(&newer, 0).unwrap().outcome {
        Err(failure @ Failure::Other(other)) => {
            assert_eq!((other.code(), other.detail()), (999, 128));
            assert_eq!(failure.upgrade(), Some(Side::Host));
        }
        other => panic!("{other:?}"),
    }
}

/// What a host may do with a request of another shape: nothing is read as something else.
#[test]
fn other_shapes_are_refused() {
    let (mut cut, mut longer, mut lengths) = (0, 0, 0);
    for (call, _, bytes) in requests() {
        let bytes = hex(bytes);
        lengths += bytes.len();
        for len in 0..bytes.len() {
            let (mut lifecycle, mut dispatcher) = awake();
            match dispatcher.receive(&mut lifecycle, &bytes[..len], 0) {
                Err(DispatchError::Envelope(_)) => cut += 1,
                Ok(Incoming::Refused(refusal)) => {
                    assert_eq!(refusal.failure(), Failure::Malformed);
                    cut += 1;
                }
                other => panic!("{len} bytes of {call:?}: {other:?}"),
            }
            assert!(lifecycle.is_awake());
        }
        let (mut lifecycle, mut dispatcher) = awake();
        let (failure, _) = refused(
            &mut lifecycle,
            &mut dispatcher,
            &[&bytes[..], &[0]].concat(),
        );
        assert_eq!(failure, Failure::Malformed, "{call:?}");
        longer += 1;
    }
    assert_eq!((cut, longer), (lengths, 7));
}

/// Its low 32 bits are the length of what follows.
#[test]
fn a_length_above_32_bits_is_not_cut_down() {
    let good = hex("01 01 06 82808008 05 68656C6C6F");
    let long = hex("01 01 06 82808008 8580808010 68656C6C6F");
    let (mut lifecycle, mut dispatcher) = awake();
    let (failure, _) = refused(&mut lifecycle, &mut dispatcher, &long);
    assert_eq!(failure, Failure::Malformed);
    let (mut lifecycle, mut dispatcher) = awake();
    let call = Call::Extension(Extension {
        kind: 0x0100_0002,
        body: Bytes(b"hello"),
    });
    match dispatcher.receive(&mut lifecycle, &good, 0) {
        Ok(Incoming::Call(read, _)) => assert_eq!(read, call),
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_of_other_shapes_end_the_session() {
    let (mut seen, mut expected) = (0, 0);
    for (call, answer, bytes) in answers() {
        let bytes = hex(bytes);
        expected += bytes.len() + 1;
        let mut changed: Vec<Vec<u8>> = (0..bytes.len()).map(|len| bytes[..len].to_vec()).collect();
        changed.push([&bytes[..], &[0]].concat());
        for payload in changed {
            let mut calls = Calls::<1>::new(everything().0);
            let mut out = [0; 1024];
            calls.begin(&call, 9000, 0, &mut out).unwrap();
            let error = calls.accept(&payload, 0).unwrap_err();
            assert!(
                matches!(error, CallError::Envelope(_) | CallError::Body { .. }),
                "{answer:?}: {error:?}"
            );
            seen += 1;
        }
    }
    assert_eq!((seen, answers().len()), (expected, 8));
}

#[test]
fn values_that_a_message_cannot_have_are_refused() {
    let requests = [
        ("padded head", "8100 64 02"),
        ("padded deadline", "01 E480 00 02"),
        ("padded nonce", "01 64 01 8700"),
        ("unbind is neither 0 nor 1", "01 64 03 01 02"),
        ("no such mode", "01 64 05 01 03"),
        ("length above the bytes", "01 64 06 01 05 00"),
    ];
    let mut seen = 0;
    for (what, bytes) in requests {
        let (mut lifecycle, mut dispatcher) = awake();
        match dispatcher.receive(&mut lifecycle, &hex(bytes), 0) {
            Err(DispatchError::Envelope(EnvelopeError::Malformed(DecodeError::NonCanonical {
                ..
            }))) => assert!(what.starts_with("padded"), "{what}"),
            Ok(Incoming::Refused(refusal)) => {
                assert_eq!(refusal.failure(), Failure::Malformed, "{what}");
            }
            other => panic!("{what}: {other:?}"),
        }
        seen += 1;
    }
    let answers = [
        (Call::Status, "01 02 00 00 02 01 00"), // generation is neither there nor not
        (Call::Status, "01 02 00 00 00 01 01 01 20 02 00 00"), // name with a space
        (Call::Status, "01 02 00 00 00 01 01 00 02 00 00"), // empty name
        (Call::Status, "01 02 00 00 00 01 01 02 C3A9 02 00 00"), // é
        (Call::Status, "01 02 00 00 00 01 01 01 61 02 07 00"), // ready, with a detail
        (Call::Status, "01 02 04 01"),          // a failure without detail, with one
        (Call::Status, "01 02 00 00 00 01 11"), // 17 components
        (
            Call::Wake(full_wake()),
            "01 04 00 01 01 01 00 00 00 00 00 00 00 00",
        ), // done, detail
    ];
    for (call, bytes) in answers {
        let mut calls = Calls::<1>::new(everything().0);
        let mut out = [0; 1024];
        let (id, _) = calls.begin(&call, 9000, 0, &mut out).unwrap();
        match calls.accept(&hex(bytes), 0) {
            Err(CallError::Body { id: of, .. }) => assert_eq!(of, id),
            other => panic!("{bytes}: {other:?}"),
        }
        seen += 1;
    }
    assert_eq!(seen, 14);
}

#[test]
fn a_seventeenth_component_is_refused_although_its_bytes_are_there() {
    for (count, fits) in [(16_u8, true), (17, false)] {
        let mut bytes = hex("01 02 00 00 00 01");
        bytes.push(count);
        for _ in 0..count {
            bytes.extend(hex("01 61 02 00 00"));
        }
        let mut calls = Calls::<1>::new(everything().0);
        let mut out = [0; 64];
        calls.begin(&Call::Status, 9000, 0, &mut out).unwrap();
        assert_eq!(calls.accept(&bytes, 0).is_ok(), fits);
    }
}

#[test]
fn codes_of_later_versions_are_kept_in_a_status() {
    let bytes = hex("01 02 00 7F 00 01 01 01 61 09 07 00");
    let mut calls = Calls::<1>::new(everything().0);
    let mut out = [0; 64];
    calls.begin(&Call::Status, 9000, 0, &mut out).unwrap();
    let completed = calls.accept(&bytes, 0).unwrap();
    let Ok(Answer::Status(report)) = &completed.outcome else {
        panic!("{completed:?}");
    };
    assert_eq!(report.phase, Phase::from_code(127));
    match report.components.as_slice() {
        [
            Component {
                state: ComponentState::Other(other),
                ..
            },
        ] => assert_eq!((other.code(), other.detail()), (9, 7)),
        other => panic!("{other:?}"),
    }
    assert!(!report.is_ready());
}

#[test]
fn the_longest_message_fits_and_one_byte_more_does_not() {
    let body = vec![7; CONTROL_MESSAGE_MAX];
    let call = |len: usize| {
        Call::Extension(Extension {
            kind: 1,
            body: Bytes(&body[..len]),
        })
    };
    // Head 3, kind 1, length 3.
    let longest = CONTROL_MESSAGE_MAX - 7;
    let mut out = vec![0; CONTROL_MESSAGE_MAX + 100];
    let mut calls = Calls::<2>::new(everything().0);
    assert!(matches!(
        calls.begin(&call(longest + 1), 9, 0, &mut out),
        Err(BeginError::Encode(_))
    ));
    assert_eq!(calls.in_flight(), 0);
    let (_, len) = calls.begin(&call(longest), 9, 0, &mut out).unwrap();
    assert_eq!(len, CONTROL_MESSAGE_MAX);

    let (mut lifecycle, mut dispatcher) = awake();
    let too_long = DispatchError::Envelope(EnvelopeError::TooLong {
        len: len + 1,
        max: CONTROL_MESSAGE_MAX,
    });
    let error = dispatcher.receive(&mut lifecycle, &out[..len + 1], 0);
    assert_eq!(error.unwrap_err(), too_long);
    let (mut lifecycle, mut dispatcher) = awake();
    let _ = accepted(&mut lifecycle, &mut dispatcher, &out[..len], 0);
}

fn wakes() -> impl Strategy<Value = Wake> {
    let instance = "[a-z0-9]{1,20}".prop_map(|id| InstanceId::new(&id).unwrap());
    let network = (
        0_u16..4096,
        1_u8..=254,
        any::<[u8; 4]>(),
        any::<[u8; 4]>(),
        0_u8..=32,
    )
        .prop_map(|(n, offset, guest, gateway, prefix)| net(n, offset, guest, gateway, prefix));
    (
        any::<u64>(),
        (-62_135_596_800_i64..=253_402_300_799, 0_u32..1_000_000_000),
        any::<[u8; 32]>(),
        proptest::option::of(instance),
        proptest::option::of(network),
        proptest::option::of(any::<[u8; 32]>()),
    )
        .prop_map(
            |(generation, (seconds, nanos), entropy, identity, network, key)| Wake {
                generation,
                wall_clock: Timestamp::new(seconds, nanos).unwrap(),
                entropy: SecretBytes::new(entropy),
                identity,
                network,
                new_guest_key: key.map(SecretBytes::new),
            },
        )
}

proptest! {
    #[test]
    fn wakes_come_back(wake in wakes()) {
        let call = Call::Wake(wake);
        let bytes = request(&call, 1);
        let request = Request::decode(&bytes).unwrap();
        prop_assert_eq!(Call::decode(request.op, request.body), Ok(Some(call)));
    }

    #[test]
    fn statuses_come_back(
        phase: u8,
        generation: Option<u64>,
        uptime: u64,
        components in vec(("[!-~]{1,32}", any::<(u8, u32)>(), any::<u64>()), 0..=16),
    ) {
        let mut report = StatusReport::new(&Lifecycle::booted(), uptime);
        report.phase = Phase::from_code(phase);
        report.generation = generation;
        for (name, state, since_ms) in &components {
            report.components.push(Component {
                name: ComponentName::new(name).unwrap(),
                state: ComponentState::from(*state),
                since_ms: *since_ms,
            }).unwrap();
        }
        let (mut lifecycle, mut dispatcher) = awake();
        let status = request(&Call::Status, 9);
        let responder = accepted(&mut lifecycle, &mut dispatcher, &status, 0);
        let mut out = [0; 2048];
        let answer = Answer::Status(report);
        let written = responder.answer(&mut lifecycle, &answer, 0, &mut out).unwrap();
        let response = Response::decode(&out[..written.len]).unwrap();
        prop_assert_eq!(Answer::decode(response.op, response.body), Ok(Some(answer)));
    }

    #[test]
    fn small_messages_come_back(
        nonce: u64,
        flush_deadline_ms in 0..u32::MAX,
        unbind: bool,
        kind: u32,
        body in vec(any::<u8>(), 0..200),
    ) {
        let calls = [
            Call::Ping(Ping { nonce }),
            Call::SleepPrep(SleepPrep { flush_deadline_ms, unbind }),
            Call::Shutdown(Shutdown { grace_ms: kind, mode: ShutdownMode::Halt }),
            Call::Extension(Extension { kind, body: Bytes(&body) }),
        ];
        for call in calls {
            let bytes = request(&call, u32::MAX);
            let request = Request::decode(&bytes).unwrap();
            prop_assert_eq!(Call::decode(request.op, request.body), Ok(Some(call)));
        }
    }

    /// Neither side panics; and what the guest carries out is what a host would have written.
    #[test]
    fn arbitrary_requests(head in 0_u8..3, deadline: u8, op in 0_u8..8, body in vec(any::<u8>(), 0..60)) {
        let payload = [&[head, deadline, op], &body[..]].concat();
        let (mut lifecycle, mut dispatcher) = awake();
        if let Ok(Incoming::Call(call, responder)) =
            dispatcher.receive(&mut lifecycle, &payload, 0)
            && responder.id().get() == 1
        {
            let deadline_ms = u32::try_from(responder.remaining_ms(0)).unwrap();
            prop_assert_eq!(request(&call, deadline_ms), payload);
        }
    }

    #[test]
    fn arbitrary_answers(which in 0_usize..7, outcome in 0_u8..12, body in vec(any::<u8>(), 0..60)) {
        let (call, ..) = requests().swap_remove(which);
        let op = u8::try_from(call.op().code()).unwrap();
        let payload = [&[1, op, outcome], &body[..]].concat();
        let mut calls = Calls::<1>::new(everything().0);
        let mut out = [0; 1024];
        calls.begin(&call, 9000, 0, &mut out).unwrap();
        if let Ok(Completed { outcome: Ok(answer), .. }) = calls.accept(&payload, 0) {
            let (mut lifecycle, mut dispatcher) = awake();
            let request = request(&call, 9000);
            let responder = accepted(&mut lifecycle, &mut dispatcher, &request, 0);
            let written = responder.answer(&mut lifecycle, &answer, 0, &mut out).unwrap();
            prop_assert_eq!(&out[..written.len], &payload);
        }
    }

    #[test]
    fn arbitrary_payloads(payload in vec(any::<u8>(), 0..200)) {
        let (mut lifecycle, mut dispatcher) = awake();
        let _ = dispatcher.receive(&mut lifecycle, &payload, 0);
        let mut calls = Calls::<1>::new(everything().0);
        let mut out = [0; 64];
        calls.begin(&Call::Status, 9000, 0, &mut out).unwrap();
        let accepted = calls.accept(&payload, 0).is_ok();
        prop_assert_eq!(accepted, calls.check(0).is_ok());
    }
}
