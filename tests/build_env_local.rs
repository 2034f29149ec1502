//! A build's environment on this node: documents and revisions for real, `ip` by a double.
#![cfg(all(feature = "shell", feature = "paths", unix))]
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use mvm_core::build_env::{
    Answer, BuildEnvironment, BuildError, Call, LinkProblem, LocalBuildEnvironment, RecordingShell,
    ShellError,
};
use mvm_core::naming::{PoolId, TenantId};
use mvm_core::store::StoreError;

#[path = "build_env/fleet.rs"]
mod fleet;

use fleet::{instance, pool, revision, store, tenant};

const NO_DEVICE: &str = "Device \"x\" does not exist.\n";
const SHOW_BRIDGE: [&str; 7] = [
    "ip",
    "-json",
    "-details",
    "link",
    "show",
    "dev",
    "br-tenant-3",
];
const SHOW_TAP: [&str; 7] = ["ip", "-json", "-details", "link", "show", "dev", "tn3i5"];
const BRIDGE: &str = r#"[{"ifname":"br-tenant-3","linkinfo":{"info_kind":"bridge"}}]"#;
const DUMMY_BRIDGE: &str = r#"[{"ifname":"br-tenant-3","linkinfo":{"info_kind":"dummy"}}]"#;
const TAP: &str =
    r#"[{"ifname":"tn3i5","linkinfo":{"info_kind":"tun","info_data":{"type":"tap"}}}]"#;
const JOINED: &str = r#"[{"ifname":"tn3i5","master":"br-tenant-3",
    "linkinfo":{"info_kind":"tun","info_data":{"type":"tap"}}}]"#;
const ELSEWHERE: &str = r#"[{"ifname":"tn3i5","master":"br0",
    "linkinfo":{"info_kind":"tun","info_data":{"type":"tap"}}}]"#;
const TUN: &str =
    r#"[{"ifname":"tn3i5","linkinfo":{"info_kind":"tun","info_data":{"type":"tun"}}}]"#;
const BUSYBOX: &str = "ip: unrecognized option '-json'";

fn absent() -> Answer {
    Answer::failure(1, NO_DEVICE)
}

/// A whole command line of `ip`.
fn ip(words: &str) -> Vec<&str> {
    ["ip"].into_iter().chain(words.split(' ')).collect()
}

/// Runs a call with a double; all that was expected was asked for.
fn with<T>(
    double: RecordingShell,
    call: impl FnOnce(&dyn BuildEnvironment) -> Result<T, BuildError>,
) -> Result<T, BuildError> {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory, &tenant(3));
    let node = LocalBuildEnvironment::with_shell(store, double);
    let result = call(&node);
    node.shell().finish().unwrap();
    for call in node.shell().calls() {
        if let Call::Exec(command) = call {
            assert!(command.deadline_of().is_some() && !command.is_visible());
        }
    }
    result
}

fn ensure(double: RecordingShell) -> Result<(), BuildError> {
    with(double, |node| {
        node.ensure_tenant_bridge(&TenantId::new("acme").unwrap())
    })
}

fn setup(double: RecordingShell) -> Result<(), BuildError> {
    let tenant = tenant(3);
    with(double, |node| {
        node.setup_tap(&instance(&tenant, 5), &tenant.net.bridge_name)
    })
}

fn teardown(double: RecordingShell) -> Result<(), BuildError> {
    with(double, |node| {
        node.teardown_tap(&instance(&tenant(3), 5).tap_dev())
    })
}

