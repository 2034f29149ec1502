//! Postcard, one canonical way: what [`decode`] accepts is byte for byte what [`encode`] writes.
//!
//! Postcard's integers are LEB128 varints, so one value has several encodings (`01` and `81 00`
//! are both 1), and its decoder stops at the end of the value and says nothing about what
//! follows. Both are ways for two parties to see different bytes behind one value. [`decode`]
//! therefore refuses bytes left over ([`DecodeError::TrailingBytes`]) and every body whose
//! re-encoding differs ([`DecodeError::NonCanonical`]); it needs no buffer for that.
//!
//! After [`decode`] succeeded, [`encode`] of the value gives the same bytes.

use core::fmt;

use postcard::Serializer;
use postcard::ser_flavors::Flavor;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror_no_std::Error;

use super::copy;

/// Why a value could not be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EncodeError {
    /// The output buffer is full; nothing in it may be used.
    #[error("the output buffer of {len} bytes is too small")]
    BufferTooSmall {
        /// Length of the buffer, in bytes.
        len: usize,
    },
    /// The type has a value that this format cannot express.
    #[error("the value has no encoding in this format")]
    Unsupported,
}

/// Why bytes are not one canonical encoding of the type asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside the value.
    #[error("the {len} bytes end inside the value")]
    UnexpectedEnd {
        /// Length of the input, in bytes.
        len: usize,
    },
    /// A member has a value that its type does not allow.
    #[error("a member holds a value that its type does not allow")]
    InvalidValue,
    /// Bytes follow the value.
    #[error("{count} bytes follow the value")]
    TrailingBytes {
        /// How many bytes are left over.
        count: usize,
    },
    /// The value is fine, but this is not the one way to write it.
    #[error("not the canonical encoding of the value (first difference at byte {at})")]
    NonCanonical {
        /// Offset of the first byte that differs from the canonical encoding.
        at: usize,
    },
}

impl_error!(EncodeError, DecodeError);

/// A byte string that is borrowed from the buffer it was decoded from.
///
/// Serde writes a plain `&[u8]` element by element; this writes it as one byte string: in
/// postcard a varint length and the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Bytes<'a>(pub &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowed;
        impl<'de> Visitor<'de> for Borrowed {
            type Value = &'de [u8];
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a borrowed byte string")
            }
            fn visit_borrowed_bytes<E: serde::de::Error>(
                self,
                v: &'de [u8],
            ) -> Result<&'de [u8], E> {
                Ok(v)
            }
        }
        deserializer.deserialize_bytes(Borrowed).map(Bytes)
    }
}

/// Where encoded bytes go. One type for all three, so that the encoder of a message is compiled
/// once and not once for each use.
enum Target<'a> {
    Write(&'a mut [u8]),
    Compare(&'a [u8]),
    Count,
}

struct Sink<'a> {
    target: Target<'a>,
    at: usize,
}

impl Flavor for Sink<'_> {
    type Output = usize;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(core::slice::from_ref(&byte))
    }

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        let end = self
            .at
            .checked_add(data.len())
            .ok_or(postcard::Error::SerializeBufferFull)?;
        match &mut self.target {
            Target::Write(out) => match out.get_mut(self.at..end) {
                Some(space) => copy(space, data),
                None => return Err(postcard::Error::SerializeBufferFull),
            },
            Target::Compare(expected) => {
                if expected.get(self.at..end) != Some(data) {
                    let rest = expected.get(self.at..).unwrap_or(&[]);
                    let same = rest.iter().zip(data).take_while(|(a, b)| a == b).count();
                    self.at = self.at.saturating_add(same);
                    return Err(postcard::Error::SerializeBufferFull);
                }
            }
            Target::Count => {}
        }
        self.at = end;
        Ok(())
    }

    fn finalize(self) -> postcard::Result<usize> {
        Ok(self.at)
    }
}

/// Runs the encoder into `target`; the number of bytes, and whether it came to the end.
fn run<T: Serialize + ?Sized>(value: &T, target: Target<'_>) -> (usize, postcard::Result<()>) {
    let mut serializer = Serializer {
        output: Sink { target, at: 0 },
    };
    let result = value.serialize(&mut serializer);
    (serializer.output.at, result)
}

