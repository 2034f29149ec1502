//! Documents of other versions.

use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;

use mvm_core::document::{At, Document, Field, Problems};
use mvm_core::instance::InstanceState;
use mvm_core::migration::{MigrateError, MigrateFn};
use mvm_core::naming::TenantId;
use mvm_core::paths::FleetLayout;
use mvm_core::store::{StoreError, Stored};
use mvm_core::template::TemplateSpec;
use mvm_core::tenant::TenantConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::vectors::{rows, text};
use super::{Node, TENANT, instance, tenant};

/// A tenant as a later version might have it: version 1 renamed a member, version 2 doubled a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Later(TenantConfig);

impl Field for Later {
    type Raw<'a> = <TenantConfig as Field>::Raw<'a>;

    fn read(raw: Self::Raw<'_>, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        TenantConfig::read(raw, at, problems).map(Self)
    }

    fn raw(&self) -> Self::Raw<'_> {
        self.0.raw()
    }
}

impl Document for Later {
    const NAME: &'static str = "Later";
}

fn rename(mut file: Value) -> Result<Value, String> {
    let members = file.as_object_mut().ok_or("no object")?;
    let version = members.remove("version").ok_or("no version")?;
    members.insert("config_version".into(), version);
    Ok(file)
}

fn double(mut file: Value) -> Result<Value, String> {
    let number = file["config_version"].as_u64().ok_or("no number")?;
    file["config_version"] = (2 * number).into();
    Ok(file)
}

impl Stored for Later {
    type Key = TenantId;
    const MIGRATIONS: &'static [MigrateFn<String>] = &[rename, double];

    fn path(layout: &FleetLayout, tenant: &TenantId) -> PathBuf {
        layout.tenant_dir(tenant).join("later.json")
    }

    fn identity<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> impl IntoIterator<Item = (&'static str, &'a str, &'a str)> {
        [("tenant_id", self.0.tenant_id.as_str(), tenant.as_str())]
    }
}

#[test]
fn older_files_are_migrated_and_newer_ones_left() {
    let node = Node::new();
    let path = node.path("tenants/acme/later.json");
    let version = || {
        node.store
            .load::<Later>(&tenant())
            .map(|later| later.0.config_version)
    };
    let first = TENANT.replace("config_version\":0", "version\":21");
    node.write(&path, &first);
    assert_eq!(version().unwrap(), 42);
    // Reading writes nothing.
    assert_eq!(fs::read_to_string(&path).unwrap(), first);
    let second = TENANT.replace(
        "config_version\":0",
        "schema_version\":1,\"config_version\":4",
    );
    node.write(&path, second);
    assert_eq!(version().unwrap(), 8);

    // The next write has the shape of today, and says so, once.
    let change = |later: &mut Later| {
        later.0.config_version += 1;
        Ok::<_, Infallible>(())
    };
    node.store.update(&tenant(), change).unwrap();
    node.store.update(&tenant(), change).unwrap();
    let written = fs::read_to_string(&path).unwrap();
    assert!(
        written.starts_with("{\n  \"schema_version\": 2,\n  \"tenant_id\""),
        "{written}"
    );
    assert_eq!(written.matches("schema_version").count(), 1);
    assert_eq!(version().unwrap(), 10);

    let newer = written.replace("\"schema_version\": 2", "\"schema_version\": 4294967298");
    node.write(&path, &newer);
    let error = version().unwrap_err();
    let StoreError::Version { error, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(
        error,
        MigrateError::Newer {
            found: 4_294_967_298,
            known: 2
        }
    );
    assert!(node.store.update(&tenant(), change).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);

    for bad in ["\"2\"", "-1", "1.5", "[]"] {
        node.write(
            &path,
            written.replace("_version\": 2", &format!("_version\": {bad}")),
        );
        let error = version().unwrap_err();
        assert!(
            error
                .to_string()
                .contains("schema_version is no whole number"),
            "{error}"
        );
    }
    node.write(&path, "{}");
    assert!(
        version()
            .unwrap_err()
            .to_string()
            .ends_with("version 0: no version")
    );
}

#[test]
fn the_types_of_the_old_version() {
    let node = Node::filled();
    // None of these has a version yet: 0 is the only one there is.
    let path = node.path("tenants/acme/pools/web/instances/i-1/instance.json");
    let text_of = fs::read_to_string(&path).unwrap();
    assert!(!text_of.contains("schema_version"));
    node.write(&path, text_of.replacen('{', "{\"schema_version\": 0,", 1));
    node.store.load::<InstanceState>(&instance()).unwrap();
    node.write(&path, text_of.replacen('{', "{\"schema_version\": 1,", 1));
    let error = node.store.load::<InstanceState>(&instance()).unwrap_err();
    assert!(
        error.to_string().ends_with(
            "schema version 1 is newer than 0, the newest that is known: upgrade this program"
        ),
        "{error}"
    );
    // Templates have had theirs from the beginning, and none means 1.
    let row = &rows("json/TemplateSpec.jsonl")[0];
    let mut template: Value = serde_json::from_str(text(row, "doc")).unwrap();
    let id = template["template_id"].as_str().unwrap().parse().unwrap();
    let path = TemplateSpec::path(node.store.layout(), &id);
    for (version, read) in [
        (Some(1), true),
        (Some(0), true),
        (None, true),
        (Some(2), false),
    ] {
        let members = template.as_object_mut().unwrap();
        match version {
            Some(version) => members.insert("schema_version".into(), version.into()),
            None => members.remove("schema_version"),
        };
        node.write(&path, template.to_string());
        let found = node.store.load::<TemplateSpec>(&id);
        assert_eq!(found.is_ok(), read, "{version:?}");
        if let Ok(found) = found {
            assert_eq!(found.schema_version, 1);
            node.store.save(&id, &found).unwrap();
            let written = fs::read_to_string(&path).unwrap();
            assert_eq!(written.matches("schema_version").count(), 1);
        }
    }
}
