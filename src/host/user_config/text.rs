//! The text of the file: values with their places, and edits that leave the rest alone.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::ops::Range;

use thiserror_no_std::Error;
use toml_edit::{Document, Item};

use super::key::{Key, Kind, Setting};
use super::values::MvmConfig;

/// A place in a text, both numbers from 1.
// Exhaustive: there is nothing more to a place.
#[allow(clippy::exhaustive_structs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl Position {
    fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let start = before
            .rfind('\n')
            .map_or(0, |newline| newline.saturating_add(1));
        let count = |n: usize| n.saturating_add(1);
        Self {
            line: count(before.matches('\n').count()),
            column: count(before.get(start..).unwrap_or_default().chars().count()),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What is wrong in a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{position}: {problem}")]
#[non_exhaustive]
pub struct TomlError {
    /// Where it begins.
    pub position: Position,
    /// What it is.
    pub problem: TomlProblem,
}

impl_error!(TomlError);

/// What is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TomlProblem {
    /// The text is no TOML.
    #[error("{0}")]
    Syntax(String),
    /// A value is of another type than its key's.
    #[error("{key}: {} is wanted, not {found}", .key.wanted())]
    Type {
        /// The key.
        key: Key,
        /// What is there, with its article.
        found: &'static str,
    },
    /// A number is outside the range of its key.
    #[error("{key}: {} is wanted, not {value}", .key.wanted())]
    Range {
        /// The key.
        key: Key,
        /// The number that is there.
        value: i64,
    },
}

impl_error!(TomlProblem);

/// A file that was read.
pub(super) struct Parsed {
    pub(super) config: MvmConfig,
    document: Document<String>,
}

pub(super) fn parse(text: &str) -> Result<Parsed, TomlError> {
    let document = Document::parse(text.to_owned()).map_err(|error| {
        let offset = error.span().map_or(text.len(), |span| span.start);
        TomlError {
            position: Position::of(text, offset),
            problem: TomlProblem::Syntax(error.message().trim_end().replace('\n', "; ")),
        }
    })?;
    let mut config = MvmConfig::default();
    // The first problem in the order of the text, not of the keys.
    let mut first: Option<(usize, TomlProblem)> = None;
    for key in Key::ALL {
        let Some(item) = document.as_table().get(key.as_str()) else {
            continue;
        };
        match setting(key, item) {
            Ok(value) => config.put(key, value),
            Err(problem) => {
                let offset = place(&document, key).map_or(0, |place| place.start);
                if first
                    .as_ref()
                    .is_none_or(|(earliest, _)| offset < *earliest)
                {
                    first = Some((offset, problem));
                }
            }
        }
    }
    match first {
        None => Ok(Parsed { config, document }),
        Some((offset, problem)) => Err(TomlError {
            position: Position::of(text, offset),
            problem,
        }),
    }
}

/// Where a key's value is, or the key where its value has no one place (`key.part = 1`).
fn place(document: &Document<String>, key: Key) -> Option<Range<usize>> {
    let (name, item) = document.as_table().get_key_value(key.as_str())?;
    item.as_value()
        .and_then(toml_edit::Value::span)
        .or_else(|| name.span())
        .or_else(|| item.span())
}

fn setting(key: Key, item: &Item) -> Result<Setting, TomlProblem> {
    let wrong_type = || TomlProblem::Type {
        key,
        found: type_name(item),
    };
    if matches!(key.kind(), Kind::Text) {
        let text = item.as_str().ok_or_else(wrong_type)?;
        return Ok(Setting::Text(Some(text.to_owned())));
    }
    let value = item.as_integer().ok_or_else(wrong_type)?;
    let read = match key.kind() {
        Kind::Port => u16::try_from(value)
            .ok()
            .map(|port| Setting::Port((port != 0).then_some(port))),
        Kind::Count | Kind::Text => u32::try_from(value)
            .ok()
            .filter(|count| *count != 0)
            .map(Setting::Count),
    };
    read.ok_or(TomlProblem::Range { key, value })
}

