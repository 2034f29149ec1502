//! Which documents are stored, and where.

use alloc::string::{String, ToString};
use std::path::PathBuf;

use serde_json::Value;

use crate::fleet::dev_network::{DevNetwork, NetworkName};
use crate::fleet::document::Document;
use crate::fleet::migration::MigrateFn;
use crate::fleet::pool::{BuildRevision, PoolSpec};
use crate::fleet::template::{TemplateRevision, TemplateSpec};
use crate::fleet::tenant::TenantConfig;
use crate::host::paths::FleetLayout;
use crate::instance::InstanceState;
use crate::names::{InstancePath, PoolPath, RevisionHash, TemplateId, TenantId};

/// A type of documents that are stored, one in a file.
///
/// | type | [`Key`](Self::Key) | file |
/// | --- | --- | --- |
/// | [`TenantConfig`] | [`TenantId`] | [`tenant_config_path`](FleetLayout::tenant_config_path) |
/// | [`PoolSpec`] | [`PoolPath`] | [`pool_config_path`](FleetLayout::pool_config_path) |
/// | [`BuildRevision`] | [`PoolPath`] and [`RevisionHash`] | [`pool_revision_path`](FleetLayout::pool_revision_path) |
/// | [`InstanceState`] | [`InstancePath`] | [`instance_state_path`](FleetLayout::instance_state_path) |
/// | [`TemplateSpec`] | [`TemplateId`] | [`template_spec_path`](FleetLayout::template_spec_path) |
/// | [`TemplateRevision`] | [`TemplateId`] and [`RevisionHash`] | [`template_revision_path`](FleetLayout::template_revision_path) |
/// | [`DevNetwork`] | [`NetworkName`] | [`network_path`](FleetLayout::network_path) |
pub trait Stored: Document {
    /// What says which one it is.
    type Key;

    /// What brings older files to the shape of today, as [`migration`](crate::migration) has it: the
    /// number of steps is the version of today. A file of a later version is refused.
    const MIGRATIONS: &'static [MigrateFn<String>] = &[];

    /// The file. The program that writes it must own the directory that it is in.
    fn path(layout: &FleetLayout, key: &Self::Key) -> PathBuf;

    /// The file of what it is a part of: that cannot be removed while this one is created.
    #[must_use]
    fn parent(layout: &FleetLayout, key: &Self::Key) -> Option<PathBuf> {
        let _ = (layout, key);
        None
    }

    /// The members that say which one it is: name, what it says, what `key` says.
    fn identity<'a>(
        &'a self,
        key: &'a Self::Key,
    ) -> impl IntoIterator<Item = (&'static str, &'a str, &'a str)>;
}

/// Version 1 has the shape of files without a version.
fn unchanged(file: Value) -> Result<Value, String> {
    Ok(file)
}

impl Stored for TenantConfig {
    type Key = TenantId;

    fn path(layout: &FleetLayout, tenant: &TenantId) -> PathBuf {
        layout.tenant_config_path(tenant)
    }

    fn identity<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> impl IntoIterator<Item = (&'static str, &'a str, &'a str)> {
        [("tenant_id", self.tenant_id.as_str(), tenant.as_str())]
    }
}

impl Stored for PoolSpec {
    type Key = PoolPath;

    fn path(layout: &FleetLayout, path: &PoolPath) -> PathBuf {
        layout.pool_config_path(&path.tenant, &path.pool)
    }

    fn parent(layout: &FleetLayout, path: &PoolPath) -> Option<PathBuf> {
        Some(layout.tenant_config_path(&path.tenant))
    }

    fn identity<'a>(
        &'a self,
        path: &'a PoolPath,
    ) -> impl IntoIterator<Item = (&'static str, &'a str, &'a str)> {
        [
            ("tenant_id", self.tenant_id.as_str(), path.tenant.as_str()),
            ("pool_id", self.pool_id.as_str(), path.pool.as_str()),
        ]
    }
}

impl Stored for BuildRevision {
    type Key = (PoolPath, RevisionHash);

    fn path(layout: &FleetLayout, (path, revision): &Self::Key) -> PathBuf {
        layout.pool_revision_path(&path.tenant, &path.pool, revision)
    }

    fn parent(layout: &FleetLayout, (path, _): &Self::Key) -> Option<PathBuf> {
        Some(layout.pool_config_path(&path.tenant, &path.pool))
    }

    fn identity<'a>(
        &'a self,
        (_, revision): &'a Self::Key,
    ) -> impl IntoIterator<Item = (&'static str, &'a str, &'a str)> {
        let found = self.revision_hash.as_str();
        [("revision_hash", found, revision.as_str())]
    }
}

impl Stored for InstanceState {
    type Key = InstancePath;

    fn path(layout: &FleetLayout, path: &InstancePath) -> PathBuf {
        layout.instance_state_path(path)
    }

    fn parent(layout: &FleetLayout, path: &InstancePath) -> Option<PathBuf> {
        Some(layout.pool_config_path(&path.tenant, &path.pool))
    }

    fn identity<'a>(
        &'a self,
        path: &'a InstancePath,
    ) -> impl IntoIterator<Item = (&'static str, &'a str, &'a str)> {
        [
            ("tenant_id", self.tenant_id.as_str(), path.tenant.as_str()),
            ("pool_id", self.pool_id.as_str(), path.pool.as_str()),
            (
                "instance_id",
                self.instance_id.as_str(),
                path.instance.as_str(),
            ),
        ]
    }
}

impl Stored for TemplateSpec {
    type Key = TemplateId;

    const MIGRATIONS: &'static [MigrateFn<String>] = &[unchanged];

    fn path(layout: &FleetLayout, template: &TemplateId) -> PathBuf {
        layout.template_spec_path(template)
    }

    fn identity<'a>(
        &'a self,
        template: &'a TemplateId,
    ) -> impl IntoIterator<Item = (&'static str, &'a str, &'a str)> {
        [("template_id", self.template_id.as_str(), template.as_str())]
    }
}

impl Stored for TemplateRevision {
    type Key = (TemplateId, RevisionHash);

    const MIGRATIONS: &'static [MigrateFn<String>] = &[unchanged];

    fn path(layout: &FleetLayout, (template, revision): &Self::Key) -> PathBuf {
        layout.template_revision_path(template, revision)
    }

    fn parent(layout: &FleetLayout, (template, _): &Self::Key) -> Option<PathBuf> {
        Some(layout.template_spec_path(template))
    }

    fn identity<'a>(
        &'a self,
        (_, revision): &'a Self::Key,
    ) -> impl IntoIterator<Item = (&'static str, &'a str, &'a str)> {
        let found = self.revision_hash.as_str();
        [("revision_hash", found, revision.as_str())]
    }
}

impl Stored for DevNetwork {
    type Key = NetworkName;

    fn path(layout: &FleetLayout, network: &NetworkName) -> PathBuf {
        layout.network_path(network)
    }

    fn identity<'a>(
        &'a self,
        network: &'a NetworkName,
    ) -> impl IntoIterator<Item = (&'static str, &'a str, &'a str)> {
        [("name", &*self.name, &**network)]
    }
}

/// The member of a document that is of something else than its path says.
pub(super) fn misplaced<T: Stored>(
    document: &T,
    key: &T::Key,
) -> Option<(&'static str, String, String)> {
    document
        .identity(key)
        .into_iter()
        .find(|(_, found, expected)| found != expected)
        .map(|(member, found, expected)| (member, found.to_string(), expected.to_string()))
}
