//! What has to be done on a node so that it has what is desired: an ordered list of actions, as few as
//! possible, and what has to wait or cannot be, each with its reason.
//!
//! [`plan`] is a pure function of the node's records ([`NodeState`]), the [`DesiredState`], a
//! [`ReconcilePolicy`] and the time. It does no IO, needs no entropy, and gives the same for the same
//! input in any order. It applies every action to a model of the node when it plans it and decides by
//! the model, so planning again after the plan has been carried out, at the same time, gives no
//! action.
//!
//! ```
//! use mvm_core::agent::DesiredState;
//! use mvm_core::document::Document;
//! use mvm_core::reconcile::{NodeState, ReconcilePolicy, plan};
//!
//! let desired = DesiredState::from_json(br#"{
//!     "schema_version": 1, "node_id": "node-1",
//!     "tenants": [{
//!         "tenant_id": "acme",
//!         "network": {"tenant_net_id": 3, "ipv4_subnet": "10.240.3.0/24"},
//!         "quotas": {
//!             "max_vcpus": 16, "max_mem_mib": 32768, "max_running": 8, "max_warm": 4,
//!             "max_pools": 4, "max_instances_per_pool": 16, "max_disk_gib": 100
//!         },
//!         "pools": [{
//!             "pool_id": "workers", "flake_ref": "github:org/repo", "profile": "minimal",
//!             "instance_resources": {"vcpus": 2, "mem_mib": 1024},
//!             "desired_counts": {"running": 1, "warm": 0, "sleeping": 0}
//!         }]
//!     }]
//! }"#)?;
//! let now = "2026-02-25T12:00:00Z".parse()?;
//!
//! let plan = plan(&NodeState::default(), &desired, &ReconcilePolicy::default(), now);
//! assert_eq!(
//!     plan.to_string(),
//!     "create tenant acme\n\
//!      create pool acme/workers\n\
//!      build acme/workers\n\
//!      create acme/workers/new@2\n\
//!      prepare acme/workers/new@2\n\
//!      start acme/workers/new@2\n"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Carrying it out
//! One action after the other. An action that fails ends what builds on it: the later actions of the
//! same instance, after a build those of its pool, after a tenant's or a pool's record those of the
//! tenant or the pool, and after a gateway's start the starts of its tenant. Then plan again.
//!
//! A new instance has no id, since ids take entropy: [`Target::New`] names it by its place in the
//! tenant's network, the lowest free one that is not the gateway's, and whoever carries the plan out
//! gives it an id.
//!
//! A `Start` boots the revision that is built for the pool, whatever the instance ran before (its
//! record then has that revision); its data disk stays. A `Wake` goes on with the revision that was
//! paused. Changed resources take effect at the next start.
//!
//! # Order
//! Tenants that are removed come first, then what goes down in the others, then, one tenant after the
//! other by id: records and builds; what comes up; updates. Gateways come up before capabilities,
//! builders and workers, and go down after them. Where a minimum is 0, what came up goes down again at once in a
//! further round.
//!
//! # What is done with the instances of a pool
//! Instances count as what they are, or as what a pending transition leads to.
//!
//! | there are | then | chosen |
//! | --- | --- | --- |
//! | fewer than wanted in all | start | stopped, then ready, then created, then new ones |
//! | enough, but too few running or warm | wake sleeping ones | the best first |
//! | enough running and warm, but too few running | wake warm ones | the best first |
//! | more than wanted in all | stop, out of running as far as those are too many, then warm, then sleeping | the worst first |
//! | too many running, too few warm or sleeping | make warm | the worst first |
//! | too many warm, too few sleeping | put to sleep | the worst first |
//!
//! What is to be warm or sleeping comes up running and goes down when its minimum runtime has passed.
//! The worst is unhealthy, else not known to be healthy; then outdated; then idle for longest; then
//! the one with the oldest process; then the lowest address. The best is the other end. Stopped
//! instances are kept: their disks may hold data, and the next start takes them.
//!
//! # What is respected
//! | rule | holds for | and then |
//! | --- | --- | --- |
//! | a pending transition | the instance is not touched | [`DeferReason::Pending`] |
//! | `manual_override_until` | the instance is not touched before | [`DeferReason::ManualOverride`] |
//! | minimum runtimes, as [`may_leave`](crate::instance::may_leave) | making warm, putting to sleep, stopping; not pruning, which somebody asked for | [`DeferReason::MinimumRuntime`] |
//! | a pinned tenant | nothing of it is stopped or destroyed | [`DeferReason::TenantPinned`] |
//! | a pinned pool | nothing of it is made warm, put to sleep or destroyed | [`DeferReason::PoolPinned`] |
//! | a critical pool | nothing of it is touched, and its tenant is not removed | [`DeferReason::PoolCritical`] |
//! | starts at once | processes of the whole node | [`DeferReason::StartLimit`] |
//! | gateways first | where running gateways are desired, no other instance of the tenant starts or wakes before one runs | [`DeferReason::NoGateway`] |
//! | gateways last | the last running gateway goes after all that is to go behind it | [`DeferReason::WorkersDraining`] |
//! | quotas | what would exceed one at any step is not begun; running ones before warm before sleeping | [`RefuseReason::Quota`] |
//! | no pruning | what is not desired stays unless the desired state says to prune it | [`Plan::unknown`] |
//!
//! A quota that is exceeded already, because it was lowered, stops nothing that is desired: only
//! growth is refused.
//!
//! # Updates
//! The wanted revision of a pool is that of its registry artifact, else what is built. A build is due
//! where nothing is built and something is wanted, where flake or profile change, and where the
//! artifact's revision is another one. Live instances of a recorded other revision are outdated. When a
//! build is due whose revision is not known before, all are taken to be.
//!
//! An update is a stop and a start right after it; running instances come before warm and sleeping
//! ones, the worst first. Outdated instances are not made warm or put to sleep before. An updated
//! instance serves once a health check after its start says so.
//!
//! | strategy | an instance is updated |
//! | --- | --- |
//! | rolling, `max_unavailable` above 0 | while fewer than that many are updated and not yet healthy, and at most that many of the desired running ones do not serve |
//! | rolling, `max_unavailable` 0 | up to `max_surge` instances more are started; an outdated one is stopped when enough others serve |
//! | canary | first `canary_count`; when these have run for `canary_duration_secs` and the share of healthy ones is at least `success_threshold`, the others, by the default rolling strategy |
//!
//! What does not serve for another reason counts as well: where a quota keeps desired instances away,
//! an update may wait until it is raised. An updated instance that is not healthy in time ends the rollout
//! ([`DeferReason::HealthTimeout`]) until it is.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::fleet::agent::{DesiredPool, DesiredState, DesiredTenant};
use crate::fleet::pool::DesiredCounts;
use crate::fleet::text::Ipv4Subnet;
use crate::limits::{HOST_OFFSET_MAX, HOST_OFFSET_MIN};
use crate::names::{HostOffset, PoolId, TenantId};
use crate::time::Timestamp;

