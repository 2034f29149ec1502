//! Requests and answers of the [guest vocabulary](crate::guest) on a channel of tokio's.

use ::core::ops::AsyncFnMut;
use ::core::time::Duration;
use std::sync::Mutex;

use super::connection::later;
use super::{GuestChannel, HostChannel, Stream};
use crate::guest::{AfterResponse, Answer, Call, Capabilities, Completed, Failure, Lifecycle};
use crate::host::channel::answering::{Answering, Asking, SEND, total_ms};
use crate::host::channel::connection::Arrival;
use crate::host::channel::control::served;
use crate::host::channel::{ChannelError, ControlError, Deadline, Served};
use crate::session::Opened;

/// The host's side: one request at a time, and the answer that belongs to it. As the blocking
/// [`Caller`](crate::channel::Caller).
#[derive(Debug)]
pub struct Caller<'a, S> {
    channel: HostChannel<'a, S>,
    asking: Asking,
    /// A call has begun and not come to its end.
    calling: bool,
}

impl<'a, S: Stream> Caller<'a, S> {
    /// On a channel whose handshake offered `offered`.
    #[must_use]
    pub fn new(channel: HostChannel<'a, S>, offered: Capabilities) -> Self {
        let asking = Asking::new(channel.session(), offered);
        Self {
            channel,
            asking,
            calling: false,
        }
    }

    /// The channel.
    pub const fn channel(&self) -> &HostChannel<'a, S> {
        &self.channel
    }

    /// Sends a request and waits for its answer, for `total` altogether (whole milliseconds, at
    /// most 49 days).
    ///
    /// **A future that is dropped ends the session**, once it was polled: nobody knows then what the guest
    /// has done, and its answer must not be taken for one to the next request. The next call fails with
    /// [`Ended::Poisoned`](crate::session::Ended::Poisoned).
    ///
    /// # Errors
    /// [`ControlError::Channel`], [`ControlError::Begin`], [`ControlError::Call`],
    /// [`ControlError::Closed`]. A guest that answered that it did not do it is no error: that is in
    /// [`Completed::outcome`].
    pub async fn call(
        &mut self,
        call: &Call<'_>,
        total: Duration,
    ) -> Result<Completed<'_>, ControlError> {
        let total_ms = total_ms(total);
        let deadline = later(Duration::from_millis(u64::from(total_ms)));
        self.ask(call, total_ms, deadline).await?;
        self.answer(deadline).await
    }

    /// Sends a request and waits until something has come that may be its answer.
    pub(super) async fn ask(
        &mut self,
        call: &Call<'_>,
        total_ms: u32,
        deadline: Deadline,
    ) -> Result<(), ControlError> {
        let Self {
            channel,
            asking,
            calling,
        } = self;
        if *calling {
            asking.request.wipe();
            channel.poison();
        }
        // So that nothing is in flight on a session that is over.
        channel.check()?;
        let env = channel.core.local.env;
        asking.begin(call, total_ms, env)?;
        *calling = true;
        let sent = channel.send(asking.request.bytes(), deadline).await;
        asking.request.wipe();
        let arrival = match sent {
            Ok(()) => channel.arrival(deadline).await,
            Err(error) => Err(error),
        };
        *calling = false;
        match arrival? {
            Arrival::Frame => Ok(()),
            Arrival::End => {
                channel.poison();
                Err(channel.core.truncated().into())
            }
            Arrival::NotYet => {
                channel.poison();
                Err(asking.expired(env))
            }
        }
    }

    /// Takes what has come: nothing is waited for.
    pub(super) async fn answer(
        &mut self,
        deadline: Deadline,
    ) -> Result<Completed<'_>, ControlError> {
        let env = self.channel.core.local.env;
        let (session, opened) = self.channel.receive_and(deadline).await?;
        self.asking.accept(session, opened, env)
    }

    /// Whether nothing has come that was not asked for, and the stream has not ended.
    #[cfg(unix)]
    pub(super) async fn is_quiet(&mut self, deadline: Deadline) -> bool {
        !self.calling && matches!(self.channel.arrival(deadline).await, Ok(Arrival::NotYet))
    }

    /// Closes the session, see [`Channel::close`](super::Channel::close).
    ///
    /// # Errors
    /// As there.
    pub async fn close(self, deadline: Deadline) -> Result<(), ChannelError> {
        self.channel.close(deadline).await
    }

    /// The channel, without the requests.
    pub fn into_channel(mut self) -> HostChannel<'a, S> {
        if self.calling {
            self.channel.poison();
        }
        self.channel
    }
}

