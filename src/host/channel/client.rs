//! A client that keeps a session with a guest for as long as the incarnation lasts.

use ::core::time::Duration;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Instant;

use thiserror_no_std::Error;

use super::answering::total_ms;
use super::{Caller, ChannelError, ControlError, Deadline, Dial, DialError, HostChannel, Local};
use crate::guest::{BeginError, Call, Capabilities, Completed, Op};
use crate::host::entropy;
use crate::retry::Backoff;
use crate::session::{
    Ended, GuestPublicKey, HandshakeError, HostEndpoint, HostOptions, HostSession, RefusalCode,
};

/// A session that has not been used for this long is looked at before a request is sent on it: 1 second.
pub(super) const QUIET: Duration = Duration::from_secs(1);

/// How long that look takes at most, where all is well.
pub(super) const LOOK: Duration = Duration::from_millis(1);

/// What a client asks for in each of its handshakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The service, see [`HostOptions::service`].
    pub service: u16,
    /// What this host can do. Default: everything this version knows.
    pub offered: Capabilities,
    /// How long each session may live, in milliseconds. Default: an hour. When it is over, the next request
    /// begins another.
    pub lifetime_ms: u64,
}

impl ClientOptions {
    /// For a service.
    #[must_use]
    pub const fn new(service: u16) -> Self {
        Self {
            service,
            offered: Capabilities::KNOWN,
            lifetime_ms: 3_600_000,
        }
    }
}

/// Why a request of a client has no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The guest was not reached. Nothing was sent.
    #[error("{0}")]
    Dial(DialError),
    /// No session was established. Nothing was asked.
    #[error("{0}")]
    Handshake(ChannelError),
    /// The session has ended and must not be replaced. Nothing was asked.
    #[error("{0}")]
    Ended(ChannelError),
    /// The request cannot be made as it is. Nothing was asked.
    #[error("{0}")]
    NotBegun(BeginError),
    /// The instance was booted or restored since this client was made. Nothing was asked; the new
    /// incarnation needs another client.
    #[error("this client is for generation {held} of the instance, which is in generation {now}")]
    IncarnationChanged {
        /// The generation of the client.
        held: u64,
        /// The generation of the endpoint.
        now: u64,
    },
    /// The guest proved another key than in an earlier session of the same incarnation. Nothing was asked.
    #[error("the guest proved the key {got}, and {held} earlier in this incarnation")]
    GuestKeyChanged {
        /// The key of the earlier sessions.
        held: GuestPublicKey,
        /// The key of this one.
        got: GuestPublicKey,
    },
    /// The request may have reached the guest, and may have been carried out, and may still be. It is one
    /// that is not sent a second time by itself.
    #[error("whether the guest has done it (operation {}) is not known: {error}", .op.code())]
    OutcomeUnknown {
        /// The operation.
        op: Op,
        /// What became of its session.
        error: ControlError,
    },
    /// No answer came to a request that does nothing, however often it was sent.
    #[error("{0}")]
    Unanswered(ControlError),
}

impl_error!(ClientError);

impl ClientError {
    /// Whether the guest may have begun to do what was asked.
    #[must_use]
    pub const fn may_have_begun(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. } | Self::Unanswered(_))
    }

    /// Whether host and guest are not of one incarnation: the instance was booted or restored, or it is
    /// another guest. A client that has met this is of no more use.
    #[must_use]
    pub fn is_other_incarnation(&self) -> bool {
        match self {
            Self::IncarnationChanged { .. } | Self::GuestKeyChanged { .. } => true,
            Self::Handshake(error) => {
                error.refused() == Some(RefusalCode::GENERATION)
                    || matches!(
                        error,
                        ChannelError::Handshake(
                            HandshakeError::StaleGeneration { .. }
                                | HandshakeError::IncarnationChanged
                                | HandshakeError::UntrustedGuest
                        )
                    )
            }
            _ => false,
        }
    }
}

/// What to do about an error.
pub(super) enum Step {
    /// Another session may do better.
    Again(ClientError),
    /// There is no point in it, or it must not be.
    Stop(ClientError),
}

