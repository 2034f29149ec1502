//! The machine this program runs on.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::probe::{Access, FileInfo, KvmDevice, Probe, Run, System};
use super::{command, kvm};

// Twins: owners and groups, and whether a file can be executed.
#[cfg_attr(unix, path = "system/unix.rs")]
#[cfg_attr(not(unix), path = "system/other.rs")]
mod owners;

/// How much of a file is read, in bytes: `mountinfo` of a machine with thousands of mounts.
const MAX_READ: u64 = 1 << 20;

/// The machine this program runs on, or the files of one below another root.
///
/// With [`below`](Self::below), files and devices are those below a directory (a container's or an
/// image's), while system, architecture, groups and programs stay those of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemProbe {
    root: PathBuf,
    search_path: Option<OsString>,
}

impl Default for SystemProbe {
    fn default() -> Self {
        Self::new()
    }
}

impl SystemProbe {
    /// This machine, with the `PATH` that the process has now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            root: PathBuf::from("/"),
            search_path: std::env::var_os("PATH"),
        }
    }

    /// With the files below a directory.
    #[must_use]
    pub fn below(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = root.into();
        self
    }

    /// With another search path for programs, in the form of `PATH`.
    #[must_use]
    pub fn with_search_path(mut self, path: impl Into<OsString>) -> Self {
        self.search_path = Some(path.into());
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

impl Probe for SystemProbe {
    fn system(&self) -> System {
        match std::env::consts::OS {
            "linux" => System::Linux,
            "macos" => System::MacOs,
            "windows" => System::Windows,
            _ => System::Other,
        }
    }

    fn arch(&self) -> &str {
        std::env::consts::ARCH
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.path(path))?
            .take(MAX_READ)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn file_info(&self, path: &str) -> io::Result<FileInfo> {
        owners::file_info(&std::fs::metadata(self.path(path))?)
    }

    fn groups(&self) -> io::Result<Vec<u32>> {
        owners::groups()
    }

    fn open(&self, path: &str, access: Access) -> io::Result<()> {
        OpenOptions::new()
            .read(true)
            .write(access == Access::ReadWrite)
            .open(self.path(path))?;
        Ok(())
    }

    fn open_kvm(&self) -> io::Result<Box<dyn KvmDevice>> {
        kvm::open(&self.path("/dev/kvm"))
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        if Path::new(program).is_absolute() {
            return owners::is_program(Path::new(program)).then(|| program.into());
        }
        // On Windows `docker` is `docker.exe`; elsewhere the suffix is empty.
        let mut name = OsString::from(program);
        name.push(std::env::consts::EXE_SUFFIX);
        std::env::split_paths(self.search_path.as_ref()?)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(&name))
            .find(|path| owners::is_program(path))
    }

    fn run(&self, program: &Path, arguments: &[&str], deadline: Duration) -> io::Result<Run> {
        command::run(program, arguments, deadline)
    }
}
