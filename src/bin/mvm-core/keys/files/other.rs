//! Systems without Unix modes: a file has the access list of its directory, and a name is as durable as the system
//! makes it.

use std::fs::File;
use std::io;
use std::path::Path;

use tempfile::Builder;

pub(super) fn for_anybody(_builder: &mut Builder<'_, '_>) {}

pub(super) fn is_private(_file: &File) -> io::Result<()> {
    Ok(())
}

pub(super) fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}
