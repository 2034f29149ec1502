//! Systems with modes.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::Builder;

/// For reading and writing by the owner, and for reading by others, less the umask.
pub(super) fn for_anybody(builder: &mut Builder<'_, '_>) {
    builder.permissions(Permissions::from_mode(0o644));
}

/// Whether nobody but the owner can write the file, and nobody but owner and group can read it. A group may: that is
/// how secrets are given to containers.
pub(super) fn is_private(file: &File) -> io::Result<()> {
    let found = file.metadata()?;
    let mode = found.mode() & 0o777;
    // Pipes have the modes that the shell gives them, and no name for others to open.
    if found.is_file() && mode & 0o027 != 0 {
        return Err(io::Error::other(format!(
            "others have access to this secret key (mode {mode:03o}); chmod 600 takes it from them"
        )));
    }
    Ok(())
}

pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
