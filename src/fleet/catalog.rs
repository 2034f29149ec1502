//! The catalog: images that can be built by name.

use alloc::string::String;
use alloc::vec::Vec;

use super::document::{At, Field, Problems, Reason, document, unique};
use super::text::FlakeRefText;
use crate::names::TemplateId;

/// The version of the catalog's shape that this program writes, and the newest that it reads.
pub const CATALOG_SCHEMA_VERSION: u32 = 1;

const fn schema_version() -> u32 {
    CATALOG_SCHEMA_VERSION
}

document! {
    /// An image that can be built by its name.
    #[derive(Eq)]
    pub struct CatalogEntry {
        /// Its name, `minimal` or `http-server`; the template that is built gets it.
        name: TemplateId,
        /// What it is, for people.
        description: String,
        /// The source that it is built from.
        flake_ref: FlakeRefText,
        /// The profile of the flake.
        profile: String,
        /// Processors of an instance, unless it says otherwise.
        default_cpus: u8,
        /// Memory of an instance in MiB, unless it says otherwise.
        default_memory_mib: u32,
        /// Words to find it by. Default none.
        tags: Vec<String> [default],
    }
}

document! {
    /// Images that can be built by name.
    ///
    /// Rules: `schema_version` is known, and no two images have one name.
    #[derive(Eq)]
    pub struct Catalog rules(rules) {
        /// The version of its shape. Default 1.
        schema_version: u32 [default = "schema_version"],
        /// The images.
        entries: Vec<CatalogEntry>,
    }
}

impl Catalog {
    /// The images that have a text in their name, description or one of their tags, in order. Upper and
    /// lower case are the same; an empty text is in all of them.
    ///
    /// ```
    /// use mvm_core::catalog::Catalog;
    /// use mvm_core::document::Document;
    ///
    /// let catalog = Catalog::from_json(br#"{"entries": [
    ///     {"name": "http-server", "description": "A web server", "flake_ref": ".", "profile": "http",
    ///      "default_cpus": 1, "default_memory_mib": 256, "tags": ["nginx"]}
    /// ]}"#)?;
    /// assert_eq!(catalog.search("NGINX").len(), 1);
    /// assert!(catalog.search("postgres").is_empty());
    /// assert!(catalog.find("http-server").is_some() && catalog.find("http").is_none());
    /// # Ok::<(), mvm_core::document::Invalid>(())
    /// ```
    #[must_use]
    pub fn search(&self, text: &str) -> Vec<&CatalogEntry> {
        let wanted = text.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        self.entries
            .iter()
            .filter(|entry| {
                has(&entry.name) || has(&entry.description) || entry.tags.iter().any(|tag| has(tag))
            })
            .collect()
    }

    /// The image of this name, exactly.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&CatalogEntry> {
        self.entries.iter().find(|entry| &*entry.name == name)
    }
}

/// The rules of a catalog.
fn rules(raw: &<Catalog as Field>::Raw<'_>, at: &At<'_>, problems: &mut Problems) {
    let known = CATALOG_SCHEMA_VERSION;
    if raw.schema_version > known {
        let found = raw.schema_version.into();
        problems.add(
            &at.member("schema_version"),
            Reason::NewerSchema { found, known },
        );
    }
    let names = raw.entries.iter().map(|entry| Some(&*entry.name));
    unique(names, &at.member("entries"), &["name"], problems);
}
