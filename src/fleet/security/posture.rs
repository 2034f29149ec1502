//! How well a node is protected.

use alloc::string::String;
use alloc::vec::Vec;

use crate::fleet::document::{document, names};
use crate::fleet::text::Finite;
use crate::time::Timestamp;

names! {
    /// A layer of protection.
    pub enum SecurityLayer {
        /// Each Firecracker process in a jail.
        JailerIsolation = "JailerIsolation",
        /// Limits of processor and memory by control groups.
        CgroupLimits = "CgroupLimits",
        /// A filter of system calls.
        SeccompFilter = "SeccompFilter",
        /// Networks of tenants that do not reach each other.
        NetworkIsolation = "NetworkIsolation",
        /// Host and guest authenticate each other.
        VsockAuth = "VsockAuth",
        /// Disks are encrypted.
        EncryptionAtRest = "EncryptionAtRest",
        /// Connections are encrypted.
        EncryptionInTransit = "EncryptionInTransit",
        /// What happens is written to an audit log.
        AuditLogging = "AuditLogging",
        /// Secrets are kept apart and replaced.
        SecretManagement = "SecretManagement",
        /// Configuration does not change while an instance runs.
        ConfigImmutability = "ConfigImmutability",
        /// The guest itself is hardened.
        GuestHardening = "GuestHardening",
        /// Images come from where they should.
        SupplyChainIntegrity = "SupplyChainIntegrity",
    }
}

impl SecurityLayer {
    /// All layers, in the order in which they are checked: [`ALL`](Self::ALL) under 0.13.0's name.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        Self::ALL
    }
}

document! {
    /// What was found of one layer.
    #[derive(Eq)]
    pub struct PostureCheck {
        /// The layer.
        layer: SecurityLayer,
        /// What was checked, for people.
        name: String,
        /// Whether it is as it should be.
        passed: bool,
        /// What was seen, for people.
        detail: String,
    }
}

document! {
    /// What was found of a node.
    pub struct PostureReport {
        /// The checks.
        checks: Vec<PostureCheck>,
        /// How many of them passed, in percent. It is what the report says: [`new`](Self::new) computes it, and
        /// [`computed_score`](Self::computed_score) says what it should be.
        score: Finite,
        /// When they were made.
        timestamp: Timestamp,
    }
}

impl PostureReport {
    /// A report of these checks, made at `now`, with their [score](Self::computed_score).
    ///
    /// ```
    /// use mvm_core::security::{PostureCheck, PostureReport, SecurityLayer};
    ///
    /// let check = |layer, passed| PostureCheck {
    ///     layer,
    ///     name: "a check".into(),
    ///     passed,
    ///     detail: String::new(),
    /// };
    /// let now = "2026-02-25T12:00:00Z".parse()?;
    /// let checks = vec![
    ///     check(SecurityLayer::VsockAuth, true),
    ///     check(SecurityLayer::CgroupLimits, false),
    /// ];
    /// assert_eq!(PostureReport::new(checks, now).score.get(), 50.0);
    /// // Nothing was shown to be in place.
    /// assert_eq!(PostureReport::new(vec![], now).score.get(), 0.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new(checks: Vec<PostureCheck>, now: Timestamp) -> Self {
        let mut report = Self {
            checks,
            score: Finite::default(),
            timestamp: now,
        };
        report.score = report.computed_score();
        report
    }

    /// How many of the checks passed, in percent, from 0 to 100. Without checks it is 0: nothing was shown to be in
    /// place.
    #[must_use]
    pub fn computed_score(&self) -> Finite {
        // Counted in 32 bits, which a float holds exactly; no report has more checks.
        let count = |passed: bool| {
            let checks = self.checks.iter().filter(|check| check.passed == passed);
            f64::from(u32::try_from(checks.count()).unwrap_or(u32::MAX))
        };
        let (passed, failed) = (count(true), count(false));
        // Not a number for no checks at all.
        Finite::new(100.0 * passed / (passed + failed)).unwrap_or_default()
    }
}
