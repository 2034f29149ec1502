//! Across: instances of another revision than their pool's.

use alloc::vec::Vec;

use super::action::{DeferReason, Wanted};
use super::drain::is_outdated;
use super::model::{Health, NoStart, Pool, Slot, Tenant, Version};
use super::pass::{Pass, Wait};
use super::usage::Usage;
use crate::fleet::pool::{CanaryStrategy, RollingUpdateStrategy, UpdateStrategy};
use crate::instance::decide::wait;
use crate::instance::{InstanceAction, InstanceStatus};

use InstanceStatus::{Running, Sleeping, Warm};

/// What a strategy allows now.
enum Gate {
    /// So many may be away at once, and so many of the outdated ones may be updated at all.
    Open {
        rolling: RollingUpdateStrategy,
        budget: u32,
    },
    /// None, until then.
    Closed(Wait),
}

/// How many instances may be away at once.
fn max_away(strategy: &UpdateStrategy) -> u32 {
    match strategy {
        UpdateStrategy::Rolling(rolling) => rolling.max_unavailable,
        UpdateStrategy::Canary(canary) => canary.canary_count.max(1),
    }
}

/// How many instances more than desired may run because none may be away.
pub(super) fn surge(tenant: &Tenant<'_>, pool: &Pool<'_>) -> u32 {
    let UpdateStrategy::Rolling(rolling) = &pool.strategy else {
        return 0;
    };
    if tenant.pinned || rolling.max_unavailable > 0 {
        return 0;
    }
    let waits = |slot: &&Slot| {
        slot.status == Running && slot.version == Version::Outdated && slot.is_free().is_ok()
    };
    let waiting = pool.slots.iter().filter(waits).count();
    rolling
        .max_surge
        .min(u32::try_from(waiting).unwrap_or(u32::MAX))
}

fn available(pool: &Pool<'_>, pass: &Pass<'_>) -> u32 {
    let available = pool.slots.iter().filter(|slot| slot.is_available(pass));
    u32::try_from(available.count()).unwrap_or(u32::MAX)
}

/// Whether an instance that is too many may be taken away while its pool is being updated: not where
/// too few of those that stay are known to be healthy.
pub(super) fn may_take(pool: &Pool<'_>, slot: &Slot, pass: &Pass<'_>) -> Result<(), Wait> {
    if !pool.slots.iter().any(is_outdated) || !slot.is_available(pass) {
        return Ok(());
    }
    let max = max_away(&pool.strategy);
    let least = pool.desired.running.saturating_sub(max);
    if available(pool, pass) <= least {
        return Err(DeferReason::AwaitingHealth { max }.into());
    }
    Ok(())
}

/// Whether an instance may be made warm or put to sleep: not before an update that would throw the
/// memory away that is kept by it.
pub(super) fn may_rest(tenant: &Tenant<'_>, pool: &Pool<'_>, slot: &Slot) -> Result<(), Wait> {
    let never = match &pool.strategy {
        UpdateStrategy::Rolling(rolling) => rolling.max_unavailable == 0 && rolling.max_surge == 0,
        UpdateStrategy::Canary(_) => false,
    };
    if is_outdated(slot) && !tenant.pinned && !never {
        return Err(DeferReason::AwaitingUpdate.into());
    }
    Ok(())
}

/// Brings outdated instances to the pool's revision, as many as may be away at once.
pub(super) fn rollout(tenant: &mut Tenant<'_>, pass: &mut Pass<'_>, index: usize) {
    let Some(pool) = tenant.pools.get(index) else {
        return;
    };
    let outdated = outdated(pool, pass);
    let all = u32::try_from(outdated.len()).unwrap_or(u32::MAX);
    if all == 0 {
        return;
    }
    let closed = if tenant.pinned {
        Err(DeferReason::TenantPinned.into())
    } else {
        match gate(pool, pass) {
            Gate::Open { rolling, budget } => Ok((rolling, budget)),
            Gate::Closed(wait) => Err(wait),
        }
    };
    let (rolling, mut budget) = match closed {
        Ok(open) => open,
        Err(wait) => return tenant.defer(Some(index), None, (Wanted::Update, all), wait),
    };
    let max = rolling.max_unavailable;
    // Those that have been updated and are not known to be healthy.
    let settling = |slot: &&Slot| {
        slot.status == Running
            && slot.version == Version::Current
            && slot.health(pass) != Health::Healthy
    };
    let mut updating =
        u32::try_from(pool.slots.iter().filter(settling).count()).unwrap_or(u32::MAX);
    let mut serving = available(pool, pass);
    let least = pool.desired.running.saturating_sub(max);
    let surge_only = max == 0;
    let mut limited = 0_u32;
    for candidate in outdated {
        let Some(pool) = tenant.pools.get(index) else {
            return;
        };
        let Some(slot) = pool.slots.get(candidate) else {
            return;
        };
        let serves = slot.is_available(pass);
        let running = slot.status == Running;
        let limit = if surge_only && !running {
            rolling.max_surge
        } else {
            max
        };
        let allowed = if surge_only && running {
            !serves || serving > least
        } else {
            updating < limit && (!serves || serving > least)
        };
        if budget == 0 || !allowed {
            limited = limited.saturating_add(1);
            continue;
        }
        let may = slot.may_stop(&pool.runtime, pass);
        let now = Usage::of(slot, &pool.resources);
        if let Err(wait) = may {
            let target = slot.target.clone();
            tenant.defer(Some(index), Some(target), (Wanted::Update, 1), wait);
            continue;
        }
        let start = !(surge_only && running);
        if start {
            // Its own process ends, so that it always takes a new one.
            match tenant.may_run(pass, pool, now, true) {
                Ok(()) => {}
                Err(NoStart::Refused(reason)) => {
                    tenant.refuse(index, Wanted::Update, 1, reason);
                    continue;
                }
                Err(NoStart::Waits(wait)) => {
                    let target = slot.target.clone();
                    tenant.defer(Some(index), Some(target), (Wanted::Update, 1), wait);
                    continue;
                }
            }
        }
        tenant.act(pass, index, candidate, InstanceAction::Stop);
        if start {
            tenant.act(pass, index, candidate, InstanceAction::Start);
            updating = updating.saturating_add(1);
        }
        if serves {
            serving = serving.saturating_sub(1);
        }
        budget = budget.saturating_sub(1);
    }
    if limited > 0 {
        let reason = if surge_only && rolling.max_surge == 0 {
            DeferReason::NoUpdateAllowed
        } else {
            DeferReason::AwaitingHealth { max }
        };
        tenant.defer(Some(index), None, (Wanted::Update, limited), reason.into());
    }
}

