//! Ids, names, state machine, signatures and protocols that every program of a Firecracker microVM
//! fleet shares: in-guest agents and minimal init binaries, which may have no heap and count
//! kilobytes, and host tools on the standard library.
//!
//! # Layers
//! A lower layer never imports a higher one.
//!
//! - **Core** (no feature): `no_std`, no heap, no unsafe code, no panic of its own, every buffer and
//!   loop bounded by a constant of [`limits`]. [`naming`], [`instance`], [`idle_metrics`], [`pool`],
//!   [`time`], [`retry`], [`signing`], [`session`], [`guest`], [`wire`].
//! - **`alloc`**: what is stored and sent as JSON, and the pure logic over it. `document` says how it
//!   is read; `agent`, `tenant`, `pool`, `template`, `node`, `routing`, `protocol`, `audit`, `security`,
//!   `catalog`, `dev_network`, `observability`, `secret_binding`, `vm_backend` are 0.13.0's modules;
//!   `reconcile` makes plans, `migration` upgrades stored files.
//! - **`std`** (on by default): what touches a machine. Entropy and clocks of the operating system,
//!   `channel` (sessions over streams), hostd's socket in `protocol`, the loops of [`retry`].
//!   One feature each, on by default: **`config`** has `config` (variables, directories, Firecracker's
//!   version), `user_config` (`config.toml`) and `util` (sizes); **`platform`** has `platform`: what the
//!   machine offers; **`shell`** has `build_env` and `linux_env`: programs with deadlines, and what a build
//!   needs; **`paths`** has `paths` (where a fleet's files are) and `store` (reading, writing and locking
//!   them). Not on by default: **`audit-log`** has the files of `audit`, **`observability`** the log's
//!   set-up and the registry of metrics, **`tokio`** the same channels, sockets and loops without a thread
//!   for each.
//!
//! `features.md` at the root of the repository has every feature, what it pulls in, and what a build
//! with it weighs; `README.md` a tour for authors of guests and of hosts.
//!
//! # Conventions
//! Types are valid once they exist: what comes from outside is checked where it comes in. Errors are
//! small `Copy` enums, one for each operation, that say what was wrong and where; all of them
//! implement [`core::error::Error`] in every feature set. Entropy and time are arguments of the core.
//! JSON is for people and for 0.13.0, postcard for host and guest.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Unit tests have both, in every feature set.
#[cfg(any(feature = "alloc", test))]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

// `core::error::Error` for every error, exactly once: the derive of `thiserror-no-std` gives it
// with its own `std` feature, this macro gives it without.
#[cfg_attr(feature = "std", path = "error/derived.rs")]
#[cfg_attr(not(feature = "std"), path = "error/implemented.rs")]
#[macro_use]
mod error;

// The core: no_std, no alloc.
pub mod guest;
pub mod idle_metrics;
pub mod instance;
pub mod limits;
mod names;
mod policy;
mod retry_policy;
mod rules;
pub mod session;
pub mod signing;
pub mod time;
pub mod wire;

// The alloc layer: what is stored and sent as JSON, and the pure logic over it.
#[cfg(feature = "alloc")]
mod fleet;

#[cfg(feature = "alloc")]
pub use fleet::{
    agent, catalog, dev_network, document, migration, node, reconcile, routing, secret_binding,
    security, template, tenant, text, vm_backend,
};

// The std layer: everything that touches a machine.
#[cfg(feature = "std")]
mod host;

#[cfg(feature = "std")]
pub use host::channel;

#[cfg(feature = "config")]
pub use host::{config, user_config, util};

#[cfg(feature = "paths")]
pub use host::paths;

#[cfg(all(feature = "paths", unix))]
pub use host::store;

#[cfg(feature = "platform")]
pub use host::platform;

#[cfg(feature = "shell")]
pub use host::linux_env;

#[cfg(all(doctest, feature = "audit-log", unix))]
#[doc = include_str!("../README.md")]
mod readme {}

