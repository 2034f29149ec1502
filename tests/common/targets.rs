//! One function for each decoder that reads bytes from somebody else. It takes any bytes and
//! panics if the decoder breaks its contract: it neither panics nor looks past its limit, and what
//! it accepts is the one encoding of what it gives.
//!
//! `tests/decoders.rs` runs them on arbitrary and on mutated bytes, the fuzz crate under libFuzzer.
//! Needs `reference.rs` beside it, as a module of the same parent.
#![allow(dead_code, reason = "each user of these takes a part")]

use std::fmt::Debug;

use mvm_core::agent::DesiredState;
use mvm_core::agent::admission::{
    Admission, AdmissionError, LastAdmitted, TimedState, accept_unsigned_for_development,
};
use mvm_core::audit::{Finding, KnownHead, Report, Sidecar, Verifier};
use mvm_core::document::{Document as Whole, Invalid, Position};
use mvm_core::guest::{
    Answer, Call, Calls, Capabilities, Component, Components, Dispatcher, Failure, Incoming,
    Lifecycle, Negotiated, Ping, Pong, Request, Response, Shutdown, SleepPrep, StatusReport, Wake,
    WakeReport,
};
use mvm_core::idle_metrics::IdleMetrics;
use mvm_core::instance::{InstanceNet, InstanceState, InstanceStatus};
use mvm_core::limits::{FLAKE_REF_MAX, FRAME_HEADER_LEN, HOSTD_FRAME_MAX, TIMESTAMP_TEXT_MAX};
use mvm_core::naming::{
    BridgeName, FlakeRef, HostOffset, InstanceId, InstancePath, MacAddr, NodeId, PoolId, PoolPath,
    RevisionHash, ShortName, SignerId, TapName, TemplateId, TenantId, TenantNetId, VmName,
    parse_instance_path, parse_pool_path, validate_flake_ref,
};
use mvm_core::protocol::{
    ClientHandshake, ClientSession, Frames, HostdAnswer, HostdRequest, HostdResponse,
    Incoming as HostdIncoming, Opened as HostdOpened, ReceiveError, Received as HostdReceived,
    ServerHello, ServerSession, Versions,
};
use mvm_core::secret_binding::SecretBinding;
use mvm_core::session::*;
use mvm_core::signing::{
    Document, DocumentKey, DocumentPublicKey, Guest, Host, PublicKey, SecretKey, Signature,
    SignedDocument, SignedPayload, TrustedKey, Usage,
};
use mvm_core::time::Timestamp;
use mvm_core::wire::codec::{self, Bytes};
use mvm_core::wire::connect::{ConnectError, ConnectLine, OkLine};
use mvm_core::wire::frame::{FrameDecoder, FrameError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::reference::{Inputs, Transcript};

/// A decoder under test.
pub(crate) type Target = fn(&[u8]);

/// All of them, by name.
pub(crate) const TARGETS: [(&str, Target); 23] = [
    ("frame_decoder", frame_decoder),
    ("connect_line", connect_line),
    ("host_hello", host_hello),
    ("guest_hello", guest_hello),
    ("host_finish", host_finish),
    ("session_frame", session_frame),
    ("guest_request", guest_request),
    ("guest_response", guest_response),
    ("signed_payload_postcard", signed_payload_postcard),
    ("signed_document_json", signed_document_json),
    ("names", names),
    ("flake_ref", flake_ref),
    ("timestamp", timestamp),
    ("key_text", key_text),
    ("instance_state_json", instance_state_json),
    ("documents", documents),
    ("admission", admission),
    ("secret_binding_text", secret_binding_text),
    ("hostd_server", hostd_server),
    ("hostd_client", hostd_client),
    ("instance_paths", instance_paths),
    ("wire_values", wire_values),
    ("audit_log", audit_log),
];

// ---- audit logs ------------------------------------------------------------------------------

/// The first byte chooses the size of reads; 0xff ends a file.
pub(crate) fn audit_log(data: &[u8]) {
    if let Ok(sidecar) = Sidecar::from_bytes(data) {
        assert_eq!(sidecar.to_bytes(), data);
    }
    let Some((step, log)) = data.split_first() else {
        return;
    };
    let files: Vec<&[u8]> = log.split(|byte| *byte == 0xff).collect();
    let whole = verify_audit(&files, usize::MAX);
    assert_eq!(verify_audit(&files, usize::from(*step) + 1), whole);
    let (findings, report) = whole;
    assert_eq!(report.findings, findings.len() as u64);
    let lines = log.iter().filter(|byte| **byte == b'\n').count() as u64;
    // A line that was fused with a record is counted beside it.
    assert!((lines..=2 * lines).contains(&(report.records + report.unchained)));
    assert!(report.uncovered <= report.unchained);
    // Every finding is about a line that is there, or about the end.
    for finding in &findings {
        assert!(finding.place.file <= files.len());
        assert!(finding.place.line <= lines + 1);
    }
    if report.findings == 0
        && let Some(last) = report.last
    {
        let mut verifier = Verifier::new();
        let known: KnownHead = last.known().to_string().parse().expect("its own text");
        verifier.expect(known);
        for file in &files {
            verifier.feed(file, &mut |_| panic!("nothing was found before"));
            verifier.end_file(&mut |_| panic!("nothing was found before"));
        }
        assert!(verifier.finish(&mut |_| {}).is_ok());
    }
}

fn verify_audit(files: &[&[u8]], step: usize) -> (Vec<Finding>, Report) {
    let (mut verifier, mut findings) = (Verifier::new(), Vec::new());
    let mut found = |finding| findings.push(finding);
    for file in files {
        for piece in file.chunks(step) {
            verifier.feed(piece, &mut found);
        }
        verifier.end_file(&mut found);
    }
    let report = verifier.finish(&mut found);
    (findings, report)
}

// ---- framing ---------------------------------------------------------------------------------

/// Three bytes choose limit, capacity and size of reads; the rest is the stream.
pub(crate) fn frame_decoder(data: &[u8]) {
    let Some(([limit, capacity, step], stream)) = data.split_first_chunk::<3>() else {
        return;
    };
    let (limit, step) = (usize::from(*limit), usize::from(*step) + 1);
    let capacity = usize::from(*capacity) + FRAME_HEADER_LEN;
    assert_eq!(
        read_frames(stream, step, capacity, limit),
        all_frames(stream, capacity, limit)
    );
}

type Bodies = (Vec<Vec<u8>>, Result<(), FrameError>);

/// The decoder, as a program uses it.
fn read_frames(mut stream: &[u8], step: usize, capacity: usize, limit: usize) -> Bodies {
    let mut buffer = vec![0x55; capacity];
    let mut decoder = FrameDecoder::new(&mut buffer, limit);
    let mut bodies = Vec::new();
    loop {
        loop {
            match decoder.next_body() {
                Ok(Some(body)) => bodies.push(body.to_vec()),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next_body(), Err(error), "an error does not last");
                    assert!(decoder.space().is_empty());
                    return (bodies, Err(error));
                }
            }
        }
        let space = decoder.space();
        assert!(!space.is_empty(), "no room although nothing is complete");
        let n = stream.len().min(step).min(space.len());
        if n == 0 {
            return (bodies, decoder.finish());
        }
        let (now, later) = stream.split_at(n);
        space[..n].copy_from_slice(now);
        decoder.advance(n);
        stream = later;
    }
}

