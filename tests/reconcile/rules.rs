//! Each rule on a small fleet: what there is, what is wanted, and the plan as people read it.

use std::collections::BTreeMap;

use mvm_core::instance::InstanceState;
use mvm_core::instance::InstanceStatus::{self, Ready, Running, Sleeping, Stopped, Warm};
use mvm_core::naming::{HostOffset, InstanceId, RevisionHash};
use mvm_core::pool::{CanaryStrategy, DesiredCounts, Role, RollingUpdateStrategy, UpdateStrategy};
use mvm_core::reconcile::{NodeState, PoolState, ReconcilePolicy, TenantState, plan};

use crate::random::{Fleet, desired_pool, desired_state, desired_tenant, now};
use crate::sim::{config, go, net, seconds, spec};

/// A tenant `acme` with a pool of each name: statuses of its instances, which it has had for 1,000
/// seconds, and the wanted counts. Pools whose name begins with `g` are gateways.
fn fleet(pools: &[(&str, &[InstanceStatus], [u32; 3])]) -> Fleet {
    let mut want = desired_tenant(3, "acme");
    let mut have = TenantState {
        config: config(&want, now()),
        pools: BTreeMap::new(),
    };
    let mut number = 1;
    for (id, statuses, [running, warm, sleeping]) in pools {
        let mut pool = desired_pool(id);
        if id.starts_with('g') {
            pool.role = Role::Gateway;
        }
        pool.desired_counts = DesiredCounts {
            running: *running,
            warm: *warm,
            sleeping: *sleeping,
        };
        let mut state = PoolState {
            spec: spec(&want.tenant_id, &pool),
            built: Some(RevisionHash::new("r1").unwrap()),
            instances: Vec::new(),
        };
        for status in *statuses {
            number += 1;
            let mut instance = InstanceState::new(
                want.tenant_id.clone(),
                pool.pool_id.clone(),
                InstanceId::new(&format!("i{number}")).unwrap(),
                net(&have.config.net, HostOffset::new(number).unwrap()),
                pool.role,
            );
            let way: &[InstanceStatus] = match status {
                Running => &[Ready, Running],
                Warm => &[Ready, Running, Warm],
                Sleeping => &[Ready, Running, Warm, Sleeping],
                Stopped => &[Ready, Running, Stopped],
                _ => &[Ready],
            };
            for to in way {
                go(&mut instance, *to, seconds(now(), -1000));
            }
            instance.revision_hash = state.built.clone();
            instance.healthy = Some(true);
            instance.last_health_check_at = Some(seconds(now(), -5));
            state.instances.push(instance);
        }
        have.pools.insert(pool.pool_id.clone(), state);
        want.pools.push(pool);
    }
    let mut desired = desired_state();
    let node = NodeState {
        tenants: BTreeMap::from([(want.tenant_id.clone(), have)]),
    };
    desired.tenants.push(want);
    Fleet {
        node,
        desired,
        policy: ReconcilePolicy::default(),
        now: now(),
    }
}

fn text(fleet: &Fleet) -> Vec<String> {
    let plan = plan(&fleet.node, &fleet.desired, &fleet.policy, fleet.now);
    plan.to_string()
        .lines()
        .map(|line| line.replace("acme/", ""))
        .collect()
}

fn tenant(fleet: &mut Fleet) -> &mut TenantState {
    fleet.node.tenants.values_mut().next().unwrap()
}

fn pool<'a>(fleet: &'a mut Fleet, id: &str) -> &'a mut PoolState {
    tenant(fleet).pools.get_mut(id).unwrap()
}

