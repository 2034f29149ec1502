use mvm_core::secret_binding as ours;
use old::secret_binding as theirs;

use super::{Pair, documents, pair};
use crate::source::*;

/// The name of an environment variable.
fn env_var(source: &mut Source<'_>) -> String {
    let first = source.one_of(&["A", "_", "z"]);
    format!("{first}{}", of(source, "aZ09_.", 0, 127))
}

/// A DNS name or an IPv4 address.
fn host(source: &mut Source<'_>) -> String {
    if source.below(4) == 1 {
        return ip4(source);
    }
    let label = |source: &mut Source<'_>| format!("a{}.", of(source, "aZ09", 0, 50));
    let labels = list(label)(source).concat();
    format!("{labels}x{}", of(source, "az09", 0, 20))
}

/// The name of an HTTP header.
fn header(source: &mut Source<'_>) -> String {
    let first = source.one_of(&["Authorization", "authorization", "X-Api-Key", "a"]);
    format!("{first}{}", of(source, "aZ09_-", 0, 80))
}

/// The value of a secret.
fn secret(source: &mut Source<'_>) -> String {
    let value = text(source).replace(char::is_control, "");
    if value.is_empty() {
        "sk-1:2=3".into()
    } else {
        value
    }
}

macro_rules! texts {
    ($($ty:ident: $kind:ident),*) => {$(
        impl Any for ours::$ty {
            fn any(source: &mut Source<'_>) -> Self {
                Self::new(&$kind(source)).expect("the grammar")
            }
        }
    )*};
}

texts!(EnvVar: env_var, TargetHost: host, HeaderName: header);

impl Any for ours::SecretValue {
    fn any(source: &mut Source<'_>) -> Self {
        Self::new(secret(source)).expect("the grammar")
    }
}

documents!(@record ours SecretBinding { env_var, target_host, header, value });
documents!(@record theirs SecretBinding { env_var: env_var, target_host: host, header: header, value: opt(secret) });
documents!(@record ours ResolvedSecrets { bindings });
documents!(@record theirs ResolvedSecrets { bindings });
documents!(@record ours ResolvedBinding { env_var, target_host, header, value });
documents!(@record theirs ResolvedBinding { env_var: env_var, target_host: host, header: header, value: secret });

// Secrets have no `==`, which would take longer the more of them is right.

fn same_binding(one: &ours::SecretBinding, other: &ours::SecretBinding) -> bool {
    let value = |binding: &ours::SecretBinding| {
        binding
            .value
            .as_ref()
            .map(|value| value.secret_str().to_owned())
    };
    (&one.env_var, &one.target_host, &one.header)
        == (&other.env_var, &other.target_host, &other.header)
        && value(one) == value(other)
}

fn same_resolved(one: &ours::ResolvedBinding, other: &ours::ResolvedBinding) -> bool {
    (&one.env_var, &one.target_host, &one.header)
        == (&other.env_var, &other.target_host, &other.header)
        && one.value.secret_str() == other.value.secret_str()
}

fn same_secrets(one: &ours::ResolvedSecrets, other: &ours::ResolvedSecrets) -> bool {
    one.bindings.len() == other.bindings.len()
        && one
            .bindings
            .iter()
            .zip(&other.bindings)
            .all(|(one, other)| same_resolved(one, other))
}

pub(super) fn pairs() -> Vec<Pair> {
    vec![
        pair!(SecretBinding, same_binding),
        pair!(ResolvedSecrets, same_secrets),
        pair!(ResolvedBinding, same_resolved),
    ]
}
