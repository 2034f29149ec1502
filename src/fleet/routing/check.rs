//! The rules of a table: every route has a criterion, and takes some traffic.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::criteria::{Criteria, Family, Network, Span, spans};
use super::path::{trimmed, validate};
use super::{InstanceSelector, MatchRule, RouteTarget, RoutingTable};
use crate::fleet::document::{At, Field, Problems, Reason};
use crate::fleet::text::Subnet;

/// How many routes are named that together take everything before another one.
const NAMED_MAX: usize = 3;

/// What is wrong with a route.
enum Fault {
    NoCriterion,
    /// An earlier route has the same criteria.
    Same(usize),
    /// Others take everything before it: the first of them, and one more if there are more than can be named.
    Others(Vec<usize>),
}

/// Takes n log n steps for n routes.
pub(super) fn rules(
    table: &<RoutingTable as Field>::Raw<'_>,
    at: &At<'_>,
    problems: &mut Problems,
) {
    let mut faults = Vec::new();
    // A route by itself takes some traffic. Most tables of a desired state are short.
    let several = table.routes.len() > 1;
    let mut all = Vec::with_capacity(if several { table.routes.len() } else { 0 });
    for (route, raw) in table.routes.iter().enumerate() {
        let rule = &raw.match_rule;
        if rule.port.is_none() && rule.path_prefix.is_none() && rule.source_cidr.is_none() {
            faults.push((route, Fault::NoCriterion));
        } else if several {
            all.extend(criteria(route, rule));
        }
    }
    all.sort_unstable_by(Criteria::order);
    unreached(&all, &mut faults);
    // As they stand in the document.
    faults.sort_unstable_by_key(|&(route, _)| route);

    let routes = at.member("routes");
    for (route, fault) in faults {
        let at = routes.item(route);
        match fault {
            Fault::NoCriterion => problems.add(&at.member("match_rule"), Reason::NoCriterion),
            Fault::Same(other) => problems.add_with(&at, || {
                let path = routes.item(other).path();
                match (table.routes.get(route), table.routes.get(other)) {
                    (Some(one), Some(other)) if same_target(&one.target, &other.target) => {
                        Reason::Duplicate { first: path }
                    }
                    _ => Reason::Shadowed { by: path },
                }
            }),
            Fault::Others(others) => problems.add_with(&at, || Reason::Shadowed {
                by: names(&routes, &others),
            }),
        }
    }
}

/// The criteria of a route that is not read yet; `None` where one is not valid, which is told of when it is read.
fn criteria<'a>(route: usize, rule: &'a <MatchRule as Field>::Raw<'_>) -> Option<Criteria<'a>> {
    if rule.port == Some(0) {
        return None;
    }
    let prefix = match &rule.path_prefix {
        None => None,
        Some(text) => {
            validate(text).ok()?;
            Some(trimmed(text))
        }
    };
    let source = match &rule.source_cidr {
        None => None,
        Some(text) => Some(Network::new(text.parse::<Subnet>().ok()?)),
    };
    Some(Criteria {
        route,
        port: rule.port,
        prefix,
        source,
    })
}

/// Whether every route has a criterion and takes some traffic. They are in [`order`](Criteria::order).
pub(super) fn is_valid(all: &[Criteria<'_>]) -> bool {
    let mut faults = Vec::new();
    unreached(all, &mut faults);
    faults.is_empty() && all.iter().all(Criteria::asks)
}

/// Finds the routes that take nothing. They are in [`order`](Criteria::order).
fn unreached(all: &[Criteria<'_>], faults: &mut Vec<(usize, Fault)>) {
    for group in all.chunk_by(Criteria::same_group) {
        if group.len() > 1 {
            unreached_in(group, faults);
        }
    }
}

/// [`unreached`] of routes that only their networks tell apart.
fn unreached_in(group: &[Criteria<'_>], faults: &mut Vec<(usize, Fault)>) {
    let no_network = group.partition_point(|criteria| criteria.source.is_none());
    let (bare, networks) = group.split_at_checked(no_network).unwrap_or_default();
    let default = bare.first().map(|criteria| criteria.route);

    let mut all = Vec::with_capacity(networks.len().saturating_mul(2));
    let (v4, v6) = by_family(networks);
    for (family, routes) in [(Family::V4, v4), (Family::V6, v6)] {
        spans(family, routes, default, |span| {
            if span.has_sources(family) {
                all.push((family, span));
            }
        });
    }
    let mut reached: Vec<usize> = all.iter().filter_map(|(_, span)| span.route).collect();
    reached.sort_unstable();
    reached.dedup();
    let is_reached = |route: usize| reached.binary_search(&route).is_ok();

    for same in group.chunk_by(|one, other| one.source == other.source) {
        let Some(first) = same.first() else { continue };
        for criteria in same {
            let fault = if is_reached(criteria.route) {
                continue;
            } else if is_reached(first.route) {
                Fault::Same(first.route)
            } else {
                Fault::Others(owners(&all, criteria.source))
            };
            faults.push((criteria.route, fault));
        }
    }
}

/// The two families of networks in their order.
pub(super) fn by_family<'a, 'b>(
    networks: &'a [Criteria<'b>],
) -> (&'a [Criteria<'b>], &'a [Criteria<'b>]) {
    let is_v4 = |criteria: &Criteria<'_>| {
        criteria
            .source
            .is_some_and(|network| network.family == Family::V4)
    };
    networks
        .split_at_checked(networks.partition_point(is_v4))
        .unwrap_or_default()
}

/// The first routes that take the traffic of a network, or of all sources, in the order of addresses.
fn owners(all: &[(Family, Span)], network: Option<Network>) -> Vec<usize> {
    let begin = network.map_or(0, |network| {
        all.partition_point(|(family, span)| (*family, span.last) < (network.family, network.first))
    });
    let mut owners = Vec::new();
    for (family, span) in all.iter().skip(begin) {
        if network.is_some_and(|network| *family != network.family || span.first > network.last) {
            break;
        }
        if let Some(route) = span.route.filter(|route| !owners.contains(route)) {
            owners.push(route);
        }
        // A route has a second span only where others lie between: this is soon.
        if owners.len() > NAMED_MAX {
            break;
        }
    }
    owners
}

/// `routes[1]`, `routes[1] and routes[2]`, `routes[1], routes[2], routes[3] and others`.
fn names(routes: &At<'_>, others: &[usize]) -> String {
    let more = others.len() > NAMED_MAX;
    let mut text = String::new();
    for (place, &route) in others.iter().take(NAMED_MAX).enumerate() {
        let last = !more && place.saturating_add(1) == others.len();
        text.push_str(match (place, last) {
            (0, _) => "",
            (_, true) => " and ",
            (_, false) => ", ",
        });
        // Writing to a `String` does not fail.
        let _ = write!(text, "{}", routes.item(route));
    }
    if more {
        text.push_str(" and others");
    }
    text
}

fn same_target(
    one: &<RouteTarget as Field>::Raw<'_>,
    other: &<RouteTarget as Field>::Raw<'_>,
) -> bool {
    type Selector<'a> = <InstanceSelector as Field>::Raw<'a>;
    let same_instances = match (&one.instance_selector, &other.instance_selector) {
        (Selector::Any, Selector::Any)
        | (Selector::LeastConnections, Selector::LeastConnections) => true,
        (Selector::ByIp(one), Selector::ByIp(other)) => one == other,
        _ => false,
    };
    same_instances && one.pool_id == other.pool_id && one.target_port == other.target_port
}
