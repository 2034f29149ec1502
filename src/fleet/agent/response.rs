//! What an agent answers.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::{
    DeploymentPhase, InstanceHealthReport, OpaqueJson, ReconcileHistoryEntry, ReconcileReport,
    StateDumpContent,
};
use crate::fleet::audit::AuditEntry;
use crate::fleet::document::{EmptyIsNone, document, document_enum};
use crate::fleet::metrics::MetricsSnapshot;
use crate::fleet::node::{NodeInfo, NodeStats};
use crate::fleet::pool::UpdateStrategy;
use crate::fleet::text::Finite;
use crate::instance::{InstanceState, InstanceStatus};
use crate::names::{InstanceId, PoolId, RevisionHash, TenantId};

document_enum! {
    /// What an agent answers.
    // Variants hold what 0.13.0's hold, and it boxes `StateDump` only.
    #[allow(clippy::large_enum_variant)]
    pub enum AgentResponse {
        /// What reconciling did.
        ReconcileResult(report: ReconcileReport),
        /// The node.
        NodeInfo(info: NodeInfo),
        /// How much of the node is in use.
        NodeStats(stats: NodeStats),
        /// The tenants.
        TenantList(tenants: Vec<TenantId>),
        /// Records of instances.
        InstanceList(instances: Vec<InstanceState>),
        /// Whether an instance was woken.
        WakeResult {
            /// Whether it was.
            success: bool,
        },
        /// What became of an action.
        InstanceActionResult {
            /// Whether it was carried out.
            success: bool,
            /// The status of the instance now. `None` is the empty text in JSON: there is no such instance, or its
            /// status is not known.
            new_status: Option<InstanceStatus> as EmptyIsNone
                [; serialize_with = "EmptyIsNone::serialize"],
            /// What went wrong, for people. Left out if nothing.
            error: Option<String> [default; skip_serializing_if = "Option::is_none"],
        },
        /// What the guest's agent answered.
        SandboxResult {
            /// Whether it could be asked.
            success: bool,
            /// The answer, in its own vocabulary. Not looked at.
            response: OpaqueJson,
            /// What went wrong, for people. Left out if nothing.
            error: Option<String> [default; skip_serializing_if = "Option::is_none"],
        },
        /// The request was refused.
        Error {
            /// A status code as in HTTP.
            code: u16,
            /// Why, for people.
            message: String,
        },
        /// How far a deployment has come.
        DeploymentStatus {
            /// The pool.
            pool_id: PoolId,
            /// The revision that the pool had.
            current_revision: RevisionHash,
            /// The revision that it is to have. Default none.
            target_revision: Option<RevisionHash> [default],
            /// How instances are replaced.
            strategy: UpdateStrategy,
            /// How far it has come.
            phase: DeploymentPhase,
            /// How many instances were replaced.
            instances_updated: u32,
            /// How many are to be replaced.
            instances_pending: u32,
            /// How well the instances that were replaced first do: the agent's own measure, as a rule the share of
            /// health checks that succeeded. Default not known.
            canary_health: Option<Finite> [default],
            /// Whether it was paused.
            paused: bool,
            /// What went wrong, for people.
            errors: Vec<String>,
        },
        /// What became of pausing, resuming or rolling back.
        DeploymentControlResult {
            /// Whether it was carried out.
            success: bool,
            /// The pool.
            pool_id: PoolId,
            /// The phase of the deployment now. `None` is the empty text in JSON: there is no deployment.
            new_phase: Option<DeploymentPhase> as EmptyIsNone
                [; serialize_with = "EmptyIsNone::serialize"],
            /// What happened, for people.
            message: String,
        },
        /// What became of actions on several instances.
        BatchActionResult {
            /// What became of each.
            results: Vec<BatchActionItemResult>,
            /// How many there were.
            total: u32,
            /// How many were carried out.
            succeeded: u32,
            /// How many were not.
            failed: u32,
        },
        /// What became of an action on all instances of a pool.
        PoolActionResult {
            /// Whether it was carried out.
            success: bool,
            /// The pool.
            pool_id: PoolId,
            /// How many instances it changed.
            instances_affected: u32,
            /// What went wrong, for people.
            errors: Vec<String>,
        },
        /// The counters.
        Metrics(snapshot: MetricsSnapshot),
        /// The end of a tenant's audit log.
        AuditLog {
            /// The entries.
            entries: Vec<AuditEntry>,
            /// How many there are in all.
            total_count: u32,
        },
        /// How instances do.
        HealthStatus {
            /// Each of them.
            instances: Vec<InstanceHealthReport>,
            /// How many do not do well.
            unhealthy_count: u32,
            /// How many do well in part.
            degraded_count: u32,
        },
        /// The history of reconciling.
        ReconcileHistory {
            /// The passes.
            runs: Vec<ReconcileHistoryEntry>,
        },
        /// Everything that is known.
        StateDump(content: Box<StateDumpContent>),
        /// What became of new secrets.
        SecretsUpdateResult {
            /// Whether all instances have them.
            success: bool,
            /// The tenant.
            tenant_id: TenantId,
            /// How many instances have them.
            instances_reloaded: u32,
            /// What went wrong, for people.
            errors: Vec<String>,
        },
        /// What became of a new configuration.
        ConfigUpdateResult {
            /// Whether all instances have it.
            success: bool,
            /// The pool.
            pool_id: PoolId,
            /// How many instances have it.
            instances_updated: u32,
            /// What went wrong, for people.
            errors: Vec<String>,
        },
        /// The events after one.
        SyncEventsResult {
            /// The events, in the coordinator's own vocabulary. Not looked at.
            events: Vec<OpaqueJson>,
            /// The sequence number of the last one that there is.
            current_sequence: u64,
        },
    }
}

document! {
    /// What became of an action on one of several instances.
    #[derive(Eq)]
    pub struct BatchActionItemResult {
        /// The tenant.
        tenant_id: TenantId,
        /// The pool.
        pool_id: PoolId,
        /// The instance.
        instance_id: InstanceId,
        /// Whether it was carried out.
        success: bool,
        /// The status of the instance now. Left out if not known.
        new_status: Option<InstanceStatus> [default; skip_serializing_if = "Option::is_none"],
        /// What went wrong, for people. Left out if nothing.
        error: Option<String> [default; skip_serializing_if = "Option::is_none"],
    }
}
