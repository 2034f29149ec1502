//! The recorded state of an instance, and its changes as intents and then facts.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    InstanceAction, InstanceNet, InstanceStatus, Pid, TransitionError, validate_transition,
};
use crate::idle_metrics::IdleMetrics;
use crate::names::{InstanceId, PoolId, RevisionHash, TenantId};
use crate::policy::Role;
use crate::time::Timestamp;

use InstanceStatus::{Destroyed, Running, Sleeping, Stopped, Warm};

#[cfg(feature = "alloc")]
mod recorded;

#[cfg(feature = "alloc")]
pub(crate) use recorded::Kept;

/// What is recorded of an instance, in `instances/<id>/instance.json`.
///
/// What the machine keeps is private and changes by [`begin`](Self::begin),
/// [`commit`](Self::commit), [`abort`](Self::abort) and [`resolve`](Self::resolve) only; the rest
/// is data that its owner may set. See the [module's documentation](super) for the life, the
/// bookkeeping and the shape of the file.
///
/// ```
/// use core::net::Ipv4Addr;
/// use mvm_core::instance::{CommitFacts, InstanceNet, InstanceState, InstanceStatus, Pid, PrefixLen};
/// use mvm_core::naming::{HostOffset, TenantNetId};
/// use mvm_core::pool::Role;
/// use mvm_core::time::Timestamp;
///
/// let net = InstanceNet::new(
///     TenantNetId::new(3)?,
///     HostOffset::new(5)?,
///     Ipv4Addr::new(10, 240, 3, 5),
///     Ipv4Addr::new(10, 240, 3, 1),
///     PrefixLen::new(24)?,
/// );
/// let mut state = InstanceState::new(
///     "acme".parse()?, "workers".parse()?, "i-0a1b2c3d".parse()?, net, Role::Worker,
/// );
/// let now: Timestamp = "2026-02-25T12:00:00Z".parse()?;
///
/// state.begin(InstanceStatus::Ready, now)?;
/// state.commit(now, CommitFacts::default())?;
///
/// // The status changes when the process runs, not when somebody asks for it.
/// state.begin(InstanceStatus::Running, now)?;
/// assert_eq!(state.status(), InstanceStatus::Ready);
/// state.commit(now, CommitFacts::process(Pid::new(4111)?))?;
/// assert_eq!(state.status(), InstanceStatus::Running);
/// assert_eq!(state.last_started_at(), Some(now));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(remote = "Self")]
pub struct InstanceState {
    // In the order of 0.13.0's file.
    /// The instance.
    pub instance_id: InstanceId,
    /// The pool it belongs to.
    pub pool_id: PoolId,
    /// The tenant it belongs to.
    pub tenant_id: TenantId,
    status: InstanceStatus,
    /// Its network identity.
    pub net: InstanceNet,
    /// What it is for, taken from its pool when it was created.
    #[serde(default)]
    pub role: Role,
    /// The revision it was built from.
    pub revision_hash: Option<RevisionHash>,
    firecracker_pid: Option<Pid>,
    last_started_at: Option<Timestamp>,
    last_stopped_at: Option<Timestamp>,
    /// Its activity, as measured last.
    #[serde(default)]
    pub idle_metrics: IdleMetrics,
    /// What its last health check found; `None` where there was none.
    pub healthy: Option<bool>,
    /// When its health was checked last.
    pub last_health_check_at: Option<Timestamp>,
    /// Until when an operator wants it left alone: no idle decision moves it before.
    pub manual_override_until: Option<Timestamp>,
    /// The version of the configuration drive that is mounted.
    pub config_version: Option<u64>,
    /// The epoch of the secrets that are mounted.
    pub secrets_epoch: Option<u64>,
    entered_running_at: Option<Timestamp>,
    entered_warm_at: Option<Timestamp>,
    /// When it last did any work, as the guest's agent or measurements say.
    pub last_busy_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<PendingTransition>,
}

/// A transition that has begun and is not known to have ended. It starts from the status of the
/// state that holds it.
///
/// In JSON `{"to":"warm","since":"2026-02-25T12:00:00Z"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct PendingTransition {
    /// The status it leads to.
    pub to: InstanceStatus,
    /// When it began.
    pub since: Timestamp,
}

/// What the one who carried out a transition found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct CommitFacts {
    /// The Firecracker process that runs the instance from now on, where there is one.
    pub firecracker_pid: Option<Pid>,
}

impl CommitFacts {
    /// This process runs the instance.
    pub const fn process(pid: Pid) -> Self {
        Self {
            firecracker_pid: Some(pid),
        }
    }
}

/// What happens to the Firecracker process of an instance in a transition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ProcessChange {
    /// There is none after it: there was none, or it ends.
    None,
    /// It goes on.
    Kept,
    /// A new one starts.
    New,
}

