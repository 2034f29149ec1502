//! This machine.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;
use std::ffi::OsString;
use std::io;

use super::command::{CommandSpec, shown};
use super::error::ShellError;
use super::output::{Captured, CommandOutput, exit};
use super::{LogLevel, ShellEnvironment};
use crate::host::events;
use crate::host::linux_env::LinuxEnv;
use crate::host::process::{self, Input, Job, Keep, Output};

/// What takes the lines of a log.
type Log = Arc<dyn Fn(LogLevel, &str) + Send + Sync>;

/// This machine, with a shell for scripts.
///
/// - Scripts run as `bash -c …`, as those of 0.13.0 did, or in another POSIX shell; `bash` is looked for in
///   `PATH`. Programs of [`exec`](ShellEnvironment::exec) run directly.
/// - There is no deadline unless one is given, here for all or in a [`CommandSpec`].
/// - What is logged goes to the function of [`with_log`](Self::with_log). Without one it becomes events of
///   `tracing` (`info`, with `success = true` for a success, and `warn`) with the feature `observability`, and
///   nothing otherwise.
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use core::time::Duration;
/// use std::sync::{Arc, Mutex};
/// use mvm_core::build_env::{LocalShell, ShellEnvironment, ShellError};
///
/// let lines = Arc::new(Mutex::new(Vec::new()));
/// let log = Arc::clone(&lines);
/// let here = LocalShell::posix()
///     .with_deadline(Duration::from_millis(200))
///     .with_log(move |level, line| log.lock().unwrap().push(format!("{level:?}: {line}")));
///
/// here.log_info("building");
/// assert!(matches!(here.shell_exec("sleep 1000"), Err(ShellError::TimedOut { .. })));
/// assert_eq!(*lines.lock().unwrap(), ["Info: building"]);
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
#[derive(Clone)]
#[must_use]
pub struct LocalShell {
    shell: OsString,
    deadline: Option<Duration>,
    log: Option<Log>,
}

impl Default for LocalShell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LocalShell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalShell")
            .field("shell", &self.shell)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl LocalShell {
    /// With `bash`, and without a deadline.
    pub fn new() -> Self {
        Self::with_shell("bash")
    }

    /// With `/bin/sh`, and without a deadline.
    pub fn posix() -> Self {
        Self::with_shell("/bin/sh")
    }

    /// With another shell, which takes a script as `-c script`.
    pub fn with_shell(shell: impl Into<OsString>) -> Self {
        Self {
            shell: shell.into(),
            deadline: None,
            log: None,
        }
    }

    /// How long a script or a program may take that has no deadline of its own.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// What takes the lines of the log.
    pub fn with_log(mut self, log: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Self {
        self.log = Some(Arc::new(log));
        self
    }

    /// A script as a program of its shell, for giving it an environment, an input or a deadline.
    ///
    /// ```
    /// # #[cfg(unix)]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use mvm_core::build_env::{LocalShell, ShellEnvironment};
    ///
    /// let here = LocalShell::posix();
    /// // The text goes into the environment and not into the script.
    /// let greeting = here.script("echo \"Hello, $NAME\"").env("NAME", "$(reboot)");
    /// assert_eq!(here.exec(&greeting)?.stdout.text(), "Hello, $(reboot)\n");
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))]
    /// # fn main() {}
    /// ```
    pub fn script(&self, script: &str) -> CommandSpec {
        // A script is not an option, whatever it begins with; not every shell knows `--` here.
        let script = match script.as_bytes().first() {
            Some(b'-' | b'+') => alloc::format!(" {script}"),
            _ => script.to_string(),
        };
        CommandSpec::new(self.shell.clone()).arg("-c").arg(script)
    }

    /// Runs a program to its end, whatever end that is.
    ///
    /// # Errors
    /// [`ShellError::Start`], [`ShellError::Watch`], [`ShellError::TimedOut`].
    pub fn output(&self, command: &CommandSpec) -> Result<CommandOutput, ShellError> {
        let deadline = command.deadline_of().or(self.deadline);
        let visible = command.is_visible();
        let (stdout, stderr) = command.limits();
        let done = process::run(Job {
            command: command.to_command(),
            input: match command.input() {
                Some(bytes) => Input::Bytes(bytes),
                // In a group of its own it would be stopped for reading from the terminal.
                None if visible && deadline.is_none() => Input::Inherited,
                None => Input::Nothing,
            },
            stdout: output(visible, Keep::First(stdout)),
            stderr: output(visible, Keep::Last(stderr)),
            deadline,
            grace: command.grace_of(),
            linger: None,
        })
        .map_err(|error| not_run(command, error))?;
        let stdout = Captured::of(done.stdout, false);
        let stderr = Captured::of(done.stderr, true);
        let shown = || shown(&command.to_string());
        match (done.status.and_then(exit), deadline) {
            (Some(exit), _) if !done.timed_out => Ok(CommandOutput {
                exit,
                stdout,
                stderr,
            }),
            (_, Some(deadline)) => Err(ShellError::TimedOut {
                command: shown(),
                deadline,
                stdout: Box::new(stdout),
                stderr: Box::new(stderr),
            }),
            // Only a deadline ends a run before the program has ended.
            (_, None) => Err(ShellError::Watch {
                command: shown(),
                error: io::Error::other("it has no exit status"),
            }),
        }
    }

    fn say(&self, level: LogLevel, message: &str) {
        match &self.log {
            Some(log) => log(level, message),
            None => events::log(level, message),
        }
    }
}

