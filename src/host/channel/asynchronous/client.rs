//! The client that keeps a session with a guest, on a runtime of tokio's.

use ::core::time::Duration;

use ::tokio::net::UnixStream;
use ::tokio::time::{Instant, sleep};

use super::connection::later;
use super::{Caller, HostChannel};
use crate::guest::{Call, Completed};
use crate::host::channel::answering::total_ms;
use crate::host::channel::client::{LOOK, Plan, QUIET, Step, ends_sessions, unanswered};
use crate::host::channel::{
    ChannelError, ClientError, ClientOptions, ControlError, Deadline, Dial, Local,
};
use crate::session::HostEndpoint;

/// A client of one guest in one incarnation of its instance, as the blocking
/// [`GuestClient`](crate::channel::GuestClient): the same decisions, the same errors.
///
/// A call that is dropped ends its session, see [`Caller::call`]; the next call opens another. Nobody knows
/// then what became of the request.
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
    pub async fn call(
        &mut self,
        call: &Call<'_>,
        total: Duration,
    ) -> Result<Completed<'_>, ClientError> {
        let deadline = later(Duration::from_millis(u64::from(total_ms(total))));
        self.plan.begin();
        loop {
            if let Err(error) = self.plan.check() {
                self.caller = None;
                return Err(error);
            }
            match self.attempt(call, deadline).await {
                Ok(()) => break,
                Err(Step::Stop(error)) => {
                    self.caller = None;
                    return Err(error);
                }
                Err(Step::Again(error)) => {
                    self.caller = None;
                    match self.plan.pause() {
                        Some(pause) if pause < left(deadline) => sleep(pause).await,
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
        let answered = caller.answer(deadline).await;
        answered.map_err(|error| unanswered(call, error))
    }

    async fn attempt(&mut self, call: &Call<'_>, deadline: Deadline) -> Result<(), Step> {
        let look = self.ending || self.used.elapsed() >= QUIET;
        if let Some(caller) = &mut self.caller
            && look
            && !caller.is_quiet(later(LOOK)).await
        {
            self.caller = None;
        }
        let Self { plan, caller, .. } = self;
        let caller = match caller {
            Some(caller) => caller,
            None => caller.insert(open(plan, deadline).await?),
        };
        let asked = caller.ask(call, total_ms(left(deadline)), deadline).await;
        asked.map_err(|error| plan.failed(call, error))
    }

    /// Closes the session, if there is one, so that both sides know that nothing is missing.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn close(self, deadline: Deadline) -> Result<(), ChannelError> {
        match self.caller {
            Some(caller) => caller.close(deadline).await,
            None => Ok(()),
        }
    }
}

fn left(deadline: Deadline) -> Duration {
    Instant::from_std(deadline.instant()).saturating_duration_since(Instant::now())
}

async fn open<'a>(plan: &mut Plan<'a>, deadline: Deadline) -> Result<Caller<'a, UnixStream>, Step> {
    let dialled = plan.dial.dial_async(deadline).await;
    let connection = dialled.map_err(|error| Step::Stop(ClientError::Dial(error)))?;
    let options = plan.host_options();
    let channel = HostChannel::connect(connection, plan.local, options, deadline)
        .await
        .map_err(|error| plan.no_session(error))?;
    plan.greet(channel.session())?;
    Ok(Caller::new(channel, plan.options.offered))
}
