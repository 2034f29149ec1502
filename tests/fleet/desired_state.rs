//! The rules between the values of a desired state.

use mvm_core::agent::{DesiredState, MAX_DESIRED_PER_STATE};
use mvm_core::document::{Document, Reason};
use proptest::prelude::*;
use serde_json::{Value, json};

fn pool(id: &str) -> Value {
    json!({
        "pool_id": id,
        "flake_ref": "github:org/app",
        "profile": "minimal",
        "instance_resources": {"vcpus": 2, "mem_mib": 1024, "data_disk_mib": 1024},
        "desired_counts": {"running": 2, "warm": 1, "sleeping": 1},
    })
}

/// A tenant whose quotas are used to the full by its pools `web` and `db`.
fn tenant(index: u16) -> Value {
    json!({
        "tenant_id": format!("t-{index}"),
        "network": {"tenant_net_id": index, "ipv4_subnet": format!("10.240.{index}.0/24")},
        "quotas": {
            "max_vcpus": 12, "max_mem_mib": 6144, "max_running": 4, "max_warm": 2,
            "max_pools": 2, "max_instances_per_pool": 4, "max_disk_gib": 8,
        },
        "pools": [pool("web"), pool("db")],
    })
}

fn base() -> Value {
    json!({
        "schema_version": 1,
        "node_id": "node-1",
        "tenants": [tenant(1), tenant(2), tenant(3)],
        "sequence": 7,
    })
}

/// The base, with other values at some places.
fn with(changes: &[(&str, Value)]) -> Value {
    let mut state = base();
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match state.pointer_mut(parent).expect(pointer) {
            Value::Object(members) => {
                members.insert(name.into(), value.clone());
            }
            Value::Array(items) if name == "-" => items.push(value.clone()),
            other => other[name.parse::<usize>().unwrap()] = value.clone(),
        }
    }
    state
}

/// Paths and reasons, by all ways to find them.
fn problems(state: &Value) -> Vec<(String, Reason)> {
    let text = serde_json::to_string_pretty(state).unwrap();
    let checked = DesiredState::check_json(text.as_bytes());
    assert_eq!(checked.warnings, []);
    let found = match checked.result {
        Ok(value) => {
            assert_eq!(value.validate(), Ok(()));
            Vec::new()
        }
        Err(invalid) => {
            assert!(
                invalid
                    .problems()
                    .iter()
                    .all(|problem| problem.position.is_some())
            );
            invalid
                .into_problems()
                .into_iter()
                .map(|problem| (problem.path, problem.reason))
                .collect()
        }
    };
    // A program that has the values finds the same, unless one of the values is bad by itself.
    if let Ok(value) = serde_json::from_str::<DesiredState>(&text) {
        let mut validated: Vec<(String, Reason)> = match value.validate() {
            Ok(()) => Vec::new(),
            Err(invalid) => invalid
                .into_problems()
                .into_iter()
                .map(|problem| (problem.path, problem.reason))
                .collect(),
        };
        let mut expected = found.clone();
        let key = |(path, reason): &(String, Reason)| (path.clone(), reason.to_string());
        validated.sort_by_key(key);
        expected.sort_by_key(key);
        assert_eq!(validated, expected);
    }
    found
}

fn over(quota: &'static str, wanted: u64, max: u64) -> Reason {
    Reason::OverQuota { quota, wanted, max }
}

fn range(value: u64, min: u64, max: u64) -> Reason {
    Reason::OutOfRange { value, min, max }
}

fn duplicate(first: &str) -> Reason {
    Reason::Duplicate {
        first: first.into(),
    }
}

fn overlap(with: &str) -> Reason {
    Reason::Overlap { with: with.into() }
}

fn expect(changes: &[(&str, Value)], expected: &[(&str, Reason)]) {
    let found = problems(&with(changes));
    let found: Vec<_> = found
        .iter()
        .map(|(path, reason)| (path.as_str(), reason.clone()))
        .collect();
    assert_eq!(found, expected, "{changes:?}");
}

