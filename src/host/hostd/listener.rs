//! A socket that has its mode, owner and place from the first moment on which anybody can connect to it.

use core::fmt;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{SocketAddrUnix, bind, connect, listen};
use thiserror_no_std::Error;

use super::lock::Lock;
use super::peer::own_uid;
use super::system;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// Mode, owner and group of the socket.
///
/// To connect, a process needs the permission to write to the socket. Without a word about it only the user
/// that binds it may (mode 0600). That is the first lock; the [`AllowList`](super::AllowList) is the second.
///
/// ```
/// use mvm_core::protocol::SocketOptions;
///
/// // The agents' group may connect.
/// let options = SocketOptions::new().with_mode(0o660).with_group(991);
/// assert_eq!(options.mode(), 0o660);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOptions {
    mode: u32,
    owner: Option<u32>,
    group: Option<u32>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl SocketOptions {
    /// Mode 0600, owner and group of this process.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            mode: 0o600,
            owner: None,
            group: None,
        }
    }

    /// Another mode, at most 0777. The umask takes nothing from it.
    #[must_use]
    pub const fn with_mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Another owner, by user id: only root may give a socket away.
    #[must_use]
    pub const fn with_owner(mut self, uid: u32) -> Self {
        self.owner = Some(uid);
        self
    }

    /// Another group, by group id.
    #[must_use]
    pub const fn with_group(mut self, gid: u32) -> Self {
        self.group = Some(gid);
        self
    }

    /// The mode.
    #[must_use]
    pub const fn mode(&self) -> u32 {
        self.mode
    }
}

/// What was being done when a socket could not be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BindStep {
    /// Looking at its directory.
    Directory,
    /// Taking the lock beside it.
    Locking,
    /// Asking whether somebody listens there.
    Probing,
    /// Creating the socket under its temporary name. A path that is too long fails here: 103 bytes fit
    /// everywhere.
    Binding,
    /// Giving it owner, group and mode.
    Permissions,
    /// Beginning to listen.
    Listening,
    /// Putting it in its place.
    Renaming,
}

impl fmt::Display for BindStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "looking at its directory",
            Self::Locking => "taking the lock beside it",
            Self::Probing => "asking whether somebody listens there",
            Self::Binding => "creating the socket",
            Self::Permissions => "giving it owner, group and mode",
            Self::Listening => "beginning to listen",
            Self::Renaming => "putting it in its place",
        })
    }
}

/// Why a directory is not trusted with the socket: somebody else could put their own in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirectoryFault {
    /// It is no directory.
    NotADirectory,
    /// It belongs neither to root nor to this process's user.
    Owner {
        /// Whose it is.
        uid: u32,
    },
    /// Group or others may write to it, and it is not sticky.
    Writable {
        /// Its mode.
        mode: u32,
    },
}

impl fmt::Display for DirectoryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADirectory => f.write_str("it is no directory"),
            Self::Owner { uid } => write!(f, "it belongs to uid {uid}"),
            Self::Writable { mode } => write!(f, "others may write to it (mode {mode:04o})"),
        }
    }
}

/// Why nothing listens now. What was at the path is as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// A server listens there, of this crate or any other.
    #[error("{}: a server is running already", .path.display())]
    AlreadyRunning {
        /// The socket.
        path: PathBuf,
    },
    /// What is there is no stream socket, and is left alone.
    #[error("{}: there is something else than a socket", .path.display())]
    Occupied {
        /// The path.
        path: PathBuf,
    },
    /// The path has no file name.
    #[error("{}: not the name of a file", .path.display())]
    NoName {
        /// The path.
        path: PathBuf,
    },
    /// The mode has more than the nine bits of permissions.
    #[error("mode {mode:o} is above 777")]
    Mode {
        /// The mode.
        mode: u32,
    },
    /// The directory is not safe.
    #[error("{}: the directory cannot be trusted: {fault}", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        fault: DirectoryFault,
    },
    /// The operating system's error.
    #[error("{}: {step}: {source}", .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// At what.
        step: BindStep,
        /// The error, as it came.
        source: io::Error,
    },
}

impl_error!(BindError);

/// A socket that listens.
///
/// One that was [bound](Self::bind) is removed when this is dropped, unless another has taken its place.
#[derive(Debug)]
pub struct Listener {
    // Before the place: nobody waits in the queue of a socket that is gone.
    pub(super) socket: UnixListener,
    pub(super) place: Option<Place>,
}

/// Where a socket was bound; it is removed from there when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
    // Given back after the socket was removed.
    _lock: Lock,
}

