//! What touches a disk or a socket, against 0.13.0.

use std::fs::File;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mvm_core::audit::{
    AuditLogOptions, Durability, LocalAuditEvent, LocalAuditKind, LocalAuditLog, verify_log,
};
use mvm_core::channel::Deadline;
use mvm_core::document::Document;
use mvm_core::naming::PoolPath;
use mvm_core::paths::FleetLayout;
use mvm_core::pool::PoolSpec;
use mvm_core::protocol::{
    AllowList, Call, Client, ClientOptions, HostdRequest, HostdResponse, Listener, Server,
    ServerOptions, SocketOptions,
};
use mvm_core::store::StateStore;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::{Builder, Runtime};

use crate::harness::{Contest, batch};

fn audit_event() -> LocalAuditEvent {
    let now = "2026-02-25T12:00:00.123456789Z".parse().expect("a time");
    let name = Some("worker-1".to_owned());
    let detail = Some("flake=. profile=minimal pid=12345".to_owned());
    LocalAuditEvent::new(now, LocalAuditKind::VmStart, name, detail)
}

fn audit_log(path: &Path) -> LocalAuditLog {
    let options = AuditLogOptions::new()
        .durability(Durability::None)
        .max_len(u64::MAX);
    LocalAuditLog::open(path, options).expect("a log")
}

/// A record that is chained and safe from other programs, against a line. Neither is made durable.
pub(crate) fn audit_append() -> Contest<'static> {
    let directory = tempfile::tempdir().expect("a directory");
    let log = audit_log(&directory.path().join("new.jsonl"));
    let event = audit_event();
    let old_log =
        old::audit::LocalAuditLog::open(&directory.path().join("old.jsonl")).expect("a log");
    let old_event = old::audit::LocalAuditEvent {
        timestamp: event.timestamp.to_string(),
        kind: old::audit::LocalAuditKind::VmStart,
        vm_name: event.vm_name.clone(),
        detail: event.detail.clone(),
    };
    Contest {
        item: "audit append, chained and process-safe",
        ours: batch(move || {
            let _ = &directory;
            log.append(black_box(&event)).expect("appended")
        }),
        floor: batch(move || old_log.append(black_box(&old_event)).expect("appended")),
        goal: Some(0.35),
    }
}

/// How fast a log is verified; from memory, since it was just written.
pub(crate) fn audit_verify(records: u32) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("audit.jsonl");
    let log = audit_log(&path);
    let event = audit_event();
    for _ in 0..records {
        log.append(&event).expect("appended");
    }
    log.close().expect("closed");
    let start = Instant::now();
    let report = verify_log(&path, |found| panic!("{found:?}"), |verifier| verifier).expect("read");
    let took = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let bytes = std::fs::read(&path).expect("read").len() as f64;
    let read = start.elapsed().as_secs_f64();
    println!(
        "audit verify: {} records, {:.0} MB/s, {:.0} ns a record; reading alone {:.0} MB/s",
        report.records,
        bytes / took / 1e6,
        took / f64::from(records) * 1e9,
        bytes / read / 1e6
    );
}

/// A pool's document, under its lock, durable with its name. 0.13.0's functions for that, and the sync of the
/// directory that they lack.
pub(crate) fn save() -> Contest<'static> {
    let rows = include_str!("../../../tests/vectors/json/PoolSpec.jsonl");
    let row: serde_json::Value =
        serde_json::from_str(rows.lines().next().expect("a row")).expect("JSON");
    let json = row["doc"].as_str().expect("a document");
    let mut spec = PoolSpec::from_json(json.as_bytes()).expect("a pool");
    let mut old_spec: old::pool::PoolSpec = serde_json::from_str(json).expect("a pool");
    let directory = tempfile::tempdir().expect("a directory");
    let store = StateStore::new(FleetLayout::new(directory.path()).expect("a layout"));
    let key = PoolPath {
        tenant: spec.tenant_id.clone(),
        pool: spec.pool_id.clone(),
    };
    store.save(&key, &spec).expect("saved");
    let old_file: PathBuf = directory.path().join("old").join("pool.json");
    std::fs::create_dir(directory.path().join("old")).expect("a directory");
    Contest {
        item: "save of a pool, locked, directory synced",
        ours: batch(move || {
            let _ = &directory;
            // Something changes each time.
            spec.desired_counts.running ^= 1;
            store.save(&key, black_box(&spec)).expect("saved");
        }),
        floor: batch(move || {
            old_spec.desired_counts.running ^= 1;
            let _lock = old::atomic_io::FileLock::acquire(&old_file).expect("a lock");
            let json = serde_json::to_string_pretty(black_box(&old_spec)).expect("JSON");
            old::atomic_io::atomic_write(&old_file, json.as_bytes()).expect("saved");
            File::open(old_file.parent().expect("a directory"))
                .and_then(|directory| directory.sync_all())
                .expect("synced");
        }),
        goal: Some(1.1),
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A ping to a server in another thread, and its answer: blocking against 0.13.0's functions on tokio.
pub(crate) fn round_trip() -> Contest<'static> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("new.sock");
    let listener = Listener::bind(&path, &SocketOptions::new()).expect("a socket");
    let handler = |_: HostdRequest, _: &Call| HostdResponse::Ok;
    let server = Server::start(listener, ServerOptions::new(AllowList::owner()), handler);
    let server = server.expect("a server");
    let soon = || Deadline::after_millis(5000);
    let mut client = Client::connect(&path, ClientOptions::new(), soon()).expect("connected");

    let old_path = directory.path().join("old.sock");
    let bound = std::os::unix::net::UnixListener::bind(&old_path).expect("a socket");
    bound.set_nonblocking(true).expect("not blocking");
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = UnixListener::from_std(bound).expect("a listener");
            let (mut stream, _) = listener.accept().await.expect("a connection");
            while old::protocol::recv_request(&mut stream).await.is_ok() {
                let pong = old::protocol::HostdResponse::Pong;
                let sent = old::protocol::send_response(&mut stream, &pong).await;
                sent.expect("sent");
            }
        });
    });
    let client_runtime = runtime();
    let mut stream = client_runtime
        .block_on(UnixStream::connect(&old_path))
        .expect("connected");
    Contest {
        item: "hostd ping and answer, blocking",
        ours: batch(move || {
            let _ = (&server, &directory);
            client.call(HostdRequest::Ping, soon()).expect("an answer")
        }),
        floor: batch(move || {
            client_runtime.block_on(async {
                old::protocol::send_request(&mut stream, &old::protocol::HostdRequest::Ping)
                    .await
                    .expect("sent");
                old::protocol::recv_response(&mut stream)
                    .await
                    .expect("an answer")
            })
        }),
        goal: None,
    }
}
