//! The rules between the values of a desired state, as its types document them.
//!
//! They run on mirrors, so a text may be none that its own type would take: a rule that needs its value
//! says nothing then. Sums saturate; each rule takes time in proportion to what it looks at, or to
//! n·log n for what must be unique.

use alloc::format;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use super::{DesiredPool, DesiredState, DesiredTenant};
use crate::fleet::document::{At, Field, Problems, Reason, Sorted, unique};
use crate::fleet::pool::rules;
use crate::fleet::routing::{InstanceSelector, RoutingTable};
use crate::fleet::tenant::TenantQuota;
use crate::fleet::text::Ipv4Subnet;
use crate::limits::{HOST_OFFSET_MAX, HOST_OFFSET_MIN};

/// The newest version of [`DesiredState`]'s schema that is known.
pub const DESIRED_STATE_SCHEMA: u32 = 1;

type Raw<'a, T> = <T as Field>::Raw<'a>;

/// The rules of a whole state.
pub(super) fn state(raw: &Raw<'_, DesiredState>, at: &At<'_>, problems: &mut Problems) {
    schema_version(raw.schema_version, &at.member("schema_version"), problems);

    let tenants = at.member("tenants");
    let all = || raw.tenants.iter();
    let ids = all().map(|tenant| Some(&*tenant.tenant_id));
    unique(ids, &tenants, &["tenant_id"], problems);
    let nets = all().map(|tenant| Some(tenant.network.tenant_net_id));
    unique(nets, &tenants, &["network", "tenant_net_id"], problems);
    let subnets = all()
        .zip(0..)
        .filter_map(|(tenant, index)| Some((tenant.network.ipv4_subnet.parse().ok()?, index)))
        .collect();
    overlaps(subnets, &tenants, problems);
}

fn schema_version(found: u32, at: &At<'_>, problems: &mut Problems) {
    let known = DESIRED_STATE_SCHEMA;
    if found > known {
        let found = u64::from(found);
        problems.add(at, Reason::NewerSchema { found, known });
    } else if found == 0 {
        problems.add(at, out_of_range(0, 1, u64::from(known)));
    }
}

const fn out_of_range(value: u64, min: u64, max: u64) -> Reason {
    Reason::OutOfRange { value, min, max }
}

/// Networks in order of their first address: one overlaps with one before it exactly if it begins before the
/// farthest end so far. (Two networks without host bits overlap only if one holds the other.)
fn overlaps(mut subnets: Vec<(Ipv4Subnet, usize)>, tenants: &At<'_>, problems: &mut Problems) {
    subnets
        .sort_by_key(|(subnet, index)| (subnet.net().network(), subnet.net().prefix_len(), *index));
    let mut widest: Option<(Ipv4Subnet, usize)> = None;
    let mut found = Vec::new();
    for (subnet, index) in subnets {
        match widest {
            Some((other, first)) if other.overlaps(subnet) => {
                found.push((first.max(index), first.min(index)));
            }
            _ => widest = Some((subnet, index)),
        }
    }
    found.sort_unstable();
    for (later, first) in found {
        let (later, first) = (tenants.item(later), tenants.item(first));
        let with = first.member("network").member("ipv4_subnet").path();
        problems.add(
            &later.member("network").member("ipv4_subnet"),
            Reason::Overlap { with },
        );
    }
}

/// What the pools of a tenant want together.
#[derive(Default)]
struct Wanted {
    running: u64,
    warm: u64,
    instances: u64,
    vcpus: u64,
    mem_mib: u64,
    disk_mib: u64,
}

impl Wanted {
    fn add(&mut self, pool: &Raw<'_, DesiredPool>) {
        let counts = &pool.desired_counts;
        let resources = &pool.instance_resources;
        let (running, warm) = (u64::from(counts.running), u64::from(counts.warm));
        let active = running.saturating_add(warm);
        let all = active.saturating_add(u64::from(counts.sleeping));
        let more = |sum: u64, each: u64, instances: u64| {
            sum.saturating_add(each.saturating_mul(instances))
        };
        self.running = more(self.running, 1, running);
        self.warm = more(self.warm, 1, warm);
        self.instances = more(self.instances, 1, all);
        self.vcpus = more(self.vcpus, u64::from(resources.vcpus), active);
        self.mem_mib = more(self.mem_mib, u64::from(resources.mem_mib), active);
        self.disk_mib = more(self.disk_mib, u64::from(resources.data_disk_mib), all);
    }

    /// What exceeds a quota of the whole tenant.
    fn over(&self, quotas: &Raw<'_, TenantQuota>) -> impl Iterator<Item = Reason> {
        [
            ("max_running", self.running, u64::from(quotas.max_running)),
            ("max_warm", self.warm, u64::from(quotas.max_warm)),
            ("max_vcpus", self.vcpus, u64::from(quotas.max_vcpus)),
            ("max_mem_mib", self.mem_mib, quotas.max_mem_mib),
            (
                "max_disk_gib",
                self.disk_mib.div_ceil(1024),
                quotas.max_disk_gib,
            ),
        ]
        .into_iter()
        .filter(|(_, wanted, max)| wanted > max)
        .map(|(quota, wanted, max)| Reason::OverQuota { quota, wanted, max })
    }
}