mod action;
mod drain;
mod grant;
mod model;
mod pass;
mod raise;
mod records;
mod rollout;
mod state;
mod usage;

pub use action::{
    Action, DeferReason, Deferred, Plan, Quota, RefuseReason, Refused, Target, Unknown, Wanted,
};
pub use records::{NodeRecords, PoolRecords, TenantRecords};
pub use state::{NodeState, PoolState, ReconcilePolicy, TenantState};

use model::{Pool, Tenant, Treatment};
use pass::Pass;
use raise::Round;

/// The plan that takes a node from what it has to what is desired. The
/// [module's documentation](self) has the rules and an example.
///
/// `desired` need not be valid as a document: what is there twice, or has another network than the
/// node, is refused and left. Time and memory grow with the instances and pools on both sides, times
/// a logarithm for sorting.
#[must_use]
pub fn plan(
    current: &NodeState,
    desired: &DesiredState,
    policy: &ReconcilePolicy,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    let mut pass = Pass::new(policy, now);
    let (wanted, twice) = once(&desired.tenants, |tenant| &tenant.tenant_id);
    for tenant in &twice {
        plan.refused.push(Refused {
            tenant: (*tenant).clone(),
            pool: None,
            wanted: Wanted::Reconcile,
            count: 1,
            reason: RefuseReason::Duplicate,
        });
    }
    let prune = desired.prune_unknown_tenants;
    let mut tenants = Vec::new();
    let mut pruned = Vec::new();
    for (id, have) in &current.tenants {
        if wanted.contains_key(id) {
            continue;
        }
        // Not planned for, but its starting instances count.
        let tenant = unwanted(id, have, &mut pass);
        if twice.contains(id) {
            continue;
        }
        if prune {
            pruned.push(tenant);
        } else {
            plan.unknown.push(Unknown {
                tenant: id.clone(),
                pool: None,
            });
        }
    }
    for (id, want) in wanted {
        let have = current.tenants.get(id);
        tenants.push(known(
            want,
            have,
            desired.prune_unknown_pools,
            &mut pass,
            &mut plan,
        ));
    }
    // What goes makes room: networks first of all.
    for mut tenant in pruned {
        remove(&mut tenant, &mut pass);
        finish(tenant, &mut plan);
    }
    let mut tenants: Vec<_> = tenants.into_iter().flatten().collect();
    for tenant in &mut tenants {
        down(tenant, &mut pass);
    }
    for mut tenant in tenants {
        settle(&mut tenant, &mut pass);
        finish(tenant, &mut plan);
    }
    plan.actions = pass.actions;
    plan.deferred.sort_unstable();
    plan.refused.sort_unstable();
    plan.unknown.sort_unstable();
    plan
}

