//! Up: instances that are missing.

use super::action::{DeferReason, Quota, RefuseReason, Wanted};
use super::model::{NoStart, Tenant, Version};
use super::pass::Pass;
use super::rollout;
use super::usage::Usage;
use crate::instance::{InstanceAction, InstanceStatus};

use InstanceStatus::{Created, Ready, Sleeping, Stopped, Warm};

/// Which of the missing instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// Those that are to run.
    Running,
    /// Those that are to run only to be made warm, or put to sleep, later.
    Feeding,
}

/// Brings up what a pool is missing.
///
/// Whatever is brought up comes up running, and goes down from there. So a pool is missing as many
/// as the greatest of
///
/// - `run` = wanted running − running,
/// - `warm` = wanted running and warm − running and warm,
/// - `all` = all wanted − all.
///
/// A wake does not change the sum that its instance is in already. So `all` of them have to be
/// started, of the rest as many as `warm` asks for are taken from sleeping ones, and what `run` asks
/// for beyond that from warm ones: no start where a wake does.
pub(super) fn raise(tenant: &mut Tenant<'_>, pass: &mut Pass<'_>, index: usize, round: Round) {
    let Some(pool) = tenant.pools.get(index) else {
        return;
    };
    let have = pool.counts();
    let running = have.running.saturating_add(pool.coming);
    let want = pool
        .granted
        .running
        .saturating_add(rollout::surge(tenant, pool));
    // Where there is no way down, nothing is brought up to go there.
    let (no_warm, no_sleep) = (
        pool.pinned || pool.to_warm.is_some(),
        pool.pinned || pool.to_sleep.is_some(),
    );
    let reachable = |granted: u32, have: u32, no_way: bool| {
        if no_way { granted.min(have) } else { granted }
    };
    let want_warm = want.saturating_add(reachable(pool.granted.warm, have.warm, no_warm));
    let want_all =
        want_warm.saturating_add(reachable(pool.granted.sleeping, have.sleeping, no_sleep));
    let have_warm = running.saturating_add(have.warm);
    let have_all = have_warm.saturating_add(have.sleeping);
    let run = want.saturating_sub(running);
    let warm = want_warm.saturating_sub(have_warm);
    let all = want_all.saturating_sub(have_all);

    match round {
        Round::Running => {
            let starts = run.min(all);
            let (started, why) = start(tenant, pass, index, starts);
            let missed = starts.saturating_sub(started);
            let mut left = run.saturating_sub(starts);
            let mut sleepers = left.min(warm.saturating_sub(starts));
            if missing(tenant, index, (Wanted::Start, missed), why) {
                // Running ones come before all others: then the others have to give.
                left = left.saturating_add(missed);
                sleepers = left;
            }
            let woken = wake(tenant, pass, index, Sleeping, sleepers);
            left = left.saturating_sub(woken);
            wake(tenant, pass, index, Warm, left);
        }
        // Only once everything runs that is to.
        Round::Feeding if run == 0 => {
            let (started, why) = start(tenant, pass, index, all);
            let missed = all.saturating_sub(started);
            let mut sleepers = warm.saturating_sub(all);
            if missing(tenant, index, (Wanted::Start, missed), why) {
                sleepers = warm.saturating_sub(started);
            }
            wake(tenant, pass, index, Sleeping, sleepers);
            unreachable_ones(tenant, index);
        }
        Round::Feeding => {}
    }
}

/// Notes what could not be started. Whether it cannot be at all.
fn missing(
    tenant: &mut Tenant<'_>,
    index: usize,
    (wanted, count): (Wanted, u32),
    why: Option<NoStart>,
) -> bool {
    match why {
        None => false,
        Some(NoStart::Refused(reason)) => {
            tenant.refuse(index, wanted, count, reason);
            true
        }
        Some(NoStart::Waits(wait)) => {
            tenant.defer(Some(index), None, (wanted, count), wait);
            if let Some(pool) = tenant.pools.get_mut(index) {
                pool.coming = pool.coming.saturating_add(count);
            }
            false
        }
    }
}

