//! Pools.

use mvm_core::document::Document;
use mvm_core::idle_metrics::CpuPercent;
use mvm_core::pool::{
    ArtifactPaths, ArtifactSizes, BuildRevision, CanaryStrategy, DesiredCounts, InstanceResources,
    NoKeys, PoolMetadata, PoolSpec, RegistryArtifact, Role, RollingUpdateStrategy, RuntimePolicy,
    SecretKeyNames, SecretKeys, SecretScope, SleepPolicyConfig, UpdateStrategy, format_bytes,
};
use mvm_core::text::Ratio;
use proptest::prelude::*;
use serde::Serialize;

use crate::vectors::{Counts, assert_type, behaviour, default_of, names_of, text};

#[test]
fn documents() {
    assert_type::<Role>("Role", Counts::new(4, 0, 14, 0));
    assert_type::<PoolMetadata>("PoolMetadata", Counts::new(5, 3, 9, 0));
    assert_type::<RuntimePolicy>("RuntimePolicy", Counts::new(5, 3, 12, 0));
    assert_type::<SleepPolicyConfig>("SleepPolicyConfig", Counts::new(8, 4, 12, 0));
    assert_type::<UpdateStrategy>("UpdateStrategy", Counts::new(7, 7, 30, 0));
    assert_type::<RollingUpdateStrategy>("RollingUpdateStrategy", Counts::new(5, 3, 10, 0));
    assert_type::<CanaryStrategy>("CanaryStrategy", Counts::new(8, 4, 10, 0));
    assert_type::<RegistryArtifact>("RegistryArtifact", Counts::new(5, 4, 9, 2));
    assert_type::<PoolSpec>("PoolSpec", Counts::new(5, 6, 35, 6));
    assert_type::<SecretScope>("SecretScope", Counts::new(5, 2, 11, 0));
    assert_type::<InstanceResources>("InstanceResources", Counts::new(5, 5, 13, 0));
    assert_type::<DesiredCounts>("DesiredCounts", Counts::new(5, 2, 14, 0));
    assert_type::<BuildRevision>("BuildRevision", Counts::new(5, 5, 20, 0));
    assert_type::<ArtifactSizes>("ArtifactSizes", Counts::new(5, 4, 10, 0));
    assert_type::<ArtifactPaths>("ArtifactPaths", Counts::new(5, 3, 16, 0));
}

#[test]
fn defaults() {
    fn is_default<T: Default + Serialize>(name: &str) {
        assert_eq!(
            serde_json::to_value(T::default()).unwrap(),
            default_of(name)
        );
    }
    is_default::<Role>("Role::default");
    is_default::<PoolMetadata>("PoolMetadata::default");
    is_default::<RuntimePolicy>("RuntimePolicy::default");
    is_default::<SleepPolicyConfig>("SleepPolicyConfig::default");
    is_default::<UpdateStrategy>("UpdateStrategy::default");
    is_default::<RollingUpdateStrategy>("RollingUpdateStrategy::default");
    is_default::<CanaryStrategy>("CanaryStrategy::default");
    is_default::<DesiredCounts>("DesiredCounts::default");
    is_default::<ArtifactSizes>("ArtifactSizes::default");
}

#[test]
fn names() {
    let strategies = [
        UpdateStrategy::Rolling(RollingUpdateStrategy::default()),
        UpdateStrategy::Canary(CanaryStrategy::default()),
    ];
    let names: Vec<_> = strategies
        .iter()
        .map(|strategy| serde_json::to_value(strategy).unwrap()["type"].clone())
        .collect();
    let wanted: Vec<_> = names_of("UpdateStrategy")
        .into_iter()
        .map(|(serde, _)| serde)
        .collect();
    assert_eq!(names, wanted);
}

#[test]
fn bytes_for_people_as_0_13_0() {
    for row in behaviour("format_bytes", 42) {
        let bytes = row["input"].as_u64().unwrap();
        assert_eq!(format_bytes(bytes), text(&row, "out"), "{bytes}");
    }
}

#[test]
fn sizes() {
    for row in behaviour("artifact_total_bytes", 3) {
        let sizes: ArtifactSizes = serde_json::from_value(row["sizes"].clone()).unwrap();
        assert_eq!(sizes.total_bytes(), row["out"]);
    }
    let most = ArtifactSizes {
        vmlinux_bytes: u64::MAX,
        rootfs_bytes: 1,
        initrd_bytes: Some(1),
        nix_closure_bytes: Some(1),
    };
    assert_eq!(most.total_bytes(), u64::MAX);
}

