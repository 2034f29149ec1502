//! hostd's socket as its programs see it: who is let in, deadlines, limits, shutdown, and hostile clients.
#![cfg(all(feature = "std", target_os = "linux"))]
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

mod hostd_support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hostd_support::*;
use mvm_core::protocol::*;

fn owner() -> ServerOptions {
    ServerOptions::new(AllowList::owner())
}

fn fine(_: HostdRequest, _: &Call) -> HostdResponse {
    HostdResponse::Ok
}

fn connect(path: &std::path::Path) -> Client {
    Client::connect(path, ClientOptions::new(), soon()).unwrap()
}

fn message(response: &HostdResponse) -> &str {
    match response {
        HostdResponse::Error { message } => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_socket_has_its_mode_and_goes_with_its_server() {
    let (directory, path) = place();
    for mode in [0o600, 0o660, 0o666] {
        let gid = fs::metadata(directory.path()).unwrap().gid();
        let options = SocketOptions::new().with_mode(mode).with_group(gid);
        let server =
            Server::start(Listener::bind(&path, &options).unwrap(), owner(), fine).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            mode
        );
        assert_eq!(connect(&path).ping(soon()).unwrap(), HostdResponse::Pong);
        // A second one fails, and the first one stays.
        let error = Listener::bind(&path, &options).unwrap_err();
        assert!(matches!(error, BindError::AlreadyRunning { .. }), "{error}");
        assert_eq!(connect(&path).ping(soon()).unwrap(), HostdResponse::Pong);
        assert_eq!(server.shutdown(soon()).cut, 0);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
    let error = Listener::bind(&path, &SocketOptions::new().with_mode(0o1600)).unwrap_err();
    assert!(matches!(error, BindError::Mode { mode: 0o1600 }));
}

#[test]
fn what_is_at_the_path_already() {
    let (directory, path) = place();
    let bind = || Listener::bind(&path, &SocketOptions::new());
    // Left by a server that was killed.
    drop(UnixListener::bind(&path).unwrap());
    let inode = fs::metadata(&path).unwrap().ino();
    let bound = bind().unwrap();
    assert_ne!(fs::metadata(&path).unwrap().ino(), inode);
    // Another's in our place is left alone.
    fs::remove_file(&path).unwrap();
    let foreign = UnixListener::bind(&path).unwrap();
    drop(bound);
    assert!(path.exists());
    // Somebody listens who knows nothing of the lock.
    assert!(matches!(bind(), Err(BindError::AlreadyRunning { .. })));
    drop(foreign);
    drop(bind().unwrap());

    fs::write(&path, "precious").unwrap();
    assert!(matches!(bind(), Err(BindError::Occupied { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();
    let datagrams = UnixDatagram::bind(&path).unwrap();
    assert!(matches!(bind(), Err(BindError::Occupied { .. })));
    drop(datagrams);
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    assert!(matches!(bind(), Err(BindError::Occupied { .. })));
    fs::remove_file(&path).unwrap();

    // A temporary name that was left is no obstacle.
    drop(UnixListener::bind(directory.path().join("hostd.sock.new")).unwrap());
    drop(bind().unwrap());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_in_which_others_write_is_not_trusted() {
    let (directory, path) = place();
    let mode =
        |mode| fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).unwrap();
    for (bits, trusted) in [
        (0o775, false),
        (0o757, false),
        (0o1777, true),
        (0o755, true),
    ] {
        mode(bits);
        match Listener::bind(&path, &SocketOptions::new()) {
            Ok(_) => assert!(trusted, "{bits:o}"),
            Err(BindError::Directory { fault, .. }) => {
                assert_eq!(
                    (fault, trusted),
                    (DirectoryFault::Writable { mode: bits }, false)
                );
            }
            Err(other) => panic!("{other}"),
        }
    }
    let missing = directory.path().join("missing/hostd.sock");
    let error = Listener::bind(missing, &SocketOptions::new()).unwrap_err();
    assert!(
        matches!(
            error,
            BindError::Io {
                step: BindStep::Directory,
                ..
            }
        ),
        "{error}"
    );
    let long = directory.path().join("a".repeat(120));
    let error = Listener::bind(long, &SocketOptions::new()).unwrap_err();
    assert!(
        matches!(
            error,
            BindError::Io {
                step: BindStep::Binding,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn of_many_that_start_at_once_one_does() {
    let (directory, path) = place();
    for _ in 0..20 {
        let (bound, running) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (done, barrier) = (std::sync::Barrier::new(4), std::sync::Barrier::new(4));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    let result = Listener::bind(&path, &SocketOptions::new());
                    // Each is still there when the last one has tried.
                    done.wait();
                    match result {
                        Ok(_) => bound.fetch_add(1, Ordering::SeqCst),
                        Err(BindError::AlreadyRunning { .. }) => {
                            running.fetch_add(1, Ordering::SeqCst)
                        }
                        Err(other) => panic!("{other}"),
                    };
                });
            }
        });
        assert_eq!((bound.into_inner(), running.into_inner()), (1, 3));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}

#[test]
fn an_inherited_socket_is_served_and_left() {
    let (_directory, path) = place();
    let inherited = UnixListener::bind(&path).unwrap();
    let listener = Listener::from_bound(inherited.try_clone().unwrap()).unwrap();
    assert_eq!(listener.path(), None);
    let server = Server::start(listener, owner(), fine).unwrap();
    assert_eq!(
        connect(&path).call(wake("i-1"), soon()).unwrap(),
        HostdResponse::Ok
    );
    server.shutdown(soon());
    assert!(path.exists());
    // Who made it still listens.
    drop(std::os::unix::net::UnixStream::connect(&path).unwrap());
}

#[test]
fn both_versions_are_answered() {
    let (_directory, path) = place();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let server = {
        let seen = Arc::clone(&seen);
        Server::start(
            listener(&path),
            owner(),
            move |request: HostdRequest, call: &Call| {
                let id = call.id().map(RequestId::get);
                seen.lock().unwrap().push((
                    instance(&request),
                    call.version(),
                    id,
                    call.peer().pid,
                ));
                match &*instance(&request) {
                    "i-long" => HostdResponse::Error {
                        message: "é\u{0}".repeat(700_000),
                    },
                    "i-panic" => panic!("on purpose"),
                    _ => HostdResponse::Ok,
                }
            },
        )
        .unwrap()
    };
    let mut old = Raw::connect(&path);
    let request = r#"{"WakeInstance":{"tenant_id":"acme","pool_id":"web","instance_id":"i-1"}}"#;
    assert_eq!(old.ask("\"Ping\"").unwrap(), "\"Pong\"");
    assert_eq!(old.ask(request).unwrap(), "\"Ok\"");
    assert!(old.ask("garbage").unwrap().starts_with(r#"{"Error":"#));
    let hostile = request.replace("acme", "$(id)");
    assert!(old.ask(&hostile).unwrap().contains("tenant_id"));
    assert_eq!(old.ask("\"Ping\"").unwrap(), "\"Pong\"");

    let mut client = connect(&path);
    assert_eq!(client.version(), Some(2));
    assert_eq!(client.call(wake("i-2"), soon()).unwrap(), HostdResponse::Ok);
    let long = client.call(wake("i-long"), soon()).unwrap();
    assert!((4000..=4096).contains(&message(&long).len()));
    let panicked = client.call(wake("i-panic"), soon()).unwrap();
    assert!(message(&panicked).contains("not known"));
    assert_eq!(client.ping(soon()).unwrap(), HostdResponse::Pong);
    let pid = Some(std::process::id());
    assert_eq!(
        *seen.lock().unwrap(),
        [
            ("i-1".to_owned(), 1, None, pid),
            ("i-2".to_owned(), 2, Some(0), pid),
            ("i-long".to_owned(), 2, Some(1), pid),
            ("i-panic".to_owned(), 2, Some(2), pid),
        ]
    );
    let counts = server.counts();
    assert_eq!(
        (counts.requests, counts.refused, counts.panicked),
        (7, 2, 1)
    );
}

#[test]
fn a_client_of_version_1_can_be_refused() {
    let (_directory, path) = place();
    let server = Server::start(listener(&path), owner().without_version_1(), fine).unwrap();
    let mut old = Raw::connect(&path);
    assert!(old.ask("\"Ping\"").unwrap().contains("upgrade the client"));
    assert_eq!(old.receive(), None);
    assert_eq!(connect(&path).ping(soon()).unwrap(), HostdResponse::Pong);
    until("closed", || server.counts().closed_broken == 1);
}

/// Answers version 1 only: an error to what it cannot read, as 0.13.0's users do, or the end.
fn old_server(path: &std::path::Path, closes: bool) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(path).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut raw = Raw(stream.unwrap());
            thread::spawn(move || {
                while let Some(body) = raw.receive() {
                    match &*body {
                        "\"Ping\"" => raw.send("\"Pong\""),
                        text if text.contains("i-silent") => {}
                        text if text.contains("WakeInstance") => raw.send("\"Ok\""),
                        _ if closes => return,
                        _ => raw.send(r#"{"Error":{"message":"unknown variant"}}"#),
                    }
                }
            });
        }
    });
    connections
}

#[test]
fn an_old_server_is_met_on_a_new_connection() {
    for closes in [false, true] {
        let (_directory, path) = place();
        let connections = old_server(&path, closes);
        let mut client = connect(&path);
        assert_eq!(client.version(), Some(1));
        assert_eq!(client.ping(soon()).unwrap(), HostdResponse::Pong);
        assert_eq!(connections.load(Ordering::SeqCst), 2);
        // Its late answer would be the next one's: the connection is given up with the call.
        let error = client
            .call(wake("i-silent"), Deadline::after_millis(50))
            .unwrap_err();
        assert!(error.is_expired() && error.may_have_begun, "{error}");
        assert_eq!(client.call(wake("i-1"), soon()).unwrap(), HostdResponse::Ok);
        assert_eq!(connections.load(Ordering::SeqCst), 4);

        let options = ClientOptions::new().without_version_1();
        let error = Client::connect(&path, options, soon()).unwrap_err();
        assert!(
            matches!(
                error.fault,
                ClientFault::Handshake(HandshakeError::Mismatch(_))
            ),
            "{error}"
        );
    }
}

#[test]
fn who_is_not_on_the_list_is_not_read() {
    let (_directory, path) = place();
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let options =
        ServerOptions::new(AllowList::nobody().with_uid(54_321)).with_events(move |event| {
            told.lock().unwrap().push(event.to_string());
            panic!("on purpose");
        });
    let server = Server::start(listener(&path), options, fine).unwrap();
    let mut raw = Raw::connect(&path);
    // Nothing was read, and nothing said.
    assert_eq!(raw.0.read(&mut [0]).unwrap_or(0), 0);
    let mut client = connect(&path);
    let error = client.call(wake("i-1"), soon()).unwrap_err();
    assert!(matches!(error.fault, ClientFault::Closed { .. }), "{error}");
    let counts = server.counts();
    assert!(counts.not_allowed >= 3);
    assert_eq!((counts.accepted, counts.requests), (0, 0));
    assert_eq!(counts.hook_panicked, counts.not_allowed);
    assert!(events.lock().unwrap()[0].ends_with("not let in: not on the allow list"));
}

#[test]
fn a_client_says_nothing_to_the_wrong_server() {
    let (_directory, path) = place();
    let server = Server::start(listener(&path), owner(), fine).unwrap();
    let options = ClientOptions::new().with_server_uid(54_321);
    let error = Client::connect(&path, options, soon()).unwrap_err();
    assert!(
        matches!(error.fault, ClientFault::WrongServer { .. }),
        "{error}"
    );
    assert!(!error.may_have_begun);
    until("closed", || server.counts().closed == 1);
    assert_eq!(server.counts().requests, 0);
}

#[test]
fn a_late_answer_is_not_the_next_ones() {
    let (_directory, path) = place();
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let _server = Server::start(
        listener(&path),
        owner(),
        move |request: HostdRequest, _: &Call| {
            if instance(&request) == "i-slow" {
                wait.lock().unwrap().recv().unwrap();
                return HostdResponse::error("late");
            }
            HostdResponse::Ok
        },
    )
    .unwrap();
    let mut client = connect(&path);
    let error = client
        .call(wake("i-slow"), Deadline::after_millis(30))
        .unwrap_err();
    assert!(error.is_expired() && error.may_have_begun, "{error}");
    assert_eq!(client.call(wake("i-1"), soon()).unwrap(), HostdResponse::Ok);
    release.send(()).unwrap();
    thread::sleep(Duration::from_millis(20));
    for _ in 0..3 {
        assert_eq!(client.call(wake("i-2"), soon()).unwrap(), HostdResponse::Ok);
    }
    // It was one connection all the time.
    assert_eq!(client.version(), Some(2));
    let error = client
        .call(wake("i-1"), Deadline::after_millis(0))
        .unwrap_err();
    assert!(error.is_expired() && !error.may_have_begun);
}

#[test]
fn nothing_is_begun_after_its_time() {
    let (_directory, path) = place();
    let begun = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&begun);
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let options = owner().with_calls(1);
    let handler = move |request: HostdRequest, call: &Call| {
        assert!(call.deadline().remaining().unwrap() < Duration::from_secs(601));
        let name = instance(&request);
        if name == "i-first" {
            wait.lock().unwrap().recv().unwrap();
        }
        seen.lock().unwrap().push(name);
        HostdResponse::Ok
    };
    let server = Server::start(listener(&path), options, handler).unwrap();
    let mut raw = Raw::open(&path);
    let call = |id: u32, timeout: &str, instance: &str| {
        format!(
            r#"{{"id":{id},{timeout}"request":{{"WakeInstance":{{"tenant_id":"acme","pool_id":"web","instance_id":"{instance}"}}}}}}"#
        )
    };
    raw.send(&call(0, "", "i-first"));
    // It arrives while the first is done, and its time runs from there.
    raw.send(&call(1, r#""timeout_ms":40,"#, "i-second"));
    raw.send(&call(2, r#""timeout_ms":18446744073709551615,"#, "i-third"));
    // Read behind them, and answered at once.
    let pong = raw.ask(r#"{"id":3,"request":"Ping"}"#);
    assert_eq!(pong.unwrap(), r#"{"id":3,"response":"Pong"}"#);
    thread::sleep(Duration::from_millis(50));
    release.send(()).unwrap();
    let answers: Vec<String> = (0..3).map(|_| raw.receive().unwrap()).collect();
    assert_eq!(answers[0], r#"{"id":0,"response":"Ok"}"#);
    assert!(
        answers[1].starts_with(r#"{"id":1,"response":{"Error""#)
            && answers[1].contains("nothing was done")
    );
    assert_eq!(answers[2], r#"{"id":2,"response":"Ok"}"#);
    assert_eq!(*begun.lock().unwrap(), ["i-first", "i-third"]);
    assert_eq!(server.counts().expired, 1);
}

#[test]
fn calls_of_one_connection_are_done_at_the_same_time_and_bounded() {
    let (_directory, path) = place();
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let most = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let seen = Arc::clone(&most);
    let options = owner().with_calls(3);
    let server = Server::start(
        listener(&path),
        options,
        move |_: HostdRequest, _: &Call| {
            let now = seen[0].fetch_add(1, Ordering::SeqCst) + 1;
            seen[1].fetch_max(now, Ordering::SeqCst);
            wait.lock().unwrap().recv().unwrap();
            seen[0].fetch_sub(1, Ordering::SeqCst);
            HostdResponse::Ok
        },
    )
    .unwrap();
    let mut raw = Raw::open(&path);
    for id in 0..70 {
        raw.send(&format!(
            r#"{{"id":{id},"request":{{"WakeInstance":{{"tenant_id":"acme","pool_id":"web","instance_id":"i-{id}"}}}}}}"#
        ));
    }
    let refused: Vec<String> = (0..6).map(|_| raw.receive().unwrap()).collect();
    assert!(
        refused
            .iter()
            .all(|answer| answer.contains("too many requests")),
        "{refused:?}"
    );
    until("three run", || most[0].load(Ordering::SeqCst) == 3);
    for _ in 0..64 {
        release.send(()).unwrap();
    }
    for _ in 0..64 {
        assert!(raw.receive().unwrap().ends_with(r#""response":"Ok"}"#));
    }
    assert_eq!(most[1].load(Ordering::SeqCst), 3);
    assert_eq!(server.counts().too_many_requests, 6);
}

#[test]
fn who_is_slow_silent_or_idle_is_closed() {
    let (_directory, path) = place();
    let options = owner()
        .with_frame_timeout(Duration::from_millis(500))
        .with_idle_timeout(Duration::from_millis(500));
    let server = Server::start(listener(&path), options, |_: HostdRequest, _: &Call| {
        thread::sleep(Duration::from_millis(800));
        HostdResponse::Ok
    })
    .unwrap();
    // Nothing at all.
    let mut silent = Raw::connect(&path);
    assert_eq!(silent.receive(), None);
    // A byte now and then, each in good time.
    let mut dripping = Raw::connect(&path);
    let start = Instant::now();
    for byte in encode_body(&[b' '; 2000]).unwrap() {
        if dripping.0.write_all(&[byte]).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    assert!(start.elapsed() < Duration::from_secs(8), "never closed");
    // Half a frame behind a whole one.
    let mut half = Raw::connect(&path);
    assert_eq!(half.ask("\"Ping\"").unwrap(), "\"Pong\"");
    half.0.write_all(b"\0\0\0\x06\"Pi").unwrap();
    assert_eq!(half.receive(), None);
    until("three are closed", || server.counts().closed_slow == 3);
    // Nothing behind a whole one; while something is under way that is another matter.
    let mut idle = Raw::open(&path);
    let call = r#"{"id":0,"request":{"WakeInstance":{"tenant_id":"acme","pool_id":"web","instance_id":"i-1"}}}"#;
    assert_eq!(idle.ask(call).unwrap(), r#"{"id":0,"response":"Ok"}"#);
    assert_eq!(idle.receive(), None);
    until("one more is closed", || server.counts().closed_idle == 1);
}

#[test]
fn shutdown_lets_operations_end() {
    let (_directory, path) = place();
    let (begun, begins) = mpsc::channel();
    let socket = path.clone();
    let handler = move |_: HostdRequest, _: &Call| {
        begun.send(()).unwrap();
        until("the shutdown has begun", || !socket.exists());
        HostdResponse::Ok
    };
    let server = Server::start(listener(&path), owner(), handler).unwrap();
    let idle = connect(&path);
    let mut raw = Raw::connect(&path);
    raw.send(r#"{"WakeInstance":{"tenant_id":"acme","pool_id":"web","instance_id":"i-1"}}"#);
    let mut client = connect(&path);
    let asking = thread::spawn(move || client.call(wake("i-1"), soon()));
    begins.recv().unwrap();
    begins.recv().unwrap();
    // What comes behind it is not begun any more.
    raw.send("\"Ping\"");
    assert_eq!(server.shutdown(soon()).cut, 0);
    assert!(!path.exists());
    assert_eq!(asking.join().unwrap().unwrap(), HostdResponse::Ok);
    assert_eq!(raw.receive().unwrap(), "\"Ok\"");
    assert!(raw.receive().unwrap().contains("shutting down"));
    assert_eq!(raw.receive(), None);
    assert!(begins.try_recv().is_err());
    let mut idle = idle;
    let error = idle.call(wake("i-1"), soon()).unwrap_err();
    assert!(error.is_gone() && !error.may_have_begun, "{error}");
}

#[test]
fn shutdown_does_not_wait_for_ever() {
    let (_directory, path) = place();
    let (begun, begins) = mpsc::channel();
    let server = Server::start(
        listener(&path),
        owner(),
        move |_: HostdRequest, _: &Call| {
            begun.send(()).unwrap();
            thread::sleep(Duration::from_secs(3600));
            HostdResponse::Ok
        },
    )
    .unwrap();
    let mut client = connect(&path);
    let asking = thread::spawn(move || client.call(wake("i-1"), soon()));
    begins.recv().unwrap();
    assert_eq!(server.shutdown(Deadline::after_millis(50)).cut, 1);
    let error = asking.join().unwrap().unwrap_err();
    assert!(error.is_gone() && error.may_have_begun, "{error}");
}

#[test]
fn a_client_outlives_its_server() {
    let (_directory, path) = place();
    let server = Server::start(listener(&path), owner(), fine).unwrap();
    let mut client = connect(&path);
    let options = ClientOptions::new().without_reconnect();
    let mut once = Client::connect(&path, options, soon()).unwrap();
    assert_eq!(client.call(wake("i-1"), soon()).unwrap(), HostdResponse::Ok);
    server.shutdown(soon());
    assert!(matches!(
        client.call(wake("i-1"), soon()).unwrap_err().fault,
        ClientFault::Io { .. }
    ));
    let again = {
        let path = path.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            Server::start(listener(&path), owner(), fine).unwrap()
        })
    };
    assert_eq!(
        client.call_repeatable(wake("i-1"), soon()).unwrap(),
        HostdResponse::Ok
    );
    let server = again.join().unwrap();
    server.shutdown(soon());
    let _server = Server::start(listener(&path), owner(), fine).unwrap();
    // The connection has ended and it does not know yet: nothing was asked on it, so it can ask.
    assert_eq!(client.call(wake("i-1"), soon()).unwrap(), HostdResponse::Ok);
    let error = once.call(wake("i-1"), soon()).unwrap_err();
    assert!(
        matches!(error.fault, ClientFault::Ended) && !error.may_have_begun,
        "{error}"
    );
}

/// Whatever hostile clients do, the one that behaves has its answers, and nothing is left behind of the others.
#[test]
fn hostile_clients() {
    const NAME: &str = "hostile_clients";
    if !is_alone() {
        alone(NAME, "/proc/self/exe", |_| {});
        return;
    }
    let before = descriptors_and_threads();
    let (directory, path) = place();
    let options = owner()
        .with_connections(40, 30)
        .with_frame_timeout(Duration::from_millis(1500));
    let server = Server::start(listener(&path), options, fine).unwrap();
    let mut good = connect(&path);
    let mut times = Vec::new();
    let mut ask = |times: &mut Vec<Duration>| {
        let start = Instant::now();
        assert_eq!(good.call(wake("i-1"), soon()).unwrap(), HostdResponse::Ok);
        times.push(start.elapsed());
    };
    for _ in 0..300 {
        ask(&mut times);
    }
    let calm = percentiles(&mut times);

    let mut hostile: Vec<Raw> = Vec::new();
    let mut open = |bytes: &[u8]| {
        let mut raw = Raw::connect(&path);
        raw.0.set_nonblocking(true).unwrap();
        let _ = raw.0.write_all(bytes);
        hostile.push(raw);
    };
    open(b"\xff\xff\xff\xff");
    open(b"\0\x10\0\x01{");
    open(b"\0\0\x04\0{\"Wake");
    open(b"GET / HTTP/1.1\r\n\r\n");
    open(&[0x5a; 4000]);
    // Asks and never reads.
    for _ in 0..2 {
        let ping = encode_body(b"\"Ping\"").unwrap().repeat(300);
        let mut raw = Raw::connect(&path);
        raw.0.set_nonblocking(true).unwrap();
        for _ in 0..2000 {
            match raw.0.write(&ping) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        hostile.push(raw);
    }
    // Drips, one byte with every call of the good one.
    let mut drips: Vec<Raw> = (0..4).map(|_| Raw::connect(&path)).collect();
    // And a thousand that say nothing.
    let flood = {
        let path = path.clone();
        thread::spawn(move || (0..1000).map(|_| Raw::connect(&path)).collect::<Vec<_>>())
    };
    let mut round = 0;
    while round < 300 || !flood.is_finished() {
        if round % 30 == 0 {
            let byte = unending(round / 30);
            for raw in &mut drips {
                let _ = raw.0.write(&[byte]);
            }
        }
        ask(&mut times);
        round += 1;
    }
    let flood = flood.join().unwrap();
    let busy = percentiles(&mut times);
    println!("good calls: p50 and p99 {calm:?} alone, {busy:?} among hostile ones ({round} calls)");
    until("each has been let in or turned away", || {
        ask(&mut times);
        let counts = server.counts();
        counts.accepted + counts.too_many_of_uid == 1 + 5 + 2 + 4 + 1000
    });
    until("all of them are closed", || {
        ask(&mut times);
        server.open() == 1
    });
    let counts = server.counts();
    println!("{counts:?}");
    assert!(counts.closed_broken >= 2, "{counts:?}");
    assert!(counts.closed_not_reading == 2, "{counts:?}");
    assert!(counts.closed_slow >= 4, "{counts:?}");
    drop((hostile, drips, flood));
    let stopped = server.shutdown(soon());
    assert_eq!(stopped.cut, 0);
    drop((good, directory));
    until("nothing is left", || descriptors_and_threads() == before);
}

fn percentiles(times: &mut Vec<Duration>) -> [Duration; 2] {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    let found = [at(50), at(99)];
    times.clear();
    found
}

/// Clients of another user: root is needed to become one.
#[test]
#[ignore = "needs root: ci/tests"]
fn another_user() {
    const NAME: &str = "another_user";
    const PATH: &str = "MVM_TEST_SOCKET";
    const NOBODY: u32 = 65_534;
    if is_alone() {
        let path = std::path::PathBuf::from(std::env::var_os(PATH).unwrap());
        let mut raws: Vec<Raw> = (0..10).map(|_| Raw::connect(&path)).collect();
        let mut answered = 0;
        for raw in &mut raws {
            let _ = raw.0.write_all(&encode_body(b"\"Ping\"").unwrap());
            answered += u32::from(raw.receive().is_some());
        }
        println!("answered: {answered}");
        // The server is root's.
        let options = ClientOptions::new().with_server_uid(NOBODY);
        let error = Client::connect(&path, options, soon()).unwrap_err();
        assert!(
            matches!(error.fault, ClientFault::WrongServer { .. }),
            "{error}"
        );
        return;
    }
    let (directory, path) = place();
    let me = fs::metadata(directory.path()).unwrap().uid();
    assert_eq!(me, 0, "only root can become another user");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let others = |options: ServerOptions| {
        let socket = SocketOptions::new().with_mode(0o666);
        let server = Server::start(Listener::bind(&path, &socket).unwrap(), options, fine).unwrap();
        // One of root's is there, and the limit of one user is not its.
        let mut mine = options_allow_root(&path);
        let output = alone(NAME, "/proc/self/exe", |command| {
            command
                .uid(NOBODY)
                .gid(NOBODY)
                .env(PATH, &path)
                .current_dir("/");
        });
        if let Some(mine) = &mut mine {
            assert_eq!(mine.ping(soon()).unwrap(), HostdResponse::Pong);
        }
        let text = String::from_utf8(output.stdout).unwrap();
        let answered = text.split("answered: ").nth(1).unwrap();
        let answered: u64 = answered.split_whitespace().next().unwrap().parse().unwrap();
        let counts = server.counts();
        server.shutdown(soon());
        (answered, counts.not_allowed, counts.too_many_of_uid)
    };
    let owner_only = others(owner());
    assert_eq!((owner_only.0, owner_only.2), (0, 0));
    assert!(owner_only.1 >= 10);
    let by_group = ServerOptions::new(AllowList::owner().with_gid(NOBODY));
    let (answered, not_allowed, too_many) = others(by_group.with_connections(20, 4));
    assert_eq!((answered, not_allowed), (4, 0));
    assert!(too_many >= 6);
}

fn options_allow_root(path: &std::path::Path) -> Option<Client> {
    Client::connect(path, ClientOptions::new(), soon()).ok()
}

/// Without file descriptors the server waits, and goes on once there are some.
#[test]
fn no_file_descriptors() {
    const NAME: &str = "no_file_descriptors";
    if !is_alone() {
        alone(NAME, "/bin/sh", |command| {
            let this = fs::read_link("/proc/self/exe").unwrap();
            command
                .args(["-c", "ulimit -n 40 && exec \"$0\" \"$@\""])
                .arg(this);
        });
        return;
    }
    let (_directory, path) = place();
    let server = Server::start(listener(&path), owner(), fine).unwrap();
    let mut good = connect(&path);
    let waiting = std::os::unix::net::UnixStream::connect(&path);
    let mut all = vec![waiting.unwrap()];
    until("some are accepted", || server.open() == 2);
    let mut files = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        files.push(file);
    }
    // Room for one: the client's end of a connection that cannot be accepted.
    files.pop();
    all.push(std::os::unix::net::UnixStream::connect(&path).unwrap());
    until("it fails", || server.counts().accept_failed >= 1);
    thread::sleep(Duration::from_millis(400));
    assert_eq!(good.ping(soon()).unwrap(), HostdResponse::Pong);
    let failed = server.counts().accept_failed;
    assert!(failed < 30, "it spins: {failed} attempts");
    drop(files);
    until("it is accepted", || server.open() == 3);
    server.shutdown(soon());
}
