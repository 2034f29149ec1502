//! Programs with arguments, scripts, deadlines, and what is left of them, on this machine.
#![cfg(all(feature = "shell", unix))]
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use mvm_core::build_env::{
    Captured, CommandOutput, CommandSpec, Exit, LocalShell, ShellEnvironment, ShellError,
};
use mvm_core::linux_env::LinuxEnv;

/// More than any of these takes, where the end of something that would last for ever is waited for.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

fn here() -> LocalShell {
    LocalShell::posix()
}

fn sh(script: &str) -> CommandSpec {
    here().script(script).deadline(LONG)
}

fn stdout(command: &CommandSpec) -> String {
    here().exec(command).unwrap().into_text(command).unwrap()
}

#[test]
fn arguments_arrive_as_they_are() {
    let words: Vec<OsString> = [
        "",
        " ",
        "-n",
        "--",
        "a b",
        "'",
        "\"",
        "\\",
        "$HOME",
        "$(exit 1)",
        "`exit 1`",
        ";exit 1",
        "*",
        "~",
        "{a,b}",
        "a\nb",
        "\t",
        "é𝄞",
        "!!",
        "#",
    ]
    .into_iter()
    .map(OsString::from)
    .chain([OsString::from_vec(b"\xff\x80 not text".to_vec())])
    .collect();
    // The shell's own arguments, each with its end.
    let command = CommandSpec::new("/bin/sh")
        .args(["-c", "for a; do printf '%s\\0' \"$a\"; done", "name"])
        .args(words.iter().cloned());
    let output = here().exec(&command).unwrap();
    let mut expected = Vec::new();
    for word in words {
        expected.extend(word.into_vec());
        expected.push(0);
    }
    assert_eq!(output.stdout.bytes(), expected);
}

#[test]
fn environment_directory_and_input() {
    let directory = tempfile::tempdir().unwrap();
    let command = sh("pwd; echo \"$A-${HOME-none}-${PATH:+path}\"; cat")
        .env("A", "x")
        .env("A", "a b;c")
        .env_remove("HOME")
        .current_dir(directory.path())
        .stdin("input\n");
    let path = directory.path().canonicalize().unwrap();
    let expected = format!("{}\na b;c-none-path\ninput\n", path.display());
    assert_eq!(stdout(&command), expected);
    // Nothing of this process's environment; what is set stays, whenever it was.
    let command = CommandSpec::new("/usr/bin/env")
        .env("B", "1")
        .env_clear()
        .env("C", "2");
    let text = stdout(&command);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["B=1", "C=2"]);
    // Without an input there is none, and it is not this process's.
    assert_eq!(stdout(&sh("cat")), "");
    assert_eq!(stdout(&sh("cat").stdin("")), "");
}

#[test]
fn scripts() {
    let here = here().with_deadline(LONG);
    here.shell_exec("echo ignored; exit 0").unwrap();
    assert_eq!(
        here.shell_exec_stdout("echo ' a '; echo b >&2").unwrap(),
        " a \n"
    );
    let output = here.shell_exec_capture("echo a; echo b >&2").unwrap();
    assert_eq!(output.stdout.text(), "a\n");
    assert_eq!(output.stderr.text(), "b\n");
    assert_eq!(here.run_stdout("echo ' a '").unwrap(), "a");
    assert_eq!(here.run("exit 4").unwrap().exit, Exit::Code(4));
    assert_eq!(
        here.run_capture("kill -9 $$").unwrap().exit,
        Exit::Signal(9)
    );
    // A script that begins like an option is one that fails.
    let error = here.shell_exec("--version").unwrap_err();
    assert!(matches!(error, ShellError::Failed { output, .. } if output.exit == Exit::Code(127)));
    // 0.13.0's were scripts of bash.
    let text = LocalShell::new().shell_exec_stdout("set -o pipefail; [[ abc == a* ]] && echo yes");
    assert_eq!(text.unwrap(), "yes\n");
}

