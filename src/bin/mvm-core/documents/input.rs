//! Files and standard input, no more of them than a document may have.

use alloc::string::String;
use std::fs::File;
use std::io::{self, Read, stdin};
use std::path::Path;

use mvm_core::limits::DOCUMENT_MAX;

use crate::progress::Progress;

/// What was read, and where from.
pub(crate) struct Input {
    name: String,
    bytes: Vec<u8>,
}

/// How a file is called towards people.
pub(crate) fn name_of(file: &Path) -> String {
    if file.as_os_str() == "-" {
        return "<stdin>".to_owned();
    }
    file.display().to_string()
}

impl Input {
    /// Reads a file, or standard input for `-`. Of a document that is too long one byte too many is
    /// read, so that it is found to be.
    pub(crate) fn read(file: &Path) -> io::Result<Self> {
        let name = name_of(file);
        let bytes = if file.as_os_str() == "-" {
            bounded(stdin().lock(), None)
        } else {
            let file = File::open(file)?;
            let found = file.metadata()?;
            bounded(file, found.is_file().then_some(found.len()))
        }?;
        Ok(Self { name, bytes })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads `len` bytes, if it is known how many there are.
fn bounded(from: impl Read, len: Option<u64>) -> io::Result<Vec<u8>> {
    let max = u64::try_from(DOCUMENT_MAX).unwrap_or(u64::MAX);
    // As long as the file is said to be: what grows is read in small pieces, and copied.
    let room = len.map_or(0, |len| len.min(max).saturating_add(1));
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(room).unwrap_or(0))?;
    let progress = Progress::bytes("reading", len);
    progress
        .reading(from)
        .take(max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
