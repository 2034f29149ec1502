//! How much of what is desired a tenant's quotas allow.

use alloc::vec::Vec;

use super::action::{Quota, RefuseReason, Wanted};
use super::model::{Pool, Tenant, Treatment};
use super::usage::Usage;
use crate::fleet::pool::DesiredCounts;
use crate::fleet::tenant::TenantQuota;

/// A status that instances are wanted in, best first.
#[derive(Clone, Copy)]
enum Level {
    Running,
    Warm,
    Sleeping,
}

/// Shares the quotas out: all that is to run first, then all that is to be warm, then what is to
/// sleep; within one of them in the order in which pools start. What is left over is refused.
///
/// Says nothing about what the node has, but for pools that are not managed: so the shares are the
/// same before and after the plan.
pub(super) fn grant(tenant: &mut Tenant<'_>) {
    let quotas = tenant.quotas;
    let mut used = Usage::default();
    for pool in &mut tenant.pools {
        pool.granted = DesiredCounts::default();
        if pool.treatment != Treatment::Managed {
            for slot in &pool.slots {
                used = used.plus(Usage::of(slot, &pool.resources));
            }
        }
    }
    let mut refused = Vec::new();
    for level in [Level::Running, Level::Warm, Level::Sleeping] {
        for (index, pool) in tenant.pools.iter_mut().enumerate() {
            if pool.treatment != Treatment::Managed {
                continue;
            }
            let (wanted, each) = each(level, pool);
            let granted = fitting(wanted, each, used, pool, &quotas);
            if granted < wanted {
                let reason = reason(wanted, each, used, pool, &quotas);
                refused.push((index, level, wanted.saturating_sub(granted), reason));
            }
            used = used.plus(times(each, granted));
            match level {
                Level::Running => pool.granted.running = granted,
                Level::Warm => pool.granted.warm = granted,
                Level::Sleeping => pool.granted.sleeping = granted,
            }
        }
    }
    for pool in &mut tenant.pools {
        ways(pool, used, &quotas);
    }
    for (pool, level, count, reason) in refused {
        let wanted = match level {
            Level::Running => Wanted::Start,
            Level::Warm => Wanted::Warm,
            Level::Sleeping => Wanted::Sleep,
        };
        if let Some(reason) = reason {
            tenant.refuse(pool, wanted, count, reason);
        }
    }
}

/// How many are wanted, and what each of them uses.
fn each(level: Level, pool: &Pool<'_>) -> (u32, Usage) {
    let running = Usage::running(&pool.resources);
    match level {
        Level::Running => (pool.desired.running, running),
        Level::Warm => (
            pool.desired.warm,
            Usage {
                running: 0,
                warm: 1,
                ..running
            },
        ),
        Level::Sleeping => (
            pool.desired.sleeping,
            Usage {
                disk_mib: running.disk_mib,
                ..Usage::default()
            },
        ),
    }
}

fn times(each: Usage, count: u32) -> Usage {
    let count = u64::from(count);
    Usage {
        running: each.running.saturating_mul(count),
        warm: each.warm.saturating_mul(count),
        vcpus: each.vcpus.saturating_mul(count),
        mem_mib: each.mem_mib.saturating_mul(count),
        disk_mib: each.disk_mib.saturating_mul(count),
    }
}

fn granted(pool: &Pool<'_>) -> u32 {
    let granted = pool.granted;
    granted
        .running
        .saturating_add(granted.warm)
        .saturating_add(granted.sleeping)
}

/// How many more fit.
fn fitting(wanted: u32, each: Usage, used: Usage, pool: &Pool<'_>, quotas: &TenantQuota) -> u32 {
    let mut fitting = wanted.min(quotas.max_instances_per_pool.saturating_sub(granted(pool)));
    for (each, used, max) in [
        (each.running, used.running, quotas.max_running.into()),
        (each.warm, used.warm, quotas.max_warm.into()),
        (each.vcpus, used.vcpus, quotas.max_vcpus.into()),
        (each.mem_mib, used.mem_mib, quotas.max_mem_mib),
        (
            each.disk_mib,
            used.disk_mib,
            quotas.max_disk_gib.saturating_mul(1024),
        ),
    ] {
        if let Some(fit) = max.saturating_sub(used).checked_div(each) {
            fitting = fitting.min(u32::try_from(fit).unwrap_or(u32::MAX));
        }
    }
    fitting
}

/// The first quota that all of them would exceed.
fn reason(
    wanted: u32,
    each: Usage,
    used: Usage,
    pool: &Pool<'_>,
    quotas: &TenantQuota,
) -> Option<RefuseReason> {
    let instances = granted(pool).saturating_add(wanted);
    if instances > quotas.max_instances_per_pool {
        return Some(RefuseReason::Quota {
            quota: Quota::InstancesPerPool,
            needed: instances.into(),
            max: quotas.max_instances_per_pool.into(),
        });
    }
    used.grow_to(used.plus(times(each, wanted)), quotas).err()
}

/// Whether an instance can go down all the way once everything that is granted is there: it has to
/// run before it can be warm, and to be warm before it can sleep.
fn ways(pool: &mut Pool<'_>, used: Usage, quotas: &TenantQuota) {
    let one_more = |usage: Usage| used.grow_to(used.plus(usage), quotas).err();
    let running = Usage {
        running: 1,
        ..Usage::default()
    };
    let warm = Usage {
        warm: u64::from(pool.granted.warm == 0),
        ..Usage::default()
    };
    // What is to be warm has its processors and memory already.
    pool.to_warm = one_more(running).or(one_more(warm));
    let process = Usage {
        disk_mib: 0,
        ..Usage::running(&pool.resources)
    };
    pool.to_sleep = pool.to_warm.or(one_more(process));
}
