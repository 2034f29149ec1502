//! Systems without Unix owners, groups and modes.

use alloc::vec::Vec;
use std::fs::Metadata;
use std::io;
use std::path::Path;

use crate::host::platform::FileInfo;

pub(super) fn file_info(_metadata: &Metadata) -> io::Result<FileInfo> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn groups() -> io::Result<Vec<u32>> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn is_program(path: &Path) -> bool {
    path.is_file()
}
