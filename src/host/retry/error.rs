//! Why there was no further attempt.

use core::error::Error;
use core::fmt;

use crate::retry_policy::RetryPolicyError;

/// Why there was no further attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GaveUp {
    /// The policy has no more attempts.
    Attempts,
    /// The error is not one that another attempt could change.
    NotRetryable,
    /// The deadline passed, or would have before the next attempt.
    Deadline,
    /// There is no such policy, and nothing was tried.
    Policy(RetryPolicyError),
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempts => f.write_str("there are no more attempts"),
            Self::NotRetryable => f.write_str("another attempt cannot change it"),
            Self::Deadline => f.write_str("the deadline leaves no time for another attempt"),
            Self::Policy(error) => error.fmt(f),
        }
    }
}

/// An operation failed for good: how often it was tried, why it is not tried again, and its last error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryError<E> {
    pub(super) attempts: u32,
    pub(super) reason: GaveUp,
    pub(super) last: Option<E>,
}

impl<E> RetryError<E> {
    /// How many attempts were begun.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Why there was no further one.
    #[must_use]
    pub const fn reason(&self) -> GaveUp {
        self.reason
    }

    /// The error of the last attempt that came to an end; none if none did.
    #[must_use]
    pub const fn last(&self) -> Option<&E> {
        self.last.as_ref()
    }

    /// That error itself.
    #[must_use]
    pub fn into_last(self) -> Option<E> {
        self.last
    }
}

impl<E: fmt::Display> fmt::Display for RetryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.reason, &self.last) {
            (GaveUp::Policy(error), _) => error.fmt(f),
            (reason, last) => {
                let s = if self.attempts == 1 { "" } else { "s" };
                write!(f, "failed after {} attempt{s}, {reason}", self.attempts)?;
                match last {
                    Some(last) => write!(f, ": {last}"),
                    None => Ok(()),
                }
            }
        }
    }
}

// By hand: the derive would ask that the error of the operation is one that others can hold.
impl<E: Error + 'static> Error for RetryError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match (&self.reason, &self.last) {
            (GaveUp::Policy(error), _) => Some(error),
            (_, Some(last)) => Some(last),
            (_, None) => None,
        }
    }
}
