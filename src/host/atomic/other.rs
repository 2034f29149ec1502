//! Systems without Unix modes: a file that may not be written stays so, and a rename is as durable
//! as the system makes it.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

use tempfile::Builder;

pub(super) fn create_with_mode(_builder: &mut Builder<'_, '_>, _mode: u32) {}

pub(super) fn keep_permissions(_new: &File, old: &Metadata) -> io::Result<()> {
    // What a write to the file itself would say.
    if old.permissions().readonly() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

pub(super) fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}
