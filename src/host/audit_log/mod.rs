//! Audit logs as files: writing, reading and verifying them. The form is that of [`crate::audit`].

mod error;
mod files;
mod follow;
mod options;
mod reader;
mod writer;

pub use error::{AppendError, FileError, OpenError, Step};
pub use options::{AuditLogOptions, Durability};
pub use reader::{Tail, TailLine, verify_log, verify_log_with_progress};
pub use writer::{Appended, AuditLog, LocalAuditLog, LogEntry};
