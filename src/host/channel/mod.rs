//! Sessions over blocking streams.
//!
//! A [`Channel`] is a [session](crate::session) with its stream: [`HostChannel::connect`] and
//! [`GuestChannel::accept`] make the handshake, [`send`](Channel::send) and
//! [`receive`](Channel::receive) carry payloads, [`close`](Channel::close) ends it so that both
//! sides know that nothing is missing. The protocol is the core's; here are the stream, its
//! buffers and the time.
//!
//! * **Deadlines are total.** Each call takes one [`Deadline`] for everything it does; the time
//!   left is computed anew before each read and write.
//! * **Buffers are bounded.** A peer gets room for 1 KiB until it has proved who it is, and for one
//!   frame ([`FRAME_BODY_MAX`](crate::limits::FRAME_BODY_MAX)) afterwards. What was received and
//!   sent is wiped when the next frame comes and when the channel goes.
//! * **Endpoints are shared** behind a mutex, which is held for a computation and never while
//!   waiting for a peer. A connection that says nothing holds up no other.
//! * **The end is verified.** A stream that ends without the peer's close is
//!   [`ChannelError::Truncated`].
//! * **Fail closed.** After an error, a passed deadline too, a channel refuses every further call;
//!   [`wait`](Channel::wait) alone may find that nothing has come, and the channel goes on.
//!
//! On top of that, [`Caller`] and [`Server`] carry the requests and answers of the
//! [guest vocabulary](crate::guest). On Unix, `Dial` reaches a guest through its VMM's vsock socket while it
//! boots, and `GuestClient` keeps a session with it for as long as an incarnation lasts. The module `asynchronous`
//! (feature `tokio`) has all of it for streams of tokio's.
//!
//! A session that is ended elsewhere (superseded, its key removed, the machine restored) is noticed
//! by a blocked call when the next bytes come or its deadline passes.
//!
//! ```
//! # #[cfg(unix)]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::os::unix::net::UnixStream;
//! use std::sync::Mutex;
//!
//! use mvm_core::channel::*;
//! use mvm_core::naming::generate_instance_id;
//! use mvm_core::session::*;
//!
//! // Provisioned: each side has its own secret key and knows the other's public key.
//! let (host_key, guest_key) = (HostKey::from_seed(&[1; 32]), GuestKey::from_seed(&[2; 32]));
//! let host = Mutex::new(HostEndpoint::new(generate_instance_id()?, 1, GuestTrust::pinned(guest_key.public()))?);
//! let mut trusted = TrustedHosts::new();
//! trusted.insert(TrustedHost::new(host_key.public()))?;
//! let guest = Mutex::new(GuestEndpoint::new(trusted));
//!
//! let machine = SystemEnvironment::without_restore_mark();
//! let (to_guest, to_host) = UnixStream::pair()?;
//! std::thread::scope(|scope| {
//!     let server = scope.spawn(|| {
//!         let options = GuestOptions { service: 7, capabilities: 0, extensions: &[], lifetime_ms: 60_000 };
//!         let local = Local::new(&guest_key, &guest, &machine);
//!         let mut channel = GuestChannel::accept(Connection::new(to_host), local, options, Deadline::after_millis(5000))?;
//!         let Opened::Data(payload) = channel.receive(Deadline::after_millis(5000))? else {
//!             return channel.close(Deadline::after_millis(5000));
//!         };
//!         let answer = payload.to_ascii_uppercase();
//!         channel.send(&answer, Deadline::after_millis(5000))?;
//!         channel.close(Deadline::after_millis(5000))
//!     });
//!     let options = HostOptions { service: 7, capabilities: 0, extensions: &[], lifetime_ms: 60_000 };
//!     let local = Local::new(&host_key, &host, &machine);
//!     let mut channel = HostChannel::connect(Connection::new(to_guest), local, options, Deadline::after_millis(5000))?;
//!     channel.send(b"hello", Deadline::after_millis(5000))?;
//!     assert_eq!(channel.receive(Deadline::after_millis(5000))?, Opened::Data(b"HELLO"));
//!     channel.close(Deadline::after_millis(5000))?;
//!     server.join().unwrap()
//! })?;
//! # Ok(())
//! # }
//! # #[cfg(not(unix))]
//! # fn main() {}
//! ```

