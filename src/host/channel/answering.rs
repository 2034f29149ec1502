//! Requests and answers between reads and writes, whatever those are done with.

use core::time::Duration;
use std::sync::{Mutex, MutexGuard};

use alloc::vec;
use alloc::vec::Vec;
use zeroize::Zeroize;

use super::control::ControlError;
use super::{ChannelError, Local};
use crate::guest::{
    AfterResponse, Answer, Call, Calls, Capabilities, Completed, Dispatcher, Failure, Incoming,
    Lifecycle, Negotiated, Responder,
};
use crate::limits::{CONTROL_MESSAGE_MAX, HANDSHAKE_DEADLINE_MS};
use crate::session::{Environment, GuestEndpoint, HostSession, Opened, Session};

/// How long a guest takes at most to get an answer, or its close, out. It bounds what a host costs that
/// does not read, and is as long as a handshake may take: a busy machine must not look like such a host.
pub(super) const SEND: Duration = Duration::from_millis(HANDSHAKE_DEADLINE_MS);

/// A message on its way out; wiped when it is done with.
#[derive(Debug)]
pub(super) struct Message {
    bytes: Vec<u8>,
    len: usize,
}

impl Message {
    fn new() -> Self {
        Self {
            bytes: vec![0; CONTROL_MESSAGE_MAX],
            len: 0,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(super) fn wipe(&mut self) {
        if let Some(message) = self.bytes.get_mut(..self.len) {
            message.zeroize();
        }
        self.len = 0;
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// The host's side of a session: what it has asked.
#[derive(Debug)]
pub(super) struct Asking {
    calls: Calls<1>,
    pub(super) request: Message,
}

/// Whole milliseconds of a total time.
pub(super) fn total_ms(total: Duration) -> u32 {
    u32::try_from(total.as_millis()).unwrap_or(u32::MAX)
}

impl Asking {
    pub(super) fn new(session: &HostSession<'_>, offered: Capabilities) -> Self {
        let common = Capabilities::from_bits(session.capabilities());
        Self {
            calls: Calls::new(Negotiated::host(offered, common)),
            request: Message::new(),
        }
    }

    /// Writes the request, which has to be sent.
    pub(super) fn begin(
        &mut self,
        call: &Call<'_>,
        total_ms: u32,
        env: &dyn Environment,
    ) -> Result<(), ControlError> {
        let now = env.monotonic_millis();
        let (_, len) = self
            .calls
            .begin(call, total_ms, now, &mut self.request.bytes)?;
        self.request.len = len;
        Ok(())
    }

    /// The wait for the answer is over, and it has not come.
    pub(super) fn expired(&mut self, env: &dyn Environment) -> ControlError {
        match self.calls.check(env.monotonic_millis()) {
            Err(error) => error.into(),
            // By that clock it is the last millisecond still; the wait is over all the same.
            Ok(_) => {
                let doing = super::Doing::Receiving;
                ChannelError::Expired { doing }.into()
            }
        }
    }

    /// What came is the answer, or the session is over.
    pub(super) fn accept<'b>(
        &mut self,
        session: &mut HostSession<'_>,
        opened: Opened<'b>,
        env: &dyn Environment,
    ) -> Result<Completed<'b>, ControlError> {
        let Opened::Data(answer) = opened else {
            return Err(ControlError::Closed);
        };
        let completed = self.calls.accept(answer, env.monotonic_millis());
        Ok(completed.inspect_err(|_| session.poison())?)
    }
}

/// The guest's side of a session: takes requests apart and puts answers together. When it goes, however
/// that comes, nobody is left draining, and no session is left open of a guest that is asleep.
#[derive(Debug)]
pub(super) struct Answering<'a> {
    local: Local<'a, GuestEndpoint>,
    lifecycle: &'a Mutex<Lifecycle>,
    /// `None` once the session's requests are over.
    dispatcher: Option<Dispatcher>,
    asleep: bool,
    pub(super) answer: Message,
}

/// A request that is to be carried out, in so many milliseconds.
pub(super) type Taken<'b> = (Call<'b>, Responder, u64);

