//! Random fleets, made from bytes: fewer bytes and smaller ones are smaller fleets, so that proptest
//! finds small failures.

use std::collections::BTreeMap;

use mvm_core::agent::{DesiredPool, DesiredState, DesiredTenant, DesiredTenantNetwork};
use mvm_core::instance::{InstanceState, InstanceStatus};
use mvm_core::naming::{
    HostOffset, InstanceId, NodeId, PoolId, RevisionHash, TenantId, TenantNetId,
};
use mvm_core::pool::{
    CanaryStrategy, DesiredCounts, InstanceResources, RegistryArtifact, Role,
    RollingUpdateStrategy, RuntimePolicy, UpdateStrategy,
};
use mvm_core::reconcile::{NodeState, PoolState, ReconcilePolicy, TenantState};
use mvm_core::tenant::TenantQuota;
use mvm_core::time::Timestamp;

use crate::sim::{config, finish, go, net, seconds, spec};

pub(crate) struct Fleet {
    pub(crate) node: NodeState,
    pub(crate) desired: DesiredState,
    pub(crate) policy: ReconcilePolicy,
    pub(crate) now: Timestamp,
}

pub(crate) struct Draw<'a>(pub(crate) &'a [u8]);

impl Draw<'_> {
    /// 0 to `below` - 1; 0 where the bytes have ended.
    pub(crate) fn below(&mut self, below: u32) -> u32 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        u32::from(*first) % below
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == n - 1
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u32) as usize]
    }
}

pub(crate) fn now() -> Timestamp {
    "2026-02-25T12:00:00Z".parse().unwrap()
}

fn revision(number: u32) -> RevisionHash {
    RevisionHash::new(["r1", "r2", "r3"][number as usize % 3]).unwrap()
}

pub(crate) fn desired_pool(id: &str) -> DesiredPool {
    DesiredPool {
        pool_id: PoolId::new(id).unwrap(),
        flake_ref: "github:org/repo".parse().unwrap(),
        profile: "minimal".into(),
        role: Role::Worker,
        instance_resources: InstanceResources {
            vcpus: 1,
            mem_mib: 512,
            data_disk_mib: 1024,
        },
        desired_counts: DesiredCounts::default(),
        runtime_policy: RuntimePolicy::default(),
        seccomp_policy: Default::default(),
        snapshot_compression: Default::default(),
        routing_table: None,
        secret_scopes: Vec::new(),
        sleep_policy: None,
        default_update_strategy: None,
        registry_artifact: None,
    }
}

pub(crate) fn desired_tenant(number: u16, id: &str) -> DesiredTenant {
    DesiredTenant {
        tenant_id: TenantId::new(id).unwrap(),
        network: DesiredTenantNetwork {
            tenant_net_id: TenantNetId::new(number).unwrap(),
            ipv4_subnet: format!("10.240.{number}.0/24").parse().unwrap(),
        },
        quotas: TenantQuota {
            max_vcpus: 1000,
            max_mem_mib: 1_000_000,
            max_running: 1000,
            max_warm: 1000,
            max_pools: 100,
            max_instances_per_pool: 1000,
            max_disk_gib: 100_000,
        },
        secrets_hash: None,
        pools: Vec::new(),
        preferred_regions: Vec::new(),
    }
}

pub(crate) fn desired_state() -> DesiredState {
    DesiredState {
        schema_version: 1,
        node_id: NodeId::new("node-1").unwrap(),
        tenants: Vec::new(),
        prune_unknown_tenants: false,
        prune_unknown_pools: false,
        sequence: 1,
    }
}

fn random_pool(draw: &mut Draw<'_>, id: &str) -> DesiredPool {
    let mut pool = desired_pool(id);
    pool.role = draw.of(&[Role::Worker, Role::Gateway, Role::Worker, Role::Builder]);
    pool.desired_counts = DesiredCounts {
        running: draw.below(4),
        warm: draw.below(3),
        sleeping: draw.below(3),
    };
    pool.instance_resources.vcpus = draw.of(&[1, 2, 4]);
    pool.instance_resources.data_disk_mib = draw.of(&[0, 1024, 5000]);
    pool.runtime_policy.min_running_seconds = draw.of(&[60, 0, 120]);
    pool.runtime_policy.min_warm_seconds = draw.of(&[30, 0, 100]);
    pool.default_update_strategy = match draw.below(6) {
        0 => None,
        1 => Some(UpdateStrategy::Canary(CanaryStrategy {
            canary_count: draw.below(3),
            canary_duration_secs: 300,
            ..CanaryStrategy::default()
        })),
        n => Some(UpdateStrategy::Rolling(RollingUpdateStrategy {
            max_unavailable: n - 2,
            max_surge: draw.below(3),
            health_check_timeout_secs: 600,
        })),
    };
    if draw.one_in(4) {
        pool.registry_artifact = Some(RegistryArtifact {
            template_id: "base".parse().unwrap(),
            revision: Some(revision(draw.below(3))),
        });
    }
    pool
}

