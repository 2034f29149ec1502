//! What verification tells of.

use core::fmt;

use super::head::{Head, KnownHead};
use super::sidecar::SidecarError;
use crate::signing::Fingerprint;

/// Where a head came from that a log is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadSource {
    /// From the caller, who kept it elsewhere.
    Kept,
    /// From the log's own state file.
    State,
    /// From the seal of a generation.
    Seal,
}

impl fmt::Display for HeadSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "the head that was kept",
            Self::State => "the state file",
            Self::Seal => "the seal",
        })
    }
}

/// Where something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Place {
    /// The how-manyth file it is in, from 0, in the order in which they were given.
    pub file: usize,
    /// The generation of the record before, 0 where there was none.
    pub generation: u64,
    /// The line, from 1.
    pub line: u64,
    /// The offset of the line's first byte.
    pub offset: u64,
}

impl Place {
    pub(super) const fn new(file: usize, generation: u64, line: u64, offset: u64) -> Self {
        Self {
            file,
            generation,
            line,
            offset,
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The hash of a record does not fit: it was changed, or its hash was.
    Edited {
        /// Its number.
        seq: u64,
    },
    /// Records are missing in front of this one.
    Missing {
        /// The number of the first.
        from: u64,
        /// The number of the last.
        to: u64,
    },
    /// A record whose number was there already: repeated, or put elsewhere.
    OutOfOrder {
        /// Its number.
        seq: u64,
        /// The number that was to come.
        expected: u64,
    },
    /// It goes on from another record than the one before it.
    OtherPrevious {
        /// Its number.
        seq: u64,
    },
    /// It is of another log.
    OtherLog {
        /// Its number.
        seq: u64,
    },
    /// The first record does not say where the chain goes on from: those before it are missing.
    NoAnchor {
        /// Its number.
        seq: u64,
    },
    /// Unchained lines that this record covers were changed, removed or added.
    UnchainedChanged {
        /// The number of the record.
        seq: u64,
    },
    /// A line with the mark of a record that is none.
    Malformed,
    /// The file ends within a line: a writer died or is writing now, or the rest was cut off.
    Torn {
        /// How many bytes there are of it.
        bytes: u64,
    },
    /// A checkpoint under a trusted key does not fit.
    BadCheckpoint {
        /// The number of the record that it is said to sign.
        seq: u64,
    },
    /// There is a trusted key, and nothing that it signed.
    Unsigned,
    /// The log ends before a record that is known to have been in it.
    Truncated {
        /// The record.
        head: KnownHead,
        /// Who knows.
        source: HeadSource,
        /// The number of the last record that there is, 0 for none.
        last: u64,
    },
    /// A record has another hash than it is known to have: the log was written anew.
    OtherHead {
        /// The record.
        head: KnownHead,
        /// Who knows.
        source: HeadSource,
    },
    /// The log begins behind a record that it is held against, so that cannot be told.
    Before {
        /// The record.
        head: KnownHead,
        /// Who knows it.
        source: HeadSource,
    },
    /// A generation has another length than it was sealed with.
    OtherLength {
        /// The length in the seal, in bytes.
        sealed: u64,
        /// The length of the file, in bytes.
        found: u64,
    },
    /// A seal or a state cannot be read, so that the log cannot be held against it.
    DamagedSidecar {
        /// Which of them.
        source: HeadSource,
        /// What is wrong with it.
        error: SidecarError,
    },
    /// A seal or a state is signed with a trusted key, and the signature does not fit.
    BadSidecar {
        /// Which of them.
        source: HeadSource,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edited { seq } => write!(f, "record {seq} was changed: its hash does not fit"),
            Self::Missing { from, to } if from == to => write!(f, "record {from} is missing"),
            Self::Missing { from, to } => write!(f, "records {from} to {to} are missing"),
            Self::OutOfOrder { seq, expected } => {
                write!(f, "record {seq} stands where {expected} was to come")
            }
            Self::OtherPrevious { seq } => {
                write!(
                    f,
                    "record {seq} goes on from another record than the one before it"
                )
            }
            Self::OtherLog { seq } => write!(f, "record {seq} is of another log"),
            Self::NoAnchor { seq } => {
                write!(
                    f,
                    "record {seq} is the first here and was not: those before it are missing"
                )
            }
            Self::UnchainedChanged { seq } => write!(
                f,
                "unchained lines in front of record {seq}, which covers them, were changed, removed or added"
            ),
            Self::Malformed => {
                f.write_str("a damaged record: it has the mark of one and not its form")
            }
            Self::Torn { bytes } => write!(
                f,
                "the file ends within a line, after {bytes} bytes of it: a writer died or is writing, or the rest was cut off"
            ),
            Self::BadCheckpoint { seq } => {
                write!(f, "the checkpoint of record {seq} does not fit its key")
            }
            Self::Unsigned => f.write_str("nothing here is signed with a trusted key"),
            Self::Truncated { head, source, last } => write!(
                f,
                "the log ends with record {last}, and {source} knows record {}: the end was cut off",
                head.seq
            ),
            Self::OtherHead { head, source } => write!(
                f,
                "record {} is not the one that {source} knows: the log was written anew",
                head.seq
            ),
            Self::Before { head, source } => write!(
                f,
                "the log begins behind record {}, which {source} knows",
                head.seq
            ),
            Self::OtherLength { sealed, found } => write!(
                f,
                "the generation was sealed with {sealed} bytes and has {found}"
            ),
            Self::DamagedSidecar { source, error } => {
                write!(f, "{source} cannot be read: {error}")
            }
            Self::BadSidecar { source } => {
                write!(f, "the signature of {source} does not fit its key")
            }
        }
    }
}

/// Something that is wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub fault: Fault,
}

/// What a log has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// How many things are wrong.
    pub findings: u64,
    /// Bytes.
    pub bytes: u64,
    /// Records.
    pub records: u64,
    /// The first record; with a generation above 1 where older ones are gone.
    pub first: Option<Head>,
    /// The last record.
    pub last: Option<Head>,
    /// Unchained lines.
    pub unchained: u64,
    /// Those of them that no record covers yet.
    pub uncovered: u64,
    /// Those of them that are neither empty nor JSON: 0.13.0 fuses lines.
    pub unreadable: u64,
    /// Records that could not be written since the log began, as far as it says so.
    pub lost: u64,
    /// Bytes of torn lines that were cut off since the log began, as far as it says so.
    pub cut: u64,
    /// Signatures of trusted keys that fit.
    pub signatures: u64,
    /// Signatures of other keys, which say nothing.
    pub unknown_signatures: u64,
    /// The key of the last of those.
    pub unknown_key: Option<Fingerprint>,
    /// The number of the last record that a trusted key signed, and with it all before.
    pub signed_to: Option<u64>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.findings == 0
    }
}
