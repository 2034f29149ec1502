//! Channels over real sockets: whole sessions, and peers that are slow, silent, wrong or gone.
#![cfg(all(unix, feature = "std"))]
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

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mvm_core::channel::*;
use mvm_core::limits::{FRAME_BODY_MAX, HANDSHAKE_BODY_MAX};
use mvm_core::naming::InstanceId;
use mvm_core::session::*;
use mvm_core::wire::codec::DecodeError;
use mvm_core::wire::connect::ConnectError;
use mvm_core::wire::frame::FrameError;

const SERVICE: u16 = 5252;

/// A host and a guest that know each other.
struct Pair {
    host_key: HostKey,
    guest_key: GuestKey,
    host: Mutex<HostEndpoint>,
    guest: Mutex<GuestEndpoint>,
    machine: SystemEnvironment,
}

impl Pair {
    fn new() -> Self {
        let host_key = HostKey::from_seed(&[1; 32]);
        let guest_key = GuestKey::from_seed(&[2; 32]);
        let mut trusted = TrustedHosts::new();
        trusted.insert(TrustedHost::new(host_key.public())).unwrap();
        let trust = GuestTrust::pinned(guest_key.public());
        Self {
            host: Mutex::new(HostEndpoint::new(instance(), 1, trust).unwrap()),
            guest: Mutex::new(GuestEndpoint::new(trusted)),
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

    fn connect<S: DeadlineStream>(&self, stream: S) -> Result<HostChannel<'_, S>, ChannelError> {
        self.connect_to(SERVICE, stream)
    }

    fn connect_to<S: DeadlineStream>(
        &self,
        service: u16,
        stream: S,
    ) -> Result<HostChannel<'_, S>, ChannelError> {
        let connection = Connection::new(stream);
        HostChannel::connect(connection, self.at_host(), host_options(service), soon())
    }

    fn accept<S: DeadlineStream>(&self, stream: S) -> Result<GuestChannel<'_, S>, ChannelError> {
        self.accept_at(SERVICE, stream)
    }

    fn accept_at<S: DeadlineStream>(
        &self,
        service: u16,
        stream: S,
    ) -> Result<GuestChannel<'_, S>, ChannelError> {
        let connection = Connection::new(stream);
        GuestChannel::accept(connection, self.at_guest(), guest_options(service), soon())
    }

    /// Both sides of a session, and a second handle on each socket: what is written to the host's
    /// arrives at the guest.
    fn established(&self) -> Established<'_> {
        let (to_guest, to_host) = UnixStream::pair().unwrap();
        let raw_host = to_guest.try_clone().unwrap();
        let raw_guest = to_host.try_clone().unwrap();
        let (host, guest) = thread::scope(|scope| {
            let guest = scope.spawn(|| self.accept(to_host).unwrap());
            (self.connect(to_guest).unwrap(), guest.join().unwrap())
        });
        Established {
            host,
            guest,
            raw_host,
            raw_guest,
        }
    }
}

struct Established<'a> {
    host: HostChannel<'a, UnixStream>,
    guest: GuestChannel<'a, UnixStream>,
    raw_host: UnixStream,
    raw_guest: UnixStream,
}

fn instance() -> InstanceId {
    InstanceId::new("i-0a1b2c3d").unwrap()
}

fn host_options(service: u16) -> HostOptions<'static> {
    HostOptions {
        service,
        capabilities: 0b111,
        extensions: &[9],
        lifetime_ms: 60_000,
    }
}

fn guest_options(service: u16) -> GuestOptions<'static> {
    GuestOptions {
        service,
        capabilities: 0b101,
        extensions: &[],
        lifetime_ms: 60_000,
    }
}

/// Long enough for a busy machine, short enough for a test that fails.
fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(4))
}

/// Runs `call` with a deadline 250 ms away, sees that it gives up in time and not before, and
/// returns its error.
fn expires<T>(call: impl FnOnce(Deadline) -> Result<T, ChannelError>) -> ChannelError {
    let total = Duration::from_millis(250);
    let start = Instant::now();
    let error = call(Deadline::after(total)).err().expect("no error");
    let took = start.elapsed();
    assert!(took >= total, "gave up after {took:?}: {error}");
    assert!(took < Duration::from_secs(2), "held up for {took:?}");
    error
}

