//! A guest's program: handshakes, and then requests until the host closes.

use mvm_core::guest::{
    AfterResponse, Answer, Call, Capabilities, Component, ComponentName, ComponentState,
    Dispatcher, Failure, Incoming, Lifecycle, Negotiated, Pong, StatusReport, Step, StepOutcome,
    Wake, WakeReport,
};
use mvm_core::limits::{FRAME_HEADER_LEN, HANDSHAKE_BODY_MAX};
use mvm_core::session::{
    Entropy, Environment, GuestAwaitingFinish, GuestEndpoint, GuestKey, GuestOptions,
    GuestPublicKey, GuestSession, HandshakeError, Opened, refusal,
};
use mvm_core::wire::frame::FrameDecoder;

/// What the guest runs on.
pub trait Machine {
    /// Sends bytes.
    fn write(&self, bytes: &[u8]);
    /// 32 fresh bytes.
    fn entropy(&self) -> [u8; 32];
    /// Sets the clock; `false` if there is none.
    fn set_clock(&self, seconds: i64) -> bool;
    /// Keeps a new key; `false` if it cannot.
    fn keep_key(&self, public: &GuestPublicKey) -> bool;
}

/// Room for the largest frame of this guest.
pub const BUFFER: usize = 2048;

/// Where the guest puts what it sends.
pub struct Output {
    /// An answer before it is sealed.
    answer: [u8; BUFFER / 2],
    /// The frame.
    frame: [u8; BUFFER],
}

impl Output {
    /// Empty.
    pub const fn new() -> Self {
        Self {
            answer: [0; BUFFER / 2],
            frame: [0; BUFFER],
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a connection ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The stream ended without a verified close, or could not be cut into frames.
    Stream,
    /// The handshake failed, and the host was told.
    Handshake,
    /// A frame, a request or an answer was wrong.
    Session,
}

/// What a guest is, across connections.
pub struct Guest<'k> {
    /// Its key.
    pub key: &'k GuestKey,
    /// Whom it trusts, and what it is bound to.
    pub endpoint: GuestEndpoint,
    /// Awake or not.
    pub lifecycle: Lifecycle,
    /// Service number.
    pub service: u16,
}

/// How far a connection has come.
enum Stage<'k> {
    Hello,
    Finish(GuestAwaitingFinish<'k>),
    Open(GuestSession<'k>, Dispatcher),
    Over,
}

/// A connection: its stream as it comes, and how far it has come.
pub struct Connection<'k, 'b> {
    decoder: FrameDecoder<'b>,
    stage: Stage<'k>,
    answered: u32,
}

impl<'k, 'b> Connection<'k, 'b> {
    /// A host has connected.
    pub fn new(input: &'b mut [u8]) -> Self {
        Self {
            decoder: FrameDecoder::new(input, HANDSHAKE_BODY_MAX),
            stage: Stage::Hello,
            answered: 0,
        }
    }

    /// Where the next bytes of the stream belong.
    pub fn space(&mut self) -> &mut [u8] {
        self.decoder.space()
    }

    /// Requests that were answered.
    pub fn answered(&self) -> u32 {
        self.answered
    }

    /// Works on `count` bytes that were put into the space; 0 is the end of the stream. `false` once
    /// the connection is over, as it should be.
    pub fn received(
        &mut self,
        count: usize,
        guest: &mut Guest<'k>,
        machine: &dyn Machine,
        env: &dyn Environment,
        output: &mut Output,
    ) -> Result<bool, Stopped> {
        if count == 0 {
            return Err(Stopped::Stream);
        }
        self.decoder.advance(count);
        while let Some(body) = self.decoder.next_body().map_err(|_| Stopped::Stream)? {
            let next = match &mut self.stage {
                Stage::Open(session, dispatcher) => {
                    self.answered = self.answered.wrapping_add(1);
                    request(guest, machine, env, session, dispatcher, body, output)?
                }
                Stage::Hello => hello(guest, machine, env, &mut self.stage, body, output)?,
                Stage::Finish(_) => finish(guest, env, &mut self.stage, body)?,
                Stage::Over => return Err(Stopped::Session),
            };
            if !matches!(next, Next::Continue) {
                end(guest, env, &mut self.stage, next)?;
            }
        }
        match self.stage {
            Stage::Over => return Ok(false),
            Stage::Open(..) => self.decoder.set_limit(BUFFER - FRAME_HEADER_LEN),
            _ => {}
        }
        Ok(true)
    }
}

/// What comes after a request.
enum Next {
    Continue,
    Over,
    Sleep { unbind: bool },
}

/// Ends a session.
#[inline(never)]
fn end<'k>(
    guest: &mut Guest<'k>,
    env: &dyn Environment,
    stage: &mut Stage<'k>,
    next: Next,
) -> Result<(), Stopped> {
    let Stage::Open(session, dispatcher) = core::mem::replace(stage, Stage::Over) else {
        return Err(Stopped::Session);
    };
    dispatcher.end(&mut guest.lifecycle);
    match next {
        Next::Sleep { unbind } => guest
            .endpoint
            .prepare_sleep(session, env, unbind)
            .map_err(|_| Stopped::Session),
        _ => Ok(()),
    }
}

#[inline(never)]
fn hello<'k>(
    guest: &mut Guest<'k>,
    machine: &dyn Machine,
    env: &dyn Environment,
    stage: &mut Stage<'k>,
    body: &[u8],
    output: &mut Output,
) -> Result<Next, Stopped> {
    let output = &mut output.frame;
    let options = GuestOptions {
        service: guest.service,
        capabilities: Capabilities::KNOWN.bits(),
        extensions: &[],
        lifetime_ms: 3_600_000,
    };
    let offer = match guest.endpoint.receive(guest.key, options, env, body) {
        Ok(offer) => offer,
        Err(error) => {
            machine.write(&refusal(&error).to_frame());
            return Err(Stopped::Handshake);
        }
    };
    let entropy = Entropy::new(machine.entropy());
    let (waiting, len) = offer
        .answer(&mut guest.endpoint, entropy, env, output)
        .map_err(|_| Stopped::Handshake)?;
    machine.write(output.get(..len).unwrap_or_default());
    *stage = Stage::Finish(waiting);
    Ok(Next::Continue)
}

