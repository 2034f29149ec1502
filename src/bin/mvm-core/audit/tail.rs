//! `audit tail`.

use alloc::string::String;
use core::time::Duration;
use std::process::ExitCode;

use mvm_core::audit::{AuditEntry, FileError, LocalAuditEvent, Tail, TailLine};
use mvm_core::document::Document;
use serde_json::{Value, json};

use super::TailArgs;
use crate::style::visible;

/// How long to wait for the next entry at a time.
const WAIT: Duration = Duration::from_secs(1);

/// An entry of either log.
enum Entry {
    Tenant(Box<AuditEntry>),
    Local(LocalAuditEvent),
    None,
}

pub(super) fn run(args: &TailArgs, json: bool) -> ExitCode {
    match follow(args, json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = error.to_string();
            if json {
                outln!("{}", json!({ "ok": false, "error": error }));
            } else {
                errln!("mvm-core: {}", visible(&error));
            }
            ExitCode::from(2)
        }
    }
}

fn follow(args: &TailArgs, json: bool) -> Result<(), FileError> {
    let mut tail = Tail::<AuditEntry>::open(&args.file, args.lines)?;
    let wait = if args.follow { WAIT } else { Duration::ZERO };
    loop {
        match tail.next_line(wait)? {
            Some(line) => show(line, json),
            None if args.follow && !crate::output::is_gone() => {}
            None => return Ok(()),
        }
        if crate::output::is_gone() {
            return Ok(());
        }
    }
}

fn show(line: TailLine<AuditEntry>, json: bool) {
    let seq = line.chain.map(|chain| chain.seq);
    let entry = match line.entry {
        Ok(entry) => Entry::Tenant(Box::new(entry)),
        Err(_) => LocalAuditEvent::from_json(&line.line).map_or(Entry::None, Entry::Local),
    };
    let text = String::from_utf8_lossy(&line.line);
    if json {
        let (entry, text) = match entry {
            Entry::Tenant(entry) => (json!(entry), Value::Null),
            Entry::Local(event) => (json!(event), Value::Null),
            Entry::None => (Value::Null, text.into()),
        };
        outln!("{}", json!({ "seq": seq, "entry": entry, "line": text }));
        return;
    }
    let seq = seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
    let shown = match entry {
        Entry::Tenant(entry) => {
            let mut place = entry.tenant_id.to_string();
            for part in [
                entry.pool_id.as_ref().map(ToString::to_string),
                entry.instance_id.as_ref().map(ToString::to_string),
            ]
            .into_iter()
            .flatten()
            {
                place.push('/');
                place.push_str(&part);
            }
            let detail = entry.detail.as_deref().unwrap_or("");
            format!("{} {:?} {place} {detail}", entry.timestamp, entry.action)
        }
        Entry::Local(event) => {
            let name = event.vm_name.as_deref().unwrap_or("-");
            let detail = event.detail.as_deref().unwrap_or("");
            format!("{} {:?} {name} {detail}", event.timestamp, event.kind)
        }
        Entry::None => text.into_owned(),
    };
    outln!("{seq:>8} {}", visible(shown.trim_end()));
}
