//! The small files beside a log: the state of its writers, and the seals of its generations.

use alloc::vec::Vec;

use thiserror_no_std::Error;

use super::chain::{Checkpoint, Unchained};
use super::cursor::{Cursor, push_hex, push_number};
use super::head::{Head, HeadMessage, LogId, RecordHash};
use crate::limits::AUDIT_SIDECAR_LEN;
use crate::signing::{DocumentPublicKey, hash};

const CONTEXT: &[u8] = b"mvm-core/audit-sidecar/v1\0";

/// Why bytes are no sidecar file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum SidecarError {
    /// Nothing is in it.
    #[error("it is empty")]
    Empty,
    /// It is of a later version.
    #[error("version {0} is not known: upgrade this program")]
    UnknownVersion(u64),
    /// It has not the form of one.
    #[error("it is damaged: not of the form that was written")]
    Malformed,
    /// Its check does not fit: half of it was written.
    #[error("it is damaged: its check does not fit")]
    Torn,
}

impl_error!(SidecarError);

/// What the file `….state` of a log or the file `….seal` of a generation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sidecar {
    /// The last record that it knows of.
    pub head: Head,
    /// The offset behind that record in its file.
    pub end: u64,
    /// The length of the file, with what stood behind that record.
    pub length: u64,
    /// The unchained lines that this record and those before cover.
    pub unchained: Unchained,
    /// Records that could not be written since the log began.
    pub lost: u64,
    /// Bytes of torn lines that were cut off since the log began.
    pub cut: u64,
    /// A signature of the record.
    pub checkpoint: Option<Checkpoint>,
}

impl Sidecar {
    pub(crate) const fn new(head: Head, end: u64, length: u64, unchained: Unchained) -> Self {
        Self {
            head,
            end,
            length,
            unchained,
            lost: 0,
            cut: 0,
            checkpoint: None,
        }
    }

    /// The [`AUDIT_SIDECAR_LEN`] bytes of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(AUDIT_SIDECAR_LEN);
        out.extend_from_slice(b"{\"version\":1,\"log\":\"");
        push_hex(&mut out, self.head.log.as_bytes());
        for (name, number) in [
            (&b"\",\"gen\":"[..], self.head.generation),
            (b",\"seq\":", self.head.seq),
        ] {
            out.extend_from_slice(name);
            push_number(&mut out, number);
        }
        out.extend_from_slice(b",\"hash\":\"");
        push_hex(&mut out, self.head.hash.as_bytes());
        for (name, number) in [
            (&b"\",\"end\":"[..], self.end),
            (b",\"length\":", self.length),
        ] {
            out.extend_from_slice(name);
            push_number(&mut out, number);
        }
        out.push(b',');
        self.unchained.write(&mut out);
        for (name, number) in [(&b",\"lost\":"[..], self.lost), (b",\"cut\":", self.cut)] {
            out.extend_from_slice(name);
            push_number(&mut out, number);
        }
        out.push(b',');
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.write(&mut out);
            out.push(b',');
        }
        out.extend_from_slice(b"\"check\":\"");
        let check = check(&out);
        push_hex(&mut out, &check);
        out.extend_from_slice(b"\"}");
        out.resize(AUDIT_SIDECAR_LEN.saturating_sub(1), b' ');
        out.push(b'\n');
        out
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    /// [`SidecarError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SidecarError> {
        if bytes.is_empty() {
            return Err(SidecarError::Empty);
        }
        let mut version = Cursor(bytes);
        if version.eat(b"{\"version\":")
            && let Some(number) = version.number()
            && number != 1
        {
            return Err(SidecarError::UnknownVersion(number));
        }
        let (sidecar, text) = Self::read(bytes).ok_or(SidecarError::Malformed)?;
        let mut rest = Cursor(bytes.get(text..).unwrap_or(&[]));
        let found: [u8; 8] = rest.hex().ok_or(SidecarError::Malformed)?;
        rest.literal(b"\"}").ok_or(SidecarError::Malformed)?;
        let padding = rest.0.strip_suffix(b"\n").ok_or(SidecarError::Malformed)?;
        if bytes.len() != AUDIT_SIDECAR_LEN || padding.iter().any(|byte| *byte != b' ') {
            return Err(SidecarError::Malformed);
        }
        if bytes.get(..text).map(check) != Some(found) {
            return Err(SidecarError::Torn);
        }
        Ok(sidecar)
    }

    /// Everything in front of the check's digits, and how many bytes that is.
    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut cursor = Cursor(bytes);
        cursor.literal(b"{\"version\":1,\"log\":\"")?;
        let log = LogId::from_bytes(cursor.hex()?);
        cursor.literal(b"\",\"gen\":")?;
        let generation = cursor.number()?;
        cursor.literal(b",\"seq\":")?;
        let seq = cursor.number()?;
        cursor.literal(b",\"hash\":\"")?;
        let hash = RecordHash::from_bytes(cursor.hex()?);
        cursor.literal(b"\",\"end\":")?;
        let end = cursor.number()?;
        cursor.literal(b",\"length\":")?;
        let length = cursor.number()?;
        cursor.literal(b",")?;
        let unchained = Unchained::read(&mut cursor)?;
        cursor.literal(b",\"lost\":")?;
        let lost = cursor.number()?;
        cursor.literal(b",\"cut\":")?;
        let cut = cursor.number()?;
        cursor.literal(b",")?;
        let mut checkpoint = None;
        if cursor.0.starts_with(b"\"key\"") {
            checkpoint = Some(Checkpoint::read(&mut cursor)?);
            cursor.literal(b",")?;
        }
        cursor.literal(b"\"check\":\"")?;
        let sidecar = Self {
            head: Head::new(log, generation, seq, hash),
            end,
            length,
            unchained,
            lost,
            cut,
            checkpoint,
        };
        Some((sidecar, bytes.len().saturating_sub(cursor.0.len())))
    }

    /// Whether its head is signed with one of these keys: `None` where it is not signed, or with another key.
    pub(super) fn signed_by(&self, keys: &[DocumentPublicKey]) -> Option<bool> {
        let checkpoint = self.checkpoint?;
        let key = keys
            .iter()
            .find(|key| key.fingerprint() == checkpoint.key)?;
        let message = HeadMessage::new(self.head.log, self.head.seq, self.head.hash);
        Some(message.verify(key, &checkpoint.signature).is_ok())
    }
}

