//! A gate that looks at commands before they run.

use alloc::string::String;

use crate::fleet::document::{document, document_enum, names};

document_enum! {
    /// What the gate says of a command.
    #[derive(Eq)]
    pub enum GateDecision {
        /// It may run.
        Allow,
        /// It must not run.
        Blocked {
            /// The pattern that it matched.
            pattern: String,
            /// Why, for people.
            reason: String,
        },
        /// It must not run before somebody approves.
        RequiresApproval {
            /// Why, for people.
            reason: String,
        },
    }
}

document_enum! {
    /// What came of asking for approval: of the coordinator, or of a policy for development.
    #[derive(Eq)]
    pub enum ApprovalVerdict {
        /// The command may run.
        Approved,
        /// It must not.
        Denied {
            /// Why, for people.
            reason: String,
        },
        /// Nobody answered in time: it must not.
        Timeout,
    }
}

names! {
    /// What happens to a command that matches an entry of the blocklist.
    pub enum BlocklistAction {
        /// It does not run.
        Block = "Block",
        /// It waits for approval.
        RequireApproval = "RequireApproval",
        /// It runs, and that is written down.
        Log = "Log",
    }
}

names! {
    /// How bad a command is that matches an entry of the blocklist, in ascending order.
    pub enum BlocklistSeverity {
        /// Not bad.
        Low = "Low",
        /// Bad if it comes together with others.
        Medium = "Medium",
        /// Bad.
        High = "High",
        /// It must never run.
        Critical = "Critical",
    }
}

document! {
    /// An entry of the blocklist.
    #[derive(Eq)]
    pub struct BlocklistEntry {
        /// What a command must match: a text with the wildcards `*` (any text) and `?` (any character).
        pattern: String,
        /// What kind of command it is, for people: `destructive`, `exfiltration`, …
        category: String,
        /// How bad it is.
        severity: BlocklistSeverity,
        /// What happens to it.
        action: BlocklistAction,
    }
}
