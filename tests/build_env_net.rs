//! A build's environment on this node, with the kernel's devices. `ci/netns` runs these in a network
//! namespace of their own; each test has a network of its own.
#![cfg(all(feature = "shell", feature = "paths", target_os = "linux"))]
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]

use std::thread;

use mvm_core::build_env::{
    BuildEnvironment, BuildError, CommandSpec, LinkProblem, LocalBuildEnvironment, LocalShell,
    ShellEnvironment,
};
use mvm_core::tenant::TenantConfig;

#[path = "build_env/fleet.rs"]
mod fleet;

use fleet::{instance, store, tenant};

/// Says that this process is in a namespace of its own: the tests make and remove devices.
const OWN_NAMESPACE: &str = "MVM_TEST_OWN_NETNS";

struct Node {
    node: LocalBuildEnvironment,
    tenant: TenantConfig,
    _directory: tempfile::TempDir,
}

impl Node {
    fn new(net: u8) -> Self {
        assert!(
            std::env::var_os(OWN_NAMESPACE).is_some(),
            "not in a network namespace of its own: run ci/netns"
        );
        let directory = tempfile::tempdir().unwrap();
        let tenant = tenant(net);
        let store = store(&directory, &tenant);
        Self {
            node: LocalBuildEnvironment::new(store),
            tenant,
            _directory: directory,
        }
    }

    fn ensure(&self) -> Result<(), BuildError> {
        self.node.ensure_tenant_bridge(&self.tenant.tenant_id)
    }

    fn setup(&self, offset: u8) -> Result<(), BuildError> {
        let net = instance(&self.tenant, offset);
        self.node.setup_tap(&net, &self.tenant.net.bridge_name)
    }

    fn teardown(&self, offset: u8) -> Result<(), BuildError> {
        self.node
            .teardown_tap(&instance(&self.tenant, offset).tap_dev())
    }

    fn bridge(&self) -> String {
        self.tenant.net.bridge_name.to_string()
    }

    fn tap(&self, offset: u8) -> String {
        instance(&self.tenant, offset).tap_dev().to_string()
    }
}

fn ip(words: &str) -> String {
    let command = CommandSpec::new("ip").args(words.split(' '));
    let output = LocalShell::posix().exec(&command).unwrap();
    output.into_text(&command).unwrap()
}

/// What `ip` says of a device in its other form, which is not the one that the library reads.
fn link(name: &str) -> String {
    ip(&format!("-oneline -details link show dev {name}"))
}

fn is_there(name: &str) -> bool {
    ip("-oneline link show")
        .lines()
        .any(|line| line.contains(&format!(": {name}:")))
}

fn is_up(name: &str) -> bool {
    let text = link(name);
    let flags = text.split(['<', '>']).nth(1).unwrap();
    flags.split(',').any(|flag| flag == "UP")
}

fn addresses(name: &str) -> Vec<String> {
    let text = ip(&format!("-oneline -4 address show dev {name}"));
    let mut words = text.split_whitespace();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        if word == "inet" {
            found.push(words.next().unwrap().to_string());
        }
    }
    found
}

#[test]
#[ignore = "needs a network namespace of its own: ci/netns"]
fn a_bridge_with_its_address() {
    let node = Node::new(11);
    let bridge = node.bridge();
    assert!(!is_there(&bridge));
    // The second time it is what it was.
    for _ in 0..2 {
        node.ensure().unwrap();
        assert!(is_there(&bridge), "there is no {bridge}");
        assert!(link(&bridge).contains(" bridge "));
        assert!(is_up(&bridge));
        assert_eq!(addresses(&bridge), ["10.240.11.1/24"]);
    }
    // What is missing of it is made up for; what is more is left.
    ip(&format!("link set dev {bridge} down"));
    ip(&format!("address del 10.240.11.1/24 dev {bridge}"));
    ip(&format!("address add 192.0.2.1/32 dev {bridge}"));
    node.ensure().unwrap();
    assert!(is_up(&bridge));
    assert_eq!(addresses(&bridge), ["192.0.2.1/32", "10.240.11.1/24"]);
}

