//! `sign`.

use alloc::string::ToString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use mvm_core::limits::DOCUMENT_MAX;
use mvm_core::naming::SignerId;
use mvm_core::signing::{SignedDocument, SignedPayload};
use serde_json::json;

use super::files;
use crate::documents::{Input, Kind, kind_parser};
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::style::{GOOD, visible};

#[derive(Args)]
pub(crate) struct SignArgs {
    /// The document; `-` for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// The file of the signer's secret key, as `keygen document` makes it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Who signs.
    #[arg(long, value_name = "ID")]
    signer: SignerId,
    /// Sign it only if it is a valid document of this type.
    #[arg(long = "type", value_name = "TYPE", value_parser = kind_parser())]
    kind: Option<&'static Kind>,
    /// Write the signed document into this file, which is replaced as a whole or not at all.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn sign(args: &SignArgs, json: bool) -> ExitCode {
    let input = match Input::read(&args.file) {
        Ok(input) => input,
        Err(error) => return Failure::of_file(&args.file, error).tell(json),
    };
    if let Some(kind) = args.kind {
        let report = kind.check(input.bytes());
        if !report.is_ok(false) {
            report.tell(input.name(), json);
            return ExitCode::FAILURE;
        }
    }
    signed(args, &input, json).unwrap_or_else(|failure| failure.tell(json))
}

fn signed(args: &SignArgs, input: &Input, json: bool) -> Result<ExitCode, Failure> {
    let too_long = || {
        Failure::no(format_args!(
            "{}: too long to be signed: as JSON it has more than {DOCUMENT_MAX} bytes then",
            input.name()
        ))
    };
    if input.bytes().len() > DOCUMENT_MAX {
        return Err(too_long());
    }
    let key = files::secret_key(&args.key)?;
    let progress = Progress::at_once("signing", input.bytes().len());
    let document: SignedDocument =
        SignedPayload::sign(input.bytes().to_vec(), args.signer.clone(), &key)
            .map_err(|error| Failure::no(format_args!("{}: {error}", input.name())))?;
    let mut text = serde_json::to_vec(&document).map_err(Failure::untried)?;
    drop(progress);
    if text.len() > DOCUMENT_MAX {
        return Err(too_long());
    }
    text.push(b'\n');
    if let Some(out) = &args.out {
        files::write(out, &text)?;
    } else if !json {
        output::bytes(&text);
    }
    if json {
        let document = args.out.is_none().then_some(document);
        let report = json!({
            "ok": true,
            "signer": args.signer,
            "fingerprint": key.public().fingerprint().to_string(),
            "file": args.out,
            "document": document,
        });
        outln!("{report:#}");
    } else if let Some(out) = &args.out {
        let out = visible(&out.display().to_string());
        errln!("{GOOD}signed{GOOD:#} {out}: by {}", args.signer);
    }
    Ok(ExitCode::SUCCESS)
}
