//! This node: documents of the state store, devices by `ip`.

use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;
use std::ffi::OsString;

use super::build_env::{
    BuildEnvironment, BuildError, CommandOutput, CommandSpec, LocalShell, ShellEnvironment,
    ShellError,
};
use super::store::{StateStore, Stored};
use crate::fleet::pool::{BuildRevision, PoolSpec};
use crate::fleet::tenant::{TenantConfig, TenantNet};
use crate::instance::InstanceNet;
use crate::names::{BridgeName, PoolId, PoolPath, RevisionHash, TapName, TenantId};

mod current;
mod devices;
mod link;

/// How long one call of `ip` may take: 10 seconds. Reason: it takes some milliseconds; the kernel's lock
/// on network devices may be held for seconds by one that goes.
pub const IP_DEADLINE: Duration = Duration::from_secs(10);

/// This node: documents from a [`StateStore`], network devices by the program `ip` of iproute2 (with its
/// JSON output, of 2018 or later) in the network namespace of this process, programs and scripts by another
/// environment, mostly a [`LocalShell`].
///
/// What is done to devices is idempotent, and nothing of somebody else's is touched: each call first looks
/// at what is there, and refuses a device that has the name and is something else ([`BuildError::Bridge`],
/// [`BuildError::Tap`]). It needs `CAP_NET_ADMIN`.
///
/// | call | what holds after it |
/// | --- | --- |
/// | [`ensure_bridge`](BuildEnvironment::ensure_bridge) | the bridge is there and up, and has the gateway's address with the subnet's prefix; further addresses are left |
/// | [`setup_tap`](BuildEnvironment::setup_tap) | the TAP device `tn<net>i<offset>` is there and up, and belongs to the bridge of its network, which is there |
/// | [`teardown_tap`](BuildEnvironment::teardown_tap) | the device is not there |
/// | [`record_revision`](BuildEnvironment::record_revision) | `artifacts/revisions/<revision>/revision.json` is durable, and then `artifacts/current` is a symbolic link to `revisions/<revision>`; there is a link at any time, the old one or the new one |
///
/// A device that a call has created and could not finish is removed again. Rules for packets and
/// translation of addresses are not its affair.
///
/// ```no_run
/// use mvm_core::build_env::{BuildEnvironment, LocalBuildEnvironment};
/// use mvm_core::naming::TenantId;
/// use mvm_core::paths::FleetLayout;
/// use mvm_core::store::StateStore;
///
/// let store = StateStore::new(FleetLayout::new("/var/lib/mvm")?);
/// let node = LocalBuildEnvironment::new(store);
/// node.ensure_tenant_bridge(&TenantId::new("acme")?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct LocalBuildEnvironment<S = LocalShell> {
    shell: S,
    store: StateStore,
    ip: OsString,
}

impl LocalBuildEnvironment {
    /// With the documents of a store; programs and scripts by [`LocalShell::new`], `ip` from `PATH`.
    pub fn new(store: StateStore) -> Self {
        Self::with_shell(store, LocalShell::new())
    }
}

impl<S: ShellEnvironment> LocalBuildEnvironment<S> {
    /// With another environment for programs, scripts and the log.
    pub fn with_shell(store: StateStore, shell: S) -> Self {
        Self {
            shell,
            store,
            ip: OsString::from("ip"),
        }
    }

    /// With another program for `ip`, such as an absolute path.
    pub fn with_ip(mut self, program: impl Into<OsString>) -> Self {
        self.ip = program.into();
        self
    }

    /// The environment for programs, scripts and the log.
    pub const fn shell(&self) -> &S {
        &self.shell
    }

    /// The store of the documents.
    pub const fn store(&self) -> &StateStore {
        &self.store
    }

