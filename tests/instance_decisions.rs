//! Minimum runtimes and idle decisions: every rule of their documentation, and clocks set back.
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use InstanceStatus::{Destroyed, Ready, Running, Sleeping, Stopped, Warm};
use mvm_core::idle_metrics::{CpuPercent, IdleMetrics};
use mvm_core::instance::{
    CommitFacts, IdleDecision, InstanceState, InstanceStatus, KeepReason, Pid, idle_decision,
    may_leave,
};
use mvm_core::pool::{Role, RuntimePolicy, SleepPolicyConfig};
use mvm_core::time::Timestamp;
use proptest::prelude::*;

/// Running from `ENTERED`, warm from `ENTERED` + `WARM_AFTER`.
const ENTERED: i64 = 1_000_000;
const WARM_AFTER: i64 = 400;

fn at(seconds: i64) -> Timestamp {
    Timestamp::new(seconds, 0).unwrap()
}

fn enter(state: &mut InstanceState, to: InstanceStatus, now: i64) {
    state.begin(to, at(now)).unwrap();
    let new = to == Running && state.status() != Warm;
    let facts = if new {
        CommitFacts::process(Pid::new(9).unwrap())
    } else {
        CommitFacts::default()
    };
    state.commit(at(now), facts).unwrap();
}

fn ready() -> InstanceState {
    let net = serde_json::from_str(
        r#"{"tap_dev":"tn3i5","mac":"02:fc:00:03:00:05","guest_ip":"10.240.3.5","gateway_ip":"10.240.3.1","cidr":24}"#,
    );
    let mut state = InstanceState::new(
        "acme".parse().unwrap(),
        "workers".parse().unwrap(),
        "i-1".parse().unwrap(),
        net.unwrap(),
        Role::Worker,
    );
    enter(&mut state, Ready, ENTERED - 10);
    state
}

fn metrics(idle_secs: u64, cpu: f32, net_bytes: u64, measured: Option<i64>) -> IdleMetrics {
    IdleMetrics {
        idle_secs,
        cpu_pct: CpuPercent::new(cpu).unwrap(),
        net_bytes,
        last_updated: measured.map(at),
    }
}

/// Running, idle for 300 s when it was measured 310 s after it began to run.
fn running() -> InstanceState {
    let mut state = ready();
    enter(&mut state, Running, ENTERED);
    state.idle_metrics = metrics(300, 4.9, 1023, Some(ENTERED + 310));
    state
}

/// The same, made warm 90 s later.
fn warm() -> InstanceState {
    let mut state = running();
    enter(&mut state, Warm, ENTERED + WARM_AFTER);
    state
}

fn decide(state: &InstanceState, now: i64) -> IdleDecision {
    idle_decision(
        state,
        &RuntimePolicy::default(),
        &SleepPolicyConfig::default(),
        at(now),
    )
}

fn keep(reason: KeepReason) -> IdleDecision {
    IdleDecision::Keep { reason }
}

/// Each rule for a running instance: what differs from the idle one, and what is said.
#[test]
fn running_to_warm() {
    type Change = fn(&mut InstanceState);
    let now = ENTERED + 320;
    let missing = |remaining| keep(KeepReason::NotIdleLongEnough { remaining });
    let cases: [(&str, i64, Change, IdleDecision); 22] = [
        ("idle", now, |_| {}, IdleDecision::Warm),
        (
            "measured just now",
            ENTERED + 310,
            |_| {},
            IdleDecision::Warm,
        ),
        (
            "pending",
            now,
            |s| {
                s.begin(Stopped, at(0)).unwrap();
            },
            keep(KeepReason::Pending),
        ),
        (
            "left alone",
            now,
            |s| s.manual_override_until = Some(at(ENTERED + 330)),
            keep(KeepReason::ManualOverride { remaining: 10 }),
        ),
        (
            "left alone until now",
            now,
            |s| s.manual_override_until = Some(at(ENTERED + 320)),
            IdleDecision::Warm,
        ),
        (
            "too soon",
            ENTERED + 59,
            |_| {},
            keep(KeepReason::TooSoon { remaining: 1 }),
        ),
        (
            "cpu at the threshold",
            now,
            |s| s.idle_metrics.cpu_pct = CpuPercent::new(5.0).unwrap(),
            keep(KeepReason::Busy),
        ),
        (
            "net at the threshold",
            now,
            |s| s.idle_metrics.net_bytes = 1024,
            keep(KeepReason::Busy),
        ),
        (
            "one second short",
            now,
            |s| s.idle_metrics.idle_secs = 299,
            missing(1),
        ),
        (
            "just worked",
            now,
            |s| s.idle_metrics.idle_secs = 0,
            missing(300),
        ),
        (
            "work the measurement missed",
            now,
            |s| s.last_busy_at = Some(at(ENTERED + 300)),
            missing(280),
        ),
        (
            "work long ago",
            now,
            |s| s.last_busy_at = Some(at(ENTERED)),
            IdleDecision::Warm,
        ),
        (
            "work in the future",
            now,
            |s| s.last_busy_at = Some(at(now_plus(1_000_000))),
            IdleDecision::Warm,
        ),
        (
            "never measured",
            now,
            |s| s.idle_metrics.last_updated = None,
            keep(KeepReason::NotMeasured),
        ),
        (
            "measured before it ran",
            now,
            |s| s.idle_metrics.last_updated = Some(at(ENTERED - 1)),
            keep(KeepReason::NotMeasured),
        ),
        (
            "measured in the future",
            ENTERED + 309,
            |_| {},
            keep(KeepReason::ClockWentBack),
        ),
        (
            "measured 120 s ago",
            ENTERED + 430,
            |_| {},
            IdleDecision::Warm,
        ),
        (
            "measured 121 s ago",
            ENTERED + 431,
            |_| {},
            keep(KeepReason::StaleMetrics { age: 121 }),
        ),
        (
            "a clock set back a little",
            ENTERED - 20,
            |_| {},
            keep(KeepReason::TooSoon { remaining: 80 }),
        ),
        (
            "a clock set back a lot",
            1000,
            |s| s.idle_metrics.last_updated = Some(at(990)),
            IdleDecision::Warm,
        ),
        (
            "a clock set back a lot, not measured since",
            1000,
            |_| {},
            keep(KeepReason::ClockWentBack),
        ),
        (
            "idle for ever",
            now,
            |s| s.idle_metrics.idle_secs = u64::MAX,
            IdleDecision::Warm,
        ),
    ];
    for (name, now, change, decision) in cases {
        let mut state = running();
        change(&mut state);
        assert_eq!(decide(&state, now), decision, "{name}");
    }
}

