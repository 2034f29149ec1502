//! The parties of the model: what hosts and guests have alike, with what the properties need to know
//! of them beside. [`super::guest`] and [`super::host`] have what they do not.

use core::hash::Hash;
use std::boxed::Box;
use std::sync::OnceLock;
use std::vec::Vec;

use super::attacker::{Edit, Message, Origin};
use super::config::{Config, Freshness, Marks};
use super::guest::Guest;
use super::host::Host;
use super::property::{Accepted, Event, Sealed, Violation};
use crate::naming::InstanceId;
use crate::session::channel::Endpoint;
use crate::session::{
    Entropy, Environment, GuestEndpoint, GuestKey, HostEndpoint, HostKey, Mark, Opened, Session,
    Side,
};
use crate::signing::hash;

/// The environment: a mark, and a clock that stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Machine {
    mark: Mark,
}

impl Environment for Machine {
    fn mark(&self) -> Mark {
        self.mark
    }
    fn monotonic_millis(&self) -> u64 {
        0
    }
}

pub(super) struct Keys {
    /// The provisioned host key, and one that nobody trusts.
    pub(super) hosts: [HostKey; 2],
    /// The keys of two guests; the third has the provisioned host key's seed, a grave mistake of
    /// whoever provisioned it.
    pub(super) guests: [GuestKey; 3],
}

pub(super) fn keys() -> &'static Keys {
    static KEYS: OnceLock<&'static Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        Box::leak(Box::new(Keys {
            hosts: [1, 2].map(|seed| HostKey::from_seed(&[seed; 32])),
            guests: [3, 4, 1].map(|seed| GuestKey::from_seed(&[seed; 32])),
        }))
    })
}

pub(super) fn instance(index: u8) -> InstanceId {
    InstanceId::from_entropy([0xaa, 0xbb, 0xcc, index])
}

/// A digest of the model's own, so that switching a rule off does not change what the model sees.
pub(super) type Digest = [u8; 32];

pub(super) fn first_digest(host_hello: &[u8], guest_hello: &[u8]) -> Digest {
    hash(&[b"model/1", &hash(&[host_hello]), &hash(&[guest_hello])])
}

pub(super) fn second_digest(first: &Digest, guest_signature: &[u8], finish: &[u8]) -> Digest {
    hash(&[b"model/2", first, guest_signature, finish])
}

pub(super) fn split(guest_hello: &[u8]) -> (&[u8], &[u8]) {
    guest_hello.split_at(guest_hello.len().saturating_sub(64))
}

/// Endpoints whose states can be compared.
pub(super) trait Modelled: Endpoint<Own: Clone + Hash> + Clone + Hash {}
impl Modelled for GuestEndpoint {}
impl Modelled for HostEndpoint {}

/// A session, and what happened to it.
#[derive(Clone, Hash)]
pub(super) struct Track<E: Modelled> {
    pub(super) session: Session<'static, E>,
    pub(super) digest: Digest,
    /// When its handshake began, among those of this party.
    pub(super) order: u8,
    /// In which incarnation it began.
    pub(super) incarnation: u8,
    pub(super) sent: u8,
    pub(super) accepted: u8,
    pub(super) closed: bool,
    pub(super) peer_closed: bool,
    pub(super) failed: bool,
}

impl<E: Modelled> Track<E> {
    pub(super) fn new(
        session: Session<'static, E>,
        digest: Digest,
        order: u8,
        incarnation: u8,
    ) -> Self {
        Self {
            session,
            digest,
            order,
            incarnation,
            sent: 0,
            accepted: 0,
            closed: false,
            peer_closed: false,
            failed: false,
        }
    }
}

/// What hosts and guests have alike.
#[derive(Clone, Hash)]
pub(super) struct Life {
    /// Which incarnation this is, among all of this side's.
    pub(super) incarnation: u8,
    pub(super) machine: Machine,
    /// Which generator the entropy comes from, and how much was drawn.
    stream: u8,
    drawn: u8,
    /// Handshakes begun in this incarnation and before.
    pub(super) order: u8,
    /// Handshakes begun in this incarnation.
    pub(super) begun: u8,
    /// For each service, when the latest completed handshake began.
    pub(super) latest: [Option<u8>; 2],
    /// The peers' key was removed from the trusted ones.
    pub(super) distrusts: bool,
}

