//! Reading and verifying a log.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::FlockOperation;

use super::error::{FileError, Step};
use super::files::{Files, Lock, read_range, read_sidecar, sidecar_of};
use super::writer::LogEntry;
use crate::document::Invalid;
use crate::fleet::audit::{
    Chain, Finding, HeadSource, LineKind, Report, Sidecar, SidecarError, Verifier, read_line,
};
use crate::limits::AUDIT_LINE_MAX;

/// How long a reader waits for a writer, to have all files of one moment.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a reader looks for new lines.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes that are read at a time from the end.
const BLOCK: u64 = 64 * 1024;

/// One of the files of a log, as long as it was at one moment.
struct Part {
    path: PathBuf,
    file: File,
    len: u64,
    seal: Option<Result<Sidecar, SidecarError>>,
}

/// The files, and the state where there is one.
type Parts = (Vec<Part>, Option<Result<Sidecar, SidecarError>>);

/// The files of a log at one moment, the oldest generation first, and its state.
fn parts(files: &Files) -> Result<Parts, FileError> {
    let state_path = files.state();
    let state = match File::open(&state_path) {
        Ok(file) => Some(Arc::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(files.failed(&state_path, Step::Opening, error)),
    };
    // No writer rotates in the meantime, or is in the middle of a line.
    let _lock = match &state {
        Some(state) => {
            let lock = Lock::wait(state, FlockOperation::NonBlockingLockShared, PATIENCE)
                .map_err(|error| files.failed(&state_path, Step::Locking, error))?;
            let timed_out = || io::ErrorKind::TimedOut.into();
            Some(lock.ok_or_else(|| files.failed(&state_path, Step::Locking, timed_out()))?)
        }
        None => None,
    };
    let known = match &state {
        Some(state) => Some(
            sidecar_of(state).map_err(|error| files.failed(&state_path, Step::Reading, error))?,
        ),
        None => None,
    };
    let mut parts = Vec::new();
    let generations = files.generations()?;
    let sealed = generations
        .iter()
        .map(|number| (files.generation(*number), Some(files.seal(*number))));
    for (path, seal) in sealed.chain([(files.log(), None)]) {
        let file = match File::open(&path) {
            Ok(file) => file,
            // Between two generations there is no log for a moment.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && seal.is_none()
                    && !generations.is_empty() =>
            {
                break;
            }
            Err(error) => return Err(files.failed(&path, Step::Opening, error)),
        };
        let metadata = file
            .metadata()
            .map_err(|error| files.failed(&path, Step::Looking, error))?;
        if !metadata.is_file() {
            let error = io::Error::other("it is not a regular file");
            return Err(files.failed(&path, Step::Opening, error));
        }
        let seal = match seal {
            Some(seal) => {
                read_sidecar(&seal).map_err(|error| files.failed(&seal, Step::Reading, error))?
            }
            None => None,
        };
        parts.push(Part {
            path,
            file,
            len: metadata.len(),
            seal,
        });
    }
    Ok((parts, known))
}

/// Verifies a log with its generations, seals and state, as they are at one moment; programs may go on writing it.
/// `found` is called with each finding and the file it is in.
///
/// `prepare` gives the verifier [trusted keys](Verifier::trust) and [heads that were kept](Verifier::expect).
///
/// # Errors
/// [`FileError`] if a file cannot be read. What is wrong with the log is no error but a finding.
pub fn verify_log(
    path: impl AsRef<Path>,
    mut found: impl FnMut(&Finding),
    prepare: impl FnOnce(Verifier) -> Verifier,
) -> Result<Report, FileError> {
    let found = |_: &Path, finding: &Finding| found(finding);
    verify_log_with_progress(path, found, prepare, |_, _| {})
}

/// [`verify_log`]; `progress` is called with the bytes that were read and those that there are.
///
/// # Errors
/// As [`verify_log`].
pub fn verify_log_with_progress(
    path: impl AsRef<Path>,
    mut found: impl FnMut(&Path, &Finding),
    prepare: impl FnOnce(Verifier) -> Verifier,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, FileError> {
    let files = Files::of(path.as_ref())?;
    let (parts, state) = parts(&files)?;
    let total = parts
        .iter()
        .fold(0_u64, |sum, part| sum.saturating_add(part.len));
    let mut verifier = prepare(Verifier::new());
    let mut done = 0_u64;
    let log = files.log();
    {
        let mut found = |finding: Finding| found(&log, &finding);
        match state {
            Some(Ok(state)) => verifier.expect_state(&state, &mut found),
            // Its first writer has created it and written nothing yet.
            Some(Err(SidecarError::Empty)) if total == 0 => {}
            Some(Err(error)) => verifier.damaged(HeadSource::State, error, &mut found),
            None => {}
        }
    }
    for part in &parts {
        let mut found = |finding: Finding| found(&part.path, &finding);
        match &part.seal {
            Some(Ok(seal)) => verifier.expect_seal(seal, &mut found),
            Some(Err(error)) => verifier.damaged(HeadSource::Seal, *error, &mut found),
            None => {}
        }
        read_range(&part.file, 0, part.len, &mut |bytes| {
            verifier.feed(bytes, &mut found);
            done = done.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
            progress(done, total);
        })
        .map_err(|error| files.failed(&part.path, Step::Reading, error))?;
        verifier.end_file(&mut found);
    }
    Ok(verifier.finish(&mut |finding| found(&log, &finding)))
}

/// A line of a log.
#[derive(Debug)]
#[non_exhaustive]
pub struct TailLine<E> {
    /// Its bytes, without the newline.
    pub line: Vec<u8>,
    /// What it says beside its entry, `None` for an unchained line. Reading verifies nothing.
    pub chain: Option<Chain>,
    /// The entry, or why it is none.
    pub entry: Result<E, Invalid>,
}

/// Reads the last lines of a log, and those that come.
///
/// ```
/// use std::time::Duration;
/// use mvm_core::audit::{LocalAuditEvent, Tail};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("audit.jsonl");
/// # std::fs::write(&path, "{\"timestamp\":\"2025-01-01T00:00:00Z\",\"kind\":\"vm_stop\",\"vm_name\":null,\"detail\":null}\n")?;
/// let mut tail = Tail::<LocalAuditEvent>::open(&path, 10)?;
/// while let Some(line) = tail.next_line(Duration::ZERO)? {
///     println!("{:?} {:?}", line.chain.map(|chain| chain.seq), line.entry);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Tail<E> {
    files: Files,
    directory: File,
    /// Files that are still to be read, the oldest first; the last one grows.
    parts: VecDeque<Part>,
    /// How far the first of them was read.
    offset: u64,
    /// What was read of it and is not given yet.
    buffer: VecDeque<u8>,
    entry: PhantomData<fn() -> E>,
}

impl<E> fmt::Debug for Tail<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail")
            .field("path", &self.files.log())
            .finish_non_exhaustive()
    }
}

