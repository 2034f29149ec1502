//! What can be asked of an instance.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InstanceStatus::{self, Destroyed, Ready, Running, Sleeping, Stopped, Warm};

/// An action that a coordinator or an operator asks of an instance.
///
/// Every transition of the table except the builds (`created → ready`, `ready → ready`) belongs to
/// exactly one action:
///
/// | action | from | to | what happens |
/// | --- | --- | --- | --- |
/// | `Start` | ready, stopped | running | a fresh boot in a new process |
/// | `Wake` | warm | running | the paused process goes on |
/// | `Wake` | sleeping | running | a new process restores the snapshot |
/// | `Warm` | running | warm | the virtual CPUs are paused |
/// | `Sleep` | warm | sleeping | a snapshot is taken, the process ends |
/// | `Stop` | running, warm, sleeping | stopped | the process ends, a snapshot is discarded |
/// | `Destroy` | every status | destroyed | everything is removed; again is no error |
///
/// So `Start` always boots and `Wake` never does: what was in memory is lost by the one and kept by
/// the other, and a caller says which it wants. A running instance goes to sleep by `Warm` and then
/// `Sleep`.
///
/// In JSON the name as it is here (`"Destroy"`), in postcard one byte, the index in
/// [`ALL`](Self::ALL).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
// Closed: the six names are part of the agent protocol of 0.13.0, which refuses any other.
#[allow(clippy::exhaustive_enums)]
pub enum InstanceAction {
    /// Boot afresh.
    Start,
    /// Shut down, and discard the memory.
    Stop,
    /// Take a snapshot of a warm instance and end its process.
    Sleep,
    /// Go on where the instance was paused or put to sleep.
    Wake,
    /// Pause a running instance and keep it in memory.
    Warm,
    /// Remove everything.
    Destroy,
}

impl InstanceAction {
    /// All actions.
    pub const ALL: [Self; 6] = [
        Self::Start,
        Self::Stop,
        Self::Sleep,
        Self::Wake,
        Self::Warm,
        Self::Destroy,
    ];

    /// The status that the action leads to.
    pub const fn target_status(self) -> InstanceStatus {
        match self {
            Self::Start | Self::Wake => Running,
            Self::Stop => Stopped,
            Self::Sleep => Sleeping,
            Self::Warm => Warm,
            Self::Destroy => Destroyed,
        }
    }

    /// The action by which an instance goes from one status to the other; `None` where it cannot,
    /// and for builds, which nobody asks of an instance: they follow from its pool's revision.
    pub const fn of(from: InstanceStatus, to: InstanceStatus) -> Option<Self> {
        if !from.can_become(to) {
            return None;
        }
        match (from, to) {
            (Warm | Sleeping, Running) => Some(Self::Wake),
            (_, Running) => Some(Self::Start),
            (_, Warm) => Some(Self::Warm),
            (_, Sleeping) => Some(Self::Sleep),
            (_, Stopped) => Some(Self::Stop),
            (_, Destroyed) => Some(Self::Destroy),
            (_, InstanceStatus::Created | Ready) => None,
        }
    }

    /// Whether the action can be carried out on an instance in status `from`.
    ///
    /// ```
    /// use mvm_core::instance::{InstanceAction, InstanceStatus};
    /// assert!(InstanceAction::Wake.applies_to(InstanceStatus::Sleeping));
    /// assert!(!InstanceAction::Start.applies_to(InstanceStatus::Sleeping));
    /// ```
    pub const fn applies_to(self, from: InstanceStatus) -> bool {
        match Self::of(from, self.target_status()) {
            // `Start` and `Wake` have one target, and are told apart by the status before it.
            Some(Self::Start) => matches!(self, Self::Start),
            Some(Self::Wake) => matches!(self, Self::Wake),
            Some(_) => true,
            None => false,
        }
    }

    /// The name, as in JSON: `Start`, `Stop`, `Sleep`, `Wake`, `Warm`, `Destroy`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Stop => "Stop",
            Self::Sleep => "Sleep",
            Self::Wake => "Wake",
            Self::Warm => "Warm",
            Self::Destroy => "Destroy",
        }
    }
}

impl fmt::Display for InstanceAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for InstanceAction {
    type Err = UnknownAction;

    /// Takes the names of [`as_str`](InstanceAction::as_str), in any case (an operator types them).
    fn from_str(name: &str) -> Result<Self, UnknownAction> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_str().eq_ignore_ascii_case(name))
            .ok_or(UnknownAction)
    }
}

/// A text is none of the six names of [`InstanceAction`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("not an instance action: start, stop, sleep, wake, warm and destroy are")]
#[non_exhaustive]
pub struct UnknownAction;

impl_error!(UnknownAction);
