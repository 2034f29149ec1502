//! What an agent is asked.

use alloc::vec::Vec;

use super::{DesiredState, OpaqueJson};
use crate::fleet::document::{document, document_enum};
use crate::fleet::text::HashText;
use crate::instance::InstanceAction;
use crate::names::{InstanceId, PoolId, RevisionHash, TenantId};
use crate::signing::SignedDocument;
use crate::time::Timestamp;

document_enum! {
    /// What an agent is asked.
    pub enum AgentRequest {
        /// Have this. Not signed: for development only.
        Reconcile(state: DesiredState),
        /// Have what is in the payload, a [`DesiredState`] in JSON, if the signature is right.
        ReconcileSigned(signed: SignedDocument),
        /// Describe the node.
        NodeInfo,
        /// Say how much of the node is in use.
        NodeStats,
        /// List the tenants.
        TenantList,
        /// List a tenant's instances.
        InstanceList {
            /// The tenant.
            tenant_id: TenantId,
            /// Of this pool only.
            pool_id: Option<PoolId>,
        },
        /// Wake an instance at once.
        WakeInstance {
            /// The tenant.
            tenant_id: TenantId,
            /// The pool.
            pool_id: PoolId,
            /// The instance.
            instance_id: InstanceId,
        },
        /// Do something with an instance.
        InstanceAction {
            /// The tenant.
            tenant_id: TenantId,
            /// The pool.
            pool_id: PoolId,
            /// The instance.
            instance_id: InstanceId,
            /// What to do.
            action: InstanceAction,
        },
        /// Pass something on to the guest's agent.
        SandboxAction {
            /// The tenant.
            tenant_id: TenantId,
            /// The pool.
            pool_id: PoolId,
            /// The instance.
            instance_id: InstanceId,
            /// What the guest's agent is asked, in its own vocabulary. Not looked at.
            request: OpaqueJson,
        },
        /// Say how far the deployment of a pool has come.
        DeploymentStatus {
            /// The tenant.
            tenant_id: TenantId,
            /// The pool.
            pool_id: PoolId,
        },
        /// Pause a deployment.
        PauseDeployment {
            /// The tenant.
            tenant_id: TenantId,
            /// The pool.
            pool_id: PoolId,
        },
        /// Go on with a deployment that was paused.
        ResumeDeployment {
            /// The tenant.
            tenant_id: TenantId,
            /// The pool.
            pool_id: PoolId,
        },
        /// Give the instances of a pool a former revision again.
        RollbackDeployment {
            /// The tenant.
            tenant_id: TenantId,
            /// The pool.
            pool_id: PoolId,
            /// The revision. Default the one before.
            target_revision: Option<RevisionHash> [default],
        },
        /// Do something with several instances.
        BatchInstanceAction {
            /// With which, and what.
            actions: Vec<BatchActionItem>,
        },
        /// Do something with all instances of a pool.
        PoolAction {
            /// The tenant.
            tenant_id: TenantId,
            /// The pool.
            pool_id: PoolId,
            /// What to do.
            action: PoolActionType,
        },
        /// Give the counters.
        GetMetrics,
        /// Give the end of a tenant's audit log.
        GetAuditLog {
            /// The tenant.
            tenant_id: TenantId,
            /// So many entries at most. Default all.
            last_n: Option<u32> [default],
            /// Entries since then only. Default all.
            since: Option<Timestamp> [default],
        },
        /// Say how instances do.
        GetHealthStatus {
            /// Of this tenant only. Default all.
            tenant_id: Option<TenantId> [default],
            /// Of this pool only. Default all.
            pool_id: Option<PoolId> [default],
        },
        /// Give the history of reconciling.
        GetReconcileHistory {
            /// So many entries at most. Default all.
            last_n: Option<u32> [default],
        },
        /// Reconcile now.
        ForceReconcile {
            /// Only say what would be done.
            dry_run: bool,
        },
        /// Give everything that is known, for finding errors.
        DumpState {
            /// The counters too.
            include_metrics: bool,
            /// The end of the audit log too.
            include_audit_log: bool,
        },
        /// Take new secrets without restarting instances.
        UpdateSecrets {
            /// The tenant.
            tenant_id: TenantId,
            /// The hash of the new secrets.
            secrets_hash: HashText,
            /// Also where the hash says that they are the same.
            force_reload: bool,
        },
        /// Take a new configuration for the instances of a pool.
        UpdateConfig {
            /// The tenant.
            tenant_id: TenantId,
            /// The pool.
            pool_id: PoolId,
            /// Its version.
            config_version: u64,
        },
        /// Give the events after one. Where they are no longer there, the answer is a whole state.
        SyncEvents {
            /// The sequence number of the last one that is known.
            since: u64,
        },
    }
}

document! {
    /// What to do with one of several instances.
    #[derive(Eq)]
    pub struct BatchActionItem {
        /// The tenant.
        tenant_id: TenantId,
        /// The pool.
        pool_id: PoolId,
        /// The instance.
        instance_id: InstanceId,
        /// What to do.
        action: InstanceAction,
    }
}

document_enum! {
    /// What to do with all instances of a pool.
    #[derive(Copy, Eq)]
    pub enum PoolActionType {
        /// Boot them.
        StartAll as "start_all",
        /// Stop them.
        StopAll as "stop_all",
        /// Pause them.
        WarmAll as "warm_all",
        /// Remove them.
        DestroyAll {
            /// And what they stored.
            wipe_volumes: bool,
        } as "destroy_all",
        /// Have so many.
        ScaleTo {
            /// Running instances.
            running: u32,
            /// Warm instances.
            warm: u32,
            /// Sleeping instances.
            sleeping: u32,
        } as "scale_to",
    }
}
