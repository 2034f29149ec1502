//! The messages of a handshake; the module documentation of `session` draws them.

use thiserror_no_std::Error;

use crate::limits::EXTENSIONS_MAX;
use crate::naming::InstanceId;
use crate::signing::Signature;
use crate::wire::codec::{Bytes, DecodeError, EncodeError};
use crate::wire::fields::{Reader, Writer};

/// The only version of this protocol that this crate speaks.
pub const VERSION: u8 = 3;

/// Suite 1: Ed25519 signatures over SHA-512/256, no confidentiality.
pub const SUITE_SIGNED: u8 = 1;

// Serde, as a second opinion: tests read and write the same messages with it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub(super) struct HostHello<'a> {
    pub min_version: u8,
    pub max_version: u8,
    pub suites: u8,
    pub service: u16,
    #[cfg_attr(test, serde(with = "crate::wire::codec::byte_array"))]
    pub session_id: [u8; 16],
    #[cfg_attr(test, serde(with = "crate::wire::codec::byte_array"))]
    pub host_nonce: [u8; 32],
    #[cfg_attr(test, serde(with = "crate::wire::codec::byte_array"))]
    pub host_key: [u8; 32],
    pub instance: InstanceId,
    pub generation: u64,
    pub capabilities: u32,
    #[cfg_attr(test, serde(borrow))]
    pub extensions: Bytes<'a>,
}

/// A guest's hello without its signature: `GuestHello*` of the protocol.
// Serde, as a second opinion: tests read and write the same messages with it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub(super) struct GuestHello<'a> {
    pub version: u8,
    pub suite: u8,
    #[cfg_attr(test, serde(with = "crate::wire::codec::byte_array"))]
    pub guest_nonce: [u8; 32],
    #[cfg_attr(test, serde(with = "crate::wire::codec::byte_array"))]
    pub guest_key: [u8; 32],
    pub seen: u64,
    pub capabilities: u32,
    #[cfg_attr(test, serde(borrow))]
    pub extensions: Bytes<'a>,
}

impl<'a> HostHello<'a> {
    // Not inlined: a large value that is given is otherwise moved field by field, hundreds of bytes of code.
    #[inline(never)]
    pub(super) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(body);
        let [min_version, max_version, suites] = fields.array();
        let service = u16::try_from(fields.varint()).ok();
        let service = fields.valid(service);
        let (session_id, host_nonce, host_key) = (fields.array(), fields.array(), fields.array());
        let instance = InstanceId::from_ascii(fields.bytes());
        let instance = fields.valid(instance);
        let (generation, capabilities) = (fields.varint(), fields.u32());
        let extensions = Bytes(fields.bytes());
        fields.end()?;
        match (service, instance) {
            (Some(service), Some(instance)) => Ok(Self {
                min_version,
                max_version,
                suites,
                service,
                session_id,
                host_nonce,
                host_key,
                instance,
                generation,
                capabilities,
                extensions,
            }),
            // `end` has said so already.
            _ => Err(DecodeError::InvalidValue),
        }
    }

    pub(super) fn write(&self, fields: &mut Writer<'_>) {
        fields.put(&[self.min_version, self.max_version, self.suites]);
        fields.varint(u64::from(self.service));
        fields.put(&self.session_id);
        fields.put(&self.host_nonce);
        fields.put(&self.host_key);
        fields.bytes(self.instance.as_bytes());
        fields.varint(self.generation);
        fields.varint(u64::from(self.capabilities));
        fields.bytes(self.extensions.0);
    }
}

impl<'a> GuestHello<'a> {
    pub(super) fn read(head: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(head);
        let [version, suite] = fields.array();
        let hello = Self {
            version,
            suite,
            guest_nonce: fields.array(),
            guest_key: fields.array(),
            seen: fields.varint(),
            capabilities: fields.u32(),
            extensions: Bytes(fields.bytes()),
        };
        fields.end().map(|()| hello)
    }

    pub(super) fn write(&self, fields: &mut Writer<'_>) {
        fields.put(&[self.version, self.suite]);
        fields.put(&self.guest_nonce);
        fields.put(&self.guest_key);
        fields.varint(self.seen);
        fields.varint(u64::from(self.capabilities));
        fields.bytes(self.extensions.0);
    }
}

/// Longest body of a `HostHello`: 3 + varints (3 + 10 + 5 + 2) + 16 + 32 + 32 + 1 + 63 + extensions.
pub(super) const HOST_HELLO_MAX: usize =
    3 + 3 + 10 + 5 + 2 + 16 + 32 + 32 + 1 + 63 + EXTENSIONS_MAX;

/// Space that a frame of each message needs at the most, with the 4 bytes of its length.
pub const HOST_HELLO_FRAME_MAX: usize = 4 + HOST_HELLO_MAX;
/// As [`HOST_HELLO_FRAME_MAX`], of a `GuestHello`.
pub const GUEST_HELLO_FRAME_MAX: usize =
    4 + 2 + 32 + 32 + 10 + 5 + 2 + EXTENSIONS_MAX + Signature::LEN;
/// Length of the frame of a `HostFinish`.
pub const HOST_FINISH_FRAME_LEN: usize = 4 + Signature::LEN;
/// Length of the frame of a `Refusal`.
pub const REFUSAL_FRAME_LEN: usize = 4 + 4;

/// The extensions of either side are too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("{len} bytes of extensions, {EXTENSIONS_MAX} are allowed")]
pub struct ExtensionsTooLong {
    /// Their length, in bytes.
    pub len: usize,
}

impl_error!(ExtensionsTooLong);

