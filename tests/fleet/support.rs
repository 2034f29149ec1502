//! What several of these tests do.

use std::fmt::Debug;

use mvm_core::document::Document;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::vectors::{Counts, assert_type, behaviour, rows, text};

/// The rows of a type in `json`, `json_min`, `json_bad` and `json_badid`.
pub(crate) const fn counts(json: usize, min: usize, bad: usize, badid: usize) -> Counts {
    Counts {
        json,
        min,
        bad,
        badid,
    }
}

/// A document without rules between values: all vectors hold for serde, and `Document` says the same.
pub(crate) fn assert_document<T: Document + PartialEq + Debug>(
    name: &str,
    [json, min, bad, badid]: [usize; 4],
) {
    assert_type::<T>(name, counts(json, min, bad, badid));
    assert_agrees::<T>(name);
}

/// `Document` reads the vectors as serde does.
pub(crate) fn assert_agrees<T: Document + PartialEq + Debug>(name: &str) {
    for folder in ["json", "json_min", "json_bad", "json_badid"] {
        for row in rows(&format!("{folder}/{name}.jsonl")) {
            let doc = text(&row, "doc");
            let whole = T::from_json(doc.as_bytes());
            match serde_json::from_str::<T>(doc) {
                Ok(value) => {
                    assert_eq!(whole.as_ref(), Ok(&value), "{name} {}", row["case"]);
                    assert_eq!(value.validate(), Ok(()));
                }
                Err(_) => assert!(whole.is_err(), "{name} {}", row["case"]),
            }
        }
    }
}

/// Holds a closed set of names against the table: `all` are the names that there are, in order.
pub(crate) fn assert_names<T>(name: &str, all: &[T])
where
    T: Serialize + DeserializeOwned + Debug + PartialEq,
{
    let table: Vec<_> = behaviour("enum_names", 189)
        .into_iter()
        .filter(|row| row["type"] == name)
        .collect();
    assert_eq!(table.len(), all.len(), "{name}");
    for (row, value) in table.iter().zip(all) {
        let written = serde_json::to_value(value).unwrap();
        assert_eq!(written, row["serde"], "{name}");
        assert_eq!(format!("{value:?}"), text(row, "variant"));
        assert_eq!(&serde_json::from_value::<T>(written).unwrap(), value);
    }
}

/// Holds an enum whose variants have members against the table, by the names in its vectors: each variant occurs.
pub(crate) fn assert_variants<T: DeserializeOwned + Debug>(name: &str) {
    let documents = rows(&format!("json/{name}.jsonl"));
    let table = behaviour("enum_names", 189);
    let mut seen = 0;
    for row in table.iter().filter(|row| row["type"] == name) {
        let (written, variant) = (text(row, "serde"), text(row, "variant"));
        let found = documents.iter().find_map(|row| {
            let doc = text(row, "doc");
            let named =
                doc == format!("{written:?}") || doc.starts_with(&format!("{{{written:?}:"));
            named.then_some(doc)
        });
        let found = found.unwrap_or_else(|| panic!("no {variant} of {name}"));
        let shown = format!("{:?}", serde_json::from_str::<T>(found).unwrap());
        let end = shown.find([' ', '(']).unwrap_or(shown.len());
        assert_eq!(&shown[..end], variant, "{name}");
        seen += 1;
    }
    assert!(seen > 0, "{name}");
}

/// Holds default values against the table: `name` is the name there.
pub(crate) fn assert_default<T: Serialize>(name: &str, value: T) {
    let table = behaviour("defaults", 30);
    let row = table.iter().find(|row| row["name"] == name);
    let row = row.unwrap_or_else(|| panic!("{name}"));
    assert_eq!(serde_json::to_value(value).unwrap(), row["value"], "{name}");
}
