//! `verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use mvm_core::agent::admission::{Admission, AdmissionRecord, LastAdmitted};
use mvm_core::naming::NodeId;
use mvm_core::signing::{SignedDocument, TrustedKey, Verified};
use mvm_core::time::Timestamp;
use serde_json::{Value, json};

use super::files;
use super::trusted::{self, Trust};
use crate::documents::{Input, Kind, Report, kind_parser};
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::style::{GOOD, visible};

#[derive(Args)]
#[command(group = clap::ArgGroup::new("keys").args(["trusted", "trust"]).required(true).multiple(true))]
pub(crate) struct VerifyArgs {
    /// The signed document; `-` for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// A file of trusted keys.
    #[arg(long, value_name = "FILE")]
    trusted: Vec<PathBuf>,
    /// A signer that is trusted, and its public key file.
    #[arg(long, value_name = "SIGNER=FILE")]
    trust: Vec<Trust>,
    /// The time to check against, as 2026-06-01T12:00:00Z. By default it is now.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// What was signed must be a valid document of this type.
    #[arg(long = "type", value_name = "TYPE", value_parser = kind_parser())]
    kind: Option<&'static Kind>,
    /// It must be a desired state or a timed state that this node would admit.
    #[arg(long, value_name = "ID")]
    node: Option<NodeId>,
    /// What the node admitted last: a file with the record of it. Without one, it is taken for a new node.
    #[arg(long, value_name = "FILE", requires = "node")]
    record: Option<PathBuf>,
    /// The least sequence that the node may admit.
    #[arg(
        long,
        value_name = "SEQUENCE",
        requires = "node",
        conflicts_with = "record"
    )]
    at_least: Option<u64>,
    /// The node admits states that never end.
    #[arg(long, requires = "node")]
    without_expiry: bool,
    /// Write what was signed into this file, which is replaced as a whole or not at all.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn verify(args: &VerifyArgs, json: bool) -> ExitCode {
    tried(args, json).unwrap_or_else(|failure| failure.tell(json))
}

/// A document is not valid; that was told.
fn not_valid(report: &Report, name: &str, json: bool) -> ExitCode {
    report.tell(name, json);
    ExitCode::FAILURE
}

fn tried(args: &VerifyArgs, json: bool) -> Result<ExitCode, Failure> {
    let mut keys = Vec::new();
    for file in &args.trusted {
        keys.extend(trusted::read(file)?);
    }
    for trust in &args.trust {
        keys.push(trust.read()?);
    }
    let now = match args.at {
        Some(time) => time,
        None => Timestamp::now().map_err(Failure::untried)?,
    };
    let input = Input::read(&args.file).map_err(|error| Failure::of_file(&args.file, error))?;
    let progress = Progress::at_once("verifying", input.bytes().len());
    let (document, report) = Report::of::<SignedDocument>(input.bytes());
    let Some(document) = document else {
        drop(progress);
        return Ok(not_valid(&report, input.name(), json));
    };
    let verified = document
        .verify(&keys, Some(now))
        .map_err(|error| refused(&document, &input, &error))?;
    drop(progress);
    if let Some(kind) = args.kind {
        let report = kind.check(verified.payload());
        if !report.is_ok(false) {
            return Ok(not_valid(&report, input.name(), json));
        }
    }
    let admission = match &args.node {
        Some(node) => admitted(args, node, &keys, now, &document)
            .map_err(|failure| failure.with("file", input.name()))?,
        None => Value::Null,
    };
    if let Some(out) = &args.out {
        files::write(out, verified.payload())?;
    }
    tell(args, &input, &verified, &admission, json);
    Ok(ExitCode::SUCCESS)
}

fn refused(document: &SignedDocument, input: &Input, error: &dyn core::fmt::Display) -> Failure {
    let signer = document.signer_id();
    Failure::no(format_args!("{}: {error} ({signer})", input.name()))
        .with("file", input.name())
        .with("signer", signer.as_str())
}

fn admitted(
    args: &VerifyArgs,
    node: &NodeId,
    keys: &[TrustedKey],
    now: Timestamp,
    document: &SignedDocument,
) -> Result<Value, Failure> {
    let last = match (&args.record, args.at_least) {
        (Some(file), _) => LastAdmitted::Record(record(file)?),
        (None, Some(sequence)) => LastAdmitted::AtLeast(sequence),
        (None, None) => LastAdmitted::Nothing,
    };
    let mut admission = Admission::new(node, keys, last, Some(now));
    if args.without_expiry {
        admission = admission.without_expiry();
    }
    let admitted = admission.admit(document).map_err(Failure::no)?;
    Ok(json!({
        "sequence": admitted.state().sequence,
        "expires_at": admitted.expires_at(),
        "repeated": admitted.is_repeated(),
        "record": admitted.record(),
    }))
}

fn record(file: &std::path::Path) -> Result<AdmissionRecord, Failure> {
    let input = Input::read(file).map_err(|error| Failure::of_file(file, error))?;
    let (record, report) = Report::of::<AdmissionRecord>(input.bytes());
    record.ok_or_else(|| {
        let problem = report.first();
        Failure::of_file(
            file,
            format_args!("no record of an admitted state: {problem}"),
        )
    })
}

fn tell(args: &VerifyArgs, input: &Input, verified: &Verified<'_>, admission: &Value, json: bool) {
    let payload = verified.payload();
    if json {
        let payload = match core::str::from_utf8(payload) {
            Ok(text) => json!(text),
            Err(_) => json!(payload),
        };
        let document = json!({
            "ok": true,
            "file": input.name(),
            "signer": verified.signer_id(),
            "not_after": verified.not_after(),
            "payload": payload,
            "admission": admission,
        });
        outln!("{document:#}");
        return;
    }
    let name = visible(input.name());
    errln!(
        "{GOOD}verified{GOOD:#} {name}: signed by {}",
        verified.signer_id()
    );
    if let Some(sequence) = admission.get("sequence") {
        errln!("{GOOD}admitted{GOOD:#} sequence {sequence}");
    }
    if args.out.is_none() {
        output::bytes(payload);
    }
}