fn type_name(item: &Item) -> &'static str {
    match item.type_name() {
        "string" => "a string",
        "integer" => "a whole number",
        "float" => "a floating-point number",
        "boolean" => "a boolean",
        "datetime" => "a date",
        "array" => "an array",
        "inline table" | "table" => "a table",
        "array of tables" => "an array of tables",
        _ => "something else",
    }
}

/// `key = value`, without the end of the line.
pub(super) fn line(key: Key, value: &str) -> String {
    format!("{key} = {value}")
}

/// The text with one key set to `value`, or without it. Every other byte is as it was.
///
/// `None` where no edit gives a file that reads as it should; it is not known that there is such a
/// text.
pub(super) fn with(text: &str, parsed: &Parsed, key: Key, value: &Setting) -> Option<String> {
    let mut wanted = parsed.config.clone();
    wanted.put(key, value.clone());
    let is_right = |text: &String| {
        parse(text)
            .is_ok_and(|parsed| parsed.config.setting(key) == *value && parsed.config == wanted)
    };
    let found = parsed.document.as_table().get_key_value(key.as_str());
    let edited = match (found, value.to_toml()) {
        (None, None) => Some(text.to_owned()),
        (None, Some(value)) => {
            let line = line(key, &value);
            let after_the_last = end_of_values(text, &parsed.document);
            return [after_the_last, Some(start_of(text))]
                .into_iter()
                .flatten()
                .filter_map(|at| inserted(text, at, &line))
                .find(is_right);
        }
        (Some((_, item)), Some(value)) => {
            let span = item.as_value()?.span()?;
            spliced(text, span, &value)
        }
        (Some((name, item)), None) => {
            let span = name.span()?.start..item.as_value()?.span()?.end;
            removed(text, span)
        }
    };
    edited.filter(is_right)
}

/// The text with a range replaced.
fn spliced(text: &str, range: Range<usize>, new: &str) -> Option<String> {
    let (before, after) = (text.get(..range.start)?, text.get(range.end..)?);
    Some(format!("{before}{new}{after}"))
}

/// The text without a key and its value; the line goes where nothing else is on it.
fn removed(text: &str, range: Range<usize>) -> Option<String> {
    let (before, after) = (text.get(..range.start)?, text.get(range.end..)?);
    let start = before
        .rfind('\n')
        .map_or(0, |newline| newline.saturating_add(1));
    let (lines, indent) = before.split_at_checked(start)?;
    let end = after
        .find('\n')
        .map_or(after.len(), |newline| newline.saturating_add(1));
    let (rest, after) = after.split_at_checked(end)?;
    let indent = if indent.starts_with('\u{feff}') {
        "\u{feff}"
    } else {
        ""
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    let rest = if rest.trim().is_empty() { "" } else { rest };
    Some(format!("{lines}{indent}{rest}{after}"))
}

/// Where a line can always be inserted: before everything, but after a byte order mark.
fn start_of(text: &str) -> usize {
    if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    }
}

/// The end of the line with the last value before any table, or of the text where it has no table.
fn end_of_values(text: &str, document: &Document<String>) -> Option<usize> {
    let items = || document.iter().map(|(_, item)| item);
    if items().all(|item| item.is_value()) {
        return Some(text.len());
    }
    let end = items()
        .filter_map(|item| item.as_value()?.span())
        .map(|span| span.end)
        .max()?;
    let rest = text.get(end..)?;
    let line = rest
        .find('\n')
        .map_or(rest.len(), |newline| newline.saturating_add(1));
    end.checked_add(line)
}

/// The text with a line inserted, with the ends of lines that the text has.
fn inserted(text: &str, at: usize, line: &str) -> Option<String> {
    let (before, after) = text.split_at_checked(at)?;
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let unended = !matches!(before.chars().next_back(), None | Some('\n' | '\u{feff}'));
    let separator = if unended { newline } else { "" };
    Some(format!("{before}{separator}{line}{newline}{after}"))
}

impl Parsed {
    /// Whether the file itself has a value for a key.
    pub(super) fn has(&self, key: Key) -> bool {
        self.document.as_table().contains_key(key.as_str())
    }
}
