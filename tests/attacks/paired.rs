//! Attacks on the holes of version 0.13.0, each against both schemes.
//!
//! An attack is a function over [`Scheme`]. It gives `Ok` when the attacker has what he wanted and
//! the victim's refusal when not. The table at the end runs each against protocol v3, with the
//! refusal that is due, and against 0.13.0, where it must succeed.

use mvm_core::limits::FRAME_BODY_MAX;
use mvm_core::session::*;
use mvm_core::signing::KeyError;
use mvm_core::wire::codec::DecodeError;

use crate::forge::{self, Frame, HostHello};
use crate::legacy::Legacy;
use crate::world::*;

/// What an attacker wants to be believed.
pub(crate) const FORGERY: &[u8] = b"destroy";

/// A session scheme, as far as an attacker can touch it.
pub(crate) trait Scheme: Sized {
    type Refusal: PartialEq + core::fmt::Debug;

    fn new() -> Self;
    /// An undisturbed handshake on the same service; gives the session's number.
    fn connect(&mut self) -> usize;
    /// The same on a service of its own, so that earlier sessions go on.
    fn connect_beside(&mut self) -> usize;
    fn seal(
        &mut self,
        from: Side,
        session: usize,
        payload: &[u8],
    ) -> Result<Vec<u8>, Self::Refusal>;
    fn open(&mut self, at: Side, session: usize, frame: &[u8]) -> Result<Vec<u8>, Self::Refusal>;
    fn stream_ends(&mut self, at: Side, session: usize) -> Result<(), Self::Refusal>;
    fn restore_guest(&mut self);

    /// The frame with another sequence number.
    fn with_sequence(frame: &[u8], sequence: u64) -> Vec<u8>;
    /// The frame with something else changed that is neither payload nor signature.
    fn with_other_header(frame: &[u8]) -> Vec<u8>;
    /// The frame, addressed to another session.
    fn readdressed(&self, frame: &[u8], session: usize) -> Vec<u8>;
    /// The same frame in other bytes.
    fn reencoded(frame: &[u8]) -> Vec<u8>;

    /// Whole handshakes, then a frame each way, of which one end or the wire is the attacker's.
    fn stranger_as_host(&mut self) -> Result<(), Self::Refusal>;
    fn stranger_as_guest(&mut self) -> Result<(), Self::Refusal>;
    fn neighbour_as_guest(&mut self) -> Result<(), Self::Refusal>;
    fn version_zero(&mut self) -> Result<(), Self::Refusal>;
    fn lower_version_put_in(&mut self) -> Result<(), Self::Refusal>;
    fn empty_challenge(&mut self) -> Result<(), Self::Refusal>;
    /// What the guest signs for a stranger who wants its signature under `message`.
    fn asks_guest_to_sign(&mut self, message: &[u8]) -> Result<[u8; 64], Self::Refusal>;
    /// A guest without a secret: its key is the identity, and it has but one signature.
    fn identity_as_guest(
        &mut self,
        key: [u8; 32],
        signature: [u8; 64],
    ) -> Result<(), Self::Refusal>;
}

/// Everything that protocol v3 answers in these attacks.
#[derive(Debug, PartialEq)]
pub(crate) enum Refused {
    Handshake(HandshakeError),
    Seal(SealError),
    Open(OpenError),
    End(Truncated),
    Key(KeyError),
}

impl From<HandshakeError> for Refused {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}
impl From<SealError> for Refused {
    fn from(error: SealError) -> Self {
        Self::Seal(error)
    }
}
impl From<OpenError> for Refused {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

pub(crate) struct V3 {
    world: World,
    sessions: Vec<Option<Pair>>,
}

impl V3 {
    fn push(&mut self, service: u16) -> usize {
        let pair = self.world.connect_to(service);
        self.sessions.push(Some(pair));
        self.sessions.len() - 1
    }

    /// A handshake whose `HostHello` a man in the middle rewrites.
    fn rewritten(&mut self, change: impl FnOnce(&mut HostHello)) -> Result<(), Refused> {
        let (waiting, hello) = self.world.begin(SERVICE);
        let arrived = HostHello::rewrite(&hello, change);
        let (awaiting, answer) = self.world.reply(SERVICE, &arrived)?;
        let verified = self.world.verify(waiting, &answer)?;
        let (_, finish) = self.world.prove(verified)?;
        self.world.complete(awaiting, &finish)?;
        Ok(())
    }

