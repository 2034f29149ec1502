//! Systems with modes.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access};

/// What is wrong with a directory, and what helps.
pub(super) fn problem(path: &Path, found: &Metadata) -> Option<(String, String)> {
    let mode = found.mode() & 0o7777;
    let path_shown = path.display();
    // With the sticky bit nobody can take away another's file; but anybody can take a name first.
    if mode & 0o002 != 0 {
        return Some((
            format!("anybody can write into it (mode {mode:04o})"),
            format!("chmod o-w {path_shown}"),
        ));
    }
    if let Err(errno) = access(path, Access::WRITE_OK | Access::EXEC_OK) {
        return Some((
            format!(
                "not for this user (mode {mode:04o}, uid {}): {errno}",
                found.uid()
            ),
            format!("chown USER {path_shown}, or chmod u+wx {path_shown}"),
        ));
    }
    None
}

pub(super) fn mode(found: &Metadata) -> String {
    format!(", mode {:04o}", found.mode() & 0o7777)
}
