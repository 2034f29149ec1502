//! Systems with owners, modes and directories that can be synced.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use tempfile::Builder;

/// What `chmod` sets.
const MODE_BITS: u32 = 0o7777;

/// Has the temporary file created with the mode of a new file, from which the system takes the
/// umask's bits.
pub(super) fn create_with_mode(builder: &mut Builder<'_, '_>, mode: u32) {
    builder.permissions(Permissions::from_mode(mode));
}

/// Gives `new` the owner and the mode of the old file.
///
/// Where the owner cannot be kept (only root may give a file away), this is an error: a file that
/// changes hands may become unreadable for those it belongs to.
pub(super) fn keep_permissions(new: &File, old: &Metadata) -> io::Result<()> {
    let mine = new.metadata()?;
    let changed = |old: u32, mine: u32| (old != mine).then_some(old);
    let (owner, group) = (
        changed(old.uid(), mine.uid()),
        changed(old.gid(), mine.gid()),
    );
    if owner.is_some() || group.is_some() {
        fchown(new, owner, group)?;
    }
    // After the owner: changing it may clear bits of the mode.
    new.set_permissions(Permissions::from_mode(old.mode() & MODE_BITS))
}

/// Renames in a directory are durable once it is synced.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