/// Ids, names derived from them, and their validation.
///
/// A value of these types is valid: whoever has one need not check it again, and a path built
/// from ids cannot leave its directory. Texts come in through `new`, `parse`, `FromStr` or serde,
/// which all check the same; a literal is checked by [`id!`](crate::id) at compile time.
///
/// | what | types | grammar |
/// | --- | --- | --- |
/// | ids | [`TenantId`](naming::TenantId), [`PoolId`](naming::PoolId), [`InstanceId`](naming::InstanceId), [`NodeId`](naming::NodeId), [`SignerId`](naming::SignerId), [`VmName`](naming::VmName), [`Hostname`](naming::Hostname) | [`validate_id`](naming::validate_id) |
/// | templates | [`TemplateId`](naming::TemplateId) | [`validate_template_name`](naming::validate_template_name) |
/// | sources | [`FlakeRef`](naming::FlakeRef), [`RevisionHash`](naming::RevisionHash) | [`validate_flake_ref`](naming::validate_flake_ref), [`validate_revision_hash`](naming::validate_revision_hash) |
/// | networks | [`TenantNetId`](naming::TenantNetId), [`HostOffset`](naming::HostOffset), [`TapName`](naming::TapName), [`BridgeName`](naming::BridgeName), [`MacAddr`](naming::MacAddr) | their documentation |
/// | places | [`PoolPath`](naming::PoolPath), [`InstancePath`](naming::InstancePath), [`SocketBase`](naming::SocketBase), [`SocketPath`](naming::SocketPath), [`ShortName`](naming::ShortName) | their documentation |
///
/// - **ASCII only**, flake references excepted: `é` is no letter here, and a length is a number
///   of bytes.
/// - **One spelling.** What is parsed is written again byte for byte; a number with leading
///   zeros or hexadecimal in capitals is refused, not put right.
/// - **Derived names fit** where they are used (interface names 15 bytes, `sun_path` 107 or 103,
///   host names 64) for every legal input; a socket path that would not has a short form. What
///   cannot fit is refused when the node is configured, in
///   [`SocketBase::new`](naming::SocketBase::new).
/// - **Errors** say what, where and how much. They hold one character of the input at most, and
///   show it as itself only if it is printable ASCII.
/// - **serde**: texts are strings in every format, numbers integers. In formats that are not for
///   people (postcard) names derived from numbers travel as the numbers, see
///   [`TapName`](naming::TapName), [`BridgeName`](naming::BridgeName) and
///   [`MacAddr`](naming::MacAddr).
pub mod naming {
    #[cfg(feature = "std")]
    pub use crate::host::entropy::{EntropyError, generate_instance_id};
    pub use crate::names::*;
}

/// Audit logs: what happened, in files whose every change is found.
///
/// [`AuditEntry`](audit::AuditEntry) is an entry of a node's log for its tenants,
/// [`LocalAuditEvent`](audit::LocalAuditEvent) one of the log of a single host.
/// [`Verifier`](audit::Verifier) tells whether a log is whole; it works on bytes and needs no files.
///
#[doc = include_str!("fleet/audit/format.md")]
#[cfg(feature = "alloc")]
pub mod audit {
    pub use crate::fleet::audit::*;
    #[cfg(all(feature = "audit-log", unix))]
    pub use crate::host::audit_log::*;
    #[cfg(all(feature = "audit-log", feature = "config", unix))]
    pub use crate::host::local_audit::*;
}

/// What a program says of itself: its log lines (`logging`, with the feature `observability`), and what it counts.
#[cfg(feature = "alloc")]
pub mod observability {
    #[cfg(feature = "observability")]
    pub use crate::host::observability::logging;

