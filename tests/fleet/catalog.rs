//! The catalog.

use mvm_core::catalog::{Catalog, CatalogEntry};
use mvm_core::document::Document;

use crate::vectors::{Counts, assert_type, behaviour, text};

#[test]
fn documents() {
    assert_type::<CatalogEntry>("CatalogEntry", Counts::new(5, 5, 17, 0));
    assert_type::<Catalog>("Catalog", Counts::new(5, 5, 10, 0));
}

fn problems(json: &str) -> Vec<String> {
    let invalid = Catalog::from_json(json.as_bytes()).unwrap_err();
    invalid.problems().iter().map(ToString::to_string).collect()
}

fn entry(name: &str) -> String {
    format!(
        r#"{{"name":"{name}","description":"","flake_ref":".","profile":"p","default_cpus":1,"default_memory_mib":1}}"#
    )
}

#[test]
fn rules() {
    let (a, b) = (entry("a"), entry("b"));
    assert!(Catalog::from_json(format!(r#"{{"entries":[{a},{b}]}}"#).as_bytes()).is_ok());
    assert_eq!(
        problems(&format!(
            r#"{{"schema_version":2,"entries":[{a},{b},{a},{a}]}}"#
        )),
        [
            "schema_version: schema version 2 is newer than 1, the newest that is known: upgrade this program",
            "entries[2].name: the same as entries[0].name",
            "entries[3].name: the same as entries[0].name",
        ]
    );
}

#[test]
fn names_are_names_of_templates() {
    for bad in ["", "../a", "A", "a b"] {
        assert!(
            serde_json::from_str::<CatalogEntry>(&entry(bad)).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn search_and_find_as_0_13_0() {
    for row in behaviour("catalog_search", 7) {
        let catalog: Catalog = serde_json::from_value(row["catalog"].clone()).unwrap();
        let query = text(&row, "query");
        let found: Vec<_> = catalog
            .search(query)
            .iter()
            .map(|entry| entry.name.to_string())
            .collect();
        assert_eq!(serde_json::json!(found), row["search"], "{query}");
        let found = catalog.find(query).map(|entry| entry.name.to_string());
        assert_eq!(serde_json::json!(found), row["find"], "{query}");
        for entry in &catalog.entries {
            assert_eq!(catalog.find(&entry.name), Some(entry));
        }
    }
}
