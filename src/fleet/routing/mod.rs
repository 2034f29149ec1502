//! Routes of a gateway: which traffic goes to which pool, and finding the route of a request.
//!
//! A [`RoutingTable`] is the document. [`compile`](RoutingTable::compile) checks it and makes a [`RouteIndex`],
//! which answers with [`lookup`](RouteIndex::lookup).
//!
//! # Which route takes what
//! A route matches traffic if *all* criteria that it has do:
//!
//! - `port`: the destination port is this one.
//! - `path_prefix`: the path begins with it, on segment boundaries; [`PathPrefix`] has the grammar and
//!   the details.
//! - `source_cidr`: the source address lies in the network. An IPv4 network holds no IPv6 address and the other
//!   way round, `0.0.0.0/0` and `::/0` too. A socket that serves both families shows IPv4 sources
//!   as IPv4-mapped addresses: `::ffff:10.0.0.1` is taken for `10.0.0.1`, and the network `::ffff:10.0.0.0/104`
//!   for `10.0.0.0/8`.
//!
//! Of several routes that match, the first of these that tells them apart decides:
//!
//! 1. one with a port before one without,
//! 2. the longest path prefix; one without comes last, after `/`,
//! 3. the longest network prefix; one without comes last, after `/0`,
//! 4. the order of the table. (No route of a valid table needs it.)
//!
//! # Rules of a table
//! [`RoutingTable::validate`] tells of
//!
//! - a route without any criterion, at its `match_rule`;
//! - a route that is a [duplicate](crate::document::Reason::Duplicate): an earlier one has the same criteria and the
//!   same target, whatever its name;
//! - a route that is [never reached](crate::document::Reason::Shadowed): another one has the same criteria and
//!   comes earlier, or others with longer networks share all its traffic among them: `10.0.0.0/9` and
//!   `10.128.0.0/9` leave nothing to `10.0.0.0/8`.
//!
//! Each of the other routes takes some traffic: for each there are a port, a path and a source for which `lookup` gives
//! it. One port with different prefixes or networks is fine; 0.13.0 refused that.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::num::NonZeroU16;

use super::document::{Document, Field, Invalid, document, document_enum};
use super::text::Subnet;
use crate::names::PoolId;

mod check;
mod criteria;
mod index;
mod path;

pub use index::RouteIndex;
pub use path::{PathPrefix, PathPrefixError};

document! {
    /// The routes of a gateway pool's instances. The [module's documentation](self) says what they mean and
    /// what the rules are.
    #[derive(Eq, Default)]
    pub struct RoutingTable rules(check::rules) {
        /// The routes, in order.
        routes: Vec<Route>,
    }
}

impl RoutingTable {
    /// Reads a table and checks it as a whole: [`Document::from_json`], which need not be in scope here,
    /// for text as well as bytes.
    ///
    /// # Errors
    /// [`Invalid`] with every problem.
    ///
    /// ```
    /// use mvm_core::routing::RoutingTable;
    ///
    /// let table = RoutingTable::from_json(
    ///     r#"{"routes": [
    ///         {"match_rule": {"port": 443, "path_prefix": "/api"}, "target": {"pool_id": "api"}},
    ///         {"match_rule": {"port": 443}, "target": {"pool_id": "web"}},
    ///         {"match_rule": {"port": 443}, "target": {"pool_id": "old-web"}},
    ///         {"match_rule": {"port": 0}, "target": {"pool_id": "web"}}
    ///     ]}"#,
    /// );
    /// let invalid = table.unwrap_err();
    /// let problems: Vec<_> = invalid.problems().iter().map(|p| p.to_string()).collect();
    /// assert_eq!(problems, [
    ///     "routes[2]: never reached: everything it would take goes to routes[1]",
    ///     "routes[3].match_rule.port: 0 is out of range, 1 to 65535",
    /// ]);
    /// ```
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, Invalid> {
        <Self as Document>::from_json(json.as_ref())
    }

    /// The table as JSON, indented for people. It is not checked: [`validate`](Self::validate) does that.
    ///
    /// # Errors
    /// The signature is 0.13.0's; there is no table that cannot be written.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// Checks the table and makes an index of it, for many lookups. The index has a copy of the table, so that it can be
    /// kept and shared by itself; [`RouteIndex::new`] takes the table instead.
    ///
    /// # Errors
    /// [`Invalid`] with every problem of [`validate`](Self::validate): there is no index of a table that is not
    /// valid.
    pub fn compile(&self) -> Result<RouteIndex, Invalid> {
        RouteIndex::new(self.clone())
    }
}

document! {
    /// Traffic of a kind, and where it goes.
    #[derive(Eq)]
    pub struct Route {
        /// A name for people.
        name: String [default],
        /// Which traffic.
        match_rule: MatchRule,
        /// Where it goes.
        target: RouteTarget,
    }
}

document! {
    /// Which traffic a route takes: all criteria that are given must match. Without any it is accepted as a
    /// value, and a problem in a table.
    #[derive(Eq, Default)]
    pub struct MatchRule {
        /// The destination port, 1 to 65,535. Default any.
        port: Option<NonZeroU16> [default],
        /// The beginning of the path, on segment boundaries. Default any, and traffic without a path.
        path_prefix: Option<PathPrefix> [default],
        /// The network of the source. Default any, of both families.
        source_cidr: Option<Subnet> [default],
    }
}

impl MatchRule {
    /// Whether all criteria match: what the [module's documentation](self) says, for one route by itself.
    ///
    /// `port` 0 is no port: it stands for traffic whose port is not known. An empty `path` is none.
    ///
    /// ```
    /// use mvm_core::routing::{MatchRule, PathPrefix};
    ///
    /// let rule = MatchRule {
    ///     path_prefix: Some(PathPrefix::new("/api")?),
    ///     source_cidr: Some("10.0.0.0/8".parse()?),
    ///     ..MatchRule::default()
    /// };
    /// assert!(rule.matches(443, "/api/v1", "10.240.3.5".parse()?));
    /// assert!(rule.matches(443, "/api/v1", "::ffff:10.240.3.5".parse()?));
    /// assert!(!rule.matches(443, "/api/v1", "192.0.2.1".parse()?));
    /// assert!(!rule.matches(443, "/apix", "10.240.3.5".parse()?));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    #[must_use]
    pub fn matches(&self, port: u16, path: &str, source: IpAddr) -> bool {
        self.port.is_none_or(|wanted| wanted.get() == port)
            && self
                .path_prefix
                .as_ref()
                .is_none_or(|prefix| prefix.matches(path))
            && self.source_cidr.is_none_or(|subnet| {
                criteria::Network::new(subnet).contains(criteria::Address::new(source))
            })
    }
}

fn any<'a>() -> <InstanceSelector as Field>::Raw<'a> {
    Field::raw(&InstanceSelector::Any)
}

document! {
    /// Where traffic goes.
    #[derive(Eq)]
    pub struct RouteTarget {
        /// The pool.
        pool_id: PoolId,
        /// Which of its instances. Default any.
        instance_selector: InstanceSelector [default = "any"],
        /// The port, 1 to 65,535, where it is another one.
        target_port: Option<NonZeroU16> [default],
    }
}

document_enum! {
    /// Which instance of a pool traffic goes to.
    #[derive(Eq, Default)]
    pub enum InstanceSelector {
        /// Any of them. The default.
        #[default]
        Any as "any",
        /// The one with this address.
        ByIp(address: IpAddr) as "by_ip",
        /// The one with the fewest connections.
        LeastConnections as "least_connections",
    }
}
