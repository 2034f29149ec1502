//! What 0.13.0 accepts and this crate refuses: each row is tried with both, and the documentation has each.
//!
//! A row changes one value of a document that both accept. Ours must tell of that value, and of nothing else.

use std::collections::BTreeSet;

use mvm_core_exchange::documents::{Pair, pairs};
use serde_json::{Value, json};

/// The title in the documentation's table; type, JSON pointer to what is changed (the path of the problem, unless it
/// is given), its new value, words of the reason.
struct Row {
    title: &'static str,
    document: &'static str,
    pointer: &'static str,
    value: Value,
    path: Option<&'static str>,
    reason: &'static str,
}

macro_rules! rows {
    ($($title:literal: { $(
        $document:ident $pointer:literal = $value:tt $(at $path:literal)? => $reason:literal;
    )+ })+) => {
        vec![$($(Row {
            title: $title,
            document: stringify!($document),
            pointer: $pointer,
            value: json!($value),
            path: [$($path,)? ""].into_iter().next().filter(|path| !path.is_empty()),
            reason: $reason,
        }),+),+]
    };
}

fn rows() -> Vec<Row> {
    rows! {
        "ids": {
            NodeInfo "/node_id" = "" => "empty";
            NodeInfo "/node_id" = "Node 1" => "byte 0";
            TenantConfig "/tenant_id" = "../etc" => "byte 0";
            PoolSpec "/pool_id" = "-a" => "begins with '-'";
            InstanceState "/instance_id" = "i-é" => "byte 2";
            AuditEntry "/tenant_id" = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" => "64";
            SignedPayload "/signer_id" = "a/b" => "byte 1";
            SessionHello "/session_id" = "a b" => "byte 1";
            DesiredState "/node_id" = "a\u{0}" => "byte 1";
            RouteTarget "/pool_id" = "a_b" => "byte 1";
            HostdRequest "/StartInstance/tenant_id" = "$(id)" => "byte 0";
            DevNetwork "/name" = "Home" => "byte 0";
            VmInfo "/name" = "a;b" => "byte 1";
        }
        "names of templates": {
            TemplateSpec "/template_id" = "_a" => "begins with '_'";
            RegistryArtifact "/template_id" = "" => "empty";
            CatalogEntry "/name" = "a/b" => "byte 1";
        }
        "flake references": {
            PoolSpec "/flake_ref" = "--impure" => "begins with '-'";
            DesiredPool "/flake_ref" = "github:a/b c" => "byte 10";
            TemplateConfig "/flake_ref" = "a`id`" => "byte 1";
            CatalogEntry "/flake_ref" = "" => "empty";
        }
        "hashes": {
            BuildRevision "/revision_hash" = "../../x" => "byte 2";
            TemplateRevision "/revision_hash" = ".." => "..";
            BuildRevision "/flake_lock_hash" = "a b" => "byte 1";
            DesiredTenant "/secrets_hash" = "" => "empty";
        }
        "time stamps": {
            TenantConfig "/created_at" = "yesterday" => "";
            AuditEntry "/timestamp" = "2026-02-30T00:00:00Z" => "";
            IdleMetrics "/last_updated" = "2026-02-25 12:00:00" => "";
            InstanceState "/last_started_at" = "" => "";
        }
        "addresses": {
            InstanceNet "/guest_ip" = "10.240.3" => "not an IPv4 address";
            TenantNet "/gateway_ip" = "fd00::1" => "not an IPv4 address";
            VmNetworkInfo "/guest_ip" = "localhost" => "not an IP address";
        }
        "networks": {
            TenantNet "/ipv4_subnet" = "10.240.3.0" => "not a network";
            DesiredTenantNetwork "/ipv4_subnet" = "10.240.3.5/24" => "the network is 10.240.3.0/24";
            MatchRule "/source_cidr" = "10.0.0.0/33" => "not a network";
            DevNetwork "/subnet" = "everything" => "not a network";
        }
        "numbers of tenants' networks": {
            TenantNet "/tenant_net_id" = 4096 => "4096 is greater than 4095";
            DesiredTenantNetwork "/tenant_net_id" = 65535 => "65535 is greater than 4095";
        }
        "names of bridges": {
            TenantNet "/bridge_name" = "br0" => "";
            DevNetwork "/bridge_name" = "br-mvm-laboratory" => "17 bytes long, at most 15";
        }
        "names and addresses of interfaces": {
            InstanceNet "/tap_dev" = "tap0" => "not the name of a TAP device";
            InstanceNet "/tap_dev" = "tn65535i0" => "";
            InstanceNet "/mac" = "02:FC:00:03:00:05" => "";
            InstanceNet "/mac" = "02:fc:0f:0f:00:07" => "";
        }
        "lengths of prefixes": {
            InstanceNet "/cidr" = 33 => "33";
        }
        "process ids": {
            InstanceState "/firecracker_pid" = 0 => "";
            InstanceState "/firecracker_pid" = 2147483648u32 => "";
        }
        "shares": {
            IdleMetrics "/cpu_pct" = (-1.0) => "";
            SleepPolicyConfig "/cpu_threshold" = (-0.5) => "";
            CanaryStrategy "/success_threshold" = 1.5 => "";
        }
        "ports": {
            MatchRule "/port" = 0 => "0 is out of range, 1 to 65535";
            RouteTarget "/target_port" = 0 => "0 is out of range, 1 to 65535";
            VmPortMapping "/host" = 0 => "0 is out of range";
        }
        "path prefixes": {
            MatchRule "/path_prefix" = "api" => "begins with a slash";
            MatchRule "/path_prefix" = "/a/../b" => "byte 3";
        }
        "closed sets": {
            PoolSpec "/seccomp_policy" = "off" => "known are: baseline, strict";
            DesiredPool "/snapshot_compression" = "gzip" => "known are: none, lz4, zstd";
            BatchActionItemResult "/new_status" = "gone" => "known are: created";
        }
        "keys, challenges and signatures": {
            SessionHello "/challenge" = [1, 2, 3] => "3 bytes, 32 are wanted";
            SessionHello "/host_pubkey" = [] => "0 bytes, 32 are wanted";
            SignedPayload "/signature" = [0] => "64";
        }
        "arrays in the place of objects": {
            DesiredCounts "" = [1, 2, 3] => "expected an object";
            IdleMetrics "" = [1, 0.5, 2, null] => "expected an object";
        }
        "pending transitions": {
            InstanceState "/pending" = {"to": "created", "since": "2026-02-25T12:00:00Z"} at "pending.to" => "";
        }
        "virtual machines": {
            VmId "" = "a b" => "byte 1";
            GuestChannelInfo "" = {"UnixSocket": {"path": "run/x.sock"}} at "UnixSocket.path" => "byte 0";
        }
        "desired states": {
            DesiredState "/schema_version" = 2 => "schema version 2 is newer than 1";
            DesiredPool "/desired_counts/running" = 101 => "101 is out of range, 0 to 100";
            DesiredPool "/instance_resources/mem_mib" = 0 => "0 is out of range";
            DesiredPool "/secret_scopes" = [{"integration": "a", "keys": []}, {"integration": "a", "keys": ["k"]}]
                at "secret_scopes[1].integration" => "the same as secret_scopes[0].integration";
            DesiredTenant "" = {
                "tenant_id": "acme",
                "network": {"tenant_net_id": 3, "ipv4_subnet": "10.240.3.0/24"},
                "quotas": {
                    "max_vcpus": 16, "max_mem_mib": 32768, "max_running": 8, "max_warm": 4, "max_pools": 0,
                    "max_instances_per_pool": 16, "max_disk_gib": 100
                },
                "pools": [{
                    "pool_id": "a", "flake_ref": ".", "profile": "minimal",
                    "instance_resources": {"vcpus": 1, "mem_mib": 1},
                    "desired_counts": {"running": 0, "warm": 0, "sleeping": 0}
                }]
            } at "pools" => "max_pools";
        }
        "routing tables": {
            RoutingTable "" = {"routes": [{"match_rule": {}, "target": {"pool_id": "a"}}]}
                at "routes[0].match_rule" => "matches nothing in particular";
        }
        "secret bindings": {
            SecretBinding "/env_var" = "A-B" => "byte 1";
            SecretBinding "/target_host" = "api.example.org:443" => "byte 15";
            SecretBinding "/header" = "X-Key: a" => "byte 5";
            ResolvedBinding "/value" = "a\r\nHost: b" => "byte 1";
        }
    }
}

