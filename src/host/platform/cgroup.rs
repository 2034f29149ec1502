//! Control groups.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::Serialize;

use super::device::Errno;
use super::probe::Probe;

/// Whether and where the second version of control groups is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CgroupV2 {
    /// It is not mounted.
    Missing,
    /// It is mounted, and there is no first version beside it.
    Unified {
        /// Where.
        mount: String,
        /// The controllers it has: `cpu`, `memory`, ….
        controllers: Vec<String>,
    },
    /// It is mounted beside the first version, which has the controllers that are not listed here.
    Hybrid {
        /// Where.
        mount: String,
        /// The controllers it has; often none.
        controllers: Vec<String>,
    },
    /// What is mounted cannot be read.
    Unreadable(Errno),
}

impl CgroupV2 {
    /// Whether a controller can be used: `cpu`, `memory`, `pids`, ….
    #[must_use]
    pub fn has_controller(&self, name: &str) -> bool {
        match self {
            Self::Unified { controllers, .. } | Self::Hybrid { controllers, .. } => {
                controllers.iter().any(|controller| controller == name)
            }
            Self::Missing | Self::Unreadable(_) => false,
        }
    }
}

impl fmt::Display for CgroupV2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mount, controllers, beside) = match self {
            Self::Missing => return f.write_str("not mounted"),
            Self::Unreadable(errno) => return write!(f, "unreadable: {errno}"),
            Self::Unified { mount, controllers } => (mount, controllers, ""),
            Self::Hybrid { mount, controllers } => (mount, controllers, " beside version 1"),
        };
        write!(f, "at {mount}{beside}, ")?;
        if controllers.is_empty() {
            return f.write_str("without controllers");
        }
        write!(f, "with {}", controllers.join(" "))
    }
}

pub(super) fn ask(probe: &dyn Probe) -> CgroupV2 {
    let mounts = match probe.read("/proc/self/mountinfo") {
        Ok(mounts) => mounts,
        Err(error) => return CgroupV2::Unreadable(Errno::of(&error)),
    };
    let mounts = String::from_utf8_lossy(&mounts);
    let of_type = |wanted: &'static str| {
        mounts
            .lines()
            .filter_map(mount)
            .filter_map(move |(place, kind)| (kind == wanted).then_some(place))
    };
    // The usual place first: containers and tools mount it again elsewhere.
    let Some(place) = of_type("cgroup2")
        .find(|place| *place == "/sys/fs/cgroup")
        .or_else(|| of_type("cgroup2").next())
    else {
        return CgroupV2::Missing;
    };
    let mount = unescaped(place);
    let controllers = match probe.read(&format!("{mount}/cgroup.controllers")) {
        Ok(names) => String::from_utf8_lossy(&names)
            .split_ascii_whitespace()
            .map(ToOwned::to_owned)
            .collect(),
        Err(error) => return CgroupV2::Unreadable(Errno::of(&error)),
    };
    if of_type("cgroup").next().is_some() {
        CgroupV2::Hybrid { mount, controllers }
    } else {
        CgroupV2::Unified { mount, controllers }
    }
}

/// Where a line of `mountinfo` mounts what type of file system (`proc_pid_mountinfo(5)`):
/// `36 35 98:0 /root /mount options [fields…] - type source options`.
fn mount(line: &str) -> Option<(&str, &str)> {
    let (left, right) = line.split_once(" - ")?;
    Some((left.split(' ').nth(4)?, right.split(' ').next()?))
}

/// White space and backslashes are octal there.
fn unescaped(place: &str) -> String {
    let mut parts = place.split('\\');
    let mut text = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let escaped = part.split_at_checked(3).and_then(|(digits, rest)| {
            let byte = u8::from_str_radix(digits, 8).ok()?;
            byte.is_ascii().then_some((char::from(byte), rest))
        });
        match escaped {
            Some((character, rest)) => {
                text.push(character);
                text.push_str(rest);
            }
            None => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}
