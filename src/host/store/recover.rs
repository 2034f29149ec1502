//! What a program that starts does with what it finds: it looks at every instance, and corrects its record.

use alloc::vec::Vec;
use core::time::Duration;

use thiserror_no_std::Error;

use super::lock::LockError;
use super::{Cleaned, Listing, Skipped, StateStore, StoreError, UpdateError};
use crate::instance::{InstanceState, Observed, PendingTransition, Resolution, Unexplained};
use crate::names::InstancePath;
use crate::time::Timestamp;

/// Why the record of an instance was not made to agree with what is seen.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResolveError<E> {
    /// The state was not read or not written.
    #[error("{0}")]
    Store(StoreError),
    /// Another program has a transition of it in progress, which is that program's to end.
    #[error("{0}")]
    InProgress(LockError),
    /// Whoever looks could not.
    #[error("{0}")]
    Look(E),
    /// What is seen follows from the record in no single step. The record is as it was; an operator, or a
    /// destroy, has to decide.
    #[error("{0}")]
    Unexplained(Unexplained),
}

/// What [`StateStore::recover`] did.
#[derive(Debug)]
#[non_exhaustive]
pub struct Recovered<E> {
    /// Each instance, and how its record agrees with what is seen now.
    pub instances: Vec<(InstancePath, Result<Resolution, ResolveError<E>>)>,
    /// What else was in the directories.
    pub skipped: Vec<Skipped>,
    /// What interrupted writers had left.
    pub cleaned: Cleaned,
}

impl StateStore {
    /// The instances whose record says that a transition is pending. Whether its owner is gone is not looked
    /// at, and one that a program of 0.13.0 dropped is not seen: [`recover`](Self::recover) looks at all.
    ///
    /// # Errors
    /// [`StoreError`] where a directory or a record cannot be read.
    pub fn pending(&self) -> Result<Vec<(InstancePath, PendingTransition)>, StoreError> {
        let mut pending = Vec::new();
        for path in self.all_instances()?.found {
            // Removed since.
            let Some(state) = self.find::<InstanceState>(&path)? else {
                continue;
            };
            if let Some(transition) = state.pending() {
                pending.push((path, transition));
            }
        }
        Ok(pending)
    }

    /// Makes the record of an instance agree with what `look` sees of it, as
    /// [`InstanceState::resolve`] has it, and writes it durably.
    ///
    /// No transition of this crate's programs is in progress while `look` looks. The record is locked only
    /// afterwards: what `look` is given is for telling it what to look for.
    ///
    /// # Errors
    /// [`ResolveError`]; the record is as it was then. [`ResolveError::InProgress`] comes at once.
    pub fn resolve<E>(
        &self,
        path: &InstancePath,
        now: Timestamp,
        look: impl FnOnce(&InstanceState) -> Result<Observed, E>,
    ) -> Result<Resolution, ResolveError<E>> {
        let _lock = match self.transition_lock_within(path, Duration::ZERO) {
            Ok(lock) => lock,
            Err(StoreError::Lock(error @ LockError::Expired { .. })) => {
                return Err(ResolveError::InProgress(error));
            }
            Err(error) => return Err(ResolveError::Store(error)),
        };
        let state = self.load(path).map_err(ResolveError::Store)?;
        let observed = look(&state).map_err(ResolveError::Look)?;
        self.update(path, |state: &mut InstanceState| {
            state.resolve(observed, now)
        })
        .map_err(|error| match error {
            UpdateError::Store(error) => ResolveError::Store(error),
            UpdateError::Refused(error) => ResolveError::Unexplained(error),
        })
    }

    /// [`clean`](Self::clean), then [`resolve`](Self::resolve) for every instance: for a program that
    /// starts, before it does anything else.
    ///
    /// Every instance is looked at, and not only those with a pending transition: a program of 0.13.0 drops
    /// it when it writes the record, so that there is none means that none is known of. What is wrong with
    /// one instance does not keep the others from being recovered.
    ///
    /// # Errors
    /// [`StoreError::Read`] where the directories cannot be read.
    ///
    /// ```
    /// # use mvm_core::instance::{Observed, ObservedProcess};
    /// # use mvm_core::paths::FleetLayout;
    /// # use mvm_core::store::StateStore;
    /// # use mvm_core::time::Timestamp;
    /// # let root = std::env::temp_dir().join(format!("mvm-recover-{}", std::process::id()));
    /// let store = StateStore::new(FleetLayout::new(&root)?);
    /// let recovered = store.recover(Timestamp::now()?, |path, state| {
    ///     // Whether the process `state.firecracker_pid()` lives, and whether there is a snapshot.
    ///     # let _ = (path, state);
    ///     Ok::<_, std::io::Error>(Observed {
    ///         process: ObservedProcess::None,
    ///         snapshot: false,
    ///         present: true,
    ///     })
    /// })?;
    /// for (path, outcome) in &recovered.instances {
    ///     match outcome {
    ///         Ok(resolution) => println!("{path}: {resolution:?}"),
    ///         Err(error) => println!("{path}: {error}"),
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recover<E>(
        &self,
        now: Timestamp,
        mut look: impl FnMut(&InstancePath, &InstanceState) -> Result<Observed, E>,
    ) -> Result<Recovered<E>, StoreError> {
        let cleaned = self.clean();
        let Listing { found, skipped } = self.all_instances()?;
        let mut instances = Vec::with_capacity(found.len());
        for path in found {
            let outcome = self.resolve(&path, now, |state| look(&path, state));
            // Removed since it was listed.
            if matches!(&outcome, Err(ResolveError::Store(error)) if error.is_missing()) {
                continue;
            }
            instances.push((path, outcome));
        }
        Ok(Recovered {
            instances,
            skipped,
            cleaned,
        })
    }
}