/// Writes `bytes` one at a time, and then again from the start, until told to stop.
fn trickle(stream: &mut UnixStream, bytes: &[u8], stop: &AtomicBool) {
    for byte in bytes.iter().cycle() {
        thread::sleep(Duration::from_millis(10));
        if stop.load(Ordering::Relaxed) || stream.write_all(&[*byte]).is_err() {
            return;
        }
    }
}

/// As [`expires`], while a peer sends `bytes` one at a time.
fn expires_under_trickle<T>(
    peer: &mut UnixStream,
    bytes: &[u8],
    call: impl FnOnce(Deadline) -> Result<T, ChannelError>,
) -> ChannelError {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| trickle(peer, bytes, &stop));
        let error = expires(call);
        stop.store(true, Ordering::Relaxed);
        error
    })
}

fn assert_expired(error: &ChannelError, at: Doing) {
    assert!(
        matches!(error, ChannelError::Expired { doing } if *doing == at),
        "{error:?}"
    );
}

#[test]
fn payloads_of_every_size_go_both_ways_and_both_ends_are_verified() {
    let pair = Pair::new();
    let (to_guest, to_host) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        let guest = scope.spawn(|| {
            let mut channel = pair.accept(to_host).unwrap();
            let mut count = 0;
            loop {
                let payload = match channel.receive(soon()).unwrap() {
                    Opened::Data(payload) => payload.to_vec(),
                    Opened::Closed => break,
                    other => panic!("{other:?}"),
                };
                channel.send(&payload, soon()).unwrap();
                count += 1;
            }
            // After the close there is nothing to wait for.
            assert_eq!(channel.receive(soon()).unwrap(), Opened::Closed);
            channel.close(soon()).unwrap();
            count
        });
        let mut channel = pair.connect(to_guest).unwrap();
        assert_eq!(channel.session().capabilities(), 0b101);
        assert_eq!(channel.session().peer_key(), pair.guest_key.public());
        let sizes = [0, 1, 100, 1021, 1024, 65_536, PAYLOAD_MAX - 1, PAYLOAD_MAX];
        for size in sizes {
            let payload: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            channel.send(&payload, soon()).unwrap();
            let got = channel.receive(soon()).unwrap();
            assert!(got == Opened::Data(&payload), "{size} bytes");
        }
        channel.close(soon()).unwrap();
        assert_eq!(guest.join().unwrap(), sizes.len());
    });
    assert!(pair.host.lock().unwrap().is_confirmed());
}

#[test]
fn it_runs_over_tcp_and_over_borrowed_and_boxed_streams() {
    let pair = Pair::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut to_guest = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (to_host, _) = listener.accept().unwrap();
    thread::scope(|scope| {
        let guest = scope.spawn(|| {
            let stream: Box<dyn DeadlineStream + Send> = Box::new(to_host);
            let mut channel = pair.accept(stream).unwrap();
            assert_eq!(channel.receive(soon()).unwrap(), Opened::Data(b"hello"));
            channel.close(soon()).unwrap();
        });
        let mut channel = pair.connect(&mut to_guest).unwrap();
        channel.send(b"hello", soon()).unwrap();
        channel.close(soon()).unwrap();
        guest.join().unwrap();
    });
}

#[test]
fn a_nonblocking_stream_keeps_the_deadline_too() {
    let pair = Pair::new();
    let (to_guest, _to_host) = UnixStream::pair().unwrap();
    to_guest.set_nonblocking(true).unwrap();
    let connection = Connection::new(to_guest);
    let error = expires(|deadline| {
        HostChannel::connect(connection, pair.at_host(), host_options(SERVICE), deadline)
    });
    assert_expired(&error, Doing::Handshake);
}

