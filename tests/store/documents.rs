//! Reading and writing.

use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use mvm_core::dev_network::DevNetwork;
use mvm_core::instance::InstanceState;
use mvm_core::limits::STORED_DOCUMENT_MAX;
use mvm_core::naming::{InstancePath, PoolPath, TenantId};
use mvm_core::pool::{BuildRevision, PoolSpec};
use mvm_core::store::{StoreError, Stored, UpdateError};
use mvm_core::template::{TemplateRevision, TemplateSpec};
use mvm_core::tenant::TenantConfig;
use serde_json::Value;

use super::vectors::{rows, text};
use super::{Node, POOL, TENANT, config, names, pool, spec, state, tenant};

/// Files as 0.13.0 writes them are read, and what is written says the same to it.
fn old_files<T: Stored>(of: &str, count: usize, key: impl Fn(&T) -> T::Key) {
    let node = Node::new();
    let documents = rows(&format!("json/{of}.jsonl"));
    assert_eq!(documents.len(), count, "{of}");
    let mut refused = 0;
    for row in documents {
        let old = text(&row, "doc");
        let Ok(document) = T::from_json(old.as_bytes()) else {
            // The same integration twice, which 0.13.0 let pass.
            assert_eq!(of, "PoolSpec", "{row}");
            refused += 1;
            continue;
        };
        let key = key(&document);
        let path = T::path(node.store.layout(), &key);
        node.write(&path, old);
        let document: T = node.store.load(&key).unwrap();
        node.store.save(&key, &document).unwrap();
        let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        // The same instant.
        let old = old.replace("+00:00\"", "Z\"");
        assert_eq!(
            written,
            serde_json::from_str::<Value>(&old).unwrap(),
            "{row}"
        );
    }
    assert_eq!(refused, if of == "PoolSpec" { 2 } else { 0 });
}

#[test]
fn files_of_the_old_version() {
    old_files("TenantConfig", 5, |config: &TenantConfig| {
        config.tenant_id.clone()
    });
    old_files("PoolSpec", 5, |spec: &PoolSpec| PoolPath {
        tenant: spec.tenant_id.clone(),
        pool: spec.pool_id.clone(),
    });
    old_files("InstanceState", 6, |state: &InstanceState| InstancePath {
        tenant: state.tenant_id.clone(),
        pool: state.pool_id.clone(),
        instance: state.instance_id.clone(),
    });
    old_files("BuildRevision", 5, |revision: &BuildRevision| {
        (pool(), revision.revision_hash.clone())
    });
    old_files("TemplateSpec", 5, |spec: &TemplateSpec| {
        spec.template_id.clone()
    });
    old_files("TemplateRevision", 5, |revision: &TemplateRevision| {
        ("web".parse().unwrap(), revision.revision_hash.clone())
    });
    old_files("DevNetwork", 5, |network: &DevNetwork| network.name.clone());
}

#[test]
fn once_and_not_twice() {
    let node = Node::new();
    assert!(
        node.store
            .load::<TenantConfig>(&tenant())
            .unwrap_err()
            .is_missing()
    );
    assert_eq!(node.store.find::<TenantConfig>(&tenant()).unwrap(), None);
    // Looking creates nothing.
    assert!(!node.store.layout().root().exists());
    node.store.create(&tenant(), &config()).unwrap();
    let error = node.store.create(&tenant(), &config()).unwrap_err();
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
    assert_eq!(
        node.store.load::<TenantConfig>(&tenant()).unwrap(),
        config()
    );
    let directory = node.path("tenants/acme");
    assert_eq!(
        names(&directory),
        [".tenant.json.lock", "tenant.json", "tenant.lock"]
    );
    let text = fs::read_to_string(directory.join("tenant.json")).unwrap();
    assert!(text.starts_with("{\n  \"tenant_id\": \"acme\",\n") && text.ends_with("}\n"));
    node.store.remove::<TenantConfig>(&tenant()).unwrap();
    assert_eq!(names(&directory), ["tenant.lock"]);
    let error = node.store.remove::<TenantConfig>(&tenant()).unwrap_err();
    assert!(error.is_missing(), "{error}");
}

#[test]
fn an_update_that_changes_nothing_writes_nothing() {
    let node = Node::filled();
    let path = node.path("tenants/acme/tenant.json");
    let inode = || fs::metadata(&path).unwrap().ino();
    let before = inode();
    let nothing = |_: &mut TenantConfig| Ok::<_, Infallible>(7);
    assert_eq!(node.store.update(&tenant(), nothing).unwrap(), 7);
    assert_eq!(inode(), before);
    let refused = node.store.update(&tenant(), |config: &mut TenantConfig| {
        config.pinned = true;
        Err::<(), _>("no")
    });
    assert!(matches!(refused, Err(UpdateError::Refused("no"))));
    assert_eq!(inode(), before);
    let pin = |config: &mut TenantConfig| {
        config.pinned = true;
        Ok::<_, Infallible>(())
    };
    node.store.update(&tenant(), pin).unwrap();
    assert_ne!(inode(), before);
    assert!(node.store.load::<TenantConfig>(&tenant()).unwrap().pinned);
    let missing: TenantId = "other".parse().unwrap();
    let error = node.store.update(&missing, pin).unwrap_err();
    assert!(error.store_error().unwrap().is_missing());
    assert!(!node.path("tenants/other").exists());
}