/// What both forms of a client decide with.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) local: Local<'a, HostEndpoint>,
    pub(super) dial: Dial,
    pub(super) options: ClientOptions,
    generation: u64,
    key: Option<GuestPublicKey>,
    /// A guest seemed to have been restored, once in this call.
    alarmed: bool,
    backoff: Backoff,
    /// How many sessions were established.
    pub(super) sessions: u64,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        local: Local<'a, HostEndpoint>,
        dial: Dial,
        options: ClientOptions,
    ) -> Result<Self, ChannelError> {
        let generation = local.lock()?.generation();
        let backoff = dial.retry().backoff();
        Ok(Self {
            local,
            dial,
            options,
            generation,
            key: None,
            alarmed: false,
            backoff,
            sessions: 0,
        })
    }

    /// At the beginning of a call.
    pub(super) fn begin(&mut self) {
        self.alarmed = false;
        self.backoff = self.dial.retry().backoff();
    }

    /// Whether the instance is still in the incarnation that this is for.
    pub(super) fn check(&self) -> Result<(), ClientError> {
        let endpoint = self.local.lock().map_err(ClientError::Ended)?;
        let (held, now) = (self.generation, endpoint.generation());
        if held != now {
            return Err(ClientError::IncarnationChanged { held, now });
        }
        Ok(())
    }

    pub(super) const fn host_options(&self) -> HostOptions<'static> {
        HostOptions {
            service: self.options.service,
            capabilities: self.options.offered.bits(),
            extensions: &[],
            lifetime_ms: self.options.lifetime_ms,
        }
    }

    /// Looks at a session that was established.
    pub(super) fn greet(&mut self, session: &HostSession<'_>) -> Result<(), Step> {
        let (held, now) = (self.generation, session.generation());
        if held != now {
            return Err(Step::Stop(ClientError::IncarnationChanged { held, now }));
        }
        let got = session.peer_key();
        match self.key {
            Some(held) if held != got => {
                Err(Step::Stop(ClientError::GuestKeyChanged { held, got }))
            }
            _ => {
                self.key = Some(got);
                self.sessions = self.sessions.saturating_add(1);
                Ok(())
            }
        }
    }

    /// What to do where no session was established.
    pub(super) fn no_session(&mut self, error: ChannelError) -> Step {
        let passing = match &error {
            ChannelError::Hangup { .. }
            | ChannelError::Expired { .. }
            | ChannelError::Io { .. } => true,
            // May be a false alarm, where another stream to the guest was opened at the same time.
            ChannelError::Handshake(HandshakeError::IncarnationChanged) => {
                !core::mem::replace(&mut self.alarmed, true)
            }
            other => other.refused() == Some(RefusalCode::BUSY),
        };
        let error = ClientError::Handshake(error);
        if passing {
            Step::Again(error)
        } else {
            Step::Stop(error)
        }
    }

    /// What to do about a session that could not be used, or was not answered on.
    pub(super) fn failed(&self, call: &Call<'_>, error: ControlError) -> Step {
        match error {
            ControlError::Begin(BeginError::Over(_) | BeginError::IdsExhausted) => Step::Again(
                ClientError::Ended(ChannelError::Open(Ended::Poisoned.into())),
            ),
            ControlError::Begin(error) => Step::Stop(ClientError::NotBegun(error)),
            // Before a byte was sent.
            ControlError::Channel(error @ (ChannelError::Seal(_) | ChannelError::Open(_))) => {
                match error.ended() {
                    Some(Ended::Expired | Ended::Poisoned) => {
                        Step::Again(ClientError::Ended(error))
                    }
                    _ => Step::Stop(ClientError::Ended(error)),
                }
            }
            ControlError::Channel(error @ ChannelError::LockPoisoned) => {
                Step::Stop(ClientError::Ended(error))
            }
            error if is_repeatable(call) => Step::Again(ClientError::Unanswered(error)),
            error => Step::Stop(unanswered(call, error)),
        }
    }

    /// How long to wait before the next session, if there is time for one.
    pub(super) fn pause(&mut self) -> Option<Duration> {
        let mut bits = [0xFF; 8];
        // Where there is no entropy, delays are not spread.
        let _ = entropy::fill(&mut bits);
        self.backoff.next(u64::from_ne_bytes(bits))
    }

    /// A request is out.
    pub(super) fn asked(&mut self, call: &Call<'_>) {
        if let Call::Wake(wake) = call
            && wake.new_guest_key.is_some()
        {
            // Sessions after this one may be with the new key: the endpoint's trust decides.
            self.key = None;
        }
    }
}

/// Whether a request that may have been carried out can be sent again: it changes nothing.
const fn is_repeatable(call: &Call<'_>) -> bool {
    matches!(call, Call::Ping(_) | Call::Status)
}

/// Whether a guest ends its sessions once it has answered.
pub(super) const fn ends_sessions(call: &Call<'_>) -> bool {
    matches!(call, Call::SleepPrep(_) | Call::Shutdown(_))
}

pub(super) fn unanswered(call: &Call<'_>, error: ControlError) -> ClientError {
    if is_repeatable(call) {
        return ClientError::Unanswered(error);
    }
    let op = call.op();
    ClientError::OutcomeUnknown { op, error }
}