/// Verifying takes most of the stack, so what comes before and after it has frames of its own.
#[inline(never)]
fn finish<'k>(
    guest: &mut Guest<'k>,
    env: &dyn Environment,
    stage: &mut Stage<'k>,
    body: &[u8],
) -> Result<Next, Stopped> {
    let waiting = take_waiting(stage)?;
    let session = waiting.finish(&mut guest.endpoint, env, body);
    open(guest, stage, session)
}

#[inline(never)]
fn take_waiting<'k>(stage: &mut Stage<'k>) -> Result<GuestAwaitingFinish<'k>, Stopped> {
    match core::mem::replace(stage, Stage::Over) {
        Stage::Finish(waiting) => Ok(waiting),
        _ => Err(Stopped::Session),
    }
}

#[inline(never)]
fn open<'k>(
    guest: &mut Guest<'k>,
    stage: &mut Stage<'k>,
    session: Result<GuestSession<'k>, HandshakeError>,
) -> Result<Next, Stopped> {
    let session = session.map_err(|_| Stopped::Handshake)?;
    let common = Capabilities::from_bits(session.capabilities());
    let dispatcher = Dispatcher::new(
        &mut guest.lifecycle,
        Negotiated::guest(Capabilities::KNOWN, common),
        session.instance().clone(),
        session.generation(),
    );
    *stage = Stage::Open(session, dispatcher);
    Ok(Next::Continue)
}

#[inline(never)]
fn request(
    guest: &mut Guest<'_>,
    machine: &dyn Machine,
    env: &dyn Environment,
    session: &mut GuestSession<'_>,
    dispatcher: &mut Dispatcher,
    body: &[u8],
    output: &mut Output,
) -> Result<Next, Stopped> {
    let Output { answer, frame } = output;
    let opened = session
        .open(&mut guest.endpoint, env, body)
        .map_err(|_| Stopped::Session)?;
    let Opened::Data(payload) = opened else {
        close(guest, machine, env, session, frame)?;
        return Ok(Next::Over);
    };
    let (len, then) = dispatch(guest, machine, env, dispatcher, payload, answer)?;
    let answer = answer.get(..len).unwrap_or_default();
    let len = session
        .seal(&guest.endpoint, env, answer, frame)
        .map_err(|_| Stopped::Session)?;
    machine.write(frame.get(..len).unwrap_or_default());
    match then {
        AfterResponse::Continue => Ok(Next::Continue),
        AfterResponse::EndSessions { unbind } => Ok(Next::Sleep { unbind }),
        _ => {
            close(guest, machine, env, session, frame)?;
            Ok(Next::Over)
        }
    }
}

