//! Versions, directories and sizes against what 0.13.0 did.
// The paths of the tables are absolute on Unix only.
#![cfg(all(feature = "config", unix))]
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::unwrap_used
)]

#[path = "common/vectors.rs"]
mod vectors;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use mvm_core::config::{
    self, ARCH, Directory, DirectoryError, FC_VERSION_DEFAULT, FcVersion, FcVersionError, Settings,
    Variables, normalize_fc_version,
};
use mvm_core::util::{SizeError, parse_human_size};
use proptest::prelude::*;
use serde_json::Value;
use vectors::{behaviour, rows, text};

type Map = BTreeMap<String, OsString>;

fn settings(map: Map) -> Settings<impl Variables> {
    Settings::new(move |name: &str| map.get(name).cloned())
}

fn map<const N: usize>(entries: [(&str, &str); N]) -> Map {
    entries
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

/// The variables of a row of `config_env` or `config_env_nonutf8`.
fn variables(row: &Value) -> Map {
    let mut map: Map = row["env"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().into()))
        .collect();
    if let Some(hex) = row.get("env_hex") {
        for (name, value) in hex.as_object().unwrap() {
            map.insert(name.clone(), not_unicode(value.as_str().unwrap()));
        }
    }
    map
}

fn not_unicode(hex: &str) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    let digits: Vec<u8> = hex
        .bytes()
        .map(|c| u8::try_from(char::from(c).to_digit(16).unwrap()).unwrap())
        .collect();
    OsString::from_vec(
        digits
            .chunks(2)
            .map(|pair| pair[0] * 16 + pair[1])
            .collect(),
    )
}

const MEMBERS: [(Directory, &str); 5] = [
    (Directory::Data, "mvm_data_dir"),
    (Directory::Cache, "mvm_cache_dir"),
    (Directory::Config, "mvm_config_dir"),
    (Directory::State, "mvm_state_dir"),
    (Directory::Share, "mvm_share_dir"),
];

/// Holds a row against 0.13.0; `HOME` is the rule where it is an absolute path. Says how many
/// directories were refused.
fn environment_row(row: &Value) -> usize {
    let map = variables(row);
    let home = map.get("HOME").and_then(|home| home.to_str());
    let home_is_good = home.is_some_and(|home| home.starts_with('/'));
    let own = |directory: Directory| {
        [Some(directory.variable()), directory.xdg_variable()]
            .into_iter()
            .flatten()
            .filter_map(|name| map.get(name).and_then(|value| value.to_str()))
            .any(|value| !value.is_empty())
    };
    let settings = settings(map.clone());
    let out = &row["out"];
    if option_env!("MVM_FC_VERSION").is_none() {
        assert_eq!(settings.fc_version(), text(out, "fc_version"), "{row}");
        assert_eq!(
            settings.fc_version_short(),
            text(out, "fc_version_short"),
            "{row}"
        );
    }
    let production = out["is_production_mode"].as_bool().unwrap();
    assert_eq!(settings.is_production_mode(), production, "{row}");
    let mut refused = 0;
    for (directory, member) in MEMBERS {
        let found = settings.directory(directory);
        if home_is_good || own(directory) {
            assert_eq!(
                found,
                Ok(PathBuf::from(text(out, member))),
                "{member} of {row}"
            );
        } else {
            // 0.13.0 went to /tmp or to the root directory.
            let error = match map.get("HOME") {
                Some(home) if home.to_str().is_none() => {
                    DirectoryError::HomeNotUnicode { directory }
                }
                _ => DirectoryError::HomeUnset { directory },
            };
            assert_eq!(found, Err(error), "{member} of {row}");
            refused += 1;
        }
    }
    refused
}

#[test]
fn the_environment() {
    let refused: usize = behaviour("config_env", 45)
        .iter()
        .map(environment_row)
        .sum();
    // No variable at all, an empty HOME, and one with only MVM_DATA_DIR.
    assert_eq!(refused, 5 + 5 + 4);
}

#[test]
fn variables_that_are_not_unicode_count_as_unset() {
    let refused: usize = behaviour("config_env_nonutf8", 6)
        .iter()
        .map(environment_row)
        .sum();
    // HOME itself.
    assert_eq!(refused, 5);
}

