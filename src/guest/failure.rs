//! What a guest answers when it does not do what it was asked.

use super::capability::{Capabilities, NotNegotiated};
use super::envelope::Op;
use super::lifecycle::Phase;
use crate::session::Side;

/// Why the guest did not do what it was asked. The session goes on.
///
/// On the wire a code and a `u64` of detail, also for codes of later versions:
///
/// | code | variant | detail |
/// | --- | --- | --- |
/// | 1 | `Unsupported` | code of the operation |
/// | 2 | `NotNegotiated` | bits 0–31 the capabilities, bit 32 set if the guest lacks them |
/// | 3 | `NotAwake` | code of the phase |
/// | 4 | `Malformed` | 0 |
/// | 5 | `WrongGeneration` | the session's generation |
/// | 6 | `WrongIdentity` | 0 |
/// | 7 | `DeadlineTooShort` | 0 |
/// | 8 | `UnknownExtension` | its kind |
/// | 9 | `Busy` | 0 |
/// | 10 | `Failed` | the guest's own code |
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Failure {
    /// The guest has no such operation.
    #[error("the guest does not know operation {}: upgrade the guest", .op.code())]
    Unsupported {
        /// The operation.
        op: Op,
    },
    /// The request needs what was not negotiated.
    #[error("{0}")]
    NotNegotiated(NotNegotiated),
    /// The guest has been restored, or is about to be put to sleep.
    #[error("the guest is not awake (phase {})", .phase.code())]
    NotAwake {
        /// The phase it is in.
        phase: Phase,
    },
    /// The body is not canonical postcard of the operation's message, or a value in it is not
    /// allowed.
    #[error("the guest could not read the request")]
    Malformed,
    /// A [`Wake`](super::Wake) for another generation than the session's.
    #[error("the wake is not for generation {session} of this session")]
    WrongGeneration {
        /// The session's generation.
        session: u64,
    },
    /// A [`Wake`](super::Wake) with another identity than the session's.
    #[error("the wake is for another instance than this session")]
    WrongIdentity,
    /// The request's deadline is 0, or not above the time it gives to flush.
    #[error("the deadline leaves no time for the answer")]
    DeadlineTooShort,
    /// The guest has no such message of its fleet.
    #[error("the guest does not know extension {kind}: upgrade the guest")]
    UnknownExtension {
        /// Kind of the message.
        kind: u32,
    },
    /// The guest is at work on something that excludes this request.
    #[error("the guest is busy")]
    Busy,
    /// It was tried and did not work.
    #[error("the guest failed with code {code}")]
    Failed {
        /// A code of the guest's program.
        code: u32,
    },
    /// The guest is newer than this program.
    #[error("the guest answered with unknown code {}: upgrade the host", .0.code)]
    Other(OtherFailure),
}
impl_error!(Failure);
const _: () = assert!(size_of::<Failure>() <= 24);

/// A failure that this version has no name for. Only decoding makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OtherFailure {
    code: u16,
    detail: u64,
}

impl OtherFailure {
    /// Its code.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.code
    }

    /// Its detail; what it means depends on the code.
    #[must_use]
    pub const fn detail(self) -> u64 {
        self.detail
    }
}

/// Marks the guest as the side to upgrade in the detail of `NotNegotiated`.
const GUEST_LACKS: u64 = 1 << 32;

impl Failure {
    /// The side whose software is behind, where that is the reason.
    #[must_use]
    pub const fn upgrade(self) -> Option<Side> {
        match self {
            Self::Unsupported { .. } | Self::UnknownExtension { .. } => Some(Side::Guest),
            Self::NotNegotiated(NotNegotiated { upgrade, .. }) => Some(upgrade),
            Self::Other(_) => Some(Side::Host),
            _ => None,
        }
    }

    /// As it travels: code (never 0) and detail.
    pub(super) fn to_wire(self) -> (u16, u64) {
        match self {
            Self::Unsupported { op } => (1, u64::from(op.code())),
            Self::NotNegotiated(NotNegotiated { missing, upgrade }) => {
                let side = match upgrade {
                    Side::Host => 0,
                    Side::Guest => GUEST_LACKS,
                };
                (2, u64::from(missing.bits()) | side)
            }
            Self::NotAwake { phase } => (3, u64::from(phase.code())),
            Self::Malformed => (4, 0),
            Self::WrongGeneration { session } => (5, session),
            Self::WrongIdentity => (6, 0),
            Self::DeadlineTooShort => (7, 0),
            Self::UnknownExtension { kind } => (8, u64::from(kind)),
            Self::Busy => (9, 0),
            Self::Failed { code } => (10, u64::from(code)),
            Self::Other(OtherFailure { code, detail }) => (code, detail),
        }
    }

    /// From the wire; `None` if the detail is none that the code can have.
    pub(super) fn from_wire(code: u16, detail: u64) -> Option<Self> {
        let failure = match code {
            1 => Self::Unsupported {
                op: Op::from_code(u16::try_from(detail).ok()?),
            },
            2 => {
                let upgrade = if detail & GUEST_LACKS == 0 {
                    Side::Host
                } else {
                    Side::Guest
                };
                let bits = u32::try_from(detail & !GUEST_LACKS).ok()?;
                let missing = Capabilities::from_bits(bits);
                Self::NotNegotiated(NotNegotiated { missing, upgrade })
            }
            3 => Self::NotAwake {
                phase: Phase::from_code(u8::try_from(detail).ok()?),
            },
            5 => Self::WrongGeneration { session: detail },
            8 => Self::UnknownExtension {
                kind: u32::try_from(detail).ok()?,
            },
            10 => Self::Failed {
                code: u32::try_from(detail).ok()?,
            },
            0 => return None,
            4 | 6 | 7 | 9 if detail != 0 => return None,
            4 => Self::Malformed,
            6 => Self::WrongIdentity,
            7 => Self::DeadlineTooShort,
            9 => Self::Busy,
            _ => Self::Other(OtherFailure { code, detail }),
        };
        Some(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_and_detail_comes_back_or_is_refused() {
        let details = [
            0,
            1,
            7,
            255,
            256,
            65_535,
            65_536,
            u64::from(u32::MAX),
            GUEST_LACKS,
            GUEST_LACKS | 0x1FF,
            1 << 33,
            u64::MAX,
        ];
        let (mut read, mut refused) = (0, 0);
        for code in (0..=64).chain([u16::MAX]) {
            for detail in details {
                match Failure::from_wire(code, detail) {
                    Some(failure) => {
                        assert_eq!(failure.to_wire(), (code, detail));
                        read += 1;
                    }
                    None => refused += 1,
                }
            }
        }
        assert_eq!((read, refused), (712, 80));
    }

    #[test]
    fn what_is_behind_is_named() {
        let kind = 3;
        assert_eq!(
            Failure::UnknownExtension { kind }.upgrade(),
            Some(Side::Guest)
        );
        let newer = Failure::from_wire(999, 1).unwrap();
        assert_eq!(newer.upgrade(), Some(Side::Host));
        assert_eq!(Failure::Busy.upgrade(), None);
        for upgrade in [Side::Host, Side::Guest] {
            let missing = Capabilities::REKEY;
            let failure = Failure::NotNegotiated(NotNegotiated { missing, upgrade });
            assert_eq!(failure.upgrade(), Some(upgrade));
        }
    }
}
