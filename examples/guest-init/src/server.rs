//! All connections at once: one loop, and no call in it that waits for one of them.

use guest_init::cmdline::{PORTS_MAX, service};
use heapless::Vec;
use mvm_core::guest::{Responder, SecretBytes, Shutdown, ShutdownMode, SleepPrep};
use mvm_core::session::{Environment, GuestKey, Mark};

use crate::children::flush;
use crate::connection::{Buffers, Connection, End, Turn};
use crate::console::say;
use crate::kernel::{
    self, CONNABORTED, Ended, Fd, INTR, POLLIN, POLLOUT, Pid, Polled, SIGINT, SIGKILL, SIGPWR,
    SIGTERM, TIMEDOUT, kill, next_signal, reap,
};
use crate::machine::uptime_ms;
use crate::requests::Guest;
use crate::{failed, vsock};

/// Connections at a time: each service's session, the one that takes its place, and as many handshakes as
/// the library keeps.
pub(crate) const CONNECTIONS: usize = 8;
/// The signals, the listeners, the connections.
const DESCRIPTORS: usize = 1 + PORTS_MAX + CONNECTIONS;
/// Turns of one connection before the others have theirs.
const TURNS: usize = 4;
/// For programs to end where a signal asks for the shutdown, in milliseconds.
const GRACE_MS: u32 = 5_000;

/// The sockets that connections come from, with their ports.
pub(crate) type Listeners = Vec<(Fd, u32), PORTS_MAX, u8>;

/// Where the next connections come from, and the signals.
pub(crate) struct Sources {
    pub(crate) listeners: Listeners,
    pub(crate) signals: Fd,
}

/// Why serving with one key ended.
pub(crate) enum Served {
    /// A wake brought another key, and this connection is the first that gets it.
    Rekeyed(SecretBytes, Fd, u16),
    Shutdown(Shutdown),
}

/// A flush under way.
struct Flush {
    child: Pid,
    place: usize,
    responder: Responder,
    until_ms: u64,
}

struct Server<'k, 'b> {
    key: &'k GuestKey,
    places: [Option<Connection<'k>>; CONNECTIONS],
    buffers: &'b mut [Buffers; CONNECTIONS],
    flush: Option<Flush>,
    shutdown: Option<Shutdown>,
    mark: Mark,
    /// Some connection has more to do at once: nothing is waited for.
    more: bool,
}

/// Serves until there is a reason to stop. `first` is a connection that is there already.
pub(crate) fn serve(
    key: &GuestKey,
    guest: &mut Guest,
    sources: &Sources,
    buffers: &mut [Buffers; CONNECTIONS],
    first: Option<(Fd, u16)>,
) -> Served {
    let mark = guest.machine.mark();
    let mut server = Server {
        key,
        places: core::array::from_fn(|_| None),
        buffers,
        flush: None,
        shutdown: None,
        mark,
        more: false,
    };
    if let Some((stream, service)) = first {
        server.begin(stream, service);
    }
    loop {
        let ready = server.wait(guest, sources);
        server.notice_restore(guest);
        if ready.signals {
            server.signals(guest, &sources.signals);
        }
        if let Some(served) = server.accept(guest, &sources.listeners, &ready.listeners) {
            return served;
        }
        if let Some(at) = ready.gone {
            server.end(at, guest, End::Gone);
        }
        server.turns(guest);
        server.check_flush(guest);
        if let Some(shutdown) = server.shutdown
            && server.sent_everything()
        {
            server.end_all(guest);
            return Served::Shutdown(shutdown);
        }
    }
}

/// What the wait found.
struct Ready {
    signals: bool,
    listeners: [bool; PORTS_MAX],
    /// The connection that a flush is for, if its stream has ended meanwhile.
    gone: Option<usize>,
}

impl<'k> Server<'k, '_> {
    /// Waits until something can be done, and for no longer than the next deadline.
    fn wait(&self, guest: &Guest, sources: &Sources) -> Ready {
        let mut fds: Vec<Polled, DESCRIPTORS, u8> = Vec::new();
        let _ = fds.push(Polled::new(&sources.signals, POLLIN));
        // With every place taken, connections wait where they are: handshakes end soon.
        let room = self.places.iter().any(Option::is_none);
        for (listener, _) in &sources.listeners {
            let events = if room { POLLIN } else { 0 };
            let _ = fds.push(Polled::new(listener, events));
        }
        let mut until_ms = u64::MAX;
        for connection in self.places.iter().flatten() {
            let events = match (connection.sends(), connection.flushes()) {
                (true, _) => POLLOUT,
                (_, true) => 0,
                _ => POLLIN,
            };
            let _ = fds.push(Polled::new(connection.stream(), events));
            until_ms = until_ms.min(connection.deadline_ms());
        }
        if let Some(flush) = &self.flush {
            until_ms = until_ms.min(flush.until_ms);
        }
        if let Mark::Changing(_) = guest.machine.mark() {
            // Nothing wakes a guest that was restored.
            until_ms = until_ms.min(uptime_ms().saturating_add(1000));
        }
        let timeout = match until_ms {
            _ if self.more => Some(0),
            u64::MAX => None,
            until => Some(until.saturating_sub(uptime_ms()).saturating_add(1)),
        };
        kernel::poll(&mut fds, timeout);
        let mut came = fds.iter().map(Polled::came);
        let mut ready = Ready {
            signals: came.next().unwrap_or_default(),
            listeners: [false; PORTS_MAX],
            gone: None,
        };
        for (place, _) in ready.listeners.iter_mut().zip(&sources.listeners) {
            *place = came.next().unwrap_or_default();
        }
        for (at, place) in self.places.iter().enumerate() {
            if let Some(connection) = place
                && came.next().unwrap_or_default()
                && connection.flushes()
                && !connection.sends()
            {
                ready.gone = Some(at);
            }
        }
        ready
    }

