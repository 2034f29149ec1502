//! Transitions of instances, recorded before they begin and after they have ended.
//!
//! A transition takes as long as what is done: a snapshot takes minutes. The document is locked for the two
//! short writes only, so that others can record health and activity meanwhile. What is held all along is
//! a lock of the transition's own, `.transition.lock` in the instance's directory: who finds a
//! transition pending and gets this lock knows that whoever began it is gone.

use core::time::Duration;
use std::path::PathBuf;

use thiserror_no_std::Error;

use super::lock::{FileLock, LockError, LockMode, Patience};
use super::{StateStore, StoreError, UpdateError};
use crate::instance::{
    BeginError, CommitError, CommitFacts, InstanceAction, InstanceState, InstanceStatus,
    NotPending, PendingTransition,
};
use crate::names::InstancePath;
use crate::time::Timestamp;

/// What an instance is to become.
// Closed: there is no third way to say it.
#[allow(clippy::exhaustive_enums)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Goal {
    /// By an action, which tells a boot from a wake.
    Action(InstanceAction),
    /// A status. The only way for builds, which are no action.
    Status(InstanceStatus),
}

impl From<InstanceAction> for Goal {
    fn from(action: InstanceAction) -> Self {
        Self::Action(action)
    }
}

impl From<InstanceStatus> for Goal {
    fn from(status: InstanceStatus) -> Self {
        Self::Status(status)
    }
}

/// Why a transition was not recorded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The state was not read or not written, or another transition of the instance is in progress
    /// ([`StoreError::Lock`]).
    #[error("{0}")]
    Store(#[source] StoreError),
    /// The instance cannot begin it. Where [`BeginError::Pending`] is the reason, whoever began that one is
    /// gone, and the instance is to be [resolved](StateStore::resolve).
    #[error("{0}")]
    Begin(#[source] BeginError),
    /// The facts do not fit. The transition stays pending.
    #[error("{0}")]
    Commit(#[source] CommitError),
    /// Nothing is pending.
    #[error("{0}")]
    NotPending(#[source] NotPending),
    /// The record says something else by now than when the transition began: a program that knows
    /// nothing of transitions has written it. It is left as it is, and is to be
    /// [resolved](StateStore::resolve).
    #[error(
        "the record has changed since the transition began: {from} and {pending:?} then, {status} and {found:?} now"
    )]
    Overtaken {
        /// The status that the transition began in.
        from: InstanceStatus,
        /// The transition.
        pending: PendingTransition,
        /// The status that is recorded now.
        status: InstanceStatus,
        /// The transition that is recorded now.
        found: Option<PendingTransition>,
    },
}

impl_error!(RecordError);

impl From<StoreError> for RecordError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<UpdateError<Self>> for RecordError {
    fn from(error: UpdateError<Self>) -> Self {
        match error {
            UpdateError::Store(error) => Self::Store(error),
            UpdateError::Refused(error) => error,
        }
    }
}

impl RecordError {
    /// Whether another transition of the instance is in progress, or its record is being written for too long.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::Lock(LockError::Expired { .. }))
        )
    }
}

/// How an operation failed, which decides what becomes of its transition.
// Closed: it has left something behind or it has not.
#[allow(clippy::exhaustive_enums)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed<E> {
    /// The instance is as it was before: the transition is aborted.
    Undone(E),
    /// It is not known what the instance is now: the transition stays pending, to be
    /// [resolved](StateStore::resolve) by what is seen.
    Unclear(E),
}

/// Why a transition as a whole failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransitionFailed<E> {
    /// It was not recorded. Where that is at its end, the operation has been carried out, and the transition is
    /// pending.
    #[error("{0}")]
    Record(RecordError),
    /// The operation failed, and the transition was aborted.
    #[error("{0}")]
    Undone(E),
    /// The operation failed, and the transition is pending.
    #[error("{0}")]
    Unclear(E),
}

