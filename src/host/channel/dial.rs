//! Reaching a guest: the Unix socket of its VMM or of itself, and the wait for a guest that boots.

use ::core::fmt;
use ::core::time::Duration;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;

use super::{ChannelError, Connection, Deadline};
use crate::host::hostd::try_connect;
use crate::host::retry::{Attempt, Retry, RetryError};
use crate::retry::RetryPolicy;
use crate::wire::connect::ConnectError;

/// How long an attempt takes at most by default: 2 seconds. A VMM keeps a `CONNECT` for a guest that is not
/// ready, and what was kept may never be answered; another attempt is.
const ATTEMPT: Duration = Duration::from_secs(2);

/// How long to wait where the listener's queue is full.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// Every 20 ms at first, every half second in the end, as long as the deadline leaves time.
#[allow(clippy::panic, reason = "it is the compiler that would panic")]
const POLICY: RetryPolicy = match RetryPolicy::new(
    u32::MAX,
    Duration::from_millis(20),
    Duration::from_millis(500),
) {
    Ok(policy) => policy,
    Err(_) => panic!("no such policy"),
};

/// Where a guest is reached, and how patiently.
///
/// A guest that boots is not there at once: the VMM's socket comes late, the connection is closed because
/// nobody listens on the port yet, or the VMM does not answer. All of that is tried again until the deadline;
/// a line that is not the VMM's, and errors such as a missing permission, are not.
///
/// ```
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixListener;
///
/// use mvm_core::channel::{Deadline, Dial};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("v.sock");
/// let vmm = UnixListener::bind(&path)?;
/// std::thread::spawn(move || {
///     let (mut host, _) = vmm.accept().unwrap();
///     host.read_exact(&mut [0; 13]).unwrap(); // CONNECT 5252\n
///     host.write_all(b"OK 1073741824\n").unwrap();
/// });
/// let connection = Dial::vsock(&path, 5252).dial(Deadline::after_millis(10_000))?;
///
/// // Nothing is there: with one attempt that is told at once.
/// let error = Dial::unix(dir.path().join("no.sock")).once(Deadline::after_millis(10_000)).unwrap_err();
/// assert_eq!(error.to_string().split(": ").last(), Some("there is no socket"));
/// # drop(connection);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Dial {
    path: PathBuf,
    port: Option<u32>,
    policy: RetryPolicy,
    attempt: Duration,
}

impl Dial {
    /// A Unix socket that leads straight to the guest.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            port: None,
            policy: POLICY,
            attempt: ATTEMPT,
        }
    }

    /// The guest's vsock `port` through the VMM's Unix socket (Firecracker's `uds_path`).
    pub fn vsock(path: impl Into<PathBuf>, port: u32) -> Self {
        Self {
            port: Some(port),
            ..Self::unix(path)
        }
    }

    /// How often, and with which delays. Default: as often as the deadline allows, 20 to 500 ms apart.
    #[must_use]
    pub const fn with_retry(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How long each attempt may take. Default: 2 seconds.
    #[must_use]
    pub const fn with_attempt(mut self, total: Duration) -> Self {
        self.attempt = total;
        self
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The guest's vsock port, where a VMM's socket is dialled.
    #[must_use]
    pub const fn port(&self) -> Option<u32> {
        self.port
    }

    /// How often, and with which delays.
    #[must_use]
    pub const fn retry(&self) -> RetryPolicy {
        self.policy
    }

    /// How long each attempt may take.
    #[must_use]
    pub const fn attempt(&self) -> Duration {
        self.attempt
    }

    /// Connects, as often as it takes until the deadline.
    ///
    /// # Errors
    /// [`DialError`], with what the last attempt came to.
    pub fn dial(&self, deadline: Deadline) -> Result<Connection<UnixStream>, DialError> {
        let left = deadline.remaining().unwrap_or_default();
        Retry::new(self.policy, "reaching a guest")
            .deadline(left)
            .when(DialFault::is_passing)
            .call(|_: Attempt| self.attempt_once(deadline))
            .map_err(|error| self.error(error))
    }

    /// Connects, or not: a single attempt.
    ///
    /// # Errors
    /// [`DialError`].
    pub fn once(&self, deadline: Deadline) -> Result<Connection<UnixStream>, DialError> {
        self.attempt_once(deadline).map_err(|fault| DialError {
            path: self.path.clone(),
            attempts: 1,
            fault,
        })
    }

    pub(super) fn error(&self, error: RetryError<DialFault>) -> DialError {
        DialError {
            path: self.path.clone(),
            attempts: error.attempts(),
            fault: error.into_last().unwrap_or(DialFault::Expired),
        }
    }

    fn attempt_once(&self, deadline: Deadline) -> Result<Connection<UnixStream>, DialFault> {
        let deadline = deadline.or_earlier(Deadline::after(self.attempt));
        let stream = loop {
            match try_connect(&self.path).map_err(io::Error::from) {
                Ok(stream) => break stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let left = deadline.remaining().ok_or(DialFault::Expired)?;
                    thread::sleep(left.min(QUEUE_PAUSE));
                }
                Err(error) => return Err(error.into()),
            }
        };
        stream.set_nonblocking(false)?;
        match self.port {
            None => Ok(Connection::new(stream)),
            Some(port) => Ok(Connection::through_vsock(stream, port, deadline)?),
        }
    }
}

