//! Paths of a fleet's files against what 0.13.0 did.
// The paths of the table are absolute on Unix only.
#![cfg(all(feature = "paths", feature = "config", unix))]
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
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use mvm_core::config::{Directory, DirectoryError, Settings};
use mvm_core::dev_network::NetworkName;
use mvm_core::naming::{
    InstanceId, InstancePath, PoolId, SocketBaseError, SocketFile, SocketPath, SunPath, TemplateId,
    TenantId,
};
use mvm_core::paths::{DEFAULT_ROOT, FleetLayout, SocketDirectoryError};
use proptest::prelude::*;
use serde_json::Value;
use vectors::{behaviour, text};

/// What this crate says where 0.13.0 called a helper.
fn ours(layout: &FleetLayout, function: &str, args: &[&str]) -> PathBuf {
    let tenant = || TenantId::new(args[0]).unwrap();
    let pool = || PoolId::new(args[1]).unwrap();
    let template = || TemplateId::new(args[0]).unwrap();
    let revision = || args[1].parse().unwrap();
    match function {
        "tenant::tenant_dir" => layout.tenant_dir(&tenant()),
        "tenant::tenant_config_path" => layout.tenant_config_path(&tenant()),
        "tenant::tenant_secrets_path" => layout.tenant_secrets_path(&tenant()),
        "tenant::tenant_audit_log_path" => layout.tenant_audit_log_path(&tenant()),
        "tenant::tenant_ssh_key_path" => layout.tenant_ssh_key_path(&tenant()),
        "tenant::tenant_pools_dir" => layout.tenant_pools_dir(&tenant()),
        "pool::pool_dir" => layout.pool_dir(&tenant(), &pool()),
        "pool::pool_config_path" => layout.pool_config_path(&tenant(), &pool()),
        "pool::pool_artifacts_dir" => layout.pool_artifacts_dir(&tenant(), &pool()),
        "pool::pool_instances_dir" => layout.pool_instances_dir(&tenant(), &pool()),
        "pool::pool_snapshots_dir" => layout.pool_snapshots_dir(&tenant(), &pool()),
        "pool::pool_config_data_dir" => layout.pool_config_data_dir(&tenant(), &pool()),
        "template::templates_base_dir" => layout.templates_base_dir().into(),
        "template::template_dir" => layout.template_dir(&template()),
        "template::template_spec_path" => layout.template_spec_path(&template()),
        "template::template_artifacts_dir" => layout.template_artifacts_dir(&template()),
        "template::template_revision_dir" => layout.template_revision_dir(&template(), &revision()),
        "template::template_current_symlink" => layout.template_current_symlink(&template()),
        "template::template_snapshot_dir" => layout.template_snapshot_dir(&template(), &revision()),
        "dev_network::networks_dir" => layout.networks_dir().into(),
        "dev_network::network_path" => layout.network_path(&NetworkName::new(args[0]).unwrap()),
        other => panic!("no such helper: {other}"),
    }
}

#[test]
fn every_helper_of_the_old_version() {
    let (mut same, mut homeless) = (BTreeMap::<String, usize>::new(), 0);
    for row in behaviour("paths", 388) {
        let env: BTreeMap<String, String> = serde_json::from_value(row["env"].clone()).unwrap();
        let settings = Settings::new({
            let env = env.clone();
            move |name: &str| env.get(name).map(OsString::from)
        });
        let args: Vec<&str> = row["args"]
            .as_array()
            .unwrap()
            .iter()
            .map(|arg| arg.as_str().unwrap())
            .collect();
        let (function, out) = (text(&row, "fn"), text(&row, "out"));
        let layout = match settings.fleet_layout() {
            Ok(layout) => layout,
            Err(error) => {
                // Without a home there are no directories of a user; those of the fleet stay.
                assert!(matches!(error, DirectoryError::HomeUnset { .. }), "{row}");
                if out.starts_with("/tmp") {
                    homeless += 1;
                    continue;
                }
                FleetLayout::default()
            }
        };
        assert_eq!(ours(&layout, function, &args), PathBuf::from(out), "{row}");
        *same.entry(function.to_owned()).or_default() += 1;
    }
    assert_eq!(same.len(), 21);
    assert_eq!((same.values().sum::<usize>(), homeless), (351, 37));
}

