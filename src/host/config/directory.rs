//! The five directories.

use alloc::string::String;
use core::fmt;
use std::path::{Path, PathBuf};

use thiserror_no_std::Error;

use super::settings::{Settings, Value, Variables};

/// A directory of a user's files. Fleet state is elsewhere, in `/var/lib/mvm`.
// Closed: 0.13.0's five, one function each.
#[allow(clippy::exhaustive_enums)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Directory {
    /// Images, keys and templates of the user's own machines.
    Data,
    /// What can be built or downloaded again.
    Cache,
    /// Where `config.toml` is.
    Config,
    /// Logs.
    State,
    /// Network definitions and registries.
    Share,
}

impl Directory {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Data,
        Self::Cache,
        Self::Config,
        Self::State,
        Self::Share,
    ];

    /// The variable that names the directory itself.
    ///
    /// ```
    /// use mvm_core::config::Directory;
    /// assert_eq!(Directory::Cache.variable(), "MVM_CACHE_DIR");
    /// ```
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Data => "MVM_DATA_DIR",
            Self::Cache => "MVM_CACHE_DIR",
            Self::Config => "MVM_CONFIG_DIR",
            Self::State => "MVM_STATE_DIR",
            Self::Share => "MVM_SHARE_DIR",
        }
    }

    /// The XDG variable that names the directory's parent; the data directory has none.
    #[must_use]
    pub const fn xdg_variable(self) -> Option<&'static str> {
        match self {
            Self::Data => None,
            Self::Cache => Some("XDG_CACHE_HOME"),
            Self::Config => Some("XDG_CONFIG_HOME"),
            Self::State => Some("XDG_STATE_HOME"),
            Self::Share => Some("XDG_DATA_HOME"),
        }
    }

    /// Where it is below `HOME` if no variable names it.
    #[must_use]
    pub const fn below_home(self) -> &'static str {
        match self {
            Self::Data => ".mvm",
            Self::Cache => ".cache/mvm",
            Self::Config => ".config/mvm",
            Self::State => ".local/state/mvm",
            Self::Share => ".local/share/mvm",
        }
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "data",
            Self::Cache => "cache",
            Self::Config => "config",
            Self::State => "state",
            Self::Share => "share",
        })
    }
}

/// Why it is not known where a directory is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// No variable names the directory, and `HOME` is unset or empty.
    #[error("no {directory} directory: neither HOME nor {} is set", .directory.variable())]
    HomeUnset {
        /// Which one.
        directory: Directory,
    },
    /// No variable names the directory, and `HOME` is not UTF-8.
    #[error("no {directory} directory: HOME is not UTF-8, and {} is not set", .directory.variable())]
    HomeNotUnicode {
        /// Which one.
        directory: Directory,
    },
    /// No variable names the directory, and `HOME` is not an absolute path.
    #[error("no {directory} directory: HOME is {home:?}, which is not an absolute path")]
    HomeRelative {
        /// Which one.
        directory: Directory,
        /// The value of `HOME`.
        home: String,
    },
    /// The variable that names the directory itself is not an absolute path.
    #[error("no {directory} directory: {} is {value:?}, which is not an absolute path", .directory.variable())]
    Relative {
        /// Which one.
        directory: Directory,
        /// The value of its variable.
        value: String,
    },
}

impl_error!(DirectoryError);

/// What decided where a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DirectorySource {
    /// Its [own variable](Directory::variable).
    Variable(&'static str),
    /// The [variable](Directory::xdg_variable) that names its parent.
    Xdg(&'static str),
    /// None of them: its place [below `HOME`](Directory::below_home).
    Default,
}

impl fmt::Display for DirectorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) | Self::Xdg(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

impl<V: Variables> Settings<V> {
    /// Where a directory is; the order is on the page of the [module](crate::config). It need not
    /// exist.
    ///
    /// # Errors
    /// [`DirectoryError`] where `HOME` is needed and is no absolute path, and where the directory's
    /// own variable is none.
    pub fn directory(&self, directory: Directory) -> Result<PathBuf, DirectoryError> {
        self.locate(directory).map(|(path, _)| path)
    }

    /// Where a directory is, and what decided it.
    ///
    /// ```
    /// use mvm_core::config::{Directory, DirectorySource, Settings};
    ///
    /// let settings = Settings::new(|name: &str| (name == "HOME").then(|| "/home/op".into()));
    /// # #[cfg(unix)] {
    /// let (path, source) = settings.locate(Directory::Cache)?;
    /// assert_eq!(path, std::path::Path::new("/home/op/.cache/mvm"));
    /// assert_eq!(source, DirectorySource::Default);
    /// # }
    /// # Ok::<(), mvm_core::config::DirectoryError>(())
    /// ```
    ///
    /// # Errors
    /// As [`directory`](Self::directory).
    pub fn locate(
        &self,
        directory: Directory,
    ) -> Result<(PathBuf, DirectorySource), DirectoryError> {
        if let Some(value) = self.text(directory.variable()) {
            let path = PathBuf::from(&value);
            return if path.is_absolute() {
                Ok((path, DirectorySource::Variable(directory.variable())))
            } else {
                Err(DirectoryError::Relative { directory, value })
            };
        }
        if let Some((name, parent)) = directory
            .xdg_variable()
            .and_then(|name| Some((name, PathBuf::from(self.text(name)?))))
            .filter(|(_, parent)| parent.is_absolute())
        {
            return Ok((parent.join("mvm"), DirectorySource::Xdg(name)));
        }
        let home = self.home(directory)?;
        Ok((home.join(directory.below_home()), DirectorySource::Default))
    }

    /// `HOME`, as far as it is of use for a directory.
    pub(in crate::host) fn home(&self, directory: Directory) -> Result<PathBuf, DirectoryError> {
        match self.value("HOME") {
            Value::Unset => Err(DirectoryError::HomeUnset { directory }),
            Value::NotUnicode => Err(DirectoryError::HomeNotUnicode { directory }),
            Value::Text(home) if Path::new(&home).is_absolute() => Ok(PathBuf::from(home)),
            Value::Text(home) => Err(DirectoryError::HomeRelative { directory, home }),
        }
    }
}

/// The data directory, by the environment of the process.
///
/// # Errors
/// As [`Settings::directory`].
pub fn mvm_data_dir() -> Result<PathBuf, DirectoryError> {
    Settings::of_process().directory(Directory::Data)
}

/// The cache directory, by the environment of the process.
///
/// # Errors
/// As [`Settings::directory`].
pub fn mvm_cache_dir() -> Result<PathBuf, DirectoryError> {
    Settings::of_process().directory(Directory::Cache)
}

/// The directory of `config.toml`, by the environment of the process.
///
/// # Errors
/// As [`Settings::directory`].
pub fn mvm_config_dir() -> Result<PathBuf, DirectoryError> {
    Settings::of_process().directory(Directory::Config)
}

/// The directory of logs, by the environment of the process.
///
/// # Errors
/// As [`Settings::directory`].
pub fn mvm_state_dir() -> Result<PathBuf, DirectoryError> {
    Settings::of_process().directory(Directory::State)
}

/// The directory of network definitions and registries, by the environment of the process.
///
/// # Errors
/// As [`Settings::directory`].
pub fn mvm_share_dir() -> Result<PathBuf, DirectoryError> {
    Settings::of_process().directory(Directory::Share)
}
