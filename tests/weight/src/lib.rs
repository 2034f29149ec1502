//! The control protocol of a guest of mvm-core 0.13.0: length-prefixed JSON, a hello with a challenge,
//! and frames whose payload is signed.
//!
//! 0.13.0 brings the types `SessionHello`, `SessionHelloAck`, `AuthenticatedFrame` and `SignedPayload`;
//! reading, writing, signing and verifying are its users' business, and so are the requests of a guest.

use std::io::{self, Read, Write};

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use mvm_core::idle_metrics::IdleMetrics;
use mvm_core::security::{
    AuthenticatedFrame, PROTOCOL_VERSION_AUTHENTICATED, SessionHello, SessionHelloAck,
};
use mvm_core::signing::SignedPayload;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Bytes of a frame's body at most.
pub const FRAME_MAX: usize = 256 * 1024;

/// From the host to the guest.
#[derive(Debug, Serialize, Deserialize)]
pub enum GuestRequest {
    Ping,
    WorkerStatus,
    SleepPrep { drain_timeout_secs: u64 },
    Wake,
    Shutdown { grace_secs: u64 },
}

/// From the guest to the host.
#[derive(Debug, Serialize, Deserialize)]
pub enum GuestResponse {
    Pong,
    WorkerStatus {
        status: String,
        idle: IdleMetrics,
    },
    SleepPrepAck {
        success: bool,
        detail: Option<String>,
    },
    WakeAck {
        success: bool,
    },
    ShutdownAck,
    Error {
        message: String,
    },
}

pub type Result<T> = io::Result<T>;

pub fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

fn read_frame<T: DeserializeOwned>(stream: &mut impl Read) -> Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME_MAX {
        return Err(invalid(format!("a frame of {length} bytes")));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

fn write_frame(stream: &mut impl Write, value: &impl Serialize) -> Result<()> {
    let body = serde_json::to_vec(value)?;
    let length = u32::try_from(body.len()).map_err(|_| invalid("too long"))?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&body)?;
    stream.flush()
}

fn signature(bytes: &[u8]) -> Result<Signature> {
    Signature::from_slice(bytes).map_err(|_| invalid("a signature of another length"))
}

/// Reads a public key of 32 bytes.
pub fn public_key(bytes: &[u8]) -> Result<VerifyingKey> {
    let bytes = bytes
        .try_into()
        .map_err(|_| invalid("a public key of another length"))?;
    VerifyingKey::from_bytes(bytes).map_err(|_| invalid("no public key"))
}

/// One end of a session after the hello.
pub struct Session<S> {
    stream: S,
    key: SigningKey,
    signer_id: &'static str,
    peer: VerifyingKey,
    session_id: String,
    sent: u64,
    expected: u64,
}

impl<S: Read + Write> Session<S> {
    /// The guest's end. 0.13.0 leaves open which host may be answered: here, those that are trusted.
    pub fn accept(mut stream: S, key: SigningKey, trusted: &[VerifyingKey]) -> Result<Self> {
        let hello: SessionHello = read_frame(&mut stream)?;
        if hello.version != PROTOCOL_VERSION_AUTHENTICATED {
            return Err(invalid(format!("protocol version {}", hello.version)));
        }
        let peer = public_key(&hello.host_pubkey)?;
        if !trusted.contains(&peer) {
            return Err(invalid("an untrusted host"));
        }
        if hello.challenge.len() != 32 {
            return Err(invalid("a challenge of another length"));
        }
        let ack = SessionHelloAck {
            version: PROTOCOL_VERSION_AUTHENTICATED,
            session_id: hello.session_id.clone(),
            challenge_response: key.sign(&hello.challenge).to_bytes().to_vec(),
            guest_pubkey: key.verifying_key().to_bytes().to_vec(),
        };
        write_frame(&mut stream, &ack)?;
        Ok(Self::new(stream, key, "guest", peer, hello.session_id))
    }

    /// The host's end, with the guest's key if it is known.
    pub fn connect(
        mut stream: S,
        key: SigningKey,
        guest: Option<VerifyingKey>,
        session_id: String,
        challenge: [u8; 32],
    ) -> Result<Self> {
        let hello = SessionHello {
            version: PROTOCOL_VERSION_AUTHENTICATED,
            session_id,
            challenge: challenge.to_vec(),
            host_pubkey: key.verifying_key().to_bytes().to_vec(),
        };
        write_frame(&mut stream, &hello)?;
        let ack: SessionHelloAck = read_frame(&mut stream)?;
        let peer = public_key(&ack.guest_pubkey)?;
        if ack.session_id != hello.session_id || guest.is_some_and(|guest| guest != peer) {
            return Err(invalid("another guest"));
        }
        peer.verify(&challenge, &signature(&ack.challenge_response)?)
            .map_err(|_| invalid("the guest does not hold its key"))?;
        Ok(Self::new(stream, key, "host", peer, hello.session_id))
    }

    fn new(
        stream: S,
        key: SigningKey,
        signer_id: &'static str,
        peer: VerifyingKey,
        session_id: String,
    ) -> Self {
        Self {
            stream,
            key,
            signer_id,
            peer,
            session_id,
            sent: 0,
            expected: 0,
        }
    }

    pub fn send(&mut self, value: &impl Serialize) -> Result<()> {
        let payload = serde_json::to_vec(value)?;
        let frame = AuthenticatedFrame {
            version: PROTOCOL_VERSION_AUTHENTICATED,
            session_id: self.session_id.clone(),
            sequence: self.sent,
            timestamp: mvm_core::time::utc_now(),
            signed: SignedPayload {
                signature: self.key.sign(&payload).to_bytes().to_vec(),
                payload,
                signer_id: self.signer_id.into(),
            },
        };
        self.sent += 1;
        write_frame(&mut self.stream, &frame)
    }

    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<T> {
        let frame: AuthenticatedFrame = read_frame(&mut self.stream)?;
        if frame.version != PROTOCOL_VERSION_AUTHENTICATED {
            return Err(invalid(format!("protocol version {}", frame.version)));
        }
        if frame.session_id != self.session_id {
            return Err(invalid("a frame of another session"));
        }
        if frame.sequence < self.expected {
            return Err(invalid(format!("frame {} again", frame.sequence)));
        }
        self.peer
            .verify(&frame.signed.payload, &signature(&frame.signed.signature)?)
            .map_err(|_| invalid("a frame that its signer did not sign"))?;
        self.expected = frame.sequence.saturating_add(1);
        Ok(serde_json::from_slice(&frame.signed.payload)?)
    }
}

/// The value of a text of 64 hexadecimal digits.
pub fn key_bytes(text: &str) -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(invalid("a key has 64 digits"));
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16)
            .map_err(|_| invalid("no hexadecimal digit"))?;
    }
    Ok(bytes)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
