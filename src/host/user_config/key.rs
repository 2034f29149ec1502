//! The keys, and how a value is read from an argument of a command.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use thiserror_no_std::Error;

use super::values::MvmConfig;

/// A key of `config.toml` that this crate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Key {
    /// `lima_cpus`
    LimaCpus,
    /// `lima_mem_gib`
    LimaMemGib,
    /// `default_cpus`
    DefaultCpus,
    /// `default_memory_mib`
    DefaultMemoryMib,
    /// `log_format`
    LogFormat,
    /// `metrics_port`
    MetricsPort,
    /// `catalog_url`
    CatalogUrl,
}

impl Key {
    /// All of them, in the order in which a new file has them.
    pub const ALL: [Self; 7] = [
        Self::LimaCpus,
        Self::LimaMemGib,
        Self::DefaultCpus,
        Self::DefaultMemoryMib,
        Self::LogFormat,
        Self::MetricsPort,
        Self::CatalogUrl,
    ];

    /// Its name in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LimaCpus => "lima_cpus",
            Self::LimaMemGib => "lima_mem_gib",
            Self::DefaultCpus => "default_cpus",
            Self::DefaultMemoryMib => "default_memory_mib",
            Self::LogFormat => "log_format",
            Self::MetricsPort => "metrics_port",
            Self::CatalogUrl => "catalog_url",
        }
    }

    /// What its value must be.
    #[must_use]
    pub const fn wanted(self) -> &'static str {
        match self.kind() {
            Kind::Count => "a whole number from 1 to 4294967295",
            Kind::Port => "a port from 0 (none) to 65535",
            Kind::Text => "a string",
        }
    }

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::LimaCpus | Self::LimaMemGib | Self::DefaultCpus | Self::DefaultMemoryMib => {
                Kind::Count
            }
            Self::MetricsPort => Kind::Port,
            Self::LogFormat | Self::CatalogUrl => Kind::Text,
        }
    }

    /// Reads the argument of a command.
    pub(super) fn setting(self, value: &str) -> Result<Setting, SetError> {
        let none = value.is_empty() || value == "none";
        let read = match self.kind() {
            Kind::Text => Some(Setting::Text((!none).then(|| value.to_owned()))),
            Kind::Port if none => Some(Setting::Port(None)),
            Kind::Port => value
                .parse()
                .ok()
                .map(|port: u16| Setting::Port((port != 0).then_some(port))),
            Kind::Count => value
                .parse()
                .ok()
                .filter(|count| *count != 0)
                .map(Setting::Count),
        };
        read.ok_or_else(|| SetError::Value {
            key: self,
            value: value.to_owned(),
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Key {
    type Err = UnknownKey;

    fn from_str(name: &str) -> Result<Self, UnknownKey> {
        Self::ALL
            .into_iter()
            .find(|key| key.as_str() == name)
            .ok_or_else(|| UnknownKey {
                name: name.to_owned(),
            })
    }
}

/// What kind of value a key has.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Count,
    Port,
    Text,
}

/// A value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Setting {
    Count(u32),
    Port(Option<u16>),
    Text(Option<String>),
}

impl Setting {
    /// As it stands in the file; `None` where there is nothing to write.
    pub(super) fn to_toml(&self) -> Option<String> {
        match self {
            Self::Count(count) => Some(count.to_string()),
            Self::Port(port) => port.map(|port| port.to_string()),
            Self::Text(text) => text
                .as_deref()
                .map(|text| toml_edit::Value::from(text).to_string()),
        }
    }
}

/// No key of `config.toml` has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub struct UnknownKey {
    /// The name.
    pub name: String,
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no key; there are", self.name)?;
        for (index, key) in Key::ALL.into_iter().enumerate() {
            let separator = if index == 0 { " " } else { ", " };
            write!(f, "{separator}{key}")?;
        }
        Ok(())
    }
}

impl_error!(UnknownKey);

/// Why a key was not set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SetError {
    /// There is no such key.
    #[error("{0}")]
    Key(UnknownKey),
    /// The key has no such value.
    #[error("{key}: {} is wanted, not {value:?}", .key.wanted())]
    Value {
        /// The key.
        key: Key,
        /// The value that was given.
        value: String,
    },
}

impl_error!(SetError);

impl From<UnknownKey> for SetError {
    fn from(error: UnknownKey) -> Self {
        Self::Key(error)
    }
}

/// Sets one key from text, as an argument of a command gives it: for texts and the port, an empty
/// value and `none` are no value, and so is port `0`.
///
/// # Errors
/// [`SetError`]; then nothing has changed.
///
/// ```
/// use mvm_core::user_config::{MvmConfig, set_key};
///
/// let mut config = MvmConfig::default();
/// set_key(&mut config, "metrics_port", "9090")?;
/// assert_eq!(config.metrics_port, Some(9090));
/// set_key(&mut config, "metrics_port", "none")?;
/// assert_eq!(config.metrics_port, None);
///
/// let error = set_key(&mut config, "lima_cpus", "0").unwrap_err();
/// assert_eq!(error.to_string(), "lima_cpus: a whole number from 1 to 4294967295 is wanted, not \"0\"");
/// # Ok::<(), mvm_core::user_config::SetError>(())
/// ```
pub fn set_key(config: &mut MvmConfig, key: &str, value: &str) -> Result<(), SetError> {
    let key: Key = key.parse()?;
    config.put(key, key.setting(value)?);
    Ok(())
}