/// Writes `value` to the front of `out` and gives the number of bytes written.
///
/// # Errors
/// [`EncodeError::BufferTooSmall`] when `out` cannot hold all of it; `out` then holds a torn
/// prefix that must not be used.
///
/// ```
/// let mut out = [0; 8];
/// assert_eq!(mvm_core::wire::codec::encode(&(1u8, 300u32), &mut out), Ok(3));
/// assert_eq!(out[..3], [1, 0xac, 0x02]);
/// ```
pub fn encode<T: Serialize + ?Sized>(value: &T, out: &mut [u8]) -> Result<usize, EncodeError> {
    let len = out.len();
    match run(value, Target::Write(out)) {
        (written, Ok(())) => Ok(written),
        (_, Err(postcard::Error::SerializeBufferFull)) => Err(EncodeError::BufferTooSmall { len }),
        (_, Err(_)) => Err(EncodeError::Unsupported),
    }
}

/// The number of bytes [`encode`] needs for `value`.
///
/// # Errors
/// [`EncodeError::Unsupported`] when the value has no encoding.
pub fn encoded_len<T: Serialize + ?Sized>(value: &T) -> Result<usize, EncodeError> {
    match run(value, Target::Count) {
        (count, Ok(())) => Ok(count),
        (_, Err(_)) => Err(EncodeError::Unsupported),
    }
}

/// Reads exactly one value that fills `body`, in its canonical encoding. Byte strings in it borrow
/// from `body`.
///
/// # Errors
/// Every [`DecodeError`]; nothing beyond `body` is ever read.
///
/// ```
/// use mvm_core::wire::codec::{DecodeError, decode};
/// assert_eq!(decode::<u32>(&[0xac, 0x02]), Ok(300));
/// assert_eq!(decode::<u32>(&[0x81, 0x00]), Err(DecodeError::NonCanonical { at: 0 }));
/// assert_eq!(decode::<u32>(&[0x01, 0x00]), Err(DecodeError::TrailingBytes { count: 1 }));
/// ```
pub fn decode<'a, T: Deserialize<'a> + Serialize>(body: &'a [u8]) -> Result<T, DecodeError> {
    let (value, rest) = take::<T>(body)?;
    match rest.len() {
        0 => Ok(value),
        count => Err(DecodeError::TrailingBytes { count }),
    }
}

/// Reads one canonical value from the front of `body` and gives what follows it.
///
/// # Errors
/// As [`decode`], less [`DecodeError::TrailingBytes`].
pub fn take<'a, T: Deserialize<'a> + Serialize>(
    body: &'a [u8],
) -> Result<(T, &'a [u8]), DecodeError> {
    let (value, rest) = postcard::take_from_bytes::<T>(body).map_err(|error| match error {
        postcard::Error::DeserializeUnexpectedEnd => DecodeError::UnexpectedEnd { len: body.len() },
        _ => DecodeError::InvalidValue,
    })?;
    let used = body.len().saturating_sub(rest.len());
    let expected = body.get(..used).unwrap_or(body);
    if crate::rules::on(crate::rules::Rule::CanonicalEncoding) {
        match run(&value, Target::Compare(expected)) {
            (same, Ok(())) if same == used => {}
            (at, _) => return Err(DecodeError::NonCanonical { at }),
        }
    }
    Ok((value, rest))
}

/// Serde adapter for byte arrays longer than the 32 elements that serde knows: a tuple of bytes, in
/// JSON an array of numbers, in postcard the bytes without a length.
pub(crate) mod byte_array {
    use super::{Deserializer, Visitor, fmt};
    use serde::de::{Error, SeqAccess};
    use serde::ser::SerializeTuple;

    pub(crate) fn serialize<const N: usize, S: serde::Serializer>(
        bytes: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(N)?;
        for byte in bytes {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }

    pub(crate) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        struct Array<const N: usize>;
        impl<'de, const N: usize> Visitor<'de> for Array<N> {
            type Value = [u8; N];
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{N} bytes")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
                let mut bytes = [0; N];
                for (at, byte) in bytes.iter_mut().enumerate() {
                    *byte = seq
                        .next_element()?
                        .ok_or_else(|| A::Error::invalid_length(at, &self))?;
                }
                Ok(bytes)
            }
        }
        deserializer.deserialize_tuple(N, Array::<N>)
    }
}
