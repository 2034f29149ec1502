//! Messages field by field, in postcard's encoding, for the side that counts bytes of code.
//!
//! Serde makes a reader and a writer for each message; these are compiled once and used by all. A
//! guest's whole side of session and control messages goes through them; that they agree with the
//! derived serde implementations is what every test with two sides, and every golden message,
//! shows.

use crate::rules::{Rule, on};
use crate::wire::codec::{DecodeError, EncodeError};
use crate::wire::copy;

/// Reads fields from the front of a message.
///
/// The first error sticks and is told by [`end`](Self::end); until then every field reads as 0 or
/// empty, and nothing that was read may be used.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
    error: Option<DecodeError>,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(message: &'a [u8]) -> Self {
        Self {
            rest: message,
            len: message.len(),
            error: None,
        }
    }

    /// A varint: groups of 7 bits, the low ones first, in the fewest bytes that hold the value.
    #[inline(never)]
    pub(crate) fn varint(&mut self) -> u64 {
        let mut value = 0u64;
        let mut shift = 0u32;
        // Where the canonical encoding of what was read so far ends.
        let mut last = 0usize;
        let mut rest = self.rest;
        for at in 0..10usize {
            let Some((byte, tail)) = rest.split_first() else {
                self.fail(DecodeError::UnexpectedEnd { len: self.len });
                return 0;
            };
            rest = tail;
            let group = u64::from(byte & 0x7f);
            if group != 0 {
                last = at;
            }
            // The tenth group has one bit of a `u64`.
            if shift == 63 && group > 1 {
                break;
            }
            value |= group << shift;
            shift = shift.wrapping_add(7);
            if *byte < 0x80 {
                if last != at && on(Rule::CanonicalEncoding) {
                    let read = self.len.saturating_sub(self.rest.len());
                    let at = read.saturating_add(last);
                    self.fail(DecodeError::NonCanonical { at });
                    return 0;
                }
                self.rest = rest;
                return value;
            }
        }
        self.fail(DecodeError::InvalidValue);
        0
    }

    /// A varint of 32 bits.
    #[inline(never)]
    pub(crate) fn u32(&mut self) -> u32 {
        let value = u32::try_from(self.varint());
        self.valid(value.ok()).unwrap_or_default()
    }

    /// A varint of a signed integer.
    pub(crate) fn zigzag(&mut self) -> i64 {
        let value = self.varint();
        let magnitude = i64::from_le_bytes((value >> 1).to_le_bytes());
        if value & 1 == 0 {
            magnitude
        } else {
            !magnitude
        }
    }

    /// So many bytes.
    #[inline(never)]
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        match self.rest.split_at_checked(count) {
            Some((bytes, rest)) => {
                self.rest = rest;
                bytes
            }
            None => {
                self.fail(DecodeError::UnexpectedEnd { len: self.len });
                &[]
            }
        }
    }

    /// One byte.
    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// A byte that is 0 or 1.
    #[inline(never)]
    pub(crate) fn flag(&mut self) -> bool {
        let byte = self.byte();
        self.valid((byte < 2).then_some(byte == 1))
            .unwrap_or_default()
    }

    /// A length and so many bytes.
    #[inline(never)]
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        // A length that `usize` cannot hold is above every message.
        let count = usize::try_from(self.varint()).unwrap_or(usize::MAX);
        self.take(count)
    }

    /// So many bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        if let Some(bytes) = self.take(N).first_chunk() {
            array = *bytes;
        }
        array
    }

    /// What a value that its type does not allow has instead: an error.
    pub(crate) fn valid<T>(&mut self, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.fail(DecodeError::InvalidValue);
        }
        value
    }

    /// What is left, for who reads it later.
    pub(crate) fn rest(self) -> Result<&'a [u8], DecodeError> {
        match self.error {
            None => Ok(self.rest),
            Some(error) => Err(error),
        }
    }

    /// The end of the message: whether all of it was read, and right.
    pub(crate) fn end(self) -> Result<(), DecodeError> {
        match self.rest()?.len() {
            0 => Ok(()),
            count => Err(DecodeError::TrailingBytes { count }),
        }
    }

    #[inline(never)]
    fn fail(&mut self, error: DecodeError) {
        self.rest = &[];
        if self.error.is_none() {
            self.error = Some(error);
        }
    }
}

