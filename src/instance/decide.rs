//! What to do with an idle instance: pure functions of state, policy and time.

use super::{InstanceState, InstanceStatus};
use crate::limits::IDLE_METRICS_AGE_MAX;
use crate::policy::{RuntimePolicy, SleepPolicyConfig};
use crate::time::Timestamp;

/// What [`idle_decision`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum IdleDecision {
    /// Leave it as it is.
    Keep {
        /// The first rule that says so.
        reason: KeepReason,
    },
    /// Make a running instance warm.
    Warm,
    /// Put a warm instance to sleep.
    Sleep,
}

/// Why an instance is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum KeepReason {
    /// A transition is pending.
    Pending,
    /// It is neither running nor warm.
    NotActive,
    /// An operator wants it left alone for so many seconds more.
    ManualOverride {
        /// Seconds, rounded up.
        remaining: u64,
    },
    /// It has not been in its status for long enough.
    TooSoon {
        /// Seconds, rounded up.
        remaining: u64,
    },
    /// There is no measurement, or none since it became running.
    NotMeasured,
    /// The last measurement is more than [`IDLE_METRICS_AGE_MAX`] seconds old.
    StaleMetrics {
        /// Its age in seconds, rounded down.
        age: u64,
    },
    /// The times it was measured at, or became warm at, are all in the future: a clock was set
    /// back. The next measurement heals it.
    ClockWentBack,
    /// It uses at least as much of a processor or the network as the policy's thresholds.
    Busy,
    /// It is idle, but not for long enough.
    NotIdleLongEnough {
        /// Seconds that are missing.
        remaining: u64,
    },
}

/// An instance has not been running, or warm, for as long as its policy wants at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("{remaining} seconds too soon: the policy's minimum has not passed")]
#[non_exhaustive]
pub struct TooSoon {
    /// Seconds to go, rounded up: at least 1.
    pub remaining: u64,
}

impl_error!(TooSoon);

/// Seconds from `earlier` to `later`, rounded down; `None` where `earlier` is later.
fn seconds_between(earlier: Timestamp, later: Timestamp) -> Option<u64> {
    later.duration_since(earlier).map(|time| time.as_secs())
}

/// Seconds, rounded up, from `now` until `minimum` seconds after `since`; `None` where they have
/// passed.
///
/// Where `since` is in the future the clock was set back, and how long ago it really was cannot be
/// known: a wait of up to twice the minimum is believed, so that a small correction of the clock
/// ends no minimum early; a longer one is taken as void, so that a large correction keeps no
/// instance up for days.
pub(crate) fn wait(since: Timestamp, minimum: u64, now: Timestamp) -> Option<u64> {
    match now.duration_since(since) {
        // The whole seconds that have passed are rounded down, so the rest is rounded up.
        Some(passed) => minimum
            .checked_sub(passed.as_secs())
            .filter(|rest| *rest > 0),
        None => {
            let ahead = seconds_until(since, now)?;
            (ahead <= minimum).then(|| minimum.saturating_add(ahead))
        }
    }
}

/// Seconds, rounded up, from `now` until `then`; `None` where `then` is not in the future.
fn seconds_until(then: Timestamp, now: Timestamp) -> Option<u64> {
    let ahead = then.duration_since(now).filter(|ahead| !ahead.is_zero())?;
    let part = u64::from(ahead.subsec_nanos() > 0);
    Some(ahead.as_secs().saturating_add(part))
}