/// Those that are there once, by id, and the ids that are there more than once.
fn once<'a, T, K: Ord>(
    all: &'a [T],
    id: impl Fn(&'a T) -> &'a K,
) -> (BTreeMap<&'a K, &'a T>, BTreeSet<&'a K>) {
    let mut found = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for each in all {
        if found.insert(id(each), each).is_some() {
            twice.insert(id(each));
        }
    }
    found.retain(|id, _| !twice.contains(id));
    (found, twice)
}

/// The place of an address in a network, where it is a host's that can have one.
fn offset_of(address: core::net::Ipv4Addr, subnet: Ipv4Subnet) -> Option<HostOffset> {
    let distance = address
        .to_bits()
        .checked_sub(subnet.net().network().to_bits())?;
    HostOffset::new(u8::try_from(distance).ok()?).ok()
}

/// The last place of a network: neither its broadcast address nor above what an offset can be.
fn last_offset(subnet: Ipv4Subnet) -> u8 {
    let net = subnet.net();
    let size = net
        .broadcast()
        .to_bits()
        .saturating_sub(net.network().to_bits());
    u8::try_from(size.saturating_sub(1)).map_or(HOST_OFFSET_MAX, |last| last.min(HOST_OFFSET_MAX))
}

fn unwanted<'a>(id: &'a TenantId, have: &'a TenantState, pass: &mut Pass<'_>) -> Tenant<'a> {
    let pools = have
        .pools
        .iter()
        .map(|(id, pool)| {
            let mut model = Pool::new(id, Some(pool), None, pass);
            model.treatment = if pool.spec.critical {
                Treatment::Left
            } else {
                Treatment::Pruned
            };
            model
        })
        .collect();
    let net = &have.config.net;
    let gateway = offset_of(net.gateway_ip, net.ipv4_subnet);
    let mut tenant = Tenant::new(
        id,
        have.config.quotas,
        pools,
        gateway,
        last_offset(net.ipv4_subnet),
    );
    tenant.pinned = have.config.pinned;
    tenant
}

