//! The index answers what a scan over the table answers, and what the rules tell of is what the scan never gives.
#![allow(clippy::std_instead_of_alloc)] // std is there in tests

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::BTreeSet;

use mvm_core::document::Reason;
use mvm_core::routing::{MatchRule, Route, RoutingTable};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

use super::table;

/// Traffic: port, path, source.
type Traffic = (u16, String, IpAddr);

/// How special a route is that matches: port, segments of the prefix, bits of the network. 0 is none.
type Rank = (u8, usize, u8);

/// What the module's documentation says, in other words than the crate's: segments are compared as lists,
/// networks bit by bit.
fn rank(rule: &MatchRule, (port, path, source): &Traffic) -> Option<Rank> {
    let port = match rule.port {
        None => 0,
        Some(wanted) if wanted.get() == *port => 1,
        Some(_) => return None,
    };
    let segments = match &rule.path_prefix {
        None => 0,
        Some(prefix) => {
            let path = path.split(['?', '#']).next()?.strip_prefix('/')?;
            let wanted = segments(prefix);
            if !path.split('/').collect::<Vec<_>>().starts_with(&wanted) {
                return None;
            }
            1 + wanted.len()
        }
    };
    let bits = match rule.source_cidr {
        None => 0,
        Some(subnet) => {
            let net = subnet.net();
            let (mut network, mut bits) = (net.network(), net.prefix_len());
            if let IpAddr::V6(v6) = network
                && let Some(v4) = v6.to_ipv4_mapped().filter(|_| bits >= 96)
            {
                (network, bits) = (v4.into(), bits - 96);
            }
            if !begins_with(source.to_canonical(), network, bits) {
                return None;
            }
            1 + bits
        }
    };
    Some((port, segments, bits))
}

fn segments(prefix: &str) -> Vec<&str> {
    let inner = prefix.strip_prefix('/').unwrap();
    match inner.strip_suffix('/').unwrap_or(inner) {
        "" => Vec::new(),
        inner => inner.split('/').collect(),
    }
}

fn begins_with(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let bit = |bytes: &[u8], place: usize| bytes[place / 8] >> (7 - place % 8) & 1;
    let same = |one: &[u8], other: &[u8]| {
        (0..usize::from(bits)).all(|place| bit(one, place) == bit(other, place))
    };
    match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => same(&one.octets(), &other.octets()),
        (IpAddr::V6(one), IpAddr::V6(other)) => same(&one.octets(), &other.octets()),
        _ => false,
    }
}

/// The first of the most special routes that match.
fn scan(routes: &[Route], traffic: &Traffic) -> Option<usize> {
    let mut best: Option<(Rank, usize)> = None;
    for (place, route) in routes.iter().enumerate() {
        if let Some(rank) = rank(&route.match_rule, traffic)
            && best.is_none_or(|(other, _)| rank > other)
        {
            best = Some((rank, place));
        }
    }
    best.map(|(_, place)| place)
}

fn port() -> impl Strategy<Value = String> + Clone {
    prop::sample::select(vec!["-", "1", "2", "65535"]).prop_map(str::to_owned)
}

/// Few segments, of which some are the beginnings of others, with characters below and above the slash.
fn path() -> impl Strategy<Value = String> + Clone {
    let segment = prop::sample::select(vec!["a", "b", "a-", "aa", "a!", "a~"]);
    (prop::collection::vec(segment, 0..4), any::<bool>()).prop_map(|(segments, slash)| {
        let mut path: String = segments.iter().flat_map(|segment| ["/", segment]).collect();
        if slash || path.is_empty() {
            path.push('/');
        }
        path
    })
}

/// Addresses near each other, near the ends, and near the IPv4-mapped ones.
fn address() -> impl Strategy<Value = IpAddr> + Clone {
    let v4 = |number: u32| IpAddr::V4(number.into());
    let v6 = |number: u128| IpAddr::V6(number.into());
    prop_oneof![
        3 => (0_u32..8).prop_map(move |low| v4(0x0a00_0000 | low)),
        1 => (0_u32..2).prop_map(move |low| v4(low.wrapping_neg())),
        3 => (0_u128..8).prop_map(move |low| v6(0x2001_0db8 << 96 | low)),
        1 => (0_u128..8).prop_map(move |low| v6(0xffff_0a00_0000 | low)),
        1 => (0_u128..2).prop_map(move |low| v6(low.wrapping_neg())),
        1 => prop::sample::select(vec![0, 0xffff, 0xfffe, 0xfffd, 0x1_0000])
            .prop_map(move |high: u128| v6(high << 32)),
    ]
}

