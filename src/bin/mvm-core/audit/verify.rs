//! `audit verify`.

use alloc::string::String;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use mvm_core::audit::{FileError, Head, Report, verify_log_with_progress};
use mvm_core::signing::{DocumentPublicKey, PUBLIC_TEXT_MAX};
use serde_json::{Value, json};

use super::VerifyArgs;
use crate::progress::Progress;
use crate::style::{BAD, DOUBTFUL, GOOD, visible};

/// How many findings are listed of a log.
const LISTED: usize = 1000;

struct Outcome {
    findings: Vec<Shown>,
    report: Report,
}

struct Shown {
    file: String,
    generation: u64,
    line: u64,
    offset: u64,
    message: String,
}

pub(super) fn run(args: &VerifyArgs, json: bool) -> ExitCode {
    let keys = match keys(args) {
        Ok(keys) => keys,
        Err(error) => return untried(&error, json),
    };
    if args.files.len() > 1 && !args.head.is_empty() {
        return untried("--head is of one log, and there are several", json);
    }
    let (mut logs, mut ok, mut unread) = (Vec::new(), true, false);
    for file in &args.files {
        let name = file.display().to_string();
        match verify(file, args, &keys) {
            Ok(outcome) => {
                ok &= outcome.report.is_ok();
                if json {
                    logs.push(to_json(&name, &outcome));
                } else {
                    show(&name, &outcome);
                }
            }
            Err(error) => {
                (ok, unread) = (false, true);
                let error = error.to_string();
                if json {
                    logs.push(json!({ "ok": false, "file": name, "error": error }));
                } else {
                    errln!(
                        "{BAD}cannot verify{BAD:#} {}: {}",
                        visible(&name),
                        visible(&error)
                    );
                }
            }
        }
    }
    if json {
        outln!("{:#}", json!({ "ok": ok, "logs": logs }));
    }
    match (unread, ok) {
        (true, _) => ExitCode::from(2),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    }
}

fn untried(error: &str, json: bool) -> ExitCode {
    if json {
        outln!("{:#}", json!({ "ok": false, "error": error }));
    } else {
        errln!("{BAD}error{BAD:#}: {}", visible(error));
    }
    ExitCode::from(2)
}

fn keys(args: &VerifyArgs) -> Result<Vec<DocumentPublicKey>, String> {
    let mut keys = Vec::new();
    for path in &args.trusted_key {
        let name = path.display();
        // One byte more than a key has, to see that there is none.
        let max = u64::try_from(PUBLIC_TEXT_MAX).unwrap_or(u64::MAX);
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(max.saturating_add(1)).read_to_string(&mut text))
            .map_err(|error| format!("{name}: {error}"))?;
        keys.push(DocumentPublicKey::from_text(&text).map_err(|error| format!("{name}: {error}"))?);
    }
    Ok(keys)
}

fn verify(
    file: &Path,
    args: &VerifyArgs,
    keys: &[DocumentPublicKey],
) -> Result<Outcome, FileError> {
    let mut findings = Vec::new();
    let mut progress: Option<(Progress, u64)> = None;
    let report = verify_log_with_progress(
        file,
        |path, finding| {
            if findings.len() < LISTED {
                findings.push(Shown {
                    file: path.display().to_string(),
                    generation: finding.place.generation,
                    line: finding.place.line,
                    offset: finding.place.offset,
                    message: finding.fault.to_string(),
                });
            }
        },
        |mut verifier| {
            for head in &args.head {
                verifier.expect(*head);
            }
            keys.iter()
                .fold(verifier, |verifier, key| verifier.trust(*key))
        },
        |done, total| {
            let (progress, before) =
                progress.get_or_insert_with(|| (Progress::bytes("verifying", Some(total)), 0));
            progress.advance(done.saturating_sub(*before));
            *before = done;
        },
    )?;
    Ok(Outcome { findings, report })
}

fn head(head: Option<Head>) -> Value {
    head.map_or(Value::Null, |head| {
        json!({
            "log": head.log.to_string(),
            "generation": head.generation,
            "head": head.known().to_string(),
        })
    })
}

fn omitted(outcome: &Outcome) -> u64 {
    let listed = u64::try_from(outcome.findings.len()).unwrap_or(u64::MAX);
    outcome.report.findings.saturating_sub(listed)
}

fn to_json(name: &str, outcome: &Outcome) -> Value {
    let report = &outcome.report;
    let findings: Vec<Value> = outcome
        .findings
        .iter()
        .map(|found| {
            json!({
                "file": found.file,
                "generation": found.generation,
                "line": found.line,
                "offset": found.offset,
                "message": found.message,
            })
        })
        .collect();
    json!({
        "ok": report.is_ok(),
        "file": name,
        "findings": findings,
        "omitted_findings": omitted(outcome),
        "records": report.records,
        "first": head(report.first),
        "last": head(report.last),
        "unchained": report.unchained,
        "uncovered": report.uncovered,
        "unreadable": report.unreadable,
        "lost": report.lost,
        "cut": report.cut,
        "signatures": report.signatures,
        "unknown_signatures": report.unknown_signatures,
        "signed_to": report.signed_to,
        "bytes": report.bytes,
    })
}

/// `file:line: error: message`, which editors understand, and what the log has.
fn show(name: &str, outcome: &Outcome) {
    let report = &outcome.report;
    for found in &outcome.findings {
        let Shown {
            file,
            generation,
            line,
            offset,
            message,
        } = found;
        let file = visible(file);
        outln!(
            "{file}:{line}: {BAD}error{BAD:#}: {message} (generation {generation}, byte {offset})"
        );
    }
    let more = omitted(outcome);
    if more > 0 {
        outln!("{}: {BAD}{more} more{BAD:#}", visible(name));
    }
    let (style, word) = if report.is_ok() {
        (GOOD, "whole")
    } else {
        (BAD, "NOT WHOLE")
    };
    let records = report.records;
    outln!(
        "{style}{word}{style:#} {}: {records} records",
        visible(name)
    );
    if let (Some(first), Some(last)) = (report.first, report.last) {
        let (from, to) = (first.generation, last.generation);
        outln!(
            "  records {} to {}, generations {from} to {to}",
            first.seq,
            last.seq
        );
        outln!("  head {}", last.known());
    }
    match report.signed_to {
        Some(seq) => outln!("  signed up to record {seq}"),
        None if report.unknown_signatures > 0 => outln!(
            "  {DOUBTFUL}{} signatures{DOUBTFUL:#} of keys that are not trusted here",
            report.unknown_signatures
        ),
        None => {}
    }
    for (count, what) in [
        (report.unchained, "lines without a chain"),
        (report.uncovered, "of them not covered by a record yet"),
        (report.unreadable, "of them unreadable"),
        (report.lost, "records that could not be written"),
        (report.cut, "bytes of torn lines that were cut off"),
    ] {
        if count > 0 {
            outln!("  {DOUBTFUL}{count}{DOUBTFUL:#} {what}");
        }
    }
}