/// The same from the whole stream at once.
fn all_frames(mut stream: &[u8], capacity: usize, limit: usize) -> Bodies {
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

/// Both lines, at every amount of bytes that may have arrived.
pub(crate) fn connect_line(data: &[u8]) {
    type Parsed = Result<Option<(Vec<u8>, usize)>, ConnectError>;
    fn check(data: &[u8], max: usize, parse: impl Fn(&[u8]) -> Parsed) {
        let whole = parse(data);
        let within = &data[..data.len().min(max)];
        assert_eq!(parse(within), whole, "looks behind the longest line");
        match &whole {
            Ok(Some((line, len))) => assert_eq!(line, &data[..*len], "not the one way to write it"),
            Ok(None) => assert!(data.len() < max, "waits for more than the longest line"),
            Err(_) => {}
        }
        // Once the answer is certain it stays the same, and before that it is `None`.
        for end in 0..within.len() {
            let part = parse(&data[..end]);
            assert!(
                part == Ok(None) || part == whole,
                "{end}: {part:?} became {whole:?}"
            );
        }
    }
    check(data, ConnectLine::MAX_LEN, |bytes| {
        let parsed = ConnectLine::parse(bytes)?;
        Ok(parsed.map(|(line, len)| (line.encode(&mut [0; ConnectLine::MAX_LEN]).to_vec(), len)))
    });
    check(data, OkLine::MAX_LEN, |bytes| {
        let parsed = OkLine::parse(bytes)?;
        Ok(parsed.map(|(line, len)| (line.encode(&mut [0; OkLine::MAX_LEN]).to_vec(), len)))
    });
}

// ---- session ---------------------------------------------------------------------------------

/// What the sessions below are made of: the first row of the golden handshakes.
pub(crate) fn fixture() -> Inputs {
    Inputs {
        host_seed: [1; 32],
        guest_seed: [2; 32],
        host_entropy: [3; 32],
        guest_entropy: [4; 32],
        host_mark: Some(7),
        guest_mark: Some(9),
        service: 5252,
        instance: "i-0a1b2c3d".into(),
        generation: 1,
        seen: 0,
        host_capabilities: 7,
        guest_capabilities: 5,
        host_extensions: Vec::new(),
        guest_extensions: Vec::new(),
    }
}

struct Machine(u64);

impl Environment for Machine {
    fn mark(&self) -> Mark {
        Mark::Changing(self.0)
    }
    fn monotonic_millis(&self) -> u64 {
        0
    }
}

const AT_HOST: Machine = Machine(7);
const AT_GUEST: Machine = Machine(9);

/// Keys and the messages of the fixture, made once.
struct Fixture {
    host: HostKey,
    guest: GuestKey,
    transcript: Transcript,
}

fn with_fixture<T>(run: impl FnOnce(&Fixture) -> T) -> T {
    thread_local! {
        static FIXTURE: Fixture = {
            let inputs = fixture();
            Fixture {
                host: HostKey::from_seed(&inputs.host_seed),
                guest: GuestKey::from_seed(&inputs.guest_seed),
                transcript: inputs.transcript(),
            }
        };
    }
    FIXTURE.with(run)
}

impl Fixture {
    fn host(&self) -> (HostEndpoint, HostAwaitingGuest<'_>) {
        let instance = InstanceId::new("i-0a1b2c3d").unwrap();
        let mut endpoint =
            HostEndpoint::new(instance, 1, GuestTrust::pinned(self.guest.public())).unwrap();
        let options = HostOptions {
            service: 5252,
            capabilities: 7,
            extensions: &[],
            lifetime_ms: 1000,
        };
        let mut out = [0; HOST_HELLO_FRAME_MAX];
        let (waiting, written) = endpoint
            .begin(
                &self.host,
                options,
                Entropy::new([3; 32]),
                &AT_HOST,
                &mut out,
            )
            .unwrap();
        assert_eq!(out[4..written], self.transcript.host_hello);
        (endpoint, waiting)
    }

    fn guest(&self) -> GuestEndpoint {
        let mut trust = TrustedHosts::new();
        trust.insert(TrustedHost::new(self.host.public())).unwrap();
        GuestEndpoint::new(trust)
    }

    fn awaiting_finish(&self) -> (GuestEndpoint, GuestAwaitingFinish<'_>) {
        let mut endpoint = self.guest();
        let offer = endpoint
            .receive(&self.guest, GUEST, &AT_GUEST, &self.transcript.host_hello)
            .unwrap();
        let mut out = [0; GUEST_HELLO_FRAME_MAX];
        let (waiting, _) = offer
            .answer(&mut endpoint, Entropy::new([4; 32]), &AT_GUEST, &mut out)
            .unwrap();
        (endpoint, waiting)
    }
}

const GUEST: GuestOptions<'static> = GuestOptions {
    service: 5252,
    capabilities: 5,
    extensions: &[],
    lifetime_ms: 1000,
};