#[test]
fn silence_ends_at_the_deadline() {
    let pair = Pair::new();
    let (to_guest, to_host) = UnixStream::pair().unwrap();
    let error = expires(|deadline| {
        let connection = Connection::new(to_guest.try_clone().unwrap());
        HostChannel::connect(connection, pair.at_host(), host_options(SERVICE), deadline)
    });
    assert_expired(&error, Doing::Handshake);
    let (_quiet, to_quiet) = UnixStream::pair().unwrap();
    let error = expires(|deadline| {
        let connection = Connection::new(to_quiet);
        let options = guest_options(SERVICE);
        GuestChannel::accept(connection, pair.at_guest(), options, deadline)
    });
    assert_expired(&error, Doing::Handshake);
    drop(to_host);

    let mut both = pair.established();
    let error = expires(|deadline| both.host.receive(deadline).map(drop));
    assert_expired(&error, Doing::Receiving);
    // A call that has expired ends the session.
    let error = both.host.receive(soon()).map(drop).unwrap_err();
    assert_eq!(error.ended(), Some(Ended::Poisoned));
}

#[test]
fn one_byte_at_a_time_does_not_move_the_deadline() {
    let pair = Pair::new();
    // A hello's header, and bytes that never complete it.
    let (mut peer, stream) = UnixStream::pair().unwrap();
    let error = expires_under_trickle(&mut peer, b"\0\0\x03\x03", |deadline| {
        let connection = Connection::new(stream);
        let options = guest_options(SERVICE);
        GuestChannel::accept(connection, pair.at_guest(), options, deadline)
    });
    assert_expired(&error, Doing::Handshake);

    let (mut peer, stream) = UnixStream::pair().unwrap();
    let error = expires_under_trickle(&mut peer, b"\0\0\x03\x03", |deadline| {
        let connection = Connection::new(stream);
        HostChannel::connect(connection, pair.at_host(), host_options(SERVICE), deadline)
    });
    assert_expired(&error, Doing::Handshake);

    let mut both = pair.established();
    let error = expires_under_trickle(&mut both.raw_guest, b"\0\x01\0\0", |deadline| {
        both.host.receive(deadline).map(drop)
    });
    assert_expired(&error, Doing::Receiving);
}

#[test]
fn a_peer_that_does_not_read_holds_up_no_sender() {
    let pair = Pair::new();
    let mut both = pair.established();
    let payload = vec![7; PAYLOAD_MAX];
    let error = expires(|deadline| {
        for _ in 0..1000 {
            both.host.send(&payload, deadline)?;
        }
        Ok(())
    });
    assert_expired(&error, Doing::Sending);
    // Part of a frame is out: nothing can follow it.
    let error = both.host.send(b"more", soon()).unwrap_err();
    assert_eq!(error.ended(), Some(Ended::Poisoned));
}

#[test]
fn waiting_for_a_frame_that_does_not_come_ends_nothing() {
    let pair = Pair::new();
    let mut both = pair.established();
    let short = || Deadline::after_millis(30);
    assert!(!both.guest.wait(short()).unwrap());
    both.host.send(b"first", soon()).unwrap();
    assert!(both.guest.wait(soon()).unwrap());
    assert!(both.guest.wait(short()).unwrap(), "it is still there");
    assert_eq!(both.guest.receive(soon()).unwrap(), Opened::Data(b"first"));
    both.host.send(b"second", soon()).unwrap();
    assert_eq!(both.guest.receive(soon()).unwrap(), Opened::Data(b"second"));
    assert!(!both.guest.wait(short()).unwrap());
}

#[test]
fn a_frame_in_two_halves_is_kept_across_a_wait() {
    let pair = Pair::new();
    let (to_relay, mut from_host) = UnixStream::pair().unwrap();
    let (mut to_guest, to_relay_guest) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        let guest = scope.spawn(|| pair.accept(to_relay_guest).unwrap());
        let host = scope.spawn(|| {
            let mut channel = pair.connect(to_relay).unwrap();
            channel.send(b"in two halves", soon()).unwrap();
            channel
        });
        relay_frame(&mut from_host, &mut to_guest);
        relay_frame(&mut to_guest, &mut from_host);
        relay_frame(&mut from_host, &mut to_guest);
        let frame = read_frame(&mut from_host);
        let mut channel = guest.join().unwrap();
        let _host = host.join().unwrap();
        let (one, two) = frame.split_at(9);
        to_guest.write_all(one).unwrap();
        assert!(!channel.wait(Deadline::after_millis(30)).unwrap());
        to_guest.write_all(two).unwrap();
        assert_eq!(
            channel.receive(soon()).unwrap(),
            Opened::Data(b"in two halves")
        );
    });
}