const fn process_change(from: InstanceStatus, to: InstanceStatus) -> ProcessChange {
    match (from.has_process(), to.has_process()) {
        (_, false) => ProcessChange::None,
        (true, true) => ProcessChange::Kept,
        (false, true) => ProcessChange::New,
    }
}

impl InstanceState {
    /// A new instance, [`Created`](InstanceStatus::Created): nothing is known of it but who and
    /// where it is.
    pub fn new(
        tenant_id: TenantId,
        pool_id: PoolId,
        instance_id: InstanceId,
        net: InstanceNet,
        role: Role,
    ) -> Self {
        Self {
            instance_id,
            pool_id,
            tenant_id,
            status: InstanceStatus::Created,
            net,
            role,
            revision_hash: None,
            firecracker_pid: None,
            last_started_at: None,
            last_stopped_at: None,
            idle_metrics: IdleMetrics::default(),
            healthy: None,
            last_health_check_at: None,
            manual_override_until: None,
            config_version: None,
            secrets_epoch: None,
            entered_running_at: None,
            entered_warm_at: None,
            last_busy_at: None,
            pending: None,
        }
    }

    /// The status: what the instance is, not what is being done to it.
    pub const fn status(&self) -> InstanceStatus {
        self.status
    }

    /// The transition that has begun and not ended. `None` means that none is *known* of: a 0.13.0
    /// program that rewrote the file has dropped it.
    pub const fn pending(&self) -> Option<PendingTransition> {
        self.pending
    }

    /// The Firecracker process: while running or warm, where it is known.
    pub const fn firecracker_pid(&self) -> Option<Pid> {
        self.firecracker_pid
    }

    /// When a Firecracker process last started to run the instance, by booting it or from a
    /// snapshot.
    pub const fn last_started_at(&self) -> Option<Timestamp> {
        self.last_started_at
    }

    /// When the instance was last stopped, or destroyed while it was running, warm or sleeping.
    pub const fn last_stopped_at(&self) -> Option<Timestamp> {
        self.last_stopped_at
    }

    /// When the instance last became running; kept when it leaves that status.
    pub const fn entered_running_at(&self) -> Option<Timestamp> {
        self.entered_running_at
    }

    /// When the instance last became warm; kept when it leaves that status.
    pub const fn entered_warm_at(&self) -> Option<Timestamp> {
        self.entered_warm_at
    }

    /// Records that a transition to `to` begins. Write the state to disk before the first step that
    /// changes anything.
    ///
    /// # Errors
    /// [`BeginError`] where another transition has begun, or the table has no such transition.
    /// Nothing is changed then.
    pub fn begin(
        &mut self,
        to: InstanceStatus,
        now: Timestamp,
    ) -> Result<PendingTransition, BeginError> {
        if let Some(pending) = self.pending {
            return Err(BeginError::Pending { pending });
        }
        validate_transition(self.status, to).map_err(BeginError::Transition)?;
        let pending = PendingTransition { to, since: now };
        self.pending = Some(pending);
        Ok(pending)
    }

