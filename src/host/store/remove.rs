//! Removing, as a whole or not at all, and cleaning up after who was interrupted.
//!
//! A directory that is removed first gets another name, durably: from then on it is gone. What is left of it,
//! however much, has a name that says so.

use alloc::string::String;
use alloc::vec::Vec;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::list::entries;
use super::lock::{LockMode, Patience};
use super::{StateStore, StoreError, Stored, WriteError, WriteStep, atomic, tree};
use crate::fleet::pool::PoolSpec;
use crate::fleet::tenant::TenantConfig;
use crate::instance::InstanceState;
use crate::names::{InstancePath, PoolPath, TenantId};

/// What the name of a directory that is being removed begins and ends with.
const GONE_BEGIN: &str = ".";
const GONE_END: &str = ".gone";

/// What [`StateStore::clean`] did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Cleaned {
    /// The temporary files and half removed directories that are gone now.
    pub removed: Vec<PathBuf>,
    /// What could not be looked at or removed. A document that somebody is writing is none of it.
    pub failed: Vec<StoreError>,
}

impl StateStore {
    /// Removes a document durably, and only that: not what else is in its directory.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none; others where it cannot be locked or removed.
    pub fn remove<T: Stored>(&self, key: &T::Key) -> Result<(), StoreError> {
        let _parent = self.part_of::<T>(key)?;
        self.lock::<T>(key)?.remove()
    }

    /// Removes an instance with all of its directory. Whether it should be removed is the caller's to know.
    ///
    /// After a crash it is there, whole, or gone; what is left over of it is for [`clean`](Self::clean).
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is no such directory, [`StoreError::Lock`] where a transition of it
    /// is in progress, [`StoreError::Write`].
    pub fn remove_instance(&self, path: &InstancePath) -> Result<(), StoreError> {
        let directory = self.layout.instance_dir(path);
        let _pool = self.part_of::<InstanceState>(path)?;
        let _transition = self.transition_lock(path)?;
        let lock = self.lock::<InstanceState>(path)?;
        let gone = retire(&directory)?;
        drop(lock);
        discard(&gone)
    }

    /// Removes a pool with all of its directory, artifacts and snapshots too.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`] where it has instances, whole or not; else as
    /// [`remove_instance`](Self::remove_instance).
    pub fn remove_pool(&self, path: &PoolPath) -> Result<(), StoreError> {
        let directory = self.layout.pool_dir(&path.tenant, &path.pool);
        let _tenant = self.part_of::<PoolSpec>(path)?;
        let lock = self.lock::<PoolSpec>(path)?;
        empty(self.layout.pool_instances_dir(&path.tenant, &path.pool))?;
        let gone = retire(&directory)?;
        drop(lock);
        discard(&gone)
    }

    /// Removes a tenant with all of its directory, secrets and audit log too.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`] where it has pools, whole or not; else as
    /// [`remove_instance`](Self::remove_instance).
    pub fn remove_tenant(&self, tenant: &TenantId) -> Result<(), StoreError> {
        let directory = self.layout.tenant_dir(tenant);
        let lock = self.lock::<TenantConfig>(tenant)?;
        empty(self.layout.tenant_pools_dir(tenant))?;
        let gone = retire(&directory)?;
        drop(lock);
        discard(&gone)
    }

    /// Removes what interrupted writers have left: temporary files of documents, and what is left of
    /// directories that were removed. For a program that starts; others may go on meanwhile.
    ///
    /// A temporary file is removed under its document's lock, which its writer would hold. What cannot be
    /// looked at is told of, and does not keep the rest from being cleaned.
    #[must_use]
    pub fn clean(&self) -> Cleaned {
        let mut cleaned = Cleaned::default();
        let layout = &self.layout;
        let tenants = cleaned.directories(&layout.tenants_dir());
        for tenant in tenants {
            self.clean_document(&tenant.join("tenant.json"), &mut cleaned);
            for pool in cleaned.directories(&tenant.join("pools")) {
                self.clean_document(&pool.join("pool.json"), &mut cleaned);
                let revisions = pool.join("artifacts").join("revisions");
                self.clean_revisions(&revisions, &mut cleaned);
                for instance in cleaned.directories(&pool.join("instances")) {
                    self.clean_document(&instance.join("instance.json"), &mut cleaned);
                }
            }
        }
        for template in cleaned.directories(layout.templates_base_dir()) {
            self.clean_document(&template.join("template.json"), &mut cleaned);
            self.clean_revisions(&template.join("artifacts"), &mut cleaned);
        }
        for entry in cleaned.keep(entries(layout.networks_dir())) {
            let name = entry.file_name();
            let name = name.to_str().and_then(document_of);
            if let Some(name) = name {
                self.clean_document(&layout.networks_dir().join(name), &mut cleaned);
            }
        }
        cleaned
    }

