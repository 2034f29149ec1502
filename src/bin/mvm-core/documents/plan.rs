//! What has to be done on a node.

use core::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use mvm_core::agent::DesiredState;
use mvm_core::document::Document;
use mvm_core::reconcile::{self, NodeRecords, NodeState, Plan, ReconcilePolicy};
use mvm_core::time::Timestamp;
use serde_json::{Value, json};

use super::input::Input;
use super::report::{self, Report};
use super::{UNREADABLE, exit, print_json, unreadable};

#[derive(Args)]
pub(crate) struct PlanArgs {
    /// The records of the node: {"tenants": [{"config": tenant-config, "pools": [{"spec": pool-spec, "built":
    /// revision or null, "instances": [instance-state]}]}]}. `-` for standard input.
    #[arg(long, value_name = "FILE")]
    current: PathBuf,
    /// The desired state. `-` for standard input.
    #[arg(long, value_name = "FILE")]
    desired: PathBuf,
    /// The time to plan for, as in 2026-01-31T12:00:00Z. By default now.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
}

/// A document of one of the two files, and what was found in it.
struct Read<T> {
    name: String,
    document: Option<T>,
    report: Report,
}

fn read<T: Document>(file: &Path, json: bool) -> Result<Read<T>, ExitCode> {
    let input = Input::read(file).map_err(|error| unreadable(T::NAME, file, &error, json))?;
    let (document, report) = Report::of::<T>(input.bytes());
    let name = input.name().to_owned();
    Ok(Read {
        name,
        document,
        report,
    })
}

pub(crate) fn plan(args: &PlanArgs, json: bool) -> ExitCode {
    run(args, json).unwrap_or_else(|code| code)
}

fn run(args: &PlanArgs, json: bool) -> Result<ExitCode, ExitCode> {
    if args.current == args.desired && args.current.as_os_str() == "-" {
        report::show_trouble("standard input holds one document, not two");
        return Err(ExitCode::from(UNREADABLE));
    }
    let now = match args.now {
        Some(now) => now,
        None => Timestamp::now().map_err(|error| {
            report::show_trouble(&format!("what time is it? {error}"));
            ExitCode::from(UNREADABLE)
        })?,
    };
    let current = read::<NodeRecords>(&args.current, json)?;
    let desired = read::<DesiredState>(&args.desired, json)?;
    let reports = [
        (&current.name, &current.report),
        (&desired.name, &desired.report),
    ];
    let (Some(have), Some(want)) = (current.document, desired.document) else {
        if json {
            let documents = reports.map(|(name, report)| report.to_json(name, report.is_ok(false)));
            print_json(&json!({ "ok": false, "plan": null, "documents": documents }));
        } else {
            for (name, report) in reports {
                report.show(name, report.is_ok(false), crate::output::line);
            }
        }
        return Ok(exit(false));
    };
    let policy = ReconcilePolicy::default();
    let plan = reconcile::plan(&NodeState::from(have), &want, &policy, now);
    let ok = plan.refused.is_empty();
    if json {
        let documents: Vec<Value> = Vec::new();
        print_json(&json!({ "ok": ok, "plan": plan, "documents": documents }));
    } else {
        show(&plan);
    }
    Ok(exit(ok))
}

fn show(plan: &Plan) {
    list(report::GOOD, "do", &plan.actions);
    list(report::DOUBTFUL, "wait", &plan.deferred);
    list(report::BAD, "REFUSED", &plan.refused);
    list(report::BOLD, "left", &plan.unknown);
    let Plan {
        actions,
        deferred,
        refused,
        unknown,
        ..
    } = plan;
    outln!(
        "{} to do, {} waiting, {} refused, {} not desired and left",
        actions.len(),
        deferred.len(),
        refused.len(),
        unknown.len(),
    );
}

fn list(style: report::Look, word: &str, lines: &[impl Display]) {
    for line in lines {
        outln!("{style}{word}{style:#} {line}");
    }
}
