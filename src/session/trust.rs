//! Whom an endpoint accepts.

use thiserror_no_std::Error;

use crate::limits::{TRUSTED_GUEST_KEYS_MAX, TRUSTED_HOST_KEYS_MAX};
use crate::time::Timestamp;

use super::{GuestPublicKey, HostPublicKey};
use crate::rules::{Rule, on};

/// A host key a guest accepts, and for which generations: a guest has no clock to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct TrustedHost {
    /// The key.
    pub key: HostPublicKey,
    /// The first generation it counts for.
    pub first_generation: u64,
    /// The last generation it counts for.
    pub last_generation: u64,
}

impl TrustedHost {
    /// A key that counts for every generation.
    #[must_use]
    pub const fn new(key: HostPublicKey) -> Self {
        Self {
            key,
            first_generation: 0,
            last_generation: u64::MAX,
        }
    }

    /// The same key, for `first` to `last`, both included.
    #[must_use]
    pub const fn for_generations(mut self, first: u64, last: u64) -> Self {
        self.first_generation = first;
        self.last_generation = last;
        self
    }
}

/// A guest key a host accepts for one instance, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct TrustedGuest {
    /// The key.
    pub key: GuestPublicKey,
    /// The first instant at which it counts; `None` is an open end.
    pub not_before: Option<Timestamp>,
    /// The last instant at which it counts; `None` is an open end.
    pub not_after: Option<Timestamp>,
}

impl TrustedGuest {
    /// A key that counts at any time.
    #[must_use]
    pub const fn new(key: GuestPublicKey) -> Self {
        Self {
            key,
            not_before: None,
            not_after: None,
        }
    }

    /// The same key, between two instants. It then counts only where the
    /// [`Environment`](super::Environment) has a wall clock.
    #[must_use]
    pub const fn between(
        mut self,
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
    ) -> Self {
        self.not_before = not_before;
        self.not_after = not_after;
        self
    }

    fn counts_at(&self, now: Option<Timestamp>) -> bool {
        if self.not_before.is_none() && self.not_after.is_none() {
            return true;
        }
        now.is_some_and(|now| {
            self.not_before.is_none_or(|from| now >= from)
                && self.not_after.is_none_or(|to| now <= to)
        })
    }
}

/// No place for another trusted key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("all {capacity} places for trusted keys are taken")]
pub struct TrustFull {
    /// How many keys fit.
    pub capacity: usize,
}

impl_error!(TrustFull);

/// The host keys a guest was provisioned with. With none, it accepts nobody.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TrustedHosts(heapless::Vec<TrustedHost, TRUSTED_HOST_KEYS_MAX, u8>);

impl TrustedHosts {
    /// Trusts nobody yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// Adds a key; an entry for the same key is replaced.
    ///
    /// # Errors
    /// [`TrustFull`]; nothing has changed then.
    pub fn insert(&mut self, host: TrustedHost) -> Result<(), TrustFull> {
        match self.0.iter_mut().find(|old| old.key == host.key) {
            Some(old) => *old = host,
            None => {
                self.0.push(host).map_err(|_| TrustFull {
                    capacity: TRUSTED_HOST_KEYS_MAX,
                })?;
            }
        }
        Ok(())
    }

    /// Removes a key; whether it was there. Handshakes and sessions with it fail at their next call
    /// and stay dead then. (One that is not called before the same key is added again never
    /// notices.)
    pub fn remove(&mut self, key: &HostPublicKey) -> bool {
        let before = self.0.len();
        self.0.retain(|host| host.key != *key);
        self.0.len() < before
    }

    /// The keys.
    #[must_use]
    pub fn as_slice(&self) -> &[TrustedHost] {
        &self.0
    }

    pub(super) fn trusts(&self, key: &[u8; 32], generation: u64) -> bool {
        !on(Rule::TrustedHost)
            || self.0.iter().any(|host| {
                host.key.as_bytes() == key
                    && (host.first_generation..=host.last_generation).contains(&generation)
            })
    }
}

/// Which guest key a host accepts for an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum GuestTrust {
    /// The keys provisioned for the instance: one, or two while a new one is being installed.
    Keys(TrustedGuests),
    /// No key is known: the first that proves itself is pinned, once and durably.
    FirstUse,
}

/// The guest keys a host accepts for one instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TrustedGuests(heapless::Vec<TrustedGuest, TRUSTED_GUEST_KEYS_MAX, u8>);

impl GuestTrust {
    /// The one key provisioned for the instance.
    #[must_use]
    pub fn pinned(key: GuestPublicKey) -> Self {
        let mut guests = TrustedGuests::default();
        // A set of two has room for one.
        let _ = guests.insert(TrustedGuest::new(key));
        Self::Keys(guests)
    }

    pub(super) fn trusts(&self, key: &[u8; 32], now: Option<Timestamp>) -> bool {
        match self {
            Self::Keys(guests) => guests.0.iter().any(|guest| {
                guest.counts_at(now)
                    && (!on(Rule::GuestKeyOfInstance) || guest.key.as_bytes() == key)
            }),
            Self::FirstUse => false,
        }
    }
}

impl TrustedGuests {
    /// Adds a key; an entry for the same key is replaced.
    ///
    /// # Errors
    /// [`TrustFull`]; nothing has changed then.
    pub fn insert(&mut self, guest: TrustedGuest) -> Result<(), TrustFull> {
        match self.0.iter_mut().find(|old| old.key == guest.key) {
            Some(old) => *old = guest,
            None => {
                self.0.push(guest).map_err(|_| TrustFull {
                    capacity: TRUSTED_GUEST_KEYS_MAX,
                })?;
            }
        }
        Ok(())
    }

    /// Removes a key; whether it was there. Handshakes and sessions with it fail at their next call
    /// and stay dead then. (One that is not called before the same key is added again never
    /// notices.)
    pub fn remove(&mut self, key: &GuestPublicKey) -> bool {
        let before = self.0.len();
        self.0.retain(|guest| guest.key != *key);
        self.0.len() < before
    }

    /// The keys.
    #[must_use]
    pub fn as_slice(&self) -> &[TrustedGuest] {
        &self.0
    }
}