#[test]
fn what_is_allowed() {
    expect(&[], &[]);
    // Quotas of nothing for a tenant that wants nothing, even in a network without addresses.
    let quotas = json!({
        "max_vcpus": 0, "max_mem_mib": 0, "max_running": 0, "max_warm": 0,
        "max_pools": 0, "max_instances_per_pool": 0, "max_disk_gib": 0,
    });
    expect(
        &[
            ("/tenants/1/quotas", quotas),
            ("/tenants/1/pools", json!([])),
            ("/tenants/1/network/ipv4_subnet", json!("10.0.0.0/32")),
        ],
        &[],
    );
    expect(&[("/tenants", json!([]))], &[]);
    // Two pools of two tenants may have one name, and one a name of a tenant.
    expect(&[("/tenants/1/pools/0/pool_id", json!("t-1"))], &[]);
}

#[test]
fn schema_versions() {
    let path = "schema_version";
    let newer = |found| Reason::NewerSchema { found, known: 1 };
    expect(&[("/schema_version", json!(2))], &[(path, newer(2))]);
    expect(
        &[("/schema_version", json!(u32::MAX))],
        &[(path, newer(u64::from(u32::MAX)))],
    );
    expect(&[("/schema_version", json!(0))], &[(path, range(0, 1, 1))]);
}

#[test]
fn what_must_be_unique() {
    expect(
        &[
            ("/tenants/2/tenant_id", json!("t-1")),
            ("/tenants/1/tenant_id", json!("t-1")),
        ],
        &[
            ("tenants[1].tenant_id", duplicate("tenants[0].tenant_id")),
            ("tenants[2].tenant_id", duplicate("tenants[0].tenant_id")),
        ],
    );
    expect(
        &[("/tenants/2/network/tenant_net_id", json!(2))],
        &[(
            "tenants[2].network.tenant_net_id",
            duplicate("tenants[1].network.tenant_net_id"),
        )],
    );
    expect(
        &[("/tenants/0/pools/1/pool_id", json!("web"))],
        &[(
            "tenants[0].pools[1].pool_id",
            duplicate("tenants[0].pools[0].pool_id"),
        )],
    );
    let scopes = json!([
        {"integration": "mail", "keys": ["a", "b", "a"]},
        {"integration": "chat", "keys": ["a"]},
        {"integration": "mail", "keys": ["b"]},
    ]);
    expect(
        &[("/tenants/0/pools/0/secret_scopes", scopes)],
        &[
            (
                "tenants[0].pools[0].secret_scopes[0].keys[2]",
                duplicate("tenants[0].pools[0].secret_scopes[0].keys[0]"),
            ),
            (
                "tenants[0].pools[0].secret_scopes[2].integration",
                duplicate("tenants[0].pools[0].secret_scopes[0].integration"),
            ),
        ],
    );
}

#[test]
fn networks_that_overlap() {
    let subnet = |index: usize| format!("/tenants/{index}/network/ipv4_subnet");
    let path = |index: usize| format!("tenants[{index}].network.ipv4_subnet");
    for (nets, expected) in [
        (["10.1.0.0/24", "10.1.1.0/24", "10.1.2.0/24"], &[][..]),
        (["10.1.0.0/24", "10.1.0.0/24", "10.1.2.0/24"], &[(1, 0)]),
        (
            ["10.1.0.0/24", "10.1.0.0/24", "10.1.0.0/24"],
            &[(1, 0), (2, 0)],
        ),
        (["10.1.7.0/24", "10.2.0.0/24", "10.1.0.0/16"], &[(2, 0)]),
        (
            ["10.1.7.0/24", "10.0.0.0/8", "10.1.0.0/16"],
            &[(1, 0), (2, 1)],
        ),
        (
            ["0.0.0.0/0", "255.255.255.0/24", "0.0.0.0/24"],
            &[(1, 0), (2, 0)],
        ),
        // What is none has no say.
        (["10.1.0.1/24", "10.1.0.0/24", "10.1.0.0/25"], &[(2, 1)]),
    ] {
        let changes: Vec<(String, Value)> = nets
            .iter()
            .enumerate()
            .map(|(index, net)| (subnet(index), json!(net)))
            .collect();
        let changes: Vec<(&str, Value)> = changes
            .iter()
            .map(|(pointer, net)| (pointer.as_str(), net.clone()))
            .collect();
        let found: Vec<_> = problems(&with(&changes))
            .into_iter()
            .filter(|(_, reason)| !matches!(reason, Reason::Cidr(_)))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(later, first)| (path(*later), overlap(&path(*first))))
            .collect();
        assert_eq!(found, expected, "{nets:?}");
    }
}

