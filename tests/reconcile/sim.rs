//! A node that carries out plans: records change by `begin` and `commit` only.

use std::collections::BTreeMap;

use mvm_core::agent::{DesiredPool, DesiredState, DesiredTenant};
use mvm_core::instance::{
    CommitFacts, InstanceAction, InstanceNet, InstanceState, InstanceStatus, Pid, PrefixLen,
};
use mvm_core::naming::{BridgeName, HostOffset, InstanceId, PoolId, RevisionHash, TenantId};
use mvm_core::pool::{PoolMetadata, PoolSpec};
use mvm_core::reconcile::{Action, NodeState, PoolState, Target, TenantState};
use mvm_core::tenant::{TenantConfig, TenantNet};
use mvm_core::time::Timestamp;

/// How a node fails to do as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Says that it has started an instance, and has not.
    StartsNothing,
    /// Builds, and forgets what.
    ForgetsBuilds,
    /// Keeps the record of a pool as it was.
    KeepsPools,
}

pub(crate) struct Sim {
    pub(crate) node: NodeState,
    pub(crate) now: Timestamp,
    pub(crate) fault: Fault,
    made: BTreeMap<(TenantId, HostOffset), InstanceId>,
    count: u32,
}

pub(crate) fn seconds(now: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::new(now.seconds() + seconds, 0).unwrap()
}

pub(crate) fn wanted<'a>(
    desired: &'a DesiredState,
    tenant: &TenantId,
) -> Result<&'a DesiredTenant, String> {
    desired
        .tenants
        .iter()
        .find(|each| each.tenant_id == *tenant)
        .ok_or(format!("{tenant} is not desired"))
}

pub(crate) fn wanted_pool<'a>(
    desired: &'a DesiredState,
    tenant: &TenantId,
    pool: &PoolId,
) -> Result<&'a DesiredPool, String> {
    wanted(desired, tenant)?
        .pools
        .iter()
        .find(|each| each.pool_id == *pool)
        .ok_or(format!("{tenant}/{pool} is not desired"))
}

pub(crate) fn net(tenant: &TenantNet, offset: HostOffset) -> InstanceNet {
    let base = tenant.ipv4_subnet.net().network().to_bits();
    InstanceNet::new(
        tenant.tenant_net_id,
        offset,
        (base + u32::from(offset.get())).into(),
        tenant.gateway_ip,
        PrefixLen::new(tenant.ipv4_subnet.net().prefix_len()).unwrap(),
    )
}

pub(crate) fn config(want: &DesiredTenant, now: Timestamp) -> TenantConfig {
    let network = want.network;
    TenantConfig {
        tenant_id: want.tenant_id.clone(),
        quotas: want.quotas,
        net: TenantNet {
            tenant_net_id: network.tenant_net_id,
            ipv4_subnet: network.ipv4_subnet,
            gateway_ip: (network.ipv4_subnet.net().network().to_bits() + 1).into(),
            bridge_name: BridgeName::new(network.tenant_net_id),
        },
        secrets_epoch: 0,
        config_version: 0,
        pinned: false,
        audit_retention_days: 0,
        created_at: now,
    }
}

pub(crate) fn spec(tenant: &TenantId, want: &DesiredPool) -> PoolSpec {
    PoolSpec {
        pool_id: want.pool_id.clone(),
        tenant_id: tenant.clone(),
        flake_ref: want.flake_ref.clone(),
        profile: want.profile.clone(),
        role: want.role,
        instance_resources: want.instance_resources,
        desired_counts: want.desired_counts,
        runtime_policy: want.runtime_policy,
        metadata: PoolMetadata::default(),
        seccomp_policy: want.seccomp_policy,
        snapshot_compression: want.snapshot_compression,
        metadata_enabled: false,
        pinned: false,
        critical: false,
        secret_scopes: want.secret_scopes.clone(),
        template_id: None,
    }
}

/// Goes to a status, with a process where it takes one.
pub(crate) fn go(state: &mut InstanceState, to: InstanceStatus, now: Timestamp) {
    state.begin(to, now).unwrap();
    finish(state, now);
}

/// Ends the pending transition.
pub(crate) fn finish(state: &mut InstanceState, now: Timestamp) {
    let to = state.pending().unwrap().to;
    let facts = if to.has_process() && !state.status().has_process() {
        CommitFacts::process(Pid::new(4242).unwrap())
    } else {
        CommitFacts::default()
    };
    state.commit(now, facts).unwrap();
}

impl Sim {
    pub(crate) fn new(node: NodeState, now: Timestamp) -> Self {
        Self {
            node,
            now,
            fault: Fault::None,
            made: BTreeMap::new(),
            count: 1000,
        }
    }

    /// A new plan is about to be carried out.
    pub(crate) fn begin_plan(&mut self) {
        self.made.clear();
    }

    /// Time passes: what was pending ends, and everything that runs is found healthy.
    pub(crate) fn pass(&mut self, passed: i64) {
        self.now = seconds(self.now, passed);
        for pool in self
            .node
            .tenants
            .values_mut()
            .flat_map(|tenant| tenant.pools.values_mut())
        {
            for state in &mut pool.instances {
                if state.pending().is_some() {
                    finish(state, seconds(self.now, -1));
                }
                if state.status() == InstanceStatus::Running {
                    state.healthy = Some(true);
                    state.last_health_check_at = Some(self.now);
                }
            }
        }
    }

    fn tenant(&mut self, id: &TenantId) -> Result<&mut TenantState, String> {
        self.node
            .tenants
            .get_mut(id)
            .ok_or(format!("no tenant {id}"))
    }

