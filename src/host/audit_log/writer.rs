//! The writer of a log.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::fs::FlockOperation;

use super::error::{AppendError, FileError, OpenError, Step};
use super::files::{Files, Lock, read_range, sidecar_of};
use super::options::{AuditLogOptions, Durability};
use crate::fleet::audit::writing::{Members, Position, finish_line};
use crate::fleet::audit::{
    AuditEntry, Checkpoint, Head, LocalAuditEvent, LogId, Sidecar, SidecarError,
};
use crate::fleet::document::Document;
use crate::host::entropy;
use crate::limits::AUDIT_LINE_MAX;

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::fleet::audit::AuditEntry {}
    impl Sealed for crate::fleet::audit::LocalAuditEvent {}
}

/// What is logged: [`AuditEntry`] or [`LocalAuditEvent`].
pub trait LogEntry: Document + sealed::Sealed {}

impl LogEntry for AuditEntry {}
impl LogEntry for LocalAuditEvent {}

/// How many records of a program may come without the state file being written.
const STATE_RECORDS: u32 = 64;

/// A record is in the log.
#[derive(Debug)]
#[non_exhaustive]
pub struct Appended {
    /// Which one. Kept elsewhere, its [`known`](Head::known) form finds out whoever cuts the log off.
    pub head: Head,
    /// What did not work beside it: the log could not be rotated, or its state could not be written. It is tried again with
    /// the next record.
    pub trouble: Option<FileError>,
}

/// A log that is written to, see the [module](crate::audit).
///
/// Threads may share it. Any number of programs may have one log open.
///
/// ```
/// use mvm_core::audit::{AuditLogOptions, LocalAuditEvent, LocalAuditKind, AuditLog, verify_log};
/// use mvm_core::time::Timestamp;
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("audit.jsonl");
/// let log = AuditLog::<LocalAuditEvent>::open(&path, AuditLogOptions::new())?;
/// let event = LocalAuditEvent::new(Timestamp::now()?, LocalAuditKind::VmStart, Some("dev".into()), None);
/// let appended = log.append(&event)?;
/// assert_eq!(appended.head.seq, 1);
/// log.close()?;
///
/// let report = verify_log(&path, |_| {}, |verifier| verifier)?;
/// assert!(report.is_ok());
/// assert_eq!(report.last, Some(appended.head));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AuditLog<E> {
    pub(super) files: Files,
    pub(super) options: AuditLogOptions,
    inner: Mutex<Inner>,
    entry: PhantomData<fn(&E)>,
}