/// A hello is not signed: a guest may answer a changed one. The host then refuses the answer.
pub(crate) fn host_hello(data: &[u8]) {
    with_fixture(|fixture| {
        let mut endpoint = fixture.guest();
        let offer = match endpoint.receive(&fixture.guest, GUEST, &AT_GUEST, data) {
            Ok(offer) => offer,
            Err(error) => {
                assert_ne!(data, fixture.transcript.host_hello, "{error}");
                assert_eq!(refusal(&error).to_frame()[..5], [0, 0, 0, 4, 0]);
                return;
            }
        };
        let mut out = [0; GUEST_HELLO_FRAME_MAX];
        let (_, written) = offer
            .answer(&mut endpoint, Entropy::new([4; 32]), &AT_GUEST, &mut out)
            .unwrap();
        assert_eq!(
            endpoint.binding(),
            &Binding::Unbound,
            "a hello alone binds nobody"
        );
        let (mut host, waiting) = fixture.host();
        let result = waiting.receive(&mut host, &AT_HOST, &out[4..written]);
        assert_eq!(
            result.is_ok(),
            data == fixture.transcript.host_hello,
            "{:?}",
            result.err()
        );
    });
}

/// Only the one answer of the one guest is accepted.
pub(crate) fn guest_hello(data: &[u8]) {
    with_fixture(|fixture| {
        let (mut endpoint, waiting) = fixture.host();
        let result = waiting.receive(&mut endpoint, &AT_HOST, data);
        assert_eq!(
            result.is_ok(),
            data == fixture.transcript.guest_hello,
            "{:?}",
            result.err()
        );
        assert!(!endpoint.is_confirmed());
    });
}

/// Only the one proof of the one host is accepted, and only that binds the guest.
pub(crate) fn host_finish(data: &[u8]) {
    with_fixture(|fixture| {
        let (mut endpoint, waiting) = fixture.awaiting_finish();
        let result = waiting.finish(&mut endpoint, &AT_GUEST, data);
        let golden = data == fixture.transcript.host_finish;
        assert_eq!(result.is_ok(), golden, "{:?}", result.err());
        assert_eq!(endpoint.binding() != &Binding::Unbound, golden);
    });
}

/// Only a first frame of the host is accepted, and what was not accepted ends the session.
pub(crate) fn session_frame(data: &[u8]) {
    with_fixture(|fixture| {
        let (mut endpoint, waiting) = fixture.awaiting_finish();
        let mut session = waiting
            .finish(&mut endpoint, &AT_GUEST, &fixture.transcript.host_finish)
            .unwrap();
        match session.open(&mut endpoint, &AT_GUEST, data) {
            Ok(opened) => {
                let (kind, payload) = match opened {
                    Opened::Data(payload) => (0, payload),
                    Opened::Closed => (1, &[][..]),
                    other => panic!("{other:?}"),
                };
                assert_eq!(fixture.transcript.frame(b'H', kind, 0, payload), data);
                assert_eq!(session.frames(), (0, 1));
            }
            Err(_) => {
                assert_eq!(session.check(&endpoint, &AT_GUEST), Err(Ended::Poisoned));
                let good = fixture.transcript.frame(b'H', 0, 0, b"");
                let after = session.open(&mut endpoint, &AT_GUEST, &good);
                assert_eq!(after, Err(OpenError::Ended(Ended::Poisoned)));
                assert_eq!(session.frames(), (0, 0));
            }
        }
    });
}

// ---- guest -----------------------------------------------------------------------------------

fn everything() -> Negotiated {
    let all = Capabilities::from_bits(u32::MAX);
    Negotiated::guest(all, all)
}

