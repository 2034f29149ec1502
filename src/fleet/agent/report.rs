//! What an agent tells of its node.

use alloc::string::String;
use alloc::vec::Vec;

use crate::fleet::audit::AuditEntry;
use crate::fleet::document::{document, names};
use crate::fleet::metrics::MetricsSnapshot;
use crate::fleet::node::{NodeInfo, NodeStats};
use crate::fleet::pool::DesiredCounts;
use crate::idle_metrics::IdleMetrics;
use crate::instance::InstanceState;
use crate::names::{InstanceId, PoolId, TenantId};
use crate::time::Timestamp;

names! {
    /// How far a deployment of a new revision has come.
    pub enum DeploymentPhase {
        /// Nothing was replaced.
        NotStarted = "not_started",
        /// A few instances were replaced and are watched.
        CanaryEvaluation = "canary_evaluation",
        /// Instances are replaced a few at a time.
        RollingUpdate = "rolling_update",
        /// It does not go on before somebody resumes it.
        Paused = "paused",
        /// All instances were replaced.
        Complete = "complete",
        /// The instances have their former revision again.
        RolledBack = "rolled_back",
        /// It was given up.
        Failed = "failed",
    }
}

document! {
    /// What one pass of reconciling did.
    #[derive(Eq, Default)]
    pub struct ReconcileReport {
        /// Tenants that were made.
        tenants_created: Vec<TenantId>,
        /// Tenants that were removed.
        tenants_pruned: Vec<TenantId>,
        /// Pools that were made, for people. Texts: the id alone does not say which tenant's pool it is, and
        /// 0.13.0 left it to its agents whether the tenant stands before it.
        pools_created: Vec<String>,
        /// How many instances were made.
        instances_created: u32,
        /// How many were booted.
        instances_started: u32,
        /// How many were paused.
        instances_warmed: u32,
        /// How many were put to sleep.
        instances_slept: u32,
        /// How many were stopped.
        instances_stopped: u32,
        /// How many were left as they are for now, because they had not been so for long enough. Default 0.
        instances_deferred: u32 [default],
        /// What went wrong, for people.
        errors: Vec<String>,
    }
}

document! {
    /// One pass of reconciling, in the history.
    #[derive(Eq)]
    pub struct ReconcileHistoryEntry {
        /// When it began.
        timestamp: Timestamp,
        /// How long it took, in milliseconds.
        duration_ms: u64,
        /// What it did.
        report: ReconcileReport,
    }
}

document! {
    /// How an instance does.
    #[derive(Eq)]
    pub struct InstanceHealthReport {
        /// The tenant.
        tenant_id: TenantId,
        /// The pool.
        pool_id: PoolId,
        /// The instance.
        instance_id: InstanceId,
        /// Its record.
        status: InstanceState,
        /// Whether everything below is well.
        healthy: bool,
        /// What its integrations say.
        integration_health: Vec<IntegrationHealthSummary>,
        /// What its probes say.
        probe_results: Vec<ProbeResultSummary>,
        /// What it did lately.
        idle_metrics: IdleMetrics,
        /// When it was checked last; left out if never.
        last_health_check_at: Option<Timestamp> [default; skip_serializing_if = "Option::is_none"],
    }
}

document! {
    /// How an integration of a guest does.
    #[derive(Eq)]
    pub struct IntegrationHealthSummary {
        /// The integration, as the guest names it.
        name: String,
        /// Whether it does well.
        healthy: bool,
        /// What else there is to know, for people. Left out if nothing.
        detail: Option<String> [default; skip_serializing_if = "Option::is_none"],
    }
}

document! {
    /// What a probe of a guest found.
    #[derive(Eq)]
    pub struct ProbeResultSummary {
        /// The probe, as the guest names it.
        name: String,
        /// Whether it found everything well.
        healthy: bool,
        /// What else there is to know, for people. Left out if nothing.
        detail: Option<String> [default; skip_serializing_if = "Option::is_none"],
    }
}

document! {
    /// A tenant in a dump.
    #[derive(Eq)]
    pub struct TenantStateDump {
        /// The tenant.
        tenant_id: TenantId,
        /// Its pools.
        pools: Vec<PoolStateDump>,
    }
}

document! {
    /// A pool in a dump.
    #[derive(Eq)]
    pub struct PoolStateDump {
        /// The pool.
        pool_id: PoolId,
        /// The records of its instances.
        instances: Vec<InstanceState>,
        /// How many instances there should be.
        desired_counts: DesiredCounts,
    }
}

document! {
    /// Everything that an agent knows, for finding errors.
    #[derive(Eq)]
    pub struct StateDumpContent {
        /// The node.
        node_info: NodeInfo,
        /// How much of it is in use.
        node_stats: NodeStats,
        /// Its counters, if they were asked for.
        metrics: Option<MetricsSnapshot> [default],
        /// The end of its audit log, if it was asked for.
        audit_log: Option<Vec<AuditEntry>> [default],
        /// What its tenants have.
        tenants: Vec<TenantStateDump>,
    }
}
