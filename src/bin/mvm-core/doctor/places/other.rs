//! Systems without modes.

use std::fs::Metadata;
use std::path::Path;

pub(super) fn problem(_path: &Path, found: &Metadata) -> Option<(String, String)> {
    found
        .permissions()
        .readonly()
        .then(|| ("it is read-only".to_owned(), "make it writable".to_owned()))
}

pub(super) fn mode(_found: &Metadata) -> String {
    String::new()
}
