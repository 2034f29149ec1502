//! Which integration of a pool sees which secrets.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror_no_std::Error;

use crate::fleet::document::{self, At, Field, Problems, document};

document! {
    /// The secrets that one integration sees.
    ///
    /// Rules: the integration and each key are names of files: not empty, `.` or `..`, without `/` and control
    /// characters.
    #[derive(Eq)]
    pub struct SecretScope rules(super::rules::scope) {
        /// The integration, `whatsapp` or `telegram`. Its secrets are in a directory of this name.
        integration: String,
        /// Which secrets.
        keys: SecretKeys,
    }
}

/// Which secrets an integration sees. In JSON a list of names, and an empty list is *all*: 0.13.0 has
/// it so. Here no list is empty, so nobody gets all secrets by accident.
///
/// ```
/// use mvm_core::pool::{SecretKeyNames, SecretKeys};
///
/// let all: SecretKeys = serde_json::from_str("[]")?;
/// assert_eq!(all, SecretKeys::All);
///
/// let names = SecretKeyNames::new(vec!["OPENAI_API_KEY".into()])?;
/// assert_eq!(serde_json::to_string(&SecretKeys::Only(names))?, r#"["OPENAI_API_KEY"]"#);
/// assert!(SecretKeyNames::new(vec![]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
// Closed: a list in JSON, and there is no third kind of it.
#[allow(clippy::exhaustive_enums)]
pub enum SecretKeys {
    /// All of the tenant's.
    All,
    /// Those of these names.
    Only(SecretKeyNames),
}

impl SecretKeys {
    /// Whether the secret of this name is seen.
    ///
    /// ```
    /// use mvm_core::pool::{SecretKeyNames, SecretKeys};
    ///
    /// let keys = SecretKeys::Only(SecretKeyNames::new(vec!["GITHUB_TOKEN".into()])?);
    /// assert!(keys.include("GITHUB_TOKEN") && !keys.include("OPENAI_API_KEY"));
    /// assert!(SecretKeys::All.include("OPENAI_API_KEY"));
    /// # Ok::<(), mvm_core::pool::NoKeys>(())
    /// ```
    #[must_use]
    pub fn include(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.get().iter().any(|key| key == name),
        }
    }

    fn as_list(&self) -> &[String] {
        match self {
            Self::All => &[],
            Self::Only(names) => names.get(),
        }
    }
}

/// Names of secrets, one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretKeyNames(Vec<String>);

impl SecretKeyNames {
    /// Names of secrets, in the order in which they are written.
    ///
    /// # Errors
    /// [`NoKeys`] where there are none.
    pub fn new(names: Vec<String>) -> Result<Self, NoKeys> {
        if names.is_empty() {
            return Err(NoKeys);
        }
        Ok(Self(names))
    }

    /// The names.
    #[must_use]
    pub fn get(&self) -> &[String] {
        &self.0
    }
}

/// A list of names is empty, which would be all secrets in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no keys: an empty list would be all of them")]
#[non_exhaustive]
pub struct NoKeys;

impl_error!(NoKeys);

impl Field for SecretKeys {
    type Raw<'a> = <Vec<String> as Field>::Raw<'a>;

    fn read(raw: Self::Raw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let names = <Vec<String> as Field>::read(raw, at, problems)?;
        Some(SecretKeyNames::new(names).map_or(Self::All, Self::Only))
    }

    fn raw(&self) -> Self::Raw<'_> {
        self.as_list().iter().map(Field::raw).collect()
    }
}

impl Serialize for SecretKeys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_list().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SecretKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::deserialize(deserializer, "SecretKeys")
    }
}
