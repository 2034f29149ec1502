//! The rules between the values of templates.

use alloc::borrow::Cow;

use super::{CURRENT_SCHEMA_VERSION, TemplateConfig, TemplateRevision, TemplateSpec, fallback};
use crate::fleet::document::{At, Field, Problems, Reason, unique};
use crate::fleet::pool::rules::machine;
use crate::names::validate_template_name;

type Raw<'a, T> = <T as Field>::Raw<'a>;

/// The rules of a configuration.
pub(super) fn config(raw: &Raw<'_, TemplateConfig>, at: &At<'_>, problems: &mut Problems) {
    let variants = at.member("variants");
    let mut names = alloc::vec::Vec::with_capacity(raw.variants.len());
    for (index, variant) in raw.variants.iter().enumerate() {
        let at = variants.item(index);
        machine(variant.vcpus, variant.mem_mib, &at, problems);
        if !variant.name.is_empty() {
            names.push(Some(Cow::Borrowed(&*variant.name)));
            continue;
        }
        let name = fallback(&raw.template_id, &variant.role);
        // A `template_id` that is wrong by itself is told of there.
        let reason = match validate_template_name(&name) {
            _ if raw.template_id.is_empty() => {
                Some(Reason::Rule("a variant without a name needs a template_id"))
            }
            Err(error) if validate_template_name(&raw.template_id).is_ok() => {
                Some(Reason::FallbackName(error))
            }
            _ => None,
        };
        match reason {
            Some(reason) => {
                problems.add(&at.member("name"), reason);
                names.push(None);
            }
            None => names.push(Some(Cow::Owned(name))),
        }
    }
    unique(names.into_iter(), &variants, &["name"], problems);
}

/// The rules of a template.
pub(super) fn spec(raw: &Raw<'_, TemplateSpec>, at: &At<'_>, problems: &mut Problems) {
    schema_version(raw.schema_version, at, problems);
}

/// The rules of a build.
pub(super) fn revision(raw: &Raw<'_, TemplateRevision>, at: &At<'_>, problems: &mut Problems) {
    schema_version(raw.schema_version, at, problems);
}

fn schema_version(found: u32, at: &At<'_>, problems: &mut Problems) {
    let known = CURRENT_SCHEMA_VERSION;
    if found > known {
        let found = found.into();
        problems.add(
            &at.member("schema_version"),
            Reason::NewerSchema { found, known },
        );
    }
}
