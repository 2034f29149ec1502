//! Paths of Unix sockets that fit `sun_path`.
//!
//! Two valid ids of 63 bytes make a path that cannot be bound: [`SocketBase`] says what is done
//! about it, [`ShortName`] how.

use core::fmt;

use heapless::String;
use thiserror_no_std::Error;

use super::{
    InstancePath, ShortName,
    digits::{cut, push_decimal},
    short::SHORT_BYTES,
};
use crate::limits::{SUN_PATH_LINUX_MAX, SUN_PATH_PORTABLE_MAX};

/// How many bytes of a path the system's `sun_path` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SunPath {
    /// 107 bytes: Linux.
    Linux,
    /// 103 bytes: macOS and the BSDs too.
    Portable,
}

impl SunPath {
    /// The longest path in bytes, without the NUL.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Linux => SUN_PATH_LINUX_MAX,
            Self::Portable => SUN_PATH_PORTABLE_MAX,
        }
    }
}

/// A socket of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SocketFile {
    /// `firecracker.socket`: Firecracker's API.
    FirecrackerApi,
    /// `v.sock`: what the host connects to for a port of the guest (Firecracker, `docs/vsock.md`).
    Vsock,
    /// `v.sock_<port>`: where the host listens for the guest's connections to this port of the
    /// host. Firecracker makes the name from [`Vsock`](Self::Vsock)'s.
    VsockPort(u32),
}

const API_FILE: &str = "firecracker.socket";
const VSOCK_FILE: &str = "v.sock";
/// The longest name of a [`SocketFile`].
const FILE_BYTES: usize = API_FILE.len();
const _: () = assert!(VSOCK_FILE.len() + "_4294967295".len() <= FILE_BYTES);

// The short form of the longest file leaves a base of 56 bytes on every system.
const _: () = assert!(1 + SHORT_BYTES + 1 + FILE_BYTES + 56 == SUN_PATH_PORTABLE_MAX);
const _: () = assert!(SUN_PATH_PORTABLE_MAX <= SUN_PATH_LINUX_MAX);

impl SocketFile {
    fn name(self) -> String<FILE_BYTES, u8> {
        let mut name = String::new();
        match self {
            Self::FirecrackerApi => {
                let _ = name.push_str(API_FILE);
            }
            Self::Vsock => {
                let _ = name.push_str(VSOCK_FILE);
            }
            Self::VsockPort(port) => {
                let _ = name.push_str(VSOCK_FILE);
                let _ = name.push('_');
                push_decimal(name.as_mut_view(), port);
            }
        }
        name
    }
}

/// Why a directory cannot be the base of socket paths. Positions are byte offsets from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SocketBaseError {
    /// It does not begin with `/`.
    #[error("base directory is not absolute")]
    NotAbsolute,
    /// It holds a NUL, where the kernel would end the path.
    #[error("base directory has a NUL at byte {at}")]
    Nul {
        /// Where.
        at: usize,
    },
    /// A component is empty (`//`, or a `/` at the end), `.` or `..`.
    #[error("base directory has an empty, '.' or '..' component at byte {at}")]
    Component {
        /// Where the component begins.
        at: usize,
    },
    /// Not even the short form would fit.
    #[error("base directory is {len} bytes long, at most {max} leave room for every socket")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The greatest length in bytes.
        max: usize,
    },
}

impl_error!(SocketBaseError);

/// Checks what every base must be, whatever its length.
fn check_directory(base: &str) -> Result<(), SocketBaseError> {
    if !base.starts_with('/') {
        return Err(SocketBaseError::NotAbsolute);
    }
    if let Some(at) = base.bytes().position(|byte| byte == 0) {
        return Err(SocketBaseError::Nul { at });
    }
    let mut rest = base.strip_prefix('/');
    while let Some(path) = rest {
        let (component, tail) = match cut(path, b'/') {
            Some((component, tail)) => (component, Some(tail)),
            None => (path, None),
        };
        if matches!(component, "" | "." | "..") {
            return Err(SocketBaseError::Component {
                at: base.len().wrapping_sub(path.len()),
            });
        }
        rest = tail;
    }
    Ok(())
}

/// The directory of the socket paths of a node. Once it is accepted, no path in it can be too
/// long: [`path`](Self::path) has no error.
///
/// ```text
/// <base>/<tenant>/<pool>/<instance>/<file>      the readable form, wherever it fits
/// <base>/_<26 digits of base 32>/<file>         the short form, which always fits
/// ```
///
/// The form depends on base, ids and limit alone, and the longest file decides: all sockets of an
/// instance are in one directory (Firecracker appends `_<port>` to the path of its vsock socket),
/// and every program of a node comes to the same one. A readable path is never the short path of
/// another instance: before the file stands an id or a [`ShortName`], which is none.
///
/// ```
/// use mvm_core::naming::{SocketBase, SocketFile, SunPath, parse_instance_path};
///
/// let base = SocketBase::new("/run/mvm", SunPath::Linux)?;
/// let path = parse_instance_path("acme/workers/i-196c341b").unwrap();
/// assert_eq!(&base.path(&path, SocketFile::Vsock), "/run/mvm/acme/workers/i-196c341b/v.sock");
/// # Ok::<(), mvm_core::naming::SocketBaseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketBase<'a> {
    base: &'a str,
    limit: SunPath,
}

