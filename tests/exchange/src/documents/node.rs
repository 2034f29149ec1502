use mvm_core::node as ours;
use old::node as theirs;

use super::documents;
use crate::source::*;

documents! {
    record NodeInfo {
        node_id: id, hostname, arch, total_vcpus, total_mem_mib, vm_status, firecracker_version,
        jailer_available, cgroup_v2, attestation_provider,
    }
    record NodeStats {
        running_instances, warm_instances, sleeping_instances, stopped_instances, total_vcpus_used,
        total_mem_used_mib, tenant_count, pool_count,
    }
}
