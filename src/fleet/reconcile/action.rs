//! What a plan says: actions, and what was left and why.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;

use serde::Serialize;
use thiserror_no_std::Error;

use crate::fleet::agent::ReconcileReport;
use crate::instance::{InstanceAction, InstanceStatus};
use crate::names::{HostOffset, InstanceId, PoolId, RevisionHash, TenantId};
use crate::time::Timestamp;

/// An instance of a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums)] // it exists already or it does not
pub enum Target {
    /// One that exists.
    Existing(InstanceId),
    /// The one that this plan creates at this place of its tenant's network. It has no id before:
    /// ids take entropy, which a plan has none of.
    New(HostOffset),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Existing(id) => write!(f, "{id}"),
            Self::New(offset) => write!(f, "new@{offset}"),
        }
    }
}

/// One step of a plan. What it is carried out with (networks, quotas, sources) is in the desired
/// state that the plan was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Record the tenant and make its network.
    CreateTenant {
        /// The tenant.
        tenant: TenantId,
    },
    /// Record the tenant's new quotas.
    UpdateTenant {
        /// The tenant.
        tenant: TenantId,
    },
    /// Remove a tenant that has no pools any more, with its network.
    RemoveTenant {
        /// The tenant.
        tenant: TenantId,
    },
    /// Record the pool.
    CreatePool {
        /// Its tenant.
        tenant: TenantId,
        /// The pool.
        pool: PoolId,
    },
    /// Build the pool's image from the *desired* source, or fetch it, and make it the one that
    /// instances boot.
    Build {
        /// The pool's tenant.
        tenant: TenantId,
        /// The pool.
        pool: PoolId,
        /// The revision that comes out, where it is known before.
        revision: Option<RevisionHash>,
    },
    /// Record the pool as it is desired. Comes after its build: a build that failed is due again.
    UpdatePool {
        /// The pool's tenant.
        tenant: TenantId,
        /// The pool.
        pool: PoolId,
    },
    /// Remove a pool that has no instances any more.
    RemovePool {
        /// The pool's tenant.
        tenant: TenantId,
        /// The pool.
        pool: PoolId,
    },
    /// Record a new instance at this place of the tenant's network.
    CreateInstance {
        /// The instance's tenant.
        tenant: TenantId,
        /// Its pool.
        pool: PoolId,
        /// Its place.
        offset: HostOffset,
    },
    /// Make a created instance ready, or a ready one again, from the pool's built revision.
    Prepare {
        /// The instance's tenant.
        tenant: TenantId,
        /// Its pool.
        pool: PoolId,
        /// The instance.
        instance: Target,
    },
    /// An action of the instance's state machine. A `Start` boots the pool's built revision.
    Instance {
        /// The instance's tenant.
        tenant: TenantId,
        /// Its pool.
        pool: PoolId,
        /// The instance.
        instance: Target,
        /// What is done.
        action: InstanceAction,
    },
}

impl Action {
    /// The tenant that is changed.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        match self {
            Self::CreateTenant { tenant }
            | Self::UpdateTenant { tenant }
            | Self::RemoveTenant { tenant }
            | Self::CreatePool { tenant, .. }
            | Self::Build { tenant, .. }
            | Self::UpdatePool { tenant, .. }
            | Self::RemovePool { tenant, .. }
            | Self::CreateInstance { tenant, .. }
            | Self::Prepare { tenant, .. }
            | Self::Instance { tenant, .. } => tenant,
        }
    }

    /// The pool that is changed, where it is one or of one.
    #[must_use]
    pub const fn pool(&self) -> Option<&PoolId> {
        match self {
            Self::CreateTenant { .. } | Self::UpdateTenant { .. } | Self::RemoveTenant { .. } => {
                None
            }
            Self::CreatePool { pool, .. }
            | Self::Build { pool, .. }
            | Self::UpdatePool { pool, .. }
            | Self::RemovePool { pool, .. }
            | Self::CreateInstance { pool, .. }
            | Self::Prepare { pool, .. }
            | Self::Instance { pool, .. } => Some(pool),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateTenant { tenant } => write!(f, "create tenant {tenant}"),
            Self::UpdateTenant { tenant } => write!(f, "update tenant {tenant}"),
            Self::RemoveTenant { tenant } => write!(f, "remove tenant {tenant}"),
            Self::CreatePool { tenant, pool } => write!(f, "create pool {tenant}/{pool}"),
            Self::Build {
                tenant,
                pool,
                revision: Some(revision),
            } => write!(f, "build {tenant}/{pool}: {revision}"),
            Self::Build { tenant, pool, .. } => write!(f, "build {tenant}/{pool}"),
            Self::UpdatePool { tenant, pool } => write!(f, "update pool {tenant}/{pool}"),
            Self::RemovePool { tenant, pool } => write!(f, "remove pool {tenant}/{pool}"),
            Self::CreateInstance {
                tenant,
                pool,
                offset,
            } => write!(f, "create {tenant}/{pool}/new@{offset}"),
            Self::Prepare {
                tenant,
                pool,
                instance,
            } => write!(f, "prepare {tenant}/{pool}/{instance}"),
            Self::Instance {
                tenant,
                pool,
                instance,
                action,
            } => {
                for letter in action.as_str().chars() {
                    write!(f, "{}", letter.to_ascii_lowercase())?;
                }
                write!(f, " {tenant}/{pool}/{instance}")
            }
        }
    }
}

