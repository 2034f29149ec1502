//! What instances may do, what was found of them, and how well a node is protected: the policies and findings that
//! configuration drives, audit entries and reports hold.
//!
//! - [`SecurityPolicy`] is what a guest is told when it boots.
//! - [`BlocklistEntry`], [`GateDecision`] and [`ApprovalVerdict`] are the vocabulary of a gate that looks at commands
//!   before they run; [`ThreatFinding`] is what a classifier found in one.
//! - [`PostureReport`] says which of the [`SecurityLayer`]s of a node are in place.
//!
//! # Legacy frames
//! [`AuthenticatedFrame`], [`SessionHello`] and [`SessionHelloAck`] are 0.13.0's protocol between host and guest. They
//! are here to be read, shown and converted, **not to be trusted**: the signature covers neither session,
//! sequence nor time, a guest signs whatever challenge it is given, and a host accepts any guest's key. What host and guest
//! say to each other goes through [`session`](crate::session).

mod frames;
mod gate;
mod policy;
mod posture;
mod threat;

pub use frames::{
    AuthenticatedFrame, LegacySessionId, PROTOCOL_VERSION_AUTHENTICATED, PROTOCOL_VERSION_LEGACY,
    SessionHello, SessionHelloAck,
};
pub use gate::{ApprovalVerdict, BlocklistAction, BlocklistEntry, BlocklistSeverity, GateDecision};
pub use policy::{AccessPolicy, RateLimitPolicy, SecurityPolicy, SessionPolicy};
pub use posture::{PostureCheck, PostureReport, SecurityLayer};
pub use threat::{MatchedText, Severity, ThreatCategory, ThreatFinding};
