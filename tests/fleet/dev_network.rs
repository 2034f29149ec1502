//! Development networks.

use core::num::NonZeroU8;

use mvm_core::dev_network::{DevNetwork, NetworkName};
use mvm_core::document::Document;
use mvm_core::text::InterfaceName;
use mvm_core::time::Timestamp;
use proptest::prelude::*;
use serde_json::Value;

use crate::vectors::{behaviour, rows, text};

/// 0.13.0 wrote its own time stamps with the offset `+00:00`; what is written here ends in `Z`. Everything
/// else is equal, and the instant too.
fn same(written: &str, wanted: &str) -> bool {
    let take = |json: &str| {
        let mut value: Value = serde_json::from_str(json).unwrap();
        let created = value["created_at"].take();
        (
            value,
            created.as_str().unwrap().parse::<Timestamp>().unwrap(),
        )
    };
    let members = |json: &str| json.find("created_at").map(|at| json[..at].to_owned());
    take(written) == take(wanted) && members(written) == members(wanted)
}

#[test]
fn documents() {
    let mut counts = [0; 4];
    for (folder, member, count) in [("json", "doc", 0), ("json_min", "full", 1)] {
        for row in rows(&format!("{folder}/DevNetwork.jsonl")) {
            counts[count] += 1;
            let network: DevNetwork = serde_json::from_str(text(&row, "doc")).unwrap();
            let written = serde_json::to_string(&network).unwrap();
            assert!(same(&written, text(&row, member)), "{row}: {written}");
            let again: DevNetwork = serde_json::from_str(&written).unwrap();
            assert_eq!(again, network);
        }
    }
    for (folder, count) in [("json_bad", 2), ("json_badid", 3)] {
        for row in rows(&format!("{folder}/DevNetwork.jsonl")) {
            counts[count] += 1;
            assert!(
                serde_json::from_str::<DevNetwork>(text(&row, "doc")).is_err(),
                "{row}"
            );
        }
    }
    assert_eq!(counts, [5, 2, 20, 0]);
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

#[test]
fn new_as_0_13_0() {
    let mut made = 0;
    for row in behaviour("dev_network_new", 6) {
        let name = NetworkName::new(text(&row, "name"));
        let slot = u8::try_from(row["slot"].as_u64().unwrap()).unwrap();
        let network = name
            .ok()
            .zip(NonZeroU8::new(slot))
            .map(|(name, slot)| DevNetwork::new(name, slot, now()));
        assert_eq!(network.is_some(), row["ok"], "{row}");
        let Some(network) = network else { continue };
        made += 1;
        assert_eq!(network.validate(), Ok(()));
        assert_eq!(network.created_at, now());
        let mut value = serde_json::to_value(&network).unwrap();
        value.as_object_mut().unwrap().remove("created_at");
        value["gateway_cidr"] = network.gateway_cidr().into();
        assert_eq!(value, row["out"]);
    }
    assert_eq!(made, 3);
}

#[test]
fn gateway_cidr() {
    for row in behaviour("gateway_cidr", 3) {
        let mut network = DevNetwork::default_network(now());
        network.subnet = text(&row, "subnet").parse().unwrap();
        network.gateway = text(&row, "gateway").parse().unwrap();
        assert_eq!(network.validate(), Ok(()));
        assert_eq!(network.gateway_cidr(), text(&row, "out"));
    }
}

#[test]
fn every_number() {
    let name = NetworkName::new("n").unwrap();
    let default = DevNetwork::default_network(now());
    assert_eq!(default.validate(), Ok(()));
    let mut subnets = vec![default.subnet];
    for number in (1..=255).map(|number| NonZeroU8::new(number).unwrap()) {
        let network = DevNetwork::new(name.clone(), number, now());
        assert_eq!(network.validate(), Ok(()));
        assert_eq!(network.subnet.gateway(), Ok(network.gateway));
        assert!(!subnets.iter().any(|subnet| subnet.overlaps(network.subnet)));
        subnets.push(network.subnet);
    }
}

#[test]
fn rules() {
    let mut network = DevNetwork::default_network(now());
    network.gateway = "172.16.1.1".parse().unwrap();
    assert_eq!(
        network.validate().unwrap_err().to_string(),
        "gateway: 172.16.1.1 is not in 172.16.0.0/24"
    );
    network.subnet = "172.16.1.1/32".parse().unwrap();
    assert_eq!(
        network.validate().unwrap_err().to_string(),
        "subnet: a /32 has no room for a gateway and instances: at most /30 has"
    );
}

/// Bridges that cannot be are refused, whoever wrote them.
#[test]
fn bridge_names_fit() {
    let json = |bridge: &str| {
        format!(
            r#"{{"name":"n","bridge_name":"{bridge}","subnet":"10.0.0.0/24","gateway":"10.0.0.1","created_at":"2025-01-01T00:00:00Z"}}"#
        )
    };
    for good in ["br-mvm", "a", "virbr0.1_x", "aaaaaaaaaaaaaaa"] {
        assert!(
            DevNetwork::from_json(json(good).as_bytes()).is_ok(),
            "{good}"
        );
    }
    for bad in ["", "aaaaaaaaaaaaaaaa", "-a", ".a", "a/b", "a b", "a:b", "é"] {
        assert!(
            DevNetwork::from_json(json(bad).as_bytes()).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn bridges_of_long_names_do_not_collide() {
    let bridge = |name: &str| NetworkName::new(name).unwrap().bridge().to_string();
    let mut seen = Vec::new();
    for len in 1..=63 {
        for letter in ["a", "b"] {
            // The same but for the last character.
            for last in ["a", "b", "c"] {
                seen.push(bridge(&(letter.repeat(len - 1) + last)));
            }
        }
    }
    seen.sort();
    seen.dedup();
    // Of one character the first letter does not matter.
    assert_eq!(seen.len(), 62 * 6 + 3);
}

proptest! {
    #[test]
    fn bridges(name in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?") {
        let bridge = NetworkName::new(&name).unwrap().bridge();
        prop_assert_eq!(&InterfaceName::new(&bridge).unwrap(), &bridge);
        if name.len() <= 8 {
            prop_assert_eq!(&*bridge, format!("br-mvm-{name}"));
        } else {
            // No name of a network has `_` in it.
            prop_assert!(bridge.starts_with("bm_") && bridge.len() == 15);
        }
    }
}
