//! Requests and answers of the guest vocabulary on channels.
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

use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use mvm_core::channel::*;
use mvm_core::guest::*;
use mvm_core::naming::InstanceId;
use mvm_core::session::*;
use mvm_core::time::Timestamp;
use mvm_core::wire::codec::Bytes;

const ALL: Capabilities = Capabilities::KNOWN;
const TOTAL: Duration = Duration::from_secs(4);

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

    fn connect(&self, service: u16, stream: UnixStream) -> HostChannel<'_, UnixStream> {
        let local = Local::new(&self.host_key, &self.host, &self.machine);
        let options = HostOptions {
            service,
            capabilities: ALL.bits(),
            extensions: &[],
            lifetime_ms: 60_000,
        };
        let deadline = Deadline::after(TOTAL);
        HostChannel::connect(Connection::new(stream), local, options, deadline).unwrap()
    }

    fn accept(
        &self,
        service: u16,
        offered: Capabilities,
        stream: UnixStream,
    ) -> GuestChannel<'_, UnixStream> {
        let local = Local::new(&self.guest_key, &self.guest, &self.machine);
        let options = GuestOptions {
            service,
            capabilities: offered.bits(),
            extensions: &[],
            lifetime_ms: 60_000,
        };
        let deadline = Deadline::after(TOTAL);
        GuestChannel::accept(Connection::new(stream), local, options, deadline).unwrap()
    }

    /// A caller, and what came of the server that `carry_out` stands behind.
    fn serve<'h, T>(
        &self,
        offered: Capabilities,
        carry_out: impl FnMut(&Call<'_>, Deadline) -> Result<Answer<'h>, Failure> + Send,
        drive: impl FnOnce(Caller<'_, UnixStream>) -> T,
    ) -> (T, Result<Served, ControlError>) {
        let (to_guest, to_host) = UnixStream::pair().unwrap();
        thread::scope(|scope| {
            let guest = scope.spawn(|| {
                let channel = self.accept(1, offered, to_host);
                Server::new(channel, offered, &self.lifecycle)
                    .unwrap()
                    .serve(TOTAL, carry_out)
            });
            let driven = drive(Caller::new(self.connect(1, to_guest), ALL));
            (driven, guest.join().unwrap())
        })
    }
}

fn ping(caller: &mut Caller<'_, UnixStream>, nonce: u64) -> Result<Pong, ControlError> {
    match caller.call(&Call::Ping(Ping { nonce }), TOTAL)?.outcome {
        Ok(Answer::Pong(pong)) => Ok(pong),
        other => panic!("{other:?}"),
    }
}

fn answer<'h>(call: &Call<'_>, _: Deadline) -> Result<Answer<'h>, Failure> {
    Ok(match call {
        Call::Ping(ping) => Answer::Pong(Pong {
            nonce: ping.nonce,
            uptime_ms: 42,
        }),
        Call::SleepPrep(_) => Answer::SleepPrep,
        Call::Shutdown(_) => Answer::Shutdown,
        Call::Wake(wake) => {
            let mut report = WakeReport::new(wake.steps());
            for step in Step::ALL {
                if wake.steps().has(step) {
                    report.set(step, StepOutcome::Done);
                }
            }
            Answer::Wake(report)
        }
        Call::Extension(extension) if extension.kind == 7 => Answer::Extension(Bytes(b"seven")),
        Call::Extension(extension) => {
            return Err(Failure::UnknownExtension {
                kind: extension.kind,
            });
        }
        other => panic!("{other:?}"),
    })
}

fn wake() -> Call<'static> {
    Call::Wake(Wake {
        generation: 1,
        wall_clock: Timestamp::now().unwrap(),
        entropy: SecretBytes::new([5; 32]),
        identity: None,
        network: None,
        new_guest_key: None,
    })
}

