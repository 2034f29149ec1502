//! A host of the model: a real endpoint with its pending handshakes and sessions.

use std::vec::Vec;

use super::attacker::{Message, Origin};
use super::config::{Config, Expects};
use super::party::{
    Act, Digest, Life, Said, Track, act_on_session, first_digest, frame_body, instance, keys,
    second_digest, split,
};
use super::property::{Completed, Event, Violation};
use crate::session::{
    GuestTrust, HostAwaitingGuest, HostEndpoint, HostOptions, HostVerified, Received, Side,
};

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

impl Host {
    pub(super) fn new(config: &Config, incarnation: u8) -> Self {
        let setup = &config.hosts[usize::from(incarnation)];
        let trust = match setup.expects {
            Expects::Key(key) => GuestTrust::pinned(keys().guests[usize::from(key)].public()),
            Expects::FirstUse => GuestTrust::FirstUse,
        };
        Self {
            life: Life::new(incarnation, incarnation, config.host_marks),
            key: setup.key,
            instance: setup.instance,
            expects: setup.expects,
            met: None,
            raised: 0,
            endpoint: HostEndpoint::new(instance(setup.instance), 1, trust).unwrap(),
            pending: Vec::new(),
            sessions: Vec::new(),
        }
    }

    pub(super) fn try_act(&mut self, config: &Config, act: Act, messages: &[Message]) -> Said {
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
