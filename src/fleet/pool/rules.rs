//! The rules between the values of what is wanted of a pool. They are no part of the types that they look
//! at, because those also record what is.

use super::{DesiredCounts, InstanceResources, PoolSpec, SecretScope};
use crate::fleet::document::{At, Field, Problems, Reason, unique};
use crate::limits::DESIRED_PER_STATE_MAX;

type Raw<'a, T> = <T as Field>::Raw<'a>;

/// The rules of a pool.
pub(super) fn pool(raw: &Raw<'_, PoolSpec>, at: &At<'_>, problems: &mut Problems) {
    resources(
        &raw.instance_resources,
        &at.member("instance_resources"),
        problems,
    );
    counts(&raw.desired_counts, &at.member("desired_counts"), problems);
    scopes(&raw.secret_scopes, &at.member("secret_scopes"), problems);
}

/// An instance that is to be started has a processor and memory.
pub(in crate::fleet) fn resources(
    raw: &Raw<'_, InstanceResources>,
    at: &At<'_>,
    problems: &mut Problems,
) {
    machine(raw.vcpus, raw.mem_mib, at, problems);
}

/// The same for whatever has the two members.
pub(in crate::fleet) fn machine(vcpus: u8, mem_mib: u32, at: &At<'_>, problems: &mut Problems) {
    for (name, value, max) in [
        ("vcpus", u64::from(vcpus), u64::from(u8::MAX)),
        ("mem_mib", u64::from(mem_mib), u64::from(u32::MAX)),
    ] {
        if value == 0 {
            problems.add(&at.member(name), Reason::OutOfRange { value, min: 1, max });
        }
    }
}

/// At most [`DESIRED_PER_STATE_MAX`] of each.
pub(in crate::fleet) fn counts(raw: &Raw<'_, DesiredCounts>, at: &At<'_>, problems: &mut Problems) {
    let max = DESIRED_PER_STATE_MAX;
    for (name, count) in [
        ("running", raw.running),
        ("warm", raw.warm),
        ("sleeping", raw.sleeping),
    ] {
        if count > max {
            let (value, max) = (count.into(), max.into());
            problems.add(&at.member(name), Reason::OutOfRange { value, min: 0, max });
        }
    }
}

/// Each integration once, with each key once: what two scopes of one integration would mean, nobody has
/// said.
pub(in crate::fleet) fn scopes(
    raw: &Raw<'_, alloc::vec::Vec<SecretScope>>,
    at: &At<'_>,
    problems: &mut Problems,
) {
    let integrations = raw.iter().map(|scope| Some(&*scope.integration));
    unique(integrations, at, &["integration"], problems);
    for (index, scope) in raw.iter().enumerate() {
        let keys = scope.keys.iter().map(|key| Some(&**key));
        unique(keys, &at.item(index).member("keys"), &[], problems);
    }
}

/// The rules of a scope: both kinds of name become names of files.
pub(super) fn scope(raw: &Raw<'_, SecretScope>, at: &At<'_>, problems: &mut Problems) {
    file_name(&raw.integration, &at.member("integration"), problems);
    let keys = at.member("keys");
    for (index, key) in raw.keys.iter().enumerate() {
        file_name(key, &keys.item(index), problems);
    }
}

fn file_name(name: &str, at: &At<'_>, problems: &mut Problems) {
    let is_one = !matches!(name, "" | "." | "..")
        && name
            .chars()
            .all(|character| character != '/' && !character.is_control());
    if !is_one {
        problems.add(
            at,
            Reason::Rule(
                "not the name of a file: it is empty, `.`, `..`, or has `/` or a control character",
            ),
        );
    }
}
