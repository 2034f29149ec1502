//! Reaching a guest, and a client that keeps a session with it: in both forms.
#![cfg(all(unix, feature = "std"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc
)]

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mvm_core::channel::*;
use mvm_core::guest::*;
use mvm_core::naming::InstanceId;
use mvm_core::retry::RetryPolicy;
use mvm_core::session::*;
use mvm_core::wire::connect::ConnectError;
use tempfile::TempDir;

const SERVICE: u16 = 5252;
const TOTAL: Duration = Duration::from_secs(20);

fn soon() -> Deadline {
    Deadline::after(TOTAL)
}

/// What a guest does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Serve {
    /// Closes it, as a VMM does where nobody listens.
    Nobody,
    /// Makes the handshake and hangs up when a request has come.
    CutAtRequest,
    /// Answers one request and hangs up.
    Once,
    /// Answers until the host has enough.
    Well,
}

struct World {
    dir: TempDir,
    host_key: HostKey,
    guest_keys: [GuestKey; 2],
    host: Mutex<HostEndpoint>,
    guest: Mutex<GuestEndpoint>,
    lifecycle: Mutex<Lifecycle>,
    machine: SystemEnvironment,
    /// Requests that were carried out.
    done: AtomicUsize,
}

impl World {
    fn new() -> Self {
        let host_key = HostKey::from_seed(&[1; 32]);
        let guest_keys = [GuestKey::from_seed(&[2; 32]), GuestKey::from_seed(&[3; 32])];
        let mut trusted = TrustedHosts::new();
        trusted.insert(TrustedHost::new(host_key.public())).unwrap();
        let mut keys = TrustedGuests::default();
        for key in &guest_keys {
            keys.insert(TrustedGuest::new(key.public())).unwrap();
        }
        let instance = InstanceId::new("i-0a1b2c3d").unwrap();
        let trust = GuestTrust::Keys(keys);
        Self {
            dir: tempfile::tempdir().unwrap(),
            host: Mutex::new(HostEndpoint::new(instance, 5, trust).unwrap()),
            guest: Mutex::new(GuestEndpoint::new(trusted)),
            lifecycle: Mutex::new(Lifecycle::booted()),
            host_key,
            guest_keys,
            machine: SystemEnvironment::without_restore_mark(),
            done: AtomicUsize::new(0),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("v.sock")
    }

    fn local(&self) -> Local<'_, HostEndpoint> {
        Local::new(&self.host_key, &self.host, &self.machine)
    }

    fn client(&self) -> GuestClient<'_> {
        let dial = Dial::vsock(self.path(), 52);
        GuestClient::new(self.local(), dial, ClientOptions::new(SERVICE)).unwrap()
    }

    /// The VMM and the guest behind it, for as many connections as there are in the script.
    fn serve(&self, listener: &UnixListener, key: usize, script: &[Serve]) {
        for serve in script {
            let (mut stream, _) = listener.accept().unwrap();
            if *serve == Serve::Nobody {
                continue;
            }
            stream.read_exact(&mut [0; 11]).unwrap();
            stream.write_all(b"OK 1073741824\n").unwrap();
            let local = Local::new(&self.guest_keys[key], &self.guest, &self.machine);
            let options = GuestOptions {
                service: SERVICE,
                capabilities: Capabilities::KNOWN.bits(),
                extensions: &[],
                lifetime_ms: 60_000,
            };
            let Ok(mut channel) =
                GuestChannel::accept(Connection::new(stream), local, options, soon())
            else {
                continue;
            };
            if *serve == Serve::CutAtRequest {
                let _ = channel.receive(soon()).map(drop);
                continue;
            }
            let cut = channel.stream().try_clone().unwrap();
            let server = Server::new(channel, Capabilities::KNOWN, &self.lifecycle).unwrap();
            let mut answered = 0;
            let _ = server.serve(TOTAL, |call, _| {
                answered += 1;
                if *serve == Serve::Once && answered > 1 {
                    let _ = cut.shutdown(std::net::Shutdown::Both);
                }
                self.done.fetch_add(1, Ordering::SeqCst);
                Ok(match call {
                    Call::Ping(ping) => Answer::Pong(Pong {
                        nonce: ping.nonce,
                        uptime_ms: 42,
                    }),
                    Call::SleepPrep(_) => Answer::SleepPrep,
                    Call::Shutdown(_) => Answer::Shutdown,
                    other => return Err(Failure::Unsupported { op: other.op() }),
                })
            });
        }
    }
}

fn ping() -> Call<'static> {
    Call::Ping(Ping { nonce: 7 })
}

fn shutdown() -> Call<'static> {
    Call::Shutdown(Shutdown {
        grace_ms: 10,
        mode: ShutdownMode::PowerOff,
    })
}

