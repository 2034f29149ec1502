//! What coordinator and agent say to each other.

use mvm_core::agent::{
    AgentRequest, AgentResponse, BatchActionItem, BatchActionItemResult, DeploymentPhase,
    DesiredPool, DesiredState, DesiredTenant, DesiredTenantNetwork, InstanceAction,
    InstanceHealthReport, IntegrationHealthSummary, MAX_DESIRED_PER_STATE, PoolActionType,
    PoolStateDump, ProbeResultSummary, ReconcileHistoryEntry, ReconcileReport, StateDumpContent,
    TenantStateDump,
};
use mvm_core::document::{Document, Reason};
use mvm_core::instance::InstanceStatus;
use mvm_core::text::Finite;
use serde_json::{Value, json};

use crate::support::{assert_default, assert_document, assert_names, assert_variants, counts};
use crate::vectors::{assert_type, behaviour, rows, text};

#[test]
fn documents() {
    assert_document::<DesiredTenantNetwork>("DesiredTenantNetwork", [5, 1, 12, 0]);
    assert_document::<DeploymentPhase>("DeploymentPhase", [7, 0, 20, 0]);
    assert_document::<BatchActionItem>("BatchActionItem", [5, 2, 19, 6]);
    assert_document::<PoolActionType>("PoolActionType", [8, 4, 33, 0]);
    assert_document::<BatchActionItemResult>("BatchActionItemResult", [5, 5, 19, 6]);
    assert_document::<InstanceHealthReport>("InstanceHealthReport", [6, 7, 21, 9]);
    assert_document::<IntegrationHealthSummary>("IntegrationHealthSummary", [5, 3, 12, 0]);
    assert_document::<ProbeResultSummary>("ProbeResultSummary", [5, 4, 12, 0]);
    assert_document::<ReconcileHistoryEntry>("ReconcileHistoryEntry", [5, 5, 14, 0]);
    assert_document::<TenantStateDump>("TenantStateDump", [6, 6, 11, 6]);
    assert_document::<PoolStateDump>("PoolStateDump", [6, 6, 14, 5]);
    assert_document::<StateDumpContent>("StateDumpContent", [6, 7, 16, 8]);
    assert_document::<ReconcileReport>("ReconcileReport", [5, 5, 24, 0]);
    assert_document::<InstanceAction>("InstanceAction", [6, 0, 18, 0]);
    assert_document::<AgentResponse>("AgentResponse", [65, 69, 219, 38]);
}

/// Nobody knows what is in what is only passed on.
#[test]
fn what_is_passed_on_is_not_shown() {
    let request = json!({"SandboxAction": {
        "tenant_id": "acme", "pool_id": "workers", "instance_id": "i-0a1b2c3d",
        "request": {"Exec": {"env": {"TOKEN": "hunter2"}}},
    }});
    let text = request.to_string();
    let read = AgentRequest::from_json(text.as_bytes()).unwrap();
    let shown = format!("{read:?} {read:#?}");
    assert!(
        shown.contains("i-0a1b2c3d") && !shown.contains("TOKEN"),
        "{shown}"
    );
    assert_eq!(serde_json::to_value(&read).unwrap(), request);

    for (name, members) in [
        (
            "SandboxResult",
            json!({"success": true, "response": ["hunter2"]}),
        ),
        (
            "SyncEventsResult",
            json!({"events": ["hunter2", 5], "current_sequence": 1}),
        ),
    ] {
        let response = json!({ name: members });
        let read: AgentResponse = serde_json::from_value(response.clone()).unwrap();
        let shown = format!("{read:?}");
        assert!(
            shown.contains("OpaqueJson") && !shown.contains("hunter2"),
            "{shown}"
        );
        assert_eq!(serde_json::to_value(&read).unwrap(), response);
    }
}

/// These have rules between values, of which serde knows nothing.
#[test]
fn documents_with_rules() {
    assert_type::<DesiredState>("DesiredState", counts(6, 7, 27, 5));
    assert_type::<DesiredTenant>("DesiredTenant", counts(6, 7, 21, 4));
    assert_type::<DesiredPool>("DesiredPool", counts(6, 7, 29, 4));
    assert_type::<AgentRequest>("AgentRequest", counts(61, 54, 223, 64));
}

#[test]
fn names() {
    assert_names("DeploymentPhase", DeploymentPhase::ALL);
    assert_names("InstanceAction", &InstanceAction::ALL);
    assert_variants::<PoolActionType>("PoolActionType");
    assert_variants::<AgentRequest>("AgentRequest");
    assert_variants::<AgentResponse>("AgentResponse");
}

#[test]
fn defaults_and_constants() {
    assert_default("ReconcileReport::default", ReconcileReport::default());
    let table = behaviour("constants", 10);
    let row = table
        .iter()
        .find(|row| row["name"] == "agent::MAX_DESIRED_PER_STATE");
    assert_eq!(row.unwrap()["value"], MAX_DESIRED_PER_STATE);
}

/// What goes through opaque keeps its members, in the order of their names as by 0.13.0.
#[test]
fn opaque_values() {
    let table = behaviour("json_lax", 16);
    let row = table
        .iter()
        .find(|row| row["type"] == "AgentRequest")
        .unwrap();
    let request: AgentRequest = serde_json::from_str(text(row, "input")).unwrap();
    assert_eq!(serde_json::to_string(&request).unwrap(), text(row, "out"));
}

