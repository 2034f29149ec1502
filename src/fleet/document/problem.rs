//! What is wrong with a document, and where.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use thiserror_no_std::Error;

use super::at::At;
use super::places::Lines;
use crate::fleet::protocol::VersionsError;
use crate::fleet::routing::PathPrefixError;
use crate::fleet::secret_binding::BindingError;
use crate::fleet::tenant::SubnetError;
use crate::fleet::text::{CidrError, TextError};
use crate::idle_metrics::CpuPercentError;
use crate::instance::{PidError, PrefixLenError, TransitionError};
use crate::limits::PROBLEMS_MAX;
use crate::names::{FlakeRefError, IdError, NetError, RevisionHashError};
use crate::time::ParseTimestampError;

/// Why a value of a document is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// The text is not JSON; the parser's words.
    #[error("not JSON: {0}")]
    Syntax(Box<str>),
    /// The text is JSON of another shape: a member is missing, unknown or of another type; the
    /// parser's words. Nothing behind it was looked at.
    #[error("{0}")]
    Shape(Box<str>),
    /// The document is longer than is read.
    #[error("the document has {len} bytes, at most {max} are read")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The greatest length in bytes.
        max: usize,
    },
    /// Not a range of versions of hostd's protocol.
    #[error("{0}")]
    Versions(VersionsError),
    /// Not a part of a secret binding.
    #[error("{0}")]
    Binding(BindingError),
    /// Not an id.
    #[error("{0}")]
    Id(IdError),
    /// A variant has no name of its own, and the one that is made for it is not the name of a template.
    #[error("the name <template_id>-<role> is not possible: {0}")]
    FallbackName(IdError),
    /// Not a flake reference.
    #[error("{0}")]
    FlakeRef(FlakeRefError),
    /// Not a revision hash.
    #[error("{0}")]
    RevisionHash(RevisionHashError),
    /// Not the number or the name of a network.
    #[error("{0}")]
    Net(NetError),
    /// Not a text of the kind that is wanted.
    #[error("{0}")]
    Text(TextError),
    /// Not a network in CIDR notation.
    #[error("{0}")]
    Cidr(CidrError),
    /// Not a path prefix.
    #[error("{0}")]
    PathPrefix(PathPrefixError),
    /// An address or a network that a tenant cannot have.
    #[error("{0}")]
    Subnet(SubnetError),
    /// Not the length of a prefix.
    #[error("{0}")]
    PrefixLen(PrefixLenError),
    /// Not a process id.
    #[error("{0}")]
    Pid(PidError),
    /// Not a time stamp.
    #[error("{0}")]
    Timestamp(ParseTimestampError),
    /// Not a share of a processor.
    #[error("{0}")]
    CpuPercent(CpuPercentError),
    /// A transition that the state machine does not have.
    #[error("{0}")]
    Transition(TransitionError),
    /// Not an IP address.
    #[error("not an {0} address")]
    Address(&'static str),
    /// A name that is none of a closed set.
    #[error("unknown name; known are: {known}")]
    UnknownName {
        /// The names of the set, separated by commas.
        known: &'static str,
    },
    /// A number that is not finite.
    #[error("not a finite number")]
    NotFinite,
    /// A number that is no share.
    #[error("not a share: it is not from 0 to 1")]
    NotRatio,
    /// A number outside its range.
    #[error("{value} is out of range, {min} to {max}")]
    OutOfRange {
        /// The number.
        value: u64,
        /// The least that is allowed.
        min: u64,
        /// The greatest that is allowed.
        max: u64,
    },
    /// A list of the wrong number of bytes.
    #[error("{len} bytes, {wanted} are wanted")]
    WrongLength {
        /// How many there are.
        len: usize,
        /// How many there must be.
        wanted: usize,
    },
    /// The file was written by a newer program.
    #[error(
        "schema version {found} is newer than {known}, the newest that is known: upgrade this program"
    )]
    NewerSchema {
        /// The version of the file.
        found: u64,
        /// The newest version that is known.
        known: u32,
    },
    /// What must be unique is not.
    #[error("the same as {first}")]
    Duplicate {
        /// The path of the first.
        first: String,
    },
    /// Two networks share addresses.
    #[error("overlaps with {with}")]
    Overlap {
        /// The path of the other network.
        with: String,
    },
    /// More is wanted than the tenant may have.
    #[error("{wanted} exceeds the quota {quota} of {max}")]
    OverQuota {
        /// The name of the quota.
        quota: &'static str,
        /// How much is wanted.
        wanted: u64,
        /// How much there may be.
        max: u64,
    },
    /// A network is too small for the instances that are wanted in it.
    #[error("{wanted} instances are wanted, the network has addresses for {available}")]
    TooFewAddresses {
        /// How many instances are wanted.
        wanted: u64,
        /// How many there are addresses for.
        available: u64,
    },
    /// A name that refers to nothing in the document.
    #[error("there is no such {what}")]
    UnknownReference {
        /// What it should be.
        what: &'static str,
    },
    /// A value that contradicts another one.
    #[error("contradicts {other}: expected {expected}")]
    Mismatch {
        /// The path of the other value.
        other: String,
        /// What it should be.
        expected: String,
    },
    /// A route without a criterion would match everything.
    #[error("matches nothing in particular: a port, a path prefix or a source network is needed")]
    NoCriterion,
    /// A route that is never reached.
    #[error("never reached: everything it would take goes to {by}")]
    Shadowed {
        /// The path of the other route, or of some that together take everything.
        by: String,
    },
    /// Something else that is not allowed.
    #[error("{0}")]
    Rule(&'static str),
}