/// The payload of a frame, as a guest reads it.
pub(crate) fn guest_request(data: &[u8]) {
    let mut lifecycle = Lifecycle::booted();
    let instance = InstanceId::new("i-0a1b2c3d").unwrap();
    let mut dispatcher = Dispatcher::new(&mut lifecycle, everything(), instance, 1);
    let mut out = [0; 4096];
    match dispatcher.receive(&mut lifecycle, data, 0) {
        Ok(Incoming::Call(call, responder)) => {
            assert!(Request::decode(data).is_ok_and(|request| request.op == call.op()));
            let written = responder.fail(&mut lifecycle, Failure::Busy, 0, &mut out);
            assert!(written.is_ok_and(|len| Response::decode(&out[..len]).unwrap().outcome != 0));
        }
        Ok(Incoming::Refused(refusal)) => {
            let len = refusal.encode(&mut out).unwrap();
            assert_ne!(Response::decode(&out[..len]).unwrap().outcome, 0);
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => {
            let after = dispatcher.receive(&mut lifecycle, data, 0);
            assert_eq!(after.err(), Some(error), "an error does not last");
        }
    }

    let Ok(request) = Request::decode(data) else {
        return;
    };
    let head = (
        request.id.get(),
        request.deadline_ms,
        u32::from(request.op.code()),
    );
    let written = codec::encode(&head, &mut out).unwrap();
    assert_eq!([&out[..written], request.body].concat(), data);
    let Ok(Some(call)) = Call::decode(request.op, request.body) else {
        return;
    };
    let mut buffer = vec![0; data.len() + 16];
    if let Ok((_, len)) =
        Calls::<1>::new(everything()).begin(&call, request.deadline_ms, 0, &mut buffer)
    {
        assert_eq!(Request::decode(&buffer[..len]).unwrap().body, request.body);
    }
}

/// The payload of a frame, as a host reads it.
pub(crate) fn guest_response(data: &[u8]) {
    let calls: [Call<'static>; 3] = [
        Call::Ping(Ping { nonce: 7 }),
        Call::Status,
        Call::Shutdown(Shutdown {
            grace_ms: 0,
            mode: mvm_core::guest::ShutdownMode::Halt,
        }),
    ];
    for call in calls {
        let mut calls = Calls::<1>::new(everything());
        let (id, _) = calls.begin(&call, 1000, 0, &mut [0; 64]).unwrap();
        match calls.accept(data, 5) {
            Ok(completed) => {
                assert_eq!(
                    (completed.id, completed.took_ms, calls.in_flight()),
                    (id, 5, 0)
                );
                assert!(calls.accept(data, 5).is_err(), "an answer counts once");
            }
            Err(error) => assert_eq!(
                calls.accept(data, 5).err(),
                Some(error),
                "an error does not last"
            ),
        }
    }

    let Ok(response) = Response::decode(data) else {
        return;
    };
    let head = (
        response.id.get(),
        u32::from(response.op.code()),
        u32::from(response.outcome),
    );
    let mut out = [0; 16];
    let written = codec::encode(&head, &mut out).unwrap();
    assert_eq!([&out[..written], response.body].concat(), data);
    // Called for its panics alone; what it accepts is compared in `wire_values`.
    let _ = Answer::decode(response.op, response.body);
}

// ---- documents -------------------------------------------------------------------------------

fn trusted() -> [TrustedKey; 1] {
    thread_local! {
        static KEY: DocumentPublicKey = DocumentKey::from_seed(&[9; 32]).public();
    }
    [TrustedKey::new(
        SignerId::new("coordinator-1").unwrap(),
        KEY.with(|key| *key),
    )]
}

/// The three storages read the same documents from the same bytes.
pub(crate) fn signed_payload_postcard(data: &[u8]) {
    type Fixed = SignedPayload<heapless::Vec<u8, 64>>;
    canonical::<SignedPayload<&[u8]>>(data);
    canonical::<SignedDocument>(data);
    canonical::<Fixed>(data);
    let borrowed = codec::decode::<SignedPayload<&[u8]>>(data);
    let heap = codec::decode::<SignedDocument>(data);
    let fixed = codec::decode::<Fixed>(data);
    assert_eq!(borrowed.is_ok(), heap.is_ok());
    let fits = borrowed
        .as_ref()
        .is_ok_and(|document| document.unverified_payload().len() <= 64);
    assert_eq!(fixed.is_ok(), fits);
    let (Ok(borrowed), Ok(heap)) = (borrowed, heap) else {
        return;
    };
    assert_eq!(borrowed.unverified_payload(), heap.unverified_payload());
    let verdict = borrowed
        .verify(&trusted(), None)
        .map(|verified| verified.payload().to_vec());
    assert_eq!(
        heap.verify(&trusted(), None)
            .map(|verified| verified.payload().to_vec()),
        verdict
    );
    if let Ok(fixed) = fixed {
        assert_eq!(
            fixed
                .verify(&trusted(), None)
                .map(|verified| verified.payload().to_vec()),
            verdict
        );
    }
}

/// JSON has many ways to write a value; what is read is written in one, which reads as the same.
fn json<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(data).ok()?;
    let written = serde_json::to_string(&value).unwrap();
    let again: T = serde_json::from_str(&written).unwrap();
    assert_eq!(again, value);
    assert_eq!(serde_json::to_string(&again).unwrap(), written);
    Some(value)
}

/// The form of 0.13.0.
pub(crate) fn signed_document_json(data: &[u8]) {
    let document = json::<SignedDocument>(data);
    let fixed = json::<SignedPayload<heapless::Vec<u8, 64>>>(data);
    let fits = document
        .as_ref()
        .is_some_and(|document| document.unverified_payload().len() <= 64);
    assert_eq!(fixed.is_some(), fits);
    if let Some(document) = document {
        let _ = document.verify(&trusted(), None);
    }
}

