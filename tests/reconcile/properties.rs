//! Properties on random fleets, and controls: each property finds the fault that it is there for.

use mvm_core::instance::InstanceStatus::{Running, Sleeping, Warm};
use mvm_core::pool::{DesiredCounts, UpdateStrategy};
use mvm_core::reconcile::{Action, DeferReason, Deferred, Plan, Refused, plan};
use proptest::prelude::*;

use crate::check::{carry_out, settles};
use crate::random::{Draw, Fleet, fleet};
use crate::sim::{Fault, Sim};

fn planned(fleet: &Fleet) -> Plan {
    plan(&fleet.node, &fleet.desired, &fleet.policy, fleet.now)
}

fn sim(fleet: &Fleet) -> Sim {
    Sim::new(fleet.node.clone(), fleet.now)
}

/// A plan is carried out without breaking a rule, and then there is nothing more to do.
fn one_pass(fleet: &Fleet) -> Result<(), String> {
    settles(
        &planned(fleet),
        &mut sim(fleet),
        &fleet.desired,
        &fleet.policy,
    )
}

/// Whether something waits for ever, or until somebody changes a record.
fn is_for_good(reason: DeferReason) -> bool {
    matches!(
        reason,
        DeferReason::TenantPinned
            | DeferReason::PoolPinned
            | DeferReason::PoolCritical
            | DeferReason::NoUpdateAllowed
            | DeferReason::NoGateway
            | DeferReason::NotEmpty { .. }
            | DeferReason::WorkersDraining { .. }
    )
}

/// As time passes everything comes about that can.
fn converges(fleet: &Fleet) -> Result<(), String> {
    let mut sim = sim(fleet);
    let mut last = Plan::default();
    for _ in 0..150 {
        last = plan(&sim.node, &fleet.desired, &fleet.policy, sim.now);
        settles(&last, &mut sim, &fleet.desired, &fleet.policy)?;
        sim.pass(70);
    }
    if !last.is_empty() {
        return Err(format!("still something to do: {last}"));
    }
    // What waits for something of its pool that never comes about waits with it.
    let no_room = |each: &Deferred| {
        let chained = matches!(
            each.reason,
            DeferReason::AwaitingHealth { .. } | DeferReason::AwaitingUpdate
        );
        let refused = |other: &Refused| other.tenant == each.tenant && other.pool == each.pool;
        let blocked = |other: &Deferred| {
            other.tenant == each.tenant && other.pool == each.pool && is_for_good(other.reason)
        };
        chained && (last.refused.iter().any(refused) || last.deferred.iter().any(blocked))
    };
    if let Some(waits) = last
        .deferred
        .iter()
        .find(|each| !is_for_good(each.reason) && !no_room(each))
    {
        return Err(format!("still waits: {waits}\n{last}"));
    }
    for want in &fleet.desired.tenants {
        for pool in &want.pools {
            let touched = last
                .deferred
                .iter()
                .map(|each| (&each.tenant, &each.pool))
                .chain(last.refused.iter().map(|each| (&each.tenant, &each.pool)))
                .any(|(tenant, at)| {
                    *tenant == want.tenant_id && at.as_ref().is_none_or(|id| *id == pool.pool_id)
                });
            if touched {
                continue;
            }
            let have = &sim.node.tenants[&want.tenant_id].pools[&pool.pool_id];
            let count = |status| {
                let same = have
                    .instances
                    .iter()
                    .filter(|state| state.status() == status);
                same.count() as u32
            };
            let counts = DesiredCounts {
                running: count(Running),
                warm: count(Warm),
                sleeping: count(Sleeping),
            };
            if counts != pool.desired_counts {
                return Err(format!("{}: {counts:?}\n{last}", pool.pool_id));
            }
            let live = have
                .instances
                .iter()
                .filter(|state| matches!(state.status(), Running | Warm | Sleeping));
            let mut revisions = live.filter_map(|state| state.revision_hash.as_ref());
            if let Some(old) = revisions.find(|has| Some(*has) != have.built.as_ref()) {
                return Err(format!("{}: {old} is left\n{last}", pool.pool_id));
            }
        }
    }
    Ok(())
}

