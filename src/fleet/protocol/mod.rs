//! hostd's protocol without input and output. `wire.md` is the page of the public module.

mod call;
mod client;
mod frames;
mod message;
mod server;
mod version;

pub use call::{HostdAnswer, HostdCall, RequestId};
pub use client::{
    ClientHandshake, ClientSession, HandshakeError, Opened, ReceiveError, Received, RequestError,
};
pub use frames::{EncodeError, Frames, encode, encode_body};
pub use message::{HostdRequest, HostdResponse};
pub use server::{Incoming, Refusal, RefusalReason, ReplyTo, ServerSession};
pub use version::{ClientHello, Mismatch, ServerHello, Side, Versions, VersionsError};

/// Where hostd listens, unless it is configured otherwise.
pub const HOSTD_SOCKET_PATH: &str = "/run/mvm/hostd.sock";
