//! Environments for programs and scripts. `lib.rs` gives the module its public page.

mod command;
mod error;
mod local;
mod output;
mod recording;

use alloc::string::String;

pub use command::{CommandSpec, GRACE, STDERR_LIMIT, STDOUT_LIMIT};
pub use error::{BuildError, LinkProblem, ShellError};
pub use local::LocalShell;
pub use output::{Captured, CommandOutput, Exit};
pub use recording::{Answer, Call, RecordingShell, ScriptKind, Unmet};

use crate::instance::InstanceNet;
use crate::names::{BridgeName, PoolId, TapName, TenantId};
use crate::pool::{BuildRevision, PoolSpec};
use crate::tenant::{TenantConfig, TenantNet};

/// How much what a build says matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogLevel {
    /// What is being done.
    Info,
    /// What is done.
    Success,
    /// What somebody should look at.
    Warn,
}

/// A place where programs run. See the page of the [module](crate::build_env) for how to use it safely.
///
/// The methods are those of 0.13.0 and [`exec`](Self::exec).
pub trait ShellEnvironment: Send + Sync {
    /// Runs a program with its arguments, without a shell, to its successful end.
    ///
    /// # Errors
    /// [`ShellError`].
    fn exec(&self, command: &CommandSpec) -> Result<CommandOutput, ShellError>;

    /// Runs a script to its successful end. Its output goes nowhere; the end of its error output is in the
    /// error.
    ///
    /// # Errors
    /// [`ShellError`].
    fn shell_exec(&self, script: &str) -> Result<(), ShellError>;

    /// Runs a script to its successful end, and gives all of its output, which has to be UTF-8.
    ///
    /// # Errors
    /// [`ShellError`]; [`ShellError::TooLong`] for more than [`STDOUT_LIMIT`] bytes.
    fn shell_exec_stdout(&self, script: &str) -> Result<String, ShellError>;

    /// Runs a script to its successful end, with its output where that of this process goes.
    ///
    /// # Errors
    /// [`ShellError`], with nothing of the output.
    fn shell_exec_visible(&self, script: &str) -> Result<(), ShellError>;

    /// Runs a script to its successful end, and gives its output and its error output, each as much as is
    /// kept of it. An environment that cannot have the error output need not implement it: then there is
    /// none.
    ///
    /// # Errors
    /// [`ShellError`].
    fn shell_exec_capture(&self, script: &str) -> Result<CommandOutput, ShellError> {
        Ok(CommandOutput {
            exit: Exit::Code(0),
            stdout: Captured::whole(self.shell_exec_stdout(script)?),
            stderr: Captured::default(),
        })
    }

    /// Says what is being done.
    fn log_info(&self, message: &str);

    /// Says what is done.
    fn log_success(&self, message: &str);

    /// Says what somebody should look at. Nothing, unless it is implemented.
    fn log_warn(&self, message: &str) {
        let _ = message;
    }
}

/// What a build of a pool needs of a node, beside programs.
///
/// The methods are those of 0.13.0 on typed ids, and
/// [`ensure_tenant_bridge`](Self::ensure_tenant_bridge).
pub trait BuildEnvironment: ShellEnvironment {
    /// The pool as it is stored.
    ///
    /// # Errors
    /// [`BuildError::Load`].
    fn load_pool_spec(&self, tenant: &TenantId, pool: &PoolId) -> Result<PoolSpec, BuildError>;

    /// The tenant as it is stored.
    ///
    /// # Errors
    /// [`BuildError::Load`].
    fn load_tenant_config(&self, tenant: &TenantId) -> Result<TenantConfig, BuildError>;

    /// Sees to it that the bridge of a tenant's network is there and up, with the address of the gateway.
    ///
    /// # Errors
    /// [`BuildError::Bridge`], [`BuildError::Shell`].
    fn ensure_bridge(&self, net: &TenantNet) -> Result<(), BuildError>;

    /// [`ensure_bridge`](Self::ensure_bridge) for the network of a tenant, as it is stored.
    ///
    /// # Errors
    /// As [`load_tenant_config`](Self::load_tenant_config) and [`ensure_bridge`](Self::ensure_bridge).
    fn ensure_tenant_bridge(&self, tenant: &TenantId) -> Result<(), BuildError> {
        self.ensure_bridge(&self.load_tenant_config(tenant)?.net)
    }

    /// Sees to it that the TAP device of an instance is there and up, and belongs to the bridge of its
    /// network.
    ///
    /// # Errors
    /// [`BuildError::Tap`], [`BuildError::Shell`].
    fn setup_tap(&self, net: &InstanceNet, bridge: &BridgeName) -> Result<(), BuildError>;

    /// Sees to it that a TAP device is not there.
    ///
    /// # Errors
    /// [`BuildError::Tap`], [`BuildError::Shell`].
    fn teardown_tap(&self, tap: &TapName) -> Result<(), BuildError>;

    /// Records what was built for a pool, and makes it the pool's current revision.
    ///
    /// # Errors
    /// [`BuildError::Record`].
    fn record_revision(
        &self,
        tenant: &TenantId,
        pool: &PoolId,
        revision: &BuildRevision,
    ) -> Result<(), BuildError>;
}

// Both can be objects, also behind what threads share.
const _: fn(&LocalShell) -> &dyn ShellEnvironment = |shell| shell;
const _: fn(&RecordingShell) -> &(dyn BuildEnvironment + Send + Sync) = |shell| shell;
