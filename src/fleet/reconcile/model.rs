//! The node as the plan leaves it: every action is applied to this model when it is planned, and
//! every decision reads the model. So a plan that is made from its result finds nothing to do.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::action::{Action, DeferReason, Deferred, RefuseReason, Refused, Target, Wanted};
use super::pass::{Pass, Wait};
use super::state::PoolState;
use super::usage::Usage;
use crate::fleet::agent::DesiredPool;
use crate::fleet::pool::{DesiredCounts, InstanceResources, UpdateStrategy};
use crate::fleet::tenant::TenantQuota;
use crate::instance::decide::wait;
use crate::instance::{InstanceAction, InstanceState, InstanceStatus, PendingTransition};
use crate::names::{HostOffset, PoolId, RevisionHash, TenantId};
use crate::policy::{Role, RuntimePolicy};
use crate::time::Timestamp;

use InstanceStatus::{Destroyed, Running, Sleeping, Warm};

/// Why an instance is not started.
pub(super) enum NoStart {
    Waits(Wait),
    Refused(RefuseReason),
}

/// Which revision an instance has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// None is recorded: it is left as it is.
    Unknown,
    Current,
    Outdated,
}

/// What the last health check says about an instance as it is now. In the order in which
/// instances are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    Unhealthy,
    Unknown,
    Healthy,
}

/// An instance.
pub(super) struct Slot {
    pub(super) target: Target,
    pub(super) offset: HostOffset,
    pub(super) status: InstanceStatus,
    pub(super) pending: Option<PendingTransition>,
    hold_until: Option<Timestamp>,
    pub(super) version: Version,
    pub(super) entered_running: Option<Timestamp>,
    entered_warm: Option<Timestamp>,
    pub(super) last_started: Option<Timestamp>,
    healthy: Option<bool>,
    checked: Option<Timestamp>,
    idle: u64,
}

impl Slot {
    fn new(state: &InstanceState, revision: Revision<'_>, now: Timestamp) -> Self {
        let busy = state.last_busy_at.and_then(|busy| now.duration_since(busy));
        let measured = state.idle_metrics.last_updated.is_some();
        Self {
            target: Target::Existing(state.instance_id.clone()),
            offset: state.net.offset,
            status: state.status(),
            pending: state.pending(),
            hold_until: state.manual_override_until.filter(|until| *until > now),
            version: match (&state.revision_hash, revision) {
                (None, _) | (_, Revision::None) => Version::Unknown,
                (Some(has), Revision::Known(wanted)) if has == wanted => Version::Current,
                _ => Version::Outdated,
            },
            entered_running: state.entered_running_at(),
            entered_warm: state.entered_warm_at(),
            last_started: state.last_started_at(),
            healthy: state.healthy,
            checked: state.last_health_check_at,
            idle: match busy {
                Some(since) => since.as_secs(),
                None if measured => state.idle_metrics.idle_secs,
                None => 0,
            },
        }
    }

    /// A new one, created.
    pub(super) fn created(offset: HostOffset) -> Self {
        Self {
            target: Target::New(offset),
            offset,
            status: InstanceStatus::Created,
            pending: None,
            hold_until: None,
            version: Version::Unknown,
            entered_running: None,
            entered_warm: None,
            last_started: None,
            healthy: None,
            checked: None,
            idle: 0,
        }
    }

    /// The status it is in or on its way to: the one that counts for what is desired.
    pub(super) fn counts_as(&self) -> InstanceStatus {
        self.pending.map_or(self.status, |pending| pending.to)
    }

    /// Whether it is, or will be, in one of these: what counts for a quota.
    pub(super) fn either(&self, is: impl Fn(InstanceStatus) -> bool) -> bool {
        is(self.status) || is(self.counts_as())
    }

    pub(super) fn exists(&self) -> bool {
        self.status != Destroyed
    }