#[test]
fn counts() {
    let max = u64::from(MAX_DESIRED_PER_STATE);
    let quotas = json!({
        "max_vcpus": u32::MAX, "max_mem_mib": u64::MAX, "max_running": u32::MAX, "max_warm": u32::MAX,
        "max_pools": u32::MAX, "max_instances_per_pool": u32::MAX, "max_disk_gib": u64::MAX,
    });
    let counts = |running: u32, warm: u32, sleeping: u32| {
        [
            ("/tenants/0/quotas", quotas.clone()),
            ("/tenants/0/network/ipv4_subnet", json!("10.0.0.0/16")),
            ("/tenants/0/pools", json!([pool("web")])),
            (
                "/tenants/0/pools/0/desired_counts",
                json!({"running": running, "warm": warm, "sleeping": sleeping}),
            ),
        ]
    };
    expect(&counts(100, 100, 53), &[]);
    let many = |wanted| Reason::TooFewAddresses {
        wanted,
        available: 253,
    };
    expect(
        &counts(100, 100, 54),
        &[("tenants[0].network.ipv4_subnet", many(254))],
    );
    for (at, given) in [
        (0, counts(101, 0, 0)),
        (1, counts(0, 101, 0)),
        (2, counts(0, 0, 101)),
    ] {
        let name = ["running", "warm", "sleeping"][at];
        let path = format!("tenants[0].pools[0].desired_counts.{name}");
        expect(&given, &[(path.as_str(), range(101, 0, max))]);
    }
    // Nothing overflows.
    let all = u64::from(u32::MAX);
    let path = "tenants[0].pools[0].desired_counts";
    let found = problems(&with(&counts(u32::MAX, u32::MAX, u32::MAX)));
    for name in ["running", "warm", "sleeping"] {
        assert!(found.contains(&(format!("{path}.{name}"), range(all, 0, max))));
    }
    assert!(found.contains(&("tenants[0].network.ipv4_subnet".into(), many(3 * all))));
}

