//! Requests and answers of the [guest vocabulary](crate::guest) on a channel.

use core::time::Duration;
use std::sync::Mutex;

use thiserror_no_std::Error;

use super::answering::{Answering, Asking, SEND, total_ms};
use super::connection::Arrival;
use super::stream::DeadlineStream;
use super::{ChannelError, Deadline, GuestChannel, HostChannel};
use crate::guest::{
    AfterResponse, Answer, BeginError, Call, CallError, Capabilities, Completed, DispatchError,
    Failure, Lifecycle, RespondError, Shutdown,
};
use crate::session::Opened;
use crate::wire::codec::EncodeError;

/// Why a request was not answered. The session is over, unless it says otherwise.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The channel failed.
    #[error("{0}")]
    Channel(ChannelError),
    /// The request was not begun; the session goes on, except for [`BeginError::Over`].
    #[error("{0}")]
    Begin(BeginError),
    /// What came is not the answer, or not in time.
    #[error("{0}")]
    Call(CallError),
    /// What came is no request.
    #[error("{0}")]
    Dispatch(DispatchError),
    /// The answer could not be given.
    #[error("{0}")]
    Respond(RespondError),
    /// An answer that refuses a request could not be written.
    #[error("{0}")]
    Encode(EncodeError),
    /// The peer closed its direction instead of answering.
    #[error("the peer closed the session instead of answering")]
    Closed,
}

impl_error!(ControlError);

macro_rules! from {
    ($($error:ty => $variant:ident),* $(,)?) => {$(
        impl From<$error> for ControlError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

from! {
    ChannelError => Channel,
    BeginError => Begin,
    CallError => Call,
    DispatchError => Dispatch,
    RespondError => Respond,
    EncodeError => Encode,
}

impl ControlError {
    /// The channel's error, where it is one.
    #[must_use]
    pub const fn channel(&self) -> Option<&ChannelError> {
        match self {
            Self::Channel(error) => Some(error),
            _ => None,
        }
    }
}

/// The host's side: one request at a time, and the answer that belongs to it.
///
/// A request that is not answered within its total deadline ends the session, and so does an answer
/// that is late, repeated, or to something else.
#[derive(Debug)]
pub struct Caller<'a, S> {
    channel: HostChannel<'a, S>,
    asking: Asking,
}

impl<'a, S: DeadlineStream> Caller<'a, S> {
    /// On a channel whose handshake offered `offered`.
    #[must_use]
    pub fn new(channel: HostChannel<'a, S>, offered: Capabilities) -> Self {
        let asking = Asking::new(channel.session(), offered);
        Self { channel, asking }
    }

    /// The channel.
    pub const fn channel(&self) -> &HostChannel<'a, S> {
        &self.channel
    }

    /// Sends a request and waits for its answer, for `total` altogether (whole milliseconds, at
    /// most 49 days).
    ///
    /// # Errors
    /// [`ControlError::Channel`], [`ControlError::Begin`], [`ControlError::Call`],
    /// [`ControlError::Closed`]. A guest that answered that it did not do it is no error: that is in
    /// [`Completed::outcome`].
    pub fn call(
        &mut self,
        call: &Call<'_>,
        total: Duration,
    ) -> Result<Completed<'_>, ControlError> {
        let total_ms = total_ms(total);
        let deadline = Deadline::after_millis(u64::from(total_ms));
        self.ask(call, total_ms, deadline)?;
        self.answer(deadline)
    }

    /// Sends a request and waits until something has come that may be its answer.
    pub(super) fn ask(
        &mut self,
        call: &Call<'_>,
        total_ms: u32,
        deadline: Deadline,
    ) -> Result<(), ControlError> {
        let Self { channel, asking } = self;
        // So that nothing is in flight on a session that is over.
        channel.check()?;
        let env = channel.core.local.env;
        asking.begin(call, total_ms, env)?;
        let sent = channel.send(asking.request.bytes(), deadline);
        asking.request.wipe();
        sent?;
        match channel.arrival(deadline)? {
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

    /// Takes what has come.
    pub(super) fn answer(&mut self, deadline: Deadline) -> Result<Completed<'_>, ControlError> {
        let env = self.channel.core.local.env;
        let (session, opened) = self.channel.receive_and(deadline)?;
        self.asking.accept(session, opened, env)
    }

    /// Whether nothing has come that was not asked for, and the stream has not ended.
    #[cfg(unix)]
    pub(super) fn is_quiet(&mut self, deadline: Deadline) -> bool {
        matches!(self.channel.arrival(deadline), Ok(Arrival::NotYet))
    }

    /// Closes the session, see [`Channel::close`](super::Channel::close).
    ///
    /// # Errors
    /// As there.
    pub fn close(self, deadline: Deadline) -> Result<(), ChannelError> {
        self.channel.close(deadline)
    }

    /// The channel, without the requests.
    pub fn into_channel(self) -> HostChannel<'a, S> {
        self.channel
    }
}

