//! The parties of the model: real endpoints, handshakes and sessions, with what the properties need
//! to know of them beside.

use core::hash::Hash;
use std::boxed::Box;
use std::sync::OnceLock;
use std::vec::Vec;

use super::attacker::{Edit, Message, Origin};
use super::config::{Config, Expects, Freshness, Marks};
use super::property::{Accepted, Answered, Completed, Event, Sealed, Violation};
use crate::naming::InstanceId;
use crate::session::channel::Endpoint;
use crate::session::{
    Binding, Entropy, Environment, GuestAwaitingFinish, GuestEndpoint, GuestKey, GuestOptions,
    GuestTrust, HostAwaitingGuest, HostEndpoint, HostKey, HostOptions, HostVerified, Mark, Opened,
    Received, Session, Side, TrustedHost, TrustedHosts,
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

fn first_digest(host_hello: &[u8], guest_hello: &[u8]) -> Digest {
    hash(&[b"model/1", &hash(&[host_hello]), &hash(&[guest_hello])])
}

fn second_digest(first: &Digest, guest_signature: &[u8], finish: &[u8]) -> Digest {
    hash(&[b"model/2", first, guest_signature, finish])
}

fn split(guest_hello: &[u8]) -> (&[u8], &[u8]) {
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
    order: u8,
    /// In which incarnation it began.
    pub(super) incarnation: u8,
    sent: u8,
    pub(super) accepted: u8,
    closed: bool,
    peer_closed: bool,
    failed: bool,
}

/// What hosts and guests have alike.
#[derive(Clone, Hash)]
pub(super) struct Life {
    /// Which incarnation this is, among all of this side's.
    pub(super) incarnation: u8,
    machine: Machine,
    /// Which generator the entropy comes from, and how much was drawn.
    stream: u8,
    drawn: u8,
    /// Handshakes begun in this incarnation and before.
    order: u8,
    /// Handshakes begun in this incarnation.
    begun: u8,
    /// For each service, when the latest completed handshake began.
    latest: [Option<u8>; 2],
    /// The peers' key was removed from the trusted ones.
    distrusts: bool,
}

impl Life {
    fn new(incarnation: u8, stream: u8, marks: Marks) -> Self {
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

    fn draw(&mut self, side: Side) -> Entropy {
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
    fn usable(&self, incarnation: u8, order: u8, service: u16) -> Option<Violation> {
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

#[derive(Clone, Hash)]
pub(super) struct GuestPending {
    state: GuestAwaitingFinish<'static>,
    digest: Digest,
    signature: Vec<u8>,
    order: u8,
    incarnation: u8,
    service: u16,
}

#[derive(Clone, Hash)]
pub(super) struct Guest {
    pub(super) life: Life,
    pub(super) key: u8,
    /// Nothing was begun since the last `prepare_sleep`, or ever.
    pub(super) quiet: bool,
    endpoint: GuestEndpoint,
    pub(super) pending: Vec<GuestPending>,
    pub(super) sessions: Vec<Track<GuestEndpoint>>,
}

#[derive(Clone, Hash)]
enum HostStage {
    Awaiting(HostAwaitingGuest<'static>),
    Verified {
        state: HostVerified<'static>,
        digest: Digest,
        signature: Vec<u8>,
        guest_key: [u8; 32],
        /// Whether the generation was confirmed when the guest's hello came, which is when its
        /// floor is judged.
        confirmed: bool,
    },
}

#[derive(Clone, Hash)]
pub(super) struct HostPending {
    stage: HostStage,
    hello: Vec<u8>,
    order: u8,
    incarnation: u8,
    service: u16,
}

impl HostPending {
    pub(super) const fn is_verified(&self) -> bool {
        matches!(self.stage, HostStage::Verified { .. })
    }
}

#[derive(Clone, Hash)]
pub(super) struct Host {
    pub(super) life: Life,
    key: u8,
    instance: u8,
    expects: Expects,
    /// The first key that a session was completed with.
    met: Option<[u8; 32]>,
    pub(super) raised: u8,
    endpoint: HostEndpoint,
    pub(super) pending: Vec<HostPending>,
    pub(super) sessions: Vec<Track<HostEndpoint>>,
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
type Said = (Option<Message>, Option<Event>, Option<Violation>);

impl Party {
    pub(super) fn guest(config: &Config, incarnation: u8) -> Self {
        let setup = &config.guests[usize::from(incarnation)];
        let mut trust = TrustedHosts::new();
        trust
            .insert(TrustedHost::new(keys().hosts[0].public()))
            .unwrap();
        let endpoint = match setup.bound {
            Some((to, floor)) => GuestEndpoint::bound(trust, instance(to), floor),
            None => GuestEndpoint::new(trust),
        };
        Self::Guest(Guest {
            life: Life::new(incarnation, incarnation, config.marks),
            key: setup.key,
            quiet: true,
            endpoint,
            pending: Vec::new(),
            sessions: Vec::new(),
        })
    }

    pub(super) fn host(config: &Config, incarnation: u8) -> Self {
        let setup = &config.hosts[usize::from(incarnation)];
        let trust = match setup.expects {
            Expects::Key(key) => GuestTrust::pinned(keys().guests[usize::from(key)].public()),
            Expects::FirstUse => GuestTrust::FirstUse,
        };
        Self::Host(Host {
            life: Life::new(incarnation, incarnation, config.host_marks),
            key: setup.key,
            instance: setup.instance,
            expects: setup.expects,
            met: None,
            raised: 0,
            endpoint: HostEndpoint::new(instance(setup.instance), 1, trust).unwrap(),
            pending: Vec::new(),
            sessions: Vec::new(),
        })
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

fn frame_body(frame: &[u8], written: usize) -> Vec<u8> {
    frame[4..written].to_vec()
}

/// Frames of either side.
fn act_on_session<E: Modelled>(
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

impl Guest {
    fn act(&mut self, act: Act, messages: &[Message]) -> Said {
        let before = self.endpoint.binding().clone();
        let (emitted, event, mut violation) = self.try_act(act, messages);
        // Only a completed handshake, which the properties check, and an authenticated `unbind`
        // change to whom a guest belongs.
        let may_move = matches!(event, Some(Event::GuestCompleted(_)))
            || (matches!(act, Act::Sleep { unbind: true, .. }) && self.quiet);
        if !may_move && before != *self.endpoint.binding() {
            violation = violation.or(Some(Violation::BindingMoved));
        }
        let moved_wrongly = match (&before, self.endpoint.binding()) {
            (
                Binding::Bound {
                    instance: old,
                    floor,
                },
                Binding::Bound {
                    instance: new,
                    floor: raised,
                },
            ) => old != new || raised < floor,
            _ => false,
        };
        if moved_wrongly {
            violation = violation.or(Some(Violation::BindingMoved));
        }
        (emitted, event, violation)
    }

    fn try_act(&mut self, act: Act, messages: &[Message]) -> Said {
        match act {
            Act::Answer {
                message,
                edit,
                service,
            } => match messages[message as usize].edited(edit) {
                Some(hello) => self.answer(&hello, service),
                None => (None, None, None),
            },
            Act::Deliver {
                pending,
                message,
                edit,
            } => {
                let Some(body) = messages[message as usize].edited(edit) else {
                    return (None, None, None);
                };
                let pending = self.pending.remove(usize::from(pending));
                self.finish(pending, &body)
            }
            Act::Sleep { session, unbind } => {
                let track = &self.sessions[usize::from(session)];
                let used =
                    self.life
                        .usable(track.incarnation, track.order, track.session.service());
                let used = used.or(track.failed.then_some(Violation::UsedAfterError));
                let proof = track.session.clone();
                if self
                    .endpoint
                    .prepare_sleep(proof, &self.life.machine, unbind)
                    .is_err()
                {
                    return (None, None, None);
                }
                self.quiet = true;
                (None, None, used)
            }
            Act::Distrust => {
                let trusted = self.endpoint.trust_mut();
                assert!(trusted.remove(&keys().hosts[0].public()));
                self.life.distrusts = true;
                (None, None, None)
            }
            Act::Seal { session }
            | Act::Close { session }
            | Act::Open { session, .. }
            | Act::EndOfStream { session } => {
                let track = &mut self.sessions[usize::from(session)];
                act_on_session(
                    Side::Guest,
                    &mut self.endpoint,
                    &self.life,
                    track,
                    act,
                    messages,
                )
            }
            Act::Begin { .. } | Act::Raise | Act::Finish { .. } => (None, None, None),
        }
    }

    fn answer(&mut self, hello: &[u8], service: u16) -> Said {
        let key = &keys().guests[usize::from(self.key)];
        let options = GuestOptions {
            service,
            capabilities: 0b101,
            extensions: &[],
            lifetime_ms: 60_000,
        };
        let machine = self.life.machine;
        let Ok(offer) = self.endpoint.receive(key, options, &machine, hello) else {
            return (None, None, None);
        };
        let binding = self.endpoint.binding().clone();
        let floor = match &binding {
            Binding::Unbound => 0,
            Binding::Bound { floor, .. } => *floor,
        };
        let mut out = [0; 512];
        let entropy = self.life.draw(Side::Guest);
        let (state, written) = offer
            .answer(&mut self.endpoint, entropy, &machine, &mut out)
            .unwrap();
        self.quiet = false;
        let body = frame_body(&out, written);
        let (head, signature) = split(&body);
        let digest = first_digest(hello, head);
        let asked = super::attacker::read_host_hello(hello).unwrap();
        // No signature for a stranger, for another service or instance, for the past.
        let wrong = asked.host_key != *keys().hosts[0].public().as_bytes()
            || self.life.distrusts
            || asked.service != service
            || asked.generation < floor
            || matches!(&binding, Binding::Bound { instance, .. } if *instance != asked.instance);
        let order = self.life.order;
        self.life.order += 1;
        self.life.begun += 1;
        self.pending.push(GuestPending {
            state,
            digest,
            signature: signature.to_vec(),
            order,
            incarnation: self.life.incarnation,
            service,
        });
        let answered = Answered {
            digest,
            key: *key.public().as_bytes(),
            service,
            instance: asked.instance,
            generation: asked.generation,
            seen: floor,
        };
        let message = Message {
            body,
            origin: Origin::GuestHello(answered),
        };
        (
            Some(message),
            None,
            wrong.then_some(Violation::SignedTooMuch),
        )
    }

    fn finish(&mut self, pending: GuestPending, finish: &[u8]) -> Said {
        let GuestPending {
            state,
            digest,
            signature,
            order,
            incarnation,
            service,
        } = pending;
        let Ok(session) = state.finish(&mut self.endpoint, &self.life.machine, finish) else {
            return (None, None, None);
        };
        let used = self.life.usable(incarnation, order, service);
        let digest = second_digest(&digest, &signature, finish);
        let completed = Completed {
            digest,
            key: *keys().guests[usize::from(self.key)].public().as_bytes(),
            peer: *session.peer_key().as_bytes(),
            instance: session.instance().clone(),
            service: session.service(),
            generation: session.generation(),
            capabilities: session.capabilities(),
            session_id: *session.session_id(),
            incarnation: self.life.incarnation,
        };
        self.complete(session, digest, order, incarnation);
        (None, Some(Event::GuestCompleted(completed)), used)
    }

    fn complete(
        &mut self,
        session: Session<'static, GuestEndpoint>,
        digest: Digest,
        order: u8,
        incarnation: u8,
    ) {
        let latest = &mut self.life.latest[usize::from(session.service())];
        *latest = (*latest).max(Some(order));
        self.sessions
            .push(Track::new(session, digest, order, incarnation));
    }
}

impl<E: Modelled> Track<E> {
    fn new(session: Session<'static, E>, digest: Digest, order: u8, incarnation: u8) -> Self {
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

impl Host {
    fn try_act(&mut self, config: &Config, act: Act, messages: &[Message]) -> Said {
        match act {
            Act::Begin { service } => {
                let options = HostOptions {
                    service,
                    capabilities: 0b011,
                    extensions: &[],
                    lifetime_ms: 60_000,
                };
                let entropy = self.life.draw(Side::Host);
                let mut out = [0; 512];
                let key = &keys().hosts[usize::from(self.key)];
                let machine = self.life.machine;
                let (state, written) = self
                    .endpoint
                    .begin(key, options, entropy, &machine, &mut out)
                    .unwrap();
                let hello = frame_body(&out, written);
                self.pending.push(HostPending {
                    stage: HostStage::Awaiting(state),
                    hello: hello.clone(),
                    order: self.life.order,
                    incarnation: self.life.incarnation,
                    service,
                });
                self.life.order += 1;
                self.life.begun += 1;
                (
                    Some(Message {
                        body: hello,
                        origin: Origin::HostHello,
                    }),
                    None,
                    None,
                )
            }
            Act::Raise => {
                self.endpoint.raise(self.endpoint.generation() + 1).unwrap();
                self.raised += 1;
                (None, None, None)
            }
            Act::Deliver {
                pending,
                message,
                edit,
            } => {
                let Some(body) = messages[message as usize].edited(edit) else {
                    return (None, None, None);
                };
                let pending = self.pending.remove(usize::from(pending));
                let Some(verified) = self.receive(pending, &body) else {
                    return (None, None, None);
                };
                if config.stepwise {
                    self.pending.push(verified);
                    return (None, None, None);
                }
                self.finish(verified)
            }
            Act::Finish { pending } => {
                let pending = self.pending.remove(usize::from(pending));
                self.finish(pending)
            }
            Act::Distrust => {
                if let GuestTrust::Keys(guests) = self.endpoint.trust_mut() {
                    for key in &keys().guests {
                        self.life.distrusts |= guests.remove(&key.public());
                    }
                }
                (None, None, None)
            }
            Act::Seal { session }
            | Act::Close { session }
            | Act::Open { session, .. }
            | Act::EndOfStream { session } => {
                let track = &mut self.sessions[usize::from(session)];
                act_on_session(
                    Side::Host,
                    &mut self.endpoint,
                    &self.life,
                    track,
                    act,
                    messages,
                )
            }
            Act::Answer { .. } | Act::Sleep { .. } => (None, None, None),
        }
    }

    fn receive(&mut self, pending: HostPending, body: &[u8]) -> Option<HostPending> {
        let HostPending {
            stage,
            hello,
            order,
            incarnation,
            service,
        } = pending;
        let HostStage::Awaiting(state) = stage else {
            return None;
        };
        let confirmed = self.endpoint.is_confirmed();
        let received = state
            .receive(&mut self.endpoint, &self.life.machine, body)
            .ok()?;
        let state = match received {
            Received::Verified(state) => state,
            Received::FirstUse(unpinned) => unpinned
                .pin(&mut self.endpoint, |_, _| Ok::<(), ()>(()))
                .unwrap(),
        };
        let (head, signature) = split(body);
        let digest = first_digest(&hello, head);
        let guest_key = super::attacker::read_guest_hello(head).unwrap().guest_key;
        let stage = HostStage::Verified {
            state,
            digest,
            signature: signature.to_vec(),
            guest_key,
            confirmed,
        };
        Some(HostPending {
            stage,
            hello,
            order,
            incarnation,
            service,
        })
    }

    fn finish(&mut self, pending: HostPending) -> Said {
        let HostPending {
            stage,
            order,
            incarnation,
            service,
            ..
        } = pending;
        let HostStage::Verified {
            state,
            digest: first,
            signature,
            guest_key,
            confirmed,
        } = stage
        else {
            return (None, None, None);
        };
        let mut out = [0; 128];
        let Ok((session, written)) = state.finish(&mut self.endpoint, &self.life.machine, &mut out)
        else {
            return (None, None, None);
        };
        let mut violation = self.life.usable(incarnation, order, service);
        if order + 1 != self.life.order {
            violation = violation.or(Some(Violation::GivenUpCompleted));
        }
        let expected = match self.expects {
            Expects::Key(key) => *keys().guests[usize::from(key)].public().as_bytes(),
            Expects::FirstUse => *self.met.get_or_insert(guest_key),
        };
        let body = frame_body(&out, written);
        let digest = second_digest(&first, &signature, &body);
        let completed = Completed {
            digest,
            key: *keys().hosts[usize::from(self.key)].public().as_bytes(),
            peer: *session.peer_key().as_bytes(),
            instance: instance(self.instance),
            service,
            generation: self.endpoint.generation(),
            capabilities: session.capabilities(),
            session_id: *session.session_id(),
            incarnation: self.life.incarnation,
        };
        if completed.peer != expected || session.generation() != completed.generation {
            violation = violation.or(Some(Violation::WrongPeer));
        }
        let latest = &mut self.life.latest[usize::from(service)];
        *latest = (*latest).max(Some(order));
        self.sessions
            .push(Track::new(session, digest, order, incarnation));
        let message = Message {
            body,
            origin: Origin::HostFinish(completed.clone()),
        };
        let event = Event::HostCompleted {
            first,
            confirmed,
            completed,
        };
        (Some(message), Some(event), violation)
    }
}
