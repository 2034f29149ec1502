//! Audit logs: their entries, the form of a log, and its verification on bytes.

mod chain;
mod cursor;
mod entry;
mod finding;
mod head;
mod lines;
mod sidecar;
mod verify;

pub use chain::{Anchor, Chain, Checkpoint, LineKind, Unchained, read_line};
pub use entry::{AuditAction, AuditEntry, LocalAuditEvent, LocalAuditKind};
pub use finding::{Fault, Finding, HeadSource, Place, Report};
pub use head::{Head, HeadTextError, KnownHead, LogId, RecordHash};
pub use sidecar::{Sidecar, SidecarError};
pub use verify::Verifier;

// What writers of files share with the verifier.
pub(crate) mod writing {
    pub(crate) use super::chain::{Members, finish_line};
    pub(crate) use super::verify::Position;
}