    /// A handshake with a guest that holds the key of `seed`.
    fn with_guest(&mut self, seed: [u8; 32]) -> Result<(), Refused> {
        self.world.guest_key = guest_key(seed);
        self.rewritten(|_| ())
    }
}

impl Scheme for V3 {
    type Refusal = Refused;

    fn new() -> Self {
        Self {
            world: World::new(),
            sessions: Vec::new(),
        }
    }

    fn connect(&mut self) -> usize {
        self.push(SERVICE)
    }

    fn connect_beside(&mut self) -> usize {
        self.push(OTHER_SERVICE)
    }

    fn seal(&mut self, from: Side, session: usize, payload: &[u8]) -> Result<Vec<u8>, Refused> {
        let pair = self.sessions[session].as_mut().unwrap();
        Ok(match from {
            Side::Host => pair.host_seals(&self.world, payload)?,
            Side::Guest => pair.guest_seals(&self.world, payload)?,
        })
    }

    fn open(&mut self, at: Side, session: usize, frame: &[u8]) -> Result<Vec<u8>, Refused> {
        let pair = self.sessions[session].as_mut().unwrap();
        let opened = match at {
            Side::Host => pair.host_opens(&mut self.world, frame)?,
            Side::Guest => pair.guest_opens(&mut self.world, frame)?,
        };
        match opened {
            Opened::Data(payload) => Ok(payload.to_vec()),
            other => panic!("{other:?}"),
        }
    }

    fn stream_ends(&mut self, at: Side, session: usize) -> Result<(), Refused> {
        let pair = self.sessions[session].take().unwrap();
        match at {
            Side::Host => pair.host.end_of_stream(),
            Side::Guest => pair.guest.end_of_stream(),
        }
        .map_err(Refused::End)
    }

    fn restore_guest(&mut self) {
        self.world.at_guest.restore();
    }

    fn with_sequence(frame: &[u8], sequence: u64) -> Vec<u8> {
        Frame::rewrite(frame, |frame| frame.sequence = sequence)
    }

    fn with_other_header(frame: &[u8]) -> Vec<u8> {
        Frame::rewrite(frame, |frame| frame.kind = 2)
    }

    fn readdressed(&self, frame: &[u8], _session: usize) -> Vec<u8> {
        // A frame names no session: it is tied to one by its signature.
        frame.to_vec()
    }

    fn reencoded(frame: &[u8]) -> Vec<u8> {
        let (parsed, _) = Frame::parse(frame);
        let mut longer = Vec::new();
        forge::padded_varint(parsed.sequence, &mut longer);
        [&longer, &frame[longer.len() - 1..]].concat()
    }

    fn stranger_as_host(&mut self) -> Result<(), Refused> {
        self.world.host_key = host_key(STRANGER_SEED);
        self.rewritten(|_| ())
    }

    fn stranger_as_guest(&mut self) -> Result<(), Refused> {
        self.with_guest(STRANGER_SEED)
    }

    fn neighbour_as_guest(&mut self) -> Result<(), Refused> {
        self.with_guest(NEIGHBOUR_SEED)
    }

    fn version_zero(&mut self) -> Result<(), Refused> {
        self.rewritten(|hello| (hello.min_version, hello.max_version) = (0, 0))
    }

    fn lower_version_put_in(&mut self) -> Result<(), Refused> {
        self.rewritten(|hello| hello.min_version = 1)
    }

    fn empty_challenge(&mut self) -> Result<(), Refused> {
        // The nonce has its 32 bytes or there is no hello.
        self.world.reply(SERVICE, &[]).map(|_| ())?;
        Ok(())
    }

    fn asks_guest_to_sign(&mut self, message: &[u8]) -> Result<[u8; 64], Refused> {
        let (_, hello) = self.world.begin(SERVICE);
        let asked = HostHello::rewrite(&hello, |hello| {
            hello.extensions = message.to_vec();
            hello.host_key = *host_key(STRANGER_SEED).public().as_bytes();
        });
        let (_, answer) = self.world.reply(SERVICE, &asked)?;
        Ok(*answer.last_chunk::<64>().unwrap())
    }

