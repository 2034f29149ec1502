//! A child under strace.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::subject::{End, Subject};

/// What a child did and how it ended.
pub(crate) struct Run {
    pub(crate) end: End,
    /// strace's lines, one a call.
    pub(crate) calls: Vec<String>,
    pub(crate) stderr: String,
}

impl Run {
    /// The call that was made to fail.
    pub(crate) fn injected(&self) -> Option<&str> {
        let found = self.calls.iter().find(|call| call.contains("(INJECTED)"));
        found.map(String::as_str)
    }
}

/// A directory in which a subject is prepared.
pub(crate) fn prepared(subject: &dyn Subject) -> TempDir {
    let directory = tempfile::Builder::new().prefix("faults").tempdir().unwrap();
    subject.prepare(directory.path());
    directory
}

/// Runs a subject in a prepared directory; `what` are further arguments of strace.
pub(crate) fn run(subject: &dyn Subject, directory: &Path, what: &[&str]) -> Run {
    let log = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new("strace")
        .args(["-f", "-qq", "-y", "-s", "8", "-o"])
        .arg(log.path())
        .args(what)
        .arg(std::env::current_exe().unwrap())
        .args(["act", subject.name()])
        .arg(directory)
        .stdin(Stdio::null())
        .output()
        .expect("strace");
    let end = match (output.status.code(), output.status.signal()) {
        (Some(0), _) => End::Acknowledged,
        (Some(3), _) => End::Refused,
        (Some(4), _) => End::InPlace,
        // A panic would be one of the program itself.
        (Some(101), _) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        _ => End::Cut,
    };
    let text = String::from_utf8_lossy(&fs::read(log.path()).unwrap()).into_owned();
    let calls = text
        .lines()
        // The number of the process is in front.
        .filter_map(|line| line.split_once(' '))
        .map(|(_, call)| call.trim_start().to_owned())
        .filter(|call| !call.starts_with("+++") && !call.starts_with("---"))
        .collect();
    Run {
        end,
        calls,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
