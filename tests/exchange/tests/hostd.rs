//! 0.13.0 at the other end of hostd's socket: its functions as client and as server, over a real socket.
//!
//! 0.13.0 has functions that read and write, and leaves the loop to its users. Those here are the shortest that its
//! documentation allows: a server that answers what it cannot read with an `Error`, and one that hangs up.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mvm_core::document::Document;
use mvm_core::protocol::{
    AllowList, Call, ClientFault, ClientOptions, Deadline, HostdRequest, HostdResponse, Listener,
    ServerOptions, SocketOptions,
};
use mvm_core::protocol::{Client, Server, asynchronous};
use mvm_core_exchange::source::{Any, Source};
use old::protocol as theirs;
use tokio::net::{UnixListener, UnixStream};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hostd.sock");
    (directory, path)
}

/// Different requests, every kind of them among them, and none that breaks a rule between values.
fn requests() -> Vec<HostdRequest> {
    // A network that keeps all rules does not come up at random.
    let mut found: Vec<HostdRequest> = ["SetupNetwork", "TeardownNetwork"]
        .iter()
        .map(|kind| {
            let net = r#"{"tenant_net_id":3,"ipv4_subnet":"10.240.3.0/24","gateway_ip":"10.240.3.1","bridge_name":"br-tenant-3"}"#;
            let json = format!(r#"{{"{kind}":{{"tenant_id":"acme","net":{net}}}}}"#);
            HostdRequest::from_json(json.as_bytes()).unwrap()
        })
        .collect();
    let mut state = 1_u64;
    let mut kinds = std::collections::BTreeSet::new();
    while found.len() < 200 || kinds.len() < 6 {
        let numbers: Vec<u64> = (0..200)
            .map(|_| {
                // xorshift64, so that each is another one.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            })
            .collect();
        let request = HostdRequest::any(&mut Source::new(&numbers));
        let json = serde_json::to_value(&request).unwrap();
        if HostdRequest::from_json(json.to_string().as_bytes()).is_err() {
            continue;
        }
        let kind = json
            .as_str()
            .or_else(|| json.as_object()?.keys().next().map(|key| &**key));
        kinds.insert(kind.unwrap().to_owned());
        found.push(request);
    }
    found
}

/// The same in 0.13.0's types.
fn in_theirs(request: &HostdRequest) -> theirs::HostdRequest {
    serde_json::from_value(serde_json::to_value(request).unwrap()).unwrap()
}

fn as_json(request: &impl serde::Serialize) -> String {
    serde_json::to_string(request).unwrap()
}

/// A server of 0.13.0: how often it was connected to, and what it was asked, in its own words.
#[derive(Clone, Default)]
struct Seen {
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

fn their_server(path: &Path, hangs_up: bool) -> Seen {
    let listener = UnixListener::bind(path).unwrap();
    let seen = Seen::default();
    let told = seen.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            told.connections.fetch_add(1, Ordering::SeqCst);
            let told = told.clone();
            tokio::spawn(async move {
                loop {
                    let response = match theirs::recv_request(&mut stream).await {
                        Ok(theirs::HostdRequest::Ping) => theirs::HostdResponse::Pong,
                        Ok(request) => {
                            told.requests.lock().unwrap().push(as_json(&request));
                            theirs::HostdResponse::Ok
                        }
                        Err(error) if hangs_up || error.to_string().contains("frame") => return,
                        Err(error) => theirs::HostdResponse::Error {
                            message: error.to_string(),
                        },
                    };
                    if theirs::send_response(&mut stream, &response).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    seen
}

fn expected(request: &HostdRequest) -> HostdResponse {
    match request {
        HostdRequest::Ping => HostdResponse::Pong,
        _ => HostdResponse::Ok,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_clients_with_their_server() {
    let requests = requests();
    let asked: Vec<String> = requests
        .iter()
        .filter(|request| **request != HostdRequest::Ping)
        .map(as_json)
        .collect();
    for hangs_up in [false, true] {
        let (_directory, path) = place();
        let seen = their_server(&path, hangs_up);
        let mut client = asynchronous::Client::connect(&path, ClientOptions::new(), soon())
            .await
            .unwrap();
        assert_eq!(client.version(), Some(1));
        for request in &requests {
            let response = client.call(request.clone(), soon()).await.unwrap();
            assert_eq!(response, expected(request));
        }
        // The hello was not understood on the first connection; the second one has no hello, and served for all.
        assert_eq!(seen.connections.load(Ordering::SeqCst), 2);
        assert_eq!(*seen.requests.lock().unwrap(), asked);

        let (path, requests) = (path.clone(), requests.clone());
        tokio::task::spawn_blocking(move || {
            let mut client = Client::connect(&path, ClientOptions::new(), soon()).unwrap();
            assert_eq!(client.version(), Some(1));
            for request in &requests {
                let response = client.call(request.clone(), soon()).unwrap();
                assert_eq!(response, expected(request));
            }
            let options = ClientOptions::new().without_version_1();
            let error = Client::connect(&path, options, soon()).unwrap_err();
            assert!(matches!(error.fault, ClientFault::Handshake(_)), "{error}");
            assert!(error.to_string().contains("upgrade hostd"), "{error}");
        })
        .await
        .unwrap();
        assert_eq!(seen.connections.load(Ordering::SeqCst), 5);
        assert_eq!(
            *seen.requests.lock().unwrap(),
            [asked.clone(), asked.clone()].concat()
        );
    }
}

/// What a client of 0.13.0 does with any server.
async fn their_client(path: &Path, requests: &[HostdRequest]) {
    let mut stream = UnixStream::connect(path).await.unwrap();
    for request in requests {
        theirs::send_request(&mut stream, &in_theirs(request))
            .await
            .unwrap();
        let response = theirs::recv_response(&mut stream).await.unwrap();
        assert_eq!(
            as_json(&response),
            as_json(&expected(request)),
            "{request:?}"
        );
    }
    // What it can say and we do not read is an error that it can read, and the connection goes on.
    let hostile = theirs::HostdRequest::StopInstance {
        tenant_id: "acme; reboot".to_owned(),
        pool_id: "../../etc".to_owned(),
        instance_id: String::new(),
    };
    theirs::send_request(&mut stream, &hostile).await.unwrap();
    let response = theirs::recv_response(&mut stream).await.unwrap();
    assert!(
        matches!(&response, theirs::HostdResponse::Error { message } if message.contains("tenant_id")),
        "{response:?}"
    );
    theirs::send_request(&mut stream, &theirs::HostdRequest::Ping)
        .await
        .unwrap();
    let response = theirs::recv_response(&mut stream).await.unwrap();
    assert!(matches!(response, theirs::HostdResponse::Pong));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn their_client_with_our_servers() {
    let requests = requests();
    let wanted: Vec<String> = requests
        .iter()
        .filter(|request| **request != HostdRequest::Ping)
        .map(as_json)
        .collect();
    let options = || ServerOptions::new(AllowList::owner());

    let (_directory, path) = place();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let handler = move |request: HostdRequest, call: &Call| {
        assert_eq!(call.version(), 1);
        told.lock().unwrap().push(as_json(&request));
        HostdResponse::Ok
    };
    let listener = Listener::bind(&path, &SocketOptions::new()).unwrap();
    let server = Server::start(listener, options(), handler).unwrap();
    their_client(&path, &requests).await;
    assert_eq!(*seen.lock().unwrap(), wanted);
    assert_eq!(server.counts().refused, 1);
    assert_eq!(server.shutdown(soon()).cut, 0);

    seen.lock().unwrap().clear();
    let told = Arc::clone(&seen);
    let handler = move |request: HostdRequest, call: Call| {
        assert_eq!(call.version(), 1);
        told.lock().unwrap().push(as_json(&request));
        async { HostdResponse::Ok }
    };
    let listener = Listener::bind(&path, &SocketOptions::new()).unwrap();
    let server = asynchronous::Server::start(listener, options(), handler).unwrap();
    their_client(&path, &requests).await;
    assert_eq!(*seen.lock().unwrap(), wanted);
    assert_eq!(server.counts().refused, 1);
    assert_eq!(server.shutdown(soon()).await.cut, 0);

    // A server without version 1 tells them why, in words that they can read.
    let listener = Listener::bind(&path, &SocketOptions::new()).unwrap();
    let _server = Server::start(
        listener,
        options().without_version_1(),
        |_: HostdRequest, _: &Call| HostdResponse::Ok,
    )
    .unwrap();
    let mut stream = UnixStream::connect(&path).await.unwrap();
    theirs::send_request(&mut stream, &theirs::HostdRequest::Ping)
        .await
        .unwrap();
    let response = theirs::recv_response(&mut stream).await.unwrap();
    assert!(
        matches!(&response, theirs::HostdResponse::Error { message } if message.contains("upgrade the client")),
        "{response:?}"
    );
    assert!(theirs::recv_response(&mut stream).await.is_err());
}

/// How long a ping takes with each, in turns, in one run. Told and not held: it is a matter of the machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn round_trips() {
    const ROUNDS: usize = 5;
    const PINGS: usize = 400;
    let options = || ServerOptions::new(AllowList::owner());
    let bind = |path: &Path| Listener::bind(path, &SocketOptions::new()).unwrap();
    let places = [place(), place(), place()];
    let [old, tokio, blocking] = &places;
    their_server(&old.1, false);
    let handler = |_: HostdRequest, _: Call| async { HostdResponse::Ok };
    let _tokio_server = asynchronous::Server::start(bind(&tokio.1), options(), handler).unwrap();
    let handler = |_: HostdRequest, _: &Call| HostdResponse::Ok;
    let _server = Server::start(bind(&blocking.1), options(), handler).unwrap();

    let mut old = UnixStream::connect(&old.1).await.unwrap();
    let client = asynchronous::Client::connect(&tokio.1, ClientOptions::new(), soon());
    let mut tokio = client.await.unwrap();
    let mut blocking = Client::connect(&blocking.1, ClientOptions::new(), soon()).unwrap();
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for _ in 0..PINGS {
            let start = Instant::now();
            theirs::send_request(&mut old, &theirs::HostdRequest::Ping)
                .await
                .unwrap();
            theirs::recv_response(&mut old).await.unwrap();
            times[0].push(start.elapsed());
        }
        for _ in 0..PINGS {
            let start = Instant::now();
            tokio.call(HostdRequest::Ping, soon()).await.unwrap();
            times[1].push(start.elapsed());
        }
        ::tokio::task::block_in_place(|| {
            for _ in 0..PINGS {
                let start = Instant::now();
                blocking.call(HostdRequest::Ping, soon()).unwrap();
                times[2].push(start.elapsed());
            }
        });
    }
    let [old, tokio, blocking] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    println!("hostd ping, median: 0.13.0 {old:?}, tokio {tokio:?}, blocking {blocking:?}");
}
