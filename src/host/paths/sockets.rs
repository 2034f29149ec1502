//! Sockets of instances, which fit `sun_path`.

use std::path::{Path, PathBuf};

use thiserror_no_std::Error;

use super::FleetLayout;
use crate::names::{InstancePath, SocketBase, SocketBaseError, SocketFile, SocketPath, SunPath};

/// Why there can be no sockets in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SocketDirectoryError {
    /// Its path is not UTF-8.
    #[error("{} is not UTF-8", .path.display())]
    NotUnicode {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be the base of socket paths, because it is too long for example.
    #[error("{}: {error}", .path.display())]
    Base {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        error: SocketBaseError,
    },
}

impl_error!(SocketDirectoryError);

impl FleetLayout {
    /// The directory of all sockets.
    #[must_use]
    pub fn socket_directory(&self) -> &Path {
        &self.sockets
    }

    /// The directory of all sockets, checked: every socket of every instance fits in it.
    ///
    /// # Errors
    /// [`SocketDirectoryError`]. Ask when the node is configured; no instance's ids change the answer.
    ///
    /// ```
    /// use mvm_core::naming::{SocketFile, SunPath, parse_instance_path};
    /// use mvm_core::paths::FleetLayout;
    ///
    /// let layout = FleetLayout::default();
    /// let base = layout.socket_base(SunPath::Linux)?;
    /// let instance = parse_instance_path("acme/workers/i-0a1b2c3d")?;
    /// assert_eq!(
    ///     &base.path(&instance, SocketFile::Vsock),
    ///     "/run/mvm/acme/workers/i-0a1b2c3d/v.sock",
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn socket_base(&self, limit: SunPath) -> Result<SocketBase<'_>, SocketDirectoryError> {
        let path = &self.sockets;
        let text = path
            .to_str()
            .ok_or_else(|| SocketDirectoryError::NotUnicode { path: path.clone() })?;
        SocketBase::new(text, limit).map_err(|error| SocketDirectoryError::Base {
            path: path.clone(),
            error,
        })
    }

    /// The path of a socket of an instance, in the short form where the readable one is too long.
    ///
    /// # Errors
    /// As [`socket_base`](Self::socket_base).
    pub fn socket_path(
        &self,
        instance: &InstancePath,
        file: SocketFile,
        limit: SunPath,
    ) -> Result<SocketPath, SocketDirectoryError> {
        Ok(self.socket_base(limit)?.path(instance, file))
    }
}
