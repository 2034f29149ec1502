//! Finding the route of a request without looking at every route.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::net::IpAddr;
use core::ops::Range;

use super::check::{by_family, is_valid};
use super::criteria::{Address, Criteria, Family, Network, compare, spans};
use super::path::{on_boundary, trimmed, visible};
use super::{Route, RoutingTable};
use crate::fleet::document::Invalid;

/// A valid [`RoutingTable`], made ready for many lookups.
///
/// It answers what a scan over the table would: of the routes that match, the one that the
/// [module's documentation](super) puts first.
///
/// # Cost
/// A lookup allocates nothing, whatever comes in. It is a binary search for the port, and then, for the routes
/// of the port and once more for those without a port: a binary search for the path, and a binary search for the
/// source at each prefix that the path begins with, longest first, until one has a route.
///
/// Of a table of n routes, with d nested prefixes at one port at most, that is no more than
/// 2 (d + 3) (log₂ n + 4) steps, each of which compares two numbers, or one prefix with the path. d is at most
/// [`PATH_PREFIX_MAX`](crate::limits::PATH_PREFIX_MAX) / 2 + 1, and of a path no more than one byte beyond that
/// limit is looked at, so that it is the table alone that makes a lookup slow, never what comes in.
///
/// Making an index takes n log n steps. It holds up to 256 bytes and the prefix for each route, beside the table.
///
/// ```
/// use mvm_core::routing::RoutingTable;
///
/// let table = RoutingTable::from_json(
///     r#"{"routes": [
///         {"name": "all",   "match_rule": {"path_prefix": "/"},                  "target": {"pool_id": "web"}},
///         {"name": "https", "match_rule": {"port": 443},                         "target": {"pool_id": "web"}},
///         {"name": "api",   "match_rule": {"port": 443, "path_prefix": "/api"},  "target": {"pool_id": "api"}},
///         {"name": "staff", "match_rule": {"port": 443, "path_prefix": "/api",
///                                          "source_cidr": "10.0.0.0/8"},         "target": {"pool_id": "api"}}
///     ]}"#,
/// )?;
/// let index = table.compile()?;
/// let name = |port, path, source: &str| {
///     let route = index.lookup(port, path, source.parse().unwrap());
///     route.map(|route| route.name.as_str())
/// };
/// assert_eq!(name(443, "/api/v1", "192.0.2.7"), Some("api"));
/// assert_eq!(name(443, "/api/v1", "10.240.3.5"), Some("staff"));
/// assert_eq!(name(443, "/apix", "10.240.3.5"), Some("https"));
/// assert_eq!(name(80, "/apix", "2001:db8::7"), Some("all"));
/// assert_eq!(name(80, "", "2001:db8::7"), None);
/// # Ok::<(), mvm_core::document::Invalid>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteIndex {
    table: RoutingTable,
    /// The ports that routes ask for, in order, and the routes of each.
    ports: Vec<u16>,
    groups: Vec<Group>,
    /// The routes without a port.
    any_port: Group,
    /// The prefixes of all groups, one group after the other, each in the order of [`compare`].
    prefixes: Vec<Prefix>,
    /// Where the text of each prefix ends; it begins where the one before ends.
    ends: Vec<usize>,
    texts: Vec<u8>,
    /// The spans of all prefixes and groups, without their last addresses.
    spans: Vec<Start>,
}

/// Routes with one port, or without.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Group {
    prefixes: Range<usize>,
    /// The routes without a prefix.
    any_path: Sources,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Prefix {
    /// The longest other prefix of the group that is a beginning of this one.
    parent: Option<usize>,
    sources: Sources,
}

/// Routes that only their networks tell apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Sources {
    /// The route of all sources of a family of which there is no network.
    default: Option<usize>,
    v4: Range<usize>,
    v6: Range<usize>,
}

/// The beginning of a [`Span`](super::criteria::Span).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Start {
    first: u128,
    route: Option<usize>,
}

