//! What finding a route costs beside looking at every route, and what reading a table costs above what
//! serde_json needs to look at its text. `cargo bench --bench routing --features alloc`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::std_instead_of_core
)]

use std::net::IpAddr;

use mvm_core::routing::{
    InstanceSelector, MatchRule, PathPrefix, Route, RouteIndex, RouteTarget, RoutingTable,
};
use serde::de::IgnoredAny;

mod harness;
use harness::{Contest, batch, run};

const ROUTES: usize = 50_000;
/// A scan has a table of the size that people have, so that a round of reading is short.
const READ: usize = 5_000;

/// Numbers without a pattern, and the same ones each time: xorshift (Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// The criteria of the n-th route.
type Criteria = fn(usize) -> String;

/// `port path_prefix source_cidr`, with `-` for none: a port and a path, of some a network too.
fn mixed(n: usize) -> String {
    let port = [80, 443, 8080, 8443, 3000][n % 5];
    let (service, version) = (n / 5 / 8, n / 5 % 4);
    let prefix = format!(
        "/tenants/t{}/api/v{version}/service-{service}",
        service % 97
    );
    match n / 5 % 8 {
        0..4 => format!("{port} {prefix} -"),
        _ => format!("{port} {prefix} 10.{}.0.0/16", service % 250),
    }
}

/// Nothing but ports and networks.
fn networks(n: usize) -> String {
    let net = n / 4;
    format!("{} - 10.{}.{}.0/24", 80 + n % 4, net / 256, net % 256)
}

/// A port each.
fn ports(n: usize) -> String {
    format!("{} - -", n + 1)
}

fn table(count: usize, criteria: Criteria) -> RoutingTable {
    let routes = (0..count).map(|n| {
        let criteria = criteria(n);
        let mut words = criteria.split(' ');
        let mut next = || words.next().filter(|&word| word != "-");
        Route {
            name: format!("route-{n}"),
            match_rule: MatchRule {
                port: next().map(|port| port.parse().unwrap()),
                path_prefix: next().map(|prefix| prefix.parse().unwrap()),
                source_cidr: next().map(|cidr| cidr.parse().unwrap()),
            },
            target: RouteTarget {
                pool_id: "workers".parse().unwrap(),
                instance_selector: InstanceSelector::Any,
                target_port: None,
            },
        }
    });
    RoutingTable {
        routes: routes.collect(),
    }
}

type Traffic = (u16, String, IpAddr);

/// What routes of a table take, in no order, and a tenth of it what none may take.
fn traffic(table: &RoutingTable) -> Vec<Traffic> {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let lookups = (0..4096).map(|_| {
        let rule = &table.routes[numbers.below(table.routes.len())].match_rule;
        let port = rule.port.map_or(9, Into::into);
        let prefix = rule.path_prefix.as_ref().map_or("", PathPrefix::as_str);
        let source = match rule.source_cidr {
            Some(subnet) if numbers.below(10) > 0 => subnet.net().broadcast(),
            _ => [192, 0, 2, 1].into(),
        };
        (
            port,
            format!("{prefix}/users/{}?page=2", numbers.below(1000)),
            source,
        )
    });
    lookups.collect()
}

/// Every route, and the most special of those that match.
fn scan<'a>(table: &'a RoutingTable, (port, path, source): &Traffic) -> Option<&'a Route> {
    let rank = |rule: &MatchRule| {
        (
            rule.port.is_some(),
            rule.path_prefix
                .as_deref()
                .map(|it| it.trim_end_matches('/').len()),
            rule.source_cidr.map(|it| it.net().prefix_len()),
        )
    };
    let mut best = None;
    for route in &table.routes {
        let rule = &route.match_rule;
        if rule.matches(*port, path, *source) && best.is_none_or(|(other, _)| rank(rule) > other) {
            best = Some((rank(rule), route));
        }
    }
    best.map(|(_, route)| route)
}

fn lookup<'a>(
    item: &'static str,
    table: &'a RoutingTable,
    index: &'a RouteIndex,
    traffic: &'a [Traffic],
) -> Contest<'a> {
    let by_index = |it: &Traffic| index.lookup(it.0, &it.1, it.2);
    for it in traffic.iter().take(64) {
        assert_eq!(by_index(it), scan(table, it));
    }
    let (mut ours, mut floor) = (traffic.iter().cycle(), traffic.iter().cycle());
    Contest {
        item,
        ours: batch(move || by_index(ours.next().unwrap())),
        floor: batch(move || scan(table, floor.next().unwrap())),
        goal: Some(0.01),
    }
}

fn main() {
    let kinds: [(&str, Criteria); 3] = [
        ("lookup, 50,000 ports and paths", mixed),
        ("lookup, 50,000 ports and networks", networks),
        ("lookup, 50,000 ports", ports),
    ];
    let kinds = kinds.map(|(item, criteria)| {
        let table = table(ROUTES, criteria);
        let index = table.compile().unwrap();
        let traffic = traffic(&table);
        (item, table, index, traffic)
    });
    let lookups = kinds
        .iter()
        .map(|(item, table, index, traffic)| lookup(item, table, index, traffic));
    run("Finding a route", "scan", lookups.collect());

    let small = table(READ, mixed);
    let json = serde_json::to_vec(&small).unwrap();
    let look = || batch(|| serde_json::from_slice::<IgnoredAny>(&json).unwrap());
    let read = [
        Contest {
            item: "5,000 routes: from_json, every rule checked",
            ours: batch(|| RoutingTable::from_json(&json).unwrap()),
            floor: look(),
            goal: None,
        },
        Contest {
            item: "5,000 routes: serde, no rule between routes",
            ours: batch(|| serde_json::from_slice::<RoutingTable>(&json).unwrap()),
            floor: look(),
            goal: None,
        },
        Contest {
            item: "5,000 routes: compile",
            ours: batch(|| small.compile().unwrap()),
            floor: look(),
            goal: None,
        },
    ];
    run("Reading a table", "serde_json", read.into());
}
