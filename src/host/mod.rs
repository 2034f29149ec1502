//! What touches a machine: entropy, clocks, sockets.

#[cfg(any(feature = "config", feature = "paths"))]
pub(crate) mod atomic;
#[cfg(all(feature = "audit-log", unix))]
pub(crate) mod audit_log;
#[cfg(feature = "shell")]
pub(crate) mod build_env;
pub mod channel;
pub(crate) mod clock;
#[cfg(feature = "config")]
pub mod config;
pub(crate) mod entropy;
mod environment;
#[cfg_attr(feature = "observability", path = "events/enabled.rs")]
#[cfg_attr(not(feature = "observability"), path = "events/disabled.rs")]
pub(crate) mod events;
#[cfg(unix)]
mod flock;
#[cfg(unix)]
pub(crate) mod hostd;
#[cfg(feature = "shell")]
pub mod linux_env;
#[cfg(all(feature = "audit-log", feature = "config", unix))]
pub(crate) mod local_audit;
// Builds on this node need the documents too.
#[cfg(all(feature = "paths", feature = "shell", unix))]
pub(crate) mod local_build;
#[cfg(feature = "observability")]
pub(crate) mod observability;
#[cfg(feature = "paths")]
pub mod paths;
#[cfg(feature = "platform")]
pub mod platform;
// Detection needs a part of it only.
#[cfg(any(feature = "platform", feature = "shell"))]
#[cfg_attr(not(feature = "shell"), allow(dead_code))]
mod process;
pub(crate) mod retry;
#[cfg(all(feature = "paths", unix))]
pub mod store;
#[cfg(feature = "config")]
pub mod user_config;
#[cfg(feature = "config")]
pub mod util;

// Twins with one function, the milliseconds of a clock that never goes back.
#[cfg_attr(
    any(target_os = "linux", target_os = "android"),
    path = "monotonic/boottime.rs"
)]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    path = "monotonic/instant.rs"
)]
mod monotonic;
