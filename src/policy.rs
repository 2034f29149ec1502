use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::idle_metrics::CpuPercent;

/// What the instances of a pool are for.
///
/// In JSON the name in kebab case (`"capability-imessage"`), in postcard one byte, the index in
/// [`ALL`](Self::ALL).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(rename_all = "kebab-case")]
// Closed: the names are stored in files that 0.13.0 reads, and it refuses any other.
#[allow(clippy::exhaustive_enums)]
pub enum Role {
    /// Routes a tenant's traffic to its other instances.
    Gateway,
    /// Runs a tenant's work. The default.
    #[default]
    Worker,
    /// Builds images.
    Builder,
    /// Gives other instances the capability to send and receive iMessages.
    CapabilityImessage,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [
        Self::Gateway,
        Self::Worker,
        Self::Builder,
        Self::CapabilityImessage,
    ];

    /// The name in JSON and in text: `gateway`, `worker`, `builder`, `capability-imessage`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Worker => "worker",
            Self::Builder => "builder",
            Self::CapabilityImessage => "capability-imessage",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == name)
            .ok_or(UnknownRole)
    }
}

/// A text is none of the names of [`Role`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("not a role: gateway, worker, builder and capability-imessage are")]
#[non_exhaustive]
pub struct UnknownRole;

impl_error!(UnknownRole);

/// How long an instance stays in a status at least, and how long leaving it may take. All in
/// seconds.
///
/// Members that a document leaves out take 0.13.0's defaults, which are [`Default`]'s; unknown
/// members are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(default)]
// Closed: exactly the members that files of 0.13.0 have.
#[allow(clippy::exhaustive_structs)]
pub struct RuntimePolicy {
    /// Seconds that an instance runs at least before it is made warm. Default 60.
    pub min_running_seconds: u64,
    /// Seconds that an instance is warm at least before it is put to sleep. Default 30.
    pub min_warm_seconds: u64,
    /// Seconds to wait for a guest to acknowledge that it has drained its work before sleep is
    /// forced. Default 30.
    pub drain_timeout_seconds: u64,
    /// Seconds to wait for an orderly shutdown before the process is killed. Default 15.
    pub graceful_shutdown_seconds: u64,
}

impl Default for RuntimePolicy {
    fn default() -> Self {
        Self {
            min_running_seconds: 60,
            min_warm_seconds: 30,
            drain_timeout_seconds: 30,
            graceful_shutdown_seconds: 15,
        }
    }
}

/// When an idle instance is paused, and when it is put to sleep. The rules are those of
/// [`instance::idle_decision`](crate::instance::idle_decision).
///
/// Members that a document leaves out take 0.13.0's defaults, which are [`Default`]'s; unknown
/// members are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(default)]
// Closed: exactly the members that files of 0.13.0 have.
#[allow(clippy::exhaustive_structs)]
pub struct SleepPolicyConfig {
    /// Idle seconds after which a running instance is made warm. Default 300.
    pub warm_threshold_secs: u64,
    /// Idle seconds after which a warm instance is put to sleep, counted from the same moment as
    /// the seconds before warm. Default 900.
    pub sleep_threshold_secs: u64,
    /// Percent of one processor *below* which an instance can be idle: with 0 none ever is.
    /// Default 5.
    pub cpu_threshold: CpuPercent,
    /// Bytes on the network *below* which an instance can be idle: with 0 none ever is. Default
    /// 1024.
    pub net_bytes_threshold: u64,
}

/// 0.13.0's default: 5 percent.
const CPU_THRESHOLD: CpuPercent = match CpuPercent::new(5.0) {
    Ok(percent) => percent,
    Err(_) => CpuPercent::ZERO,
};

impl Default for SleepPolicyConfig {
    fn default() -> Self {
        Self {
            warm_threshold_secs: 300,
            sleep_threshold_secs: 900,
            cpu_threshold: CPU_THRESHOLD,
            net_bytes_threshold: 1024,
        }
    }
}