impl Listener {
    /// Binds a socket at a path.
    ///
    /// The socket is made under a temporary name (the path with `.new` behind it), gets owner, group and
    /// mode, begins to listen, and is then renamed: at no moment may anybody connect who may not afterwards.
    /// While it lives, the lock file beside it (`.lock`) is locked: of two servers that start at once, one
    /// fails. A socket on which nobody listens, left by a server that was killed, is replaced.
    ///
    /// The directory must exist, belong to root or this user, and be writable by nobody else (a sticky one
    /// may be). The directories above it are not looked at.
    ///
    /// # Errors
    /// [`BindError`]; nothing of what was there has changed then.
    pub fn bind(path: impl AsRef<Path>, options: &SocketOptions) -> Result<Self, BindError> {
        let path = path.as_ref();
        if options.mode > 0o777 {
            let mode = options.mode;
            return Err(BindError::Mode { mode });
        }
        let Some(name) = path.file_name() else {
            let path = path.to_path_buf();
            return Err(BindError::NoName { path });
        };
        let beside = |end: &str| {
            let mut name = OsString::from(name);
            name.push(end);
            path.with_file_name(name)
        };
        let at = |step: BindStep| {
            move |source: io::Error| BindError::Io {
                path: path.to_path_buf(),
                step,
                source,
            }
        };
        check_directory(path)?;
        let running = || BindError::AlreadyRunning {
            path: path.to_path_buf(),
        };
        let lock = Lock::take(&beside(".lock")).map_err(at(BindStep::Locking))?;
        let lock = lock.ok_or_else(running)?;
        match occupant(path).map_err(at(BindStep::Probing))? {
            Occupant::Nobody => {}
            Occupant::Server => return Err(running()),
            Occupant::Other => {
                let path = path.to_path_buf();
                return Err(BindError::Occupied { path });
            }
        }

        // The lock is ours, so whatever has the temporary name is left over.
        let new = Temporary(beside(".new"));
        let _ = fs::remove_file(&new.0);
        let listener = system::stream_socket().map_err(at(BindStep::Binding))?;
        SocketAddrUnix::new(&new.0)
            .and_then(|address| bind(&listener, &address))
            .map_err(io::Error::from)
            .map_err(at(BindStep::Binding))?;
        // It does not listen yet: whoever connects is refused.
        give(&new.0, options).map_err(at(BindStep::Permissions))?;
        listen(&listener, BACKLOG)
            .map_err(io::Error::from)
            .map_err(at(BindStep::Listening))?;
        let placed = fs::symlink_metadata(&new.0).map_err(at(BindStep::Renaming))?;
        fs::rename(&new.0, path).map_err(at(BindStep::Renaming))?;
        let place = Place {
            path: path.to_path_buf(),
            id: (placed.dev(), placed.ino()),
            _lock: lock,
        };
        Ok(Self {
            socket: listener.into(),
            place: Some(place),
        })
    }

    /// A socket that listens already, of systemd's socket activation say. Its mode and its place are the
    /// business of who made it. It is put into non-blocking mode.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn from_bound(socket: UnixListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            place: None,
        })
    }

    /// Where it was bound, if [`bind`](Self::bind) did it.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.place.as_ref().map(|place| &*place.path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.id);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A name that is removed unless it was renamed.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn check_directory(path: &Path) -> Result<(), BindError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let found = fs::metadata(directory).map_err(|source| BindError::Io {
        path: directory.to_path_buf(),
        step: BindStep::Directory,
        source,
    })?;
    let mode = found.mode() & 0o7777;
    let fault = if !found.is_dir() {
        DirectoryFault::NotADirectory
    } else if ![0, own_uid()].contains(&found.uid()) {
        DirectoryFault::Owner { uid: found.uid() }
    } else if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        DirectoryFault::Writable { mode }
    } else {
        return Ok(());
    };
    Err(BindError::Directory {
        path: directory.to_path_buf(),
        fault,
    })
}

enum Occupant {
    Nobody,
    Server,
    Other,
}

/// What is at the path. A server of this crate would hold the lock; this finds any other.
fn occupant(path: &Path) -> io::Result<Occupant> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Ok(Occupant::Other),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Occupant::Nobody),
        Err(error) => return Err(error),
    }
    match try_connect(path) {
        // A full queue is a server's too.
        Ok(_) | Err(Errno::AGAIN) => Ok(Occupant::Server),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(Occupant::Nobody),
        Err(Errno::PROTOTYPE) => Ok(Occupant::Other),
        Err(error) => Err(error.into()),
    }
}

/// Connects without waiting: [`Errno::AGAIN`] where the server's queue is full. The stream is in non-blocking
/// mode.
pub(in crate::host) fn try_connect(path: &Path) -> Result<UnixStream, Errno> {
    let address = SocketAddrUnix::new(path)?;
    let made = system::stream_socket()
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    loop {
        match connect(&made, &address) {
            Ok(()) => return Ok(made.into()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Owner first: changing it may clear bits of the mode.
fn give(path: &Path, options: &SocketOptions) -> io::Result<()> {
    if options.owner.is_some() || options.group.is_some() {
        lchown(path, options.owner, options.group)?;
    }
    fs::set_permissions(path, Permissions::from_mode(options.mode))
}