fn output(visible: bool, keep: Keep) -> Output {
    match keep {
        _ if visible => Output::Inherited,
        Keep::First(0) | Keep::Last(0) => Output::Dropped,
        keep => Output::Kept(keep),
    }
}

fn not_run(command: &CommandSpec, failure: process::Failure) -> ShellError {
    let command = shown(&command.to_string());
    match failure {
        process::Failure::Start(error) => ShellError::Start { command, error },
        process::Failure::Watch(error) => ShellError::Watch { command, error },
    }
}

impl ShellEnvironment for LocalShell {
    fn exec(&self, command: &CommandSpec) -> Result<CommandOutput, ShellError> {
        self.output(command)?.into_success(command)
    }

    fn shell_exec(&self, script: &str) -> Result<(), ShellError> {
        self.exec(&self.script(script).stdout_limit(0)).map(drop)
    }

    fn shell_exec_stdout(&self, script: &str) -> Result<String, ShellError> {
        let command = self.script(script);
        self.output(&command)?.into_text(&command)
    }

    fn shell_exec_visible(&self, script: &str) -> Result<(), ShellError> {
        self.exec(&self.script(script).visible()).map(drop)
    }

    fn shell_exec_capture(&self, script: &str) -> Result<CommandOutput, ShellError> {
        self.exec(&self.script(script))
    }

    fn log_info(&self, message: &str) {
        self.say(LogLevel::Info, message);
    }

    fn log_success(&self, message: &str) {
        self.say(LogLevel::Success, message);
    }

    fn log_warn(&self, message: &str) {
        self.say(LogLevel::Warn, message);
    }
}

impl LinuxEnv for LocalShell {
    fn run(&self, script: &str) -> Result<CommandOutput, ShellError> {
        self.output(&self.script(script))
    }

    fn run_visible(&self, script: &str) -> Result<(), ShellError> {
        self.shell_exec_visible(script)
    }

    fn run_stdout(&self, script: &str) -> Result<String, ShellError> {
        let text = self.shell_exec_stdout(script)?;
        Ok(text.trim().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_no_option() {
        let shell = LocalShell::posix();
        for script in ["-c", "--version", "+x", "-"] {
            let command = shell.script(script);
            assert_eq!(
                command.arguments().last().and_then(|last| last.to_str()),
                Some(alloc::format!(" {script}").as_str())
            );
        }
        assert_eq!(shell.script("ls -l").to_string(), "/bin/sh -c 'ls -l'");
    }
}
