//! Both twins on the same programs, and what only one that waits for everything can do.

use core::time::Duration;
use std::io;
use std::process::Command;
use std::time::Instant;

use super::{Done, Failure, Input, Job, Keep, Output, portable, unix};

type Run = fn(Job<'_>) -> Result<Done, Failure>;

const TWINS: [(&str, Run); 2] = [("unix", unix::run), ("portable", portable::run)];

/// More than any of these takes.
const LONG: Duration = Duration::from_secs(60);

fn job<'a>(script: &str) -> Job<'a> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    Job {
        command,
        input: Input::Nothing,
        stdout: Output::Kept(Keep::First(1000)),
        stderr: Output::Kept(Keep::Last(1000)),
        deadline: Some(LONG),
        grace: Duration::ZERO,
        linger: None,
    }
}

#[test]
fn a_program_that_ends() {
    for (name, run) in TWINS {
        let done = run(job("echo out; echo err >&2; exit 3")).unwrap();
        assert_eq!(
            done.status.and_then(|status| status.code()),
            Some(3),
            "{name}"
        );
        assert!(!done.timed_out);
        assert_eq!(done.stdout.bytes, b"out\n");
        assert_eq!(done.stderr.bytes, b"err\n");
        let mut missing = job("");
        missing.command = Command::new("/nonexistent/program");
        let Err(Failure::Start(error)) = run(missing) else {
            panic!("{name}");
        };
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}

#[test]
fn without_a_deadline() {
    for (name, run) in TWINS {
        let mut job = job("(sleep 0.2; echo late) & echo early");
        job.deadline = None;
        let done = run(job).unwrap();
        assert_eq!(done.stdout.bytes, b"early\nlate\n", "{name}");
        assert!(!done.timed_out);
    }
}

#[test]
fn input_and_output_of_any_length() {
    let input = [b'x'; 1_000_000];
    for (name, run) in TWINS {
        let mut all = job("cat");
        all.input = Input::Bytes(&input);
        let done = run(all).unwrap();
        assert_eq!(done.stdout.bytes, [b'x'; 1000], "{name}");
        assert_eq!(done.stdout.cut, 999_000);
        // One that does not want it, and one that says so.
        for script in ["exit 0", "exec <&-; sleep 0.05"] {
            let mut none = job(script);
            none.input = Input::Bytes(&input);
            let done = run(none).unwrap();
            assert!(!done.timed_out && done.status.is_some_and(|status| status.success()));
        }
    }
}

#[test]
fn output_that_is_not_kept() {
    for (name, run) in TWINS {
        let mut job = job("echo out; echo err >&2");
        (job.stdout, job.stderr) = (Output::Dropped, Output::Dropped);
        let done = run(job).unwrap();
        assert_eq!(
            (done.stdout.bytes, done.stderr.bytes),
            Default::default(),
            "{name}"
        );
    }
}

#[test]
fn a_deadline() {
    for (name, run) in TWINS {
        let start = Instant::now();
        let mut job = job("echo begun; exec sleep 1000");
        job.deadline = Some(Duration::from_millis(300));
        let done = run(job).unwrap();
        assert!(done.timed_out && done.status.is_some(), "{name}");
        assert_eq!(done.stdout.bytes, b"begun\n");
        assert!(start.elapsed() < LONG);
    }
}

#[test]
fn what_keeps_the_pipe_is_waited_for_as_long_as_said() {
    for (name, run) in TWINS {
        let start = Instant::now();
        let mut job = job("echo out; sleep 5 &");
        job.linger = Some(Duration::from_millis(100));
        let done = run(job).unwrap();
        assert_eq!(
            done.status.and_then(|status| status.code()),
            Some(0),
            "{name}"
        );
        assert!(!done.timed_out);
        assert_eq!(done.stdout.bytes, b"out\n");
        assert!(start.elapsed() < Duration::from_secs(4));
    }
}

#[test]
fn output_does_not_stop_the_clock() {
    let start = Instant::now();
    let mut job = job("while :; do echo; sleep 0.001; done");
    job.deadline = Some(Duration::from_millis(300));
    let done = unix::run(job).unwrap();
    assert!(done.timed_out);
    assert!(start.elapsed() < Duration::from_secs(20));
}
