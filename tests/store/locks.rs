//! Locks, between threads and processes.

use std::convert::Infallible;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mvm_core::instance::InstanceState;
use mvm_core::store::{FileLock, LockError, LockMode, StoreError};
use mvm_core::tenant::TenantConfig;

use super::{Node, config, instance, names, state, tenant};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn no_update_is_lost() {
    let node = Node::filled();
    let store = node.store.clone().with_patience(Duration::from_secs(60));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    store
                        .update(&tenant(), |config: &mut TenantConfig| {
                            config.config_version += 1;
                            Ok::<_, Infallible>(())
                        })
                        .unwrap();
                }
            });
        }
        // A reader without a lock always sees a whole document.
        scope.spawn(|| {
            for _ in 0..200 {
                store.load::<TenantConfig>(&tenant()).unwrap();
            }
        });
    });
    let config: TenantConfig = store.load(&tenant()).unwrap();
    assert_eq!(config.config_version, 80);
}

#[test]
fn locks_touch_no_data_and_are_all_different() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let data = ["a.json", "a.toml", "a", "flake.lock", "flake", "b.tar.gz"];
    fs::write(file("flake.lock"), "data").unwrap();
    let locks: Vec<FileLock> = data
        .iter()
        .map(|name| FileLock::acquire(&file(name), LockMode::Exclusive, Duration::ZERO).unwrap())
        .collect();
    assert_eq!(fs::read_to_string(file("flake.lock")).unwrap(), "data");
    // The data is replaced, and the lock is the same.
    fs::rename(file("flake.lock"), file("old")).unwrap();
    fs::write(file("flake.lock"), "new").unwrap();
    for name in data {
        let again = FileLock::acquire(&file(name), LockMode::Shared, Duration::ZERO);
        assert!(matches!(again, Err(LockError::Expired { .. })), "{name}");
    }
    assert_eq!(names(directory.path()).len(), data.len() + 2);
    drop(locks);
    // Shared by many, and then by nobody else.
    let (one, two) = (file("a"), file("a"));
    let one = FileLock::acquire(&one, LockMode::Shared, LONG).unwrap();
    let two = FileLock::acquire(&two, LockMode::Shared, LONG).unwrap();
    let error = FileLock::acquire(&file("a"), LockMode::Exclusive, Duration::from_millis(30));
    let error = error.unwrap_err();
    assert!(
        matches!(error, LockError::Expired { holder: None, .. }),
        "{error}"
    );
    assert_eq!(
        (one.mode(), two.mode()),
        (LockMode::Shared, LockMode::Shared)
    );
}

#[test]
fn a_wait_has_an_end_and_a_name() {
    let node = Node::filled();
    let store = node.store.clone().with_patience(Duration::from_millis(50));
    let key = tenant();
    let locked = node.store.lock::<TenantConfig>(&key).unwrap();
    let start = Instant::now();
    let error = store.save(&tenant(), &config()).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(20));
    let me = std::process::id();
    assert!(
        error
            .to_string()
            .ends_with(&format!("locked by process {me}")),
        "{error}"
    );
    // A lock of one document is none of another, and readers need none.
    store.load::<TenantConfig>(&tenant()).unwrap();
    store.save(&instance(), &state("ready")).unwrap();
    assert_eq!(locked.load().unwrap(), config());
    locked.save(&config()).unwrap();
    drop(locked);
    store.save(&tenant(), &config()).unwrap();

    let reading = store.lock_shared::<TenantConfig>(&key).unwrap();
    let also = store.lock_shared::<TenantConfig>(&key).unwrap();
    assert_eq!(reading.load().unwrap(), also.load().unwrap());
    assert!(matches!(
        store.save(&tenant(), &config()),
        Err(StoreError::Lock(LockError::Expired { .. }))
    ));
}

/// Holds a lock until it is killed: the other process of the next test.
#[test]
fn holder() {
    let Some(path) = std::env::var_os("MVM_TEST_HOLD") else {
        return;
    };
    let _lock = FileLock::acquire(path.as_ref(), LockMode::Exclusive, LONG).unwrap();
    println!("held");
    thread::sleep(LONG * 10);
}

#[test]
fn a_killed_holder_holds_nothing() {
    let node = Node::filled();
    let path = node.path("tenants/acme/tenant.json");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "locks::holder", "--nocapture"])
        .env("MVM_TEST_HOLD", &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("held")));
    let store = node.store.clone().with_patience(Duration::ZERO);
    let error = store.save(&tenant(), &config()).unwrap_err();
    let StoreError::Lock(LockError::Expired { holder, .. }) = &error else {
        panic!("{error}");
    };
    assert_eq!(holder.map(|pid| pid.get()), Some(child.id()));
    // SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    store.save(&tenant(), &config()).unwrap();
}

/// Who waits for the lock of something that is removed meanwhile does not get the lock of what was.
#[test]
fn a_removed_lock_is_nobody_s() {
    let node = Node::filled();
    let store = &node.store.clone().with_patience(LONG);
    for _ in 0..20 {
        node.store.save(&instance(), &state("ready")).unwrap();
        let key = instance();
        let locked = store.lock::<InstanceState>(&key).unwrap();
        thread::scope(|scope| {
            let waiters: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let instance = instance();
                        match store.lock::<InstanceState>(&instance) {
                            // Only one at a time, and nothing is there.
                            Ok(locked) => {
                                let other = node.store.clone().with_patience(Duration::ZERO);
                                let second = other.lock::<InstanceState>(&instance).map(drop);
                                assert!(matches!(second, Err(StoreError::Lock(_))));
                                assert!(locked.load().unwrap_err().is_missing());
                            }
                            Err(error) => assert!(error.is_missing(), "{error}"),
                        }
                    })
                })
                .collect();
            locked.remove().unwrap();
            for waiter in waiters {
                waiter.join().unwrap();
            }
        });
    }
}
