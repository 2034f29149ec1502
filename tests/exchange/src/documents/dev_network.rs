use mvm_core::dev_network as ours;
use old::dev_network as theirs;

use super::documents;
use crate::source::*;

/// The name of an interface.
pub(super) fn interface(source: &mut Source<'_>) -> String {
    let first = source.one_of(&["b", "br-mvm", "0"]);
    format!("{first}{}", of(source, "aZ09._-", 0, 9))
}

documents! {
    record DevNetwork {
        name: id, bridge_name: interface, subnet: cidr4, gateway: ip4, created_at: any_time,
    }
}
