//! What a file system may have kept of a program's operations when the power goes.
//!
//! The operations are those that strace recorded. The model allows everything that POSIX does: `fsync` of a file
//! forces the data that was written to it before, and nothing else; `fsync` of a directory forces the names in
//! it that were changed before. Of all other operations before the cut, any set may have come to the disk, and
//! of a write a part. A real file system keeps more; what holds here holds there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::strace::{prepared, run};
use crate::subject::{End, Seen, Subject};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operation {
    /// A new file of this name.
    Create(PathBuf),
    /// An existing file loses its content.
    Truncate(PathBuf),
    Write(PathBuf),
    Sync(PathBuf),
    Rename(PathBuf, PathBuf),
    MakeDirectory(PathBuf),
    Remove(PathBuf),
}

const CALLS: &str = "trace=?open,openat,?write,pwrite64,fsync,fdatasync,?rename,?renameat,renameat2,?mkdir,mkdirat,?unlink,unlinkat,ftruncate";

/// The path in the first pair of quotes, and the rest.
fn quoted(text: &str) -> Option<(PathBuf, &str)> {
    let (_, rest) = text.split_once('"')?;
    let (path, rest) = rest.split_once('"')?;
    Some((path.into(), rest))
}

/// The path of the file that is open as the first argument.
fn opened(text: &str) -> Option<PathBuf> {
    let (_, rest) = text.split_once('<')?;
    Some(rest.split_once('>')?.0.into())
}

fn parse(call: &str, known: &[PathBuf]) -> Option<Operation> {
    let (name, arguments) = call.split_once('(')?;
    let result = call.rsplit_once(" = ")?.1;
    if result.starts_with('-') {
        return None;
    }
    match name {
        "open" | "openat" => {
            let (path, flags) = quoted(arguments)?;
            if flags.contains("O_CREAT") && !known.contains(&path) {
                Some(Operation::Create(path))
            } else if flags.contains("O_TRUNC") {
                Some(Operation::Truncate(path))
            } else {
                None
            }
        }
        "write" | "pwrite64" => opened(arguments).map(Operation::Write),
        "ftruncate" => opened(arguments).map(Operation::Truncate),
        "fsync" | "fdatasync" => opened(arguments).map(Operation::Sync),
        "rename" | "renameat" | "renameat2" => {
            let (from, rest) = quoted(arguments)?;
            Some(Operation::Rename(from, quoted(rest)?.0))
        }
        "mkdir" | "mkdirat" => quoted(arguments).map(|(path, _)| Operation::MakeDirectory(path)),
        "unlink" | "unlinkat" => quoted(arguments).map(|(path, _)| Operation::Remove(path)),
        _ => None,
    }
}

/// A file or a directory; its names are elsewhere.
type Node = usize;

/// An operation on a node's data, or on a name in a directory.
#[derive(Debug, Clone)]
enum Change {
    /// One of the writes that make the new content.
    Data { node: Node },
    /// The content is lost.
    Lose { node: Node },
    Name {
        path: PathBuf,
        node: Option<Node>,
        gone: Option<PathBuf>,
    },
}

pub(crate) fn cuts(subject: &dyn Subject) -> Result<String, String> {
    let directory = prepared(subject);
    let root = directory.path();
    let target = subject.target(root).ok_or("nothing to look at")?;
    let exists = target.exists();
    let recorded = run(subject, root, &["-e", CALLS]);
    if recorded.end != End::Acknowledged {
        return Err(format!("it fails by itself: {}", recorded.stderr));
    }
    let mut operations = Vec::new();
    let mut known: Vec<PathBuf> = exists.then(|| target.clone()).into_iter().collect();
    for call in &recorded.calls {
        let Some(operation) = parse(call, &known) else {
            continue;
        };
        let about = match &operation {
            Operation::Create(path) => {
                known.push(path.clone());
                path
            }
            Operation::Truncate(path)
            | Operation::Write(path)
            | Operation::Sync(path)
            | Operation::Rename(_, path)
            | Operation::MakeDirectory(path)
            | Operation::Remove(path) => path,
        };
        let lock = about.extension().is_some_and(|end| end == "lock");
        if about.starts_with(root) && !lock {
            operations.push(operation);
        }
    }
    let mut cases = 0;
    for cut in 0..=operations.len() {
        cases += after(&operations, cut, &target, exists)
            .map_err(|why| format!("power cut after {cut} of {operations:#?}: {why}"))?;
    }
    Ok(format!(
        "{}: {} operations, {cases} states of the disk: the old or the new, and the new once it is acknowledged",
        subject.name(),
        operations.len()
    ))
}

