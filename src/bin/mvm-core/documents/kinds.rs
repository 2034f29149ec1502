//! The types of documents, by name.

use mvm_core::document::Document;

use super::report::Report;

/// A type of documents.
#[derive(Debug)]
pub(crate) struct Kind {
    name: &'static str,
    type_name: &'static str,
    check: fn(&[u8]) -> Report,
}

impl Kind {
    const fn of<T: Document>(name: &'static str) -> Self {
        Self {
            name,
            type_name: T::NAME,
            check: |json| Report::of::<T>(json).1,
        }
    }

    /// The name of the Rust type.
    pub(super) const fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// Checks a document, which is JSON.
    pub(crate) fn check(&self, json: &[u8]) -> Report {
        (self.check)(json)
    }
}

macro_rules! kinds {
    ($($($module:ident)::+ { $($name:literal $type:ident),+ $(,)? })+) => {
        /// One array for each module: a macro cannot repeat a path within its types.
        const KINDS: &[&[Kind]] = &[$({
            use mvm_core::$($module)::+::{$($type),+};

            &[$(Kind::of::<$type>($name)),+]
        }),+];
    };
}

kinds! {
    agent {
        "desired-state" DesiredState,
        "desired-tenant" DesiredTenant,
        "desired-tenant-network" DesiredTenantNetwork,
        "desired-pool" DesiredPool,
        "agent-request" AgentRequest,
        "agent-response" AgentResponse,
        "reconcile-report" ReconcileReport,
        "reconcile-history-entry" ReconcileHistoryEntry,
        "deployment-phase" DeploymentPhase,
        "batch-action-item" BatchActionItem,
        "batch-action-item-result" BatchActionItemResult,
        "pool-action-type" PoolActionType,
        "instance-health-report" InstanceHealthReport,
        "integration-health-summary" IntegrationHealthSummary,
        "probe-result-summary" ProbeResultSummary,
        "state-dump-content" StateDumpContent,
        "tenant-state-dump" TenantStateDump,
        "pool-state-dump" PoolStateDump,
    }
    agent::admission {
        "timed-state" TimedState,
        "admission-record" AdmissionRecord,
    }
    audit {
        "local-audit-kind" LocalAuditKind,
        "local-audit-event" LocalAuditEvent,
        "audit-action" AuditAction,
        "audit-entry" AuditEntry,
    }
    catalog {
        "catalog-entry" CatalogEntry,
        "catalog" Catalog,
    }
    dev_network {
        "dev-network" DevNetwork,
    }
    idle_metrics {
        "idle-metrics" IdleMetrics,
    }
    instance {
        "instance-status" InstanceStatus,
        "instance-action" InstanceAction,
        "instance-net" InstanceNet,
        "instance-state" InstanceState,
    }
    node {
        "node-info" NodeInfo,
        "node-stats" NodeStats,
    }
    observability::metrics {
        "metrics-snapshot" MetricsSnapshot,
    }
    pool {
        "pool-spec" PoolSpec,
        "pool-metadata" PoolMetadata,
        "role" Role,
        "runtime-policy" RuntimePolicy,
        "sleep-policy-config" SleepPolicyConfig,
        "update-strategy" UpdateStrategy,
        "build-revision" BuildRevision,
        "artifact-paths" ArtifactPaths,
        "artifact-sizes" ArtifactSizes,
        "registry-artifact" RegistryArtifact,
        "rolling-update-strategy" RollingUpdateStrategy,
        "canary-strategy" CanaryStrategy,
        "secret-scope" SecretScope,
        "seccomp-policy" SeccompPolicy,
        "snapshot-compression" SnapshotCompression,
        "instance-resources" InstanceResources,
        "desired-counts" DesiredCounts,
    }
    protocol {
        "hostd-request" HostdRequest,
        "hostd-response" HostdResponse,
        "client-hello" ClientHello,
        "server-hello" ServerHello,
        "hostd-call" HostdCall,
        "hostd-answer" HostdAnswer,
    }
    reconcile {
        "node-records" NodeRecords,
        "tenant-records" TenantRecords,
        "pool-records" PoolRecords,
    }
    routing {
        "routing-table" RoutingTable,
        "route" Route,
        "match-rule" MatchRule,
        "route-target" RouteTarget,
        "instance-selector" InstanceSelector,
    }
    secret_binding {
        "secret-binding" SecretBinding,
        "resolved-secrets" ResolvedSecrets,
        "resolved-binding" ResolvedBinding,
    }
    security {
        "security-policy" SecurityPolicy,
        "access-policy" AccessPolicy,
        "rate-limit-policy" RateLimitPolicy,
        "session-policy" SessionPolicy,
        "gate-decision" GateDecision,
        "approval-verdict" ApprovalVerdict,
        "blocklist-entry" BlocklistEntry,
        "blocklist-action" BlocklistAction,
        "blocklist-severity" BlocklistSeverity,
        "threat-finding" ThreatFinding,
        "threat-category" ThreatCategory,
        "severity" Severity,
        "posture-report" PostureReport,
        "posture-check" PostureCheck,
        "security-layer" SecurityLayer,
        "authenticated-frame" AuthenticatedFrame,
        "session-hello" SessionHello,
        "session-hello-ack" SessionHelloAck,
    }
    signing {
        "signed-payload" SignedDocument,
    }
    template {
        "template-config" TemplateConfig,
        "template-variant" TemplateVariant,
        "template-spec" TemplateSpec,
        "snapshot-info" SnapshotInfo,
        "template-kind" TemplateKind,
        "template-revision" TemplateRevision,
    }
    tenant {
        "tenant-config" TenantConfig,
        "tenant-quota" TenantQuota,
        "tenant-net" TenantNet,
    }
    vm_backend {
        "vm-info" VmInfo,
        "vm-id" VmId,
        "vm-status" VmStatus,
        "vm-port-mapping" VmPortMapping,
        "vm-network-info" VmNetworkInfo,
        "guest-channel-info" GuestChannelInfo,
    }
}

pub(super) fn names() -> Vec<&'static str> {
    KINDS
        .iter()
        .copied()
        .flatten()
        .map(|kind| kind.name)
        .collect()
}

pub(super) fn find(name: &str) -> Option<&'static Kind> {
    KINDS
        .iter()
        .copied()
        .flatten()
        .find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_types_in_kebab_case_and_unique() {
        let mut seen = alloc::collections::BTreeSet::new();
        for kind in KINDS.iter().copied().flatten() {
            let mut name = alloc::string::String::new();
            for (at, letter) in kind.type_name.char_indices() {
                if at > 0 && letter.is_ascii_uppercase() {
                    name.push('-');
                }
                name.push(letter.to_ascii_lowercase());
            }
            assert_eq!(kind.name, name);
            assert!(seen.insert(name));
            assert_eq!(kind.check(b"").kind, kind.type_name);
        }
    }
}