fn read_frame(from: &mut UnixStream) -> Vec<u8> {
    let mut frame = vec![0; 4];
    from.read_exact(&mut frame).unwrap();
    let len = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
    frame.resize(4 + len as usize, 0);
    from.read_exact(&mut frame[4..]).unwrap();
    frame
}

fn relay_frame(from: &mut UnixStream, to: &mut UnixStream) {
    let frame = read_frame(from);
    to.write_all(&frame).unwrap();
}

#[test]
fn an_announced_length_above_the_limit_is_refused_from_four_bytes() {
    let pair = Pair::new();
    let (mut peer, stream) = UnixStream::pair().unwrap();
    peer.write_all(&[0, 0, 4, 1]).unwrap();
    let error = pair.accept(stream).unwrap_err();
    let too_long = HandshakeError::TooLong {
        len: 1025,
        max: HANDSHAKE_BODY_MAX,
    };
    assert!(
        matches!(error, ChannelError::Handshake(error) if error == too_long),
        "{error:?}"
    );
    // The guest has said so and closed its direction.
    let mut told = Vec::new();
    peer.read_to_end(&mut told).unwrap();
    assert_eq!(told, [0, 0, 0, 4, 0, RefusalCode::MALFORMED.0, 3, 3]);

    let (mut peer, stream) = UnixStream::pair().unwrap();
    peer.write_all(&[0xFF; 4]).unwrap();
    let error = pair.connect(stream).unwrap_err();
    assert!(
        matches!(
            error,
            ChannelError::Handshake(HandshakeError::TooLong { max, .. }) if max == HANDSHAKE_BODY_MAX
        ),
        "{error:?}"
    );

    let mut both = pair.established();
    let len = FRAME_BODY_MAX + 1;
    let header = u32::try_from(len).unwrap().to_be_bytes();
    both.raw_guest.write_all(&header).unwrap();
    let error = both.host.receive(soon()).map(drop).unwrap_err();
    let max = FRAME_BODY_MAX;
    assert!(
        matches!(error, ChannelError::Frame(error) if error == FrameError::TooLong { len, max }),
        "{error:?}"
    );
    let error = both.host.send(b"", soon()).unwrap_err();
    assert_eq!(error.ended(), Some(Ended::Poisoned));
    assert_eq!(
        both.host
            .send(&vec![0; PAYLOAD_MAX + 1], soon())
            .map_err(|error| error.to_string()),
        Err(format!(
            "a payload of {} bytes, {PAYLOAD_MAX} are allowed",
            PAYLOAD_MAX + 1
        ))
    );
}

#[test]
fn garbage_is_refused_with_its_reason() {
    let pair = Pair::new();
    // (what a host sends, the guest's error, the refusal's code)
    let cases: [(&[u8], HandshakeError, RefusalCode); 4] = [
        (
            b"\0\0\0\0",
            HandshakeError::Malformed(DecodeError::UnexpectedEnd { len: 0 }),
            RefusalCode::MALFORMED,
        ),
        (
            b"\0\0\0\x05GET /",
            HandshakeError::VersionMismatch {
                min: b'G',
                max: b'E',
            },
            RefusalCode::VERSION,
        ),
        (
            b"\0\0\0\x03\x04\x09?",
            HandshakeError::VersionMismatch { min: 4, max: 9 },
            RefusalCode::VERSION,
        ),
        (
            b"\0\0\0\x03\x03\x03\x01",
            HandshakeError::Malformed(DecodeError::UnexpectedEnd { len: 3 }),
            RefusalCode::MALFORMED,
        ),
    ];
    for (sent, expected, code) in cases {
        let (mut peer, stream) = UnixStream::pair().unwrap();
        peer.write_all(sent).unwrap();
        let error = pair.accept(stream).unwrap_err();
        assert!(
            matches!(error, ChannelError::Handshake(error) if error == expected),
            "{sent:?}: {error:?}"
        );
        let mut told = Vec::new();
        peer.read_to_end(&mut told).unwrap();
        assert_eq!(told, [0, 0, 0, 4, 0, code.0, 3, 3], "{sent:?}");
    }

    let mut both = pair.established();
    both.raw_host.write_all(b"\0\0\0\x02hi").unwrap();
    let error = both.guest.receive(soon()).map(drop).unwrap_err();
    assert!(
        matches!(error, ChannelError::Open(OpenError::Malformed(_))),
        "{error:?}"
    );
}