#[test]
fn a_bridge() {
    let finish = |double: RecordingShell| {
        double
            .expect_command(
                ip("address replace 10.240.3.1/24 dev br-tenant-3"),
                Answer::success(),
            )
            .expect_command(ip("link set dev br-tenant-3 up"), Answer::success())
    };
    let add = || ip("link add name br-tenant-3 type bridge");
    let new = RecordingShell::new()
        .expect_command(SHOW_BRIDGE, absent())
        .expect_command(add(), Answer::success());
    ensure(finish(new)).unwrap();
    let old = RecordingShell::new().expect_command(SHOW_BRIDGE, Answer::stdout(BRIDGE));
    ensure(finish(old)).unwrap();
    // Somebody else makes it at the same time.
    let raced = RecordingShell::new()
        .expect_command(SHOW_BRIDGE, absent())
        .expect_command(add(), Answer::failure(2, "RTNETLINK answers: File exists"))
        .expect_command(SHOW_BRIDGE, Answer::stdout(BRIDGE));
    ensure(finish(raced)).unwrap();
    // There is no right to.
    let refused = RecordingShell::new()
        .expect_command(SHOW_BRIDGE, absent())
        .expect_command(
            add(),
            Answer::failure(2, "RTNETLINK answers: Operation not permitted"),
        )
        .expect_command(SHOW_BRIDGE, absent());
    let error = ensure(refused).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("exit code 2: RTNETLINK answers: Operation not permitted")
    );
    // It is something else.
    let other = RecordingShell::new().expect_command(SHOW_BRIDGE, Answer::stdout(DUMMY_BRIDGE));
    let error = ensure(other).unwrap_err();
    assert_eq!(
        error.to_string(),
        "br-tenant-3: there is a device of this name, and it is dummy, not a bridge"
    );
}

#[test]
fn what_was_created_and_not_finished_is_removed() {
    let failure = || Answer::failure(2, "RTNETLINK answers: No space left on device");
    let address = || ip("address replace 10.240.3.1/24 dev br-tenant-3");
    let new = RecordingShell::new()
        .expect_command(SHOW_BRIDGE, absent())
        .expect_command(
            ip("link add name br-tenant-3 type bridge"),
            Answer::success(),
        )
        .expect_command(address(), failure())
        .expect_command(ip("link delete dev br-tenant-3"), Answer::success());
    assert!(
        ensure(new)
            .unwrap_err()
            .to_string()
            .contains("No space left")
    );
    // One that was there is left.
    let old = RecordingShell::new()
        .expect_command(SHOW_BRIDGE, Answer::stdout(BRIDGE))
        .expect_command(address(), failure());
    ensure(old).unwrap_err();
    let tap = RecordingShell::new()
        .expect_command(SHOW_BRIDGE, Answer::stdout(BRIDGE))
        .expect_command(SHOW_TAP, absent())
        .expect_command(ip("tuntap add dev tn3i5 mode tap"), Answer::success())
        .expect_command(ip("link set dev tn3i5 master br-tenant-3"), failure())
        .expect_command(ip("link delete dev tn3i5"), Answer::failure(2, "busy"));
    // Why it was not finished counts, and that it is left is said.
    assert!(
        setup(tap)
            .unwrap_err()
            .to_string()
            .contains("No space left")
    );
}

#[test]
fn a_tap_device() {
    let begin = || RecordingShell::new().expect_command(SHOW_BRIDGE, Answer::stdout(BRIDGE));
    let finish = |double: RecordingShell| {
        double
            .expect_command(
                ip("link set dev tn3i5 master br-tenant-3"),
                Answer::success(),
            )
            .expect_command(ip("link set dev tn3i5 up"), Answer::success())
    };
    let add = || ip("tuntap add dev tn3i5 mode tap");
    let new = begin()
        .expect_command(SHOW_TAP, absent())
        .expect_command(add(), Answer::success());
    setup(finish(new)).unwrap();
    for there in [TAP, JOINED] {
        setup(finish(
            begin().expect_command(SHOW_TAP, Answer::stdout(there)),
        ))
        .unwrap();
    }
    let raced = begin()
        .expect_command(SHOW_TAP, absent())
        .expect_command(
            add(),
            Answer::failure(1, "ioctl(TUNSETIFF): Device or resource busy"),
        )
        .expect_command(SHOW_TAP, Answer::stdout(TAP));
    setup(finish(raced)).unwrap();
    for (there, problem) in [
        (
            TUN,
            "tn3i5: there is a device of this name, and it is tun (tun), not a TAP device",
        ),
        (ELSEWHERE, "tn3i5: it belongs to br0"),
    ] {
        let error = setup(begin().expect_command(SHOW_TAP, Answer::stdout(there))).unwrap_err();
        assert_eq!(error.to_string(), problem);
        // Also one that came in between.
        let raced = begin()
            .expect_command(SHOW_TAP, absent())
            .expect_command(add(), Answer::failure(1, "busy"))
            .expect_command(SHOW_TAP, Answer::stdout(there));
        assert_eq!(setup(raced).unwrap_err().to_string(), problem);
    }
    // Its bridge is not there, or none.
    let none = RecordingShell::new().expect_command(SHOW_BRIDGE, absent());
    let error = setup(none).unwrap_err();
    assert_eq!(error.to_string(), "tn3i5: there is no br-tenant-3");
    let dummy = RecordingShell::new().expect_command(SHOW_BRIDGE, Answer::stdout(DUMMY_BRIDGE));
    assert!(matches!(setup(dummy), Err(BuildError::Bridge { .. })));
    // The bridge of another network: nothing is asked at all.
    let error = with(RecordingShell::new(), |node| {
        node.setup_tap(&instance(&tenant(3), 5), &tenant(4).net.bridge_name)
    });
    let problem = match error.unwrap_err() {
        BuildError::Tap { problem, .. } => problem,
        error => panic!("{error}"),
    };
    assert!(matches!(problem, LinkProblem::OtherNetwork { .. }));
}

