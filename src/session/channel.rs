//! A session whose handshake has completed.

use core::marker::PhantomData;

use ed25519_dalek::VerifyingKey;
use zeroize::Zeroize;

use crate::limits::{FRAME_BODY_MAX, SESSION_FRAMES_MAX};
use crate::naming::InstanceId;
use crate::signing::{PublicKey, SecretKey, Signature, Usage, hash, verify_strict};
use crate::wire::copy;
use crate::wire::fields::{Reader, Writer};

use super::environment::{Environment, Mark};
use super::error::{Ended, OpenError, SealError, Truncated};
use super::ledger::Ticket;
use super::message::split_signature;
use crate::rules::{Rule, on};

const FRAME_CONTEXT: &[u8; 18] = b"mvm-core/frame/v3\0";
const DATA: u8 = 0;
const CLOSE: u8 = 1;

/// Most bytes a frame adds to its payload: the length, the sequence number (below 2³²), the kind,
/// the payload's length and the signature.
pub const FRAME_OVERHEAD_MAX: usize = 4 + 5 + 1 + 3 + Signature::LEN;

/// Longest payload of a frame, in bytes.
pub const PAYLOAD_MAX: usize = FRAME_BODY_MAX - (5 + 1 + 3 + Signature::LEN);

/// What is known of a session that asks whether it still counts.
pub struct Standing<'a> {
    pub(super) service: u16,
    pub(super) ticket: Ticket,
    pub(super) instance: &'a InstanceId,
    pub(super) generation: u64,
    pub(super) peer: &'a [u8; 32],
}

pub(super) mod private {
    use super::{Ended, Environment, Standing};

    /// What a session asks of its endpoint. Not for implementing outside this crate.
    pub trait Admit {
        fn admits(&self, standing: &Standing<'_>, env: &dyn Environment) -> Result<(), Ended>;
        fn confirm(&mut self);
    }
}

/// One side of sessions: [`HostEndpoint`](super::HostEndpoint) or
/// [`GuestEndpoint`](super::GuestEndpoint). Sealed.
pub trait Endpoint: private::Admit {
    /// What this side's keys are for.
    type Own: Usage;
    /// What the peer's keys are for.
    type Peer: Usage;
    /// The direction byte of what this side sends: `H` or `G`.
    const SENDS: u8;
    /// The direction byte of what this side receives.
    const RECEIVES: u8;
}

/// A completed handshake's session, on the side of `E`.
///
/// It borrows its key, holds no buffer and does no IO: [`seal`](Self::seal) turns a payload into
/// bytes to send, [`open`](Self::open) turns the body of a received frame into a payload. Each call
/// takes the endpoint, which knows whether the session still counts, and the environment, which
/// knows whether the machine is still the same incarnation.
///
/// After any error it refuses every further call ([`Ended::Poisoned`]).
#[cfg_attr(test, derive(Clone, Hash))]
pub struct Session<'k, E: Endpoint> {
    agreed: Agreed<'k, E>,
    sent: u64,
    received: u64,
    closed: bool,
    peer_closed: bool,
    poisoned: bool,
}

/// What a handshake established and a session never changes.
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct Agreed<'k, E: Endpoint> {
    pub(super) key: &'k SecretKey<E::Own>,
    pub(super) peer: VerifyingKey,
    pub(super) transcript: [u8; 32],
    pub(super) session_id: [u8; 16],
    pub(super) instance: InstanceId,
    pub(super) service: u16,
    pub(super) ticket: Ticket,
    pub(super) generation: u64,
    pub(super) capabilities: u32,
    pub(super) mark: Mark,
    pub(super) began: u64,
    pub(super) lifetime: u64,
    pub(super) endpoint: PhantomData<fn() -> E>,
}

/// What a frame held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Opened<'b> {
    /// A payload of the peer.
    Data(&'b [u8]),
    /// The peer has closed: nothing follows.
    Closed,
}

impl<'k, E: Endpoint> Session<'k, E> {
    pub(super) const fn new(agreed: Agreed<'k, E>) -> Self {
        Self {
            agreed,
            sent: 0,
            received: 0,
            closed: false,
            peer_closed: false,
            poisoned: false,
        }
    }

