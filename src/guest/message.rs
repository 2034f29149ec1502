//! The operations and their messages.

use serde::{Deserialize, Serialize};

use super::capability::Capabilities;
use super::envelope::Op;
use super::lifecycle::needs;
use super::status::StatusReport;
use super::wake::{Wake, WakeReport};
use crate::wire::codec::{self, Bytes, DecodeError, EncodeError};
use crate::wire::fields::{Reader, Writer};

/// Asks whether the guest's program answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // What travels is fixed by the layout.
pub struct Ping {
    /// Comes back in the answer.
    pub nonce: u64,
}

/// Answer to [`Ping`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // What travels is fixed by the layout.
pub struct Pong {
    /// The nonce of the request.
    pub nonce: u64,
    /// Time since the guest's program started, in milliseconds of its monotonic clock.
    pub uptime_ms: u64,
}

/// Asks the guest to flush everything, because a snapshot will be taken.
///
/// The answer (which has no message of its own) is the last thing before every session ends:
/// [`AfterResponse::EndSessions`](super::AfterResponse::EndSessions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // What travels is fixed by the layout.
pub struct SleepPrep {
    /// Time to flush in milliseconds, from when the request was received; below the request's
    /// own deadline.
    pub flush_deadline_ms: u32,
    /// Whether to give up the binding to the instance, because the snapshot will be cloned.
    pub unbind: bool,
}

/// How to shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ShutdownMode {
    /// Off. Code 0.
    PowerOff,
    /// And boot again. Code 1.
    Reboot,
    /// Stop the CPUs. Code 2.
    Halt,
}

/// Asks the guest to shut down; the answer (which has no message of its own) says that it will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // What travels is fixed by the layout.
pub struct Shutdown {
    /// Time for programs to end by themselves in milliseconds.
    pub grace_ms: u32,
    /// How.
    pub mode: ShutdownMode,
}

/// A message of the fleet's own. The answer is a byte string of the fleet's own too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // What travels is fixed by the layout.
pub struct Extension<'a> {
    /// What it is; the fleet gives out these numbers.
    pub kind: u32,
    /// The message.
    #[serde(borrow)]
    pub body: Bytes<'a>,
}

/// A request's operation and its message.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
// There is no heap to put the large ones on, and one call is held at a time.
#[allow(clippy::large_enum_variant)]
pub enum Call<'a> {
    /// Does the guest's program answer?
    Ping(Ping),
    /// What is ready?
    Status,
    /// Get ready for a snapshot.
    SleepPrep(SleepPrep),
    /// Become your own again after a restore.
    Wake(Wake),
    /// Shut down.
    Shutdown(Shutdown),
    /// A message of the fleet's own.
    Extension(Extension<'a>),
}

impl<'a> Call<'a> {
    /// The operation.
    #[must_use]
    pub const fn op(&self) -> Op {
        match self {
            Self::Ping(_) => Op::PING,
            Self::Status => Op::STATUS,
            Self::SleepPrep(_) => Op::SLEEP_PREP,
            Self::Wake(_) => Op::WAKE,
            Self::Shutdown(_) => Op::SHUTDOWN,
            Self::Extension(_) => Op::EXTENSION,
        }
    }

    /// What must have been negotiated for it.
    #[must_use]
    pub fn needs(&self) -> Capabilities {
        let mut needed = needs(self.op()).unwrap_or_default();
        match self {
            Self::SleepPrep(SleepPrep { unbind: true, .. }) => {
                needed = needed.union(Capabilities::UNBIND);
            }
            Self::Wake(wake) => {
                if wake.identity.is_some() {
                    needed = needed.union(Capabilities::IDENTITY);
                }
                if wake.network.is_some() {
                    needed = needed.union(Capabilities::NETWORK);
                }
                if wake.new_guest_key.is_some() {
                    needed = needed.union(Capabilities::REKEY);
                }
            }
            _ => {}
        }
        needed
    }

