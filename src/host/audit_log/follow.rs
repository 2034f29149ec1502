//! What others did to the log since this program looked last, and rotation. All of it under the lock.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::time::Instant;

use super::error::{FileError, Step};
use super::files::{Found, ends_with_hash, read_range, read_sidecar, sidecar_of};
use super::options::Durability;
use super::writer::{AuditLog, Current, Inner, set_len};
use crate::audit::Verifier;
use crate::fleet::audit::Sidecar;
use crate::fleet::audit::writing::Position;
use crate::limits::AUDIT_LINE_MAX;

/// How many torn ends in a row are repaired or waited for: one, and what comes to light behind it.
const REPAIRS: u32 = 16;
/// How long a torn end has to stay as it is before it is taken for what a dead program has left. A program of 0.13.0
/// has no lock, and the system shows what it writes page by page: the rest of a line comes some microseconds
/// later, or as late as the system lets a writer wait.
const STILL: Duration = Duration::from_millis(250);
/// How often to look meanwhile.
const LOOK: Duration = Duration::from_millis(1);

impl<E> AuditLog<E> {
    /// Brings what is known of the log up to what it is.
    pub(super) fn refresh(&self, inner: &mut Inner) -> Result<(), FileError> {
        let found = self.files.look(&inner.directory)?;
        if let (Some(found), Some(current)) = (found, &inner.current)
            && !inner.stale
            && (found.device, found.inode) == (current.device, current.inode)
        {
            if found.len == inner.at.end {
                return Ok(());
            }
            if found.len > inner.at.end {
                let from = inner.base;
                return self.catch_up(inner, from, found.len);
            }
        }
        self.reload(inner)
    }

    /// Reads what is new behind a position.
    fn catch_up(&self, inner: &mut Inner, from: Position, len: u64) -> Result<(), FileError> {
        let Some(current) = inner.current.clone() else {
            return self.reload(inner);
        };
        // Until it is done, nothing is known.
        inner.stale = true;
        let (mut at, mut torn) = self.scan(&current.file, from, len)?;
        for _ in 0..REPAIRS {
            if torn == 0 {
                break;
            }
            self.repair(inner, &current.file, at.end, torn)?;
            let len = self.len(&current.file)?;
            (at, torn) = self.scan(&current.file, at, len)?;
        }
        if torn > 0 {
            let error = io::Error::other("another program keeps writing parts of lines");
            return Err(self.files.log_failed(Step::Cutting)(error));
        }
        self.arrive(inner, at);
        Ok(())
    }

    /// Takes a position that was read over.
    fn arrive(&self, inner: &mut Inner, mut at: Position) {
        let known = inner.at;
        let same = at.log.is_none() || known.log.is_none() || at.log == known.log;
        if same {
            at.log = at.log.or(known.log);
            (at.lost, at.cut) = (at.lost.max(known.lost), at.cut.max(known.cut));
            if known.seq > at.seq {
                // The log was further: what comes next says so.
                (at.seq, at.hash) = (known.seq, known.hash);
                at.generation = at.generation.max(known.generation);
                inner.anchor = true;
            }
        }
        (inner.at, inner.base, inner.stale) = (at, at, false);
    }

    fn len(&self, file: &File) -> Result<u64, FileError> {
        let found = file.metadata();
        Ok(found.map_err(self.files.log_failed(Step::Looking))?.len())
    }

    /// Follows the lines from a position to `to`, and gives the bytes behind the last newline.
    fn scan(&self, file: &File, from: Position, to: u64) -> Result<(Position, u64), FileError> {
        let mut verifier = Verifier::following(from);
        read_range(file, from.end, to, &mut |bytes| {
            verifier.feed(bytes, &mut |_| {});
        })
        .map_err(self.files.log_failed(Step::Reading))?;
        Ok(verifier.position())
    }