    fn clean_revisions(&self, directory: &Path, cleaned: &mut Cleaned) {
        for revision in cleaned.directories(directory) {
            self.clean_document(&revision.join("revision.json"), cleaned);
        }
    }

    /// Removes the temporary files of a document, unless somebody writes it.
    fn clean_document(&self, path: &Path, cleaned: &mut Cleaned) {
        // Where it is a symbolic link, they are beside its target.
        let target = match atomic::resolve(path) {
            Ok((target, _)) => target,
            Err(error) => return cleaned.failed.push(error.into()),
        };
        let (Some(directory), Some(name)) = (atomic::parent(&target), target.file_name()) else {
            return;
        };
        let left = |cleaned: &mut Cleaned| -> Vec<PathBuf> {
            let found = cleaned.keep(entries(directory)).into_iter();
            found
                .filter(|entry| tree::is_temporary(&entry.file_name(), name))
                .map(|entry| entry.path())
                .collect()
        };
        if left(cleaned).is_empty() {
            return;
        }
        let patience = Patience::of(core::time::Duration::ZERO);
        let _lock = match self.acquire(path, LockMode::Exclusive, &patience) {
            Ok(lock) => lock,
            Err(StoreError::Lock(super::LockError::Expired { .. })) => return,
            Err(error) => return cleaned.failed.push(error),
        };
        // Again: those that were there before may have been of somebody who has finished by now.
        for file in left(cleaned) {
            let removed = tree::remove(&file);
            cleaned.note(file, removed.map(drop).map_err(Into::into));
        }
    }
}

impl Cleaned {
    fn note(&mut self, path: PathBuf, result: Result<(), StoreError>) {
        match result {
            Ok(()) => self.removed.push(path),
            Err(error) => self.failed.push(error),
        }
    }

    fn keep<T>(&mut self, result: Result<Vec<T>, StoreError>) -> Vec<T> {
        result.unwrap_or_else(|error| {
            self.failed.push(error);
            Vec::new()
        })
    }

    /// The directories in a directory; those that are being removed are.
    fn directories(&mut self, directory: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in self.keep(entries(directory)) {
            let path = entry.path();
            if !path.is_dir() {
                continue;
            }
            if is_gone(&entry.file_name()) {
                let result = discard(&path);
                self.note(path, result);
            } else {
                found.push(path);
            }
        }
        found
    }
}

/// The name of the document that a name of a temporary file may belong to.
fn document_of(name: &str) -> Option<&str> {
    let (begin, _) = name
        .strip_prefix('.')?
        .strip_suffix(".tmp")?
        .rsplit_once('.')?;
    Some(begin)
}

fn is_gone(name: &OsStr) -> bool {
    name.to_str()
        .and_then(|name| name.strip_prefix(GONE_BEGIN)?.strip_suffix(GONE_END))
        .is_some()
}

/// An error unless nothing but this crate's own files is in a directory.
fn empty(directory: PathBuf) -> Result<(), StoreError> {
    let found = entries(&directory)?;
    let count = found
        .iter()
        .filter(|entry| !is_gone(&entry.file_name()))
        .count();
    if count == 0 {
        return Ok(());
    }
    Err(StoreError::NotEmpty {
        path: directory,
        count,
    })
}

/// Gives a directory the name of one that is gone, durably.
fn retire(directory: &Path) -> Result<PathBuf, StoreError> {
    let failed = |error| WriteError {
        path: directory.into(),
        step: WriteStep::Removing,
        error,
    };
    let (Some(above), Some(name)) = (directory.parent(), directory.file_name()) else {
        return Err(failed(io::ErrorKind::InvalidInput.into()).into());
    };
    let mut begin = String::from(GONE_BEGIN);
    begin.push_str(&name.to_string_lossy());
    begin.push('.');
    // An empty directory of a free name, which the rename replaces.
    let place = tempfile::Builder::new()
        .prefix(&begin)
        .suffix(GONE_END)
        .tempdir_in(above)
        .map_err(failed)?;
    fs::rename(directory, place.path()).map_err(failed)?;
    // From now on it is not removed in passing: what is in it may be a lot.
    let gone = place.keep();
    tree::sync(above)?;
    Ok(gone)
}

/// Removes what is left of a directory. Others may do so at once.
fn discard(gone: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(gone) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::Write(WriteError {
            path: gone.into(),
            step: WriteStep::Discarding,
            error,
        })),
    }
}
