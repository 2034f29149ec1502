//! Down: instances that are too many, and pools that are not wanted.

use alloc::vec::Vec;

use super::action::{Action, DeferReason, Wanted};
use super::model::{Slot, Tenant, Treatment, Version};
use super::pass::{Pass, Wait};
use super::rollout;
use super::usage::Usage;
use crate::instance::{InstanceAction, InstanceStatus};
use crate::policy::Role;

use InstanceStatus::{Running, Sleeping, Warm};

/// Takes down what a pool has too much of.
///
/// Instances go down one status at a time or are stopped out of any, so what counts is how many have
/// to leave each status or one above it:
///
/// - `leave_running` = running − wanted running,
/// - `leave_warm` = running and warm − wanted running and warm,
/// - `stop` = all − all wanted.
///
/// Each is a number of crossings, and a stop crosses everything below it at once: stops are taken
/// from as far up as the counts allow, which is the least number of actions.
pub(super) fn drain(tenant: &mut Tenant<'_>, pass: &mut Pass<'_>, index: usize) {
    let Some(pool) = tenant.pools.get(index) else {
        return;
    };
    let (have, want) = (pool.counts(), pool.desired);
    let surge = rollout::surge(tenant, pool);
    let leave_running = have
        .running
        .saturating_sub(want.running.saturating_add(surge));
    let have_warm = have.running.saturating_add(have.warm);
    let want_warm = want.running.saturating_add(surge).saturating_add(want.warm);
    let leave_warm = have_warm.saturating_sub(want_warm);
    let stop = have_warm
        .saturating_add(have.sleeping)
        .saturating_sub(want_warm.saturating_add(want.sleeping));

    let stop_running = stop.min(leave_running).min(leave_warm);
    let stop_warm = leave_warm
        .saturating_sub(stop_running)
        .min(stop.saturating_sub(stop_running));
    let stop_sleeping = stop.saturating_sub(stop_running).saturating_sub(stop_warm);
    let sleep = leave_warm
        .saturating_sub(stop_running)
        .saturating_sub(stop_warm);
    let warm = leave_running.saturating_sub(stop_running);

    // What is lowest goes first: it makes room for the others.
    let stops = InstanceAction::Stop;
    take(tenant, pass, index, Sleeping, stops, stop_sleeping);
    take(tenant, pass, index, Warm, stops, stop_warm);
    take(tenant, pass, index, Warm, InstanceAction::Sleep, sleep);
    take(tenant, pass, index, Running, stops, stop_running);
    take(tenant, pass, index, Running, InstanceAction::Warm, warm);
}

/// Takes `count` instances out of a status by an action, those first that are missed least.
fn take(
    tenant: &mut Tenant<'_>,
    pass: &mut Pass<'_>,
    index: usize,
    status: InstanceStatus,
    action: InstanceAction,
    count: u32,
) {
    let Some(pool) = tenant.pools.get(index).filter(|_| count > 0) else {
        return;
    };
    let wanted = match action {
        InstanceAction::Warm => Wanted::Warm,
        InstanceAction::Sleep => Wanted::Sleep,
        _ => Wanted::Stop,
    };
    let candidates = pool.by_rank(status, pass);
    let mut left = count.min(u32::try_from(candidates.len()).unwrap_or(u32::MAX));
    let pinned = match wanted {
        Wanted::Stop => tenant.pinned.then_some(DeferReason::TenantPinned),
        _ => pool.pinned.then_some(DeferReason::PoolPinned),
    };
    if let Some(reason) = pinned {
        if left > 0 {
            tenant.defer(Some(index), None, (wanted, left), reason.into());
            note_draining(tenant, index, status, left, None);
        }
        return;
    }
    let mut waiting = Vec::new();
    for candidate in candidates {
        if left == 0 {
            break;
        }
        let Some(pool) = tenant.pools.get(index) else {
            return;
        };
        let Some(slot) = pool.slots.get(candidate) else {
            return;
        };
        let leave = match wanted {
            Wanted::Stop => slot.may_stop(&pool.runtime, pass),
            _ => slot.may_leave(&pool.runtime, pass),
        };
        let may = leave
            .and_then(|()| rollout::may_take(pool, slot, pass))
            .and_then(|()| match wanted {
                Wanted::Stop => Ok(()),
                _ => rollout::may_rest(tenant, pool, slot),
            })
            .and_then(|()| gateway_may_go(tenant, index, slot));
        if let Err(wait) = may {
            waiting.push((candidate, wait));
            continue;
        }
        if action == InstanceAction::Warm {
            let then = Usage {
                warm: tenant.usage.warm.saturating_add(1),
                ..tenant.usage
            };
            if let Err(reason) = tenant.usage.grow_to(then, &tenant.quotas) {
                tenant.refuse(index, wanted, left, reason);
                return;
            }
        }
        tenant.act(pass, index, candidate, action);
        left = left.saturating_sub(1);
    }
    for (candidate, wait) in waiting {
        if left == 0 {
            break;
        }
        left = left.saturating_sub(1);
        let target = tenant
            .pools
            .get(index)
            .and_then(|pool| pool.slots.get(candidate))
            .map(|slot| slot.target.clone());
        tenant.defer(Some(index), target, (wanted, 1), wait);
        note_draining(tenant, index, status, 1, Some(wait));
    }
}

