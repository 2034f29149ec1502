//! What the file says.

use alloc::string::String;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::key::{Key, Setting};
use super::text::{self, TomlError};

/// The values of `config.toml`, see the page of the [module](crate::user_config). Arguments of a
/// command come before them.
///
/// Its serde form is the file's: keys that are missing have their defaults, others are ignored.
// Exhaustive, as 0.13.0's: programs build it.
#[allow(clippy::exhaustive_structs)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MvmConfig {
    /// CPUs of the Lima VM, at least 1. Default 8.
    #[serde(deserialize_with = "count")]
    pub lima_cpus: u32,
    /// Memory of the Lima VM in GiB, at least 1. Default 16.
    #[serde(deserialize_with = "count")]
    pub lima_mem_gib: u32,
    /// CPUs of a microVM for which none are asked, at least 1. Default 2.
    #[serde(deserialize_with = "count")]
    pub default_cpus: u32,
    /// Memory of a microVM for which none is asked, in MiB, at least 1. Default 512.
    #[serde(deserialize_with = "count")]
    pub default_memory_mib: u32,
    /// `human` or `json`; `None` is `human`. Other texts are kept.
    pub log_format: Option<String>,
    /// TCP port of the metrics; `None` for no endpoint.
    #[serde(deserialize_with = "port")]
    pub metrics_port: Option<u16>,
    /// Where a remote image catalog is; `None` for the bundled one only.
    pub catalog_url: Option<String>,
}

impl Default for MvmConfig {
    fn default() -> Self {
        Self {
            lima_cpus: 8,
            lima_mem_gib: 16,
            default_cpus: 2,
            default_memory_mib: 512,
            log_format: None,
            metrics_port: None,
            catalog_url: None,
        }
    }
}

impl MvmConfig {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`TomlError`] with the place of the first problem.
    pub fn from_toml(text: &str) -> Result<Self, TomlError> {
        text::parse(text).map(|parsed| parsed.config)
    }

    /// The text of a new file: every key that has a value, in the order of the fields.
    ///
    /// ```
    /// use mvm_core::user_config::MvmConfig;
    /// assert_eq!(
    ///     MvmConfig::default().to_toml(),
    ///     "lima_cpus = 8\nlima_mem_gib = 16\ndefault_cpus = 2\ndefault_memory_mib = 512\n",
    /// );
    /// ```
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for key in Key::ALL {
            if let Some(value) = self.setting(key).to_toml() {
                text.push_str(&text::line(key, &value));
                text.push('\n');
            }
        }
        text
    }

    /// The value of a key.
    pub(super) fn setting(&self, key: Key) -> Setting {
        match key {
            Key::LimaCpus => Setting::Count(self.lima_cpus),
            Key::LimaMemGib => Setting::Count(self.lima_mem_gib),
            Key::DefaultCpus => Setting::Count(self.default_cpus),
            Key::DefaultMemoryMib => Setting::Count(self.default_memory_mib),
            Key::LogFormat => Setting::Text(self.log_format.clone()),
            Key::MetricsPort => Setting::Port(self.metrics_port.filter(|port| *port != 0)),
            Key::CatalogUrl => Setting::Text(self.catalog_url.clone()),
        }
    }

    /// Sets a key. A setting of another kind than the key's changes nothing; there is no way to one.
    pub(super) fn put(&mut self, key: Key, setting: Setting) {
        match (key, setting) {
            (Key::LimaCpus, Setting::Count(count)) => self.lima_cpus = count,
            (Key::LimaMemGib, Setting::Count(count)) => self.lima_mem_gib = count,
            (Key::DefaultCpus, Setting::Count(count)) => self.default_cpus = count,
            (Key::DefaultMemoryMib, Setting::Count(count)) => self.default_memory_mib = count,
            (Key::LogFormat, Setting::Text(text)) => self.log_format = text,
            (Key::MetricsPort, Setting::Port(port)) => self.metrics_port = port,
            (Key::CatalogUrl, Setting::Text(text)) => self.catalog_url = text,
            _ => {}
        }
    }
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(de::Error::invalid_value(
            de::Unexpected::Unsigned(0),
            &"a whole number from 1 to 4294967295",
        )),
        count => Ok(count),
    }
}

fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    Ok(Option::<u16>::deserialize(deserializer)?.filter(|port| *port != 0))
}
