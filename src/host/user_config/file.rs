//! The file itself.

use alloc::string::String;
use core::time::Duration;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror_no_std::Error;

use super::key::{Key, SetError, Setting};
use super::lock::Lock;
use super::text::{self, Parsed, TomlError};
use super::values::MvmConfig;
use crate::host::atomic::{self, WriteError};
use crate::host::config::{Directory, DirectoryError, Settings, Variables};

/// The name of the file.
const NAME: &str = "config.toml";
/// The mode of a file that is created, less the umask.
const MODE: u32 = 0o644;
/// The largest file that is read, in bytes: some hundred times what anybody writes.
const MAX_LEN: u64 = 1 << 20;
/// How long to wait for another program that is saving.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the user's file was not read or not written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UserConfigError {
    /// It is not known where the file is.
    #[error("{0}")]
    Directory(DirectoryError),
    /// The file cannot be read.
    #[error("{}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// The file is larger than 1 MiB.
    #[error("{}: a config file has at most {MAX_LEN} bytes", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file is not UTF-8.
    #[error("{}: byte {offset} is not UTF-8", .path.display())]
    NotUnicode {
        /// The file.
        path: PathBuf,
        /// Where the first byte that does not fit is, from 0.
        offset: usize,
    },
    /// The file is no TOML, or a key has a wrong value.
    #[error("{}: {error}", .path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        error: TomlError,
    },
    /// The key cannot be set to that.
    #[error("{0}")]
    Set(SetError),
    /// The value cannot be put into the text of the file without a change to the rest of it.
    #[error("{}: {key} cannot be edited as the file is", .path.display())]
    Uneditable {
        /// The file.
        path: PathBuf,
        /// The key.
        key: Key,
    },
    /// The directory cannot be created.
    #[error("{}: {error}", .path.display())]
    CreateDirectory {
        /// The directory.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// Another program keeps the directory locked.
    #[error("{}: not locked: {error}", .path.display())]
    Lock {
        /// The directory.
        path: PathBuf,
        /// The operating system's error; `TimedOut` after five seconds.
        error: io::Error,
    },
    /// The file has changed since it was read, and was left as it is.
    #[error("{}: the file has changed since it was read", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be replaced.
    #[error("{0}")]
    Write(WriteError),
}

impl_error!(UserConfigError);

impl From<DirectoryError> for UserConfigError {
    fn from(error: DirectoryError) -> Self {
        Self::Directory(error)
    }
}

impl From<SetError> for UserConfigError {
    fn from(error: SetError) -> Self {
        Self::Set(error)
    }
}

impl From<WriteError> for UserConfigError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

/// A `config.toml` that was read, with the edits since.
///
/// See the example of the [module](crate::user_config).
pub struct ConfigFile {
    path: PathBuf,
    /// What was in the file, `None` where there was none.
    original: Option<String>,
    text: String,
    parsed: Parsed,
}

impl core::fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ConfigFile")
            .field("path", &self.path)
            .field("exists", &self.exists())
            .field("text", &self.text)
            .finish()
    }
}

impl ConfigFile {
    /// Reads a file. One that does not exist has the defaults, and is not created before
    /// [`save`](Self::save).
    ///
    /// # Errors
    /// [`UserConfigError`] if it cannot be read, or if its content is wrong.
    pub fn read(path: impl Into<PathBuf>) -> Result<Self, UserConfigError> {
        let path = path.into();
        let original = content(&path)?;
        let text = match &original {
            Some(text) => text.clone(),
            None => MvmConfig::default().to_toml(),
        };
        match text::parse(&text) {
            Ok(parsed) => Ok(Self {
                path,
                original,
                text,
                parsed,
            }),
            Err(error) => Err(UserConfigError::Toml { path, error }),
        }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there was a file when it was read or last saved.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.original.is_some()
    }

    /// The values, with the edits.
    #[must_use]
    pub const fn config(&self) -> &MvmConfig {
        &self.parsed.config
    }