    /// The session's label, the same on both sides. Nothing rests on it.
    #[must_use]
    pub const fn session_id(&self) -> &[u8; 16] {
        &self.agreed.session_id
    }

    /// The service of this session.
    #[must_use]
    pub const fn service(&self) -> u16 {
        self.agreed.service
    }

    /// The instance this session belongs to.
    #[must_use]
    pub const fn instance(&self) -> &InstanceId {
        &self.agreed.instance
    }

    /// The generation of the instance this session belongs to.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.agreed.generation
    }

    /// What both sides can do: the intersection of their offers, as bits.
    #[must_use]
    pub const fn capabilities(&self) -> u32 {
        self.agreed.capabilities
    }

    /// The peer's key.
    #[must_use]
    pub fn peer_key(&self) -> PublicKey<E::Peer> {
        PublicKey::of(&self.agreed.peer)
    }

    /// How many frames were sealed and how many were opened.
    #[must_use]
    pub const fn frames(&self) -> (u64, u64) {
        (self.sent, self.received)
    }

    /// Whether the peer has closed its direction.
    #[must_use]
    pub const fn is_peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Whether the session can still be used. It asks what each call asks and changes nothing.
    ///
    /// # Errors
    /// Every [`Ended`].
    pub fn check(&self, endpoint: &E, env: &dyn Environment) -> Result<(), Ended> {
        if self.poisoned && on(Rule::FailClosed) {
            return Err(Ended::Poisoned);
        }
        endpoint.admits(&self.standing(), env)?;
        if on(Rule::Mark) && env.mark() != self.agreed.mark {
            return Err(Ended::IncarnationChanged);
        }
        // A clock that went back belongs to another machine.
        match env.monotonic_millis().checked_sub(self.agreed.began) {
            Some(age) if age < self.agreed.lifetime => Ok(()),
            _ => Err(Ended::Expired),
        }
    }

    fn standing(&self) -> Standing<'_> {
        Standing {
            service: self.agreed.service,
            ticket: self.agreed.ticket,
            instance: &self.agreed.instance,
            generation: self.agreed.generation,
            peer: self.agreed.peer.as_bytes(),
        }
    }

    /// Ends the session on this side without a word to the peer, who will see a truncated stream.
    pub fn poison(&mut self) {
        self.poisoned = true;
    }

    /// Writes `payload` as the next frame into `out` and gives the frame's length: these bytes are
    /// to be sent as they are. `out` needs at most [`FRAME_OVERHEAD_MAX`] bytes more than the
    /// payload.
    ///
    /// # Errors
    /// Every [`SealError`]; `out` then holds nothing that may be sent.
    pub fn seal(
        &mut self,
        endpoint: &E,
        env: &dyn Environment,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        self.send(endpoint, env, DATA, payload, out)
    }

    /// Writes the close, the last frame of this direction.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn close(
        &mut self,
        endpoint: &E,
        env: &dyn Environment,
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        let written = self.send(endpoint, env, CLOSE, &[], out)?;
        self.closed = true;
        Ok(written)
    }

    fn send(
        &mut self,
        endpoint: &E,
        env: &dyn Environment,
        kind: u8,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        let result = self.try_send(endpoint, env, kind, payload, out);
        self.poisoned |= result.is_err();
        result
    }

    fn try_send(
        &mut self,
        endpoint: &E,
        env: &dyn Environment,
        kind: u8,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        self.check(endpoint, env)?;
        if self.closed && on(Rule::NothingAfterClose) {
            return Err(SealError::Closed);
        }
        if self.sent >= SESSION_FRAMES_MAX {
            return Err(SealError::SequenceExhausted);
        }
        let too_long = SealError::PayloadTooLong {
            len: payload.len(),
            max: PAYLOAD_MAX,
        };
        if payload.len() > PAYLOAD_MAX {
            return Err(too_long);
        }
        let mut head_bytes = [0; 16];
        let mut head = Writer::new(&mut head_bytes);
        head.varint(self.sent);
        head.byte(kind);
        head.varint(u64::try_from(payload.len()).map_err(|_| too_long)?);
        let head_len = head.end().map_err(|_| too_long)?;
        let body = head_len
            .saturating_add(payload.len())
            .saturating_add(Signature::LEN);
        let needed = body.saturating_add(4);
        let small = SealError::BufferTooSmall {
            needed,
            len: out.len(),
        };
        let length = u32::try_from(body).map_err(|_| too_long)?.to_be_bytes();
        let frame = out.get_mut(..needed).ok_or(small)?;
        let (prefix, rest) = frame.split_first_chunk_mut::<4>().ok_or(small)?;
        let (head_space, rest) = rest.split_at_mut_checked(head_len).ok_or(small)?;
        let (payload_space, signature_space) =
            rest.split_at_mut_checked(payload.len()).ok_or(small)?;
        let signature_space = signature_space.first_chunk_mut::<64>().ok_or(small)?;
        *prefix = length;
        copy(head_space, head_bytes.get(..head_len).ok_or(small)?);
        copy(payload_space, payload);
        let message = signed_bytes(&self.agreed.transcript, E::SENDS, kind, self.sent, payload);
        *signature_space = *self.agreed.key.sign_raw(&message).as_bytes();
        // The machine may have been restored while the signature was made: two incarnations must
        // not both send an n-th frame.
        if on(Rule::MarkAfterSeal) && env.mark() != self.agreed.mark {
            frame.zeroize();
            return Err(SealError::Ended(Ended::IncarnationChanged));
        }
        self.sent = self.sent.saturating_add(1);
        Ok(needed)
    }

    /// Checks the body of a received frame (without its length) and gives what it holds.
    ///
    /// # Errors
    /// Every [`OpenError`].
    pub fn open<'b>(
        &mut self,
        endpoint: &mut E,
        env: &dyn Environment,
        body: &'b [u8],
    ) -> Result<Opened<'b>, OpenError> {
        let result = self.try_open(endpoint, env, body);
        self.poisoned |= result.is_err();
        result
    }

    fn try_open<'b>(
        &mut self,
        endpoint: &mut E,
        env: &dyn Environment,
        body: &'b [u8],
    ) -> Result<Opened<'b>, OpenError> {
        self.check(endpoint, env)?;
        if body.len() > FRAME_BODY_MAX {
            return Err(OpenError::FrameTooLong {
                len: body.len(),
                max: FRAME_BODY_MAX,
            });
        }
        if self.peer_closed && on(Rule::NothingAfterClose) {
            return Err(OpenError::AfterClose);
        }
        if self.received >= SESSION_FRAMES_MAX {
            return Err(OpenError::SequenceExhausted);
        }
        let (head, signature) = split_signature(body)?;
        let mut fields = Reader::new(head);
        let (sequence, kind, payload) = (fields.varint(), fields.byte(), fields.bytes());
        fields.end()?;
        if on(Rule::ExpectedSequence) && sequence != self.received {
            return Err(OpenError::SequenceGap {
                expected: self.received,
                got: sequence,
            });
        }
        if kind > CLOSE {
            return Err(OpenError::UnknownKind { kind });
        }
        if kind == CLOSE && !payload.is_empty() {
            return Err(OpenError::CloseWithPayload { len: payload.len() });
        }
        let message = signed_bytes(
            &self.agreed.transcript,
            E::RECEIVES,
            kind,
            sequence,
            payload,
        );
        verify_strict(&self.agreed.peer, &message, &signature)
            .map_err(|_| OpenError::BadSignature)?;
        self.received = sequence.saturating_add(1);
        endpoint.confirm();
        if kind == CLOSE {
            self.peer_closed = true;
            return Ok(Opened::Closed);
        }
        Ok(Opened::Data(payload))
    }

    /// To be called when the stream ends: whether the peer's close was verified.
    ///
    /// # Errors
    /// [`Truncated`] where it was not.
    pub fn end_of_stream(self) -> Result<(), Truncated> {
        if self.peer_closed || !on(Rule::AuthenticatedEnd) {
            Ok(())
        } else {
            Err(Truncated {
                received: self.received,
            })
        }
    }
}