#[test]
fn a_relative_directory_is_never_the_answer() {
    let relative = settings(map([("HOME", "home/op")]));
    for directory in Directory::ALL {
        assert_eq!(
            relative.directory(directory),
            Err(DirectoryError::HomeRelative {
                directory,
                home: "home/op".into()
            })
        );
        let own = settings(map([("HOME", "/home/op"), (directory.variable(), "./x")]));
        assert_eq!(
            own.directory(directory),
            Err(DirectoryError::Relative {
                directory,
                value: "./x".into()
            })
        );
        let Some(xdg) = directory.xdg_variable() else {
            continue;
        };
        // The XDG specification: relative paths are to be ignored.
        let xdg = settings(map([("HOME", "/home/op"), (xdg, "x")]));
        let default = PathBuf::from("/home/op").join(directory.below_home());
        assert_eq!(xdg.directory(directory), Ok(default));
    }
}

#[test]
fn errors_name_the_variables() {
    let error = settings(map([])).directory(Directory::Cache).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no cache directory: neither HOME nor MVM_CACHE_DIR is set"
    );
}

/// The environment of the test, whatever it is, gives the same through both ways.
#[test]
fn functions_look_at_the_environment_of_the_process() {
    let process = Settings::of_process();
    assert_eq!(config::fc_version(), process.fc_version());
    assert_eq!(config::fc_version_short(), process.fc_version_short());
    assert_eq!(config::is_production_mode(), process.is_production_mode());
    for (directory, found) in [
        (Directory::Data, config::mvm_data_dir()),
        (Directory::Cache, config::mvm_cache_dir()),
        (Directory::Config, config::mvm_config_dir()),
        (Directory::State, config::mvm_state_dir()),
        (Directory::Share, config::mvm_share_dir()),
    ] {
        assert_eq!(found, process.directory(directory));
    }
}

#[test]
fn constants() {
    let rows = rows("behaviour/constants.jsonl");
    let value = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        text(row, "value").to_owned()
    };
    if option_env!("MVM_FC_VERSION").is_none() {
        assert_eq!(FC_VERSION_DEFAULT, value("config::FC_VERSION_DEFAULT"));
    }
    // 0.13.0 said aarch64 on every machine.
    assert_eq!(value("config::ARCH"), "aarch64");
    assert_eq!(ARCH, std::env::consts::ARCH);
}

#[test]
fn versions_of_firecracker() {
    // 0.13.0 took the last of several versions, and dates.
    let ours = BTreeMap::from([
        ("v1.2.3 v4.5.6", "v1.2.3"),
        ("v4.5.6 and 1.2", "v4.5.6"),
        ("v1.2.3\nv1.2.4", "v1.2.3"),
        ("2025.01.02", "v1.14.1"),
    ]);
    let mut not_the_rule = 0;
    for row in behaviour("normalize_fc_version", 34) {
        let input = text(&row, "input");
        let out = match ours.get(input) {
            Some(out) => {
                assert_ne!(*out, text(&row, "out"));
                not_the_rule += 1;
                *out
            }
            None => text(&row, "out"),
        };
        if out == "v1.14.1" && option_env!("MVM_FC_VERSION").is_some() {
            continue;
        }
        assert_eq!(normalize_fc_version(input), out, "{input:?}");
    }
    assert_eq!(not_the_rule, ours.len());
}

