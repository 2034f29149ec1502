//! `check` and `route` as a program sees them: exit codes, JSON, and what people read.
#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// A file of this test's own.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let file = std::env::temp_dir().join(format!("mvm-check-{}-{name}", std::process::id()));
        fs::write(&file, content).unwrap();
        Self(file)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn run(args: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mvm-core"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Path, line and column of each finding.
fn places(findings: &Value) -> Vec<(String, u64, u64)> {
    findings
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            let number = |name: &str| finding[name].as_u64().unwrap_or(0);
            let path = finding["path"].as_str().unwrap().to_owned();
            assert!(!finding["message"].as_str().unwrap().is_empty());
            (path, number("line"), number("column"))
        })
        .collect()
}

const TABLE: &str = r#"{
  "routes": [
    {
      "name": "api",
      "match_rule": {"port": 443, "path_prefix": "/api", "source_cidr": "10.0.0.0/8"},
      "target": {"pool_id": "web", "target_port": 8080}
    },
    {
      "name": "rest",
      "match_rule": {"port": 443},
      "target": {"pool_id": "www", "instance_selector": "least_connections"}
    }
  ]
}
"#;

#[test]
fn a_valid_document() {
    let file = Scratch::new("valid.json", TABLE);
    for (args, stdin) in [
        (&["check", "routing-table", file.path()][..], ""),
        (&["check", "routing-table", "-"], TABLE),
        (&["check", "routing-table"], TABLE),
    ] {
        let output = run(args, stdin.as_bytes());
        assert_eq!(code(&output), 0, "{args:?}");
        let name = if stdin.is_empty() {
            file.path()
        } else {
            "<stdin>"
        };
        assert_eq!(stdout(&output), format!("valid RoutingTable {name}\n"));
        assert!(output.stderr.is_empty());
    }
    let output = run(&["check", "routing-table", "--json"], TABLE.as_bytes());
    assert_eq!(code(&output), 0);
    assert_eq!(
        document(&output),
        json!({
            "ok": true, "type": "RoutingTable", "file": "<stdin>",
            "problems": [], "omitted_problems": 0, "warnings": [], "omitted_warnings": 0,
        })
    );
}

const WRONG: &str = r#"{
  "StartInstance": {
    "tenant_id": "Acme",
    "pool_id": "../x",
    "instance_id": "i-1",
    "in_a_hurry": true
  }
}"#;

#[test]
fn every_problem_is_told_of_with_its_place() {
    let output = run(&["check", "hostd-request", "--json"], WRONG.as_bytes());
    assert_eq!(code(&output), 1);
    let found = document(&output);
    assert_eq!(found["ok"], false);
    assert_eq!(found["type"], "HostdRequest");
    assert_eq!(
        places(&found["problems"]),
        [
            ("StartInstance.tenant_id".to_owned(), 3, 18),
            ("StartInstance.pool_id".to_owned(), 4, 16),
        ]
    );
    assert_eq!(
        places(&found["warnings"]),
        [("StartInstance.in_a_hurry".to_owned(), 6, 5)]
    );

    let file = Scratch::new("wrong.json", WRONG);
    let output = run(&["check", "hostd-request", file.path()], b"");
    assert_eq!(code(&output), 1);
    let name = file.path();
    let text = stdout(&output);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    for (line, start) in lines.iter().zip([
        format!("{name}:3:18: error: StartInstance.tenant_id: tenant id "),
        format!("{name}:4:16: error: StartInstance.pool_id: pool id "),
        format!("{name}:6:5: warning: StartInstance.in_a_hurry: unknown member"),
        format!("NOT VALID HostdRequest {name}, 2 errors, 1 warning"),
    ]) {
        assert!(line.starts_with(&start), "{line}");
    }
    assert!(!text.contains('\x1b'), "escapes into a pipe");
}

