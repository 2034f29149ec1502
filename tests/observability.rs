//! Metrics against the texts of 0.13.0, and under threads; the log as another process sees it.
#![cfg(feature = "observability")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::{Command, Output};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use mvm_core::observability::logging::{self, LogError, LogFormat};
use mvm_core::observability::metrics::{Metrics, MetricsSnapshot, global};
use serde_json::Value;

/// Samples by name, each with its type and value. The type is that of the family, whose name is the sample's, or
/// the sample's without `_total`.
fn samples(text: &str) -> BTreeMap<String, (String, u64)> {
    let (mut helps, mut types, mut samples) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (family, help) = help.split_once(' ').unwrap();
            assert!(!help.is_empty() && !helps.contains(&family), "{line}");
            helps.push(family);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (family, kind) = kind.split_once(' ').unwrap();
            assert_eq!(helps.last(), Some(&family), "HELP comes before TYPE");
            assert_eq!(types.insert(family, kind), None, "{line}");
        } else if line != "# EOF" {
            let (name, value) = line.split_once(' ').unwrap();
            let family = name.strip_suffix("_total").unwrap_or(name);
            let kind = types.get(name).or_else(|| types.get(family)).unwrap();
            let sample = ((*kind).to_owned(), value.parse().unwrap());
            assert_eq!(samples.insert(name.to_owned(), sample), None, "{line}");
        }
    }
    assert_eq!((helps.len(), types.len()), (samples.len(), samples.len()));
    samples
}

fn vectors() -> Vec<(MetricsSnapshot, String)> {
    include_str!("vectors/behaviour/prometheus.jsonl")
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let snapshot = serde_json::from_value(row["snapshot"].clone()).unwrap();
            (snapshot, row["out"].as_str().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn the_samples_are_those_of_the_table() {
    let rows = vectors();
    assert_eq!(rows.len(), 2);
    for (snapshot, old) in rows {
        let metrics = Metrics::from(&snapshot);
        assert_eq!(metrics.snapshot(), snapshot);
        let text = metrics.prometheus_exposition();
        let (ours, theirs) = (samples(&text), samples(&old));
        assert_eq!(ours.len(), 24);
        assert_eq!(ours, theirs);
        // In the same order, too.
        let names = |text: &str| -> Vec<String> {
            let samples = text.lines().filter(|line| !line.starts_with('#'));
            samples.map(str::to_owned).collect()
        };
        assert_eq!(names(&text), names(&old));
    }
}

/// OpenMetrics 1.0: a family's lines are together, a counter's sample has `_total` and no gauge's has, `# EOF` ends it.
#[test]
fn the_text_of_open_metrics() {
    for (snapshot, _) in vectors() {
        let text = snapshot.openmetrics();
        assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1);
        let lines: Vec<_> = text.lines().collect();
        for family in lines[..lines.len() - 1].chunks(3) {
            let name = family[0]
                .strip_prefix("# HELP ")
                .unwrap()
                .split(' ')
                .next()
                .unwrap();
            let kind = family[1].strip_prefix(&format!("# TYPE {name} ")).unwrap();
            let sample = family[2].split(' ').next().unwrap();
            match kind {
                "counter" => assert_eq!(sample, format!("{name}_total")),
                "gauge" => assert_eq!(sample, name),
                _ => panic!("{kind}"),
            }
            assert!(!name.ends_with("_total"));
        }
        // The one type that differs.
        let mut ours = samples(&text);
        let last = ours.get_mut("mvm_reconcile_duration_milliseconds").unwrap();
        assert_eq!(last.0, "gauge");
        last.0 = "counter".to_owned();
        assert_eq!(ours, samples(&snapshot.prometheus_exposition()));
    }
}

#[test]
fn names_are_the_members_of_a_snapshot() {
    let samples = samples(&Metrics::new().openmetrics());
    let Value::Object(members) = serde_json::to_value(MetricsSnapshot::default()).unwrap() else {
        panic!("not an object");
    };
    let names: Vec<String> = members
        .keys()
        .map(|member| match member.strip_suffix("_ms") {
            Some(gauge) => format!("mvm_{gauge}_milliseconds"),
            None => format!("mvm_{}_total", member.trim_end_matches("_total")),
        })
        .collect();
    assert_eq!(samples.len(), names.len());
    assert!(
        names.iter().all(|name| samples.contains_key(name)),
        "{names:?}"
    );
}

#[test]
fn nothing_is_lost_between_threads() {
    const THREADS: u64 = 100;
    const EACH: u64 = 1000;
    let metrics = Metrics::new();
    let start = Barrier::new(100);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                // A handle of its own, of the same counter.
                let counter = metrics.requests_total.clone();
                start.wait();
                for _ in 0..EACH {
                    counter.inc();
                    metrics.instances_woken.add(2);
                }
            });
        }
    });
    let snapshot = metrics.snapshot();
    assert_eq!(snapshot.requests_total, THREADS * EACH);
    assert_eq!(snapshot.instances_woken, 2 * THREADS * EACH);
    let rest = MetricsSnapshot {
        requests_total: 0,
        instances_woken: 0,
        ..snapshot
    };
    assert_eq!(rest, MetricsSnapshot::default());
}

