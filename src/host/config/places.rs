//! What 0.13.0 keeps in a user's directories.

use std::path::PathBuf;

use super::{Directory, DirectoryError, Settings, Variables};

impl<V: Variables> Settings<V> {
    /// Where a user's templates are: `templates` in the data directory.
    ///
    /// # Errors
    /// As [`directory`](Self::directory).
    pub fn templates_base_dir(&self) -> Result<PathBuf, DirectoryError> {
        Ok(self.directory(Directory::Data)?.join("templates"))
    }

    /// Where a user's development networks are: `networks` in the share directory.
    ///
    /// # Errors
    /// As [`directory`](Self::directory).
    pub fn networks_dir(&self) -> Result<PathBuf, DirectoryError> {
        Ok(self.directory(Directory::Share)?.join("networks"))
    }
}

/// Where the user's templates are, by the environment of the process.
///
/// # Errors
/// As [`Settings::templates_base_dir`].
pub fn templates_base_dir() -> Result<PathBuf, DirectoryError> {
    Settings::of_process().templates_base_dir()
}

/// Where the user's development networks are, by the environment of the process.
///
/// # Errors
/// As [`Settings::networks_dir`].
pub fn networks_dir() -> Result<PathBuf, DirectoryError> {
    Settings::of_process().networks_dir()
}
