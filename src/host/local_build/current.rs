//! The link to a pool's current revision.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::Builder;

use crate::host::atomic::{WriteError, WriteStep, tree};
use crate::names::RevisionHash;

/// The directory of the revisions, beside the link.
const REVISIONS: &str = "revisions";

/// Lets the link lead to a revision, durably; until then it leads where it did.
pub(super) fn replace(link: &Path, revision: &RevisionHash) -> Result<(), WriteError> {
    let failed = |step| {
        move |error| WriteError {
            path: link.into(),
            step,
            error,
        }
    };
    let Some(directory) = link.parent() else {
        return Err(failed(WriteStep::Resolving)(
            io::ErrorKind::InvalidInput.into(),
        ));
    };
    let target = Path::new(REVISIONS).join(revision.as_str());
    // A new link under another name, which takes the place of the old one: the name is never free.
    let new = Builder::new()
        .prefix(".current.")
        .suffix(".tmp")
        .make_in(directory, |path| symlink(&target, path))
        .map_err(failed(WriteStep::Creating))?;
    new.into_temp_path()
        .persist(link)
        .map_err(|error| failed(WriteStep::Renaming)(error.error))?;
    tree::sync(directory)
}

/// Where the link leads; nowhere if there is none.
pub(super) fn read(link: &Path) -> io::Result<Option<RevisionHash>> {
    let target = match fs::read_link(link) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let revision = target
        .strip_prefix(REVISIONS)
        .ok()
        .and_then(Path::to_str)
        .and_then(|name| RevisionHash::new(name).ok());
    match revision {
        Some(revision) => Ok(Some(revision)),
        None => Err(io::Error::other(alloc::format!(
            "{} leads to {}, which is no revision",
            link.display(),
            target.display()
        ))),
    }
}
