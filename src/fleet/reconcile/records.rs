//! A node's records as one document: what [`plan`](super::plan) starts from, to be written to a file and read again.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::state::{NodeState, PoolState, TenantState};
use crate::fleet::document::{At, Field, Problems, Reason, document};
use crate::fleet::pool::PoolSpec;
use crate::fleet::tenant::TenantConfig;
use crate::instance::InstanceState;
use crate::names::RevisionHash;

document! {
    /// The records of a node: `tenant.json`, `pool.json` and `instance.json` of everything it has, in one
    /// document.
    ///
    /// Each tenant is there once, each pool once in its tenant, each instance once in its pool, and every record
    /// bears the ids of what it is in.
    ///
    /// ```
    /// use mvm_core::document::Document;
    /// use mvm_core::reconcile::{NodeRecords, NodeState};
    ///
    /// let records = NodeRecords::from_json(br#"{"tenants":[]}"#)?;
    /// assert_eq!(NodeState::from(records), NodeState::default());
    /// # Ok::<(), mvm_core::document::Invalid>(())
    /// ```
    #[derive(Default)]
    pub struct NodeRecords rules(rules) {
        /// Its tenants.
        tenants: Vec<TenantRecords>,
    }
}

document! {
    /// The records of a tenant.
    pub struct TenantRecords {
        /// Its own.
        config: TenantConfig,
        /// Those of its pools.
        pools: Vec<PoolRecords> [default],
    }
}

document! {
    /// The records of a pool.
    pub struct PoolRecords {
        /// Its own.
        spec: PoolSpec,
        /// The revision that is built and that instances boot; `None` where nothing has been built.
        built: Option<RevisionHash> [default; skip_serializing_if = "Option::is_none"],
        /// Those of its instances.
        instances: Vec<InstanceState> [default],
    }
}

/// What was seen, by id, and where it was first.
struct Seen(BTreeMap<String, String>);

impl Seen {
    const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// An id that must be there once.
    fn once(&mut self, id: &str, at: &At<'_>, problems: &mut Problems) {
        match self.0.entry(id.to_string()) {
            Entry::Vacant(vacant) => {
                vacant.insert(at.path());
            }
            Entry::Occupied(first) => {
                let first = first.get().clone();
                problems.add(at, Reason::Duplicate { first });
            }
        }
    }
}

/// An id that must be the one of what its record is in.
fn same(id: &str, outer: &str, outer_at: &At<'_>, at: &At<'_>, problems: &mut Problems) {
    if id != outer {
        let (other, expected) = (outer_at.path(), outer.to_string());
        problems.add(at, Reason::Mismatch { other, expected });
    }
}

fn rules(raw: &<NodeRecords as Field>::Raw<'_>, at: &At<'_>, problems: &mut Problems) {
    let mut tenants = Seen::new();
    let list = at.member("tenants");
    for (index, tenant) in raw.tenants.iter().enumerate() {
        let at = list.item(index);
        let config = at.member("config");
        let tenant_id = &tenant.config.tenant_id;
        let tenant_at = config.member("tenant_id");
        tenants.once(tenant_id, &tenant_at, problems);
        let mut pools = Seen::new();
        let list = at.member("pools");
        for (index, pool) in tenant.pools.iter().enumerate() {
            let at = list.item(index);
            let spec = at.member("spec");
            let pool_id = &pool.spec.pool_id;
            let pool_at = spec.member("pool_id");
            pools.once(pool_id, &pool_at, problems);
            same(
                &pool.spec.tenant_id,
                tenant_id,
                &tenant_at,
                &spec.member("tenant_id"),
                problems,
            );
            let mut instances = Seen::new();
            let list = at.member("instances");
            for (index, instance) in pool.instances.iter().enumerate() {
                let at = list.item(index);
                let [its_tenant, its_pool, id] = instance.ids();
                instances.once(id, &at.member("instance_id"), problems);
                let ids = [
                    ("tenant_id", its_tenant, tenant_id, &tenant_at),
                    ("pool_id", its_pool, pool_id, &pool_at),
                ];
                for (name, id, outer, outer_at) in ids {
                    same(id, outer, outer_at, &at.member(name), problems);
                }
            }
        }
    }
}

impl From<NodeRecords> for NodeState {
    /// Of records with one id, which [`validate`](NodeRecords::validate) refuses, the last one is taken.
    fn from(records: NodeRecords) -> Self {
        let tenants = records.tenants.into_iter().map(|tenant| {
            let TenantRecords { config, pools } = tenant;
            let pools = pools.into_iter().map(|pool| {
                let PoolRecords {
                    spec,
                    built,
                    instances,
                } = pool;
                let state = PoolState {
                    spec,
                    built,
                    instances,
                };
                (state.spec.pool_id.clone(), state)
            });
            let pools = pools.collect();
            (config.tenant_id.clone(), TenantState { config, pools })
        });
        Self {
            tenants: tenants.collect(),
        }
    }
}

impl From<NodeState> for NodeRecords {
    fn from(state: NodeState) -> Self {
        let tenants = state.tenants.into_values().map(|tenant| {
            let pools = tenant.pools.into_values().map(|pool| PoolRecords {
                spec: pool.spec,
                built: pool.built,
                instances: pool.instances,
            });
            TenantRecords {
                config: tenant.config,
                pools: pools.collect(),
            }
        });
        Self {
            tenants: tenants.collect(),
        }
    }
}