/// What an attempt to reach a guest came to.
#[derive(Debug)]
#[non_exhaustive]
pub enum DialFault {
    /// The path does not exist: the VMM has not begun, or has cleared up.
    NoSocket,
    /// The socket is there and nobody listens on it: the VMM has ended.
    Refused,
    /// The VMM closed the connection before it said `OK`: nobody listens on the port in the guest, or not
    /// yet.
    NobodyListens {
        /// The guest's port.
        port: u32,
    },
    /// The VMM closed the connection inside its line.
    Cut,
    /// What the VMM said is no `OK` line.
    Line(ConnectError),
    /// The attempt's time was over.
    Expired,
    /// The operating system's error.
    Io(io::Error),
}

impl DialFault {
    /// Whether it may pass by itself, as it does while a guest boots.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        !matches!(self, Self::Line(_) | Self::Io(_))
    }
}

impl fmt::Display for DialFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSocket => f.write_str("there is no socket"),
            Self::Refused => f.write_str("nobody listens on the socket, its VMM has ended"),
            Self::NobodyListens { port } => {
                write!(f, "nobody listens on vsock port {port} of the guest")
            }
            Self::Cut => f.write_str("the VMM closed the connection inside its line"),
            Self::Line(error) => write!(f, "the VMM's answer: {error}"),
            Self::Expired => f.write_str("no answer in time"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for DialFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::NoSocket,
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Self::Cut,
            _ => Self::Io(error),
        }
    }
}

impl From<ChannelError> for DialFault {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::NobodyListens { port } => Self::NobodyListens { port },
            ChannelError::Connect(error) => Self::Line(error),
            ChannelError::Hangup { .. } => Self::Cut,
            ChannelError::Io { error, .. } => error.into(),
            // Asking for a port has no other errors.
            _ => Self::Expired,
        }
    }
}

/// A guest was not reached.
#[derive(Debug)]
pub struct DialError {
    path: PathBuf,
    attempts: u32,
    fault: DialFault,
}

impl DialError {
    /// What the last attempt came to.
    #[must_use]
    pub const fn fault(&self) -> &DialFault {
        &self.fault
    }

    /// How many attempts were begun.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            attempts,
            fault,
        } = self;
        let s = if *attempts == 1 { "" } else { "s" };
        write!(f, "{} ({attempts} attempt{s}): {fault}", path.display())
    }
}

impl ::core::error::Error for DialError {
    fn source(&self) -> Option<&(dyn ::core::error::Error + 'static)> {
        match &self.fault {
            DialFault::Io(error) => Some(error),
            DialFault::Line(error) => Some(error),
            _ => None,
        }
    }
}
