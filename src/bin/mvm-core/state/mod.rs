//! `state`: what is recorded of an instance, its transitions, and the state machine as a picture.

mod graph;
mod show;
mod transition;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use mvm_core::naming::InstancePath;
use mvm_core::paths::{DEFAULT_ROOT, FleetLayout};
use mvm_core::store::{LockError, StateStore, StoreError};

use crate::failure::Failure;

#[derive(Args)]
pub(crate) struct StateArgs {
    #[command(subcommand)]
    command: StateCommand,
}

#[derive(Subcommand)]
enum StateCommand {
    /// Show what is recorded of an instance, and what may be done with it.
    ///
    /// Exit code: 0 if it is valid, 1 if it is not, 2 if there is none or it could not be read.
    ///
    /// With --json: {"ok", "file", "state", "actions": [names], "in_progress", "holder"}; in_progress is whether a program
    /// has the pending transition in hand, null where nothing is pending or that cannot be told; holder is its process or
    /// null. Where it is not valid or could not be read: {"ok": false, "error", "problems": [texts]}.
    Show(ShowArgs),
    /// Record a transition of an instance: its beginning, its end, or both for one that has been carried out already.
    ///
    /// Nothing but the record is changed. It is locked meanwhile, and refused where a program has a transition of the
    /// instance in hand.
    ///
    /// Exit code: 0 if it is recorded, 1 if the instance or the facts do not allow it, 2 if the record could not be read,
    /// locked or written.
    ///
    /// With --json: {"ok", "file", "state"}; else {"ok": false, "error"}.
    Transition(TransitionArgs),
    /// Draw the state machine: the very table that transitions are checked with.
    ///
    /// With --json: {"ok", "format", "graph", "edges": [{"from", "to", "action"}]}; the action of a build is null.
    Graph(graph::GraphArgs),
}

#[derive(Args)]
struct Place {
    /// The root of the fleet's files.
    #[arg(long, value_name = "DIRECTORY", default_value = DEFAULT_ROOT)]
    root: PathBuf,
}

#[derive(Args)]
struct ShowArgs {
    /// The instance, as TENANT/POOL/INSTANCE.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    instance: Option<InstancePath>,
    #[command(flatten)]
    place: Place,
    /// A file with a record, wherever it is.
    #[arg(long, conflicts_with = "root")]
    file: Option<PathBuf>,
}

#[derive(Args)]
struct TransitionArgs {
    /// The instance, as TENANT/POOL/INSTANCE.
    instance: InstancePath,
    /// What to record.
    #[command(subcommand)]
    step: transition::Step,
    #[command(flatten)]
    place: Place,
}

impl Place {
    fn store(&self) -> Result<StateStore, Failure> {
        let root =
            std::path::absolute(&self.root).map_err(|error| Failure::of_file(&self.root, error))?;
        let layout = FleetLayout::new(root).map_err(Failure::untried)?;
        Ok(StateStore::new(layout))
    }
}

/// A record that is not valid is one thing, one that cannot be reached another.
fn failed(error: &StoreError) -> Failure {
    match error {
        StoreError::Invalid { invalid, .. } => {
            let problems: Vec<_> = invalid.problems().iter().map(ToString::to_string).collect();
            Failure::no(error).with("problems", problems)
        }
        StoreError::Misplaced { .. } | StoreError::Version { .. } | StoreError::TooLong { .. } => {
            Failure::no(error)
        }
        _ => Failure::untried(error),
    }
}

/// The process that holds a lock.
fn holder(error: &StoreError) -> Option<u32> {
    match error {
        StoreError::Lock(LockError::Expired { holder, .. }) => holder.map(|pid| pid.get()),
        _ => None,
    }
}

pub(crate) fn run(args: &StateArgs, json: bool) -> ExitCode {
    let done = match &args.command {
        StateCommand::Show(args) => show::show(args, json),
        StateCommand::Transition(args) => transition::record(args, json),
        StateCommand::Graph(args) => Ok(graph::draw(args, json)),
    };
    done.unwrap_or_else(|failure| failure.tell(json))
}
