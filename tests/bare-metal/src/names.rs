//! Every name and the whole state machine, on input that the compiler cannot know.

use core::hint::black_box;
use core::net::Ipv4Addr;
use core::str::FromStr;

use mvm_core::instance::{
    CommitFacts, InstanceAction, InstanceNet, InstanceState, InstanceStatus, Pid, PrefixLen,
};
use mvm_core::naming::{
    BridgeName, FlakeRef, HostOffset, Hostname, InstanceId, InstancePath, MacAddr, NodeId,
    PoolPath, RevisionHash, SignerId, TapName, TemplateId, TenantNetId, VmName,
};
use mvm_core::pool::Role;
use mvm_core::time::Timestamp;

/// Keeps what was made, so that making it is not optimised away.
fn kept<T, E>(result: Result<T, E>) -> u32 {
    result.as_ref().map(black_box).map_or(0, |_| 1)
}

/// Reads `text` as everything that it could be, and says of how many things it is one.
pub fn parse_all(text: &str) -> u32 {
    kept(InstancePath::from_str(text))
        + kept(PoolPath::from_str(text))
        + kept(NodeId::new(text))
        + kept(SignerId::new(text))
        + kept(VmName::new(text))
        + kept(TemplateId::new(text))
        + kept(FlakeRef::new(text))
        + kept(RevisionHash::new(text))
        + kept(TapName::parse(text))
        + kept(BridgeName::parse(text))
        + kept(MacAddr::parse(text))
        + kept(InstanceStatus::from_str(text))
        + kept(InstanceAction::from_str(text))
        + kept(Role::from_str(text))
}

/// Makes every name that is derived from an instance's numbers.
pub fn derive_all(net: u16, offset: u8, entropy: [u8; 4]) -> Option<InstanceNet> {
    let net = TenantNetId::new(net).ok()?;
    let offset = HostOffset::new(offset).ok()?;
    black_box(&TapName::new(net, offset));
    black_box(&BridgeName::new(net));
    black_box(&MacAddr::new(net, offset));
    let id = InstanceId::from_entropy(entropy);
    black_box(&Hostname::from(&id));
    let (guest, gateway) = (Ipv4Addr::from(entropy), Ipv4Addr::new(10, 0, 0, 1));
    let prefix = PrefixLen::new(24).ok()?;
    Some(InstanceNet::new(net, offset, guest, gateway, prefix))
}

/// A record of the instance at `path`.
pub fn record(path: &str, net: InstanceNet) -> Option<InstanceState> {
    let path = InstancePath::from_str(path).ok()?;
    Some(InstanceState::new(
        path.tenant,
        path.pool,
        path.instance,
        net,
        Role::Worker,
    ))
}

/// Begins an action, and commits it or, where the facts do not fit, aborts it.
pub fn act(
    state: &mut InstanceState,
    action: InstanceAction,
    now: Timestamp,
    pid: u32,
) -> Option<InstanceStatus> {
    state.begin_action(action, now).ok()?;
    let facts = Pid::new(pid).map_or_else(|_| CommitFacts::default(), CommitFacts::process);
    if state.commit(now, facts).is_err() {
        state.abort().ok()?;
    }
    Some(state.status())
}