/// A transition that has begun. As long as this is held no other program begins or resolves one of the same
/// instance.
///
/// If it is dropped without [`commit`](Self::commit) or [`abort`](Self::abort), the transition stays pending,
/// as if the program had died: it is not known what became of it.
#[derive(Debug)]
#[must_use = "a transition is to be committed or aborted"]
pub struct Transition<'a> {
    store: &'a StateStore,
    path: &'a InstancePath,
    state: InstanceState,
    pending: PendingTransition,
    _lock: FileLock,
}

impl StateStore {
    /// Records durably that a transition begins. Nothing must have been done for it yet.
    ///
    /// # Errors
    /// [`RecordError`]; no transition has begun then, unless the store's error is
    /// [`in_place`](StoreError::in_place): then it is pending.
    ///
    /// ```
    /// # use core::net::Ipv4Addr;
    /// # use mvm_core::instance::{CommitFacts, InstanceNet, InstanceState, InstanceStatus, Pid, PrefixLen};
    /// # use mvm_core::instance::InstanceAction;
    /// # use mvm_core::naming::{HostOffset, TenantNetId, parse_instance_path};
    /// # use mvm_core::paths::FleetLayout;
    /// # use mvm_core::store::StateStore;
    /// # use mvm_core::time::Timestamp;
    /// # let root = std::env::temp_dir().join(format!("mvm-begin-{}", std::process::id()));
    /// # let store = StateStore::new(FleetLayout::new(&root)?);
    /// # let (guest, gateway) = (Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 1));
    /// # let (net, offset) = (TenantNetId::new(0)?, HostOffset::new(2)?);
    /// # let net = InstanceNet::new(net, offset, guest, gateway, PrefixLen::new(24)?);
    /// let path = parse_instance_path("acme/web/i-0a1b2c3d")?;
    /// # let (tenant, pool, id) = (path.tenant.clone(), path.pool.clone(), path.instance.clone());
    /// # store.create(&path, &InstanceState::new(tenant, pool, id, net, Default::default()))?;
    /// # store.begin(&path, InstanceStatus::Ready, Timestamp::now()?)?.commit(Timestamp::now()?, Default::default())?;
    /// # let start_firecracker = || Ok::<_, std::io::Error>(Pid::new(4711).unwrap());
    /// let transition = store.begin(&path, InstanceAction::Start, Timestamp::now()?)?;
    /// let pid = start_firecracker()?;
    /// let state = transition.commit(Timestamp::now()?, CommitFacts::process(pid))?;
    /// assert_eq!(state.status(), InstanceStatus::Running);
    /// # std::fs::remove_dir_all(&root)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn begin<'a>(
        &'a self,
        path: &'a InstancePath,
        goal: impl Into<Goal>,
        now: Timestamp,
    ) -> Result<Transition<'a>, RecordError> {
        let goal = goal.into();
        let lock = self.transition_lock(path)?;
        let (state, pending) = self.update(path, |state: &mut InstanceState| {
            let pending = match goal {
                Goal::Action(action) => state.begin_action(action, now),
                Goal::Status(status) => state.begin(status, now),
            }
            .map_err(RecordError::Begin)?;
            Ok::<_, RecordError>((state.clone(), pending))
        })?;
        Ok(self.transition_of(path, state, pending, lock))
    }

    /// Takes over a transition that is pending and whose owner is gone: for who knows how to carry it on.
    ///
    /// # Errors
    /// [`RecordError::NotPending`] where nothing is pending; [`is_busy`](RecordError::is_busy) where its owner
    /// is not gone.
    pub fn resume<'a>(&'a self, path: &'a InstancePath) -> Result<Transition<'a>, RecordError> {
        let lock = self.transition_lock(path)?;
        let state: InstanceState = self.load(path)?;
        let pending = state.pending().ok_or(RecordError::NotPending(NotPending))?;
        Ok(self.transition_of(path, state, pending, lock))
    }

    /// Records a transition, carries it out, and records how it ended.
    ///
    /// `operation` sees the state with the transition pending, and gives the facts that
    /// [`commit`](InstanceState::commit) wants. `now` is asked for the time when the transition begins and when
    /// it has ended.
    ///
    /// # Errors
    /// [`TransitionFailed`].
    pub fn transition<E>(
        &self,
        path: &InstancePath,
        goal: impl Into<Goal>,
        now: impl Fn() -> Timestamp,
        operation: impl FnOnce(&InstanceState) -> Result<CommitFacts, Failed<E>>,
    ) -> Result<InstanceState, TransitionFailed<E>> {
        let transition = self
            .begin(path, goal, now())
            .map_err(TransitionFailed::Record)?;
        match operation(transition.state()) {
            Ok(facts) => transition
                .commit(now(), facts)
                .map_err(TransitionFailed::Record),
            Err(Failed::Undone(error)) => match transition.abort() {
                Ok(_) => Err(TransitionFailed::Undone(error)),
                // It stays pending, and is resolved with the next restart.
                Err(_) => Err(TransitionFailed::Unclear(error)),
            },
            Err(Failed::Unclear(error)) => Err(TransitionFailed::Unclear(error)),
        }
    }

    /// The lock of an instance's transitions.
    pub(super) fn transition_lock(&self, path: &InstancePath) -> Result<FileLock, StoreError> {
        self.transition_lock_within(path, self.patience)
    }

    pub(super) fn transition_lock_within(
        &self,
        path: &InstancePath,
        patience: Duration,
    ) -> Result<FileLock, StoreError> {
        let lock = self.transition_lock_path(path);
        FileLock::wait(&lock, LockMode::Exclusive, &Patience::of(patience)).map_err(|error| {
            if error.no_directory() {
                let path = self.layout.instance_state_path(path);
                StoreError::Missing { path }
            } else {
                StoreError::Lock(error)
            }
        })
    }

    fn transition_lock_path(&self, path: &InstancePath) -> PathBuf {
        self.layout.instance_dir(path).join(".transition.lock")
    }

    fn transition_of<'a>(
        &'a self,
        path: &'a InstancePath,
        state: InstanceState,
        pending: PendingTransition,
        lock: FileLock,
    ) -> Transition<'a> {
        Transition {
            store: self,
            path,
            state,
            pending,
            _lock: lock,
        }
    }
}

