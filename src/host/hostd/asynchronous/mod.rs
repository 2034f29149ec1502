//! hostd's server and client on tokio: the same limits, deadlines and errors as the blocking ones of
//! [`protocol`](crate::protocol), which has the contract.
//!
//! What differs:
//! - A handler's future is polled beside its connection. When [`Server::shutdown`] has waited long enough, or
//!   the server is dropped, what is still under way is dropped at its next `await`; an operation that must not
//!   end half-way belongs into a task of its own.
//! - A call of a client whose future is dropped is given up as one whose deadline has passed.
//!
//! A runtime with I/O and time enabled is needed; tokio panics in one without.
//!
//! ```
//! # #[cfg(target_os = "linux")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mvm_core::protocol::{AllowList, Call, ClientOptions, Deadline, HostdRequest, HostdResponse};
//! use mvm_core::protocol::{Listener, ServerOptions, SocketOptions};
//! use mvm_core::protocol::asynchronous::{Client, Server};
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("hostd.sock");
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! runtime.block_on(async {
//!     let listener = Listener::bind(&path, &SocketOptions::new())?;
//!     let handler = |_: HostdRequest, _: Call| async { HostdResponse::error("not today") };
//!     let server = Server::start(listener, ServerOptions::new(AllowList::owner()), handler)?;
//!     let mut client = Client::connect(&path, ClientOptions::new(), Deadline::after_millis(5000)).await?;
//!     assert_eq!(client.ping(Deadline::after_millis(5000)).await?, HostdResponse::Pong);
//!     assert_eq!(server.shutdown(Deadline::after_millis(5000)).await.cut, 0);
//!     Ok(())
//! })
//! # }
//! # #[cfg(not(target_os = "linux"))]
//! # fn main() {}
//! ```

mod client;
mod server;

pub use self::client::Client;
pub use self::server::{Handler, Server};
