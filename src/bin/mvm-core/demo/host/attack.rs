//! What must not work: attacks from the middle, and what is left of earlier incarnations.

use std::net::Shutdown;
use std::sync::Mutex;
use std::thread;

use mvm_core::channel::ControlError;
use mvm_core::session::{GuestTrust, HostEndpoint};
use serde_json::{Value, json};

use super::life::Old;
use super::{Guest, Host, Line, PAUSE, TOTAL, end_of, get, millis, soon};
use crate::demo::guest::typed;
use crate::demo::middle::{HANDSHAKE_FRAMES, Middle, Plan};
use crate::demo::report::{Check, Trouble};
use crate::demo::{ATTACKED, Sabotage};

/// After an attack: what the guest reports, and what the host is left with.
fn refused(check: &mut Check, guest: &mut Guest, line: Line<'_>, expected: &str, answered: u64) {
    // The guest has ended the session, and the host finds a stream without a verified end. A guest that
    // was not attacked waits for more: the end of the host's direction tells it, behind everything that
    // the middle has sent, that there is none.
    let mut channel = line.caller.into_channel();
    let ended = channel.stream().shutdown(Shutdown::Write);
    check.expect(ended.is_ok(), || "the stream cannot be ended".into());
    let outcome = channel.receive(soon());
    let at_host = outcome.map_err(|error| typed(&error)).err();
    let end = end_of(guest, &line.id);
    check.expect_error("guest's error", expected, get(end.as_ref(), "error"));
    let at_host = at_host.map(Value::String);
    let truncated = format!("Truncated {{ received: {answered} }}");
    check.expect_error("host's error", &truncated, at_host.as_ref());
}

pub(super) fn replay(check: &mut Check, host: &Host, guest: &mut Guest) -> Result<(), Trouble> {
    let plan = host.unless(Sabotage::Replay, Plan::Replay);
    let mut line = host.open(ATTACKED, plan)?;
    line.ping(1, TOTAL)?;
    refused(
        check,
        guest,
        line,
        "OpenError::SequenceGap { expected: 1, got: 0 }",
        1,
    );
    Ok(())
}

pub(super) fn splice(check: &mut Check, host: &Host, guest: &mut Guest) -> Result<(), Trouble> {
    let mut line = host.open(ATTACKED, Plan::Relay)?;
    line.ping(1, TOTAL)?;
    let recorded = line.middle.host_frame(HANDSHAKE_FRAMES);
    let recorded = recorded.ok_or("no frame came by")?;
    check.fact("recorded bytes", recorded.len());
    line.caller.close(soon())?;

    let plan = host.unless(Sabotage::Splice, Plan::Splice(recorded));
    let mut line = host.open(ATTACKED, plan)?;
    // The same request, so that nothing but the session differs.
    let answered = line.ping(1, TOTAL);
    check.expect(answered.is_err(), || "the guest answered".into());
    let at_host = match &answered {
        Err(ControlError::Channel(error)) => Some(Value::String(typed(error))),
        _ => None,
    };
    let id = line.id.clone();
    drop(line);
    let end = end_of(guest, &id);
    let error = get(end.as_ref(), "error");
    check.expect_error("guest's error", "OpenError::BadSignature", error);
    check.expect_error(
        "host's error",
        "Truncated { received: 0 }",
        at_host.as_ref(),
    );
    Ok(())
}

pub(super) fn rewrite(check: &mut Check, host: &Host, guest: &mut Guest) -> Result<(), Trouble> {
    let plan = host.unless(Sabotage::Rewrite, Plan::Rewrite);
    let mut line = host.open(ATTACKED, plan)?;
    line.ping(1, TOTAL)?;
    refused(check, guest, line, "OpenError::BadSignature", 1);
    Ok(())
}

pub(super) fn old_session(
    check: &mut Check,
    host: &Host,
    guest: &mut Guest,
    old: Old<'_>,
) -> Result<i64, Trouble> {
    // The snapshot lies on disk for a while, and is restored.
    thread::sleep(PAUSE);
    guest.tell(&json!({ "restored": 2 }))?;
    let restored = guest.report("restored", |_| true);
    check.reported("restore mark", 2, get(restored.as_ref(), "mark"));
    let asleep = get(restored.as_ref(), "asleep_ms").and_then(Value::as_i64);
    let asleep = asleep.ok_or("the guest does not say how long it slept")?;
    check.fact("asleep ms", asleep);
    check.expect(asleep >= millis(PAUSE).saturating_sub(1), || {
        "the guest slept for less than it was asleep".into()
    });
    host.endpoint
        .lock()
        .map_err(|_| "the endpoint's lock")?
        .raise(2)?;

    let Old {
        mut channel,
        middle,
        id,
    } = old;
    if !host.sabotaged(Sabotage::OldSession) {
        middle.release();
    }
    let used = channel.send(b"once more", soon());
    let at_host = used.map_err(|error| Value::String(typed(&error))).err();
    check.expect_error(
        "host's error",
        "SealError::Ended(Superseded)",
        at_host.as_ref(),
    );
    // With the connection goes what was not released; the guest then finds the stream cut, and not the
    // frame that it has to refuse.
    drop((channel, middle));
    let end = end_of(guest, &id);
    let error = get(end.as_ref(), "error");
    check.expect_error("guest's error", "OpenError::Ended(Superseded)", error);
    Ok(asleep)
}

/// A host whose store is older than the guest's memory: it believes in generation 1.
pub(super) fn stale_host(check: &mut Check, host: &Host, guest: &mut Guest) -> Result<(), Trouble> {
    let instance = {
        let endpoint = host.endpoint.lock().map_err(|_| "the endpoint's lock")?;
        endpoint.instance().clone()
    };
    let generation = if host.sabotaged(Sabotage::StaleHost) {
        2
    } else {
        1
    };
    let trust = GuestTrust::pinned(host.guest_key.public());
    let stale = Mutex::new(HostEndpoint::new(instance, generation, trust)?);
    let (stream, middle) = Middle::between(&host.socket, Plan::Relay)?;
    let outcome = host.open_as(&stale, ATTACKED, stream, middle);
    let (at_host, seen) = match outcome {
        Err(error) => {
            let at_host = Value::String(typed(&error));
            (Some(at_host), guest.report("refused", |_| true))
        }
        // It was served: then the session's end is what the guest reports.
        Ok(line) => {
            let id = line.id.clone();
            drop(line);
            (None, end_of(guest, &id))
        }
    };
    check.expect_error(
        "guest's error",
        "HandshakeError::StaleGeneration { offered: 1, seen: 2 }",
        get(seen.as_ref(), "error"),
    );
    check.expect_error(
        "host's error",
        "HandshakeError::Refused(Refusal { code: RefusalCode(7), min_version: 3, max_version: 3 })",
        at_host.as_ref(),
    );
    Ok(())
}