    /// Whether it runs, is warm or sleeps.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.status, Running | Warm | Sleeping)
    }

    pub(super) fn health(&self, pass: &Pass<'_>) -> Health {
        let age = self
            .checked
            .and_then(|checked| pass.now.duration_since(checked));
        let fresh = age.is_some_and(|age| age.as_secs() <= pass.policy.health_age_seconds);
        // A check at the very instant of the start may have been of the life before.
        let this_life = self.checked > self.entered_running;
        match self.healthy {
            Some(healthy) if fresh && this_life => {
                if healthy {
                    Health::Healthy
                } else {
                    Health::Unhealthy
                }
            }
            _ => Health::Unknown,
        }
    }

    /// Whether it serves: an updated instance only once a health check says so.
    pub(super) fn is_available(&self, pass: &Pass<'_>) -> bool {
        self.status == Running
            && self.pending.is_none()
            && match self.version {
                Version::Current => self.health(pass) == Health::Healthy,
                _ => self.health(pass) != Health::Unhealthy,
            }
    }

    /// Whether nobody and nothing else has a claim on it.
    pub(super) fn is_free(&self) -> Result<(), Wait> {
        if let Some(PendingTransition { to, since }) = self.pending {
            return Err(DeferReason::Pending { to, since }.into());
        }
        match self.hold_until {
            Some(until) => Err(Wait {
                until: Some(until),
                reason: DeferReason::ManualOverride,
            }),
            None => Ok(()),
        }
    }

    /// Whether it may leave its status downwards.
    pub(super) fn may_leave(&self, runtime: &RuntimePolicy, pass: &Pass<'_>) -> Result<(), Wait> {
        self.is_free()?;
        let (since, minimum) = match self.status {
            Running => (self.entered_running, runtime.min_running_seconds),
            Warm => (self.entered_warm, runtime.min_warm_seconds),
            _ => return Ok(()),
        };
        match since.and_then(|since| wait(since, minimum, pass.now)) {
            Some(left) => Err(Wait {
                until: pass.after(left),
                reason: DeferReason::MinimumRuntime,
            }),
            None => Ok(()),
        }
    }

    /// Whether it may be stopped. Also without a minimum, what began to run at this very time was not
    /// meant to be stopped at it.
    pub(super) fn may_stop(&self, runtime: &RuntimePolicy, pass: &Pass<'_>) -> Result<(), Wait> {
        self.may_leave(runtime, pass)?;
        if self.status == Running && self.entered_running == Some(pass.now) {
            return Err(Wait {
                until: pass.after(1),
                reason: DeferReason::MinimumRuntime,
            });
        }
        Ok(())
    }

    /// The order in which instances are given up; the last is the best.
    fn rank(&self, pass: &Pass<'_>) -> impl Ord + use<> {
        (
            self.health(pass),
            self.version != Version::Outdated,
            Reverse(self.idle),
            self.last_started,
            self.offset,
        )
    }
}

/// What instances of a pool boot.
#[derive(Clone, Copy)]
pub(super) enum Revision<'a> {
    /// Nothing is built, and nothing is going to be.
    None,
    Known(&'a RevisionHash),
    /// This plan builds it. It is taken to differ from all that there were.
    Fresh,
}

/// How a pool is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It gets what is desired.
    Managed,
    /// It is looked at only.
    Left,
    /// It is to go.
    Pruned,
    /// It has gone, or has never been made.
    Absent,
}

/// A pool.
pub(super) struct Pool<'a> {
    pub(super) id: &'a PoolId,
    pub(super) treatment: Treatment,
    pub(super) role: Role,
    pub(super) pinned: bool,
    /// Whether it is desired.
    pub(super) wanted: bool,
    /// Whether its record exists.
    pub(super) recorded: bool,
    pub(super) outdated_record: bool,
    pub(super) build: bool,
    pub(super) build_revision: Option<&'a RevisionHash>,
    pub(super) resources: InstanceResources,
    pub(super) runtime: RuntimePolicy,
    pub(super) strategy: UpdateStrategy,
    pub(super) desired: DesiredCounts,
    /// What of that the quotas allow.
    pub(super) granted: DesiredCounts,
    /// Whether an instance can get warm, and asleep, without exceeding a quota on the way.
    pub(super) to_warm: Option<RefuseReason>,
    pub(super) to_sleep: Option<RefuseReason>,
    pub(super) slots: Vec<Slot>,
    pub(super) existing: u32,
    /// Starts that wait in this round: their instances will run without further planning.
    pub(super) coming: u32,
}

