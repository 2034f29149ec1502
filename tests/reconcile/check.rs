//! What must hold at every step of a plan. Written over the records, without a look into the planner.

use std::collections::{BTreeMap, BTreeSet};

use mvm_core::agent::{DesiredPool, DesiredState};
use mvm_core::instance::InstanceStatus::{self, Destroyed, Running, Sleeping, Warm};
use mvm_core::instance::{InstanceAction, InstanceState, may_leave};
use mvm_core::naming::{PoolId, RevisionHash, TenantId};
use mvm_core::pool::{Role, UpdateStrategy};
use mvm_core::reconcile::{
    Action, Deferred, NodeState, Plan, PoolState, ReconcilePolicy, TenantState, plan,
};
use mvm_core::tenant::TenantQuota;

use crate::sim::{Sim, wanted_pool};

type Check = Result<(), String>;

fn status(state: &InstanceState) -> [InstanceStatus; 2] {
    let now = state.status();
    [now, state.pending().map_or(now, |pending| pending.to)]
}

/// Use of running, warm, vCPUs, memory and disk, then the instances of each pool.
fn usage(tenant: &TenantState, desired: &DesiredState) -> Vec<u64> {
    let mut sums = [0_u64; 5];
    let mut pools = Vec::new();
    for (id, pool) in &tenant.pools {
        let resources = wanted_pool(desired, &tenant.config.tenant_id, id)
            .map_or(pool.spec.instance_resources, |want| want.instance_resources);
        let mut count = 0;
        for state in pool
            .instances
            .iter()
            .filter(|state| state.status() != Destroyed)
        {
            let either = |is: &dyn Fn(InstanceStatus) -> bool| status(state).into_iter().any(is);
            sums[0] += u64::from(either(&|status| status == Running));
            sums[1] += u64::from(either(&|status| status == Warm));
            if either(&InstanceStatus::has_process) {
                sums[2] += u64::from(resources.vcpus);
                sums[3] += u64::from(resources.mem_mib);
            }
            sums[4] += u64::from(resources.data_disk_mib);
            count += 1;
        }
        pools.push(count);
    }
    // All pools are held to one quota, so the fullest one counts.
    let fullest = pools.iter().copied().max().unwrap_or(0);
    [sums.as_slice(), &[fullest, pools.len() as u64]].concat()
}

fn quotas(quotas: &TenantQuota) -> Vec<u64> {
    vec![
        quotas.max_running.into(),
        quotas.max_warm.into(),
        quotas.max_vcpus.into(),
        quotas.max_mem_mib,
        quotas.max_disk_gib * 1024,
        quotas.max_instances_per_pool.into(),
        quotas.max_pools.into(),
    ]
}

/// No step takes a tenant over a quota, or further over one.
fn within_quotas(before: &NodeState, after: &NodeState, desired: &DesiredState) -> Check {
    for want in &desired.tenants {
        let id = &want.tenant_id;
        let Some(now) = after.tenants.get(id) else {
            continue;
        };
        let was = before
            .tenants
            .get(id)
            .map_or(vec![0; 7], |was| usage(was, desired));
        for ((was, now), max) in was
            .into_iter()
            .zip(usage(now, desired))
            .zip(quotas(&want.quotas))
        {
            if now > max && now > was {
                return Err(format!("{id}: {now} of {max}"));
            }
        }
    }
    Ok(())
}

fn role(pool: &PoolState, want: Option<&DesiredPool>) -> Role {
    want.map_or(pool.spec.role, |want| want.role)
}

fn running_gateways(tenant: &TenantState, desired: &DesiredState) -> usize {
    let id = &tenant.config.tenant_id;
    tenant
        .pools
        .iter()
        .filter(|(pool, state)| role(state, wanted_pool(desired, id, pool).ok()) == Role::Gateway)
        .flat_map(|(_, pool)| &pool.instances)
        .filter(|state| status(state) == [Running, Running])
        .count()
}

fn wanted_revision(pool: &PoolState, want: &DesiredPool) -> Option<RevisionHash> {
    want.registry_artifact
        .as_ref()
        .and_then(|artifact| artifact.revision.clone())
        .or(pool.built.clone())
}