/// A desired tenant, ready to be planned for; `None` where it cannot be.
fn known<'a>(
    want: &'a DesiredTenant,
    have: Option<&'a TenantState>,
    prune_pools: bool,
    pass: &mut Pass<'_>,
    plan: &mut Plan,
) -> Option<Tenant<'a>> {
    let id = &want.tenant_id;
    let (wanted, twice) = once(&want.pools, |pool| &pool.pool_id);
    let refused = |pool: Option<&PoolId>, reason| Refused {
        tenant: id.clone(),
        pool: pool.cloned(),
        wanted: Wanted::Reconcile,
        count: 1,
        reason,
    };
    for pool in &twice {
        plan.refused
            .push(refused(Some(pool), RefuseReason::Duplicate));
    }
    let mut pools = Vec::new();
    let mut critical = Vec::new();
    for (pool, state) in have.into_iter().flat_map(|have| &have.pools) {
        let desired = wanted.get(pool).copied();
        let mut model = Pool::new(pool, Some(state), desired, pass);
        if state.spec.critical {
            if differs(&model, desired) || (desired.is_none() && prune_pools) {
                critical.push(pool);
            }
            model.treatment = Treatment::Left;
        } else if desired.is_none() && !twice.contains(pool) {
            if prune_pools {
                model.treatment = Treatment::Pruned;
            } else {
                plan.unknown.push(Unknown {
                    tenant: id.clone(),
                    pool: Some(pool.clone()),
                });
            }
        }
        pools.push(model);
    }
    for (pool, desired) in wanted {
        if have.is_none_or(|have| !have.pools.contains_key(pool)) {
            pools.push(Pool::new(pool, None, Some(desired), pass));
        }
    }
    if let Some(have) = have
        && (have.config.net.tenant_net_id != want.network.tenant_net_id
            || have.config.net.ipv4_subnet != want.network.ipv4_subnet)
    {
        plan.refused
            .push(refused(None, RefuseReason::NetworkChanged));
        return None;
    }
    let subnet = want.network.ipv4_subnet;
    // The gateway of a new network is its first host.
    let gateway = match have {
        Some(have) => offset_of(have.config.net.gateway_ip, subnet),
        None => HostOffset::new(HOST_OFFSET_MIN).ok(),
    };
    let mut tenant = Tenant::new(id, want.quotas, pools, gateway, last_offset(subnet));
    tenant.pinned = have.is_some_and(|have| have.config.pinned);
    tenant.recorded = have.is_some();
    tenant.outdated_record = have.is_some_and(|have| have.config.quotas != want.quotas);
    for pool in critical {
        plan.deferred.push(Deferred {
            tenant: id.clone(),
            pool: Some(pool.clone()),
            instance: None,
            wanted: Wanted::Reconcile,
            count: 1,
            reason: DeferReason::PoolCritical,
            until: None,
        });
    }
    Some(tenant)
}

/// Whether a pool is not as desired.
fn differs(pool: &Pool<'_>, desired: Option<&DesiredPool>) -> bool {
    desired.is_some_and(|desired| {
        pool.build
            || pool.outdated_record
            || pool.counts() != desired.desired_counts
            || pool.slots.iter().any(drain::is_outdated)
    })
}

/// Removes a tenant that is not desired, in the reverse order of starting.
fn remove(tenant: &mut Tenant<'_>, pass: &mut Pass<'_>) {
    let critical = tenant
        .pools
        .iter()
        .any(|pool| pool.treatment == Treatment::Left);
    let reason = if tenant.pinned {
        Some(DeferReason::TenantPinned)
    } else {
        // Without the rest of its tenant a critical pool would not be what it was.
        critical.then_some(DeferReason::PoolCritical)
    };
    if let Some(reason) = reason {
        return tenant.defer(None, None, (Wanted::Remove, 1), reason.into());
    }
    for pool in (0..tenant.pools.len()).rev() {
        drain::prune(tenant, pass, pool);
    }
    let left = tenant.pools.iter().filter(|pool| pool.recorded).count();
    if left > 0 {
        let count = u32::try_from(left).unwrap_or(u32::MAX);
        let reason = DeferReason::NotEmpty { count };
        return tenant.defer(None, None, (Wanted::Remove, 1), reason.into());
    }
    pass.actions.push(Action::RemoveTenant {
        tenant: tenant.id.clone(),
    });
}

/// Takes down what is too much or not desired, in the reverse order of starting. Begins a round: what
/// was noted before is forgotten.
fn down(tenant: &mut Tenant<'_>, pass: &mut Pass<'_>) {
    tenant.deferred.clear();
    tenant.refused.clear();
    tenant.draining = 0;
    tenant.draining_until = None;
    for pool in &mut tenant.pools {
        pool.coming = 0;
    }
    for pool in (0..tenant.pools.len()).rev() {
        match treatment(tenant, pool) {
            Treatment::Managed => drain::drain(tenant, pass, pool),
            Treatment::Pruned => drain::prune(tenant, pass, pool),
            Treatment::Left | Treatment::Absent => {}
        }
    }
}