#[test]
fn only_absolute_directories() {
    for bad in ["", "fleet", "./fleet", "../fleet"] {
        let error = FleetLayout::new(bad).unwrap_err();
        assert_eq!(error.to_string(), format!("{bad} is not an absolute path"));
        let layout = FleetLayout::default;
        assert!(layout().with_networks_directory(bad).is_err());
        assert!(layout().with_templates_directory(bad).is_err());
        assert!(layout().with_socket_directory(bad).is_err());
    }
    let layout = FleetLayout::new("/srv").unwrap();
    assert_eq!(layout.templates_base_dir().to_str(), Some("/srv/templates"));
    assert_eq!(layout.networks_dir().to_str(), Some("/srv/networks"));
    assert_eq!(layout.socket_directory().to_str(), Some("/srv/run"));
}

#[test]
fn socket_directories_are_refused_at_once() {
    let in_directory = |directory: PathBuf| {
        let layout = FleetLayout::default().with_socket_directory(directory);
        layout.unwrap().socket_base(SunPath::Linux).map(drop)
    };
    let long = format!("/{}", "a".repeat(60));
    assert_eq!(
        in_directory(PathBuf::from(&long)),
        Err(SocketDirectoryError::Base {
            path: PathBuf::from(&long),
            error: SocketBaseError::TooLong { len: 61, max: 60 }
        })
    );
    assert_eq!(in_directory(PathBuf::from(&long[..60])), Ok(()));
    let not_unicode = PathBuf::from(OsString::from_vec(b"/\xff".to_vec()));
    assert!(matches!(
        in_directory(not_unicode),
        Err(SocketDirectoryError::NotUnicode { .. })
    ));
}

fn id() -> impl Strategy<Value = String> {
    "[a-z0-9]|[a-z0-9][a-z0-9-]{0,61}[a-z0-9]"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// No ids make a socket path that cannot be bound, and none leads out of the directories.
    #[test]
    fn whatever_the_ids(tenant in id(), pool in id(), instance in id(), port in any::<u32>()) {
        let path = InstancePath {
            tenant: TenantId::new(&tenant).unwrap(),
            pool: PoolId::new(&pool).unwrap(),
            instance: InstanceId::new(&instance).unwrap(),
        };
        let layout = FleetLayout::default();
        for (limit, most) in [(SunPath::Linux, 107), (SunPath::Portable, 103)] {
            for file in [SocketFile::FirecrackerApi, SocketFile::Vsock, SocketFile::VsockPort(port)] {
                let socket = layout.socket_path(&path, file, limit).unwrap();
                prop_assert!(socket.len() <= most);
                prop_assert!(socket.starts_with("/run/mvm/"));
            }
        }
        let directory = layout.instance_dir(&path);
        prop_assert_eq!(directory.components().count(), 4 + 6);
        prop_assert_eq!(layout.instance_state_path(&path), directory.join("instance.json"));
        // Where the core has 0.13.0's sockets.
        let file = SocketFile::Vsock;
        if let Ok(old) = SocketPath::in_state_dir(DEFAULT_ROOT, &path, file, SunPath::Linux) {
            let runtime = layout.instance_runtime_dir(&path);
            prop_assert_eq!(PathBuf::from(old.as_str()), runtime.join("v.sock"));
        }
    }
}

/// The rows of the environment that `tests/config.rs` has no directories for.
#[test]
fn templates_and_networks_by_the_environment() {
    let mut refused = 0;
    for row in behaviour("config_env", 45) {
        let env: BTreeMap<String, String> = serde_json::from_value(row["env"].clone()).unwrap();
        let settings = Settings::new(move |name: &str| env.get(name).map(OsString::from));
        for (found, directory, member) in [
            (
                settings.templates_base_dir(),
                Directory::Data,
                "templates_base_dir",
            ),
            (settings.networks_dir(), Directory::Share, "networks_dir"),
        ] {
            match settings.directory(directory) {
                Ok(_) => assert_eq!(found, Ok(PathBuf::from(text(&row["out"], member))), "{row}"),
                Err(error) => {
                    assert_eq!(found, Err(error), "{row}");
                    assert_eq!(
                        row["env"].get("HOME").and_then(Value::as_str).unwrap_or(""),
                        ""
                    );
                    refused += 1;
                }
            }
        }
    }
    assert_eq!(refused, 5);
}
