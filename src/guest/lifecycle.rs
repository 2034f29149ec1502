//! Whether the guest may work: awake, about to sleep, asleep, being woken.

use serde::{Deserialize, Serialize};

use super::capability::Capabilities;
use super::envelope::Op;

/// Where a guest is in its life. A code of a later version is kept and is not awake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(transparent)]
pub struct Phase(u8);

impl Phase {
    /// It works. Code 0.
    pub const AWAKE: Self = Self(0);
    /// It is flushing for a [`SleepPrep`](super::SleepPrep). Code 1.
    pub const DRAINING: Self = Self(1);
    /// It may have been restored since it was last awake. Code 2.
    pub const ASLEEP: Self = Self(2);
    /// A [`Wake`](super::Wake) has begun, and not all of it is done. Code 3.
    pub const RESTORING: Self = Self(3);

    /// From a code, known or not.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        Self(code)
    }

    /// The code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }
}

/// The guest's own record of its [`Phase`]. There is one in a guest, whatever the number of
/// sessions.
///
/// ```text
/// booted() ─▶ AWAKE ──SleepPrep──▶ DRAINING ──answered──▶ ASLEEP ◀─ asleep(), restored(),
///              ▲ ▲                    │                     │       a session of another
///              │ └── failed, ended ───┘                     │       generation
///              │                                          Wake
///              └─────── every step done ── RESTORING ◀──────┘
///                                          │       ▲
///                                          └─ Wake ┘  anything less than every step done
/// ```
///
/// Nothing but a [`Wake`](super::Wake) with every requested step done leads out of `ASLEEP` and
/// `RESTORING`. A guest also falls asleep when a session begins in another generation than the one
/// it was awake in: hosts raise the generation at every restore, so this is a restore that nobody
/// announced.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lifecycle {
    phase: Phase,
    generation: Option<u64>,
    /// Changes whenever what a request began is no longer that request's to complete.
    ticket: Ticket,
    /// Changes whenever every session has to end.
    epoch: u32,
}

/// The right of a request to complete what it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Ticket(u32);

impl Lifecycle {
    /// A guest that has just booted: awake.
    ///
    /// The first session tells the generation. An image that will be snapshotted before it has had
    /// a session must start [`asleep`](Self::asleep), because nothing tells its restore from its
    /// boot.
    #[must_use]
    pub const fn booted() -> Self {
        Self::new(Phase::AWAKE)
    }

    /// A guest that has to be woken first.
    #[must_use]
    pub const fn asleep() -> Self {
        Self::new(Phase::ASLEEP)
    }

    const fn new(phase: Phase) -> Self {
        Self {
            phase,
            generation: None,
            ticket: Ticket(0),
            epoch: 0,
        }
    }

    /// The phase.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the guest may work.
    #[must_use]
    pub fn is_awake(&self) -> bool {
        self.phase == Phase::AWAKE
    }