#[test]
fn warnings_can_be_denied() {
    let text = br#"{"host":1,"guest":2,"note":""}"#;
    let output = run(&["check", "vm-port-mapping", "--json"], text);
    assert_eq!((code(&output), &document(&output)["ok"]), (0, &json!(true)));
    let output = run(
        &["check", "vm-port-mapping", "--deny-warnings", "--json"],
        text,
    );
    assert_eq!(
        (code(&output), &document(&output)["ok"]),
        (1, &json!(false))
    );
    assert_eq!(
        places(&document(&output)["warnings"]),
        [("note".to_owned(), 1, 21)]
    );
}

#[test]
fn what_is_no_document_is_not_valid() {
    for (text, line, column) in [
        (&b""[..], 1, 1),
        (b"\n{\n", 2, 1),
        (b"{\"routes\": [\n  {\"name\": \"\xff\"}\n]}", 2, 13),
        (b"{}", 1, 1),
        (b"[]", 1, 1),
        (b"{\"routes\": []} x", 1, 16),
    ] {
        let output = run(&["check", "routing-table", "--json"], text);
        assert_eq!(code(&output), 1, "{text:?}");
        let found = document(&output);
        let problems = places(&found["problems"]);
        assert_eq!(problems.len(), 1, "{text:?}: {found:#}");
        let (_, l, c) = &problems[0];
        // Where exactly the parser gives up is its own affair; the line is not.
        assert!(
            *l >= line && *l <= line + 1 && *c >= 1,
            "{text:?} {column}: {problems:?}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_told_apart() {
    let missing = "/nonexistent/routes.json";
    let directory = std::env::temp_dir();
    for file in [missing, directory.to_str().unwrap()] {
        let output = run(&["check", "routing-table", file], b"");
        assert_eq!(code(&output), 2);
        assert!(output.stdout.is_empty());
        let text = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(text.starts_with(&format!("cannot read {file}: ")), "{text}");

        let output = run(&["check", "routing-table", file, "--json"], b"");
        assert_eq!(code(&output), 2);
        let found = document(&output);
        assert_eq!(found["ok"], false);
        assert_eq!(found["file"], file);
        assert!(!found["error"].as_str().unwrap().is_empty());

        let output = run(&["route", file, "--port", "1", "--source", "::1"], b"");
        assert_eq!(code(&output), 2);
    }
    for usage in [
        &["check"][..],
        &["check", "nothing"],
        &["check", "RoutingTable"],
        &["check", "routing-table", "-", "--format", "yaml"],
        &["route", "x"],
        &["route", "x", "--port", "0", "--source", "::1"],
        &["route", "x", "--port", "1", "--source", "nowhere"],
    ] {
        assert_eq!(code(&run(usage, b"")), 2, "{usage:?}");
    }
    assert!(Path::new(&directory).exists());
}

#[test]
fn help_names_every_type_and_the_json() {
    let output = run(&["check", "--help"], b"");
    assert_eq!(code(&output), 0);
    let text = stdout(&output);
    for word in ["omitted_warnings", "Exit code"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    // Every type that there are vectors of.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/json");
    let mut types = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let mut name = String::new();
        for letter in path.file_stem().unwrap().to_str().unwrap().chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        let listed = [format!(" {name},"), format!(" {name}]")];
        assert!(listed.iter().any(|name| text.contains(name)), "{name}");
        types += 1;
    }
    assert!(types >= 80, "{types} types");
}

fn route(extra: &[&str], table: &str) -> Output {
    let mut args = vec!["route", "-"];
    args.extend_from_slice(extra);
    run(&args, table.as_bytes())
}

#[test]
fn a_route_is_found() {
    let api = ["--port", "443", "--path", "/api/v1", "--source", "10.1.2.3"];
    let output = route(&api, TABLE);
    assert_eq!(code(&output), 0);
    assert_eq!(
        stdout(&output),
        "routes[0] api: pool web, any instance, port 8080\n"
    );
    let output = route(&["--port", "443", "--source", "192.0.2.1"], TABLE);
    assert_eq!(code(&output), 0);
    assert_eq!(
        stdout(&output),
        "routes[1] rest: pool www, the instance with the fewest connections\n"
    );
    let output = route(&["--port", "443", "--source", "192.0.2.1", "--json"], TABLE);
    let found = document(&output);
    assert_eq!((&found["ok"], &found["index"]), (&json!(true), &json!(1)));
    assert_eq!(found["route"]["target"]["pool_id"], "www");

    let output = route(&["--port", "80", "--source", "192.0.2.1"], TABLE);
    assert_eq!(code(&output), 1);
    assert_eq!(stdout(&output), "no route takes it\n");
    let output = route(&["--port", "80", "--source", "192.0.2.1", "--json"], TABLE);
    assert_eq!(code(&output), 1);
    assert_eq!(
        document(&output),
        json!({"ok": false, "index": null, "route": null})
    );
}

#[test]
fn a_table_that_is_not_valid_routes_nothing() {
    let twice = TABLE.replace(
        r#", "path_prefix": "/api", "source_cidr": "10.0.0.0/8""#,
        "",
    );
    let output = route(
        &["--port", "443", "--source", "192.0.2.1", "--json"],
        &twice,
    );
    assert_eq!(code(&output), 1);
    let found = document(&output);
    assert_eq!(found["ok"], false);
    let problems = places(&found["problems"]);
    assert!(problems[0].0.starts_with("routes[1]"), "{problems:?}");
    assert_eq!(problems[0].1, 8);
    let output = route(&["--port", "443", "--source", "192.0.2.1"], &twice);
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).contains("NOT VALID RoutingTable <stdin>, 1 error"));
}

