//! What a node should have.

use alloc::string::String;
use alloc::vec::Vec;

use super::rules;
use crate::fleet::document::document;
use crate::fleet::pool::{
    DesiredCounts, InstanceResources, RegistryArtifact, SeccompPolicy, SecretScope,
    SnapshotCompression, UpdateStrategy, default_compression, default_role, default_runtime_policy,
    default_seccomp,
};
use crate::fleet::routing::RoutingTable;
use crate::fleet::tenant::TenantQuota;
use crate::fleet::text::{FlakeRefText, HashText, Ipv4Subnet};
use crate::names::{NodeId, PoolId, TenantId, TenantNetId};
use crate::policy::{Role, RuntimePolicy, SleepPolicyConfig};

/// How many instances of a pool there may be at most in each status that is wanted: running, warm, sleeping.
pub const MAX_DESIRED_PER_STATE: u32 = crate::limits::DESIRED_PER_STATE_MAX;

document! {
    /// Everything that a node should have, as its coordinator wants it. Unknown members are refused, here and in
    /// tenants, their networks and pools.
    ///
    /// # Rules
    /// - `schema_version` is 1. A newer state is refused: nothing is applied that is only half understood.
    /// - A tenant, and the number of a network, is there once.
    /// - The networks of two tenants share no address.
    pub struct DesiredState [deny_unknown_fields] rules(rules::state) {
        /// The version of this document: 1.
        schema_version: u32,
        /// The node that it is for.
        node_id: NodeId,
        /// The tenants.
        tenants: Vec<DesiredTenant>,
        /// Whether tenants of the node that are not named here are removed. Default no.
        prune_unknown_tenants: bool [default],
        /// Whether pools of a tenant that are not named here are removed. Default no.
        prune_unknown_pools: bool [default],
        /// The place of this state in the coordinator's log, which only grows. Default 0.
        sequence: u64 [default],
    }
}

document! {
    /// A tenant that a node should have.
    ///
    /// # Rules
    /// - A pool is there once.
    /// - What its pools want together stays within the quotas: running and warm instances; processors and
    ///   memory of both (a warm instance is resumed with what it had, as 0.13.0's agent counts); disks of all
    ///   instances, sleeping ones too, a part of a GiB counting as one; and the number of pools, and of
    ///   instances in each.
    /// - The network has an address for each instance, in whatever status. Its own address, the broadcast
    ///   address and the gateway's, which is the first usable one, are none, and a network has numbers
    ///   ([`HostOffset`](crate::naming::HostOffset)) for 253 instances at most.
    /// - A route leads to a pool of this tenant, and `by_ip` to an address that one of its instances can have.
    pub struct DesiredTenant [deny_unknown_fields] rules(rules::tenant) {
        /// The tenant.
        tenant_id: TenantId,
        /// Its network.
        network: DesiredTenantNetwork,
        /// What it may have on the node.
        quotas: TenantQuota,
        /// The hash of its secrets; another one means that they have changed. Default none.
        secrets_hash: Option<HashText> [default],
        /// Its pools.
        pools: Vec<DesiredPool>,
        /// Regions that its instances should be in, as the provider names them. Default none is preferred.
        preferred_regions: Vec<String> [default],
    }
}

document! {
    /// The network of a tenant, as the coordinator assigned it.
    #[derive(Copy, Eq)]
    pub struct DesiredTenantNetwork [deny_unknown_fields] {
        /// Its number, unique in the fleet.
        tenant_net_id: TenantNetId,
        /// Its addresses.
        ipv4_subnet: Ipv4Subnet,
    }
}

document! {
    /// A pool that a tenant should have.
    ///
    /// # Rules
    /// - Of each status at most [`MAX_DESIRED_PER_STATE`] instances are wanted.
    /// - An instance has at least one processor and one MiB of memory.
    /// - An integration has one scope of secrets, and a scope names a secret once.
    /// - A routing table has [rules](RoutingTable) of its own. Any pool may have one, as in 0.13.0; only a
    ///   gateway routes by it.
    pub struct DesiredPool [deny_unknown_fields] rules(rules::pool) {
        /// The pool.
        pool_id: PoolId,
        /// The source of its image.
        flake_ref: FlakeRefText,
        /// The profile of the guest: `minimal`, `python` or one of the flake's own.
        profile: String,
        /// What its instances are for. Default [`Role::Worker`].
        role: Role [default = "default_role"],
        /// What each of its instances has.
        instance_resources: InstanceResources,
        /// How many instances there should be: [`MAX_DESIRED_PER_STATE`] in each status at most.
        desired_counts: DesiredCounts,
        /// How long its instances stay in a status at least. Default [`RuntimePolicy::default`].
        runtime_policy: RuntimePolicy [default = "default_runtime_policy"],
        /// Which system calls Firecracker may make. Default [`SeccompPolicy::Baseline`].
        seccomp_policy: SeccompPolicy [default = "default_seccomp"],
        /// How snapshots are compressed. Default [`SnapshotCompression::None`].
        snapshot_compression: SnapshotCompression [default = "default_compression"],
        /// Where a gateway sends traffic. Default none.
        routing_table: Option<RoutingTable> [default],
        /// Which integration sees which secrets. Default none: secrets are not split.
        secret_scopes: Vec<SecretScope> [default],
        /// When idle instances are paused and put to sleep. Default none: they are not.
        sleep_policy: Option<SleepPolicyConfig> [default],
        /// How instances are replaced by ones of another revision. Default the node's own way.
        default_update_strategy: Option<UpdateStrategy> [default],
        /// What was built elsewhere and is to be fetched. Default none, and where it cannot be fetched: the node builds
        /// the image itself.
        registry_artifact: Option<RegistryArtifact> [default],
    }
}
