//! Each system call fails once; the program is killed once at each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::strace::{Run, prepared, run};
use crate::subject::{End, Seen, Subject, judge};

/// The calls that write, name, lock or make durable. Where one does not exist on this machine, the `?` has
/// strace leave it out.
const CALLS: &str = "trace=?open,openat,?write,pwrite64,fsync,fdatasync,?rename,?renameat,renameat2,?mkdir,mkdirat,?unlink,unlinkat,?rmdir,?chmod,fchmod,?chown,fchown,flock,ftruncate";

const ERRORS: [&str; 3] = ["EIO", "ENOSPC", "EINTR"];

/// Which calls of a run are the subject's own and not those that start a program: from the first that names the
/// directory on. Name of the call, number among the calls of that name.
fn own_calls(run: &Run, directory: &Path) -> Vec<(String, usize)> {
    let directory = directory.to_string_lossy();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let (mut own, mut begun) = (Vec::new(), false);
    for call in &run.calls {
        let Some((name, _)) = call.split_once('(') else {
            continue;
        };
        let count = seen.entry(name.to_owned()).or_default();
        *count += 1;
        begun |= call.contains(&*directory) && name != "execve";
        if begun && name != "exit_group" {
            own.push((name.to_owned(), *count));
        }
    }
    own
}

/// Runs every case, on each processor one; the first thing that was found wrong.
fn every<C: Sync>(
    cases: &[C],
    check: impl Fn(&C) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(None));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = check(case) {
                        *found.lock().unwrap() = Some(why);
                        next.store(cases.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap().map_or(Ok(()), Err)
}

pub(crate) fn errors(subject: &dyn Subject) -> Result<String, String> {
    let directory = prepared(subject);
    let clean = run(subject, directory.path(), &["-e", CALLS]);
    if clean.end != End::Acknowledged {
        return Err(format!("it fails by itself: {}", clean.stderr));
    }
    judge(subject, directory.path(), clean.end, false)?;
    let cases: Vec<(String, usize, &str)> = own_calls(&clean, directory.path())
        .into_iter()
        .flat_map(|(call, when)| ERRORS.map(|error| (call.clone(), when, error)))
        .collect();
    let (reported, retried, ignored) = Default::default();
    let count = |counter: &AtomicUsize| counter.fetch_add(1, Ordering::Relaxed);
    every(&cases, |(call, when, error)| {
        let directory = prepared(subject);
        let inject = format!("inject={call}:error={error}:when={when}");
        let run = run(subject, directory.path(), &["-e", CALLS, "-e", &inject]);
        let what = format!("{error} at call {when} of {call}");
        let Some(line) = run.injected() else {
            return Err(format!("{what}: not injected"));
        };
        let what = format!("{what}, {line}");
        match run.end {
            End::Acknowledged if *error == "EINTR" => count(&retried),
            End::Acknowledged if subject.may_ignore(line) => count(&ignored),
            End::Acknowledged => return Err(format!("{what}: nobody was told")),
            End::Refused | End::InPlace if run.stderr.trim().is_empty() => {
                return Err(format!("{what}: no message"));
            }
            End::Refused | End::InPlace => count(&reported),
            End::Cut => return Err(format!("{what}: died: {}", run.stderr)),
        };
        // What cannot be removed stays, until it can.
        let may_leave = line.starts_with("unlink") || line.starts_with("rmdir");
        let may_leave = may_leave || run.end == End::InPlace;
        judge(subject, directory.path(), run.end, may_leave)
            .map_err(|why| format!("{what}: {why}"))?;
        Ok(())
    })?;
    let [reported, retried, ignored] = [reported, retried, ignored].map(AtomicUsize::into_inner);
    if reported < 10 {
        return Err(format!(
            "only {reported} errors of {} were reported",
            cases.len()
        ));
    }
    Ok(format!(
        "{}: {} failing calls: {reported} reported, {retried} tried again, {ignored} without consequence",
        subject.name(),
        cases.len()
    ))
}

pub(crate) fn kills(subject: &dyn Subject) -> Result<String, String> {
    let directory = prepared(subject);
    let clean = run(subject, directory.path(), &[]);
    let cases = own_calls(&clean, directory.path());
    let (old, new): (AtomicUsize, AtomicUsize) = Default::default();
    every(&cases, |(call, when)| {
        let directory = prepared(subject);
        let inject = format!("inject={call}:signal=KILL:when={when}");
        let run = run(subject, directory.path(), &["-e", &inject]);
        let what = format!("killed at call {when} of {call}");
        if run.end != End::Cut {
            return Err(format!("{what}: it was not"));
        }
        let seen = judge(subject, directory.path(), run.end, true)
            .map_err(|why| format!("{what}: {why}"))?;
        let counter = if seen == Seen::Old { &old } else { &new };
        counter.fetch_add(1, Ordering::Relaxed);
        // The next one finds nothing in its way.
        if let Err(failure) = subject.act(directory.path())
            && seen == Seen::Old
        {
            return Err(format!("{what}, and again: {}", failure.message));
        }
        judge(subject, directory.path(), End::Acknowledged, false)
            .map_err(|why| format!("{what}, and again: {why}"))?;
        Ok(())
    })?;
    let (old, new) = (old.into_inner(), new.into_inner());
    if old == 0 || new == 0 {
        return Err(format!("{old} times the old and {new} times the new"));
    }
    Ok(format!(
        "{}: killed at each of {} calls: {old} times the old is there, {new} times the new, whole",
        subject.name(),
        cases.len()
    ))
}
