//! The statuses of an instance and the table of what may follow what.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where an instance is in its life.
///
/// In JSON the name in lower case (`"created"`), in postcard one byte, the index in
/// [`ALL`](Self::ALL).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
// Closed: the seven names are stored in files that every version of the fleet reads, and an eighth
// would need a new version of those.
#[allow(clippy::exhaustive_enums)]
pub enum InstanceStatus {
    /// Recorded, nothing built yet.
    Created = 0,
    /// Built, never started since.
    Ready = 1,
    /// A Firecracker process runs it.
    Running = 2,
    /// Its virtual CPUs are paused; the Firecracker process and the memory are kept.
    Warm = 3,
    /// A snapshot holds it; there is no process.
    Sleeping = 4,
    /// Shut down; there is no process and no snapshot.
    Stopped = 5,
    /// Gone for good.
    Destroyed = 6,
}

use InstanceStatus::{Created, Destroyed, Ready, Running, Sleeping, Stopped, Warm};

/// What may follow each status, as bit sets (bit 1 << n for the n-th status of
/// [`InstanceStatus::ALL`]). This is the only place that says so: the checks, the successors, the
/// documentation's diagram and the model all read it.
const TRANSITIONS: [u8; InstanceStatus::ALL.len()] = [
    /* created   */ Ready.bit() | Destroyed.bit(),
    /* ready     */ Ready.bit() | Running.bit() | Destroyed.bit(),
    /* running   */ Warm.bit() | Stopped.bit() | Destroyed.bit(),
    /* warm      */ Running.bit() | Sleeping.bit() | Stopped.bit() | Destroyed.bit(),
    /* sleeping  */ Running.bit() | Stopped.bit() | Destroyed.bit(),
    /* stopped   */ Running.bit() | Destroyed.bit(),
    /* destroyed */ Destroyed.bit(),
];

impl InstanceStatus {
    /// All statuses, in the order of a life.
    pub const ALL: [Self; 7] = [Created, Ready, Running, Warm, Sleeping, Stopped, Destroyed];

    #[allow(clippy::as_conversions)] // the discriminant of a `repr(u8)` enum, in const
    const fn index(self) -> u8 {
        self as u8
    }

    const fn bit(self) -> u8 {
        1 << self.index()
    }

    const fn followers(self) -> u8 {
        let [created, ready, running, warm, sleeping, stopped, destroyed] = TRANSITIONS;
        match self {
            Created => created,
            Ready => ready,
            Running => running,
            Warm => warm,
            Sleeping => sleeping,
            Stopped => stopped,
            Destroyed => destroyed,
        }
    }

    /// Whether an instance in this status may go to `to`: one look into a table.
    ///
    /// `true` for `Destroyed` from every status, also from itself (destroying is idempotent), and
    /// for `Ready` to `Ready`, a rebuild.
    pub const fn can_become(self, to: Self) -> bool {
        self.followers() & to.bit() != 0
    }

    /// The statuses that may follow this one, in the order of [`ALL`](Self::ALL).
    ///
    /// ```
    /// use mvm_core::instance::InstanceStatus::{self, *};
    /// assert!(Warm.successors().eq([Running, Sleeping, Stopped, Destroyed]));
    /// ```
    pub fn successors(self) -> impl Iterator<Item = Self> + Clone {
        Self::ALL.into_iter().filter(move |to| self.can_become(*to))
    }

    /// Whether a Firecracker process belongs to this status: running and warm.
    pub const fn has_process(self) -> bool {
        matches!(self, Running | Warm)
    }

    /// The name in JSON and in text: `created`, `ready`, `running`, `warm`, `sleeping`, `stopped`,
    /// `destroyed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Created => "created",
            Ready => "ready",
            Running => "running",
            Warm => "warm",
            Sleeping => "sleeping",
            Stopped => "stopped",
            Destroyed => "destroyed",
        }
    }
}

impl fmt::Display for InstanceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for InstanceStatus {
    type Err = UnknownStatus;

    fn from_str(name: &str) -> Result<Self, UnknownStatus> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == name)
            .ok_or(UnknownStatus)
    }
}

/// A text is none of the seven names of [`InstanceStatus`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error(
    "not an instance status: created, ready, running, warm, sleeping, stopped and destroyed are"
)]
#[non_exhaustive]
pub struct UnknownStatus;

/// Whether an instance may go from one status to another.
///
/// A `const fn` and a look into one table; the table's diagram is in the
/// [module's documentation](crate::instance).
///
/// # Errors
/// [`TransitionError`] with the two statuses where it may not.
///
/// ```
/// use mvm_core::instance::{validate_transition, InstanceStatus::*, TransitionError};
/// assert_eq!(validate_transition(Running, Warm), Ok(()));
/// assert_eq!(
///     validate_transition(Running, Sleeping),
///     Err(TransitionError { from: Running, to: Sleeping })
/// );
/// ```
pub const fn validate_transition(
    from: InstanceStatus,
    to: InstanceStatus,
) -> Result<(), TransitionError> {
    if from.can_become(to) {
        Ok(())
    } else {
        Err(TransitionError { from, to })
    }
}

/// An instance cannot go from the one status to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("invalid state transition: {from} -> {to}")]
#[allow(clippy::exhaustive_structs)] // these two values are the whole reason
pub struct TransitionError {
    /// The status it is in.
    pub from: InstanceStatus,
    /// The status that cannot follow.
    pub to: InstanceStatus,
}

impl_error!(UnknownStatus, TransitionError);
const _: () = assert!(size_of::<TransitionError>() == 2);

/// Writes the diagram of the transition table as a Mermaid `stateDiagram-v2`.
///
/// The edges come from the table that [`validate_transition`] reads, the labels from
/// [`InstanceAction::of`](super::InstanceAction::of) (`Build` where there is no action). The text is
/// the one in the [module's documentation](crate::instance).
///
/// # Errors
/// What `out` returns.
pub fn write_mermaid(out: &mut dyn fmt::Write) -> fmt::Result {
    out.write_str("stateDiagram-v2\n    [*] --> created\n")?;
    for from in InstanceStatus::ALL {
        for to in from.successors() {
            let label = match super::InstanceAction::of(from, to) {
                Some(action) => action.as_str(),
                None => "Build",
            };
            for part in [
                "    ",
                from.as_str(),
                " --> ",
                to.as_str(),
                ": ",
                label,
                "\n",
            ] {
                out.write_str(part)?;
            }
        }
    }
    out.write_str("    destroyed --> [*]\n")
}
