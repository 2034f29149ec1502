//! What is done to files, and how to see what was left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::save;

/// Something that a program does to files, as a whole or not at all.
pub(crate) trait Subject: Sync {
    fn name(&self) -> &'static str;
    /// Makes what is there before.
    fn prepare(&self, directory: &Path);
    /// Does it.
    fn act(&self, directory: &Path) -> Result<(), Failure>;
    /// What is there afterwards; an error for anything that is not whole.
    fn seen(&self, directory: &Path) -> Result<Seen, String>;
    /// Removes what crashed programs leave, as the next program does when it starts.
    fn clean(&self, directory: &Path) -> Result<(), String>;
    /// Whether a call may fail without anybody being told. `call` is strace's line.
    fn may_ignore(&self, call: &str) -> bool;
    /// The file that power cuts are looked at for, where they can be.
    fn target(&self, directory: &Path) -> Option<PathBuf>;
}

/// How it failed.
pub(crate) struct Failure {
    pub(crate) message: String,
    /// Whether it says that it is done all the same.
    pub(crate) in_place: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Old,
    New,
}

pub(crate) fn find(name: &str) -> Option<&'static dyn Subject> {
    save::SUBJECTS
        .iter()
        .copied()
        .find(|subject| subject.name() == name)
}

/// The child: does it, and says how it ended.
pub(crate) fn act(subject: &dyn Subject, directory: &Path) -> ExitCode {
    match subject.act(directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.message);
            ExitCode::from(if failure.in_place { 4 } else { 3 })
        }
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Acknowledged,
    /// With an error that says that nothing is done.
    Refused,
    /// With an error that says that it is done, and not known to last.
    InPlace,
    /// Killed, or it did not come as far as to begin.
    Cut,
}

/// Files and directories below a directory that are temporary.
pub(crate) fn leftovers(directory: &Path) -> Vec<PathBuf> {
    let mut left = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".tmp") || name.ends_with(".gone") {
            left.push(path);
        } else if path.is_dir() {
            left.extend(leftovers(&path));
        }
    }
    left
}

/// What holds after every end: whole, nothing acknowledged lost, nothing refused done, nothing left.
pub(crate) fn judge(
    subject: &dyn Subject,
    directory: &Path,
    end: End,
    may_leave: bool,
) -> Result<Seen, String> {
    let seen = subject.seen(directory)?;
    match (end, seen) {
        (End::Acknowledged, Seen::Old) => return Err("acknowledged, and the old is there".into()),
        (End::Refused, Seen::New) => return Err("refused, and the new is there".into()),
        (End::InPlace, Seen::Old) => return Err("said to be in place, and the old is there".into()),
        _ => {}
    }
    let left = leftovers(directory);
    if !may_leave && !left.is_empty() {
        return Err(format!("left behind: {left:?}"));
    }
    subject.clean(directory)?;
    let left = leftovers(directory);
    if !left.is_empty() {
        return Err(format!("not cleaned: {left:?}"));
    }
    if subject.seen(directory)? != seen {
        return Err("cleaning changed what is there".into());
    }
    Ok(seen)
}
