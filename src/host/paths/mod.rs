//! Where the files of a fleet are on a node.
//!
//! [`FleetLayout`] has a method for each path helper of 0.13.0, under the same name. The ids are types
//! whose values are valid, so no id can lead out of its directory; each is one component of a path. Nothing
//! here touches the machine: a path need not exist.
//!
//! # The tree
//! ```text
//! <root>/                                       /var/lib/mvm
//!   tenants/<tenant>/
//!     tenant.json  secrets.json  audit.log  ssh_key
//!     pools/<pool>/
//!       pool.json  build_history.json  config/  snapshots/
//!       artifacts/
//!         current -> revisions/<revision>
//!         revisions/<revision>/revision.json
//!       instances/<instance>/
//!         instance.json  runtime/               sockets of 0.13.0
//! <sockets>/                                    /run/mvm, else <root>/run
//! <templates>/<template>/                       <root>/templates
//!   template.json
//!   current -> artifacts/<revision>
//!   artifacts/<revision>/
//!     revision.json  snapshot/
//! <networks>/<network>.json                     <root>/networks
//! ```
//!
//! 0.13.0 keeps templates in the user's data directory and networks in the user's share directory:
//! with feature `config`, `Settings::fleet_layout` and `FleetLayout::of_process` have them there.
//!
//! ```
//! use mvm_core::id;
//! use mvm_core::naming::{PoolId, TenantId, parse_instance_path};
//! use mvm_core::paths::FleetLayout;
//!
//! # #[cfg(unix)] {
//! let layout = FleetLayout::default();
//! let (tenant, pool) = (id!(TenantId, "acme"), id!(PoolId, "workers"));
//! assert_eq!(
//!     layout.pool_config_path(&tenant, &pool).to_str(),
//!     Some("/var/lib/mvm/tenants/acme/pools/workers/pool.json"),
//! );
//!
//! // All of a node of one's own, for a test for example.
//! let layout = FleetLayout::new("/tmp/fleet")?;
//! let instance = parse_instance_path("acme/workers/i-0a1b2c3d")?;
//! assert_eq!(
//!     layout.instance_state_path(&instance).to_str(),
//!     Some("/tmp/fleet/tenants/acme/pools/workers/instances/i-0a1b2c3d/instance.json"),
//! );
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "config")]
mod places;
mod sockets;

use std::path::{Path, PathBuf};

use thiserror_no_std::Error;

use crate::fleet::dev_network::NetworkName;
use crate::names::{InstancePath, PoolId, RevisionHash, TemplateId, TenantId};

pub use sockets::SocketDirectoryError;

/// The root of a fleet's files on a node where nothing else is said, as in 0.13.0.
pub const DEFAULT_ROOT: &str = "/var/lib/mvm";

/// Where sockets are on a node with the default root: the system empties it when it starts.
pub const DEFAULT_SOCKET_DIRECTORY: &str = "/run/mvm";

/// A directory is not an absolute path. What it names would change with the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} is not an absolute path", .path.display())]
#[non_exhaustive]
pub struct LayoutError {
    /// The directory.
    pub path: PathBuf,
}

impl_error!(LayoutError);

/// The directories of a fleet's files on a node. See the [module's documentation](self).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FleetLayout {
    root: PathBuf,
    sockets: PathBuf,
    templates: PathBuf,
    networks: PathBuf,
}

/// The root [`DEFAULT_ROOT`], and sockets in [`DEFAULT_SOCKET_DIRECTORY`].
impl Default for FleetLayout {
    fn default() -> Self {
        Self {
            sockets: DEFAULT_SOCKET_DIRECTORY.into(),
            ..Self::below(DEFAULT_ROOT.into())
        }
    }
}

impl FleetLayout {
    /// Everything below one root, sockets too: in `run`. A root of more than 56 bytes leaves no room for
    /// sockets ([`with_socket_directory`](Self::with_socket_directory)).
    ///
    /// # Errors
    /// [`LayoutError`] for a relative path.
    pub fn new(root: impl Into<PathBuf>) -> Result<Self, LayoutError> {
        absolute(root.into()).map(Self::below)
    }

    fn below(root: PathBuf) -> Self {
        Self {
            sockets: root.join("run"),
            templates: root.join("templates"),
            networks: root.join("networks"),
            root,
        }
    }