/// Whether an instance has been in its status for as long as its policy wants at least:
/// `min_running_seconds` before running becomes warm, `min_warm_seconds` before warm becomes
/// sleeping. Other statuses have no minimum.
///
/// The minimum is there to damp automatic changes; what an operator asks for (a stop, a destroy)
/// need not ask here.
///
/// - It counts from [`entered_running_at`](InstanceState::entered_running_at) or
///   [`entered_warm_at`](InstanceState::entered_warm_at). Where that is not recorded (0.13.0 did
///   not always) there is no minimum.
/// - Where it lies in the future, the clock was set back: a wait of up to twice the minimum is
///   believed, a longer one is void. So nobody ever waits longer than that.
///
/// # Errors
/// [`TooSoon`] with the seconds to go.
pub fn may_leave(
    state: &InstanceState,
    policy: &RuntimePolicy,
    now: Timestamp,
) -> Result<(), TooSoon> {
    let (since, minimum) = match state.status() {
        InstanceStatus::Running => (state.entered_running_at(), policy.min_running_seconds),
        InstanceStatus::Warm => (state.entered_warm_at(), policy.min_warm_seconds),
        _ => return Ok(()),
    };
    match since.and_then(|since| wait(since, minimum, now)) {
        Some(remaining) => Err(TooSoon { remaining }),
        None => Ok(()),
    }
}

/// Whether an idle instance is to be made warm or put to sleep.
///
/// The rules, the first that applies decides:
/// 1. A pending transition: keep ([`KeepReason::Pending`]).
/// 2. Neither running nor warm: keep.
/// 3. `manual_override_until` is in the future: keep.
/// 4. The minimum of [`may_leave`] has not passed: keep.
/// 5. Running:
///    - No measurement, or the last one is from before the instance became running (it measured
///      another life, or the time before a sleep): keep.
///    - The measurement is in the future: keep ([`KeepReason::ClockWentBack`]). It is older than
///      [`IDLE_METRICS_AGE_MAX`] seconds: keep. Whoever measures is gone then, and an instance
///      must not be paused because its measurements have stopped.
///    - `cpu_pct` or `net_bytes` is not *below* its threshold: keep ([`KeepReason::Busy`]).
///    - It has been idle for `warm_threshold_secs`: [`IdleDecision::Warm`]. Idle are the measured
///      `idle_secs`, or the seconds since `last_busy_at` where these are fewer.
/// 6. Warm. Nothing runs in a paused instance: what was measured before stays true and need not be
///    fresh.
///    - Measured since it became warm, and not below a threshold (somebody talks to it): keep.
///    - It has been idle for `sleep_threshold_secs`: [`IdleDecision::Sleep`]. Idle are the measured
///      `idle_secs` and the seconds since then, or since it became warm where that is later. A time
///      in the future is not counted from; where there is no other, keep
///      ([`KeepReason::ClockWentBack`]); where none is recorded, keep ([`KeepReason::NotMeasured`]).
///
/// ```
/// # use mvm_core::instance::*;
/// # use mvm_core::pool::{RuntimePolicy, SleepPolicyConfig};
/// # let now: mvm_core::time::Timestamp = "2026-02-25T12:00:00Z".parse()?;
/// # let running = r#"{"instance_id":"i-1","pool_id":"web","tenant_id":"acme","status":"running","net":{"tap_dev":"tn0i2","mac":"02:fc:00:00:00:02","guest_ip":"10.0.0.2","gateway_ip":"10.0.0.1","cidr":24},"firecracker_pid":42,"entered_running_at":"2026-02-25T11:00:00Z","idle_metrics":{"idle_secs":600,"cpu_pct":0.5,"net_bytes":10,"last_updated":"2026-02-25T12:00:00Z"}}"#;
/// # let mut state: InstanceState = serde_json::from_str(running)?;
/// // Running for an hour, and idle for the last ten minutes.
/// match idle_decision(&state, &RuntimePolicy::default(), &SleepPolicyConfig::default(), now) {
///     IdleDecision::Warm => { state.begin_action(InstanceAction::Warm, now)?; }
///     IdleDecision::Sleep => { state.begin_action(InstanceAction::Sleep, now)?; }
///     _ => {}
/// }
/// assert_eq!(state.pending().map(|pending| pending.to), Some(InstanceStatus::Warm));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn idle_decision(
    state: &InstanceState,
    runtime: &RuntimePolicy,
    sleep: &SleepPolicyConfig,
    now: Timestamp,
) -> IdleDecision {
    match decide(state, runtime, sleep, now) {
        Ok(decision) => decision,
        Err(reason) => IdleDecision::Keep { reason },
    }
}