/// What a frame's signature covers: context ‖ T2 ‖ direction ‖ kind ‖ sequence ‖ H(payload).
fn signed_bytes(
    transcript: &[u8; 32],
    direction: u8,
    kind: u8,
    sequence: u64,
    payload: &[u8],
) -> [u8; 92] {
    let transcript = if on(Rule::SignedTranscript) {
        transcript
    } else {
        &[0; 32]
    };
    let direction = if on(Rule::SignedDirection) {
        direction
    } else {
        0
    };
    let kind = if on(Rule::SignedKind) { kind } else { 0 };
    let sequence = if on(Rule::SignedSequence) {
        sequence
    } else {
        0
    };
    let payload = if on(Rule::SignedPayload) {
        payload
    } else {
        &[]
    };
    let mut message = [0; 92];
    let mut fields = Writer::new(&mut message);
    fields.put(FRAME_CONTEXT);
    fields.put(transcript);
    fields.put(&[direction, kind]);
    fields.put(&sequence.to_be_bytes());
    fields.put(&hash(&[payload]));
    message
}

impl<E: Endpoint> core::fmt::Debug for Session<'_, E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Session")
            .field("service", &self.agreed.service)
            .field("generation", &self.agreed.generation)
            .field("sent", &self.sent)
            .field("received", &self.received)
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;

    struct Machine;

    impl Environment for Machine {
        fn mark(&self) -> Mark {
            Mark::Constant
        }
        fn monotonic_millis(&self) -> u64 {
            0
        }
    }

    /// From outside this takes 2³² frames.
    #[test]
    fn a_session_ends_after_2_to_the_32_frames_in_each_direction() {
        let (host_key, guest_key) = (HostKey::from_seed(&[1; 32]), GuestKey::from_seed(&[2; 32]));
        let instance = InstanceId::new("i-0a1b2c3d").unwrap();
        let mut host =
            HostEndpoint::new(instance, 1, GuestTrust::pinned(guest_key.public())).unwrap();
        let mut trusted = TrustedHosts::new();
        trusted.insert(TrustedHost::new(host_key.public())).unwrap();
        let mut guest = GuestEndpoint::new(trusted);
        let (mut hello, mut answer) = ([0; HOST_HELLO_FRAME_MAX], [0; GUEST_HELLO_FRAME_MAX]);
        let asked = HostOptions {
            service: 1,
            capabilities: 0,
            extensions: &[],
            lifetime_ms: 1,
        };
        let served = GuestOptions {
            service: 1,
            capabilities: 0,
            extensions: &[],
            lifetime_ms: 1,
        };
        let (waiting, n) = host
            .begin(
                &host_key,
                asked,
                Entropy::new([3; 32]),
                &Machine,
                &mut hello,
            )
            .unwrap();
        let offer = guest
            .receive(&guest_key, served, &Machine, &hello[4..n])
            .unwrap();
        let (answered, n) = offer
            .answer(&mut guest, Entropy::new([4; 32]), &Machine, &mut answer)
            .unwrap();
        let Received::Verified(verified) =
            waiting.receive(&mut host, &Machine, &answer[4..n]).unwrap()
        else {
            panic!("the guest's key is pinned");
        };
        let (mut at_host, n) = verified.finish(&mut host, &Machine, &mut hello).unwrap();
        let mut at_guest = answered.finish(&mut guest, &Machine, &hello[4..n]).unwrap();

        let last = (1 << 32) - 1;
        (at_host.sent, at_guest.received) = (last, last);
        let mut out = [0; FRAME_OVERHEAD_MAX];
        let n = at_host.seal(&host, &Machine, &[], &mut out).unwrap();
        // The longest sequence number there is: this is where the overhead is greatest.
        assert_eq!(out[4..9], [0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(
            at_guest.open(&mut guest, &Machine, &out[4..n]),
            Ok(Opened::Data(&[]))
        );
        let refused = at_host.seal(&host, &Machine, &[], &mut out);
        assert_eq!(refused, Err(SealError::SequenceExhausted));
        let refused = at_guest.open(&mut guest, &Machine, &out[4..n]);
        assert_eq!(refused, Err(OpenError::SequenceExhausted));
    }
}
