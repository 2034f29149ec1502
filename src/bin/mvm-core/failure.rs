//! Why a command came to nothing.

use alloc::string::String;
use core::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::style::{BAD, visible};

/// What is said, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    /// Members of the JSON document beside `ok` and `error`.
    more: Vec<(&'static str, Value)>,
}

impl Failure {
    /// What was asked for does not hold.
    pub(crate) fn no(message: impl Display) -> Self {
        Self {
            code: 1,
            message: message.to_string(),
            more: Vec::new(),
        }
    }

    /// It could not be tried.
    pub(crate) fn untried(message: impl Display) -> Self {
        Self {
            code: 2,
            ..Self::no(message)
        }
    }

    /// It could not be tried, because of a file.
    pub(crate) fn of_file(file: &Path, error: impl Display) -> Self {
        Self::untried(format_args!("{}: {error}", file.display()))
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.more.push((name, value.into()));
        self
    }

    /// Says it: JSON to standard output, a line for people to standard error.
    pub(crate) fn tell(self, json: bool) -> ExitCode {
        if json {
            let mut document = json!({ "ok": false, "error": self.message });
            for (name, value) in self.more {
                if let Some(members) = document.as_object_mut() {
                    members.insert(name.to_owned(), value);
                }
            }
            outln!("{document:#}");
        } else {
            errln!("{BAD}error{BAD:#}: {}", visible(&self.message));
        }
        ExitCode::from(self.code)
    }
}
