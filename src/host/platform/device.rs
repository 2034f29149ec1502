//! Devices in general: there or not, and who may use them.

use alloc::string::{String, ToString};
use core::fmt;
use std::io;

use serde::Serialize;

use super::probe::{Access, FileInfo, Probe};

/// An error number of the operating system; 0 where it gave none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Errno(i32);

impl Errno {
    /// With that number.
    #[must_use]
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    pub(super) fn of(error: &io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(0))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("an error without a number"),
            number => io::Error::from_raw_os_error(number).fmt(f),
        }
    }
}

/// A group of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Group {
    /// Its number.
    pub gid: u32,
    /// Its name in `/etc/group`, if it has one there.
    pub name: Option<String>,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} (gid {})", self.gid),
            None => write!(f, "gid {}, which has no name", self.gid),
        }
    }
}

/// Why the system refuses a device to this process, and what would help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Denied {
    /// What opening it said.
    pub errno: Errno,
    /// Who owns it and who may do what, `None` if that cannot be read.
    pub file: Option<FileInfo>,
    /// The group whose members may use it, if there is one and this process is not in it already.
    pub group: Option<Group>,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; ", self.errno)?;
        match (&self.group, self.file) {
            (Some(group), _) => write!(f, "members of {group} may use it"),
            (None, Some(file)) => {
                let FileInfo { mode, uid, gid } = file;
                write!(
                    f,
                    "no group would help (mode {mode:03o}, uid {uid}, gid {gid})"
                )
            }
            (None, None) => f.write_str("who may use it cannot be told"),
        }
    }
}

impl Denied {
    pub(super) fn of(probe: &dyn Probe, path: &str, access: Access, error: &io::Error) -> Self {
        let info = probe.file_info(path).ok();
        let needed = match access {
            Access::Read => 0o040,
            Access::ReadWrite => 0o060,
        };
        let group = info
            .filter(|info| info.mode & needed == needed)
            .map(|info| info.gid)
            // Where the process's groups cannot be told, the hint may be the right one.
            .filter(|gid| !probe.groups().is_ok_and(|groups| groups.contains(gid)))
            .map(|gid| Group {
                gid,
                name: group_name(probe, gid),
            });
        Self {
            errno: Errno::of(error),
            file: info,
            group,
        }
    }
}

/// The name of a group, from lines `name:password:gid:members`.
fn group_name(probe: &dyn Probe, gid: u32) -> Option<String> {
    let groups = probe.read("/etc/group").ok()?;
    let groups = String::from_utf8_lossy(&groups);
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_string())
    })
}

/// Whether this process can use a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeviceStatus {
    /// There is no such file.
    Missing,
    /// The system refuses it to this process.
    NoPermission(Denied),
    /// It exists and cannot be opened.
    Unusable(Errno),
    /// It can be opened.
    Usable,
}

impl fmt::Display for DeviceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::NoPermission(denied) => denied.fmt(f),
            Self::Unusable(errno) => write!(f, "unusable: {errno}"),
            Self::Usable => f.write_str("usable"),
        }
    }
}

pub(super) fn ask(probe: &dyn Probe, path: &str, access: Access) -> DeviceStatus {
    match probe.open(path, access) {
        Ok(()) => DeviceStatus::Usable,
        Err(error) => match error.kind() {
            kind if is_missing(kind) => DeviceStatus::Missing,
            io::ErrorKind::PermissionDenied => {
                DeviceStatus::NoPermission(Denied::of(probe, path, access, &error))
            }
            _ => DeviceStatus::Unusable(Errno::of(&error)),
        },
    }
}

pub(super) const fn is_missing(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
