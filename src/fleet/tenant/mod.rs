//! Tenants: who they are, what they may have, and their networks.
//!
//! # Addresses
//! The address of an instance is that of its tenant's network plus the instance's
//! [`HostOffset`](crate::naming::HostOffset). Three addresses are never given to one:
//!
//! - the first of the subnet, which is the network's own,
//! - the last, to which broadcasts go,
//! - the gateway's, which is the first of those that are left, unless the coordinator has assigned
//!   another one.
//!
//! | prefix | gateway | offsets of instances |
//! | --- | --- | --- |
//! | /0 to /24 | network + 1 | 2 to 254: a tenant has 253 instances on a node at most, also where the subnet has room for more |
//! | /25 to /30 | network + 1 | 2 to 126, 62, 30, 14, 6, 2 |
//! | /31, /32 | none | none: a bridge cannot do without the first and the last address, as a line between two points can (RFC 3021) |

use core::net::Ipv4Addr;

use super::document::document;
use super::text::Ipv4Subnet;
use crate::names::{BridgeName, TenantId, TenantNetId};
use crate::time::Timestamp;

mod net;

pub use net::SubnetError;
pub(super) use net::gateway;

/// The directory below which everything of the tenants is: one directory each.
pub const TENANT_BASE: &str = "/var/lib/mvm/tenants";

document! {
    /// A tenant: a boundary of security and policy, which owns pools of instances. It has no state of
    /// its own.
    #[derive(Eq)]
    pub struct TenantConfig {
        /// The tenant.
        tenant_id: TenantId,
        /// What it may have.
        quotas: TenantQuota,
        /// Its network.
        net: TenantNet,
        /// Grows whenever the tenant's secrets change.
        secrets_epoch: u64,
        /// Grows whenever this configuration changes.
        config_version: u64,
        /// Whether the tenant's instances are never stopped to make room.
        pinned: bool,
        /// How long audit entries are kept, in days; 0 is for ever.
        audit_retention_days: u32,
        /// When the tenant was created.
        created_at: Timestamp,
    }
}

document! {
    /// What a tenant may have at most, on a node. A limit of 0 allows nothing.
    #[derive(Copy, Eq)]
    pub struct TenantQuota {
        /// Processors of all its running and warm instances. Default 16.
        max_vcpus: u32,
        /// Memory of all its running and warm instances, in MiB. Default 32,768.
        max_mem_mib: u64,
        /// Running instances. Default 8.
        max_running: u32,
        /// Warm instances. Default 4.
        max_warm: u32,
        /// Pools. Default 4.
        max_pools: u32,
        /// Instances of each pool, in any status. Default 16.
        max_instances_per_pool: u32,
        /// Disk space of all its instances, in GiB. Default 100.
        max_disk_gib: u64,
    }
}

impl Default for TenantQuota {
    fn default() -> Self {
        Self {
            max_vcpus: 16,
            max_mem_mib: 32_768,
            max_running: 8,
            max_warm: 4,
            max_pools: 4,
            max_instances_per_pool: 16,
            max_disk_gib: 100,
        }
    }
}

document! {
    /// A tenant's network, as the coordinator assigned it: the same on every node.
    ///
    /// Rules: the subnet has room for a gateway and an instance, `gateway_ip` is one of its usable addresses,
    /// and `bridge_name` is that of `tenant_net_id`.
    #[derive(Eq)]
    pub struct TenantNet rules(net::rules) {
        /// Its number, unique in the cluster.
        tenant_net_id: TenantNetId,
        /// Its addresses.
        ipv4_subnet: Ipv4Subnet,
        /// The address of the gateway, mostly the first usable one of the subnet.
        gateway_ip: Ipv4Addr,
        /// The bridge on the host, named after the number.
        bridge_name: BridgeName,
    }
}
