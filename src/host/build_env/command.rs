//! Programs with their arguments, which no shell reads.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// How much of a program's output is kept, in bytes, unless [`CommandSpec::stdout_limit`] says otherwise:
/// 16 MiB. Reason: what Nix says of a large flake in JSON has a few.
pub const STDOUT_LIMIT: usize = 16 * 1024 * 1024;

/// How much of a program's error output is kept, in bytes, unless [`CommandSpec::stderr_limit`] says
/// otherwise: 64 KiB, of its end. Reason: errors are at the end of a log, and they travel in errors.
pub const STDERR_LIMIT: usize = 64 * 1024;

/// How long a process group has between `SIGTERM` and `SIGKILL`, unless [`CommandSpec::grace`] says
/// otherwise: 2 seconds.
pub const GRACE: Duration = Duration::from_secs(2);

/// A program to run: its arguments, its environment, its input, and what bounds it.
///
/// Arguments go to the program as they are. **Whatever comes from outside goes here and not into a script**:
/// flake references, names, paths, texts of a peer. There is no quoting to get wrong; what is left to do is
/// to keep a text from being taken for an option, with `--` where the program knows it or by a check
/// ([`FlakeRef`](crate::naming::FlakeRef) and the ids cannot begin with `-`).
///
/// | what | default |
/// | --- | --- |
/// | environment, working directory | this process's |
/// | input | none, `/dev/null` |
/// | output | kept: [`STDOUT_LIMIT`] bytes of the beginning of stdout, [`STDERR_LIMIT`] bytes of the end of stderr |
/// | deadline | the environment's that runs it; [`LocalShell`](super::LocalShell) has none |
///
/// ```
/// use core::time::Duration;
/// use mvm_core::build_env::CommandSpec;
/// use mvm_core::naming::FlakeRef;
///
/// let flake: FlakeRef = "github:org/repo?dir=guest".parse()?;
/// let build = CommandSpec::new("nix")
///     .args(["build", "--no-link", "--print-out-paths", "--"])
///     .arg(flake.as_str())
///     .env("NIX_CONFIG", "experimental-features = nix-command flakes")
///     .deadline(Duration::from_secs(3600));
/// // As a shell would have to be given it; for people only.
/// assert_eq!(build.to_string(), "nix build --no-link --print-out-paths -- 'github:org/repo?dir=guest'");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct CommandSpec {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, Option<OsString>)>,
    bare: bool,
    directory: Option<PathBuf>,
    input: Option<Vec<u8>>,
    deadline: Option<Duration>,
    grace: Duration,
    stdout_limit: usize,
    stderr_limit: usize,
    visible: bool,
}