#[test]
fn no_tap_device() {
    let delete = || ip("link delete dev tn3i5");
    teardown(RecordingShell::new().expect_command(SHOW_TAP, absent())).unwrap();
    // It goes while it is asked for: the words of iproute2 6.1.
    let going = "RTNETLINK answers: No such device\nCannot send link get request: No such device\n";
    let going = Answer::failure(1, going);
    teardown(RecordingShell::new().expect_command(SHOW_TAP, going)).unwrap();
    let there = || RecordingShell::new().expect_command(SHOW_TAP, Answer::stdout(JOINED));
    teardown(there().expect_command(delete(), Answer::success())).unwrap();
    let gone = there()
        .expect_command(delete(), Answer::failure(1, "Cannot find device \"tn3i5\""))
        .expect_command(SHOW_TAP, absent());
    teardown(gone).unwrap();
    let busy = there()
        .expect_command(delete(), Answer::failure(2, "busy"))
        .expect_command(SHOW_TAP, Answer::stdout(JOINED));
    assert!(matches!(
        teardown(busy),
        Err(BuildError::Shell(ShellError::Failed { .. }))
    ));
    // What is none is not removed.
    let tun = RecordingShell::new().expect_command(SHOW_TAP, Answer::stdout(TUN));
    assert!(matches!(teardown(tun), Err(BuildError::Tap { .. })));
}

#[test]
fn an_ip_that_is_of_no_use() {
    // That a device is not there has to be said: nothing is made or taken for gone otherwise.
    for answer in [
        Answer::failure(1, BUSYBOX),
        Answer::failure(255, NO_DEVICE),
        Answer::failure(1, ""),
        Answer::not_started(io::ErrorKind::NotFound),
        Answer::timed_out(mvm_core::build_env::IP_DEADLINE),
    ] {
        let result = teardown(RecordingShell::new().expect_command(SHOW_TAP, answer));
        assert!(matches!(result, Err(BuildError::Shell(_))), "{result:?}");
    }
    for text in ["", "[]", "3: tn3i5: <BROADCAST>", BRIDGE] {
        let result = teardown(RecordingShell::new().expect_command(SHOW_TAP, Answer::stdout(text)));
        let Err(BuildError::Tap { problem, .. }) = result else {
            panic!("{result:?}");
        };
        assert!(matches!(problem, LinkProblem::Unreadable { .. }));
    }
    // Another program of that name.
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory, &tenant(3));
    let other = SHOW_TAP.map(|word| if word == "ip" { "/opt/ip" } else { word });
    let double = RecordingShell::new().expect_command(other, absent());
    let node = LocalBuildEnvironment::with_shell(store, double).with_ip("/opt/ip");
    node.teardown_tap(&instance(&tenant(3), 5).tap_dev())
        .unwrap();
}

#[test]
fn documents() {
    let directory = tempfile::tempdir().unwrap();
    let tenant = tenant(3);
    let node = LocalBuildEnvironment::new(store(&directory, &tenant));
    let env: &dyn BuildEnvironment = &node;
    assert_eq!(env.load_tenant_config(&tenant.tenant_id).unwrap(), tenant);
    let pool = pool();
    assert_eq!(
        env.load_pool_spec(&pool.tenant_id, &pool.pool_id).unwrap(),
        pool
    );
    let none = PoolId::new("none").unwrap();
    let error = env.load_pool_spec(&pool.tenant_id, &none).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("pool acme/none: not loaded: "),
        "{error}"
    );
    let BuildError::Load { error, .. } = error else {
        panic!("{error}");
    };
    let error = error.downcast::<StoreError>().unwrap();
    assert!(matches!(*error, StoreError::Missing { .. }));
    // It is a shell as well.
    assert_eq!(env.shell_exec_stdout("echo here").unwrap(), "here\n");
}