impl Life {
    pub(super) fn new(incarnation: u8, stream: u8, marks: Marks) -> Self {
        let mark = match marks {
            Marks::Constant => Mark::Constant,
            Marks::Changing | Marks::Unique => Mark::Changing(0),
        };
        Self {
            incarnation,
            machine: Machine { mark },
            stream,
            drawn: 0,
            order: 0,
            begun: 0,
            latest: [None; 2],
            distrusts: false,
        }
    }

    fn restored(&mut self, incarnation: u8, marks: Marks, entropy: Freshness) {
        let mark = match (marks, self.machine.mark) {
            (Marks::Changing, Mark::Changing(value)) => Mark::Changing(value + 1),
            (Marks::Unique, _) => Mark::Changing(1_000 + u64::from(incarnation)),
            (_, mark) => mark,
        };
        self.machine = Machine { mark };
        if entropy == Freshness::Fresh {
            self.stream = 100 + incarnation;
        }
        self.incarnation = incarnation;
        self.begun = 0;
    }

    pub(super) fn draw(&mut self, side: Side) -> Entropy {
        let mut bytes = [0; 32];
        bytes[0] = u8::from(side == Side::Host);
        bytes[1] = self.stream;
        bytes[2] = self.drawn;
        self.drawn += 1;
        Entropy::new(bytes)
    }

    pub(super) const fn begun(&self) -> u8 {
        self.begun
    }

    pub(super) const fn distrusts(&self) -> bool {
        self.distrusts
    }

    /// What every successful use of a handshake or session must satisfy.
    pub(super) fn usable(&self, incarnation: u8, order: u8, service: u16) -> Option<Violation> {
        if incarnation != self.incarnation {
            Some(Violation::UsableAfterRestore)
        } else if self.latest[usize::from(service)].is_some_and(|latest| order < latest) {
            Some(Violation::SupersededUsed)
        } else if self.distrusts {
            Some(Violation::DistrustedUsed)
        } else {
            None
        }
    }
}

/// Either kind of party.
#[derive(Clone, Hash)]
pub(super) enum Party {
    Guest(Guest),
    Host(Host),
}

/// What a party can be made to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Act {
    /// A host begins a handshake.
    Begin { service: u16 },
    /// A host's instance is said to be a new incarnation.
    Raise,
    /// A guest gets a `HostHello` on the port of a service, and answers.
    Answer {
        message: u32,
        edit: Edit,
        service: u16,
    },
    /// A pending handshake gets a message.
    Deliver {
        pending: u8,
        message: u32,
        edit: Edit,
    },
    /// A host that verified its guest signs.
    Finish { pending: u8 },
    /// A session seals a payload.
    Seal { session: u8 },
    /// A session writes its close.
    Close { session: u8 },
    /// A session gets a message.
    Open {
        session: u8,
        message: u32,
        edit: Edit,
    },
    /// A session's stream ends.
    EndOfStream { session: u8 },
    /// A guest is told to prepare for a snapshot.
    Sleep { session: u8, unbind: bool },
    /// A party removes the peer's key.
    Distrust,
}

/// What an act led to.
pub(super) struct Outcome {
    pub(super) party: Party,
    pub(super) emitted: Option<Message>,
    pub(super) event: Option<Event>,
    pub(super) violation: Option<Violation>,
    /// The code refused; all that changed is that a session or handshake is over.
    pub(super) refused: bool,
}

/// What one act on a guest or host says: what was sent, what is to be judged, what is wrong.
pub(super) type Said = (Option<Message>, Option<Event>, Option<Violation>);

impl Party {
    pub(super) fn guest(config: &Config, incarnation: u8) -> Self {
        Self::Guest(Guest::new(config, incarnation))
    }

    pub(super) fn host(config: &Config, incarnation: u8) -> Self {
        Self::Host(Host::new(config, incarnation))
    }

    pub(super) fn life(&self) -> &Life {
        match self {
            Self::Guest(guest) => &guest.life,
            Self::Host(host) => &host.life,
        }
    }

    /// The party as it is after a restore of the snapshot `self`.
    pub(super) fn restored(&self, config: &Config, incarnation: u8) -> Self {
        let mut copy = self.clone();
        match &mut copy {
            Self::Guest(guest) => guest
                .life
                .restored(incarnation, config.marks, config.entropy),
            Self::Host(host) => {
                host.life
                    .restored(incarnation, config.host_marks, config.host_entropy);
            }
        }
        copy
    }

