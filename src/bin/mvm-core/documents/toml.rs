//! Documents in TOML: made into JSON, checked as such, and told of with the places in the TOML.

use alloc::collections::BTreeMap;
use alloc::string::String;

use mvm_core::document::{At, Position};
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::kinds::Kind;
use super::report::{Finding, Report};

/// Bytes of a TOML document that are read, at most: 1 MiB. People write them, templates of some kilobytes.
const TOML_MAX: usize = 1024 * 1024;

pub(super) fn check(kind: &'static Kind, bytes: &[u8]) -> Report {
    let fail = |message, position| Report::one(kind.type_name(), message, position);
    if bytes.len() > TOML_MAX {
        let message = format!(
            "the document has more than {TOML_MAX} bytes, and no more are read of one in TOML"
        );
        return fail(message, None);
    }
    let text = match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let valid = core::str::from_utf8(valid).unwrap_or_default();
            let at = position(valid, valid.len());
            return fail("not TOML: not UTF-8".to_owned(), Some(at));
        }
    };
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let at = error.span().map(|span| position(text, span.start));
            return fail(format!("not TOML: {}", error.message()), at);
        }
    };
    let mut places = BTreeMap::new();
    places.insert(String::new(), 0);
    let document = self::table(table.get_ref(), &At::ROOT, &mut places);
    let mut report = kind.check(document.to_string().as_bytes());
    for finding in report.problems.iter_mut().chain(&mut report.warnings) {
        let Finding {
            path,
            position: place,
            ..
        } = finding;
        *place = places.get(path).map(|offset| position(text, *offset));
    }
    report
}

/// The place of a byte.
fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
    let line = before.bytes().filter(|byte| *byte == b'\n').count();
    let column = before.get(line_start..).unwrap_or_default().chars().count();
    Position {
        line: line.saturating_add(1),
        column: column.saturating_add(1),
    }
}

/// Where each value is, by its path.
type Places = BTreeMap<String, usize>;

fn table(table: &DeTable<'_>, at: &At<'_>, places: &mut Places) -> Value {
    let members = table.iter().map(|(name, member)| {
        let at = at.member(name.get_ref());
        // Where a value is told of, its name is what is looked for: a table's own place may be anywhere.
        places.insert(at.path(), name.span().start);
        (
            name.get_ref().clone().into_owned(),
            value(member, &at, places),
        )
    });
    Value::Object(members.collect::<Map<_, _>>())
}

fn value(spanned: &Spanned<DeValue<'_>>, at: &At<'_>, places: &mut Places) -> Value {
    match spanned.get_ref() {
        DeValue::String(text) => Value::String(text.clone().into_owned()),
        DeValue::Boolean(is) => Value::Bool(*is),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::String(number.to_string()), Value::from),
        // JSON has no infinity: what is left of it is a text, which no number is.
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .map_or_else(|| Value::String(number.to_string()), Value::Number),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(items) => Value::Array(
            items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    let at = at.item(index);
                    places.insert(at.path(), item.span().start);
                    value(item, &at, places)
                })
                .collect(),
        ),
        DeValue::Table(members) => table(members, at, places),
    }
}