/// The file of an instance.
pub(crate) fn instance_state_json(data: &[u8]) {
    let Some(state) = json::<InstanceState>(data) else {
        return;
    };
    assert!(state.instance_id.len() <= 63);
}

/// A document through every way in.
fn document<T: Whole + Debug>(json: &[u8]) {
    let read = T::from_json(json);
    let checked = T::check_json(json);
    let text = String::from_utf8_lossy(json);
    for warning in &checked.warnings {
        assert!(!warning.path.is_empty());
        inside(&text, warning.position);
    }
    let (value, found) = match (read, checked.result) {
        (Ok(read), Ok(checked)) => (read, checked),
        (Err(read), Err(checked)) => {
            // One is in the order of the checks, the other in that of the text.
            let paths = |invalid: &Invalid| -> Vec<_> {
                let mut all: Vec<_> = invalid
                    .problems()
                    .iter()
                    .map(|problem| (problem.path.clone(), problem.reason.to_string()))
                    .collect();
                all.sort();
                all
            };
            assert_eq!(paths(&read), paths(&checked));
            assert!(!read.problems().is_empty());
            for problem in checked.problems() {
                inside(
                    &text,
                    problem.position.expect("check_json places each problem"),
                );
            }
            if let Ok(value) = serde_json::from_slice::<T>(json) {
                assert!(
                    value.validate().is_err(),
                    "from_json refuses what validate accepts"
                );
            }
            return;
        }
        (read, checked) => panic!("from_json and check_json disagree: {read:?}, {checked:?}"),
    };
    let written = serde_json::to_string(&value).unwrap();
    assert_eq!(serde_json::to_string(&found).unwrap(), written);
    assert_eq!(value.validate(), Ok(()));
    let again = T::from_json(written.as_bytes()).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), written);
    let by_serde: T = serde_json::from_slice(json).unwrap();
    assert_eq!(serde_json::to_string(&by_serde).unwrap(), written);
}

/// The position is one of the text, or the one behind its end.
fn inside(text: &str, position: Position) {
    let line = text
        .split('\n')
        .nth(position.line - 1)
        .unwrap_or_else(|| panic!("no line {position}"));
    assert!(
        (1..=line.chars().count() + 1).contains(&position.column),
        "{position}"
    );
}

/// Types that are read from JSON: name, target, documents of 0.13.0.
pub(crate) const DOCUMENTS: &[(&str, Target, &str)] = {
    use mvm_core::{
        agent::*, audit::*, catalog::*, dev_network::*, idle_metrics::*, instance::*, node::*,
        observability::metrics::*, pool::*, protocol::*, routing::*, secret_binding::*,
        security::*, template::*, tenant::*, vm_backend::*,
    };
    macro_rules! all {
        ($($ty:ident),* $(,)?) => {
            &[
                ("SignedPayload", document::<SignedDocument>, include_str!("../vectors/json/SignedPayload.jsonl")),
                $((
                    stringify!($ty),
                    document::<$ty>,
                    include_str!(concat!("../vectors/json/", stringify!($ty), ".jsonl")),
                ),)*
            ]
        };
    }
    all![
        AgentRequest,
        AgentResponse,
        AuditEntry,
        AuthenticatedFrame,
        BuildRevision,
        Catalog,
        DesiredState,
        DevNetwork,
        GuestChannelInfo,
        HostdRequest,
        HostdResponse,
        InstanceHealthReport,
        IdleMetrics,
        InstanceNet,
        InstanceState,
        LocalAuditEvent,
        MetricsSnapshot,
        NodeInfo,
        NodeStats,
        PoolSpec,
        PostureReport,
        ResolvedSecrets,
        RoutingTable,
        SecretBinding,
        SecurityPolicy,
        SessionHello,
        SessionHelloAck,
        StateDumpContent,
        TemplateConfig,
        TemplateKind,
        TemplateRevision,
        TemplateSpec,
        TenantConfig,
        UpdateStrategy,
        VmInfo,
        VmNetworkInfo,
        VmStatus,
    ]
};

/// The first byte chooses a type, the rest is the text.
pub(crate) fn documents(data: &[u8]) {
    if let Some((first, json)) = data.split_first() {
        let (_, read, _) = DOCUMENTS[usize::from(*first) % DOCUMENTS.len()];
        read(json);
    }
}

/// Bindings as people write them. What is shown has everything but the value.
pub(crate) fn secret_binding_text(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let Ok(binding) = text.parse::<SecretBinding>() else {
        return;
    };
    let shown = binding.to_string();
    let again: SecretBinding = shown.parse().expect("what is shown can be read");
    assert_eq!(again.to_string(), shown);
    let names = |binding: &SecretBinding| {
        (
            binding.env_var.clone(),
            binding.target_host.clone(),
            binding.header.clone(),
        )
    };
    assert_eq!(names(&again), names(&binding));
    assert!(again.value.is_none());
    // Every byte of the text is in exactly one of the parts.
    let (env_var, host, header) = names(&binding);
    let parts = [
        Some(env_var.as_str()),
        binding.value.as_ref().map(|value| value.secret_str()),
        Some(host.as_str()),
    ];
    let len: usize = parts
        .iter()
        .flatten()
        .map(|part| part.len() + 1)
        .sum::<usize>()
        - 1;
    let rest = text.len().checked_sub(len).expect("parts of the text");
    assert!(rest == 0 || rest == header.len() + 1 && text.ends_with(header.as_str()));
    assert!(text.starts_with(env_var.as_str()));
    assert!(!host.contains([':', '=']) && !header.contains([':', '=']));
}