/// What was wanted and is not in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Wanted {
    /// More running instances.
    #[error("start")]
    Start,
    /// More running instances, out of warm or sleeping ones.
    #[error("wake")]
    Wake,
    /// A running instance made warm.
    #[error("warm")]
    Warm,
    /// A warm instance put to sleep.
    #[error("sleep")]
    Sleep,
    /// An instance stopped that is too many.
    #[error("stop")]
    Stop,
    /// Instances brought to the pool's revision.
    #[error("update")]
    Update,
    /// Everything about a pool or a tenant.
    #[error("reconcile")]
    Reconcile,
    /// A pool or tenant removed that is not desired.
    #[error("remove")]
    Remove,
}

/// Why something waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeferReason {
    /// A transition of the instance is pending.
    #[error("on its way to {to} since {since}")]
    Pending {
        /// Where it leads.
        to: InstanceStatus,
        /// When it began.
        since: Timestamp,
    },
    /// An operator wants the instance left alone.
    #[error("an operator wants it left alone")]
    ManualOverride,
    /// It has not been in its status for long enough.
    #[error("its minimum runtime has not passed")]
    MinimumRuntime,
    /// The tenant is pinned: nothing of it is stopped.
    #[error("the tenant is pinned")]
    TenantPinned,
    /// The pool is pinned: nothing of it is made warm or put to sleep.
    #[error("the pool is pinned")]
    PoolPinned,
    /// The pool is critical: nothing of it is touched.
    #[error("the pool is critical")]
    PoolCritical,
    /// As many instances of the node are starting as may.
    #[error("{max} instances of the node are starting, which is the limit")]
    StartLimit {
        /// The limit.
        max: u32,
    },
    /// No gateway of the tenant is running.
    #[error("no gateway of the tenant is running")]
    NoGateway,
    /// Instances that need the last gateway are still to be drained.
    #[error("{count} instances behind it are to be drained first")]
    WorkersDraining {
        /// How many.
        count: u32,
    },
    /// As many instances of the pool are away as may be, until health checks say otherwise.
    #[error("waits for health checks: at most {max} instances may be away")]
    AwaitingHealth {
        /// The limit.
        max: u32,
    },
    /// It is outdated: it is updated before it is made warm or put to sleep.
    #[error("it is to be updated first")]
    AwaitingUpdate,
    /// Updated instances are not healthy although their time to become so has passed.
    #[error("{count} updated instances did not become healthy in time")]
    HealthTimeout {
        /// How many.
        count: u32,
    },
    /// The canaries are being watched.
    #[error("{count} canaries are being watched")]
    CanaryWindow {
        /// How many.
        count: u32,
    },
    /// Too few canaries are healthy.
    #[error("only {healthy} of {of} canaries are healthy")]
    CanaryFailed {
        /// Healthy ones.
        healthy: u32,
        /// All that count.
        of: u32,
    },
    /// The strategy allows no instance to be away and none to be added.
    #[error("the update strategy allows neither an instance away nor one more")]
    NoUpdateAllowed,
    /// Something below it could not be removed.
    #[error("{count} below it are left")]
    NotEmpty {
        /// How many instances of the pool, or pools of the tenant.
        count: u32,
    },
}

/// Something that is wanted and waits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub struct Deferred {
    /// The tenant.
    pub tenant: TenantId,
    /// The pool, where it is about one.
    pub pool: Option<PoolId>,
    /// The instance, where it is about one.
    pub instance: Option<Target>,
    /// What was wanted.
    pub wanted: Wanted,
    /// Of how many instances (or pools, where one is removed).
    pub count: u32,
    /// Why it waits.
    #[serde(flatten)]
    pub reason: DeferReason,
    /// Until when at least, where that is known. `None`: until something else changes.
    pub until: Option<Timestamp>,
}

impl fmt::Display for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.tenant, self.pool.as_ref(), self.instance.as_ref())?;
        write!(f, ": {} {} waits: {}", self.wanted, self.count, self.reason)?;
        match self.until {
            Some(until) => write!(f, ", until {until}"),
            None => Ok(()),
        }
    }
}

/// A limit of [`TenantQuota`](crate::tenant::TenantQuota).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Quota {
    /// `max_vcpus`, of running and warm instances.
    #[error("max_vcpus")]
    Vcpus,
    /// `max_mem_mib`, of running and warm instances.
    #[error("max_mem_mib")]
    MemMib,
    /// `max_running`.
    #[error("max_running")]
    Running,
    /// `max_warm`.
    #[error("max_warm")]
    Warm,
    /// `max_pools`.
    #[error("max_pools")]
    Pools,
    /// `max_instances_per_pool`, in any status.
    #[error("max_instances_per_pool")]
    InstancesPerPool,
    /// `max_disk_gib`, of instances in any status.
    #[error("max_disk_gib")]
    DiskGib,
}