impl<E: LogEntry> Tail<E> {
    /// Begins with the last `lines` lines, from older generations too.
    ///
    /// # Errors
    /// [`FileError`] if a file cannot be read.
    pub fn open(path: impl AsRef<Path>, lines: usize) -> Result<Self, FileError> {
        let files = Files::of(path.as_ref())?;
        let directory = File::open(&files.directory)
            .map_err(|error| files.failed(&files.directory, Step::Directory, error))?;
        let (mut parts, _) = parts(&files)?;
        let (mut first, mut offset, mut missing) = (parts.len(), 0, lines);
        for (at, part) in parts.iter().enumerate().rev() {
            let (from, found) = last_lines(part, missing)
                .map_err(|error| files.failed(&part.path, Step::Reading, error))?;
            (first, offset) = (at, from);
            missing = missing.saturating_sub(found);
            if missing == 0 {
                break;
            }
        }
        let parts = parts.drain(first..).collect();
        Ok(Self {
            files,
            directory,
            parts,
            offset,
            buffer: VecDeque::new(),
            entry: PhantomData,
        })
    }

    /// The next line; waits for one at most so long, and then gives `None`. A log that is rotated meanwhile is followed.
    ///
    /// # Errors
    /// [`FileError`] if a file cannot be read.
    pub fn next_line(&mut self, patience: Duration) -> Result<Option<TailLine<E>>, FileError> {
        let start = Instant::now();
        loop {
            if let Some(line) = self.buffered() {
                return Ok(Some(typed(line)));
            }
            if self.read_more()? {
                continue;
            }
            let left = patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            std::thread::sleep(left.min(PAUSE));
        }
    }

    fn buffered(&mut self) -> Option<Vec<u8>> {
        let at = self.buffer.iter().position(|byte| *byte == b'\n')?;
        let mut line: Vec<u8> = self.buffer.drain(..=at).collect();
        line.pop();
        Some(line)
    }

