//! The documents of a fleet on a node's disk, for programs that crash, disks that are full, and writers
//! that are many.
//!
//! [`StateStore`] reads and writes the files of a [`FleetLayout`], the same files that 0.13.0 reads and
//! writes.
//!
//! # What holds
//! - **Whole.** Whenever a writer is cut off (a crash, `kill -9`, a full disk, a power cut), a file has its
//!   old content or the new one. After `Ok` it has the new one, also after a power cut, as far as the file
//!   system keeps what it promises for `fsync`: the file, its name and the names of new directories are
//!   synced before. An error says whether the new content is in place ([`StoreError::in_place`]).
//! - **Checked.** What is read and written is valid, and is what its path says: every problem is told of, with
//!   the file, and where it is in a file, with line and column. A file is read only if it is no longer than
//!   [`STORED_DOCUMENT_MAX`](crate::limits::STORED_DOCUMENT_MAX).
//! - **One writer.** Each write is made under the document's own lock ([`FileLock`]); [`update`] reads, changes
//!   and writes under it, so no change is lost. Readers need no lock. Every wait has an end
//!   ([`with_patience`]), and says who holds the lock.
//! - **Versions.** A file of a newer `schema_version` is refused and never overwritten by [`update`]; an older
//!   one is migrated when it is read ([`Stored::MIGRATIONS`]), and written in today's shape at the next
//!   write. `schema_version` is written where 0.13.0 writes it, and elsewhere once the shape has changed.
//! - **Intents, then facts.** [`begin`] records what is going to be done to an instance before it is done,
//!   [`Transition::commit`] and [`Transition::abort`] how it ended, and [`recover`] makes the records agree
//!   with what is seen after a crash. Who is in the middle of it is known, so nobody else interferes.
//! - **Nothing left.** A temporary file that a crashed writer left is removed by [`clean`].
//! - **Kept**: owner and mode of a file that is replaced; a symbolic link, of which the target is replaced. New
//!   files have mode 0600, as 0.13.0's, new directories 0755, less the umask.
//!
//! Not there: anything against a program that ignores locks. While a node still runs programs of 0.13.0, its
//! locks (`instance.lock` for `instance.json`) are held along with the new ones;
//! [`without_old_locks`](StateStore::without_old_locks) is for afterwards.
//!
//! ```
//! use mvm_core::document::Document;
//! use mvm_core::naming::TenantId;
//! use mvm_core::paths::FleetLayout;
//! use mvm_core::store::StateStore;
//! use mvm_core::tenant::TenantConfig;
//!
//! # let root = std::env::temp_dir().join(format!("mvm-store-{}", std::process::id()));
//! let store = StateStore::new(FleetLayout::new(&root)?);
//! let tenant: TenantId = "acme".parse()?;
//! # let config = TenantConfig::from_json(br#"{"tenant_id":"acme","quotas":{"max_vcpus":16,"max_mem_mib":1,
//! #     "max_running":1,"max_warm":1,"max_pools":1,"max_instances_per_pool":1,"max_disk_gib":1},"net":
//! #     {"tenant_net_id":3,"ipv4_subnet":"10.240.3.0/24","gateway_ip":"10.240.3.1","bridge_name":"br-tenant-3"},
//! #     "secrets_epoch":0,"config_version":1,"pinned":false,"audit_retention_days":0,
//! #     "created_at":"2026-02-25T12:00:00Z"}"#)?;
//! store.create(&tenant, &config)?;
//!
//! // Read, changed and written while nobody else does.
//! store.update(&tenant, |config: &mut TenantConfig| {
//!     config.config_version += 1;
//!     Ok::<(), core::convert::Infallible>(())
//! })?;
//! let config: TenantConfig = store.load(&tenant)?;
//! assert_eq!(config.config_version, 2);
//! # std::fs::remove_dir_all(&root)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`begin`]: StateStore::begin
//! [`recover`]: StateStore::recover
//! [`update`]: StateStore::update
//! [`clean`]: StateStore::clean
//! [`with_patience`]: StateStore::with_patience

mod error;
mod file;
mod list;
mod lock;
mod locked;
mod recover;
mod remove;
mod stored;
mod transition;

use core::fmt;
use core::time::Duration;

use thiserror_no_std::Error;

use super::atomic::{self, tree};
use super::paths::FleetLayout;

