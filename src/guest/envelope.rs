//! The head of every request and answer.

use crate::limits::CONTROL_MESSAGE_MAX;
use crate::wire::codec::{DecodeError, EncodeError};
use crate::wire::fields::{Reader, Writer};

/// Number of a request within its session. The first is 1, each is greater than the one before,
/// none is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RequestId(pub(super) u32);

impl RequestId {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Code of an operation. One that this version has no name for is kept as it is: the guest answers
/// [`Failure::Unsupported`](super::Failure::Unsupported) and the session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Op(u16);

impl Op {
    /// [`Ping`](super::Ping).
    pub const PING: Self = Self(1);
    /// [`Call::Status`](super::Call::Status).
    pub const STATUS: Self = Self(2);
    /// [`SleepPrep`](super::SleepPrep).
    pub const SLEEP_PREP: Self = Self(3);
    /// [`Wake`](super::Wake).
    pub const WAKE: Self = Self(4);
    /// [`Shutdown`](super::Shutdown).
    pub const SHUTDOWN: Self = Self(5);
    /// [`Extension`](super::Extension).
    pub const EXTENSION: Self = Self(6);

    /// From a code, known or not.
    #[must_use]
    pub const fn from_code(code: u16) -> Self {
        Self(code)
    }

    /// The code.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }
}

/// Why a payload is not a request or an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Longer than [`CONTROL_MESSAGE_MAX`].
    #[error("a control message of {len} bytes, {max} are allowed")]
    TooLong {
        /// Length of the payload in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The head, or the body of an answer, is not canonical postcard of its type.
    #[error("malformed control message: {0}")]
    Malformed(DecodeError),
    /// The code of the operation or of the outcome is above 65,535.
    #[error("code {code} is out of range")]
    CodeOutOfRange {
        /// The code.
        code: u32,
    },
}
impl_error!(EnvelopeError);
const _: () = assert!(size_of::<EnvelopeError>() <= 24);

impl From<DecodeError> for EnvelopeError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

/// A request before its body is looked at. The layout is in the [module's documentation](super).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request<'a> {
    /// Its number.
    pub id: RequestId,
    /// Total time for the answer in milliseconds.
    pub deadline_ms: u32,
    /// What is asked for.
    pub op: Op,
    /// The operation's message.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads the head of a request.
    ///
    /// # Errors
    ///
    /// See [`EnvelopeError`]; the body is not looked at.
    pub fn decode(payload: &'a [u8]) -> Result<Self, EnvelopeError> {
        let ((id, deadline_ms, op), body) = take_head(payload)?;
        Ok(Self {
            id: RequestId(id),
            deadline_ms,
            op: Op(code(op)?),
            body,
        })
    }
}

/// An answer before its body is looked at. The layout is in the [module's documentation](super).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response<'a> {
    /// Number of the request it answers.
    pub id: RequestId,
    /// The request's operation.
    pub op: Op,
    /// 0, or the code of a [`Failure`](super::Failure).
    pub outcome: u16,
    /// The operation's answer, or the failure's detail.
    pub body: &'a [u8],
}

impl<'a> Response<'a> {
    /// Reads the head of an answer.
    ///
    /// # Errors
    ///
    /// See [`EnvelopeError`]; the body is not looked at.
    pub fn decode(payload: &'a [u8]) -> Result<Self, EnvelopeError> {
        let ((id, op, outcome), body) = take_head(payload)?;
        Ok(Self {
            id: RequestId(id),
            op: Op(code(op)?),
            outcome: code(outcome)?,
            body,
        })
    }
}

/// Three varints, of requests and answers alike.
type Head = (u32, u32, u32);

fn take_head(payload: &[u8]) -> Result<(Head, &[u8]), EnvelopeError> {
    let len = payload.len();
    if len > CONTROL_MESSAGE_MAX {
        let max = CONTROL_MESSAGE_MAX;
        return Err(EnvelopeError::TooLong { len, max });
    }
    let mut reader = Reader::new(payload);
    let head = (reader.u32(), reader.u32(), reader.u32());
    Ok((head, reader.rest()?))
}

fn code(code: u32) -> Result<u16, EnvelopeError> {
    u16::try_from(code).map_err(|_| EnvelopeError::CodeOutOfRange { code })
}

/// Writes a message: the head, and the body where `body` puts it, in no more than a control
/// message may have.
pub(super) fn put(
    head: Head,
    out: &mut [u8],
    body: &dyn Fn(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<usize, EncodeError> {
    let len = out.len().min(CONTROL_MESSAGE_MAX);
    let short = EncodeError::BufferTooSmall { len };
    let out = out.get_mut(..len).ok_or(short)?;
    let mut writer = Writer::new(out);
    for field in [head.0, head.1, head.2] {
        writer.varint(u64::from(field));
    }
    let head = writer.end()?;
    let written = body(out.get_mut(head..).ok_or(short)?)?;
    Ok(head.saturating_add(written))
}
