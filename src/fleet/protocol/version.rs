//! Which version of the protocol a connection speaks.

use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror_no_std::Error;

use crate::fleet::document::{At, Field, Problems, Reason, document_enum};

/// Versions of hostd's protocol, from the least to the greatest.
///
/// ```
/// use mvm_core::protocol::Versions;
///
/// let theirs = Versions::new(2, 5)?;
/// assert_eq!(Versions::SUPPORTED.common(theirs), Some(2));
/// assert_eq!(Versions::SUPPORTED.to_string(), "versions 1 to 2");
/// assert!(Versions::new(3, 2).is_err() && Versions::new(0, 2).is_err());
/// # Ok::<(), mvm_core::protocol::VersionsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Versions {
    min: u16,
    max: u16,
}

/// Why two numbers are no range of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VersionsError {
    /// There is no version 0.
    #[error("there is no version 0")]
    Zero,
    /// The least is above the greatest.
    #[error("the least version {min} is above the greatest {max}")]
    Reversed {
        /// The least.
        min: u16,
        /// The greatest.
        max: u16,
    },
}

impl_error!(VersionsError);

impl Versions {
    /// What 0.13.0 speaks: version 1, without a word about it.
    pub const ONE: Self = Self { min: 1, max: 1 };

    /// What this crate speaks.
    pub const SUPPORTED: Self = Self { min: 1, max: 2 };

    /// [`SUPPORTED`](Self::SUPPORTED) without version 1.
    pub(super) const WITHOUT_1: Self = Self { min: 2, max: 2 };

    /// The versions from `min` to `max`.
    ///
    /// # Errors
    /// [`VersionsError`].
    pub const fn new(min: u16, max: u16) -> Result<Self, VersionsError> {
        if min == 0 {
            return Err(VersionsError::Zero);
        }
        if min > max {
            return Err(VersionsError::Reversed { min, max });
        }
        Ok(Self { min, max })
    }

    /// The least.
    #[must_use]
    pub const fn min(self) -> u16 {
        self.min
    }

    /// The greatest.
    #[must_use]
    pub const fn max(self) -> u16 {
        self.max
    }

    /// Whether `version` is one of them.
    #[must_use]
    pub const fn contains(self, version: u16) -> bool {
        self.min <= version && version <= self.max
    }

    /// The greatest version that both have.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u16> {
        let version = self.max.min(other.max);
        (self.contains(version) && other.contains(version)).then_some(version)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            return write!(f, "version {}", self.min);
        }
        write!(f, "versions {} to {}", self.min, self.max)
    }
}

/// The mirror of [`Versions`].
#[derive(Debug, Clone, Copy, Deserialize)]
#[doc(hidden)]
pub struct RawVersions {
    min: u16,
    max: u16,
}

impl Field for Versions {
    type Raw<'a> = RawVersions;

    fn read(raw: RawVersions, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        match Self::new(raw.min, raw.max) {
            Ok(versions) => Some(versions),
            Err(error) => {
                problems.add(at, Reason::Versions(error));
                None
            }
        }
    }

    fn raw(&self) -> RawVersions {
        let Self { min, max } = *self;
        RawVersions { min, max }
    }
}

document_enum! {
    /// The first message of a client that speaks more than version 1.
    ///
    /// It is no [`HostdRequest`](super::HostdRequest): a peer of version 1 cannot read it, and says so.
    #[derive(Copy, Eq)]
    pub enum ClientHello {
        /// The versions that the client speaks.
        Hello(versions: Versions),
    }
}

document_enum! {
    /// The answer to [`ClientHello`].
    #[derive(Copy, Eq)]
    pub enum ServerHello {
        /// The connection goes on in this version.
        Hello {
            /// The greatest version that both speak.
            version: u16,
        },
        /// There is no version that both speak; these are the server's. The connection ends.
        NoCommonVersion(versions: Versions),
    }
}

/// A side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // a connection has two sides
pub enum Side {
    /// The agent, which asks.
    Client,
    /// hostd, which answers.
    Server,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Client => "the client",
            Self::Server => "hostd",
        })
    }
}

/// There is no version that both sides speak.
///
/// ```
/// use mvm_core::protocol::{Mismatch, Side, Versions};
///
/// let mismatch = Mismatch::between(Versions::SUPPORTED, Versions::new(3, 4)?).unwrap();
/// assert_eq!(mismatch.upgrade(), Side::Client);
/// assert_eq!(
///     mismatch.to_string(),
///     "the client speaks versions 1 to 2, hostd versions 3 to 4: upgrade the client"
/// );
/// assert_eq!(Mismatch::between(Versions::SUPPORTED, Versions::ONE), None);
/// # Ok::<(), mvm_core::protocol::VersionsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the client speaks {client}, hostd {server}: upgrade {}", .upgrade)]
pub struct Mismatch {
    client: Versions,
    server: Versions,
    upgrade: Side,
}

impl_error!(Mismatch);

impl Mismatch {
    /// The mismatch of two sides, if there is one.
    #[must_use]
    pub fn between(client: Versions, server: Versions) -> Option<Self> {
        let upgrade = if client.max < server.min {
            Side::Client
        } else if server.max < client.min {
            Side::Server
        } else {
            return None;
        };
        Some(Self {
            client,
            server,
            upgrade,
        })
    }

    /// What the client speaks.
    #[must_use]
    pub const fn client(&self) -> Versions {
        self.client
    }

    /// What hostd speaks.
    #[must_use]
    pub const fn server(&self) -> Versions {
        self.server
    }

    /// The side that is too old.
    #[must_use]
    pub const fn upgrade(&self) -> Side {
        self.upgrade
    }
}
