//! JSON in, with paths and places.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde_json::error::Category;
use serde_path_to_error::Segment;

use super::at::{is_hidden, write_character, write_member};
use super::places::{Lines, Places};
use super::problem::{Invalid, Position, Problems, Reason};
use super::{At, Checked, Document, unknown};
use crate::limits::{DOCUMENT_MAX, PARSER_WORDS_MAX, PROBLEMS_MAX};

/// Something that is allowed and may still not be meant: a member that no part of the type reads.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// Which member: `pools[0].flake_rev`.
    pub path: String,
    /// Where its name begins.
    pub position: Position,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, position } = self;
        write!(f, "{position}: {path}: unknown member, ignored")
    }
}

pub(super) fn read<T: Document>(json: &[u8]) -> Result<T, Invalid> {
    values(parse::<T>(json)?)
}

/// Shape.
fn parse<T: Document>(json: &[u8]) -> Result<T::Raw<'_>, Invalid> {
    if json.len() > DOCUMENT_MAX {
        let (len, max) = (json.len(), DOCUMENT_MAX);
        let reason = Reason::TooLong { len, max };
        return Err(Invalid::one(String::new(), reason, None));
    }
    // A text that is checked as a whole is parsed faster than bytes, each string of which is checked by itself.
    if let Ok(text) = core::str::from_utf8(json)
        && let Ok(raw) = serde_json::from_str(text)
    {
        return Ok(raw);
    }
    tracked::<T>(json)
}

/// Shape, by the parser that keeps track of the path. It is slower, so it runs only where something is wrong.
fn tracked<T: Document>(json: &[u8]) -> Result<T::Raw<'_>, Invalid> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let (path, error) = match serde_path_to_error::deserialize(&mut deserializer) {
        Ok(raw) => match deserializer.end() {
            Ok(()) => return Ok(raw),
            // What follows the document has no path.
            Err(error) => (String::new(), error),
        },
        Err(error) => (path(error.path()), error.into_inner()),
    };
    Err(shape(json, path, &error))
}

/// Rules and values.
fn values<T: Document>(raw: T::Raw<'_>) -> Result<T, Invalid> {
    let mut problems = Problems::new();
    T::rules(&raw, &At::ROOT, &mut problems);
    match T::read(raw, &At::ROOT, &mut problems) {
        Some(value) if problems.is_empty() => Ok(value),
        _ => Err(problems.into_invalid()),
    }
}

/// An error of the parser.
fn shape(json: &[u8], mut path: String, error: &serde_json::Error) -> Invalid {
    let end = end(json, error.line(), error.column());
    let mut offset = end.saturating_sub(1);
    while offset > 0 && json.get(offset).is_some_and(|byte| byte & 0xC0 == 0x80) {
        offset = offset.saturating_sub(1);
    }
    let data = error.classify() == Category::Data;
    if data {
        // The parser stops behind what it does not like. What that is, is in front of it.
        let mut places = Places::default();
        places.want(&path);
        places.find(json.get(..end).unwrap_or(json));
        let place = places.place(&path);
        offset = place.value;
        let len = place.len;
        let repeated = place.broken.map(|(at, name)| (at, name.to_string()));
        // The variant of an enum that is no object.
        path.truncate(len);
        // A name that occurs a second time.
        if let Some((name, shown)) = repeated {
            offset = name;
            if !path.is_empty() && !shown.starts_with('[') {
                path.push('.');
            }
            path.push_str(&shown);
        }
    }
    let words = words(error);
    let reason = if data {
        Reason::Shape(words)
    } else {
        Reason::Syntax(words)
    };
    Invalid::one(path, reason, Some(Lines::new(json).position(offset)))
}

/// The offset behind the last byte that the parser looked at. Its columns count bytes.
fn end(json: &[u8], line: usize, column: usize) -> usize {
    let mut begin = 0_usize;
    for text in json
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
    {
        begin = begin.saturating_add(text.len());
    }
    begin.saturating_add(column).min(json.len())
}

/// What the parser says, without the place, on one line, and not much of the document.
fn words(error: &serde_json::Error) -> Box<str> {
    let mut message = error.to_string();
    let suffix = alloc::format!(" at line {} column {}", error.line(), error.column());
    if let Some(bare) = message.strip_suffix(&suffix) {
        message.truncate(bare.len());
    }
    let mut words = String::new();
    for character in message.chars() {
        if words.len() >= PARSER_WORDS_MAX {
            words.push('…');
            break;
        }
        // Writing to a `String` does not fail.
        let _ = if is_hidden(character) && !matches!(character, '"' | '\\') {
            write_character(&mut words, character)
        } else {
            words.push(character);
            Ok(())
        };
    }
    words.into()
}

/// A path as [`At`] has it.
fn path(segments: &serde_path_to_error::Path) -> String {
    let mut path = String::new();
    for segment in segments {
        let first = path.is_empty();
        // Writing to a `String` does not fail.
        let _ = match segment {
            Segment::Seq { index } => fmt::Write::write_fmt(&mut path, format_args!("[{index}]")),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                write_member(&mut path, key, first)
            }
            // A name that is not a text; then the path ends at its object.
            Segment::Unknown => break,
        };
    }
    path
}

pub(super) fn check<T: Document>(json: &[u8]) -> Checked<T> {
    let mut checked = Checked {
        result: parse::<T>(json).and_then(values),
        warnings: Vec::new(),
        omitted_warnings: 0,
    };
    let problems = match &checked.result {
        Ok(_) => &[],
        Err(invalid) if invalid.is_shape() => return checked,
        Err(invalid) => invalid.problems(),
    };
    let mut ignored: Vec<String> = Vec::new();
    unknown::members::<T::Raw<'_>>(json, &mut |at| {
        if ignored.len() < PROBLEMS_MAX {
            ignored.push(at.path());
        } else {
            checked.omitted_warnings = checked.omitted_warnings.saturating_add(1);
        }
    });
    if problems.is_empty() && ignored.is_empty() {
        return checked;
    }

    let mut places = Places::default();
    for path in problems.iter().map(|problem| &problem.path).chain(&ignored) {
        places.want(path);
    }
    places.find(json);
    let offsets: Vec<usize> = problems
        .iter()
        .map(|problem| places.place(&problem.path).value)
        .collect();
    let names: Vec<usize> = ignored.iter().map(|path| places.place(path).name).collect();

    if let Err(invalid) = &mut checked.result {
        invalid.locate(json, offsets);
    }
    let mut ignored: Vec<(usize, String)> = names.into_iter().zip(ignored).collect();
    ignored.sort();
    // The same name twice in one object.
    ignored.dedup();
    let mut lines = Lines::new(json);
    checked.warnings = ignored
        .into_iter()
        .map(|(offset, path)| Warning {
            path,
            position: lines.position(offset),
        })
        .collect();
    checked
}
