use mvm_core::security as ours;
use old::security as theirs;

use super::documents;
use crate::source::*;

impl Any for ours::MatchedText {
    fn any(source: &mut Source<'_>) -> Self {
        text(source).into()
    }
}

documents! {
    record AuthenticatedFrame { version, session_id: id, sequence, timestamp: any_time, signed }
    record SessionHello { version, session_id: id, challenge: exactly(32, any), host_pubkey: exactly(32, any) }
    record SessionHelloAck {
        version, session_id: id, challenge_response: exactly(64, any), guest_pubkey: exactly(32, any),
    }
    record SecurityPolicy { require_auth, access, rate_limits, session, blocklist }
    record AccessPolicy { filesystem, network, build, host_communication, debug_exec, console }
    record RateLimitPolicy { frames_per_second, frames_per_minute }
    record SessionPolicy { max_lifetime_secs, max_tasks }
    choice GateDecision { Allow, Blocked { pattern, reason }, RequiresApproval { reason } }
    choice ApprovalVerdict { Approved, Denied { reason }, Timeout }
    choice BlocklistAction { Block, RequireApproval, Log }
    choice BlocklistSeverity { Low, Medium, High, Critical }
    record BlocklistEntry { pattern, category, severity, action }
    choice ThreatCategory {
        SecretExposure, DataExfiltration, Injection, Destructive, PrivilegeEscalation, SupplyChain,
        SensitiveFileAccess, SystemModification, NetworkAbuse, ToolPoisoning,
    }
    choice Severity { Info, Low, Medium, High, Critical }
    record ThreatFinding { category, pattern_id, severity, matched_text, context }
    choice SecurityLayer {
        JailerIsolation, CgroupLimits, SeccompFilter, NetworkIsolation, VsockAuth, EncryptionAtRest,
        EncryptionInTransit, AuditLogging, SecretManagement, ConfigImmutability, GuestHardening,
        SupplyChainIntegrity,
    }
    record PostureCheck { layer, name, passed, detail }
    record PostureReport { checks, score, timestamp: any_time }
}
