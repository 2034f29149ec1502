//! Templates: images that pools of all tenants share.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::document::{EmptyIsNone, Text, document, document_enum};
use super::pool::ArtifactPaths;
use super::text::{FlakeRefText, HashText};
use crate::names::{IdError, RevisionHash, TemplateId};
use crate::time::Timestamp;

/// The version of the shapes of [`TemplateSpec`] and [`TemplateRevision`] that this program writes, and
/// the newest that it reads.
pub const CURRENT_SCHEMA_VERSION: u32 = 1;

mod cache_key;
mod rules;

pub use cache_key::CacheKey;

const fn schema_version() -> u32 {
    CURRENT_SCHEMA_VERSION
}

fn profile<'a>() -> Text<'a> {
    "minimal".into()
}

document! {
    /// Several templates of one flake, as people write them, mostly in TOML.
    ///
    /// Rules: every variant has a [name](TemplateVariant::id_in), no two have the same one, and its
    /// instances have a processor and memory.
    ///
    /// ```
    /// use mvm_core::document::Document;
    /// use mvm_core::template::TemplateConfig;
    ///
    /// let config = br#"{"template_id": "web", "flake_ref": ".", "variants": [
    ///     {"role": "worker", "vcpus": 1, "mem_mib": 256},
    ///     {"name": "web-worker", "role": "gateway", "vcpus": 0, "mem_mib": 256}
    /// ]}"#;
    /// let problems = TemplateConfig::from_json(config).unwrap_err().into_problems();
    /// let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    /// assert_eq!(problems, [
    ///     "variants[1].vcpus: 0 is out of range, 1 to 255",
    ///     "variants[1].name: the same as variants[0].name",
    /// ]);
    /// ```
    #[derive(Eq)]
    pub struct TemplateConfig rules(rules::config) {
        /// What the names of variants without one begin with. `None` is the empty text in the
        /// document, and the default.
        template_id: Option<TemplateId> as EmptyIsNone
            [default; serialize_with = "EmptyIsNone::serialize"],
        /// The source that all are built from.
        flake_ref: FlakeRefText,
        /// The profile of the flake. Default `minimal`. (A variant without a profile does not have
        /// this one, but `minimal`: so it is in 0.13.0.)
        profile: String [default = "profile"],
        /// The templates.
        variants: Vec<TemplateVariant>,
    }
}

document! {
    /// One of the templates of a [`TemplateConfig`], which has the rules.
    #[derive(Eq)]
    pub struct TemplateVariant {
        /// Its name. `None` is the empty text in the document, and the default: then the name is
        /// `<template_id>-<role>`.
        name: Option<TemplateId> as EmptyIsNone
            [default; serialize_with = "EmptyIsNone::serialize"],
        /// What its instances are for: the name of a [`Role`](crate::pool::Role) or another word.
        role: String,
        /// The profile of the flake. Default `minimal`.
        profile: String [default = "profile"],
        /// Processors of an instance.
        vcpus: u8,
        /// Memory of an instance, in MiB.
        mem_mib: u32,
        /// The disk for data of an instance, in MiB; 0 is none. Default 0.
        data_disk_mib: u32 [default],
    }
}

impl TemplateVariant {
    /// The name of the template in a configuration with this `template_id`: its own, or
    /// `<template_id>-<role>`.
    ///
    /// # Errors
    /// [`IdError`] where the latter is not the name of a template, as it is not without a `template_id`.
    pub fn id_in(&self, template_id: Option<&TemplateId>) -> Result<TemplateId, IdError> {
        match &self.name {
            Some(name) => Ok(name.clone()),
            None => fallback(template_id.map_or("", TemplateId::as_str), &self.role).parse(),
        }
    }
}

/// The name of a variant that has none.
fn fallback(template_id: &str, role: &str) -> String {
    format!("{template_id}-{role}")
}

document! {
    /// A template: an image that belongs to no tenant.
    ///
    /// Rule: `schema_version` is known.
    #[derive(Eq)]
    pub struct TemplateSpec rules(rules::spec) {
        /// The version of its shape. Default 1.
        schema_version: u32 [default = "schema_version"],
        /// Its name.
        template_id: TemplateId,
        /// The source that it is built from.
        flake_ref: FlakeRefText,
        /// The profile of the flake.
        profile: String,
        /// What its instances are for: the name of a [`Role`](crate::pool::Role) or another word.
        role: String,
        /// Processors of an instance.
        vcpus: u8,
        /// Memory of an instance, in MiB.
        mem_mib: u32,
        /// The disk for data of an instance, in MiB; 0 is none.
        data_disk_mib: u32,
        /// When it was made.
        created_at: Timestamp,
        /// When it was changed last.
        updated_at: Timestamp,
    }
}

document! {
    /// A snapshot of a template's instance, from which others are started at once.
    #[derive(Eq)]
    pub struct SnapshotInfo {
        /// When it was taken.
        created_at: Timestamp,
        /// The size of the machine's state, in bytes.
        vmstate_size_bytes: u64,
        /// The size of its memory, in bytes.
        mem_size_bytes: u64,
        /// The kernel's command line; an instance that is started from the snapshot has this one.
        boot_args: String,
        /// Its processors; an instance that is started from the snapshot has as many.
        vcpus: u8,
        /// Its memory in MiB; an instance that is started from the snapshot has as much.
        mem_mib: u32,
    }
}

document_enum! {
    /// What a template has been built to.
    #[derive(Eq)]
    pub enum TemplateKind {
        /// An image, which instances boot from.
        Image,
        /// An image and a snapshot, which instances are resumed from.
        Snapshot(info: SnapshotInfo),
    }
}

document! {
    /// A finished build of a template.
    ///
    /// Rule: `schema_version` is known.
    #[derive(Eq)]
    pub struct TemplateRevision rules(rules::revision) {
        /// The version of its shape. Default 1.
        schema_version: u32 [default = "schema_version"],
        /// The hash that names it.
        revision_hash: RevisionHash,
        /// What it was built from.
        flake_ref: FlakeRefText,
        /// The hash of the lock file.
        flake_lock_hash: HashText,
        /// Where its files are.
        artifact_paths: ArtifactPaths,
        /// When it was built.
        built_at: Timestamp,
        /// The profile that was built.
        profile: String,
        /// The role that it was built for.
        role: String,
        /// Processors of an instance.
        vcpus: u8,
        /// Memory of an instance, in MiB.
        mem_mib: u32,
        /// The disk for data of an instance, in MiB; 0 is none.
        data_disk_mib: u32,
        /// Its snapshot, where there is one.
        snapshot: Option<SnapshotInfo> [default],
    }
}