impl<'a> Pool<'a> {
    pub(super) fn new(
        id: &'a PoolId,
        have: Option<&'a PoolState>,
        want: Option<&'a DesiredPool>,
        pass: &mut Pass<'_>,
    ) -> Self {
        let spec = have.map(|have| &have.spec);
        let desired = want.map_or_else(DesiredCounts::default, |want| want.desired_counts);
        let built = have.and_then(|have| have.built.as_ref());
        let artifact = want
            .and_then(|want| want.registry_artifact.as_ref())
            .and_then(|artifact| artifact.revision.as_ref());
        let any = desired.running > 0 || desired.warm > 0 || desired.sleeping > 0;
        let source_changed = match (spec, want) {
            (Some(spec), Some(want)) => {
                spec.flake_ref != want.flake_ref || spec.profile != want.profile
            }
            _ => false,
        };
        let other_artifact = artifact.is_some() && artifact != built;
        let build = want.is_some()
            && if built.is_some() {
                source_changed || other_artifact
            } else {
                any
            };
        let revision = match (build, artifact, built) {
            (_, Some(revision), _) | (false, None, Some(revision)) => Revision::Known(revision),
            (true, None, _) => Revision::Fresh,
            (false, None, None) => Revision::None,
        };
        let mut slots = Vec::new();
        for state in have.into_iter().flat_map(|have| &have.instances) {
            if state.status() != Destroyed {
                pass.observe(state);
                slots.push(Slot::new(state, revision, pass.now));
            }
        }
        // The order of the records says nothing.
        slots.sort_unstable_by(|a, b| (a.offset, &a.target).cmp(&(b.offset, &b.target)));
        let (spec_resources, spec_runtime) = match spec {
            Some(spec) => (spec.instance_resources, spec.runtime_policy),
            None => (NO_RESOURCES, RuntimePolicy::default()),
        };
        Self {
            id,
            treatment: match (want, have) {
                (Some(_), _) => Treatment::Managed,
                (None, Some(_)) => Treatment::Left,
                (None, None) => Treatment::Absent,
            },
            role: want
                .map(|want| want.role)
                .or(spec.map(|spec| spec.role))
                .unwrap_or_default(),
            pinned: spec.is_some_and(|spec| spec.pinned),
            wanted: want.is_some(),
            recorded: have.is_some(),
            outdated_record: match (spec, want) {
                (Some(spec), Some(want)) => {
                    source_changed
                        || spec.role != want.role
                        || spec.instance_resources != want.instance_resources
                        || spec.desired_counts != want.desired_counts
                        || spec.runtime_policy != want.runtime_policy
                        || spec.seccomp_policy != want.seccomp_policy
                        || spec.snapshot_compression != want.snapshot_compression
                        || spec.secret_scopes != want.secret_scopes
                }
                _ => false,
            },
            build,
            build_revision: artifact,
            resources: want.map_or(spec_resources, |want| want.instance_resources),
            runtime: want.map_or(spec_runtime, |want| want.runtime_policy),
            strategy: want
                .and_then(|want| want.default_update_strategy.clone())
                .unwrap_or_else(|| pass.policy.update_strategy.clone()),
            desired,
            granted: DesiredCounts::default(),
            to_warm: None,
            to_sleep: None,
            existing: u32::try_from(slots.len()).unwrap_or(u32::MAX),
            slots,
            coming: 0,
        }
    }

    /// How many instances count as running, warm and sleeping.
    pub(super) fn counts(&self) -> DesiredCounts {
        let mut counts = DesiredCounts::default();
        for slot in &self.slots {
            let count = match slot.counts_as() {
                Running => &mut counts.running,
                Warm => &mut counts.warm,
                Sleeping => &mut counts.sleeping,
                _ => continue,
            };
            *count = count.saturating_add(1);
        }
        counts
    }

