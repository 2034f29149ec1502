//! Session protocol v3 a second time, from the protocol's text: concatenation, SHA-512/256 and
//! Ed25519, with nothing of the library in it. Bodies are without their length.
#![allow(dead_code, reason = "each test binary uses a part")]

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha512_256};

pub(crate) fn h(parts: &[&[u8]]) -> [u8; 32] {
    Sha512_256::digest(parts.concat()).into()
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    [&varint(bytes.len() as u64)[..], bytes].concat()
}

fn length(bytes: &[u8]) -> [u8; 4] {
    (bytes.len() as u32).to_be_bytes()
}

/// Everything that goes into a handshake.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    pub(crate) host_seed: [u8; 32],
    pub(crate) guest_seed: [u8; 32],
    pub(crate) host_entropy: [u8; 32],
    pub(crate) guest_entropy: [u8; 32],
    pub(crate) host_mark: Option<u64>,
    pub(crate) guest_mark: Option<u64>,
    pub(crate) service: u16,
    pub(crate) instance: String,
    pub(crate) generation: u64,
    pub(crate) seen: u64,
    pub(crate) host_capabilities: u32,
    pub(crate) guest_capabilities: u32,
    pub(crate) host_extensions: Vec<u8>,
    pub(crate) guest_extensions: Vec<u8>,
}

/// Everything that comes out of it.
pub(crate) struct Transcript {
    host: SigningKey,
    guest: SigningKey,
    pub(crate) session_id: [u8; 16],
    pub(crate) host_nonce: [u8; 32],
    pub(crate) guest_nonce: [u8; 32],
    pub(crate) host_hello: Vec<u8>,
    pub(crate) t1: [u8; 32],
    pub(crate) guest_hello: Vec<u8>,
    pub(crate) host_finish: [u8; 64],
    pub(crate) t2: [u8; 32],
}

impl Inputs {
    pub(crate) fn transcript(&self) -> Transcript {
        let host = SigningKey::from_bytes(&self.host_seed);
        let guest = SigningKey::from_bytes(&self.guest_seed);
        let mark = |mark: Option<u64>| mark.unwrap_or(0).to_be_bytes();

        let full = h(&[b"mvm-core/session/v3/session-id\0", &self.host_entropy]);
        let mut session_id = [0; 16];
        session_id.copy_from_slice(&full[..16]);
        let host_nonce = h(&[
            b"mvm-core/session/v3/host-nonce\0",
            &self.host_entropy,
            &mark(self.host_mark),
            &session_id,
            &self.generation.to_be_bytes(),
        ]);
        let host_hello = [
            &[3, 3, 1][..],
            &varint(self.service.into()),
            &session_id,
            &host_nonce,
            host.verifying_key().as_bytes(),
            &string(self.instance.as_bytes()),
            &varint(self.generation),
            &varint(self.host_capabilities.into()),
            &string(&self.host_extensions),
        ]
        .concat();
        let guest_nonce = h(&[
            b"mvm-core/session/v3/guest-nonce\0",
            &self.guest_entropy,
            &mark(self.guest_mark),
            &length(&host_hello),
            &host_hello,
        ]);
        let unsigned = [
            &[3, 1][..],
            &guest_nonce,
            guest.verifying_key().as_bytes(),
            &varint(self.seen),
            &varint(self.guest_capabilities.into()),
            &string(&self.guest_extensions),
        ]
        .concat();
        let t1 = h(&[
            b"mvm-core/session/v3/t1\0",
            &length(&host_hello),
            &host_hello,
            &length(&unsigned),
            &unsigned,
        ]);
        let guest_signature = guest
            .sign(&[&b"mvm-core/session/v3/guest\0"[..], &t1].concat())
            .to_bytes();
        let host_finish = host
            .sign(&[&b"mvm-core/session/v3/host\0"[..], &t1, &guest_signature].concat())
            .to_bytes();
        let t2 = h(&[
            b"mvm-core/session/v3/t2\0",
            &t1,
            &guest_signature,
            &host_finish,
        ]);
        let guest_hello = [&unsigned[..], &guest_signature].concat();
        Transcript {
            host,
            guest,
            session_id,
            host_nonce,
            guest_nonce,
            host_hello,
            t1,
            guest_hello,
            host_finish,
            t2,
        }
    }
}

impl Transcript {
    /// The body of a frame of `direction` (`H` or `G`).
    pub(crate) fn frame(&self, direction: u8, kind: u8, sequence: u64, payload: &[u8]) -> Vec<u8> {
        let message = [
            &b"mvm-core/frame/v3\0"[..],
            &self.t2,
            &[direction, kind],
            &sequence.to_be_bytes(),
            &h(&[payload]),
        ]
        .concat();
        assert_eq!(message.len(), 92);
        let key = if direction == b'H' {
            &self.host
        } else {
            &self.guest
        };
        let signature = key.sign(&message).to_bytes();
        [&varint(sequence)[..], &[kind], &string(payload), &signature].concat()
    }
}
