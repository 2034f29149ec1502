//! What was measured, whether it is what was expected, and how it is shown.

use core::fmt::Display;
use core::time::Duration;
use std::time::Instant;

use clap::builder::styling::{AnsiColor, Style};
use serde_json::{Map, Value, json};

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// Columns for the name of a fact, and for the title of a check.
const NAME: usize = 22;
const TITLE: usize = 62;

/// Why a step could not be gone through at all.
pub(super) type Trouble = alloc::boxed::Box<dyn core::error::Error + Send + Sync>;

/// One step: what was measured in it, and what did not hold.
pub(super) struct Check {
    id: &'static str,
    title: &'static str,
    took: Duration,
    facts: Vec<(&'static str, Value)>,
    failures: Vec<String>,
}

impl Check {
    /// Something that was measured or reported.
    pub(super) fn fact(&mut self, name: &'static str, value: impl Into<Value>) {
        self.facts.push((name, value.into()));
    }

    /// Something that both processes reported: they have to agree.
    pub(super) fn agree(
        &mut self,
        name: &'static str,
        host: impl Into<Value>,
        guest: Option<&Value>,
    ) {
        let host = host.into();
        let guest = guest.cloned().unwrap_or(Value::Null);
        if host != guest {
            let (host, guest) = (plain(&host), plain(&guest));
            self.failures.push(format!(
                "{name}: the host has {host}, the guest reports {guest}"
            ));
        }
        self.fact(name, json!({ "host": host, "guest": guest }));
    }

    /// Something that the guest alone reported: it has to be this.
    pub(super) fn reported(
        &mut self,
        name: &'static str,
        expected: impl Into<Value>,
        guest: Option<&Value>,
    ) {
        let expected = expected.into();
        let guest = guest.cloned().unwrap_or(Value::Null);
        self.expect(guest == expected, || {
            let (expected, guest) = (plain(&expected), plain(&guest));
            format!("{name}: expected {expected}, the guest reports {guest}")
        });
        self.fact(name, guest);
    }

    /// Something that has to be so.
    pub(super) fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.failures.push(otherwise());
        }
    }

    /// A typed error, as the process named reported it: it has to be this one.
    pub(super) fn expect_error(&mut self, who: &'static str, expected: &str, got: Option<&Value>) {
        let got = got.and_then(Value::as_str).unwrap_or("no error");
        self.fact(who, got);
        self.expect(got == expected, || {
            format!("{who}: expected {expected}, got {got}")
        });
    }

    fn ok(&self) -> bool {
        self.failures.is_empty()
    }
}

/// All steps of a run. Whatever was planned and not reached has failed.
pub(super) struct Report {
    json: bool,
    started: Instant,
    planned: &'static [(&'static str, &'static str)],
    checks: Vec<Check>,
}

impl Report {
    pub(super) fn new(json: bool, planned: &'static [(&'static str, &'static str)]) -> Self {
        Self {
            json,
            started: Instant::now(),
            planned,
            checks: Vec::new(),
        }
    }

    pub(super) fn heading(&self, text: impl Display) {
        if !self.json {
            outln!("{BOLD}{text}{BOLD:#}\n");
        }
    }

    /// Goes through a step and shows what came of it. `None` where it had to be given up.
    pub(super) fn check<T>(
        &mut self,
        id: &'static str,
        step: impl FnOnce(&mut Check) -> Result<T, Trouble>,
    ) -> Option<T> {
        let title = self.planned.iter().find(|(planned, _)| *planned == id);
        let mut check = Check {
            id,
            title: title.map_or(id, |(_, title)| title),
            took: Duration::ZERO,
            facts: Vec::new(),
            failures: Vec::new(),
        };
        let start = Instant::now();
        let result = step(&mut check);
        check.took = start.elapsed();
        let value = match result {
            Ok(value) => Some(value),
            Err(trouble) => {
                check.failures.push(trouble.to_string());
                None
            }
        };
        self.show(&check);
        self.checks.push(check);
        value
    }

    fn show(&self, check: &Check) {
        if self.json {
            return;
        }
        let (style, word) = if check.ok() {
            (GOOD, "held")
        } else {
            (BAD, "FAILED")
        };
        let title = format!("{} · {}", check.id, check.title);
        let took = millis(check.took);
        outln!("{style}{word:<6}{style:#} {BOLD}{title:<TITLE$}{BOLD:#} {DIM}{took:>10}{DIM:#}");
        for (name, value) in &check.facts {
            outln!("       {DIM}{name:<NAME$}{DIM:#} {}", shown(value));
        }
        for failure in &check.failures {
            outln!("       {BAD}{:<NAME$} {failure}{BAD:#}", "not as expected");
        }
        outln!("");
    }

    /// Ends the run; whether everything held.
    pub(super) fn finish(mut self) -> bool {
        for (id, title) in self.planned {
            if !self.checks.iter().any(|check| check.id == *id) {
                let check = Check {
                    id,
                    title,
                    took: Duration::ZERO,
                    facts: Vec::new(),
                    failures: vec!["not reached".into()],
                };
                self.show(&check);
                self.checks.push(check);
            }
        }
        let elapsed = self.started.elapsed();
        let failed = self.checks.iter().filter(|check| !check.ok()).count();
        if self.json {
            self.print_json(elapsed, failed == 0);
        } else {
            let held = self.checks.len().saturating_sub(failed);
            let style = if failed == 0 { GOOD } else { BAD };
            outln!(
                "{style}{held} of {} checks held{style:#} in {}",
                self.checks.len(),
                millis(elapsed)
            );
        }
        failed == 0
    }

    fn print_json(&self, elapsed: Duration, ok: bool) {
        let checks: Vec<Value> = self
            .checks
            .iter()
            .map(|check| {
                let facts: Map<String, Value> = check
                    .facts
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect();
                json!({
                    "id": check.id,
                    "title": check.title,
                    "ok": check.ok(),
                    "took_us": micros(check.took),
                    "facts": facts,
                    "failures": check.failures,
                })
            })
            .collect();
        let document = json!({
            "ok": ok,
            "elapsed_ms": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            "checks": checks,
        });
        outln!("{document:#}");
    }
}

/// Whole microseconds, for JSON.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> String {
    let micros = micros(time);
    format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10)
}

/// A fact in one line; what both sides have is said once.
fn shown(value: &Value) -> String {
    let Value::Object(members) = value else {
        return plain(value);
    };
    match (members.get("host"), members.get("guest")) {
        (Some(host), Some(guest)) if members.len() == 2 => {
            if host == guest {
                return format!("{} {DIM}(both){DIM:#}", plain(host));
            }
            format!("host {}, guest {}", plain(host), plain(guest))
        }
        _ => plain(value),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| format!("{name} {}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}