/// How many of the wanted running instances of a pool that is being updated do not serve; `None` for
/// one that is not being updated.
fn unavailable(
    pool: &PoolState,
    want: &DesiredPool,
    sim: &Sim,
    policy: &ReconcilePolicy,
    unbuilt: bool,
) -> Option<u32> {
    let wanted = if unbuilt {
        RevisionHash::new("to-be-built").unwrap()
    } else {
        wanted_revision(pool, want)?
    };
    let old = |state: &&InstanceState| {
        state
            .revision_hash
            .as_ref()
            .is_some_and(|has| *has != wanted)
    };
    let live = |state: &&InstanceState| matches!(state.status(), Running | Warm | Sleeping);
    pool.instances.iter().filter(live).find(old)?;
    let healthy = |state: &InstanceState| {
        let checked = state.last_health_check_at?;
        let age = sim.now.duration_since(checked)?.as_secs();
        if age > policy.health_age_seconds || Some(checked) <= state.entered_running_at() {
            return None;
        }
        state.healthy
    };
    let serves = |state: &&InstanceState| {
        status(state) == [Running, Running]
            && if state.revision_hash.as_ref() == Some(&wanted) {
                healthy(state) == Some(true)
            } else {
                healthy(state) != Some(false)
            }
    };
    let serving = pool.instances.iter().filter(serves).count() as u32;
    Some(want.desired_counts.running.saturating_sub(serving))
}

/// No step takes a pool that is being updated below what may be away.
fn enough_serve(
    before: &NodeState,
    sim: &Sim,
    desired: &DesiredState,
    policy: &ReconcilePolicy,
    unbuilt: &BTreeSet<(TenantId, PoolId)>,
) -> Check {
    for want in &desired.tenants {
        for pool in &want.pools {
            let at = |node: &NodeState| {
                let pools = node
                    .tenants
                    .get(&want.tenant_id)?
                    .pools
                    .get(&pool.pool_id)?;
                let id = (want.tenant_id.clone(), pool.pool_id.clone());
                unavailable(pools, pool, sim, policy, unbuilt.contains(&id))
            };
            let max = match pool
                .default_update_strategy
                .as_ref()
                .unwrap_or(&policy.update_strategy)
            {
                UpdateStrategy::Rolling(rolling) => rolling.max_unavailable,
                UpdateStrategy::Canary(canary) => canary.canary_count.max(1),
            };
            if let (Some(was), Some(is)) = (at(before), at(&sim.node))
                && is > was
                && is > max
            {
                return Err(format!("{}: {is} away, at most {max} may be", pool.pool_id));
            }
        }
    }
    Ok(())
}

/// Everything that is forbidden of single actions.
fn allowed(action: &Action, sim: &Sim, desired: &DesiredState) -> Check {
    let tenant = action.tenant();
    let Some(state) = sim.node.tenants.get(tenant) else {
        return Ok(());
    };
    let Some(pool_id) = action.pool() else {
        return Ok(());
    };
    let Some(pool) = state.pools.get(pool_id) else {
        return Ok(());
    };
    if pool.spec.critical {
        return Err("a critical pool is touched".into());
    }
    let Action::Instance {
        instance, action, ..
    } = action
    else {
        return Ok(());
    };
    let id = sim.id(tenant, instance)?;
    let instance = pool
        .instances
        .iter()
        .find(|state| state.instance_id == id)
        .ok_or("no such instance")?;
    if instance.pending().is_some() {
        return Err("something is pending".into());
    }
    if instance
        .manual_override_until
        .is_some_and(|until| until > sim.now)
    {
        return Err("an operator wants it left alone".into());
    }
    let want = wanted_pool(desired, tenant, pool_id).ok();
    if matches!(action, InstanceAction::Stop | InstanceAction::Destroy) && state.config.pinned {
        return Err("the tenant is pinned".into());
    }
    if matches!(
        action,
        InstanceAction::Warm | InstanceAction::Sleep | InstanceAction::Destroy
    ) && pool.spec.pinned
    {
        return Err("the pool is pinned".into());
    }
    let runtime = want.map_or(pool.spec.runtime_policy, |want| want.runtime_policy);
    if matches!(
        action,
        InstanceAction::Warm | InstanceAction::Sleep | InstanceAction::Stop
    ) && let Err(error) = may_leave(instance, &runtime, sim.now)
    {
        return Err(error.to_string());
    }
    let up = matches!(action, InstanceAction::Start | InstanceAction::Wake);
    let behind = role(pool, want) != Role::Gateway;
    let gateway_wanted = desired
        .tenants
        .iter()
        .filter(|each| each.tenant_id == *tenant)
        .flat_map(|each| &each.pools)
        .any(|pool| pool.role == Role::Gateway && pool.desired_counts.running > 0);
    if up && behind && gateway_wanted && running_gateways(state, desired) == 0 {
        return Err("it starts before its gateway".into());
    }
    // A tenant that goes loses its last gateway last.
    if *action == InstanceAction::Destroy
        && desired.tenants.iter().all(|each| each.tenant_id != *tenant)
        && !behind
        && instance.status() == Running
        && running_gateways(state, desired) == 1
    {
        let left = state
            .pools
            .values()
            .filter(|pool| pool.spec.role != Role::Gateway);
        if left
            .flat_map(|pool| &pool.instances)
            .any(|state| state.status().has_process())
        {
            return Err("the gateway goes before what is behind it".into());
        }
    }
    Ok(())
}