/// The guest's side: takes requests, has them carried out, sends the answers, until the session
/// ends. As the blocking [`Server`](crate::channel::Server).
#[derive(Debug)]
pub struct Server<'a, S> {
    channel: GuestChannel<'a, S>,
    answering: Answering<'a>,
}

impl<'a, S: Stream> Server<'a, S> {
    /// On a channel whose handshake offered `offered`.
    ///
    /// # Errors
    /// [`ChannelError::LockPoisoned`].
    pub fn new(
        channel: GuestChannel<'a, S>,
        offered: Capabilities,
        lifecycle: &'a Mutex<Lifecycle>,
    ) -> Result<Self, ChannelError> {
        let local = channel.core.local;
        let answering = Answering::new(channel.session(), local, offered, lifecycle)?;
        Ok(Self { channel, answering })
    }

    /// Serves until the session ends. `idle` is how long to wait for each request; `carry_out` gets
    /// every request that may be carried out now, and the deadline for doing so. It is for `carry_out` to
    /// keep that deadline: a request is not given up half-way from here.
    ///
    /// A future that is dropped ends the session like a stream that was cut. A guest that was draining is
    /// awake again; if the answer to [`SleepPrep`](crate::guest::SleepPrep) had been made, the guest is
    /// asleep, and every session is ended (the binding stays).
    ///
    /// # Errors
    /// [`ControlError::Channel`], [`ControlError::Dispatch`], [`ControlError::Respond`],
    /// [`ControlError::Encode`]. The session is over.
    pub async fn serve<'h>(
        mut self,
        idle: Duration,
        mut carry_out: impl AsyncFnMut(&Call<'_>, Deadline) -> Result<Answer<'h>, Failure>,
    ) -> Result<Served, ControlError> {
        let end = loop {
            match self.serve_one(later(idle), &mut carry_out).await {
                Ok(None) => {}
                Ok(Some(end)) => break Ok(end),
                Err(error) => break Err(error),
            }
        };
        let Self {
            mut channel,
            mut answering,
        } = self;
        answering.end()?;
        let soon = later(SEND);
        match end {
            Ok(Served::Asleep { unbound }) => {
                // Says goodbye, as far as the host still listens.
                let said = channel.finish(soon).await;
                let (session, _connection) = channel.into_parts();
                answering.fall_asleep(session, unbound, said)?;
            }
            Ok(Served::Closed) => channel.close(soon).await?,
            _ => {}
        }
        end
    }

    async fn serve_one<'h>(
        &mut self,
        deadline: Deadline,
        carry_out: &mut impl AsyncFnMut(&Call<'_>, Deadline) -> Result<Answer<'h>, Failure>,
    ) -> Result<Option<Served>, ControlError> {
        let Self { channel, answering } = self;
        let Opened::Data(request) = channel.receive(deadline).await? else {
            return Ok(Some(Served::Closed));
        };
        let then = match answering.take(request)? {
            None => AfterResponse::Continue,
            Some((call, responder, left)) => {
                let outcome = carry_out(&call, later(Duration::from_millis(left))).await;
                answering.put(responder, outcome)?
            }
        };
        let sent = channel.send(answering.answer.bytes(), later(SEND)).await;
        answering.answer.wipe();
        Ok(served(then, sent)?)
    }
}