#[test]
fn a_stream_that_ends_without_a_close_is_truncated() {
    let pair = Pair::new();
    let truncated = |error: ChannelError, received| {
        assert!(
            matches!(error, ChannelError::Truncated(end) if end == Truncated { received }),
            "{error:?}"
        );
    };

    // Between two frames.
    let Established {
        mut host,
        mut guest,
        raw_host,
        raw_guest,
    } = pair.established();
    host.send(b"last words", soon()).unwrap();
    drop((host, raw_host));
    assert_eq!(guest.receive(soon()).unwrap(), Opened::Data(b"last words"));
    truncated(guest.receive(soon()).map(drop).unwrap_err(), 1);
    drop(raw_guest);

    // Inside a frame.
    let Established {
        host,
        mut guest,
        mut raw_host,
        raw_guest,
    } = pair.established();
    raw_host.write_all(b"\0\0\0\x50half").unwrap();
    drop((host, raw_host));
    truncated(guest.receive(soon()).map(drop).unwrap_err(), 0);
    drop(raw_guest);

    // With bytes that the peer has not read, which resets the stream.
    let Established {
        host,
        mut guest,
        raw_host,
        raw_guest,
    } = pair.established();
    guest.send(b"never read", soon()).unwrap();
    drop((host, raw_host));
    truncated(guest.receive(soon()).map(drop).unwrap_err(), 0);
    drop(raw_guest);

    // An end in the handshake.
    let (peer, stream) = UnixStream::pair().unwrap();
    drop(peer);
    let error = pair.accept(stream).unwrap_err();
    assert!(matches!(error, ChannelError::Hangup { .. }), "{error:?}");

    // It is the same end where it is noticed by the host, which writes first.
    let (peer, stream) = UnixStream::pair().unwrap();
    drop(peer);
    let error = pair.connect(stream).unwrap_err();
    let doing = Doing::Handshake;
    assert!(
        matches!(error, ChannelError::Hangup { doing: at } if at == doing),
        "{error:?}"
    );
}

#[test]
fn what_a_guest_said_before_it_hung_up_is_heard() {
    let pair = Pair::new();
    let (mut peer, stream) = UnixStream::pair().unwrap();
    peer.write_all(&[0, 0, 0, 4, 0, RefusalCode::BUSY.0, 3, 3])
        .unwrap();
    drop(peer);
    let error = pair.connect(stream).unwrap_err();
    assert_eq!(error.refused(), Some(RefusalCode::BUSY), "{error:?}");
}

#[test]
fn closing_waits_for_the_peers_close() {
    let pair = Pair::new();
    let Established {
        mut host,
        mut guest,
        ..
    } = pair.established();
    guest.send(b"not wanted any more", soon()).unwrap();
    guest.finish(soon()).unwrap();
    guest.finish(soon()).unwrap();
    let error = guest.send(b"after the close", soon()).unwrap_err();
    assert!(
        matches!(error, ChannelError::Seal(SealError::Closed)),
        "{error:?}"
    );
    // The host may go on sending, and its close is verified all the same.
    host.send(b"one more", soon()).unwrap();
    host.close(soon()).unwrap();

    // A peer that never closes holds nobody up.
    let Established { host, guest, .. } = pair.established();
    let error = expires(|deadline| host.close(deadline));
    assert_expired(&error, Doing::Receiving);
    drop(guest);
}

