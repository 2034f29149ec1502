use mvm_core::routing as ours;
use old::routing as theirs;

use super::documents;
use crate::source::*;

impl Any for ours::PathPrefix {
    fn any(source: &mut Source<'_>) -> Self {
        Self::new(&prefix(source)).expect("the grammar")
    }
}

/// The beginning of a path.
fn prefix(source: &mut Source<'_>) -> String {
    let segment = |source: &mut Source<'_>| {
        let first = source.one_of(&["a", "Z", "%C3%A9", "*", "!$&'()*+,;=:@", "-._~"]);
        format!("/{first}{}", of(source, "aZ09._-~@", 0, 20))
    };
    let end = source.one_of(&["", "/"]);
    let path = list(segment)(source).concat() + end;
    if path.is_empty() { "/".into() } else { path }
}

documents! {
    record RoutingTable { routes }
    record Route { name, match_rule, target }
    record MatchRule { port: opt(number(1, 65_535)), path_prefix: opt(prefix), source_cidr: opt(cidr) }
    record RouteTarget { pool_id: id, instance_selector, target_port: opt(number(1, 65_535)) }
    choice InstanceSelector { Any, ByIp(ip), LeastConnections }
}