pub use self::error::StoreError;
pub use self::list::{Listing, SkipReason, Skipped};
pub use self::lock::{FileLock, LockError, LockMode};
pub use self::locked::{Locked, LockedShared};
pub use self::recover::{Recovered, ResolveError};
pub use self::remove::Cleaned;
pub use self::stored::Stored;
pub use self::transition::{Failed, Goal, RecordError, Transition, TransitionFailed};
pub use super::atomic::{WriteError, WriteStep};

/// How long a lock is waited for where nothing else is said: 5 seconds. A write takes some milliseconds,
/// on a disk that is busy some hundreds.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(5);

/// The mode of a new document, less the umask; as 0.13.0's.
const FILE_MODE: u32 = 0o600;

/// The documents of a fleet. See the [module's documentation](self).
///
/// It holds nothing open, and can be cloned and shared.
#[derive(Debug, Clone)]
pub struct StateStore {
    layout: FleetLayout,
    patience: Duration,
    old_locks: bool,
}

/// Why a document was not updated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UpdateError<E> {
    /// It was not read or not written.
    #[error("{0}")]
    Store(StoreError),
    /// It was read, and what was to change it said no. Nothing was written.
    #[error("{0}")]
    Refused(E),
}

impl<E> From<StoreError> for UpdateError<E> {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl StateStore {
    /// The documents at the places of a layout. Nothing is touched yet.
    #[must_use]
    pub const fn new(layout: FleetLayout) -> Self {
        Self {
            layout,
            patience: DEFAULT_PATIENCE,
            old_locks: true,
        }
    }

    /// Waits so long for each lock, and not [`DEFAULT_PATIENCE`].
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Does without 0.13.0's locks: for a fleet whose last program of 0.13.0 is gone.
    #[must_use]
    pub fn without_old_locks(self) -> Self {
        Self {
            old_locks: false,
            ..self
        }
    }

    /// Where the files are.
    #[must_use]
    pub const fn layout(&self) -> &FleetLayout {
        &self.layout
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none; others where it cannot be read, is not valid, too new, or
    /// of something else.
    pub fn load<T: Stored>(&self, key: &T::Key) -> Result<T, StoreError> {
        self.find(key)?.ok_or_else(|| StoreError::Missing {
            path: T::path(&self.layout, key),
        })
    }

    /// Reads a document, where there is one.
    ///
    /// # Errors
    /// [`StoreError`], as [`load`](Self::load).
    pub fn find<T: Stored>(&self, key: &T::Key) -> Result<Option<T>, StoreError> {
        let path = T::path(&self.layout, key);
        match file::read(&path)? {
            Some(bytes) => file::decode(&path, key, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Writes a document, in the place of one that is there or not. Whatever is there is not looked at: to
    /// change it, use [`update`](Self::update).
    ///
    /// # Errors
    /// [`StoreError`]; the file is as it was, unless it is [`in_place`](StoreError::in_place).
    pub fn save<T: Stored>(&self, key: &T::Key, document: &T) -> Result<(), StoreError> {
        self.locked_for_writing(key)?.save(document)
    }

    /// Writes a new document.
    ///
    /// # Errors
    /// [`StoreError::Exists`] where there is one; else as [`save`](Self::save).
    pub fn create<T: Stored>(&self, key: &T::Key, document: &T) -> Result<(), StoreError> {
        let locked = self.locked_for_writing(key)?;
        match locked.exists()? {
            true => Err(StoreError::Exists {
                path: T::path(&self.layout, key),
            }),
            false => locked.save(document),
        }
    }

    /// Reads a document, has it changed, and writes it, all under its lock. Where nothing changes nothing is
    /// written. `change` must not ask for the same lock: it would wait for itself.
    ///
    /// # Errors
    /// [`UpdateError`]; the file is as it was, unless it is [`in_place`](StoreError::in_place).
    pub fn update<T: Stored, R, E>(
        &self,
        key: &T::Key,
        change: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, UpdateError<E>> {
        let locked = self.lock(key)?;
        let mut document = locked.load()?;
        let result = change(&mut document).map_err(UpdateError::Refused)?;
        locked.save(&document)?;
        Ok(result)
    }
}

impl<E: fmt::Debug + fmt::Display> UpdateError<E> {
    /// The store's error, where it is one.
    pub const fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Refused(_) => None,
        }
    }
}