    /// A line without a newline: a whole one gets it, any other gets the time to become one, and what there is of it
    /// is cut off after that, counted before.
    fn repair(&self, inner: &mut Inner, file: &File, end: u64, torn: u64) -> Result<(), FileError> {
        let mut bytes = Vec::new();
        if usize::try_from(torn).is_ok_and(|torn| torn <= AUDIT_LINE_MAX) {
            let to = end.saturating_add(torn);
            read_range(file, end, to, &mut |part| bytes.extend_from_slice(part))
                .map_err(self.files.log_failed(Step::Reading))?;
        }
        // 0.13.0 writes a line and its newline one after the other, and may be between them now.
        let whole = bytes.starts_with(b"{")
            && serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
        if whole {
            return match (&*file).write_all(b"\n") {
                Ok(()) => Ok(()),
                Err(error) => Err(self.files.log_failed(Step::Writing)(error)),
            };
        }
        if self.grows(file, end.saturating_add(torn))? {
            return Ok(());
        }
        inner.cut = inner.cut.saturating_add(torn);
        // Where the state cannot be written, this program remembers it.
        if let Err(error) = self.write_state(inner) {
            inner.trouble.get_or_insert(error);
        }
        set_len(file, end).map_err(self.files.log_failed(Step::Cutting))
    }

