//! One connection: from the host's hello to the end of its session. Nothing here waits.

use mvm_core::guest::{
    AfterResponse, Call, DispatchError, Dispatcher, Failure, Incoming, Negotiated, Responder,
    Shutdown, SleepPrep, Written,
};
use mvm_core::limits::{FRAME_HEADER_LEN, HANDSHAKE_BODY_MAX, HANDSHAKE_DEADLINE_MS};
use mvm_core::session::{
    Entropy, GuestAwaitingFinish, GuestKey, GuestOptions, GuestSession, Opened, RefusalCode,
    refusal,
};
use mvm_core::wire::frame::{FrameDecoder, FrameProgress};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use zeroize::Zeroize;

use crate::boot;
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
            Self::Closed => " closed: ",
            Self::Gone => " cut off: ",
            Self::Refused(_) => " refused: code ",
            Self::Broken => " broken: ",
            Self::Slow => " too slow: ",
            Self::Over => " over: ",
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
    stream: OwnedFd,
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
    pub(crate) fn new(stream: OwnedFd, service: u16) -> Self {
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

    pub(crate) const fn stream(&self) -> &OwnedFd {
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
            Ok(Some(turn)) => turn,
            Ok(None) => self.pull(buffers),
            Err(end) => Turn::End(end),
        }
    }

    /// Writes what is in the output; `true` once all of it has been taken.
    fn push(&mut self, buffers: &Buffers) -> Result<bool, End> {
        let rest = buffers.output.get(self.unsent.clone()).unwrap_or_default();
        match send(
            &self.stream,
            rest,
            SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        ) {
            Ok(sent) => {
                self.unsent.start = self.unsent.start.saturating_add(sent);
                // An answer has a limited time from its beginning to its end.
                if !self.sends() {
                    self.stalled_ms = None;
                }
                Ok(!self.sends())
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(_) => Err(End::Gone),
        }
    }

    /// Reads what has come.
    fn pull(&mut self, buffers: &mut Buffers) -> Turn {
        let mut decoder = FrameDecoder::resume(&mut buffers.input, self.progress);
        let turn = match rustix::io::read(&self.stream, decoder.space()) {
            Ok(0) => Turn::End(End::Gone),
            Ok(got) => {
                decoder.advance(got);
                Turn::More
            }
            Err(Errno::AGAIN | Errno::INTR) => Turn::Wait,
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

    /// Takes the next frame, if all of it is there.
    fn frame(
        &mut self,
        key: &'k GuestKey,
        guest: &mut Guest,
        buffers: &mut Buffers,
    ) -> Result<Option<Turn>, End> {
        let Buffers { input, output } = buffers;
        let mut decoder = FrameDecoder::resume(input, self.progress);
        decoder.set_limit(self.limit());
        let before = decoder.progress();
        let taken = decoder.next_body().map(|body| body.is_some());
        self.progress = decoder.progress();
        match taken {
            Ok(false) => return Ok(None),
            Err(_) => return Err(End::Broken),
            Ok(true) => {}
        }
        // The same once more, for as long as the buffer lives.
        let body = FrameDecoder::resume(input, before).into_body();
        let body = body.ok().flatten().ok_or(End::Broken)?;
        self.stalled_ms = None;
        match core::mem::replace(&mut self.state, State::Last(End::Broken)) {
            State::Hello => self.hello(key, guest, body, output).map(Some),
            State::Finish(waiting) => self.finish(waiting, guest, body).map(Some),
            State::Talk(talk) => {
                let turn = self.request(talk, guest, body, output);
                // It may have held a seed.
                body.zeroize();
                turn.map(Some)
            }
            State::Last(end) => Err(end),
        }
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
                let frame = told.to_frame();
                if let Some(place) = out.get_mut(..frame.len()) {
                    place.copy_from_slice(&frame);
                    self.unsent = 0..frame.len();
                }
                self.state = State::Last(End::Refused(told.code));
                return Ok(Turn::More);
            }
        };
        let mut fresh = boot::random().map_err(|_| End::Broken)?;
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

    fn finish(
        &mut self,
        waiting: GuestAwaitingFinish<'k>,
        guest: &mut Guest,
        body: &[u8],
    ) -> Result<Turn, End> {
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

    fn request(
        &mut self,
        mut talk: Talk<'k>,
        guest: &mut Guest,
        body: &[u8],
        out: &mut [u8],
    ) -> Result<Turn, End> {
        let now = uptime_ms();
        let payload = match talk.session.open(&mut guest.endpoint, &guest.machine, body) {
            Ok(Opened::Data(payload)) => payload,
            Ok(_) => {
                talk.dispatcher.end(&mut guest.lifecycle);
                return Err(End::Closed);
            }
            Err(_) => {
                talk.dispatcher.end(&mut guest.lifecycle);
                return Err(End::Broken);
            }
        };
        let mut answer = [0; ANSWER_MAX];
        let incoming = match talk.dispatcher.receive(&mut guest.lifecycle, payload, now) {
            Ok(incoming) => incoming,
            Err(error) => {
                talk.dispatcher.end(&mut guest.lifecycle);
                return Err(if matches!(error, DispatchError::Ended) {
                    End::Over
                } else {
                    End::Broken
                });
            }
        };
        let written = match incoming {
            Incoming::Call(Call::SleepPrep(prep), responder) => {
                talk.flushing = true;
                self.state = State::Talk(talk);
                return Ok(Turn::Flush(prep, responder));
            }
            Incoming::Call(call, responder) => respond(guest, &call, responder, &mut answer),
            Incoming::Refused(refusal) => refusal
                .encode(&mut answer)
                .map(|len| (len, AfterResponse::Continue))
                .map_err(|_| End::Broken),
            _ => Err(End::Broken),
        };
        self.reply(talk, guest, written, &answer, out)
    }

    /// The flush is over: well, or with the kernel's code.
    pub(crate) fn flushed(
        &mut self,
        responder: Responder,
        result: Result<(), u32>,
        guest: &mut Guest,
        buffers: &mut Buffers,
    ) -> Turn {
        let state = core::mem::replace(&mut self.state, State::Last(End::Broken));
        let State::Talk(mut talk) = state else {
            return Turn::End(End::Broken);
        };
        talk.flushing = false;
        let mut answer = [0; ANSWER_MAX];
        let now = uptime_ms();
        let written = match result {
            Ok(()) => responder
                .answer(
                    &mut guest.lifecycle,
                    &mvm_core::guest::Answer::SleepPrep,
                    now,
                    &mut answer,
                )
                .map(|Written { len, then, .. }| (len, then)),
            Err(code) => responder
                .fail(
                    &mut guest.lifecycle,
                    Failure::Failed { code },
                    now,
                    &mut answer,
                )
                .map(|len| (len, AfterResponse::Continue)),
        };
        let written = written.map_err(|_| End::Slow);
        match self.reply(talk, guest, written, &answer, &mut buffers.output) {
            Ok(turn) => turn,
            Err(end) => Turn::End(end),
        }
    }

    /// Seals an answer, and what comes after it.
    fn reply(
        &mut self,
        mut talk: Talk<'k>,
        guest: &mut Guest,
        written: Result<(usize, AfterResponse), End>,
        answer: &[u8],
        out: &mut [u8],
    ) -> Result<Turn, End> {
        let (len, then) = match written {
            Ok(written) => written,
            Err(end) => {
                talk.dispatcher.end(&mut guest.lifecycle);
                return Err(end);
            }
        };
        let payload = answer.get(..len).unwrap_or_default();
        let sealed = talk
            .session
            .seal(&guest.endpoint, &guest.machine, payload, out);
        let mut end = *sealed.as_ref().unwrap_or(&0);
        // What has to be done is done, whether the answer could be sealed or not.
        let turn = match then {
            AfterResponse::EndSessions { unbind } => Turn::Asleep { unbind },
            AfterResponse::Shutdown(shutdown) => Turn::Shutdown(shutdown),
            _ => Turn::More,
        };
        if matches!(turn, Turn::More) {
            if sealed.is_err() {
                talk.dispatcher.end(&mut guest.lifecycle);
                return Err(End::Over);
            }
            self.state = State::Talk(talk);
        } else {
            let rest = out.get_mut(end..).unwrap_or_default();
            end = end.saturating_add(
                talk.session
                    .close(&guest.endpoint, &guest.machine, rest)
                    .unwrap_or(0),
            );
            if let Turn::Asleep { unbind } = turn {
                // It has been asked for in a session that counts.
                let _ = guest
                    .endpoint
                    .prepare_sleep(talk.session, &guest.machine, unbind);
            }
            talk.dispatcher.end(&mut guest.lifecycle);
            self.state = State::Last(End::Closed);
        }
        self.unsent = 0..end;
        self.stalled_ms = Some(uptime_ms());
        Ok(turn)
    }

    /// Its place is needed, or its session no longer counts: says goodbye where it may, and waits for
    /// nothing.
    pub(crate) fn end(mut self, guest: &mut Guest, buffers: &mut Buffers) {
        if let State::Talk(mut talk) = self.state {
            if self.unsent.is_empty()
                && let Ok(len) =
                    talk.session
                        .close(&guest.endpoint, &guest.machine, &mut buffers.output)
            {
                self.unsent = 0..len;
            }
            talk.dispatcher.end(&mut guest.lifecycle);
        }
        let rest = buffers.output.get(self.unsent.clone()).unwrap_or_default();
        if !rest.is_empty() {
            let _ = send(
                &self.stream,
                rest,
                SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
            );
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
    let now = uptime_ms();
    let result = match outcome {
        Outcome::Answer(done) => responder
            .answer(&mut guest.lifecycle, &done, now, answer)
            .map(|Written { len, then, .. }| (len, then)),
        Outcome::Fail(failure) => responder
            .fail(&mut guest.lifecycle, failure, now, answer)
            .map(|len| (len, AfterResponse::Continue)),
    };
    result.map_err(|_| End::Slow)
}
