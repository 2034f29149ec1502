//! What both sides of a handshake compute alike.

use crate::limits::HANDSHAKE_DEADLINE_MS;
use crate::signing::{Signature, hash};
use crate::wire::fields::Writer;

use super::environment::{Environment, Mark};
use super::error::HandshakeError;
use super::ledger::{Ledger, Ticket};
use crate::rules::{Rule, on};

pub(super) const LABEL_SESSION_ID: &[u8] = b"mvm-core/session/v3/session-id\0";
pub(super) const LABEL_HOST_NONCE: &[u8] = b"mvm-core/session/v3/host-nonce\0";
pub(super) const LABEL_GUEST_NONCE: &[u8] = b"mvm-core/session/v3/guest-nonce\0";
const LABEL_T1: &[u8] = b"mvm-core/session/v3/t1\0";
const LABEL_T2: &[u8] = b"mvm-core/session/v3/t2\0";
const LABEL_GUEST: &[u8; 26] = b"mvm-core/session/v3/guest\0";
const LABEL_HOST: &[u8; 25] = b"mvm-core/session/v3/host\0";

/// `len(x)` of the protocol. Handshake messages are below 1 KiB.
pub(super) fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()
}

/// The transcript up to the guest's signature.
pub(super) fn t1(host_hello: &[u8], guest_hello: &[u8]) -> [u8; 32] {
    let host_hello = if on(Rule::SignedHostHello) {
        host_hello
    } else {
        &[]
    };
    let guest_hello = if on(Rule::SignedGuestHello) {
        guest_hello
    } else {
        &[]
    };
    hash(&[
        LABEL_T1,
        &length(host_hello),
        host_hello,
        &length(guest_hello),
        guest_hello,
    ])
}

/// The whole transcript, to which every frame is tied.
pub(super) fn t2(t1: &[u8; 32], guest: &Signature, host: &Signature) -> [u8; 32] {
    hash(&[LABEL_T2, t1, guest.as_bytes(), host.as_bytes()])
}

/// The mark as it goes into a nonce.
pub(super) fn mark_bytes(mark: Mark) -> [u8; 8] {
    if on(Rule::MarkInNonce) {
        mark.to_be_bytes()
    } else {
        [0; 8]
    }
}

/// What a guest signs.
pub(super) fn guest_message(t1: &[u8; 32]) -> [u8; 26 + 32] {
    let mut message = [0; 26 + 32];
    let mut fields = Writer::new(&mut message);
    fields.put(LABEL_GUEST);
    fields.put(t1);
    message
}

/// What a host signs.
pub(super) fn host_message(t1: &[u8; 32], guest: &Signature) -> [u8; 25 + 32 + 64] {
    let mut message = [0; 25 + 32 + 64];
    let mut fields = Writer::new(&mut message);
    fields.put(LABEL_HOST);
    fields.put(t1);
    fields.put(guest.as_bytes());
    message
}

/// One try at a handshake: its place among others, when it began, and on which incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    pub(super) ticket: Ticket,
    pub(super) mark: Mark,
    pub(super) began: u64,
}

impl Attempt {
    /// Whether the attempt still has its place and its time.
    pub(super) fn check_place(
        &self,
        ledger: &Ledger,
        env: &dyn Environment,
    ) -> Result<(), HandshakeError> {
        if on(Rule::SupersedeEarlier) && !ledger.is_pending(self.ticket) {
            return Err(HandshakeError::Superseded);
        }
        match env.monotonic_millis().checked_sub(self.began) {
            Some(age) if age <= HANDSHAKE_DEADLINE_MS => Ok(()),
            _ => Err(HandshakeError::Expired),
        }
    }

    pub(super) fn check_mark(&self, env: &dyn Environment) -> Result<(), HandshakeError> {
        if on(Rule::Mark) && env.mark() != self.mark {
            return Err(HandshakeError::IncarnationChanged);
        }
        Ok(())
    }

    pub(super) fn check(
        &self,
        ledger: &Ledger,
        env: &dyn Environment,
    ) -> Result<(), HandshakeError> {
        self.check_place(ledger, env)?;
        self.check_mark(env)
    }
}
