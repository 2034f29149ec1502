//! Faults on real processes: what is left on disk when a write fails, a program is killed, the power goes.
//!
//! For development only; `ci/faults` runs it. A [`Subject`](subject::Subject) is something that a program does
//! to files. Each proof runs it in a process of its own under strace and looks at what it left:
//!
//! ```text
//! faults errors SUBJECT    each system call of it fails, one after the other
//! faults kills SUBJECT     it is killed at each system call
//! faults random            a loop of saves is killed at any time
//! faults full SUBJECT      the disk is full (a tmpfs), a file may grow no further (RLIMIT_FSIZE)
//! faults power SUBJECT     what a file system may have kept of it when the power goes at any point
//! ```
//!
//! Subjects: save, create, remove; and those that are wrong on purpose, which must be found out: in-place,
//! swallows, no-fsync, no-directory-sync, leaves.
// The paths and the tools are those of Linux.
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

#[cfg(target_os = "linux")]
mod full;
#[cfg(target_os = "linux")]
mod inject;
#[cfg(target_os = "linux")]
mod power;
#[cfg(target_os = "linux")]
mod random;
#[cfg(target_os = "linux")]
mod save;
#[cfg(target_os = "linux")]
mod strace;
#[cfg(target_os = "linux")]
mod subject;

use std::process::ExitCode;

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("faults are injected on Linux only");
    ExitCode::from(2)
}

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let found = |name| subject::find(name).unwrap_or_else(|| panic!("no such subject: {name}"));
    let result = match arguments[..] {
        ["act", name, directory] => return subject::act(found(name), directory.as_ref()),
        ["loop", directory] => return random::child(directory.as_ref()),
        ["full-inside", name, directory] => full::inside(found(name), directory.as_ref()),
        ["errors", name] => inject::errors(found(name)),
        ["kills", name] => inject::kills(found(name)),
        ["random"] => random::kills(),
        ["full", name] => full::full(found(name)),
        ["power", name] => power::cuts(found(name)),
        _ => {
            eprintln!("see the head of examples/faults/main.rs");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("FOUND: {why}");
            ExitCode::FAILURE
        }
    }
}
