//! What a plan starts from: what a node has, and how carefully it is to be changed.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::fleet::pool::{PoolSpec, UpdateStrategy};
use crate::fleet::tenant::TenantConfig;
use crate::instance::InstanceState;
use crate::limits::IDLE_METRICS_AGE_MAX;
use crate::names::{PoolId, RevisionHash, TenantId};

/// What a node has: its records, as they are on disk.
///
/// Keyed by id, so that nothing is there twice. An agent that does not know the state of an instance
/// for certain resolves it first ([`InstanceState::resolve`]): a plan believes the records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs)] // whoever describes a node describes all of it
pub struct NodeState {
    /// Its tenants.
    pub tenants: BTreeMap<TenantId, TenantState>,
}

/// What a node has of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // as above
pub struct TenantState {
    /// Its record. A plan reads `quotas`, `net` and `pinned`.
    pub config: TenantConfig,
    /// Its pools.
    pub pools: BTreeMap<PoolId, PoolState>,
}

/// What a node has of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // as above
pub struct PoolState {
    /// Its record. A plan compares with the desired pool what both have, and reads `pinned` and
    /// `critical`, which only the record has.
    pub spec: PoolSpec,
    /// The revision that is built and that instances boot; `None` where nothing has been built.
    pub built: Option<RevisionHash>,
    /// Its instances, in any order. Destroyed ones are ignored.
    pub instances: Vec<InstanceState>,
}

/// How fast one node may be changed, and what is believed of health checks.
///
/// All limits are measured by the records, not per plan: planning again at the same time allows
/// nothing more.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::exhaustive_structs)] // meant for functional update: `..Default::default()`
pub struct ReconcilePolicy {
    /// Instances of the node that may be starting at once, that is, whose process started less than
    /// `starting_seconds` ago or is about to. Default 16: booting is what loads a node most.
    pub max_starting: u32,
    /// Seconds for which a new process counts as starting. Default 10; with 0 there is no limit.
    pub starting_seconds: u64,
    /// Age in seconds at which a health check says nothing any more. Default 120, as for
    /// measurements of activity.
    pub health_age_seconds: u64,
    /// How pools are updated that do not say it themselves. Default one at a time.
    pub update_strategy: UpdateStrategy,
}

impl Default for ReconcilePolicy {
    fn default() -> Self {
        Self {
            max_starting: 16,
            starting_seconds: 10,
            health_age_seconds: IDLE_METRICS_AGE_MAX,
            update_strategy: UpdateStrategy::default(),
        }
    }
}
