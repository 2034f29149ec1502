//! The attacker: knows every message that was ever sent, delivers any of them anywhere and at any
//! time, and rewrites fields.

use std::vec::Vec;

use super::property::{Answered, Completed, Sealed};
use crate::session::message::{GuestHello, HostHello, VERSION};
use crate::wire::codec;

/// Bytes that were sent, and by whom, for the properties.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Message {
    pub(super) body: Vec<u8>,
    pub(super) origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// Of the attacker's own making.
    Junk,
    HostHello,
    GuestHello(Answered),
    HostFinish(Completed),
    Frame(Sealed),
}

/// A field that the attacker rewrites. Nobody's signature is made anew: the attacker has no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Edit {
    None,
    /// A frame's sequence number.
    Sequence(u8),
    /// A frame's kind: data becomes close, close data.
    Kind,
    /// A frame's payload.
    Payload,
    /// The capabilities of either hello.
    Capabilities,
    /// The host's offer of versions, widened to an older one.
    Versions,
    /// The host's offer of suites, widened.
    Suites,
    /// The host's service.
    Service,
    /// The host's instance.
    Instance,
    /// The host's generation.
    Generation,
    /// The guest's floor.
    Seen,
}

const FRAME_EDITS: &[Edit] = &[
    Edit::Sequence(0),
    Edit::Sequence(1),
    Edit::Sequence(2),
    Edit::Kind,
    Edit::Payload,
];
const HOST_HELLO_EDITS: &[Edit] = &[
    Edit::Capabilities,
    Edit::Versions,
    Edit::Suites,
    Edit::Service,
    Edit::Instance,
    Edit::Generation,
];
const GUEST_HELLO_EDITS: &[Edit] = &[Edit::Capabilities, Edit::Seen];

pub(super) fn read_host_hello(body: &[u8]) -> Option<HostHello<'_>> {
    codec::decode(body).ok()
}

pub(super) fn read_guest_hello(head: &[u8]) -> Option<GuestHello<'_>> {
    codec::decode(head).ok()
}

impl Message {
    /// What can be rewritten in it.
    pub(super) const fn edits(&self) -> &'static [Edit] {
        match self.origin {
            Origin::HostHello => HOST_HELLO_EDITS,
            Origin::GuestHello(_) => GUEST_HELLO_EDITS,
            Origin::Frame(_) => FRAME_EDITS,
            Origin::HostFinish(_) | Origin::Junk => &[],
        }
    }

    /// The bytes with one field rewritten; `None` where that changes nothing.
    pub(super) fn edited(&self, edit: Edit) -> Option<Vec<u8>> {
        if edit == Edit::None {
            return Some(self.body.clone());
        }
        let mut out = [0; 512];
        let (written, tail) = match self.origin {
            Origin::HostHello => {
                let mut hello = read_host_hello(&self.body)?;
                match edit {
                    Edit::Capabilities => hello.capabilities = 0b100,
                    Edit::Versions => hello.min_version = VERSION - 1,
                    Edit::Suites => hello.suites |= 0b10,
                    Edit::Service => hello.service ^= 1,
                    Edit::Instance => hello.instance = super::party::instance(1),
                    Edit::Generation => hello.generation += 1,
                    _ => return None,
                }
                (codec::encode(&hello, &mut out).ok()?, &[][..])
            }
            Origin::GuestHello(_) => {
                let (head, signature) = self.body.split_last_chunk::<64>()?;
                let mut hello = read_guest_hello(head)?;
                match edit {
                    Edit::Capabilities => hello.capabilities = 0b010,
                    Edit::Seen => hello.seen ^= 1,
                    _ => return None,
                }
                (codec::encode(&hello, &mut out).ok()?, &signature[..])
            }
            Origin::Frame(_) => {
                let (head, signature) = self.body.split_last_chunk::<64>()?;
                let ((mut sequence, mut kind, len), payload): ((u64, u8, u32), _) =
                    codec::take(head).ok()?;
                let mut payload = payload.to_vec();
                match edit {
                    Edit::Sequence(to) => sequence = u64::from(to),
                    Edit::Kind => kind ^= 1,
                    Edit::Payload => *payload.first_mut()? ^= 0x80,
                    _ => return None,
                }
                let written = codec::encode(&(sequence, kind, len), &mut out).ok()?;
                out[written..written + payload.len()].copy_from_slice(&payload);
                (written + payload.len(), &signature[..])
            }
            Origin::HostFinish(_) | Origin::Junk => return None,
        };
        let body = [&out[..written], tail].concat();
        (body != self.body).then_some(body)
    }
}
