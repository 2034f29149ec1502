//! What can be configured of servers and clients.

use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use super::event::ServerEvent;
use super::peer::{AllowList, own_uid};
use crate::limits::{
    HOSTD_CALL_MS, HOSTD_CALLS, HOSTD_CONNECTIONS, HOSTD_CONNECTIONS_PER_UID, HOSTD_FRAME_MS,
    HOSTD_IDLE_MS,
};

type Hook = Arc<dyn Fn(&ServerEvent<'_>) + Send + Sync>;

/// Who may connect to a server, and what a connection may cost.
///
/// ```
/// use core::time::Duration;
/// use mvm_core::protocol::{AllowList, ServerOptions};
///
/// let options = ServerOptions::new(AllowList::owner().with_uid(990))
///     .with_connections(8, 4)
///     .with_idle_timeout(Duration::from_secs(30))
///     .with_events(|event| eprintln!("hostd: {event}"));
/// # let _ = options;
/// ```
#[derive(Clone)]
pub struct ServerOptions {
    pub(super) allow: AllowList,
    pub(super) connections: usize,
    pub(super) connections_per_uid: usize,
    pub(super) calls: usize,
    pub(super) frame: Duration,
    pub(super) idle: Duration,
    pub(super) call: Duration,
    pub(super) version_1: bool,
    pub(super) hook: Option<Hook>,
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("allow", &self.allow)
            .field("connections", &self.connections)
            .field("connections_per_uid", &self.connections_per_uid)
            .field("calls", &self.calls)
            .field("frame", &self.frame)
            .field("idle", &self.idle)
            .field("call", &self.call)
            .field("version_1", &self.version_1)
            .finish_non_exhaustive()
    }
}

impl ServerOptions {
    /// The limits of [`limits`](crate::limits), for those on the list. An empty list lets nobody in.
    #[must_use]
    pub const fn new(allow: AllowList) -> Self {
        Self {
            allow,
            connections: HOSTD_CONNECTIONS,
            connections_per_uid: HOSTD_CONNECTIONS_PER_UID,
            calls: HOSTD_CALLS,
            frame: Duration::from_millis(HOSTD_FRAME_MS),
            idle: Duration::from_millis(HOSTD_IDLE_MS),
            call: Duration::from_millis(HOSTD_CALL_MS),
            version_1: true,
            hook: None,
        }
    }

    /// How many connections may be open, in all and of one user
    /// ([`HOSTD_CONNECTIONS`], [`HOSTD_CONNECTIONS_PER_UID`]). More are closed before anything is read.
    #[must_use]
    pub const fn with_connections(mut self, all: usize, per_uid: usize) -> Self {
        self.connections = all;
        self.connections_per_uid = per_uid;
        self
    }

    /// How many operations of one connection of version 2 may be done at a time ([`HOSTD_CALLS`]); 0 counts
    /// as 1. More wait, and their time runs. A connection of version 1 has one.
    #[must_use]
    pub const fn with_calls(mut self, calls: usize) -> Self {
        self.calls = if calls == 0 { 1 } else { calls };
        self
    }

    /// How long a frame may take from first byte to last, the first one from the connection's beginning,
    /// and how long an answer may wait to be taken ([`HOSTD_FRAME_MS`]).
    #[must_use]
    pub const fn with_frame_timeout(mut self, timeout: Duration) -> Self {
        self.frame = timeout;
        self
    }

    /// How long a client may ask nothing while nothing is under way ([`HOSTD_IDLE_MS`]).
    #[must_use]
    pub const fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle = timeout;
        self
    }

    /// How long an operation may take, where the client does not ask for less ([`HOSTD_CALL_MS`]).
    #[must_use]
    pub const fn with_call_timeout(mut self, timeout: Duration) -> Self {
        self.call = timeout;
        self
    }

    /// Refuses clients of version 1, which cannot say how long they wait.
    #[must_use]
    pub const fn without_version_1(mut self) -> Self {
        self.version_1 = false;
        self
    }

    /// Tells a function of what happens, on the thread on which it happens: it should be quick. Where it
    /// panics, that is [counted](super::ServerCounts::hook_panicked) and changes nothing else.
    #[must_use]
    pub fn with_events(mut self, hook: impl Fn(&ServerEvent<'_>) + Send + Sync + 'static) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }
}

/// What a client expects of its server.
///
/// ```
/// use mvm_core::protocol::ClientOptions;
///
/// // hostd runs as root, and nothing else is to be talked to.
/// let options = ClientOptions::new().with_server_uid(0).without_version_1();
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// `None`: anybody.
    pub(super) server: Option<AllowList>,
    pub(super) version_1: bool,
    pub(super) reconnect: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientOptions {
    /// A server of root or of this process's own effective user, in any version, with connections that are
    /// made anew when the server has ended them.
    #[must_use]
    pub fn new() -> Self {
        Self {
            server: Some(AllowList::nobody().with_uid(0).with_uid(own_uid())),
            version_1: true,
            reconnect: true,
        }
    }

    /// Only a server that this user began.
    #[must_use]
    pub fn with_server_uid(mut self, uid: u32) -> Self {
        self.server = Some(AllowList::nobody().with_uid(uid));
        self
    }

    /// Whatever server is there. Its credentials are not asked for.
    #[must_use]
    pub fn with_any_server(mut self) -> Self {
        self.server = None;
        self
    }

    /// No server that speaks version 1 only.
    #[must_use]
    pub const fn without_version_1(mut self) -> Self {
        self.version_1 = false;
        self
    }

    /// A connection that has ended stays so.
    #[must_use]
    pub const fn without_reconnect(mut self) -> Self {
        self.reconnect = false;
        self
    }
}