/// A payload that somebody whom the node trusts has signed, and decided about.
pub(crate) fn admission(data: &[u8]) {
    const LEAST: u64 = 5;
    let key = DocumentKey::from_seed(&[9; 32]);
    let signer = SignerId::new("coordinator-1").unwrap();
    let Ok(signed) = SignedDocument::sign(data.to_vec(), signer.clone(), &key) else {
        assert!(data.starts_with(b"mvm-core/"), "only the prefix is refused");
        return;
    };
    let (trusted, node) = (trusted(), NodeId::new("node-1").unwrap());
    let now = "2026-06-01T12:00:00Z".parse::<Timestamp>().unwrap();
    let admission = |last| Admission::new(&node, &trusted, last, Some(now)).without_expiry();
    let decided = admission(LastAdmitted::AtLeast(LEAST)).admit(&signed);

    let bare = DesiredState::from_json(data);
    let timed = TimedState::from_json(data);
    assert!(bare.is_err() || timed.is_err());
    let end = timed.as_ref().ok().map(|timed| timed.expires_at);
    let wanted = bare.ok().or(timed.ok().map(|timed| timed.desired_state));
    match (decided, wanted) {
        (Ok(admitted), Some(wanted)) => {
            assert_eq!(admitted.state(), &wanted);
            assert_eq!(
                (admitted.expires_at(), admitted.signer_id()),
                (end, &signer)
            );
            assert!(wanted.node_id == node && wanted.sequence >= LEAST);
            assert!(end.is_none_or(|end| now <= end) && !admitted.is_repeated());
            let record = LastAdmitted::Record(admitted.record().clone());
            let again = admission(record).admit(&signed).unwrap();
            assert!(again.is_repeated());
            let unsigned = accept_unsigned_for_development(wanted, &node);
            assert!(unsigned.is_ok());
        }
        (Err(AdmissionError::OtherNode { theirs, .. }), Some(wanted)) => {
            assert!(theirs == wanted.node_id && theirs != node);
        }
        (Err(AdmissionError::Backwards { sequence, last }), Some(wanted)) => {
            assert!((sequence, last) == (wanted.sequence, LEAST) && sequence < last);
        }
        (Err(AdmissionError::Expired { at, .. }), Some(_)) => {
            assert!(Some(at) == end && at < now);
        }
        (Err(AdmissionError::Invalid(_) | AdmissionError::NewerSchema { .. }), None) => {}
        (decided, wanted) => panic!("{decided:?} of {wanted:?}"),
    }

    // What is not signed is not looked at.
    let other = DocumentKey::from_seed(&[8; 32]);
    let forged = SignedDocument::sign(data.to_vec(), signer, &other).unwrap();
    let refused = admission(LastAdmitted::Nothing).admit(&forged);
    assert!(matches!(refused, Err(AdmissionError::Signature(_))));
}

// ---- hostd -----------------------------------------------------------------------------------

/// The bodies of a stream that comes in pieces of `step` bytes.
fn hostd_bodies(mut stream: &[u8], step: usize) -> Vec<Vec<u8>> {
    let len = stream.len();
    let mut frames = Frames::new();
    let mut bodies = Vec::new();
    loop {
        loop {
            match frames.next_body() {
                Ok(Some(body)) => bodies.push(body.to_vec()),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(frames.next_body(), Err(error), "an error does not last");
                    assert!(frames.space().is_empty());
                    return bodies;
                }
            }
        }
        let space = frames.space();
        assert!(!space.is_empty() && space.len() <= HOSTD_FRAME_MAX + FRAME_HEADER_LEN);
        let n = stream.len().min(step).min(space.len());
        if n == 0 {
            // What is left over is the beginning of a frame.
            let taken: usize = bodies
                .iter()
                .map(|body| body.len() + FRAME_HEADER_LEN)
                .sum();
            assert_eq!(frames.finish().is_ok(), taken == len);
            return bodies;
        }
        let (now, later) = stream.split_at(n);
        space[..n].copy_from_slice(now);
        frames.advance(n);
        stream = later;
    }
}

/// What is written is one frame with one message.
fn hostd_message<T: Whole + Debug>(frame: &[u8]) -> T {
    let bodies = hostd_bodies(frame, frame.len());
    assert_eq!(bodies.len(), 1);
    assert_eq!(bodies[0].len() + FRAME_HEADER_LEN, frame.len());
    T::from_json(&bodies[0]).unwrap()
}

