//! `keygen`.

use alloc::string::{String, ToString};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use mvm_core::signing::{Document, Fingerprint, Guest, Host, SecretKey, SecretText, Usage};
use serde_json::json;
use zeroize::Zeroize;

use super::files::{Existing, Prepared, Readers};
use crate::failure::Failure;
use crate::style::{BOLD, GOOD, visible};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KeyUsage {
    /// Signs documents.
    #[value(alias = "signer")]
    Document,
    /// Signs the host's side of sessions.
    Host,
    /// Signs the guest's side of sessions.
    Guest,
}

#[derive(Args)]
pub(crate) struct KeygenArgs {
    /// What the key is for.
    #[arg(value_enum)]
    usage: KeyUsage,
    /// The file for the secret key, with mode 0600.
    file: PathBuf,
    /// A file for the public key.
    #[arg(long, value_name = "FILE")]
    public_out: Option<PathBuf>,
    /// Replace files that exist.
    #[arg(long)]
    force: bool,
}

struct Made {
    label: &'static str,
    secret: SecretText,
    public_key: String,
    public_text: String,
    fingerprint: Fingerprint,
}

fn make<U: Usage>() -> Result<Made, Failure> {
    let mut seed = [0; 32];
    let filled = getrandom::fill(&mut seed);
    let key = SecretKey::<U>::from_seed(&seed);
    seed.zeroize();
    filled.map_err(|error| {
        Failure::untried(format_args!(
            "the operating system gave no entropy: {error}"
        ))
    })?;
    let public = key.public();
    Ok(Made {
        label: U::LABEL,
        secret: key.to_text(),
        public_key: public.to_string(),
        public_text: public.to_text().trim_end().to_owned(),
        fingerprint: public.fingerprint(),
    })
}

pub(crate) fn keygen(args: &KeygenArgs, json: bool) -> ExitCode {
    let made = match write(args) {
        Ok(made) => made,
        Err(failure) => return failure.tell(json),
    };
    if json {
        let document = json!({
            "ok": true,
            "usage": made.label,
            "file": args.file,
            "public_file": args.public_out,
            "public_key": made.public_key,
            "public_text": made.public_text,
            "fingerprint": made.fingerprint.to_string(),
        });
        outln!("{document:#}");
    } else {
        let file = visible(&args.file.display().to_string());
        outln!("{GOOD}made{GOOD:#} {} key {BOLD}{file}{BOLD:#}", made.label);
        outln!("fingerprint {}", made.fingerprint);
        outln!("{}", made.public_text);
    }
    ExitCode::SUCCESS
}

fn write(args: &KeygenArgs) -> Result<Made, Failure> {
    let made = match args.usage {
        KeyUsage::Document => make::<Document>(),
        KeyUsage::Host => make::<Host>(),
        KeyUsage::Guest => make::<Guest>(),
    }?;
    let existing = if args.force {
        Existing::Replace
    } else {
        Existing::Keep
    };
    // Both are written before one of them gets its name, so that what can fail has failed.
    let secret = Prepared::new(
        &args.file,
        made.secret.secret_str().as_bytes(),
        Readers::Owner,
        existing,
    )?;
    let public = match &args.public_out {
        None => None,
        Some(path) => {
            let text = format!("{}\n", made.public_text);
            let public = Prepared::new(path, text.as_bytes(), Readers::Anybody, existing)?;
            Some((path, public))
        }
    };
    secret.put()?;
    if let Some((path, public)) = public
        && let Err(failure) = public.put()
    {
        if args.force {
            return Err(failure.with("public_text", made.public_text));
        }
        // Nobody can know the secret yet, and it was not there before.
        return match fs::remove_file(&args.file) {
            Ok(()) => Err(failure),
            Err(error) => Err(Failure::untried(format_args!(
                "{}: the public key was not written, and the secret key {} cannot be removed: {error}",
                path.display(),
                args.file.display()
            ))),
        };
    }
    Ok(made)
}