const fn now_plus(seconds: i64) -> i64 {
    ENTERED + 320 + seconds
}

/// Each rule for a warm instance. Idle for 300 s when measured at +310, warm at +400: asleep when
/// 600 s have passed since.
#[test]
fn warm_to_sleeping() {
    type Change = fn(&mut InstanceState);
    let now = ENTERED + 1000;
    let missing = |remaining| keep(KeepReason::NotIdleLongEnough { remaining });
    let cases: [(&str, i64, Change, IdleDecision); 14] = [
        ("idle", now, |_| {}, IdleDecision::Sleep),
        ("one second short", now - 1, |_| {}, missing(1)),
        (
            "pending",
            now,
            |s| {
                s.begin(Running, at(0)).unwrap();
            },
            keep(KeepReason::Pending),
        ),
        (
            "left alone",
            now,
            |s| s.manual_override_until = Some(at(ENTERED + 1001)),
            keep(KeepReason::ManualOverride { remaining: 1 }),
        ),
        (
            "too soon",
            ENTERED + 429,
            |_| {},
            keep(KeepReason::TooSoon { remaining: 1 }),
        ),
        (
            "soon enough, not long enough",
            ENTERED + 430,
            |_| {},
            missing(570),
        ),
        // What was measured before does not matter any more, however busy it was: it is paused.
        (
            "busy before",
            now,
            |s| s.idle_metrics.cpu_pct = CpuPercent::new(99.0).unwrap(),
            IdleDecision::Sleep,
        ),
        (
            "somebody talks to it",
            now,
            |s| s.idle_metrics = metrics(950, 0.0, 5000, Some(ENTERED + 950)),
            keep(KeepReason::Busy),
        ),
        (
            "measured since",
            now,
            |s| s.idle_metrics = metrics(840, 0.0, 0, Some(ENTERED + 940)),
            IdleDecision::Sleep,
        ),
        (
            "measured since, not long enough",
            now,
            |s| s.idle_metrics = metrics(839, 0.0, 0, Some(ENTERED + 940)),
            missing(1),
        ),
        (
            "never measured",
            now,
            |s| s.idle_metrics = IdleMetrics::default(),
            missing(300),
        ),
        (
            "never measured, long ago",
            ENTERED + 1300,
            |s| s.idle_metrics = IdleMetrics::default(),
            IdleDecision::Sleep,
        ),
        (
            "a clock set back a lot",
            1000,
            |_| {},
            keep(KeepReason::ClockWentBack),
        ),
        (
            "a clock set back a lot, measured since",
            1000,
            |s| s.idle_metrics = metrics(890, 0.0, 0, Some(990)),
            IdleDecision::Sleep,
        ),
    ];
    for (name, now, change, decision) in cases {
        let mut state = warm();
        change(&mut state);
        assert_eq!(decide(&state, now), decision, "{name}");
    }
}

/// A record of 0.13.0 may lack the times of entering.
#[test]
fn unknown_times() {
    let strip = |state: &InstanceState| -> InstanceState {
        let mut json = serde_json::to_value(state).unwrap();
        json["entered_running_at"] = serde_json::Value::Null;
        json["entered_warm_at"] = serde_json::Value::Null;
        serde_json::from_value(json).unwrap()
    };
    let mut state = strip(&running());
    assert_eq!(
        may_leave(&state, &RuntimePolicy::default(), at(ENTERED)),
        Ok(())
    );
    assert_eq!(decide(&state, ENTERED + 320), IdleDecision::Warm);
    state = strip(&warm());
    assert_eq!(decide(&state, ENTERED + 910), IdleDecision::Sleep);
    assert_eq!(
        decide(&state, ENTERED + 909),
        keep(KeepReason::NotIdleLongEnough { remaining: 1 })
    );
    state.idle_metrics = IdleMetrics::default();
    assert_eq!(
        decide(&state, ENTERED + 5000),
        keep(KeepReason::NotMeasured)
    );
}

