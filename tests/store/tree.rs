//! Listing, removing and cleaning.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mvm_core::instance::{InstanceState, InstanceStatus};
use mvm_core::store::{SkipReason, StoreError};
use mvm_core::tenant::TenantConfig;

use super::{
    Node, config, instance, instance_named, names, now, pool, spec, state, state_of, tenant,
};

/// Tells the other threads of a test that it has ended, also where it has failed.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_belongs_there_and_what_does_not() {
    let node = Node::filled();
    assert_eq!(node.store.tenants().unwrap().found, [tenant()]);
    assert_eq!(node.store.pools(&tenant()).unwrap().found, [pool()]);
    assert_eq!(node.store.instances(&pool()).unwrap().found, [instance()]);
    assert!(node.store.templates().unwrap().found.is_empty());
    assert!(node.store.networks().unwrap().found.is_empty());

    let instances = node.path("tenants/acme/pools/web/instances");
    for directory in ["Upper", "half", ".i-1.abcdef.gone", "i-0"] {
        fs::create_dir(instances.join(directory)).unwrap();
    }
    fs::write(instances.join("file"), "").unwrap();
    fs::write(instances.join(".i-1.json.abcdef.tmp"), "").unwrap();
    // A directory on another disk.
    symlink(instances.join("i-1"), instances.join("linked")).unwrap();
    let listing = node.store.instances(&pool()).unwrap();
    assert_eq!(listing.found, [instance(), instance_named("linked")]);
    let skipped: Vec<_> = listing
        .skipped
        .iter()
        .map(|skipped| {
            let name = skipped.path.file_name().unwrap().to_str().unwrap();
            assert!(
                skipped
                    .to_string()
                    .starts_with(skipped.path.to_str().unwrap())
            );
            (
                name,
                matches!(skipped.reason, SkipReason::Id(_)),
                skipped.reason == SkipReason::NoDocument,
            )
        })
        .collect();
    assert_eq!(
        skipped,
        [
            ("Upper", true, false),
            ("file", false, false),
            ("half", false, true),
            ("i-0", false, true),
        ]
    );
    assert_eq!(node.store.all_instances().unwrap(), listing);

    let network = mvm_core::dev_network::DevNetwork::default_network(now());
    node.store.create(&network.name, &network).unwrap();
    let networks = node.store.layout().networks_dir().to_path_buf();
    fs::write(networks.join("notes.txt"), "").unwrap();
    let listing = node.store.networks().unwrap();
    assert_eq!(listing.found, [network.name]);
    assert_eq!(listing.skipped.len(), 1);
}

#[test]
fn from_the_inside_out() {
    let node = Node::filled();
    fs::write(
        node.path("tenants/acme/pools/web/instances/i-1/rootfs.ext4"),
        "disk",
    )
    .unwrap();
    let not_empty = |result: Result<(), StoreError>| {
        assert!(
            matches!(result, Err(StoreError::NotEmpty { count: 1, .. })),
            "{result:?}"
        );
    };
    not_empty(node.store.remove_tenant(&tenant()));
    not_empty(node.store.remove_pool(&pool()));
    node.store.remove_instance(&instance()).unwrap();
    assert!(
        node.store
            .remove_instance(&instance())
            .unwrap_err()
            .is_missing()
    );
    let empty: [&str; 0] = [];
    assert_eq!(names(&node.path("tenants/acme/pools/web/instances")), empty);
    node.store.remove_pool(&pool()).unwrap();
    node.store.remove_tenant(&tenant()).unwrap();
    assert_eq!(names(&node.path("tenants")), empty);
}

#[test]
fn an_instance_in_transition_is_not_removed() {
    let node = Node::filled();
    let path = instance();
    let store = node.store.clone().with_patience(Duration::ZERO);
    let transition = node
        .store
        .begin(&path, InstanceStatus::Running, now())
        .unwrap();
    assert!(matches!(
        store.remove_instance(&path),
        Err(StoreError::Lock(_))
    ));
    drop(transition);
    store.remove_instance(&path).unwrap();
}