    /// The current revision of a pool; none if nothing was recorded.
    ///
    /// # Errors
    /// [`BuildError::Load`], also if the link leads elsewhere than to a revision.
    pub fn current_revision(
        &self,
        tenant: &TenantId,
        pool: &PoolId,
    ) -> Result<Option<RevisionHash>, BuildError> {
        let link = self.store.layout().pool_current_symlink(tenant, pool);
        current::read(&link).map_err(|error| BuildError::Load {
            what: alloc::format!("current revision of {}", pool_text(tenant, pool)),
            error: Box::new(error),
        })
    }

    fn load<T: Stored>(
        &self,
        what: impl FnOnce() -> String,
        key: &T::Key,
    ) -> Result<T, BuildError> {
        self.store.load(key).map_err(|error| BuildError::Load {
            what: what(),
            error: Box::new(error),
        })
    }

    fn ip<const N: usize>(&self, arguments: [&str; N]) -> CommandSpec {
        CommandSpec::new(self.ip.clone())
            .args(arguments)
            // What it says is read here.
            .env("LC_ALL", "C")
            .deadline(IP_DEADLINE)
    }
}

fn pool_text(tenant: &TenantId, pool: &PoolId) -> String {
    alloc::format!("pool {tenant}/{pool}")
}

impl<S: ShellEnvironment> BuildEnvironment for LocalBuildEnvironment<S> {
    fn load_pool_spec(&self, tenant: &TenantId, pool: &PoolId) -> Result<PoolSpec, BuildError> {
        let key = PoolPath {
            tenant: tenant.clone(),
            pool: pool.clone(),
        };
        self.load(|| pool_text(tenant, pool), &key)
    }

    fn load_tenant_config(&self, tenant: &TenantId) -> Result<TenantConfig, BuildError> {
        self.load(|| alloc::format!("tenant {tenant}"), tenant)
    }

    fn ensure_bridge(&self, net: &TenantNet) -> Result<(), BuildError> {
        self.bridge_up(net)
    }

    fn setup_tap(&self, net: &InstanceNet, bridge: &BridgeName) -> Result<(), BuildError> {
        self.tap_up(&net.tap_dev(), bridge)
    }

    fn teardown_tap(&self, tap: &TapName) -> Result<(), BuildError> {
        self.tap_gone(tap)
    }

    fn record_revision(
        &self,
        tenant: &TenantId,
        pool: &PoolId,
        revision: &BuildRevision,
    ) -> Result<(), BuildError> {
        let hash = &revision.revision_hash;
        let what = || alloc::format!("revision {hash} of {}", pool_text(tenant, pool));
        let path = PoolPath {
            tenant: tenant.clone(),
            pool: pool.clone(),
        };
        self.store
            .save(&(path, hash.clone()), revision)
            .map_err(|error| BuildError::Record {
                what: what(),
                error: Box::new(error),
            })?;
        let link = self.store.layout().pool_current_symlink(tenant, pool);
        current::replace(&link, hash).map_err(|error| BuildError::Record {
            what: what(),
            error: Box::new(error),
        })
    }
}

impl<S: ShellEnvironment> ShellEnvironment for LocalBuildEnvironment<S> {
    fn exec(&self, command: &CommandSpec) -> Result<CommandOutput, ShellError> {
        self.shell.exec(command)
    }

    fn shell_exec(&self, script: &str) -> Result<(), ShellError> {
        self.shell.shell_exec(script)
    }

    fn shell_exec_stdout(&self, script: &str) -> Result<String, ShellError> {
        self.shell.shell_exec_stdout(script)
    }

    fn shell_exec_visible(&self, script: &str) -> Result<(), ShellError> {
        self.shell.shell_exec_visible(script)
    }

    fn shell_exec_capture(&self, script: &str) -> Result<CommandOutput, ShellError> {
        self.shell.shell_exec_capture(script)
    }

    fn log_info(&self, message: &str) {
        self.shell.log_info(message);
    }

    fn log_success(&self, message: &str) {
        self.shell.log_success(message);
    }

    fn log_warn(&self, message: &str) {
        self.shell.log_warn(message);
    }
}