#[test]
fn other_statuses_are_left_alone() {
    let mut state = ready();
    let mut seen = 0;
    for to in [Running, Warm, Sleeping, Stopped, Destroyed] {
        if !state.status().has_process() {
            seen += 1;
            assert_eq!(decide(&state, ENTERED + 5000), keep(KeepReason::NotActive));
            assert_eq!(may_leave(&state, &RuntimePolicy::default(), at(0)), Ok(()));
        }
        enter(&mut state, to, ENTERED);
    }
    assert_eq!(
        (seen, decide(&state, ENTERED)),
        (3, keep(KeepReason::NotActive))
    );
}

/// With a threshold of 0 nothing counts as idle, and with thresholds out of reach everything does.
#[test]
fn thresholds_at_the_ends() {
    let decide = |policy: SleepPolicyConfig| {
        let mut state = running();
        state.idle_metrics.cpu_pct = CpuPercent::ZERO;
        state.idle_metrics.net_bytes = 0;
        idle_decision(
            &state,
            &RuntimePolicy::default(),
            &policy,
            at(ENTERED + 320),
        )
    };
    let default = SleepPolicyConfig::default();
    assert_eq!(decide(default), IdleDecision::Warm);
    let never = SleepPolicyConfig {
        cpu_threshold: CpuPercent::ZERO,
        ..default
    };
    assert_eq!(decide(never), keep(KeepReason::Busy));
    let never = SleepPolicyConfig {
        net_bytes_threshold: 0,
        ..default
    };
    assert_eq!(decide(never), keep(KeepReason::Busy));
    let at_once = SleepPolicyConfig {
        warm_threshold_secs: 0,
        ..default
    };
    assert_eq!(decide(at_once), IdleDecision::Warm);
    let never = SleepPolicyConfig {
        warm_threshold_secs: u64::MAX,
        ..default
    };
    assert_eq!(
        decide(never),
        keep(KeepReason::NotIdleLongEnough {
            remaining: u64::MAX - 300
        })
    );
}

proptest! {
    /// A minimum counts down, second by second, and nobody waits longer than twice the minimum.
    #[test]
    fn minimum(passed in -5000..5000_i64, nanos in 0..1_000_000_000_u32, minimum in 0..2000_u64) {
        let policy = RuntimePolicy { min_running_seconds: minimum, ..RuntimePolicy::default() };
        let now = Timestamp::new(ENTERED + passed, nanos).unwrap();
        let remaining = may_leave(&running(), &policy, now).err().map(|error| error.remaining);
        // In nanoseconds, and rounded up.
        let wait = (i128::from(minimum) - i128::from(passed)) * 1_000_000_000 - i128::from(nanos);
        let expected = u64::try_from((wait + 999_999_999).div_euclid(1_000_000_000)).unwrap_or(0);
        if expected == 0 || expected > 2 * minimum {
            prop_assert_eq!(remaining, None);
        } else {
            prop_assert_eq!(remaining, Some(expected));
        }
    }

    /// Whatever the numbers are: no panic, and no instance moves before its minimum or beyond what
    /// its status may become.
    #[test]
    fn any_numbers(
        seconds in proptest::array::uniform5(any::<i64>()),
        idle in any::<u64>(),
        policy in proptest::array::uniform4(any::<u64>()),
        is_warm in any::<bool>(),
    ) {
        let range = Timestamp::MAX.seconds() - Timestamp::MIN.seconds();
        let [now, measured, busy, until, entered] =
            seconds.map(|s| s.rem_euclid(range) + Timestamp::MIN.seconds());
        let mut state = ready();
        enter(&mut state, Running, entered);
        if is_warm {
            enter(&mut state, Warm, entered);
        }
        state.idle_metrics = metrics(idle, 0.0, 0, Some(measured));
        state.last_busy_at = Some(at(busy));
        state.manual_override_until = Some(at(until));
        let [min_running_seconds, min_warm_seconds, warm_threshold_secs, sleep_threshold_secs] = policy;
        let runtime = RuntimePolicy { min_running_seconds, min_warm_seconds, ..RuntimePolicy::default() };
        let sleep = SleepPolicyConfig { warm_threshold_secs, sleep_threshold_secs, ..SleepPolicyConfig::default() };
        let to = match idle_decision(&state, &runtime, &sleep, at(now)) {
            IdleDecision::Warm => Warm,
            IdleDecision::Sleep => Sleeping,
            _ => return Ok(()),
        };
        prop_assert!(may_leave(&state, &runtime, at(now)).is_ok());
        prop_assert!(until <= now);
        prop_assert!(state.begin(to, at(now)).is_ok());
    }
}