/// The same script for a client of each form: `world`, `call`, `sessions`.
trait Client {
    fn call(&mut self, call: &Call<'_>, total: Duration) -> Result<bool, ClientError>;
    fn sessions(&self) -> u64;
}

impl Client for GuestClient<'_> {
    fn call(&mut self, call: &Call<'_>, total: Duration) -> Result<bool, ClientError> {
        Ok(self.call(call, total)?.outcome.is_ok())
    }
    fn sessions(&self) -> u64 {
        self.sessions()
    }
}

#[cfg(feature = "tokio")]
struct OnRuntime<'a>(
    tokio::runtime::Runtime,
    mvm_core::channel::asynchronous::GuestClient<'a>,
);

#[cfg(feature = "tokio")]
impl Client for OnRuntime<'_> {
    fn call(&mut self, call: &Call<'_>, total: Duration) -> Result<bool, ClientError> {
        let Self(runtime, client) = self;
        Ok(runtime.block_on(client.call(call, total))?.outcome.is_ok())
    }
    fn sessions(&self) -> u64 {
        self.1.sessions()
    }
}

fn in_both_forms(run: impl Fn(&World, &mut dyn Client)) {
    let world = World::new();
    run(&world, &mut world.client());
    #[cfg(feature = "tokio")]
    {
        let world = World::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let dial = Dial::vsock(world.path(), 52);
        let options = ClientOptions::new(SERVICE);
        let client =
            mvm_core::channel::asynchronous::GuestClient::new(world.local(), dial, options);
        run(&world, &mut OnRuntime(runtime, client.unwrap()));
    }
}

#[test]
fn a_guest_that_boots_is_waited_for() {
    in_both_forms(|world, client| {
        thread::scope(|scope| {
            scope.spawn(|| {
                // No socket, a socket of a VMM that has ended, a guest that does not listen yet.
                thread::sleep(Duration::from_millis(60));
                drop(UnixListener::bind(world.path()).unwrap());
                thread::sleep(Duration::from_millis(60));
                std::fs::remove_file(world.path()).unwrap();
                let listener = UnixListener::bind(world.path()).unwrap();
                world.serve(&listener, 0, &[Serve::Nobody, Serve::Nobody, Serve::Once]);
            });
            assert!(client.call(&ping(), TOTAL).unwrap());
            assert_eq!(client.sessions(), 1);
            // The end of the stream is for the guest's thread.
            let _ = client.call(&shutdown(), TOTAL);
        });
    });
}

#[test]
fn a_stream_that_breaks_is_replaced_and_nothing_is_asked_twice_that_does_something() {
    in_both_forms(|world, client| {
        let listener = UnixListener::bind(world.path()).unwrap();
        thread::scope(|scope| {
            let guest = scope.spawn(|| {
                use Serve::{CutAtRequest, Nobody, Well};
                let script = [CutAtRequest, Nobody, CutAtRequest, Well, CutAtRequest, Well];
                world.serve(&listener, 0, &script);
            });
            // Asked three times, answered once.
            assert!(client.call(&ping(), TOTAL).unwrap());
            assert_eq!(client.sessions(), 3);
            assert_eq!(world.done.load(Ordering::SeqCst), 1);
            assert!(client.call(&ping(), TOTAL).unwrap());
            assert_eq!(client.sessions(), 3);

            // The guest ends its sessions; the next request is on another, and is cut.
            assert!(client.call(&shutdown(), TOTAL).unwrap());
            let done = world.done.load(Ordering::SeqCst);
            let error = client.call(&shutdown(), TOTAL).unwrap_err();
            assert!(
                matches!(
                    &error,
                    ClientError::OutcomeUnknown {
                        op: Op::SHUTDOWN,
                        ..
                    }
                ),
                "{error:?}"
            );
            assert!(error.may_have_begun() && !error.is_other_incarnation());
            assert_eq!(world.done.load(Ordering::SeqCst), done);
            // The caller decides.
            assert!(client.call(&shutdown(), TOTAL).unwrap());
            assert_eq!(client.sessions(), 5);
            guest.join().unwrap();
        });
    });
}

#[test]
fn no_incarnation_is_crossed() {
    in_both_forms(|world, client| {
        let listener = UnixListener::bind(world.path()).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| world.serve(&listener, 0, &[Serve::Well]));
            assert!(client.call(&ping(), TOTAL).unwrap());
            // The instance is restored: even the session that is open is not used again.
            world.host.lock().unwrap().raise(6).unwrap();
            for _ in 0..2 {
                let error = client.call(&ping(), TOTAL).unwrap_err();
                let (held, now) = (5, 6);
                assert!(
                    matches!(error, ClientError::IncarnationChanged { held: h, now: n } if (h, n) == (held, now)),
                    "{error:?}"
                );
                assert!(error.is_other_incarnation() && !error.may_have_begun());
            }
            // The stream is closed with that: the guest's thread ends.
        });
    });
}

