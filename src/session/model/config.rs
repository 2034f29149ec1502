//! What a run of the model contains, and its bounds.

use super::property::Violation;
use crate::rules::Rule;

/// How the mark behaves when a snapshot is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marks {
    /// It does not change.
    Constant,
    /// It counts, as VMClock does: two restores of one snapshot get the same.
    Changing,
    /// No two restores get the same, as with VMGenID.
    Unique,
}

/// Where the entropy of a restored machine comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// A source that is fresh by then.
    Fresh,
    /// The generator's state was in the snapshot.
    Copied,
}

/// Which guest key a host expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Expects {
    Key(u8),
    FirstUse,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct GuestSetup {
    pub(super) key: u8,
    /// Instance and floor.
    pub(super) bound: Option<(u8, u64)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct HostSetup {
    /// 0 is the provisioned key, 1 one that nobody trusts.
    pub(super) key: u8,
    pub(super) instance: u8,
    pub(super) expects: Expects,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Config {
    pub(super) name: &'static str,
    pub(super) guests: &'static [GuestSetup],
    pub(super) hosts: &'static [HostSetup],
    /// Services that are asked for and served: 1 or 2.
    pub(super) services: u16,
    /// Handshakes that each incarnation of a host begins.
    pub(super) attempts: u8,
    /// How often a host raises its generation.
    pub(super) raises: u8,
    /// Hellos that each incarnation of a guest answers.
    pub(super) answers: u8,
    /// Frames that a session seals in its direction, the close counted.
    pub(super) frames: u8,
    /// Whether sessions close.
    pub(super) closes: bool,
    /// Whether the attacker rewrites fields.
    pub(super) edits: bool,
    /// Whether every message is delivered everywhere, and not only where its kind is awaited.
    pub(super) everything: bool,
    /// Whether what was refused leads on. A refusal only ends a session or handshake, and whoever
    /// leaves that alone can do all that is possible after it: it adds states and no behaviour.
    pub(super) errors: bool,
    /// Whether a host's `receive` and `finish` are two steps.
    pub(super) stepwise: bool,
    /// Whether keys are removed.
    pub(super) distrust: bool,
    /// Whether `SleepPrep` occurs.
    pub(super) sleeps: bool,
    /// Whether it unbinds.
    pub(super) unbind: bool,
    /// Whether guests are snapshotted only after `SleepPrep`, or before their first handshake.
    pub(super) planned: bool,
    pub(super) snapshots: usize,
    pub(super) restores: usize,
    pub(super) marks: Marks,
    pub(super) entropy: Freshness,
    pub(super) host_snapshots: usize,
    pub(super) host_restores: usize,
    pub(super) host_marks: Marks,
    pub(super) host_entropy: Freshness,
    /// Violations that do not end the run.
    pub(super) ignored: &'static [Violation],
    /// Rules that are switched off.
    pub(super) without: &'static [Rule],
}

const GUEST: GuestSetup = GuestSetup {
    key: 0,
    bound: None,
};
const HOST: HostSetup = HostSetup {
    key: 0,
    instance: 0,
    expects: Expects::Key(0),
};

/// One host, one guest, one session.
pub(super) const BASE: Config = Config {
    name: "base",
    guests: &[GUEST],
    hosts: &[HOST],
    services: 1,
    attempts: 1,
    raises: 0,
    answers: 1,
    frames: 1,
    closes: false,
    edits: false,
    everything: false,
    errors: true,
    stepwise: false,
    distrust: false,
    sleeps: false,
    unbind: false,
    planned: false,
    snapshots: 0,
    restores: 0,
    marks: Marks::Constant,
    entropy: Freshness::Fresh,
    host_snapshots: 0,
    host_restores: 0,
    host_marks: Marks::Constant,
    host_entropy: Freshness::Fresh,
    ignored: &[],
    without: &[],
};

/// One session in all detail: two frames and a close each way, every field rewritten, every message
/// delivered everywhere.
pub(super) const FRAMES: Config = Config {
    name: "frames",
    frames: 3,
    closes: true,
    edits: true,
    everything: true,
    ..BASE
};

/// As `FRAMES`, where host and guest were given one seed by mistake.
pub(super) const ONE_SEED: Config = Config {
    name: "one seed",
    guests: &[GuestSetup {
        key: 2,
        bound: None,
    }],
    hosts: &[HostSetup {
        expects: Expects::Key(2),
        ..HOST
    }],
    frames: 2,
    ..FRAMES
};

/// Two attempts, two answers, every field of the hellos rewritten, a stranger who plays the host.
pub(super) const HANDSHAKES: Config = Config {
    name: "handshakes",
    hosts: &[HOST, HostSetup { key: 1, ..HOST }],
    attempts: 2,
    answers: 2,
    edits: true,
    frames: 0,
    ..BASE
};

/// Two sessions one after the other on the same service, two frames each way.
pub(super) const SUCCESSION: Config = Config {
    name: "succession",
    attempts: 2,
    answers: 2,
    frames: 2,
    stepwise: true,
    ..BASE
};

/// Two sessions beside each other on two services, two frames each way.
pub(super) const SPLICE: Config = Config {
    name: "splice",
    services: 2,
    attempts: 2,
    answers: 2,
    frames: 2,
    errors: false,
    ..BASE
};

/// Keys are removed while handshakes and sessions are open.
pub(super) const REMOVED: Config = Config {
    name: "removed keys",
    distrust: true,
    stepwise: true,
    attempts: 2,
    ..BASE
};

/// The host raises its generation between attempts on two services.
pub(super) const GENERATIONS: Config = Config {
    name: "generations",
    services: 2,
    attempts: 2,
    raises: 1,
    answers: 2,
    stepwise: true,
    errors: false,
    ..BASE
};

/// Two instances with a guest and a host endpoint each, and a key each.
pub(super) const INSTANCES: Config = Config {
    name: "instances",
    guests: &[
        GUEST,
        GuestSetup {
            key: 1,
            bound: None,
        },
    ],
    hosts: &[
        HOST,
        HostSetup {
            instance: 1,
            expects: Expects::Key(1),
            ..HOST
        },
    ],
    answers: 2,
    errors: false,
    ..BASE
};

/// As `INSTANCES`, where the guests are clones that still have one key.
pub(super) const ONE_KEY: Config = Config {
    name: "instances with one key",
    guests: &[
        GuestSetup {
            key: 0,
            bound: Some((0, 1)),
        },
        GuestSetup {
            key: 0,
            bound: Some((1, 1)),
        },
    ],
    hosts: &[
        HOST,
        HostSetup {
            instance: 1,
            ..HOST
        },
    ],
    ..INSTANCES
};

/// A host that pins the first key it sees, and two guests.
pub(super) const FIRST_USE: Config = Config {
    name: "first use",
    guests: &[
        GUEST,
        GuestSetup {
            key: 1,
            bound: None,
        },
    ],
    hosts: &[HostSetup {
        expects: Expects::FirstUse,
        ..HOST
    }],
    attempts: 2,
    stepwise: true,
    ..BASE
};

/// A guest is snapshotted at any time and restored twice, both clones alive beside the original.
pub(super) const RESTORE: Config = Config {
    name: "restore",
    attempts: 2,
    frames: 2,
    snapshots: 1,
    restores: 2,
    errors: false,
    ..BASE
};

/// Snapshots of clones: two at any time, one of them perhaps of what the other was restored to.
pub(super) const CHAIN: Config = Config {
    name: "restore of a restore",
    frames: 1,
    snapshots: 2,
    marks: Marks::Changing,
    ..RESTORE
};

/// A guest is snapshotted only when its sessions have been ended, and restored twice.
pub(super) const PLANNED: Config = Config {
    name: "planned",
    planned: true,
    sleeps: true,
    ..RESTORE
};

/// A clone of an unbound snapshot for each of two instances.
pub(super) const CLONES: Config = Config {
    name: "clones",
    frames: 1,
    hosts: &[
        HOST,
        HostSetup {
            instance: 1,
            ..HOST
        },
    ],
    attempts: 1,
    unbind: true,
    ..PLANNED
};

/// The host is snapshotted with its store, and restored twice.
pub(super) const HOST_RESTORE: Config = Config {
    name: "host restore",
    attempts: 1,
    answers: 2,
    host_snapshots: 1,
    host_restores: 2,
    host_marks: Marks::Unique,
    host_entropy: Freshness::Copied,
    errors: false,
    ..BASE
};