/// A VMM takes the end of one direction for the end of both, so that a side that has closed must go on
/// holding the stream open for what the other one still has to say.
#[test]
fn a_close_does_not_end_the_stream() {
    let pair = Pair::new();
    for host_first in [true, false] {
        let Established {
            mut host,
            mut guest,
            mut raw_host,
            mut raw_guest,
        } = pair.established();
        let raw = if host_first {
            host.finish(soon()).unwrap();
            assert_eq!(guest.receive(soon()).unwrap(), Opened::Closed);
            &mut raw_guest
        } else {
            guest.finish(soon()).unwrap();
            assert_eq!(host.receive(soon()).unwrap(), Opened::Closed);
            &mut raw_host
        };
        raw.set_nonblocking(true).unwrap();
        // Behind the close there is nothing, and no end either.
        let error = raw.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        raw.set_nonblocking(false).unwrap();
        if host_first {
            guest.close(soon()).unwrap();
            host.close(soon()).unwrap();
        } else {
            host.close(soon()).unwrap();
            guest.close(soon()).unwrap();
        }
    }
}

#[test]
fn a_refusal_reaches_the_host() {
    let pair = Pair::new();
    let removed = pair
        .guest
        .lock()
        .unwrap()
        .trust_mut()
        .remove(&pair.host_key.public());
    assert!(removed);
    let (to_guest, to_host) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        let guest = scope.spawn(|| pair.accept(to_host).unwrap_err());
        let error = pair.connect(to_guest).unwrap_err();
        assert_eq!(error.refused(), Some(RefusalCode::HOST));
        let error = guest.join().unwrap();
        assert!(
            matches!(
                error,
                ChannelError::Handshake(HandshakeError::UntrustedHost)
            ),
            "{error:?}"
        );
    });
    let (to_guest, to_host) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        let guest = scope.spawn(|| pair.accept_at(SERVICE + 1, to_host).unwrap_err());
        let error = pair.connect(to_guest).unwrap_err();
        assert_eq!(error.refused(), Some(RefusalCode::SERVICE));
        guest.join().unwrap();
    });
}

#[test]
fn a_silent_connection_holds_up_no_other() {
    let pair = Pair::new();
    let (silent, to_silent) = UnixStream::pair().unwrap();
    let (to_guest, to_host) = UnixStream::pair().unwrap();
    let start = Instant::now();
    thread::scope(|scope| {
        let held_up = scope.spawn(|| {
            let connection = Connection::new(to_silent);
            let options = guest_options(SERVICE);
            let deadline = Deadline::after_millis(900);
            GuestChannel::accept(connection, pair.at_guest(), options, deadline).map(drop)
        });
        thread::sleep(Duration::from_millis(50));
        let guest = scope.spawn(|| {
            let mut channel = pair.accept(to_host).unwrap();
            assert_eq!(channel.receive(soon()).unwrap(), Opened::Data(b"served"));
            channel.close(soon()).unwrap();
        });
        let mut channel = pair.connect(to_guest).unwrap();
        channel.send(b"served", soon()).unwrap();
        channel.close(soon()).unwrap();
        guest.join().unwrap();
        let served = start.elapsed();
        assert!(served < Duration::from_millis(850), "{served:?}");
        assert!(!held_up.is_finished());
        assert_expired(&held_up.join().unwrap().unwrap_err(), Doing::Handshake);
    });
    drop(silent);
}

#[test]
fn sessions_of_two_services_live_side_by_side_and_of_one_the_later_counts() {
    let pair = Pair::new();
    let open = |service| {
        let (to_guest, to_host) = UnixStream::pair().unwrap();
        thread::scope(|scope| {
            let guest = scope.spawn(|| pair.accept_at(service, to_host).unwrap());
            (
                pair.connect_to(service, to_guest).unwrap(),
                guest.join().unwrap(),
            )
        })
    };
    let talk = |sides: &mut (HostChannel<'_, UnixStream>, GuestChannel<'_, UnixStream>)| {
        sides.0.send(b"x", soon())?;
        sides.1.receive(soon()).map(drop)
    };
    let (mut first, mut other) = (open(1), open(2));
    talk(&mut first).unwrap();
    talk(&mut other).unwrap();
    let mut second = open(1);
    talk(&mut second).unwrap();
    talk(&mut other).unwrap();
    let error = talk(&mut first).unwrap_err();
    assert_eq!(error.ended(), Some(Ended::Superseded));
    let error = first.1.check().unwrap_err();
    assert_eq!(error.ended(), Some(Ended::Superseded));
    other.1.check().unwrap();
}