impl RouteIndex {
    /// Checks a table and makes an index of it.
    ///
    /// # Errors
    /// [`Invalid`] with every problem of [`RoutingTable::validate`].
    pub fn new(table: RoutingTable) -> Result<Self, Invalid> {
        let mut index = Self {
            table: RoutingTable::default(),
            ports: Vec::new(),
            groups: Vec::new(),
            any_port: Group::default(),
            prefixes: Vec::new(),
            ends: Vec::new(),
            texts: Vec::new(),
            spans: Vec::new(),
        };
        let mut all: Vec<_> = table.routes.iter().enumerate().map(criteria).collect();
        all.sort_unstable_by(Criteria::order);
        if !is_valid(&all) {
            // Says the same again, in words.
            table.validate()?;
        }
        for routes in all.chunk_by(|one, other| one.port == other.port) {
            let group = index.group(routes);
            match routes.first().and_then(|criteria| criteria.port) {
                None => index.any_port = group,
                Some(port) => {
                    index.ports.push(port);
                    index.groups.push(group);
                }
            }
        }
        drop(all);
        // It is not going to grow any more.
        index.ports.shrink_to_fit();
        index.groups.shrink_to_fit();
        index.prefixes.shrink_to_fit();
        index.ends.shrink_to_fit();
        index.texts.shrink_to_fit();
        index.spans.shrink_to_fit();
        index.table = table;
        Ok(index)
    }

