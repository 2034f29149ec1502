//! Ids, addresses, hashes, numbers of our own types.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use mvm_core::dev_network::NetworkName;
use mvm_core::idle_metrics::CpuPercent;
use mvm_core::instance::{Pid, PrefixLen};
use mvm_core::naming::*;
use mvm_core::security::LegacySessionId;
use mvm_core::text::{Finite, FlakeRefText, HashText, InterfaceName, Ipv4Subnet, Ratio, Subnet};
use mvm_core::time::Timestamp;

use crate::source::*;

macro_rules! texts {
    ($($ty:ty: $kind:expr),* $(,)?) => {$(
        impl Any for $ty {
            fn any(source: &mut Source<'_>) -> Self {
                let text = $kind(source);
                text.parse().unwrap_or_else(|error| panic!("{}: {text:?}: {error}", stringify!($ty)))
            }
        }
    )*};
}

texts! {
    TenantId: id,
    PoolId: id,
    InstanceId: id,
    NodeId: id,
    SignerId: id,
    VmName: id,
    LegacySessionId: id,
    NetworkName: id,
    InterfaceName: super::dev_network::interface,
    BridgeName: super::tenant::bridge,
    TemplateId: template,
    RevisionHash: revision,
    FlakeRefText: flake,
    HashText: hash,
    Timestamp: time,
}

macro_rules! numbers {
    ($($ty:ty: $min:expr, $max:expr);* $(;)?) => {$(
        impl Any for $ty {
            fn any(source: &mut Source<'_>) -> Self {
                Self::new(number($min, $max)(source)).expect("in range")
            }
        }
    )*};
}

numbers! {
    TenantNetId: 0, 4095;
    HostOffset: 1, 254;
    PrefixLen: 0, 32;
    Pid: 1, 2_147_483_647;
    NonZeroU16: 1, 65_535;
}

impl Any for CpuPercent {
    fn any(source: &mut Source<'_>) -> Self {
        Self::new(f32::any(source).abs()).expect("finite and not negative")
    }
}

impl Any for Finite {
    fn any(source: &mut Source<'_>) -> Self {
        Self::new(any(source)).expect("finite")
    }
}

impl Any for Ratio {
    fn any(source: &mut Source<'_>) -> Self {
        Self::new(super::pool::share(source)).expect("0 to 1")
    }
}

impl Any for Ipv4Addr {
    fn any(source: &mut Source<'_>) -> Self {
        ip4_of(source)
    }
}

impl Any for IpAddr {
    fn any(source: &mut Source<'_>) -> Self {
        ip_of(source)
    }
}

impl Any for Ipv4Subnet {
    fn any(source: &mut Source<'_>) -> Self {
        Self::new(cidr4_of(source)).expect("no host bits")
    }
}

impl Any for Subnet {
    fn any(source: &mut Source<'_>) -> Self {
        Self::new(cidr_of(source)).expect("no host bits")
    }
}