mod answering;
#[cfg(feature = "tokio")]
pub mod asynchronous;
#[cfg(unix)]
mod client;
mod connection;
mod control;
mod core;
mod deadline;
#[cfg(unix)]
mod dial;
mod error;
mod handshake;
mod input;
mod stream;

use ::core::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard};

pub use super::environment::SystemEnvironment;
#[cfg(unix)]
pub use client::{ClientError, ClientOptions, GuestClient};
pub use connection::Connection;
pub use control::{Caller, ControlError, Served, Server};
pub use deadline::Deadline;
#[cfg(unix)]
pub use dial::{Dial, DialError, DialFault};
pub use error::{ChannelError, Doing};
pub use stream::DeadlineStream;

use self::core::Core;
use crate::session::{
    Endpoint, Entropy, Environment, GuestEndpoint, HostEndpoint, Opened, Session,
};
use crate::signing::SecretKey;
use connection::Arrival;

/// A channel on the host's side.
pub type HostChannel<'a, S> = Channel<'a, HostEndpoint, S>;
/// A channel on the guest's side.
pub type GuestChannel<'a, S> = Channel<'a, GuestEndpoint, S>;

/// Where the 32 fresh bytes of a handshake come from.
type EntropySource<'a> = &'a (dyn Fn() -> io::Result<Entropy> + Sync);

/// What the channels of one side share: its key, its endpoint, and the machine it runs on.
pub struct Local<'a, E: Endpoint> {
    key: &'a SecretKey<E::Own>,
    endpoint: &'a Mutex<E>,
    env: &'a (dyn Environment + Sync),
    entropy: EntropySource<'a>,
}

// By hand, because the derives would ask the same of the endpoint.
impl<E: Endpoint> Clone for Local<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<E: Endpoint> Copy for Local<'_, E> {}

impl<E: Endpoint> fmt::Debug for Local<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.public();
        f.debug_struct("Local")
            .field("key", &key)
            .finish_non_exhaustive()
    }
}

fn os_entropy() -> io::Result<Entropy> {
    Entropy::from_os().map_err(io::Error::other)
}

impl<'a, E: Endpoint> Local<'a, E> {
    /// One side, with the operating system's generator as its source of entropy.
    #[must_use]
    pub fn new(
        key: &'a SecretKey<E::Own>,
        endpoint: &'a Mutex<E>,
        env: &'a (dyn Environment + Sync),
    ) -> Self {
        Self {
            key,
            endpoint,
            env,
            entropy: &os_entropy,
        }
    }

    /// With another source of entropy, for a guest whose generator a restore leaves as it was. It
    /// is asked once for each handshake.
    #[must_use]
    pub fn with_entropy(mut self, source: EntropySource<'a>) -> Self {
        self.entropy = source;
        self
    }

    fn lock(&self) -> Result<MutexGuard<'a, E>, ChannelError> {
        self.endpoint.lock().map_err(|_| ChannelError::LockPoisoned)
    }

    fn draw(&self) -> Result<Entropy, ChannelError> {
        (self.entropy)().map_err(|error| ChannelError::Io {
            doing: Doing::DrawingEntropy,
            error,
        })
    }
}

/// A session and its stream.
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

impl<'a, E: Endpoint, S: DeadlineStream> Channel<'a, E, S> {
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

    /// The session and the connection, to go on without the channel. A guest that has answered
    /// [`SleepPrep`](crate::guest::SleepPrep) passes the session to
    /// [`GuestEndpoint::prepare_sleep`].
    pub fn into_parts(self) -> (Session<'a, E>, Connection<S>) {
        (self.core.into_session(), self.connection)
    }

    /// Ends the session on this side without a word to the peer, who will see a truncated stream.
    pub fn poison(&mut self) {
        self.core.session.poison();
    }

