//! What was found in a document, for people and for programs.

use alloc::string::String;
use core::fmt::{Arguments, Display};
use std::io;

use mvm_core::document::{Checked, Document, Position};
use mvm_core::routing::{InstanceSelector, Route};
use serde_json::{Value, json};

use crate::output;
use crate::style::visible;
pub(super) use crate::style::{BAD, BOLD, DOUBTFUL, GOOD, Look};

/// One thing that was found.
pub(super) struct Finding {
    pub(super) path: String,
    pub(super) message: String,
    pub(super) position: Option<Position>,
}

/// Everything that was found in a document of a type.
pub(crate) struct Report {
    pub(super) kind: &'static str,
    pub(super) problems: Vec<Finding>,
    pub(super) omitted_problems: usize,
    pub(super) warnings: Vec<Finding>,
    pub(super) omitted_warnings: usize,
}

impl Report {
    /// Checks a text, and gives the document where it is valid.
    pub(crate) fn of<T: Document>(json: &[u8]) -> (Option<T>, Self) {
        let checked: Checked<T> = T::check_json(json);
        let (value, problems, omitted_problems) = match checked.result {
            Ok(value) => (Some(value), Vec::new(), 0),
            Err(invalid) => {
                let omitted = invalid.omitted();
                let problems = invalid.into_problems().into_iter();
                let findings = problems.map(|problem| Finding {
                    message: problem.reason.to_string(),
                    path: problem.path,
                    position: problem.position,
                });
                (None, findings.collect(), omitted)
            }
        };
        let warnings = checked.warnings.into_iter().map(|warning| Finding {
            path: warning.path,
            message: "unknown member, ignored".to_owned(),
            position: Some(warning.position),
        });
        let report = Self {
            kind: T::NAME,
            problems,
            omitted_problems,
            warnings: warnings.collect(),
            omitted_warnings: checked.omitted_warnings,
        };
        (value, report)
    }

    /// The one thing that kept a text from being read.
    pub(super) fn one(kind: &'static str, message: String, position: Option<Position>) -> Self {
        let path = String::new();
        Self {
            kind,
            problems: vec![Finding {
                path,
                message,
                position,
            }],
            omitted_problems: 0,
            warnings: Vec::new(),
            omitted_warnings: 0,
        }
    }

    pub(crate) fn is_ok(&self, deny_warnings: bool) -> bool {
        self.problems.is_empty() && (!deny_warnings || self.warnings.is_empty())
    }

    pub(crate) fn to_json(&self, file: &str, ok: bool) -> Value {
        let list = |findings: &[Finding]| -> Vec<Value> {
            findings
                .iter()
                .map(|finding| {
                    json!({
                        "path": finding.path,
                        "message": finding.message,
                        "line": finding.position.map(|position| position.line),
                        "column": finding.position.map(|position| position.column),
                    })
                })
                .collect()
        };
        json!({
            "ok": ok,
            "type": self.kind,
            "file": file,
            "problems": list(&self.problems),
            "omitted_problems": self.omitted_problems,
            "warnings": list(&self.warnings),
            "omitted_warnings": self.omitted_warnings,
        })
    }

    /// As `check` says it, but for people on standard error: standard output is for what a document turns into.
    pub(crate) fn tell(&self, file: &str, json: bool) {
        let ok = self.is_ok(false);
        if json {
            super::print_json(&self.to_json(file, ok));
        } else {
            self.show(file, ok, output::error_line);
        }
    }

    /// The first problem in a few words.
    pub(crate) fn first(&self) -> String {
        self.problems.first().map_or_else(String::new, |problem| {
            let path = problem.path.as_str();
            let separator = if path.is_empty() { "" } else { ": " };
            format!("{path}{separator}{}", problem.message)
        })
    }

    /// `file:line:column: error: path: message`, which editors understand, and a line that sums it up.
    pub(crate) fn show(&self, file: &str, ok: bool, say: fn(Arguments<'_>)) {
        let file = visible(file);
        let findings = [
            (&self.problems, self.omitted_problems, BAD, "error"),
            (&self.warnings, self.omitted_warnings, DOUBTFUL, "warning"),
        ];
        for (findings, omitted, style, word) in findings {
            for finding in findings {
                let place = finding
                    .position
                    .map_or_else(String::new, |position| format!("{position}:"));
                let path = match finding.path.as_str() {
                    "" => String::new(),
                    path => format!("{BOLD}{}{BOLD:#}: ", visible(path)),
                };
                let message = visible(&finding.message);
                say(format_args!(
                    "{file}:{place} {style}{word}{style:#}: {path}{message}"
                ));
            }
            if omitted > 0 {
                let word = plural(omitted, word);
                say(format_args!(
                    "{file}: {style}{omitted} more {word}{style:#}"
                ));
            }
        }
        let mut found = String::new();
        for (findings, omitted, _, word) in findings {
            let count = findings.len().saturating_add(omitted);
            if count > 0 {
                found.push_str(&format!(", {count} {}", plural(count, word)));
            }
        }
        let (style, word) = if ok {
            (GOOD, "valid")
        } else {
            (BAD, "NOT VALID")
        };
        let kind = self.kind;
        say(format_args!("{style}{word}{style:#} {kind} {file}{found}"));
    }
}

fn plural(count: usize, word: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{word}{end}")
}

pub(super) fn show_unreadable(file: &str, error: &io::Error) {
    let file = visible(file);
    errln!("{BAD}cannot read{BAD:#} {file}: {error}");
}

/// Something that kept the command from being tried.
pub(super) fn show_trouble(trouble: &str) {
    errln!("{BAD}error{BAD:#}: {trouble}");
}

pub(super) fn show_route(found: Option<(usize, &Route)>) {
    let Some((at, route)) = found else {
        outln!("{BAD}no route{BAD:#} takes it");
        return;
    };
    let name = match route.name.as_str() {
        "" => String::new(),
        name => format!(" {}", visible(name)),
    };
    let target = &route.target;
    let instance: &dyn Display = match &target.instance_selector {
        InstanceSelector::Any => &"any instance",
        InstanceSelector::ByIp(address) => &format!("the instance {address}"),
        InstanceSelector::LeastConnections => &"the instance with the fewest connections",
    };
    let port = match target.target_port {
        Some(port) => format!(", port {port}"),
        None => String::new(),
    };
    let pool = &target.pool_id;
    outln!("{GOOD}routes[{at}]{GOOD:#}{name}: pool {BOLD}{pool}{BOLD:#}, {instance}{port}");
}
