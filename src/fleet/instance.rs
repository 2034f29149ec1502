//! The core's records of instances as documents: every problem with its path.
//!
//! What is refused is what the types refuse through serde, and one thing more: an array in the place of an
//! object.

use alloc::string::ToString;
use core::net::Ipv4Addr;

use super::document::{At, Document, Field, Problems, Reason, Text, mirror};
use crate::idle_metrics::{CpuPercent, IdleMetrics};
use crate::instance::{
    InstanceAction, InstanceNet, InstanceState, InstanceStatus, Kept, PendingTransition, Pid,
    PrefixLen,
};
use crate::names::{InstanceId, MacAddr, PoolId, RevisionHash, TapName, TenantId};
use crate::policy::Role;
use crate::time::Timestamp;

impl Document for InstanceStatus {
    const NAME: &'static str = "InstanceStatus";
}

impl Document for InstanceAction {
    const NAME: &'static str = "InstanceAction";
}

impl Document for InstanceNet {
    const NAME: &'static str = "InstanceNet";
}

impl Document for IdleMetrics {
    const NAME: &'static str = "IdleMetrics";
}

/// ```
/// use mvm_core::document::Document;
/// use mvm_core::instance::InstanceState;
///
/// let record = br#"{
///     "instance_id": "i-0a1b2c3d", "pool_id": "workers", "tenant_id": "acme",
///     "status": "idle",
///     "net": {
///         "tap_dev": "tn3i5", "mac": "02:fc:00:03:00:06",
///         "guest_ip": "10.240.3.5", "gateway_ip": "10.240.3.1", "cidr": 33
///     },
///     "firecracker_pid": 0
/// }"#;
/// let invalid = InstanceState::from_json(record).unwrap_err();
/// let paths: Vec<_> = invalid.problems().iter().map(|problem| problem.path.as_str()).collect();
/// assert_eq!(paths, ["status", "net.cidr", "net.mac", "firecracker_pid"]);
/// ```
impl Document for InstanceState {
    const NAME: &'static str = "InstanceState";
}

/// As serde has it: one of the names as they are. `FromStr` takes any case, which is for people.
impl Field for InstanceAction {
    type Raw<'a> = Text<'a>;

    fn read(raw: Text<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let action = Self::ALL
            .into_iter()
            .find(|action| action.as_str() == &*raw);
        if action.is_none() {
            let known = "Start, Stop, Sleep, Wake, Warm, Destroy";
            problems.add(at, Reason::UnknownName { known });
        }
        action
    }

    fn raw(&self) -> Text<'_> {
        Text::from(self.as_str())
    }
}

mirror! {
    NetRaw, NetValues {
        tap_dev: TapName,
        mac: MacAddr,
        guest_ip: Ipv4Addr,
        gateway_ip: Ipv4Addr,
        cidr: PrefixLen,
    }
}

impl Field for InstanceNet {
    type Raw<'a> = NetRaw<'a>;

    fn read(raw: NetRaw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let values = raw.values(at, problems);
        let (tap_dev, mac) = (values.tap_dev?, values.mac?);
        let (net, offset) = tap_dev.parts();
        let derived = MacAddr::new(net, offset);
        if mac != derived {
            let reason = Reason::Mismatch {
                other: at.member("tap_dev").path(),
                expected: derived.to_string(),
            };
            problems.add(&at.member("mac"), reason);
            return None;
        }
        Some(Self::new(
            net,
            offset,
            values.guest_ip?,
            values.gateway_ip?,
            values.cidr?,
        ))
    }

    fn raw(&self) -> NetRaw<'_> {
        NetRaw {
            tap_dev: owned(&self.tap_dev()),
            mac: owned(&self.mac()),
            guest_ip: owned(&self.guest_ip),
            gateway_ip: owned(&self.gateway_ip),
            cidr: self.prefix.get(),
        }
    }
}

/// The mirror of what is made up on the spot.
fn owned(value: &impl ToString) -> Text<'static> {
    Text(value.to_string().into())
}

mirror! {
    MetricsRaw, MetricsValues {
        idle_secs: u64,
        cpu_pct: CpuPercent,
        net_bytes: u64,
        last_updated: Option<Timestamp> [default],
    }
}

/// What a record has that does not say.
fn idle_metrics<'a>() -> MetricsRaw<'a> {
    MetricsRaw {
        idle_secs: 0,
        cpu_pct: 0.0,
        net_bytes: 0,
        last_updated: None,
    }
}

impl Field for IdleMetrics {
    type Raw<'a> = MetricsRaw<'a>;

    fn read(raw: MetricsRaw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let values = raw.values(at, problems);
        Some(Self {
            idle_secs: values.idle_secs?,
            cpu_pct: values.cpu_pct?,
            net_bytes: values.net_bytes?,
            last_updated: values.last_updated?,
        })
    }

