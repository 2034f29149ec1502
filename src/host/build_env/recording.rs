//! A double for tests.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::ffi::OsString;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use thiserror_no_std::Error;

use super::command::{CommandSpec, shown};
use super::error::{BuildError, ShellError};
use super::output::{Captured, CommandOutput, Exit};
use super::{BuildEnvironment, LogLevel, ShellEnvironment};
use crate::host::linux_env::LinuxEnv;
use crate::instance::InstanceNet;
use crate::names::{BridgeName, PoolId, TapName, TenantId};
use crate::pool::{BuildRevision, PoolSpec};
use crate::tenant::{TenantConfig, TenantNet};

/// Which method a script came through: of [`ShellEnvironment`] and the like of it of [`LinuxEnv`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScriptKind {
    /// `shell_exec`.
    Plain,
    /// `shell_exec_stdout`, `run_stdout`.
    Stdout,
    /// `shell_exec_visible`, `run_visible`.
    Visible,
    /// `shell_exec_capture`, `run`, `run_capture`.
    Capture,
}

/// What a double was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// A program.
    Exec(CommandSpec),
    /// A script.
    Script {
        /// Which method it came through.
        kind: ScriptKind,
        /// The script.
        script: String,
    },
    /// A line of the log.
    Log {
        /// How much it matters.
        level: LogLevel,
        /// The line.
        message: String,
    },
    /// The pool of a tenant.
    LoadPoolSpec(TenantId, PoolId),
    /// A tenant.
    LoadTenantConfig(TenantId),
    /// A bridge.
    EnsureBridge(Box<TenantNet>),
    /// A TAP device.
    SetupTap(InstanceNet, BridgeName),
    /// No TAP device.
    TeardownTap(TapName),
    /// What was built.
    RecordRevision(TenantId, PoolId, Box<BuildRevision>),
}

/// What a double answers.
#[derive(Debug)]
pub struct Answer(Kind);

#[derive(Debug)]
enum Kind {
    Output(CommandOutput),
    TimedOut(Duration),
    NotStarted(io::ErrorKind),
}

impl Answer {
    /// Success, without a word.
    #[must_use]
    pub fn success() -> Self {
        Self::stdout("")
    }

    /// Success, with this output.
    #[must_use]
    pub fn stdout(text: impl Into<Vec<u8>>) -> Self {
        Self::output(CommandOutput {
            exit: Exit::Code(0),
            stdout: Captured::whole(text),
            stderr: Captured::default(),
        })
    }

    /// Failure, with this code and this error output.
    #[must_use]
    pub fn failure(code: i32, stderr: impl Into<Vec<u8>>) -> Self {
        Self::output(CommandOutput {
            exit: Exit::Code(code),
            stdout: Captured::default(),
            stderr: Captured::whole(stderr),
        })
    }

    /// This output, with this end.
    #[must_use]
    pub const fn output(output: CommandOutput) -> Self {
        Self(Kind::Output(output))
    }

    /// The deadline passed.
    #[must_use]
    pub const fn timed_out(deadline: Duration) -> Self {
        Self(Kind::TimedOut(deadline))
    }

    /// It was not started: `NotFound`, `PermissionDenied`.
    #[must_use]
    pub const fn not_started(kind: io::ErrorKind) -> Self {
        Self(Kind::NotStarted(kind))
    }

    fn give(self, command: &dyn fmt::Display) -> Result<CommandOutput, ShellError> {
        let command = || shown(&command.to_string());
        match self.0 {
            Kind::Output(output) => Ok(output),
            Kind::TimedOut(deadline) => Err(ShellError::TimedOut {
                command: command(),
                deadline,
                stdout: Box::default(),
                stderr: Box::default(),
            }),
            Kind::NotStarted(kind) => Err(ShellError::Start {
                command: command(),
                error: kind.into(),
            }),
        }
    }
}

type ScriptTest = Box<dyn Fn(&str) -> bool + Send>;
type CommandTest = Box<dyn Fn(&CommandSpec) -> bool + Send>;

/// What is expected next.
enum Expected {
    Script(String),
    ScriptWhere(String, ScriptTest),
    Command(Vec<OsString>),
    CommandWhere(String, CommandTest),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script(script) => write!(f, "the script {}", shown(script)),
            Self::ScriptWhere(what, _) => write!(f, "a script: {what}"),
            Self::Command(words) => {
                let mut words = words.iter().cloned();
                let program = CommandSpec::new(words.next().unwrap_or_default());
                write!(f, "the program {}", shown(&program.args(words).to_string()))
            }
            Self::CommandWhere(what, _) => write!(f, "a program: {what}"),
        }
    }
}

impl Expected {
    fn is(&self, call: &Call) -> bool {
        match (self, call) {
            (Self::Script(expected), Call::Script { script, .. }) => expected == script,
            (Self::ScriptWhere(_, test), Call::Script { script, .. }) => test(script),
            (Self::Command(words), Call::Exec(command)) => {
                let mut expected = words.iter();
                expected.next().map(OsString::as_os_str) == Some(command.program())
                    && expected.eq(command.arguments())
            }
            (Self::CommandWhere(_, test), Call::Exec(command)) => test(command),
            _ => false,
        }
    }
}