/// Plans for a tenant until there is nothing more to do at this time.
///
/// More than two rounds are needed only where an instance takes several steps at once, because a
/// minimum is 0.
fn settle(tenant: &mut Tenant<'_>, pass: &mut Pass<'_>) {
    // Each instance goes through at most four statuses, and each round takes a step.
    let slots = tenant.pools.iter().map(|pool| pool.slots.len());
    let wanted = tenant.pools.iter().map(|pool| total(pool.desired));
    let steps = slots.chain(wanted).fold(8, usize::saturating_add);
    for _ in 0..steps.saturating_mul(4) {
        let before = pass.actions.len();
        down(tenant, pass);
        provision(tenant, pass);
        grant::grant(tenant);
        for round in [Round::Running, Round::Feeding] {
            for pool in 0..tenant.pools.len() {
                if treatment(tenant, pool) == Treatment::Managed {
                    raise::raise(tenant, pass, pool, round);
                }
            }
        }
        for pool in 0..tenant.pools.len() {
            if treatment(tenant, pool) == Treatment::Managed {
                rollout::rollout(tenant, pass, pool);
            }
        }
        if pass.actions.len() == before {
            break;
        }
    }
}

fn total(counts: DesiredCounts) -> usize {
    let total = counts
        .running
        .saturating_add(counts.warm)
        .saturating_add(counts.sleeping);
    usize::try_from(total).unwrap_or(usize::MAX)
}

fn treatment(tenant: &Tenant<'_>, pool: usize) -> Treatment {
    tenant
        .pools
        .get(pool)
        .map_or(Treatment::Absent, |pool| pool.treatment)
}

/// Records and builds what is not yet. A pool that does not fit stays absent, and may fit in a later
/// round.
fn provision(tenant: &mut Tenant<'_>, pass: &mut Pass<'_>) {
    let id = tenant.id;
    if !tenant.recorded {
        tenant.recorded = true;
        pass.actions
            .push(Action::CreateTenant { tenant: id.clone() });
    } else if tenant.outdated_record {
        tenant.outdated_record = false;
        pass.actions
            .push(Action::UpdateTenant { tenant: id.clone() });
    }
    let recorded = tenant.pools.iter().filter(|pool| pool.recorded).count();
    let mut recorded = u32::try_from(recorded).unwrap_or(u32::MAX);
    let max = tenant.quotas.max_pools;
    let mut too_many = Vec::new();
    for (index, pool) in tenant.pools.iter_mut().enumerate() {
        let new = pool.wanted && !pool.recorded;
        if pool.treatment != Treatment::Managed && !new {
            continue;
        }
        let ids = || (id.clone(), pool.id.clone());
        if new {
            let needed = recorded.saturating_add(1);
            if needed > max {
                pool.treatment = Treatment::Absent;
                too_many.push((index, needed));
                continue;
            }
            recorded = needed;
            pool.treatment = Treatment::Managed;
            pool.recorded = true;
            let (tenant, pool) = ids();
            pass.actions.push(Action::CreatePool { tenant, pool });
        }
        if pool.build {
            let (tenant, id) = ids();
            pass.actions.push(Action::Build {
                tenant,
                pool: id,
                revision: pool.build_revision.cloned(),
            });
            pool.build = false;
        }
        if pool.outdated_record {
            let (tenant, id) = ids();
            pass.actions.push(Action::UpdatePool { tenant, pool: id });
            pool.outdated_record = false;
        }
    }
    for (index, needed) in too_many {
        let reason = RefuseReason::Quota {
            quota: Quota::Pools,
            needed: needed.into(),
            max: max.into(),
        };
        tenant.refuse(index, Wanted::Reconcile, 1, reason);
    }
}

fn finish(tenant: Tenant<'_>, plan: &mut Plan) {
    plan.deferred.extend(tenant.deferred);
    plan.refused.extend(tenant.refused);
}
