//! Entropy, clocks and the restore mark of the machine this program runs on.

use zeroize::Zeroize;

use super::entropy::{self, EntropyError};
use super::monotonic;
use crate::session::{Entropy, Environment, Mark};
use crate::time::Timestamp;

impl Entropy {
    /// 32 bytes of the operating system's generator.
    ///
    /// After a restore that generator is fresh only if something reseeded it; see [`Entropy`]. A
    /// guest that cannot be sure of that brings its own.
    ///
    /// # Errors
    /// [`EntropyError`] if the operating system gives none.
    pub fn from_os() -> Result<Self, EntropyError> {
        let mut bytes = [0; 32];
        let result = entropy::fill(&mut bytes).map(|()| Self::new(bytes));
        bytes.zeroize();
        result
    }
}

/// The machine this program runs on, as sessions see it: its clocks, and a restore mark that the
/// caller brings or does without by name.
///
/// ```
/// use mvm_core::channel::SystemEnvironment;
/// use mvm_core::session::{Environment, Mark};
///
/// // A program on a machine that is never restored from a snapshot.
/// let host = SystemEnvironment::without_restore_mark();
/// assert_eq!(host.mark(), Mark::Constant);
///
/// // A guest that reads VMClock's counter; here a number stands in for it.
/// let counter = 7;
/// let guest = SystemEnvironment::with_mark(move || Mark::Changing(counter));
/// assert_eq!(guest.mark(), Mark::Changing(7));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SystemEnvironment<F = fn() -> Mark> {
    mark: F,
}

impl SystemEnvironment {
    /// For a machine that is not restored from snapshots, or whose sessions are always closed
    /// before one is taken: the mark is [`Mark::Constant`] and protects nothing.
    #[must_use]
    pub const fn without_restore_mark() -> Self {
        Self {
            mark: || Mark::Constant,
        }
    }
}

impl<F: Fn() -> Mark> SystemEnvironment<F> {
    /// With a source of the mark. It is asked several times for each frame, and must not block.
    #[must_use]
    pub const fn with_mark(mark: F) -> Self {
        Self { mark }
    }
}

impl<F: Fn() -> Mark> Environment for SystemEnvironment<F> {
    fn mark(&self) -> Mark {
        (self.mark)()
    }

    fn monotonic_millis(&self) -> u64 {
        monotonic::millis()
    }

    fn wall_clock(&self) -> Option<Timestamp> {
        Timestamp::now().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_move_forward() {
        let machine = SystemEnvironment::without_restore_mark();
        let (millis, wall) = (machine.monotonic_millis(), machine.wall_clock().unwrap());
        std::thread::sleep(core::time::Duration::from_millis(20));
        assert!(machine.monotonic_millis() >= millis.saturating_add(19));
        assert!(machine.wall_clock().unwrap() > wall);
    }

    #[test]
    fn entropy_is_never_the_same_twice() {
        let (a, b) = (Entropy::from_os().unwrap(), Entropy::from_os().unwrap());
        assert_ne!(a.bytes(), b.bytes());
        assert_ne!(a.bytes(), &[0; 32]);
    }
}