/// A VMM's socket: reads the request, writes `answer`, hands back the stream.
fn vmm(mut stream: UnixStream, answer: &[u8]) -> UnixStream {
    let mut line = vec![];
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        line.extend(byte);
    }
    assert_eq!(line, b"CONNECT 52\n");
    stream.write_all(answer).unwrap();
    stream
}

#[test]
fn a_session_through_the_vmms_socket() {
    let pair = Pair::new();
    let (to_vmm, at_vmm) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        let guest = scope.spawn(|| {
            let stream = vmm(at_vmm, b"OK 1073741824\n");
            let mut channel = pair.accept(stream).unwrap();
            assert_eq!(channel.receive(soon()).unwrap(), Opened::Data(b"in"));
            channel.close(soon()).unwrap();
        });
        let connection = Connection::through_vsock(to_vmm, 52, soon()).unwrap();
        let local = pair.at_host();
        let options = host_options(SERVICE);
        let mut channel = HostChannel::connect(connection, local, options, soon()).unwrap();
        channel.send(b"in", soon()).unwrap();
        channel.close(soon()).unwrap();
        guest.join().unwrap();
    });
}

#[test]
fn no_byte_behind_the_vmms_line_is_lost() {
    let pair = Pair::new();
    let (to_vmm, at_vmm) = UnixStream::pair().unwrap();
    // The guest is busy and says so before the host has said anything: one write holds the line
    // and the refusal.
    let refusal = [0, 0, 0, 4, 0, RefusalCode::BUSY.0, 3, 3];
    let answer = [b"OK 9\n".as_slice(), &refusal].concat();
    thread::scope(|scope| {
        let vmm = scope.spawn(|| vmm(at_vmm, &answer));
        let connection = Connection::through_vsock(to_vmm, 52, soon()).unwrap();
        let _open = vmm.join().unwrap();
        let local = pair.at_host();
        let error = HostChannel::connect(connection, local, host_options(SERVICE), soon());
        assert_eq!(error.unwrap_err().refused(), Some(RefusalCode::BUSY));
    });
}

#[test]
fn what_a_vmm_may_do_wrong() {
    let answer = |bytes: &'static [u8]| {
        let (to_vmm, at_vmm) = UnixStream::pair().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| drop(vmm(at_vmm, bytes)));
            Connection::through_vsock(to_vmm, 52, soon())
                .map(drop)
                .unwrap_err()
        })
    };
    let error = answer(b"");
    assert!(
        matches!(error, ChannelError::NobodyListens { port: 52 }),
        "{error:?}"
    );
    let error = answer(b"OK 12");
    assert!(
        matches!(
            error,
            ChannelError::Hangup {
                doing: Doing::Connecting
            }
        ),
        "{error:?}"
    );
    let lines: [(&[u8], ConnectError); 3] = [
        (b"NO 1\n", ConnectError::Keyword { at: 0 }),
        (b"OK 01\n", ConnectError::LeadingZero),
        (&[b'O'; 4096], ConnectError::Keyword { at: 1 }),
    ];
    for (line, expected) in lines {
        let error = answer(line);
        assert!(
            matches!(error, ChannelError::Connect(error) if error == expected),
            "{error:?}"
        );
    }
    let (to_vmm, mut at_vmm) = UnixStream::pair().unwrap();
    let error = expires(|deadline| Connection::through_vsock(to_vmm, 52, deadline));
    assert_expired(&error, Doing::Connecting);
    let mut asked = Vec::new();
    at_vmm.read_to_end(&mut asked).unwrap();
    assert_eq!(asked, b"CONNECT 52\n");
}

