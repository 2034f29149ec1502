//! What is asked of a machine.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// The system of a machine, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum System {
    /// Linux, also below WSL.
    Linux,
    /// macOS.
    MacOs,
    /// Windows itself.
    Windows,
    /// Another one.
    Other,
}

/// What a device is opened for.
// Closed: what device files are opened for here.
#[allow(clippy::exhaustive_enums)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// Who owns a file, and who may do what with it.
// Exhaustive: probes build it.
#[allow(clippy::exhaustive_structs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FileInfo {
    /// The permission bits of its mode.
    pub mode: u32,
    /// Its owner's number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
}

/// How a program came to its end.
// Exhaustive: probes build it.
#[allow(clippy::exhaustive_enums)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with a code, or by a signal, without one.
    Exited {
        /// The exit code.
        code: Option<i32>,
    },
    /// It was killed when its deadline passed.
    TimedOut,
}

/// What a program did.
// Exhaustive: probes build it.
#[allow(clippy::exhaustive_structs)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// How it came to its end.
    pub end: End,
    /// The beginning of its output.
    pub stdout: Vec<u8>,
    /// The beginning of its error output.
    pub stderr: Vec<u8>,
}

/// `/dev/kvm`, opened.
pub trait KvmDevice {
    /// `KVM_GET_API_VERSION`.
    ///
    /// # Errors
    /// The system's error.
    fn api_version(&self) -> io::Result<i32>;

    /// `KVM_CREATE_VM`; the VM is closed again.
    ///
    /// # Errors
    /// The system's error.
    fn create_vm(&self) -> io::Result<()>;

    /// `KVM_CREATE_VCPU` in a new VM; both are closed again.
    ///
    /// # Errors
    /// The system's error.
    fn create_vcpu(&self) -> io::Result<()>;
}

/// The questions that a [`Host`](super::Host) puts to a machine. [`SystemProbe`](super::SystemProbe)
/// is the real one; a double answers from a table.
///
/// Paths are absolute and those of the machine that is asked.
pub trait Probe {
    /// The machine's system.
    fn system(&self) -> System;

    /// The CPU's architecture, as in [`std::env::consts::ARCH`].
    fn arch(&self) -> &str;

    /// The beginning of a file, at least 64 KiB of it if it is as long.
    ///
    /// # Errors
    /// The system's error.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;

    /// Who may do what with a file, links followed.
    ///
    /// # Errors
    /// The system's error.
    fn file_info(&self, path: &str) -> io::Result<FileInfo>;

    /// The groups of the process that asks.
    ///
    /// # Errors
    /// The system's error.
    fn groups(&self) -> io::Result<Vec<u32>>;

    /// Opens a device, and closes it again.
    ///
    /// # Errors
    /// The system's error.
    fn open(&self, path: &str, access: Access) -> io::Result<()>;

    /// Opens `/dev/kvm` for reading and writing.
    ///
    /// # Errors
    /// The system's error; [`io::ErrorKind::Unsupported`] without a number where this build cannot ask.
    fn open_kvm(&self) -> io::Result<Box<dyn KvmDevice>>;

    /// Where a program is: a bare name on the search path, an absolute path if it is one.
    fn find(&self, program: &str) -> Option<PathBuf>;

    /// Runs a program without input, and kills it with its process group when the deadline passes.
    ///
    /// # Errors
    /// The system's error if it cannot be started.
    fn run(&self, program: &Path, arguments: &[&str], deadline: Duration) -> io::Result<Run>;
}
