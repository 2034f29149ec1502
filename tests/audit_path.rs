//! Where the log of a single host is, against what 0.13.0 did.
#![cfg(all(feature = "audit-log", feature = "config", unix))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]

#[path = "common/vectors.rs"]
mod vectors;

use std::ffi::OsString;
use std::path::PathBuf;

use mvm_core::audit::LocalAuditError;
use mvm_core::config::Settings;
use vectors::{behaviour, text};

#[test]
fn the_default_path() {
    let mut refused = 0;
    for row in behaviour("config_env", 45) {
        let env = row["env"].as_object().unwrap().clone();
        let home = env.get("HOME").and_then(|home| home.as_str()).unwrap_or("");
        let own = ["MVM_STATE_DIR", "XDG_STATE_HOME"]
            .iter()
            .any(|name| env.get(*name).is_some_and(|value| value != ""));
        let good = home.starts_with('/') || own;
        let variables = env.clone();
        let settings = Settings::new(move |name: &str| {
            variables
                .get(name)
                .map(|value| OsString::from(value.as_str().unwrap()))
        });
        let found = settings.default_audit_log();
        if good {
            let wanted = PathBuf::from(text(&row["out"], "default_audit_log"));
            assert_eq!(found.unwrap(), wanted, "{row}");
        } else {
            // 0.13.0 went to /tmp or to the root directory.
            assert!(matches!(found, Err(LocalAuditError::Directory(_))), "{row}");
            refused += 1;
        }
    }
    assert_eq!(refused, 3);
}

#[test]
fn an_older_log_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let settings = {
        let home = home.path().to_owned();
        Settings::new(move |name: &str| (name == "HOME").then(|| home.clone().into()))
    };
    let newer = home.path().join(".local/state/mvm/log/audit.jsonl");
    assert_eq!(settings.default_audit_log().unwrap(), newer);
    let older = home.path().join(".mvm/log/audit.jsonl");
    std::fs::create_dir_all(older.parent().unwrap()).unwrap();
    std::fs::write(&older, "").unwrap();
    assert_eq!(settings.default_audit_log().unwrap(), older);
}
