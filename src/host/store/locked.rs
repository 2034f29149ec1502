//! Documents that nobody else writes for a while.

use alloc::vec::Vec;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::lock::{FileLock, LockMode, Patience, beside};
use super::{FILE_MODE, StateStore, StoreError, Stored, WriteError, WriteStep, atomic, file, tree};

/// A document that nobody else writes and nobody has locked, until this is dropped.
#[derive(Debug)]
#[must_use = "a lock that is dropped is given back"]
pub struct Locked<'a, T: Stored> {
    store: &'a StateStore,
    key: &'a T::Key,
    path: PathBuf,
    lock: FileLock,
    // The topmost directory that was created for it.
    created: Option<PathBuf>,
    // What it is a part of is not removed before it is there.
    _parent: Option<FileLock>,
}

/// A document that nobody writes until this is dropped; others may have it locked shared too.
#[derive(Debug)]
#[must_use = "a lock that is dropped is given back"]
pub struct LockedShared<'a, T: Stored> {
    key: &'a T::Key,
    path: PathBuf,
    _lock: FileLock,
}

impl StateStore {
    /// Locks a document for reading and writing. It need not exist, its directory must.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where the directory does not exist, [`StoreError::Lock`] where somebody else
    /// has the document locked for longer than the store's patience.
    pub fn lock<'a, T: Stored>(&'a self, key: &'a T::Key) -> Result<Locked<'a, T>, StoreError> {
        let path = T::path(&self.layout, key);
        let lock = self.acquire(&path, LockMode::Exclusive, &Patience::of(self.patience))?;
        Ok(Locked {
            store: self,
            key,
            path,
            lock,
            created: None,
            _parent: None,
        })
    }