/// Every finite number that 0.13.0 writes is read, written the same, and has the same bits.
#[test]
fn shares_of_a_processor_as_0_13_0() {
    let mut kept = 0;
    for row in behaviour("float_text_f32", 21) {
        let json = text(&row, "json");
        let document = format!(r#"{{"cpu_threshold":{json}}}"#);
        let policy = SleepPolicyConfig::from_json(document.as_bytes());
        let bits = u32::from_str_radix(text(&row, "bits").trim_start_matches("0x"), 16).unwrap();
        let share = f32::from_bits(bits);
        if !share.is_finite() || share < 0.0 {
            assert!(policy.is_err(), "{row}");
            continue;
        }
        kept += 1;
        let policy = policy.unwrap();
        // There is one zero.
        assert_eq!(
            policy.cpu_threshold.get().to_bits(),
            bits & 0x7fff_ffff,
            "{row}"
        );
        if share.is_sign_positive() {
            let written = serde_json::to_value(policy).unwrap()["cpu_threshold"].to_string();
            let again: f32 = written.parse().unwrap();
            assert_eq!(again.to_bits(), bits);
            let text = serde_json::to_string(&policy).unwrap();
            assert!(
                text.contains(&format!(r#""cpu_threshold":{json},"#)),
                "{text}"
            );
        }
    }
    assert!(kept > 10, "{kept}");
}

fn problems<T: Document + core::fmt::Debug>(json: &str) -> Vec<String> {
    match T::from_json(json.as_bytes()) {
        Ok(value) => {
            assert_eq!(value.validate(), Ok(()));
            Vec::new()
        }
        Err(invalid) => invalid.problems().iter().map(ToString::to_string).collect(),
    }
}

const SPEC: &str = r#"{"pool_id":"p","tenant_id":"t","flake_ref":".","profile":"minimal",
    "instance_resources":{"vcpus":1,"mem_mib":1},"desired_counts":{"running":100,"warm":0,"sleeping":100},
    "secret_scopes":[{"integration":"telegram","keys":["A","B"]},{"integration":"whatsapp","keys":[]}]}"#;

#[test]
fn rules_of_a_pool() {
    let none: [&str; 0] = [];
    assert_eq!(problems::<PoolSpec>(SPEC), none);
    let spec = SPEC
        .replace(r#""vcpus":1,"mem_mib":1"#, r#""vcpus":0,"mem_mib":0"#)
        .replace(r#""warm":0"#, r#""warm":4294967295"#)
        .replace(r#""running":100"#, r#""running":101"#)
        .replace("whatsapp", "telegram")
        .replace(r#""B"]"#, r#""B","A","","a/b"]"#);
    assert_eq!(
        problems::<PoolSpec>(&spec),
        [
            "instance_resources.vcpus: 0 is out of range, 1 to 255",
            "instance_resources.mem_mib: 0 is out of range, 1 to 4294967295",
            "desired_counts.running: 101 is out of range, 0 to 100",
            "desired_counts.warm: 4294967295 is out of range, 0 to 100",
            "secret_scopes[1].integration: the same as secret_scopes[0].integration",
            "secret_scopes[0].keys[2]: the same as secret_scopes[0].keys[0]",
            "secret_scopes[0].keys[3]: not the name of a file: it is empty, `.`, `..`, or has `/` or a control character",
            "secret_scopes[0].keys[4]: not the name of a file: it is empty, `.`, `..`, or has `/` or a control character",
        ]
    );
    for bad in ["", ".", "..", "../telegram", "/", "a\\u0000"] {
        let spec = SPEC.replace("whatsapp", bad);
        assert_eq!(problems::<PoolSpec>(&spec).len(), 1, "{bad}");
    }
}

/// Values that are wrong, beside rules that are broken: all of them are told of.
#[test]
fn bad_values_of_a_pool() {
    let spec = SPEC
        .replace(r#""pool_id":"p""#, r#""pool_id":"P""#)
        .replace(r#""flake_ref":".""#, r#""flake_ref":"; rm""#)
        .replace(
            r#""secret_scopes""#,
            r#""role":"Worker","seccomp_policy":"lax","snapshot_compression":"gzip","template_id":"a/b","secret_scopes""#,
        )
        .replace(r#""running":100"#, r#""running":101"#);
    let told = problems::<PoolSpec>(&spec);
    let paths: Vec<_> = told
        .iter()
        .map(|told| told.split(':').next().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "desired_counts.running",
            "pool_id",
            "flake_ref",
            "role",
            "seccomp_policy",
            "snapshot_compression",
            "template_id",
        ]
    );
}

#[test]
fn secrets_are_never_all_by_accident() {
    let spec: PoolSpec = serde_json::from_str(SPEC).unwrap();
    let keys: Vec<_> = spec.secret_scopes.iter().map(|scope| &scope.keys).collect();
    assert!(matches!(keys[0], SecretKeys::Only(names) if names.get() == ["A", "B"]));
    assert_eq!(keys[1], &SecretKeys::All);
    let error: NoKeys = SecretKeyNames::new(Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no keys: an empty list would be all of them"
    );
}

fn told_of<T: Document>(json: &str) -> (Option<String>, Vec<String>) {
    let checked = T::check_json(json.as_bytes());
    let problem = checked.result.err().map(|invalid| {
        assert_eq!(invalid.problems().len(), 1);
        invalid.to_string()
    });
    let warnings = checked
        .warnings
        .into_iter()
        .map(|warning| warning.path)
        .collect();
    (problem, warnings)
}

/// Members wherever `type` stands, with path and place; those of the other strategy are ignored.
#[test]
fn strategies() {
    let told = told_of::<UpdateStrategy>;
    for (json, problem, warnings) in [
        (
            r#"{"type":"rolling","max_surge":"x"}"#,
            Some(r#"1:31: max_surge: invalid type: string "x", expected u32"#),
            &[][..],
        ),
        (
            r#"{"max_surge":"x","type":"rolling"}"#,
            Some(r#"1:1: max_surge: invalid type: string "x", expected u32"#),
            &[],
        ),
        (
            r#"{"type":"rolling","canary_count":"x"}"#,
            None,
            &["canary_count"],
        ),
        (r#"{"canary_count":"x","type":"rolling"}"#, None, &[]),
        (
            r#"{"zz":1,"type":"rolling","yy":[{}]}"#,
            None,
            &["zz", "yy"],
        ),
        (
            r#"{"type":"canary","success_threshold":1.5}"#,
            Some("1:38: success_threshold: not a share: it is not from 0 to 1"),
            &[],
        ),
        (
            r#"{"type":"canary","canary_count":1,"canary_count":1}"#,
            Some("duplicate field `canary_count`"),
            &[],
        ),
        (
            r#"{"canary_count":1,"canary_count":1,"type":"canary"}"#,
            Some("duplicate field `canary_count`"),
            &[],
        ),
        (
            r#"{"canary_count":1,"type":"canary","canary_count":1}"#,
            Some("duplicate field `canary_count`"),
            &[],
        ),
        (
            r#"{"canary_count":1,"canary_count":1,"type":"rolling"}"#,
            None,
            &[],
        ),
        (
            r#"{"type":{"rolling":null}}"#,
            Some("invalid type: map, expected a string"),
            &[],
        ),
        (
            r#"["rolling",1,1,1]"#,
            Some("invalid type: sequence, expected an object"),
            &[],
        ),
    ] {
        let (found, ignored) = told(json);
        match problem {
            None => assert_eq!(found, None, "{json}"),
            Some(words) => assert!(
                found.as_ref().is_some_and(|found| found.contains(words)),
                "{json}: {found:?}"
            ),
        }
        assert_eq!(ignored, warnings, "{json}");
    }
}

#[test]
fn lax_rows_of_0_13_0() {
    let mut seen = 0;
    for row in behaviour("json_lax", 16) {
        let input = text(&row, "input");
        let read = match row["type"].as_str().unwrap() {
            "DesiredCounts" => serde_json::from_str::<DesiredCounts>(input)
                .map(|counts| serde_json::to_string(&counts).unwrap()),
            "PoolMetadata" => serde_json::from_str::<PoolMetadata>(input)
                .map(|metadata| serde_json::to_string(&metadata).unwrap()),
            "CanaryStrategy" => serde_json::from_str::<CanaryStrategy>(input)
                .map(|strategy| serde_json::to_string(&strategy).unwrap()),
            "UpdateStrategy" => serde_json::from_str::<UpdateStrategy>(input)
                .map(|strategy| serde_json::to_string(&strategy).unwrap()),
            _ => continue,
        };
        seen += 1;
        match row["why"].as_str().unwrap() {
            "struct as array" | "ratio out of range" => assert!(read.is_err(), "{row}"),
            _ => assert_eq!(read.unwrap(), text(&row, "out"), "{row}"),
        }
    }
    assert_eq!(seen, 5);
}

proptest! {
    /// What 0.13.0 does, in floating point.
    #[test]
    #[allow(clippy::as_conversions)] // its own expression
    fn bytes_for_people(bytes: u64, shift in 0..64u32) {
        let bytes = bytes >> shift;
        let by = |unit: u64, name: &str| format!("{:.1} {name}", bytes as f64 / unit as f64);
        let wanted = match bytes {
            b if b >= 1 << 30 => by(1 << 30, "GiB"),
            b if b >= 1 << 20 => by(1 << 20, "MiB"),
            b if b >= 1 << 10 => by(1 << 10, "KiB"),
            b => format!("{b} B"),
        };
        prop_assert_eq!(format_bytes(bytes), wanted);
    }

    #[test]
    fn shares_are_read_as_they_are_written(bits in 0..0x7f80_0000u32, share in 0.0..=1.0f64) {
        let percent = CpuPercent::new(f32::from_bits(bits)).unwrap();
        let policy = SleepPolicyConfig { cpu_threshold: percent, ..Default::default() };
        let json = serde_json::to_string(&policy).unwrap();
        prop_assert_eq!(SleepPolicyConfig::from_json(json.as_bytes()).unwrap(), policy);

        let strategy = CanaryStrategy {
            success_threshold: Ratio::new(share).unwrap(),
            ..Default::default()
        };
        let json = serde_json::to_string(&strategy).unwrap();
        let read = CanaryStrategy::from_json(json.as_bytes()).unwrap().success_threshold.get();
        prop_assert_eq!(read.to_bits(), share.to_bits());
    }
}
