//! The attacker's tools: messages, transcript and signatures of protocol v3, written a second time
//! from the text of the protocol, without the crate's own encoder.

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha512_256};

/// LEB128, minimal.
pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// One byte longer than it has to be.
pub(crate) fn padded_varint(value: u64, out: &mut Vec<u8>) {
    varint(value, out);
    *out.last_mut().unwrap() |= 0x80;
    out.push(0);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.bytes(N).try_into().unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1)[0]
    }

    fn varint(&mut self) -> u64 {
        let mut value = 0;
        for shift in 0.. {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << (7 * shift);
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    fn string(&mut self) -> Vec<u8> {
        let count = self.varint() as usize;
        self.bytes(count).to_vec()
    }
}

fn string(bytes: &[u8], out: &mut Vec<u8>) {
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostHello {
    pub(crate) min_version: u8,
    pub(crate) max_version: u8,
    pub(crate) suites: u8,
    pub(crate) service: u16,
    pub(crate) session_id: [u8; 16],
    pub(crate) host_nonce: [u8; 32],
    pub(crate) host_key: [u8; 32],
    pub(crate) instance: Vec<u8>,
    pub(crate) generation: u64,
    pub(crate) capabilities: u32,
    pub(crate) extensions: Vec<u8>,
}

impl HostHello {
    pub(crate) fn parse(body: &[u8]) -> Self {
        let mut reader = Reader(body);
        let hello = Self {
            min_version: reader.byte(),
            max_version: reader.byte(),
            suites: reader.byte(),
            service: reader.varint() as u16,
            session_id: reader.array(),
            host_nonce: reader.array(),
            host_key: reader.array(),
            instance: reader.string(),
            generation: reader.varint(),
            capabilities: reader.varint() as u32,
            extensions: reader.string(),
        };
        assert!(reader.0.is_empty());
        hello
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.min_version, self.max_version, self.suites];
        varint(u64::from(self.service), &mut out);
        out.extend_from_slice(&self.session_id);
        out.extend_from_slice(&self.host_nonce);
        out.extend_from_slice(&self.host_key);
        string(&self.instance, &mut out);
        varint(self.generation, &mut out);
        varint(u64::from(self.capabilities), &mut out);
        string(&self.extensions, &mut out);
        out
    }

    /// `body` with one change.
    pub(crate) fn rewrite(body: &[u8], change: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut hello = Self::parse(body);
        assert_eq!(hello.encode(), body, "the two encoders agree");
        change(&mut hello);
        hello.encode()
    }
}

/// A `GuestHello` without its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GuestHello {
    pub(crate) version: u8,
    pub(crate) suite: u8,
    pub(crate) guest_nonce: [u8; 32],
    pub(crate) guest_key: [u8; 32],
    pub(crate) seen: u64,
    pub(crate) capabilities: u32,
    pub(crate) extensions: Vec<u8>,
}

impl GuestHello {
    pub(crate) fn parse(body: &[u8]) -> (Self, [u8; 64]) {
        let (head, signature) = body.split_last_chunk::<64>().unwrap();
        let mut reader = Reader(head);
        let hello = Self {
            version: reader.byte(),
            suite: reader.byte(),
            guest_nonce: reader.array(),
            guest_key: reader.array(),
            seen: reader.varint(),
            capabilities: reader.varint() as u32,
            extensions: reader.string(),
        };
        assert!(reader.0.is_empty());
        (hello, *signature)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.version, self.suite];
        out.extend_from_slice(&self.guest_nonce);
        out.extend_from_slice(&self.guest_key);
        varint(self.seen, &mut out);
        varint(u64::from(self.capabilities), &mut out);
        string(&self.extensions, &mut out);
        out
    }

    /// Changed in flight: the signature stays what it was.
    pub(crate) fn rewrite(body: &[u8], change: impl FnOnce(&mut Self)) -> Vec<u8> {
        let (mut hello, signature) = Self::parse(body);
        change(&mut hello);
        [hello.encode(), signature.to_vec()].concat()
    }

    /// Sent by a guest that holds the key of `seed`, and signed by it.
    pub(crate) fn signed(&self, seed: [u8; 32], host_hello: &[u8]) -> Vec<u8> {
        let head = self.encode();
        let signature = sign(seed, &guest_message(&t1(host_hello, &head)));
        [head, signature.to_vec()].concat()
    }
}

pub(crate) fn hash(parts: &[&[u8]]) -> [u8; 32] {
    Sha512_256::digest(parts.concat()).into()
}

pub(crate) fn sign(seed: [u8; 32], message: &[u8]) -> [u8; 64] {
    SigningKey::from_bytes(&seed).sign(message).to_bytes()
}

fn len(bytes: &[u8]) -> [u8; 4] {
    (bytes.len() as u32).to_be_bytes()
}

pub(crate) fn t1(host_hello: &[u8], guest_hello: &[u8]) -> [u8; 32] {
    hash(&[
        b"mvm-core/session/v3/t1\0",
        &len(host_hello),
        host_hello,
        &len(guest_hello),
        guest_hello,
    ])
}

pub(crate) fn guest_message(t1: &[u8; 32]) -> Vec<u8> {
    [b"mvm-core/session/v3/guest\0".as_slice(), t1].concat()
}

pub(crate) fn host_message(t1: &[u8; 32], guest_signature: &[u8; 64]) -> Vec<u8> {
    [
        b"mvm-core/session/v3/host\0".as_slice(),
        t1,
        guest_signature,
    ]
    .concat()
}

/// The transcript of a handshake from what went over the wire.
pub(crate) fn t2(host_hello: &[u8], guest_hello: &[u8], host_finish: &[u8]) -> [u8; 32] {
    let (head, signature) = guest_hello.split_last_chunk::<64>().unwrap();
    hash(&[
        b"mvm-core/session/v3/t2\0",
        &t1(host_hello, head),
        signature,
        host_finish,
    ])
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) sequence: u64,
    pub(crate) kind: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn parse(body: &[u8]) -> (Self, [u8; 64]) {
        let (head, signature) = body.split_last_chunk::<64>().unwrap();
        let mut reader = Reader(head);
        let frame = Self {
            sequence: reader.varint(),
            kind: reader.byte(),
            payload: reader.string(),
        };
        assert!(reader.0.is_empty());
        (frame, *signature)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        varint(self.sequence, &mut out);
        out.push(self.kind);
        string(&self.payload, &mut out);
        out
    }

    pub(crate) fn rewrite(body: &[u8], change: impl FnOnce(&mut Self)) -> Vec<u8> {
        let (mut frame, signature) = Self::parse(body);
        assert_eq!(
            frame.encode(),
            body[..body.len() - 64],
            "the two encoders agree"
        );
        change(&mut frame);
        [frame.encode(), signature.to_vec()].concat()
    }

    pub(crate) fn message(&self, t2: &[u8; 32], direction: u8) -> Vec<u8> {
        let place = [direction, self.kind];
        let sequence = self.sequence.to_be_bytes();
        [
            b"mvm-core/frame/v3\0".as_slice(),
            t2,
            &place,
            &sequence,
            &hash(&[&self.payload]),
        ]
        .concat()
    }

    /// Sent by a peer that holds the key of `seed`, and signed by it.
    pub(crate) fn signed(&self, seed: [u8; 32], t2: &[u8; 32], direction: u8) -> Vec<u8> {
        [
            self.encode(),
            sign(seed, &self.message(t2, direction)).to_vec(),
        ]
        .concat()
    }
}
