//! The host's side: keys, sessions, and the questions that several scenarios ask.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use guest_init::messages::{CLOCK, Clock, NUMBERS, Numbers, RANDOM};
use mvm_core::channel::{
    Caller, ChannelError, Connection, ControlError, Deadline, DeadlineStream, Dial, HostChannel, Local,
    SystemEnvironment,
};
use mvm_core::guest::{
    Answer, Call, Capabilities, Completed, ComponentState, Extension, Failure, Ping, StatusReport,
};
use mvm_core::naming::InstanceId;
use mvm_core::session::{GuestKey, GuestPublicKey, GuestTrust, HostEndpoint, HostKey, HostOptions};
use mvm_core::wire::codec::{self, Bytes};

use crate::ensure;
use crate::error::{Error, Must, While};

/// How long a guest may take for a request. It may be a slow one.
pub const ANSWER: Duration = Duration::from_secs(10);
/// The port that guests serve first.
pub const PORT: u32 = 5252;
/// The instance of every scenario.
pub const INSTANCE: &str = "i-5c51564e";

/// The key that the guests are provisioned with.
#[must_use]
pub fn host_key() -> HostKey {
    HostKey::from_seed(&[0x11; 32])
}

/// A host's key that no guest knows.
#[must_use]
pub fn strange_host_key() -> HostKey {
    HostKey::from_seed(&[0x22; 32])
}

/// The guest's key, which lies in its image.
#[must_use]
pub fn guest_key() -> GuestKey {
    GuestKey::from_seed(&[0x33; 32])
}

/// The key of another guest, of which hosts know.
#[must_use]
pub fn other_guest_key() -> GuestKey {
    GuestKey::from_seed(&[0x44; 32])
}

/// Who asks for something over a real vsock.
pub type Session<'h> = Caller<'h, UnixStream>;

/// Prints what held.
pub fn held(what: impl std::fmt::Display) {
    println!("held: {what}");
}

/// A host, and where its guest is.
#[derive(Debug)]
pub struct Host {
    key: HostKey,
    endpoint: Mutex<HostEndpoint>,
    machine: SystemEnvironment,
}

impl Host {
    /// The host that a guest was provisioned for.
    ///
    /// # Errors
    /// [`Error::NotHeld`].
    pub fn new(generation: u64, guest: GuestPublicKey) -> Result<Self, Error> {
        Self::with_key(host_key(), generation, guest)
    }

    /// A host with a key.
    ///
    /// # Errors
    /// [`Error::NotHeld`].
    pub fn with_key(key: HostKey, generation: u64, guest: GuestPublicKey) -> Result<Self, Error> {
        Self::made(key, INSTANCE, generation, guest)
    }

    /// The host that a guest was provisioned for, and another instance than the usual one.
    ///
    /// # Errors
    /// [`Error::NotHeld`].
    pub fn of(instance: &str, generation: u64, guest: GuestPublicKey) -> Result<Self, Error> {
        Self::made(host_key(), instance, generation, guest)
    }

    fn made(key: HostKey, instance: &str, generation: u64, guest: GuestPublicKey) -> Result<Self, Error> {
        let instance = InstanceId::new(instance).must("an instance")?;
        let endpoint = HostEndpoint::new(instance, generation, GuestTrust::pinned(guest));
        Ok(Self {
            key,
            endpoint: Mutex::new(endpoint.must("an endpoint")?),
            machine: SystemEnvironment::without_restore_mark(),
        })
    }

    /// For channels.
    #[must_use]
    pub fn local(&self) -> Local<'_, HostEndpoint> {
        Local::new(&self.key, &self.endpoint, &self.machine)
    }

    /// The endpoint.
    #[must_use]
    pub const fn endpoint(&self) -> &Mutex<HostEndpoint> {
        &self.endpoint
    }

    /// Makes a handshake on a connection to `port`.
    ///
    /// # Errors
    /// The library's.
    pub fn shake<S: DeadlineStream>(
        &self,
        connection: Connection<S>,
        port: u32,
        deadline: Deadline,
    ) -> Result<HostChannel<'_, S>, ChannelError> {
        HostChannel::connect(connection, self.local(), options(port), deadline)
    }

    /// Opens a session, as often as it takes to reach the guest.
    ///
    /// # Errors
    /// [`Error::NotHeld`].
    pub fn open(&self, vsock: &Path, port: u32) -> Result<Caller<'_, UnixStream>, Error> {
        let what = format!("a session on port {port}");
        let channel = self.try_open(vsock, port)?.must(what)?;
        Ok(Caller::new(channel, Capabilities::KNOWN))
    }

    /// As [`open`](Self::open), for a handshake that is not to succeed.
    ///
    /// # Errors
    /// [`Error::NotHeld`] where the guest is not reached.
    pub fn try_open(
        &self,
        vsock: &Path,
        port: u32,
    ) -> Result<Result<HostChannel<'_, UnixStream>, ChannelError>, Error> {
        let deadline = Deadline::after(ANSWER);
        let connection = Dial::vsock(vsock, port).dial(deadline).must("reaching the guest")?;
        Ok(self.shake(connection, port, deadline))
    }
}

/// What a host asks for at a port.
#[must_use]
pub fn options(port: u32) -> HostOptions<'static> {
    HostOptions {
        service: u16::try_from(port & 0xFFFF).unwrap_or_default(),
        capabilities: Capabilities::KNOWN.bits(),
        extensions: &[],
        lifetime_ms: 600_000,
    }
}