/// A health that is no number cannot be made. 0.13.0 wrote `null` for it, which is read as not known.
#[test]
fn healths_are_finite() {
    let mut seen = 0;
    for row in behaviour("nonfinite_floats", 8) {
        if row["type"] == "AgentResponse" {
            let value: f64 = text(&row, "value").parse().unwrap();
            assert_eq!(Finite::new(value), Err(Reason::NotFinite));
            let read: AgentResponse = serde_json::from_str(text(&row, "json")).unwrap();
            let AgentResponse::DeploymentStatus { canary_health, .. } = &read else {
                panic!("{row}");
            };
            assert_eq!(*canary_health, None);
            assert_eq!(serde_json::to_string(&read).unwrap(), text(&row, "json"));
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}

/// The status after an action: a name, or nothing where nobody knows.
#[test]
fn statuses_that_are_not_known() {
    let result = |status: &str| {
        let json =
            format!(r#"{{"InstanceActionResult":{{"success":false,"new_status":"{status}"}}}}"#);
        let read = AgentResponse::from_json(json.as_bytes())?;
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        let AgentResponse::InstanceActionResult { new_status, .. } = read else {
            panic!("{json}");
        };
        Ok(new_status)
    };
    assert_eq!(result(""), Ok(None));
    for status in InstanceStatus::ALL {
        assert_eq!(result(status.as_str()), Ok(Some(status)));
    }
    let invalid: Result<_, mvm_core::document::Invalid> = result("Running");
    let invalid = invalid.unwrap_err();
    assert_eq!(
        invalid.problems()[0].path,
        "InstanceActionResult.new_status"
    );

    let result = |phase: &str| {
        let json = format!(
            r#"{{"DeploymentControlResult":{{"success":true,"pool_id":"p","new_phase":"{phase}","message":""}}}}"#
        );
        let read = AgentResponse::from_json(json.as_bytes()).ok()?;
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        let AgentResponse::DeploymentControlResult { new_phase, .. } = read else {
            panic!("{json}");
        };
        Some(new_phase)
    };
    assert_eq!(result(""), Some(None));
    assert_eq!(
        result("rolled_back"),
        Some(Some(DeploymentPhase::RolledBack))
    );
    assert_eq!(result("RolledBack"), None);
}

/// The full state of the vectors.
fn state() -> Value {
    let rows = rows("json/DesiredState.jsonl");
    let row = rows.iter().find(|row| row["case"] == "full").unwrap();
    serde_json::from_str(text(row, "doc")).unwrap()
}

/// A typing mistake is no member that is ignored.
#[test]
fn unknown_members_are_refused() {
    for (pointer, path) in [
        ("", "sequense"),
        ("/tenants/0", "tenants[0].sequense"),
        ("/tenants/0/network", "tenants[0].network.sequense"),
        ("/tenants/0/pools/0", "tenants[0].pools[0].sequense"),
    ] {
        let mut state = state();
        state.pointer_mut(pointer).unwrap()["sequense"] = json!(1);
        let json = state.to_string();
        let error = serde_json::from_str::<DesiredState>(&json).unwrap_err();
        assert!(error.to_string().contains("sequense"), "{error}");
        let invalid = DesiredState::from_json(json.as_bytes()).unwrap_err();
        assert_eq!(invalid.problems()[0].path, path);
        assert!(matches!(invalid.problems()[0].reason, Reason::Shape(_)));
    }
}

/// Every value that is wrong in a desired state is told of, with its path.
#[test]
fn every_value_has_its_path() {
    let mut state = state();
    let bad = [
        ("/node_id", json!("-")),
        ("/tenants/0/tenant_id", json!("A")),
        ("/tenants/0/network/tenant_net_id", json!(4096)),
        ("/tenants/0/network/ipv4_subnet", json!("10.0.0.1/24")),
        ("/tenants/0/secrets_hash", json!("a b")),
        ("/tenants/0/pools/0/pool_id", json!("")),
        ("/tenants/0/pools/0/flake_ref", json!(". ; rm")),
        ("/tenants/0/pools/0/role", json!("boss")),
        ("/tenants/0/pools/0/seccomp_policy", json!("none")),
        ("/tenants/0/pools/0/snapshot_compression", json!("gzip")),
    ];
    for (pointer, value) in &bad {
        *state.pointer_mut(pointer).unwrap() = value.clone();
    }
    let invalid = DesiredState::from_json(state.to_string().as_bytes()).unwrap_err();
    let paths: Vec<_> = invalid
        .problems()
        .iter()
        .map(|it| it.path.as_str())
        .collect();
    for (pointer, _) in bad {
        let path = pointer[1..].replace("/0", "[0]").replace('/', ".");
        assert!(paths.contains(&path.as_str()), "{path} in {paths:?}");
    }
    // In a request the path begins with its name.
    let request = json!({"Reconcile": state});
    let invalid = AgentRequest::from_json(request.to_string().as_bytes()).unwrap_err();
    let found = |path: &str| invalid.problems().iter().any(|it| it.path == path);
    assert!(found("Reconcile.tenants[0].pools[0].flake_ref"));
}