    /// The text, with the edits: what [`save`](Self::save) writes.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Sets one key from text, as [`set_key`](super::set_key) does. No value is: no such line.
    ///
    /// # Errors
    /// [`UserConfigError::Set`] if there is no such key or value. Then nothing has changed.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), UserConfigError> {
        let key: Key = key.parse().map_err(SetError::from)?;
        let value = key.setting(value)?;
        self.put(key, &value)
    }

    /// Sets all keys whose values differ from those of `config`.
    ///
    /// # Errors
    /// [`UserConfigError::Set`] if a number is 0 that must not be. Then nothing has changed.
    pub fn set_all(&mut self, config: &MvmConfig) -> Result<(), UserConfigError> {
        let before = (self.text.clone(), self.parsed.config.clone());
        for key in Key::ALL {
            let value = config.setting(key);
            if value == before.1.setting(key) {
                continue;
            }
            // The one value that a `MvmConfig` can have and its file cannot.
            let put = if value == Setting::Count(0) {
                key.setting("0").map(drop).map_err(Into::into)
            } else {
                self.put(key, &value)
            };
            if let Err(error) = put {
                self.take(before.0)?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes the file, if it has changed, and its directory where there is none. It is replaced as a
    /// whole or not at all.
    ///
    /// # Errors
    /// [`UserConfigError::Changed`] if it is no longer what was read: read again. Others where the
    /// system refuses. Only after [`WriteStep::SyncingDirectory`](super::WriteStep) the new content is
    /// in place.
    pub fn save(&mut self) -> Result<(), UserConfigError> {
        if self.original.as_ref() == Some(&self.text) {
            return Ok(());
        }
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(directory).map_err(|error| UserConfigError::CreateDirectory {
            path: directory.into(),
            error,
        })?;
        let _lock = Lock::of(directory, PATIENCE).map_err(|error| UserConfigError::Lock {
            path: directory.into(),
            error,
        })?;
        if content(&self.path)? != self.original {
            return Err(UserConfigError::Changed {
                path: self.path.clone(),
            });
        }
        atomic::replace(&self.path, self.text.as_bytes(), MODE)?;
        self.original = Some(self.text.clone());
        Ok(())
    }

    fn put(&mut self, key: Key, value: &Setting) -> Result<(), UserConfigError> {
        if self.parsed.has(key) && self.parsed.config.setting(key) == *value {
            return Ok(());
        }
        let text = text::with(&self.text, &self.parsed, key, value).ok_or_else(|| {
            UserConfigError::Uneditable {
                path: self.path.clone(),
                key,
            }
        })?;
        self.take(text)
    }

    fn take(&mut self, text: String) -> Result<(), UserConfigError> {
        match text::parse(&text) {
            Ok(parsed) => {
                self.text = text;
                self.parsed = parsed;
                Ok(())
            }
            Err(error) => Err(UserConfigError::Toml {
                path: self.path.clone(),
                error,
            }),
        }
    }
}

/// The text of a file, `None` if there is none.
fn content(path: &Path) -> Result<Option<String>, UserConfigError> {
    let failed = |error| UserConfigError::Read {
        path: path.into(),
        error,
    };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = alloc::vec::Vec::new();
    // One byte more than is allowed, to see whether there is more.
    file.take(MAX_LEN.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_LEN) {
        return Err(UserConfigError::TooLong { path: path.into() });
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|error| UserConfigError::NotUnicode {
            path: path.into(),
            offset: error.utf8_error().valid_up_to(),
        })
}

impl<V: Variables> Settings<V> {
    /// Where the user's file is; the order is on the page of the
    /// [module](crate::config#the-users-file).
    ///
    /// # Errors
    /// [`UserConfigError::Directory`] where the config directory is not known, and
    /// [`UserConfigError::Read`] where it cannot be told whether one of the files exists.
    pub fn user_config_path(&self) -> Result<PathBuf, UserConfigError> {
        let path = self.directory(Directory::Config)?.join(NAME);
        if exists(&path)? {
            return Ok(path);
        }
        // Without a home there is no older place.
        if let Ok(home) = self.home(Directory::Config) {
            let older = home.join(".mvm").join(NAME);
            if exists(&older)? {
                return Ok(older);
            }
        }
        Ok(path)
    }
}

/// A link that leads nowhere exists here: the file is where it points, once it is saved.
fn exists(path: &Path) -> Result<bool, UserConfigError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(UserConfigError::Read {
            path: path.into(),
            error,
        }),
    }
}

/// `config.toml` in `directory`, or where the environment of the process says.
///
/// # Errors
/// As [`Settings::user_config_path`].
pub fn config_path(directory: Option<&Path>) -> Result<PathBuf, UserConfigError> {
    match directory {
        Some(directory) => Ok(directory.join(NAME)),
        None => Settings::of_process().user_config_path(),
    }
}

/// The values of the file at [`config_path`]; it is created with the defaults if there is none.
/// [`ConfigFile::read`] does not create it.
///
/// # Errors
/// [`UserConfigError`]. A file that is wrong is an error, and left as it is.
pub fn load(directory: Option<&Path>) -> Result<MvmConfig, UserConfigError> {
    let mut file = ConfigFile::read(config_path(directory)?)?;
    match file.save() {
        // Somebody else has created it in the meantime.
        Err(UserConfigError::Changed { path }) => Ok(ConfigFile::read(path)?.config().clone()),
        saved => saved.map(|()| file.config().clone()),
    }
}

/// Writes `config` into the file at [`config_path`], where only the keys change whose values differ.
///
/// # Errors
/// [`UserConfigError`]. A file that is wrong is an error, and left as it is.
pub fn save(config: &MvmConfig, directory: Option<&Path>) -> Result<(), UserConfigError> {
    let mut file = ConfigFile::read(config_path(directory)?)?;
    file.set_all(config)?;
    file.save()
}
