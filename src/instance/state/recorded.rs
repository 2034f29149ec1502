//! Putting a record together, for who reads it otherwise than by serde.

use super::{InstanceState, PendingTransition};
use crate::instance::{InstanceStatus, Pid, TransitionError, validate_transition};
use crate::time::Timestamp;

/// What the machine keeps of an instance, as a record has it.
pub(crate) struct Kept {
    pub(crate) status: InstanceStatus,
    pub(crate) firecracker_pid: Option<Pid>,
    pub(crate) last_started_at: Option<Timestamp>,
    pub(crate) last_stopped_at: Option<Timestamp>,
    pub(crate) entered_running_at: Option<Timestamp>,
    pub(crate) entered_warm_at: Option<Timestamp>,
    pub(crate) pending: Option<PendingTransition>,
}

impl InstanceState {
    /// Takes over what a record says that the machine keeps.
    ///
    /// # Errors
    /// [`TransitionError`] where the pending transition is none of the table: what `Deserialize` refuses
    /// too. Nothing is changed then.
    pub(crate) fn keep(&mut self, kept: Kept) -> Result<(), TransitionError> {
        if let Some(pending) = kept.pending {
            validate_transition(kept.status, pending.to)?;
        }
        self.status = kept.status;
        self.firecracker_pid = kept.firecracker_pid;
        self.last_started_at = kept.last_started_at;
        self.last_stopped_at = kept.last_stopped_at;
        self.entered_running_at = kept.entered_running_at;
        self.entered_warm_at = kept.entered_warm_at;
        self.pending = kept.pending;
        Ok(())
    }
}
