use mvm_core::vm_backend as ours;
use old::vm_backend as theirs;

use super::{Pair, documents, pair};
use crate::source::*;

/// The id that a backend gave a virtual machine.
fn vm_id(source: &mut Source<'_>) -> String {
    let first = source.one_of(&["a", "Z", "0", "vm-1"]);
    format!("{first}{}", of(source, "aZ09_.-", 0, 120))
}

/// An absolute path.
fn path(source: &mut Source<'_>) -> String {
    let component =
        |source: &mut Source<'_>| format!("/x{}", of(source, "aZ09 ._-:é🦀\"\\", 0, 40));
    let path = list(component)(source).concat();
    if path.is_empty() { "/".into() } else { path }
}

fn path_buf(source: &mut Source<'_>) -> std::path::PathBuf {
    path(source).into()
}

impl Any for ours::VmId {
    fn any(source: &mut Source<'_>) -> Self {
        Self::new(&vm_id(source)).expect("the grammar")
    }
}

impl Any for theirs::VmId {
    fn any(source: &mut Source<'_>) -> Self {
        Self(vm_id(source))
    }
}

impl Any for ours::AbsolutePath {
    fn any(source: &mut Source<'_>) -> Self {
        Self::new(&path(source)).expect("the grammar")
    }
}

mod records {
    use super::*;

    documents! {
        record VmPortMapping { host, guest }
        record VmNetworkInfo { guest_ip: ip, gateway_ip: ip, subnet_cidr: cidr }
        choice GuestChannelInfo { Vsock { cid, port }, UnixSocket { path: path_buf } }
        choice VmStatus { Stopped, Starting, Running, Paused, Failed { reason } }
        record VmInfo {
            id, name: id, status, guest_ip: opt(ip), cpus, memory_mib, profile, revision: opt(revision),
            flake_ref: opt(flake), ports,
        }
    }

    pub(super) fn all() -> Vec<Pair> {
        pairs()
    }
}

pub(super) fn pairs() -> Vec<Pair> {
    let mut all = records::all();
    all.push(pair!(VmId));
    all
}