    fn pool(&mut self, tenant: &TenantId, id: &PoolId) -> Result<&mut PoolState, String> {
        self.tenant(tenant)?
            .pools
            .get_mut(id)
            .ok_or(format!("no pool {tenant}/{id}"))
    }

    pub(crate) fn id(&self, tenant: &TenantId, target: &Target) -> Result<InstanceId, String> {
        match target {
            Target::Existing(id) => Ok(id.clone()),
            Target::New(offset) => self
                .made
                .get(&(tenant.clone(), *offset))
                .cloned()
                .ok_or(format!("{target} was not created before")),
        }
    }

    /// Carries out one action; an error where it cannot be.
    pub(crate) fn apply(&mut self, action: &Action, desired: &DesiredState) -> Result<(), String> {
        let now = self.now;
        match action {
            Action::CreateTenant { tenant } => {
                let state = TenantState {
                    config: config(wanted(desired, tenant)?, now),
                    pools: BTreeMap::new(),
                };
                match self.node.tenants.insert(tenant.clone(), state) {
                    None => Ok(()),
                    Some(_) => Err("the tenant exists".into()),
                }
            }
            Action::UpdateTenant { tenant } => {
                self.tenant(tenant)?.config.quotas = wanted(desired, tenant)?.quotas;
                Ok(())
            }
            Action::RemoveTenant { tenant } => {
                if !self.tenant(tenant)?.pools.is_empty() {
                    return Err("the tenant has pools".into());
                }
                self.node.tenants.remove(tenant);
                Ok(())
            }
            Action::CreatePool { tenant, pool } => {
                let state = PoolState {
                    spec: spec(tenant, wanted_pool(desired, tenant, pool)?),
                    built: None,
                    instances: Vec::new(),
                };
                match self.tenant(tenant)?.pools.insert(pool.clone(), state) {
                    None => Ok(()),
                    Some(_) => Err("the pool exists".into()),
                }
            }
            Action::Build {
                tenant,
                pool,
                revision,
            } => {
                self.count += 1;
                let fresh = RevisionHash::new(&format!("fresh-{}", self.count)).unwrap();
                let forgets = self.fault == Fault::ForgetsBuilds;
                let pool = self.pool(tenant, pool)?;
                if !forgets || pool.built.is_none() {
                    pool.built = Some(revision.clone().unwrap_or(fresh));
                }
                Ok(())
            }
            Action::UpdatePool { tenant, pool } => {
                let keeps = self.fault == Fault::KeepsPools;
                let want = wanted_pool(desired, tenant, pool)?;
                let have = self.pool(tenant, pool)?;
                if !keeps {
                    have.spec = PoolSpec {
                        pinned: have.spec.pinned,
                        critical: have.spec.critical,
                        ..spec(tenant, want)
                    };
                }
                Ok(())
            }
            Action::RemovePool { tenant, pool } => {
                let left = &self.pool(tenant, pool)?.instances;
                if left
                    .iter()
                    .any(|state| state.status() != InstanceStatus::Destroyed)
                {
                    return Err("the pool has instances".into());
                }
                self.tenant(tenant)?.pools.remove(pool);
                Ok(())
            }
            Action::CreateInstance {
                tenant,
                pool,
                offset,
            } => {
                self.count += 1;
                // Ids that are in another order than the instances.
                let id = InstanceId::from_entropy(
                    self.count
                        .wrapping_mul(0x9e37_79b9)
                        .rotate_left(9)
                        .to_be_bytes(),
                );
                let network = self.tenant(tenant)?.config.net.clone();
                let base = network.ipv4_subnet.net();
                let identity = net(&network, *offset);
                if identity.guest_ip == network.gateway_ip
                    || identity.guest_ip == base.broadcast()
                    || !base.contains(&identity.guest_ip)
                {
                    return Err(format!("{} is no address for a guest", identity.guest_ip));
                }
                let taken = self
                    .tenant(tenant)?
                    .pools
                    .values()
                    .flat_map(|pool| &pool.instances);
                if taken
                    .filter(|state| state.status() != InstanceStatus::Destroyed)
                    .any(|state| state.net.offset == *offset)
                {
                    return Err(format!("{offset} is taken"));
                }
                let have = self.pool(tenant, pool)?;
                let role = have.spec.role;
                have.instances.push(InstanceState::new(
                    tenant.clone(),
                    pool.clone(),
                    id.clone(),
                    identity,
                    role,
                ));
                self.made.insert((tenant.clone(), *offset), id);
                Ok(())
            }
            Action::Prepare {
                tenant,
                pool,
                instance,
            } => self.change(tenant, pool, instance, None),
            Action::Instance {
                tenant,
                pool,
                instance,
                action,
            } => self.change(tenant, pool, instance, Some(*action)),
            _ => Err("an action that the simulator does not know".into()),
        }
    }

    fn change(
        &mut self,
        tenant: &TenantId,
        pool: &PoolId,
        target: &Target,
        action: Option<InstanceAction>,
    ) -> Result<(), String> {
        let (id, now, fault) = (self.id(tenant, target)?, self.now, self.fault);
        let pool = self.pool(tenant, pool)?;
        let built = pool.built.clone();
        let state = pool
            .instances
            .iter_mut()
            .find(|state| state.instance_id == id)
            .ok_or(format!("no instance {id}"))?;
        if matches!(action, None | Some(InstanceAction::Start)) {
            state.revision_hash = Some(built.ok_or("nothing is built")?);
        }
        if action == Some(InstanceAction::Start) && fault == Fault::StartsNothing {
            return Ok(());
        }
        match action {
            None => state.begin(InstanceStatus::Ready, now),
            Some(action) => state.begin_action(action, now),
        }
        .map_err(|error| error.to_string())?;
        finish(state, now);
        Ok(())
    }
}