    /// [`begin`](Self::begin) for an action: unlike the bare status, it tells a boot from a wake.
    ///
    /// # Errors
    /// [`BeginError`], also where the action does not apply to the status.
    ///
    /// ```
    /// # use core::net::Ipv4Addr;
    /// # use mvm_core::instance::{BeginError, CommitFacts, InstanceAction, InstanceNet, InstanceState};
    /// # use mvm_core::instance::{InstanceStatus, Pid, PrefixLen};
    /// # use mvm_core::naming::{HostOffset, TenantNetId};
    /// # let (guest, gateway) = (Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 1));
    /// # let (net, offset) = (TenantNetId::new(0)?, HostOffset::new(2)?);
    /// # let net = InstanceNet::new(net, offset, guest, gateway, PrefixLen::new(24)?);
    /// # let (tenant, pool, id) = ("acme".parse()?, "web".parse()?, "i-0a1b2c3d".parse()?);
    /// # let mut state = InstanceState::new(tenant, pool, id, net, Default::default());
    /// # let now: mvm_core::time::Timestamp = "2026-02-25T12:00:00Z".parse()?;
    /// # for (to, facts) in [
    /// #     (InstanceStatus::Ready, CommitFacts::default()),
    /// #     (InstanceStatus::Running, CommitFacts::process(Pid::new(42)?)),
    /// #     (InstanceStatus::Warm, CommitFacts::default()),
    /// #     (InstanceStatus::Sleeping, CommitFacts::default()),
    /// # ] {
    /// #     state.begin(to, now)?;
    /// #     state.commit(now, facts)?;
    /// # }
    /// // A sleeping instance is woken, not started.
    /// assert_eq!(
    ///     state.begin_action(InstanceAction::Start, now),
    ///     Err(BeginError::NotApplicable {
    ///         action: InstanceAction::Start,
    ///         status: InstanceStatus::Sleeping,
    ///     })
    /// );
    /// assert!(state.begin_action(InstanceAction::Wake, now).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn begin_action(
        &mut self,
        action: InstanceAction,
        now: Timestamp,
    ) -> Result<PendingTransition, BeginError> {
        if self.pending.is_none() && !action.applies_to(self.status) {
            return Err(BeginError::NotApplicable {
                action,
                status: self.status,
            });
        }
        self.begin(action.target_status(), now)
    }

    /// Records that the transition that had begun has been carried out: the status changes, and
    /// times and process with it.
    ///
    /// # Errors
    /// [`CommitError`]: nothing had begun, or the facts do not fit. Nothing is changed then, and
    /// the transition stays pending.
    pub fn commit(
        &mut self,
        now: Timestamp,
        facts: CommitFacts,
    ) -> Result<PendingTransition, CommitError> {
        let pending = self.pending.ok_or(CommitError::NotPending)?;
        let to = pending.to;
        let pid = match (process_change(self.status, to), facts.firecracker_pid) {
            (ProcessChange::None, None) => None,
            (ProcessChange::None, Some(pid)) => return Err(CommitError::UnexpectedPid { pid, to }),
            (ProcessChange::New, None) => return Err(CommitError::MissingPid { to }),
            (ProcessChange::New, Some(pid)) => Some(pid),
            // A record of 0.13.0 may not know the process.
            (ProcessChange::Kept, given) => match (self.firecracker_pid, given) {
                (Some(recorded), Some(given)) if recorded != given => {
                    return Err(CommitError::OtherPid { recorded, given });
                }
                (recorded, given) => recorded.or(given),
            },
        };
        self.enter(to, pid, now);
        Ok(pending)
    }

    /// Records that the transition that had begun was not carried out: the status stays. Gives the
    /// transition.
    ///
    /// # Errors
    /// [`NotPending`] where nothing had begun.
    pub fn abort(&mut self) -> Result<PendingTransition, NotPending> {
        self.pending.take().ok_or(NotPending)
    }

    /// Enters a status that may follow. All bookkeeping is here.
    pub(super) fn enter(&mut self, to: InstanceStatus, pid: Option<Pid>, now: Timestamp) {
        let from = self.status;
        if process_change(from, to) == ProcessChange::New {
            self.last_started_at = Some(now);
        }
        if to == Stopped || (to == Destroyed && matches!(from, Running | Warm | Sleeping)) {
            self.last_stopped_at = Some(now);
        }
        if to == Running {
            self.entered_running_at = Some(now);
        }
        if to == Warm {
            self.entered_warm_at = Some(now);
        }
        self.status = to;
        self.firecracker_pid = pid;
        self.pending = None;
    }

    /// Corrects the process, where nothing else was wrong.
    pub(super) fn observe_process(&mut self, pid: Option<Pid>) {
        self.firecracker_pid = pid;
    }
}

/// Why a transition cannot begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BeginError {
    /// Another one has begun and must be committed, aborted or resolved first.
    #[error("a transition to {} is pending since {}", .pending.to, .pending.since)]
    Pending {
        /// That transition.
        pending: PendingTransition,
    },
    /// The table does not have it.
    #[error("{0}")]
    Transition(TransitionError),
    /// The action cannot be carried out in this status.
    #[error("{action} does not apply to an instance that is {status}")]
    NotApplicable {
        /// The action.
        action: InstanceAction,
        /// The status.
        status: InstanceStatus,
    },
}

/// Why a transition cannot be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CommitError {
    /// None has begun.
    #[error("no transition is pending")]
    NotPending,
    /// A new process runs the instance now, and the facts do not say which.
    #[error("the process is missing that makes the instance {to}")]
    MissingPid {
        /// The status that the transition leads to.
        to: InstanceStatus,
    },
    /// No process can run an instance in that status, but the facts name one.
    #[error("process {pid} for an instance that becomes {to}, which has none")]
    UnexpectedPid {
        /// The process that was named.
        pid: Pid,
        /// The status that the transition leads to.
        to: InstanceStatus,
    },
    /// The process goes on in this transition, but the facts name another one.
    #[error("process {given}, but {recorded} runs the instance")]
    OtherPid {
        /// The process that is recorded.
        recorded: Pid,
        /// The process that was named.
        given: Pid,
    },
}

/// Nothing has begun that could be aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("no transition is pending")]
#[non_exhaustive]
pub struct NotPending;

impl_error!(BeginError, CommitError, NotPending);
const _: () = assert!(size_of::<BeginError>() <= 32);
const _: () = assert!(size_of::<CommitError>() <= 12);

impl Serialize for InstanceState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return Err(S::Error::custom("the state of an instance is JSON only"));
        }
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for InstanceState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Err(D::Error::custom("the state of an instance is JSON only"));
        }
        let state = Self::deserialize(deserializer)?;
        if let Some(pending) = state.pending {
            validate_transition(state.status, pending.to).map_err(D::Error::custom)?;
        }
        Ok(state)
    }
}
