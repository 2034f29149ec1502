//! Channels over streams of tokio's: misbehaving peers, dropped futures, and the blocking form as a peer.
//!
//! Where a clock matters it is the runtime's, which stands still and is moved on: deadlines are then exact.
#![cfg(all(unix, feature = "tokio"))]
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

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mvm_core::channel::asynchronous::{
    Caller, Channel, Connection, GuestChannel, HostChannel, Server, Stream,
};
use mvm_core::channel::{
    self, ChannelError, ControlError, Deadline, Doing, Local, Served, SystemEnvironment,
};
use mvm_core::guest::*;
use mvm_core::limits::{FRAME_BODY_MAX, HANDSHAKE_BODY_MAX};
use mvm_core::naming::InstanceId;
use mvm_core::session::*;
use mvm_core::wire::connect::ConnectError;
use mvm_core::wire::frame::FrameError;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::time::{Instant, sleep};

const SERVICE: u16 = 5252;
const ALL: Capabilities = Capabilities::KNOWN;
const TOTAL: Duration = Duration::from_secs(20);

struct Pair {
    host_key: HostKey,
    guest_key: GuestKey,
    host: Mutex<HostEndpoint>,
    guest: Mutex<GuestEndpoint>,
    lifecycle: Mutex<Lifecycle>,
    machine: SystemEnvironment,
}

impl Pair {
    fn new() -> Self {
        let host_key = HostKey::from_seed(&[1; 32]);
        let guest_key = GuestKey::from_seed(&[2; 32]);
        let mut trusted = TrustedHosts::new();
        trusted.insert(TrustedHost::new(host_key.public())).unwrap();
        let trust = GuestTrust::pinned(guest_key.public());
        let instance = InstanceId::new("i-0a1b2c3d").unwrap();
        Self {
            host: Mutex::new(HostEndpoint::new(instance, 1, trust).unwrap()),
            guest: Mutex::new(GuestEndpoint::new(trusted)),
            lifecycle: Mutex::new(Lifecycle::booted()),
            host_key,
            guest_key,
            machine: SystemEnvironment::without_restore_mark(),
        }
    }

    fn at_host(&self) -> Local<'_, HostEndpoint> {
        Local::new(&self.host_key, &self.host, &self.machine)
    }

    fn at_guest(&self) -> Local<'_, GuestEndpoint> {
        Local::new(&self.guest_key, &self.guest, &self.machine)
    }

    async fn connect<S: Stream>(&self, stream: S) -> Result<HostChannel<'_, S>, ChannelError> {
        HostChannel::connect(Connection::new(stream), self.at_host(), asked(), soon()).await
    }

    async fn accept<S: Stream>(&self, stream: S) -> Result<GuestChannel<'_, S>, ChannelError> {
        GuestChannel::accept(Connection::new(stream), self.at_guest(), served(), soon()).await
    }

    async fn established<S: Stream>(&self, streams: (S, S)) -> Both<'_, S> {
        let (host, guest) = tokio::join!(self.connect(streams.0), self.accept(streams.1));
        (host.unwrap(), guest.unwrap())
    }

    /// A session with the test in the middle.
    async fn tapped(&self) -> Tapped<'_> {
        let (to_guest, mut at_host) = duplex(1 << 20);
        let (mut at_guest, to_host) = duplex(1 << 20);
        let relay = async {
            forward(&mut at_host, &mut at_guest).await;
            forward(&mut at_guest, &mut at_host).await;
            forward(&mut at_host, &mut at_guest).await;
        };
        let (host, guest, ()) = tokio::join!(self.connect(to_guest), self.accept(to_host), relay);
        Tapped {
            host: host.unwrap(),
            guest: guest.unwrap(),
            at_host,
            at_guest,
        }
    }
}

type Both<'a, S> = (HostChannel<'a, S>, GuestChannel<'a, S>);

struct Tapped<'a> {
    host: HostChannel<'a, DuplexStream>,
    guest: GuestChannel<'a, DuplexStream>,
    /// What the host writes comes out here.
    at_host: DuplexStream,
    /// What is written here comes to the guest.
    at_guest: DuplexStream,
}

impl Tapped<'_> {
    async fn host_frame(&mut self, payload: &[u8]) -> Vec<u8> {
        self.host.send(payload, soon()).await.unwrap();
        frame(&mut self.at_host).await
    }

    async fn guest_frame(&mut self, payload: &[u8]) -> Vec<u8> {
        self.guest.send(payload, soon()).await.unwrap();
        frame(&mut self.at_guest).await
    }
}

async fn frame(from: &mut DuplexStream) -> Vec<u8> {
    let mut frame = vec![0; 4];
    from.read_exact(&mut frame).await.unwrap();
    let len = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
    frame.resize(4 + len as usize, 0);
    from.read_exact(&mut frame[4..]).await.unwrap();
    frame
}

