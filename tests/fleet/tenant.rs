//! Tenants and their networks.

use core::net::Ipv4Addr;

use ipnet::Ipv4Net;
use mvm_core::document::Document;
use mvm_core::naming::{BridgeName, HostOffset, TenantNetId};
use mvm_core::tenant::{SubnetError, TENANT_BASE, TenantConfig, TenantNet, TenantQuota};
use mvm_core::text::Ipv4Subnet;
use proptest::prelude::*;

use crate::vectors::{Counts, assert_type, behaviour, constant, default_of, text};

#[test]
fn documents() {
    assert_type::<TenantConfig>("TenantConfig", Counts::new(5, 2, 27, 2));
    assert_type::<TenantQuota>("TenantQuota", Counts::new(5, 2, 18, 0));
    assert_type::<TenantNet>("TenantNet", Counts::new(5, 2, 17, 0));
}

#[test]
fn defaults_and_constants() {
    assert_eq!(
        serde_json::to_value(TenantQuota::default()).unwrap(),
        default_of("TenantQuota::default")
    );
    assert_eq!(constant("tenant::TENANT_BASE"), TENANT_BASE);
}

fn subnet(address: u32, prefix: u8) -> Ipv4Subnet {
    Ipv4Subnet::new(
        Ipv4Net::new(Ipv4Addr::from(address), prefix)
            .unwrap()
            .trunc(),
    )
    .unwrap()
}

/// The first and the last address, by arithmetic in 64 bits.
fn ends(address: u32, prefix: u8) -> (u64, u64) {
    let size = 1u64 << (32 - prefix);
    let first = u64::from(address) / size * size;
    (first, first + size - 1)
}

fn number(address: Ipv4Addr) -> u64 {
    u64::from(u32::from(address))
}

const ADDRESSES: [u32; 6] = [
    0,
    u32::MAX,
    0x0a_f0_03_00,
    0x0a_f0_03_ff,
    0xac_10_80_55,
    0x7f_ff_ff_fe,
];

#[test]
fn every_prefix_and_offset() {
    let id = TenantNetId::new(3).unwrap();
    for (address, prefix) in ADDRESSES
        .into_iter()
        .flat_map(|a| (0..=32).map(move |p| (a, p)))
    {
        let subnet = subnet(address, prefix);
        let (first, last) = ends(address, prefix);
        let room = last - first >= 3;
        assert_eq!(subnet.gateway().ok().map(number), room.then_some(first + 1));
        let Ok(gateway) = subnet.gateway() else {
            let (error, max) = (SubnetError::TooSmall { prefix, max: 30 }, 30);
            assert!(prefix > max);
            for any in [first, last] {
                let any = Ipv4Addr::from(u32::try_from(any).unwrap());
                assert_eq!(TenantNet::new(id, subnet, any), Err(error));
            }
            continue;
        };
        let net = TenantNet::new(id, subnet, gateway).unwrap();
        let mut free = Vec::new();
        for offset in (1..=254).map(|offset| HostOffset::new(offset).unwrap()) {
            let wanted = first + u64::from(offset.get());
            // Neither outside, nor the broadcast address.
            let host = (wanted < last).then_some(wanted);
            assert_eq!(
                subnet.host(offset).ok().map(number),
                host,
                "{subnet} {offset}"
            );
            let handed_out = host.filter(|host| *host != number(gateway));
            assert_eq!(net.address(offset).ok().map(number), handed_out);
            match net.instance(offset) {
                Ok(instance) => {
                    free.push(offset);
                    assert_eq!(Some(number(instance.guest_ip)), handed_out);
                    assert_eq!((instance.net, instance.offset), (id, offset));
                    assert_eq!(instance.gateway_ip, gateway);
                    assert_eq!(instance.prefix.get(), prefix);
                    assert!(instance.gateway_is_reachable());
                    assert!(number(instance.guest_ip) > first && number(instance.guest_ip) < last);
                }
                Err(SubnetError::Gateway { address }) => assert_eq!(address, gateway),
                Err(SubnetError::OffsetTooLarge {
                    offset: o,
                    last: l,
                    subnet: s,
                }) => {
                    assert_eq!((o, s), (offset, subnet));
                    assert_eq!(u64::from(l), (last - first - 1).min(254));
                    assert!(wanted >= last);
                }
                Err(error) => panic!("{subnet} {offset}: {error}"),
            }
        }
        assert!(net.offsets().eq(free));
        assert_eq!(
            net.offsets().count(),
            usize::try_from((last - first - 2).min(253)).unwrap()
        );
    }
}

