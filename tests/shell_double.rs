//! The double of the environments, as tests of other programs use it.
#![cfg(feature = "shell")]
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mvm_core::build_env::{
    Answer, BuildEnvironment, BuildError, Call, Captured, CommandOutput, CommandSpec, Exit,
    LogLevel, RecordingShell, ScriptKind, ShellEnvironment, ShellError,
};
use mvm_core::document::Document;
use mvm_core::instance::{InstanceNet, PrefixLen};
use mvm_core::linux_env::LinuxEnv;
use mvm_core::naming::{HostOffset, PoolId, RevisionHash, TenantId};
use mvm_core::pool::{ArtifactPaths, BuildRevision, PoolSpec};
use mvm_core::tenant::TenantConfig;

fn tenant() -> TenantConfig {
    let text = br#"{
        "tenant_id": "acme", "secrets_epoch": 0, "config_version": 1, "pinned": false,
        "audit_retention_days": 0, "created_at": "2026-02-03T04:05:06Z",
        "quotas": {
            "max_vcpus": 1, "max_mem_mib": 1, "max_running": 1, "max_warm": 1, "max_pools": 1,
            "max_instances_per_pool": 1, "max_disk_gib": 1
        },
        "net": {
            "tenant_net_id": 3, "ipv4_subnet": "10.240.3.0/24", "gateway_ip": "10.240.3.1",
            "bridge_name": "br-tenant-3"
        }
    }"#;
    TenantConfig::from_json(text).unwrap()
}

fn pool() -> PoolSpec {
    let text = br#"{
        "pool_id": "workers", "tenant_id": "acme", "flake_ref": ".#guest", "profile": "minimal",
        "instance_resources": {"vcpus": 1, "mem_mib": 256},
        "desired_counts": {"running": 1, "warm": 0, "sleeping": 0}
    }"#;
    PoolSpec::from_json(text).unwrap()
}

#[test]
fn answers_come_in_order() {
    let double = RecordingShell::new()
        .expect_script("uname -m", Answer::stdout("x86_64\n"))
        .expect_command(["ip", "link"], Answer::failure(1, "no permission"))
        .expect_script_where("something of nix", |s| s.contains("nix"), Answer::success())
        .expect_command_where(
            "with an input",
            |command| command.input() == Some(b"in".as_slice()),
            Answer::stdout("out"),
        )
        .expect_script("slow", Answer::timed_out(Duration::from_secs(5)))
        .expect_script("gone", Answer::not_started(io::ErrorKind::NotFound))
        .expect_script(
            "long",
            Answer::output(CommandOutput {
                exit: Exit::Code(0),
                stdout: Captured::beginning("abc", 10),
                stderr: Captured::default(),
            }),
        );
    let env: &dyn ShellEnvironment = &double;
    assert_eq!(env.shell_exec_stdout("uname -m").unwrap(), "x86_64\n");
    let error = env.exec(&CommandSpec::new("ip").arg("link")).unwrap_err();
    assert_eq!(error.to_string(), "ip link: exit code 1: no permission");
    env.shell_exec_visible("nix build").unwrap();
    let command = CommandSpec::new("anything").stdin("in");
    assert_eq!(env.exec(&command).unwrap().stdout.text(), "out");
    let error = env.shell_exec("slow").unwrap_err();
    assert_eq!(error.to_string(), "slow: killed after 5s");
    let error = env.shell_exec("gone").unwrap_err();
    assert!(
        matches!(error, ShellError::Start { error, .. } if error.kind() == io::ErrorKind::NotFound)
    );
    let error = env.shell_exec_stdout("long").unwrap_err();
    assert_eq!(
        error.to_string(),
        "long: its output is cut: 3 bytes and 10 more"
    );
    double.finish().unwrap();
    assert_eq!(double.calls().len(), 7);
    let script = String::from("nix build");
    let kind = ScriptKind::Visible;
    assert_eq!(double.calls()[2], Call::Script { kind, script });
}