/// The rules of a tenant.
pub(super) fn tenant(raw: &Raw<'_, DesiredTenant>, at: &At<'_>, problems: &mut Problems) {
    let pools_at = at.member("pools");
    let ids = Sorted::new(raw.pools.iter().map(|pool| Some(&*pool.pool_id)));
    ids.tell(&pools_at, &["pool_id"], problems);
    let mut wanted = Wanted::default();
    for (index, pool) in raw.pools.iter().enumerate() {
        let pool_at = pools_at.item(index);
        let mut own = Wanted::default();
        own.add(pool);
        let max = u64::from(raw.quotas.max_instances_per_pool);
        if own.instances > max {
            let (quota, wanted) = ("max_instances_per_pool", own.instances);
            problems.add(
                &pool_at.member("desired_counts"),
                Reason::OverQuota { quota, wanted, max },
            );
        }
        wanted.add(pool);
    }

    let (pools, max) = (raw.pools.len(), u64::from(raw.quotas.max_pools));
    let pools = u64::try_from(pools).unwrap_or(u64::MAX);
    if pools > max {
        let (quota, wanted) = ("max_pools", pools);
        problems.add(&pools_at, Reason::OverQuota { quota, wanted, max });
    }
    let quotas_at = at.member("quotas");
    for reason in wanted.over(&raw.quotas) {
        if let Reason::OverQuota { quota, .. } = &reason {
            problems.add(&quotas_at.member(quota), reason);
        }
    }

    let network_at = at.member("network");
    let subnet_at = network_at.member("ipv4_subnet");
    let subnet = raw.network.ipv4_subnet.parse::<Ipv4Subnet>().ok();
    if let Some(subnet) = subnet {
        let (wanted, available) = (wanted.instances, addresses(subnet));
        if wanted > available {
            problems.add(&subnet_at, Reason::TooFewAddresses { wanted, available });
        }
    }
    for (index, pool) in raw.pools.iter().enumerate() {
        let Some(table) = &pool.routing_table else {
            continue;
        };
        let table_at = pools_at.item(index);
        let table_at = table_at.member("routing_table");
        routes(table, &ids, subnet, &subnet_at, &table_at, problems);
    }
}

/// How many instances a network has addresses for. Its own address, the broadcast address and the gateway's
/// are no instance's; and an instance is numbered within its network by a [`HostOffset`](crate::naming::HostOffset),
/// of which the gateway has the first.
fn addresses(subnet: Ipv4Subnet) -> u64 {
    let bits = u32::from(32_u8.saturating_sub(subnet.net().prefix_len()));
    let all = 1_u64.checked_shl(bits).unwrap_or(u64::MAX);
    let offsets = u64::from(HOST_OFFSET_MAX.saturating_sub(HOST_OFFSET_MIN));
    all.saturating_sub(3).min(offsets)
}

/// What a routing table refers to.
fn routes(
    table: &Raw<'_, RoutingTable>,
    pools: &Sorted<&str>,
    subnet: Option<Ipv4Subnet>,
    subnet_at: &At<'_>,
    at: &At<'_>,
    problems: &mut Problems,
) {
    type Selector<'a> = Raw<'a, InstanceSelector>;
    let routes_at = at.member("routes");
    for (index, route) in table.routes.iter().enumerate() {
        let route_at = routes_at.item(index);
        let target_at = route_at.member("target");
        if !pools.contains(&&*route.target.pool_id) {
            let what = "pool of this tenant";
            problems.add(
                &target_at.member("pool_id"),
                Reason::UnknownReference { what },
            );
        }
        let (Selector::ByIp(address), Some(subnet)) = (&route.target.instance_selector, subnet)
        else {
            continue;
        };
        if let Ok(address) = address.parse::<IpAddr>()
            && !is_instance(subnet, address)
        {
            let (other, expected) = (
                subnet_at.path(),
                format!("an address of an instance in {subnet}"),
            );
            let selector_at = target_at.member("instance_selector");
            problems.add(
                &selector_at.member("by_ip"),
                Reason::Mismatch { other, expected },
            );
        }
    }
}

/// Whether an instance of a network can have an address.
fn is_instance(subnet: Ipv4Subnet, address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else {
        return false;
    };
    let net = subnet.net();
    let gateway = u32::from(net.network()).checked_add(1).map(Ipv4Addr::from);
    subnet.contains(address)
        && address != net.network()
        && address != net.broadcast()
        && Some(address) != gateway
}

/// The rules of a pool: those of what is wanted of any pool.
pub(super) fn pool(raw: &Raw<'_, DesiredPool>, at: &At<'_>, problems: &mut Problems) {
    let resources = &at.member("instance_resources");
    rules::resources(&raw.instance_resources, resources, problems);
    rules::counts(&raw.desired_counts, &at.member("desired_counts"), problems);
    rules::scopes(&raw.secret_scopes, &at.member("secret_scopes"), problems);
}