    /// Whether the file gets another length in a while.
    fn grows(&self, file: &File, len: u64) -> Result<bool, FileError> {
        let start = Instant::now();
        loop {
            if self.len(file)? != len {
                return Ok(true);
            }
            if start.elapsed() >= STILL {
                return Ok(false);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Opens the file at the log's path and finds out where it stands.
    fn reload(&self, inner: &mut Inner) -> Result<(), FileError> {
        inner.stale = true;
        let existed = self.files.look(&inner.directory)?.is_some();
        let file = Arc::new(self.files.open_log(self.options.mode)?);
        inner.new_names |= !existed;
        let metadata = file
            .metadata()
            .map_err(self.files.log_failed(Step::Looking))?;
        let found = Found {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
        };
        inner.current = Some(Current {
            file: Arc::clone(&file),
            device: found.device,
            inode: found.inode,
        });
        let path = self.files.state();
        let state = sidecar_of(&inner.state)
            .map_err(|error| self.files.failed(&path, Step::Reading, error))?
            .ok();
        if let Some(state) = &state {
            // What the state knows is known, whatever becomes of the files.
            let log = Some(state.head.log);
            if inner.at.log.is_none() || (inner.at.log == log && inner.at.seq < state.head.seq) {
                (inner.at.log, inner.at.seq, inner.at.hash) =
                    (log, state.head.seq, state.head.hash);
                inner.at.generation = state.head.generation;
            }
        }
        inner.anchor = false;
        let from = match self.resume(&file, state.as_ref())? {
            Some(from) => from,
            None => self.after_sealed(inner, state.as_ref())?,
        };
        self.catch_up(inner, from, found.len)
    }

    /// The position behind a sidecar's record, where that is in this file.
    fn resume(&self, file: &File, from: Option<&Sidecar>) -> Result<Option<Position>, FileError> {
        let Some(from) = from.filter(|from| from.head.seq > 0) else {
            return Ok(None);
        };
        let there = ends_with_hash(file, from.end, from.head.hash)
            .map_err(self.files.log_failed(Step::Reading))?;
        Ok(there.then_some(Position {
            log: Some(from.head.log),
            generation: from.head.generation,
            seq: from.head.seq,
            hash: from.head.hash,
            end: from.end,
            unchained: from.unchained,
            covered: from.unchained.lines,
            record_end: from.end,
            record_unchained: from.unchained,
            begun: true,
            ..Position::START
        }))
    }

    /// The position at the beginning of a file that comes after the sealed generations.
    fn after_sealed(&self, inner: &Inner, state: Option<&Sidecar>) -> Result<Position, FileError> {
        let newest = self.files.generations()?.pop();
        let Some(newest) = newest else {
            let generation = inner.at.generation.max(1);
            return Ok(Position {
                generation,
                ..Position::START
            });
        };
        let path = self.files.generation(newest);
        let failed = |step| {
            let path = path.clone();
            move |error| FileError { path, step, error }
        };
        let file = File::open(&path).map_err(failed(Step::Opening))?;
        let len = file.metadata().map_err(failed(Step::Looking))?.len();
        let seal_path = self.files.seal(newest);
        let seal = read_sidecar(&seal_path)
            .map_err(|error| self.files.failed(&seal_path, Step::Reading, error))?
            .and_then(Result::ok);
        let mut from = Position::START;
        for sidecar in [state, seal.as_ref()] {
            if let Some(found) = self.resume(&file, sidecar)? {
                from = found;
                break;
            }
        }
        let mut verifier = Verifier::following(from);
        read_range(&file, from.end, len, &mut |bytes| {
            verifier.feed(bytes, &mut |_| {});
        })
        .map_err(failed(Step::Reading))?;
        let (at, _) = verifier.position();
        Ok(Position {
            generation: newest.max(at.generation).saturating_add(1),
            end: 0,
            lines: 0,
            record_end: 0,
            begun: false,
            ..at
        })
    }

    /// Seals the generation and begins the next one. What goes wrong before it has another name is no reason not to go on in
    /// it.
    pub(super) fn rotate(&self, inner: &mut Inner) -> Result<(), FileError> {
        let Some(current) = inner.current.clone() else {
            return Ok(());
        };
        let number = inner.at.generation;
        if let Err(error) = self.seal(inner, &current.file, number) {
            inner.trouble.get_or_insert(error);
            return Ok(());
        }
        // From here on the next generation is the log.
        inner.stale = true;
        let durable = self.options.durability != Durability::None;
        if durable {
            inner.durable = Some(inner.at);
        }
        inner.new_names = true;
        let mut note = |done: Result<(), FileError>| {
            if let Err(error) = done {
                inner.trouble.get_or_insert(error);
            }
        };
        note(self.succeed(&current.file));
        note(self.prune());
        self.refresh(inner)
    }

    fn seal(&self, inner: &mut Inner, file: &File, number: u64) -> Result<(), FileError> {
        let durable = self.options.durability != Durability::None;
        if durable {
            file.sync_data()
                .map_err(self.files.log_failed(Step::Syncing))?;
        }
        let target = self.files.generation(number);
        let failed = |step| {
            let path = target.clone();
            move |error| FileError { path, step, error }
        };
        if target.try_exists().map_err(failed(Step::Looking))? {
            return Err(failed(Step::Renaming)(io::ErrorKind::AlreadyExists.into()));
        }
        // It counts once the generation has its name, so until then it may be written over.
        let path = self.files.seal(number);
        let failed_seal = |error| self.files.failed(&path, Step::Sealing, error);
        let seal = self.sidecar(inner, &inner.at);
        let mut seal_file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(self.options.mode)
            .open(&path)
            .map_err(failed_seal)?;
        seal_file.write_all(&seal.to_bytes()).map_err(failed_seal)?;
        if durable {
            seal_file.sync_data().map_err(failed_seal)?;
        }
        fs::rename(self.files.log(), &target).map_err(failed(Step::Renaming))
    }

    /// Creates the next generation with mode and owner of the one before.
    fn succeed(&self, old: &File) -> Result<(), FileError> {
        let new = self.files.open_log(self.options.mode)?;
        let keep = || -> io::Result<()> {
            let (old, mine) = (old.metadata()?, new.metadata()?);
            let changed = |old: u32, mine: u32| (old != mine).then_some(old);
            let (owner, group) = (
                changed(old.uid(), mine.uid()),
                changed(old.gid(), mine.gid()),
            );
            if owner.is_some() || group.is_some() {
                fchown(&new, owner, group)?;
            }
            let mode = old.mode() & 0o7777;
            if mode != mine.mode() & 0o7777 {
                // After the owner: changing it may clear bits of the mode.
                new.set_permissions(Permissions::from_mode(mode))?;
            }
            Ok(())
        };
        keep().map_err(self.files.log_failed(Step::Permissions))
    }

    /// Removes what is too old, the oldest first.
    fn prune(&self) -> Result<(), FileError> {
        let generations = self.files.generations()?;
        let keep = usize::try_from(self.options.generations).unwrap_or(usize::MAX);
        let surplus = generations.len().saturating_sub(keep);
        for number in generations.into_iter().take(surplus) {
            for path in [self.files.generation(number), self.files.seal(number)] {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(self.files.failed(&path, Step::Removing, error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