#[test]
fn the_version_that_belongs_to_firecracker() {
    for (text, version) in [
        // What `firecracker --version` prints.
        (
            "Firecracker v1.3.3\n\nSupported snapshot data format versions: v0.23.0, v0.24.0\n",
            "v1.3.3",
        ),
        ("Firecracker v1.7.0 (built 2024.05.1)", "v1.7.0"),
        ("Firecracker v1.7.0+2024.05.01", "v1.7.0+2024.05.01"),
        ("v1.10.1-rc.1.2", "v1.10.1-rc.1.2"),
        ("v1.4.0-15-g0a1b2c3", "v1.4.0-15-g0a1b2c3"),
        ("Firecracker v1.10.1-dirty", "v1.10.1-dirty"),
        ("firecracker-v1.7.0-x86_64", "v1.7.0"),
        (
            "firecracker-v1.7.0-rc.2-aarch64.tgz",
            "v1.7.0-rc.2-aarch64.tgz",
        ),
        (
            "linux 5.10.210, jailer v1.5.0, firecracker version: 1.7.0",
            "v1.7.0",
        ),
        ("kernel 5.10.210 with v1.7.0", "v1.7.0"),
        ("02.01.2025: 1.7.0", "v1.7.0"),
        ("built 2025.01, 1.7", "v1.7"),
        ("FIRECRACKER=1.7.0", "v1.7.0"),
        ("Firecracker (2024.05.1) 1.7.0", "v1.7.0"),
        ("é1.7.0é", "v1.7.0"),
        ("1.7.0.", "v1.7.0"),
        ("v1.7.0-.", "v1.7.0"),
    ] {
        let found = FcVersion::find(text).map(|version| version.to_string());
        assert_eq!(found.as_deref(), Ok(version), "{text:?}");
        let core = version.split(['-', '+']).next().unwrap();
        assert_eq!(normalize_fc_version(text), core, "{text:?}");
    }
    assert_eq!(FcVersion::find("2025.01.02"), Err(FcVersionError::Missing));
    assert_eq!(FcVersion::find("v1"), Err(FcVersionError::Missing));
    let huge = "v1.99999999999999999999";
    assert_eq!(FcVersion::find(huge), Err(FcVersionError::TooLarge));
}

#[test]
fn a_mistyped_version_can_be_told_from_none() {
    let check = |value| settings(map([("MVM_FC_VERSION", value)])).check_fc_version();
    assert_eq!(check(""), Ok(None));
    assert_eq!(check("garbage"), Err(FcVersionError::Missing));
    assert_eq!(
        check("1.13").map(|v| v.unwrap().to_string()),
        Ok("v1.13".into())
    );
}

#[test]
fn sizes() {
    // 0.13.0 made 0 MiB of them.
    let ours = ["100K", "10K"];
    let mut not_the_rule = 0;
    for row in behaviour("parse_human_size", 53) {
        let input = text(&row, "input");
        let found = parse_human_size(input);
        if ours.contains(&input) {
            assert_eq!(row["out"], 0);
            assert_eq!(found, Err(SizeError::TooSmall), "{input:?}");
            not_the_rule += 1;
        } else if row["ok"] == true {
            assert_eq!(
                found.map(Value::from).as_ref(),
                Ok(&row["out"]),
                "{input:?}"
            );
        } else {
            assert!(found.is_err(), "{input:?} gave {found:?}");
        }
    }
    assert_eq!(not_the_rule, ours.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// No text panics, and what is found is found again in its own form.
    #[test]
    fn versions_are_read_back(text in "[ -~é]{0,40}|(firecracker |v|2025\\.|1\\.|-rc|\\+b|[0-9.]){0,8}") {
        if let Ok(version) = FcVersion::find(&text) {
            prop_assert_eq!(FcVersion::find(&version.to_string()), Ok(version));
        }
        let normal = normalize_fc_version(&text);
        prop_assert!(normal.starts_with('v') && normal.contains('.'));
        prop_assert_eq!(normalize_fc_version(&normal), normal);
    }

    /// The same as with floating-point numbers, wherever those are exact.
    #[test]
    fn sizes_are_rounded_to_the_nearest(sixteenths in 0_u32..1 << 24, unit in 0_usize..3) {
        let number = f64::from(sixteenths) / 16.0;
        let (name, times) = [("K", 1.0 / 1024.0), ("M", 1.0), ("GiB", 1024.0)][unit];
        let exact = number * times;
        let found = parse_human_size(&format!("{number}{name}"));
        if exact.round() > f64::from(u32::MAX) {
            prop_assert_eq!(found, Err(SizeError::TooLarge));
        } else if exact > 0.0 && exact.round() == 0.0 {
            prop_assert_eq!(found, Err(SizeError::TooSmall));
        } else {
            prop_assert_eq!(found.map(f64::from), Ok(exact.round()));
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,20}|[0-9. ]{0,24}[kKmMgG]?[iI]?[bB]?") {
        let _ = parse_human_size(&text);
    }
}
