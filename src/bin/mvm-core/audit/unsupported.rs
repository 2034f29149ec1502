//! Audit logs need Unix: locks and files that are told apart by their inodes.

use std::process::ExitCode;

use clap::Args;

/// Takes nothing.
#[derive(Args)]
pub(crate) struct AuditArgs {}

pub(crate) fn run(_args: &AuditArgs, json: bool) -> ExitCode {
    let error = "audit logs are read on Unix only";
    if json {
        outln!("{:#}", serde_json::json!({ "ok": false, "error": error }));
    } else {
        errln!("mvm-core: {error}");
    }
    ExitCode::from(2)
}
