//! Plans of a single pool have as few actions as there can be: held against a search over all ways.

use std::collections::{BTreeMap, BTreeSet};

use mvm_core::instance::InstanceState;
use mvm_core::instance::InstanceStatus::{self, Ready, Running, Sleeping, Stopped, Warm};
use mvm_core::naming::{HostOffset, InstanceId, RevisionHash};
use mvm_core::pool::DesiredCounts;
use mvm_core::reconcile::{NodeState, PoolState, ReconcilePolicy, TenantState, plan};

use crate::random::{desired_pool, desired_state, desired_tenant, now};
use crate::sim::{config, go, net, seconds, spec};

/// Running, warm, sleeping, stopped.
type Counts = [u32; 4];

/// The fewest actions from some counts to the desired ones, whatever is stopped then. A new instance
/// takes three: it is created, prepared and started.
fn fewest(from: Counts, want: [u32; 3]) -> usize {
    let mut due = BTreeSet::from([(0_usize, from)]);
    let mut done = BTreeSet::new();
    while let Some((cost, at)) = due.pop_first() {
        if at[..3] == want {
            return cost;
        }
        if !done.insert(at) {
            continue;
        }
        let mut step = |actions: usize, out: Option<usize>, into: usize| {
            let mut next = at;
            if let Some(out) = out {
                if next[out] == 0 {
                    return;
                }
                next[out] -= 1;
            }
            next[into] += 1;
            if next.iter().sum::<u32>() <= 8 {
                due.insert((cost + actions, next));
            }
        };
        for (out, into) in [
            (3, 0),
            (1, 0),
            (2, 0),
            (0, 1),
            (1, 2),
            (0, 3),
            (1, 3),
            (2, 3),
        ] {
            step(1, Some(out), into);
        }
        step(3, None, 0);
    }
    panic!("no way from {from:?} to {want:?}");
}

fn planned(from: Counts, want: [u32; 3]) -> usize {
    let mut pool = desired_pool("workers");
    pool.runtime_policy.min_running_seconds = 0;
    pool.runtime_policy.min_warm_seconds = 0;
    pool.desired_counts = DesiredCounts {
        running: want[0],
        warm: want[1],
        sleeping: want[2],
    };
    let mut tenant = desired_tenant(3, "acme");
    let mut have = TenantState {
        config: config(&tenant, now()),
        pools: BTreeMap::new(),
    };
    let revision = RevisionHash::new("r1").unwrap();
    let mut state = PoolState {
        spec: spec(&tenant.tenant_id, &pool),
        built: Some(revision.clone()),
        instances: Vec::new(),
    };
    let ways: [&[InstanceStatus]; 4] = [
        &[Ready, Running],
        &[Ready, Running, Warm],
        &[Ready, Running, Warm, Sleeping],
        &[Ready, Running, Stopped],
    ];
    let mut offset = 1;
    for (count, way) in from.into_iter().zip(ways) {
        for _ in 0..count {
            offset += 1;
            let mut instance = InstanceState::new(
                tenant.tenant_id.clone(),
                pool.pool_id.clone(),
                InstanceId::from_entropy([0, 0, 0, offset]),
                net(&have.config.net, HostOffset::new(offset).unwrap()),
                pool.role,
            );
            for to in way {
                go(&mut instance, *to, seconds(now(), -1000));
            }
            instance.revision_hash = Some(revision.clone());
            state.instances.push(instance);
        }
    }
    have.pools.insert(pool.pool_id.clone(), state);
    tenant.pools.push(pool);
    let mut desired = desired_state();
    let node = NodeState {
        tenants: BTreeMap::from([(tenant.tenant_id.clone(), have)]),
    };
    desired.tenants.push(tenant);
    let plan = plan(&node, &desired, &ReconcilePolicy::default(), now());
    assert!(
        plan.deferred.is_empty() && plan.refused.is_empty(),
        "{plan}"
    );
    plan.actions.len()
}

/// All counts up to a limit.
fn all(limits: &[u32]) -> Vec<Vec<u32>> {
    limits.iter().fold(vec![Vec::new()], |all, limit| {
        all.iter()
            .flat_map(|head| (0..=*limit).map(move |next| [head.as_slice(), &[next]].concat()))
            .collect()
    })
}

#[test]
fn no_plan_has_more_actions_than_needed() {
    let mut compared = 0;
    for from in all(&[2, 2, 2, 1]) {
        for want in all(&[2, 2, 2]) {
            let (from, want) = (from.clone().try_into().unwrap(), want.try_into().unwrap());
            assert_eq!(
                planned(from, want),
                fewest(from, want),
                "{from:?} to {want:?}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 54 * 27);
}