/// Reads a request, carries it out and writes its answer.
#[inline(never)]
fn dispatch(
    guest: &mut Guest<'_>,
    machine: &dyn Machine,
    env: &dyn Environment,
    dispatcher: &mut Dispatcher,
    payload: &[u8],
    answer: &mut [u8],
) -> Result<(usize, AfterResponse), Stopped> {
    let now = env.monotonic_millis();
    let incoming = dispatcher
        .receive(&mut guest.lifecycle, payload, now)
        .map_err(|_| Stopped::Session)?;
    let lifecycle = &mut guest.lifecycle;
    Ok(match incoming {
        Incoming::Call(call, responder) => match carry_out(&call, lifecycle, machine, now) {
            Ok(result) => {
                let written = responder
                    .answer(lifecycle, &result, now, answer)
                    .map_err(|_| Stopped::Session)?;
                (written.len, written.then)
            }
            Err(failure) => {
                let len = responder
                    .fail(lifecycle, failure, now, answer)
                    .map_err(|_| Stopped::Session)?;
                (len, AfterResponse::Continue)
            }
        },
        Incoming::Refused(refusal) => {
            let len = refusal.encode(answer).map_err(|_| Stopped::Session)?;
            (len, AfterResponse::Continue)
        }
        _ => return Err(Stopped::Session),
    })
}

fn close(
    guest: &Guest<'_>,
    machine: &dyn Machine,
    env: &dyn Environment,
    session: &mut GuestSession<'_>,
    frame: &mut [u8],
) -> Result<(), Stopped> {
    let len = session
        .close(&guest.endpoint, env, frame)
        .map_err(|_| Stopped::Session)?;
    machine.write(frame.get(..len).unwrap_or_default());
    Ok(())
}

/// Does what a request asks for.
fn carry_out<'a>(
    call: &Call<'a>,
    lifecycle: &Lifecycle,
    machine: &dyn Machine,
    now: u64,
) -> Result<Answer<'a>, Failure> {
    match call {
        Call::Ping(ping) => Ok(Answer::Pong(Pong {
            nonce: ping.nonce,
            uptime_ms: now,
        })),
        Call::Status => {
            let mut report = StatusReport::new(lifecycle, now);
            if let Ok(name) = ComponentName::new("program") {
                let component = Component {
                    name,
                    state: ComponentState::Ready,
                    since_ms: 0,
                };
                report
                    .components
                    .push(component)
                    .map_err(|_| Failure::Failed { code: 2 })?;
            }
            Ok(Answer::Status(report))
        }
        Call::SleepPrep(_) => Ok(Answer::SleepPrep),
        Call::Wake(request) => Ok(Answer::Wake(wake(request, machine))),
        Call::Shutdown(_) => Ok(Answer::Shutdown),
        // The fleet's own message: this one sends it back.
        Call::Extension(extension) => Ok(Answer::Extension(extension.body)),
        other => Err(Failure::Unsupported { op: other.op() }),
    }
}

/// Does what a wake asks for.
fn wake(wake: &Wake, machine: &dyn Machine) -> WakeReport {
    let steps = wake.steps();
    let mut report = WakeReport::new(steps);
    let outcome = |done| {
        if done {
            StepOutcome::Done
        } else {
            StepOutcome::Failed { code: 1 }
        }
    };
    report.set(Step::Entropy, StepOutcome::Done);
    report.set(
        Step::Clock,
        outcome(machine.set_clock(wake.wall_clock.seconds())),
    );
    if let Some(identity) = &wake.identity {
        report.set(Step::Identity, outcome(!identity.as_str().is_empty()));
    }
    if let Some(network) = &wake.network {
        report.set(Step::Network, outcome(network.gateway_is_reachable()));
    }
    if let Some(key) = &wake.new_guest_key {
        let key = GuestKey::from_seed(key.secret_bytes());
        report.set(Step::Key, outcome(machine.keep_key(&key.public())));
    }
    report
}
