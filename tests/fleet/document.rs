//! Reading documents: what is told of a bad one, and where.

use mvm_core::agent::AgentRequest;
use mvm_core::document::{Checked, Document, Invalid, Position, Reason};
use mvm_core::limits::{DOCUMENT_MAX, PARSER_WORDS_MAX, PROBLEMS_MAX};
use mvm_core::naming::validate_id;
use mvm_core::node::NodeInfo;
use mvm_core::routing::{Route, RouteTarget, RoutingTable};

const NODE: &str = r#"{
  "node_id": "node-1",
  "hostname": "h",
  "arch": "x86_64",
  "total_vcpus": 8,
  "total_mem_mib": 1024,
  "vm_status": null,
  "firecracker_version": null,
  "jailer_available": true,
  "cgroup_v2": true
}
"#;

fn checked<T: Document>(json: impl AsRef<[u8]>) -> Checked<T> {
    T::check_json(json.as_ref())
}

/// The one problem: path, reason, position.
fn only<T: Document>(json: impl AsRef<[u8]>) -> (String, Reason, Option<(usize, usize)>) {
    let json = json.as_ref();
    let invalid = T::check_json(json).result.err().expect("not valid");
    // The same without the places.
    let without = T::from_json(json).err().expect("not valid");
    assert_eq!(without.problems().len(), invalid.problems().len());
    let [problem] = invalid.problems() else {
        panic!("{} problems", invalid.problems().len());
    };
    assert_eq!(invalid.omitted(), 0);
    assert_eq!(without.problems()[0].path, problem.path);
    assert_eq!(without.problems()[0].reason, problem.reason);
    (
        problem.path.clone(),
        problem.reason.clone(),
        problem.position.map(|at| (at.line, at.column)),
    )
}

/// The one problem, which is of shape: path, words, position.
fn shape<T: Document>(json: impl AsRef<[u8]>) -> (String, String, (usize, usize)) {
    match only::<T>(json) {
        (path, Reason::Shape(words), Some(at)) => (path, words.into(), at),
        other => panic!("{other:?}"),
    }
}

/// The one problem, which is that it is not JSON: path, words, position.
fn syntax<T: Document>(json: impl AsRef<[u8]>) -> (String, String, (usize, usize)) {
    match only::<T>(json) {
        (path, Reason::Syntax(words), Some(at)) => (path, words.into(), at),
        other => panic!("{other:?}"),
    }
}

fn at(line: usize, column: usize) -> Option<Position> {
    Some(Position { line, column })
}

#[test]
fn a_good_document_has_nothing() {
    let checked = checked::<NodeInfo>(NODE);
    assert_eq!(checked.result.unwrap().node_id.as_str(), "node-1");
    assert_eq!(checked.warnings, []);
    assert_eq!(checked.omitted_warnings, 0);
}

#[test]
fn not_json() {
    for (json, path, words, at) in [
        ("", "", "EOF while parsing a value", (1, 1)),
        ("\n \n", "", "EOF while parsing a value", (2, 2)),
        ("routes", "", "expected value", (1, 1)),
        ("{\"routes\": [}", "routes[0]", "expected value", (1, 13)),
        (
            "{\"routes\":\r\n\t[\r\n\t]",
            "",
            "EOF while parsing an object",
            (3, 2),
        ),
        ("{\"routes\": []} x", "", "trailing characters", (1, 16)),
        (
            "{\"routes\": []}\n{\"routes\": []}",
            "",
            "trailing characters",
            (2, 1),
        ),
        ("{\"routes\": [],}", "", "trailing comma", (1, 15)),
        ("{\"é日\": 1, \"routes\" 1}", "", "expected `:`", (1, 20)),
        ("{'routes': []}", "", "key must be a string", (1, 2)),
        (
            "{\"routes\": [{\"name\": \"a\tb\"",
            "routes[0].name",
            "control character (\\u0000-\\u001F) found while parsing a string",
            (1, 24),
        ),
        ("\u{feff}{\"routes\": []}", "", "expected value", (1, 1)),
        ("// none\n{\"routes\": []}", "", "expected value", (1, 1)),
    ] {
        let (found, said, place) = syntax::<RoutingTable>(json);
        assert_eq!(
            (found.as_str(), said.as_str(), place),
            (path, words, at),
            "{json:?}"
        );
    }
}