#[test]
fn what_is_not_expected_is_refused() {
    let double = RecordingShell::new()
        .expect_script("first", Answer::success())
        .expect_command(["second", "it's"], Answer::success());
    // A program is no script, arguments count, and the order does.
    for command in ["second", "first"] {
        let error = double.exec(&CommandSpec::new(command)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{command}: not expected: the script first")
        );
    }
    double.shell_exec("first").unwrap();
    let error = double.exec(&CommandSpec::new("second")).unwrap_err();
    assert!(
        error.to_string().contains("the program second 'it'\\''s'"),
        "{error}"
    );
    let unmet = double.finish().unwrap_err();
    assert_eq!(unmet.missing, ["the program second 'it'\\''s'"]);
    assert_eq!(unmet.unexpected, ["second", "first", "second"]);
    // One that is met later on does not make up for what was not expected.
    double
        .exec(&CommandSpec::new("second").arg("it's"))
        .unwrap();
    assert!(double.finish().unwrap_err().missing.is_empty());
    let error = double.run("more").unwrap_err();
    assert_eq!(error.to_string(), "more: not expected: nothing more is");
}

#[test]
fn logs_are_recorded() {
    let double = RecordingShell::new();
    double.log_info("a");
    double.log_success("b");
    double.log_warn("c");
    let lines = [
        (LogLevel::Info, "a"),
        (LogLevel::Success, "b"),
        (LogLevel::Warn, "c"),
    ];
    let expected = lines.map(|(level, line)| Call::Log {
        level,
        message: line.into(),
    });
    assert_eq!(double.calls(), expected);
    double.finish().unwrap();
}

#[test]
fn threads_share_it() {
    let mut double = RecordingShell::new();
    for _ in 0..100 {
        double = double.expect_script("x", Answer::stdout("y"));
    }
    let double: Arc<dyn ShellEnvironment> = Arc::new(double);
    thread::scope(|scope| {
        for _ in 0..10 {
            let double = Arc::clone(&double);
            scope.spawn(move || {
                for _ in 0..10 {
                    assert_eq!(double.shell_exec_stdout("x").unwrap(), "y");
                }
            });
        }
    });
    assert!(matches!(
        double.shell_exec("x"),
        Err(ShellError::Unexpected { .. })
    ));
}

#[test]
fn a_whole_build() {
    let (tenant, pool) = (tenant(), pool());
    let net = InstanceNet::new(
        tenant.net.tenant_net_id,
        HostOffset::new(5).unwrap(),
        "10.240.3.5".parse().unwrap(),
        tenant.net.gateway_ip,
        PrefixLen::new(24).unwrap(),
    );
    let revision = BuildRevision {
        revision_hash: RevisionHash::new("0a1b2c3d").unwrap(),
        flake_ref: pool.flake_ref.clone(),
        flake_lock_hash: "ff".parse().unwrap(),
        artifact_paths: ArtifactPaths {
            vmlinux: "vmlinux".into(),
            rootfs: "rootfs.ext4".into(),
            fc_base_config: "fc-base.json".into(),
            initrd: None,
            sizes: None,
        },
        built_at: tenant.created_at,
    };
    let double = RecordingShell::new()
        .with_tenant(tenant.clone())
        .with_pool(pool.clone());
    let env: &dyn BuildEnvironment = &double;
    let (acme, workers) = (&tenant.tenant_id, &pool.pool_id);
    assert_eq!(env.load_pool_spec(acme, workers).unwrap(), pool);
    env.ensure_tenant_bridge(acme).unwrap();
    env.setup_tap(&net, &tenant.net.bridge_name).unwrap();
    env.record_revision(acme, workers, &revision).unwrap();
    env.teardown_tap(&net.tap_dev()).unwrap();
    assert_eq!(
        double.calls(),
        [
            Call::LoadPoolSpec(acme.clone(), workers.clone()),
            Call::LoadTenantConfig(acme.clone()),
            Call::EnsureBridge(Box::new(tenant.net.clone())),
            Call::SetupTap(net, tenant.net.bridge_name.clone()),
            Call::RecordRevision(acme.clone(), workers.clone(), Box::new(revision)),
            Call::TeardownTap(net.tap_dev()),
        ]
    );
    // It has what it was given, and no more.
    let other = TenantId::new("other").unwrap();
    let error = env.ensure_tenant_bridge(&other).unwrap_err();
    assert!(
        error.to_string().starts_with("tenant other: not loaded: "),
        "{error}"
    );
    assert!(matches!(&error, BuildError::Load { .. }) && error.source().is_some());
    let none = PoolId::new("none").unwrap();
    assert!(env.load_pool_spec(acme, &none).is_err());
}