/// Notes what is granted and cannot be reached: in a pinned pool, or where a quota would be exceeded on
/// the way.
fn unreachable_ones(tenant: &mut Tenant<'_>, index: usize) {
    let Some(pool) = tenant.pools.get(index) else {
        return;
    };
    let (have, granted) = (pool.counts(), pool.granted);
    let have_warm = have
        .running
        .saturating_add(pool.coming)
        .saturating_add(have.warm);
    let want_warm = granted.running.saturating_add(granted.warm);
    let warm = want_warm.saturating_sub(have_warm);
    let all = want_warm
        .saturating_add(granted.sleeping)
        .saturating_sub(have_warm.saturating_add(have.sleeping));
    let sleeping = all.saturating_sub(warm);
    if pool.pinned {
        for (wanted, count) in [(Wanted::Warm, warm), (Wanted::Sleep, sleeping)] {
            if count > 0 {
                tenant.defer(
                    Some(index),
                    None,
                    (wanted, count),
                    DeferReason::PoolPinned.into(),
                );
            }
        }
        return;
    }
    let (to_warm, to_sleep) = (pool.to_warm, pool.to_sleep);
    if let Some(reason) = to_warm.filter(|_| warm > 0) {
        tenant.refuse(index, Wanted::Warm, warm, reason);
    }
    if let Some(reason) = to_sleep.filter(|_| sleeping > 0) {
        tenant.refuse(index, Wanted::Sleep, sleeping, reason);
    }
}

/// Starts up to `count` instances: stopped ones, then ready ones, then created ones, then new ones.
/// Gives how many, and why not more.
fn start(
    tenant: &mut Tenant<'_>,
    pass: &mut Pass<'_>,
    index: usize,
    count: u32,
) -> (u32, Option<NoStart>) {
    let mut started = 0;
    for status in [Stopped, Ready, Created] {
        let Some(pool) = tenant.pools.get(index).filter(|_| started < count) else {
            break;
        };
        let candidates = pool.by_rank(status, pass);
        for candidate in candidates.into_iter().rev() {
            if started >= count {
                break;
            }
            let Some(pool) = tenant.pools.get(index) else {
                break;
            };
            let Some(slot) = pool.slots.get(candidate) else {
                break;
            };
            if slot.is_free().is_err() {
                continue;
            }
            let now = Usage::of(slot, &pool.resources);
            let prepare =
                status == Created || (status == Ready && slot.version != Version::Current);
            if let Err(why) = tenant.may_run(pass, pool, now, true) {
                return (started, Some(why));
            }
            if prepare {
                tenant.prepare(pass, index, candidate);
            }
            tenant.act(pass, index, candidate, InstanceAction::Start);
            started = started.saturating_add(1);
        }
    }
    while started < count {
        match start_new(tenant, pass, index) {
            Ok(()) => started = started.saturating_add(1),
            Err(why) => return (started, Some(why)),
        }
    }
    (started, None)
}

fn start_new(tenant: &mut Tenant<'_>, pass: &mut Pass<'_>, index: usize) -> Result<(), NoStart> {
    let Some(pool) = tenant.pools.get(index) else {
        return Ok(());
    };
    let (needed, max) = (
        pool.existing.saturating_add(1),
        tenant.quotas.max_instances_per_pool,
    );
    if needed > max {
        return Err(NoStart::Refused(RefuseReason::Quota {
            quota: Quota::InstancesPerPool,
            needed: needed.into(),
            max: max.into(),
        }));
    }
    let slot = pool.slots.len();
    let offset = tenant.free_offset().map_err(NoStart::Refused)?;
    // Last, as the limit on starts is: it depends on what is planned for tenants after this one.
    tenant.may_run(pass, pool, Usage::default(), true)?;
    tenant.create(pass, index, offset);
    tenant.prepare(pass, index, slot);
    tenant.act(pass, index, slot, InstanceAction::Start);
    Ok(())
}

/// Wakes up to `count` instances out of a status, the best first. Gives how many were woken or will
/// be without further planning.
fn wake(
    tenant: &mut Tenant<'_>,
    pass: &mut Pass<'_>,
    index: usize,
    status: InstanceStatus,
    count: u32,
) -> u32 {
    let Some(pool) = tenant.pools.get(index).filter(|_| count > 0) else {
        return 0;
    };
    let mut woken = 0_u32;
    for candidate in pool.by_rank(status, pass).into_iter().rev() {
        if woken >= count {
            break;
        }
        let Some(pool) = tenant.pools.get(index) else {
            break;
        };
        let Some(slot) = pool.slots.get(candidate) else {
            break;
        };
        if let Err(wait) = slot.is_free() {
            // Only one that stays where it is could have been woken.
            if slot.pending.is_none() {
                let target = slot.target.clone();
                tenant.defer(Some(index), Some(target), (Wanted::Wake, 1), wait);
            }
            continue;
        }
        let now = Usage::of(slot, &pool.resources);
        if let Err(why) = tenant.may_run(pass, pool, now, status == Sleeping) {
            let left = count.saturating_sub(woken);
            let waits = matches!(why, NoStart::Waits(_));
            missing(tenant, index, (Wanted::Wake, left), Some(why));
            return if waits { count } else { woken };
        }
        tenant.act(pass, index, candidate, InstanceAction::Wake);
        woken = woken.saturating_add(1);
    }
    woken
}
