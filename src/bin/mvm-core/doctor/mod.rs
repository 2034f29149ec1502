//! `doctor`: what this machine offers, and what would help where it does not.

mod machine;
mod places;

use alloc::string::{String, ToString};
use core::time::Duration;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use mvm_core::config::{DirectorySource, Settings};
use mvm_core::platform::{Host, SystemProbe};
use serde_json::{Value, json};

use crate::progress::Progress;
use crate::style::{BAD, BOLD, DIM, DOUBTFUL, GOOD, Look, visible};

#[derive(Args)]
pub(crate) struct DoctorArgs {
    /// The directory of the sockets of instances.
    #[arg(long, value_name = "DIR", default_value = "/run/mvm")]
    socket_base: String,
    /// How many seconds each program that is asked may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    deadline: u64,
    /// Look at the devices and files below this directory.
    #[arg(long, hide = true, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// How it is with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// As it should be.
    Good,
    /// Neither good nor bad.
    Note,
    /// A microVM runs without it, but not everything does.
    Advice,
    /// It is not as it must be.
    Bad,
    /// It cannot be told.
    Unknown,
}

impl Mark {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Advice => "advice",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }

    const fn look(self) -> Look {
        match self {
            Self::Good => GOOD,
            Self::Note => DIM,
            Self::Advice | Self::Unknown => DOUBTFUL,
            Self::Bad => BAD,
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Check {
    id: &'static str,
    title: String,
    mark: Mark,
    /// No microVM runs without it.
    needed: bool,
    found: String,
    help: Option<String>,
}

impl Check {
    fn new(id: &'static str, title: &str, mark: Mark, found: impl ToString) -> Self {
        Self {
            id,
            title: title.to_owned(),
            mark,
            needed: false,
            found: found.to_string(),
            help: None,
        }
    }

    fn needed(mut self) -> Self {
        self.needed = true;
        self
    }

    fn help(mut self, help: impl ToString) -> Self {
        self.help = Some(help.to_string());
        self
    }
}

/// Whether a microVM can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Yes,
    No,
    Unknown,
}

impl Verdict {
    fn of(checks: &[Check]) -> Self {
        let any = |mark| {
            checks
                .iter()
                .any(|check| check.needed && check.mark == mark)
        };
        if any(Mark::Bad) {
            Self::No
        } else if any(Mark::Unknown) {
            Self::Unknown
        } else {
            Self::Yes
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }

    fn exit(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::Unknown => 2,
        })
    }
}

/// What decided where a directory is, and the variable that did.
pub(crate) fn source(source: DirectorySource) -> (&'static str, Option<&'static str>) {
    match source {
        DirectorySource::Variable(name) => ("variable", Some(name)),
        DirectorySource::Xdg(name) => ("xdg", Some(name)),
        _ => ("default", None),
    }
}

pub(crate) fn run(args: &DoctorArgs, json: bool) -> ExitCode {
    let mut probe = SystemProbe::new();
    if let Some(root) = &args.root {
        probe = probe.below(root);
    }
    let host = Host::new(probe).with_deadline(Duration::from_secs(args.deadline));
    let progress = Progress::waiting("asking the machine");
    let report = host.report();
    drop(progress);
    let settings = Settings::of_process();
    let mut checks = machine::checks(&report, &settings);
    checks.extend(places::checks(&settings, &args.socket_base));
    let verdict = Verdict::of(&checks);
    if json {
        let checks: Vec<Value> = checks.iter().map(to_json).collect();
        let document = json!({
            "ok": verdict == Verdict::Yes,
            "verdict": verdict.as_str(),
            "checks": checks,
            "platform": report,
        });
        outln!("{document:#}");
    } else {
        for check in &checks {
            show(check);
        }
        conclude(verdict, &checks);
    }
    verdict.exit()
}

fn to_json(check: &Check) -> Value {
    json!({
        "id": check.id,
        "title": check.title,
        "mark": check.mark.as_str(),
        "needed": check.needed,
        "found": check.found,
        "help": check.help,
    })
}

fn show(check: &Check) {
    let (look, mark) = (check.mark.look(), check.mark.as_str());
    let found = visible(&check.found);
    outln!(
        "{look}{mark:<7}{look:#} {BOLD}{:<17}{BOLD:#} {found}",
        check.title
    );
    if let Some(help) = &check.help {
        outln!("{:<25} {DIM}help:{DIM:#} {}", "", visible(help));
    }
}

fn conclude(verdict: Verdict, checks: &[Check]) {
    let missing: Vec<&str> = checks
        .iter()
        .filter(|check| check.needed && matches!(check.mark, Mark::Bad | Mark::Unknown))
        .map(|check| check.title.as_str())
        .collect();
    let missing = missing.join(", ");
    outln!("");
    match verdict {
        Verdict::Yes => outln!("{GOOD}a microVM can run here{GOOD:#}"),
        Verdict::No => outln!("{BAD}no microVM can run here{BAD:#}: {missing}"),
        Verdict::Unknown => {
            outln!(
                "{DOUBTFUL}whether a microVM can run here cannot be told{DOUBTFUL:#}: {missing}"
            );
        }
    }
}

#[cfg(test)]
mod tests;
