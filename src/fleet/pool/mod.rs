//! Pools: groups of instances of one kind, what is wanted of them, and what was built for them.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::document::{EmptyIsNone, Field, document, names};
use super::text::FlakeRefText;
use crate::names::{PoolId, RevisionHash, TemplateId, TenantId};
use crate::policy::{Role, RuntimePolicy};

mod artifacts;
mod bytes;
mod policies;
pub(super) mod rules;
mod secrets;
mod strategy;

pub use artifacts::{ArtifactPaths, ArtifactSizes, BuildRevision};
pub use bytes::format_bytes;
pub use secrets::{NoKeys, SecretKeyNames, SecretKeys, SecretScope};
pub use strategy::{CanaryStrategy, RollingUpdateStrategy, UpdateStrategy};

pub(crate) fn default_role<'a>() -> <Role as Field>::Raw<'a> {
    Role::default().as_str().into()
}

pub(crate) fn default_runtime_policy<'a>() -> <RuntimePolicy as Field>::Raw<'a> {
    RuntimePolicy::default().raw()
}

pub(crate) fn default_metadata<'a>() -> <PoolMetadata as Field>::Raw<'a> {
    static NONE: PoolMetadata = PoolMetadata {
        capability: None,
        integration_types: Vec::new(),
        tags: BTreeMap::new(),
    };
    NONE.raw()
}

pub(crate) fn default_seccomp<'a>() -> <SeccompPolicy as Field>::Raw<'a> {
    SeccompPolicy::default().as_str().into()
}

pub(crate) fn default_compression<'a>() -> <SnapshotCompression as Field>::Raw<'a> {
    SnapshotCompression::default().as_str().into()
}

names! {
    /// Which system calls the virtual machine monitor may make.
    #[derive(Default)]
    pub enum SeccompPolicy {
        /// Firecracker's own filter. The default.
        #[default]
        Baseline = "baseline",
        /// A tighter one.
        Strict = "strict",
    }
}

names! {
    /// How snapshots are compressed.
    #[derive(Default)]
    pub enum SnapshotCompression {
        /// Not at all. The default.
        #[default]
        None = "none",
        /// LZ4.
        Lz4 = "lz4",
        /// Zstandard.
        Zstd = "zstd",
    }
}

document! {
    /// A pool of a tenant: instances of one kind. It says what is wanted, not what is.
    ///
    /// Rules: an instance has a processor and memory; of each status at most
    /// [`DESIRED_PER_STATE_MAX`](crate::limits::DESIRED_PER_STATE_MAX) instances are wanted; each integration has one
    /// scope, which names each key once.
    #[derive(Eq)]
    pub struct PoolSpec rules(rules::pool) {
        /// The pool.
        pool_id: PoolId,
        /// The tenant that it belongs to.
        tenant_id: TenantId,
        /// The source of its image.
        flake_ref: FlakeRefText,
        /// The profile of the guest, `minimal`, `python` or one of the flake's own.
        profile: String,
        /// What its instances are for. Default [`Role::Worker`].
        role: Role [default = "default_role"],
        /// What each of its instances has.
        instance_resources: InstanceResources,
        /// How many instances there should be.
        desired_counts: DesiredCounts,
        /// How long its instances stay in a status at least. Default [`RuntimePolicy::default`].
        runtime_policy: RuntimePolicy [default = "default_runtime_policy"],
        /// What it is, for queries. Default nothing.
        metadata: PoolMetadata [default = "default_metadata"],
        /// Which system calls Firecracker may make. Default [`SeccompPolicy::Baseline`].
        seccomp_policy: SeccompPolicy [default = "default_seccomp"],
        /// How snapshots are compressed. Default [`SnapshotCompression::None`].
        snapshot_compression: SnapshotCompression [default = "default_compression"],
        /// Whether guests have Firecracker's metadata service. Default no.
        metadata_enabled: bool [default],
        /// Whether its instances are never put to sleep by the reconcile loop. Default no.
        pinned: bool [default],
        /// Whether the reconcile loop leaves it alone altogether. Default no.
        critical: bool [default],
        /// Which integration sees which secrets. Default none: secrets are not split.
        secret_scopes: Vec<SecretScope> [default],
        /// The template that its image comes from. `None` is the empty text in JSON, and the
        /// default.
        template_id: Option<TemplateId> as EmptyIsNone
            [default; serialize_with = "EmptyIsNone::serialize"],
    }
}

document! {
    /// What a pool is, for queries and policies.
    #[derive(Eq, Default)]
    pub struct PoolMetadata {
        /// What it can do: `openclaw`, `mcp-server`, `database`.
        capability: Option<String> [; skip_serializing_if = "Option::is_none"],
        /// The integrations that it supports: `telegram`, `discord`. Default none.
        integration_types: Vec<String> [default; skip_serializing_if = "Vec::is_empty"],
        /// Further names and values. Default none.
        tags: BTreeMap<String, String> [default; skip_serializing_if = "BTreeMap::is_empty"],
    }
}

document! {
    /// What each instance of a pool has. Records may have zeros; what is wanted may not, see
    /// [`PoolSpec`].
    #[derive(Copy, Eq)]
    pub struct InstanceResources {
        /// Processors.
        vcpus: u8,
        /// Memory, in MiB.
        mem_mib: u32,
        /// The disk for data, in MiB; 0 is none. Default 0.
        data_disk_mib: u32 [default],
    }
}

document! {
    /// How many instances of a pool there should be in which status. What is wanted has a limit, see
    /// [`PoolSpec`].
    #[derive(Copy, Eq, Default)]
    pub struct DesiredCounts {
        /// Running.
        running: u32,
        /// Warm: paused, in memory.
        warm: u32,
        /// Sleeping: snapshots on disk.
        sleeping: u32,
    }
}

document! {
    /// An image that is fetched from a registry instead of built.
    #[derive(Eq)]
    pub struct RegistryArtifact {
        /// The template in the registry.
        template_id: TemplateId,
        /// Its revision; without one the registry's current one at the time of fetching.
        revision: Option<RevisionHash> [default],
    }
}
