//! Templates.

use mvm_core::document::Document;
use mvm_core::template::{
    CURRENT_SCHEMA_VERSION, CacheKey, SnapshotInfo, TemplateConfig, TemplateKind, TemplateRevision,
    TemplateSpec, TemplateVariant,
};
use proptest::prelude::*;

use crate::vectors::{Counts, assert_type, behaviour, constant, names_of, rows, text};

#[test]
fn documents() {
    assert_type::<TemplateConfig>("TemplateConfig", Counts::new(5, 5, 15, 2));
    assert_type::<TemplateVariant>("TemplateVariant", Counts::new(5, 5, 20, 0));
    assert_type::<TemplateSpec>("TemplateSpec", Counts::new(5, 5, 29, 2));
    assert_type::<SnapshotInfo>("SnapshotInfo", Counts::new(5, 2, 23, 0));
    assert_type::<TemplateKind>("TemplateKind", Counts::new(4, 2, 11, 0));
    assert_type::<TemplateRevision>("TemplateRevision", Counts::new(5, 6, 26, 0));
}

#[test]
fn toml() {
    let mut counts = [0; 3];
    for (folder, full, count) in [("toml", "doc", 0), ("toml_min", "full", 1)] {
        for row in rows(&format!("{folder}/TemplateConfig.jsonl")) {
            counts[count] += 1;
            let config: TemplateConfig = toml::from_str(text(&row, "doc")).unwrap();
            assert_eq!(toml::to_string(&config).unwrap(), text(&row, full));
            assert_eq!(serde_json::to_string(&config).unwrap(), text(&row, "json"));
        }
    }
    for row in rows("toml_bad/TemplateConfig.jsonl") {
        counts[2] += 1;
        assert!(
            toml::from_str::<TemplateConfig>(text(&row, "doc")).is_err(),
            "{row}"
        );
    }
    assert_eq!(counts, [3, 3, 3]);
}

#[test]
fn names_and_constants() {
    assert_eq!(
        constant("template::CURRENT_SCHEMA_VERSION"),
        CURRENT_SCHEMA_VERSION
    );
    let names: Vec<_> = names_of("TemplateKind")
        .into_iter()
        .map(|(serde, _)| serde)
        .collect();
    assert_eq!(names, ["Image", "Snapshot"]);
    assert_eq!(serde_json::to_value(TemplateKind::Image).unwrap(), names[0]);
    let info = r#"{"created_at":"2025-01-01T00:00:00Z","vmstate_size_bytes":1,"mem_size_bytes":1,
        "boot_args":"","vcpus":1,"mem_mib":1}"#;
    let kind = TemplateKind::Snapshot(serde_json::from_str(info).unwrap());
    assert!(serde_json::to_value(kind).unwrap().get(&names[1]).is_some());
}

#[test]
fn cache_keys_of_0_13_0() {
    for row in behaviour("template_cache_key", 6) {
        let key = CacheKey::legacy(
            text(&row, "flake_lock_hash"),
            text(&row, "profile"),
            text(&row, "role"),
        );
        assert_eq!(key.to_string(), text(&row, "out"));
    }
}

/// Other programs look builds up by these.
#[test]
fn cache_keys_stay() {
    assert_eq!(
        CacheKey::new("abc", "minimal", "worker").to_string(),
        "v1-d126239f6c453d7186e0e1079aa8f565996f1f265b122e0d8aa92cf09c67bb91"
    );
}

#[test]
fn cache_keys_of_a_revision() {
    let row = &rows("json/TemplateRevision.jsonl")[0];
    let revision: TemplateRevision = serde_json::from_str(text(row, "doc")).unwrap();
    let TemplateRevision {
        flake_lock_hash,
        profile,
        role,
        ..
    } = &revision;
    assert_eq!(
        revision.cache_key(),
        CacheKey::new(flake_lock_hash, profile, role)
    );
    assert_eq!(
        revision.legacy_cache_key(),
        CacheKey::legacy(flake_lock_hash, profile, role)
    );
    assert_ne!(revision.cache_key(), revision.legacy_cache_key());
}

proptest! {
    /// However a text is cut into three, the keys differ; 0.13.0's do not where the cuts are at colons.
    #[test]
    fn cache_keys_are_not_ambiguous(
        parts in prop::collection::vec("[ab:]{0,3}", 3),
        others in prop::collection::vec("[ab:]{0,3}", 3),
    ) {
        let key = |parts: &[String]| CacheKey::new(&parts[0], &parts[1], &parts[2]);
        prop_assert_eq!(key(&parts) == key(&others), parts == others);
        prop_assert_ne!(key(&parts).to_string(), CacheKey::legacy(&parts[0], &parts[1], &parts[2]).to_string());
    }
}