    /// Counters of a node's agent, arithmetic over snapshots of them, and with the feature `observability` the
    /// registry, `Metrics`, whose numbers a program counts in.
    ///
    /// A member is a *counter*, which starts at 0 with the program and only grows, or a *gauge*: how long something
    /// took the last time, 0 where it never happened.
    ///
    /// | | counters | gauges |
    /// | --- | --- | --- |
    /// | [`merge`](metrics::MetricsSnapshot::merge): of several nodes | the sum, [`u64::MAX`] at most | the greatest |
    /// | [`since`](metrics::MetricsSnapshot::since): after an earlier snapshot | how much was counted | as it is now |
    /// | [`rates`](metrics::MetricsIncrease::rates) | how much in a second | |
    /// | text for Prometheus | `mvm_<member>_total` | `mvm_<member>`, with `_milliseconds` for `_ms` |
    ///
    /// For the rate of a fleet, take the increase of each node and merge those. The other way round a node that starts
    /// again looks as if the whole fleet did.
    pub mod metrics {
        pub use crate::fleet::metrics::*;
        #[cfg(feature = "observability")]
        pub use crate::host::observability::metrics::*;
    }
}

/// Pools: roles and policies, which instances need too, and with `alloc` the documents: what a pool should be
/// and what was built for it.
pub mod pool {
    #[cfg(feature = "alloc")]
    pub use crate::fleet::pool::*;
    pub use crate::policy::*;
}

/// How often to try, and how long to wait in between, as data.
///
/// A [`RetryPolicy`](retry::RetryPolicy) is a capped exponential: the first delay is `base_delay`, each further one
/// `multiplier` times the one before, none longer than `max_delay`, and there is one delay fewer
/// than attempts. [`Jitter`](retry::Jitter) then spreads each delay, so that many that failed together do not
/// come back together; the randomness is the caller's, 64 bits a delay, and nothing here sleeps.
/// All arithmetic is in whole nanoseconds and saturates: no policy that exists can overflow or
/// panic.
///
/// A policy with no attempt cannot exist, which is where 0.13.0 panicked. Its own behaviour,
/// doubling without a cap and without jitter, is [`RetryPolicy::doubling`](retry::RetryPolicy::doubling).
///
/// ```
/// use core::time::Duration;
/// use mvm_core::retry::{Jitter, RetryPolicy};
///
/// let policy = RetryPolicy::new(5, Duration::from_millis(100), Duration::from_millis(500))?;
/// let delays: Vec<u128> = policy.delays(|| 0).map(|delay| delay.as_millis()).collect();
/// assert_eq!(delays, [100, 200, 400, 500]);
///
/// // With jitter, 64 random bits decide where between nothing and the whole delay.
/// let half = policy.with_jitter(Jitter::Full).delays(|| u64::MAX / 2 + 1).next();
/// assert_eq!(half, Some(Duration::from_millis(50)));
/// # Ok::<(), mvm_core::retry::RetryPolicyError>(())
/// ```
///
/// # Trying
/// With `std`, `Retry` tries an operation by a policy: with a deadline for all of it, with
/// the errors that are worth it, and with the last error and the number of attempts when it gives up. Its
/// `call` blocks; with the feature `tokio` there is `call_async`. `retry` is 0.13.0's function.
pub mod retry {
    #[cfg(feature = "std")]
    pub use crate::host::retry::*;
    pub use crate::retry_policy::*;
}

#[cfg(feature = "alloc")]
pub mod protocol {
    #![doc = include_str!("fleet/protocol/wire.md")]
    #![cfg_attr(all(feature = "std", unix), doc = include_str!("host/hostd/socket.md"))]

    pub use crate::fleet::protocol::*;
    #[cfg(all(feature = "std", unix))]
    pub use crate::host::hostd::*;
}

#[cfg(feature = "shell")]
pub mod build_env {
    #![doc = include_str!("host/build_env/tour.md")]

    pub use crate::host::build_env::*;
    #[cfg(all(feature = "paths", unix))]
    pub use crate::host::local_build::{IP_DEADLINE, LocalBuildEnvironment};
}
