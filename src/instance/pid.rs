//! Process ids that are safe to signal.

use core::fmt;
use core::num::NonZeroU32;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::PID_MAX;

/// The id of a process: 1..=2,147,483,647, a positive `pid_t`.
///
/// To `kill(2)`, 0 means the caller's own process group and a negative number (which is what a
/// larger `u32` becomes) another group or every process there is: none of these can be a `Pid`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pid(NonZeroU32);

impl Pid {
    /// Checks a process id.
    ///
    /// # Errors
    /// [`PidError`] for 0 and above 2,147,483,647.
    pub const fn new(pid: u32) -> Result<Self, PidError> {
        match NonZeroU32::new(pid) {
            Some(nonzero) if pid <= PID_MAX => Ok(Self(nonzero)),
            _ => Err(PidError { pid }),
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u32> for Pid {
    type Error = PidError;

    fn try_from(pid: u32) -> Result<Self, PidError> {
        Self::new(pid)
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Pid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.get())
    }
}

impl<'de> Deserialize<'de> for Pid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u32::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A number is not the id of a process: it is 0 or above 2,147,483,647.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("{pid} is not the id of a process")]
#[non_exhaustive]
pub struct PidError {
    /// The number.
    pub pid: u32,
}

impl_error!(PidError);
