//! One connection: from the host's hello to the end of its session. Nothing here waits.

use mvm_core::guest::{
    AfterResponse, Answer, Call, DispatchError, Dispatcher, Failure, Incoming, Negotiated,
    Responder, Shutdown, SleepPrep, Written,
};
use mvm_core::limits::{FRAME_HEADER_LEN, HANDSHAKE_BODY_MAX, HANDSHAKE_DEADLINE_MS};
use mvm_core::session::{
    Entropy, GuestAwaitingFinish, GuestKey, GuestOptions, GuestSession, Opened, RefusalCode,
    refusal,
};
use mvm_core::wire::frame::{FrameDecoder, FrameProgress};
use zeroize::Zeroize;

use crate::kernel::{self, AGAIN, Fd, INTR};
use crate::machine::uptime_ms;
use crate::requests::{Guest, OFFERED, Outcome, Scratch};

/// Longest body of a frame of a session, in bytes. The longest request of the library's own is below 300.
const BODY_MAX: usize = 2048;
/// Room for what has to be sent: an answer and the close behind it.
const OUTPUT: usize = 1024;
/// Longest answer, in bytes.
const ANSWER_MAX: usize = 512;
/// How long a session lives, in milliseconds.
const LIFETIME_MS: u64 = 3_600_000;
/// How long the rest of a frame may take, and the host to take an answer, in milliseconds.
const STALLED_MS: u64 = 5_000;

/// The buffers of a connection. They lie outside of it, so that those of a place that is never used are
/// never touched.
pub(crate) struct Buffers {
    input: [u8; BODY_MAX + FRAME_HEADER_LEN],
    output: [u8; OUTPUT],
}

impl Buffers {
    pub(crate) const EMPTY: Self = Self {
        input: [0; BODY_MAX + FRAME_HEADER_LEN],
        output: [0; OUTPUT],
    };
}

/// Why a connection ended.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// The host closed the session, or the guest did.
    Closed,
    /// The stream ended without a verified close, or failed.
    Gone,
    /// The handshake was refused.
    Refused(RefusalCode),
    /// What came was no frame, or not the host's, or not in order.
    Broken,
    /// The host was too slow.
    Slow,
    /// Another session took its place, or the time was over.
    Over,
}

impl End {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Gone => "cut off",
            Self::Refused(_) => "refused",
            Self::Broken => "broken",
            Self::Slow => "too slow",
            Self::Over => "over",
        }
    }
}

/// What a turn of a connection leads to.
pub(crate) enum Turn {
    /// It waits for its stream.
    Wait,
    /// There is more to do at once.
    More,
    /// It is over.
    End(End),
    /// Everything has to be flushed, then [`Connection::flushed`] to be called.
    Flush(SleepPrep, Responder),
    /// The answer is on its way, and every session has to end. Whether the guest gives up its instance.
    Asleep { unbind: bool },
    /// The answer is on its way, and the machine has to shut down.
    Shutdown(Shutdown),
}

struct Talk<'k> {
    session: GuestSession<'k>,
    dispatcher: Dispatcher,
    /// A flush is under way, and the next request waits for its end.
    flushing: bool,
}

// There is no heap to put the large ones on.
#[allow(clippy::large_enum_variant)]
enum State<'k> {
    Hello,
    Finish(GuestAwaitingFinish<'k>),
    Talk(Talk<'k>),
    /// What is in the output is the last.
    Last(End),
}

/// A connection of the host.
pub(crate) struct Connection<'k> {
    stream: Fd,
    service: u16,
    progress: FrameProgress,
    /// What of the output is still to be sent.
    unsent: core::ops::Range<usize>,
    state: State<'k>,
    began_ms: u64,
    /// Since when it waits for the rest of a frame, or for the host to take an answer.
    stalled_ms: Option<u64>,
}

impl<'k> Connection<'k> {
    pub(crate) fn new(stream: Fd, service: u16) -> Self {
        Self {
            stream,
            service,
            progress: FrameProgress::new(HANDSHAKE_BODY_MAX),
            unsent: 0..0,
            state: State::Hello,
            began_ms: uptime_ms(),
            stalled_ms: None,
        }
    }

    pub(crate) const fn stream(&self) -> &Fd {
        &self.stream
    }

