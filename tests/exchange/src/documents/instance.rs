use mvm_core::instance::{CommitFacts, Pid};

use super::{Pair, documents, pair};
use crate::source::*;

mod ours {
    pub use mvm_core::idle_metrics::IdleMetrics;
    pub use mvm_core::instance::{InstanceNet, InstanceState, InstanceStatus};
}
mod theirs {
    pub use old::idle_metrics::IdleMetrics;
    pub use old::instance::{InstanceNet, InstanceState, InstanceStatus};
}

documents!(@record ours IdleMetrics { idle_secs, cpu_pct, net_bytes, last_updated });
documents!(@record theirs IdleMetrics { idle_secs, cpu_pct: percent, net_bytes, last_updated: opt(any_time) });
documents!(@choice ours InstanceStatus { Created, Ready, Running, Warm, Sleeping, Stopped, Destroyed });
documents!(@choice theirs InstanceStatus { Created, Ready, Running, Warm, Sleeping, Stopped, Destroyed });

documents!(@record ours InstanceNet { net, offset, guest_ip, gateway_ip, prefix });

impl Any for theirs::InstanceNet {
    fn any(source: &mut Source<'_>) -> Self {
        let (net, offset) = (number(0, 4095)(source), number(1, 254)(source));
        Self {
            tap_dev: old::naming::tap_name(net, offset),
            mac: old::naming::mac_address(net, offset),
            guest_ip: ip4(source),
            gateway_ip: ip4(source),
            cidr: number(0, 32)(source),
        }
    }
}

/// A new instance and what may happen to it. What is pending is not there: 0.13.0 drops it, which
/// `tests/pending.rs` is about.
impl Any for ours::InstanceState {
    fn any(source: &mut Source<'_>) -> Self {
        let mut state = Self::new(
            any(source),
            any(source),
            any(source),
            any(source),
            any(source),
        );
        for _ in 0..source.below(6) {
            let (to, now) = (any(source), any(source));
            if state.begin(to, now).is_err() {
                continue;
            }
            let facts = [
                CommitFacts::default(),
                CommitFacts::process(any::<Pid>(source)),
            ];
            if !facts
                .into_iter()
                .any(|facts| state.commit(now, facts).is_ok())
            {
                state.abort().expect("it is pending");
            }
        }
        state.revision_hash = any(source);
        state.idle_metrics = any(source);
        state.healthy = any(source);
        state.last_health_check_at = any(source);
        state.manual_override_until = any(source);
        state.config_version = any(source);
        state.secrets_epoch = any(source);
        state.last_busy_at = any(source);
        state
    }
}

documents!(@record theirs InstanceState {
    instance_id: id, pool_id: id, tenant_id: id, status, net, role, revision_hash: opt(revision),
    firecracker_pid: opt(number(1, 2_147_483_647)), last_started_at: opt(any_time),
    last_stopped_at: opt(any_time), idle_metrics, healthy, last_health_check_at: opt(any_time),
    manual_override_until: opt(any_time), config_version, secrets_epoch,
    entered_running_at: opt(any_time), entered_warm_at: opt(any_time), last_busy_at: opt(any_time),
});

pub(super) fn pairs() -> Vec<Pair> {
    vec![
        pair!(IdleMetrics),
        pair!(InstanceNet),
        pair!(InstanceState),
        pair!(InstanceStatus),
    ]
}
