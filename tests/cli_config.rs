//! `config` as a program sees it.
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
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

/// With these variables, and no others that matter.
fn run(variables: &[(&str, &str)], args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mvm-core"));
    command.arg("config").args(args).env_clear();
    command.envs(variables.iter().copied()).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn home() -> (tempfile::TempDir, String) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().to_str().unwrap().to_owned();
    (home, path)
}

#[test]
fn values_are_shown_and_set() {
    let (_home, path) = home();
    let home = [("HOME", path.as_str())];
    let file = Path::new(&path).join(".config/mvm/config.toml");
    // Reading creates nothing.
    let output = run(&home, &["get", "default_cpus"]);
    assert_eq!((code(&output), text(&output.stdout).as_str()), (0, "2\n"));
    assert!(!file.exists());
    let output = run(&home, &["get", "--json"]);
    let told = document(&output);
    assert_eq!(
        (&told["ok"], &told["exists"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(told["file"], file.to_str().unwrap());
    assert_eq!(
        told["values"],
        json!({
            "lima_cpus": 8, "lima_mem_gib": 16, "default_cpus": 2, "default_memory_mib": 512,
            "log_format": null, "metrics_port": null, "catalog_url": null,
        })
    );

    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "# mine\ndefault_cpus = 4 # enough\nshiny = true\n").unwrap();
    let output = run(&home, &["set", "default_cpus", "6"]);
    assert_eq!(code(&output), 0, "{output:?}");
    let output = run(&home, &["set", "log_format", "json", "--json"]);
    assert_eq!(
        document(&output),
        json!({"ok": true, "file": file.to_str().unwrap(), "key": "log_format", "value": "json"})
    );
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "# mine\ndefault_cpus = 6 # enough\nshiny = true\nlog_format = \"json\"\n"
    );
    let output = run(&home, &["get", "log_format", "--json"]);
    let told = document(&output);
    assert_eq!(
        (&told["value"], &told["exists"]),
        (&json!("json"), &json!(true))
    );
    // What is shown can be set.
    assert_eq!(code(&run(&home, &["set", "log_format", "none"])), 0);
    assert_eq!(text(&run(&home, &["get", "log_format"]).stdout), "none\n");
    let all = text(&run(&home, &["get"]).stdout);
    assert_eq!(all.lines().count(), 7);
    assert!(all.contains("default_cpus = 6\n") && all.contains("metrics_port = none\n"));
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_left_alone() {
    let (_home, path) = home();
    let file = Path::new(&path).join("some.toml");
    let name = file.to_str().unwrap();
    for (content, line, column) in [
        ("\nlima_cpus = \"many\"\n", json!(2), json!(13)),
        ("lima_cpus = 0\n", json!(1), json!(13)),
        ("a = 1\nb = = 2\n", json!(2), json!(5)),
    ] {
        fs::write(&file, content).unwrap();
        for args in [
            &["get", "--file", name][..],
            &["get", "default_cpus", "--file", name],
            &["set", "default_cpus", "3", "--file", name],
        ] {
            let output = run(&[], &[args, &["--json"]].concat());
            assert_eq!(code(&output), 1, "{args:?}");
            let told = document(&output);
            assert_eq!(told["ok"], false);
            assert_eq!((&told["line"], &told["column"]), (&line, &column), "{told}");
            assert_eq!(told["file"], name);
            let output = run(&[], args);
            assert_eq!((code(&output), output.stdout.len()), (1, 0));
            let place = format!("line {line}, column {column}");
            assert!(text(&output.stderr).contains(&place), "{output:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
    }
    fs::write(&file, "default_cpus = 4\n").unwrap();
    for args in [
        &["get", "cpus", "--file", name][..],
        &["set", "cpus", "3", "--file", name],
        &["set", "default_cpus", "0", "--file", name],
        &["set", "default_cpus", "-1", "--file", name],
        &["set", "metrics_port", "65536", "--file", name],
    ] {
        let output = run(&[], &[args, &["--json"]].concat());
        assert_eq!(code(&output), 1, "{args:?}");
        let told = document(&output);
        assert_eq!((&told["line"], &told["ok"]), (&Value::Null, &json!(false)));
        assert_eq!(fs::read_to_string(&file).unwrap(), "default_cpus = 4\n");
    }
    // The names of keys that there are.
    let output = run(&[], &["get", "cp\u{1b}us", "--file", name]);
    let said = text(&output.stderr);
    assert!(
        said.contains("metrics_port") && !said.contains('\u{1b}'),
        "{said}"
    );
}

#[test]
fn what_cannot_be_tried() {
    let (_home, path) = home();
    for (variables, args) in [
        (&[][..], &["get"][..]),
        (&[("HOME", "relative")], &["get"]),
        (
            &[("MVM_CONFIG_DIR", "relative")],
            &["set", "default_cpus", "3"],
        ),
        (&[("HOME", "/")], &["get", "--file", path.as_str()]),
        (
            &[("HOME", "/")],
            &[
                "set",
                "default_cpus",
                "3",
                "--file",
                "/proc/none/config.toml",
            ],
        ),
    ] {
        let output = run(variables, &[args, &["--json"]].concat());
        assert_eq!(code(&output), 2, "{args:?}");
        assert_eq!(document(&output)["ok"], false);
        let output = run(variables, args);
        assert_eq!((code(&output), output.stdout.len()), (2, 0));
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn places_say_what_decided_them() {
    let variables = [
        ("HOME", "/home/op"),
        ("MVM_STATE_DIR", "/srv/state"),
        ("XDG_CACHE_HOME", "/var/cache"),
        ("XDG_DATA_HOME", "relative"),
    ];
    let output = run(&variables, &["path", "--json"]);
    assert_eq!(code(&output), 0, "{output:?}");
    let told = document(&output);
    let row = |name: &str, path: &str, source: &str, variable: Value| json!({"name": name, "path": path, "source": source, "variable": variable, "error": null});
    assert_eq!(
        told["directories"],
        json!([
            row("data", "/home/op/.mvm", "default", Value::Null),
            row("cache", "/var/cache/mvm", "xdg", json!("XDG_CACHE_HOME")),
            row("config", "/home/op/.config/mvm", "default", Value::Null),
            row("state", "/srv/state", "variable", json!("MVM_STATE_DIR")),
            row("share", "/home/op/.local/share/mvm", "default", Value::Null),
        ])
    );
    assert_eq!(told["file"], "/home/op/.config/mvm/config.toml");
    assert_eq!(told["exists"], false);
    let lines = text(&run(&variables, &["path"]).stdout);
    assert_eq!(lines.lines().count(), 6);
    assert!(
        lines.contains("cache  /var/cache/mvm XDG_CACHE_HOME\n"),
        "{lines}"
    );

    let output = run(&[("MVM_CACHE_DIR", "/c")], &["path", "--json"]);
    assert_eq!(code(&output), 1);
    let told = document(&output);
    assert_eq!((&told["ok"], &told["file"]), (&json!(false), &Value::Null));
    assert_eq!(told["directories"][1]["path"], "/c");
    let error = told["directories"][0]["error"].as_str().unwrap();
    assert!(error.contains("neither HOME nor MVM_DATA_DIR"), "{error}");
    assert_eq!(code(&run(&[], &["path"])), 1);
}