#[test]
fn toml_is_told_of_where_it_stands() {
    let good = "host = 8080\nguest = 0x50\n";
    let file = Scratch::new("ports.toml", good);
    let output = run(&["check", "vm-port-mapping", file.path()], b"");
    assert_eq!(code(&output), 0, "{output:?}");

    let wrong = "# ports\n  cpus = 1\nmemory_mib = 1\nid = \"-x\"\nname = \"é/\"\nstatus = \"Running\"\n\n[[ports]]\nhost = 1\nguest = 2\nnote = 1979-05-27\n[[ports]]\nhost = 0\nguest = 2\n";
    let output = run(
        &["check", "vm-info", "--format", "toml", "--json"],
        wrong.as_bytes(),
    );
    assert_eq!(code(&output), 1);
    let found = document(&output);
    let mut problems = places(&found["problems"]);
    problems.sort();
    assert_eq!(
        problems,
        [
            ("id".to_owned(), 4, 1),
            ("name".to_owned(), 5, 1),
            ("ports[1].host".to_owned(), 13, 1),
        ]
    );
    assert_eq!(
        places(&found["warnings"]),
        [("ports[0].note".to_owned(), 11, 1)]
    );
    for (text, line) in [
        (&b"host = 1\nguest = \n"[..], 2),
        (b"host = 1\nhost = 2\n", 2),
        (b"host = 1\nguest = \"\xff\"\n", 2),
        (b"host = 1\nguest = nan\n", 2),
        (b"host = 1\nguest = 99999999999999999999\n", 2),
        (b"host = 1\n", 1),
        (b"", 1),
    ] {
        let output = run(
            &["check", "vm-port-mapping", "--format", "toml", "--json"],
            text,
        );
        assert_eq!(code(&output), 1, "{text:?}");
        let problems = places(&document(&output)["problems"]);
        assert_eq!((problems.len(), problems[0].1), (1, line), "{text:?}");
    }
}

/// The document's own texts do not reach the terminal as they are.
#[test]
fn a_hostile_document_is_shown_harmless() {
    let text = "{\"\\u001b[2J\": 1, \"host\": \"\\u001b]0;x\\u0007\", \"guest\": 1}";
    let output = run(&["check", "vm-port-mapping"], text.as_bytes());
    assert_eq!(code(&output), 1);
    assert!(!stdout(&output).contains('\x1b'));
    assert!(!stdout(&output).contains('\x07'));
}

