//! The vectors of 0.13.0 in `tests/vectors/`, and what a type must do with those that bear its
//! name. The format is in the README there.
//!
//! Include it with `#[path = "common/vectors.rs"] mod vectors;`.
#![allow(dead_code)] // each test binary uses a part

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn path(relative: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "vectors", relative]
        .iter()
        .collect()
}

/// The rows of a file below `tests/vectors/`; none where there is no such file.
pub(crate) fn rows(relative: &str) -> Vec<Value> {
    match std::fs::read_to_string(path(relative)) {
        Ok(text) => text
            .lines()
            .map(|line| serde_json::from_str(line).expect(relative))
            .collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => panic!("{relative}: {error}"),
    }
}

/// The rows of `behaviour/<table>.jsonl`, of which there must be `count`.
pub(crate) fn behaviour(table: &str, count: usize) -> Vec<Value> {
    let rows = rows(&format!("behaviour/{table}.jsonl"));
    assert_eq!(rows.len(), count, "rows of {table}");
    rows
}

/// A member that is a string.
pub(crate) fn text<'a>(row: &'a Value, member: &str) -> &'a str {
    row[member]
        .as_str()
        .unwrap_or_else(|| panic!("{member} of {row}"))
}

/// How many rows a type has in `json`, `json_min`, `json_bad` and `json_badid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) json: usize,
    pub(crate) min: usize,
    pub(crate) bad: usize,
    pub(crate) badid: usize,
}

impl Counts {
    /// In the order of the folders: `json`, `json_min`, `json_bad`, `json_badid`.
    pub(crate) const fn new(json: usize, min: usize, bad: usize, badid: usize) -> Self {
        Self {
            json,
            min,
            bad,
            badid,
        }
    }
}

/// The value of a row of `behaviour/defaults.jsonl`.
pub(crate) fn default_of(name: &str) -> Value {
    named("defaults", 30, name)
}

/// The value of a row of `behaviour/constants.jsonl`.
pub(crate) fn constant(name: &str) -> Value {
    named("constants", 10, name)
}

fn named(table: &str, count: usize, name: &str) -> Value {
    let rows = behaviour(table, count);
    let found = rows.iter().find(|row| row["name"] == name);
    found.unwrap_or_else(|| panic!("{name} in {table}"))["value"].clone()
}

/// The names of the variants of a type in `behaviour/enum_names.jsonl`, in order: serde's, Display's.
pub(crate) fn names_of(of: &str) -> Vec<(String, Option<String>)> {
    behaviour("enum_names", 189)
        .iter()
        .filter(|row| row["type"] == of)
        .map(|row| {
            let display = row["display"].as_str().map(str::to_owned);
            (text(row, "serde").to_owned(), display)
        })
        .collect()
}

/// Holds `T` against all vectors of the type `name`: how many rows there were, and what went wrong.
pub(crate) fn check<T: Serialize + DeserializeOwned>(name: &str) -> (Counts, Vec<String>) {
    let mut counts = Counts::default();
    let mut wrong = Vec::new();
    for row in rows(&format!("json/{name}.jsonl")) {
        counts.json += 1;
        expect::<T>(&row, text(&row, "doc"), &mut wrong);
    }
    for row in rows(&format!("json_min/{name}.jsonl")) {
        counts.min += 1;
        expect::<T>(&row, text(&row, "full"), &mut wrong);
    }
    for (folder, count) in [
        ("json_bad", &mut counts.bad),
        ("json_badid", &mut counts.badid),
    ] {
        for row in rows(&format!("{folder}/{name}.jsonl")) {
            *count += 1;
            if let Ok(value) = serde_json::from_str::<T>(text(&row, "doc")) {
                let read = serde_json::to_string(&value).unwrap_or_else(|error| error.to_string());
                wrong.push(format!("{folder} {}: accepted as {read}", row["case"]));
            }
        }
    }
    (counts, wrong)
}

/// Reads the document of a row, borrowed and from a stream, and wants `full` written.
fn expect<T: Serialize + DeserializeOwned>(row: &Value, full: &str, wrong: &mut Vec<String>) {
    let doc = text(row, "doc");
    let borrowed = serde_json::from_str::<T>(doc);
    let streamed = serde_json::from_reader::<_, T>(doc.as_bytes());
    for (how, read) in [("borrowed", borrowed), ("streamed", streamed)] {
        let written = read.and_then(|value| serde_json::to_string(&value));
        match written {
            Ok(written) if written == full => {}
            Ok(written) => wrong.push(format!("{} {how}: wrote {written}", row["case"])),
            Err(error) => wrong.push(format!("{} {how}: {error}", row["case"])),
        }
    }
}

/// [`check`], where nothing may be wrong and the counts must be right.
pub(crate) fn assert_type<T: Serialize + DeserializeOwned>(name: &str, counts: Counts) {
    let (seen, wrong) = check::<T>(name);
    assert_eq!(seen, counts, "rows of {name}");
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}
