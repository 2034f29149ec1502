//! Versions of stored documents.

use mvm_core::migration::{
    MigrateError, MigrateFn, SchemaVersionError, migrate, schema_version_of, upgrade,
};
use serde_json::{Value, json};

use crate::vectors::behaviour;

#[test]
fn schema_versions_of_0_13_0() {
    let mut refused = 0;
    for row in behaviour("schema_version_of", 7) {
        match schema_version_of(&row["input"]) {
            Ok(version) => assert_eq!(row["out"], version, "{row}"),
            // 0.13.0 took a text for version 0.
            Err(SchemaVersionError) => {
                assert_eq!(row["input"]["schema_version"], "1");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 1);
}

#[test]
fn no_version_is_cut_or_guessed() {
    for version in [4_294_967_296, 4_294_967_297, u64::MAX] {
        let file = json!({"schema_version": version});
        assert_eq!(schema_version_of(&file), Ok(version));
        let (found, known) = (version, 1);
        assert_eq!(
            upgrade(file, &[tag]),
            Err(MigrateError::Newer { found, known })
        );
    }
    for wrong in [
        json!(-1),
        json!(1.5),
        json!(1.0),
        json!("0"),
        json!([]),
        json!(true),
    ] {
        let file = json!({"schema_version": wrong});
        let error = MigrateError::Version(SchemaVersionError);
        assert_eq!(upgrade(file, &[tag]), Err(error), "{wrong}");
    }
    let huge: Value = serde_json::from_str(r#"{"schema_version":18446744073709551616}"#).unwrap();
    assert_eq!(schema_version_of(&huge), Err(SchemaVersionError));
}

/// Notes that it ran.
fn tag(mut file: Value) -> Result<Value, String> {
    let ran = file["ran"].as_u64().unwrap_or(0);
    file["ran"] = json!(ran + 1);
    Ok(file)
}

fn fail(_: Value) -> Result<Value, String> {
    Err("it does not fit".to_owned())
}

fn array(_: Value) -> Result<Value, String> {
    Ok(json!([]))
}

#[test]
fn steps_run_from_the_version_that_there_is() {
    let steps: &[MigrateFn<String>] = &[tag, tag, tag];
    for version in 0..=3_u64 {
        let file = json!({"schema_version": version, "kept": [1]});
        let upgraded = upgrade(file.clone(), steps).unwrap();
        assert_eq!(upgraded["schema_version"], 3);
        assert_eq!(upgraded["kept"], json!([1]));
        assert_eq!(upgraded["ran"].as_u64().unwrap_or(0), 3 - version);
        for to in 0..=4_u64 {
            let migrated = migrate(file.clone(), version, to, steps);
            if to == 4 {
                let (from, steps) = (3, 3);
                assert_eq!(migrated, Err(MigrateError::NoMigration { from, steps }));
            } else if to < version {
                let (found, known) = (version, to);
                assert_eq!(migrated, Err(MigrateError::Newer { found, known }));
            } else {
                let ran = migrated.unwrap()["ran"].as_u64().unwrap_or(0);
                assert_eq!(ran, to - version);
            }
        }
    }
    // What is of the newest version is not touched, whatever it is.
    assert_eq!(upgrade::<String>(json!([1]), &[]), Ok(json!([1])));
    assert_eq!(migrate::<String>(json!(1), 7, 7, &[]), Ok(json!(1)));
}

#[test]
fn a_step_that_fails_stops_it() {
    let error = upgrade(json!({}), &[tag, fail, tag]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "migration from schema version 1: it does not fit"
    );
    let from = 0;
    assert_eq!(
        upgrade(json!({}), &[array, tag]),
        Err(MigrateError::NotAnObject { from })
    );
}
