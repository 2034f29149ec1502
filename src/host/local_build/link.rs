//! What `ip -json -details link show` says of a device.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Deserialize;

use crate::host::build_env::LinkProblem;

/// A network device.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    // Older versions write empty objects for the devices that were not asked for.
    #[serde(default)]
    ifname: String,
    #[serde(default)]
    link_type: String,
    /// The bridge, or another device, that it is a part of.
    master: Option<String>,
    linkinfo: Option<Info>,
}

#[derive(Debug, Deserialize)]
struct Info {
    info_kind: Option<String>,
    info_data: Option<Data>,
}

#[derive(Debug, Deserialize)]
struct Data {
    /// Of a TUN device, `tun` or `tap`.
    #[serde(rename = "type")]
    mode: Option<String>,
}

impl Link {
    /// The device of this name.
    pub(super) fn read(json: &[u8], name: &str) -> Result<Self, LinkProblem> {
        let links: Vec<Self> =
            serde_json::from_slice(json).map_err(|error| LinkProblem::Unreadable {
                problem: error.to_string(),
            })?;
        links
            .into_iter()
            .find(|link| link.ifname == name)
            // Another one has it as an alternative name, for example.
            .ok_or_else(|| LinkProblem::Unreadable {
                problem: alloc::format!("there is no {name} in it"),
            })
    }

    fn kind(&self) -> Option<&str> {
        self.linkinfo.as_ref()?.info_kind.as_deref()
    }

    fn mode(&self) -> Option<&str> {
        let info = self.linkinfo.as_ref()?;
        info.info_data.as_ref()?.mode.as_deref()
    }

    fn other(&self, wanted: &'static str) -> LinkProblem {
        let found = match (self.kind(), self.mode()) {
            (Some(kind), Some(mode)) => alloc::format!("{kind} ({mode})"),
            (Some(kind), None) => kind.to_string(),
            (None, _) => alloc::format!("of type {}", self.link_type),
        };
        LinkProblem::OtherKind { found, wanted }
    }

    pub(super) fn check_bridge(&self) -> Result<(), LinkProblem> {
        match self.kind() {
            Some("bridge") => Ok(()),
            _ => Err(self.other("a bridge")),
        }
    }

    pub(super) fn check_tap(&self) -> Result<(), LinkProblem> {
        match (self.kind(), self.mode()) {
            (Some("tun"), Some("tap")) => Ok(()),
            _ => Err(self.other("a TAP device")),
        }
    }

    /// That it belongs to no other bridge.
    pub(super) fn check_master(&self, bridge: &str) -> Result<(), LinkProblem> {
        match &self.master {
            Some(master) if master != bridge => Err(LinkProblem::OtherBridge {
                bridge: master.clone(),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ip_says() {
        // iproute2 6.1, shortened; the empty object is of 4.18.
        let text = br#"[{},{"ifindex":3,"ifname":"tn3i5","flags":["BROADCAST"],"mtu":1500,
            "master":"br-tenant-3","link_type":"ether","linkinfo":{"info_kind":"tun",
            "info_data":{"type":"tap","pi":false,"persist":true},"info_slave_kind":"bridge",
            "info_slave_data":{"hold_timer":0.00}}},
            {"ifname":"br-tenant-3","link_type":"ether","linkinfo":{"info_kind":"bridge",
            "info_data":{"forward_delay":1500}}},
            {"ifname":"tun0","link_type":"none","linkinfo":{"info_kind":"tun","info_data":{"type":"tun"}}},
            {"ifname":"lo","link_type":"loopback"}]"#;
        let link = |name| Link::read(text, name).unwrap();
        assert!(link("tn3i5").check_tap().is_ok());
        assert!(link("tn3i5").check_master("br-tenant-3").is_ok());
        assert!(link("br-tenant-3").check_bridge().is_ok());
        assert!(link("br-tenant-3").check_master("any").is_ok());
        for (problem, found) in [
            (link("tn3i5").check_bridge(), "tun (tap), not a bridge"),
            (link("tun0").check_tap(), "tun (tun), not a TAP device"),
            (link("br-tenant-3").check_tap(), "bridge, not a TAP device"),
            (link("lo").check_bridge(), "of type loopback, not a bridge"),
        ] {
            let text = problem.unwrap_err().to_string();
            assert!(text.ends_with(found), "{text}");
        }
        let problem = link("tn3i5").check_master("br-tenant-4").unwrap_err();
        assert_eq!(problem.to_string(), "it belongs to br-tenant-3");
        for text in [&b""[..], b"{}", b"[]", b"[{}]", b"ip: unknown option", text] {
            let problem = Link::read(text, "tn9i9").unwrap_err();
            assert!(matches!(problem, LinkProblem::Unreadable { .. }));
        }
    }
}
