//! Recording transitions.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use mvm_core::instance::{CommitFacts, InstanceAction, InstanceState, InstanceStatus, Pid};
use mvm_core::store::{Goal, RecordError, StateStore, Stored};
use mvm_core::time::Timestamp;
use serde_json::json;

use super::{TransitionArgs, failed};
use crate::failure::Failure;
use crate::style::GOOD;

#[derive(Subcommand)]
pub(super) enum Step {
    /// A transition begins: nothing has been done for it yet.
    Begin(GoalArgs),
    /// The transition that is pending has been carried out.
    Commit(FactsArgs),
    /// The transition that is pending has not been carried out, and the instance is as it was.
    Abort,
    /// A transition that has been carried out already.
    Whole {
        #[command(flatten)]
        goal: GoalArgs,
        #[command(flatten)]
        facts: FactsArgs,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct GoalArgs {
    /// By which action: start, stop, sleep, wake, warm, destroy.
    #[arg(long)]
    action: Option<InstanceAction>,
    /// To which status; for builds, which are no action.
    #[arg(long, value_name = "STATUS")]
    to: Option<InstanceStatus>,
}

#[derive(Args)]
pub(super) struct FactsArgs {
    /// The Firecracker process that runs the instance now.
    #[arg(long, value_parser = pid)]
    pid: Option<Pid>,
}

fn pid(text: &str) -> Result<Pid, String> {
    let number = text.parse().map_err(|_| "not a number".to_owned())?;
    Pid::new(number).map_err(|error| error.to_string())
}

impl GoalArgs {
    fn goal(&self) -> Result<Goal, Failure> {
        let action = self.action.map(Goal::Action);
        action
            .or(self.to.map(Goal::Status))
            .ok_or_else(|| Failure::untried("--action or --to is wanted"))
    }
}

impl FactsArgs {
    fn facts(&self) -> CommitFacts {
        self.pid.map(CommitFacts::process).unwrap_or_default()
    }
}

pub(super) fn record(args: &TransitionArgs, json: bool) -> Result<ExitCode, Failure> {
    let store = args.place.store()?;
    let now = Timestamp::now().map_err(Failure::untried)?;
    let state = step(&store, args, now).map_err(|failure| match failure {
        Ended::Record(error) => refused(&error),
        Ended::Failed(failure) => failure,
    })?;
    if json {
        let file = InstanceState::path(store.layout(), &args.instance);
        outln!("{:#}", json!({ "ok": true, "file": file, "state": state }));
    } else {
        let (instance, status) = (&args.instance, state.status());
        match state.pending() {
            Some(pending) => {
                outln!(
                    "{GOOD}begun{GOOD:#} {instance}: {status}, becoming {}",
                    pending.to
                );
            }
            None => outln!("{GOOD}recorded{GOOD:#} {instance}: {status}"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

enum Ended {
    Record(RecordError),
    Failed(Failure),
}

impl From<RecordError> for Ended {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

fn step(store: &StateStore, args: &TransitionArgs, now: Timestamp) -> Result<InstanceState, Ended> {
    let path = &args.instance;
    Ok(match &args.step {
        Step::Begin(goal) => {
            let goal = goal.goal().map_err(Ended::Failed)?;
            // It stays pending when this program ends.
            store.begin(path, goal, now)?.state().clone()
        }
        Step::Commit(facts) => store.resume(path)?.commit(now, facts.facts())?,
        Step::Abort => store.resume(path)?.abort()?,
        Step::Whole { goal, facts } => {
            let goal = goal.goal().map_err(Ended::Failed)?;
            whole(store, path, goal, facts.facts(), now)?
        }
    })
}

/// Where the facts do not fit, nothing has begun.
fn whole(
    store: &StateStore,
    path: &<InstanceState as Stored>::Key,
    goal: Goal,
    facts: CommitFacts,
    now: Timestamp,
) -> Result<InstanceState, RecordError> {
    let transition = store.begin(path, goal, now)?;
    let mut tried = transition.state().clone();
    if let Err(error) = tried.commit(now, facts) {
        transition.abort()?;
        return Err(RecordError::Commit(error));
    }
    transition.commit(now, facts)
}

fn refused(error: &RecordError) -> Failure {
    match error {
        RecordError::Store(error) => failed(error),
        error => Failure::no(error),
    }
}