    fn identity_as_guest(&mut self, key: [u8; 32], _signature: [u8; 64]) -> Result<(), Refused> {
        // The key cannot be provisioned, so that there is nothing to try the signature on.
        let key = GuestPublicKey::from_bytes(&key).map_err(Refused::Key)?;
        panic!("{key:?} is a key of small order")
    }
}

// The attacks. `Ok` is the attacker's success.

fn is_believed(accepted: &[u8], payload: &[u8]) {
    assert_eq!(
        accepted, payload,
        "the attacked end took something else than was sent"
    );
}

/// A frame is delivered a second time.
fn replayed_frame<S: Scheme>() -> Result<(), S::Refusal> {
    let mut scheme = S::new();
    let session = scheme.connect();
    let frame = scheme.seal(Side::Host, session, FORGERY)?;
    is_believed(&scheme.open(Side::Guest, session, &frame)?, FORGERY);
    is_believed(&scheme.open(Side::Guest, session, &frame)?, FORGERY);
    Ok(())
}

/// A frame is delivered again later, under a sequence number that has not been used.
fn replayed_frame_under_a_new_sequence<S: Scheme>() -> Result<(), S::Refusal> {
    let mut scheme = S::new();
    let session = scheme.connect();
    let frame = scheme.seal(Side::Host, session, FORGERY)?;
    is_believed(&scheme.open(Side::Guest, session, &frame)?, FORGERY);
    is_believed(
        &scheme.open(Side::Guest, session, &S::with_sequence(&frame, 1))?,
        FORGERY,
    );
    Ok(())
}

/// The first frame is swallowed and the second takes its place and its number.
fn rewritten_sequence<S: Scheme>() -> Result<(), S::Refusal> {
    let mut scheme = S::new();
    let session = scheme.connect();
    scheme.seal(Side::Host, session, b"sleep")?;
    let second = scheme.seal(Side::Host, session, FORGERY)?;
    is_believed(
        &scheme.open(Side::Guest, session, &S::with_sequence(&second, 0))?,
        FORGERY,
    );
    Ok(())
}

/// One frame with the highest of all sequence numbers, and the real peer is never heard again.
fn highest_sequence_locks_the_peer_out<S: Scheme>() -> Result<(), S::Refusal> {
    let mut scheme = S::new();
    let session = scheme.connect();
    let frame = scheme.seal(Side::Host, session, b"ping")?;
    scheme.open(Side::Guest, session, &S::with_sequence(&frame, u64::MAX))?;
    let honest = scheme.seal(Side::Host, session, b"ping")?;
    scheme
        .open(Side::Guest, session, &honest)
        .expect_err("the peer is locked out");
    Ok(())
}

/// A frame of one session is delivered in another one, where it is due by its number.
fn spliced_from_a_parallel_session<S: Scheme>() -> Result<(), S::Refusal> {
    let mut scheme = S::new();
    let (session, other) = (scheme.connect(), scheme.connect_beside());
    let frame = scheme.seal(Side::Host, other, FORGERY)?;
    let frame = scheme.readdressed(&frame, session);
    is_believed(&scheme.open(Side::Guest, session, &frame)?, FORGERY);
    Ok(())
}

/// A frame of a session that is over is delivered in the next one.
fn spliced_from_the_session_before<S: Scheme>() -> Result<(), S::Refusal> {
    let mut scheme = S::new();
    let before = scheme.connect();
    let frame = scheme.seal(Side::Guest, before, FORGERY)?;
    let session = scheme.connect();
    let frame = scheme.readdressed(&frame, session);
    is_believed(&scheme.open(Side::Host, session, &frame)?, FORGERY);
    Ok(())
}

/// A frame is sent back to the one who made it.
fn reflected_frame<S: Scheme>() -> Result<(), S::Refusal> {
    let mut scheme = S::new();
    let session = scheme.connect();
    let frame = scheme.seal(Side::Host, session, FORGERY)?;
    is_believed(&scheme.open(Side::Host, session, &frame)?, FORGERY);
    Ok(())
}

/// Something of a frame is rewritten that is neither its payload nor its number.
fn rewritten_header<S: Scheme>() -> Result<(), S::Refusal> {
    let mut scheme = S::new();
    let session = scheme.connect();
    let frame = scheme.seal(Side::Guest, session, FORGERY)?;
    is_believed(
        &scheme.open(Side::Host, session, &S::with_other_header(&frame))?,
        FORGERY,
    );
    Ok(())
}

/// The same frame arrives in bytes that its sender never wrote.
fn second_encoding_of_a_frame<S: Scheme>() -> Result<(), S::Refusal> {
    let mut scheme = S::new();
    let session = scheme.connect();
    let frame = scheme.seal(Side::Host, session, FORGERY)?;
    is_believed(
        &scheme.open(Side::Guest, session, &S::reencoded(&frame))?,
        FORGERY,
    );
    Ok(())
}

/// A frame is swallowed, and the next is taken all the same.
fn dropped_frame<S: Scheme>() -> Result<(), S::Refusal> {
    let mut scheme = S::new();
    let session = scheme.connect();
    scheme.seal(Side::Guest, session, b"not ready")?;
    let second = scheme.seal(Side::Guest, session, b"ready")?;
    is_believed(&scheme.open(Side::Host, session, &second)?, b"ready");
    Ok(())
}

/// The stream is cut before the last frame, and nobody notices.
fn truncated_stream<S: Scheme>() -> Result<(), S::Refusal> {
    let mut scheme = S::new();
    let session = scheme.connect();
    let first = scheme.seal(Side::Host, session, b"start")?;
    scheme.seal(Side::Host, session, b"but not yet")?;
    is_believed(&scheme.open(Side::Guest, session, &first)?, b"start");
    scheme.stream_ends(Side::Guest, session)
}

/// After a reconnection, the session that was left behind still takes frames.
fn session_left_behind_by_a_reconnection<S: Scheme>() -> Result<(), S::Refusal> {
    let mut scheme = S::new();
    let before = scheme.connect();
    let frame = scheme.seal(Side::Host, before, FORGERY)?;
    scheme.connect();
    is_believed(&scheme.open(Side::Guest, before, &frame)?, FORGERY);
    Ok(())
}

/// A frame that was recorded is delivered to the same session in a guest restored from a snapshot.
fn session_of_a_snapshot_after_its_restore<S: Scheme>() -> Result<(), S::Refusal> {
    let mut scheme = S::new();
    let session = scheme.connect();
    let frame = scheme.seal(Side::Host, session, FORGERY)?;
    scheme.restore_guest();
    is_believed(&scheme.open(Side::Guest, session, &frame)?, FORGERY);
    Ok(())
}

/// A payload that no receiver takes leaves its sender, and with it the stream is lost.
fn oversize_frame_leaves_its_sender<S: Scheme>() -> Result<(), S::Refusal> {
    let mut scheme = S::new();
    let session = scheme.connect();
    let frame = scheme.seal(Side::Guest, session, &[0; FRAME_BODY_MAX])?;
    assert!(frame.len() > FRAME_BODY_MAX);
    Ok(())
}

/// Somebody without a key of the host drives the guest.
fn stranger_as_host<S: Scheme>() -> Result<(), S::Refusal> {
    S::new().stranger_as_host()
}

/// Somebody without a key of the guest answers the host.
fn stranger_as_guest<S: Scheme>() -> Result<(), S::Refusal> {
    S::new().stranger_as_guest()
}

/// Another guest of the same fleet, with its own good key, answers in the place of the one named.
fn neighbour_as_guest<S: Scheme>() -> Result<(), S::Refusal> {
    S::new().neighbour_as_guest()
}

/// A hello of version 0 is answered.
fn hello_of_version_zero<S: Scheme>() -> Result<(), S::Refusal> {
    S::new().version_zero()
}

/// A version that the host never offered is put into its hello.
fn lower_version_put_in<S: Scheme>() -> Result<(), S::Refusal> {
    S::new().lower_version_put_in()
}

/// The guest proves its key over a challenge of no bytes.
fn hello_with_an_empty_challenge<S: Scheme>() -> Result<(), S::Refusal> {
    S::new().empty_challenge()
}

/// The guest is made to sign a document of the attacker's.
fn guest_as_signing_oracle<S: Scheme>() -> Result<(), S::Refusal> {
    use ed25519_dalek::Verifier;
    let document = br#"{"instances":[]}"#;
    let signature = S::new().asks_guest_to_sign(document)?;
    let key = ed25519_dalek::SigningKey::from_bytes(&GUEST_SEED).verifying_key();
    key.verify(document, &ed25519_dalek::Signature::from_bytes(&signature))
        .unwrap();
    Ok(())
}

/// With the identity as its key, a guest needs one signature for every message, and no secret.
fn one_signature_for_every_message<S: Scheme>() -> Result<(), S::Refusal> {
    let mut identity = [0; 32];
    identity[0] = 1;
    // R is the identity too, and S is 0.
    let mut signature = [0; 64];
    signature[0] = 1;
    S::new().identity_as_guest(identity, signature)
}

macro_rules! attacks {
    ($($attack:ident => $refusal:expr;)*) => {
        $(mod $attack {
            use super::*;
            use super::Refused::*;

            #[test]
            fn is_refused_by_protocol_v3() {
                assert_eq!(super::$attack::<V3>(), Err($refusal));
            }

            #[test]
            fn succeeds_against_0_13_0() {
                assert_eq!(super::$attack::<Legacy>(), Ok(()));
            }
        })*

        const ATTACKS: &[&str] = &[$(stringify!($attack)),*];
    };
}

attacks! {
    replayed_frame => Open(OpenError::SequenceGap { expected: 1, got: 0 });
    replayed_frame_under_a_new_sequence => Open(OpenError::BadSignature);
    rewritten_sequence => Open(OpenError::BadSignature);
    highest_sequence_locks_the_peer_out => Open(OpenError::SequenceGap { expected: 0, got: u64::MAX });
    spliced_from_a_parallel_session => Open(OpenError::BadSignature);
    spliced_from_the_session_before => Open(OpenError::BadSignature);
    reflected_frame => Open(OpenError::BadSignature);
    rewritten_header => Open(OpenError::UnknownKind { kind: 2 });
    second_encoding_of_a_frame => Open(OpenError::Malformed(DecodeError::NonCanonical { at: 0 }));
    dropped_frame => Open(OpenError::SequenceGap { expected: 0, got: 1 });
    truncated_stream => End(Truncated { received: 1 });
    session_left_behind_by_a_reconnection => Open(OpenError::Ended(Ended::Superseded));
    session_of_a_snapshot_after_its_restore => Open(OpenError::Ended(Ended::IncarnationChanged));
    oversize_frame_leaves_its_sender => Seal(SealError::PayloadTooLong { len: FRAME_BODY_MAX, max: PAYLOAD_MAX });
    stranger_as_host => Handshake(HandshakeError::UntrustedHost);
    stranger_as_guest => Handshake(HandshakeError::UntrustedGuest);
    neighbour_as_guest => Handshake(HandshakeError::UntrustedGuest);
    hello_of_version_zero => Handshake(HandshakeError::VersionMismatch { min: 0, max: 0 });
    lower_version_put_in => Handshake(HandshakeError::BadSignature);
    hello_with_an_empty_challenge => Handshake(HandshakeError::Malformed(DecodeError::UnexpectedEnd { len: 0 }));
    guest_as_signing_oracle => Handshake(HandshakeError::UntrustedHost);
    one_signature_for_every_message => Key(KeyError::Weak);
}

/// An attack that is written and not run, or run against one scheme only, is not in the table.
#[test]
fn every_attack_runs_against_both_schemes() {
    let written = include_str!("paired.rs")
        .matches("<S: Scheme>() -> Result<(), S::Refusal> {")
        .count();
    // The pattern itself is one more.
    assert_eq!(ATTACKS.len(), written - 1);
    assert_eq!(ATTACKS.len(), 22);
}

/// Without an attacker both schemes carry frames both ways: what fails above fails for the attack.
#[test]
fn undisturbed_sessions_work_in_both_schemes() {
    fn run<S: Scheme>() -> Result<usize, S::Refusal> {
        let mut scheme = S::new();
        let sessions = [scheme.connect(), scheme.connect_beside()];
        let mut frames = 0;
        for number in 0..5u8 {
            for session in sessions {
                for (from, to) in [(Side::Host, Side::Guest), (Side::Guest, Side::Host)] {
                    let frame = scheme.seal(from, session, &[number])?;
                    assert_eq!(scheme.open(to, session, &frame)?, [number]);
                    frames += 1;
                }
            }
        }
        Ok(frames)
    }
    assert_eq!(run::<V3>(), Ok(20));
    assert_eq!(run::<Legacy>(), Ok(20));
}