    pub(crate) const fn service(&self) -> u16 {
        self.service
    }

    /// Whether it waits for room to send; else for something to receive.
    pub(crate) fn sends(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Whether it waits for a flush, and reads nothing.
    pub(crate) const fn flushes(&self) -> bool {
        matches!(&self.state, State::Talk(talk) if talk.flushing)
    }

    /// When it has to be looked after, whatever its stream does; in milliseconds of the boot clock.
    pub(crate) fn deadline_ms(&self) -> u64 {
        let stalled = self
            .stalled_ms
            .map_or(u64::MAX, |since| since.saturating_add(STALLED_MS));
        match self.state {
            State::Hello | State::Finish(_) => {
                stalled.min(self.began_ms.saturating_add(HANDSHAKE_DEADLINE_MS))
            }
            _ => stalled,
        }
    }

    /// Whether its session still counts; one that does not is over.
    pub(crate) fn still_counts(&self, guest: &Guest) -> bool {
        match &self.state {
            State::Talk(talk) => talk.session.check(&guest.endpoint, &guest.machine).is_ok(),
            _ => true,
        }
    }

    /// Sends what can be sent, and takes at most one frame.
    // Not inlined: a large value that is given is otherwise moved field by field, hundreds of bytes of code.
    #[inline(never)]
    pub(crate) fn turn(
        &mut self,
        key: &'k GuestKey,
        guest: &mut Guest,
        buffers: &mut Buffers,
    ) -> Turn {
        if self.deadline_ms() <= uptime_ms() {
            return Turn::End(End::Slow);
        }
        if self.sends() {
            match self.push(buffers) {
                Ok(true) => {}
                Ok(false) => return Turn::Wait,
                Err(end) => return Turn::End(end),
            }
        }
        if let State::Last(end) = self.state {
            return Turn::End(end);
        }
        if self.flushes() {
            return Turn::Wait;
        }
        match self.frame(key, guest, buffers) {
            Some(turn) => turn,
            None => self.pull(buffers),
        }
    }

    /// Writes what is in the output; `true` once all of it has been taken.
    fn push(&mut self, buffers: &Buffers) -> Result<bool, End> {
        let rest = buffers.output.get(self.unsent.clone()).unwrap_or_default();
        match kernel::write(&self.stream, rest) {
            Ok(sent) => {
                self.unsent.start = self.unsent.start.saturating_add(sent);
                // An answer has a limited time from its beginning to its end.
                if !self.sends() {
                    self.stalled_ms = None;
                }
                Ok(!self.sends())
            }
            Err(AGAIN | INTR) => Ok(false),
            Err(_) => Err(End::Gone),
        }
    }

    /// Reads what has come.
    fn pull(&mut self, buffers: &mut Buffers) -> Turn {
        let mut decoder = FrameDecoder::resume(&mut buffers.input, self.progress);
        let turn = match kernel::read(&self.stream, decoder.space()) {
            Ok(0) => Turn::End(End::Gone),
            Ok(got) => {
                decoder.advance(got);
                Turn::More
            }
            Err(AGAIN | INTR) => Turn::Wait,
            Err(_) => Turn::End(End::Gone),
        };
        // A frame has a limited time from its first byte to its last.
        match (decoder.is_clean(), self.stalled_ms) {
            (true, _) => self.stalled_ms = None,
            (false, None) => self.stalled_ms = Some(uptime_ms()),
            (false, Some(_)) => {}
        }
        self.progress = decoder.progress();
        turn
    }

    /// Takes the next frame; `None` where not all of it is there.
    fn frame(
        &mut self,
        key: &'k GuestKey,
        guest: &mut Guest,
        buffers: &mut Buffers,
    ) -> Option<Turn> {
        let Buffers { input, output } = buffers;
        let mut decoder = FrameDecoder::resume(input, self.progress);
        decoder.set_limit(self.limit());
        let before = decoder.progress();
        let taken = decoder.next_body().map(|body| body.is_some());
        self.progress = decoder.progress();
        let Ok(taken) = taken else {
            return Some(Turn::End(End::Broken));
        };
        if !taken {
            return None;
        }
        // The same once more, for as long as the buffer lives.
        let body = FrameDecoder::resume(input, before).into_body().ok()??;
        self.stalled_ms = None;
        let result = match &self.state {
            State::Hello => self.hello(key, guest, body, output),
            State::Finish(_) => self.finish(guest, body),
            State::Talk(_) => {
                let result = self.request(guest, body, output);
                // It may have held a seed.
                body.zeroize();
                result
            }
            State::Last(end) => Err(*end),
        };
        Some(result.unwrap_or_else(|end| self.broken(end)))
    }

    /// What came, or was to be sent, was not as it has to be: nothing is sent any more, so that the host does
    /// not see a session that was closed.
    fn broken(&mut self, end: End) -> Turn {
        if let State::Talk(talk) = &mut self.state {
            talk.session.poison();
        }
        Turn::End(end)
    }

    /// Longest body of a frame.
    const fn limit(&self) -> usize {
        match self.state {
            State::Hello | State::Finish(_) => HANDSHAKE_BODY_MAX,
            _ => BODY_MAX,
        }
    }

    fn hello(
        &mut self,
        key: &'k GuestKey,
        guest: &mut Guest,
        body: &[u8],
        out: &mut [u8],
    ) -> Result<Turn, End> {
        let options = GuestOptions {
            service: self.service,
            capabilities: OFFERED.bits(),
            extensions: &[],
            lifetime_ms: LIFETIME_MS,
        };
        let offer = match guest.endpoint.receive(key, options, &guest.machine, body) {
            Ok(offer) => offer,
            Err(error) => {
                let told = refusal(&error);
                if let Some(place) = out.first_chunk_mut() {
                    *place = told.to_frame();
                    self.unsent = 0..place.len();
                }
                self.state = State::Last(End::Refused(told.code));
                return Ok(Turn::More);
            }
        };
        let mut fresh = kernel::random().map_err(|_| End::Broken)?;
        let entropy = Entropy::new(fresh);
        fresh.zeroize();
        let (waiting, len) = offer
            .answer(&mut guest.endpoint, entropy, &guest.machine, out)
            .map_err(|_| End::Broken)?;
        self.unsent = 0..len;
        self.stalled_ms = Some(uptime_ms());
        self.state = State::Finish(waiting);
        Ok(Turn::More)
    }

    fn finish(&mut self, guest: &mut Guest, body: &[u8]) -> Result<Turn, End> {
        let state = core::mem::replace(&mut self.state, State::Last(End::Broken));
        let State::Finish(waiting) = state else {
            return Err(End::Broken);
        };
        let session = waiting
            .finish(&mut guest.endpoint, &guest.machine, body)
            .map_err(|error| End::Refused(refusal(&error).code))?;
        let common = mvm_core::guest::Capabilities::from_bits(session.capabilities());
        let negotiated = Negotiated::guest(OFFERED, common);
        let (instance, generation) = (session.instance().clone(), session.generation());
        let dispatcher = Dispatcher::new(&mut guest.lifecycle, negotiated, instance, generation);
        self.state = State::Talk(Talk {
            session,
            dispatcher,
            flushing: false,
        });
        Ok(Turn::More)
    }

    fn request(&mut self, guest: &mut Guest, body: &[u8], out: &mut [u8]) -> Result<Turn, End> {
        let State::Talk(talk) = &mut self.state else {
            return Err(End::Broken);
        };
        let payload = match talk.session.open(&mut guest.endpoint, &guest.machine, body) {
            Ok(Opened::Data(payload)) => payload,
            // The host knows that nothing is missing only once this side has closed too, as the end does.
            Ok(_) => return Ok(Turn::End(End::Closed)),
            Err(_) => return Err(End::Broken),
        };
        let mut answer = [0; ANSWER_MAX];
        let incoming = talk
            .dispatcher
            .receive(&mut guest.lifecycle, payload, uptime_ms());
        let written = match incoming {
            Ok(Incoming::Call(Call::SleepPrep(prep), responder)) => {
                talk.flushing = true;
                return Ok(Turn::Flush(prep, responder));
            }
            Ok(Incoming::Call(call, responder)) => respond(guest, &call, responder, &mut answer)?,
            Ok(Incoming::Refused(refusal)) => {
                let len = refusal.encode(&mut answer).map_err(|_| End::Broken)?;
                (len, AfterResponse::Continue)
            }
            Err(DispatchError::Ended) => return Err(End::Over),
            _ => return Err(End::Broken),
        };
        self.reply(guest, written, &answer, out)
    }

    /// The flush is over: well, or with the kernel's code.
    pub(crate) fn flushed(
        &mut self,
        responder: Responder,
        result: Result<(), u32>,
        guest: &mut Guest,
        buffers: &mut Buffers,
    ) -> Turn {
        if let State::Talk(talk) = &mut self.state {
            talk.flushing = false;
        }
        let outcome = match result {
            Ok(()) => Outcome::Answer(Answer::SleepPrep),
            Err(code) => Outcome::Fail(Failure::Failed { code }),
        };
        let mut answer = [0; ANSWER_MAX];
        write_answer(guest, &outcome, responder, &mut answer)
            .and_then(|written| self.reply(guest, written, &answer, &mut buffers.output))
            .unwrap_or_else(|end| self.broken(end))
    }

    /// Seals an answer, and what comes after it.
    #[inline(never)]
    fn reply(
        &mut self,
        guest: &mut Guest,
        (len, then): (usize, AfterResponse),
        answer: &[u8],
        out: &mut [u8],
    ) -> Result<Turn, End> {
        let State::Talk(talk) = &mut self.state else {
            return Err(End::Broken);
        };
        let payload = answer.get(..len).unwrap_or_default();
        let sealed = talk
            .session
            .seal(&guest.endpoint, &guest.machine, payload, out);
        self.stalled_ms = Some(uptime_ms());
        // What has to be done is done, whether the answer could be sealed or not.
        let turn = match then {
            AfterResponse::EndSessions { unbind } => Turn::Asleep { unbind },
            AfterResponse::Shutdown(shutdown) => Turn::Shutdown(shutdown),
            _ => {
                self.unsent = 0..sealed.map_err(|_| End::Over)?;
                return Ok(Turn::More);
            }
        };
        let mut end = sealed.unwrap_or(0);
        let rest = out.get_mut(end..).unwrap_or_default();
        let closed = talk.session.close(&guest.endpoint, &guest.machine, rest);
        end = end.saturating_add(closed.unwrap_or(0));
        self.unsent = 0..end;
        let state = core::mem::replace(&mut self.state, State::Last(End::Closed));
        if let State::Talk(talk) = state {
            if let Turn::Asleep { unbind } = turn {
                // It has been asked for in a session that counts.
                let _ = guest
                    .endpoint
                    .prepare_sleep(talk.session, &guest.machine, unbind);
            }
            talk.dispatcher.end(&mut guest.lifecycle);
        }
        Ok(turn)
    }

    /// Its place is needed, or its session no longer counts: says goodbye where it may, and waits for
    /// nothing.
    pub(crate) fn end(mut self, guest: &mut Guest, buffers: &mut Buffers) {
        if let State::Talk(talk) = &mut self.state
            && self.unsent.is_empty()
        {
            let out = &mut buffers.output;
            let closed = talk.session.close(&guest.endpoint, &guest.machine, out);
            self.unsent = 0..closed.unwrap_or(0);
        }
        let _ = self.push(buffers);
        if let State::Talk(talk) = self.state {
            talk.dispatcher.end(&mut guest.lifecycle);
        }
    }
}

/// Carries a call out and writes its answer.
fn respond(
    guest: &mut Guest,
    call: &Call<'_>,
    responder: Responder,
    answer: &mut [u8],
) -> Result<(usize, AfterResponse), End> {
    let mut scratch = Scratch::new();
    let outcome = guest.carry_out(call, &mut scratch);
    write_answer(guest, &outcome, responder, answer)
}

/// Writes what has become of a call.
#[inline(never)]
fn write_answer(
    guest: &mut Guest,
    outcome: &Outcome<'_>,
    responder: Responder,
    answer: &mut [u8],
) -> Result<(usize, AfterResponse), End> {
    let (now, lifecycle) = (uptime_ms(), &mut guest.lifecycle);
    let result = match outcome {
        Outcome::Answer(done) => responder
            .answer(lifecycle, done, now, answer)
            .map(|Written { len, then, .. }| (len, then)),
        Outcome::Fail(failure) => responder
            .fail(lifecycle, *failure, now, answer)
            .map(|len| (len, AfterResponse::Continue)),
    };
    result.map_err(|_| End::Slow)
}