#[derive(Default)]
struct State {
    expected: VecDeque<(Expected, Answer)>,
    calls: Vec<Call>,
    unexpected: Vec<String>,
    pools: BTreeMap<(TenantId, PoolId), PoolSpec>,
    tenants: BTreeMap<TenantId, TenantConfig>,
}

/// A double of every environment here: it answers scripts and programs in the order that it was told of,
/// and records all that it is asked for.
///
/// - What is not expected, or not yet, is refused with [`ShellError::Unexpected`]. [`finish`](Self::finish)
///   is an error then too, in case that the program under test did not mind, and also if something that is
///   expected was not asked for.
/// - It loads the pools and tenants that it was given, and does the rest of a [`BuildEnvironment`] by
///   recording it.
/// - It can be shared among threads. What they ask for at the same time is in the order in which it came.
///
/// ```
/// use mvm_core::build_env::{Answer, Call, CommandSpec, RecordingShell, ShellEnvironment, ShellError};
///
/// /// The function under test.
/// fn store_path(env: &dyn ShellEnvironment, flake: &str) -> Result<String, ShellError> {
///     env.log_info("building");
///     let build = CommandSpec::new("nix").args(["build", "--print-out-paths", flake]);
///     Ok(env.exec(&build)?.into_text(&build)?.trim().to_string())
/// }
///
/// let double = RecordingShell::new()
///     .expect_command(["nix", "build", "--print-out-paths", ".#guest"], Answer::stdout("/nix/store/x\n"))
///     .expect_command(["nix", "build", "--print-out-paths", ".#none"], Answer::failure(1, "no such output"));
/// assert_eq!(store_path(&double, ".#guest")?, "/nix/store/x");
/// assert!(store_path(&double, ".#none").is_err());
/// assert_eq!(double.calls().iter().filter(|call| matches!(call, Call::Log { .. })).count(), 2);
/// double.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct RecordingShell {
    state: Mutex<State>,
}

impl fmt::Debug for RecordingShell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("RecordingShell")
            .field("calls", &state.calls)
            .field("expected", &state.expected.len())
            .finish_non_exhaustive()
    }
}

/// What a double was told of and what it was asked for are not the same.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected and not asked for: {missing:?}; asked for and not expected: {unexpected:?}")]
#[non_exhaustive]
pub struct Unmet {
    /// What was expected and not asked for, in order.
    pub missing: Vec<String>,
    /// What was asked for and not expected, in order.
    pub unexpected: Vec<String>,
}

impl_error!(Unmet);

