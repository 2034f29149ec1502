//! What is recorded of an instance.

use alloc::string::{String, ToString};
use core::fmt::Display;
use core::time::Duration;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use mvm_core::document::Document;
use mvm_core::instance::{InstanceAction, InstanceState};
use mvm_core::limits::STORED_DOCUMENT_MAX;
use mvm_core::store::{RecordError, StateStore, Stored};
use serde_json::json;

use super::{ShowArgs, failed, holder};
use crate::failure::Failure;
use crate::style::{BOLD, DIM, DOUBTFUL, visible};

/// Who has the pending transition in hand.
enum Hand {
    Unknown,
    Nobody,
    Somebody(Option<u32>),
}

pub(super) fn show(args: &ShowArgs, json: bool) -> Result<ExitCode, Failure> {
    let (file, state, hand) = match (&args.instance, &args.file) {
        (Some(instance), _) => {
            let store = args.place.store()?;
            let state: InstanceState = store.load(instance).map_err(|error| failed(&error))?;
            let hand = match state.pending() {
                Some(_) => hand(&store, instance),
                None => Hand::Unknown,
            };
            (InstanceState::path(store.layout(), instance), state, hand)
        }
        (None, Some(file)) => (file.clone(), read(file)?, Hand::Unknown),
        (None, None) => return Err(Failure::untried("an instance or a file is wanted")),
    };
    print(&file, &state, &hand, json);
    Ok(ExitCode::SUCCESS)
}

fn hand(store: &StateStore, instance: &<InstanceState as Stored>::Key) -> Hand {
    match store.clone().with_patience(Duration::ZERO).resume(instance) {
        // Given back at once.
        Ok(_) | Err(RecordError::NotPending(_)) => Hand::Nobody,
        Err(RecordError::Store(error)) if holder(&error).is_some() => {
            Hand::Somebody(holder(&error))
        }
        Err(error) if error.is_busy() => Hand::Somebody(None),
        Err(_) => Hand::Unknown,
    }
}

fn read(file: &Path) -> Result<InstanceState, Failure> {
    let unreadable = |error| Failure::of_file(file, error);
    let max = u64::try_from(STORED_DOCUMENT_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(file)
        .map_err(unreadable)?
        .take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > STORED_DOCUMENT_MAX {
        let file = file.display();
        return Err(Failure::no(format_args!("{file}: more than {max} bytes")));
    }
    InstanceState::check_json(&bytes).result.map_err(|invalid| {
        let problems: Vec<_> = invalid.problems().iter().map(ToString::to_string).collect();
        let file = file.display();
        Failure::no(format_args!("{file}: {invalid}")).with("problems", problems)
    })
}

fn print(file: &Path, state: &InstanceState, hand: &Hand, json: bool) {
    let actions: Vec<&str> = InstanceAction::ALL
        .into_iter()
        .filter(|action| state.pending().is_none() && action.applies_to(state.status()))
        .map(InstanceAction::as_str)
        .collect();
    if json {
        let (in_progress, holder) = match hand {
            Hand::Unknown => (None, None),
            Hand::Nobody => (Some(false), None),
            Hand::Somebody(holder) => (Some(true), *holder),
        };
        outln!(
            "{:#}",
            json!({
                "ok": true, "file": file, "state": state, "actions": actions,
                "in_progress": in_progress, "holder": holder,
            })
        );
        return;
    }
    let (tenant, pool, id) = (&state.tenant_id, &state.pool_id, &state.instance_id);
    let status = state.status();
    outln!("{BOLD}{tenant}/{pool}/{id}{BOLD:#}: {BOLD}{status}{BOLD:#}");
    if let Some(pending) = state.pending() {
        let hand = match hand {
            Hand::Unknown => String::new(),
            Hand::Nobody => ", and whoever began it is gone".to_owned(),
            Hand::Somebody(None) => ", in progress".to_owned(),
            Hand::Somebody(Some(pid)) => format!(", in progress in process {pid}"),
        };
        let (to, since) = (pending.to, pending.since);
        outln!("{DOUBTFUL}becoming {to}{DOUBTFUL:#} since {since}{hand}");
    }
    let lines = [
        ("process", text(state.firecracker_pid())),
        ("started", text(state.last_started_at())),
        ("stopped", text(state.last_stopped_at())),
        ("became running", text(state.entered_running_at())),
        ("became warm", text(state.entered_warm_at())),
        ("revision", text(state.revision_hash.as_ref())),
        ("healthy", text(state.healthy)),
        ("left alone until", text(state.manual_override_until)),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            outln!("  {name}: {value}");
        }
    }
    if !actions.is_empty() {
        outln!("  can: {}", actions.join(", "));
    }
    outln!("{DIM}{}{DIM:#}", visible(&file.display().to_string()));
}

fn text(value: Option<impl Display>) -> Option<String> {
    value.map(|value| value.to_string())
}