    /// A machine that was restored belongs to another incarnation: nothing of before goes on.
    fn notice_restore(&mut self, guest: &mut Guest) {
        let mark = guest.machine.mark();
        if mark != self.mark {
            self.mark = mark;
            say("restored from a snapshot", &[], &[]);
            guest.lifecycle.restored();
            guest.endpoint.end_all();
            self.end_all(guest);
        }
    }

    fn signals(&mut self, guest: &mut Guest, signals: &Fd) {
        while let Some(signal) = next_signal(signals) {
            let mode = match signal {
                // Ctrl+Alt+Del, which is how a VMM asks.
                SIGINT => ShutdownMode::Reboot,
                SIGTERM | SIGPWR => ShutdownMode::PowerOff,
                _ => continue,
            };
            say("signal #", &[], &[u64::from(signal)]);
            self.shutdown = self.shutdown.or(Some(Shutdown {
                grace_ms: GRACE_MS,
                mode,
            }));
        }
        while let Some((pid, status)) = reap() {
            if let Some(workload) = &mut guest.workload {
                workload.ended(pid, status);
            }
            if let Some(flush) = self.flush.take_if(|flush| flush.child == pid) {
                self.flushed(guest, flush, flush_result(status));
            }
        }
    }

    fn accept(
        &mut self,
        guest: &mut Guest,
        listeners: &Listeners,
        ready: &[bool; PORTS_MAX],
    ) -> Option<Served> {
        for ((listener, port), ready) in listeners.iter().zip(ready) {
            while *ready && self.places.iter().any(Option::is_none) {
                let stream = match vsock::accept(listener) {
                    Ok(Some(stream)) => stream,
                    Ok(None) | Err(INTR | CONNABORTED) => continue,
                    Err(_) => break,
                };
                if let Some(seed) = guest.next_key.take() {
                    self.end_all(guest);
                    return Some(Served::Rekeyed(seed, stream, service(*port)));
                }
                self.begin(stream, service(*port));
            }
        }
        None
    }

    fn begin(&mut self, stream: Fd, service: u16) {
        if let Some(place) = self.places.iter_mut().find(|place| place.is_none()) {
            *place = Some(Connection::new(stream, service));
        }
    }

    /// Each connection does what it can; none does more than its share.
    fn turns(&mut self, guest: &mut Guest) {
        self.more = false;
        for place in 0..CONNECTIONS {
            self.more |= self.share(place, guest);
        }
    }

    /// Some turns of one connection; whether there is more to do at once.
    fn share(&mut self, at: usize, guest: &mut Guest) -> bool {
        for _ in 0..TURNS {
            let (Some(place), Some(buffers)) = (self.places.get_mut(at), self.buffers.get_mut(at))
            else {
                return false;
            };
            let Some(connection) = place else {
                return false;
            };
            if !connection.still_counts(guest) {
                self.end(at, guest, End::Over);
                return false;
            }
            match connection.turn(self.key, guest, buffers) {
                Turn::More => {}
                turn => return self.act(at, turn, guest),
            }
        }
        true
    }