fn shuffle<T>(draw: &mut Draw<'_>, all: &mut [T]) {
    for last in (1..all.len()).rev() {
        all.swap(last, draw.below(last as u32 + 1) as usize);
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..400)
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn a_plan_is_valid_at_every_step_and_leaves_nothing_to_do(bytes in bytes()) {
        prop_assert_eq!(one_pass(&fleet(&bytes)), Ok(()));
    }

    #[test]
    fn the_order_of_what_goes_in_does_not_matter(bytes in bytes(), order in bytes()) {
        let mut fleet = fleet(&bytes);
        let first = planned(&fleet);
        let draw = &mut Draw(&order);
        shuffle(draw, &mut fleet.desired.tenants);
        for tenant in &mut fleet.desired.tenants {
            shuffle(draw, &mut tenant.pools);
        }
        for pool in fleet.node.tenants.values_mut().flat_map(|tenant| tenant.pools.values_mut()) {
            shuffle(draw, &mut pool.instances);
        }
        prop_assert_eq!(planned(&fleet), first);
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn everything_comes_about_in_time(bytes in bytes()) {
        prop_assert_eq!(converges(&fleet(&bytes)), Ok(()));
    }
}

/// Many fleets, always the same ones.
fn fleets() -> impl Iterator<Item = Fleet> {
    (1_u64..200).map(|seed| {
        let mut state = seed;
        let bytes: Vec<u8> = (0..300)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        fleet(&bytes)
    })
}

/// How many of the fleets a faulty check, node or planner is found out on.
fn found(run: impl Fn(&Fleet) -> Result<(), String>, by: &str) -> usize {
    fleets()
        .filter(|fleet| run(fleet).is_err_and(|error| error.contains(by)))
        .count()
}

#[test]
fn controls_without_a_fault_nothing_is_found() {
    for fleet in fleets() {
        assert_eq!(one_pass(&fleet), Ok(()));
    }
}

#[test]
fn controls_a_node_that_does_not_do_as_told_is_found() {
    for (fault, by) in [
        (Fault::StartsNothing, "then"),
        (Fault::ForgetsBuilds, "then"),
        (Fault::KeepsPools, "then"),
    ] {
        let run = |fleet: &Fleet| {
            let mut sim = sim(fleet);
            sim.fault = fault;
            settles(&planned(fleet), &mut sim, &fleet.desired, &fleet.policy)
        };
        assert!(found(run, by) > 2, "{fault:?}");
    }
}

/// A planner without a rule is one that is shown a fleet in which the rule asks for nothing.
#[test]
fn controls_a_planner_without_a_rule_is_found() {
    type Change = fn(&mut Fleet);
    let faults: [(Change, &str); 8] = [
        (
            |fleet| pools(fleet, |pool| pool.spec.critical = false),
            "critical",
        ),
        (
            |fleet| pools(fleet, |pool| pool.spec.pinned = false),
            "the pool is pinned",
        ),
        (
            |fleet| {
                for tenant in fleet.node.tenants.values_mut() {
                    tenant.config.pinned = false;
                }
            },
            "the tenant is pinned",
        ),
        (
            |fleet| {
                pools(fleet, |pool| {
                    for state in &mut pool.instances {
                        state.manual_override_until = None;
                    }
                });
            },
            "left alone",
        ),
        (
            |fleet| {
                for tenant in &mut fleet.desired.tenants {
                    tenant.quotas = crate::random::desired_tenant(1, "t").quotas;
                }
            },
            " of ",
        ),
        (
            |fleet| {
                for pool in fleet
                    .desired
                    .tenants
                    .iter_mut()
                    .flat_map(|tenant| &mut tenant.pools)
                {
                    pool.runtime_policy.min_running_seconds = 0;
                    pool.runtime_policy.min_warm_seconds = 0;
                }
            },
            "seconds too soon",
        ),
        (
            |fleet| {
                for pool in fleet
                    .desired
                    .tenants
                    .iter_mut()
                    .flat_map(|tenant| &mut tenant.pools)
                {
                    if let Some(UpdateStrategy::Rolling(rolling)) =
                        &mut pool.default_update_strategy
                    {
                        rolling.max_unavailable = 100;
                    }
                }
            },
            "may be",
        ),
        (
            |fleet| {
                for pool in fleet
                    .desired
                    .tenants
                    .iter_mut()
                    .flat_map(|tenant| &mut tenant.pools)
                {
                    pool.role = mvm_core::pool::Role::Worker;
                }
            },
            "before its gateway",
        ),
    ];
    for (change, by) in faults {
        let run = |fleet: &Fleet| {
            let mut shown = Fleet {
                node: fleet.node.clone(),
                desired: fleet.desired.clone(),
                ..*fleet_like(fleet)
            };
            change(&mut shown);
            carry_out(
                &planned(&shown),
                &mut sim(fleet),
                &fleet.desired,
                &fleet.policy,
            )
        };
        assert!(found(run, by) > 0, "{by}");
    }
}

fn fleet_like(fleet: &Fleet) -> Box<Fleet> {
    Box::new(Fleet {
        node: fleet.node.clone(),
        desired: fleet.desired.clone(),
        policy: fleet.policy.clone(),
        now: fleet.now,
    })
}

fn pools(fleet: &mut Fleet, change: impl Fn(&mut mvm_core::reconcile::PoolState)) {
    for pool in fleet
        .node
        .tenants
        .values_mut()
        .flat_map(|tenant| tenant.pools.values_mut())
    {
        change(pool);
    }
}

#[test]
fn controls_an_order_that_is_turned_round_is_found() {
    let run = |fleet: &Fleet| {
        let mut plan = planned(fleet);
        plan.actions.reverse();
        carry_out(&plan, &mut sim(fleet), &fleet.desired, &fleet.policy)
    };
    assert!(found(run, "") > 20);
    let run = |fleet: &Fleet| {
        let mut plan = planned(fleet);
        plan.actions
            .retain(|action| !matches!(action, Action::Build { .. }));
        settles(&plan, &mut sim(fleet), &fleet.desired, &fleet.policy)
    };
    assert!(found(run, "") > 20);
}
