//! Stored documents: what is read, written, locked, listed, removed and recovered.
#![cfg(all(feature = "paths", unix))]
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]

mod documents;
mod locks;
mod transitions;
mod tree;
#[path = "../common/vectors.rs"]
mod vectors;
mod versions;

use std::fs;
use std::path::{Path, PathBuf};

use mvm_core::document::Document;
use mvm_core::instance::{InstanceState, InstanceStatus};
use mvm_core::naming::{InstancePath, PoolPath, TenantId};
use mvm_core::paths::FleetLayout;
use mvm_core::pool::PoolSpec;
use mvm_core::store::StateStore;
use mvm_core::tenant::TenantConfig;
use mvm_core::time::Timestamp;
use tempfile::TempDir;

/// A store in a directory of its own.
pub(crate) struct Node {
    pub(crate) store: StateStore,
    directory: TempDir,
}

impl Node {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = FleetLayout::new(directory.path().join("mvm")).unwrap();
        let store = StateStore::new(layout);
        Self { store, directory }
    }

    /// With a tenant, a pool and an instance of it that is ready.
    pub(crate) fn filled() -> Self {
        let node = Self::new();
        node.store.create(&tenant(), &config()).unwrap();
        node.store.create(&pool(), &spec()).unwrap();
        node.store.create(&instance(), &state("ready")).unwrap();
        node
    }

    pub(crate) fn outside(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn path(&self, below_root: &str) -> PathBuf {
        self.store.layout().root().join(below_root)
    }

    /// Puts a text where a document would be.
    pub(crate) fn write(&self, path: &Path, text: impl AsRef<[u8]>) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

pub(crate) fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

pub(crate) fn pool() -> PoolPath {
    mvm_core::naming::parse_pool_path("acme/web").unwrap()
}

pub(crate) fn instance() -> InstancePath {
    instance_named("i-1")
}

pub(crate) fn instance_named(id: &str) -> InstancePath {
    mvm_core::naming::parse_instance_path(&format!("acme/web/{id}")).unwrap()
}

pub(crate) const TENANT: &str = r#"{"tenant_id":"acme","quotas":{"max_vcpus":16,"max_mem_mib":1024,"max_running":1,"max_warm":1,"max_pools":1,"max_instances_per_pool":1,"max_disk_gib":1},"net":{"tenant_net_id":3,"ipv4_subnet":"10.240.3.0/24","gateway_ip":"10.240.3.1","bridge_name":"br-tenant-3"},"secrets_epoch":0,"config_version":0,"pinned":false,"audit_retention_days":0,"created_at":"2026-02-25T12:00:00Z"}"#;

pub(crate) const POOL: &str = r#"{"pool_id":"web","tenant_id":"acme","flake_ref":"github:acme/web","profile":"minimal","instance_resources":{"vcpus":1,"mem_mib":512},"desired_counts":{"running":1,"warm":0,"sleeping":0}}"#;

pub(crate) fn config() -> TenantConfig {
    TenantConfig::from_json(TENANT.as_bytes()).unwrap()
}

pub(crate) fn spec() -> PoolSpec {
    PoolSpec::from_json(POOL.as_bytes()).unwrap()
}

pub(crate) fn state(status: &str) -> InstanceState {
    state_of("i-1", status)
}

pub(crate) fn state_of(id: &str, status: &str) -> InstanceState {
    let status: InstanceStatus = status.parse().unwrap();
    let pid = if status.has_process() { "42" } else { "null" };
    let text = format!(
        r#"{{"instance_id":"{id}","pool_id":"web","tenant_id":"acme","status":"{status}","net":{{"tap_dev":"tn3i5","mac":"02:fc:00:03:00:05","guest_ip":"10.240.3.5","gateway_ip":"10.240.3.1","cidr":24}},"firecracker_pid":{pid}}}"#
    );
    InstanceState::from_json(text.as_bytes()).unwrap()
}

pub(crate) fn now() -> Timestamp {
    "2026-02-25T12:00:00Z".parse().unwrap()
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
