//! Whose signatures are believed: files with a line for each key, and arguments.

use alloc::string::{String, ToString};
use core::str::FromStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use mvm_core::naming::SignerId;
use mvm_core::signing::{DocumentPublicKey, TrustedKey};
use mvm_core::time::Timestamp;

use super::files;
use crate::failure::Failure;

/// Bytes of a file of trusted keys, at most: ten thousand keys.
const MAX_LEN: u64 = 1 << 20;
/// Words of a public key file.
const KEY_WORDS: usize = 5;

/// `SIGNER=FILE`.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    signer: SignerId,
    file: PathBuf,
}

impl FromStr for Trust {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (signer, file) = text.split_once('=').ok_or("SIGNER=FILE is wanted")?;
        let signer = SignerId::new(signer).map_err(|error| error.to_string())?;
        let file = file.into();
        Ok(Self { signer, file })
    }
}

impl Trust {
    pub(super) fn read(&self) -> Result<TrustedKey, Failure> {
        Ok(TrustedKey::new(
            self.signer.clone(),
            files::public_key(&self.file)?,
        ))
    }
}

/// The keys of a file.
pub(super) fn read(path: &Path) -> Result<Vec<TrustedKey>, Failure> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| {
            file.take(MAX_LEN.saturating_add(1))
                .read_to_string(&mut text)
        })
        .map_err(|error| Failure::of_file(path, error))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_LEN {
        return Err(Failure::of_file(
            path,
            format_args!("a file of trusted keys has at most {MAX_LEN} bytes"),
        ));
    }
    parse(&text).map_err(|(line, problem)| {
        Failure::untried(format_args!("{}:{line}: {problem}", path.display()))
    })
}

/// The keys of a text, or what is wrong in which line.
fn parse(text: &str) -> Result<Vec<TrustedKey>, (usize, String)> {
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| (index.saturating_add(1), line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| entry(line).map_err(|problem| (number, problem)))
        .collect()
}

/// `<signer> mvm-core-key v1 document public <digits> [not-before=<time>] [not-after=<time>]`.
fn entry(line: &str) -> Result<TrustedKey, String> {
    let mut words = line.split_ascii_whitespace();
    let signer = words.next().unwrap_or_default();
    let signer = SignerId::new(signer).map_err(|error| error.to_string())?;
    let key: Vec<&str> = words.by_ref().take(KEY_WORDS).collect();
    let key = DocumentPublicKey::from_text(&key.join(" ")).map_err(|error| error.to_string())?;
    let (mut from, mut to) = (None, None);
    for word in words {
        let (name, time) = word.split_once('=').unwrap_or((word, ""));
        let end = match name {
            "not-before" => &mut from,
            "not-after" => &mut to,
            _ => return Err(format!("{name:?} is neither not-before nor not-after")),
        };
        let time: Timestamp = time.parse().map_err(|error| format!("{name}: {error}"))?;
        if end.replace(time).is_some() {
            return Err(format!("{name} is there twice"));
        }
    }
    TrustedKey::new(signer, key)
        .between(from, to)
        .map_err(|error| error.to_string())
}
