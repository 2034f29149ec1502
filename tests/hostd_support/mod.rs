//! What the tests of hostd's socket share: raw frames, requests, and this test again in a process of its own.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use mvm_core::protocol::*;

/// Far more than anything here takes, for what must not hang.
pub(crate) fn soon() -> Deadline {
    Deadline::after_millis(20_000)
}

pub(crate) fn wake(instance: &str) -> HostdRequest {
    HostdRequest::WakeInstance {
        tenant_id: "acme".parse().unwrap(),
        pool_id: "web".parse().unwrap(),
        instance_id: instance.parse().unwrap(),
    }
}

/// The name of the instance that is asked for.
pub(crate) fn instance(request: &HostdRequest) -> String {
    match request {
        HostdRequest::WakeInstance { instance_id, .. } => instance_id.to_string(),
        other => panic!("{other:?}"),
    }
}

/// A directory and the socket's path in it.
pub(crate) fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hostd.sock");
    (directory, path)
}

pub(crate) fn listener(path: &Path) -> Listener {
    Listener::bind(path, &SocketOptions::new()).unwrap()
}

/// A client without any of this crate's manners.
pub(crate) struct Raw(pub(crate) UnixStream);

impl Raw {
    pub(crate) fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Self(stream)
    }

    pub(crate) fn send(&mut self, body: &str) {
        self.0
            .write_all(&encode_body(body.as_bytes()).unwrap())
            .unwrap();
    }

    /// The next body, or `None` at the end.
    pub(crate) fn receive(&mut self) -> Option<String> {
        let mut header = [0; 4];
        self.0.read_exact(&mut header).ok()?;
        let mut body = vec![0; u32::from_be_bytes(header) as usize];
        self.0.read_exact(&mut body).ok()?;
        Some(String::from_utf8(body).unwrap())
    }

    pub(crate) fn ask(&mut self, body: &str) -> Option<String> {
        self.send(body);
        self.receive()
    }

    /// In version 2.
    pub(crate) fn open(path: &Path) -> Self {
        let mut this = Self::connect(path);
        let answer = this.ask(r#"{"Hello":{"min":1,"max":2}}"#);
        assert_eq!(answer.as_deref(), Some(r#"{"Hello":{"version":2}}"#));
        this
    }
}

/// The `at`th byte of a frame of 4 KiB that no test sends whole: however long somebody drips, it stays torn.
pub(crate) fn unending(at: usize) -> u8 {
    *[0, 0, 16, 0].get(at).unwrap_or(&b' ')
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

const ALONE: &str = "MVM_TEST_ALONE";

/// Whether this process is the one of [`alone`].
pub(crate) fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// Runs a test of this file in a process of its own, changed by `prepare`, and shows what it printed.
pub(crate) fn alone(test: &str, program: &str, prepare: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new(program);
    prepare(&mut command);
    let output = command
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{test} alone: {}", output.status);
    output
}

/// File descriptors and threads of this process.
pub(crate) fn descriptors_and_threads() -> [usize; 2] {
    ["/proc/self/fd", "/proc/self/task"].map(|path| std::fs::read_dir(path).unwrap().count())
}
