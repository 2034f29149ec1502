//! Entropy of the operating system.

use thiserror_no_std::Error;

use crate::names::InstanceId;

/// The operating system gave no entropy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the operating system gave no entropy: {0}")]
pub struct EntropyError(getrandom::Error);

impl_error!(EntropyError);

impl EntropyError {
    /// The error number of the operating system, where it gave one.
    pub fn raw_os_error(self) -> Option<i32> {
        self.0.raw_os_error()
    }
}

/// Fills `bytes` from the operating system's generator (`getrandom(2)` on Linux), which blocks
/// until it is seeded and never gives part of what was asked for.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), EntropyError> {
    getrandom::fill(bytes).map_err(EntropyError)
}

/// A new instance id: `i-` and 8 hexadecimal digits from the operating system's generator.
///
/// It may be taken, see [`InstanceId::from_entropy`].
///
/// # Errors
/// [`EntropyError`] if the operating system gives no entropy.
///
/// # Examples
/// ```
/// let id = mvm_core::naming::generate_instance_id()?;
/// assert!(id.starts_with("i-") && id.len() == 10);
/// # Ok::<(), mvm_core::naming::EntropyError>(())
/// ```
pub fn generate_instance_id() -> Result<InstanceId, EntropyError> {
    let mut entropy = [0; 4];
    fill(&mut entropy)?;
    Ok(InstanceId::from_entropy(entropy))
}