/// Nothing is done and undone in one plan: an instance goes up or down, or is updated by a stop and a
/// start right after it.
fn no_contradiction(plan: &Plan) -> Check {
    let mut seen: BTreeMap<String, Vec<InstanceAction>> = BTreeMap::new();
    for action in &plan.actions {
        if let Action::Instance {
            tenant,
            pool,
            instance,
            action,
        } = action
        {
            seen.entry(format!("{tenant}/{pool}/{instance}"))
                .or_default()
                .push(*action);
        }
    }
    use InstanceAction::{Sleep, Start, Stop, Wake, Warm};
    for (who, actions) in seen {
        let fine = match actions.as_slice() {
            [_] | [Stop, Start] | [Warm, Sleep] => true,
            // A new one, or an updated one, on its way down.
            [Start, Warm] | [Start, Warm, Sleep] | [Stop, Start, Warm] => true,
            [Stop, Start, Warm, Sleep] | [Wake, Warm] | [Wake, Warm, Sleep] => true,
            _ => false,
        };
        if !fine {
            return Err(format!("{who}: {actions:?}"));
        }
    }
    Ok(())
}

/// The pool for which an action builds a revision that is not known before.
fn built(action: &Action) -> Option<(TenantId, PoolId)> {
    match action {
        Action::Build {
            tenant,
            pool,
            revision: None,
        } => Some((tenant.clone(), pool.clone())),
        _ => None,
    }
}

fn is_update(first: &Action, second: &Action) -> bool {
    let parts = |each: &Action| match each {
        Action::Instance {
            tenant,
            pool,
            instance,
            action,
        } => Some((tenant.clone(), pool.clone(), instance.clone(), *action)),
        _ => None,
    };
    match (parts(first), parts(second)) {
        (Some(first), Some(second)) => {
            (first.0, first.1, first.2) == (second.0, second.1, second.2)
                && (first.3, second.3) == (InstanceAction::Stop, InstanceAction::Start)
        }
        _ => false,
    }
}

/// Carries out a plan and checks every step.
pub(crate) fn carry_out(
    plan: &Plan,
    sim: &mut Sim,
    desired: &DesiredState,
    policy: &ReconcilePolicy,
) -> Check {
    sim.begin_plan();
    no_contradiction(plan)?;
    // A revision that the plan is going to build is the wanted one from the start.
    let mut unbuilt: BTreeSet<_> = plan.actions.iter().filter_map(built).collect();
    let mut stopped: Option<(&Action, NodeState)> = None;
    for action in &plan.actions {
        let context = |error: String| format!("{action}: {error}\nin\n{plan}");
        let before = sim.node.clone();
        allowed(action, sim, desired).map_err(context)?;
        sim.apply(action, desired).map_err(context)?;
        // The stop and the start of an update are one step here: also what is over a quota that was
        // lowered may be updated.
        let since = match stopped.take() {
            Some((stop, node)) if is_update(stop, action) => node,
            _ => before.clone(),
        };
        within_quotas(&since, &sim.node, desired).map_err(context)?;
        stopped = Some((action, before.clone()));
        enough_serve(&before, sim, desired, policy, &unbuilt).map_err(context)?;
        unbuilt.retain(|id| built(action).as_ref() != Some(id));
    }
    Ok(())
}

/// What waits, without the names of instances that were new.
fn waits(plan: &Plan, sim: &Sim) -> BTreeSet<(Deferred, u32)> {
    let mut all = BTreeMap::new();
    for each in &plan.deferred {
        let mut each = each.clone();
        each.instance = each
            .instance
            .map(|target| match sim.id(&each.tenant, &target) {
                Ok(id) => mvm_core::reconcile::Target::Existing(id),
                Err(_) => target,
            });
        *all.entry(each).or_insert(0) += 1;
    }
    all.into_iter().collect()
}

/// Plans, carries out, and plans again at the same time: there must be nothing more to do, and the
/// same must wait for the same reasons.
pub(crate) fn settles(
    planned: &Plan,
    sim: &mut Sim,
    desired: &DesiredState,
    policy: &ReconcilePolicy,
) -> Check {
    carry_out(planned, sim, desired, policy)?;
    let again = plan(&sim.node, desired, policy, sim.now);
    if !again.is_empty() {
        return Err(format!("first\n{planned}\nthen\n{again}"));
    }
    let (first, second) = (waits(planned, sim), waits(&again, sim));
    if first != second {
        return Err(format!(
            "what waits differs: first\n{planned}\nthen\n{again}"
        ));
    }
    if planned.refused != again.refused || planned.unknown != again.unknown {
        return Err(format!(
            "what is refused differs: first\n{planned}\nthen\n{again}"
        ));
    }
    Ok(())
}
