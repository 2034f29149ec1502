//! A small re-creation of the session scheme of version 0.13.0, as the negative control of the
//! attacks in `paired`. It has the public types of 0.13.0 (checked against its vectors) and the
//! behaviour that was observed of it: the signature covers the inner payload only, the signer named
//! in a frame decides which key verifies it, the replay check compares with the highest sequence
//! number seen, verification is not strict, the guest signs whatever challenge it is sent by whatever
//! host, the host takes whatever key the guest presents, and a stream just ends.

use std::collections::BTreeMap;

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use mvm_core::session::Side;
use serde::{Deserialize, Serialize};

use crate::paired::{FORGERY, Scheme};
use crate::world::{GUEST_SEED, HOST_SEED, NEIGHBOUR_SEED, STRANGER_SEED};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SignedPayload {
    payload: Vec<u8>,
    signature: Vec<u8>,
    signer_id: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct AuthenticatedFrame {
    version: u8,
    session_id: String,
    sequence: u64,
    timestamp: String,
    signed: SignedPayload,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SessionHello {
    version: u8,
    session_id: String,
    challenge: Vec<u8>,
    host_pubkey: Vec<u8>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SessionHelloAck {
    version: u8,
    session_id: String,
    challenge_response: Vec<u8>,
    guest_pubkey: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed,
    WrongSession,
    Replayed,
    UnknownSigner,
    BadSignature,
}

fn key(bytes: &[u8]) -> Result<VerifyingKey, Refusal> {
    let bytes = bytes.try_into().map_err(|_| Refusal::Malformed)?;
    VerifyingKey::from_bytes(bytes).map_err(|_| Refusal::Malformed)
}

fn verify(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
    let signature = Signature::from_slice(signature).map_err(|_| Refusal::Malformed)?;
    key.verify(message, &signature)
        .map_err(|_| Refusal::BadSignature)
}

/// One end of a session.
struct End {
    session_id: String,
    signer_id: &'static str,
    key: SigningKey,
    trusted: BTreeMap<&'static str, VerifyingKey>,
    sent: u64,
    highest: u64,
}

impl End {
    fn seal(&mut self, payload: &[u8]) -> Vec<u8> {
        let frame = AuthenticatedFrame {
            version: 2,
            session_id: self.session_id.clone(),
            sequence: self.sent,
            timestamp: "2025-06-15T08:30:00Z".into(),
            signed: SignedPayload {
                payload: payload.to_vec(),
                signature: self.key.sign(payload).to_bytes().to_vec(),
                signer_id: self.signer_id.into(),
            },
        };
        self.sent += 1;
        serde_json::to_vec(&frame).unwrap()
    }

    fn open(&mut self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let frame: AuthenticatedFrame =
            serde_json::from_slice(body).map_err(|_| Refusal::Malformed)?;
        if frame.session_id != self.session_id {
            return Err(Refusal::WrongSession);
        }
        if frame.sequence < self.highest {
            return Err(Refusal::Replayed);
        }
        let key = self
            .trusted
            .get(frame.signed.signer_id.as_str())
            .ok_or(Refusal::UnknownSigner)?;
        verify(key, &frame.signed.payload, &frame.signed.signature)?;
        self.highest = frame.sequence;
        Ok(frame.signed.payload)
    }
}

struct Session {
    host: End,
    guest: End,
}

pub(crate) struct Legacy(Vec<Session>);

/// The guest of 0.13.0: it answers every hello.
fn guest_answers(seed: [u8; 32], hello: &[u8]) -> Result<Vec<u8>, Refusal> {
    let hello: SessionHello = serde_json::from_slice(hello).map_err(|_| Refusal::Malformed)?;
    let key = SigningKey::from_bytes(&seed);
    Ok(serde_json::to_vec(&SessionHelloAck {
        version: hello.version,
        session_id: hello.session_id,
        challenge_response: key.sign(&hello.challenge).to_bytes().to_vec(),
        guest_pubkey: key.verifying_key().to_bytes().to_vec(),
    })
    .unwrap())
}

/// The host of 0.13.0: the key it verifies with is the one in the answer.
fn host_accepts(hello: &[u8], answer: &[u8]) -> Result<VerifyingKey, Refusal> {
    let hello: SessionHello = serde_json::from_slice(hello).map_err(|_| Refusal::Malformed)?;
    let answer: SessionHelloAck = serde_json::from_slice(answer).map_err(|_| Refusal::Malformed)?;
    if answer.session_id != hello.session_id {
        return Err(Refusal::WrongSession);
    }
    let guest = key(&answer.guest_pubkey)?;
    verify(&guest, &hello.challenge, &answer.challenge_response)?;
    Ok(guest)
}

fn hello(session_id: &str, seed: [u8; 32]) -> SessionHello {
    SessionHello {
        version: 2,
        session_id: session_id.into(),
        challenge: crate::forge::hash(&[session_id.as_bytes()]).to_vec(),
        host_pubkey: SigningKey::from_bytes(&seed)
            .verifying_key()
            .to_bytes()
            .to_vec(),
    }
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

impl Legacy {
    /// A whole handshake of the host of `host_seed` with whoever answers as `answer` does; then one
    /// frame each way.
    fn established(
        host_seed: [u8; 32],
        guest_seed: [u8; 32],
        as_sent: impl FnOnce(&mut SessionHello),
        in_flight: impl FnOnce(&mut SessionHello),
    ) -> Result<(), Refusal> {
        let mut asked = hello("sess-001", host_seed);
        as_sent(&mut asked);
        let mut arrived = asked.clone();
        in_flight(&mut arrived);
        let answer = guest_answers(guest_seed, &json(&arrived))?;
        // The man in the middle puts back what he changed: nothing ties the two together.
        let mut answer: SessionHelloAck = serde_json::from_slice(&answer).unwrap();
        answer.version = asked.version;
        let guest = host_accepts(&json(&asked), &json(&answer))?;
        let host = key(&arrived.host_pubkey)?;
        let (mut host_end, mut guest_end) = ends("sess-001", host_seed, guest_seed, host, guest);
        let frame = host_end.seal(FORGERY);
        guest_end.open(&frame)?;
        let frame = guest_end.seal(FORGERY);
        host_end.open(&frame).map(|_| ())
    }
}

fn ends(
    session_id: &str,
    host_seed: [u8; 32],
    guest_seed: [u8; 32],
    host: VerifyingKey,
    guest: VerifyingKey,
) -> (End, End) {
    let end = |signer_id, seed| End {
        session_id: session_id.into(),
        signer_id,
        key: SigningKey::from_bytes(&seed),
        trusted: BTreeMap::from([("host", host), ("guest", guest)]),
        sent: 0,
        highest: 0,
    };
    (end("host", host_seed), end("guest", guest_seed))
}

fn rewrite(frame: &[u8], change: impl FnOnce(&mut AuthenticatedFrame)) -> Vec<u8> {
    let mut frame: AuthenticatedFrame = serde_json::from_slice(frame).unwrap();
    change(&mut frame);
    json(&frame)
}

impl Scheme for Legacy {
    type Refusal = Refusal;

    fn new() -> Self {
        Self(Vec::new())
    }

    fn connect(&mut self) -> usize {
        let number = self.0.len();
        let session_id = format!("sess-{number:03}");
        let asked = hello(&session_id, HOST_SEED);
        let answer = guest_answers(GUEST_SEED, &json(&asked)).unwrap();
        let guest = host_accepts(&json(&asked), &answer).unwrap();
        let host = key(&asked.host_pubkey).unwrap();
        let (host, guest) = ends(&session_id, HOST_SEED, GUEST_SEED, host, guest);
        self.0.push(Session { host, guest });
        number
    }

    fn connect_beside(&mut self) -> usize {
        self.connect()
    }

    fn seal(&mut self, from: Side, session: usize, payload: &[u8]) -> Result<Vec<u8>, Refusal> {
        let session = &mut self.0[session];
        Ok(match from {
            Side::Host => session.host.seal(payload),
            Side::Guest => session.guest.seal(payload),
        })
    }

    fn open(&mut self, at: Side, session: usize, frame: &[u8]) -> Result<Vec<u8>, Refusal> {
        let session = &mut self.0[session];
        match at {
            Side::Host => session.host.open(frame),
            Side::Guest => session.guest.open(frame),
        }
    }

    fn stream_ends(&mut self, _at: Side, _session: usize) -> Result<(), Refusal> {
        Ok(())
    }

    fn restore_guest(&mut self) {}

    fn with_sequence(frame: &[u8], sequence: u64) -> Vec<u8> {
        rewrite(frame, |frame| frame.sequence = sequence)
    }

    fn with_other_header(frame: &[u8]) -> Vec<u8> {
        rewrite(frame, |frame| {
            frame.timestamp = "1999-12-31T23:59:59Z".into();
            frame.version = 0;
        })
    }

    fn readdressed(&self, frame: &[u8], session: usize) -> Vec<u8> {
        let session_id = self.0[session].host.session_id.clone();
        rewrite(frame, |frame| frame.session_id = session_id)
    }

    fn reencoded(frame: &[u8]) -> Vec<u8> {
        // White space, and a member that nobody asked for.
        [b" {\"x\":null,".as_slice(), &frame[1..]].concat()
    }

    fn stranger_as_host(&mut self) -> Result<(), Refusal> {
        Self::established(STRANGER_SEED, GUEST_SEED, |_| (), |_| ())
    }

    fn stranger_as_guest(&mut self) -> Result<(), Refusal> {
        Self::established(HOST_SEED, STRANGER_SEED, |_| (), |_| ())
    }

    fn neighbour_as_guest(&mut self) -> Result<(), Refusal> {
        Self::established(HOST_SEED, NEIGHBOUR_SEED, |_| (), |_| ())
    }

    fn version_zero(&mut self) -> Result<(), Refusal> {
        Self::established(HOST_SEED, GUEST_SEED, |hello| hello.version = 0, |_| ())
    }

    fn lower_version_put_in(&mut self) -> Result<(), Refusal> {
        Self::established(HOST_SEED, GUEST_SEED, |_| (), |hello| hello.version = 1)
    }

    fn empty_challenge(&mut self) -> Result<(), Refusal> {
        Self::established(
            HOST_SEED,
            GUEST_SEED,
            |hello| hello.challenge.clear(),
            |_| (),
        )
    }

    fn asks_guest_to_sign(&mut self, message: &[u8]) -> Result<[u8; 64], Refusal> {
        let mut asked = hello("sess-001", STRANGER_SEED);
        asked.challenge = message.to_vec();
        let answer = guest_answers(GUEST_SEED, &json(&asked))?;
        let answer: SessionHelloAck = serde_json::from_slice(&answer).unwrap();
        Ok(answer.challenge_response.try_into().unwrap())
    }

    fn identity_as_guest(
        &mut self,
        identity: [u8; 32],
        signature: [u8; 64],
    ) -> Result<(), Refusal> {
        let asked = hello("sess-001", HOST_SEED);
        let answer = SessionHelloAck {
            version: 2,
            session_id: asked.session_id.clone(),
            challenge_response: signature.to_vec(),
            guest_pubkey: identity.to_vec(),
        };
        let guest = host_accepts(&json(&asked), &json(&answer))?;
        let host = key(&asked.host_pubkey)?;
        let (mut host, mut attacker) = ends("sess-001", HOST_SEED, STRANGER_SEED, host, guest);
        for payload in [FORGERY, b"another", b""] {
            let frame = rewrite(&attacker.seal(payload), |frame| {
                frame.signed.signature = signature.to_vec()
            });
            assert_eq!(host.open(&frame)?, payload);
        }
        Ok(())
    }
}

/// Every row of the vectors of 0.13.0 is read and written again without a difference: the
/// re-creation speaks what 0.13.0 spoke.
#[test]
fn the_recreation_has_the_types_of_0_13_0() {
    fn check<T: Serialize + serde::de::DeserializeOwned>(rows: &str) {
        let mut seen = 0;
        for row in rows.lines().filter(|row| !row.is_empty()) {
            let row: BTreeMap<String, String> = serde_json::from_str(row).unwrap();
            let value: T = serde_json::from_str(&row["doc"]).unwrap();
            assert_eq!(
                serde_json::to_string(&value).unwrap(),
                row["doc"],
                "{}",
                row["case"]
            );
            seen += 1;
        }
        assert_eq!(seen, 5);
    }
    check::<SignedPayload>(include_str!("../vectors/json/SignedPayload.jsonl"));
    check::<AuthenticatedFrame>(include_str!("../vectors/json/AuthenticatedFrame.jsonl"));
    check::<SessionHello>(include_str!("../vectors/json/SessionHello.jsonl"));
    check::<SessionHelloAck>(include_str!("../vectors/json/SessionHelloAck.jsonl"));
}

/// It is not a straw man: what 0.13.0 did refuse, it refuses.
#[test]
fn the_recreation_refuses_what_0_13_0_refused() {
    let mut scheme = Legacy::new();
    let session = scheme.connect();
    let other = scheme.connect();
    let first = scheme.seal(Side::Host, session, b"first").unwrap();
    let second = scheme.seal(Side::Host, session, b"second").unwrap();
    assert_eq!(
        scheme.open(Side::Guest, other, &first),
        Err(Refusal::WrongSession)
    );
    let forged = rewrite(&first, |frame| frame.signed.payload.push(b'!'));
    assert_eq!(
        scheme.open(Side::Guest, session, &forged),
        Err(Refusal::BadSignature)
    );
    let unknown = rewrite(&first, |frame| frame.signed.signer_id = "nobody".into());
    assert_eq!(
        scheme.open(Side::Guest, session, &unknown),
        Err(Refusal::UnknownSigner)
    );
    assert_eq!(
        scheme.open(Side::Guest, session, b"{}"),
        Err(Refusal::Malformed)
    );
    assert_eq!(
        scheme.open(Side::Guest, session, &second),
        Ok(b"second".to_vec())
    );
    assert_eq!(
        scheme.open(Side::Guest, session, &first),
        Err(Refusal::Replayed)
    );
}
