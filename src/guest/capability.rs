//! What both sides can do, and who is behind where they cannot.

use serde::{Deserialize, Serialize};

use crate::session::Side;

/// What a side can do: the `capabilities` of both hellos of a [session](crate::session).
///
/// A bit that this version has no name for is kept: a side passes on what it was told, and only
/// the intersection counts. [`Ping`](super::Ping) needs no capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(transparent)]
pub struct Capabilities(u32);

impl Capabilities {
    /// Nothing: a side that only answers [`Ping`](super::Ping).
    pub const NONE: Self = Self(0);
    /// Bit 0: reports its readiness ([`Call::Status`](super::Call::Status)).
    pub const STATUS: Self = Self(1);
    /// Bit 1: flushes and ends its sessions before a snapshot ([`SleepPrep`](super::SleepPrep)).
    pub const SLEEP_PREP: Self = Self(1 << 1);
    /// Bit 2: gives up its binding before a snapshot that will be cloned.
    pub const UNBIND: Self = Self(1 << 2);
    /// Bit 3: sets clock and entropy after a restore ([`Wake`](super::Wake)).
    pub const WAKE: Self = Self(1 << 3);
    /// Bit 4: takes a new identity in a wake.
    pub const IDENTITY: Self = Self(1 << 4);
    /// Bit 5: takes new network settings in a wake.
    pub const NETWORK: Self = Self(1 << 5);
    /// Bit 6: takes a new guest key in a wake.
    pub const REKEY: Self = Self(1 << 6);
    /// Bit 7: shuts itself down ([`Shutdown`](super::Shutdown)).
    pub const SHUTDOWN: Self = Self(1 << 7);
    /// Bit 8: understands messages of its fleet ([`Extension`](super::Extension)).
    pub const EXTENSION: Self = Self(1 << 8);
    /// Every capability this version has a name for.
    pub const KNOWN: Self = Self((1 << 9) - 1);

    /// From the bits of a hello, unknown ones included.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits for a hello.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both sides can do.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in `self` without what is in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What `needed` has and `self` lacks.
    ///
    /// ```
    /// use mvm_core::guest::Capabilities;
    ///
    /// let common = Capabilities::STATUS.union(Capabilities::WAKE);
    /// let needed = Capabilities::WAKE.union(Capabilities::REKEY);
    /// assert_eq!(common.missing(needed), Capabilities::REKEY);
    /// ```
    #[must_use]
    pub const fn missing(self, needed: Self) -> Self {
        needed.difference(self)
    }

    /// Whether nothing of `needed` is missing.
    #[must_use]
    pub const fn contains(self, needed: Self) -> bool {
        self.missing(needed).is_empty()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Something was asked for that the two sides have not agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("capabilities {:#x} were not negotiated: upgrade the {upgrade}", .missing.bits())]
#[non_exhaustive]
pub struct NotNegotiated {
    /// What is missing on that side.
    pub missing: Capabilities,
    /// The side that lacks it.
    pub upgrade: Side,
}
impl_error!(NotNegotiated);

/// The outcome of a handshake, as one side knows it: what it offered and what both have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Negotiated {
    own: Side,
    offered: Capabilities,
    common: Capabilities,
}

impl Negotiated {
    /// On the host: what it offered, and what the session says both sides have.
    #[must_use]
    pub const fn host(offered: Capabilities, common: Capabilities) -> Self {
        Self::new(Side::Host, offered, common)
    }

    /// On the guest: what it offered, and what the session says both sides have.
    #[must_use]
    pub const fn guest(offered: Capabilities, common: Capabilities) -> Self {
        Self::new(Side::Guest, offered, common)
    }

    const fn new(own: Side, offered: Capabilities, common: Capabilities) -> Self {
        // Nothing is common that was not offered.
        let common = common.intersection(offered);
        Self {
            own,
            offered,
            common,
        }
    }

    /// What both sides can do.
    #[must_use]
    pub const fn common(self) -> Capabilities {
        self.common
    }

    /// Whether all of `needed` was agreed on.
    ///
    /// # Errors
    ///
    /// What is missing, and the side that lacks it; what this side lacks itself is named first.
    ///
    /// ```
    /// use mvm_core::guest::{Capabilities, Negotiated, Side};
    ///
    /// // A new host and a guest that was built before there was a new key in a wake.
    /// let negotiated = Negotiated::host(Capabilities::KNOWN, Capabilities::WAKE);
    /// let error = negotiated.require(Capabilities::REKEY).unwrap_err();
    /// assert_eq!(error.upgrade, Side::Guest);
    /// ```
    pub const fn require(self, needed: Capabilities) -> Result<(), NotNegotiated> {
        let own = self.offered.missing(needed);
        let missing = self.common.missing(needed);
        if missing.is_empty() {
            return Ok(());
        }
        if !own.is_empty() {
            return Err(NotNegotiated {
                missing: own,
                upgrade: self.own,
            });
        }
        let upgrade = match self.own {
            Side::Host => Side::Guest,
            Side::Guest => Side::Host,
        };
        Err(NotNegotiated { missing, upgrade })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_distinct_bits_and_known_is_all_of_them() {
        let named = [
            Capabilities::STATUS,
            Capabilities::SLEEP_PREP,
            Capabilities::UNBIND,
            Capabilities::WAKE,
            Capabilities::IDENTITY,
            Capabilities::NETWORK,
            Capabilities::REKEY,
            Capabilities::SHUTDOWN,
            Capabilities::EXTENSION,
        ];
        let mut all = Capabilities::NONE;
        for one in named {
            assert_eq!(one.bits().count_ones(), 1);
            assert!(all.intersection(one).is_empty());
            all = all.union(one);
        }
        assert_eq!(all, Capabilities::KNOWN);
    }

    #[test]
    fn unknown_bits_survive() {
        let newer = Capabilities::from_bits(0x8000_0001);
        assert_eq!(newer.bits(), 0x8000_0001);
        assert_eq!(newer.intersection(Capabilities::from_bits(u32::MAX)), newer);
        assert_eq!(
            newer.intersection(Capabilities::KNOWN),
            Capabilities::STATUS
        );
    }

    #[test]
    fn the_side_that_lacks_something_is_named() {
        let (wake, rekey) = (Capabilities::WAKE, Capabilities::REKEY);
        let both = wake.union(rekey);
        // (negotiated, needed, missing, who)
        let cases = [
            (Negotiated::host(both, wake), rekey, rekey, Side::Guest),
            (Negotiated::guest(both, wake), rekey, rekey, Side::Host),
            (Negotiated::host(wake, wake), rekey, rekey, Side::Host),
            (Negotiated::guest(wake, wake), both, rekey, Side::Guest),
            (
                Negotiated::host(wake, Capabilities::NONE),
                both,
                rekey,
                Side::Host,
            ),
            (
                Negotiated::guest(both, Capabilities::NONE),
                both,
                both,
                Side::Host,
            ),
            // A peer cannot grant what was not offered.
            (Negotiated::host(wake, both), rekey, rekey, Side::Host),
        ];
        for (negotiated, needed, missing, upgrade) in cases {
            assert_eq!(
                negotiated.require(needed),
                Err(NotNegotiated { missing, upgrade })
            );
        }
        assert_eq!(Negotiated::host(both, both).require(both), Ok(()));
        assert_eq!(
            Negotiated::host(wake, both).require(Capabilities::NONE),
            Ok(())
        );
    }
}