fn random_instance(
    draw: &mut Draw<'_>,
    tenant: &TenantState,
    pool: &DesiredPool,
    number: u8,
) -> InstanceState {
    use InstanceStatus::{Created, Destroyed, Ready, Running, Sleeping, Stopped, Warm};
    let id = u32::from(number).wrapping_mul(0x9e37_79b9).rotate_left(11);
    let mut state = InstanceState::new(
        tenant.config.tenant_id.clone(),
        pool.pool_id.clone(),
        InstanceId::from_entropy(id.to_be_bytes()),
        net(&tenant.config.net, HostOffset::new(number).unwrap()),
        pool.role,
    );
    let way: &[InstanceStatus] = match draw.below(9) {
        0 | 1 => &[Ready, Running],
        2 => &[Ready, Running, Warm],
        3 => &[Ready, Running, Warm, Sleeping],
        4 => &[Ready, Running, Stopped],
        5 => &[Ready],
        6 => &[],
        7 => &[Ready, Running, Warm, Running],
        _ => &[Ready, Running, Destroyed],
    };
    // From some time ago up to now, and sometimes by a clock that was ahead.
    let mut at = -i64::from(draw.of(&[400, 100, 40, 20, 5, 0]));
    for to in way {
        go(&mut state, *to, seconds(now(), at));
        at += i64::from(draw.of(&[0, 20, 50]));
    }
    if draw.below(5) > 0 && !way.is_empty() {
        state.revision_hash = Some(revision(draw.below(3)));
    }
    match draw.below(5) {
        0 => {}
        1 => {
            state.healthy = Some(false);
            state.last_health_check_at = Some(seconds(now(), -5));
        }
        _ => {
            state.healthy = Some(true);
            state.last_health_check_at = Some(seconds(now(), -i64::from(draw.of(&[0, 10, 200]))));
        }
    }
    if draw.one_in(6) {
        let until = i64::from(draw.of(&[-10, 300, 1000]));
        state.manual_override_until = Some(seconds(now(), until));
    }
    if draw.one_in(6) {
        let next: Vec<_> = state.status().successors().collect();
        let to = draw.of(&next);
        if (state.status(), to) != (Destroyed, Destroyed) && (state.status(), to) != (Ready, Ready)
        {
            let _ = Created;
            state.begin(to, seconds(now(), -3)).unwrap();
            if draw.one_in(2) {
                finish(&mut state, seconds(now(), -1));
            }
        }
    }
    if draw.one_in(3) {
        state.last_busy_at = Some(seconds(now(), -i64::from(draw.of(&[1, 100, 1000]))));
    }
    state
}

pub(crate) fn fleet(bytes: &[u8]) -> Fleet {
    let draw = &mut Draw(bytes);
    let mut desired = desired_state();
    desired.prune_unknown_tenants = draw.one_in(2);
    desired.prune_unknown_pools = draw.one_in(2);
    let policy = ReconcilePolicy {
        max_starting: draw.of(&[1000, 16, 3, 1]),
        ..ReconcilePolicy::default()
    };
    let mut node = NodeState::default();
    for number in 0..=draw.below(3) as u16 {
        let mut want = desired_tenant(number, ["acme", "globex", "initech"][usize::from(number)]);
        if draw.one_in(3) {
            want.quotas = TenantQuota {
                max_vcpus: draw.of(&[16, 6, 2]),
                max_mem_mib: 4096,
                max_running: draw.of(&[8, 3, 1]),
                max_warm: draw.of(&[4, 1, 0]),
                max_pools: draw.of(&[4, 2, 1]),
                max_instances_per_pool: draw.of(&[16, 4, 2]),
                max_disk_gib: draw.of(&[100, 10, 3]),
            };
        }
        if draw.one_in(6) {
            want.network.ipv4_subnet = format!("10.241.{number}.0/28").parse().unwrap();
        }
        let mut have = TenantState {
            config: config(&want, now()),
            pools: BTreeMap::new(),
        };
        have.config.pinned = draw.one_in(6);
        if draw.one_in(6) {
            have.config.quotas.max_vcpus += 1;
        }
        let mut offset = 1;
        for pool in 0..draw.below(4) as usize {
            let id = ["gateways", "workers", "builders", "spare"][pool];
            let pool = random_pool(draw, id);
            if draw.below(5) > 0 {
                let mut state = PoolState {
                    spec: spec(&want.tenant_id, &pool),
                    built: (draw.below(6) > 0).then(|| revision(draw.below(3))),
                    instances: Vec::new(),
                };
                state.spec.pinned = draw.one_in(6);
                state.spec.critical = draw.one_in(6);
                if draw.one_in(6) {
                    state.spec.profile = "python".into();
                }
                if draw.one_in(4) {
                    state.spec.desired_counts.running += 1;
                }
                for _ in 0..draw.below(5) {
                    offset += 1;
                    if offset < 14 {
                        state
                            .instances
                            .push(random_instance(draw, &have, &pool, offset));
                    }
                }
                have.pools.insert(pool.pool_id.clone(), state);
            }
            if draw.below(5) > 0 {
                want.pools.push(pool);
            }
        }
        let both = draw.below(6);
        if both != 4 {
            node.tenants.insert(want.tenant_id.clone(), have);
        }
        if both != 5 {
            desired.tenants.push(want);
        }
    }
    Fleet {
        node,
        desired,
        policy,
        now: now(),
    }
}