/// A client of one guest in one incarnation of its instance.
///
/// It opens a session when it first needs one, and another after a stream was cut, a session's lifetime is
/// over, or a request has expired: a fresh connection and a fresh handshake each time. What it never does:
///
/// * **It crosses no incarnation.** It is for the generation that the endpoint had when it was made. Once that
///   [was raised](HostEndpoint::raise), every call is [`ClientError::IncarnationChanged`]; a guest that proves
///   another key, or has seen another generation, is refused
///   ([`is_other_incarnation`](ClientError::is_other_incarnation)).
/// * **It asks for nothing twice that does something.** [`Ping`](crate::guest::Ping) and `Status` are sent
///   again until the deadline. Any other request goes out once, and if its session breaks before the answer,
///   it is [`ClientError::OutcomeUnknown`]: ask for the status, and decide.
///
/// Each call has one total deadline for connecting, handshakes and the answer. Two clients of one service take
/// the session from each other: a guest serves the later.
///
/// ```no_run
/// use core::time::Duration;
/// use std::sync::Mutex;
///
/// use mvm_core::channel::{ClientError, ClientOptions, Dial, GuestClient, Local, SystemEnvironment};
/// use mvm_core::guest::{Answer, Call};
/// use mvm_core::session::{GuestTrust, HostEndpoint, HostKey};
///
/// # fn run(key: HostKey, endpoint: HostEndpoint) -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = Mutex::new(endpoint);
/// let machine = SystemEnvironment::without_restore_mark();
/// let local = Local::new(&key, &endpoint, &machine);
/// let dial = Dial::vsock("/run/mvm/i-0a1b2c3d/v.sock", 5252);
/// let mut client = GuestClient::new(local, dial, ClientOptions::new(5252))?;
/// // The guest boots: this waits for it, half a minute at most.
/// match client.call(&Call::Status, Duration::from_secs(30))?.outcome {
///     Ok(Answer::Status(status)) => println!("ready: {}", status.is_ready()),
///     other => println!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct GuestClient<'a> {
    plan: Plan<'a>,
    caller: Option<Caller<'a, UnixStream>>,
    used: Instant,
    /// The guest has been asked to end its sessions.
    ending: bool,
}

impl<'a> GuestClient<'a> {
    /// For the incarnation that the endpoint is in now. Nothing is connected yet.
    ///
    /// # Errors
    /// [`ChannelError::LockPoisoned`].
    pub fn new(
        local: Local<'a, HostEndpoint>,
        dial: Dial,
        options: ClientOptions,
    ) -> Result<Self, ChannelError> {
        Ok(Self {
            plan: Plan::new(local, dial, options)?,
            caller: None,
            used: Instant::now(),
            ending: false,
        })
    }

    /// How many sessions were established so far.
    #[must_use]
    pub const fn sessions(&self) -> u64 {
        self.plan.sessions
    }

    /// Sends a request and waits for its answer, for `total` altogether.
    ///
    /// # Errors
    /// [`ClientError`]. A guest that answered that it did not do it is no error: that is in
    /// [`Completed::outcome`].
    pub fn call(&mut self, call: &Call<'_>, total: Duration) -> Result<Completed<'_>, ClientError> {
        let deadline = Deadline::after_millis(u64::from(total_ms(total)));
        self.plan.begin();
        loop {
            if let Err(error) = self.plan.check() {
                self.caller = None;
                return Err(error);
            }
            match self.attempt(call, deadline) {
                Ok(()) => break,
                Err(Step::Stop(error)) => {
                    self.caller = None;
                    return Err(error);
                }
                Err(Step::Again(error)) => {
                    self.caller = None;
                    match (self.plan.pause(), deadline.remaining()) {
                        (Some(pause), Some(left)) if pause < left => thread::sleep(pause),
                        _ => return Err(error),
                    }
                }
            }
        }
        self.plan.asked(call);
        self.used = Instant::now();
        self.ending = ends_sessions(call);
        let Some(caller) = &mut self.caller else {
            return Err(unanswered(call, ControlError::Closed));
        };
        caller
            .answer(deadline)
            .map_err(|error| unanswered(call, error))
    }

    fn attempt(&mut self, call: &Call<'_>, deadline: Deadline) -> Result<(), Step> {
        let look = self.ending || self.used.elapsed() >= QUIET;
        if let Some(caller) = &mut self.caller
            && look
            && !caller.is_quiet(Deadline::after(LOOK))
        {
            self.caller = None;
        }
        let Self { plan, caller, .. } = self;
        let caller = match caller {
            Some(caller) => caller,
            None => caller.insert(open(plan, deadline)?),
        };
        let left = deadline.remaining().unwrap_or_default();
        caller
            .ask(call, total_ms(left), deadline)
            .map_err(|error| plan.failed(call, error))
    }

    /// Closes the session, if there is one, so that both sides know that nothing is missing.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub fn close(self, deadline: Deadline) -> Result<(), ChannelError> {
        self.caller.map_or(Ok(()), |caller| caller.close(deadline))
    }
}

fn open<'a>(plan: &mut Plan<'a>, deadline: Deadline) -> Result<Caller<'a, UnixStream>, Step> {
    let dialled = plan.dial.dial(deadline);
    let connection = dialled.map_err(|error| Step::Stop(ClientError::Dial(error)))?;
    let channel = HostChannel::connect(connection, plan.local, plan.host_options(), deadline)
        .map_err(|error| plan.no_session(error))?;
    plan.greet(channel.session())?;
    Ok(Caller::new(channel, plan.options.offered))
}