    /// Locks a document against writing: for who reads several that belong together.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn lock_shared<'a, T: Stored>(
        &'a self,
        key: &'a T::Key,
    ) -> Result<LockedShared<'a, T>, StoreError> {
        let path = T::path(&self.layout, key);
        let lock = self.acquire(&path, LockMode::Shared, &Patience::of(self.patience))?;
        Ok(LockedShared {
            key,
            path,
            _lock: lock,
        })
    }

    /// The lock of a file, 0.13.0's along with it where that is wanted.
    pub(super) fn acquire(
        &self,
        path: &Path,
        mode: LockMode,
        patience: &Patience,
    ) -> Result<FileLock, StoreError> {
        let lock = FileLock::wait(&beside(path), mode, patience);
        let both = match lock {
            Ok(lock) if self.old_locks => lock.and_old(path, patience),
            lock => lock,
        };
        both.map_err(|error| {
            if error.no_directory() {
                StoreError::Missing { path: path.into() }
            } else {
                StoreError::Lock(error)
            }
        })
    }

    /// Locks a document that need not exist, nor its directory.
    pub(super) fn locked_for_writing<'a, T: Stored>(
        &'a self,
        key: &'a T::Key,
    ) -> Result<Locked<'a, T>, StoreError> {
        let path = T::path(&self.layout, key);
        let patience = Patience::of(self.patience);
        let mut created = None;
        loop {
            // First what it is a part of: who removes that does not come in between. What is there
            // already keeps it from being removed itself.
            let parent = match T::parent(&self.layout, key) {
                Some(parent) if !exists(&path)? => self.parent_lock(&parent, &patience)?,
                _ => None,
            };
            if let Some(directory) = atomic::parent(&path)
                && let Some(topmost) = tree::create_directories(directory)?
            {
                created.get_or_insert(topmost);
            }
            match self.acquire(&path, LockMode::Exclusive, &patience) {
                Ok(lock) => {
                    return Ok(Locked {
                        store: self,
                        key,
                        path,
                        lock,
                        created,
                        _parent: parent,
                    });
                }
                // Somebody has removed the directory since.
                Err(StoreError::Missing { .. }) if !patience.is_over() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Keeps what a document is a part of from being removed, before the document's own lock.
    pub(super) fn part_of<T: Stored>(&self, key: &T::Key) -> Result<Option<FileLock>, StoreError> {
        match T::parent(&self.layout, key) {
            Some(parent) => self.parent_lock(&parent, &Patience::of(self.patience)),
            None => Ok(None),
        }
    }

    fn parent_lock(
        &self,
        parent: &Path,
        patience: &Patience,
    ) -> Result<Option<FileLock>, StoreError> {
        match self.acquire(parent, LockMode::Shared, patience) {
            Ok(lock) => Ok(Some(lock)),
            // There is nothing that could be removed.
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The directory that is taken to be there: what is created is created below it.
    fn base<'a>(&'a self, path: &'a Path) -> &'a Path {
        let layout = &self.layout;
        [
            layout.networks_dir(),
            layout.templates_base_dir(),
            layout.root(),
        ]
        .into_iter()
        .find(|base| path.starts_with(base))
        .unwrap_or(path)
    }
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    match fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::Read {
            path: path.into(),
            error,
        }),
    }
}

impl<T: Stored> Locked<'_, T> {
    /// The document.
    ///
    /// # Errors
    /// As [`StateStore::load`].
    pub fn load(&self) -> Result<T, StoreError> {
        load(&self.path, self.key)
    }

    /// Whether there is a document.
    pub(super) fn exists(&self) -> Result<bool, StoreError> {
        exists(&self.path)
    }

    /// Writes the document, if it differs from what is there.
    ///
    /// # Errors
    /// As [`StateStore::save`].
    pub fn save(&self, document: &T) -> Result<(), StoreError> {
        let bytes = file::encode(&self.path, self.key, document)?;
        let old = match file::read(&self.path) {
            Ok(old) => old,
            // What is too long for a document is replaced all the same.
            Err(StoreError::TooLong { .. }) => Some(Vec::new()),
            Err(error) => return Err(error),
        };
        let Some(directory) = atomic::parent(&self.path) else {
            return Ok(atomic::replace(&self.path, &bytes, FILE_MODE)?);
        };
        if old.as_ref() == Some(&bytes) {
            // Who wrote it may have failed here.
            return Ok(tree::sync(directory)?);
        }
        if old.is_none() {
            self.sync_directories(directory)?;
        }
        Ok(atomic::replace(&self.path, &bytes, FILE_MODE)?)
    }

    /// Makes the names of the directories durable that the document is in, before there is one: where this
    /// fails, the next one to write it comes here again.
    fn sync_directories(&self, directory: &Path) -> Result<(), StoreError> {
        let created = self.created.as_deref().and_then(Path::parent);
        let base = self.store.base(directory);
        let last = created.filter(|above| base.starts_with(above));
        let Some(above) = directory.parent().filter(|_| directory != base) else {
            return Ok(());
        };
        tree::sync_up(above, last.unwrap_or(base)).map_err(|error| {
            StoreError::Write(WriteError {
                step: WriteStep::CreatingDirectory,
                ..error
            })
        })
    }

    /// Removes the document durably, and its lock file.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Write`].
    pub fn remove(self) -> Result<(), StoreError> {
        if !tree::remove(&self.path)? {
            return Err(StoreError::Missing { path: self.path });
        }
        // It stays where that fails, and does no harm.
        let _ = self.lock.remove();
        Ok(())
    }
}

impl<T: Stored> LockedShared<'_, T> {
    /// The document.
    ///
    /// # Errors
    /// As [`StateStore::load`].
    pub fn load(&self) -> Result<T, StoreError> {
        load(&self.path, self.key)
    }
}

fn load<T: Stored>(path: &Path, key: &T::Key) -> Result<T, StoreError> {
    match file::read(path)? {
        Some(bytes) => file::decode(path, key, &bytes),
        None => Err(StoreError::Missing { path: path.into() }),
    }
}