/// How a session that was served came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Served {
    /// The host closed it, and so has this side.
    Closed,
    /// The guest is asleep: every session and pending handshake has ended.
    Asleep {
        /// Whether the guest gave up its binding too.
        unbound: bool,
    },
    /// The host was told that the guest will shut down; that is the caller's to do now.
    Shutdown(Shutdown),
}

/// The guest's side: takes requests, has them carried out, sends the answers, until the session
/// ends.
///
/// The lifecycle belongs to the guest and not to the session; it is locked for moments, and never
/// while a request is carried out.
#[derive(Debug)]
pub struct Server<'a, S> {
    channel: GuestChannel<'a, S>,
    answering: Answering<'a>,
}

impl<'a, S: DeadlineStream> Server<'a, S> {
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
    /// every request that may be carried out now, and the deadline for doing so.
    ///
    /// # Errors
    /// [`ControlError::Channel`], [`ControlError::Dispatch`], [`ControlError::Respond`],
    /// [`ControlError::Encode`]. The session is over.
    pub fn serve<'h>(
        mut self,
        idle: Duration,
        mut carry_out: impl FnMut(&Call<'_>, Deadline) -> Result<Answer<'h>, Failure>,
    ) -> Result<Served, ControlError> {
        let end = loop {
            match self.serve_one(Deadline::after(idle), &mut carry_out) {
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
        let soon = Deadline::after(SEND);
        match end {
            Ok(Served::Asleep { unbound }) => {
                // Says goodbye, as far as the host still listens.
                let said = channel.finish(soon);
                let (session, _connection) = channel.into_parts();
                answering.fall_asleep(session, unbound, said)?;
            }
            Ok(Served::Closed) => channel.close(soon)?,
            _ => {}
        }
        end
    }

    fn serve_one<'h>(
        &mut self,
        deadline: Deadline,
        carry_out: &mut dyn FnMut(&Call<'_>, Deadline) -> Result<Answer<'h>, Failure>,
    ) -> Result<Option<Served>, ControlError> {
        let Self { channel, answering } = self;
        let Opened::Data(request) = channel.receive(deadline)? else {
            return Ok(Some(Served::Closed));
        };
        let then = match answering.take(request)? {
            None => AfterResponse::Continue,
            Some((call, responder, left)) => {
                let outcome = carry_out(&call, Deadline::after_millis(left));
                answering.put(responder, outcome)?
            }
        };
        let sent = channel.send(answering.answer.bytes(), Deadline::after(SEND));
        answering.answer.wipe();
        Ok(served(then, sent)?)
    }
}

/// How the session goes on, or came to its end, once an answer was sent.
pub(super) fn served(
    then: AfterResponse,
    sent: Result<(), ChannelError>,
) -> Result<Option<Served>, ChannelError> {
    Ok(match then {
        // Also where the answer could not be sent: the guest is asleep.
        AfterResponse::EndSessions { unbind } => Some(Served::Asleep { unbound: unbind }),
        AfterResponse::Shutdown(shutdown) => {
            sent?;
            Some(Served::Shutdown(shutdown))
        }
        AfterResponse::Continue => {
            sent?;
            None
        }
    })
}
