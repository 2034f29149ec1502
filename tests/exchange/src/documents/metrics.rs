use mvm_core::observability::metrics as ours;
use old::observability::metrics as theirs;

use super::documents;

documents! {
    record MetricsSnapshot {
        requests_total, requests_reconcile, requests_node_info, requests_node_stats, requests_tenant_list,
        requests_instance_list, requests_wake, requests_rate_limited, requests_failed, reconcile_runs,
        reconcile_errors, reconcile_duration_ms, instances_created, instances_started, instances_stopped,
        instances_slept, instances_woken, instances_destroyed, instances_deferred, connections_accepted,
        connections_rejected, build_image_duration_ms, vm_start_duration_ms, vsock_handshake_rtt_ms,
    }
}
