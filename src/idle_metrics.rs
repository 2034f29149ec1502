//! What a host measured of an instance's activity.
//!
//! [`IdleMetrics`] is recorded in the state of an instance and travels from guest to host;
//! [`instance::idle_decision`](crate::instance::idle_decision) judges it.
//!
//! # Shapes
//! JSON is 0.13.0's: `{"idle_secs":300,"cpu_pct":0.5,"net_bytes":512,"last_updated":null}`, with
//! `last_updated` in RFC 3339 where there is one; unknown members are ignored. In postcard:
//!
//! ```text
//! idle_secs     varint, 1 to 10 bytes
//! cpu_pct       4 bytes, IEEE 754 binary32, little-endian
//! net_bytes     varint, 1 to 10 bytes
//! last_updated  0, or 1 and a timestamp (varint seconds, varint nanoseconds)
//! ```
//!
//! A share of a processor that is not a number, infinite or negative cannot be held, so it can be
//! neither read nor written ([`CpuPercent`]); 0.13.0 wrote it as `null`, and then could not read
//! its own file.

use core::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::Timestamp;

/// Activity of one instance, as measured last.
///
/// ```
/// use mvm_core::idle_metrics::{CpuPercent, IdleMetrics};
///
/// let mut metrics = IdleMetrics::default();
/// metrics.idle_secs = 300;
/// metrics.cpu_pct = CpuPercent::new(0.5)?;
/// assert!(CpuPercent::new(f32::NAN).is_err());
/// # Ok::<(), mvm_core::idle_metrics::CpuPercentError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
// Closed: the shape in postcard cannot grow, and files of 0.13.0 have these four members.
#[allow(clippy::exhaustive_structs)]
pub struct IdleMetrics {
    /// How long the instance had been idle when it was measured, in seconds.
    pub idle_secs: u64,
    /// Processor time used, in percent of one processor.
    pub cpu_pct: CpuPercent,
    /// Bytes received and sent since the measurement before.
    pub net_bytes: u64,
    /// When it was measured; `None` where it never was.
    #[serde(default)]
    pub last_updated: Option<Timestamp>,
}

/// A share of processor time in percent of one processor: finite and not negative.
///
/// More than 100 is possible, as an instance may have several processors. There is one zero:
/// `-0.0` becomes `0.0`. Being ordered totally, it needs no floating-point comparison, which a
/// small guest would have to emulate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CpuPercent {
    // Finite and not negative: then the bits of an IEEE 754 number are ordered as the numbers are.
    bits: u32,
}

/// The bits of infinity; those of every finite number with the sign + are below.
const INFINITY: u32 = 0x7f80_0000;
/// The bits of `-0.0`.
const NEGATIVE_ZERO: u32 = 0x8000_0000;

impl CpuPercent {
    /// Nothing at all.
    pub const ZERO: Self = Self { bits: 0 };

    /// Checks a share.
    ///
    /// # Errors
    /// [`CpuPercentError`] where `percent` is not a number, infinite or negative.
    pub const fn new(percent: f32) -> Result<Self, CpuPercentError> {
        match percent.to_bits() {
            NEGATIVE_ZERO => Ok(Self::ZERO),
            bits if bits < INFINITY => Ok(Self { bits }),
            bits if bits == INFINITY || bits == INFINITY | NEGATIVE_ZERO => {
                Err(CpuPercentError::Infinite)
            }
            bits if bits > INFINITY | NEGATIVE_ZERO || bits < NEGATIVE_ZERO => {
                Err(CpuPercentError::NotANumber)
            }
            _ => Err(CpuPercentError::Negative),
        }
    }

    /// The share, in percent.
    pub const fn get(self) -> f32 {
        f32::from_bits(self.bits)
    }
}

impl TryFrom<f32> for CpuPercent {
    type Error = CpuPercentError;

    fn try_from(percent: f32) -> Result<Self, CpuPercentError> {
        Self::new(percent)
    }
}

impl fmt::Display for CpuPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl fmt::Debug for CpuPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl Serialize for CpuPercent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f32(self.get())
    }
}

impl<'de> Deserialize<'de> for CpuPercent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f32::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Why a number is not a [`CpuPercent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CpuPercentError {
    /// It is not a number.
    #[error("share of a processor: not a number")]
    NotANumber,
    /// It is infinite, or was too large for 32 bits.
    #[error("share of a processor: infinite")]
    Infinite,
    /// It is below zero.
    #[error("share of a processor: negative")]
    Negative,
}

impl_error!(CpuPercentError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_share_can_be() {
        for (percent, result) in [
            (0.0, None),
            (-0.0, None),
            (f32::MIN_POSITIVE, None),
            (1e-45, None),
            (99.5, None),
            (6400.0, None),
            (f32::MAX, None),
            (f32::INFINITY, Some(CpuPercentError::Infinite)),
            (f32::NEG_INFINITY, Some(CpuPercentError::Infinite)),
            (f32::NAN, Some(CpuPercentError::NotANumber)),
            (-f32::NAN, Some(CpuPercentError::NotANumber)),
            (-1e-45, Some(CpuPercentError::Negative)),
            (f32::MIN, Some(CpuPercentError::Negative)),
        ] {
            assert_eq!(CpuPercent::new(percent).err(), result, "{percent}");
        }
        assert_eq!(CpuPercent::new(-0.0).unwrap().get().to_bits(), 0);
    }

    #[test]
    fn the_order_of_bits_is_the_order_of_numbers() {
        let ascending = [0.0, 1e-45, 1e-38, 0.5, 0.500_000_1, 5.0, 100.0, f32::MAX];
        for pair in ascending.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(CpuPercent::new(pair[0]).unwrap() < CpuPercent::new(pair[1]).unwrap());
        }
    }
}
