//! What happened, as data: exactly the entries of 0.13.0.

use alloc::string::String;
use alloc::vec::Vec;

use crate::fleet::document::{document, names};
use crate::fleet::security::{GateDecision, ThreatFinding};
use crate::names::{InstanceId, PoolId, TenantId};
use crate::time::Timestamp;

names! {
    /// What happened on a single host. Closed: a log that 0.13.0 reads holds no other kinds.
    pub enum LocalAuditKind {
        /// A virtual machine was started.
        VmStart = "vm_start",
        /// A virtual machine was stopped.
        VmStop = "vm_stop",
        /// A key was looked up.
        KeyLookup = "key_lookup",
        /// A volume was made.
        VolumeCreate = "volume_create",
        /// A volume was opened.
        VolumeOpen = "volume_open",
        /// A new version of the tool was installed.
        UpdateInstall = "update_install",
        /// The tool was removed.
        Uninstall = "uninstall",
        /// A development network was made.
        NetworkCreate = "network_create",
        /// A development network was removed.
        NetworkRemove = "network_remove",
        /// An image was fetched.
        ImageFetch = "image_fetch",
        /// A template was built.
        TemplateBuild = "template_build",
        /// A template was sent to a registry.
        TemplatePush = "template_push",
        /// A template was taken from a registry.
        TemplatePull = "template_pull",
        /// The configuration was changed.
        ConfigChange = "config_change",
        /// Somebody opened a console.
        ConsoleSessionStart = "console_session_start",
        /// A console was closed.
        ConsoleSessionEnd = "console_session_end",
    }
}

document! {
    /// An entry of the log of a single host.
    #[derive(Eq)]
    pub struct LocalAuditEvent {
        /// When it happened. 0.13.0 wrote the offset `+00:00` and fractions of a second; that is read, and the same
        /// instant is written with `Z`.
        timestamp: Timestamp,
        /// What happened.
        kind: LocalAuditKind,
        /// The virtual machine as it was named. A text and no `VmName`: 0.13.0 logged what it was asked for, whether it
        /// was a name or not, and a log must stay readable.
        vm_name: Option<String>,
        /// What else there is to know, for people.
        detail: Option<String>,
    }
}

impl LocalAuditEvent {
    /// What happened at `now`. (0.13.0's `now` read the clock itself.)
    ///
    /// ```
    /// use mvm_core::audit::{LocalAuditEvent, LocalAuditKind};
    ///
    /// let now = "2026-02-25T12:00:00Z".parse()?;
    /// let event = LocalAuditEvent::new(now, LocalAuditKind::VmStart, Some("dev".into()), None);
    /// assert_eq!(
    ///     serde_json::to_string(&event)?,
    ///     r#"{"timestamp":"2026-02-25T12:00:00Z","kind":"vm_start","vm_name":"dev","detail":null}"#,
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn new(
        now: Timestamp,
        kind: LocalAuditKind,
        vm_name: Option<String>,
        detail: Option<String>,
    ) -> Self {
        Self {
            timestamp: now,
            kind,
            vm_name,
            detail,
        }
    }
}

names! {
    /// What happened to a tenant's pools and instances. Closed: a log that 0.13.0 reads holds no other actions.
    pub enum AuditAction {
        /// An instance was made.
        InstanceCreated = "InstanceCreated",
        /// An instance was booted.
        InstanceStarted = "InstanceStarted",
        /// An instance was stopped.
        InstanceStopped = "InstanceStopped",
        /// A running instance was paused.
        InstanceWarmed = "InstanceWarmed",
        /// A warm instance was put to sleep.
        InstanceSlept = "InstanceSlept",
        /// A warm or sleeping instance went on.
        InstanceWoken = "InstanceWoken",
        /// An instance was removed.
        InstanceDestroyed = "InstanceDestroyed",
        /// A pool was made.
        PoolCreated = "PoolCreated",
        /// A revision of a pool was built.
        PoolBuilt = "PoolBuilt",
        /// A pool was removed.
        PoolDestroyed = "PoolDestroyed",
        /// A tenant was made.
        TenantCreated = "TenantCreated",
        /// A tenant was removed.
        TenantDestroyed = "TenantDestroyed",
        /// More was wanted than the tenant may have.
        QuotaExceeded = "QuotaExceeded",
        /// A tenant's secrets were replaced.
        SecretsRotated = "SecretsRotated",
        /// A snapshot was taken.
        SnapshotCreated = "SnapshotCreated",
        /// An instance was restored from a snapshot.
        SnapshotRestored = "SnapshotRestored",
        /// A snapshot was removed.
        SnapshotDeleted = "SnapshotDeleted",
        /// A transition was put off, because the instance had not been in its status for long enough.
        TransitionDeferred = "TransitionDeferred",
        /// A transition was made although the instance had not been in its status for long enough.
        MinRuntimeOverridden = "MinRuntimeOverridden",
        /// Host and guest opened a session.
        VsockSessionStarted = "VsockSessionStarted",
        /// A session of host and guest ended.
        VsockSessionEnded = "VsockSessionEnded",
        /// A frame came.
        VsockFrameReceived = "VsockFrameReceived",
        /// The gate blocked a command.
        CommandBlocked = "CommandBlocked",
        /// Somebody approved a command.
        CommandApproved = "CommandApproved",
        /// Somebody refused a command, or nobody answered.
        CommandDenied = "CommandDenied",
        /// The classifier found something.
        ThreatDetected = "ThreatDetected",
        /// More frames came than may.
        RateLimitExceeded = "RateLimitExceeded",
        /// A session was ended because it had become too old or had served enough.
        SessionRecycled = "SessionRecycled",
    }
}

document! {
    /// An entry of a node's log for its tenants.
    #[derive(Eq)]
    pub struct AuditEntry {
        /// When it happened.
        timestamp: Timestamp,
        /// Whose log it is in.
        tenant_id: TenantId,
        /// The pool, where it is about one.
        pool_id: Option<PoolId>,
        /// The instance, where it is about one.
        instance_id: Option<InstanceId>,
        /// What happened.
        action: AuditAction,
        /// What else there is to know, for people.
        detail: Option<String>,
        /// What the classifier found. Default nothing.
        threats: Vec<ThreatFinding> [default],
        /// What the gate said, where it was asked.
        gate_decision: Option<GateDecision> [default],
        /// The sequence number of the frame, where it is about one.
        frame_sequence: Option<u64> [default],
    }
}