/// A connection to hostd: the first byte is the size of reads and whether version 1 is spoken, the rest
/// the stream.
pub(crate) fn hostd_server(data: &[u8]) {
    let Some((first, stream)) = data.split_first() else {
        return;
    };
    let mut session = if *first < 128 {
        ServerSession::new()
    } else {
        ServerSession::without_version_1()
    };
    let mut ended = false;
    for body in hostd_bodies(stream, usize::from(*first % 128) + 1) {
        let version = session.version();
        match session.receive(&body) {
            Ok(HostdIncoming::Hello { reply }) => {
                assert!(!ended && version.is_none());
                let ServerHello::Hello { version } = hostd_message(&reply) else {
                    panic!("a hello is answered by one");
                };
                assert_eq!(session.version(), Some(version));
            }
            Ok(HostdIncoming::Request {
                request, reply_to, ..
            }) => {
                assert!(!ended && request.validate().is_ok());
                assert_eq!(reply_to.id().is_some(), session.version() == Some(2));
                let id = reply_to.id();
                let reply = reply_to.reply(HostdResponse::Pong).unwrap();
                if id.is_some() {
                    let answer: HostdAnswer = hostd_message(&reply);
                    assert_eq!((answer.id, answer.response), (id, HostdResponse::Pong));
                } else {
                    assert_eq!(hostd_message::<HostdResponse>(&reply), HostdResponse::Pong);
                }
            }
            Err(refusal) => {
                assert!(!ended || refusal.ends() && refusal.reply().is_empty());
                ended |= refusal.ends();
                if !refusal.reply().is_empty() {
                    hostd_bodies(refusal.reply(), 7).pop().expect("one frame");
                }
            }
        }
        if version.is_some() && !ended {
            assert_eq!(session.version(), version, "the version changes");
        }
    }
}

