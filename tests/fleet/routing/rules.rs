//! The rules between routes.

use mvm_core::document::{Problem, Reason};
use mvm_core::limits::PROBLEMS_MAX;
use mvm_core::routing::{InstanceSelector, RoutingTable};

use super::{route, table};

fn told(table: &RoutingTable) -> Vec<String> {
    match table.validate() {
        Ok(()) => Vec::new(),
        Err(invalid) => invalid.problems().iter().map(Problem::to_string).collect(),
    }
}

#[test]
fn tables() {
    const NO_CRITERION: &str =
        "matches nothing in particular: a port, a path prefix or a source network is needed";
    let cases: &[(&[&str], &[&str])] = &[
        (&[], &[]),
        (&["80 - -"], &[]),
        // One port, several prefixes or networks.
        (
            &[
                "80 /a -",
                "80 /b -",
                "80 / -",
                "80 - -",
                "80 - 10.0.0.0/8",
                "80 /a 10.0.0.0/8",
            ],
            &[],
        ),
        // The more special one takes its part wherever it stands.
        (
            &[
                "80 - -",
                "80 /a -",
                "80 /a/b -",
                "80 /a/b 10.0.0.0/8",
                "80 /a/b 10.0.0.0/9",
            ],
            &[],
        ),
        (
            &["80 - 10.0.0.0/8", "- - 10.0.0.0/8", "- - 10.0.0.0/16"],
            &[],
        ),
        // `/` has no traffic without a path, `/0` none of the other family.
        (&["80 / -", "80 - -"], &[]),
        (&["80 - 0.0.0.0/0", "80 - -"], &[]),
        (&["80 - ::/0", "80 - -"], &[]),
        (&["80 - ::/0", "80 - 0.0.0.0/0"], &[]),
        (
            &["- - -"],
            &[&format!("routes[0].match_rule: {NO_CRITERION}")],
        ),
        (
            &["- - -", "80 - -", "- - -"],
            &[
                &format!("routes[0].match_rule: {NO_CRITERION}"),
                &format!("routes[2].match_rule: {NO_CRITERION}"),
            ],
        ),
        // The same criteria.
        (
            &["80 - -", "81 - -", "80 - -", "80 - -"],
            &[
                "routes[2]: never reached: everything it would take goes to routes[0]",
                "routes[3]: never reached: everything it would take goes to routes[0]",
            ],
        ),
        (
            &["80 /a/ -", "80 /a -"],
            &["routes[1]: never reached: everything it would take goes to routes[0]"],
        ),
        (
            &["- - ::ffff:10.0.0.0/104", "- - 10.0.0.0/8"],
            &["routes[1]: never reached: everything it would take goes to routes[0]"],
        ),
        // Shared among longer networks.
        (
            &["80 - 10.0.0.0/8", "80 - 10.128.0.0/9", "80 - 10.0.0.0/9"],
            &["routes[0]: never reached: everything it would take goes to routes[2] and routes[1]"],
        ),
        (
            &[
                "80 - 10.0.0.0/8",
                "80 - 10.128.0.0/9",
                "80 - 10.0.0.0/9",
                "80 - 10.0.0.0/8",
            ],
            &[
                "routes[0]: never reached: everything it would take goes to routes[2] and routes[1]",
                "routes[3]: never reached: everything it would take goes to routes[2] and routes[1]",
            ],
        ),
        (
            &["80 - 10.0.0.0/8", "80 /a 10.128.0.0/9", "80 - 10.0.0.0/9"],
            &[],
        ),
        (
            &["80 - -", "80 - 0.0.0.0/0", "80 - ::/0"],
            &["routes[0]: never reached: everything it would take goes to routes[1] and routes[2]"],
        ),
        (
            &[
                "80 /x 0.0.0.0/0",
                "80 /x 0.0.0.0/2",
                "80 /x 64.0.0.0/2",
                "80 /x 128.0.0.0/2",
                "80 /x 192.0.0.0/2",
            ],
            &[
                "routes[0]: never reached: everything it would take goes to routes[1], routes[2], routes[3] and others",
            ],
        ),
        // What is left of this network are IPv4-mapped addresses, and no source has one.
        (
            &["80 - ::fffe:0:0/95", "80 - ::fffe:0:0/96"],
            &["routes[0]: never reached: everything it would take goes to routes[1]"],
        ),
        (&["80 - ::fffc:0:0/94", "80 - ::fffe:0:0/96"], &[]),
    ];
    for (criteria, expected) in cases {
        let table = table(criteria);
        assert_eq!(told(&table), *expected, "{criteria:?}");
        // In JSON the same.
        let read = RoutingTable::from_json(serde_json::to_string(&table).unwrap());
        assert_eq!(read.err(), table.validate().err(), "{criteria:?}");
    }
}