#[test]
fn which_instance_is_chosen() {
    for (name, has, wants, plan) in [
        (
            "nothing to do",
            &[Running, Warm][..],
            [1, 1, 0],
            &["nothing to do"][..],
        ),
        (
            "a wake before a start",
            &[Stopped, Sleeping],
            [1, 0, 0],
            &["wake w/i3"],
        ),
        (
            "a start where the sleeping one is wanted",
            &[Stopped, Sleeping],
            [1, 0, 1],
            &["start w/i2"],
        ),
        (
            "a stopped one before a ready one",
            &[Ready, Stopped],
            [1, 0, 0],
            &["start w/i3"],
        ),
        (
            "a new one at the lowest place",
            &[Running],
            [2, 0, 0],
            &["create w/new@3", "prepare w/new@3", "start w/new@3"],
        ),
        (
            "the lowest goes",
            &[Running, Running],
            [1, 0, 0],
            &["stop w/i2"],
        ),
        (
            "down to warm",
            &[Running, Running],
            [1, 1, 0],
            &["warm w/i2"],
        ),
        (
            "a stop out of running",
            &[Running, Sleeping],
            [0, 0, 1],
            &["stop w/i2"],
        ),
    ] {
        assert_eq!(text(&fleet(&[("w", has, wants)])), plan, "{name}");
    }
    let mut unhealthy = fleet(&[("w", &[Running, Running], [1, 0, 0])]);
    pool(&mut unhealthy, "w").instances[1].healthy = Some(false);
    assert_eq!(text(&unhealthy), ["stop w/i3"]);
    let mut idle = fleet(&[("w", &[Running, Running], [1, 0, 0])]);
    pool(&mut idle, "w").instances[1].last_busy_at = Some(seconds(now(), -900));
    assert_eq!(text(&idle), ["stop w/i3"]);
}

#[test]
fn what_is_left_alone() {
    let surplus = || fleet(&[("w", &[Running, Warm], [0, 0, 1])]);
    assert_eq!(text(&surplus()), ["sleep w/i3", "stop w/i2"]);

    let mut pinned = surplus();
    tenant(&mut pinned).config.pinned = true;
    assert_eq!(
        text(&pinned),
        ["sleep w/i3", "w: stop 1 waits: the tenant is pinned"]
    );

    let mut pinned = surplus();
    pool(&mut pinned, "w").spec.pinned = true;
    assert_eq!(
        text(&pinned),
        ["stop w/i2", "w: sleep 1 waits: the pool is pinned"]
    );

    let mut critical = surplus();
    pool(&mut critical, "w").spec.critical = true;
    assert_eq!(
        text(&critical),
        [
            "nothing to do",
            "w: reconcile 1 waits: the pool is critical"
        ]
    );

    let mut held = fleet(&[("w", &[Running], [0, 0, 0])]);
    pool(&mut held, "w").instances[0].manual_override_until = Some(seconds(now(), 60));
    assert_eq!(
        text(&held),
        [
            "nothing to do",
            "w/i2: stop 1 waits: an operator wants it left alone, until 2026-02-25T12:01:00Z"
        ]
    );

    let mut young = fleet(&[("w", &[Running], [0, 0, 0])]);
    young.now = seconds(now(), -990);
    assert_eq!(
        text(&young),
        [
            "nothing to do",
            "w/i2: stop 1 waits: its minimum runtime has not passed, until 2026-02-25T11:44:20Z"
        ]
    );

    let mut pending = fleet(&[("w", &[Running], [2, 0, 0])]);
    pool(&mut pending, "w").instances[0]
        .begin(Stopped, now())
        .unwrap();
    assert_eq!(text(&pending).len(), 6); // two new ones: what is on its way down does not count
}

#[test]
fn gateways_come_first_and_go_last() {
    let up = fleet(&[("gw", &[Stopped], [1, 0, 0]), ("w", &[Stopped], [1, 0, 0])]);
    assert_eq!(text(&up), ["start gw/i2", "start w/i3"]);
    let down = fleet(&[("gw", &[Running], [0, 0, 0]), ("w", &[Running], [0, 0, 0])]);
    assert_eq!(text(&down), ["stop w/i3", "stop gw/i2"]);

    let mut held = fleet(&[("gw", &[Running], [0, 0, 0]), ("w", &[Running], [0, 0, 0])]);
    pool(&mut held, "w").instances[0].manual_override_until = Some(seconds(now(), 60));
    assert_eq!(
        text(&held)[1],
        "gw/i2: stop 1 waits: 1 instances behind it are to be drained first, until 2026-02-25T12:01:00Z"
    );

    let mut missing = fleet(&[("gw", &[Stopped], [1, 0, 0]), ("w", &[Stopped], [1, 0, 0])]);
    pool(&mut missing, "gw").spec.critical = true;
    assert_eq!(
        text(&missing)[1..],
        [
            "gw: reconcile 1 waits: the pool is critical",
            "w: start 1 waits: no gateway of the tenant is running"
        ]
    );
}