#[test]
fn quotas() {
    for (quota, full) in [
        ("max_running", 4),
        ("max_warm", 2),
        ("max_vcpus", 12),
        ("max_mem_mib", 6144),
        ("max_disk_gib", 8),
    ] {
        let (pointer, path) = (
            format!("/tenants/1/quotas/{quota}"),
            format!("tenants[1].quotas.{quota}"),
        );
        expect(
            &[(&pointer, json!(full - 1))],
            &[(&path, over(quota, full, full - 1))],
        );
        expect(&[(&pointer, json!(full))], &[]);
    }
    expect(
        &[("/tenants/1/quotas/max_pools", json!(1))],
        &[("tenants[1].pools", over("max_pools", 2, 1))],
    );
    expect(
        &[("/tenants/1/quotas/max_instances_per_pool", json!(3))],
        &[
            (
                "tenants[1].pools[0].desired_counts",
                over("max_instances_per_pool", 4, 3),
            ),
            (
                "tenants[1].pools[1].desired_counts",
                over("max_instances_per_pool", 4, 3),
            ),
        ],
    );
    // A part of a GiB counts as one.
    expect(
        &[(
            "/tenants/1/pools/0/instance_resources/data_disk_mib",
            json!(1025),
        )],
        &[("tenants[1].quotas.max_disk_gib", over("max_disk_gib", 9, 8))],
    );
    // Sleeping instances have a disk, and neither processors nor memory.
    expect(
        &[
            (
                "/tenants/1/pools/0/desired_counts",
                json!({"running": 0, "warm": 0, "sleeping": 4}),
            ),
            ("/tenants/1/quotas/max_vcpus", json!(6)),
            ("/tenants/1/quotas/max_mem_mib", json!(3072)),
        ],
        &[],
    );
    // Sums that do not fit saturate.
    let huge = json!({"vcpus": 255, "mem_mib": u32::MAX, "data_disk_mib": u32::MAX});
    let found = problems(&with(&[
        ("/tenants/1/pools/0/instance_resources", huge.clone()),
        ("/tenants/1/pools/1/instance_resources", huge),
        (
            "/tenants/1/pools/0/desired_counts",
            json!({"running": u32::MAX, "warm": u32::MAX, "sleeping": u32::MAX}),
        ),
    ]));
    let reason = over("max_mem_mib", u64::MAX, 6144);
    assert!(
        found.contains(&("tenants[1].quotas.max_mem_mib".into(), reason)),
        "{found:?}"
    );
}

#[test]
fn resources() {
    let at = "/tenants/0/pools/1/instance_resources";
    expect(
        &[(at, json!({"vcpus": 0, "mem_mib": 0}))],
        &[
            (
                "tenants[0].pools[1].instance_resources.mem_mib",
                range(0, 1, u64::from(u32::MAX)),
            ),
            (
                "tenants[0].pools[1].instance_resources.vcpus",
                range(0, 1, 255),
            ),
        ],
    );
    expect(&[(at, json!({"vcpus": 1, "mem_mib": 1}))], &[]);
}

#[test]
fn addresses() {
    for (prefix, available) in [(30, 1), (29, 5), (31, 0), (32, 0)] {
        let changes = [(
            "/tenants/0/network/ipv4_subnet",
            json!(format!("10.9.0.0/{prefix}")),
        )];
        let reason = Reason::TooFewAddresses {
            wanted: 8,
            available,
        };
        expect(&changes, &[("tenants[0].network.ipv4_subnet", reason)]);
    }
    expect(
        &[("/tenants/0/network/ipv4_subnet", json!("10.9.0.0/28"))],
        &[],
    );
}

fn table(pool_id: &str, selector: Value) -> Value {
    json!({"routes": [{
        "match_rule": {"port": 80},
        "target": {"pool_id": pool_id, "instance_selector": selector},
    }]})
}

#[test]
fn what_routes_refer_to() {
    let at = "/tenants/1/pools/0/routing_table";
    let target = "tenants[1].pools[0].routing_table.routes[0].target";
    expect(&[(at, table("db", json!("any")))], &[]);
    expect(&[(at, table("web", json!({"by_ip": "10.240.2.254"})))], &[]);
    expect(&[(at, table("web", json!({"by_ip": "10.240.2.2"})))], &[]);
    let pool_id = format!("{target}.pool_id");
    let unknown = Reason::UnknownReference {
        what: "pool of this tenant",
    };
    // Also a pool of another tenant.
    for (other, name) in [
        ("/tenants/0/pools/0/pool_id", "cache"),
        ("/tenants/0/pools/0/pool_id", "no"),
    ] {
        expect(
            &[(other, json!("cache")), (at, table(name, json!("any")))],
            &[(&pool_id, unknown.clone())],
        );
    }
    let by_ip = format!("{target}.instance_selector.by_ip");
    let mismatch = Reason::Mismatch {
        other: "tenants[1].network.ipv4_subnet".into(),
        expected: "an address of an instance in 10.240.2.0/24".into(),
    };
    for address in [
        "10.240.1.2",
        "10.240.3.2",
        // The network's, the gateway's, the broadcast address.
        "10.240.2.0",
        "10.240.2.1",
        "10.240.2.255",
        "::1",
        "::ffff:10.240.2.2",
    ] {
        expect(
            &[(at, table("db", json!({"by_ip": address})))],
            &[(&by_ip, mismatch.clone())],
        );
    }
    // A table is checked wherever it is; only a gateway's routes anything.
    expect(
        &[
            ("/tenants/1/pools/0/role", json!("gateway")),
            (at, table("db", json!("any"))),
        ],
        &[],
    );
}

