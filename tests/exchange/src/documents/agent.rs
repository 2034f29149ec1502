use mvm_core::agent as ours;
use old::agent as theirs;

use super::documents;
use super::pool::{compression, seccomp};
use crate::source::*;

impl Any for ours::OpaqueJson {
    fn any(source: &mut Source<'_>) -> Self {
        serde_json::Value::any(source).into()
    }
}

/// The name of a status.
fn status(source: &mut Source<'_>) -> String {
    old::instance::InstanceStatus::any(source).to_string()
}

/// Nothing where the action failed.
fn status_or_none(source: &mut Source<'_>) -> String {
    opt(status)(source).unwrap_or_default()
}

fn phase_or_none(source: &mut Source<'_>) -> String {
    let phase = serde_json::to_value(theirs::DeploymentPhase::any(source)).unwrap();
    opt(|_| phase.as_str().unwrap().to_owned())(source).unwrap_or_default()
}

documents! {
    record DesiredState {
        schema_version, node_id: id, tenants, prune_unknown_tenants, prune_unknown_pools, sequence,
    }
    record DesiredTenant {
        tenant_id: id, network, quotas, secrets_hash: opt(hash), pools, preferred_regions,
    }
    record DesiredTenantNetwork { tenant_net_id: number(0, 4095), ipv4_subnet: cidr4 }
    record DesiredPool {
        pool_id: id, flake_ref: flake, profile, role, instance_resources, desired_counts, runtime_policy,
        seccomp_policy: seccomp, snapshot_compression: compression, routing_table, secret_scopes,
        sleep_policy, default_update_strategy, registry_artifact,
    }
    choice DeploymentPhase {
        NotStarted, CanaryEvaluation, RollingUpdate, Paused, Complete, RolledBack, Failed,
    }
    record BatchActionItem { tenant_id: id, pool_id: id, instance_id: id, action }
    choice PoolActionType {
        StartAll, StopAll, WarmAll, DestroyAll { wipe_volumes }, ScaleTo { running, warm, sleeping },
    }
    record BatchActionItemResult { tenant_id: id, pool_id: id, instance_id: id, success, new_status: opt(status), error }
    record InstanceHealthReport {
        tenant_id: id, pool_id: id, instance_id: id, status, healthy, integration_health, probe_results,
        idle_metrics, last_health_check_at: opt(any_time),
    }
    record IntegrationHealthSummary { name, healthy, detail }
    record ProbeResultSummary { name, healthy, detail }
    record ReconcileHistoryEntry { timestamp: any_time, duration_ms, report }
    record TenantStateDump { tenant_id: id, pools }
    record PoolStateDump { pool_id: id, instances, desired_counts }
    record StateDumpContent { node_info, node_stats, metrics, audit_log, tenants }
    record ReconcileReport {
        tenants_created: list(id), tenants_pruned: list(id), pools_created, instances_created,
        instances_started, instances_warmed, instances_slept, instances_stopped, instances_deferred, errors,
    }
    choice AgentRequest {
        Reconcile(any),
        ReconcileSigned(any),
        NodeInfo,
        NodeStats,
        TenantList,
        InstanceList { tenant_id: id, pool_id: opt(id) },
        WakeInstance { tenant_id: id, pool_id: id, instance_id: id },
        InstanceAction { tenant_id: id, pool_id: id, instance_id: id, action },
        SandboxAction { tenant_id: id, pool_id: id, instance_id: id, request },
        DeploymentStatus { tenant_id: id, pool_id: id },
        PauseDeployment { tenant_id: id, pool_id: id },
        ResumeDeployment { tenant_id: id, pool_id: id },
        RollbackDeployment { tenant_id: id, pool_id: id, target_revision: opt(revision) },
        BatchInstanceAction { actions },
        PoolAction { tenant_id: id, pool_id: id, action },
        GetMetrics,
        GetAuditLog { tenant_id: id, last_n, since: opt(any_time) },
        GetHealthStatus { tenant_id: opt(id), pool_id: opt(id) },
        GetReconcileHistory { last_n },
        ForceReconcile { dry_run },
        DumpState { include_metrics, include_audit_log },
        UpdateSecrets { tenant_id: id, secrets_hash: hash, force_reload },
        UpdateConfig { tenant_id: id, pool_id: id, config_version },
        SyncEvents { since },
    }
    choice AgentResponse {
        ReconcileResult(any),
        NodeInfo(any),
        NodeStats(any),
        TenantList(list(id)),
        InstanceList(any),
        WakeResult { success },
        InstanceActionResult { success, new_status: status_or_none, error },
        SandboxResult { success, response, error },
        Error { code, message },
        DeploymentStatus {
            pool_id: id, current_revision: revision, target_revision: opt(revision), strategy, phase,
            instances_updated, instances_pending, canary_health, paused, errors,
        },
        DeploymentControlResult { success, pool_id: id, new_phase: phase_or_none, message },
        BatchActionResult { results, total, succeeded, failed },
        PoolActionResult { success, pool_id: id, instances_affected, errors },
        Metrics(any),
        AuditLog { entries, total_count },
        HealthStatus { instances, unhealthy_count, degraded_count },
        ReconcileHistory { runs },
        StateDump(any),
        SecretsUpdateResult { success, tenant_id: id, instances_reloaded, errors },
        ConfigUpdateResult { success, pool_id: id, instances_updated, errors },
        SyncEventsResult { events, current_sequence },
    }
    choice InstanceAction { Start, Stop, Sleep, Wake, Warm, Destroy }
}