#[test]
fn revisions() {
    let directory = tempfile::tempdir().unwrap();
    let node = LocalBuildEnvironment::new(store(&directory, &tenant(3)));
    let pool = pool();
    let (tenant, pool) = (&pool.tenant_id, &pool.pool_id);
    let artifacts = directory
        .path()
        .join("tenants/acme/pools/workers/artifacts");
    assert_eq!(node.current_revision(tenant, pool).unwrap(), None);
    for hash in ["0a1b", "2c3d", "2c3d", "0a1b"] {
        let revision = revision(hash);
        node.record_revision(tenant, pool, &revision).unwrap();
        // As 0.13.0 has it: relative, so that the whole can be moved.
        let target = fs::read_link(artifacts.join("current")).unwrap();
        assert_eq!(target.to_str(), Some(format!("revisions/{hash}").as_str()));
        let text = fs::read(artifacts.join("current/revision.json")).unwrap();
        let stored: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(stored["revision_hash"], hash);
        let current = node.current_revision(tenant, pool).unwrap().unwrap();
        assert_eq!(current, revision.revision_hash);
    }
    let names = |path: &std::path::Path| {
        let mut names: Vec<String> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(&artifacts), ["current", "revisions"]);
    assert_eq!(names(&artifacts.join("revisions")), ["0a1b", "2c3d"]);
}

#[test]
fn a_link_that_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let node = LocalBuildEnvironment::new(store(&directory, &tenant(3)));
    let pool = pool();
    let (tenant, pool) = (&pool.tenant_id, &pool.pool_id);
    let artifacts = directory
        .path()
        .join("tenants/acme/pools/workers/artifacts");
    let current = artifacts.join("current");
    fs::create_dir_all(&artifacts).unwrap();
    for target in [
        "/etc",
        "revisions",
        "revisions/../x",
        "revisions/a/b",
        "other/0a1b",
    ] {
        let _ = fs::remove_file(&current);
        symlink(target, &current).unwrap();
        let error = node.current_revision(tenant, pool).unwrap_err();
        assert!(
            error.to_string().contains("which is no revision"),
            "{error}"
        );
        // A link is replaced, whatever it is; what it leads to stays.
        node.record_revision(tenant, pool, &revision("0a1b"))
            .unwrap();
        assert!(node.current_revision(tenant, pool).unwrap().is_some());
    }
    // A directory is not: there may be anything in it.
    fs::remove_file(&current).unwrap();
    fs::create_dir(&current).unwrap();
    let error = node
        .record_revision(tenant, pool, &revision("2c3d"))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("revision 2c3d of pool acme/workers: not recorded: "),
        "{error}"
    );
    assert!(current.is_dir());
    let left = fs::read_dir(&artifacts).unwrap().count();
    assert_eq!(left, 2);
}

/// At any time there is a link, and it leads to a revision that is there as a whole.
#[test]
fn the_link_is_never_missing() {
    let directory = tempfile::tempdir().unwrap();
    let node = LocalBuildEnvironment::new(store(&directory, &tenant(3)));
    let pool = pool();
    let (tenant, pool) = (&pool.tenant_id, &pool.pool_id);
    node.record_revision(tenant, pool, &revision("00")).unwrap();
    let link = directory
        .path()
        .join("tenants/acme/pools/workers/artifacts/current/revision.json");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0_u32;
            while !over.load(Ordering::Relaxed) || reads == 0 {
                let text = fs::read(&link).unwrap();
                serde_json::from_slice::<serde_json::Value>(&text).unwrap();
                reads += 1;
            }
        });
        let writers = [0_u32, 1].map(|writer| {
            let node = &node;
            scope.spawn(move || {
                for number in 0..20 {
                    let revision = revision(&format!("{writer}a{number:02}"));
                    node.record_revision(tenant, pool, &revision).unwrap();
                }
            })
        });
        for writer in writers {
            writer.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
}
