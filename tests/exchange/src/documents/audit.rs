use mvm_core::audit as ours;
use old::audit as theirs;

use super::documents;
use crate::source::*;

documents! {
    choice LocalAuditKind {
        VmStart, VmStop, KeyLookup, VolumeCreate, VolumeOpen, UpdateInstall, Uninstall, NetworkCreate,
        NetworkRemove, ImageFetch, TemplateBuild, TemplatePush, TemplatePull, ConfigChange,
        ConsoleSessionStart, ConsoleSessionEnd,
    }
    record LocalAuditEvent { timestamp: any_time, kind, vm_name: opt(id), detail }
    choice AuditAction {
        InstanceCreated, InstanceStarted, InstanceStopped, InstanceWarmed, InstanceSlept, InstanceWoken,
        InstanceDestroyed, PoolCreated, PoolBuilt, PoolDestroyed, TenantCreated, TenantDestroyed,
        QuotaExceeded, SecretsRotated, SnapshotCreated, SnapshotRestored, SnapshotDeleted,
        TransitionDeferred, MinRuntimeOverridden, VsockSessionStarted, VsockSessionEnded,
        VsockFrameReceived, CommandBlocked, CommandApproved, CommandDenied, ThreatDetected,
        RateLimitExceeded, SessionRecycled,
    }
    record AuditEntry {
        timestamp: any_time, tenant_id: id, pool_id: opt(id), instance_id: opt(id), action, detail, threats,
        gate_decision, frame_sequence,
    }
}
