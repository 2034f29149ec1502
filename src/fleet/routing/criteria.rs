//! What routes ask for, in a form that can be sorted.

use core::cmp::Ordering;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::fleet::text::Subnet;

/// The criteria of one route. Equal port, prefix and source mean that the same traffic is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Criteria<'a> {
    /// The route's place in the table.
    pub(super) route: usize,
    pub(super) port: Option<u16>,
    /// [`trimmed`](super::path::trimmed).
    pub(super) prefix: Option<&'a [u8]>,
    pub(super) source: Option<Network>,
}

impl Criteria<'_> {
    /// Brings routes with one port and prefix together; among them the one without a network comes first, then
    /// each network before those within it, then the order of the table. A prefix comes before those that it
    /// is the beginning of.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        self.port
            .cmp(&other.port)
            .then_with(|| match (self.prefix, other.prefix) {
                (Some(one), Some(other)) => compare(one, other, 0).0,
                (one, other) => one.is_some().cmp(&other.is_some()),
            })
            .then_with(|| self.source.cmp(&other.source))
            .then_with(|| self.route.cmp(&other.route))
    }

    /// Whether there is a criterion at all.
    pub(super) const fn asks(&self) -> bool {
        self.port.is_some() || self.prefix.is_some() || self.source.is_some()
    }

    /// Whether only the network can tell them apart.
    pub(super) fn same_group(&self, other: &Self) -> bool {
        self.port == other.port && self.prefix == other.prefix
    }
}

/// Compares paths as lists of segments, and counts the bytes that they begin with in common: a slash is less
/// than any other byte. So all paths that begin with one of the segments follow it without a gap.
///
/// The first `equal` bytes are known to be the same.
pub(super) fn compare(one: &[u8], other: &[u8], equal: usize) -> (Ordering, usize) {
    let shorter = one.len().min(other.len());
    let rest = |text| <[u8]>::get(text, equal..shorter).unwrap_or_default();
    let differ = rest(one)
        .iter()
        .zip(rest(other))
        .position(|(one, other)| one != other);
    let common = differ.map_or(shorter, |differ| equal.saturating_add(differ));
    let order = match (one.get(common), other.get(common)) {
        (Some(b'/'), Some(_)) => Ordering::Less,
        (Some(_), Some(b'/')) => Ordering::Greater,
        // What ends comes first.
        (one, other) => one.cmp(&other),
    };
    (order, common)
}

/// Of which family an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// The last address.
    pub(super) const fn last(self) -> u128 {
        match self {
            Self::V4 => LOW_32,
            Self::V6 => u128::MAX,
        }
    }
}

/// An address as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) family: Family,
    pub(super) number: u128,
}

impl Address {
    /// An IPv4-mapped address is the IPv4 address that it means.
    pub(super) fn new(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self {
                family: Family::V4,
                number: u32::from(address).into(),
            },
            IpAddr::V6(address) => Self {
                family: Family::V6,
                number: address.into(),
            },
        }
    }
}

const LOW_32: u128 = 0xffff_ffff;

/// `::ffff:0:0/96`: no source is there, see [`Address::new`].
const MAPPED: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

/// A network, as its first and last address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) family: Family,
    pub(super) first: u128,
    pub(super) last: u128,
}

impl Network {
    /// A network of IPv4-mapped addresses is the IPv4 network that it means.
    pub(super) fn new(subnet: Subnet) -> Self {
        let number = |address: Ipv4Addr| u128::from(u32::from(address));
        match subnet.net() {
            IpNet::V4(net) => Self {
                family: Family::V4,
                first: number(net.network()),
                last: number(net.broadcast()),
            },
            IpNet::V6(net) => {
                let ends: [Ipv6Addr; 2] = [net.network(), net.broadcast()];
                match ends.map(|end| end.to_ipv4_mapped()) {
                    [Some(first), Some(last)] => Self {
                        family: Family::V4,
                        first: number(first),
                        last: number(last),
                    },
                    _ => Self {
                        family: Family::V6,
                        first: net.network().into(),
                        last: net.broadcast().into(),
                    },
                }
            }
        }
    }

    /// Whether the address lies in it.
    pub(super) fn contains(&self, address: Address) -> bool {
        self.family == address.family && (self.first..=self.last).contains(&address.number)
    }
}

impl PartialOrd for Network {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Network {
    /// A network comes before those within it.
    fn cmp(&self, other: &Self) -> Ordering {
        self.family
            .cmp(&other.family)
            .then(self.first.cmp(&other.first))
            .then(other.last.cmp(&self.last))
    }
}

/// Addresses without a gap that all go to one route, or to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u128,
    pub(super) last: u128,
    pub(super) route: Option<usize>,
}

impl Span {
    /// Whether some source can be in it.
    pub(super) const fn has_sources(&self, family: Family) -> bool {
        matches!(family, Family::V4) || self.first < MAPPED.0 || MAPPED.1 < self.last
    }
}

/// Cuts all addresses of a family into spans, from the first to the last: each goes to the route with the smallest
/// network around it, and where there is none, to `default`.
///
/// `routes` are those of the family in their [`order`](Criteria::order); of one network the first counts. There are
/// at most two spans for each of them, and one more.
pub(super) fn spans(
    family: Family,
    routes: &[Criteria<'_>],
    default: Option<usize>,
    mut emit: impl FnMut(Span),
) {
    // Where the next span begins; `None` behind the last address.
    let mut next = Some(0);
    let mut emit_to = |last: u128, route: Option<usize>| {
        if let Some(first) = next.filter(|&first| first <= last) {
            emit(Span { first, last, route });
            next = last.checked_add(1);
        }
    };
    // The networks around the present place, each within the one before: 129 at most.
    let mut around: alloc::vec::Vec<(Network, usize)> = alloc::vec::Vec::new();
    for criteria in routes {
        let Some(network) = criteria.source else {
            continue;
        };
        while let Some(&(outer, route)) = around.last() {
            if network.first <= outer.last {
                break;
            }
            emit_to(outer.last, Some(route));
            around.pop();
        }
        if around.last().is_some_and(|&(outer, _)| outer == network) {
            continue;
        }
        if let Some(before) = network.first.checked_sub(1) {
            let outer = around.last().map(|&(_, route)| route);
            emit_to(before, outer.or(default));
        }
        around.push((network, criteria.route));
    }
    while let Some((network, route)) = around.pop() {
        emit_to(network.last, Some(route));
    }
    emit_to(family.last(), default);
}