impl_error!(Reason);

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Where: `tenants[2].pools[0].flake_ref`, empty for the document itself.
    pub path: String,
    /// What is wrong there.
    pub reason: Reason,
    /// Where the value begins in the text; where a member is missing, where its object begins; where one is
    /// unknown or there twice, where its name begins. `None` for a value that was not read from a text, for
    /// a text that is too long to be read, and where only
    /// [`check_json`](super::Document::check_json) would look for it.
    pub position: Option<Position>,
}

/// A place in a text, both counted from 1. A line ends at a line feed; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs)] // there is nothing more to a place
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character within the line.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.position {
            write!(f, "{position}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        self.reason.fmt(f)
    }
}

/// Collects problems, [`PROBLEMS_MAX`] at most; the rest is counted.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    omitted: usize,
    only_first: bool,
}

impl Problems {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self {
            list: Vec::new(),
            omitted: 0,
            only_first: false,
        }
    }

    /// Keeps the first problem and counts the others.
    pub(super) const fn only_first() -> Self {
        Self {
            list: Vec::new(),
            omitted: 0,
            only_first: true,
        }
    }

    /// Notes a problem.
    pub fn add(&mut self, at: &At<'_>, reason: Reason) {
        self.add_with(at, || reason);
    }

    /// Notes a problem, whose reason is only made if it is kept.
    pub fn add_with(&mut self, at: &At<'_>, reason: impl FnOnce() -> Reason) {
        let max = if self.only_first { 1 } else { PROBLEMS_MAX };
        if self.list.len() < max {
            self.list.push(Problem {
                path: at.path(),
                reason: reason(),
                position: None,
            });
        } else {
            self.omitted = self.omitted.saturating_add(1);
        }
    }

    /// Whether nothing was noted.
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// `Ok` if nothing was noted.
    pub(super) fn finish(self) -> Result<(), Invalid> {
        if self.is_empty() {
            return Ok(());
        }
        Err(self.into_invalid())
    }

    pub(super) fn into_invalid(self) -> Invalid {
        Invalid {
            problems: self.list,
            omitted: self.omitted,
        }
    }
}

/// A document is not valid: everything that is wrong with it, one problem at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    problems: Vec<Problem>,
    omitted: usize,
}

impl Invalid {
    /// The one thing that is wrong.
    pub(super) fn one(path: String, reason: Reason, position: Option<Position>) -> Self {
        Self {
            problems: alloc::vec![Problem {
                path,
                reason,
                position
            }],
            omitted: 0,
        }
    }

    /// Whether nothing was looked at but the shape.
    pub(super) fn is_shape(&self) -> bool {
        self.problems.iter().any(|problem| {
            matches!(
                problem.reason,
                Reason::Syntax(_) | Reason::Shape(_) | Reason::TooLong { .. }
            )
        })
    }

    /// Gives each problem its place, an offset in the text, and sorts them by it.
    pub(super) fn locate(&mut self, text: &[u8], offsets: Vec<usize>) {
        let problems = core::mem::take(&mut self.problems);
        let mut located: Vec<(usize, Problem)> = offsets.into_iter().zip(problems).collect();
        // Stable: at one place, rules come before values.
        located.sort_by_key(|(offset, _)| *offset);
        let mut lines = Lines::new(text);
        self.problems = located
            .into_iter()
            .map(|(offset, problem)| Problem {
                position: Some(lines.position(offset)),
                ..problem
            })
            .collect();
    }

    /// A value that cannot be written.
    pub(crate) fn unwritable(words: String) -> Self {
        Self::one(String::new(), Reason::Shape(words.into()), None)
    }

    /// The problems. From [`check_json`](super::Document::check_json) in the order of their positions;
    /// otherwise in the order in which they were found: first the rules between values, then the
    /// values themselves, each in the order of the document.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many more there are than [`problems`](Self::problems) holds:
    /// [`PROBLEMS_MAX`] are kept.
    #[must_use]
    pub const fn omitted(&self) -> usize {
        self.omitted
    }

    /// The problems themselves.
    #[must_use]
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}

impl fmt::Display for Invalid {
    /// The first problem, and how many there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.first() {
            Some(first) => first.fmt(f)?,
            None => f.write_str("not valid")?,
        }
        let more = self
            .problems
            .len()
            .saturating_sub(1)
            .saturating_add(self.omitted);
        if more > 0 {
            write!(f, " (and {more} more)")?;
        }
        Ok(())
    }
}

impl core::error::Error for Invalid {}