#[test]
fn a_poisoned_lock_is_an_error_and_no_panic() {
    let pair = Pair::new();
    let mut both = pair.established();
    thread::scope(|scope| {
        let panicking = scope.spawn(|| {
            let _held = pair.guest.lock().unwrap();
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        assert!(panicking.join().is_err());
    });
    assert!(pair.guest.is_poisoned());
    let error = both.guest.send(b"x", soon()).unwrap_err();
    assert!(matches!(error, ChannelError::LockPoisoned), "{error:?}");
    both.host.send(b"x", soon()).unwrap();
    let error = both.guest.receive(soon()).map(drop).unwrap_err();
    assert!(matches!(error, ChannelError::LockPoisoned), "{error:?}");
}

#[test]
fn a_first_key_is_pinned_before_the_host_proves_its_own() {
    let pair = Pair::new();
    *pair.host.lock().unwrap().trust_mut() = GuestTrust::FirstUse;
    let attempt = |store: Option<io::Result<()>>| {
        let (to_guest, to_host) = UnixStream::pair().unwrap();
        thread::scope(|scope| {
            let guest = scope.spawn(|| pair.accept(to_host).map(drop));
            let connection = Connection::new(to_guest);
            let (local, options) = (pair.at_host(), host_options(SERVICE));
            let host = match store {
                None => HostChannel::connect(connection, local, options, soon()).map(drop),
                Some(stored) => {
                    let store = |named: &InstanceId, key: &GuestPublicKey| {
                        assert_eq!(*named, instance());
                        assert_eq!(*key, pair.guest_key.public());
                        stored
                    };
                    HostChannel::connect_or_pin(connection, local, options, store, soon()).map(drop)
                }
            };
            (host, guest.join().unwrap())
        })
    };
    let (host, guest) = attempt(None);
    assert!(
        matches!(host, Err(ChannelError::NotPinned { key }) if key == pair.guest_key.public()),
        "{host:?}"
    );
    assert!(
        matches!(guest, Err(ChannelError::Hangup { .. })),
        "{guest:?}"
    );

    let (host, guest) = attempt(Some(Err(ErrorKind::StorageFull.into())));
    assert!(
        matches!(&host, Err(ChannelError::Io { doing: Doing::Pinning, error })
            if error.kind() == ErrorKind::StorageFull),
        "{host:?}"
    );
    assert!(
        matches!(guest, Err(ChannelError::Hangup { .. })),
        "{guest:?}"
    );
    assert_eq!(*pair.host.lock().unwrap().trust(), GuestTrust::FirstUse);

    let (host, guest) = attempt(Some(Ok(())));
    host.unwrap();
    guest.unwrap();
    let pinned = GuestTrust::pinned(pair.guest_key.public());
    assert_eq!(*pair.host.lock().unwrap().trust(), pinned);
    attempt(None).0.unwrap();
}

#[test]
fn entropy_that_cannot_be_drawn_ends_the_attempt() {
    let pair = Pair::new();
    let dry = || Err(ErrorKind::Unsupported.into());
    let (to_guest, to_host) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        let guest = scope.spawn(|| {
            let local = pair.at_guest().with_entropy(&dry);
            let connection = Connection::new(to_host);
            GuestChannel::accept(connection, local, guest_options(SERVICE), soon()).map(drop)
        });
        let error = pair.connect(to_guest).unwrap_err();
        assert!(matches!(error, ChannelError::Hangup { .. }), "{error:?}");
        let error = guest.join().unwrap().unwrap_err();
        let doing = Doing::DrawingEntropy;
        assert!(
            matches!(&error, ChannelError::Io { doing: at, .. } if *at == doing),
            "{error:?}"
        );
    });
}

#[test]
fn a_guest_goes_to_sleep_with_the_session_of_its_channel() {
    let pair = Pair::new();
    let Established {
        mut host, guest, ..
    } = pair.established();
    let (session, connection) = guest.into_parts();
    let mut endpoint = pair.guest.lock().unwrap();
    endpoint
        .prepare_sleep(session, &pair.machine, false)
        .unwrap();
    drop(endpoint);
    drop(connection.into_stream());
    // The host hears of it as of any stream that was cut.
    let error = host.receive(soon()).map(drop).unwrap_err();
    assert!(
        matches!(error, ChannelError::Truncated(Truncated { received: 0 })),
        "{error:?}"
    );
}
