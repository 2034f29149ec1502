//! Routes: the documents, the rules of a table, and which route takes what.

mod properties;
mod rules;

use core::net::IpAddr;

use mvm_core::document::{Document, Reason};
use mvm_core::limits::PATH_PREFIX_MAX;
use mvm_core::routing::{
    InstanceSelector, MatchRule, PathPrefix, PathPrefixError, Route, RouteIndex, RouteTarget,
    RoutingTable,
};

use crate::vectors::{Counts, assert_type, behaviour, text};

const fn counts(json: usize, min: usize, bad: usize, badid: usize) -> Counts {
    Counts {
        json,
        min,
        bad,
        badid,
    }
}

#[test]
fn documents() {
    assert_type::<RoutingTable>("RoutingTable", counts(5, 5, 7, 1));
    assert_type::<Route>("Route", counts(5, 5, 13, 1));
    assert_type::<MatchRule>("MatchRule", counts(5, 3, 7, 0));
    assert_type::<RouteTarget>("RouteTarget", counts(5, 5, 13, 2));
    assert_type::<InstanceSelector>("InstanceSelector", counts(5, 1, 12, 0));
}

/// A route from `port path_prefix source_cidr`, with `-` for none.
pub(crate) fn route(name: &str, criteria: &str) -> Route {
    let mut words = criteria.split(' ');
    let mut next = || words.next().filter(|&word| word != "-");
    Route {
        name: name.into(),
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
}

/// A table of such routes, each of which is named like its criteria and has a target of its own.
pub(crate) fn table(criteria: &[&str]) -> RoutingTable {
    let mut routes: Vec<Route> = criteria.iter().map(|it| route(it, it)).collect();
    for (place, route) in (1..).zip(&mut routes) {
        route.target.target_port = core::num::NonZeroU16::new(place);
    }
    RoutingTable { routes }
}

/// What 0.13.0 made of a table, and where we differ: one port with several prefixes is fine, two routes
/// with one prefix are not.
#[test]
fn validate_as_0_13_0() {
    let mut differ = Vec::new();
    for row in behaviour("routing_validate", 15) {
        let input = text(&row, "input");
        let read = RoutingTable::from_json(input);
        let theirs = row["from_json"]["ok"].as_bool().unwrap();
        if read.is_ok() != theirs {
            let told = read.map_or_else(|invalid| invalid.to_string(), |_| "valid".into());
            differ.push((input.to_owned(), told));
            continue;
        }
        let Ok(table) = read else { continue };
        assert_eq!(table.to_json().unwrap(), text(&row, "to_json"));
        assert_eq!(table.validate(), Ok(()));
        assert_eq!(RoutingTable::from_json(input.as_bytes()), Ok(table.clone()));
        assert_eq!(
            <RoutingTable as Document>::from_json(input.as_bytes()),
            Ok(table)
        );
    }
    let twice = |one: &str, other: &str| {
        let route = |rule| {
            format!(r#"{{"match_rule":{{{rule}}},"name":"r","target":{{"pool_id":"workers"}}}}"#)
        };
        format!(r#"{{"routes":[{},{}]}}"#, route(one), route(other))
    };
    assert_eq!(
        differ,
        [
            (
                twice(r#""path_prefix":"/a""#, r#""path_prefix":"/a""#),
                "routes[1]: the same as routes[0]".to_owned()
            ),
            (
                twice(
                    r#""path_prefix":"/a","port":80"#,
                    r#""path_prefix":"/b","port":80"#
                ),
                "valid".to_owned()
            ),
        ]
    );
}

#[test]
fn prefixes() {
    use PathPrefixError::*;
    let long = |len: usize| format!("/{}", "a".repeat(len - 1));
    let cases: &[(&str, Result<(), PathPrefixError>)] = &[
        ("/", Ok(())),
        ("/api", Ok(())),
        ("/api/v1/", Ok(())),
        ("/.well-known/...", Ok(())),
        ("/-._~!$&'()*+,;=:@", Ok(())),
        ("/caf%C3%A9/a%2Fb%20c%00", Ok(())),
        (&long(PATH_PREFIX_MAX), Ok(())),
        (
            &long(PATH_PREFIX_MAX + 1),
            Err(TooLong {
                len: 1025,
                max: 1024,
            }),
        ),
        ("", Err(NoSlash)),
        ("api", Err(NoSlash)),
        ("*", Err(NoSlash)),
        ("http://a/b", Err(NoSlash)),
        ("//", Err(EmptySegment { at: 1 })),
        ("//a", Err(EmptySegment { at: 1 })),
        ("/a//", Err(EmptySegment { at: 3 })),
        ("/a//b", Err(EmptySegment { at: 3 })),
        ("/.", Err(DotSegment { at: 1 })),
        ("/./", Err(DotSegment { at: 1 })),
        ("/a/..", Err(DotSegment { at: 3 })),
        ("/a/../b", Err(DotSegment { at: 3 })),
        ("/a?b", Err(InvalidCharacter { at: 2 })),
        ("/a#b", Err(InvalidCharacter { at: 2 })),
        ("/a b", Err(InvalidCharacter { at: 2 })),
        ("/a\\b", Err(InvalidCharacter { at: 2 })),
        ("/{id}", Err(InvalidCharacter { at: 1 })),
        ("/a\0", Err(InvalidCharacter { at: 2 })),
        ("/a\n", Err(InvalidCharacter { at: 2 })),
        ("/b/café", Err(InvalidCharacter { at: 6 })),
        ("/%", Err(Percent { at: 1 })),
        ("/a%2", Err(Percent { at: 2 })),
        ("/a%2/b", Err(Percent { at: 2 })),
        ("/a%é", Err(Percent { at: 2 })),
        ("/a%2f", Err(Percent { at: 2 })),
        ("/a/%61", Err(Encoded { at: 3 })),
        ("/a/%2E%2E/b", Err(Encoded { at: 3 })),
        ("/%7E", Err(Encoded { at: 1 })),
    ];
    for (text, expected) in cases {
        let read = PathPrefix::new(text);
        assert_eq!(
            read.as_ref().map(|_| ()),
            expected.as_ref().copied(),
            "{text:?}"
        );
        assert_eq!(text.parse(), read);
        if let Ok(prefix) = read {
            assert_eq!(prefix.as_str(), *text);
            assert_eq!(prefix.to_string(), *text);
            let json = serde_json::to_string(&prefix).unwrap();
            assert_eq!(serde_json::from_str::<PathPrefix>(&json).unwrap(), prefix);
        }
    }
    assert_eq!(
        serde_json::from_str::<PathPrefix>("\"a\"")
            .unwrap_err()
            .to_string(),
        "a path prefix begins with a slash"
    );
}

#[test]
fn prefixes_match_on_segment_boundaries() {
    let long = format!("/a{}", "/bc".repeat(3000));
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "/",
            &["/", "/a", "//", "/?x", "/é"],
            &["", "*", "a", "?x", "#", "http://a/"],
        ),
        (
            "/api",
            &[
                "/api",
                "/api/",
                "/api//",
                "/api/x",
                "/api?x=/",
                "/api#x",
                "/api/../x",
            ],
            &[
                "/", "/ap", "/apix", "/api.x", "/api\0", "/API", "/%61pi", "//api", "/x/api",
                "/?/api",
            ],
        ),
        (
            "/api/",
            &["/api", "/api/", "/api/x", "/api?x"],
            &["/apix", "/ap", "/"],
        ),
        (
            "/a/b",
            &["/a/b", "/a/b/c"],
            &["/a", "/a/", "/a/bc", "/a/?b", "/a//b"],
        ),
        ("/a/bc", &[&long], &[]),
    ];
    for (prefix, yes, no) in cases {
        let prefix = PathPrefix::new(prefix).unwrap();
        let index = table(&[&format!("- {prefix} -")]).compile().unwrap();
        let found = |path| index.position(80, path, IpAddr::from([10, 0, 0, 1]));
        for path in *yes {
            assert!(prefix.matches(path), "{prefix} {path}");
            assert_eq!(found(path), Some(0), "{prefix} {path}");
        }
        for path in *no {
            assert!(!prefix.matches(path), "{prefix} {path}");
            assert_eq!(found(path), None, "{prefix} {path}");
        }
    }
}

/// The longest prefix there is decides up to its last byte, and paths may be any longer.
#[test]
fn longest_prefixes() {
    let longest = format!("/{}", "a".repeat(PATH_PREFIX_MAX - 1));
    let index = table(&[&format!("- {longest} -"), "- / -"])
        .compile()
        .unwrap();
    let found = |path: String| index.position(80, &path, IpAddr::from([10, 0, 0, 1]));
    assert_eq!(found(longest.clone()), Some(0));
    assert_eq!(found(format!("{longest}/{longest}")), Some(0));
    assert_eq!(found(format!("{longest}?{longest}")), Some(0));
    assert_eq!(found(format!("{longest}a")), Some(1));
    assert_eq!(found(longest[1..].to_owned()), None);
    assert_eq!(found(longest[..PATH_PREFIX_MAX - 1].to_owned()), Some(1));
}

#[test]
fn which_route_takes_what() {
    let table = table(&[
        "- / -",                     // 0
        "80 - -",                    // 1
        "80 /api -",                 // 2
        "80 /api/v1 10.0.0.0/8",     // 3
        "80 /api/v1 10.1.0.0/16",    // 4
        "- /api/v1/users -",         // 5
        "80 - 0.0.0.0/0",            // 6
        "81 /api/ 2001:db8::/32",    // 7
        "81 /api/ ::/0",             // 8
        "81 - ::ffff:192.0.2.0/120", // 9
        "81 - 192.0.2.128/25",       // 10
        "- - 198.51.100.7/32",       // 11
        "- - ::/0",                  // 12
    ]);
    let index = RouteIndex::new(table.clone()).unwrap();
    assert_eq!(index.routes(), table.routes);
    for (port, path, source, expected) in [
        // A port before any prefix.
        (80, "/api/v1/users", "192.0.2.1", Some(2)),
        (82, "/api/v1/users", "192.0.2.1", Some(5)),
        // A longer prefix before a longer network; where its network does not match, the next.
        (80, "/api/v1/x", "10.1.2.3", Some(4)),
        (80, "/api/v1/x", "10.2.2.3", Some(3)),
        (80, "/api/v1/x", "11.2.2.3", Some(2)),
        (80, "/api/v1/x", "2001:db8::1", Some(2)),
        (80, "/api/v1x", "10.1.2.3", Some(2)),
        (80, "/apix", "10.1.2.3", Some(6)),
        (80, "/apix", "2001:db8::1", Some(1)),
        (80, "", "::1", Some(1)),
        // Families keep apart.
        (81, "/api/x", "2001:db8::1", Some(7)),
        (81, "/api/x", "2001:db9::1", Some(8)),
        (81, "/api/x", "192.0.2.127", Some(9)),
        (81, "/api/x", "192.0.2.128", Some(10)),
        // IPv4-mapped addresses are IPv4.
        (81, "/api/x", "::ffff:192.0.2.128", Some(10)),
        (81, "/api/x", "::ffff:192.0.2.127", Some(9)),
        (81, "/x", "::192.0.2.128", Some(0)),
        // No route of the port matches: those without a port.
        (81, "/api/x", "192.0.3.1", Some(0)),
        (81, "/api/v1/users/7", "192.0.3.1", Some(5)),
        (81, "", "198.51.100.7", Some(11)),
        (0, "", "198.51.100.7", Some(11)),
        (65535, "/", "198.51.100.7", Some(0)),
        (1, "", "2001:db8::1", Some(12)),
        (1, "", "::ffff:198.51.100.7", Some(11)),
        (1, "", "::ffff:198.51.100.8", None),
        (1, "", "198.51.100.8", None),
    ] {
        let source: IpAddr = source.parse().unwrap();
        let found = index.position(port, path, source);
        assert_eq!(found, expected, "{port} {path} {source}");
        assert_eq!(
            index.lookup(port, path, source),
            expected.map(|place| &table.routes[place])
        );
        for (place, route) in table.routes.iter().enumerate() {
            if Some(place) == expected {
                assert!(route.match_rule.matches(port, path, source));
            }
        }
    }
    assert_eq!(index.into_table(), table);
}

#[test]
fn an_invalid_table_has_no_index() {
    let table = table(&["80 - -", "80 - -", "- - -"]);
    let invalid = table.compile().unwrap_err();
    assert_eq!(Err(invalid.clone()), table.validate());
    assert_eq!(invalid.problems().len(), 2);
    assert!(
        RoutingTable::default()
            .compile()
            .unwrap()
            .routes()
            .is_empty()
    );
    let found = RoutingTable::default().compile().unwrap();
    assert_eq!(found.lookup(80, "/", IpAddr::from([10, 0, 0, 1])), None);
}

/// Values that 0.13.0 lets through, each with the path of what is wrong.
#[test]
fn values() {
    let route = |rule: &str, target: &str| {
        format!(r#"{{"routes": [{{"match_rule": {{{rule}}}, "target": {{{target}}}}}]}}"#)
    };
    let fine = r#""pool_id": "workers""#;
    for (json, problem) in [
        (
            route(r#""port": 0"#, fine),
            "routes[0].match_rule.port: 0 is out of range, 1 to 65535",
        ),
        (
            route(r#""port": 1"#, r#""pool_id": "workers", "target_port": 0"#),
            "routes[0].target.target_port: 0 is out of range, 1 to 65535",
        ),
        (
            route(r#""source_cidr": "not-a-cidr""#, fine),
            "routes[0].match_rule.source_cidr: not a network: expected an address, `/` and the length of its prefix",
        ),
        (
            route(r#""source_cidr": "10.0.0.1/8""#, fine),
            "routes[0].match_rule.source_cidr: not a network: the address has bits behind the prefix, the network is 10.0.0.0/8",
        ),
        (
            route(r#""source_cidr": "2001:db8::/129""#, fine),
            "routes[0].match_rule.source_cidr: not a network: expected an address, `/` and the length of its prefix",
        ),
        (
            route(r#""path_prefix": """#, fine),
            "routes[0].match_rule.path_prefix: a path prefix begins with a slash",
        ),
        (
            route(r#""path_prefix": "/a/../b""#, fine),
            "routes[0].match_rule.path_prefix: the segment at byte 3 is `.` or `..`, which no resolved path has",
        ),
        (
            route(
                r#""port": 1"#,
                r#""pool_id": "workers", "instance_selector": {"by_ip": "x"}"#,
            ),
            "routes[0].target.instance_selector.by_ip: not an IP address",
        ),
    ] {
        let invalid = RoutingTable::from_json(&json).unwrap_err();
        let told: Vec<_> = invalid.problems().iter().map(ToString::to_string).collect();
        assert_eq!(told, [problem], "{json}");
        // Values are checked by serde too, rules between them are not.
        assert!(serde_json::from_str::<RoutingTable>(&json).is_err());
    }
    let invalid = RoutingTable::from_json(route(r#""port": 65536"#, fine)).unwrap_err();
    assert_eq!(invalid.problems()[0].path, "routes[0].match_rule.port");
    assert!(matches!(invalid.problems()[0].reason, Reason::Shape(_)));
}

/// An IPv4 network has one spelling: leading zeros are octal to some. Of IPv6 any is read.
#[test]
fn spellings_of_networks() {
    for (text, written) in [
        ("10.0.0.0/8", Some("10.0.0.0/8")),
        ("2001:DB8:0::/32", Some("2001:db8::/32")),
        ("::ffff:10.0.0.0/104", Some("::ffff:10.0.0.0/104")),
        ("10.0.0.0/08", None),
        ("10.0.0.0/+8", None),
        ("010.0.0.0/8", None),
        ("10.0.0.010/32", None),
        ("2001:db8::/032", None),
        ("10.0.0.0/8/8", None),
        ("10.0.0.0/ 8", None),
        ("10.0.0.0/256", None),
        ("10.0.0/8", None),
        ("10.0.0.0", None),
        ("10.0.0.0/", None),
        ("10.0.0.0/33", None),
        (" 10.0.0.0/8", None),
        ("fe80::%1/64", None),
        ("::/129", None),
        ("", None),
    ] {
        let json = format!(r#"{{"source_cidr": "{text}"}}"#);
        let read = serde_json::from_str::<MatchRule>(&json).ok();
        let net = read
            .and_then(|rule| rule.source_cidr)
            .map(|net| net.to_string());
        assert_eq!(net.as_deref(), written, "{text}");
    }
}