impl<'a> SocketBase<'a> {
    /// The directory `base`: absolute, without a `/` at its end.
    ///
    /// # Errors
    /// [`SocketBaseError`]; too long are more than 60 bytes on Linux, more than 56 if the path is
    /// to be portable. It does not depend on the ids and files to come.
    pub fn new(base: &'a str, limit: SunPath) -> Result<Self, SocketBaseError> {
        check_directory(base)?;
        let max = Self::max_bytes(limit);
        if base.len() > max {
            return Err(SocketBaseError::TooLong {
                len: base.len(),
                max,
            });
        }
        Ok(Self { base, limit })
    }

    /// The longest base in bytes: what the short form of the longest file leaves.
    pub const fn max_bytes(limit: SunPath) -> usize {
        limit
            .bytes()
            .saturating_sub(1 + SHORT_BYTES + 1 + FILE_BYTES)
    }

    /// The directory.
    pub const fn as_str(&self) -> &'a str {
        self.base
    }

    /// The path of a socket of an instance.
    pub fn path(&self, instance: &InstancePath, file: SocketFile) -> SocketPath {
        let name = file.name();
        let InstancePath {
            tenant,
            pool,
            instance: id,
        } = instance;
        let room = FILE_BYTES.saturating_sub(name.len());
        let readable = [self.base, "/", tenant, "/", pool, "/", id, "/", &name];
        SocketPath::join(&readable, self.limit.bytes().saturating_sub(room)).unwrap_or_else(|_| {
            let short = ShortName::of_instance(instance);
            // It fits: `new` has left room for it.
            SocketPath::join(&[self.base, "/", &short, "/", &name], self.limit.bytes())
                .unwrap_or_else(|_| SocketPath(String::new()))
        })
    }
}

/// The path of a Unix socket; it fits the `sun_path` that it was made for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketPath(String<SUN_PATH_LINUX_MAX, u8>);

/// Why there is no socket path in 0.13.0's layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SocketPathError {
    /// The state directory cannot be a base.
    #[error("{0}")]
    Base(SocketBaseError),
    /// The path does not fit `sun_path`.
    #[error("socket path is {len} bytes long, sun_path holds {max}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The greatest length in bytes.
        max: usize,
    },
}

impl_error!(SocketPathError);

impl From<SocketBaseError> for SocketPathError {
    fn from(error: SocketBaseError) -> Self {
        Self::Base(error)
    }
}

impl SocketPath {
    /// The path in 0.13.0's layout:
    /// `<state>/tenants/<tenant>/pools/<pool>/instances/<instance>/runtime/<file>`.
    ///
    /// It has no short form and **can be too long**: with `/var/lib/mvm` and `v.sock`, 53 bytes on
    /// Linux are left for three ids of up to 63 each. It is for finding the sockets of 0.13.0; use
    /// [`SocketBase`] for new ones.
    ///
    /// # Errors
    /// [`SocketPathError`]
    ///
    /// # Examples
    /// ```
    /// use mvm_core::naming::{SocketFile, SocketPath, SunPath, parse_instance_path};
    ///
    /// let path = parse_instance_path("acme/workers/i-196c341b").unwrap();
    /// let socket =
    ///     SocketPath::in_state_dir("/var/lib/mvm", &path, SocketFile::Vsock, SunPath::Linux)?;
    /// let expected = "/var/lib/mvm/tenants/acme/pools/workers/instances/i-196c341b/runtime/v.sock";
    /// assert_eq!(&socket, expected);
    /// # Ok::<(), mvm_core::naming::SocketPathError>(())
    /// ```
    pub fn in_state_dir(
        state: &str,
        instance: &InstancePath,
        file: SocketFile,
        limit: SunPath,
    ) -> Result<Self, SocketPathError> {
        check_directory(state)?;
        let name = file.name();
        let InstancePath {
            tenant,
            pool,
            instance: id,
        } = instance;
        let parts = [
            state,
            "/tenants/",
            tenant,
            "/pools/",
            pool,
            "/instances/",
            id,
            "/runtime/",
            &name,
        ];
        let max = limit.bytes();
        Self::join(&parts, max).map_err(|len| SocketPathError::TooLong { len, max })
    }

    /// The parts one after the other, or their length if that is more than `max`.
    fn join(parts: &[&str], max: usize) -> Result<Self, usize> {
        let len = parts
            .iter()
            .fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        let mut path = String::new();
        if len > max || parts.iter().any(|part| path.push_str(part).is_err()) {
            return Err(len);
        }
        Ok(Self(path))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl core::ops::Deref for SocketPath {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for SocketPath {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for SocketPath {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for SocketPath {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for SocketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for SocketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketPath({})", self.as_str())
    }
}
