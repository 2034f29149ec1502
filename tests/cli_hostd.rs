//! `hostd ping` as a program sees it.
#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc
)]

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use mvm_core::protocol::{
    AllowList, Call, HostdRequest, HostdResponse, Listener, Server, ServerOptions, SocketOptions,
    encode_body,
};
use serde_json::{Value, json};

fn ping(socket: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mvm-core"));
    command.args(["hostd", "ping", "--socket"]).arg(socket);
    command.args(more).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hostd.sock");
    (directory, path)
}

fn serve(path: &Path, allow: AllowList) -> Server {
    let listener = Listener::bind(path, &SocketOptions::new()).unwrap();
    let handler = |_: HostdRequest, _: &Call| HostdResponse::Ok;
    Server::start(listener, ServerOptions::new(allow), handler).unwrap()
}

#[test]
fn who_answers_is_told() {
    let (_directory, path) = place();
    let _server = serve(&path, AllowList::owner());
    let output = ping(&path, &["--json", "--count", "5"]);
    assert_eq!(code(&output), 0, "{output:?}");
    let told = document(&output);
    assert_eq!((&told["ok"], &told["error"]), (&json!(true), &Value::Null));
    assert_eq!(told["socket"], path.to_str().unwrap());
    assert_eq!(
        (&told["version"], &told["server"]["pid"]),
        (&json!(2), &json!(std::process::id()))
    );
    let times = &told["round_trip_us"];
    assert_eq!(times["count"], 5);
    let [min, median, max] = ["min", "median", "max"].map(|name| times[name].as_u64().unwrap());
    assert!(0 < min && min <= median && median <= max);

    let output = ping(&path, &[]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(text.starts_with("hostd answers at "), "{text}");
    assert!(
        text.contains("version 2") && text.contains("3 round trips"),
        "{text}"
    );
}

#[test]
fn what_is_wrong_with_it_is_told() {
    let (_directory, path) = place();
    // Nobody, and left behind by somebody.
    for bind in [false, true] {
        if bind {
            drop(UnixListener::bind(&path).unwrap());
        }
        let output = ping(&path, &["--json"]);
        assert_eq!(code(&output), 2, "{output:?}");
        let told = document(&output);
        assert_eq!(
            (&told["ok"], &told["version"], &told["server"]),
            (&json!(false), &Value::Null, &Value::Null)
        );
        assert!(
            told["error"].as_str().unwrap().contains("connecting"),
            "{told}"
        );
    }
    // Another user's; and one that does not let us in.
    let server = serve(&path, AllowList::owner());
    let output = ping(&path, &["--json", "--uid", "54321"]);
    assert_eq!(code(&output), 1, "{output:?}");
    assert!(
        document(&output)["error"]
            .as_str()
            .unwrap()
            .contains("expected was uid 54321")
    );
    drop(server);
    let server = serve(&path, AllowList::nobody());
    let output = ping(&path, &[]);
    assert_eq!(code(&output), 1, "{output:?}");
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("may not let this user in")
    );
    drop(server);
    // One that says nothing, and one that speaks of something else.
    let silent = UnixListener::bind(&path).unwrap();
    let output = ping(&path, &["--json", "--timeout-ms", "50"]);
    assert_eq!(code(&output), 1, "{output:?}");
    assert!(
        document(&output)["error"]
            .as_str()
            .unwrap()
            .contains("not done in time")
    );
    thread::spawn(move || {
        for stream in silent.incoming() {
            let mut stream = stream.unwrap();
            let mut some = [0; 64];
            while stream.read(&mut some).is_ok_and(|n| n > 0) {
                let frame = encode_body(br#"{"Hello":{"version":7}}"#).unwrap();
                let _ = stream.write_all(&frame);
            }
        }
    });
    let output = ping(&path, &["--json"]);
    assert_eq!(code(&output), 1, "{output:?}");
    assert!(
        document(&output)["error"]
            .as_str()
            .unwrap()
            .contains("version 7"),
        "{output:?}"
    );
}
