//! A tenant, a pool and a revision, in a store of their own.

use mvm_core::document::Document;
use mvm_core::instance::InstanceNet;
use mvm_core::naming::{HostOffset, PoolPath, RevisionHash};
use mvm_core::paths::FleetLayout;
use mvm_core::pool::{ArtifactPaths, BuildRevision, PoolSpec};
use mvm_core::store::StateStore;
use mvm_core::tenant::TenantConfig;

/// A tenant with the network of this number, 10.240.0.0/24 and so on.
pub(crate) fn tenant(net: u8) -> TenantConfig {
    let text = format!(
        r#"{{
        "tenant_id": "acme", "secrets_epoch": 0, "config_version": 1, "pinned": false,
        "audit_retention_days": 0, "created_at": "2026-02-03T04:05:06Z",
        "quotas": {{
            "max_vcpus": 1, "max_mem_mib": 1, "max_running": 1, "max_warm": 1, "max_pools": 1,
            "max_instances_per_pool": 1, "max_disk_gib": 1
        }},
        "net": {{
            "tenant_net_id": {net}, "ipv4_subnet": "10.240.{net}.0/24", "gateway_ip": "10.240.{net}.1",
            "bridge_name": "br-tenant-{net}"
        }}
    }}"#
    );
    TenantConfig::from_json(text.as_bytes()).unwrap()
}

pub(crate) fn pool() -> PoolSpec {
    let text = br#"{
        "pool_id": "workers", "tenant_id": "acme", "flake_ref": ".#guest", "profile": "minimal",
        "instance_resources": {"vcpus": 1, "mem_mib": 256},
        "desired_counts": {"running": 1, "warm": 0, "sleeping": 0}
    }"#;
    PoolSpec::from_json(text).unwrap()
}

pub(crate) fn instance(tenant: &TenantConfig, offset: u8) -> InstanceNet {
    tenant
        .net
        .instance(HostOffset::new(offset).unwrap())
        .unwrap()
}

#[allow(dead_code)] // each test uses its part
pub(crate) fn revision(hash: &str) -> BuildRevision {
    BuildRevision {
        revision_hash: RevisionHash::new(hash).unwrap(),
        flake_ref: pool().flake_ref,
        flake_lock_hash: "ff".parse().unwrap(),
        artifact_paths: ArtifactPaths {
            vmlinux: "vmlinux".into(),
            rootfs: "rootfs.ext4".into(),
            fc_base_config: "fc-base.json".into(),
            initrd: None,
            sizes: None,
        },
        built_at: tenant(3).created_at,
    }
}

/// A store with both of them, below a directory.
pub(crate) fn store(directory: &tempfile::TempDir, tenant: &TenantConfig) -> StateStore {
    let store = StateStore::new(FleetLayout::new(directory.path()).unwrap());
    store.save(&tenant.tenant_id, tenant).unwrap();
    let pool = pool();
    let path = PoolPath {
        tenant: pool.tenant_id.clone(),
        pool: pool.pool_id.clone(),
    };
    store.save(&path, &pool).unwrap();
    store
}