fn pair(name: &str) -> Pair {
    pairs()
        .into_iter()
        .find(|pair| pair.name == name)
        .unwrap_or_else(|| panic!("no type {name}"))
}

/// The first document of a type that both accept, and in which the change can be made.
fn base(row: &Row) -> Value {
    let path = format!(
        "{}/../vectors/json/{}.jsonl",
        env!("CARGO_MANIFEST_DIR"),
        row.document
    );
    let text = std::fs::read_to_string(path).expect("vectors");
    let parent = row
        .pointer
        .rsplit_once('/')
        .map_or("", |(parent, _)| parent);
    text.lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["doc"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .find(|doc| {
            let both = (pair(row.document).both)(doc);
            let value: Value = serde_json::from_str(doc).unwrap();
            both.theirs.is_ok() && both.ours.is_empty() && value.pointer(parent).is_some()
        })
        .map(|doc| serde_json::from_str(&doc).unwrap())
        .unwrap_or_else(|| panic!("{}: no document that both accept", row.document))
}

/// As a problem has it.
fn path(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

#[test]
fn each_row_is_accepted_by_0_13_0_and_refused_here() {
    let mut wrong = Vec::new();
    for row in rows() {
        let mut value = base(&row);
        match row.pointer.rsplit_once('/') {
            None => value = row.value.clone(),
            Some((parent, name)) => {
                value.pointer_mut(parent).unwrap()[name] = row.value.clone();
            }
        }
        let both = (pair(row.document).both)(&value.to_string());
        let wanted = row.path.map_or_else(|| path(row.pointer), str::to_owned);
        let beginning = if wanted.is_empty() {
            String::new()
        } else {
            format!("{wanted}: ")
        };
        let good = both.theirs.is_ok()
            && both.ours.len() == 1
            && both.ours[0].starts_with(&beginning)
            && both.ours[0].contains(row.reason);
        if !good {
            wrong.push(format!(
                "{} {} = {}: {both:?}",
                row.document, row.pointer, row.value
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Its first column is the titles, in order.
#[test]
fn the_documentation_has_each_row() {
    let table = include_str!("../../../src/fleet/document/stricter.md");
    let documented: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .map(|line| line.split(" | ").next().unwrap())
        .skip(1)
        .filter(|title| !title.starts_with("---"))
        .collect();
    let mut titles: Vec<&str> = rows().iter().map(|row| row.title).collect();
    titles.dedup();
    assert_eq!(documented, titles);
    assert_eq!(titles.iter().collect::<BTreeSet<_>>().len(), titles.len());
}
