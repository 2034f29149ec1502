//! Sessions over streams of tokio's.
//!
//! The same channels as the [blocking ones](super), with the same code between reads and writes: a
//! [`Channel`] over anything that is [`AsyncRead`] and [`AsyncWrite`], [`Caller`] and [`Server`] on top of
//! it. Deadlines are total and buffers bounded as there, the errors are the same types, and either form can
//! be the other's peer. The runtime needs its timer.
//!
//! # What a dropped future leaves behind
//! A future that was never polled has done nothing. Of the others:
//!
//! | dropped | afterwards |
//! | --- | --- |
//! | [`receive`](Channel::receive), [`wait`](Channel::wait) | nothing is lost: the channel goes on, and what came of a frame is kept |
//! | [`send`](Channel::send), [`finish`](Channel::finish) | the session is over ([`Ended::Poisoned`](crate::session::Ended::Poisoned)): part of a frame may be out, and nothing can follow it |
//! | [`close`](Channel::close), [`connect`](HostChannel::connect), [`accept`](GuestChannel::accept), [`through_vsock`](Connection::through_vsock) | they own the stream: it is dropped, and the peer finds it cut. A handshake that was begun keeps its place in the endpoint until others need it |
//! | [`Caller::call`] | the session is over: nobody knows what the guest has done |
//! | [`Server::serve`] | the session is over, and nobody is left draining |
//!
//! So a deadline that expires ends a session, and a `receive` that lost a `select!` does not.
//!
//! Endpoints are behind the same [`Mutex`](std::sync::Mutex) of the standard library as there: it is held
//! for a computation (two signatures at most), never across an await. Only `store` of
//! [`connect_or_pin`](HostChannel::connect_or_pin) writes to a disk under it.
//!
//! ```
//! use std::sync::Mutex;
//!
//! use mvm_core::channel::asynchronous::{Connection, GuestChannel, HostChannel};
//! use mvm_core::channel::{Deadline, Local, SystemEnvironment};
//! use mvm_core::naming::generate_instance_id;
//! use mvm_core::session::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (host_key, guest_key) = (HostKey::from_seed(&[1; 32]), GuestKey::from_seed(&[2; 32]));
//! let host = Mutex::new(HostEndpoint::new(generate_instance_id()?, 1, GuestTrust::pinned(guest_key.public()))?);
//! let mut trusted = TrustedHosts::new();
//! trusted.insert(TrustedHost::new(host_key.public()))?;
//! let guest = Mutex::new(GuestEndpoint::new(trusted));
//! let machine = SystemEnvironment::without_restore_mark();
//! let soon = || Deadline::after_millis(5000);
//!
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! runtime.block_on(async {
//!     let (to_guest, to_host) = tokio::io::duplex(4096);
//!     let server = async {
//!         let options = GuestOptions { service: 7, capabilities: 0, extensions: &[], lifetime_ms: 60_000 };
//!         let local = Local::new(&guest_key, &guest, &machine);
//!         let mut channel = GuestChannel::accept(Connection::new(to_host), local, options, soon()).await?;
//!         let Opened::Data(payload) = channel.receive(soon()).await? else {
//!             return channel.close(soon()).await;
//!         };
//!         let answer = payload.to_ascii_uppercase();
//!         channel.send(&answer, soon()).await?;
//!         channel.close(soon()).await
//!     };
//!     let client = async {
//!         let options = HostOptions { service: 7, capabilities: 0, extensions: &[], lifetime_ms: 60_000 };
//!         let local = Local::new(&host_key, &host, &machine);
//!         let mut channel = HostChannel::connect(Connection::new(to_guest), local, options, soon()).await?;
//!         channel.send(b"hello", soon()).await?;
//!         assert_eq!(channel.receive(soon()).await?, Opened::Data(b"HELLO"));
//!         channel.close(soon()).await
//!     };
//!     tokio::try_join!(server, client)
//! })?;
//! # Ok(())
//! # }
//! ```

#[cfg(unix)]
mod client;
mod connection;
mod control;
#[cfg(unix)]
mod dial;
mod handshake;

use ::core::fmt;

use ::tokio::io::{AsyncRead, AsyncWrite};

#[cfg(unix)]
pub use client::GuestClient;
pub use connection::Connection;
pub use control::{Caller, Server};

use super::connection::Arrival;
use super::core::Core;
use super::{ChannelError, Deadline, Doing, Local};
use crate::session::{Endpoint, GuestEndpoint, HostEndpoint, Opened, Session};

/// Every stream that a channel can go over: implemented for all that are readable and writable.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin + ?Sized> Stream for S {}

/// A channel on the host's side.
pub type HostChannel<'a, S> = Channel<'a, HostEndpoint, S>;
/// A channel on the guest's side.
pub type GuestChannel<'a, S> = Channel<'a, GuestEndpoint, S>;

/// A session and its stream. See the [module's documentation](self) for what a dropped future leaves.
pub struct Channel<'a, E: Endpoint, S> {
    core: Core<'a, E>,
    connection: Connection<S>,
}

impl<E: Endpoint, S: fmt::Debug> fmt::Debug for Channel<'_, E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("session", &self.core.session)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

impl<'a, E: Endpoint, S: Stream> Channel<'a, E, S> {
    fn new(session: Session<'a, E>, local: Local<'a, E>, mut connection: Connection<S>) -> Self {
        connection.grow();
        let core = Core::new(session, local);
        Self { core, connection }
    }

    /// The session: its generation, its capabilities, its peer's key.
    pub const fn session(&self) -> &Session<'a, E> {
        &self.core.session
    }

    /// The stream.
    pub const fn stream(&self) -> &S {
        self.connection.stream()
    }

    /// The session and the connection, to go on without the channel. A session of which part of a frame is
    /// out is poisoned.
    pub fn into_parts(self) -> (Session<'a, E>, Connection<S>) {
        (self.core.into_session(), self.connection)
    }

    /// Ends the session on this side without a word to the peer, who will see a truncated stream.
    pub fn poison(&mut self) {
        self.core.session.poison();
    }

    /// Whether the session can still be used.
    ///
    /// # Errors
    /// [`ChannelError::Open`] with the reason, [`ChannelError::LockPoisoned`].
    pub fn check(&self) -> Result<(), ChannelError> {
        self.core.check()
    }

    /// Sends a payload of at most [`PAYLOAD_MAX`](crate::session::PAYLOAD_MAX) bytes. Dropped, it ends the
    /// session.
    ///
    /// # Errors
    /// [`ChannelError::Seal`], [`ChannelError::Expired`], [`ChannelError::Io`],
    /// [`ChannelError::LockPoisoned`].
    pub async fn send(&mut self, payload: &[u8], deadline: Deadline) -> Result<(), ChannelError> {
        self.core.seal(Some(payload))?;
        self.write(deadline).await
    }

    /// Sends the close: nothing follows in this direction. The peer may go on sending. Dropped, it ends the
    /// session.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn finish(&mut self, deadline: Deadline) -> Result<(), ChannelError> {
        if self.core.closed {
            return Ok(());
        }
        self.core.seal(None)?;
        self.write(deadline).await?;
        // The stream stays open: a VMM takes the end of one direction for the end of both, and the peer's
        // close would be lost.
        self.core.closed = true;
        Ok(())
    }

    /// Sends the close, if that has not been done, and waits for the peer's, as the blocking
    /// [`close`](crate::channel::Channel::close).
    ///
    /// # Errors
    /// As [`finish`](Self::finish) and [`receive`](Self::receive).
    pub async fn close(mut self, deadline: Deadline) -> Result<(), ChannelError> {
        self.finish(deadline).await?;
        while self.receive(deadline).await? != Opened::Closed {}
        Ok(())
    }

    /// Waits until a whole frame has come, or the stream has ended, or the deadline has passed.
    /// `false` in the last case: the channel goes on, and what came of a frame is kept.
    ///
    /// # Errors
    /// [`ChannelError::Frame`], [`ChannelError::Io`]. The end of the stream is for
    /// [`receive`](Self::receive) to judge.
    pub async fn wait(&mut self, deadline: Deadline) -> Result<bool, ChannelError> {
        Ok(self.arrival(deadline).await? != Arrival::NotYet)
    }

    async fn arrival(&mut self, deadline: Deadline) -> Result<Arrival, ChannelError> {
        if self.core.session.is_peer_closed() {
            return Ok(Arrival::Frame);
        }
        let result = self.connection.wait(deadline, Doing::Receiving).await;
        self.core.settle(result)
    }

    /// The next payload, or [`Opened::Closed`] once the peer has closed. Dropped, it has taken nothing.
    ///
    /// # Errors
    /// [`ChannelError::Open`], [`ChannelError::Truncated`], [`ChannelError::Frame`],
    /// [`ChannelError::Expired`], [`ChannelError::Io`], [`ChannelError::LockPoisoned`].
    pub async fn receive(&mut self, deadline: Deadline) -> Result<Opened<'_>, ChannelError> {
        Ok(self.receive_and(deadline).await?.1)
    }

    /// As [`receive`](Self::receive), with the session, for who finds fault with the payload while
    /// it borrows the channel.
    async fn receive_and(
        &mut self,
        deadline: Deadline,
    ) -> Result<(&mut Session<'a, E>, Opened<'_>), ChannelError> {
        let Self { core, connection } = self;
        if core.session.is_peer_closed() {
            return Ok((&mut core.session, Opened::Closed));
        }
        let checked = core.check();
        core.settle(checked)?;
        let doing = Doing::Receiving;
        let arrival = connection.wait(deadline, doing).await;
        let arrived = arrival.and_then(|arrival| match arrival {
            Arrival::Frame => Ok(()),
            Arrival::NotYet => Err(ChannelError::Expired { doing }),
            Arrival::End => Err(core.truncated()),
        });
        core.settle(arrived)?;
        let opened = core.open(connection.body())?;
        Ok((&mut core.session, opened))
    }

    /// Writes the frame that was sealed. Dropped, it leaves the frame as the sign of that.
    async fn write(&mut self, deadline: Deadline) -> Result<(), ChannelError> {
        let Self { core, connection } = self;
        let result = connection
            .write(core.frame(), deadline, Doing::Sending)
            .await;
        core.wipe();
        core.settle(result)
    }
}