/// Writes fields to the front of a buffer. Told by [`end`](Self::end) whether there was room.
pub(crate) struct Writer<'a> {
    out: &'a mut [u8],
    /// Where the next field goes; above the buffer's length once there was no room.
    at: usize,
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    /// A varint.
    #[inline(never)]
    pub(crate) fn varint(&mut self, value: u64) {
        let mut value = value;
        loop {
            let [group, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.byte(group);
                return;
            }
            self.byte(group | 0x80);
        }
    }

    /// A varint of a signed integer.
    pub(crate) fn zigzag(&mut self, value: i64) {
        let sign = if value < 0 { u64::MAX } else { 0 };
        self.varint(u64::from_le_bytes(value.to_le_bytes()).wrapping_shl(1) ^ sign);
    }

    /// Bytes as they are.
    #[inline(never)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        self.at = match self.out.get_mut(self.at..end) {
            Some(space) => {
                copy(space, bytes);
                end
            }
            None => usize::MAX,
        };
    }

    /// One byte.
    #[inline(never)]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.put(&[byte]);
    }

    /// A length and so many bytes.
    #[inline(never)]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        // No `usize` is above 64 bits.
        self.varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.put(bytes);
    }

    /// The length of the message.
    pub(crate) fn end(self) -> Result<usize, EncodeError> {
        let len = self.out.len();
        if self.at <= len {
            Ok(self.at)
        } else {
            Err(EncodeError::BufferTooSmall { len })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back() {
        let numbers = [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            u64::from(u32::MAX),
            u64::MAX,
        ];
        let signed = [0, -1, 1, 63, -64, 64, -65, i64::MAX, i64::MIN];
        let mut out = [0; 200];
        let mut writer = Writer::new(&mut out);
        numbers.iter().for_each(|n| writer.varint(*n));
        signed.iter().for_each(|n| writer.zigzag(*n));
        writer.bytes(b"abc");
        writer.byte(1);
        writer.put(&[7; 4]);
        let len = writer.end().unwrap();
        let mut reader = Reader::new(&out[..len]);
        for n in numbers {
            assert_eq!(reader.varint(), n);
        }
        for n in signed {
            assert_eq!(reader.zigzag(), n);
        }
        assert_eq!(reader.bytes(), b"abc");
        assert!(reader.flag());
        assert_eq!(reader.array(), [7; 4]);
        assert_eq!(reader.end(), Ok(()));

        // The same integers as serde writes them.
        let mut other = [0; 200];
        let n = crate::wire::codec::encode(&(numbers, signed), &mut other).unwrap();
        assert_eq!(other[..n], out[..n]);

        // No room for the last byte, or for anything.
        for cut in 0..len {
            let mut writer = Writer::new(&mut other[..cut]);
            numbers.iter().for_each(|n| writer.varint(*n));
            signed.iter().for_each(|n| writer.zigzag(*n));
            writer.bytes(b"abc");
            writer.byte(1);
            writer.put(&[7; 4]);
            assert_eq!(writer.end(), Err(EncodeError::BufferTooSmall { len: cut }));
        }
    }

    #[test]
    fn the_first_error_sticks() {
        let read = |message: &[u8]| {
            let mut reader = Reader::new(message);
            let fields = (reader.u32(), reader.flag(), reader.bytes().len());
            (fields, reader.end())
        };
        assert_eq!(read(&[5, 1, 2, 8, 9]), ((5, true, 2), Ok(())));
        let cases: [(&[u8], DecodeError); 8] = [
            (&[], DecodeError::UnexpectedEnd { len: 0 }),
            (&[5, 1], DecodeError::UnexpectedEnd { len: 2 }),
            (&[5, 1, 2, 8], DecodeError::UnexpectedEnd { len: 4 }),
            (&[5, 1, 2, 8, 9, 0], DecodeError::TrailingBytes { count: 1 }),
            (&[5, 2, 2, 8, 9], DecodeError::InvalidValue),
            (
                &[0x80, 0x80, 0x80, 0x80, 0x10, 2, 0],
                DecodeError::InvalidValue,
            ),
            (&[0x85, 0, 1, 0], DecodeError::NonCanonical { at: 0 }),
            (&[5, 1, 0x82, 0, 8, 9], DecodeError::NonCanonical { at: 2 }),
        ];
        for (message, error) in cases {
            assert_eq!(read(message).1, Err(error), "{message:?}");
        }
    }

    #[test]
    fn varints_are_those_of_postcard() {
        use crate::wire::codec;
        let mut seen = 0;
        // Every pattern of "zero group, other group, end" up to eleven bytes.
        for len in 1..=11u32 {
            for pattern in 0..3u32.pow(len) {
                let mut bytes = heapless::Vec::<u8, 11>::new();
                let mut rest = pattern;
                for at in 0..len {
                    let group = match rest % 3 {
                        0 => 0,
                        1 => 1,
                        _ => 0x7f,
                    };
                    rest /= 3;
                    let group = if at + 1 == len { group } else { group | 0x80 };
                    bytes.push(group).unwrap();
                }
                let mut reader = Reader::new(&bytes);
                let value = reader.varint();
                let ours = reader.end().map(|()| value);
                assert_eq!(ours, codec::decode::<u64>(&bytes), "{bytes:02x?}");
                seen += 1;
            }
        }
        assert_eq!(seen, (3u32.pow(12) - 3) / 2);
    }
}