fn network() -> impl Strategy<Value = String> + Clone {
    let lengths = prop::sample::select(vec![0_u8, 1, 2, 3, 4, 5, 8, 31, 32, 33, 34, 95, 96]);
    (address(), lengths).prop_map(|(address, free)| match address {
        IpAddr::V4(address) => {
            let free = free.min(32);
            let mask = u32::MAX.checked_shl(free.into()).unwrap_or(0);
            let network = Ipv4Addr::from(u32::from(address) & mask);
            format!("{network}/{}", 32 - free)
        }
        IpAddr::V6(address) => {
            let network = Ipv6Addr::from(u128::from(address) & u128::MAX << free);
            format!("{network}/{}", 128 - free)
        }
    })
}

/// `-` for none, now and then.
fn maybe(it: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> + Clone {
    prop_oneof![1 => Just("-".to_owned()), 2 => it]
}

/// Tables of routes that have much in common, each with a criterion.
fn tables(routes: usize) -> impl Strategy<Value = RoutingTable> {
    let criteria = (port(), maybe(path()), maybe(network()))
        .prop_map(|(port, path, network)| format!("{port} {path} {network}"))
        .prop_filter("a criterion", |criteria| criteria != "- - -");
    prop::collection::vec(criteria, 0..routes)
        .prop_map(|criteria| table(&criteria.iter().map(String::as_str).collect::<Vec<_>>()))
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let port = prop::sample::select(vec![0, 1, 2, 3, 65535]);
    let tail = prop::sample::select(vec!["", "", "", "?/a", "#a", "/", "//a", "-", "\0", "é"]);
    let path = prop_oneof![
        8 => (path(), tail).prop_map(|(path, tail)| path + tail),
        1 => prop::sample::select(vec!["", "*", "a/b", "?"]).prop_map(str::to_owned),
    ];
    (port, path, address())
}

/// The places in the table that the rules tell of.
fn told_of(table: &RoutingTable) -> BTreeSet<usize> {
    let Err(invalid) = table.validate() else {
        return BTreeSet::new();
    };
    assert_eq!(invalid.omitted(), 0);
    let places: BTreeSet<usize> = invalid
        .problems()
        .iter()
        .map(|problem| places(&problem.path)[0])
        .collect();
    assert_eq!(
        places.len(),
        invalid.problems().len(),
        "one problem a route"
    );
    places
}

/// The numbers in `routes[1], routes[2] and routes[3]`.
fn places(text: &str) -> Vec<usize> {
    let numbers = text.split("routes[").skip(1);
    numbers
        .map(|rest| rest.split(']').next().unwrap().parse().unwrap())
        .collect()
}

/// A table, and what is asked of it.
fn cases() -> impl Strategy<Value = (RoutingTable, Vec<Traffic>)> {
    (tables(50), prop::collection::vec(traffic(), 64))
}

/// Whether `answer` gives for a table without the routes that are told of what a scan gives for all of it.
fn agrees(
    (table, lookups): &(RoutingTable, Vec<Traffic>),
    answer: impl Fn(&RoutingTable, &[Traffic]) -> Vec<Option<usize>>,
) -> Result<(), TestCaseError> {
    let gone = told_of(table);
    let kept: Vec<usize> = (0..table.routes.len())
        .filter(|place| !gone.contains(place))
        .collect();
    let routes = kept
        .iter()
        .map(|&place| table.routes[place].clone())
        .collect();
    let answers = answer(&RoutingTable { routes }, lookups);
    for (traffic, found) in lookups.iter().zip(answers) {
        let found = found.map(|place| kept[place]);
        prop_assert_eq!(
            found,
            scan(&table.routes, traffic),
            "{:?} of {:?}",
            traffic,
            table
        );
    }
    Ok(())
}

fn by_index(table: &RoutingTable, lookups: &[Traffic]) -> Vec<Option<usize>> {
    let index = table.compile().expect("nothing is wrong any more");
    let ask = |(port, path, source): &Traffic| index.position(*port, path, *source);
    lookups.iter().map(ask).collect()
}

proptest! {
    #![proptest_config(Config::with_cases(400))]

    #[test]
    fn index_is_scan(case in cases()) {
        agrees(&case, by_index)?;
    }

    #[test]
    fn one_route_by_itself(table in tables(20), traffic in traffic()) {
        let (port, path, source) = &traffic;
        for route in &table.routes {
            let matches = route.match_rule.matches(*port, path, *source);
            prop_assert_eq!(matches, rank(&route.match_rule, &traffic).is_some());
        }
    }

    /// Every route takes something that a scan finds, or it is told of; and it is told of truly.
    #[test]
    fn what_is_told_of_is_never_reached(table in tables(14)) {
        let all = universe(&table);
        let won: Vec<Option<usize>> = all.iter().map(|it| scan(&table.routes, it)).collect();
        let reached: BTreeSet<usize> = won.iter().copied().flatten().collect();
        let never: BTreeSet<usize> =
            (0..table.routes.len()).filter(|place| !reached.contains(place)).collect();
        prop_assert_eq!(told_of(&table), never, "{:?}", table);
        prop_assert_eq!(table.compile().err(), table.validate().err());

        let problems = table.validate().err().map(|it| it.into_problems()).unwrap_or_default();
        for problem in problems {
            let Reason::Shadowed { by } = &problem.reason else {
                // Every target is another one.
                return Err(TestCaseError::fail(problem.to_string()));
            };
            let rule = &table.routes[places(&problem.path)[0]].match_rule;
            let mut takers: BTreeSet<usize> = BTreeSet::new();
            for (traffic, winner) in all.iter().zip(&won) {
                // What more special routes take within is another matter.
                if let Some(rank) = rank(rule, traffic)
                    && let Some(winner) = winner
                    && self::rank(&table.routes[*winner].match_rule, traffic)
                        .is_some_and(|other| (other.0, other.1) == (rank.0, rank.1))
                {
                    takers.insert(*winner);
                }
            }
            let named: BTreeSet<usize> = places(by).into_iter().collect();
            prop_assert!(!named.is_empty() && named.is_subset(&takers), "{} {:?}", problem, takers);
        }
    }
}

proptest! {
    #![proptest_config(Config::with_cases(6))]

    /// With enough prefixes at one port for the search to have many steps.
    #[test]
    fn large_index_is_scan(case in (tables(1000), prop::collection::vec(traffic(), 400))) {
        agrees(&case, by_index)?;
    }
}

/// Traffic that reaches every route that can be reached: each port, each prefix itself, and the addresses
/// at and beside the ends of each network.
fn universe(table: &RoutingTable) -> Vec<Traffic> {
    let mut ports = BTreeSet::from([0]);
    let mut paths = BTreeSet::from([String::new()]);
    let mut sources: BTreeSet<IpAddr> = BTreeSet::from([
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv4Addr::BROADCAST.into(),
        Ipv6Addr::UNSPECIFIED.into(),
        Ipv6Addr::from(u128::MAX).into(),
    ]);
    for route in &table.routes {
        let rule = &route.match_rule;
        ports.extend(rule.port.map(core::num::NonZeroU16::get));
        paths.extend(
            rule.path_prefix
                .as_ref()
                .map(|prefix| format!("/{}", segments(prefix).join("/"))),
        );
        if let Some(subnet) = rule.source_cidr {
            let net = subnet.net();
            for end in [net.network(), net.broadcast()] {
                match end {
                    IpAddr::V4(end) => {
                        let end = u32::from(end);
                        let near = [end.saturating_sub(1), end, end.saturating_add(1)];
                        sources.extend(near.map(|it| IpAddr::from(Ipv4Addr::from(it))));
                    }
                    IpAddr::V6(end) => {
                        let end = u128::from(end);
                        let near = [end.saturating_sub(1), end, end.saturating_add(1)];
                        sources.extend(near.map(|it| IpAddr::from(Ipv6Addr::from(it))));
                    }
                }
            }
        }
    }
    let mut all = Vec::new();
    for &port in &ports {
        for path in &paths {
            all.extend(sources.iter().map(|&source| (port, path.clone(), source)));
        }
    }
    all
}

/// The property finds an index that is wrong: each of these is, in one way.
#[test]
fn wrong_answers_are_found() {
    type Wrong = fn(&MatchRule, &Traffic) -> Option<(usize, usize, usize)>;
    let wrong: [(&str, Wrong); 7] = [
        ("the first route that matches", |rule, traffic| {
            rank(rule, traffic).map(|_| (0, 0, 0))
        }),
        ("the prefix before the port", |rule, traffic| {
            rank(rule, traffic).map(|(port, path, bits)| (path, port.into(), bits.into()))
        }),
        ("the network before the prefix", |rule, traffic| {
            rank(rule, traffic).map(|(port, path, bits)| (port.into(), bits.into(), path))
        }),
        ("the shortest network", |rule, traffic| {
            rank(rule, traffic)
                .map(|(port, path, bits)| (port.into(), path, 200 - usize::from(bits)))
        }),
        ("bytes instead of segments", |rule, traffic| {
            let (port, path, source) = traffic;
            let prefix = rule.path_prefix.as_ref().map_or("", |it| it.as_str());
            let bytes = path.starts_with(prefix.trim_end_matches('/'));
            let rest = MatchRule {
                path_prefix: None,
                ..rule.clone()
            };
            let rank = rank(&rest, &(*port, String::new(), *source))?;
            bytes.then_some((rank.0.into(), prefix.len(), rank.2.into()))
        }),
        (
            "the query as part of the path",
            |rule, (port, path, source)| {
                let path = path.replace(['?', '#'], "~");
                rank(rule, &(*port, path, *source)).map(|it| (it.0.into(), it.1, it.2.into()))
            },
        ),
        ("mapped addresses as IPv6", |rule, traffic| {
            let mapped = matches!(traffic.2, IpAddr::V6(it) if it.to_ipv4_mapped().is_some());
            let other = if mapped {
                Ipv6Addr::LOCALHOST.into()
            } else {
                traffic.2
            };
            rank(rule, &(traffic.0, traffic.1.clone(), other))
                .map(|it| (it.0.into(), it.1, it.2.into()))
        }),
    ];
    for (name, wrong) in wrong {
        let answer = |table: &RoutingTable, lookups: &[Traffic]| {
            let ask = |traffic: &Traffic| {
                let rank = |place: &usize| wrong(&table.routes[*place].match_rule, traffic);
                let matching = (0..table.routes.len()).filter(|place| rank(place).is_some());
                // The first of the greatest.
                matching.rev().max_by_key(|place| rank(place))
            };
            lookups.iter().map(ask).collect()
        };
        found(name, answer);
    }
    // Whoever does not go on to a shorter prefix where the network of the longest does not match.
    found("no way back", |table, lookups| {
        let ask = |traffic: &Traffic| {
            let everywhere: Vec<Route> = table
                .routes
                .iter()
                .map(|route| {
                    let match_rule = MatchRule {
                        source_cidr: None,
                        ..route.match_rule.clone()
                    };
                    Route {
                        match_rule,
                        ..route.clone()
                    }
                })
                .collect();
            let best = rank(&everywhere[scan(&everywhere, traffic)?].match_rule, traffic)?;
            let place = scan(&table.routes, traffic)?;
            let found = rank(&table.routes[place].match_rule, traffic)?;
            ((found.0, found.1) == (best.0, best.1)).then_some(place)
        };
        lookups.iter().map(ask).collect()
    });
}

fn found(name: &str, answer: impl Fn(&RoutingTable, &[Traffic]) -> Vec<Option<usize>>) {
    let config = Config {
        cases: 200,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&cases(), |case| agrees(&case, &answer));
    assert!(
        matches!(result, Err(TestError::Fail(..))),
        "not found: {name}"
    );
}