async fn forward(from: &mut DuplexStream, to: &mut DuplexStream) {
    let frame = frame(from).await;
    to.write_all(&frame).await.unwrap();
}

fn asked() -> HostOptions<'static> {
    HostOptions {
        service: SERVICE,
        capabilities: ALL.bits(),
        extensions: &[9],
        lifetime_ms: 600_000,
    }
}

fn served() -> GuestOptions<'static> {
    GuestOptions {
        service: SERVICE,
        capabilities: ALL.bits(),
        extensions: &[],
        lifetime_ms: 600_000,
    }
}

/// By the runtime's clock.
fn within(total: Duration) -> Deadline {
    Deadline::at((Instant::now() + total).into_std())
}

fn soon() -> Deadline {
    within(TOTAL)
}

fn expired(error: &ChannelError, at: Doing) -> bool {
    matches!(error, ChannelError::Expired { doing } if *doing == at)
}

fn poisoned(error: &ChannelError) -> bool {
    error.ended() == Some(Ended::Poisoned)
}

#[tokio::test]
async fn payloads_of_every_size_go_both_ways_and_both_ends_are_verified() {
    let pair = Pair::new();
    for room in [7, 1024, 1 << 20] {
        let (mut host, mut guest) = pair.established(duplex(room)).await;
        let sizes = [0, 1, 100, 1021, 1024, PAYLOAD_MAX];
        let echo = async {
            while let Opened::Data(payload) = guest.receive(soon()).await.unwrap() {
                let payload = payload.to_vec();
                guest.send(&payload, soon()).await.unwrap();
            }
            guest.close(soon()).await.unwrap();
        };
        let drive = async {
            for size in sizes.into_iter().filter(|size| room > 7 || *size < 2000) {
                let payload: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
                host.send(&payload, soon()).await.unwrap();
                let got = host.receive(soon()).await.unwrap();
                assert!(got == Opened::Data(&payload), "{size} bytes");
            }
            host.close(soon()).await.unwrap();
        };
        tokio::join!(echo, drive);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_may_do_wrong() {
    type Frames<'f> = &'f [Vec<u8>; 5];
    let malformed =
        |error: &ChannelError| matches!(error, ChannelError::Open(OpenError::Malformed(_)));
    let gap = |expected, got| {
        move |error: &ChannelError| {
            let gap = OpenError::SequenceGap { expected, got };
            matches!(error, ChannelError::Open(error) if *error == gap)
        }
    };
    let signature =
        |error: &ChannelError| matches!(error, ChannelError::Open(OpenError::BadSignature));
    let too_long = |error: &ChannelError| matches!(error, ChannelError::Frame(FrameError::TooLong { max, .. }) if *max == FRAME_BODY_MAX);
    let truncated = |received| move |error: &ChannelError| matches!(error, ChannelError::Truncated(end) if end.received == received);
    let silence = |error: &ChannelError| expired(error, Doing::Receiving);
    // frames: two of this session, one of the guest's own, one of another session, the first rewritten;
    // what is sent, whether the stream ends then, how many are received before the error.
    struct Case<'c> {
        name: &'c str,
        bytes: fn(Frames<'_>) -> Vec<u8>,
        ends: bool,
        received: usize,
        error: &'c dyn Fn(&ChannelError) -> bool,
    }
    let case = |name, bytes, ends, received, error| Case {
        name,
        bytes,
        ends,
        received,
        error,
    };
    let (first_gap, second_gap) = (gap(0, 1), gap(1, 0));
    let (none, one) = (truncated(0), truncated(1));
    let cases = [
        case(
            "garbage",
            |_| b"\0\0\0\x02hi".to_vec(),
            false,
            0,
            &malformed,
        ),
        case("an empty frame", |_| vec![0; 4], false, 0, &malformed),
        case("too long", |_| vec![0, 4, 0, 1], false, 0, &too_long),
        case("far too long", |_| vec![0xFF; 4], false, 0, &too_long),
        case(
            "replay",
            |f| [&f[0][..], &f[0]].concat(),
            false,
            1,
            &second_gap,
        ),
        case("a frame left out", |f| f[1].clone(), false, 0, &first_gap),
        case("reflection", |f| f[2].clone(), false, 0, &signature),
        case("splice", |f| f[3].clone(), false, 0, &signature),
        case("a changed bit", |f| f[4].clone(), false, 0, &signature),
        case("half a frame", |f| f[0][..40].to_vec(), true, 0, &none),
        case(
            "half a frame and silence",
            |f| f[0][..40].to_vec(),
            false,
            0,
            &silence,
        ),
        case("an end between frames", |f| f[0].clone(), true, 1, &one),
        case("silence", |_| vec![], false, 0, &silence),
    ];
    for case in cases {
        let pair = Pair::new();
        let mut other = pair.tapped().await;
        let spliced = other.host_frame(b"first").await;
        let mut tapped = pair.tapped().await;
        let (first, second) = (
            tapped.host_frame(b"first").await,
            tapped.host_frame(b"second").await,
        );
        let reflected = tapped.guest_frame(b"first").await;
        let mut changed = first.clone();
        changed[8] ^= 1;
        let bytes = (case.bytes)(&[first, second, reflected, spliced, changed]);
        let Tapped {
            mut guest,
            mut at_guest,
            ..
        } = tapped;
        at_guest.write_all(&bytes).await.unwrap();
        if case.ends {
            at_guest.shutdown().await.unwrap();
        }
        let start = Instant::now();
        for _ in 0..case.received {
            assert_eq!(guest.receive(soon()).await.unwrap(), Opened::Data(b"first"));
        }
        let error = guest.receive(soon()).await.map(drop).unwrap_err();
        assert!((case.error)(&error), "{}: {error:?}", case.name);
        let waited = if expired(&error, Doing::Receiving) {
            TOTAL
        } else {
            Duration::ZERO
        };
        assert_eq!(start.elapsed().as_secs(), waited.as_secs(), "{}", case.name);
        // And nothing is taken after it.
        let error = guest.receive(soon()).await.map(drop).unwrap_err();
        assert!(poisoned(&error), "{}: {error:?}", case.name);
        assert!(poisoned(&guest.send(b"x", soon()).await.unwrap_err()));
    }
}

#[tokio::test]
async fn an_end_at_every_byte_is_a_truncated_stream() {
    let pair = Pair::new();
    let mut tried = 0;
    for cut in 0.. {
        let mut tapped = pair.tapped().await;
        let frame = tapped.host_frame(b"cut short").await;
        if cut >= frame.len() {
            break;
        }
        tapped.at_guest.write_all(&frame[..cut]).await.unwrap();
        tapped.at_guest.shutdown().await.unwrap();
        let error = tapped.guest.receive(soon()).await.map(drop).unwrap_err();
        let end = Truncated { received: 0 };
        assert!(
            matches!(error, ChannelError::Truncated(error) if error == end),
            "{cut}: {error:?}"
        );
        tried += 1;
    }
    assert!(tried > 70, "{tried}");
}

#[tokio::test]
async fn an_end_at_every_byte_of_a_handshake_is_a_hangup() {
    // What each side hears of the other in a whole handshake.
    let pair = Pair::new();
    let (to_guest, mut at_host) = duplex(4096);
    let (mut at_guest, to_host) = duplex(4096);
    let relay = async {
        let hello = frame(&mut at_host).await;
        at_guest.write_all(&hello).await.unwrap();
        let answer = frame(&mut at_guest).await;
        at_host.write_all(&answer).await.unwrap();
        forward(&mut at_host, &mut at_guest).await;
        (hello, answer)
    };
    let (host, guest, (hello, answer)) =
        tokio::join!(pair.connect(to_guest), pair.accept(to_host), relay);
    drop((host.unwrap(), guest.unwrap()));
    for cut in (0..hello.len()).step_by(7).chain([1, 2, 3, 4, 5]) {
        let (mut peer, stream) = duplex(4096);
        peer.write_all(&hello[..cut]).await.unwrap();
        peer.shutdown().await.unwrap();
        let error = pair.accept(stream).await.unwrap_err();
        assert!(matches!(error, ChannelError::Hangup { .. }), "{error:?}");
    }
    for cut in (0..answer.len()).step_by(7).chain([1, 2, 3, 4, 5]) {
        let (mut peer, stream) = duplex(4096);
        peer.write_all(&answer[..cut]).await.unwrap();
        peer.shutdown().await.unwrap();
        let error = pair.connect(stream).await.unwrap_err();
        assert!(matches!(error, ChannelError::Hangup { .. }), "{error:?}");
    }
    // An answer to another hello proves nothing.
    let (mut peer, stream) = duplex(4096);
    peer.write_all(&answer).await.unwrap();
    let error = pair.connect(stream).await.unwrap_err();
    assert!(
        matches!(error, ChannelError::Handshake(HandshakeError::BadSignature)),
        "{error:?}"
    );
}

/// Whether it is noticed by what is written or by what is waited for, and not before what came is heard.
#[tokio::test]
async fn a_guest_that_hung_up_before_the_hello() {
    let pair = Pair::new();
    let (peer, stream) = duplex(4096);
    drop(peer);
    let error = pair.connect(stream).await.map(drop).unwrap_err();
    let doing = Doing::Handshake;
    assert!(
        matches!(error, ChannelError::Hangup { doing: at } if at == doing),
        "{error:?}"
    );
    let (mut peer, stream) = duplex(4096);
    let refusal = [0, 0, 0, 4, 0, RefusalCode::BUSY.0, 3, 3];
    peer.write_all(&refusal).await.unwrap();
    drop(peer);
    let error = pair.connect(stream).await.map(drop).unwrap_err();
    assert_eq!(error.refused(), Some(RefusalCode::BUSY), "{error:?}");
}

/// Writes `bytes` one at a time, over and over.
async fn drip(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    for byte in bytes.iter().cycle() {
        sleep(Duration::from_millis(70)).await;
        if to.write_all(&[*byte]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_byte_at_a_time_does_not_move_the_deadline() {
    let pair = Pair::new();
    let handshake = Duration::from_millis(mvm_core::limits::HANDSHAKE_DEADLINE_MS);
    let exactly = |start: Instant, total: Duration| {
        let took = start.elapsed();
        assert!(
            took >= total && took < total + Duration::from_millis(5),
            "{took:?}"
        );
    };
    // The caller would wait for longer than a handshake may take.
    let (mut peer, stream) = duplex(4096);
    let start = Instant::now();
    tokio::select! {
        error = pair.accept(stream) => {
            assert!(expired(&error.unwrap_err(), Doing::Handshake));
        }
        () = drip(&mut peer, b"\0\0\x03\x03") => panic!("the peer gave up"),
    }
    exactly(start, handshake);

    let (mut peer, stream) = duplex(4096);
    let start = Instant::now();
    tokio::select! {
        error = pair.connect(stream) => {
            assert!(expired(&error.unwrap_err(), Doing::Handshake));
        }
        () = drip(&mut peer, b"\0\0\x03\x03") => panic!("the peer gave up"),
    }
    exactly(start, handshake);

    let mut tapped = pair.tapped().await;
    let start = Instant::now();
    tokio::select! {
        result = tapped.guest.receive(soon()) => {
            assert!(expired(&result.map(drop).unwrap_err(), Doing::Receiving));
        }
        () = drip(&mut tapped.at_guest, b"\0\x01\0\0") => panic!("the peer gave up"),
    }
    exactly(start, TOTAL);

    // And a peer that takes one byte at a time.
    let (mut host, _guest) = pair.established(duplex(4096)).await;
    let start = Instant::now();
    let payload = vec![7; PAYLOAD_MAX];
    let error = host.send(&payload, soon()).await.unwrap_err();
    assert!(expired(&error, Doing::Sending), "{error:?}");
    exactly(start, TOTAL);
    assert!(poisoned(&host.send(b"more", soon()).await.unwrap_err()));

    let (to_vmm, mut at_vmm) = duplex(64);
    let start = Instant::now();
    tokio::select! {
        error = Connection::through_vsock(to_vmm, 52, soon()) => {
            assert!(expired(&error.unwrap_err(), Doing::Connecting));
        }
        () = async { at_vmm.read_exact(&mut [0; 11]).await.unwrap(); std::future::pending().await } => {}
    }
    exactly(start, TOTAL);
}

#[tokio::test(start_paused = true)]
async fn a_wait_in_vain_ends_nothing_and_a_deadline_that_has_passed_does() {
    let pair = Pair::new();
    let mut tapped = pair.tapped().await;
    let frame = tapped.host_frame(b"in two halves").await;
    let (one, two) = frame.split_at(9);
    assert!(!tapped.guest.wait(soon()).await.unwrap());
    tapped.at_guest.write_all(one).await.unwrap();
    assert!(!tapped.guest.wait(soon()).await.unwrap());
    tapped.at_guest.write_all(two).await.unwrap();
    assert!(tapped.guest.wait(soon()).await.unwrap());
    let got = tapped.guest.receive(soon()).await.unwrap();
    assert_eq!(got, Opened::Data(b"in two halves"));

    let error = tapped.host.send(b"late", within(Duration::ZERO)).await;
    assert!(expired(&error.unwrap_err(), Doing::Sending));
    assert!(poisoned(&tapped.host.check().unwrap_err()));
}

/// A long frame behind a short one has to be moved to the front of the buffer, and is kept there though
/// nothing more comes for a while.
#[tokio::test(start_paused = true)]
async fn a_frame_that_is_moved_is_kept_across_a_wait() {
    let pair = Pair::new();
    let mut tapped = pair.tapped().await;
    let payload = vec![7; PAYLOAD_MAX];
    let (short, long) = (
        tapped.host_frame(b"short").await,
        tapped.host_frame(&payload).await,
    );
    let (one, two) = long.split_at(1000);
    tapped.at_guest.write_all(&short).await.unwrap();
    tapped.at_guest.write_all(one).await.unwrap();
    let got = tapped.guest.receive(soon()).await.unwrap();
    assert_eq!(got, Opened::Data(b"short"));
    for _ in 0..3 {
        assert!(!tapped.guest.wait(soon()).await.unwrap());
    }
    tapped.at_guest.write_all(two).await.unwrap();
    let got = tapped.guest.receive(soon()).await.unwrap();
    assert!(got == Opened::Data(&payload));
}

/// Lets one call in two through, and of a write or read `step` bytes; counts what was read.
#[derive(Debug)]
struct Choppy<S> {
    stream: S,
    step: usize,
    let_through: bool,
    read: Arc<AtomicUsize>,
}

impl<S> Choppy<S> {
    fn new(stream: S, step: usize) -> Self {
        Self {
            stream,
            step,
            let_through: false,
            read: Arc::default(),
        }
    }

    fn holds(&mut self, cx: &Context<'_>) -> bool {
        self.let_through = !self.let_through;
        if self.let_through {
            cx.waker().wake_by_ref();
        }
        self.let_through
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Choppy<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.holds(cx) {
            return Poll::Pending;
        }
        let step = self.step.min(buffer.remaining());
        let mut part = vec![0; step];
        let mut part = ReadBuf::new(&mut part);
        let result = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        buffer.put_slice(part.filled());
        self.read.fetch_add(part.filled().len(), Ordering::Relaxed);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Choppy<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.holds(cx) {
            return Poll::Pending;
        }
        let step = self.step.min(bytes.len());
        Pin::new(&mut self.stream).poll_write(cx, &bytes[..step])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.holds(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Polls `times` times and drops the future; what it gave, if it came to its end.
fn poll<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..times {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return Some(value);
        }
    }
    None
}

async fn choppy(pair: &Pair, step: usize) -> Both<'_, Choppy<DuplexStream>> {
    let (a, b) = duplex(1 << 16);
    let streams = (Choppy::new(a, step), Choppy::new(b, step));
    pair.established(streams).await
}

#[tokio::test]
async fn a_send_that_is_dropped_ends_the_session_and_nothing_wrong_arrives() {
    let pair = Pair::new();
    let mut given_up = 0;
    for times in 0.. {
        let (mut host, mut guest) = choppy(&pair, 9).await;
        let whole = poll(host.send(b"the one payload", soon()), times);
        if let Some(result) = whole {
            result.unwrap();
            host.send(b"another", soon()).await.unwrap();
            for payload in [&b"the one payload"[..], b"another"] {
                let got = guest.receive(soon()).await.unwrap();
                assert_eq!(got, Opened::Data(payload));
            }
            break;
        }
        if times == 0 {
            // It has not begun.
            host.send(b"another", soon()).await.unwrap();
            let got = guest.receive(soon()).await.unwrap();
            assert_eq!(got, Opened::Data(b"another"));
            continue;
        }
        assert!(poisoned(&host.check().unwrap_err()), "{times}");
        // Whatever is called next says so, and writes nothing.
        let error = match times % 4 {
            0 => host.send(b"another", soon()).await.unwrap_err(),
            1 => host.receive(soon()).await.map(drop).unwrap_err(),
            2 => host.finish(soon()).await.unwrap_err(),
            _ => {
                let (session, connection) = host.into_parts();
                drop(connection);
                let ended = session.check(&pair.host.lock().unwrap(), &pair.machine);
                assert_eq!(ended, Err(Ended::Poisoned));
                given_up += 1;
                continue;
            }
        };
        assert!(poisoned(&error), "{times}: {error:?}");
        drop(host);
        // The whole frame may be out already, of which this side does not know; nothing else can be.
        match guest.receive(soon()).await {
            Ok(opened) => assert_eq!(opened, Opened::Data(b"the one payload")),
            Err(error) => assert!(matches!(error, ChannelError::Truncated(_)), "{error:?}"),
        }
        given_up += 1;
    }
    assert!(given_up > 10, "{given_up}");
}

#[tokio::test]
async fn a_receive_that_is_dropped_has_taken_nothing() {
    let pair = Pair::new();
    let (mut host, mut guest) = choppy(&pair, 5).await;
    for times in 0..60 {
        let payload = format!("payload {times}");
        host.send(payload.as_bytes(), soon()).await.unwrap();
        if let Some(result) = poll(guest.receive(soon()), times) {
            assert_eq!(result.unwrap(), Opened::Data(payload.as_bytes()));
            continue;
        }
        let waited = poll(guest.wait(soon()), times % 3);
        assert!(waited.is_none_or(|result| result.unwrap()));
        let got = guest.receive(soon()).await.unwrap();
        assert_eq!(got, Opened::Data(payload.as_bytes()));
    }
    host.finish(soon()).await.unwrap();
    assert_eq!(guest.receive(soon()).await.unwrap(), Opened::Closed);
}

/// As the blocking form: a VMM would end the other direction too.
#[tokio::test]
async fn a_close_does_not_end_the_stream() {
    let pair = Pair::new();
    let mut tapped = pair.tapped().await;
    tapped.host.finish(soon()).await.unwrap();
    forward(&mut tapped.at_host, &mut tapped.at_guest).await;
    let behind = poll(tapped.at_host.read(&mut [0]), 3);
    assert!(behind.is_none(), "{behind:?}");
    assert_eq!(tapped.guest.receive(soon()).await.unwrap(), Opened::Closed);
    tapped.guest.finish(soon()).await.unwrap();
    forward(&mut tapped.at_guest, &mut tapped.at_host).await;
    let behind = poll(tapped.at_guest.read(&mut [0]), 3);
    assert!(behind.is_none(), "{behind:?}");
    tapped.guest.close(soon()).await.unwrap();
    tapped.host.close(soon()).await.unwrap();
}

#[tokio::test]
async fn a_handshake_that_is_dropped_hinders_no_other() {
    let pair = Pair::new();
    let mut given_up = 0;
    for times in 0..400 {
        let (to_guest, to_host) = duplex(4096);
        let (to_guest, to_host) = (Choppy::new(to_guest, 50), Choppy::new(to_host, 50));
        let both = async { tokio::join!(pair.connect(to_guest), pair.accept(to_host)) };
        match poll(both, times) {
            None => given_up += 1,
            Some((host, guest)) => {
                host.unwrap();
                guest.unwrap();
                break;
            }
        }
        if times % 5 == 0 {
            let (mut host, mut guest) = pair.established(duplex(4096)).await;
            host.send(b"after", soon()).await.unwrap();
            let got = guest.receive(soon()).await.unwrap();
            assert_eq!(got, Opened::Data(b"after"));
        }
    }
    assert!(given_up > 10 && given_up < 400, "{given_up}");
}

async fn carry_out<'h>(call: &Call<'_>, _: Deadline) -> Result<Answer<'h>, Failure> {
    tokio::task::yield_now().await;
    Ok(match call {
        Call::Ping(ping) => Answer::Pong(Pong {
            nonce: ping.nonce,
            uptime_ms: 42,
        }),
        Call::SleepPrep(_) => Answer::SleepPrep,
        Call::Shutdown(_) => Answer::Shutdown,
        other => return Err(Failure::Unsupported { op: other.op() }),
    })
}

async fn ping<S: Stream>(caller: &mut Caller<'_, S>, nonce: u64) -> Result<Pong, ControlError> {
    let call = Call::Ping(Ping { nonce });
    match caller.call(&call, TOTAL).await?.outcome {
        Ok(Answer::Pong(pong)) => Ok(pong),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_never_gets_the_answer_of_another() {
    let pair = Pair::new();
    let (mut dropped, mut done) = (0, false);
    for times in 0..2000 {
        let (host, guest) = choppy(&pair, 40).await;
        let mut caller = Caller::new(host, ALL);
        let server = Server::new(guest, ALL, &pair.lifecycle).unwrap();
        let mut serving = pin!(server.serve(TOTAL, carry_out));
        // The guest works whenever the host has been polled.
        let outcome = {
            let mut calling = pin!(ping(&mut caller, 1));
            let mut cx = Context::from_waker(Waker::noop());
            let mut outcome = None;
            for _ in 0..times {
                if let Poll::Ready(result) = calling.as_mut().poll(&mut cx) {
                    outcome = Some(result);
                    break;
                }
                let _ = serving.as_mut().poll(&mut cx);
            }
            outcome
        };
        if let Some(result) = outcome {
            assert_eq!(result.unwrap().nonce, 1);
            done = true;
            break;
        }
        let second = async { ping(&mut caller, 2).await };
        let result = tokio::select! {
            result = second => result,
            _ = &mut serving => panic!("the guest ended first"),
        };
        match result {
            Ok(pong) => assert_eq!((pong.nonce, times), (2, 0)),
            Err(ControlError::Channel(error)) => assert!(poisoned(&error), "{error:?}"),
            Err(other) => panic!("{other:?}"),
        }
        dropped += 1;
    }
    assert!(done && dropped > 5, "{dropped}");
}

#[tokio::test]
async fn a_server_that_is_dropped_leaves_nobody_draining() {
    let pair = Pair::new();
    let mut phases = [0; 2];
    for times in 0..400 {
        let (to_guest, to_host) = duplex(4096);
        let (_host, other) = tokio::join!(
            HostChannel::connect(
                Connection::new(to_guest),
                pair.at_host(),
                HostOptions {
                    service: 1,
                    ..asked()
                },
                soon()
            ),
            GuestChannel::accept(
                Connection::new(to_host),
                pair.at_guest(),
                GuestOptions {
                    service: 1,
                    ..served()
                },
                soon()
            )
        );
        let other = other.unwrap();
        let (host, guest) = choppy(&pair, 60).await;
        let mut caller = Caller::new(host, ALL);
        let call = Call::SleepPrep(SleepPrep {
            flush_deadline_ms: 100,
            unbind: false,
        });
        let finished = {
            let server = Server::new(guest, ALL, &pair.lifecycle).unwrap();
            let mut serving = pin!(server.serve(TOTAL, carry_out));
            let mut calling = pin!(caller.call(&call, TOTAL));
            let mut cx = Context::from_waker(Waker::noop());
            let (mut finished, mut answered) = (false, false);
            for _ in 0..times {
                if !answered {
                    answered = calling.as_mut().poll(&mut cx).map(drop).is_ready();
                }
                if let Poll::Ready(end) = serving.as_mut().poll(&mut cx) {
                    assert_eq!(end.unwrap(), Served::Asleep { unbound: false });
                    finished = true;
                    break;
                }
            }
            finished
        };
        let phase = pair.lifecycle.lock().unwrap().phase();
        assert_ne!(phase, Phase::DRAINING, "{times}");
        phases[usize::from(phase == Phase::ASLEEP)] += 1;
        if phase == Phase::ASLEEP {
            // Asleep means that no session is left, of no service.
            let ended = other.check().unwrap_err().ended();
            assert_eq!(ended, Some(Ended::Superseded), "{times}");
            *pair.lifecycle.lock().unwrap() = Lifecycle::booted();
        }
        if finished {
            break;
        }
    }
    assert!(phases[0] > 1 && phases[1] > 1, "{phases:?}");
}

#[tokio::test]
async fn requests_answers_and_a_verified_end() {
    let pair = Pair::new();
    let (host, guest) = pair.established(duplex(4096)).await;
    let serve = async {
        let server = Server::new(guest, ALL, &pair.lifecycle).unwrap();
        server.serve(TOTAL, carry_out).await.unwrap()
    };
    let drive = async {
        let mut caller = Caller::new(host, ALL);
        for nonce in 0..20 {
            assert_eq!(ping(&mut caller, nonce).await.unwrap().nonce, nonce);
        }
        let refused = caller.call(&Call::Status, TOTAL).await.unwrap();
        let op = Op::STATUS;
        assert_eq!(refused.outcome, Err(Failure::Unsupported { op }));
        drop(refused);
        caller.close(soon()).await.unwrap();
    };
    let (end, ()) = tokio::join!(serve, drive);
    assert_eq!(end, Served::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_expires_ends_the_session() {
    let pair = Pair::new();
    let (host, guest) = pair.established(duplex(4096)).await;
    let mut caller = Caller::new(host, ALL);
    let start = Instant::now();
    let error = ping(&mut caller, 1).await.unwrap_err();
    assert!(
        matches!(&error, ControlError::Channel(error) if expired(error, Doing::Receiving)),
        "{error:?}"
    );
    assert_eq!(start.elapsed().as_secs(), TOTAL.as_secs());
    let error = ping(&mut caller, 2).await.unwrap_err();
    assert!(error.channel().is_some_and(poisoned), "{error:?}");
    drop(guest);
}

#[tokio::test]
async fn no_more_is_read_than_there_is_room_for() {
    // Before the handshake: one message of it.
    let pair = Pair::new();
    let (mut peer, stream) = duplex(1 << 20);
    let stream = Choppy::new(stream, usize::MAX);
    let read = Arc::clone(&stream.read);
    peer.write_all(&[0, 0, 4, 0]).await.unwrap();
    peer.write_all(&vec![3; 1 << 19]).await.unwrap();
    pair.accept(stream).await.unwrap_err();
    assert!(read.load(Ordering::Relaxed) <= HANDSHAKE_BODY_MAX + 4);

    // Afterwards: one frame, though more are there.
    let (to_guest, to_host) = duplex(4 << 20);
    let stream = Choppy::new(to_host, usize::MAX);
    let read = Arc::clone(&stream.read);
    let (host, guest) = tokio::join!(pair.connect(to_guest), pair.accept(stream));
    let (mut host, mut guest) = (host.unwrap(), guest.unwrap());
    let payload = vec![7; PAYLOAD_MAX];
    for _ in 0..8 {
        host.send(&payload, soon()).await.unwrap();
    }
    let before = read.load(Ordering::Relaxed);
    for _ in 0..20 {
        assert!(guest.wait(soon()).await.unwrap());
    }
    assert!(read.load(Ordering::Relaxed) - before <= FRAME_BODY_MAX + 4);
}

#[tokio::test]
async fn the_vmms_line() {
    let answer = async |line: &[u8]| {
        let (to_vmm, mut at_vmm) = duplex(8192);
        let vmm = async {
            let mut asked = [0; 11];
            at_vmm.read_exact(&mut asked).await.unwrap();
            assert_eq!(&asked, b"CONNECT 52\n");
            at_vmm.write_all(line).await.unwrap();
            drop(at_vmm);
        };
        let (connection, ()) = tokio::join!(Connection::through_vsock(to_vmm, 52, soon()), vmm);
        connection
    };
    let error = answer(b"").await.unwrap_err();
    assert!(
        matches!(error, ChannelError::NobodyListens { port: 52 }),
        "{error:?}"
    );
    let error = answer(b"OK 12").await.unwrap_err();
    assert!(
        matches!(
            error,
            ChannelError::Hangup {
                doing: Doing::Connecting
            }
        ),
        "{error:?}"
    );
    for (line, expected) in [
        (&b"NO 1\n"[..], ConnectError::Keyword { at: 0 }),
        (b"OK 01\n", ConnectError::LeadingZero),
        (&[b'O'; 4096], ConnectError::Keyword { at: 1 }),
    ] {
        let error = answer(line).await.unwrap_err();
        assert!(
            matches!(error, ChannelError::Connect(error) if error == expected),
            "{error:?}"
        );
    }
    // No byte behind the line is lost: the guest is busy, and says so in the same write.
    let refusal = [0, 0, 0, 4, 0, RefusalCode::BUSY.0, 3, 3];
    let line = [b"OK 9\n".as_slice(), &refusal].concat();
    let (to_vmm, mut at_vmm) = duplex(8192);
    at_vmm.write_all(&line).await.unwrap();
    let connection = Connection::through_vsock(to_vmm, 52, soon()).await.unwrap();
    let pair = Pair::new();
    let error = HostChannel::connect(connection, pair.at_host(), asked(), soon()).await;
    assert_eq!(error.unwrap_err().refused(), Some(RefusalCode::BUSY));
}

/// Requests and answers with one side on a thread and the other on a runtime.
#[test]
fn a_blocking_peer() {
    let pair = Pair::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let streams = || std::os::unix::net::UnixStream::pair().unwrap();
    let on_runtime = |stream: std::os::unix::net::UnixStream| {
        stream.set_nonblocking(true).unwrap();
        tokio::net::UnixStream::from_std(stream).unwrap()
    };
    let deadline = || Deadline::after(TOTAL);

    let (here, there) = streams();
    std::thread::scope(|scope| {
        let guest = scope.spawn(|| {
            let connection = channel::Connection::new(there);
            let local = pair.at_guest();
            let channel =
                channel::GuestChannel::accept(connection, local, served(), deadline()).unwrap();
            let server = channel::Server::new(channel, ALL, &pair.lifecycle).unwrap();
            let answer = |call: &Call<'_>, _: Deadline| match call {
                Call::Ping(Ping { nonce }) => Ok(Answer::Pong(Pong {
                    nonce: *nonce,
                    uptime_ms: 42,
                })),
                _ => Err(Failure::Busy),
            };
            server.serve(TOTAL, answer).unwrap()
        });
        runtime.block_on(async {
            let mut caller = Caller::new(pair.connect(on_runtime(here)).await.unwrap(), ALL);
            for nonce in 0..20 {
                assert_eq!(ping(&mut caller, nonce).await.unwrap().nonce, nonce);
            }
            caller.close(soon()).await.unwrap();
        });
        assert_eq!(guest.join().unwrap(), Served::Closed);
    });

    let (here, there) = streams();
    std::thread::scope(|scope| {
        let host = scope.spawn(|| {
            let connection = channel::Connection::new(here);
            let local = pair.at_host();
            let channel =
                channel::HostChannel::connect(connection, local, asked(), deadline()).unwrap();
            let mut caller = channel::Caller::new(channel, ALL);
            for nonce in 0..20 {
                let call = Call::Ping(Ping { nonce });
                let completed = caller.call(&call, TOTAL).unwrap();
                let pong = Pong {
                    nonce,
                    uptime_ms: 42,
                };
                assert_eq!(completed.outcome, Ok(Answer::Pong(pong)));
            }
            caller.close(deadline()).unwrap();
        });
        let end = runtime.block_on(async {
            let guest = pair.accept(on_runtime(there)).await.unwrap();
            let server = Server::new(guest, ALL, &pair.lifecycle).unwrap();
            server.serve(TOTAL, carry_out).await.unwrap()
        });
        assert_eq!(end, Served::Closed);
        host.join().unwrap();
    });
}

/// A task of a runtime with several threads can hold all of it.
#[test]
fn futures_can_be_spawned() {
    fn sendable<T: Send>(value: T) -> T {
        value
    }
    async fn whole<S: Stream + Send>(pair: &Pair, stream: S, other: S) {
        let mut host = pair.connect(stream).await.unwrap();
        host.send(b"x", soon()).await.unwrap();
        let _ = host.receive(soon()).await.map(drop);
        let mut caller = Caller::new(host, ALL);
        let _ = ping(&mut caller, 1).await;
        let guest: Channel<'_, _, _> = pair.accept(other).await.unwrap();
        let server = Server::new(guest, ALL, &pair.lifecycle).unwrap();
        let _ = server.serve(TOTAL, carry_out).await;
    }
    let pair = Pair::new();
    let (a, b) = duplex(1);
    drop(sendable(whole(&pair, a, b)));
}