impl RecordingShell {
    /// One that expects nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, change: impl FnOnce(&mut State)) -> Self {
        change(self.state.get_mut().unwrap_or_else(PoisonError::into_inner));
        self
    }

    /// Next, a program with exactly these arguments; environment, input and bounds are any.
    #[must_use]
    pub fn expect_command<A: Into<OsString>>(
        self,
        words: impl IntoIterator<Item = A>,
        answer: Answer,
    ) -> Self {
        let words = words.into_iter().map(Into::into).collect();
        self.with(|state| {
            let expected = Expected::Command(words);
            state.expected.push_back((expected, answer));
        })
    }

    /// Next, a program for which this is true; `what` says so in errors.
    #[must_use]
    pub fn expect_command_where(
        self,
        what: impl Into<String>,
        test: impl Fn(&CommandSpec) -> bool + Send + 'static,
        answer: Answer,
    ) -> Self {
        self.with(|state| {
            let expected = Expected::CommandWhere(what.into(), Box::new(test));
            state.expected.push_back((expected, answer));
        })
    }

    /// Next, exactly this script, through whichever method.
    #[must_use]
    pub fn expect_script(self, script: impl Into<String>, answer: Answer) -> Self {
        self.with(|state| {
            let expected = Expected::Script(script.into());
            state.expected.push_back((expected, answer));
        })
    }

    /// Next, a script for which this is true; `what` says so in errors.
    #[must_use]
    pub fn expect_script_where(
        self,
        what: impl Into<String>,
        test: impl Fn(&str) -> bool + Send + 'static,
        answer: Answer,
    ) -> Self {
        self.with(|state| {
            let expected = Expected::ScriptWhere(what.into(), Box::new(test));
            state.expected.push_back((expected, answer));
        })
    }

    /// A pool that can be loaded.
    #[must_use]
    pub fn with_pool(self, pool: PoolSpec) -> Self {
        let key = (pool.tenant_id.clone(), pool.pool_id.clone());
        self.with(|state| {
            state.pools.insert(key, pool);
        })
    }

    /// A tenant that can be loaded.
    #[must_use]
    pub fn with_tenant(self, tenant: TenantConfig) -> Self {
        self.with(|state| {
            state.tenants.insert(tenant.tenant_id.clone(), tenant);
        })
    }

    /// What it was asked for until now, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Whether it was asked for all that was expected, and for nothing else.
    ///
    /// # Errors
    /// [`Unmet`] with what was not.
    pub fn finish(&self) -> Result<(), Unmet> {
        let state = self.lock();
        if state.expected.is_empty() && state.unexpected.is_empty() {
            return Ok(());
        }
        Err(Unmet {
            missing: state
                .expected
                .iter()
                .map(|(expected, _)| expected.to_string())
                .collect(),
            unexpected: state.unexpected.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test of an expectation may panic; what was recorded until then is right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, call: Call) {
        self.lock().calls.push(call);
    }

    fn answer(&self, call: Call, text: &dyn fmt::Display) -> Result<CommandOutput, ShellError> {
        let mut state = self.lock();
        state.calls.push(call.clone());
        match state.expected.pop_front() {
            Some((expected, answer)) if expected.is(&call) => answer.give(text),
            other => {
                let command = shown(&text.to_string());
                state.unexpected.push(command.clone());
                let expected = match &other {
                    Some((expected, _)) => expected.to_string(),
                    None => "nothing more is".to_owned(),
                };
                // It is still expected.
                if let Some(other) = other {
                    state.expected.push_front(other);
                }
                Err(ShellError::Unexpected { command, expected })
            }
        }
    }

    fn script(&self, kind: ScriptKind, script: &str) -> Result<CommandOutput, ShellError> {
        let call = Call::Script {
            kind,
            script: script.to_string(),
        };
        self.answer(call, &script)
    }

    fn log(&self, level: LogLevel, message: &str) {
        let message = message.to_string();
        self.record(Call::Log { level, message });
    }
}

impl ShellEnvironment for RecordingShell {
    fn exec(&self, command: &CommandSpec) -> Result<CommandOutput, ShellError> {
        self.answer(Call::Exec(command.clone()), command)?
            .into_success(command)
    }

    fn shell_exec(&self, script: &str) -> Result<(), ShellError> {
        let output = self.script(ScriptKind::Plain, script)?;
        output.into_success(&script).map(drop)
    }

    fn shell_exec_stdout(&self, script: &str) -> Result<String, ShellError> {
        self.script(ScriptKind::Stdout, script)?.into_text(&script)
    }

    fn shell_exec_visible(&self, script: &str) -> Result<(), ShellError> {
        let output = self.script(ScriptKind::Visible, script)?;
        output.into_success(&script).map(drop)
    }

    fn shell_exec_capture(&self, script: &str) -> Result<CommandOutput, ShellError> {
        let output = self.script(ScriptKind::Capture, script)?;
        output.into_success(&script)
    }

    fn log_info(&self, message: &str) {
        self.log(LogLevel::Info, message);
    }

    fn log_success(&self, message: &str) {
        self.log(LogLevel::Success, message);
    }

    fn log_warn(&self, message: &str) {
        self.log(LogLevel::Warn, message);
    }
}

impl LinuxEnv for RecordingShell {
    fn run(&self, script: &str) -> Result<CommandOutput, ShellError> {
        self.script(ScriptKind::Capture, script)
    }

    fn run_visible(&self, script: &str) -> Result<(), ShellError> {
        self.shell_exec_visible(script)
    }

    fn run_stdout(&self, script: &str) -> Result<String, ShellError> {
        let text = self.shell_exec_stdout(script)?;
        Ok(text.trim().to_string())
    }
}

/// Nothing of this name was given to the double.
fn not_given(what: String) -> BuildError {
    BuildError::Load {
        what,
        error: Box::new(io::Error::from(io::ErrorKind::NotFound)),
    }
}

impl BuildEnvironment for RecordingShell {
    fn load_pool_spec(&self, tenant: &TenantId, pool: &PoolId) -> Result<PoolSpec, BuildError> {
        self.record(Call::LoadPoolSpec(tenant.clone(), pool.clone()));
        let key = (tenant.clone(), pool.clone());
        let found = self.lock().pools.get(&key).cloned();
        found.ok_or_else(|| not_given(alloc::format!("pool {tenant}/{pool}")))
    }

    fn load_tenant_config(&self, tenant: &TenantId) -> Result<TenantConfig, BuildError> {
        self.record(Call::LoadTenantConfig(tenant.clone()));
        let found = self.lock().tenants.get(tenant).cloned();
        found.ok_or_else(|| not_given(alloc::format!("tenant {tenant}")))
    }

    fn ensure_bridge(&self, net: &TenantNet) -> Result<(), BuildError> {
        self.record(Call::EnsureBridge(Box::new(net.clone())));
        Ok(())
    }

    fn setup_tap(&self, net: &InstanceNet, bridge: &BridgeName) -> Result<(), BuildError> {
        self.record(Call::SetupTap(*net, bridge.clone()));
        Ok(())
    }

    fn teardown_tap(&self, tap: &TapName) -> Result<(), BuildError> {
        self.record(Call::TeardownTap(tap.clone()));
        Ok(())
    }

    fn record_revision(
        &self,
        tenant: &TenantId,
        pool: &PoolId,
        revision: &BuildRevision,
    ) -> Result<(), BuildError> {
        self.record(Call::RecordRevision(
            tenant.clone(),
            pool.clone(),
            Box::new(revision.clone()),
        ));
        Ok(())
    }
}
