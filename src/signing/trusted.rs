//! Whose documents are believed, and when.

use core::ops::Deref;

use thiserror_no_std::Error;

use crate::naming::SignerId;
use crate::time::Timestamp;

use super::DocumentPublicKey;

/// A signer's key and the time in which it counts. During a rotation a signer has two.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TrustedKey {
    signer_id: SignerId,
    key: DocumentPublicKey,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

impl TrustedKey {
    /// A key that counts at any time.
    #[must_use]
    pub const fn new(signer_id: SignerId, key: DocumentPublicKey) -> Self {
        Self {
            signer_id,
            key,
            not_before: None,
            not_after: None,
        }
    }

    /// The same key, counting from `not_before` to `not_after`, both included. `None` leaves that
    /// end open.
    ///
    /// # Errors
    /// [`TrustError::EmptyWindow`] when the window ends before it begins.
    pub fn between(
        mut self,
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
    ) -> Result<Self, TrustError> {
        if let (Some(from), Some(to)) = (not_before, not_after)
            && to < from
        {
            return Err(TrustError::EmptyWindow);
        }
        self.not_before = not_before;
        self.not_after = not_after;
        Ok(self)
    }

    /// Who signs with this key.
    #[must_use]
    pub const fn signer_id(&self) -> &SignerId {
        &self.signer_id
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &DocumentPublicKey {
        &self.key
    }

    /// The first and the last instant at which the key counts; `None` is an open end.
    #[must_use]
    pub const fn window(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        (self.not_before, self.not_after)
    }
}

/// Why a set of trusted keys was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TrustError {
    /// All places are taken.
    #[error("all {capacity} places for trusted keys are taken")]
    Full {
        /// How many keys fit.
        capacity: usize,
    },
    /// The signer already has this key.
    #[error("the signer already has this key")]
    Duplicate,
    /// The window ends before it begins.
    #[error("the key's validity ends before it begins")]
    EmptyWindow,
}

impl_error!(TrustError);

/// At most `N` trusted keys. Dereferences to the keys as a slice, which is what
/// [`SignedPayload::verify`](super::SignedPayload::verify) takes.
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TrustedKeys<const N: usize> {
    keys: heapless::Vec<TrustedKey, N>,
}

impl<const N: usize> TrustedKeys<N> {
    /// Trusts nobody yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            keys: heapless::Vec::new(),
        }
    }

    /// Adds a key. The set is unchanged on error.
    ///
    /// # Errors
    /// [`TrustError::Duplicate`] when the signer has this key already (remove it to change its
    /// window), [`TrustError::Full`].
    pub fn insert(&mut self, key: TrustedKey) -> Result<(), TrustError> {
        if self
            .keys
            .iter()
            .any(|old| old.signer_id == key.signer_id && old.key == key.key)
        {
            return Err(TrustError::Duplicate);
        }
        self.keys
            .push(key)
            .map_err(|_| TrustError::Full { capacity: N })
    }

    /// Removes a signer's key, or every key of the signer where `key` is `None`; how many went.
    pub fn remove(&mut self, signer_id: &SignerId, key: Option<&DocumentPublicKey>) -> usize {
        let before = self.keys.len();
        self.keys
            .retain(|old| old.signer_id != *signer_id || key.is_some_and(|key| old.key != *key));
        before.saturating_sub(self.keys.len())
    }
}

impl<const N: usize> Deref for TrustedKeys<N> {
    type Target = [TrustedKey];

    fn deref(&self) -> &[TrustedKey] {
        &self.keys
    }
}