    /// Whether there was something.
    fn read_more(&mut self) -> Result<bool, FileError> {
        if self.buffer.len() > AUDIT_LINE_MAX {
            // Not a line that anybody wrote; its end is the next newline.
            self.buffer.push_back(b'\n');
            return Ok(true);
        }
        let Some(part) = self.parts.front_mut() else {
            return self.look_for_more();
        };
        let failed = |path: &Path, error| FileError {
            path: path.into(),
            step: Step::Reading,
            error,
        };
        let len = part
            .file
            .metadata()
            .map_err(|error| failed(&part.path, error))?
            .len();
        if len < self.offset {
            // Cut off; what is there now is read as new.
            self.offset = 0;
            self.buffer.clear();
        }
        if len > self.offset {
            let to = len.min(self.offset.saturating_add(BLOCK));
            let buffer = &mut self.buffer;
            match read_range(&part.file, self.offset, to, &mut |bytes| {
                buffer.extend(bytes);
            }) {
                Ok(()) => self.offset = to,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(error) => return Err(failed(&part.path, error)),
            }
            return Ok(true);
        }
        if self.parts.len() > 1 {
            self.parts.pop_front();
            (self.offset, _) = (0, self.buffer.clear());
            return Ok(true);
        }
        self.look_for_more()
    }

    /// Whether another file has taken the log's name.
    fn look_for_more(&mut self) -> Result<bool, FileError> {
        use std::os::unix::fs::MetadataExt;
        let Some(found) = self.files.look(&self.directory)? else {
            return Ok(false);
        };
        if let Some(part) = self.parts.front() {
            let metadata = part
                .file
                .metadata()
                .map_err(|error| self.files.failed(&part.path, Step::Looking, error))?;
            if (metadata.dev(), metadata.ino()) == (found.device, found.inode) {
                return Ok(false);
            }
            // Its last lines may have come after it was read and before it lost its name.
            if metadata.len() > self.offset {
                return Ok(true);
            }
        }
        let (all, _) = parts(&self.files)?;
        let mut newer: VecDeque<Part> = all.into();
        if let Some(part) = self.parts.front() {
            let metadata = part
                .file
                .metadata()
                .map_err(|error| self.files.failed(&part.path, Step::Looking, error))?;
            let same = |other: &Part| {
                other.file.metadata().is_ok_and(|other| {
                    (other.dev(), other.ino()) == (metadata.dev(), metadata.ino())
                })
            };
            // Generations between the one that was read and the log.
            if let Some(at) = newer.iter().position(same) {
                newer.drain(..at);
            } else if newer.len() > 1 {
                newer.drain(..newer.len().saturating_sub(1));
                (self.offset, _) = (0, self.buffer.clear());
            } else {
                (self.offset, _) = (0, self.buffer.clear());
            }
        }
        let more = !newer.is_empty();
        self.parts = newer;
        Ok(more)
    }
}

fn typed<E: LogEntry>(line: Vec<u8>) -> TailLine<E> {
    let chain = match read_line(&line) {
        LineKind::Record { chain, .. } => Some(chain),
        _ => None,
    };
    let entry = E::from_json(&line);
    TailLine { line, chain, entry }
}

/// Where the last `count` whole lines of a file begin, and how many there are.
fn last_lines(part: &Part, count: usize) -> io::Result<(u64, usize)> {
    let (mut from, mut lines, mut start) = (part.len, 0_usize, None);
    // What is behind the last newline is no line yet, and comes when it is one.
    let mut ended = false;
    while from > 0 {
        let block = from.saturating_sub(BLOCK);
        let mut bytes = Vec::new();
        read_range(&part.file, block, from, &mut |more| {
            bytes.extend_from_slice(more);
        })?;
        for (at, byte) in bytes.iter().enumerate().rev() {
            if *byte != b'\n' {
                continue;
            }
            let behind = block
                .saturating_add(u64::try_from(at).unwrap_or(0))
                .saturating_add(1);
            if ended {
                lines = lines.saturating_add(1);
            }
            if lines == count {
                return Ok((behind, lines));
            }
            ended = true;
            start = Some(behind);
        }
        from = block;
    }
    let _ = start;
    Ok((0, lines.saturating_add(usize::from(ended)).min(count)))
}
