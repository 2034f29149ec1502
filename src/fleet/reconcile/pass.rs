//! What one call of `plan` has in common for all tenants: the policy, the time, the actions so far, and how
//! many instances are starting.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::action::{Action, DeferReason};
use super::state::ReconcilePolicy;
use crate::instance::decide::wait;
use crate::instance::{InstanceState, InstanceStatus, PendingTransition};
use crate::time::Timestamp;

use InstanceStatus::Running;

/// What one call of `plan` has in common for all tenants.
pub(super) struct Pass<'p> {
    pub(super) policy: &'p ReconcilePolicy,
    pub(super) now: Timestamp,
    pub(super) actions: Vec<Action>,
    /// Instances that are starting, by the time at which they are done; `None` where that is not
    /// known.
    starting: BTreeMap<Option<Timestamp>, u32>,
    starting_count: u32,
}

impl<'p> Pass<'p> {
    pub(super) fn new(policy: &'p ReconcilePolicy, now: Timestamp) -> Self {
        Self {
            policy,
            now,
            actions: Vec::new(),
            starting: BTreeMap::new(),
            starting_count: 0,
        }
    }

    pub(super) fn after(&self, seconds: u64) -> Option<Timestamp> {
        self.now.checked_add(Duration::from_secs(seconds))
    }

    /// When a process that began to run an instance at `since` has started; `None` where it has.
    fn starts_until(&self, since: Option<Timestamp>) -> Option<Timestamp> {
        let left = wait(since?, self.policy.starting_seconds, self.now)?;
        self.after(left)
    }

    fn count_start(&mut self, until: Option<Timestamp>) {
        let count = self.starting.entry(until).or_insert(0);
        *count = count.saturating_add(1);
        self.starting_count = self.starting_count.saturating_add(1);
    }

    /// Counts an instance that is starting.
    pub(super) fn observe(&mut self, state: &InstanceState) {
        let boots =
            |pending: PendingTransition| pending.to == Running && !state.status().has_process();
        if state.pending().is_some_and(boots) {
            self.count_start(None);
        } else {
            // Also where the process has ended: what was started was started.
            self.started(state.last_started_at());
        }
    }

    /// An instance has a process since then.
    pub(super) fn started(&mut self, since: Option<Timestamp>) {
        if let Some(until) = self.starts_until(since) {
            self.count_start(Some(until));
        }
    }

    /// The record of an instance whose process began then is gone, or has a later one.
    pub(super) fn forget(&mut self, since: Option<Timestamp>) {
        if let Some(until) = self.starts_until(since)
            && let Some(count) = self.starting.get_mut(&Some(until))
        {
            *count = count.saturating_sub(1);
            self.starting_count = self.starting_count.saturating_sub(1);
        }
    }

    /// Whether one more may start.
    pub(super) fn may_start(&self) -> Result<(), Wait> {
        let max = self.policy.max_starting;
        if self.policy.starting_seconds == 0 || self.starting_count < max {
            return Ok(());
        }
        let mut times = self.starting.iter().filter(|(_, count)| **count > 0);
        Err(Wait {
            reason: DeferReason::StartLimit { max },
            until: times.find_map(|(until, _)| *until),
        })
    }
}

/// Why something waits, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wait {
    pub(super) until: Option<Timestamp>,
    pub(super) reason: DeferReason,
}

impl From<DeferReason> for Wait {
    fn from(reason: DeferReason) -> Self {
        Self {
            until: None,
            reason,
        }
    }
}
