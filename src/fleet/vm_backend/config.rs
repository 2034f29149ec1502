//! What is to run.

use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use thiserror_no_std::Error;

use super::{AbsolutePath, FileName, VmPortMapping};
use crate::fleet::secret_binding::SecretText;
use crate::fleet::text::FlakeRefText;
use crate::names::{RevisionHash, VmName};

/// What is to run, whatever runs it: each backend makes its own configuration of it.
///
/// It may hold secrets, so it is neither cloned nor shown with them.
///
/// ```
/// use core::num::NonZeroU32;
/// use mvm_core::naming::VmName;
/// use mvm_core::vm_backend::{AbsolutePath, VmStartConfig};
///
/// let mut config = VmStartConfig::new(
///     VmName::new("web")?,
///     AbsolutePath::new("/nix/store/abc-rootfs.ext4")?,
///     NonZeroU32::new(2).unwrap(),
///     NonZeroU32::new(512).unwrap(),
/// );
/// config.kernel_path = Some(AbsolutePath::new("/nix/store/abc-vmlinux")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct VmStartConfig {
    /// Its name.
    pub name: VmName,
    /// The image of the root file system (ext4).
    pub rootfs_path: AbsolutePath,
    /// The kernel; Firecracker needs one.
    pub kernel_path: Option<AbsolutePath>,
    /// The initial RAM disk.
    pub initrd_path: Option<AbsolutePath>,
    /// The revision that the image was built as.
    pub revision_hash: Option<RevisionHash>,
    /// The flake that the image was built from, for people.
    pub flake_ref: Option<FlakeRefText>,
    /// The flake's profile, for people.
    pub profile: Option<String>,
    /// Virtual processors.
    pub cpus: NonZeroU32,
    /// Memory in MiB.
    pub memory_mib: NonZeroU32,
    /// Ports of the host that lead to ports of the guest.
    pub ports: Vec<VmPortMapping>,
    /// What is mounted besides the root file system.
    pub volumes: Vec<VmVolume>,
    /// Files that the guest finds, for everybody.
    pub config_files: Vec<VmFile>,
    /// Files that the guest finds, for their owner only.
    pub secret_files: Vec<VmFile>,
    /// The directory of the scripts that run it, where the backend has such (microvm.nix).
    pub runner_dir: Option<AbsolutePath>,
}

impl VmStartConfig {
    /// The least: a name, a root file system, processors, and memory in MiB.
    #[must_use]
    pub const fn new(
        name: VmName,
        rootfs_path: AbsolutePath,
        cpus: NonZeroU32,
        memory_mib: NonZeroU32,
    ) -> Self {
        Self {
            name,
            rootfs_path,
            kernel_path: None,
            initrd_path: None,
            revision_hash: None,
            flake_ref: None,
            profile: None,
            cpus,
            memory_mib,
            ports: Vec::new(),
            volumes: Vec::new(),
            config_files: Vec::new(),
            secret_files: Vec::new(),
            runner_dir: None,
        }
    }
}

/// Something that is mounted in the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // as in 0.13.0
pub struct VmVolume {
    /// A path on the host, or a name that the backend knows.
    pub host: String,
    /// Where it is mounted.
    pub guest: AbsolutePath,
    /// Its size where it is to be made, `1G`. A backend may ignore it.
    pub size: Option<String>,
    /// Whether the guest's drive cannot be written to, whatever the guest does.
    pub read_only: bool,
}

/// A file that is put into the guest. Whether it is secret or not, `Debug` does not show what is in it.
#[derive(Debug)]
pub struct VmFile {
    name: FileName,
    content: SecretText,
    mode: u32,
}

/// Permissions that a file in a guest cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("permissions {mode:o} are none of 0 to 777 (octal)")]
pub struct FileModeError {
    mode: u32,
}

impl_error!(FileModeError);

impl VmFile {
    /// A file that everybody in the guest may read: `0o444`.
    #[must_use]
    pub const fn config(name: FileName, content: String) -> Self {
        Self {
            name,
            content: SecretText::new(content),
            mode: 0o444,
        }
    }

    /// A file that its owner may read: `0o400`.
    #[must_use]
    pub const fn secret(name: FileName, content: SecretText) -> Self {
        Self {
            name,
            content,
            mode: 0o400,
        }
    }

    /// With other permissions: `0` to `0o777`.
    ///
    /// # Errors
    /// [`FileModeError`] for anything else: a guest's file has no set-user-ID bit.
    pub fn with_mode(self, mode: u32) -> Result<Self, FileModeError> {
        if mode > 0o777 {
            return Err(FileModeError { mode });
        }
        Ok(Self { mode, ..self })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &FileName {
        &self.name
    }

    /// What is in it.
    #[must_use]
    pub fn secret_content(&self) -> &str {
        self.content.secret_str()
    }

    /// Its permissions, as `chmod` has them.
    #[must_use]
    pub const fn mode(&self) -> u32 {
        self.mode
    }
}
