use mvm_core::catalog as ours;
use old::catalog as theirs;

use super::documents;
use crate::source::*;

documents! {
    record CatalogEntry {
        name: template, description, flake_ref: flake, profile, default_cpus, default_memory_mib, tags,
    }
    record Catalog { schema_version, entries }
}