/// The last running gateway of a tenant stays until what is behind it has been drained.
fn gateway_may_go(tenant: &Tenant<'_>, index: usize, slot: &Slot) -> Result<(), Wait> {
    let gateway = tenant
        .pools
        .get(index)
        .is_some_and(|pool| pool.role == Role::Gateway);
    if gateway && slot.status == Running && tenant.gateways <= 1 && tenant.draining > 0 {
        return Err(Wait {
            reason: DeferReason::WorkersDraining {
                count: tenant.draining,
            },
            until: tenant.draining_until,
        });
    }
    Ok(())
}

fn note_draining(
    tenant: &mut Tenant<'_>,
    index: usize,
    status: InstanceStatus,
    count: u32,
    wait: Option<Wait>,
) {
    let behind = tenant
        .pools
        .get(index)
        .is_some_and(|pool| pool.role != Role::Gateway);
    if behind && status.has_process() {
        tenant.draining = tenant.draining.saturating_add(count);
        tenant.draining_until = tenant.draining_until.max(wait.and_then(|wait| wait.until));
    }
}

/// Destroys the instances of a pool and removes it.
pub(super) fn prune(tenant: &mut Tenant<'_>, pass: &mut Pass<'_>, index: usize) {
    let Some(pool) = tenant.pools.get(index) else {
        return;
    };
    let pinned = if tenant.pinned {
        Some(DeferReason::TenantPinned)
    } else {
        pool.pinned.then_some(DeferReason::PoolPinned)
    };
    if let Some(reason) = pinned {
        let busy = pool.slots.iter().filter(|slot| slot.status.has_process());
        let busy = u32::try_from(busy.count()).unwrap_or(u32::MAX);
        note_draining(tenant, index, Running, busy, None);
        tenant.defer(Some(index), None, (Wanted::Remove, 1), reason.into());
        return;
    }
    for candidate in 0..pool.slots.len() {
        let Some(slot) = tenant
            .pools
            .get(index)
            .and_then(|pool| pool.slots.get(candidate))
        else {
            return;
        };
        if !slot.exists() {
            continue;
        }
        let may = slot
            .is_free()
            .and_then(|()| gateway_may_go(tenant, index, slot));
        if let Err(wait) = may {
            let (target, status) = (slot.target.clone(), slot.status);
            tenant.defer(Some(index), Some(target), (Wanted::Remove, 1), wait);
            note_draining(tenant, index, status, 1, Some(wait));
            continue;
        }
        tenant.act(pass, index, candidate, InstanceAction::Destroy);
    }
    let Some(pool) = tenant.pools.get_mut(index) else {
        return;
    };
    if pool.existing == 0 {
        pool.treatment = Treatment::Absent;
        pool.recorded = false;
        pass.actions.push(Action::RemovePool {
            tenant: tenant.id.clone(),
            pool: pool.id.clone(),
        });
    } else {
        let reason = DeferReason::NotEmpty {
            count: pool.existing,
        };
        tenant.defer(Some(index), None, (Wanted::Remove, 1), reason.into());
    }
}

/// Whether a live instance waits for an update.
pub(super) fn is_outdated(slot: &Slot) -> bool {
    slot.is_live() && slot.version == Version::Outdated
}
