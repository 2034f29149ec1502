//! A guest of the model: a real endpoint with its pending handshakes and sessions.

use std::vec::Vec;

use super::attacker::{Message, Origin};
use super::config::Config;
use super::party::{
    Act, Digest, Life, Said, Track, act_on_session, first_digest, frame_body, instance, keys,
    second_digest, split,
};
use super::property::{Answered, Completed, Event, Violation};
use crate::session::{
    Binding, GuestAwaitingFinish, GuestEndpoint, GuestOptions, Session, Side, TrustedHost,
    TrustedHosts,
};

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

impl Guest {
    pub(super) fn new(config: &Config, incarnation: u8) -> Self {
        let setup = &config.guests[usize::from(incarnation)];
        let mut trust = TrustedHosts::new();
        trust
            .insert(TrustedHost::new(keys().hosts[0].public()))
            .unwrap();
        let endpoint = match setup.bound {
            Some((to, floor)) => GuestEndpoint::bound(trust, instance(to), floor),
            None => GuestEndpoint::new(trust),
        };
        Self {
            life: Life::new(incarnation, incarnation, config.marks),
            key: setup.key,
            quiet: true,
            endpoint,
            pending: Vec::new(),
            sessions: Vec::new(),
        }
    }

    pub(super) fn act(&mut self, act: Act, messages: &[Message]) -> Said {
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