#[test]
fn quotas() {
    let mut running = fleet(&[("w", &[Stopped, Stopped], [2, 0, 0])]);
    running.desired.tenants[0].quotas.max_running = 1;
    tenant(&mut running).config.quotas.max_running = 1;
    assert_eq!(
        text(&running),
        [
            "start w/i3",
            "w: start 1 refused: max_running is 1, and 2 would be needed"
        ]
    );

    // An instance would have to be warm on its way to sleep: it is not even started.
    let mut warm = fleet(&[("w", &[Stopped], [0, 0, 1])]);
    warm.desired.tenants[0].quotas.max_warm = 0;
    tenant(&mut warm).config.quotas.max_warm = 0;
    assert_eq!(
        text(&warm),
        [
            "nothing to do",
            "w: sleep 1 refused: max_warm is 0, and 1 would be needed"
        ]
    );

    let mut starts = fleet(&[("w", &[Stopped, Stopped], [2, 0, 0])]);
    starts.policy.max_starting = 1;
    assert_eq!(
        text(&starts)[1],
        "w: start 1 waits: 1 instances of the node are starting, which is the limit, until 2026-02-25T12:00:10Z"
    );
}

#[test]
fn what_is_not_desired() {
    let unknown = |prune| {
        let mut fleet = fleet(&[("gw", &[Running], [1, 0, 0]), ("w", &[Running], [1, 0, 0])]);
        fleet.desired.prune_unknown_pools = prune;
        fleet.desired.prune_unknown_tenants = prune;
        fleet
    };
    let mut pool = unknown(false);
    pool.desired.tenants[0].pools.pop();
    assert_eq!(text(&pool), ["nothing to do", "w: not desired, and left"]);
    let mut pool = unknown(true);
    pool.desired.tenants[0].pools.pop();
    assert_eq!(text(&pool), ["destroy w/i3", "remove pool w"]);

    let mut all = unknown(false);
    all.desired.tenants.clear();
    assert_eq!(text(&all), ["nothing to do", "acme: not desired, and left"]);
    let mut all = unknown(true);
    all.desired.tenants.clear();
    assert_eq!(
        text(&all),
        [
            "destroy w/i3",
            "remove pool w",
            "destroy gw/i2",
            "remove pool gw",
            "remove tenant acme"
        ]
    );
}

#[test]
fn updates() {
    let outdated = |strategy| {
        let mut fleet = fleet(&[("w", &[Running, Running, Running], [3, 0, 0])]);
        pool(&mut fleet, "w").built = Some(RevisionHash::new("r2").unwrap());
        fleet.desired.tenants[0].pools[0].default_update_strategy = Some(strategy);
        text(&fleet)
    };
    let rolling = |max_unavailable, max_surge| {
        UpdateStrategy::Rolling(RollingUpdateStrategy {
            max_unavailable,
            max_surge,
            health_check_timeout_secs: 60,
        })
    };
    assert_eq!(
        outdated(rolling(1, 0)),
        [
            "stop w/i2",
            "start w/i2",
            "w: update 2 waits: waits for health checks: at most 1 instances may be away"
        ]
    );
    assert_eq!(
        outdated(rolling(2, 0))[..4],
        ["stop w/i2", "start w/i2", "stop w/i3", "start w/i3"]
    );
    assert_eq!(
        outdated(rolling(0, 1)),
        [
            "create w/new@5",
            "prepare w/new@5",
            "start w/new@5",
            "w: update 3 waits: waits for health checks: at most 0 instances may be away",
        ]
    );
    assert_eq!(
        outdated(rolling(0, 0))[1],
        "w: update 3 waits: the update strategy allows neither an instance away nor one more"
    );
    assert_eq!(
        outdated(UpdateStrategy::Canary(CanaryStrategy::default())),
        [
            "stop w/i2",
            "start w/i2",
            "w: update 2 waits: 1 canaries are being watched, until 2026-02-25T12:05:00Z",
        ]
    );
}

#[test]
fn reports_are_counts() {
    let fleet = fleet(&[
        ("w", &[Stopped, Running], [3, 0, 0]),
        ("x", &[Running], [0, 1, 0]),
    ]);
    let report = plan(&fleet.node, &fleet.desired, &fleet.policy, fleet.now).report();
    assert_eq!(
        (
            report.instances_created,
            report.instances_started,
            report.instances_warmed
        ),
        (1, 2, 1)
    );
}