    pub(super) fn act(&self, config: &Config, act: Act, messages: &[Message]) -> Outcome {
        let mut party = self.clone();
        let (emitted, event, violation) = match &mut party {
            Self::Guest(guest) => guest.act(act, messages),
            Self::Host(host) => host.try_act(config, act, messages),
        };
        let refused = match act {
            Act::Deliver { .. } => event.is_none() && party.pending() < self.pending(),
            Act::Finish { .. } | Act::Seal { .. } | Act::Close { .. } | Act::Open { .. } => {
                event.is_none()
            }
            _ => false,
        };
        Outcome {
            party,
            emitted,
            event,
            violation,
            refused,
        }
    }

    fn pending(&self) -> usize {
        match self {
            Self::Guest(guest) => guest.pending.len(),
            Self::Host(host) => host.pending.len(),
        }
    }

    /// For each session: digest, incarnation, accepted frames.
    pub(super) fn progress(&self) -> Vec<(Digest, u8, u8)> {
        match self {
            Self::Guest(guest) => guest
                .sessions
                .iter()
                .map(|it| (it.digest, it.incarnation, it.accepted))
                .collect(),
            Self::Host(host) => host
                .sessions
                .iter()
                .map(|it| (it.digest, it.incarnation, it.accepted))
                .collect(),
        }
    }

    /// For each session: what it has sent, and whether it closed.
    pub(super) fn sent(&self) -> Vec<(u8, bool)> {
        match self {
            Self::Guest(guest) => guest
                .sessions
                .iter()
                .map(|it| (it.sent, it.closed))
                .collect(),
            Self::Host(host) => host
                .sessions
                .iter()
                .map(|it| (it.sent, it.closed))
                .collect(),
        }
    }
}

pub(super) fn frame_body(frame: &[u8], written: usize) -> Vec<u8> {
    frame[4..written].to_vec()
}

/// Frames of either side.
pub(super) fn act_on_session<E: Modelled>(
    side: Side,
    endpoint: &mut E,
    life: &Life,
    track: &mut Track<E>,
    act: Act,
    messages: &[Message],
) -> Said {
    let used = life.usable(track.incarnation, track.order, track.session.service());
    let used = used.or(track.failed.then_some(Violation::UsedAfterError));
    let mut out = [0; 256];
    match act {
        Act::Seal { .. } | Act::Close { .. } => {
            let close = matches!(act, Act::Close { .. });
            let payload = [life.incarnation, track.sent];
            let result = if close {
                track.session.close(endpoint, &life.machine, &mut out)
            } else {
                track
                    .session
                    .seal(endpoint, &life.machine, &payload, &mut out)
            };
            let Ok(written) = result else {
                track.failed = true;
                return (None, None, None);
            };
            let sealed = Sealed {
                digest: track.digest,
                side,
                number: track.sent,
                close,
                payload: if close { Vec::new() } else { payload.to_vec() },
                incarnation: life.incarnation,
            };
            let after_close = track.closed.then_some(Violation::AfterClose);
            track.sent += 1;
            track.closed |= close;
            let body = frame_body(&out, written);
            let message = Message {
                body,
                origin: Origin::Frame(sealed.clone()),
            };
            (
                Some(message),
                Some(Event::Sealed(sealed)),
                used.or(after_close),
            )
        }
        Act::Open { message, edit, .. } => {
            let Some(body) = messages[message as usize].edited(edit) else {
                return (None, None, None);
            };
            let Ok(opened) = track.session.open(endpoint, &life.machine, &body) else {
                track.failed = true;
                return (None, None, None);
            };
            let (close, payload) = match opened {
                Opened::Data(payload) => (false, payload.to_vec()),
                Opened::Closed => (true, Vec::new()),
            };
            let accepted = Accepted {
                digest: track.digest,
                side,
                number: track.accepted,
                close,
                payload,
                incarnation: life.incarnation,
            };
            let after_close = track.peer_closed.then_some(Violation::AfterClose);
            track.accepted += 1;
            track.peer_closed |= close;
            (None, Some(Event::Accepted(accepted)), used.or(after_close))
        }
        Act::EndOfStream { .. } => {
            let complete = track.session.clone().end_of_stream().is_ok();
            let wrong = complete != track.peer_closed;
            (None, None, wrong.then_some(Violation::TruncationMissed))
        }
        _ => (None, None, None),
    }
}