    /// The generation in which it was last awake, or `None` before its first session.
    #[must_use]
    pub const fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// The platform noticed a restore: the mark of the [session](crate::session) has changed.
    ///
    /// Ends every [`Dispatcher`](super::Dispatcher), and nothing that was begun can be completed.
    pub fn restored(&mut self) {
        self.enter(Phase::ASLEEP);
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// A session of `generation` has been established.
    pub(super) fn session_began(&mut self, generation: u64) {
        if self.phase == Phase::AWAKE || self.phase == Phase::DRAINING {
            match self.generation {
                // Every session of the generation before ends with this.
                Some(known) if known != generation => self.restored(),
                _ => self.generation = Some(generation),
            }
        }
    }

    /// What a session remembers to notice that it has ended.
    pub(super) const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether an operation is allowed in this phase.
    pub(super) fn allows(&self, op: Op) -> bool {
        match op {
            Op::PING | Op::STATUS | Op::SHUTDOWN => true,
            // Another one takes over from one whose session is gone.
            Op::SLEEP_PREP => self.phase == Phase::AWAKE || self.phase == Phase::DRAINING,
            Op::WAKE => self.phase != Phase::DRAINING,
            _ => self.phase == Phase::AWAKE,
        }
    }

    /// A [`SleepPrep`](super::SleepPrep) begins.
    pub(super) fn drain(&mut self) -> Ticket {
        self.enter(Phase::DRAINING)
    }

    /// A [`Wake`](super::Wake) begins.
    pub(super) fn restore(&mut self) -> Ticket {
        self.enter(Phase::RESTORING)
    }

    /// Whether nothing has come in between.
    pub(super) fn holds(&self, ticket: Ticket) -> bool {
        self.ticket == ticket
    }

    /// The flush is complete and its answer written.
    pub(super) fn drained(&mut self, ticket: Ticket) {
        if self.holds(ticket) && self.phase == Phase::DRAINING {
            self.enter(Phase::ASLEEP);
            self.epoch = self.epoch.wrapping_add(1);
        }
    }

    /// The flush has not come to its end.
    pub(super) fn not_drained(&mut self, ticket: Ticket) {
        if self.holds(ticket) && self.phase == Phase::DRAINING {
            self.enter(Phase::AWAKE);
        }
    }

    /// Every step of a wake is done.
    pub(super) fn woken(&mut self, ticket: Ticket, generation: u64) {
        if self.holds(ticket) && self.phase == Phase::RESTORING {
            self.enter(Phase::AWAKE);
            self.generation = Some(generation);
        }
    }

    fn enter(&mut self, phase: Phase) -> Ticket {
        self.phase = phase;
        self.ticket = Ticket(self.ticket.0.wrapping_add(1));
        self.ticket
    }
}

/// What an operation needs to have been negotiated, whatever its message says; `None` if this
/// version does not know it.
pub(super) fn needs(op: Op) -> Option<Capabilities> {
    Some(match op {
        Op::PING => Capabilities::NONE,
        Op::STATUS => Capabilities::STATUS,
        Op::SLEEP_PREP => Capabilities::SLEEP_PREP,
        Op::WAKE => Capabilities::WAKE,
        Op::SHUTDOWN => Capabilities::SHUTDOWN,
        Op::EXTENSION => Capabilities::EXTENSION,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPS: [Op; 6] = [
        Op::PING,
        Op::STATUS,
        Op::SLEEP_PREP,
        Op::WAKE,
        Op::SHUTDOWN,
        Op::EXTENSION,
    ];

    fn in_phase(phase: Phase) -> Lifecycle {
        Lifecycle {
            generation: Some(5),
            ..Lifecycle::new(phase)
        }
    }

    #[test]
    fn what_each_phase_allows() {
        let table = [
            (Phase::AWAKE, [true, true, true, true, true, true]),
            (Phase::DRAINING, [true, true, true, false, true, false]),
            (Phase::ASLEEP, [true, true, false, true, true, false]),
            (Phase::RESTORING, [true, true, false, true, true, false]),
            (Phase::from_code(77), [true, true, false, true, true, false]),
        ];
        for (phase, allowed) in table {
            let got = OPS.map(|op| in_phase(phase).allows(op));
            assert_eq!(got, allowed, "{phase:?}");
        }
    }

    #[test]
    fn a_session_of_another_generation_means_a_restore() {
        let table = [
            (Phase::AWAKE, 5, Phase::AWAKE),
            (Phase::AWAKE, 6, Phase::ASLEEP),
            (Phase::DRAINING, 5, Phase::DRAINING),
            (Phase::DRAINING, 6, Phase::ASLEEP),
            (Phase::ASLEEP, 5, Phase::ASLEEP),
            (Phase::ASLEEP, 6, Phase::ASLEEP),
            (Phase::RESTORING, 5, Phase::RESTORING),
            (Phase::RESTORING, 6, Phase::RESTORING),
        ];
        for (before, generation, after) in table {
            let mut lifecycle = in_phase(before);
            lifecycle.session_began(generation);
            assert_eq!(lifecycle.phase(), after, "{before:?}, {generation}");
            // Only being awake makes a generation one's own.
            assert_eq!(lifecycle.generation(), Some(5));
        }
        let mut fresh = Lifecycle::booted();
        fresh.session_began(9);
        assert!(fresh.is_awake());
        assert_eq!(fresh.generation(), Some(9));
        let mut image = Lifecycle::asleep();
        image.session_began(9);
        assert_eq!(image, Lifecycle::asleep());
    }

    #[test]
    fn what_came_in_between_wins() {
        let mut lifecycle = in_phase(Phase::ASLEEP);
        let wake = lifecycle.restore();
        lifecycle.restored();
        lifecycle.woken(wake, 6);
        assert_eq!(lifecycle.phase(), Phase::ASLEEP);

        let first = lifecycle.restore();
        let second = lifecycle.restore();
        lifecycle.woken(first, 6);
        assert_eq!(lifecycle.phase(), Phase::RESTORING);
        lifecycle.woken(second, 6);
        assert_eq!(lifecycle.phase(), Phase::AWAKE);
        assert_eq!(lifecycle.generation(), Some(6));

        let flush = lifecycle.drain();
        lifecycle.restored();
        lifecycle.not_drained(flush);
        assert_eq!(lifecycle.phase(), Phase::ASLEEP);

        let mut lifecycle = in_phase(Phase::AWAKE);
        let first = lifecycle.drain();
        let second = lifecycle.drain();
        lifecycle.drained(first);
        assert_eq!(lifecycle.phase(), Phase::DRAINING);
        let epoch = lifecycle.epoch();
        lifecycle.drained(second);
        assert_eq!(lifecycle.phase(), Phase::ASLEEP);
        assert_ne!(lifecycle.epoch(), epoch);
    }
}
