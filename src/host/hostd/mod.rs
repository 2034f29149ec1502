//! hostd's socket: who may connect, what a connection may cost, and how long anything may take.
//! `socket.md` is the page of the public module.

mod client;
mod client_error;
mod event;
mod intake;
mod limits;
mod line;
mod listener;
mod lock;
mod peer;
mod server;
mod service;
mod wait;

// Twins: the credentials of a peer, and a write that raises no signal.
#[cfg_attr(
    any(target_os = "linux", target_os = "android"),
    path = "system/linux.rs"
)]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    path = "system/other.rs"
)]
mod system;

#[cfg(feature = "tokio")]
pub mod asynchronous;

pub use self::client::Client;
pub use self::client_error::{ClientError, ClientFault, ClientStep};
pub use self::event::{Close, Rejection, ServerCounts, ServerEvent, Unanswered};
pub use self::limits::{ClientOptions, ServerOptions};
pub(in crate::host) use self::listener::try_connect;
pub use self::listener::{BindError, BindStep, DirectoryFault, Listener, SocketOptions};
pub use self::peer::{AllowList, Peer};
pub use self::server::{Handler, Server, Stopped};
pub use self::service::Call;
pub use crate::host::channel::Deadline;