fn problems(json: &str) -> Vec<String> {
    match TemplateConfig::from_json(json.as_bytes()) {
        Ok(config) => {
            assert_eq!(config.validate(), Ok(()));
            Vec::new()
        }
        Err(invalid) => invalid.problems().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn rules_of_a_config() {
    let none: [&str; 0] = [];
    let config = |id: &str, variants: &str| {
        problems(&format!(
            r#"{{"template_id":"{id}","flake_ref":".","variants":[{variants}]}}"#
        ))
    };
    let variant = |name: &str, role: &str| {
        format!(r#"{{"name":"{name}","role":"{role}","vcpus":1,"mem_mib":1}}"#)
    };
    let all = |variants: &[(&str, &str)]| {
        variants
            .iter()
            .map(|(name, role)| variant(name, role))
            .collect::<Vec<_>>()
            .join(",")
    };
    assert_eq!(config("", ""), none);
    assert_eq!(
        config(
            "web",
            &all(&[("", "worker"), ("", "gateway"), ("x", "worker")])
        ),
        none
    );
    assert_eq!(
        config("", &all(&[("", "worker"), ("x", "worker"), ("", "worker")])),
        [
            "variants[0].name: a variant without a name needs a template_id",
            "variants[2].name: a variant without a name needs a template_id",
        ]
    );
    assert_eq!(
        config(
            "web",
            &all(&[("", "worker"), ("", "worker"), ("web-worker", "x")])
        ),
        [
            "variants[1].name: the same as variants[0].name",
            "variants[2].name: the same as variants[0].name",
        ]
    );
    assert_eq!(
        config("web", &all(&[("", "../x")])),
        [
            "variants[0].name: the name <template_id>-<role> is not possible: template name has '.' at byte 4; allowed are a-z, 0-9, '-' and '_'"
        ]
    );
    let long = "a".repeat(63);
    assert_eq!(config(&long, &all(&[("", "x")])).len(), 1);
    // A bad template_id is told of once.
    assert_eq!(config("A", &all(&[("", "x"), ("", "y")])).len(), 1);
    assert_eq!(
        config("", r#"{"name":"a","role":"x","vcpus":0,"mem_mib":0}"#),
        [
            "variants[0].vcpus: 0 is out of range, 1 to 255",
            "variants[0].mem_mib: 0 is out of range, 1 to 4294967295",
        ]
    );
}

#[test]
fn names_of_variants() {
    let row = &rows("toml_min/TemplateConfig.jsonl")[2];
    let mut config: TemplateConfig = toml::from_str(text(row, "doc")).unwrap();
    assert!(
        config.variants[0]
            .id_in(config.template_id.as_ref())
            .is_err()
    );
    config.template_id = Some("web".parse().unwrap());
    let id = config.variants[0]
        .id_in(config.template_id.as_ref())
        .unwrap();
    assert_eq!(&id, "web-worker");
    config.variants[0].name = Some("other".parse().unwrap());
    assert_eq!(&config.variants[0].id_in(None).unwrap(), "other");
}

#[test]
fn a_newer_schema_is_refused() {
    let newer = |json: &str| json.replacen(r#""schema_version":1"#, r#""schema_version":2"#, 1);
    let told = "schema_version: schema version 2 is newer than 1, the newest that is known: upgrade this program";
    let spec = &rows("json/TemplateSpec.jsonl")[0];
    let spec = text(spec, "doc");
    assert!(TemplateSpec::from_json(spec.as_bytes()).is_ok());
    let invalid = TemplateSpec::from_json(newer(spec).as_bytes()).unwrap_err();
    assert_eq!(invalid.to_string(), told);
    let revision = &rows("json/TemplateRevision.jsonl")[0];
    let revision = text(revision, "doc");
    assert!(TemplateRevision::from_json(revision.as_bytes()).is_ok());
    let invalid = TemplateRevision::from_json(newer(revision).as_bytes()).unwrap_err();
    assert_eq!(invalid.to_string(), told);
    // A version that 32 bits do not hold is not cut.
    let cut = spec.replacen(r#""schema_version":1"#, r#""schema_version":4294967297"#, 1);
    assert!(TemplateSpec::from_json(cut.as_bytes()).is_err());
}

#[test]
fn lax_rows_of_0_13_0() {
    let mut seen = 0;
    for row in behaviour("json_lax", 16) {
        if row["type"] == "TemplateSpec" {
            seen += 1;
            assert!(TemplateSpec::from_json(text(&row, "input").as_bytes()).is_err());
        }
    }
    assert_eq!(seen, 1);
}