#[test]
fn counters_and_gauges_stay_where_they_end() {
    let metrics = Metrics::new();
    metrics.requests_failed.add(u64::MAX - 1);
    metrics.requests_failed.add(3);
    assert_eq!(metrics.requests_failed.get(), u64::MAX);
    // Over several threads, and so over several numbers.
    thread::scope(|scope| {
        scope.spawn(|| metrics.requests_failed.add(7));
        scope.spawn(|| metrics.requests_wake.add(u64::MAX / 2 + 1));
        scope.spawn(|| metrics.requests_wake.add(u64::MAX / 2 + 1));
    });
    assert_eq!(metrics.requests_failed.get(), u64::MAX);
    assert_eq!(metrics.requests_wake.get(), u64::MAX);
    metrics.vm_start_duration_ms.record(Duration::MAX);
    assert_eq!(metrics.vm_start_duration_ms.get(), u64::MAX);
    metrics
        .vm_start_duration_ms
        .record(Duration::from_micros(1999));
    assert_eq!(metrics.vm_start_duration_ms.get(), 1);
    let all = samples(&metrics.prometheus_exposition());
    assert_eq!(all["mvm_requests_failed_total"].1, u64::MAX);
}

#[test]
fn registries_are_apart() {
    let (one, other) = (Metrics::new(), Metrics::default());
    one.connections_accepted.inc();
    let same = one.clone();
    same.connections_accepted.inc();
    assert_eq!(one.connections_accepted.get(), 2);
    assert_eq!(other.connections_accepted.get(), 0);
    global().connections_accepted.inc();
    assert_eq!(global().snapshot().connections_accepted, 1);
    assert_eq!(one.connections_accepted.get(), 2);
}

/// What a process of its own does with the log: this very test, started again.
fn logged(test: &str, filter: Option<OsString>) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env("MVM_TEST_LOG", test);
    match filter {
        Some(filter) => command.env("RUST_LOG", filter),
        None => command.env_remove("RUST_LOG"),
    };
    command.output().unwrap()
}

fn is_child() -> bool {
    std::env::var_os("MVM_TEST_LOG").is_some()
}

fn speak() {
    tracing::debug!(target: "mvm_core::store", "much");
    tracing::info!(target: "mvm_core::store", tenant = "acme", "saved");
    tracing::info!(target: "hyper", "not ours");
    tracing::warn!(target: "hyper", "ours too\u{1b}[2J");
}

#[test]
fn lines_for_people() {
    if is_child() {
        logging::init(LogFormat::Human).unwrap();
        speak();
        assert_eq!(logging::init(LogFormat::Human), Err(LogError::AlreadySet));
        assert_eq!(
            logging::init_with(LogFormat::Json, "info"),
            Err(LogError::AlreadySet)
        );
        return;
    }
    for filter in [
        None,
        Some("".into()),
        Some(",".into()),
        Some(" mvm=info, warn ".into()),
    ] {
        let output = logged("lines_for_people", filter.clone());
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines.len(), 2, "{filter:?}: {lines:?}");
        assert!(lines[0].contains(" INFO ") && lines[0].ends_with("saved tenant=\"acme\""));
        // No colours where it is no terminal, and nothing that a message brings with it.
        assert!(
            lines[1].contains(" WARN ") && !lines[1].contains('\u{1b}'),
            "{lines:?}"
        );
        // Standard output is for what the program is asked for.
        assert!(!String::from_utf8(output.stdout).unwrap().contains("saved"));
    }
    let output = logged("lines_for_people", Some("mvm_core::store=debug".into()));
    assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 2);
}

#[test]
fn lines_for_programs() {
    if is_child() {
        logging::init(LogFormat::Json).unwrap();
        return speak();
    }
    let output = logged("lines_for_programs", None);
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<Value> = String::from_utf8(output.stderr)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["level"], "INFO");
    assert_eq!(lines[0]["target"], "mvm_core::store");
    assert_eq!(lines[0]["fields"]["message"], "saved");
    assert_eq!(lines[0]["fields"]["tenant"], "acme");
    let time = lines[0]["timestamp"].as_str().unwrap();
    assert!(time.parse::<mvm_core::time::Timestamp>().is_ok(), "{time}");
}

#[test]
fn a_filter_that_cannot_be_read() {
    if is_child() {
        let error = logging::init(LogFormat::Human).unwrap_err();
        println!("<{error}>");
        // Nothing is set, so the right filter still can be.
        return logging::init_with(LogFormat::Human, "off").unwrap();
    }
    let said = |filter: OsString| {
        let output = logged("a_filter_that_cannot_be_read", Some(filter));
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_once('<')
            .unwrap()
            .1
            .split_once('>')
            .unwrap()
            .0
            .to_owned()
    };
    let error = said("warn,mvm=debgu,info".into());
    assert!(
        error.starts_with("log filter: directive 2, \"mvm=debgu\": "),
        "{error}"
    );
    let error = said(",,\u{3000}\u{1b}[=x".into());
    assert!(
        error.contains("directive 3") && !error.contains('\u{1b}'),
        "{error}"
    );
    #[cfg(unix)]
    {
        let bytes = std::os::unix::ffi::OsStringExt::from_vec(vec![b'i', 0xff]);
        assert_eq!(said(bytes), "RUST_LOG is not UTF-8");
    }
}

#[test]
fn names_of_formats() {
    for format in [LogFormat::Human, LogFormat::Json] {
        assert_eq!(format.as_str().parse(), Ok(format));
        assert_eq!(format.to_string(), format.as_str());
    }
    assert_eq!(LogFormat::default(), LogFormat::Human);
    let error = "JSON".parse::<LogFormat>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"JSON\" is no log format; there are human and json"
    );
}