fn lock(lifecycle: &Mutex<Lifecycle>) -> Result<MutexGuard<'_, Lifecycle>, ChannelError> {
    lifecycle.lock().map_err(|_| ChannelError::LockPoisoned)
}

impl<'a> Answering<'a> {
    pub(super) fn new(
        session: &Session<'a, GuestEndpoint>,
        local: Local<'a, GuestEndpoint>,
        offered: Capabilities,
        lifecycle: &'a Mutex<Lifecycle>,
    ) -> Result<Self, ChannelError> {
        let common = Capabilities::from_bits(session.capabilities());
        let negotiated = Negotiated::guest(offered, common);
        let (instance, generation) = (session.instance().clone(), session.generation());
        let dispatcher = Dispatcher::new(&mut *lock(lifecycle)?, negotiated, instance, generation);
        Ok(Self {
            local,
            lifecycle,
            dispatcher: Some(dispatcher),
            asleep: false,
            answer: Message::new(),
        })
    }

    /// Takes a request. `None` if it was refused: then its answer is there.
    pub(super) fn take<'b>(
        &mut self,
        request: &'b [u8],
    ) -> Result<Option<Taken<'b>>, ControlError> {
        let now = self.local.env.monotonic_millis();
        let Some(dispatcher) = &mut self.dispatcher else {
            return Err(ControlError::Closed);
        };
        let incoming = dispatcher.receive(&mut *lock(self.lifecycle)?, request, now)?;
        Ok(match incoming {
            Incoming::Refused(refusal) => {
                self.answer.len = refusal.encode(&mut self.answer.bytes)?;
                None
            }
            Incoming::Call(call, responder) => {
                let left = responder.remaining_ms(now);
                Some((call, responder, left))
            }
        })
    }

    /// Writes the answer, which has to be sent, and says what to do then.
    pub(super) fn put(
        &mut self,
        responder: Responder,
        outcome: Result<Answer<'_>, Failure>,
    ) -> Result<AfterResponse, ControlError> {
        let mut lifecycle = lock(self.lifecycle)?;
        let now = self.local.env.monotonic_millis();
        let bytes = &mut self.answer.bytes;
        let then = match outcome {
            Ok(answer) => {
                let written = responder.answer(&mut lifecycle, &answer, now, bytes)?;
                self.answer.len = written.len;
                written.then
            }
            Err(failure) => {
                self.answer.len = responder.fail(&mut lifecycle, failure, now, bytes)?;
                AfterResponse::Continue
            }
        };
        self.asleep = matches!(then, AfterResponse::EndSessions { .. });
        Ok(then)
    }

    /// No more requests of this session. A sleep that was not answered leaves nobody draining.
    pub(super) fn end(&mut self) -> Result<(), ChannelError> {
        if let Some(dispatcher) = self.dispatcher.take() {
            dispatcher.end(&mut *lock(self.lifecycle)?);
        }
        Ok(())
    }

    /// The guest is asleep: ends every session. `said` is what became of the close; where it could not be
    /// said, the session proves nothing any more, but the lifecycle says that the guest sleeps.
    pub(super) fn fall_asleep(
        &mut self,
        session: Session<'_, GuestEndpoint>,
        unbind: bool,
        said: Result<(), ChannelError>,
    ) -> Result<(), ChannelError> {
        let mut endpoint = self.local.lock()?;
        self.asleep = false;
        if said.is_err() {
            endpoint.end_all();
            return said;
        }
        let ended = endpoint.prepare_sleep(session, self.local.env, unbind);
        ended.map_err(|ended| ChannelError::Open(ended.into()))
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        // Given up half-way. A lock that is poisoned serves nobody any more.
        let _ = self.end();
        if self.asleep
            && let Ok(mut endpoint) = self.local.lock()
        {
            endpoint.end_all();
        }
    }
}