#[test]
fn everything_at_once() {
    let found = problems(&with(&[
        ("/schema_version", json!(3)),
        ("/node_id", json!("-")),
        ("/tenants/0/quotas/max_running", json!(1)),
        ("/tenants/1/tenant_id", json!("t-1")),
        ("/tenants/1/pools/0/flake_ref", json!("; rm -rf")),
        (
            "/tenants/1/pools/1/routing_table",
            table("cache", json!({"by_ip": "1.2.3"})),
        ),
        ("/tenants/2/network/ipv4_subnet", json!("10.240.1.0/25")),
    ]));
    let mut paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "node_id",
            "schema_version",
            "tenants[0].quotas.max_running",
            "tenants[1].pools[0].flake_ref",
            "tenants[1].pools[1].routing_table.routes[0].target.instance_selector.by_ip",
            "tenants[1].pools[1].routing_table.routes[0].target.pool_id",
            "tenants[1].tenant_id",
            "tenants[2].network.ipv4_subnet",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Overlaps are told of exactly where there are some: a network is named if and only if it overlaps with
    /// one before it, or the one that overlaps with it is named.
    #[test]
    fn overlaps_are_those_of_every_pair(nets in prop::collection::vec((0u32..8, 22u8..26), 1..8)) {
        let nets: Vec<(u32, u8)> = nets
            .into_iter()
            .map(|(block, prefix)| ((0x0A00_0000 + block * 128) & (u32::MAX << (32 - prefix)), prefix))
            .collect();
        let tenants: Vec<Value> = nets
            .iter()
            .enumerate()
            .map(|(index, (net, prefix))| {
                let mut tenant = tenant(u16::try_from(index).unwrap());
                tenant["pools"] = json!([]);
                let net = core::net::Ipv4Addr::from(*net);
                tenant["network"]["ipv4_subnet"] = json!(format!("{net}/{prefix}"));
                tenant
            })
            .collect();
        let found = problems(&with(&[("/tenants", json!(tenants))]));
        let range = |(net, prefix): (u32, u8)| net..=net + (u32::MAX >> prefix);
        let overlap = |a, b| {
            let (a, b) = (range(a), range(b));
            a.start() <= b.end() && b.start() <= a.end()
        };
        let any = (0..nets.len()).any(|a| (0..a).any(|b| overlap(nets[a], nets[b])));
        prop_assert_eq!(!found.is_empty(), any);
        let number = |path: &str| path[8..].split(']').next().unwrap().parse::<usize>().unwrap();
        for (path, reason) in &found {
            let Reason::Overlap { with } = reason else {
                panic!("{path}: {reason}");
            };
            prop_assert!(number(with) < number(path));
            prop_assert!(overlap(nets[number(path)], nets[number(with)]));
        }
        // Without the networks that are named, no two overlap.
        let mut named: Vec<usize> = found
            .iter()
            .flat_map(|(path, reason)| match reason {
                Reason::Overlap { with } => [number(path), number(with)],
                _ => unreachable!(),
            })
            .collect();
        named.sort_unstable();
        for a in 0..nets.len() {
            for b in 0..a {
                let both_free = named.binary_search(&a).is_err() && named.binary_search(&b).is_err();
                prop_assert!(!(both_free && overlap(nets[a], nets[b])));
            }
        }
    }
}
