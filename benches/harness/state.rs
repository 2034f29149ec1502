//! A desired state of any size: what a coordinator of a large fleet would send.

use std::fmt::Write;

/// Of how many pools a tenant consists.
const POOLS_OF_A_TENANT: usize = 25;

/// A valid state of so many pools, as 0.13.0 writes it: with secrets for every second pool, an artifact for
/// every third, a strategy for every fourth, and routes in every 25th.
pub(crate) fn desired_state(pools: usize) -> String {
    let mut json = String::with_capacity(pools * 800 + 1024);
    json.push_str(r#"{"schema_version":1,"node_id":"node-a1b2c3","tenants":["#);
    for tenant in 0..pools.div_ceil(POOLS_OF_A_TENANT) {
        let (high, low) = (tenant / 256, tenant % 256);
        let comma = if tenant > 0 { "," } else { "" };
        write!(
            json,
            r#"{comma}{{"tenant_id":"tenant-{tenant:06}","network":{{"tenant_net_id":{tenant},"ipv4_subnet":"10.{high}.{low}.0/24"}},"quotas":{{"max_vcpus":1000,"max_mem_mib":1048576,"max_running":100,"max_warm":100,"max_pools":50,"max_instances_per_pool":16,"max_disk_gib":10000}},"secrets_hash":"sha256:0f343b0931126a20f133d67c2b018a3b","pools":["#
        )
        .unwrap();
        let first = tenant * POOLS_OF_A_TENANT;
        for number in first..pools.min(first + POOLS_OF_A_TENANT) {
            if number > first {
                json.push(',');
            }
            pool(&mut json, number, number == first);
        }
        json.push_str(r#"],"preferred_regions":[]}"#);
    }
    json.push_str(r#"],"prune_unknown_tenants":false,"prune_unknown_pools":true,"sequence":4711}"#);
    json
}

fn pool(json: &mut String, number: usize, gateway: bool) {
    let role = if gateway { "gateway" } else { "worker" };
    let routes = if gateway {
        format!(
            r#"{{"routes":[{{"name":"api","match_rule":{{"port":443,"path_prefix":"/api","source_cidr":null}},"target":{{"pool_id":"pool-{number:06}","instance_selector":"any","target_port":8080}}}},{{"name":"","match_rule":{{"port":443,"path_prefix":null,"source_cidr":"10.0.0.0/8"}},"target":{{"pool_id":"pool-{number:06}","instance_selector":"least_connections","target_port":null}}}}]}}"#
        )
    } else {
        "null".into()
    };
    let scopes = if number.is_multiple_of(2) {
        r#"[{"integration":"whatsapp","keys":["OPENAI_API_KEY","WHATSAPP_TOKEN"]}]"#
    } else {
        "[]"
    };
    let artifact = if number.is_multiple_of(3) {
        r#"{"template_id":"base-worker","revision":"d69b5d505c1fe7522425d748753f0f4d"}"#
    } else {
        "null"
    };
    let strategy = if number.is_multiple_of(4) {
        r#"{"type":"rolling","max_unavailable":1,"max_surge":2,"health_check_timeout_secs":60}"#
    } else {
        "null"
    };
    write!(
        json,
        r#"{{"pool_id":"pool-{number:06}","flake_ref":"github:acme/agents?rev=d69b5d505c1fe752#pool-{number}","profile":"minimal","role":"{role}","instance_resources":{{"vcpus":2,"mem_mib":1024,"data_disk_mib":2048}},"desired_counts":{{"running":2,"warm":1,"sleeping":3}},"runtime_policy":{{"min_running_seconds":60,"min_warm_seconds":30,"drain_timeout_seconds":30,"graceful_shutdown_seconds":15}},"seccomp_policy":"strict","snapshot_compression":"zstd","routing_table":{routes},"secret_scopes":{scopes},"sleep_policy":{{"warm_threshold_secs":300,"sleep_threshold_secs":900,"cpu_threshold":5.0,"net_bytes_threshold":1024}},"default_update_strategy":{strategy},"registry_artifact":{artifact}}}"#
    )
    .unwrap();
}