#[test]
fn not_utf_8() {
    let (path, words, at) =
        syntax::<RoutingTable>(b"{\n\"routes\": [{\"name\": \"\xc3\xa9\xff\"}]}");
    assert_eq!(
        (path.as_str(), words.as_str(), at),
        ("routes[0].name", "invalid unicode code point", (2, 23))
    );
    // Half a surrogate pair is no character.
    let (_, words, _) = syntax::<RoutingTable>(r#"{"routes": [{"name": "\ud800"}]}"#);
    assert_eq!(words, "unexpected end of hex escape");
    // UTF-16.
    let wide: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(syntax::<RoutingTable>(wide).1, "key must be a string");
}

#[test]
fn another_shape() {
    for (json, path, words, at) in [
        (
            "[]",
            "",
            "invalid type: sequence, expected an object",
            (1, 1),
        ),
        (
            " 7",
            "",
            "invalid type: integer `7`, expected an object",
            (1, 2),
        ),
        ("{\n  \"other\": 1\n}", "", "missing field `routes`", (1, 1)),
        (
            "{\"routes\": {}}",
            "routes",
            "invalid type: map, expected a sequence",
            (1, 12),
        ),
        (
            "{\"routes\": [\n  {},\n  {}]}",
            "routes[0]",
            "missing field `match_rule`",
            (2, 3),
        ),
        (
            "{\"routes\": [{\"match_rule\": {\"port\": \"é\"}}]}",
            "routes[0].match_rule.port",
            "invalid type: string \"é\", expected u16",
            (1, 37),
        ),
        (
            "{\"routes\": [{\"match_rule\": {\"port\":\n 65536}}]}",
            "routes[0].match_rule.port",
            "invalid value: integer `65536`, expected u16",
            (2, 2),
        ),
        (
            "{\"routes\": [{\"name\": [1]}]}",
            "routes[0].name",
            "invalid type: sequence, expected a string",
            (1, 22),
        ),
    ] {
        let (found, said, place) = shape::<RoutingTable>(json);
        assert_eq!(
            (found.as_str(), said.as_str(), place),
            (path, words, at),
            "{json:?}"
        );
    }
}

#[test]
fn another_variant() {
    for (selector, path, words, column) in [
        (
            r#""nearest""#,
            "instance_selector",
            "unknown variant `nearest`, expected one of `any`, `by_ip`, `least_connections`",
            40,
        ),
        (
            r#"{"nearest": 1}"#,
            "instance_selector.nearest",
            "unknown variant `nearest`, expected one of `any`, `by_ip`, `least_connections`",
            41,
        ),
        (
            r#"{"by_ip": 1}"#,
            "instance_selector.by_ip",
            "invalid type: integer `1`, expected a string",
            50,
        ),
        (
            r#""by_ip""#,
            "instance_selector",
            "invalid type: unit variant, expected newtype variant",
            40,
        ),
    ] {
        let (found, said, place) = shape::<RouteTarget>(target(selector));
        assert_eq!(
            (found.as_str(), said.as_str(), place),
            (path, words, (1, column)),
            "{selector}"
        );
    }
    let (path, reason, place) = only::<RouteTarget>(target(r#"{"by_ip": "10.0.0"}"#));
    assert_eq!(path, "instance_selector.by_ip");
    assert_eq!((reason, place), (Reason::Address("IP"), Some((1, 50))));
}

fn target(selector: &str) -> String {
    format!(r#"{{"pool_id": "p", "instance_selector":  {selector}}}"#)
}

#[test]
fn an_array_is_no_object() {
    for (json, path, column) in [
        ("[[]]", "", 1),
        (
            r#"{"routes": [["a", {"port": 1}, {"pool_id": "p"}]]}"#,
            "routes[0]",
            13,
        ),
        (
            r#"{"routes": [{"match_rule": [1], "target": {"pool_id": "p"}}]}"#,
            "routes[0].match_rule",
            28,
        ),
    ] {
        let (found, words, place) = shape::<RoutingTable>(json);
        assert_eq!(words, "invalid type: sequence, expected an object");
        assert_eq!((found.as_str(), place), (path, (1, column)), "{json}");
        assert!(serde_json::from_str::<RoutingTable>(json).is_err());
    }
}

#[test]
fn a_name_twice() {
    let json = NODE.replace("\"arch\":", "\"hostname\": \"i\", \"arch\":");
    let (path, words, place) = shape::<NodeInfo>(&json);
    assert_eq!(
        (path.as_str(), words.as_str(), place),
        ("hostname", "duplicate field `hostname`", (4, 3))
    );
    // By two names.
    let json = NODE.replace("\"arch\":", "\"arch\": \"\", \"lima_status\":");
    let (path, words, place) = shape::<NodeInfo>(&json);
    assert_eq!(
        (path.as_str(), words.as_str(), place),
        ("vm_status", "duplicate field `vm_status`", (7, 3))
    );
    let (path, _, place) = shape::<RoutingTable>(
        r#"{"routes": [{"name": "a", "target": {"pool_id": "p", "pool_id": "q"}}]}"#,
    );
    assert_eq!(
        (path.as_str(), place),
        ("routes[0].target.pool_id", (1, 54))
    );
}

#[test]
fn too_long() {
    // One byte less is looked at.
    let mut json = vec![b'x'; DOCUMENT_MAX];
    assert_eq!(syntax::<NodeInfo>(&json).1, "expected value");
    json.push(b'x');
    let (path, reason, place) = only::<NodeInfo>(&json);
    assert_eq!((path.as_str(), place), ("", None));
    assert_eq!(
        reason,
        Reason::TooLong {
            len: DOCUMENT_MAX + 1,
            max: DOCUMENT_MAX
        }
    );
}

#[test]
fn deep() {
    // The parser's own limit.
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let event = format!("{{\"value\": {nested}}}");
    let error = serde_json::from_str::<serde_json::Value>(&event).unwrap_err();
    assert!(error.to_string().starts_with("recursion limit exceeded"));
    // What no type reads may be as deep as it likes: it is passed over without recursion.
    let nested = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let json = format!("{{\"other\": {nested}, \"routes\": []}}");
    let checked = checked::<RoutingTable>(&json);
    assert!(checked.result.is_ok());
    assert_eq!(checked.warnings.len(), 1);
    // What a type reads is as deep as the type.
    let (path, words, place) = shape::<RoutingTable>(format!("{{\"routes\": {nested}}}"));
    assert_eq!(
        (path.as_str(), words.as_str(), place),
        (
            "routes[0]",
            "invalid type: sequence, expected an object",
            (1, 13)
        )
    );
}

fn id_reason(id: &str) -> Reason {
    Reason::Id(validate_id(id, mvm_core::naming::IdKind::Pool).unwrap_err())
}

#[test]
fn every_bad_value_with_its_place() {
    let json = "{\"routes\": [\r\n\
        \t{\"match_rule\": {\"source_cidr\": \"10.0.0.1/8\", \"port\": 1}, \"target\": {\"pool_id\": \"É\"}},\r\n\
        \t{\"name\": \"日本\", \"target\": {\"instance_selector\": {\"by_ip\": \"x\"}, \"pool_id\": \"\"},\r\n\
        \t\t\"match_rule\": {\"source_cidr\": \"\\u0031\", \"port\": 2}}\r\n]}";
    let invalid = checked::<RoutingTable>(json).result.unwrap_err();
    let found: Vec<_> = invalid
        .problems()
        .iter()
        .map(|problem| (problem.path.as_str(), problem.position))
        .collect();
    assert_eq!(
        found,
        [
            ("routes[0].match_rule.source_cidr", at(2, 33)),
            ("routes[0].target.pool_id", at(2, 81)),
            ("routes[1].target.instance_selector.by_ip", at(3, 59)),
            ("routes[1].target.pool_id", at(3, 76)),
            ("routes[1].match_rule.source_cidr", at(4, 33)),
        ]
    );
    assert_eq!(invalid.problems()[1].reason, id_reason("É"));
    // The same problems without the places.
    let mut unplaced = RoutingTable::from_json(json.as_bytes())
        .unwrap_err()
        .into_problems();
    assert!(unplaced.iter().all(|problem| problem.position.is_none()));
    let mut placed = invalid.into_problems();
    for problem in &mut placed {
        problem.position = None;
    }
    let by_path = |problem: &mvm_core::document::Problem| problem.path.clone();
    unplaced.sort_by_key(by_path);
    placed.sort_by_key(by_path);
    assert_eq!(placed, unplaced);
}

#[test]
fn serde_gives_the_first() {
    let error = serde_json::from_str::<RoutingTable>(
        r#"{"routes": [{"match_rule": {"port": 1}, "target": {"pool_id": "A"}}, {"match_rule": {"port": 1}, "target": {"pool_id": "B"}}]}"#,
    )
    .unwrap_err()
    .to_string();
    assert!(error.starts_with("routes[0].target.pool_id: "), "{error}");
    assert!(error.contains("(and 1 more)"), "{error}");
}

#[test]
fn problems_beyond_the_limit_are_counted() {
    let one = r#"{"match_rule": {"port": 1}, "target": {"pool_id": "-"}}"#;
    for more in [0, 1, 100] {
        let json = format!(
            "{{\"routes\": [{}]}}",
            vec![one; PROBLEMS_MAX + more].join(",\n")
        );
        // Rules between routes have their say too.
        let count = |invalid: &Invalid| invalid.problems().len() + invalid.omitted();
        let invalid = checked::<RoutingTable>(&json).result.unwrap_err();
        let without = RoutingTable::from_json(json.as_bytes()).unwrap_err();
        assert_eq!(count(&invalid), count(&without));
        assert!(count(&invalid) >= PROBLEMS_MAX + more);
        assert_eq!(invalid.problems().len(), PROBLEMS_MAX);
        let said = invalid.to_string();
        assert!(
            said.ends_with(&format!("(and {} more)", count(&invalid) - 1)),
            "{said}"
        );
    }
}

fn warnings<T: Document>(json: &str) -> Vec<(String, (usize, usize))> {
    T::check_json(json.as_bytes())
        .warnings
        .into_iter()
        .map(|warning| {
            (
                warning.path,
                (warning.position.line, warning.position.column),
            )
        })
        .collect()
}

#[test]
fn unknown_members() {
    let json = r#"{
  "a.b": {"c": 1}, "é": [1], "routes": [
    {"nane": "x", "match_rule": {"port": 1, "path": "/"}, "target": {"pool_id": "p", "a b": 1}}
  ],
  "Routes": []
}"#;
    let found = warnings::<RoutingTable>(json);
    let found: Vec<_> = found
        .iter()
        .map(|(path, at)| (path.as_str(), *at))
        .collect();
    assert_eq!(
        found,
        [
            (r#"["a.b"]"#, (2, 3)),
            (r#"["é"]"#, (2, 20)),
            ("routes[0].nane", (3, 6)),
            ("routes[0].match_rule.path", (3, 45)),
            (r#"routes[0].target["a b"]"#, (3, 86)),
            ("Routes", (5, 3)),
        ]
    );
    let checked = checked::<RoutingTable>(json);
    assert!(checked.result.is_ok());
    assert_eq!(
        checked.warnings[2].to_string(),
        "3:6: routes[0].nane: unknown member, ignored"
    );
}

#[test]
fn unknown_members_of_a_document_that_is_not_valid() {
    let json = r#"{"target": {"pool_id": "-", "pool": 1}, "match_rule": {"port": 1}}"#;
    let checked = checked::<Route>(json);
    let invalid = checked.result.unwrap_err();
    assert_eq!(invalid.problems()[0].path, "target.pool_id");
    assert_eq!(invalid.problems()[0].position, at(1, 24));
    assert_eq!(warnings::<Route>(json), [("target.pool".into(), (1, 29))]);
    // Where the shape is wrong, nothing is known about members.
    assert_eq!(warnings::<Route>(r#"{"x": 1, "target": 1}"#), []);
}

#[test]
fn unknown_members_of_variants() {
    let json = r#"{"InstanceList": {"tenant_id": "acme", "pool": "web"}}"#;
    assert_eq!(
        warnings::<AgentRequest>(json),
        [("InstanceList.pool".into(), (1, 40))]
    );
    // Its members are an object's.
    let (path, words, place) = shape::<AgentRequest>(r#"{"InstanceList": ["acme", null]}"#);
    assert_eq!((path.as_str(), place), ("InstanceList", (1, 18)));
    assert!(
        words.starts_with("invalid type: sequence, expected "),
        "{words}"
    );
}

#[test]
fn an_unknown_member_twice_is_told_of_once() {
    assert_eq!(
        warnings::<RoutingTable>(r#"{"x": 1, "routes": [], "x": 2}"#),
        [("x".into(), (1, 24))]
    );
}

#[test]
fn warnings_beyond_the_limit_are_counted() {
    let members: Vec<String> = (0..PROBLEMS_MAX + 7)
        .map(|i| format!("\"x{i}\": {i}"))
        .collect();
    let checked = checked::<RoutingTable>(format!("{{{}, \"routes\": []}}", members.join(",")));
    assert_eq!(
        (checked.warnings.len(), checked.omitted_warnings),
        (PROBLEMS_MAX, 7)
    );
}

#[test]
fn what_is_told_of_stays_small_and_on_one_line() {
    let long = "\\u001b[2J\\n".repeat(100_000);
    let (_, words, _) = shape::<RoutingTable>(format!(r#"{{"routes": "{long}"}}"#));
    assert!(words.len() < PARSER_WORDS_MAX + 16);
    assert!(!words.contains(char::is_control), "{words}");

    let json = format!(r#"{{"routes": [], "{long}": 1}}"#);
    let [(path, at)] = &warnings::<RoutingTable>(&json)[..] else {
        panic!();
    };
    assert!(
        path.len() < 1000 && !path.contains(char::is_control),
        "{path}"
    );
    assert_eq!(*at, (1, 16));
}

#[test]
fn validate_finds_what_deserialize_lets_through() {
    let checked = checked::<NodeInfo>(NODE);
    assert_eq!(checked.result.unwrap().validate(), Ok(()));
}
