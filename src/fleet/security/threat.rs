//! What a classifier found in what a guest said or was told.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::fleet::document::{At, Field, Problems, Text, document, names};

names! {
    /// What kind of threat a finding is.
    pub enum ThreatCategory {
        /// A credential or another secret can be seen.
        SecretExposure = "SecretExposure",
        /// Data goes to somebody outside.
        DataExfiltration = "DataExfiltration",
        /// Commands or code are smuggled in.
        Injection = "Injection",
        /// Data or systems are destroyed.
        Destructive = "Destructive",
        /// Somebody gets more rights than they should have.
        PrivilegeEscalation = "PrivilegeEscalation",
        /// Software from a source that is not trusted.
        SupplyChain = "SupplyChain",
        /// Files of the system that are not for everybody.
        SensitiveFileAccess = "SensitiveFileAccess",
        /// The system's configuration is changed.
        SystemModification = "SystemModification",
        /// Ports are scanned, shells opened backwards.
        NetworkAbuse = "NetworkAbuse",
        /// A tool or the virtual machine's boundary is attacked.
        ToolPoisoning = "ToolPoisoning",
    }
}

names! {
    /// How bad a finding is, in ascending order.
    pub enum Severity {
        /// Worth knowing.
        Info = "Info",
        /// Not bad.
        Low = "Low",
        /// Bad if it comes together with others.
        Medium = "Medium",
        /// Bad.
        High = "High",
        /// Somebody must act at once.
        Critical = "Critical",
    }
}

document! {
    /// One finding.
    #[derive(Eq)]
    pub struct ThreatFinding {
        /// What kind of threat it is.
        category: ThreatCategory,
        /// Which pattern matched: `aws_access_key`, `rm_rf_root`, …
        pattern_id: String,
        /// How bad it is.
        severity: Severity,
        /// What matched, or a part of it.
        matched_text: MatchedText,
        /// What else there is to know, for people: often the text around what matched.
        context: MatchedText,
    }
}

/// The text that a finding matched, or what is around it. It may be the very secret that should not be seen, so `Debug` shows its length
/// only; it is written to JSON as it is.
///
/// ```
/// use mvm_core::security::MatchedText;
///
/// let text = MatchedText::from("AKIAEXAMPLE");
/// assert_eq!(format!("{text:?}"), "MatchedText(11 bytes)");
/// assert_eq!(text.secret_str(), "AKIAEXAMPLE");
/// ```
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct MatchedText(String);

impl MatchedText {
    /// The text. It may be a secret.
    #[must_use]
    pub fn secret_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for MatchedText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for MatchedText {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for MatchedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MatchedText({} bytes)", self.0.len())
    }
}

impl Field for MatchedText {
    type Raw<'a> = Text<'a>;

    fn read(raw: Text<'_>, _: &At<'_>, _: &mut Problems) -> Option<Self> {
        Some(Self(raw.0.into_owned()))
    }

    fn raw(&self) -> Text<'_> {
        Text::from(self.secret_str())
    }
}

impl<'de> Deserialize<'de> for MatchedText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::fleet::document::deserialize(deserializer, "MatchedText")
    }
}