#[test]
fn every_problem_with_its_place() {
    let node = Node::filled();
    let path = node.path("tenants/acme/pools/web/pool.json");
    let wrong = POOL
        .replace("github:acme/web", "a b")
        .replace("\"web\"", "\"We\"");
    node.write(&path, wrong.replace(',', ",\n"));
    let error = node.store.load::<PoolSpec>(&pool()).unwrap_err();
    let StoreError::Invalid { path: at, invalid } = &error else {
        panic!("{error}");
    };
    assert_eq!(at, &path);
    let places: Vec<_> = invalid
        .problems()
        .iter()
        .map(|problem| (problem.path.as_str(), problem.position.unwrap().line))
        .collect();
    assert_eq!(places, [("pool_id", 1), ("flake_ref", 3)]);
    assert!(
        error
            .to_string()
            .starts_with(&format!("{}: 1:12: pool_id: ", path.display()))
    );
    assert!(std::error::Error::source(&error).is_some());
    for text in ["", "[]", "{", "null", "{\"schema_version\": 0}"] {
        node.write(&path, text);
        let error = node.store.load::<PoolSpec>(&pool()).unwrap_err();
        assert!(
            matches!(error, StoreError::Invalid { .. }),
            "{text}: {error}"
        );
        // And nobody overwrites it by an update.
        let update = node
            .store
            .update(&pool(), |_: &mut PoolSpec| Ok::<_, Infallible>(()));
        assert!(update.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_document_of_something_else() {
    let node = Node::filled();
    let path = node.path("tenants/acme/pools/web/instances/i-2/instance.json");
    node.write(
        &path,
        fs::read(node.path("tenants/acme/pools/web/instances/i-1/instance.json")).unwrap(),
    );
    let other = super::instance_named("i-2");
    for error in [
        node.store
            .load::<InstanceState>(&other)
            .map(drop)
            .unwrap_err(),
        node.store.save(&other, &state("ready")).unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            format!(
                "{}: instance_id is \"i-1\", at this place it must be \"i-2\"",
                path.display()
            )
        );
    }
}

#[test]
fn what_is_too_long_is_neither_read_nor_written() {
    let node = Node::filled();
    let path = node.path("tenants/acme/tenant.json");
    let fill = |len: usize| format!("{TENANT}{}", " ".repeat(len - TENANT.len()));
    node.write(&path, fill(STORED_DOCUMENT_MAX));
    node.store.load::<TenantConfig>(&tenant()).unwrap();
    node.write(&path, fill(STORED_DOCUMENT_MAX + 1));
    let error = node.store.load::<TenantConfig>(&tenant()).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::TooLong {
                len: 1_048_577,
                max: 1_048_576,
                ..
            }
        ),
        "{error}"
    );
    // What nobody can read is replaced by who knows what belongs there.
    node.store.save(&tenant(), &config()).unwrap();
    let mut spec = spec();
    spec.profile = "p".repeat(STORED_DOCUMENT_MAX);
    let before = fs::read(node.path("tenants/acme/pools/web/pool.json")).unwrap();
    let error = node.store.save(&pool(), &spec).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::TooLong { .. } | StoreError::Invalid { .. }
        ),
        "{error}"
    );
    assert_eq!(
        fs::read(node.path("tenants/acme/pools/web/pool.json")).unwrap(),
        before
    );
}

#[test]
fn what_is_no_file_does_not_block() {
    let node = Node::filled();
    let path = node.path("tenants/acme/tenant.json");
    fs::remove_file(&path).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    for error in [
        node.store
            .load::<TenantConfig>(&tenant())
            .map(drop)
            .unwrap_err(),
        node.store.save(&tenant(), &config()).unwrap_err(),
    ] {
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(node.store.load::<TenantConfig>(&tenant()).is_err());
    assert!(node.store.save(&tenant(), &config()).is_err());
}

#[test]
fn modes_and_links_stay() {
    let node = Node::filled();
    let path = node.path("tenants/acme/tenant.json");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let target = node.outside().join("elsewhere.json");
    fs::rename(&path, &target).unwrap();
    symlink(&target, &path).unwrap();
    let mut changed = config();
    changed.config_version = 9;
    node.store.save(&tenant(), &changed).unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    assert_eq!(mode(&target), 0o640);
    assert_eq!(node.store.load::<TenantConfig>(&tenant()).unwrap(), changed);
}