impl Transition<'_> {
    /// The state when the transition began, with it pending.
    #[must_use]
    pub const fn state(&self) -> &InstanceState {
        &self.state
    }

    /// The transition.
    #[must_use]
    pub const fn pending(&self) -> PendingTransition {
        self.pending
    }

    /// Records durably that the transition has been carried out; gives the state.
    ///
    /// Everything else of the record is as others have written it meanwhile. That a program of 0.13.0 dropped
    /// the pending transition from it does no harm.
    ///
    /// # Errors
    /// [`RecordError`]; the transition stays pending then, unless the store's error is
    /// [`in_place`](StoreError::in_place).
    pub fn commit(self, now: Timestamp, facts: CommitFacts) -> Result<InstanceState, RecordError> {
        self.finish(|state| {
            state.commit(now, facts).map_err(RecordError::Commit)?;
            Ok(())
        })
    }

    /// Records durably that the instance is as it was before; gives the state.
    ///
    /// # Errors
    /// [`RecordError`]; the transition stays pending then, unless the store's error is
    /// [`in_place`](StoreError::in_place).
    pub fn abort(self) -> Result<InstanceState, RecordError> {
        self.finish(|state| {
            state.abort().map_err(RecordError::NotPending)?;
            Ok(())
        })
    }

    fn finish(
        self,
        end: impl FnOnce(&mut InstanceState) -> Result<(), RecordError>,
    ) -> Result<InstanceState, RecordError> {
        let (from, pending) = (self.state.status(), self.pending);
        let state = self.store.update(self.path, |state: &mut InstanceState| {
            let (status, found) = (state.status(), state.pending());
            match found {
                Some(found) if status == from && found == pending => {}
                // Dropped by who does not know it.
                None if status == from => {
                    let begun = state.begin(pending.to, pending.since);
                    begun.map_err(RecordError::Begin)?;
                }
                _ => {
                    return Err(RecordError::Overtaken {
                        from,
                        pending,
                        status,
                        found,
                    });
                }
            }
            end(state)?;
            Ok(state.clone())
        })?;
        Ok(state)
    }
}
