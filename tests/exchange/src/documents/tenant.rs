use mvm_core::tenant as ours;
use old::tenant as theirs;

use super::documents;
use crate::source::*;

/// The bridge of a tenant's network.
pub(super) fn bridge(source: &mut Source<'_>) -> String {
    format!("br-tenant-{}", number::<u16>(0, 4095)(source))
}

documents! {
    record TenantConfig {
        tenant_id: id, quotas, net, secrets_epoch, config_version, pinned, audit_retention_days,
        created_at: any_time,
    }
    record TenantQuota {
        max_vcpus, max_mem_mib, max_running, max_warm, max_pools, max_instances_per_pool, max_disk_gib,
    }
    record TenantNet {
        tenant_net_id: number(0, 4095), ipv4_subnet: cidr4, gateway_ip: ip4, bridge_name: bridge,
    }
}