fn desired(running: u32) -> String {
    json!({
        "schema_version": 1,
        "node_id": "node-1",
        "tenants": [{
            "tenant_id": "acme",
            "network": {"tenant_net_id": 3, "ipv4_subnet": "10.240.3.0/24"},
            "quotas": {
                "max_vcpus": 4, "max_mem_mib": 4096, "max_running": 2, "max_warm": 1,
                "max_pools": 1, "max_instances_per_pool": 4, "max_disk_gib": 10,
            },
            "pools": [{
                "pool_id": "web",
                "flake_ref": "github:org/repo",
                "profile": "minimal",
                "instance_resources": {"vcpus": 1, "mem_mib": 512},
                "desired_counts": {"running": running, "warm": 0, "sleeping": 0},
            }],
        }],
        "prune_unknown_tenants": false,
        "prune_unknown_pools": false,
    })
    .to_string()
}

#[test]
fn a_plan_is_made() {
    let none = Scratch::new("none.json", r#"{"tenants":[]}"#);
    let want = Scratch::new("desired.json", desired(1));
    let args = [
        "plan",
        "--current",
        none.path(),
        "--desired",
        want.path(),
        "--now",
        "2026-01-31T12:00:00Z",
    ];
    let output = run(&args, b"");
    assert_eq!(code(&output), 0, "{output:?}");
    let text = stdout(&output);
    assert!(
        text.starts_with("do create tenant acme\ndo create pool acme/web\n"),
        "{text}"
    );
    assert!(
        text.contains(" to do, 0 waiting, 0 refused, 0 not desired and left"),
        "{text}"
    );
    let mut json = args.to_vec();
    json.push("--json");
    let (once, again) = (run(&json, b""), run(&json, b""));
    assert_eq!(once.stdout, again.stdout);
    let found = document(&once);
    assert_eq!(found["ok"], true);
    assert_eq!(
        found["plan"]["actions"][0],
        json!({"step": "create_tenant", "tenant": "acme"})
    );

    let bad = Scratch::new("bad.json", desired(1).replace("acme", "-acme"));
    let output = run(
        &[
            "plan",
            "--current",
            none.path(),
            "--desired",
            bad.path(),
            "--json",
        ],
        b"",
    );
    assert_eq!(code(&output), 1);
    let found = document(&output);
    assert!(found["plan"].is_null());
    assert_eq!(found["documents"][0]["ok"], true);
    assert_eq!(
        found["documents"][1]["problems"][0]["path"],
        "tenants[0].tenant_id"
    );
    let both = run(&["plan", "--current", "-", "--desired", "-"], b"{}");
    assert_eq!(code(&both), 2);
    let missing = run(
        &[
            "plan",
            "--current",
            "/nonexistent",
            "--desired",
            want.path(),
        ],
        b"",
    );
    assert_eq!(code(&missing), 2);
}

/// Records of a node are one document, in which ids agree.
#[test]
fn records_of_a_node_are_checked() {
    let tenant = json!({
        "config": {
            "tenant_id": "acme",
            "quotas": {
                "max_vcpus": 4, "max_mem_mib": 4096, "max_running": 2, "max_warm": 1,
                "max_pools": 1, "max_instances_per_pool": 4, "max_disk_gib": 10,
            },
            "net": {
                "tenant_net_id": 3, "ipv4_subnet": "10.240.3.0/24", "gateway_ip": "10.240.3.1",
                "bridge_name": "br-tenant-3",
            },
            "secrets_epoch": 0, "config_version": 1, "pinned": false, "audit_retention_days": 90,
            "created_at": "2025-01-01T00:00:00Z",
        },
        "pools": [],
    });
    let good = json!({ "tenants": [tenant] }).to_string();
    let output = run(&["check", "node-records", "--json"], good.as_bytes());
    assert_eq!(code(&output), 0, "{:#}", document(&output));
    let twice = json!({ "tenants": [tenant, tenant] }).to_string();
    let output = run(&["check", "node-records", "--json"], twice.as_bytes());
    assert_eq!(code(&output), 1);
    let problems = places(&document(&output)["problems"]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].0, "tenants[1].config.tenant_id");
}
