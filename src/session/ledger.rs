//! Which handshakes and sessions of an endpoint still count.
//!
//! Every handshake takes a ticket when it begins; tickets only grow. For each service the ledger
//! keeps the ticket of the session that counts. A session looks itself up at each call, so ending
//! one, or all, is one assignment here and nothing anywhere else.

use crate::limits::{PENDING_HANDSHAKES_MAX, SERVICES_MAX};

use crate::rules::{Rule, on};

/// Drawn when a handshake begins.
pub(super) type Ticket = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Pending {
    service: u16,
    ticket: Ticket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Live {
    service: u16,
    ticket: Ticket,
}

#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq, Eq, Hash))]
pub(super) struct Ledger {
    next: Ticket,
    /// Oldest first.
    pending: heapless::Vec<Pending, PENDING_HANDSHAKES_MAX, u8>,
    live: heapless::Vec<Live, SERVICES_MAX, u8>,
    /// What has a ticket below this was ended with all others.
    ended_below: Ticket,
}

impl Ledger {
    pub(super) const fn new() -> Self {
        Self {
            next: 0,
            pending: heapless::Vec::new(),
            live: heapless::Vec::new(),
            ended_below: 0,
        }
    }

    /// A ticket for a new handshake. Where all places are taken, the oldest handshake gives way:
    /// whoever floods a guest with hellos drops only those who wait.
    pub(super) fn begin(&mut self, service: u16) -> Ticket {
        let ticket = self.next;
        self.next = self.next.saturating_add(1);
        if self.pending.is_full() {
            let oldest = self.pending.first().map(|pending| pending.ticket);
            self.keep(&|pending| Some(pending.ticket) != oldest);
        }
        // There is room: a place was made above.
        let _ = self.pending.push(Pending { service, ticket });
        ticket
    }

    pub(super) fn is_pending(&self, ticket: Ticket) -> bool {
        self.pending.iter().any(|pending| pending.ticket == ticket)
    }

    pub(super) fn abandon(&mut self, ticket: Ticket) {
        self.keep(&|pending| pending.ticket != ticket);
    }

    /// As `Vec::retain`, which costs a guest `memmove` and three copies of itself: 2 kB.
    fn keep(&mut self, keep: &dyn Fn(&Pending) -> bool) {
        let all = core::mem::take(&mut self.pending);
        for pending in all.iter().filter(|pending| keep(pending)) {
            // There is room: these are at most as many as before.
            let _ = self.pending.push(*pending);
        }
    }

    pub(super) fn abandon_all(&mut self) {
        self.pending.clear();
    }

    /// The handshake is done: its session counts, and all that began earlier on its service does
    /// not. `false` where there is no place for another service; nothing has changed then.
    pub(super) fn complete(&mut self, service: u16, ticket: Ticket) -> bool {
        let live = Live { service, ticket };
        match self.live.iter_mut().find(|live| live.service == service) {
            Some(old) => *old = live,
            None => {
                if self.live.push(live).is_err() {
                    return false;
                }
            }
        }
        self.keep(&|pending| pending.service != service || pending.ticket > ticket);
        true
    }

    pub(super) fn is_live(&self, service: u16, ticket: Ticket) -> bool {
        ticket >= self.ended_below
            && (self
                .live
                .iter()
                .any(|live| live.service == service && live.ticket == ticket)
                || !on(Rule::SupersedeEarlier))
    }

    /// Ends the session and the handshakes of one service, and gives its place back.
    pub(super) fn end_service(&mut self, service: u16) {
        let mut others = heapless::Vec::new();
        for live in self.live.iter().filter(|live| live.service != service) {
            // As many places as there were.
            let _ = others.push(*live);
        }
        self.live = others;
        self.keep(&|pending| pending.service != service);
    }

    /// Ends everything: no session and no handshake of before counts any more.
    pub(super) fn end_all(&mut self) {
        self.pending.clear();
        self.live.clear();
        self.ended_below = self.next;
    }
}
