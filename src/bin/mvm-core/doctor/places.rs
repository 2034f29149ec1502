//! Directories, the user's file, and what fits into the names of sockets.

use alloc::string::{String, ToString};
use std::fs;
use std::io;
use std::path::Path;

use mvm_core::config::{Directory, Settings, Variables};
use mvm_core::naming::{SocketBase, SunPath};
use mvm_core::user_config::ConfigFile;

use super::{Check, Mark};

// Twins: what the modes of a directory let happen.
#[cfg_attr(unix, path = "places/unix.rs")]
#[cfg_attr(not(unix), path = "places/other.rs")]
mod access;

pub(super) fn checks<V: Variables>(settings: &Settings<V>, socket_base: &str) -> Vec<Check> {
    let mut checks: Vec<Check> = Directory::ALL
        .into_iter()
        .map(|name| directory(settings, name))
        .collect();
    checks.push(user_file(settings));
    checks.push(sockets(socket_base));
    checks
}

fn directory<V: Variables>(settings: &Settings<V>, name: Directory) -> Check {
    let title = format!("{name} directory");
    let check = |mark, found: String| Check::new(id(name), &title, mark, found);
    let (path, source) = match settings.locate(name) {
        Ok(located) => located,
        Err(error) => return check(Mark::Advice, error.to_string()),
    };
    let shown = format!("{} ({source})", path.display());
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            check(Mark::Note, format!("{shown}: not there yet"))
        }
        Err(error) => check(Mark::Advice, format!("{shown}: {error}")),
        Ok(found) if !found.is_dir() => check(Mark::Advice, format!("{shown}: not a directory"))
            .help("move away what has the name"),
        Ok(found) => match access::problem(&path, &found) {
            Some((problem, help)) => check(Mark::Advice, format!("{shown}: {problem}")).help(help),
            None => check(Mark::Good, format!("{shown}{}", access::mode(&found))),
        },
    }
}

const fn id(name: Directory) -> &'static str {
    match name {
        Directory::Data => "data-dir",
        Directory::Cache => "cache-dir",
        Directory::Config => "config-dir",
        Directory::State => "state-dir",
        Directory::Share => "share-dir",
    }
}

fn user_file<V: Variables>(settings: &Settings<V>) -> Check {
    let check = |mark, found: String| Check::new("config-file", "config.toml", mark, found);
    let read = settings.user_config_path().and_then(ConfigFile::read);
    match read {
        Ok(file) if file.exists() => check(Mark::Good, file.path().display().to_string()),
        Ok(file) => check(
            Mark::Note,
            format!("{}: not there yet", file.path().display()),
        ),
        Err(error) => check(Mark::Advice, error.to_string()),
    }
}

fn sockets(base: &str) -> Check {
    let limit = if cfg!(target_os = "linux") {
        SunPath::Linux
    } else {
        SunPath::Portable
    };
    let check = |mark, found: String| Check::new("sockets", "sockets", mark, found);
    let (len, max) = (base.len(), SocketBase::max_bytes(limit));
    let problem = match SocketBase::new(base, limit) {
        Err(error) => Some(error.to_string()),
        Ok(_) => match fs::metadata(Path::new(base)) {
            Ok(found) if !found.is_dir() => Some("not a directory".to_owned()),
            _ => None,
        },
    };
    match problem {
        Some(problem) => check(Mark::Advice, format!("{base}: {problem}"))
            .help("choose a shorter, absolute directory"),
        None => check(
            Mark::Good,
            format!("{base} has {len} of {max} bytes: the path of every socket fits"),
        ),
    }
}
