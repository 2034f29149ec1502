//! How a log is written.

use core::time::Duration;

use crate::signing::DocumentKey;

/// When records are made durable, that is, safe from a power cut. A program that dies loses nothing in any case.
// Closed: these are the ones there are.
#[allow(clippy::exhaustive_enums)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Each record, before [`append`](super::AuditLog::append) returns.
    #[default]
    EveryRecord,
    /// The records so far with the first one that comes this long after the last time. Those behind the last time may
    /// be lost in a power cut.
    Interval(Duration),
    /// When the system does it of its own accord.
    None,
}

/// How a log is written.
///
/// ```
/// use std::time::Duration;
/// use mvm_core::audit::{AuditLogOptions, Durability};
///
/// let options = AuditLogOptions::new()
///     .durability(Durability::Interval(Duration::from_secs(1)))
///     .max_len(64 * 1024 * 1024)
///     .generations(30);
/// # let _ = options;
/// ```
#[derive(Debug)]
pub struct AuditLogOptions {
    pub(super) durability: Durability,
    pub(super) max_len: u64,
    pub(super) generations: u32,
    pub(super) mode: u32,
    pub(super) patience: Duration,
    pub(super) key: Option<DocumentKey>,
    pub(super) checkpoint_records: u64,
    pub(super) checkpoint_time: Duration,
}

impl Default for AuditLogOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl AuditLogOptions {
    /// Every record durable, 8 MiB in a generation, 10 generations kept, mode 0640, five seconds of patience with other
    /// writers, no key.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            durability: Durability::EveryRecord,
            max_len: 8 * 1024 * 1024,
            generations: 10,
            mode: 0o640,
            patience: Duration::from_secs(5),
            key: None,
            checkpoint_records: 256,
            checkpoint_time: Duration::from_secs(60),
        }
    }

    /// When records are made durable. Default [`Durability::EveryRecord`].
    #[must_use]
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The length in bytes behind which a generation is sealed and a new one begun. Default 8 MiB. From 10 MiB on, a
    /// program of 0.13.0 that writes the same log would rename it itself.
    #[must_use]
    pub const fn max_len(mut self, bytes: u64) -> Self {
        self.max_len = bytes;
        self
    }

    /// How many sealed generations are kept. Default 10.
    #[must_use]
    pub const fn generations(mut self, count: u32) -> Self {
        self.generations = count;
        self
    }

    /// The mode of files that are created, less the umask. Default 0640. A new generation has mode and owner of the one
    /// before.
    #[must_use]
    pub const fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// How long to wait for other writers. Default 5 seconds.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Signs checkpoints, seals and the state with a key. Default no key.
    #[must_use]
    pub fn sign_with(mut self, key: DocumentKey) -> Self {
        self.key = Some(key);
        self
    }

    /// A checkpoint is written with the first record that comes after so many records, or after so much time, since the
    /// last one of this program. Default 256 and 60 seconds. Without a key there are none.
    #[must_use]
    pub const fn checkpoints(mut self, records: u64, time: Duration) -> Self {
        self.checkpoint_records = records;
        self.checkpoint_time = time;
        self
    }
}
