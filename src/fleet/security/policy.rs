//! What a guest is told when it boots.

use alloc::vec::Vec;

use super::BlocklistEntry;
use crate::fleet::document::{Field, document};

const fn yes() -> bool {
    true
}

const FRAMES_PER_SECOND: u32 = 100;
const FRAMES_PER_MINUTE: u32 = 3000;

const fn frames_per_second() -> u32 {
    FRAMES_PER_SECOND
}

const fn frames_per_minute() -> u32 {
    FRAMES_PER_MINUTE
}

fn access<'a>() -> <AccessPolicy as Field>::Raw<'a> {
    AccessPolicy::DEFAULT.raw()
}

fn rate_limits<'a>() -> <RateLimitPolicy as Field>::Raw<'a> {
    RateLimitPolicy::DEFAULT.raw()
}

fn session<'a>() -> <SessionPolicy as Field>::Raw<'a> {
    SessionPolicy::DEFAULT.raw()
}

document! {
    /// What the guest of an instance may do, on its configuration drive. It does not change while the instance
    /// runs.
    #[derive(Eq)]
    pub struct SecurityPolicy {
        /// Whether host and guest must authenticate each other. Default true.
        require_auth: bool [default = "yes"],
        /// What the guest may be asked for.
        access: AccessPolicy [default = "access"],
        /// How many frames may come.
        rate_limits: RateLimitPolicy [default = "rate_limits"],
        /// How long a session may go on.
        session: SessionPolicy [default = "session"],
        /// What the gate must look out for. Default nothing.
        blocklist: Vec<BlocklistEntry> [default],
    }
}

impl SecurityPolicy {
    /// For development and tests only: **no authentication**, and consoles and commands for debugging are
    /// allowed. Everything else as by default.
    ///
    /// ```
    /// use mvm_core::security::SecurityPolicy;
    ///
    /// let policy = SecurityPolicy::dev_defaults();
    /// assert!(!policy.require_auth && policy.access.console && policy.access.debug_exec);
    /// assert!(SecurityPolicy::default().require_auth);
    /// ```
    #[must_use]
    pub const fn dev_defaults() -> Self {
        Self {
            require_auth: false,
            access: AccessPolicy {
                debug_exec: true,
                console: true,
                ..AccessPolicy::DEFAULT
            },
            rate_limits: RateLimitPolicy::DEFAULT,
            session: SessionPolicy::DEFAULT,
            blocklist: Vec::new(),
        }
    }

    const DEFAULT: Self = Self {
        require_auth: true,
        access: AccessPolicy::DEFAULT,
        rate_limits: RateLimitPolicy::DEFAULT,
        session: SessionPolicy::DEFAULT,
        blocklist: Vec::new(),
    };
}

impl Default for SecurityPolicy {
    /// Authentication is required; see the members' own defaults.
    fn default() -> Self {
        Self::DEFAULT
    }
}

document! {
    /// What a guest may be asked for.
    #[derive(Copy, Eq, Hash)]
    pub struct AccessPolicy {
        /// Reading and writing files. Default true.
        filesystem: bool [default = "yes"],
        /// Connections to the outside. Default true.
        network: bool [default = "yes"],
        /// Nix builds. Default true.
        build: bool [default = "yes"],
        /// Requests to the host. Default true.
        host_communication: bool [default = "yes"],
        /// Commands for debugging: for development only. Default false.
        debug_exec: bool [default],
        /// Interactive consoles: for development only. Default false.
        console: bool [default],
    }
}

impl AccessPolicy {
    const DEFAULT: Self = Self {
        filesystem: true,
        network: true,
        build: true,
        host_communication: true,
        debug_exec: false,
        console: false,
    };
}

impl Default for AccessPolicy {
    /// Everything but what is for development.
    fn default() -> Self {
        Self::DEFAULT
    }
}

document! {
    /// How many frames may come. A limit of 0 is no limit.
    #[derive(Copy, Eq, Hash)]
    pub struct RateLimitPolicy {
        /// Frames in a second at most; 0 is no limit. Default 100.
        frames_per_second: u32 [default = "frames_per_second"],
        /// Frames in a minute at most; 0 is no limit. Default 3,000.
        frames_per_minute: u32 [default = "frames_per_minute"],
    }
}

impl RateLimitPolicy {
    const DEFAULT: Self = Self {
        frames_per_second: FRAMES_PER_SECOND,
        frames_per_minute: FRAMES_PER_MINUTE,
    };
}

impl Default for RateLimitPolicy {
    /// 100 in a second and 3,000 in a minute.
    fn default() -> Self {
        Self::DEFAULT
    }
}

document! {
    /// How long a session may go on. A limit of 0 is no limit.
    #[derive(Copy, Eq, Hash)]
    pub struct SessionPolicy {
        /// Its age in seconds at most; 0 is no limit. Default 0.
        max_lifetime_secs: u64 [default],
        /// How many tasks it may serve at most; 0 is no limit. Default 0.
        max_tasks: u64 [default],
    }
}

impl SessionPolicy {
    const DEFAULT: Self = Self {
        max_lifetime_secs: 0,
        max_tasks: 0,
    };
}

impl Default for SessionPolicy {
    /// No limits.
    fn default() -> Self {
        Self::DEFAULT
    }
}
