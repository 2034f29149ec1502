//! Where the log of a single host is.

use alloc::string::String;
use std::io;
use std::path::PathBuf;

use thiserror_no_std::Error;

use crate::audit::{
    AppendError, Appended, AuditLogOptions, LocalAuditEvent, LocalAuditKind, LocalAuditLog,
    OpenError,
};
use crate::host::config::{Directory, DirectoryError, Settings, Variables};
use crate::time::{ClockError, Timestamp};

/// Why the log of this host was not written to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LocalAuditError {
    /// It is not known where it is.
    #[error("{0}")]
    Directory(DirectoryError),
    /// It cannot be told whether there is an older log.
    #[error("{}: {error}", .path.display())]
    Look {
        /// The older log.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// It cannot be opened.
    #[error("{0}")]
    Open(OpenError),
    /// The record was not written, or may not be durable.
    #[error("{0}")]
    Append(AppendError),
    /// The clock shows no time that can be written.
    #[error("{0}")]
    Clock(ClockError),
}

impl_error!(LocalAuditError);

impl<V: Variables> Settings<V> {
    /// Where the log of this host is: `log/audit.jsonl` in the directory [`Data`](Directory::Data) if that exists,
    /// where older programs had it, and otherwise in the directory [`State`](Directory::State).
    ///
    /// # Errors
    /// [`LocalAuditError::Directory`] where the state directory is needed and not known, and [`LocalAuditError::Look`] where
    /// it cannot be told whether the older log exists.
    ///
    /// ```
    /// use std::path::PathBuf;
    /// use mvm_core::config::Settings;
    ///
    /// let settings = Settings::new(|name: &str| (name == "HOME").then(|| "/home/no-such-user".into()));
    /// assert_eq!(
    ///     settings.default_audit_log()?,
    ///     PathBuf::from("/home/no-such-user/.local/state/mvm/log/audit.jsonl"),
    /// );
    /// # Ok::<(), mvm_core::audit::LocalAuditError>(())
    /// ```
    pub fn default_audit_log(&self) -> Result<PathBuf, LocalAuditError> {
        let name = |directory: PathBuf| directory.join("log").join("audit.jsonl");
        // Without a data directory there is no older log.
        if let Ok(path) = self.directory(Directory::Data).map(name) {
            match path.try_exists() {
                Ok(true) => return Ok(path),
                Ok(false) => {}
                Err(error) => return Err(LocalAuditError::Look { path, error }),
            }
        }
        self.directory(Directory::State)
            .map(name)
            .map_err(LocalAuditError::Directory)
    }
}

/// [`Settings::default_audit_log`] in the environment of the process.
///
/// # Errors
/// As [`Settings::default_audit_log`].
pub fn default_audit_log() -> Result<PathBuf, LocalAuditError> {
    Settings::of_process().default_audit_log()
}

/// Appends what happened now to the log of this host, which is opened and closed for it. 0.13.0 logged errors and went on;
/// here the caller decides.
///
/// # Errors
/// [`LocalAuditError`].
pub fn emit(
    kind: LocalAuditKind,
    vm_name: Option<&str>,
    detail: Option<&str>,
) -> Result<Appended, LocalAuditError> {
    let now = Timestamp::now().map_err(LocalAuditError::Clock)?;
    let event = LocalAuditEvent::new(
        now,
        kind,
        vm_name.map(String::from),
        detail.map(String::from),
    );
    let log = LocalAuditLog::open(default_audit_log()?, AuditLogOptions::new())
        .map_err(LocalAuditError::Open)?;
    log.append(&event).map_err(LocalAuditError::Append)
}