#[test]
fn another_guest_and_a_guest_that_has_seen_more_are_refused() {
    in_both_forms(|world, client| {
        let listener = UnixListener::bind(world.path()).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                world.serve(&listener, 0, &[Serve::CutAtRequest]);
                // Both keys are trusted, but one incarnation has one guest.
                world.serve(&listener, 1, &[Serve::Well]);
            });
            let error = client.call(&ping(), TOTAL).unwrap_err();
            let [held, got] = [0, 1].map(|at: usize| world.guest_keys[at].public());
            assert!(
                matches!(error, ClientError::GuestKeyChanged { held: h, got: g } if h == held && g == got),
                "{error:?}"
            );
            assert!(error.is_other_incarnation());
        });
        // A guest that has met a host of a later generation.
        let mut trusted = TrustedHosts::new();
        trusted
            .insert(TrustedHost::new(world.host_key.public()))
            .unwrap();
        let instance = InstanceId::new("i-0a1b2c3d").unwrap();
        *world.guest.lock().unwrap() = GuestEndpoint::bound(trusted, instance, 9);
        thread::scope(|scope| {
            scope.spawn(|| world.serve(&listener, 0, &[Serve::Well]));
            let error = client.call(&ping(), TOTAL).unwrap_err();
            assert!(
                matches!(&error, ClientError::Handshake(error) if error.refused() == Some(RefusalCode::GENERATION)),
                "{error:?}"
            );
            assert!(error.is_other_incarnation());
        });
        assert_eq!(world.done.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_guest_that_never_answers_is_given_up_at_the_deadline() {
    in_both_forms(|world, client| {
        let listener = UnixListener::bind(world.path()).unwrap();
        let total = Duration::from_millis(300);
        let start = Instant::now();
        let error = client.call(&ping(), total).unwrap_err();
        assert!(
            matches!(&error, ClientError::Dial(error) if matches!(error.fault(), DialFault::Expired)),
            "{error:?}"
        );
        let took = start.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
        drop(listener);
    });
}

/// A dial in both forms, with what the VMM answers; one attempt.
fn fault(path: &Path, check: impl Fn(&DialFault) -> bool) {
    let once = RetryPolicy::new(1, Duration::ZERO, Duration::ZERO).unwrap();
    let dial = Dial::vsock(path, 52).with_retry(once);
    let error = dial.dial(soon()).unwrap_err();
    assert!(check(error.fault()), "{error:?}");
    assert_eq!(error.attempts(), 1);
    #[cfg(feature = "tokio")]
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let error = runtime.block_on(dial.dial_async(soon())).unwrap_err();
        assert!(check(error.fault()), "{error:?}");
    }
}

#[test]
fn what_keeps_a_guest_from_being_reached_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.sock");
    fault(&path, |fault| matches!(fault, DialFault::NoSocket));
    drop(UnixListener::bind(&path).unwrap());
    fault(&path, |fault| matches!(fault, DialFault::Refused));
    std::fs::remove_file(&path).unwrap();
    fault(Path::new("/dev/null"), |fault| {
        matches!(fault, DialFault::Refused | DialFault::Io(_))
    });

    let listener = UnixListener::bind(&path).unwrap();
    type Case<'c> = (&'c [u8], fn(&DialFault) -> bool);
    let cases: [Case<'_>; 3] = [
        (b"", |fault| {
            matches!(fault, DialFault::NobodyListens { port: 52 })
        }),
        (b"OK 1", |fault| matches!(fault, DialFault::Cut)),
        (b"OK no\n", |fault| {
            let error = ConnectError::NotADigit { at: 3, byte: b'n' };
            matches!(fault, DialFault::Line(line) if *line == error)
        }),
    ];
    for (answer, check) in cases {
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..if cfg!(feature = "tokio") { 2 } else { 1 } {
                    let (mut stream, _) = listener.accept().unwrap();
                    stream.read_exact(&mut [0; 11]).unwrap();
                    stream.write_all(answer).unwrap();
                }
            });
            fault(&path, check);
        });
    }
    // What does not pass by itself is not tried again, whatever the policy.
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            // Closed before that, it would be a peer that went away.
            stream.read_exact(&mut [0; 11]).unwrap();
            stream.write_all(b"garbage\n").unwrap();
        });
        let error = Dial::vsock(&path, 52).dial(soon()).unwrap_err();
        assert_eq!(error.attempts(), 1, "{error}");
        assert!(!error.fault().is_passing());
    });
}
