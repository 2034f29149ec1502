//! The handshake, and what is asked and answered after it.

use std::time::Instant;

use mvm_core::guest::ComponentState;
use serde_json::Value;

use super::{Guest, Host, Line, OFFERED, PINGS, TOTAL, get, is};
use crate::demo::middle::Plan;
use crate::demo::report::{Check, Trouble, micros};
use crate::demo::{CONTROL, bits};

pub(super) fn handshake<'a>(
    check: &mut Check,
    host: &'a Host,
    guest: &mut Guest,
) -> Result<Line<'a>, Trouble> {
    let line = host.open(CONTROL, Plan::Relay)?;
    let seen = guest.report("session", |report| is(report, "session", &line.id));
    let seen = seen.as_ref();
    check.fact("took us", micros(line.took));
    // Version and suite are read from the guest's hello as it came by in the middle.
    let hello = line.middle.guest_frame(0).ok_or("no hello came by")?;
    let (version, suite) = (hello.get(4).copied(), hello.get(5).copied());
    check.expect((version, suite) == (Some(3), Some(1)), || {
        format!("version {version:?} and suite {suite:?} instead of 3 and 1")
    });
    check.fact("version", version);
    check.fact("suite", suite);
    let session = line.caller.channel().session();
    check.agree("session", line.id.as_str(), get(seen, "session"));
    let own = host.key.public().fingerprint().to_string();
    check.agree("host key", own, get(seen, "host"));
    let peer = session.peer_key().fingerprint().to_string();
    check.agree("guest key", peer, get(seen, "guest"));
    let instance = session.instance().as_str();
    check.agree("instance", instance, get(seen, "instance"));
    check.agree("generation", session.generation(), get(seen, "generation"));
    let offered = get(seen, "offered").cloned().unwrap_or_default();
    check.fact("host offers", bits(OFFERED.bits()));
    check.fact("guest offers", offered.clone());
    let common = bits(session.capabilities());
    check.agree("capabilities", common, get(seen, "capabilities"));
    let both = OFFERED.intersection(crate::demo::guest::OFFERED);
    check.expect(
        session.capabilities() == both.bits()
            && is(seen.unwrap_or(&offered), "capabilities", &bits(both.bits())),
        || "the capabilities are not what both offered".into(),
    );
    Ok(line)
}

pub(super) fn ping(check: &mut Check, control: &mut Line<'_>) -> Result<(), Trouble> {
    let mut times = Vec::with_capacity(PINGS);
    let mut uptime = 0;
    for nonce in (1_u64..).take(PINGS) {
        let start = Instant::now();
        let pong = control.ping(nonce, TOTAL)?;
        times.push(micros(start.elapsed()));
        check.expect(pong.nonce == nonce, || "another nonce came back".into());
        check.expect(pong.uptime_ms >= uptime, || "the uptime went back".into());
        uptime = pong.uptime_ms;
    }
    times.sort_unstable();
    check.fact("fastest us", times.first().copied());
    check.fact("median us", times.get(PINGS / 2).copied());
    check.fact("slowest us", times.last().copied());
    check.fact("guest's uptime ms", uptime);
    let (sent, received) = control.caller.channel().session().frames();
    check.fact("frames sealed", sent);
    check.fact("frames opened", received);
    Ok(())
}

pub(super) fn status(
    check: &mut Check,
    control: &mut Line<'_>,
    guest: &mut Guest,
) -> Result<(), Trouble> {
    let (phase, ready, components) = control.status(|status| {
        let components: serde_json::Map<_, _> = status
            .components
            .as_slice()
            .iter()
            .map(|component| {
                let state = component_state(component.state);
                (component.name.as_str().to_owned(), state.into())
            })
            .collect();
        (status.phase, status.is_ready(), components)
    })?;
    let told = guest.report("status", |_| true);
    let told = told.as_ref();
    check.agree("pings answered", PINGS, get(told, "pings"));
    check.agree("phase", phase.code(), get(told, "phase"));
    check.agree("ready", ready, get(told, "ready"));
    check.expect(ready, || "the guest is not ready".into());
    check.fact("components", Value::Object(components));
    Ok(())
}

fn component_state(state: ComponentState) -> String {
    format!("{state:?}").to_lowercase()
}