fn check(text: &[u8]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = hash(&[CONTEXT, text]);
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::DocumentKey;

    fn full() -> Sidecar {
        let (log, hash) = (
            LogId::from_bytes([0xab; 16]),
            RecordHash::from_bytes([0xcd; 32]),
        );
        let key = DocumentKey::from_seed(&[3; 32]);
        let most = u64::MAX;
        let mut sidecar = Sidecar::new(
            Head::new(log, most, most, hash),
            most,
            most,
            Unchained { lines: most, hash },
        );
        (sidecar.lost, sidecar.cut) = (most, most);
        sidecar.checkpoint = Some(Checkpoint::sign(&key, log, most, hash));
        sidecar
    }

    #[test]
    fn both_ways() {
        let mut sidecar = full();
        let bytes = sidecar.to_bytes();
        assert_eq!(bytes.len(), AUDIT_SIDECAR_LEN);
        assert_eq!(Sidecar::from_bytes(&bytes), Ok(sidecar));
        let key = DocumentKey::from_seed(&[3; 32]).public();
        let other = DocumentKey::from_seed(&[4; 32]).public();
        assert_eq!(sidecar.signed_by(&[other, key]), Some(true));
        assert_eq!(sidecar.signed_by(&[other]), None);
        sidecar.head.seq -= 1;
        assert_eq!(sidecar.signed_by(&[key]), Some(false));
        sidecar.checkpoint = None;
        assert_eq!(Sidecar::from_bytes(&sidecar.to_bytes()), Ok(sidecar));
        assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let bytes = full().to_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Sidecar::from_bytes(&changed).is_err(), "{at}");
            assert!(Sidecar::from_bytes(&bytes[..at]).is_err(), "{at}");
        }
        assert_eq!(Sidecar::from_bytes(b""), Err(SidecarError::Empty));
        let newer = bytes.to_ascii_lowercase();
        let newer = alloc::string::String::from_utf8(newer)
            .unwrap()
            .replace("\"version\":1", "\"version\":2");
        assert_eq!(
            Sidecar::from_bytes(newer.as_bytes()),
            Err(SidecarError::UnknownVersion(2))
        );
    }
}
