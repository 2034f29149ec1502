use mvm_core::pool as ours;
use old::pool as theirs;

use super::documents;
use crate::source::*;

/// A share from 0 to 1.
pub(super) fn share(source: &mut Source<'_>) -> f64 {
    let number = f64::any(source).abs();
    if number <= 1.0 { number } else { 1.0 }
}

pub(super) fn seccomp(source: &mut Source<'_>) -> String {
    source.one_of(&["baseline", "strict"]).into()
}

pub(super) fn compression(source: &mut Source<'_>) -> String {
    source.one_of(&["none", "lz4", "zstd"]).into()
}

impl Any for ours::SecretKeys {
    fn any(source: &mut Source<'_>) -> Self {
        ours::SecretKeyNames::new(any(source)).map_or(Self::All, Self::Only)
    }
}

impl Any for ours::SeccompPolicy {
    fn any(source: &mut Source<'_>) -> Self {
        source.one_of(Self::ALL)
    }
}

impl Any for ours::SnapshotCompression {
    fn any(source: &mut Source<'_>) -> Self {
        source.one_of(Self::ALL)
    }
}

documents! {
    choice Role { Gateway, Worker, Builder, CapabilityImessage }
    record PoolMetadata { capability, integration_types, tags }
    record RuntimePolicy {
        min_running_seconds, min_warm_seconds, drain_timeout_seconds, graceful_shutdown_seconds,
    }
    record SleepPolicyConfig {
        warm_threshold_secs, sleep_threshold_secs, cpu_threshold: percent, net_bytes_threshold,
    }
    choice UpdateStrategy { Rolling(any), Canary(any) }
    record RollingUpdateStrategy { max_unavailable, max_surge, health_check_timeout_secs }
    record CanaryStrategy { canary_count, canary_duration_secs, success_threshold: share }
    record RegistryArtifact { template_id: template, revision: opt(revision) }
    record PoolSpec {
        pool_id: id, tenant_id: id, flake_ref: flake, profile, role, instance_resources, desired_counts,
        runtime_policy, metadata, seccomp_policy: seccomp, snapshot_compression: compression,
        metadata_enabled, pinned, critical, secret_scopes, template_id: template_or_none,
    }
    record SecretScope { integration, keys }
    record InstanceResources { vcpus, mem_mib, data_disk_mib }
    record DesiredCounts { running, warm, sleeping }
    record BuildRevision {
        revision_hash: revision, flake_ref: flake, flake_lock_hash: hash, artifact_paths,
        built_at: any_time,
    }
    record ArtifactSizes { vmlinux_bytes, rootfs_bytes, initrd_bytes, nix_closure_bytes }
    record ArtifactPaths { vmlinux, rootfs, fc_base_config, initrd, sizes }
}