    /// With sockets elsewhere.
    ///
    /// # Errors
    /// [`LayoutError`] for a relative path.
    pub fn with_socket_directory(self, sockets: impl Into<PathBuf>) -> Result<Self, LayoutError> {
        let sockets = absolute(sockets.into())?;
        Ok(Self { sockets, ..self })
    }

    /// With templates elsewhere.
    ///
    /// # Errors
    /// [`LayoutError`] for a relative path.
    pub fn with_templates_directory(
        self,
        templates: impl Into<PathBuf>,
    ) -> Result<Self, LayoutError> {
        let templates = absolute(templates.into())?;
        Ok(Self { templates, ..self })
    }

    /// With development networks elsewhere.
    ///
    /// # Errors
    /// [`LayoutError`] for a relative path.
    pub fn with_networks_directory(
        self,
        networks: impl Into<PathBuf>,
    ) -> Result<Self, LayoutError> {
        let networks = absolute(networks.into())?;
        Ok(Self { networks, ..self })
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `tenants`.
    #[must_use]
    pub fn tenants_dir(&self) -> PathBuf {
        self.root.join("tenants")
    }

    /// Everything of a tenant: `tenants/<tenant>`.
    #[must_use]
    pub fn tenant_dir(&self, tenant: &TenantId) -> PathBuf {
        self.tenants_dir().join(tenant.as_str())
    }

    /// Its [`TenantConfig`](crate::tenant::TenantConfig): `tenant.json`.
    #[must_use]
    pub fn tenant_config_path(&self, tenant: &TenantId) -> PathBuf {
        self.tenant_dir(tenant).join("tenant.json")
    }

    /// Its secrets: `secrets.json`.
    #[must_use]
    pub fn tenant_secrets_path(&self, tenant: &TenantId) -> PathBuf {
        self.tenant_dir(tenant).join("secrets.json")
    }

    /// Its audit log: `audit.log`.
    #[must_use]
    pub fn tenant_audit_log_path(&self, tenant: &TenantId) -> PathBuf {
        self.tenant_dir(tenant).join("audit.log")
    }

    /// The key that its guests are reached with: `ssh_key`.
    #[must_use]
    pub fn tenant_ssh_key_path(&self, tenant: &TenantId) -> PathBuf {
        self.tenant_dir(tenant).join("ssh_key")
    }

    /// Its pools: `pools`.
    #[must_use]
    pub fn tenant_pools_dir(&self, tenant: &TenantId) -> PathBuf {
        self.tenant_dir(tenant).join("pools")
    }

    /// Everything of a pool: `pools/<pool>`.
    #[must_use]
    pub fn pool_dir(&self, tenant: &TenantId, pool: &PoolId) -> PathBuf {
        self.tenant_pools_dir(tenant).join(pool.as_str())
    }

    /// Its [`PoolSpec`](crate::pool::PoolSpec): `pool.json`.
    #[must_use]
    pub fn pool_config_path(&self, tenant: &TenantId, pool: &PoolId) -> PathBuf {
        self.pool_dir(tenant, pool).join("pool.json")
    }

    /// What was built for it: `artifacts`.
    #[must_use]
    pub fn pool_artifacts_dir(&self, tenant: &TenantId, pool: &PoolId) -> PathBuf {
        self.pool_dir(tenant, pool).join("artifacts")
    }

    /// One of its builds: `artifacts/revisions/<revision>`.
    #[must_use]
    pub fn pool_revision_dir(
        &self,
        tenant: &TenantId,
        pool: &PoolId,
        revision: &RevisionHash,
    ) -> PathBuf {
        let revisions = self.pool_artifacts_dir(tenant, pool).join("revisions");
        revisions.join(revision.as_str())
    }

    /// The [`BuildRevision`](crate::pool::BuildRevision) of one of its builds: `revision.json`.
    #[must_use]
    pub fn pool_revision_path(
        &self,
        tenant: &TenantId,
        pool: &PoolId,
        revision: &RevisionHash,
    ) -> PathBuf {
        self.pool_revision_dir(tenant, pool, revision)
            .join("revision.json")
    }

    /// The symbolic link to the build in use: `artifacts/current`, which holds `revisions/<revision>`.
    #[must_use]
    pub fn pool_current_symlink(&self, tenant: &TenantId, pool: &PoolId) -> PathBuf {
        self.pool_artifacts_dir(tenant, pool).join("current")
    }

    /// What was built before, one [`BuildRevision`](crate::pool::BuildRevision) a line:
    /// `build_history.json`.
    #[must_use]
    pub fn pool_build_history_path(&self, tenant: &TenantId, pool: &PoolId) -> PathBuf {
        self.pool_dir(tenant, pool).join("build_history.json")
    }

    /// Its instances: `instances`.
    #[must_use]
    pub fn pool_instances_dir(&self, tenant: &TenantId, pool: &PoolId) -> PathBuf {
        self.pool_dir(tenant, pool).join("instances")
    }

    /// Its snapshots: `snapshots`.
    #[must_use]
    pub fn pool_snapshots_dir(&self, tenant: &TenantId, pool: &PoolId) -> PathBuf {
        self.pool_dir(tenant, pool).join("snapshots")
    }

    /// What is mounted as its instances' configuration drive: `config`.
    #[must_use]
    pub fn pool_config_data_dir(&self, tenant: &TenantId, pool: &PoolId) -> PathBuf {
        self.pool_dir(tenant, pool).join("config")
    }

    /// Everything of an instance: `instances/<instance>`.
    #[must_use]
    pub fn instance_dir(&self, instance: &InstancePath) -> PathBuf {
        self.pool_instances_dir(&instance.tenant, &instance.pool)
            .join(instance.instance.as_str())
    }

    /// Its [`InstanceState`](crate::instance::InstanceState): `instance.json`.
    #[must_use]
    pub fn instance_state_path(&self, instance: &InstancePath) -> PathBuf {
        self.instance_dir(instance).join("instance.json")
    }

    /// What belongs to its Firecracker process: `runtime`.
    #[must_use]
    pub fn instance_runtime_dir(&self, instance: &InstancePath) -> PathBuf {
        self.instance_dir(instance).join("runtime")
    }

    /// All templates.
    #[must_use]
    pub fn templates_base_dir(&self) -> &Path {
        &self.templates
    }

    /// Everything of a template.
    #[must_use]
    pub fn template_dir(&self, template: &TemplateId) -> PathBuf {
        self.templates.join(template.as_str())
    }

    /// Its [`TemplateSpec`](crate::template::TemplateSpec): `template.json`.
    #[must_use]
    pub fn template_spec_path(&self, template: &TemplateId) -> PathBuf {
        self.template_dir(template).join("template.json")
    }

    /// What it was built to: `artifacts`.
    #[must_use]
    pub fn template_artifacts_dir(&self, template: &TemplateId) -> PathBuf {
        self.template_dir(template).join("artifacts")
    }

    /// One of its builds: `artifacts/<revision>`.
    #[must_use]
    pub fn template_revision_dir(&self, template: &TemplateId, revision: &RevisionHash) -> PathBuf {
        self.template_artifacts_dir(template)
            .join(revision.as_str())
    }

    /// The [`TemplateRevision`](crate::template::TemplateRevision) of one of its builds: `revision.json`.
    #[must_use]
    pub fn template_revision_path(
        &self,
        template: &TemplateId,
        revision: &RevisionHash,
    ) -> PathBuf {
        self.template_revision_dir(template, revision)
            .join("revision.json")
    }

    /// The symbolic link to the build in use: `current`.
    #[must_use]
    pub fn template_current_symlink(&self, template: &TemplateId) -> PathBuf {
        self.template_dir(template).join("current")
    }

    /// The snapshot of one of its builds: `snapshot`.
    #[must_use]
    pub fn template_snapshot_dir(&self, template: &TemplateId, revision: &RevisionHash) -> PathBuf {
        self.template_revision_dir(template, revision)
            .join("snapshot")
    }

    /// All development networks.
    #[must_use]
    pub fn networks_dir(&self) -> &Path {
        &self.networks
    }

    /// A [`DevNetwork`](crate::dev_network::DevNetwork): `<network>.json`.
    #[must_use]
    pub fn network_path(&self, network: &NetworkName) -> PathBuf {
        let mut name = alloc::string::String::from(&**network);
        name.push_str(".json");
        self.networks.join(name)
    }
}

fn absolute(path: PathBuf) -> Result<PathBuf, LayoutError> {
    // On a system that is not Unix `/var/lib/mvm` has a root and no drive.
    if path.has_root() {
        Ok(path)
    } else {
        Err(LayoutError { path })
    }
}