/// An instance that was created is there, unless it was removed itself: a pool is not removed with it.
#[test]
fn nothing_is_created_in_what_is_removed() {
    let node = Node::filled();
    let store = node.store.clone().with_patience(Duration::from_secs(60));
    store.remove_instance(&instance()).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                match store.remove_pool(&pool()) {
                    Ok(()) | Err(StoreError::NotEmpty { .. } | StoreError::Missing { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                thread::yield_now();
            }
        });
        for round in 0..30 {
            let path = instance_named(&format!("i-{round}"));
            store.save(&pool(), &spec()).unwrap();
            store
                .create(&path, &state_of(&path.instance, "ready"))
                .unwrap();
            let found = store.find::<InstanceState>(&path).unwrap();
            assert!(found.is_some(), "round {round}");
            store.remove_instance(&path).unwrap();
        }
    });
}

fn plant(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "{\"half\": ").unwrap();
}

#[test]
fn what_crashed_writers_leave() {
    let node = Node::filled();
    let left = [
        "tenants/acme/.tenant.json.aB3dE9.tmp",
        "tenants/acme/pools/web/.pool.json.aB3dE9.tmp",
        "tenants/acme/pools/web/artifacts/revisions/r1/.revision.json.aB3dE9.tmp",
        "tenants/acme/pools/web/instances/i-1/.instance.json.aB3dE9.tmp",
        "tenants/acme/pools/web/instances/i-1/.instance.json.000000.tmp",
        // Its creator did not come to the document itself.
        "tenants/acme/pools/web/instances/i-2/.instance.json.aB3dE9.tmp",
        "templates/base/.template.json.aB3dE9.tmp",
        "networks/.lab.json.aB3dE9.tmp",
    ];
    let stays = [
        "tenants/acme/.tenant.json.short.tmp",
        "tenants/acme/.secrets.json.aB3dE9.tmp",
        "tenants/acme/.tmpaB3dE9",
        "tenants/acme/pools/web/instances/i-1/.other.json.aB3dE9.tmp",
        "tenants/acme/pools/web/instances/i-1/rootfs.ext4",
    ];
    for name in left.iter().chain(&stays) {
        plant(&node.path(name));
    }
    plant(&node.path("tenants/acme/pools/web/instances/.i-7.aB3dE9.gone/rootfs.ext4"));
    plant(&node.path("tenants/.gone-tenant.aB3dE9.gone/pools/web/pool.json"));
    let cleaned = node.store.clean();
    assert!(cleaned.failed.is_empty(), "{cleaned:?}");
    assert_eq!(cleaned.removed.len(), left.len() + 2, "{cleaned:?}");
    for name in left {
        assert!(!node.path(name).exists(), "{name}");
    }
    for name in stays {
        assert!(node.path(name).exists(), "{name}");
    }
    assert_eq!(
        node.store.load::<InstanceState>(&instance()).unwrap(),
        state("ready")
    );
    assert_eq!(node.store.clean().removed.len(), 0);
}

#[test]
fn a_writer_that_is_not_crashed_keeps_its_file() {
    let node = Node::filled();
    let file = node.path("tenants/acme/.tenant.json.aB3dE9.tmp");
    plant(&file);
    let key = tenant();
    let locked = node.store.lock::<TenantConfig>(&key).unwrap();
    let cleaned = node.store.clean();
    assert!(cleaned.removed.is_empty() && cleaned.failed.is_empty());
    assert!(file.exists());
    drop(locked);
    assert_eq!(node.store.clean().removed, [file]);
}

/// Cleaning while others write loses nothing of theirs.
#[test]
fn cleaning_beside_writers() {
    let node = Node::filled();
    let store = &node.store.clone().with_patience(Duration::from_secs(60));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&done);
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for version in 0..40 {
                        let mut config = config();
                        config.config_version = version;
                        store.save(&tenant(), &config).unwrap();
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let cleaned = store.clean();
                assert!(cleaned.failed.is_empty(), "{cleaned:?}");
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
    });
    store.load::<TenantConfig>(&tenant()).unwrap();
}