    /// Sends a payload of at most [`PAYLOAD_MAX`](crate::session::PAYLOAD_MAX) bytes.
    ///
    /// # Errors
    /// [`ChannelError::Seal`], [`ChannelError::Expired`], [`ChannelError::Io`],
    /// [`ChannelError::LockPoisoned`].
    pub fn send(&mut self, payload: &[u8], deadline: Deadline) -> Result<(), ChannelError> {
        self.core.seal(Some(payload))?;
        self.write(deadline)
    }

    /// Sends the close: nothing follows in this direction. The peer may go on sending.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn finish(&mut self, deadline: Deadline) -> Result<(), ChannelError> {
        if self.core.closed {
            return Ok(());
        }
        self.core.seal(None)?;
        self.write(deadline)?;
        // The stream stays open: a VMM takes the end of one direction for the end of both, and the peer's
        // close would be lost.
        self.core.closed = true;
        Ok(())
    }

    /// Sends the close, if that has not been done, and waits for the peer's: both know then that
    /// nothing is missing. Payloads that come before it are not wanted any more and are dropped; who
    /// wants them calls [`finish`](Self::finish) and goes on receiving.
    ///
    /// # Errors
    /// As [`finish`](Self::finish) and [`receive`](Self::receive).
    pub fn close(mut self, deadline: Deadline) -> Result<(), ChannelError> {
        self.finish(deadline)?;
        while self.receive(deadline)? != Opened::Closed {}
        Ok(())
    }

    /// Waits until a whole frame has come, or the stream has ended, or the deadline has passed.
    /// `false` in the last case: the channel goes on, and what came of a frame is kept.
    ///
    /// # Errors
    /// [`ChannelError::Frame`], [`ChannelError::Io`]. The end of the stream is for
    /// [`receive`](Self::receive) to judge.
    pub fn wait(&mut self, deadline: Deadline) -> Result<bool, ChannelError> {
        Ok(self.arrival(deadline)? != Arrival::NotYet)
    }

    fn arrival(&mut self, deadline: Deadline) -> Result<Arrival, ChannelError> {
        if self.core.session.is_peer_closed() {
            return Ok(Arrival::Frame);
        }
        let result = self.connection.wait(deadline, Doing::Receiving);
        self.core.settle(result)
    }

    /// The next payload, or [`Opened::Closed`] once the peer has closed.
    ///
    /// # Errors
    /// [`ChannelError::Open`], [`ChannelError::Truncated`], [`ChannelError::Frame`],
    /// [`ChannelError::Expired`], [`ChannelError::Io`], [`ChannelError::LockPoisoned`].
    pub fn receive(&mut self, deadline: Deadline) -> Result<Opened<'_>, ChannelError> {
        self.receive_and(deadline).map(|(_, opened)| opened)
    }

    /// As [`receive`](Self::receive), with the session, for who finds fault with the payload while
    /// it borrows the channel.
    fn receive_and(
        &mut self,
        deadline: Deadline,
    ) -> Result<(&mut Session<'a, E>, Opened<'_>), ChannelError> {
        let Self { core, connection } = self;
        if core.session.is_peer_closed() {
            return Ok((&mut core.session, Opened::Closed));
        }
        let result = Self::arrive(core, connection, deadline);
        core.settle(result)?;
        let opened = core.open(connection.body())?;
        Ok((&mut core.session, opened))
    }

    fn arrive(
        core: &Core<'a, E>,
        connection: &mut Connection<S>,
        deadline: Deadline,
    ) -> Result<(), ChannelError> {
        let doing = Doing::Receiving;
        // A session that is over is not worth waiting for.
        core.check()?;
        match connection.wait(deadline, doing)? {
            Arrival::Frame => Ok(()),
            Arrival::NotYet => Err(ChannelError::Expired { doing }),
            Arrival::End => Err(core.truncated()),
        }
    }

    /// Whether the session can still be used.
    ///
    /// # Errors
    /// [`ChannelError::Open`] with the reason, [`ChannelError::LockPoisoned`].
    pub fn check(&self) -> Result<(), ChannelError> {
        self.core.check()
    }

    /// Writes the frame that was sealed.
    fn write(&mut self, deadline: Deadline) -> Result<(), ChannelError> {
        let Self { core, connection } = self;
        let result = connection.write(core.frame(), deadline, Doing::Sending);
        core.wipe();
        core.settle(result)
    }
}