impl CommandSpec {
    /// A program without arguments: a path, or a bare name that is looked for in `PATH`.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            bare: false,
            directory: None,
            input: None,
            deadline: None,
            grace: GRACE,
            stdout_limit: STDOUT_LIMIT,
            stderr_limit: STDERR_LIMIT,
            visible: false,
        }
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// More arguments.
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), Some(value.into())));
        self
    }

    /// Takes a variable out of its environment.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), None));
        self
    }

    /// Gives it no variable of this process's environment. Those that are set here stay, whenever they were.
    pub fn env_clear(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Runs it in a directory. A relative path of the program is one of this process's directory or of
    /// that one, as the system likes: give an absolute one.
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// What it reads. It need not read all of it.
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// How long it may take, all that it has started and that keeps its output included. Then its process
    /// group is asked to end (`SIGTERM`), and killed (`SIGKILL`) after [`grace`](Self::grace).
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long its process group has between `SIGTERM` and `SIGKILL`, [`GRACE`] if nothing is said; with
    /// zero it is killed at once. When the program itself has ended and its output is closed, what is left
    /// of the group is killed without waiting any longer.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How many bytes of the beginning of its output are kept. With 0 it goes nowhere, and is not counted.
    pub fn stdout_limit(mut self, limit: usize) -> Self {
        self.stdout_limit = limit;
        self
    }

    /// How many bytes of the end of its error output are kept. With 0 it goes nowhere, and is not counted.
    pub fn stderr_limit(mut self, limit: usize) -> Self {
        self.stderr_limit = limit;
        self
    }

    /// Its output goes where this process's goes, instead of being kept. Without a deadline and without an
    /// input of its own it reads what this process reads too, and stays in its process group, so that
    /// Ctrl-C at the terminal reaches it.
    pub fn visible(mut self) -> Self {
        self.visible = true;
        self
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// Its arguments.
    #[must_use]
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// What its environment has beside the inherited one, in order; nothing where a variable is taken out.
    pub fn environment(&self) -> impl Iterator<Item = (&OsStr, Option<&OsStr>)> {
        self.environment
            .iter()
            .map(|(name, value)| (name.as_os_str(), value.as_deref()))
    }

    /// Whether it has the environment of the one who runs it.
    #[must_use]
    pub const fn inherits_environment(&self) -> bool {
        !self.bare
    }

    /// The directory that it runs in, if it is another one.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// What it reads.
    #[must_use]
    pub fn input(&self) -> Option<&[u8]> {
        self.input.as_deref()
    }

    /// How long it may take, if that was said.
    #[must_use]
    pub const fn deadline_of(&self) -> Option<Duration> {
        self.deadline
    }

    /// How long its process group has between `SIGTERM` and `SIGKILL`.
    #[must_use]
    pub const fn grace_of(&self) -> Duration {
        self.grace
    }

    /// How many bytes of its output and of its error output are kept.
    #[must_use]
    pub const fn limits(&self) -> (usize, usize) {
        (self.stdout_limit, self.stderr_limit)
    }

    /// Whether its output goes where this process's goes.
    #[must_use]
    pub const fn is_visible(&self) -> bool {
        self.visible
    }

    pub(super) fn to_command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        if self.bare {
            command.env_clear();
        }
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }
}

/// The words of the command line, each quoted for a POSIX shell where it has to be. Bytes that are no text
/// are shown as U+FFFD, control characters as `\n`, `\u{1b}` and the like: it is for people, not for a
/// shell. Environment and input, which may hold secrets, are not in it.
impl fmt::Display for CommandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        word(f, &self.program)?;
        for argument in &self.arguments {
            f.write_str(" ")?;
            word(f, argument)?;
        }
        Ok(())
    }
}

fn word(f: &mut fmt::Formatter<'_>, word: &OsStr) -> fmt::Result {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "%+,-./:@_".contains(c);
    // A `=` is an assignment in a first word only, which is quoted all the same.
    if !word.is_empty() && word.chars().all(plain) {
        return f.write_str(&word);
    }
    f.write_str("'")?;
    for c in word.chars() {
        match c {
            '\'' => f.write_str("'\\''")?,
            c if c.is_control() => fmt::Display::fmt(&c.escape_default(), f)?,
            c => fmt::Write::write_char(f, c)?,
        }
    }
    f.write_str("'")
}

impl fmt::Debug for CommandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of variables, and the length of the input: their values may be secrets.
        let names: Vec<&OsString> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("CommandSpec")
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .field("environment", &names)
            .field("inherits_environment", &self.inherits_environment())
            .field("directory", &self.directory)
            .field("input_len", &self.input.as_ref().map(Vec::len))
            .field("deadline", &self.deadline)
            .field("grace", &self.grace)
            .field("limits", &self.limits())
            .field("visible", &self.visible)
            .finish()
    }
}

/// How much of a command line or a script an error shows, in bytes.
const SHOWN_MAX: usize = 200;

/// A text as errors show it: on one line, and not all of it if it is long.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for c in text.trim().chars() {
        if shown.len() >= SHOWN_MAX {
            shown.push('…');
            break;
        }
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}
