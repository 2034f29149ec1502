//! Nodes: what one is, and how much of it is in use.

use alloc::string::String;

use super::document::{Text, document};
use crate::names::NodeId;

fn no_attestation<'a>() -> Text<'a> {
    Text::from("none")
}

document! {
    /// A node and its resources, recorded in `node.json`.
    #[derive(Eq)]
    pub struct NodeInfo {
        /// The node.
        node_id: NodeId,
        /// Its host name.
        hostname: String,
        /// Its processor architecture, as `uname -m` names it.
        arch: String,
        /// Processors that instances may have, in all.
        total_vcpus: u32,
        /// Memory that instances may have in all, in MiB.
        total_mem_mib: u64,
        /// The state of the virtual machine that the node's programs run in, where there is one
        /// (Lima on macOS). 0.13.0 also reads it as `lima_status`.
        vm_status: Option<String> [alias = "lima_status"],
        /// The version of Firecracker, where it is installed.
        firecracker_version: Option<String>,
        /// Whether Firecracker's jailer is installed.
        jailer_available: bool,
        /// Whether the node has cgroup v2.
        cgroup_v2: bool,
        /// Who attests the node: `none` or the name of a provider. Default `none`.
        attestation_provider: String [default = "no_attestation"],
    }
}

document! {
    /// How much of a node is in use, by all tenants together.
    #[derive(Copy, Eq, Default)]
    pub struct NodeStats {
        /// Running instances.
        running_instances: u32,
        /// Warm instances.
        warm_instances: u32,
        /// Sleeping instances.
        sleeping_instances: u32,
        /// Stopped instances.
        stopped_instances: u32,
        /// Processors in use.
        total_vcpus_used: u32,
        /// Memory in use, in MiB.
        total_mem_used_mib: u64,
        /// Tenants.
        tenant_count: u32,
        /// Pools of all tenants.
        pool_count: u32,
    }
}