#[test]
fn answers_and_failures_and_a_verified_end() {
    let pair = Pair::new();
    let offered = Capabilities::EXTENSION.union(Capabilities::STATUS);
    let (driven, served) = pair.serve(offered, answer, |mut caller| {
        for nonce in 0..50 {
            let pong = ping(&mut caller, nonce).unwrap();
            assert_eq!((pong.nonce, pong.uptime_ms), (nonce, 42));
        }
        let ask = |caller: &mut Caller<'_, UnixStream>, kind| {
            let body = Bytes(b"ask");
            let call = Call::Extension(Extension { kind, body });
            let completed = caller.call(&call, TOTAL).unwrap();
            completed.outcome.map(|answer| match answer {
                Answer::Extension(bytes) => bytes.0.to_vec(),
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(ask(&mut caller, 7), Ok(b"seven".to_vec()));
        let failure = Failure::UnknownExtension { kind: 8 };
        assert_eq!(ask(&mut caller, 8), Err(failure));
        // What was not negotiated does not leave the host, and ends nothing.
        let error = caller.call(&wake(), TOTAL).unwrap_err();
        assert!(
            matches!(
                error,
                ControlError::Begin(BeginError::NotNegotiated(NotNegotiated {
                    upgrade: Side::Guest,
                    ..
                }))
            ),
            "{error:?}"
        );
        ping(&mut caller, 99).unwrap();
        caller.close(Deadline::after(TOTAL))
    });
    driven.unwrap();
    assert_eq!(served.unwrap(), Served::Closed);
}

#[test]
fn a_request_that_expires_ends_the_session() {
    let pair = Pair::new();
    let slow = |call: &Call<'_>, deadline: Deadline| {
        thread::sleep(deadline.remaining().unwrap() + Duration::from_millis(100));
        answer(call, deadline)
    };
    let ((), served) = pair.serve(ALL, slow, |mut caller| {
        let start = Instant::now();
        let call = Call::Ping(Ping { nonce: 1 });
        let error = caller.call(&call, Duration::from_millis(200)).unwrap_err();
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(199), "{took:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert!(
            matches!(
                error,
                ControlError::Call(CallError::Expired { .. })
                    | ControlError::Channel(ChannelError::Expired { .. })
            ),
            "{error:?}"
        );
        // The late answer is never taken for one to the next request.
        let error = ping(&mut caller, 2).unwrap_err();
        assert!(
            matches!(error, ControlError::Begin(BeginError::Over(_)))
                || error.channel().and_then(ChannelError::ended) == Some(Ended::Poisoned),
            "{error:?}"
        );
    });
    let error = served.unwrap_err();
    assert!(
        matches!(error, ControlError::Respond(RespondError::Expired { .. })),
        "{error:?}"
    );
}

#[test]
fn an_answer_to_something_else_ends_the_session() {
    let pair = Pair::new();
    let (to_guest, to_host) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        let guest = scope.spawn(|| {
            let mut channel = pair.accept(1, ALL, to_host);
            channel.receive(Deadline::after(TOTAL)).unwrap();
            // Request 2 was never sent.
            channel
                .send(&[2, 1, 0, 7, 42], Deadline::after(TOTAL))
                .unwrap();
            channel.receive(Deadline::after(TOTAL)).map(drop)
        });
        let mut caller = Caller::new(pair.connect(1, to_guest), ALL);
        let error = ping(&mut caller, 7).unwrap_err();
        assert!(
            matches!(error, ControlError::Call(CallError::UnknownId { .. })),
            "{error:?}"
        );
        let error = caller.channel().check().unwrap_err();
        assert_eq!(error.ended(), Some(Ended::Poisoned));
        drop(caller);
        let error = guest.join().unwrap().unwrap_err();
        assert!(matches!(error, ChannelError::Truncated(_)), "{error:?}");
    });
}

#[test]
fn sleep_ends_every_session_and_only_a_wake_leads_out() {
    let pair = Pair::new();
    let (to_guest, to_host) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        let other = scope.spawn(|| pair.accept(2, ALL, to_host));
        let mut host_other = pair.connect(2, to_guest);
        let guest_other = other.join().unwrap();
        guest_other.check().unwrap();

        let (driven, served) = pair.serve(ALL, answer, |mut caller| {
            let call = Call::SleepPrep(SleepPrep {
                flush_deadline_ms: 100,
                unbind: false,
            });
            let slept = caller.call(&call, TOTAL).unwrap();
            assert_eq!(slept.outcome, Ok(Answer::SleepPrep));
            drop(slept);
            // The guest's direction is closed, and verified to be.
            let mut channel = caller.into_channel();
            channel
                .receive(Deadline::after(TOTAL))
                .map(|end| end == Opened::Closed)
        });
        assert!(driven.unwrap());
        assert_eq!(served.unwrap(), Served::Asleep { unbound: false });
        assert_eq!(pair.lifecycle.lock().unwrap().phase(), Phase::ASLEEP);

        let mut guest_other = guest_other;
        host_other.send(b"hello?", Deadline::after(TOTAL)).unwrap();
        let error = guest_other
            .receive(Deadline::after(TOTAL))
            .map(drop)
            .unwrap_err();
        assert_eq!(error.ended(), Some(Ended::Superseded));
    });

    let (driven, served) = pair.serve(ALL, answer, |mut caller| {
        let body = Bytes(b"");
        let call = Call::Extension(Extension { kind: 7, body });
        {
            let refused = caller.call(&call, TOTAL).unwrap();
            let phase = Phase::ASLEEP;
            assert_eq!(refused.outcome, Err(Failure::NotAwake { phase }));
        }
        {
            let woken = caller.call(&wake(), TOTAL).unwrap();
            assert!(matches!(woken.outcome, Ok(Answer::Wake(_))));
        }
        {
            let worked = caller.call(&call, TOTAL).unwrap();
            assert_eq!(worked.outcome, Ok(Answer::Extension(Bytes(b"seven"))));
        }
        let shutdown = Call::Shutdown(Shutdown {
            grace_ms: 10,
            mode: ShutdownMode::PowerOff,
        });
        let completed = caller.call(&shutdown, TOTAL).unwrap();
        completed.outcome == Ok(Answer::Shutdown)
    });
    assert!(driven);
    assert!(matches!(served.unwrap(), Served::Shutdown(_)));
    assert!(pair.lifecycle.lock().unwrap().is_awake());
}