fn decide(
    state: &InstanceState,
    runtime: &RuntimePolicy,
    sleep: &SleepPolicyConfig,
    now: Timestamp,
) -> Result<IdleDecision, KeepReason> {
    if state.pending().is_some() {
        return Err(KeepReason::Pending);
    }
    let status = state.status();
    if !status.has_process() {
        return Err(KeepReason::NotActive);
    }
    if let Some(until) = state.manual_override_until
        && let Some(remaining) = seconds_until(until, now)
    {
        return Err(KeepReason::ManualOverride { remaining });
    }
    may_leave(state, runtime, now)
        .map_err(|TooSoon { remaining }| KeepReason::TooSoon { remaining })?;
    let (idle, threshold, decision) = if status == InstanceStatus::Running {
        let idle = idle_running(state, sleep, now)?;
        (idle, sleep.warm_threshold_secs, IdleDecision::Warm)
    } else {
        let idle = idle_warm(state, sleep, now)?;
        (idle, sleep.sleep_threshold_secs, IdleDecision::Sleep)
    };
    match threshold.checked_sub(idle) {
        None | Some(0) => Ok(decision),
        Some(remaining) => Err(KeepReason::NotIdleLongEnough { remaining }),
    }
}

fn busy(state: &InstanceState, sleep: &SleepPolicyConfig) -> bool {
    state.idle_metrics.cpu_pct >= sleep.cpu_threshold
        || state.idle_metrics.net_bytes >= sleep.net_bytes_threshold
}

/// Seconds that a running instance has been idle.
fn idle_running(
    state: &InstanceState,
    sleep: &SleepPolicyConfig,
    now: Timestamp,
) -> Result<u64, KeepReason> {
    let measured = state
        .idle_metrics
        .last_updated
        .ok_or(KeepReason::NotMeasured)?;
    let age = seconds_between(measured, now).ok_or(KeepReason::ClockWentBack)?;
    // Only a time that is not in the future can be compared with the measurement.
    let entered = state.entered_running_at().filter(|entered| *entered <= now);
    if entered.is_some_and(|entered| measured < entered) {
        return Err(KeepReason::NotMeasured);
    }
    if age > IDLE_METRICS_AGE_MAX {
        return Err(KeepReason::StaleMetrics { age });
    }
    if busy(state, sleep) {
        return Err(KeepReason::Busy);
    }
    let idle = state.idle_metrics.idle_secs;
    let since_busy = state
        .last_busy_at
        .and_then(|busy| seconds_between(busy, now));
    Ok(since_busy.map_or(idle, |since| idle.min(since)))
}

/// Seconds that a warm instance has been idle.
fn idle_warm(
    state: &InstanceState,
    sleep: &SleepPolicyConfig,
    now: Timestamp,
) -> Result<u64, KeepReason> {
    let metrics = &state.idle_metrics;
    let (measured, entered) = (metrics.last_updated, state.entered_warm_at());
    if measured.is_none() && entered.is_none() {
        return Err(KeepReason::NotMeasured);
    }
    let past = |time: &Timestamp| *time <= now;
    let measured_now = measured.filter(past);
    if measured_now.is_some() && measured_now >= entered.filter(past) && busy(state, sleep) {
        return Err(KeepReason::Busy);
    }
    // `None` is less than every time.
    let since = measured_now
        .max(entered.filter(past))
        .ok_or(KeepReason::ClockWentBack)?;
    // Without a measurement the seconds before it are unknown, and taken as none.
    let before = measured.map_or(0, |_| metrics.idle_secs);
    let after = seconds_between(since, now).unwrap_or(0);
    Ok(before.saturating_add(after))
}