/// The outdated instances, running ones first, then those that are missed least.
fn outdated(pool: &Pool<'_>, pass: &Pass<'_>) -> Vec<usize> {
    let mut found = Vec::new();
    for status in [Running, Warm, Sleeping] {
        found.extend(pool.by_rank(status, pass).into_iter().filter(|index| {
            pool.slots
                .get(*index)
                .is_some_and(|slot| is_outdated(slot) && !is_leaving(slot))
        }));
    }
    found
}

/// Whether it is on its way to a status in which its revision does not matter.
fn is_leaving(slot: &Slot) -> bool {
    !matches!(slot.counts_as(), Running | Warm | Sleeping)
}

fn gate(pool: &Pool<'_>, pass: &Pass<'_>) -> Gate {
    match &pool.strategy {
        UpdateStrategy::Rolling(rolling) => open(pool, pass, *rolling),
        UpdateStrategy::Canary(canary) if canary.canary_count == 0 => {
            open(pool, pass, RollingUpdateStrategy::default())
        }
        UpdateStrategy::Canary(canary) => canaries(pool, pass, canary),
    }
}

/// Open unless an updated instance has not become healthy in time.
fn open(pool: &Pool<'_>, pass: &Pass<'_>, rolling: RollingUpdateStrategy) -> Gate {
    let late = |slot: &&Slot| {
        slot.status == Running
            && slot.version == Version::Current
            && slot.health(pass) != Health::Healthy
            && slot.entered_running.is_none_or(|entered| {
                wait(entered, rolling.health_check_timeout_secs, pass.now).is_none()
            })
    };
    let count = u32::try_from(pool.slots.iter().filter(late).count()).unwrap_or(u32::MAX);
    if count > 0 {
        return Gate::Closed(DeferReason::HealthTimeout { count }.into());
    }
    Gate::Open {
        rolling,
        budget: u32::MAX,
    }
}

fn canaries(pool: &Pool<'_>, pass: &Pass<'_>, canary: &CanaryStrategy) -> Gate {
    let live = pool.slots.iter().filter(|slot| slot.is_live());
    let wanted = canary
        .canary_count
        .min(u32::try_from(live.count()).unwrap_or(u32::MAX));
    let updated: Vec<&Slot> = pool
        .slots
        .iter()
        .filter(|slot| slot.is_live() && slot.version == Version::Current)
        .collect();
    let count = u32::try_from(updated.len()).unwrap_or(u32::MAX);
    if count < wanted {
        return Gate::Open {
            rolling: RollingUpdateStrategy {
                max_unavailable: wanted,
                ..RollingUpdateStrategy::default()
            },
            budget: wanted.saturating_sub(count),
        };
    }
    // Seconds for which each is still to be watched.
    let left = |slot: &Slot| {
        slot.last_started
            .and_then(|started| wait(started, canary.canary_duration_secs, pass.now))
    };
    let mut ends: Vec<Option<u64>> = updated.iter().map(|slot| left(slot)).collect();
    ends.sort_unstable();
    let last = usize::try_from(wanted)
        .ok()
        .and_then(|wanted| ends.get(wanted.saturating_sub(1)))
        .copied()
        .flatten();
    if let Some(seconds) = last {
        return Gate::Closed(Wait {
            until: pass.after(seconds),
            reason: DeferReason::CanaryWindow { count },
        });
    }
    let (mut healthy, mut of) = (0_u32, 0_u32);
    for slot in updated {
        if slot.status == Running && left(slot).is_none() {
            of = of.saturating_add(1);
            if slot.health(pass) == Health::Healthy {
                healthy = healthy.saturating_add(1);
            }
        }
    }
    if f64::from(healthy) < f64::from(of) * canary.success_threshold.get() {
        return Gate::Closed(DeferReason::CanaryFailed { healthy, of }.into());
    }
    open(pool, pass, RollingUpdateStrategy::default())
}