    /// Lays out the routes of one port.
    fn group(&mut self, routes: &[Criteria<'_>]) -> Group {
        let begin = self.prefixes.len();
        let mut any_path = Sources::default();
        // The prefixes that the present one begins with.
        let mut around: Vec<(usize, &[u8])> = Vec::new();
        for same in routes.chunk_by(Criteria::same_group) {
            let sources = self.sources(same);
            let Some(prefix) = same.first().and_then(|criteria| criteria.prefix) else {
                any_path = sources;
                continue;
            };
            while let Some(&(_, outer)) = around.last() {
                if prefix.starts_with(outer) && on_boundary(outer.len(), prefix) {
                    break;
                }
                around.pop();
            }
            let parent = around.last().map(|&(parent, _)| parent);
            around.push((self.prefixes.len(), prefix));
            self.prefixes.push(Prefix { parent, sources });
            self.texts.extend_from_slice(prefix);
            self.ends.push(self.texts.len());
        }
        Group {
            prefixes: begin..self.prefixes.len(),
            any_path,
        }
    }

    /// Lays out routes that only their networks tell apart.
    fn sources(&mut self, routes: &[Criteria<'_>]) -> Sources {
        let default = routes
            .first()
            .filter(|criteria| criteria.source.is_none())
            .map(|criteria| criteria.route);
        let without = routes.partition_point(|criteria| criteria.source.is_none());
        let (v4, v6) = by_family(routes.get(without..).unwrap_or_default());
        let mut lay_out = |family, routes: &[_]| {
            let begin = self.spans.len();
            if !routes.is_empty() {
                spans(family, routes, default, |span| {
                    let (first, route) = (span.first, span.route);
                    self.spans.push(Start { first, route });
                });
            }
            begin..self.spans.len()
        };
        Sources {
            default,
            v4: lay_out(Family::V4, v4),
            v6: lay_out(Family::V6, v6),
        }
    }

    /// The route that takes traffic to this port, with this path, from this source.
    ///
    /// `port` 0 is no port: it stands for traffic whose port is not known, and only routes without a port take it.
    /// An empty `path`, or another one that does not begin with a slash, is none. [`PathPrefix`](super::PathPrefix) says
    /// what a path should look like.
    #[must_use]
    pub fn lookup(&self, port: u16, path: &str, source: IpAddr) -> Option<&Route> {
        self.table.routes.get(self.position(port, path, source)?)
    }

    /// The place in the table, from 0, of what [`lookup`](Self::lookup) gives.
    #[must_use]
    pub fn position(&self, port: u16, path: &str, source: IpAddr) -> Option<usize> {
        self.find(port, path, source, &mut || ())
    }

    /// [`position`](Self::position), with a call at each step.
    fn find(
        &self,
        port: u16,
        path: &str,
        source: IpAddr,
        step: &mut impl FnMut(),
    ) -> Option<usize> {
        let path = visible(path);
        let source = Address::new(source);
        let place = self.ports.binary_search_by(|known| {
            step();
            known.cmp(&port)
        });
        let exact = place.ok().and_then(|place| self.groups.get(place));
        exact
            .and_then(|group| self.find_in(group, path, source, step))
            .or_else(|| self.find_in(&self.any_port, path, source, step))
    }

    fn find_in(
        &self,
        group: &Group,
        path: Option<&[u8]>,
        source: Address,
        step: &mut impl FnMut(),
    ) -> Option<usize> {
        if let Some(path) = path {
            // The last prefix that is not behind the path. Whatever the path begins with is this one or
            // a beginning of it: between a beginning of the path and the path there is nothing else.
            let Range { mut start, mut end } = group.prefixes;
            // What the path has in common with the prefixes before `start` and at `end`: all between them
            // have the lesser of both, which need not be compared again.
            let (mut common, mut common_end) = (0, 0);
            while start < end {
                step();
                let middle = start.midpoint(end);
                match compare(self.text(middle), path, common.min(common_end)) {
                    (Ordering::Greater, found) => (end, common_end) = (middle, found),
                    (_, found) => (start, common) = (middle.saturating_add(1), found),
                }
            }
            let mut next = (start > group.prefixes.start).then(|| start.saturating_sub(1));
            while let Some(place) = next {
                step();
                let prefix = self.prefixes.get(place)?;
                let len = self.text(place).len();
                if len <= common && on_boundary(len, path) {
                    let found = self.find_source(&prefix.sources, source, step);
                    if found.is_some() {
                        return found;
                    }
                }
                next = prefix.parent;
            }
        }
        self.find_source(&group.any_path, source, step)
    }

    fn find_source(
        &self,
        sources: &Sources,
        source: Address,
        step: &mut impl FnMut(),
    ) -> Option<usize> {
        let range = match source.family {
            Family::V4 => sources.v4.clone(),
            Family::V6 => sources.v6.clone(),
        };
        if range.is_empty() {
            return sources.default;
        }
        let spans = self.spans.get(range)?;
        let behind = spans.partition_point(|span| {
            step();
            span.first <= source.number
        });
        // The first span begins with the first address.
        spans.get(behind.checked_sub(1)?)?.route
    }

    /// The text of a prefix, without a slash at the end.
    fn text(&self, place: usize) -> &[u8] {
        let end_of = |place| self.ends.get(place).copied();
        let begin = place.checked_sub(1).and_then(end_of).unwrap_or(0);
        let end = end_of(place).unwrap_or(begin);
        self.texts.get(begin..end).unwrap_or_default()
    }

    /// The routes, in the order of the table.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.table.routes
    }

    /// The table, without the index.
    #[must_use]
    pub fn into_table(self) -> RoutingTable {
        self.table
    }
}

fn criteria((route, it): (usize, &Route)) -> Criteria<'_> {
    let rule = &it.match_rule;
    Criteria {
        route,
        port: rule.port.map(Into::into),
        prefix: rule.path_prefix.as_deref().map(trimmed),
        source: rule.source_cidr.map(Network::new),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use core::mem::size_of;

    use super::super::{MatchRule, RouteTarget};
    use super::*;
    use crate::limits::PATH_PREFIX_MAX;

    fn index(
        rules: impl Iterator<Item = (Option<u16>, Option<String>, Option<String>)>,
    ) -> RouteIndex {
        let routes = rules.map(|(port, prefix, cidr)| Route {
            name: String::new(),
            match_rule: MatchRule {
                port: port.map(|port| port.try_into().unwrap()),
                path_prefix: prefix.map(|prefix| prefix.parse().unwrap()),
                source_cidr: cidr.map(|cidr| cidr.parse().unwrap()),
            },
            target: RouteTarget {
                pool_id: "workers".parse().unwrap(),
                instance_selector: Default::default(),
                target_port: None,
            },
        });
        RouteIndex::new(RoutingTable {
            routes: routes.collect(),
        })
        .unwrap()
    }

    fn steps(index: &RouteIndex, port: u16, path: &str, source: &str) -> (Option<usize>, usize) {
        let mut steps = 0;
        let found = index.find(port, path, source.parse().unwrap(), &mut || steps += 1);
        (found, steps)
    }

    /// What the documentation of [`RouteIndex`] says.
    fn most(routes: usize, nested: usize) -> usize {
        let log = usize::try_from(routes.ilog2() + 1).unwrap();
        2 * (nested + 3) * (log + 4)
    }

    /// The worst table there can be: every prefix within the one before, at the port and without one,
    /// and networks everywhere that the source is not in.
    #[test]
    fn nested_prefixes() {
        const NESTED: usize = PATH_PREFIX_MAX / 2 + 1;
        const NETWORKS: usize = 2;
        let one = |port| {
            (0..NESTED * NETWORKS).map(move |n| {
                let prefix = format!("/{}", "a/".repeat(n / NETWORKS));
                let prefix = prefix.get(..PATH_PREFIX_MAX).unwrap_or(&prefix).into();
                (
                    port,
                    Some(prefix),
                    Some(format!("10.{}.0.0/16", n % NETWORKS)),
                )
            })
        };
        let index = index(one(Some(80)).chain(one(None)));
        assert_eq!(index.prefixes.len(), 2 * NESTED);
        let routes = index.routes().len();
        let deep = "/a".repeat(4096);
        let paths = [
            ("/".into(), 1),
            ("/a".repeat(NESTED - 1), NESTED),
            (deep.clone(), NESTED),
            (format!("{deep}?{deep}"), NESTED),
            ("/".repeat(8192), 1),
            (format!("/{}", "a".repeat(8191)), 1),
            (format!("{}b", "/a".repeat(NESTED - 1)), NESTED - 1),
            (format!("{}!", "/a".repeat(NESTED - 1)), NESTED - 1),
            ("/b".repeat(4096), 1),
            ("?".repeat(8192), 0),
        ];
        for (path, begins_with) in paths {
            let (found, steps) = steps(&index, 80, &path, "192.0.2.1");
            assert_eq!(found, None);
            assert!(steps <= most(routes, NESTED), "{steps}");
            // The count counts: at least the prefixes that the path begins with, and a network at each.
            assert!(steps >= 2 * 2 * begins_with, "{steps}");
        }
        // A longer path of the same segments takes no more.
        let longest = steps(&index, 80, &"/a".repeat(NESTED), "192.0.2.1");
        assert_eq!(steps(&index, 80, &deep, "192.0.2.1"), longest);
    }

    /// Tables as they are: a few dozen steps among 50,000 routes.
    #[test]
    fn flat_tables() {
        const ROUTES: usize = 50_000;
        let ports = index((1..=50_000).map(|port| (Some(port), None, None)));
        let paths = index((0..ROUTES).map(|n| (None, Some(format!("/service-{n}")), None)));
        let networks = index(
            (0..ROUTES).map(|n| (None, None, Some(format!("10.{}.{}.0/24", n / 256, n % 256)))),
        );
        let mixed = index((0..ROUTES).map(|n| {
            let cidr = format!("2001:db8:{:x}::/48", n / 100);
            (Some(443), Some(format!("/service-{}", n % 100)), Some(cidr))
        }));
        for (index, port, path, source, expected) in [
            (&ports, 50_000, "/", "10.0.0.1", Some(49_999)),
            (&ports, 50_001, "/", "10.0.0.1", None),
            (&paths, 1, "/service-49999/x", "10.0.0.1", Some(49_999)),
            (&paths, 1, "/service-4999a", "10.0.0.1", None),
            (&networks, 1, "", "10.195.79.255", Some(49_999)),
            (&networks, 1, "", "10.195.80.0", None),
            (
                &mixed,
                443,
                "/service-99",
                "2001:db8:1f3:ffff::",
                Some(49_999),
            ),
            (&mixed, 443, "/service-99", "2001:db8:1f4::", None),
        ] {
            let (found, steps) = steps(index, port, path, source);
            assert_eq!(found, expected);
            assert!((10..=most(ROUTES, 1)).contains(&steps), "{steps}");
        }
    }

    /// A route with a port, a prefix and a network of its own, which has three spans.
    #[test]
    fn memory() {
        let each = size_of::<u16>()
            + size_of::<Group>()
            + size_of::<Prefix>()
            + size_of::<usize>()
            + 3 * size_of::<Start>();
        assert!(each <= 256, "{each}");
    }
}
