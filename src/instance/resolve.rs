//! What a restarted program does with what it finds recorded: it looks, and corrects the record.

use super::{InstanceState, InstanceStatus, PendingTransition, Pid};
use crate::time::Timestamp;

/// What is seen of an instance: facts, not records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
// Closed: whoever looks must have looked at all of it.
#[allow(clippy::exhaustive_structs)]
pub struct Observed {
    /// Its Firecracker process. Process ids are used again: a caller makes sure that it is this
    /// instance's, by its API socket or its start time.
    pub process: ObservedProcess,
    /// Whether there is a snapshot from which it can be woken: complete, and nothing has run since
    /// it was taken. (The file a wake restored from is none: the disk has moved on.)
    pub snapshot: bool,
    /// Whether its directory and disk exist.
    pub present: bool,
}

/// What is seen of an instance's Firecracker process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
// Closed: there are no other cases.
#[allow(clippy::exhaustive_enums)]
pub enum ObservedProcess {
    /// There is none.
    None,
    /// It exists and its virtual CPUs run.
    Running(Pid),
    /// It exists and its virtual CPUs are paused.
    Paused(Pid),
}

impl Observed {
    const fn pid(&self) -> Option<Pid> {
        match self.process {
            ObservedProcess::None => None,
            ObservedProcess::Running(pid) | ObservedProcess::Paused(pid) => Some(pid),
        }
    }

    /// Whether an instance in this status looks like this. Created and ready look alike.
    const fn fits(&self, status: InstanceStatus) -> bool {
        match (status, self.process) {
            (InstanceStatus::Running, ObservedProcess::Running(_))
            | (InstanceStatus::Warm, ObservedProcess::Paused(_)) => true,
            (InstanceStatus::Created | InstanceStatus::Ready, ObservedProcess::None) => {
                self.present
            }
            (InstanceStatus::Sleeping, ObservedProcess::None) => self.present && self.snapshot,
            (InstanceStatus::Stopped, ObservedProcess::None) => self.present && !self.snapshot,
            (InstanceStatus::Destroyed, ObservedProcess::None) => !self.present,
            _ => false,
        }
    }
}

/// How [`InstanceState::resolve`] made record and facts agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Resolution {
    /// Nothing was pending, and the status was right.
    Confirmed,
    /// The pending transition had not been carried out, and was aborted.
    Aborted(PendingTransition),
    /// The pending transition had been carried out, and was committed.
    Committed(PendingTransition),
    /// Something else had happened (a crash, or a step of a program that does not record pending
    /// transitions): the instance moved by one step of the table, and a pending transition was
    /// dropped.
    Moved {
        /// The status that was recorded.
        from: InstanceStatus,
        /// The status it is in.
        to: InstanceStatus,
    },
}

impl InstanceState {
    /// Makes the record agree with what is seen, for a program that has restarted, or that reads a
    /// file which a 0.13.0 program may have written (and dropped what was pending from).
    ///
    /// In this order:
    /// 1. the facts fit the recorded status: nothing has happened, what is pending is aborted (so a
    ///    build is done again: whether one was complete cannot be seen);
    /// 2. they fit the status that the pending transition leads to: it is committed, at `now`;
    /// 3. they fit exactly one other status that may follow: the instance has moved there, at
    ///    `now`;
    /// 4. else the record and the facts are left as they are.
    ///
    /// Where the status fits, a process id that differs is corrected.
    ///
    /// # Errors
    /// [`Unexplained`] in the last case: no single step leads there (a destroyed instance with a
    /// process, a snapshot of an instance recorded as running, …). Nothing is changed then; an
    /// operator, or a destroy, has to decide.
    ///
    /// ```
    /// # use mvm_core::instance::*;
    /// # let now: mvm_core::time::Timestamp = "2026-02-25T12:00:00Z".parse()?;
    /// # let warm = r#"{"instance_id":"i-1","pool_id":"web","tenant_id":"acme","status":"warm","net":{"tap_dev":"tn0i2","mac":"02:fc:00:00:00:02","guest_ip":"10.0.0.2","gateway_ip":"10.0.0.1","cidr":24},"firecracker_pid":42}"#;
    /// # let mut state: InstanceState = serde_json::from_str(warm)?;
    /// state.begin(InstanceStatus::Sleeping, now)?;
    /// // … the program is killed, starts again, and finds no process and no snapshot:
    /// let seen = Observed { process: ObservedProcess::None, snapshot: false, present: true };
    /// assert_eq!(
    ///     state.resolve(seen, now)?,
    ///     Resolution::Moved { from: InstanceStatus::Warm, to: InstanceStatus::Stopped }
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resolve(
        &mut self,
        observed: Observed,
        now: Timestamp,
    ) -> Result<Resolution, Unexplained> {
        let from = self.status();
        let pid = observed.pid();
        if observed.fits(from) {
            self.observe_process(pid);
            return Ok(match self.abort() {
                Ok(pending) => Resolution::Aborted(pending),
                Err(_) => Resolution::Confirmed,
            });
        }
        if let Some(pending) = self.pending()
            && observed.fits(pending.to)
        {
            self.enter(pending.to, pid, now);
            return Ok(Resolution::Committed(pending));
        }
        // Whatever follows the status and looks like this is one status at most: created and ready,
        // which look alike, are dealt with above.
        match from.successors().find(|to| observed.fits(*to)) {
            Some(to) => {
                self.enter(to, pid, now);
                Ok(Resolution::Moved { from, to })
            }
            None => Err(Unexplained {
                status: from,
                observed,
            }),
        }
    }
}

/// What is seen of an instance follows in no single step from what is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("recorded as {status}, but: {observed:?}")]
#[non_exhaustive]
pub struct Unexplained {
    /// The status that is recorded.
    pub status: InstanceStatus,
    /// What is seen.
    pub observed: Observed,
}

impl_error!(Unexplained);