    fn raw(&self) -> MetricsRaw<'_> {
        MetricsRaw {
            idle_secs: self.idle_secs,
            cpu_pct: self.cpu_pct.get(),
            net_bytes: self.net_bytes,
            last_updated: self.last_updated.raw(),
        }
    }
}

mirror! {
    PendingRaw, PendingValues {
        to: InstanceStatus,
        since: Timestamp,
    }
}

impl Field for PendingTransition {
    type Raw<'a> = PendingRaw<'a>;

    fn read(raw: PendingRaw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let values = raw.values(at, problems);
        Some(Self {
            to: values.to?,
            since: values.since?,
        })
    }

    fn raw(&self) -> PendingRaw<'_> {
        PendingRaw {
            to: self.to.raw(),
            since: self.since.raw(),
        }
    }
}

/// What a record has that does not say.
fn role<'a>() -> Text<'a> {
    Text::from(Role::Worker.as_str())
}

mirror! {
    StateRaw, StateValues {
        instance_id: InstanceId,
        pool_id: PoolId,
        tenant_id: TenantId,
        status: InstanceStatus,
        net: InstanceNet,
        role: Role [default = "role"],
        revision_hash: Option<RevisionHash>,
        firecracker_pid: Option<Pid>,
        last_started_at: Option<Timestamp>,
        last_stopped_at: Option<Timestamp>,
        idle_metrics: IdleMetrics [default = "idle_metrics"],
        healthy: Option<bool>,
        last_health_check_at: Option<Timestamp>,
        manual_override_until: Option<Timestamp>,
        config_version: Option<u64>,
        secrets_epoch: Option<u64>,
        entered_running_at: Option<Timestamp>,
        entered_warm_at: Option<Timestamp>,
        last_busy_at: Option<Timestamp>,
        pending: Option<PendingTransition>,
    }
}

impl StateRaw<'_> {
    /// The ids of tenant, pool and instance, as they stand there.
    pub(super) fn ids(&self) -> [&str; 3] {
        [&self.tenant_id, &self.pool_id, &self.instance_id]
    }
}

impl Field for InstanceState {
    type Raw<'a> = StateRaw<'a>;

    fn read(raw: StateRaw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        // Told of also where something else makes the transition unreadable.
        let to = raw.pending.as_ref().and_then(|raw| raw.to.parse().ok());
        let values = raw.values(at, problems);
        if let (Some(status), Some(to)) = (values.status, to)
            && let Err(error) = crate::instance::validate_transition(status, to)
        {
            let reason = Reason::Transition(error);
            problems.add(&at.member("pending").member("to"), reason);
            return None;
        }
        let kept = Kept {
            status: values.status?,
            firecracker_pid: values.firecracker_pid?,
            last_started_at: values.last_started_at?,
            last_stopped_at: values.last_stopped_at?,
            entered_running_at: values.entered_running_at?,
            entered_warm_at: values.entered_warm_at?,
            pending: values.pending?,
        };
        let mut state = Self::new(
            values.tenant_id?,
            values.pool_id?,
            values.instance_id?,
            values.net?,
            values.role?,
        );
        state.revision_hash = values.revision_hash?;
        state.idle_metrics = values.idle_metrics?;
        state.healthy = values.healthy?;
        state.last_health_check_at = values.last_health_check_at?;
        state.manual_override_until = values.manual_override_until?;
        state.config_version = values.config_version?;
        state.secrets_epoch = values.secrets_epoch?;
        state.last_busy_at = values.last_busy_at?;
        state.keep(kept).ok()?;
        Some(state)
    }

    fn raw(&self) -> StateRaw<'_> {
        StateRaw {
            instance_id: self.instance_id.raw(),
            pool_id: self.pool_id.raw(),
            tenant_id: self.tenant_id.raw(),
            status: Text::from(self.status().as_str()),
            net: self.net.raw(),
            role: Text::from(self.role.as_str()),
            revision_hash: self.revision_hash.raw(),
            firecracker_pid: self.firecracker_pid().map(Pid::get),
            last_started_at: time(self.last_started_at()),
            last_stopped_at: time(self.last_stopped_at()),
            idle_metrics: self.idle_metrics.raw(),
            healthy: self.healthy,
            last_health_check_at: time(self.last_health_check_at),
            manual_override_until: time(self.manual_override_until),
            config_version: self.config_version,
            secrets_epoch: self.secrets_epoch,
            entered_running_at: time(self.entered_running_at()),
            entered_warm_at: time(self.entered_warm_at()),
            last_busy_at: time(self.last_busy_at),
            pending: self.pending().map(|pending| PendingRaw {
                to: Text::from(pending.to.as_str()),
                since: owned(&pending.since),
            }),
        }
    }
}

fn time(time: Option<Timestamp>) -> Option<Text<'static>> {
    time.as_ref().map(owned)
}
