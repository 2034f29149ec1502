//! Log lines: one subscriber of [`tracing`] for the whole program.
//!
//! [`init`] at the beginning of `main` is all that a program needs. Lines go to standard error, so that standard
//! output stays for what the program is asked for (0.13.0 wrote them to standard output).
//!
//! | | [`Human`](LogFormat::Human) | [`Json`](LogFormat::Json) |
//! | --- | --- | --- |
//! | for | people at a terminal | daemons, whose lines are collected |
//! | a line has | time, level, message, fields | one JSON object: `timestamp`, `level`, `fields`, `target`, spans |
//! | colours | on a terminal, unless `NO_COLOR` is set | never |
//!
//! # Filter
//! The variable `RUST_LOG` has directives that are separated by commas, each `level`, `target=level` or
//! `target[span{field=value}]=level` ([`EnvFilter`]); the level is `off`, `error`, `warn`, `info`, `debug` or
//! `trace`. A target stands for all that begin with it. Unset or empty, it is [`DEFAULT_FILTER`].
//!
//! A directive that cannot be read, as `mvm=debgu`, is an error that names it; 0.13.0 silently took the default
//! then. (A word alone that is no level is a target, and gives all of its lines.)
//!
//! ```
//! use mvm_core::observability::logging::{self, LogError, LogFormat};
//!
//! # if std::env::var_os("RUST_LOG").is_none() {
//! logging::init(LogFormat::Human)?;
//! tracing::info!(target: "mvm", tenant = "acme", "ready");
//!
//! // There is one for the whole program.
//! assert_eq!(logging::init(LogFormat::Json), Err(LogError::AlreadySet));
//! # }
//! # Ok::<(), LogError>(())
//! ```

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use std::io::{self, IsTerminal};

use thiserror_no_std::Error;
use tracing::Subscriber;
use tracing_subscriber::filter::Directive;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// The filter where `RUST_LOG` has none: from `info` of targets that begin with `mvm`, as this crate's, and from
/// `warn` of all others.
pub const DEFAULT_FILTER: &str = "mvm=info,warn";

/// The variable that has the filter.
const VARIABLE: &str = "RUST_LOG";

/// How a log line looks.
// Closed: 0.13.0's two, which programs match.
#[allow(clippy::exhaustive_enums)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LogFormat {
    /// For people. The default, also of the key `log_format` in the user's file.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Its name: `human` or `json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no log format of this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name:?} is no log format; there are human and json")]
#[non_exhaustive]
pub struct UnknownLogFormat {
    /// The name.
    pub name: String,
}

impl_error!(UnknownLogFormat);

impl FromStr for LogFormat {
    type Err = UnknownLogFormat;

    /// Reads the name, as the key `log_format` of the user's file has it.
    fn from_str(name: &str) -> Result<Self, UnknownLogFormat> {
        match name {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(UnknownLogFormat {
                name: name.to_owned(),
            }),
        }
    }
}

/// Why log lines are not written as they should be. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The program has a subscriber already.
    #[error("the program writes its log already")]
    AlreadySet,
    /// `RUST_LOG` is not UTF-8.
    #[error("RUST_LOG is not UTF-8")]
    NotUnicode,
    /// A directive of the filter cannot be read.
    #[error("log filter: directive {number}, {directive:?}: {reason}")]
    Directive {
        /// Which one, from 1. Empty ones count.
        number: usize,
        /// Its text.
        directive: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl_error!(LogError);

/// Writes log lines to standard error from now on, filtered by `RUST_LOG`.
///
/// # Errors
/// [`LogError::AlreadySet`] the second time, and where the program has set another subscriber;
/// [`LogError::NotUnicode`] and [`LogError::Directive`] where `RUST_LOG` cannot be read.
pub fn init(format: LogFormat) -> Result<(), LogError> {
    match std::env::var(VARIABLE) {
        Ok(filter) if !filter.is_empty() => init_with(format, &filter),
        Err(std::env::VarError::NotUnicode(_)) => Err(LogError::NotUnicode),
        Ok(_) | Err(std::env::VarError::NotPresent) => init_with(format, DEFAULT_FILTER),
    }
}

/// As [`init`], with a filter that the program chose, as from an argument. `RUST_LOG` is not looked at.
///
/// # Errors
/// [`LogError::AlreadySet`] and [`LogError::Directive`].
pub fn init_with(format: LogFormat, filter: &str) -> Result<(), LogError> {
    // https://no-color.org: any value that is not empty.
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = !plain && io::stderr().is_terminal();
    lines(format, filter, colours, io::stderr)?
        .try_init()
        .map_err(|_| LogError::AlreadySet)
}

/// The same lines for another place than standard error, as a file or a test: a subscriber to be set by the caller.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use mvm_core::observability::logging::{self, LogFormat};
///
/// let lines = Arc::new(Mutex::new(Vec::new()));
/// let into = Arc::clone(&lines);
/// # #[derive(Clone)]
/// # struct Shared(Arc<Mutex<Vec<u8>>>);
/// # impl std::io::Write for Shared {
/// #     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> { self.0.lock().unwrap().write(bytes) }
/// #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
/// # }
/// # let into = Shared(into);
/// let subscriber = logging::subscriber(LogFormat::Json, "warn", move || into.clone())?;
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::info!("not worth a line");
///     tracing::warn!(attempts = 3, "gave up");
/// });
/// let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
/// let line: serde_json::Value = serde_json::from_str(&text).unwrap();
/// assert_eq!((&line["level"], &line["fields"]["attempts"]), (&"WARN".into(), &3.into()));
/// # Ok::<(), logging::LogError>(())
/// ```
///
/// # Errors
/// [`LogError::Directive`].
pub fn subscriber<W>(
    format: LogFormat,
    filter: &str,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + use<W>, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    lines(format, filter, false, writer)
}

fn lines<W>(
    format: LogFormat,
    filter: &str,
    colours: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + use<W>, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = parse(filter)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Human => lines
            .with_ansi(colours)
            .with_target(false)
            .compact()
            .boxed(),
        LogFormat::Json => lines.with_ansi(false).with_target(true).json().boxed(),
    };
    Ok(Registry::default().with(filter).with(lines))
}

/// One directive after the other, as the error of a whole filter does not say which of them it is about.
fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    let mut directives = Vec::new();
    for (index, directive) in filter.split(',').enumerate() {
        let directive = directive.trim();
        if directive.is_empty() {
            continue;
        }
        if let Err(error) = directive.parse::<Directive>() {
            return Err(LogError::Directive {
                number: index.saturating_add(1),
                directive: directive.to_owned(),
                reason: error.to_string(),
            });
        }
        directives.push(directive);
    }
    let filter = match directives.is_empty() {
        true => DEFAULT_FILTER.to_owned(),
        false => directives.join(","),
    };
    // All together, and not added to an empty filter, which has errors of every target.
    EnvFilter::builder()
        .parse(&filter)
        .map_err(|error| LogError::Directive {
            number: 1,
            directive: filter,
            reason: error.to_string(),
        })
}