    /// The instances in `status`, those to give up first at the beginning.
    pub(super) fn by_rank(&self, status: InstanceStatus, pass: &Pass<'_>) -> Vec<usize> {
        let mut found: Vec<_> = (0..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.status == status)
            .map(|(index, slot)| (slot.rank(pass), index))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, index)| index).collect()
    }
}

const NO_RESOURCES: InstanceResources = InstanceResources {
    vcpus: 0,
    mem_mib: 0,
    data_disk_mib: 0,
};

/// The order in which pools start: those that others need come first.
pub(super) const fn start_order(role: Role) -> u8 {
    match role {
        Role::Gateway => 0,
        Role::CapabilityImessage => 1,
        Role::Builder => 2,
        Role::Worker => 3,
    }
}

/// A tenant.
pub(super) struct Tenant<'a> {
    pub(super) id: &'a TenantId,
    pub(super) quotas: TenantQuota,
    pub(super) pinned: bool,
    pub(super) recorded: bool,
    pub(super) outdated_record: bool,
    /// In the order in which they start.
    pub(super) pools: Vec<Pool<'a>>,
    pub(super) usage: Usage,
    /// Which places of the network are taken, and how many of them can be used.
    taken: BTreeMap<HostOffset, u32>,
    last_offset: u8,
    pub(super) needs_gateway: bool,
    /// Its running gateways.
    pub(super) gateways: usize,
    /// Running instances behind the gateways that are to go and cannot yet.
    pub(super) draining: u32,
    pub(super) draining_until: Option<Timestamp>,
    /// What this round found; the last round's stays.
    pub(super) deferred: Vec<Deferred>,
    pub(super) refused: Vec<Refused>,
}