/// What a client of hostd reads: the answer to its hello, and answers in both versions.
pub(crate) fn hostd_client(data: &[u8]) {
    let offered = Versions::SUPPORTED;
    match ClientHandshake::new().answer(data) {
        Ok(HostdOpened::Ready(session)) => assert!(offered.contains(session.version())),
        Ok(HostdOpened::Reconnect(session)) => assert_eq!(session.version(), 1),
        Err(_) => {}
    }
    let Ok(HostdOpened::Ready(second)) =
        ClientHandshake::new().answer(br#"{"Hello":{"version":2}}"#)
    else {
        panic!("version 2 is spoken");
    };
    for mut session in [ClientSession::version_1(), second] {
        let (asked, _) = session.request(HostdRequest::Ping, None).unwrap();
        match session.receive(data) {
            Ok(HostdReceived::Answer { id, .. }) => {
                assert_eq!((id, session.pending()), (asked, 0));
                assert!(
                    !matches!(session.receive(data), Ok(HostdReceived::Answer { .. })),
                    "it counts once"
                );
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => {
                assert_eq!(session.receive(data), Err(ReceiveError::Lost));
                assert!(session.request(HostdRequest::Ping, None).is_err());
            }
        }
    }
}

// ---- text ------------------------------------------------------------------------------------

macro_rules! text_newtypes {
    ($text:expr; $($name:ty),*) => {$(
        let made = <$name>::new($text);
        let quoted = serde_json::to_string($text).unwrap();
        match &made {
            Ok(value) => {
                assert_eq!(value.as_str(), $text);
                assert_eq!(value.to_string(), $text);
                assert_eq!($text.parse::<$name>().as_ref(), Ok(value));
                assert_eq!(&serde_json::from_str::<$name>(&quoted).unwrap(), value);
                assert_eq!(serde_json::to_string(value).unwrap(), quoted);
            }
            Err(error) => {
                assert_eq!($text.parse::<$name>().as_ref().err(), Some(error));
                assert!(serde_json::from_str::<$name>(&quoted).is_err());
            }
        }
        let mut buffer = vec![0; $text.len() + 10];
        let written = codec::encode($text, &mut buffer).unwrap();
        assert_eq!(codec::decode::<$name>(&buffer[..written]).is_ok(), made.is_ok());
    )*};
}

/// Ids and the names of devices.
pub(crate) fn names(data: &[u8]) {
    canonical::<TenantId>(data);
    canonical::<TemplateId>(data);
    canonical::<RevisionHash>(data);
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    text_newtypes!(text; TenantId, PoolId, InstanceId, NodeId, SignerId, VmName, TemplateId, RevisionHash);
    if let Ok(id) = TenantId::new(text) {
        assert!(id.is_ascii() && (1..=63).contains(&id.len()));
    }
    if let Ok(tap) = TapName::parse(text) {
        let (net, offset) = tap.parts();
        assert_eq!(
            (tap.as_str(), TapName::new(net, offset).as_str()),
            (text, text)
        );
        assert!(text.len() <= 15);
    }
    if let Ok(bridge) = BridgeName::parse(text) {
        assert_eq!(
            (bridge.as_str(), BridgeName::new(bridge.net()).as_str()),
            (text, text)
        );
        assert!(text.len() <= 15);
    }
    if let Ok(mac) = MacAddr::parse(text) {
        let (net, offset) = mac.parts();
        assert_eq!(MacAddr::new(net, offset), mac);
        assert_eq!(MacAddr::from_octets(mac.octets()), Ok(mac));
        assert_eq!(mac.to_string(), text.to_ascii_lowercase());
    }
}

/// References to flakes, which become one argument of a command.
pub(crate) fn flake_ref(data: &[u8]) {
    canonical::<FlakeRef>(data);
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    text_newtypes!(text; FlakeRef);
    assert_eq!(
        validate_flake_ref(text).is_ok(),
        FlakeRef::new(text).is_ok()
    );
    if FlakeRef::new(text).is_ok() {
        assert!((1..=FLAKE_REF_MAX).contains(&text.len()));
        assert!(!text.starts_with(['-', '#', '=', '@', '%', '~', '?']));
        assert!(!text.contains(|c: char| c.is_control()
            || c.is_whitespace()
            || "\"'`$&|;<>()!*[]{}\\^".contains(c)));
    }
}

/// RFC 3339 and the integers of postcard.
pub(crate) fn timestamp(data: &[u8]) {
    canonical::<Timestamp>(data);
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let Ok(time) = text.parse::<Timestamp>() else {
        return;
    };
    assert!((Timestamp::MIN..=Timestamp::MAX).contains(&time));
    let written = time.to_string();
    assert!(written.len() <= TIMESTAMP_TEXT_MAX && written.ends_with('Z'));
    assert_eq!(written.parse(), Ok(time));
    assert_eq!(
        Timestamp::new(time.seconds(), time.subsec_nanos()),
        Ok(time)
    );
    let quoted = serde_json::to_string(&time).unwrap();
    assert_eq!(serde_json::from_str::<Timestamp>(&quoted).unwrap(), time);
}

fn keys_of<U: Usage>(text: &str) -> usize {
    let mut read = 0;
    if let Ok(key) = SecretKey::<U>::from_text(text) {
        assert_eq!(
            key.to_text().secret_str().trim_end(),
            text.trim_end().to_ascii_lowercase()
        );
        read += 1;
    }
    if let Ok(key) = PublicKey::<U>::from_text(text) {
        assert_eq!(
            key.to_text().trim_end(),
            text.trim_end().to_ascii_lowercase()
        );
        read += 1;
    }
    if let Ok(key) = PublicKey::<U>::from_hex(text) {
        assert_eq!(key.to_string(), text.to_ascii_lowercase());
        assert_eq!(PublicKey::<U>::from_bytes(key.as_bytes()), Ok(key));
    }
    read
}

/// Key files: of one usage and one half at the most.
pub(crate) fn key_text(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let read = keys_of::<Document>(text) + keys_of::<Host>(text) + keys_of::<Guest>(text);
    assert!(read <= 1);
}

/// Paths of ids, and the short names that stand for them.
pub(crate) fn instance_paths(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let pool: Result<PoolPath, _> = parse_pool_path(text);
    let instance: Result<InstancePath, _> = parse_instance_path(text);
    assert!(pool.is_err() || instance.is_err());
    assert_eq!(text.parse::<PoolPath>().is_ok(), pool.is_ok());
    assert_eq!(text.parse::<InstancePath>().is_ok(), instance.is_ok());
    let segments: Vec<&str> = text.split('/').collect();
    let valid = segments
        .iter()
        .all(|segment| TenantId::new(segment).is_ok());
    assert_eq!(pool.is_ok(), valid && segments.len() == 2);
    assert_eq!(instance.is_ok(), valid && segments.len() == 3);
    if let Ok(path) = pool {
        assert_eq!(path.to_string(), text);
        let short = ShortName::of_pool(&path);
        assert_eq!(ShortName::parse(short.as_str()).unwrap(), short);
    }
    if let Ok(path) = instance {
        assert_eq!(path.to_string(), text);
        let short = ShortName::of_instance(&path);
        assert_eq!(ShortName::parse(short.as_str()).unwrap(), short);
    }
    if let Ok(short) = ShortName::parse(text) {
        assert_eq!(short.as_str(), text);
    }
}

// ---- postcard --------------------------------------------------------------------------------

/// What is decoded is encoded as the same bytes; the front of longer bytes means the same.
fn canonical<'a, T: Deserialize<'a> + Serialize>(data: &'a [u8]) {
    if let Ok(value) = codec::decode::<T>(data) {
        let mut out = vec![0; data.len()];
        assert_eq!(codec::encode(&value, &mut out), Ok(data.len()));
        assert_eq!(out, data);
        assert_eq!(codec::encoded_len(&value), Ok(data.len()));
        if let Some(short) = data.len().checked_sub(1) {
            assert!(codec::encode(&value, &mut out[..short]).is_err());
        }
    }
    if let Ok((value, rest)) = codec::take::<T>(data) {
        let (used, tail) = data.split_at(data.len() - rest.len());
        assert_eq!(tail, rest);
        let mut out = vec![0; used.len()];
        assert_eq!(codec::encode(&value, &mut out), Ok(used.len()));
        assert_eq!(out, used);
        assert_eq!(codec::decode::<T>(data).is_ok(), rest.is_empty());
        assert!(codec::decode::<T>(used).is_ok());
    }
}

/// Every type that travels in postcard.
pub(crate) fn wire_values(data: &[u8]) {
    canonical::<(u8, u16, u32, u64)>(data);
    canonical::<(i8, i16, i32, i64)>(data);
    canonical::<(bool, Option<u32>, [u8; 3])>(data);
    canonical::<(&str, Bytes<'_>, Option<u64>)>(data);
    canonical::<(Timestamp, InstanceStatus)>(data);
    canonical::<InstanceNet>(data);
    canonical::<IdleMetrics>(data);
    canonical::<(MacAddr, TapName)>(data);
    canonical::<(TenantNetId, HostOffset)>(data);
    canonical::<DocumentPublicKey>(data);
    canonical::<Signature>(data);
    canonical::<(Ping, Pong)>(data);
    canonical::<(SleepPrep, Shutdown)>(data);
    canonical::<mvm_core::guest::Extension<'_>>(data);
    canonical::<Wake>(data);
    canonical::<(Component<'_>, Components<'_>)>(data);
    canonical::<StatusReport<'_>>(data);
    canonical::<WakeReport>(data);
}