#[test]
fn errors_say_what_happened() {
    let error = here()
        .exec(&sh("echo out; echo first >&2; echo last >&2; exit 3"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "/bin/sh -c 'echo out; echo first >&2; echo last >&2; exit 3': exit code 3: first\nlast"
    );
    let ShellError::Failed { output, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(output.exit, Exit::Code(3));
    assert_eq!(output.stdout.text(), "out\n");
    // A signal is not a code.
    let error = here().exec(&sh("echo why >&2; kill -TERM $$")).unwrap_err();
    assert!(error.to_string().ends_with(": signal 15: why"), "{error}");
    // Of a long error output its end is kept, and the end of that is shown.
    let command = sh("i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1")
        .stderr_limit(5000);
    let error = here().exec(&command).unwrap_err();
    let text = error.to_string();
    assert!(
        text.ends_with("line 2999") && text.contains(": …"),
        "{text}"
    );
    assert!(text.len() < 1400);
    let ShellError::Failed { output, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(output.stderr.bytes().len(), 5000);
    // 3,000 lines: "line ", its number, a line feed.
    let all = 3000 * 6 + 10 + 90 * 2 + 900 * 3 + 2000 * 4;
    assert_eq!(output.stderr.missing(), all - 5000);
    assert!(output.stderr.to_string().starts_with("[23890 bytes cut] "));
    // Neither a long script nor one of many lines takes a log over.
    let error = here().shell_exec(&format!("exit 1\n# {}", "x".repeat(5000)));
    let text = error.unwrap_err().to_string();
    assert!(text.len() < 300 && !text.contains('\n'), "{text}");
}

#[test]
fn what_cannot_be_started() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("program");
    fs::write(&file, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let nowhere = CommandSpec::new("/bin/sh").current_dir(directory.path().join("none"));
    for (command, kind) in [
        (CommandSpec::new("/nonexistent"), io::ErrorKind::NotFound),
        (
            CommandSpec::new("mvm-no-such-program"),
            io::ErrorKind::NotFound,
        ),
        (CommandSpec::new(&file), io::ErrorKind::PermissionDenied),
        (
            CommandSpec::new(directory.path()),
            io::ErrorKind::PermissionDenied,
        ),
        (nowhere, io::ErrorKind::NotFound),
        (
            CommandSpec::new("/bin/sh").arg("a\0b"),
            io::ErrorKind::InvalidInput,
        ),
        (
            CommandSpec::new("/bin/sh").env("A", "a\0b"),
            io::ErrorKind::InvalidInput,
        ),
    ] {
        for deadline in [None, Some(LONG)] {
            let command = match deadline {
                Some(deadline) => command.clone().deadline(deadline).stdin("input"),
                None => command.clone(),
            };
            let result = here().exec(&command);
            let Err(ShellError::Start { error, .. }) = &result else {
                panic!("{command}: {result:?}");
            };
            assert_eq!(error.kind(), kind, "{command}");
            assert!(result.unwrap_err().source().is_some());
        }
    }
}

#[test]
fn output_is_bounded_between_characters() {
    let text = "aé€𝄞";
    for (limit, kept) in [
        (0, ""),
        (1, "a"),
        (2, "a"),
        (3, "aé"),
        (5, "aé"),
        (6, "aé€"),
        (9, "aé€"),
        (10, text),
        (11, text),
    ] {
        let command = sh("cat").stdin(text).stdout_limit(limit);
        let output = here().exec(&command).unwrap();
        assert_eq!(output.stdout.bytes(), kept.as_bytes(), "{limit}");
        // What goes nowhere is not counted.
        let missing = if limit == 0 {
            0
        } else {
            text.len() - kept.len()
        };
        assert_eq!(output.stdout.missing(), missing as u64);
        assert_eq!(output.stdout.is_whole(), missing == 0);
    }
    for (limit, kept) in [(4, "𝄞"), (6, "𝄞"), (7, "€𝄞"), (10, text)] {
        let command = sh("cat >&2").stdin(text).stderr_limit(limit);
        let output = here().exec(&command).unwrap();
        assert_eq!(output.stderr.bytes(), kept.as_bytes(), "{limit}");
        assert_eq!(output.stderr.missing(), (text.len() - kept.len()) as u64);
    }
    // What is no text is kept, and shown as such.
    let output = here()
        .exec(&sh("cat").stdin(b"a\xff\xfeb".as_slice()))
        .unwrap();
    assert_eq!(output.stdout.bytes(), b"a\xff\xfeb");
    assert_eq!(output.stdout.text(), "a\u{fffd}\u{fffd}b");
}

#[test]
fn who_wants_all_of_it_gets_all_of_it_or_an_error() {
    let command = sh("cat").stdin("0123456789").stdout_limit(4);
    let error = here()
        .exec(&command)
        .unwrap()
        .into_text(&command)
        .unwrap_err();
    assert!(matches!(&error, ShellError::TooLong { stdout, .. } if stdout.text() == "0123"));
    assert_eq!(
        error.to_string(),
        "/bin/sh -c cat: its output is cut: 4 bytes and 6 more"
    );
    let error = here().shell_exec_stdout("printf 'ab\\377'").unwrap_err();
    assert!(
        matches!(error, ShellError::NotText { at: 2, .. }),
        "{error}"
    );
}

#[test]
fn a_program_that_closes_its_output_and_goes_on() {
    let error = here()
        .exec(&sh("exec >&- 2>&-; sleep 0.3; exit 7"))
        .unwrap_err();
    assert!(matches!(error, ShellError::Failed { output, .. } if output.exit == Exit::Code(7)));
    // Not for ever.
    let start = Instant::now();
    let error = here()
        .exec(&sh("exec >&- 2>&-; sleep 1000").deadline(SHORT))
        .unwrap_err();
    assert!(matches!(error, ShellError::TimedOut { .. }));
    assert!(start.elapsed() < LONG);
}

#[test]
fn an_input_that_nobody_reads() {
    let input = vec![b'x'; 4 << 20];
    for script in [
        "exit 0",
        "sleep 0.2",
        "exec <&-; sleep 0.2",
        "head -c 10 >/dev/null",
    ] {
        let output = here().exec(&sh(script).stdin(input.clone())).unwrap();
        assert_eq!(output.exit, Exit::Code(0), "{script}");
    }
    // Nor is it in the way of a deadline, nor of an output that is as long.
    let error = here().exec(&sh("sleep 1000").stdin(input.clone()).deadline(SHORT));
    assert!(matches!(error, Err(ShellError::TimedOut { .. })));
    let output = here().exec(&sh("cat").stdin(input.clone())).unwrap();
    assert_eq!(output.stdout.bytes(), input);
}

#[test]
fn visible_output_and_its_process_group() {
    // In a process of its own, whose output can be looked at.
    let own = std::env::current_exe().unwrap();
    let inner = CommandSpec::new(own)
        .args(["--ignored", "--exact", "visible_inner", "--nocapture"])
        .stdin("from the terminal\n")
        .deadline(LONG);
    let output = here().exec(&inner).unwrap();
    let text = output.stdout.text();
    assert!(
        text.contains("shown out") && text.contains("read from the terminal"),
        "{text}"
    );
    assert!(output.stderr.text().contains("shown err"));
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn visible_inner() {
    let output = here()
        .exec(
            &here()
                .script("echo shown out; echo shown err >&2")
                .visible(),
        )
        .unwrap();
    assert_eq!((output.stdout, output.stderr), Default::default());
    // It reads what this process reads; with a deadline, it does not.
    here()
        .shell_exec_visible("read -r line; echo \"read $line\"")
        .unwrap();
    here().exec(&sh("! read -r line").visible()).unwrap();
    let error = here().shell_exec_visible("exit 3").unwrap_err();
    assert!(error.to_string().ends_with("exit code 3"));
}

#[cfg(target_os = "linux")]
mod linux {
    use super::*;

    /// Whether a process runs: one that has ended may wait to be reaped by another one.
    fn is_alive(pid: &str) -> bool {
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            return false;
        };
        let state = stat.rsplit(')').next().unwrap().trim_start();
        !state.starts_with(['Z', 'X'])
    }

    /// Whether all processes that a script has told of are gone, or soon are: who was killed dies when it
    /// is scheduled.
    fn all_die(text: &str, count: usize) -> bool {
        let pids: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(pids.len(), count, "{text}");
        let start = Instant::now();
        while start.elapsed() < LONG {
            if pids.iter().all(|pid| !is_alive(pid)) {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }

    fn timed_out(command: &CommandSpec) -> Captured {
        let start = Instant::now();
        let result = here().exec(command);
        let Err(ShellError::TimedOut { stdout, .. }) = result else {
            panic!("{command}: {result:?}");
        };
        assert!(start.elapsed() < LONG);
        *stdout
    }

    #[test]
    fn a_deadline_is_for_the_whole_group() {
        for (script, count) in [
            // The program waits for what it has started.
            ("sleep 1000 & echo $! $$; wait", 2),
            // It has ended, and what it has started keeps the pipe.
            ("sleep 1000 & echo $!", 1),
            ("sleep 1000 >/dev/null & echo $! $$; sleep 1000", 2),
            // What it has started ignores SIGTERM, with the pipe and without it.
            (
                "(trap '' TERM; exec sleep 1000) & echo $! $$; sleep 1000",
                2,
            ),
            (
                "(trap '' TERM; exec sleep 1000) >/dev/null 2>&1 & echo $! $$; sleep 1000",
                2,
            ),
            // It ignores SIGTERM itself.
            ("trap '' TERM; sleep 1000 & echo $! $$; wait; sleep 1000", 2),
            // Further down.
            (
                "sh -c 'sh -c \"echo \\$\\$; exec sleep 1000\" & echo $!; wait' & wait",
                2,
            ),
        ] {
            for grace in [Duration::ZERO, SHORT] {
                let out = timed_out(&sh(script).deadline(SHORT).grace(grace));
                assert!(all_die(&out.text(), count), "{script}: {grace:?}: {out}");
            }
        }
    }

    #[test]
    fn the_group_is_asked_first() {
        // Something was written by the time it is asked, and before it is killed.
        let script = "trap 'echo bye; exit 0' TERM; echo begun; while :; do sleep 0.01; done";
        let out = timed_out(&sh(script).deadline(SHORT).grace(LONG));
        assert_eq!(out.text(), "begun\nbye\n");
        // With no grace there is nothing to be said.
        let out = timed_out(&sh(script).deadline(SHORT).grace(Duration::ZERO));
        assert_eq!(out.text(), "begun\n");
    }

    #[test]
    fn who_is_not_in_the_group_is_not_waited_for() {
        // Threads have the name of the one that started them: those of other tests do not count.
        let name = fs::read_to_string("/proc/thread-self/comm").unwrap();
        let threads = || {
            let tasks = fs::read_dir("/proc/self/task").unwrap();
            let names = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("comm")));
            names
                .filter(|other| other.as_ref().is_ok_and(|other| *other == name))
                .count()
        };
        let before = threads();
        let start = Instant::now();
        let out = timed_out(
            &sh("setsid sleep 8 & echo begun")
                .deadline(SHORT)
                .grace(SHORT),
        );
        assert!(start.elapsed() < Duration::from_secs(7));
        assert_eq!(out.text(), "begun\n");
        // Nobody goes on reading its output.
        assert_eq!(threads(), before);
    }

    #[test]
    fn nothing_is_left_behind() {
        // In a process of its own, which has nothing of other tests.
        let own = std::env::current_exe().unwrap();
        let inner = CommandSpec::new(own)
            .args(["--ignored", "--exact", "linux::left_behind_inner"])
            .deadline(LONG);
        let output = here().exec(&inner).unwrap();
        let text = output.stdout.text();
        assert!(text.contains("1 passed"), "{text}");
    }

    #[test]
    #[ignore = "run by the test above, in a process of its own"]
    fn left_behind_inner() {
        let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
        let before = descriptors();
        for _ in 0..5 {
            here().exec(&sh("exit 0")).unwrap();
            here().exec(&sh("exit 3").stdin("x")).unwrap_err();
            here().exec(&sh("kill -9 $$")).unwrap_err();
            timed_out(
                &sh("sleep 1000")
                    .stdin("x")
                    .deadline(Duration::from_millis(20)),
            );
            here()
                .exec(&CommandSpec::new("/nonexistent").stdin("x"))
                .unwrap_err();
        }
        assert_eq!(descriptors(), before);
        // Neither a child nor a zombie.
        let children = rustix::process::waitpid(None, rustix::process::WaitOptions::NOHANG);
        assert_eq!(children.err(), Some(rustix::io::Errno::CHILD));
    }

    fn peak_kib() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn memory_is_bounded() {
        let before = peak_kib();
        let command = sh("yes 0123456789 | head -c 100000000; yes e | head -c 100000000 >&2")
            .stdout_limit(1 << 20)
            .stderr_limit(1 << 20);
        let output = here().exec(&command).unwrap();
        assert_eq!(output.stdout.bytes().len(), 1 << 20);
        assert_eq!(output.stdout.missing(), 100_000_000 - (1 << 20));
        assert_eq!(output.stderr.bytes().len(), 1 << 20);
        assert_eq!(output.stderr.missing(), 100_000_000 - (1 << 20));
        assert!(peak_kib() - before < 16 * 1024, "{} {before}", peak_kib());
        // Without an end it is no reason to miss a deadline.
        let out = timed_out(&sh("yes").deadline(SHORT).stdout_limit(10));
        assert_eq!(out.text(), "y\ny\ny\ny\ny\n");
    }

    #[test]
    fn twenty_at_once() {
        let start = Instant::now();
        thread::scope(|scope| {
            for number in 0..20 {
                scope.spawn(move || {
                    // None has the pipes of another one: those that end are done while others sleep.
                    if number % 2 == 0 {
                        let input = format!("{number}\n").repeat(50_000);
                        let output = here()
                            .exec(&sh("cat; echo done >&2").stdin(input.clone()))
                            .unwrap();
                        assert_eq!(output.stdout.text(), input);
                        assert_eq!(output.stderr.text(), "done\n");
                    } else {
                        let out =
                            timed_out(&sh(&format!("echo {number}; sleep 1000")).deadline(SHORT));
                        assert_eq!(out.text(), format!("{number}\n"));
                    }
                });
            }
        });
        assert!(start.elapsed() < LONG);
    }

    #[test]
    fn groups() {
        // The fifth member of what the kernel says of a process.
        let group = "cut -d ' ' -f 5 /proc/self/stat";
        let own = rustix::process::getpgrp().as_raw_nonzero().to_string();
        assert_eq!(here().shell_exec_stdout(group).unwrap().trim(), own);
        assert_ne!(stdout(&sh(group)).trim(), own);
    }

    /// Every wait is interrupted again and again.
    #[cfg(feature = "cli")]
    #[test]
    fn signals_interrupt_nothing() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicBool, Ordering};

        use rustix::process::{Signal, getpid, kill_process};

        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&flag)).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&over);
        let sender = thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                kill_process(getpid(), Signal::USR1).unwrap();
                thread::sleep(Duration::from_micros(200));
            }
        });
        let input = "0123456789".repeat(100_000);
        let output = here()
            .exec(&sh("sleep 0.2; cat").stdin(input.clone()))
            .unwrap();
        assert_eq!(output.stdout.text(), input);
        timed_out(&sh("sleep 1000").deadline(SHORT));
        over.store(true, Ordering::Relaxed);
        sender.join().unwrap();
        assert!(flag.load(Ordering::Relaxed));
    }
}