    /// What a turn leads to, but for more of the same.
    fn act(&mut self, at: usize, turn: Turn, guest: &mut Guest) -> bool {
        match turn {
            Turn::Wait => return false,
            Turn::More => {}
            Turn::End(end) => {
                self.end(at, guest, end);
                return false;
            }
            Turn::Flush(prep, responder) => {
                self.begin_flush(at, guest, prep, responder);
                return false;
            }
            Turn::Asleep { unbind } => {
                let line = if unbind {
                    "asleep, bound to no instance"
                } else {
                    "asleep"
                };
                say(line, &[], &[]);
                self.end_others(at, guest);
            }
            Turn::Shutdown(shutdown) => self.shutdown = Some(shutdown),
        }
        true
    }

    fn begin_flush(&mut self, at: usize, guest: &mut Guest, prep: SleepPrep, responder: Responder) {
        // Another one takes over: the library lets only the last be answered.
        if let Some(earlier) = self.flush.take() {
            kill(Some(earlier.child), SIGKILL);
            self.end(earlier.place, guest, End::Over);
        }
        let until_ms = uptime_ms().saturating_add(u64::from(prep.flush_deadline_ms));
        match flush(true) {
            Ok(child) => {
                self.flush = Some(Flush {
                    child,
                    place: at,
                    responder,
                    until_ms,
                })
            }
            Err(error) => {
                failed("cannot flush: error #", b"", error);
                let code = error.0;
                // There is no child to wait for: answered at once.
                self.answer_flush(at, guest, responder, Err(code));
            }
        }
    }

    fn check_flush(&mut self, guest: &mut Guest) {
        let now = uptime_ms();
        if let Some(flush) = self.flush.take_if(|flush| flush.until_ms <= now) {
            kill(Some(flush.child), SIGKILL);
            failed("not flushed in time: error #", b"", TIMEDOUT);
            self.flushed(guest, flush, Err(TIMEDOUT.0));
        }
    }

    fn flushed(&mut self, guest: &mut Guest, flush: Flush, result: Result<(), u32>) {
        self.answer_flush(flush.place, guest, flush.responder, result);
    }

    fn answer_flush(
        &mut self,
        at: usize,
        guest: &mut Guest,
        responder: Responder,
        result: Result<(), u32>,
    ) {
        let (Some(Some(connection)), Some(buffers)) =
            (self.places.get_mut(at), self.buffers.get_mut(at))
        else {
            return;
        };
        let turn = connection.flushed(responder, result, guest, buffers);
        if self.act(at, turn, guest) {
            self.share(at, guest);
        }
    }

    fn end(&mut self, at: usize, guest: &mut Guest, end: End) {
        let Some(connection) = self.places.get_mut(at).and_then(Option::take) else {
            return;
        };
        if let Some(flush) = self.flush.take_if(|flush| flush.place == at) {
            // Nobody can be told any more.
            kill(Some(flush.child), SIGKILL);
        }
        let code = match end {
            End::Refused(code) => code.0,
            _ => 0,
        };
        if !matches!(end, End::Closed) {
            let numbers = [u64::from(connection.service()), u64::from(code)];
            let line = "connection to service # $: code #";
            say(line, &[end.text().as_bytes()], &numbers);
        }
        if let Some(buffers) = self.buffers.get_mut(at) {
            connection.end(guest, buffers);
        }
    }

    fn end_all(&mut self, guest: &mut Guest) {
        self.end_others(CONNECTIONS, guest);
    }

    /// All but one.
    fn end_others(&mut self, but: usize, guest: &mut Guest) {
        for at in (0..CONNECTIONS).filter(|at| *at != but) {
            self.end(at, guest, End::Closed);
        }
    }

    /// Whether no connection has anything left to send.
    fn sent_everything(&self) -> bool {
        !self.places.iter().flatten().any(Connection::sends)
    }
}

/// Of the child that flushed: its status is 0 or the kernel's code.
fn flush_result(how: Ended) -> Result<(), u32> {
    match how.code() {
        Ok(0) => Ok(()),
        Ok(code) => Err(code),
        Err(_) => Err(INTR.0),
    }
}