    /// Reads the body of a request; `None` if this version does not know the operation.
    ///
    /// # Errors
    ///
    /// The body is not canonical postcard of the operation's message.
    // Not inlined: a large value that is given is otherwise moved field by field, hundreds of bytes of code.
    #[inline(never)]
    pub fn decode(op: Op, body: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        let mut reader = Reader::new(body);
        let call = match op {
            Op::PING => Self::Ping(Ping {
                nonce: reader.varint(),
            }),
            Op::STATUS => Self::Status,
            Op::SLEEP_PREP => Self::SleepPrep(SleepPrep {
                flush_deadline_ms: reader.u32(),
                unbind: reader.flag(),
            }),
            Op::WAKE => match Wake::read(&mut reader) {
                Some(wake) => Self::Wake(wake),
                None => return Err(reader.end().err().unwrap_or(DecodeError::InvalidValue)),
            },
            Op::SHUTDOWN => {
                let grace_ms = reader.u32();
                let mode = match reader.u32() {
                    0 => Some(ShutdownMode::PowerOff),
                    1 => Some(ShutdownMode::Reboot),
                    2 => Some(ShutdownMode::Halt),
                    _ => None,
                };
                let mode = reader.valid(mode).unwrap_or(ShutdownMode::PowerOff);
                Self::Shutdown(Shutdown { grace_ms, mode })
            }
            Op::EXTENSION => Self::Extension(Extension {
                kind: reader.u32(),
                body: Bytes(reader.bytes()),
            }),
            _ => return Ok(None),
        };
        reader.end()?;
        Ok(Some(call))
    }

    pub(super) fn encode_body(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        match self {
            Self::Ping(message) => codec::encode(message, out),
            Self::Status => Ok(0),
            Self::SleepPrep(message) => codec::encode(message, out),
            Self::Wake(message) => codec::encode(message, out),
            Self::Shutdown(message) => codec::encode(message, out),
            Self::Extension(message) => codec::encode(message, out),
        }
    }
}

/// An answer's operation and its message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
// There is no heap to put the large one on, and one answer is held at a time.
#[allow(clippy::large_enum_variant)]
pub enum Answer<'a> {
    /// It does.
    Pong(Pong),
    /// This is ready.
    Status(StatusReport<'a>),
    /// Everything is flushed. The snapshot may be taken once the stream has ended.
    SleepPrep,
    /// This has been done. [`WakeReport::check`] says whether the guest is awake.
    Wake(WakeReport),
    /// It will shut down.
    Shutdown,
    /// An answer of the fleet's own.
    Extension(Bytes<'a>),
}

impl<'a> Answer<'a> {
    /// The operation it answers.
    #[must_use]
    pub const fn op(&self) -> Op {
        match self {
            Self::Pong(_) => Op::PING,
            Self::Status(_) => Op::STATUS,
            Self::SleepPrep => Op::SLEEP_PREP,
            Self::Wake(_) => Op::WAKE,
            Self::Shutdown => Op::SHUTDOWN,
            Self::Extension(_) => Op::EXTENSION,
        }
    }

    /// Reads the body of an answer; `None` if this version does not know the operation.
    ///
    /// # Errors
    ///
    /// The body is not canonical postcard of the operation's answer.
    pub fn decode(op: Op, body: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        Ok(Some(match op {
            Op::PING => Self::Pong(codec::decode(body)?),
            Op::STATUS => Self::Status(codec::decode(body)?),
            Op::SLEEP_PREP => {
                nothing(body)?;
                Self::SleepPrep
            }
            Op::WAKE => Self::Wake(codec::decode(body)?),
            Op::SHUTDOWN => {
                nothing(body)?;
                Self::Shutdown
            }
            Op::EXTENSION => Self::Extension(codec::decode(body)?),
            _ => return Ok(None),
        }))
    }

    pub(super) fn encode_body(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer::new(out);
        match self {
            Self::Pong(Pong { nonce, uptime_ms }) => {
                writer.varint(*nonce);
                writer.varint(*uptime_ms);
            }
            Self::Status(report) => report.write(&mut writer),
            Self::Wake(report) => report.write(&mut writer),
            Self::Extension(body) => writer.bytes(body.0),
            Self::SleepPrep | Self::Shutdown => {}
        }
        writer.end()
    }
}

/// A message without fields.
fn nothing(body: &[u8]) -> Result<(), DecodeError> {
    match body.len() {
        0 => Ok(()),
        count => Err(DecodeError::TrailingBytes { count }),
    }
}
