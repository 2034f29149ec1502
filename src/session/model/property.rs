//! What must hold at every step.

use std::vec::Vec;

use super::attacker::{Message, Origin};
use super::party::{Digest, Party, keys};
use crate::naming::InstanceId;
use crate::session::Side;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Violation {
    /// A guest completed with nobody, with a stranger, or with a host that saw another handshake.
    GuestDeceived,
    /// A host completed with no guest that answered exactly this.
    HostDeceived,
    /// A host completed with another key than the one of its instance.
    WrongPeer,
    /// A host completed a handshake with a guest that was restored behind its back.
    RestoreMissed,
    /// A host completed a handshake that it had given up.
    GivenUpCompleted,
    /// Two incarnations are in one session.
    TwoInOneSession,
    /// A frame was accepted that the peer did not seal so.
    FrameForged,
    /// A frame was accepted twice.
    FrameRepeated,
    /// Two frames have one place.
    FrameEquivocated,
    /// Something from before a restore works after it.
    UsableAfterRestore,
    /// Something works that a later handshake of the same service should have ended.
    SupersededUsed,
    /// Something works although the peer's key was removed.
    DistrustedUsed,
    /// A session works after an error.
    UsedAfterError,
    /// Something was sent or accepted after a close.
    AfterClose,
    /// A truncated stream passes for a complete one, or a complete one for truncated.
    TruncationMissed,
    /// Instance or floor of a guest moved where they must not.
    BindingMoved,
    /// A guest signed for a stranger, or for another service, instance or generation.
    SignedTooMuch,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Answered {
    pub(super) digest: Digest,
    pub(super) key: [u8; 32],
    pub(super) service: u16,
    pub(super) instance: InstanceId,
    pub(super) generation: u64,
    pub(super) seen: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Completed {
    pub(super) digest: Digest,
    pub(super) key: [u8; 32],
    pub(super) peer: [u8; 32],
    pub(super) instance: InstanceId,
    pub(super) service: u16,
    pub(super) generation: u64,
    pub(super) capabilities: u32,
    pub(super) session_id: [u8; 16],
    pub(super) incarnation: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Sealed {
    pub(super) digest: Digest,
    pub(super) side: Side,
    pub(super) number: u8,
    pub(super) close: bool,
    pub(super) payload: Vec<u8>,
    pub(super) incarnation: u8,
}

/// As [`Sealed`], by the side that accepted it.
pub(super) type Accepted = Sealed;

/// What has to be judged with a view of the whole world.
#[derive(Debug, Clone)]
pub(super) enum Event {
    GuestCompleted(Completed),
    HostCompleted {
        first: Digest,
        confirmed: bool,
        completed: Completed,
    },
    Sealed(Sealed),
    Accepted(Accepted),
}

/// Judges an event. `messages` are those sent before it; `peers` are the parties of the same side
/// other than the one it happened to.
pub(super) fn judge<'a>(
    event: &Event,
    messages: impl Iterator<Item = &'a Message> + Clone,
    others: impl Iterator<Item = &'a Party> + Clone,
) -> Option<Violation> {
    // Sessions of others that they themselves completed, and did not find in a snapshot.
    let elsewhere = |digest: &Digest| {
        others.clone().find_map(|party| {
            party
                .progress()
                .into_iter()
                .find_map(|(other, incarnation, accepted)| {
                    (other == *digest && incarnation == party.life().incarnation)
                        .then_some(accepted)
                })
        })
    };
    match event {
        Event::GuestCompleted(guest) => {
            let honest = keys().hosts[0].public();
            let host = messages.into_iter().find_map(|message| match &message.origin {
                Origin::HostFinish(host) if host.digest == guest.digest => Some(host),
                _ => None,
            });
            let agreed = host.is_some_and(|host| {
                host.key == *honest.as_bytes()
                    && host.key == guest.peer
                    && host.peer == guest.key
                    && host.instance == guest.instance
                    && host.service == guest.service
                    && host.generation == guest.generation
                    && host.capabilities == guest.capabilities
                    && host.session_id == guest.session_id
            });
            if !agreed {
                Some(Violation::GuestDeceived)
            } else if elsewhere(&guest.digest).is_some() {
                Some(Violation::TwoInOneSession)
            } else {
                None
            }
        }
        Event::HostCompleted { first, confirmed, completed: host } => {
            let guest = messages.into_iter().find_map(|message| match &message.origin {
                Origin::GuestHello(guest) if guest.digest == *first => Some(guest),
                _ => None,
            });
            let Some(guest) = guest else { return Some(Violation::HostDeceived) };
            if guest.key != host.peer
                || guest.service != host.service
                || guest.instance != host.instance
                || guest.generation != host.generation
            {
                Some(Violation::HostDeceived)
            } else if guest.seen > host.generation || (*confirmed && guest.seen != host.generation) {
                Some(Violation::RestoreMissed)
            } else if elsewhere(&host.digest).is_some() {
                Some(Violation::TwoInOneSession)
            } else {
                None
            }
        }
        Event::Sealed(sealed) => messages
            .into_iter()
            .any(|message| {
                matches!(&message.origin, Origin::Frame(other)
                if other.digest == sealed.digest && other.side == sealed.side && other.number == sealed.number)
            })
            .then_some(Violation::FrameEquivocated),
        Event::Accepted(accepted) => {
            let genuine = messages.into_iter().any(|message| {
                matches!(&message.origin, Origin::Frame(sealed)
                    if sealed.digest == accepted.digest
                        && sealed.side != accepted.side
                        && sealed.number == accepted.number
                        && sealed.close == accepted.close
                        && sealed.payload == accepted.payload)
            });
            if !genuine {
                Some(Violation::FrameForged)
            } else if elsewhere(&accepted.digest).is_some_and(|count| count > accepted.number) {
                Some(Violation::FrameRepeated)
            } else {
                None
            }
        }
    }
}