/// The log of a single host.
pub type LocalAuditLog = AuditLog<LocalAuditEvent>;

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) directory: Arc<File>,
    /// Whether the directory has names that are not durable.
    pub(super) new_names: bool,
    /// The state file, which is the lock too.
    pub(super) state: Arc<File>,
    pub(super) current: Option<Current>,
    /// Where the log stands.
    pub(super) at: Position,
    /// Where it stood before the last record of this program, as far as that is known for certain.
    pub(super) base: Position,
    /// Whether the next record has to say from where it goes on.
    pub(super) anchor: bool,
    /// Whether everything has to be looked at anew.
    pub(super) stale: bool,
    /// Records of this program that were not written, and are counted nowhere yet.
    lost: u64,
    /// Bytes that were cut off, and are counted nowhere yet.
    pub(super) cut: u64,
    /// Whether the state file may know of losses that the log does not.
    unreported: bool,
    since_state: u32,
    since_checkpoint: u64,
    last_checkpoint: Instant,
    last_sync: Instant,
    /// The last record that is durable.
    pub(super) durable: Option<Position>,
    pub(super) trouble: Option<FileError>,
    line: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(super) struct Current {
    pub(super) file: Arc<File>,
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl<E> fmt::Debug for AuditLog<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog")
            .field("path", &self.files.log())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl<E: LogEntry> AuditLog<E> {
    /// Opens a log, or creates it, and its directory where there is none. A torn line at its end is repaired, once
    /// nobody has gone on writing it for a quarter of a second.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: impl AsRef<Path>, options: AuditLogOptions) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let mut files = Files::of(path)?;
        let directory = &files.directory;
        fs::create_dir_all(directory)
            .map_err(|error| files.failed(directory, Step::Directory, error))?;
        // The directory exists now, and links on the way to it can be followed.
        files = Files::of(path)?;
        let directory = File::open(&files.directory)
            .map_err(|error| files.failed(&files.directory, Step::Directory, error))?;
        let state_path = files.state();
        let state = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(options.mode)
            .open(&state_path)
            .map_err(|error| files.failed(&state_path, Step::Opening, error))?;
        let now = Instant::now();
        let inner = Inner {
            directory: Arc::new(directory),
            new_names: true,
            state: Arc::new(state),
            current: None,
            at: Position::START,
            base: Position::START,
            anchor: false,
            stale: true,
            lost: 0,
            cut: 0,
            unreported: true,
            since_state: 0,
            since_checkpoint: 0,
            last_checkpoint: now,
            last_sync: now,
            durable: None,
            trouble: None,
            line: Vec::new(),
        };
        let log = Self {
            files,
            options,
            inner: Mutex::new(inner),
            entry: PhantomData,
        };
        let mut inner = log.inner();
        {
            let _lock = log.lock(&inner.state)?;
            let found = sidecar_of(&inner.state)
                .map_err(|error| log.files.failed(&state_path, Step::Reading, error))?;
            // Half a state is as good as none. But what is of a newer program is not written over.
            if let Err(error @ SidecarError::UnknownVersion(_)) = found {
                let path = state_path;
                return Err(OpenError::State { path, error });
            }
            if found.is_err() {
                let mut id = [0; 16];
                entropy::fill(&mut id).map_err(OpenError::Entropy)?;
                inner.at.log = Some(LogId::from_bytes(id));
            }
            log.refresh(&mut inner)?;
            if found.is_err() {
                log.write_state(&mut inner)?;
            }
        }
        drop(inner);
        Ok(log)
    }

    /// Where the log is, with symbolic links followed.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.files.log()
    }

    /// The last record that this program knows of, `None` for an empty log.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        head(&self.inner().at)
    }

    /// Appends a record.
    ///
    /// # Errors
    /// [`AppendError`]. Except for [`AppendError::NotDurable`], the record is not in the log: what was written of it is cut
    /// off again. It is counted, and the next record that this program writes says how many were lost.
    pub fn append(&self, entry: &E) -> Result<Appended, AppendError> {
        let mut inner = self.inner();
        let mut line = core::mem::take(&mut inner.line);
        line.clear();
        let written = self.write_entry(&mut inner, entry, &mut line);
        inner.line = line;
        let head = match written {
            Ok(head) => head,
            Err(error) => {
                inner.lost = inner.lost.saturating_add(1);
                inner.unreported = true;
                // Counted where other programs find it, should this one not write again. The caller has the first error;
                // what cannot be counted there is counted here, until it can.
                let _ = self.note(&mut inner);
                return Err(error);
            }
        };
        let trouble = inner.trouble.take();
        let due = match self.options.durability {
            Durability::EveryRecord => true,
            Durability::Interval(interval) => inner.last_sync.elapsed() >= interval,
            Durability::None => false,
        };
        if !due {
            return Ok(Appended { head, trouble });
        }
        let (file, at) = (inner.current.clone(), inner.at);
        let names = core::mem::take(&mut inner.new_names).then(|| Arc::clone(&inner.directory));
        // Others go on while this record is made durable, threads too.
        drop(inner);
        if let Err(error) = self.make_durable(file.as_ref(), names.as_deref()) {
            self.inner().new_names |= names.is_some();
            return Err(AppendError::NotDurable { head, error });
        }
        let mut inner = self.inner();
        inner.last_sync = Instant::now();
        if inner.durable.is_none_or(|durable| durable.seq < at.seq) {
            inner.durable = Some(at);
        }
        let trouble = trouble.or_else(|| self.note(&mut inner).err());
        Ok(Appended { head, trouble })
    }

    /// Makes all records so far durable, whatever the policy.
    ///
    /// # Errors
    /// [`FileError`]; then what was written since the last time may be gone after a power cut.
    pub fn sync(&self) -> Result<(), FileError> {
        let mut inner = self.inner();
        let names = inner.new_names.then(|| Arc::clone(&inner.directory));
        self.make_durable(inner.current.as_ref(), names.as_deref())?;
        inner.new_names = false;
        inner.last_sync = Instant::now();
        inner.durable = Some(inner.at);
        let _lock = self.lock(&inner.state)?;
        self.write_state(&mut inner)
    }

    /// [`sync`](Self::sync), and closes the log. Dropping it tries the same and cannot tell whether it worked.
    ///
    /// # Errors
    /// As [`sync`](Self::sync).
    pub fn close(self) -> Result<(), FileError> {
        self.sync()
    }

    fn write_entry(
        &self,
        inner: &mut Inner,
        entry: &E,
        line: &mut Vec<u8>,
    ) -> Result<Head, AppendError> {
        serde_json::to_writer(&mut *line, entry).map_err(AppendError::Json)?;
        let too_long = |len| AppendError::TooLong {
            len,
            max: AUDIT_LINE_MAX,
        };
        if line.len() > AUDIT_LINE_MAX {
            return Err(too_long(line.len()));
        }
        let _lock = self.lock(&inner.state).map_err(AppendError::NotWritten)?;
        self.write_locked(inner, line, &too_long)
    }
}