/// A duplicate has the same target, whatever its name.
#[test]
fn duplicates() {
    let routes = vec![
        route("one", "80 /a 10.0.0.0/8"),
        route("two", "80 /a/ 10.0.0.0/8"),
    ];
    let mut table = RoutingTable { routes };
    assert_eq!(told(&table), ["routes[1]: the same as routes[0]"]);
    assert_eq!(
        table.validate().unwrap_err().problems()[0].reason,
        Reason::Duplicate {
            first: "routes[0]".into()
        }
    );
    let shadowed = ["routes[1]: never reached: everything it would take goes to routes[0]"];
    let selectors = [
        InstanceSelector::LeastConnections,
        InstanceSelector::ByIp([10, 0, 0, 1].into()),
        InstanceSelector::ByIp([10, 0, 0, 2].into()),
    ];
    for selector in selectors {
        table.routes[1].target.instance_selector = selector.clone();
        assert_eq!(told(&table), shadowed);
        table.routes[0].target.instance_selector = selector;
        assert_eq!(told(&table), ["routes[1]: the same as routes[0]"]);
    }
    table.routes[1].target.target_port = core::num::NonZeroU16::new(1);
    assert_eq!(told(&table), shadowed);
    table.routes[0].target = table.routes[1].target.clone();
    table.routes[1].target.pool_id = "others".parse().unwrap();
    assert_eq!(told(&table), shadowed);
}

/// A route with a bad value is told of by that, and keeps no other one from being compared.
#[test]
fn bad_values_beside_rules() {
    let invalid = RoutingTable::from_json(
        r#"{"routes": [
            {"match_rule": {"port": 80, "path_prefix": "a"}, "target": {"pool_id": "w"}},
            {"match_rule": {"port": 80}, "target": {"pool_id": "w"}},
            {"match_rule": {"port": 80, "path_prefix": "a"}, "target": {"pool_id": "w"}},
            {"match_rule": {"port": 80, "source_cidr": "10.0.0.1/8"}, "target": {"pool_id": "w"}},
            {"match_rule": {"port": 0}, "target": {"pool_id": "w"}},
            {"match_rule": {"port": 0}, "target": {"pool_id": "w"}},
            {"match_rule": {"port": 80}, "target": {"pool_id": "W"}}
        ]}"#,
    )
    .unwrap_err();
    let paths: Vec<&str> = invalid
        .problems()
        .iter()
        .map(|problem| &*problem.path)
        .collect();
    assert_eq!(
        paths,
        [
            "routes[6]",
            "routes[0].match_rule.path_prefix",
            "routes[2].match_rule.path_prefix",
            "routes[3].match_rule.source_cidr",
            "routes[4].match_rule.port",
            "routes[5].match_rule.port",
            "routes[6].target.pool_id",
        ]
    );
}

/// Tables of the size that must still be fast, of the kinds that would be slow: this takes no noticeable time.
#[test]
fn large_tables() {
    const ROUTES: usize = 50_000;
    let check = |routes: Vec<_>, problems: usize| {
        assert_eq!(routes.len(), ROUTES);
        let found = match (RoutingTable { routes }).validate() {
            Ok(()) => 0,
            Err(invalid) => {
                assert!(invalid.problems().len() <= PROBLEMS_MAX);
                invalid.problems().len() + invalid.omitted()
            }
        };
        assert_eq!(found, problems);
    };
    let template = route("r", "80 /a 10.0.0.0/8");
    let with = |change: &dyn Fn(usize, &mut super::Route)| {
        let mut routes = vec![template.clone(); ROUTES];
        for (place, route) in routes.iter_mut().enumerate() {
            change(place, route);
        }
        routes
    };
    // All the same.
    check(with(&|_, _| ()), ROUTES - 1);
    // One group, networks of one address and one around them.
    let address = |place: usize| u32::try_from(0x0a00_0000 + place).unwrap();
    check(
        with(&|place, route| {
            let text = format!("{}/32", core::net::Ipv4Addr::from(address(place)));
            if place > 0 {
                route.match_rule.source_cidr = Some(text.parse().unwrap());
            }
        }),
        0,
    );
    // Every prefix twice, each the beginning of others.
    check(
        with(&|place, route| {
            let (deep, other) = (place / 2 % 100, place / 200);
            let text = format!("/{other}{}", "/a".repeat(deep));
            route.match_rule.path_prefix = Some(text.parse().unwrap());
        }),
        ROUTES / 2,
    );
}