/// An environment of a program's own: three methods, and no error output.
struct Other;

impl ShellEnvironment for Other {
    fn exec(&self, command: &CommandSpec) -> Result<CommandOutput, ShellError> {
        Err(ShellError::Other {
            command: command.to_string(),
            error: "the machine is asleep".into(),
        })
    }
    fn shell_exec(&self, script: &str) -> Result<(), ShellError> {
        self.shell_exec_stdout(script).map(drop)
    }
    fn shell_exec_stdout(&self, script: &str) -> Result<String, ShellError> {
        Ok(format!("ran {script}"))
    }
    fn shell_exec_visible(&self, script: &str) -> Result<(), ShellError> {
        self.shell_exec(script)
    }
    fn log_info(&self, _: &str) {}
    fn log_success(&self, _: &str) {}
}

#[test]
fn environments_of_others() {
    let env: Box<dyn ShellEnvironment> = Box::new(Other);
    let output = env.shell_exec_capture("x").unwrap();
    assert_eq!(
        (output.stdout.text().as_ref(), output.exit),
        ("ran x", Exit::Code(0))
    );
    assert_eq!(output.stderr, Captured::default());
    env.log_warn("nobody hears it");
    let error = env.exec(&CommandSpec::new("nix")).unwrap_err();
    assert_eq!(error.to_string(), "nix: the machine is asleep");
}

#[test]
fn commands_are_shown_and_keep_secrets() {
    let command = CommandSpec::new("curl")
        .args(["-H", "it's", "a=b", "", "\u{1b}[2J\n", "é"])
        .env("TOKEN", "s3cret")
        .stdin("s3cret");
    assert_eq!(
        command.to_string(),
        "curl -H 'it'\\''s' 'a=b' '' '\\u{1b}[2J\\n' é"
    );
    let debug = format!("{command:?}");
    assert!(
        debug.contains("TOKEN") && !debug.contains("s3cret"),
        "{debug}"
    );
}
