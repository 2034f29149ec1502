//! What was built for a pool or a template.

use alloc::string::String;

use crate::fleet::document::document;
use crate::fleet::text::{FlakeRefText, HashText};
use crate::names::RevisionHash;
use crate::time::Timestamp;

document! {
    /// A finished build.
    #[derive(Eq)]
    pub struct BuildRevision {
        /// The hash that names it.
        revision_hash: RevisionHash,
        /// What it was built from.
        flake_ref: FlakeRefText,
        /// The hash of the lock file.
        flake_lock_hash: HashText,
        /// Where its files are.
        artifact_paths: ArtifactPaths,
        /// When it was built.
        built_at: Timestamp,
    }
}

document! {
    /// Where the files of a build are; relative ones below the directory of artifacts.
    #[derive(Eq)]
    pub struct ArtifactPaths {
        /// The kernel.
        vmlinux: String,
        /// The root file system.
        rootfs: String,
        /// Firecracker's configuration that those of instances begin with.
        fc_base_config: String,
        /// The initial RAM disk, where the flake has one.
        initrd: Option<String> [default; skip_serializing_if = "Option::is_none"],
        /// How large the files are, where that was measured.
        sizes: Option<ArtifactSizes> [default; skip_serializing_if = "Option::is_none"],
    }
}

document! {
    /// How large the files of a build are, in bytes.
    #[derive(Copy, Eq, Default)]
    pub struct ArtifactSizes {
        /// The kernel. Default 0.
        vmlinux_bytes: u64 [default],
        /// The root file system. Default 0.
        rootfs_bytes: u64 [default],
        /// The initial RAM disk, where there is one.
        initrd_bytes: Option<u64> [default; skip_serializing_if = "Option::is_none"],
        /// The closure in Nix's store with everything that it depends on, where that was measured.
        nix_closure_bytes: Option<u64> [default; skip_serializing_if = "Option::is_none"],
    }
}

impl ArtifactSizes {
    /// The size of all files together, in bytes; the closure in the store is none of them. Stays at
    /// [`u64::MAX`] where the sum is greater, as only sizes that were made up are: that is 16 EiB, more than a file
    /// system holds.
    ///
    /// ```
    /// use mvm_core::pool::ArtifactSizes;
    ///
    /// let sizes = ArtifactSizes { vmlinux_bytes: 100, rootfs_bytes: 200, ..Default::default() };
    /// assert_eq!(sizes.total_bytes(), 300);
    /// let sizes = ArtifactSizes { initrd_bytes: Some(u64::MAX), ..sizes };
    /// assert_eq!(sizes.total_bytes(), u64::MAX);
    /// ```
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.vmlinux_bytes
            .saturating_add(self.rootfs_bytes)
            .saturating_add(self.initrd_bytes.unwrap_or(0))
    }
}