/// Every state of the disk after the first `cut` operations.
fn after(operations: &[Operation], cut: usize, target: &Path, exists: bool) -> Result<u64, String> {
    let acknowledged = cut == operations.len();
    // Node 0 is what the target was before.
    let mut names: BTreeMap<PathBuf, Node> = BTreeMap::new();
    if exists {
        names.insert(target.into(), 0);
    }
    let mut next: Node = 1;
    let mut changes: Vec<(Change, bool)> = Vec::new();
    let mut writes: BTreeMap<Node, u32> = BTreeMap::new();
    let mut before_cut = Vec::new();
    // All of them, to know which writes make a file whole; what comes behind the cut changes no disk.
    for (at, operation) in operations.iter().enumerate() {
        if at == cut {
            before_cut = changes.clone();
        }
        match operation {
            Operation::Create(path) | Operation::MakeDirectory(path) => {
                names.insert(path.clone(), next);
                let (path, node) = (path.clone(), Some(next));
                changes.push((
                    Change::Name {
                        path,
                        node,
                        gone: None,
                    },
                    false,
                ));
                next += 1;
            }
            Operation::Truncate(path) => {
                if let Some(node) = names.get(path) {
                    changes.push((Change::Lose { node: *node }, false));
                }
            }
            Operation::Write(path) => {
                if let Some(node) = names.get(path) {
                    *writes.entry(*node).or_default() += 1;
                    changes.push((Change::Data { node: *node }, false));
                }
            }
            Operation::Rename(from, to) => {
                let node = names.remove(from);
                if let Some(node) = node {
                    names.insert(to.clone(), node);
                }
                let (path, gone) = (to.clone(), Some(from.clone()));
                changes.push((Change::Name { path, node, gone }, false));
            }
            Operation::Remove(path) => {
                names.remove(path);
                let path = path.clone();
                changes.push((
                    Change::Name {
                        path,
                        node: None,
                        gone: None,
                    },
                    false,
                ));
            }
            Operation::Sync(synced) => {
                let synced_node = names.get(synced);
                for (change, forced) in &mut changes {
                    *forced |= match change {
                        Change::Data { node } | Change::Lose { node } => {
                            Some(&*node) == synced_node
                        }
                        Change::Name { path, .. } => path.parent() == Some(synced),
                    };
                }
            }
        }
    }
    let changes = if acknowledged { changes } else { before_cut };
    let free: Vec<usize> = (0..changes.len()).filter(|at| !changes[*at].1).collect();
    assert!(free.len() < 20, "too many operations at once");
    for set in 0..1_u64 << free.len() {
        let kept = |at: usize| match free.iter().position(|free| *free == at) {
            None => true,
            Some(bit) => set >> bit & 1 == 1,
        };
        let mut disk: BTreeMap<&Path, Node> = BTreeMap::new();
        if exists {
            disk.insert(target, 0);
        }
        let made: Vec<&Path> = operations
            .iter()
            .take(cut)
            .filter_map(|operation| match operation {
                Operation::MakeDirectory(path) => Some(path.as_path()),
                _ => None,
            })
            .collect();
        let mut data: BTreeMap<Node, u32> = BTreeMap::new();
        let mut lost = Vec::new();
        for (at, (change, _)) in changes.iter().enumerate() {
            if !kept(at) {
                continue;
            }
            match change {
                Change::Data { node } => *data.entry(*node).or_default() += 1,
                Change::Lose { node } => lost.push(*node),
                Change::Name { path, node, gone } => {
                    if let Some(gone) = gone {
                        disk.remove(gone.as_path());
                    }
                    match node {
                        Some(node) => disk.insert(path, *node),
                        None => disk.remove(path.as_path()),
                    };
                }
            }
        }
        // A name in a directory that has none itself cannot be found.
        let reachable = made
            .iter()
            .filter(|path| target.starts_with(path))
            .all(|path| disk.contains_key(path));
        let seen = match disk.get(target).filter(|_| reachable) {
            None if exists => return Err("the document is gone".into()),
            None => Seen::Old,
            Some(0) if lost.is_empty() && !data.contains_key(&0) => Seen::Old,
            // Written in place: whole only if all of it came to the disk.
            Some(0) if !lost.is_empty() && data.get(&0) == writes.get(&0) => Seen::New,
            Some(node)
                if *node > 0 && data.get(node) == writes.get(node) && data.contains_key(node) =>
            {
                Seen::New
            }
            Some(_) => return Err("the document is damaged".into()),
        };
        if acknowledged && seen == Seen::Old {
            return Err("acknowledged, and the old is there".into());
        }
    }
    Ok(1 << free.len())
}
