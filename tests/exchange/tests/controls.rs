//! The harness finds what is wrong: types of 0.13.0 that are not its types, against our right ones.

use mvm_core_exchange::exchange::{Effort, changed, ours, theirs};
use mvm_core_exchange::source::{Any, Source, any, id};
use serde::{Deserialize, Serialize};

use mvm_core::pool::{DesiredCounts, InstanceResources, RegistryArtifact};

const EFFORT: Effort = Effort {
    cases: 100,
    seed: 0,
};

/// A type with members that all have values.
macro_rules! wrong {
    ($name:ident { $($(#[$meta:meta])* $field:ident: $ty:ty = $kind:expr),* $(,)? }) => {
        #[derive(Debug, Serialize, Deserialize)]
        struct $name { $($(#[$meta])* $field: $ty),* }

        impl Any for $name {
            fn any(source: &mut Source<'_>) -> Self {
                Self { $($field: $kind(source)),* }
            }
        }
    };
}

fn found(result: Result<impl Sized, String>, what: &str) {
    let error = result.err().expect("the wrong type is found");
    assert!(error.contains(what), "{error}");
}

wrong!(Right {
    running: u32 = any,
    warm: u32 = any,
    sleeping: u32 = any
});

#[test]
fn the_right_type_is_not() {
    let seen = ours::<DesiredCounts, Right>(EFFORT, |a, b| a == b).unwrap();
    assert_eq!((seen.documents, seen.valid), (100, 100));
    theirs::<DesiredCounts, Right>(EFFORT, |a, b| a == b).unwrap();
    changed::<DesiredCounts, Right>(EFFORT, |a, b| a == b).unwrap();
}

wrong!(Renamed {
    running: u32 = any,
    warm: u32 = any,
    asleep: u32 = any
});

#[test]
fn a_renamed_member() {
    found(
        ours::<DesiredCounts, Renamed>(EFFORT, |a, b| a == b),
        "0.13.0 does not read it: missing field `asleep`",
    );
    found(
        theirs::<DesiredCounts, Renamed>(EFFORT, |a, b| a == b),
        "the new one does not read it: missing field `sleeping`",
    );
}

wrong!(Additional {
    running: u32 = any,
    warm: u32 = any,
    sleeping: u32 = any,
    #[serde(default)]
    hot: u32 = any
});

#[test]
fn a_member_that_gets_lost() {
    found(
        ours::<DesiredCounts, Additional>(EFFORT, |a, b| a == b),
        "0.13.0 writes something else",
    );
    found(
        theirs::<DesiredCounts, Additional>(EFFORT, |a, b| a == b),
        "0.13.0 reads something else than was written",
    );
}

wrong!(Swapped {
    warm: u32 = any,
    running: u32 = any,
    sleeping: u32 = any
});

#[test]
fn another_order() {
    found(
        ours::<DesiredCounts, Swapped>(EFFORT, |a, b| a == b),
        "0.13.0 writes something else",
    );
}

wrong!(Narrow {
    running: u32 = any,
    warm: u32 = any,
    sleeping: u16 = any
});

#[test]
fn a_number_that_is_too_short() {
    found(
        ours::<DesiredCounts, Narrow>(EFFORT, |a, b| a == b),
        "0.13.0 does not read it: invalid value",
    );
}

fn ten() -> u32 {
    10
}

wrong!(OtherDefault {
    vcpus: u8 = any,
    mem_mib: u32 = any,
    #[serde(default = "ten")]
    data_disk_mib: u32 = any
});
wrong!(NoDefault {
    vcpus: u8 = any,
    mem_mib: u32 = any,
    data_disk_mib: u32 = any
});
wrong!(MoreDefaults {
    vcpus: u8 = any,
    #[serde(default)]
    mem_mib: u32 = any,
    #[serde(default)]
    data_disk_mib: u32 = any
});

#[test]
fn defaults() {
    found(
        changed::<InstanceResources, OtherDefault>(EFFORT, |a, b| a == b),
        "they are read as different documents",
    );
    found(
        changed::<InstanceResources, NoDefault>(EFFORT, |a, b| a == b),
        "only one reads it: 0.13.0",
    );
    found(
        changed::<InstanceResources, MoreDefaults>(EFFORT, |a, b| a == b),
        "only one reads it: the new one",
    );
}

fn not_an_id(source: &mut Source<'_>) -> String {
    id(source).to_uppercase() + "_"
}

wrong!(Lax { template_id: String = not_an_id, revision: Option<String> = any });

#[test]
fn a_grammar_that_is_wrong_here() {
    found(
        theirs::<RegistryArtifact, Lax>(EFFORT, |a, b| a == b),
        "the new one does not read it: template_id",
    );
}

#[test]
fn a_comparison_that_never_holds() {
    found(
        ours::<DesiredCounts, Right>(EFFORT, |_, _| false),
        "another value comes back",
    );
}