/// Why something that is wanted is not even begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefuseReason {
    /// It would exceed a quota of the tenant.
    #[error("{quota} is {max}, and {needed} would be needed")]
    Quota {
        /// Which.
        quota: Quota,
        /// How much there would be; rounded up to whole GiB for disks.
        needed: u64,
        /// The quota.
        max: u64,
    },
    /// Every address of the tenant's network is taken.
    #[error("no address of the tenant's network is free")]
    NoAddress,
    /// The desired state has the tenant, or the pool, more than once: none of them is applied.
    #[error("it is there more than once")]
    Duplicate,
    /// The desired network is another one than the tenant has. Running instances cannot move.
    #[error("the tenant has another network")]
    NetworkChanged,
}

/// Something that is wanted and cannot be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub struct Refused {
    /// The tenant.
    pub tenant: TenantId,
    /// The pool, where it is about one.
    pub pool: Option<PoolId>,
    /// What was wanted.
    pub wanted: Wanted,
    /// Of how many instances.
    pub count: u32,
    /// Why not.
    #[serde(flatten)]
    pub reason: RefuseReason,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.tenant, self.pool.as_ref(), None)?;
        write!(
            f,
            ": {} {} refused: {}",
            self.wanted, self.count, self.reason
        )
    }
}

/// Something that the node has, that is not desired, and that is not to be pruned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub struct Unknown {
    /// The tenant.
    pub tenant: TenantId,
    /// The pool; `None` for the tenant as a whole.
    pub pool: Option<PoolId>,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.tenant, self.pool.as_ref(), None)?;
        f.write_str(": not desired, and left")
    }
}

fn place(
    f: &mut fmt::Formatter<'_>,
    tenant: &TenantId,
    pool: Option<&PoolId>,
    instance: Option<&Target>,
) -> fmt::Result {
    write!(f, "{tenant}")?;
    if let Some(pool) = pool {
        write!(f, "/{pool}")?;
    }
    match instance {
        Some(instance) => write!(f, "/{instance}"),
        None => Ok(()),
    }
}

/// What [`plan`](super::plan) says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// What to do, in this order.
    pub actions: Vec<Action>,
    /// What waits, sorted.
    pub deferred: Vec<Deferred>,
    /// What cannot be, sorted.
    pub refused: Vec<Refused>,
    /// What is not desired and left all the same, sorted.
    pub unknown: Vec<Unknown>,
}

impl Plan {
    /// Whether there is nothing to do. Something may wait all the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// The earliest time at which planning again may give more, where one is known.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.deferred.iter().filter_map(|each| each.until).min()
    }

    /// How often the plan does this to an instance.
    #[must_use]
    pub fn count(&self, wanted: InstanceAction) -> usize {
        let same =
            |step: &&Action| matches!(step, Action::Instance { action, .. } if *action == wanted);
        self.actions.iter().filter(same).count()
    }

    /// The plan as 0.13.0's report, for when all of it has been carried out: pools as
    /// `tenant/pool`, wakes among the starts, and what is refused among the errors. Each counts
    /// actions, so an update counts as a stop and a start. 0.13.0 has no place for the rest.
    #[must_use]
    pub fn report(&self) -> ReconcileReport {
        let mut report = ReconcileReport {
            instances_deferred: self
                .deferred
                .iter()
                .fold(0, |sum, each| each.count.saturating_add(sum)),
            errors: self.refused.iter().map(ToString::to_string).collect(),
            ..ReconcileReport::default()
        };
        for action in &self.actions {
            let count = match action {
                Action::CreateTenant { tenant } => {
                    report.tenants_created.push(tenant.clone());
                    continue;
                }
                Action::RemoveTenant { tenant } => {
                    report.tenants_pruned.push(tenant.clone());
                    continue;
                }
                Action::CreatePool { tenant, pool } => {
                    report.pools_created.push(format!("{tenant}/{pool}"));
                    continue;
                }
                Action::CreateInstance { .. } => &mut report.instances_created,
                Action::Instance { action, .. } => match action {
                    InstanceAction::Start | InstanceAction::Wake => &mut report.instances_started,
                    InstanceAction::Warm => &mut report.instances_warmed,
                    InstanceAction::Sleep => &mut report.instances_slept,
                    InstanceAction::Stop => &mut report.instances_stopped,
                    InstanceAction::Destroy => continue,
                },
                _ => continue,
            };
            *count = count.saturating_add(1);
        }
        report
    }
}

/// A line for each action, then for each thing that waits, is refused or unknown.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.actions.is_empty() {
            writeln!(f, "nothing to do")?;
        }
        for action in &self.actions {
            writeln!(f, "{action}")?;
        }
        for each in &self.deferred {
            writeln!(f, "{each}")?;
        }
        for each in &self.refused {
            writeln!(f, "{each}")?;
        }
        for each in &self.unknown {
            writeln!(f, "{each}")?;
        }
        Ok(())
    }
}