/// A connection to a port as the VMM gives it, without a session.
///
/// # Errors
/// [`Error`].
pub fn raw(vsock: &Path, port: u32) -> Result<UnixStream, Error> {
    let stream = Dial::vsock(vsock, port).dial(Deadline::after(ANSWER));
    let stream = stream.must("a connection")?.into_stream();
    stream.set_read_timeout(Some(ANSWER)).doing("a timeout")?;
    stream.set_write_timeout(Some(ANSWER)).doing("a timeout")?;
    Ok(stream)
}

/// Sends bytes and gives everything that comes until the peer closes.
///
/// # Errors
/// [`Error::Io`], also where the peer does not close in time.
pub fn send_and_drain(stream: &mut UnixStream, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    // A peer that closes early is as good as one that reads to the end.
    let _ = stream.write_all(bytes);
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => Ok(all),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(all),
        Err(error) => Err(error).doing("waiting for the guest to close"),
    }
}

/// Asks for what has to be answered.
///
/// # Errors
/// [`Error::NotHeld`].
pub fn ask<'c, S: DeadlineStream>(
    caller: &'c mut Caller<'_, S>,
    call: &Call<'_>,
) -> Result<Answer<'c>, Error> {
    let completed: Result<Completed<'_>, ControlError> = caller.call(call, ANSWER);
    let what = format!("operation {}", call.op().code());
    completed.must(&what)?.outcome.must(&what)
}

/// Asks for what the guest has to decline, and gives how it does.
///
/// # Errors
/// [`Error::NotHeld`].
pub fn declined<S: DeadlineStream>(caller: &mut Caller<'_, S>, call: &Call<'_>) -> Result<Failure, Error> {
    let what = format!("operation {}", call.op().code());
    match caller.call(call, ANSWER).must(&what)?.outcome {
        Err(failure) => Ok(failure),
        Ok(answer) => Err(Error::NotHeld(format!("{what} was answered: {answer:?}"))),
    }
}

/// Pings, and gives the guest's uptime in milliseconds.
///
/// # Errors
/// [`Error::NotHeld`].
pub fn ping<S: DeadlineStream>(caller: &mut Caller<'_, S>, nonce: u64) -> Result<u64, Error> {
    match ask(caller, &Call::Ping(Ping { nonce }))? {
        Answer::Pong(pong) if pong.nonce == nonce => Ok(pong.uptime_ms),
        other => Err(Error::NotHeld(format!("a pong for {nonce}: {other:?}"))),
    }
}

/// Asks for the status, and looks at it.
///
/// # Errors
/// [`Error::NotHeld`], and what `look` gives.
pub fn status<S: DeadlineStream>(
    caller: &mut Caller<'_, S>,
    look: impl FnOnce(&StatusReport<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    match ask(caller, &Call::Status)? {
        Answer::Status(report) => look(&report),
        other => Err(Error::NotHeld(format!("a status: {other:?}"))),
    }
}

/// The state of a component of the guest.
#[must_use]
pub fn component(report: &StatusReport<'_>, name: &str) -> Option<ComponentState> {
    let mut all = report.components.as_slice().iter();
    all.find(|component| component.name.as_str() == name).map(|component| component.state)
}

/// A message of the init's own, without a body.
#[must_use]
pub const fn extension(kind: u32) -> Call<'static> {
    Call::Extension(Extension { kind, body: Bytes(&[]) })
}

macro_rules! own_message {
    ($(#[$doc:meta])* $name:ident, $kind:expr, $answer:ty) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// [`Error::NotHeld`].
        pub fn $name<S: DeadlineStream>(caller: &mut Caller<'_, S>) -> Result<$answer, Error> {
            match ask(caller, &extension($kind))? {
                Answer::Extension(body) => codec::decode(body.0).must(stringify!($name)),
                other => Err(Error::NotHeld(format!("{}: {other:?}", stringify!($name)))),
            }
        }
    };
}

own_message!(
    /// The kernel's numbers.
    numbers, NUMBERS, Numbers
);
own_message!(
    /// Bytes of the kernel's generator.
    random, RANDOM, [u8; 32]
);
own_message!(
    /// The guest's time of day.
    clock, CLOCK, Clock
);

/// Waits for the verified close of a session that the guest ends.
///
/// # Errors
/// [`Error::NotHeld`].
pub fn closed_by_guest<S: DeadlineStream>(caller: Caller<'_, S>) -> Result<(), Error> {
    let mut channel = caller.into_channel();
    let end = channel.receive(Deadline::after(ANSWER));
    let end = format!("{:?}", end.must("the end of the session")?);
    ensure!(end == "Closed", "a verified close, and not {end}");
    Ok(())
}

/// Closes a session, and waits for the guest to do so too.
///
/// # Errors
/// [`Error::NotHeld`].
pub fn close<S: DeadlineStream>(caller: Caller<'_, S>) -> Result<(), Error> {
    caller.close(Deadline::after(ANSWER)).must("a verified close")
}

/// How long something took, in milliseconds.
///
/// # Errors
/// What it gives.
pub fn timed<T>(what: impl FnOnce() -> Result<T, Error>) -> Result<(T, u128), Error> {
    let start = Instant::now();
    let done = what()?;
    Ok((done, start.elapsed().as_millis()))
}