#[test]
fn another_gateway_is_kept_free() {
    let subnet: Ipv4Subnet = "10.240.3.0/24".parse().unwrap();
    let id = TenantNetId::new(3).unwrap();
    for (gateway, error) in [
        ("10.240.3.254", None),
        ("10.240.4.1", Some("10.240.4.1 is not in 10.240.3.0/24")),
        (
            "10.240.3.0",
            Some("10.240.3.0 is the address of the network 10.240.3.0/24 itself"),
        ),
        (
            "10.240.3.255",
            Some("10.240.3.255 is the broadcast address of 10.240.3.0/24"),
        ),
    ] {
        let net = TenantNet::new(id, subnet, gateway.parse().unwrap());
        assert_eq!(
            net.as_ref().err().map(ToString::to_string).as_deref(),
            error
        );
        if let Ok(net) = net {
            assert!(net.offsets().map(HostOffset::get).eq(1..=253));
        }
    }
    // A gateway that instances would not reach, in a value that was not checked.
    let mut net = TenantNet::new(id, subnet, subnet.gateway().unwrap()).unwrap();
    net.gateway_ip = "10.240.4.1".parse().unwrap();
    let offset = HostOffset::new(5).unwrap();
    assert!(matches!(
        net.instance(offset),
        Err(SubnetError::Outside { .. })
    ));
}

#[test]
fn new_as_0_13_0() {
    let subnet: Ipv4Subnet = "10.240.3.0/24".parse().unwrap();
    let net = TenantNet::new(
        TenantNetId::new(3).unwrap(),
        subnet,
        subnet.gateway().unwrap(),
    );
    assert_eq!(
        serde_json::to_value(net.unwrap()).unwrap(),
        default_of("TenantNet::new(3, 10.240.3.0/24, 10.240.3.1)")
    );
}

#[test]
fn rules() {
    let check = |id: u32, subnet: &str, gateway: &str, bridge: &str| -> Vec<String> {
        let json = format!(
            r#"{{"tenant_net_id":{id},"ipv4_subnet":"{subnet}","gateway_ip":"{gateway}","bridge_name":"{bridge}"}}"#
        );
        match TenantNet::from_json(json.as_bytes()) {
            Ok(net) => {
                assert_eq!(net.validate(), Ok(()));
                Vec::new()
            }
            Err(invalid) => invalid.problems().iter().map(ToString::to_string).collect(),
        }
    };
    let none: [&str; 0] = [];
    assert_eq!(check(3, "10.240.3.0/24", "10.240.3.1", "br-tenant-3"), none);
    assert_eq!(check(3, "10.240.3.0/24", "10.240.3.9", "br-tenant-3"), none);
    assert_eq!(
        check(3, "10.240.3.0/24", "10.240.4.1", "br-tenant-4"),
        [
            "gateway_ip: 10.240.4.1 is not in 10.240.3.0/24",
            "bridge_name: contradicts tenant_net_id: expected br-tenant-3",
        ]
    );
    assert_eq!(
        check(3, "10.240.3.0/31", "10.240.3.1", "br-tenant-3"),
        ["ipv4_subnet: a /31 has no room for a gateway and instances: at most /30 has"]
    );
    // What cannot be read is told of once, and the rules that can be looked at all the same.
    assert_eq!(check(4096, "10.240.3.1/24", "x", "br-tenant-03").len(), 4);
    assert_eq!(
        check(3, "10.240.3.0/24", "10.240.3.0", "br-mvm"),
        [
            "gateway_ip: 10.240.3.0 is the address of the network 10.240.3.0/24 itself",
            "bridge_name: not the name of a bridge: expected br-tenant-<net>, decimal, no leading zeros",
        ]
    );
    // 0.13.0's lax rows.
    for row in behaviour("json_lax", 16) {
        if row["type"] == "TenantNet" {
            assert!(serde_json::from_str::<TenantNet>(text(&row, "input")).is_err());
        }
    }
}

#[test]
fn a_tenants_rules_reach_its_network() {
    let json = r#"{"tenant_id":"acme","quotas":{"max_vcpus":1,"max_mem_mib":1,"max_running":1,"max_warm":1,
        "max_pools":1,"max_instances_per_pool":1,"max_disk_gib":1},"net":{"tenant_net_id":1,
        "ipv4_subnet":"10.0.1.0/24","gateway_ip":"10.0.2.1","bridge_name":"br-tenant-2"},"secrets_epoch":0,
        "config_version":0,"pinned":false,"audit_retention_days":0,"created_at":"2025-01-01T00:00:00Z"}"#;
    let invalid = TenantConfig::from_json(json.as_bytes()).unwrap_err();
    let told: Vec<_> = invalid.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "net.gateway_ip: 10.0.2.1 is not in 10.0.1.0/24",
            "net.bridge_name: contradicts net.tenant_net_id: expected br-tenant-1",
        ]
    );
}

proptest! {
    #[test]
    fn overlap_is_a_common_address(a: u32, b: u32, flip in 0..=32u32, p in 0..=32u8, q in 0..=32u8) {
        // Half of the pairs are near each other.
        let b = if flip < 32 { a ^ (1 << flip) } else { b };
        let id = TenantNetId::new(1).unwrap();
        let net = |subnet: Ipv4Subnet| TenantNet {
            tenant_net_id: id,
            ipv4_subnet: subnet,
            gateway_ip: Ipv4Addr::UNSPECIFIED,
            bridge_name: BridgeName::new(id),
        };
        let (one, other) = (net(subnet(a, p)), net(subnet(b, q)));
        let ((a, b), (c, d)) = (ends(a, p), ends(b, q));
        prop_assert_eq!(one.overlaps(&other), a <= d && c <= b);
        prop_assert_eq!(other.overlaps(&one), one.overlaps(&other));
    }
}