impl<'a> Tenant<'a> {
    pub(super) fn new(
        id: &'a TenantId,
        quotas: TenantQuota,
        mut pools: Vec<Pool<'a>>,
        gateway: Option<HostOffset>,
        last_offset: u8,
    ) -> Self {
        pools.sort_unstable_by_key(|pool| (start_order(pool.role), pool.id));
        let mut usage = Usage::default();
        let mut taken: BTreeMap<_, _> = gateway.into_iter().map(|gateway| (gateway, 1)).collect();
        for pool in &pools {
            for slot in &pool.slots {
                usage = usage.plus(Usage::of(slot, &pool.resources));
                let users = taken.entry(slot.offset).or_insert(0_u32);
                *users = users.saturating_add(1);
            }
        }
        let needs_gateway = pools
            .iter()
            .any(|pool| pool.role == Role::Gateway && pool.desired.running > 0);
        let gateways = pools
            .iter()
            .filter(|pool| pool.role == Role::Gateway)
            .flat_map(|pool| &pool.slots)
            .filter(|slot| slot.status == Running && slot.counts_as() == Running)
            .count();
        Self {
            id,
            quotas,
            pinned: false,
            recorded: true,
            outdated_record: false,
            pools,
            usage,
            taken,
            last_offset,
            needs_gateway,
            gateways,
            draining: 0,
            draining_until: None,
            deferred: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// The lowest free place of the network.
    pub(super) fn free_offset(&self) -> Result<HostOffset, RefuseReason> {
        (1..=self.last_offset)
            .filter_map(|offset| HostOffset::new(offset).ok())
            .find(|offset| !self.taken.contains_key(offset))
            .ok_or(RefuseReason::NoAddress)
    }

    /// Plans and applies the creation of an instance.
    pub(super) fn create(&mut self, pass: &mut Pass<'_>, pool: usize, offset: HostOffset) {
        let Some(at) = self.pools.get_mut(pool) else {
            return;
        };
        let slot = Slot::created(offset);
        self.usage = self.usage.plus(Usage::of(&slot, &at.resources));
        self.taken.insert(offset, 1);
        at.slots.push(slot);
        at.existing = at.existing.saturating_add(1);
        pass.actions.push(Action::CreateInstance {
            tenant: self.id.clone(),
            pool: at.id.clone(),
            offset,
        });
    }

    /// Plans and applies a build of an instance.
    pub(super) fn prepare(&mut self, pass: &mut Pass<'_>, pool: usize, slot: usize) {
        let Some(at) = self.pools.get_mut(pool) else {
            return;
        };
        let Some(slot) = at.slots.get_mut(slot) else {
            return;
        };
        slot.status = InstanceStatus::Ready;
        slot.version = Version::Current;
        pass.actions.push(Action::Prepare {
            tenant: self.id.clone(),
            pool: at.id.clone(),
            instance: slot.target.clone(),
        });
    }

    /// Plans an action and applies it.
    pub(super) fn act(
        &mut self,
        pass: &mut Pass<'_>,
        pool: usize,
        slot: usize,
        action: InstanceAction,
    ) {
        let Some(at) = self.pools.get_mut(pool) else {
            return;
        };
        let Some(slot) = at.slots.get_mut(slot) else {
            return;
        };
        let before = Usage::of(slot, &at.resources);
        let (from, to) = (slot.status, action.target_status());
        slot.status = to;
        if to == Running {
            slot.entered_running = Some(pass.now);
        }
        if to == Warm {
            slot.entered_warm = Some(pass.now);
        }
        if action == InstanceAction::Start {
            slot.version = Version::Current;
        }
        if to.has_process() && !from.has_process() {
            pass.forget(slot.last_started);
            slot.last_started = Some(pass.now);
            pass.started(slot.last_started);
        } else if to == Destroyed {
            pass.forget(slot.last_started);
        }
        if at.role == Role::Gateway {
            if to == Running {
                self.gateways = self.gateways.saturating_add(1);
            } else if from == Running {
                self.gateways = self.gateways.saturating_sub(1);
            }
        }
        if to == Destroyed {
            at.existing = at.existing.saturating_sub(1);
            if let Some(users) = self.taken.get_mut(&slot.offset) {
                *users = users.saturating_sub(1);
                if *users == 0 {
                    self.taken.remove(&slot.offset);
                }
            }
        }
        let after = Usage::of(slot, &at.resources);
        self.usage = self.usage.minus(before).plus(after);
        pass.actions.push(Action::Instance {
            tenant: self.id.clone(),
            pool: at.id.clone(),
            instance: slot.target.clone(),
            action,
        });
    }

    /// Whether one more instance of the pool may run: one that uses `now` of the quotas, and takes a
    /// new process or not.
    pub(super) fn may_run(
        &self,
        pass: &Pass<'_>,
        pool: &Pool<'_>,
        now: Usage,
        new_process: bool,
    ) -> Result<(), NoStart> {
        let then = self.usage.minus(now).plus(Usage::running(&pool.resources));
        self.usage
            .grow_to(then, &self.quotas)
            .map_err(NoStart::Refused)?;
        if pool.role != Role::Gateway && self.needs_gateway && self.gateways == 0 {
            return Err(NoStart::Waits(DeferReason::NoGateway.into()));
        }
        if new_process {
            pass.may_start().map_err(NoStart::Waits)?;
        }
        Ok(())
    }

    /// Notes that something waits.
    pub(super) fn defer(
        &mut self,
        pool: Option<usize>,
        instance: Option<Target>,
        (wanted, count): (Wanted, u32),
        wait: Wait,
    ) {
        let pool = pool.and_then(|pool| self.pools.get(pool));
        self.deferred.push(Deferred {
            tenant: self.id.clone(),
            pool: pool.map(|pool| pool.id.clone()),
            instance,
            wanted,
            count,
            reason: wait.reason,
            until: wait.until,
        });
    }

    /// Notes that something cannot be.
    pub(super) fn refuse(&mut self, pool: usize, wanted: Wanted, count: u32, reason: RefuseReason) {
        self.refused.push(Refused {
            tenant: self.id.clone(),
            pool: self.pools.get(pool).map(|pool| pool.id.clone()),
            wanted,
            count,
            reason,
        });
    }
}
