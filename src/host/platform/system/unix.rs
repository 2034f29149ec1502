//! Systems with owners, groups and modes.

use alloc::vec::Vec;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::host::platform::FileInfo;

pub(super) fn file_info(metadata: &Metadata) -> io::Result<FileInfo> {
    Ok(FileInfo {
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
    })
}

/// The effective group and the supplementary ones: what the system looks at when a file is opened.
pub(super) fn groups() -> io::Result<Vec<u32>> {
    let mut groups: Vec<u32> = rustix::process::getgroups()?
        .into_iter()
        .map(rustix::process::Gid::as_raw)
        .collect();
    groups.push(rustix::process::getegid().as_raw());
    Ok(groups)
}

pub(super) fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
}
