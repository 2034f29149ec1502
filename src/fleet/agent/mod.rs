//! What a coordinator and the agent of a node say to each other.
//!
//! - [`DesiredState`] is what a node should have: a coordinator sends it in
//!   [`AgentRequest::ReconcileSigned`] (for development also unsigned, [`AgentRequest::Reconcile`]). Which one a node applies, [`admission`] decides.
//! - [`AgentRequest`] and [`AgentResponse`] are the messages, one name and its members each:
//!   `{"WakeInstance":{"tenant_id":"acme",…}}`, and a name alone where there are no members: `"NodeInfo"`.
//! - [`ReconcileReport`], [`InstanceHealthReport`], [`StateDumpContent`] and the like are what the responses hold.
//!
//! ```
//! use mvm_core::agent::AgentRequest;
//! use mvm_core::document::Document;
//!
//! let json = br#"{"InstanceAction": {
//!     "tenant_id": "acme", "pool_id": "Workers", "instance_id": "i-0a1b2c3d", "action": "Restart"
//! }}"#;
//! let invalid = AgentRequest::from_json(json).unwrap_err();
//! let paths: Vec<_> = invalid.problems().iter().map(|problem| problem.path.as_str()).collect();
//! assert_eq!(paths, ["InstanceAction.pool_id", "InstanceAction.action"]);
//! ```

pub mod admission;
mod desired;
mod opaque;
mod report;
mod request;
mod response;
mod rules;

pub use crate::instance::InstanceAction;
pub use desired::{
    DesiredPool, DesiredState, DesiredTenant, DesiredTenantNetwork, MAX_DESIRED_PER_STATE,
};
pub use opaque::OpaqueJson;
pub use report::{
    DeploymentPhase, InstanceHealthReport, IntegrationHealthSummary, PoolStateDump,
    ProbeResultSummary, ReconcileHistoryEntry, ReconcileReport, StateDumpContent, TenantStateDump,
};
pub use request::{AgentRequest, BatchActionItem, PoolActionType};
pub use response::{AgentResponse, BatchActionItemResult};
pub use rules::DESIRED_STATE_SCHEMA;
