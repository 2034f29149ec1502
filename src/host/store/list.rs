//! Which documents there are.

use alloc::vec::Vec;
use core::fmt;
use std::ffi::OsStr;
use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{StateStore, StoreError};
use crate::fleet::dev_network::NetworkName;
use crate::names::{IdError, InstancePath, PoolPath, TemplateId, TenantId};

/// What is in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing<T> {
    /// What has a document, in the order of its names. The documents have not been read.
    pub found: Vec<T>,
    /// What else is there, in the order of its names; the store's own lock files and temporary files are
    /// not told of.
    pub skipped: Vec<Skipped>,
}

/// Something in a directory that is none of the things that belong there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Where it is.
    pub path: PathBuf,
    /// Why it is left out.
    pub reason: SkipReason,
}

/// Why something in a directory is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// Its name is not UTF-8.
    NotUnicode,
    /// Its name is not an id.
    Id(IdError),
    /// It is a file where a directory belongs, or the other way round.
    WrongKind,
    /// It is a directory without a document: somebody was interrupted who created it, or it is being
    /// created.
    NoDocument,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUnicode => f.write_str("the name is not UTF-8"),
            Self::Id(error) => error.fmt(f),
            Self::WrongKind => {
                f.write_str("neither a file nor a directory is expected of that name")
            }
            Self::NoDocument => f.write_str("a directory without a document"),
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl StateStore {
    /// The tenants that have a `tenant.json`.
    ///
    /// # Errors
    /// [`StoreError::Read`] where the directory cannot be read. One that does not exist is empty.
    pub fn tenants(&self) -> Result<Listing<TenantId>, StoreError> {
        list(
            &self.layout.tenants_dir(),
            Some("tenant.json"),
            TenantId::new,
        )
    }

    /// The pools of a tenant that have a `pool.json`.
    ///
    /// # Errors
    /// As [`tenants`](Self::tenants).
    pub fn pools(&self, tenant: &TenantId) -> Result<Listing<PoolPath>, StoreError> {
        let directory = self.layout.tenant_pools_dir(tenant);
        list(&directory, Some("pool.json"), |name| {
            Ok(PoolPath {
                tenant: tenant.clone(),
                pool: name.parse()?,
            })
        })
    }

    /// The instances of a pool that have an `instance.json`.
    ///
    /// # Errors
    /// As [`tenants`](Self::tenants).
    pub fn instances(&self, pool: &PoolPath) -> Result<Listing<InstancePath>, StoreError> {
        let directory = self.layout.pool_instances_dir(&pool.tenant, &pool.pool);
        list(&directory, Some("instance.json"), |name| {
            Ok(InstancePath {
                tenant: pool.tenant.clone(),
                pool: pool.pool.clone(),
                instance: name.parse()?,
            })
        })
    }

    /// The instances of all pools of all tenants.
    ///
    /// # Errors
    /// As [`tenants`](Self::tenants).
    pub fn all_instances(&self) -> Result<Listing<InstancePath>, StoreError> {
        let mut all = Listing {
            found: Vec::new(),
            skipped: Vec::new(),
        };
        let tenants = self.tenants()?;
        all.skipped.extend(tenants.skipped);
        for tenant in &tenants.found {
            let pools = self.pools(tenant)?;
            all.skipped.extend(pools.skipped);
            for pool in &pools.found {
                let instances = self.instances(pool)?;
                all.found.extend(instances.found);
                all.skipped.extend(instances.skipped);
            }
        }
        Ok(all)
    }

    /// The templates that have a `template.json`.
    ///
    /// # Errors
    /// As [`tenants`](Self::tenants).
    pub fn templates(&self) -> Result<Listing<TemplateId>, StoreError> {
        list(
            self.layout.templates_base_dir(),
            Some("template.json"),
            TemplateId::new,
        )
    }

    /// The development networks.
    ///
    /// # Errors
    /// As [`tenants`](Self::tenants).
    pub fn networks(&self) -> Result<Listing<NetworkName>, StoreError> {
        list(self.layout.networks_dir(), None, |name| {
            NetworkName::new(name.strip_suffix(".json").unwrap_or(name))
        })
    }
}

/// The entries of a directory, none where there is no directory, in the order of their names.
pub(super) fn entries(directory: &Path) -> Result<Vec<DirEntry>, StoreError> {
    let failed = |error| StoreError::Read {
        path: directory.into(),
        error,
    };
    let mut entries = match fs::read_dir(directory) {
        Ok(entries) => entries.collect::<Result<Vec<_>, _>>().map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

/// Whether a name is that of a lock file, a temporary file or a directory that is being removed, of this
/// crate or 0.13.0: no document's begins with a dot or ends in `.lock`.
fn is_own(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b".") || name.ends_with(b".lock")
}

/// Directories that hold `document`, or files where that is none.
fn list<T>(
    directory: &Path,
    document: Option<&str>,
    parse: impl Fn(&str) -> Result<T, IdError>,
) -> Result<Listing<T>, StoreError> {
    let mut listing = Listing {
        found: Vec::new(),
        skipped: Vec::new(),
    };
    for entry in entries(directory)? {
        let name = entry.file_name();
        if is_own(&name) {
            continue;
        }
        let path = entry.path();
        let item = match name.to_str() {
            None => Err(SkipReason::NotUnicode),
            Some(name) => parse(name).map_err(SkipReason::Id),
        };
        match item.and_then(|item| has_document(&path, document).map(|()| item)) {
            Ok(item) => listing.found.push(item),
            Err(reason) => listing.skipped.push(Skipped { path, reason }),
        }
    }
    Ok(listing)
}

fn has_document(path: &Path, document: Option<&str>) -> Result<(), SkipReason> {
    match document {
        Some(document) if path.join(document).is_file() => Ok(()),
        Some(_) if path.is_dir() => Err(SkipReason::NoDocument),
        None if path.is_file() && path.extension() == Some(OsStr::new("json")) => Ok(()),
        _ => Err(SkipReason::WrongKind),
    }
}