#[test]
#[ignore = "needs a network namespace of its own: ci/netns"]
fn a_bridge_that_is_none() {
    let node = Node::new(12);
    let bridge = node.bridge();
    ip(&format!("tuntap add dev {bridge} mode tap"));
    let error = node.ensure().unwrap_err();
    assert_eq!(
        error.to_string(),
        "br-tenant-12: there is a device of this name, and it is tun (tap), not a bridge"
    );
    assert!(is_there(&bridge) && addresses(&bridge).is_empty() && !is_up(&bridge));
    assert!(matches!(node.setup(5), Err(BuildError::Bridge { .. })));
    assert!(!is_there(&node.tap(5)));
}

#[test]
#[ignore = "needs a network namespace of its own: ci/netns"]
fn taps_of_a_bridge() {
    let node = Node::new(13);
    let error = node.setup(5).unwrap_err();
    assert_eq!(error.to_string(), "tn13i5: there is no br-tenant-13");
    assert!(!is_there("tn13i5"));
    node.ensure().unwrap();
    for offset in [5, 254, 5] {
        node.setup(offset).unwrap();
        let text = link(&node.tap(offset));
        assert!(text.contains("tun type tap"), "{text}");
        assert!(text.contains("master br-tenant-13"), "{text}");
        assert!(is_up(&node.tap(offset)));
    }
    // One that has lost its bridge gets it back.
    ip("link set dev tn13i5 nomaster");
    node.setup(5).unwrap();
    assert!(link("tn13i5").contains("master br-tenant-13"));
    for _ in 0..2 {
        node.teardown(5).unwrap();
        assert!(!is_there("tn13i5"));
    }
    // The others and the bridge are left.
    assert!(is_there("tn13i254") && is_there("br-tenant-13"));
    node.teardown(254).unwrap();
}

#[test]
#[ignore = "needs a network namespace of its own: ci/netns"]
fn a_tap_of_another_bridge() {
    let node = Node::new(14);
    node.ensure().unwrap();
    ip("link add name other14 type bridge");
    ip("tuntap add dev tn14i5 mode tap");
    ip("link set dev tn14i5 master other14");
    let error = node.setup(5).expect_err("it was taken from its bridge");
    assert_eq!(error.to_string(), "tn14i5: it belongs to other14");
    assert!(link("tn14i5").contains("master other14"));
}

#[test]
#[ignore = "needs a network namespace of its own: ci/netns"]
fn a_tap_that_is_none() {
    let node = Node::new(15);
    node.ensure().unwrap();
    ip("tuntap add dev tn15i5 mode tun");
    ip("link add name tn15i6 type bridge");
    for offset in [5, 6] {
        for result in [node.setup(offset), node.teardown(offset)] {
            let Err(BuildError::Tap { problem, .. }) = result else {
                panic!("{result:?}");
            };
            assert!(matches!(problem, LinkProblem::OtherKind { .. }));
        }
        assert!(is_there(&node.tap(offset)));
    }
}

#[test]
#[ignore = "needs a network namespace of its own: ci/netns"]
fn a_tap_that_cannot_be_finished_is_removed() {
    let node = Node::new(16);
    node.ensure().unwrap();
    // The kernel's own `ip`, but for one call that fails.
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("ip");
    std::fs::write(
        &broken,
        "#!/bin/sh\ncase \"$*\" in *master*) echo 'RTNETLINK answers: No space left' >&2; exit 2;; esac\nexec ip \"$@\"\n",
    )
    .unwrap();
    std::fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let other = node.node.clone().with_ip(&broken);
    let net = instance(&node.tenant, 5);
    let error = other
        .setup_tap(&net, &node.tenant.net.bridge_name)
        .unwrap_err();
    assert!(error.to_string().ends_with("No space left"), "{error}");
    assert!(!is_there("tn16i5"));
}

#[test]
#[ignore = "needs a network namespace of its own: ci/netns"]
fn many_at_once() {
    let node = Node::new(17);
    thread::scope(|scope| {
        for thread in 0..8_u8 {
            let node = &node;
            scope.spawn(move || {
                // All make the bridge; two each make the same device.
                node.ensure().unwrap();
                node.setup(10 + thread / 2).unwrap();
            });
        }
    });
    assert_eq!(addresses("br-tenant-17"), ["10.240.17.1/24"]);
    for offset in 10..14 {
        assert!(link(&node.tap(offset)).contains("master br-tenant-17"));
    }
    thread::scope(|scope| {
        for thread in 0..8_u8 {
            let node = &node;
            scope.spawn(move || node.teardown(10 + thread / 2).unwrap());
        }
    });
    assert!((10..14).all(|offset| !is_there(&node.tap(offset))));
}