impl<E> AuditLog<E> {
    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked left nothing half done that is not looked at anew.
        self.inner
            .lock()
            .unwrap_or_else(|poisoned: PoisonError<_>| {
                let mut inner = poisoned.into_inner();
                inner.stale = true;
                inner
            })
    }

    fn make_durable(&self, log: Option<&Current>, names: Option<&File>) -> Result<(), FileError> {
        if let Some(current) = log {
            current
                .file
                .sync_data()
                .map_err(self.files.log_failed(Step::Syncing))?;
        }
        names.map_or(Ok(()), |directory| self.files.sync_directory(directory))
    }

    fn lock(&self, state: &Arc<File>) -> Result<Lock, FileError> {
        let operation = FlockOperation::NonBlockingLockExclusive;
        match Lock::wait(state, operation, self.options.patience) {
            Ok(Some(lock)) => Ok(lock),
            Ok(None) => {
                let error = io::ErrorKind::TimedOut.into();
                Err(self.files.failed(&self.files.state(), Step::Locking, error))
            }
            Err(error) => Err(self.files.failed(&self.files.state(), Step::Locking, error)),
        }
    }

    fn write_locked(
        &self,
        inner: &mut Inner,
        line: &mut Vec<u8>,
        too_long: &dyn Fn(usize) -> AppendError,
    ) -> Result<Head, AppendError> {
        self.refresh(inner).map_err(AppendError::NotWritten)?;
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if inner.at.begun && inner.at.end.saturating_add(length) > self.options.max_len {
            self.rotate(inner).map_err(AppendError::NotWritten)?;
        }
        let (lost, cut) = match self.counted(inner) {
            Ok((lost, cut)) => (
                lost.saturating_add(core::mem::take(&mut inner.lost)),
                cut.saturating_add(core::mem::take(&mut inner.cut)),
            ),
            // The record comes first. What was lost is said by a later one.
            Err(error) => {
                inner.trouble.get_or_insert(error);
                (inner.at.lost, inner.at.cut)
            }
        };
        let (log, at) = (inner.at.log.unwrap_or(LogId::from_bytes([0; 16])), inner.at);
        let anchored = inner.anchor || !at.begun;
        let members = Members {
            seq: at.seq.saturating_add(1),
            anchor: anchored.then_some((log, at.generation, at.hash)),
            // An anchor always has them: whoever begins there knows of none before.
            unchained: (at.unchained.lines > if anchored { 0 } else { at.covered })
                .then_some(at.unchained),
            lost: (lost > at.lost).then_some(lost),
            cut: (cut > at.cut).then_some(cut),
            checkpoint: self.checkpoint(inner, log),
        };
        let Some(hash) = finish_line(line, &members, log, at.hash) else {
            return Err(too_long(0));
        };
        // The newline is not counted.
        let len = line.len().saturating_sub(1);
        if len > AUDIT_LINE_MAX {
            return Err(too_long(len));
        }
        self.write_line(inner, line)
            .map_err(AppendError::NotWritten)?;

        let end = at
            .end
            .saturating_add(u64::try_from(line.len()).unwrap_or(0));
        inner.base = at;
        inner.at = Position {
            seq: members.seq,
            hash,
            end,
            lines: at.lines.saturating_add(1),
            covered: at.unchained.lines,
            record_end: end,
            record_unchained: at.unchained,
            lost,
            cut,
            begun: true,
            ..at
        };
        inner.anchor = false;
        if members.checkpoint.is_some() {
            (inner.since_checkpoint, inner.last_checkpoint) = (0, Instant::now());
        }
        inner.since_checkpoint = inner.since_checkpoint.saturating_add(1);
        inner.since_state = inner.since_state.saturating_add(1);
        if inner.since_state >= STATE_RECORDS
            && self.options.durability == Durability::None
            && let Err(error) = self.write_state(inner)
        {
            inner.trouble.get_or_insert(error);
        }
        Ok(Head::new(log, at.generation, members.seq, hash))
    }

    /// A signature of the last record, where one is due.
    fn checkpoint(&self, inner: &Inner, log: LogId) -> Option<Checkpoint> {
        let key = self.options.key.as_ref()?;
        let at = &inner.at;
        let due = !at.begun
            || inner.since_checkpoint >= self.options.checkpoint_records
            || inner.last_checkpoint.elapsed() >= self.options.checkpoint_time;
        (due && at.seq > 0).then(|| Checkpoint::sign(key, log, at.seq, at.hash))
    }

    /// One write; what is written of a record that fails is cut off again.
    fn write_line(&self, inner: &mut Inner, line: &[u8]) -> Result<(), FileError> {
        let Some(current) = inner.current.clone() else {
            let error = io::ErrorKind::NotFound.into();
            return Err(self.files.log_failed(Step::Writing)(error));
        };
        let mut second = false;
        loop {
            let error = match (&*current.file).write(line) {
                Ok(len) if len == line.len() => return Ok(()),
                Ok(len) => {
                    let text = alloc::format!(
                        "only {len} of {} bytes could be written: no room, or a limit",
                        line.len()
                    );
                    io::Error::new(io::ErrorKind::WriteZero, text)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            let short = error.kind() == io::ErrorKind::WriteZero;
            if let Err(error) = self.take_back(&current.file, inner.at.end, line) {
                inner.stale = true;
                inner.trouble.get_or_insert(error);
            } else if short && !second {
                // The second time the system says why.
                second = true;
                continue;
            }
            return Err(self.files.log_failed(Step::Writing)(error));
        }
    }

    /// Cuts off what there is of a line behind `end`, and nothing else.
    fn take_back(&self, file: &File, end: u64, line: &[u8]) -> Result<(), FileError> {
        let len = file
            .metadata()
            .map_err(self.files.log_failed(Step::Looking))?
            .len();
        if len <= end {
            return Ok(());
        }
        let mut found = Vec::new();
        read_range(file, end, len, &mut |bytes| found.extend_from_slice(bytes))
            .map_err(self.files.log_failed(Step::Reading))?;
        if !line.starts_with(&found) {
            // A program that knows no lock has written too.
            let error = io::Error::other("another program has written behind it");
            return Err(self.files.log_failed(Step::Cutting)(error));
        }
        set_len(file, end).map_err(self.files.log_failed(Step::Cutting))
    }

    /// Losses that the log or the state file knows of: records and bytes.
    fn counted(&self, inner: &mut Inner) -> Result<(u64, u64), FileError> {
        let said = (inner.at.lost, inner.at.cut);
        if !inner.unreported {
            return Ok(said);
        }
        let path = self.files.state();
        let found = sidecar_of(&inner.state)
            .map_err(|error| self.files.failed(&path, Step::Reading, error))?;
        inner.unreported = false;
        Ok(found.map_or(said, |state| {
            (said.0.max(state.lost), said.1.max(state.cut))
        }))
    }

    /// Writes the state file: the last record that is durable, or that was written where nothing is made durable. Under the
    /// lock.
    pub(super) fn write_state(&self, inner: &mut Inner) -> Result<(), FileError> {
        let path = self.files.state();
        let failed = |error| self.files.failed(&path, Step::State, error);
        let found = match sidecar_of(&inner.state).map_err(failed)? {
            Ok(found) => Some(found),
            // Of a newer program, which has come while this one runs.
            Err(error @ SidecarError::UnknownVersion(_)) => {
                return Err(failed(io::Error::other(error)));
            }
            Err(_) => None,
        };
        let at = match self.options.durability {
            Durability::None => inner.at,
            _ => inner.durable.unwrap_or(inner.at),
        };
        let mut state = self.sidecar(inner, &at);
        if let Some(found) = found {
            let (lost, cut) = (found.lost, found.cut);
            // Another program may be further.
            if found.head.log == state.head.log && found.head.seq > state.head.seq {
                state = found;
            }
            state.lost = lost.max(inner.at.lost).saturating_add(inner.lost);
            state.cut = cut.max(inner.at.cut).saturating_add(inner.cut);
        }
        if found != Some(state) {
            inner
                .state
                .write_all_at(&state.to_bytes(), 0)
                .map_err(failed)?;
        }
        inner.unreported |= inner.lost > 0 || inner.cut > 0;
        (inner.lost, inner.cut, inner.since_state) = (0, 0, 0);
        Ok(())
    }

    pub(super) fn sidecar(&self, inner: &Inner, at: &Position) -> Sidecar {
        let log = at.log.unwrap_or(LogId::from_bytes([0; 16]));
        let head = Head::new(log, at.generation, at.seq, at.hash);
        let mut state = Sidecar::new(head, at.record_end, at.end, at.record_unchained);
        state.lost = inner.at.lost.saturating_add(inner.lost);
        state.cut = inner.at.cut.saturating_add(inner.cut);
        if at.seq > 0 {
            let key = self.options.key.as_ref();
            state.checkpoint = key.map(|key| Checkpoint::sign(key, log, at.seq, at.hash));
        }
        state
    }

    /// Writes the state, unless others are writing.
    fn note(&self, inner: &mut Inner) -> Result<(), FileError> {
        let operation = FlockOperation::NonBlockingLockExclusive;
        match Lock::wait(&inner.state, operation, core::time::Duration::ZERO) {
            Ok(Some(_lock)) => self.write_state(inner),
            Ok(None) => Ok(()),
            Err(error) => Err(self.files.failed(&self.files.state(), Step::Locking, error)),
        }
    }
}

impl<E> Drop for AuditLog<E> {
    fn drop(&mut self) {
        let mut inner = self.inner();
        if inner.since_state == 0 && inner.lost == 0 && inner.cut == 0 {
            return;
        }
        // `close` says whether it worked.
        if self.options.durability != Durability::None
            && self.make_durable(inner.current.as_ref(), None).is_ok()
        {
            inner.durable = Some(inner.at);
        }
        let _ = self.note(&mut inner);
    }
}

pub(super) fn head(at: &Position) -> Option<Head> {
    let log = at.log?;
    (at.seq > 0).then(|| Head::new(log, at.generation, at.seq, at.hash))
}

pub(super) fn set_len(file: &File, len: u64) -> io::Result<()> {
    loop {
        match file.set_len(len) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
