//! `guest` as a program sees it: its exit code and its JSON, against guests that serve, refuse and misbehave.
#![cfg(all(unix, feature = "cli"))]
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

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use mvm_core::channel::*;
use mvm_core::guest::*;
use mvm_core::naming::InstanceId;
use mvm_core::session::*;
use mvm_core::wire::codec::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

const TOTAL: Duration = Duration::from_secs(30);

struct World {
    dir: TempDir,
    host_key: HostKey,
    guest_key: GuestKey,
    guest: Mutex<GuestEndpoint>,
    lifecycle: Mutex<Lifecycle>,
    machine: SystemEnvironment,
}

impl World {
    fn new() -> Self {
        let host_key = HostKey::from_seed(&[1; 32]);
        let guest_key = GuestKey::from_seed(&[2; 32]);
        let dir = tempfile::tempdir().unwrap();
        let mut trusted = TrustedHosts::new();
        trusted.insert(TrustedHost::new(host_key.public())).unwrap();
        let instance = InstanceId::new("i-0a1b2c3d").unwrap();
        let world = Self {
            guest: Mutex::new(GuestEndpoint::bound(trusted, instance, 3)),
            lifecycle: Mutex::new(Lifecycle::booted()),
            machine: SystemEnvironment::without_restore_mark(),
            dir,
            host_key,
            guest_key,
        };
        world.secret("host.key", world.host_key.to_text().secret_str());
        fs::write(world.file("guest.pub"), world.guest_key.public().to_text()).unwrap();
        world
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn secret(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).unwrap();
        fs::set_permissions(self.file(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn listen(&self) -> UnixListener {
        UnixListener::bind(self.file("sock")).unwrap()
    }

    /// `mvm-core --json guest` with what every request needs, unless `more` has it.
    fn ask(&self, more: &[&str]) -> Output {
        let (key, trust, socket) = (
            self.file("host.key"),
            self.file("guest.pub"),
            self.file("sock"),
        );
        let mut args = vec!["--json", "guest"];
        for (name, value) in [
            ("--key", key.as_str()),
            ("--trust", &trust),
            ("--instance", "i-0a1b2c3d"),
            ("--generation", "3"),
            ("--timeout", "20"),
        ] {
            if !more.contains(&name) {
                args.extend([name, value]);
            }
        }
        if !more.contains(&"--vsock") {
            args.extend(["--socket", &socket, "--service", "5252"]);
        }
        args.extend(more);
        let mut command = Command::new(env!("CARGO_BIN_EXE_mvm-core"));
        command.args(args).output().unwrap()
    }

    /// Serves one connection, as a VMM does with the guest behind it if it is `vsock`.
    fn serve(&self, listener: &UnixListener, vsock: bool) {
        let (mut stream, _) = listener.accept().unwrap();
        if vsock {
            let mut line = [0; 13];
            stream.read_exact(&mut line).unwrap();
            assert_eq!(&line, b"CONNECT 5252\n");
            stream.write_all(b"OK 1073741824\n").unwrap();
        }
        let local = Local::new(&self.guest_key, &self.guest, &self.machine);
        let options = GuestOptions {
            service: 5252,
            capabilities: Capabilities::KNOWN.bits(),
            extensions: &[],
            lifetime_ms: 60_000,
        };
        let deadline = Deadline::after(TOTAL);
        let connection = Connection::new(stream);
        let Ok(channel) = GuestChannel::accept(connection, local, options, deadline) else {
            return;
        };
        let server = Server::new(channel, Capabilities::KNOWN, &self.lifecycle).unwrap();
        let _ = server.serve(TOTAL, |call, _| {
            Ok(match call {
                Call::Ping(ping) => Answer::Pong(Pong {
                    nonce: ping.nonce,
                    uptime_ms: 42,
                }),
                Call::Status => {
                    let mut status = StatusReport::new(&self.lifecycle.lock().unwrap(), 42);
                    let component = Component {
                        name: ComponentName::new("agent").unwrap(),
                        state: ComponentState::Ready,
                        since_ms: 7,
                    };
                    status.components.push(component).unwrap();
                    Answer::Status(status)
                }
                Call::SleepPrep(_) => Answer::SleepPrep,
                Call::Wake(wake) => {
                    let mut report = WakeReport::new(wake.steps());
                    report.set(Step::Entropy, StepOutcome::Done);
                    report.set(Step::Clock, StepOutcome::Done);
                    report.set_clock_skew_ms(-5);
                    if let Some(seed) = &wake.new_guest_key {
                        assert_eq!(seed.secret_bytes(), &[9; 32]);
                        report.set(Step::Key, StepOutcome::Done);
                    }
                    Answer::Wake(report)
                }
                Call::Shutdown(_) => Answer::Shutdown,
                Call::Extension(Extension { kind: 7, .. }) => Answer::Extension(Bytes(b"seven")),
                _ => return Err(Failure::Busy),
            })
        });
    }

    /// A guest that serves one connection, and the answer it was asked for.
    fn answered(&self, more: &[&str]) -> (i32, Value) {
        let listener = self.listen();
        let vsock = more.contains(&"--vsock");
        let output = thread::scope(|scope| {
            scope.spawn(|| self.serve(&listener, vsock));
            self.ask(more)
        });
        fs::remove_file(self.file("sock")).unwrap();
        parsed(&output)
    }

    /// A guest that does this with one connection.
    fn hostile(&self, more: &[&str], serve: impl FnOnce(UnixStream) + Send) -> (i32, Value) {
        let listener = self.listen();
        let output = thread::scope(|scope| {
            scope.spawn(|| serve(listener.accept().unwrap().0));
            self.ask(more)
        });
        fs::remove_file(self.file("sock")).unwrap();
        parsed(&output)
    }
}

fn parsed(output: &Output) -> (i32, Value) {
    let document = serde_json::from_slice(&output.stdout);
    let document = document.unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code().unwrap(), document)
}

#[test]
fn every_request_is_answered() {
    let world = World::new();
    let (code, document) = world.answered(&["ping"]);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(document["answer"], json!({ "uptime_ms": 42 }));
    assert_eq!(
        (&document["ok"], &document["closed"]),
        (&json!(true), &json!(true))
    );
    let fingerprint = world.guest_key.public().fingerprint().to_string();
    let session = json!({
        "instance": "i-0a1b2c3d", "generation": 3, "service": 5252, "guest_key": fingerprint, "capabilities": 511,
    });
    assert_eq!(document["session"], session);

    let (code, document) = world.answered(&["status"]);
    let answer = json!({
        "ready": true, "phase": "awake", "generation": 3, "uptime_ms": 42,
        "components": [{ "name": "agent", "state": "ready", "since_ms": 7 }],
    });
    assert_eq!((code, &document["answer"]), (0, &answer));

    let (code, document) = world.answered(&["extension", "7", "00ff"]);
    assert_eq!(
        (code, &document["answer"]),
        (0, &json!({ "body": "736576656e" }))
    );

    let (code, document) = world.answered(&["sleep-prep"]);
    assert_eq!(
        (code, &document["closed"]),
        (0, &json!(true)),
        "{document:#}"
    );
    assert_eq!(world.lifecycle.lock().unwrap().phase(), Phase::ASLEEP);

    // What it does not do asleep is an answer, too.
    let (code, document) = world.answered(&["extension", "7"]);
    assert_eq!((code, &document["ok"]), (1, &json!(false)));
    assert!(document["failure"].is_string(), "{document:#}");

    // A step that is not done is not awake.
    let (code, document) = world.answered(&["wake", "--identity"]);
    assert_eq!(code, 1, "{document:#}");
    assert_eq!(
        document["answer"]["steps"]["identity"],
        "failed with code 0"
    );
    let (code, document) = world.answered(&["wake"]);
    assert_eq!(
        (code, &document["answer"]["clock_skew_ms"]),
        (0, &json!(-5))
    );
    assert!(world.lifecycle.lock().unwrap().is_awake());

    // A key that only its owner may read is what `--new-key` takes, and no other.
    world.secret(
        "new.key",
        GuestKey::from_seed(&[9; 32]).to_text().secret_str(),
    );
    let file = world.file("new.key");
    let (code, document) = world.answered(&["wake", "--new-key", &file]);
    assert_eq!(
        (code, &document["answer"]["steps"]["key"]),
        (0, &json!("done")),
        "{document:#}"
    );
    for (name, wrong) in [("host.key", "host"), ("none.key", "No such file")] {
        let (code, document) = parsed(&world.ask(&["wake", "--new-key", &world.file(name)]));
        assert_eq!(code, 2, "{document:#}");
        let error = document["error"].as_str().unwrap();
        assert!(error.contains(wrong), "{error}");
    }

    let (code, document) = world.answered(&["shutdown", "--mode", "reboot"]);
    assert_eq!((code, &document["ok"]), (0, &json!(true)), "{document:#}");
}

#[test]
fn through_a_vmms_socket_and_with_each_form_of_a_key() {
    let world = World::new();
    let vsock = world.file("sock");
    let public = world.guest_key.public();
    let hex: String = public
        .as_bytes()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    for trust in [
        world.file("guest.pub"),
        hex,
        public.fingerprint().to_string(),
    ] {
        let (code, document) = world.answered(&["--vsock", &vsock, "--trust", &trust, "ping"]);
        assert_eq!(code, 0, "{trust}: {document:#}");
    }
    // A guest that is not listening yet is waited for, if that is asked for.
    let listener = world.listen();
    let output = thread::scope(|scope| {
        scope.spawn(|| {
            drop(listener.accept().unwrap());
            world.serve(&listener, true);
        });
        world.ask(&["--vsock", &vsock, "--wait", "ping"])
    });
    let (code, document) = parsed(&output);
    assert_eq!(code, 0, "{document:#}");
}

#[test]
fn a_guest_and_a_host_that_do_not_fit() {
    let world = World::new();
    let refused = |(code, document): (i32, Value), by: u8| {
        assert_eq!(code, 1, "{document:#}");
        assert_eq!(document["at"], "handshake");
        assert_eq!(document["refused"], by, "{document:#}");
    };
    let stranger = HostKey::from_seed(&[9; 32]);
    world.secret("stranger.key", stranger.to_text().secret_str());
    let key = world.file("stranger.key");
    refused(
        world.answered(&["--key", &key, "ping"]),
        RefusalCode::HOST.0,
    );
    refused(
        world.answered(&["--generation", "2", "ping"]),
        RefusalCode::GENERATION.0,
    );
    refused(
        world.answered(&["--instance", "i-ffffffff", "ping"]),
        RefusalCode::INSTANCE.0,
    );

    // And one that is not the guest that is trusted.
    let other = GuestKey::from_seed(&[8; 32]).public();
    let hex: String = other
        .as_bytes()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    for trust in [hex, other.fingerprint().to_string()] {
        let (code, document) = world.answered(&["--trust", &trust, "ping"]);
        assert_eq!(code, 1, "{document:#}");
        assert_eq!(
            (&document["at"], &document["refused"]),
            (&json!("handshake"), &Value::Null)
        );
    }
}

#[test]
fn a_guest_that_misbehaves_is_told_of_in_time() {
    let world = World::new();
    let wait = |mut stream: UnixStream| {
        // Until the command has gone.
        let _ = stream.read_to_end(&mut Vec::new());
    };
    let start = Instant::now();
    let says = |bytes: &'static [u8]| {
        move |mut stream: UnixStream| {
            stream.write_all(bytes).unwrap();
            wait(stream);
        }
    };
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"\0\0\0\x05hello",
        b"\xFF\xFF\xFF\xFF",
        b"\0\0\x04\x01",
        b"\0\0\0\0",
    ] {
        let (code, document) = world.hostile(&["ping"], says(bytes));
        assert_eq!(
            (code, &document["at"]),
            (1, &json!("handshake")),
            "{document:#}"
        );
    }
    let (code, document) = world.hostile(&["ping"], drop);
    assert_eq!(
        (code, &document["at"]),
        (1, &json!("handshake")),
        "{document:#}"
    );
    // Silence, and a byte now and then.
    let (code, document) = world.hostile(&["--timeout", "1", "ping"], wait);
    assert_eq!(
        (code, &document["at"]),
        (1, &json!("handshake")),
        "{document:#}"
    );
    let (code, document) = world.hostile(&["--timeout", "1", "ping"], |mut stream| {
        while stream.write_all(b"\0").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!((code, &document["ok"]), (1, &json!(false)), "{document:#}");
    let took = start.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");

    // A VMM that says something else, nothing, or closes.
    let vsock = world.file("sock");
    let asked = ["--vsock", vsock.as_str(), "--timeout", "1", "ping"];
    for bytes in [&b"NO\n"[..], b"OK x\n", b""] {
        let (code, document) = world.hostile(&asked, says(bytes));
        assert_eq!((code, &document["at"]), (2, &Value::Null), "{document:#}");
    }
    let (code, _) = world.hostile(&asked, drop);
    assert_eq!(code, 2);
}

#[test]
fn what_cannot_be_tried() {
    let world = World::new();
    let untried = |more: &[&str]| {
        let (code, document) = parsed(&world.ask(more));
        assert_eq!((code, &document["ok"]), (2, &json!(false)), "{document:#}");
        document["error"].as_str().unwrap().to_owned()
    };
    assert!(untried(&["ping"]).contains("there is no socket"));
    drop(world.listen());
    assert!(untried(&["ping"]).contains("nobody listens on the socket"));
    // Keys of another kind, of nobody's, and one that others can read.
    let (guest_key, public) = (world.guest_key.to_text(), world.file("guest.pub"));
    world.secret("guest.key", guest_key.secret_str());
    let wrong = world.file("guest.key");
    assert!(untried(&["--key", &wrong, "ping"]).contains("usage (host)"));
    assert!(untried(&["--key", &public, "ping"]).contains("guest.pub"));
    untried(&["--key", "/nonexistent", "ping"]);
    untried(&["--trust", "/nonexistent", "ping"]);
    untried(&["--trust", &"0".repeat(64), "ping"]);
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(world.file("host.key"), open).unwrap();
    assert!(untried(&["ping"]).contains("chmod 600"));
    for usage in [
        &["--instance", "../x", "ping"][..],
        &["--generation", "0", "ping"],
        &["--timeout", "0", "ping"],
        &["extension", "7", "0"],
        &["nothing"],
    ] {
        assert_eq!(world.ask(usage).status.code(), Some(2), "{usage:?}");
    }
}
