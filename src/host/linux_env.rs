//! A Linux in which scripts run: 0.13.0's narrower form of a
//! [`ShellEnvironment`](crate::build_env::ShellEnvironment), for programs that have implemented it.

use alloc::string::String;

use super::build_env::{CommandOutput, ShellError};

/// A Linux in which scripts run: this machine ([`LocalShell`](crate::build_env::LocalShell)), or a virtual
/// machine. A script is the program's own text; what comes from outside goes through
/// [`ShellEnvironment::exec`](crate::build_env::ShellEnvironment::exec).
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use mvm_core::build_env::{Exit, LocalShell};
/// use mvm_core::linux_env::LinuxEnv;
///
/// let linux: &dyn LinuxEnv = &LocalShell::posix();
/// assert_eq!(linux.run_stdout("echo '  hello  '")?, "hello");
/// // Here, an end of any kind is an answer.
/// assert_eq!(linux.run("exit 3")?.exit, Exit::Code(3));
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
pub trait LinuxEnv: Send + Sync {
    /// Runs a script to its end, whatever end that is.
    ///
    /// # Errors
    /// [`ShellError`] if it does not come to an end of its own.
    fn run(&self, script: &str) -> Result<CommandOutput, ShellError>;

    /// Runs a script to its successful end, with its output where that of this process goes.
    ///
    /// # Errors
    /// [`ShellError`].
    fn run_visible(&self, script: &str) -> Result<(), ShellError>;

    /// Runs a script to its successful end, and gives its output without white space around it.
    ///
    /// # Errors
    /// [`ShellError`].
    fn run_stdout(&self, script: &str) -> Result<String, ShellError>;

    /// Runs a script to its end, whatever end that is, and never shows anything of it. The same as
    /// [`run`](Self::run), unless it is implemented.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    fn run_capture(&self, script: &str) -> Result<CommandOutput, ShellError> {
        self.run(script)
    }
}
