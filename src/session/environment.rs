//! What a session asks of the machine it runs on, and what its caller must bring.

use zeroize::Zeroize;

use crate::time::Timestamp;

/// A local value that changes when the machine is restored from a snapshot. It is never sent.
///
/// VMClock's counter and VMGenID qualify. Two restores of *one* snapshot get the *same* VMClock
/// counter: a mark detects change, it does not tell clones apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Mark {
    /// The platform has nothing that changes. Sessions then survive a restore unless they were
    /// closed before the snapshot was taken.
    Constant,
    /// The platform's counter or identifier, as it is now.
    Changing(u64),
}

impl Mark {
    /// As it goes into a nonce.
    pub(crate) const fn to_be_bytes(self) -> [u8; 8] {
        match self {
            Self::Constant => [0; 8],
            Self::Changing(value) => value.to_be_bytes(),
        }
    }
}

/// 32 bytes that no other call has seen, used once and wiped.
///
/// The core holds no generator. After a restore the bytes must come from a source that is fresh *by
/// then*: VMGenID (Linux 5.18 and later), a hardware instruction, a virtio-rng device, or a forced
/// reseed (`RNDRESEEDCRNG`) from such a source. Adding entropy without reseeding does nothing once
/// the kernel's generator is initialised.
pub struct Entropy([u8; 32]);

impl Entropy {
    /// Wraps fresh bytes. Never pass the same bytes twice.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for Entropy {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl core::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Entropy(..)")
    }
}

/// The machine, as sessions see it. Each call of a session reads it anew.
pub trait Environment {
    /// The restore mark, as it is now.
    fn mark(&self) -> Mark;

    /// Milliseconds of a clock that never goes back and never stops, from any start.
    fn monotonic_millis(&self) -> u64;

    /// The time of day, where it can be trusted. A guest has none.
    fn wall_clock(&self) -> Option<Timestamp> {
        None
    }
}

impl<E: Environment + ?Sized> Environment for &E {
    fn mark(&self) -> Mark {
        (**self).mark()
    }
    fn monotonic_millis(&self) -> u64 {
        (**self).monotonic_millis()
    }
    fn wall_clock(&self) -> Option<Timestamp> {
        (**self).wall_clock()
    }
}
