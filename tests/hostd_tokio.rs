//! hostd's socket on tokio: what is the same as without, and what dropping a future does.
#![cfg(all(feature = "tokio", target_os = "linux"))]
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

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hostd_support::*;
use mvm_core::protocol::asynchronous::{Client, Server};
use mvm_core::protocol::{
    AllowList, Call, ClientFault, ClientOptions, ClientStep, Deadline, HostdRequest, HostdResponse,
    RequestId, ServerOptions, encode_body,
};
use tokio::sync::Notify;
use tokio::time::sleep;

fn owner() -> ServerOptions {
    ServerOptions::new(AllowList::owner())
}

async fn fine(_: HostdRequest, _: Call) -> HostdResponse {
    HostdResponse::Ok
}

async fn connect(path: &std::path::Path) -> Client {
    Client::connect(path, ClientOptions::new(), soon())
        .await
        .unwrap()
}

#[test]
fn outside_of_a_runtime_it_is_an_error() {
    let (_directory, path) = place();
    assert!(Server::start(listener(&path), owner(), fine).is_err());
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_are_answered() {
    let (directory, path) = place();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let handler = move |request: HostdRequest, call: Call| {
        let id = call.id().map(RequestId::get);
        told.lock()
            .unwrap()
            .push((instance(&request), call.version(), id));
        async move {
            sleep(Duration::from_millis(1)).await;
            match &*instance(&request) {
                "i-panic" => panic!("on purpose"),
                "i-long" => HostdResponse::Error {
                    message: "\u{0}".repeat(2_000_000),
                },
                _ => HostdResponse::Ok,
            }
        }
    };
    let server = Server::start(listener(&path), owner(), handler).unwrap();
    let old = path.clone();
    tokio::task::spawn_blocking(move || {
        let mut old = Raw::connect(&old);
        let request =
            r#"{"WakeInstance":{"tenant_id":"acme","pool_id":"web","instance_id":"i-1"}}"#;
        // All at once: each answer comes in its turn.
        old.send("\"Ping\"");
        old.send(request);
        old.send("garbage");
        old.send("\"Ping\"");
        let answers: Vec<String> = (0..4).map(|_| old.receive().unwrap()).collect();
        assert_eq!(answers[..2], ["\"Pong\"", "\"Ok\""]);
        assert!(answers[2].starts_with(r#"{"Error":"#));
        assert_eq!(answers[3], "\"Pong\"");
        // Nothing more to ask: answers come all the same, and then the end.
        old.send(request);
        old.0.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(old.receive().unwrap(), "\"Ok\"");
        assert_eq!(old.receive(), None);
    })
    .await
    .unwrap();

    let mut client = connect(&path).await;
    assert_eq!(client.version(), Some(2));
    assert_eq!(client.server().unwrap().pid, Some(std::process::id()));
    assert_eq!(
        client.call(wake("i-2"), soon()).await.unwrap(),
        HostdResponse::Ok
    );
    for name in ["i-long", "i-panic"] {
        let response = client.call(wake(name), soon()).await.unwrap();
        assert!(
            matches!(response, HostdResponse::Error { .. }),
            "{response:?}"
        );
    }
    assert_eq!(client.ping(soon()).await.unwrap(), HostdResponse::Pong);
    let seen = seen.lock().unwrap().clone();
    let expected = [
        ("i-1", 1, None),
        ("i-1", 1, None),
        ("i-2", 2, Some(0)),
        ("i-long", 2, Some(1)),
        ("i-panic", 2, Some(2)),
    ];
    assert_eq!(
        seen,
        expected.map(|(name, version, id)| (name.to_owned(), version, id))
    );
    assert_eq!((server.counts().panicked, server.counts().refused), (1, 1));
    // The blocking client is understood as well.
    let blocking = path.clone();
    let response = tokio::task::spawn_blocking(move || {
        let client = mvm_core::protocol::Client::connect(&blocking, ClientOptions::new(), soon());
        client.unwrap().call(wake("i-3"), soon()).unwrap()
    });
    assert_eq!(response.await.unwrap(), HostdResponse::Ok);
    drop(client);
    assert_eq!(server.shutdown(soon()).await.cut, 0);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_dropped_call_is_not_answered_by_the_next() {
    let (_directory, path) = place();
    let release = Arc::new(Notify::new());
    let held = Arc::clone(&release);
    let _server = Server::start(
        listener(&path),
        owner(),
        move |request: HostdRequest, _: Call| {
            let held = Arc::clone(&held);
            async move {
                if instance(&request) == "i-slow" {
                    held.notified().await;
                    return HostdResponse::error("late");
                }
                HostdResponse::Ok
            }
        },
    )
    .unwrap();
    let mut client = connect(&path).await;
    for _ in 0..3 {
        // Dropped by somebody else's deadline, and by its own.
        let call = client.call(wake("i-slow"), soon());
        assert!(
            tokio::time::timeout(Duration::from_millis(20), call)
                .await
                .is_err()
        );
        let error = client
            .call(wake("i-slow"), Deadline::after_millis(20))
            .await
            .unwrap_err();
        assert!(error.is_expired() && error.may_have_begun, "{error}");
        assert_eq!(
            client.call(wake("i-1"), soon()).await.unwrap(),
            HostdResponse::Ok
        );
        release.notify_waiters();
        sleep(Duration::from_millis(5)).await;
        assert_eq!(
            client.call(wake("i-1"), soon()).await.unwrap(),
            HostdResponse::Ok
        );
    }
    // Dropped at its very first step.
    for _ in 0..3 {
        drop(client.call(wake("i-slow"), soon()));
        let mut call = Box::pin(client.call(wake("i-slow"), soon()));
        std::future::poll_fn(|cx| {
            assert!(call.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        drop(call);
        assert_eq!(
            client.call(wake("i-1"), soon()).await.unwrap(),
            HostdResponse::Ok
        );
    }
}

#[tokio::test]
async fn a_silent_server_costs_no_more_than_the_deadline() {
    let (_directory, path) = place();
    let _silent = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let start = Instant::now();
    let error = Client::connect(&path, ClientOptions::new(), Deadline::after_millis(50))
        .await
        .unwrap_err();
    assert!(error.is_expired() && !error.may_have_begun, "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
    // With its queue full, to connect would take for ever too.
    let (give, take) = std::sync::mpsc::channel();
    let full = path.clone();
    thread::spawn(move || {
        while give
            .send(std::os::unix::net::UnixStream::connect(&full))
            .is_ok()
        {}
    });
    let mut waiting = Vec::new();
    while let Ok(stream) = take.recv_timeout(Duration::from_millis(300)) {
        waiting.push(stream.unwrap());
    }
    let deadline = Deadline::after_millis(50);
    let error = Client::connect(&path, ClientOptions::new(), deadline)
        .await
        .unwrap_err();
    let step = ClientStep::Connecting;
    assert!(
        matches!(error.fault, ClientFault::Expired { step: at } if at == step),
        "{error}"
    );
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_client_outlives_its_server() {
    let (_directory, path) = place();
    let server = Server::start(listener(&path), owner(), fine).unwrap();
    let mut client = connect(&path).await;
    assert_eq!(
        client.call(wake("i-1"), soon()).await.unwrap(),
        HostdResponse::Ok
    );
    server.shutdown(soon()).await;
    let error = client.call(wake("i-1"), soon()).await.unwrap_err();
    assert!(error.is_gone() && !error.may_have_begun, "{error}");
    let later = path.clone();
    let again = tokio::spawn(async move {
        sleep(Duration::from_millis(80)).await;
        Server::start(listener(&later), owner(), fine).unwrap()
    });
    assert_eq!(
        client.call_repeatable(wake("i-1"), soon()).await.unwrap(),
        HostdResponse::Ok
    );
    let server = again.await.unwrap();
    let options = ClientOptions::new().with_server_uid(54_321);
    let error = Client::connect(&path, options, soon()).await.unwrap_err();
    assert!(
        matches!(error.fault, ClientFault::WrongServer { .. }),
        "{error}"
    );
    // Without a word to anybody.
    drop(server);
    let error = client.call(wake("i-1"), soon()).await.unwrap_err();
    assert!(error.is_gone(), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_lets_operations_end() {
    let (_directory, path) = place();
    let begun = Arc::new(AtomicUsize::new(0));
    let (counted, socket) = (Arc::clone(&begun), path.clone());
    let handler = move |_: HostdRequest, _: Call| {
        counted.fetch_add(1, Ordering::SeqCst);
        let socket = socket.clone();
        async move {
            while socket.exists() {
                sleep(Duration::from_millis(1)).await;
            }
            HostdResponse::Ok
        }
    };
    let server = Server::start(listener(&path), owner(), handler).unwrap();
    let _idle = connect(&path).await;
    let place = path.clone();
    let raw = tokio::task::spawn_blocking(move || {
        let mut raw = Raw::connect(&place);
        raw.send(r#"{"WakeInstance":{"tenant_id":"acme","pool_id":"web","instance_id":"i-1"}}"#);
        raw.send("\"Ping\"");
        [raw.receive(), raw.receive(), raw.receive()]
    });
    let mut client = connect(&path).await;
    let call = tokio::spawn(async move { client.call(wake("i-1"), soon()).await });
    while begun.load(Ordering::SeqCst) < 2 {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(server.shutdown(soon()).await.cut, 0);
    assert_eq!(call.await.unwrap().unwrap(), HostdResponse::Ok);
    let [first, second, end] = raw.await.unwrap();
    assert_eq!(first.unwrap(), "\"Ok\"");
    assert!(second.unwrap().contains("shutting down"));
    assert_eq!(end, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_does_not_wait_for_ever() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (_directory, path) = place();
    let [begun, dropped] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let (counted, told) = (Arc::clone(&begun), Arc::clone(&dropped));
    let handler = move |_: HostdRequest, _: Call| {
        counted.fetch_add(1, Ordering::SeqCst);
        let guard = Dropped(Arc::clone(&told));
        async move {
            let _guard = guard;
            core::future::pending().await
        }
    };
    let server = Server::start(listener(&path), owner(), handler).unwrap();
    let mut client = connect(&path).await;
    let call = tokio::spawn(async move { client.call(wake("i-1"), soon()).await });
    while begun.load(Ordering::SeqCst) < 1 {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(server.shutdown(Deadline::after_millis(50)).await.cut, 1);
    let error = call.await.unwrap().unwrap_err();
    assert!(error.is_gone() && error.may_have_begun, "{error}");
    while dropped.load(Ordering::SeqCst) < 1 {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_begun_after_its_time() {
    let (_directory, path) = place();
    let begun = Arc::new(Mutex::new(Vec::new()));
    let release = Arc::new(Notify::new());
    let (seen, held) = (Arc::clone(&begun), Arc::clone(&release));
    let handler = move |request: HostdRequest, _: Call| {
        let name = instance(&request);
        seen.lock().unwrap().push(name.clone());
        let held = Arc::clone(&held);
        async move {
            if name == "i-0" {
                held.notified().await;
            }
            HostdResponse::Ok
        }
    };
    let server = Server::start(listener(&path), owner().with_calls(1), handler).unwrap();
    let answers = tokio::task::spawn_blocking(move || {
        let mut raw = Raw::open(&path);
        for (id, timeout) in ["", r#""timeout_ms":40,"#, ""].iter().enumerate() {
            raw.send(&format!(
                r#"{{"id":{id},{timeout}"request":{{"WakeInstance":{{"tenant_id":"acme","pool_id":"web","instance_id":"i-{id}"}}}}}}"#
            ));
        }
        let pong = raw.ask(r#"{"id":3,"request":"Ping"}"#);
        assert_eq!(pong.unwrap(), r#"{"id":3,"response":"Pong"}"#);
        thread::sleep(Duration::from_millis(50));
        release.notify_one();
        (0..3).map(|_| raw.receive().unwrap()).collect::<Vec<_>>()
    })
    .await
    .unwrap();
    assert_eq!(answers[0], r#"{"id":0,"response":"Ok"}"#);
    assert!(answers[1].contains("nothing was done"), "{answers:?}");
    assert_eq!(answers[2], r#"{"id":2,"response":"Ok"}"#);
    assert_eq!(*begun.lock().unwrap(), ["i-0", "i-2"]);
    assert_eq!(server.counts().expired, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_slow_silent_or_idle_is_closed() {
    let (_directory, path) = place();
    let options = owner()
        .with_frame_timeout(Duration::from_millis(500))
        .with_idle_timeout(Duration::from_millis(500));
    let handler = |_: HostdRequest, _: Call| async {
        sleep(Duration::from_millis(800)).await;
        HostdResponse::Ok
    };
    let server = Server::start(listener(&path), options, handler).unwrap();
    tokio::task::spawn_blocking(move || {
        let mut silent = Raw::connect(&path);
        let mut half = Raw::connect(&path);
        let mut idle = Raw::open(&path);
        let mut dripping = Raw::connect(&path);
        let call = r#"{"id":0,"request":{"WakeInstance":{"tenant_id":"acme","pool_id":"web","instance_id":"i-1"}}}"#;
        idle.send(call);
        half.0.write_all(b"\0\0\0\x06\"Ping\"\0\0\0\x06\"Pi").unwrap();
        let start = Instant::now();
        for byte in encode_body(&[b' '; 2000]).unwrap() {
            if dripping.0.write_all(&[byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        assert!(start.elapsed() < Duration::from_secs(8), "never closed");
        assert_eq!(half.receive().unwrap(), "\"Pong\"");
        assert_eq!((half.receive(), silent.receive()), (None, None));
        // Something was under way for longer than it may be idle.
        assert_eq!(idle.receive().unwrap(), r#"{"id":0,"response":"Ok"}"#);
        assert_eq!(idle.receive(), None);
        until("all are closed", || {
            let counts = server.counts();
            (counts.closed_slow, counts.closed_idle) == (3, 1)
        });
    })
    .await
    .unwrap();
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (directory, path) = place();
    let options = owner()
        .with_connections(40, 30)
        .with_frame_timeout(Duration::from_millis(1500));
    let entered = runtime.enter();
    let server = Server::start(listener(&path), options, fine).unwrap();
    drop(entered);
    let mut good = runtime.block_on(connect(&path));
    let mut times = Vec::new();
    let mut ask = || {
        let start = Instant::now();
        let response = runtime.block_on(good.call(wake("i-1"), soon())).unwrap();
        assert_eq!(response, HostdResponse::Ok);
        times.push(start.elapsed());
    };
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
    open(&[0x5a; 4000]);
    open(b"GET / HTTP/1.1\r\n\r\n");
    let ping = encode_body(b"\"Ping\"").unwrap().repeat(300);
    for _ in 0..2 {
        let mut raw = Raw::connect(&path);
        raw.0.set_nonblocking(true).unwrap();
        for _ in 0..2000 {
            match raw.0.write(&ping) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        hostile.push(raw);
    }
    let mut drips: Vec<Raw> = (0..4).map(|_| Raw::connect(&path)).collect();
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
        ask();
        round += 1;
    }
    let flood = flood.join().unwrap();
    until("each has been let in or turned away", || {
        ask();
        let counts = server.counts();
        counts.accepted + counts.too_many_of_uid == 1 + 5 + 2 + 4 + 1000
    });
    until("all of them are closed", || {
        ask();
        server.open() == 1
    });
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "good calls among hostile ones: p50 {:?}, p99 {:?}",
        at(50),
        at(99)
    );
    let counts = server.counts();
    println!("{counts:?}");
    assert!(counts.closed_broken >= 2, "{counts:?}");
    assert_eq!(counts.closed_not_reading, 2, "{counts:?}");
    assert!(counts.closed_slow >= 4, "{counts:?}");
    drop((hostile, drips, flood));
    assert_eq!(runtime.block_on(server.shutdown(soon())).cut, 0);
    drop((good, directory, runtime));
    until("nothing is left", || descriptors_and_threads() == before);
}