pub(super) const fn check_extensions(extensions: &[u8]) -> Result<(), ExtensionsTooLong> {
    if extensions.len() > EXTENSIONS_MAX {
        return Err(ExtensionsTooLong {
            len: extensions.len(),
        });
    }
    Ok(())
}

/// Makes what `write` writes one frame; gives the frame's length.
pub(super) fn write_frame(
    out: &mut [u8],
    write: impl FnOnce(&mut Writer<'_>),
) -> Result<usize, EncodeError> {
    let too_small = EncodeError::BufferTooSmall { len: out.len() };
    let (length, body) = out.split_first_chunk_mut::<4>().ok_or(too_small)?;
    let mut fields = Writer::new(body);
    write(&mut fields);
    let end = fields.end().map_err(|_| too_small)?;
    *length = u32::try_from(end).map_err(|_| too_small)?.to_be_bytes();
    Ok(end.saturating_add(4))
}

/// The signature at the end of a message, and what is before it.
pub(super) fn split_signature(body: &[u8]) -> Result<(&[u8], Signature), DecodeError> {
    body.split_last_chunk::<64>()
        .map(|(head, signature)| (head, Signature::from_bytes(*signature)))
        .ok_or(DecodeError::UnexpectedEnd { len: body.len() })
}

/// Why a guest will not go on. The codes are for people: nothing may depend on them, since nobody
/// signed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RefusalCode(pub u8);

impl RefusalCode {
    /// The hello could not be read.
    pub const MALFORMED: Self = Self(1);
    /// No version in common.
    pub const VERSION: Self = Self(2);
    /// Another service listens here.
    pub const SERVICE: Self = Self(3);
    /// No suite in common.
    pub const SUITE: Self = Self(4);
    /// The host's key is not one this guest was provisioned with.
    pub const HOST: Self = Self(5);
    /// The guest is bound to another instance.
    pub const INSTANCE: Self = Self(6);
    /// The generation is behind what the guest has seen.
    pub const GENERATION: Self = Self(7);
    /// The guest has no room for another session.
    pub const BUSY: Self = Self(8);

    /// What to tell a person; `None` for a code of a later version.
    #[must_use]
    pub const fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::MALFORMED => "the guest could not read the hello",
            Self::VERSION => "no protocol version in common",
            Self::SERVICE => "another service listens on this port",
            Self::SUITE => "no cipher suite in common",
            Self::HOST => "the guest was not provisioned with this host's key",
            Self::INSTANCE => "the guest belongs to another instance",
            Self::GENERATION => "the host's generation is behind the guest's",
            Self::BUSY => "the guest has no room for another session",
            _ => return None,
        })
    }
}

/// Sent in the place of a `GuestHello` by a guest that will not go on. It is an unauthenticated
/// hint for people and never changes keys, versions, generations or suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Refusal {
    /// Why.
    pub code: RefusalCode,
    /// The lowest version the guest speaks.
    pub min_version: u8,
    /// The highest version the guest speaks.
    pub max_version: u8,
}

impl Refusal {
    pub(super) const fn new(code: RefusalCode) -> Self {
        Self {
            code,
            min_version: VERSION,
            max_version: VERSION,
        }
    }

    /// The whole frame, length included.
    #[must_use]
    pub const fn to_frame(&self) -> [u8; REFUSAL_FRAME_LEN] {
        [
            0,
            0,
            0,
            4,
            0,
            self.code.0,
            self.min_version,
            self.max_version,
        ]
    }

    /// `None` where the body is no refusal (a `GuestHello` never begins with 0).
    pub(super) const fn parse(body: &[u8]) -> Option<Result<Self, DecodeError>> {
        match *body {
            [0, code, min_version, max_version] => Some(Ok(Self {
                code: RefusalCode(code),
                min_version,
                max_version,
            })),
            [0, _, _, _, ..] => Some(Err(DecodeError::TrailingBytes {
                count: body.len().saturating_sub(4),
            })),
            [0, ..] => Some(Err(DecodeError::UnexpectedEnd { len: body.len() })),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec;

    #[test]
    fn serde_reads_and_writes_the_same() {
        let extensions = [7; EXTENSIONS_MAX];
        let mut seen = 0;
        for (number, len) in [(0u64, 0), (127, 1), (128, 2), (u64::MAX, EXTENSIONS_MAX)] {
            let [small, wide @ ..] = number.to_le_bytes();
            let capabilities = u32::from_le_bytes([wide[0], wide[1], wide[2], small]);
            let extensions = Bytes(&extensions[..len]);
            let host = HostHello {
                min_version: small,
                max_version: 3,
                suites: 1,
                service: u16::from_le_bytes([small, wide[0]]),
                session_id: [1; 16],
                host_nonce: [2; 32],
                host_key: [3; 32],
                instance: InstanceId::new("i-0a1b2c3d").unwrap(),
                generation: number,
                capabilities,
                extensions,
            };
            let guest = GuestHello {
                version: 3,
                suite: 1,
                guest_nonce: [4; 32],
                guest_key: [5; 32],
                seen: number,
                capabilities,
                extensions,
            };
            let (mut ours, mut serdes) = ([0; 512], [0; 512]);
            let n = write_frame(&mut ours, |fields| host.write(fields)).unwrap();
            let m = codec::encode(&host, &mut serdes).unwrap();
            assert_eq!(ours[4..n], serdes[..m]);
            assert_eq!(HostHello::read(&ours[4..n]), Ok(host));
            let n = write_frame(&mut ours, |fields| guest.write(fields)).unwrap();
            let m = codec::encode(&guest, &mut serdes).unwrap();
            assert_eq!(ours[4..n], serdes[..m]);
            assert_eq!(GuestHello::read(&ours[4..n]), Ok(guest));
            seen += 1;
        }
        assert_eq!(seen, 4);
    }
}
