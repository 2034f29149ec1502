//! The life of the instance: each transition an intent, then a fact, with the guest taking part.

use alloc::sync::Arc;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use mvm_core::channel::HostChannel;
use mvm_core::guest::{
    Answer, Call, Phase, SecretBytes, Shutdown, ShutdownMode, SleepPrep, Step, StepOutcome, Wake,
};
use mvm_core::instance::{CommitFacts, InstanceAction, InstanceStatus, Pid};
use mvm_core::session::Opened;
use serde_json::{Value, json};
use zeroize::Zeroize;

use super::{Guest, Host, Life, Line, SHORT, TOTAL, end_of, get, is, millis, now, seed, soon};
use crate::demo::middle::{HANDSHAKE_FRAMES, Middle, Plan};
use crate::demo::process::{Remains, mode};
use crate::demo::report::{Check, Trouble, micros};
use crate::demo::{CONTROL, Sabotage, TELEMETRY, check_value};

pub(super) fn start_guest(
    check: &mut Check,
    host: &Host,
    remains: &Arc<Remains>,
) -> Result<Guest, Trouble> {
    let mut provision = String::new();
    provision.push_str(host.guest_key.to_text().secret_str());
    provision.push_str(&host.key.public().to_text());
    let more = json!({ "skip_network": host.sabotaged(Sabotage::Wake) });
    provision.push_str(&more.to_string());
    provision.push('\n');
    let guest = Guest::start(Arc::clone(remains), &host.socket, &provision);
    provision.zeroize();
    let mut guest = guest?;
    let ready = guest.report("ready", |_| true);
    let ready = ready.ok_or("the guest's process does not get ready")?;
    check.agree("process", guest.pid(), ready.get("pid"));
    let key = host.guest_key.public().fingerprint().to_string();
    check.agree("guest key", key, ready.get("key"));
    let mode = mode(remains.dir())?;
    check.expect(mode == "0700", || {
        format!("the socket's directory has mode {mode}")
    });
    check.fact("socket directory", mode);
    Ok(guest)
}

pub(super) fn warm(
    check: &mut Check,
    host: &Host,
    guest: &mut Guest,
    control: &mut Line<'_>,
    life: &mut Life,
) -> Result<(), Trouble> {
    life.begin(InstanceStatus::Warm)?;
    let mut tried = host.open(TELEMETRY, Plan::Relay)?;
    tried.ping(1, TOTAL)?;
    guest.pause()?;
    let start = Instant::now();
    let unanswered = tried.ping(2, SHORT);
    let waited = start.elapsed();
    let committed = life.show(check, |life| life.commit(CommitFacts::default()));
    // Whatever came of it: nobody is left paused.
    guest.resume()?;
    committed?;
    check.expect(unanswered.is_err(), || "a paused guest answered".into());
    check.fact("unanswered for us", micros(waited));
    if let Err(error) = unanswered {
        check.fact("that session", error.to_string());
    }
    let over = tried.ping(3, TOTAL).map_err(|error| error.to_string());
    check.expect(over.is_err(), || {
        "a session went on after a request had expired".into()
    });
    drop(tried);
    // A pause is not a restore: a session with nothing in flight goes on.
    let start = Instant::now();
    control.ping(100, TOTAL)?;
    check.fact("resumed, answered in us", micros(start.elapsed()));
    Ok(())
}

/// What is left of before the snapshot: a session, and what the middle holds back of it.
pub(super) struct Old<'a> {
    pub(super) channel: HostChannel<'a, UnixStream>,
    pub(super) middle: Middle,
    pub(super) id: String,
}

pub(super) fn sleep<'a>(
    check: &mut Check,
    host: &'a Host,
    guest: &mut Guest,
    mut control: Line<'a>,
    life: &mut Life,
) -> Result<Old<'a>, Trouble> {
    life.begin(InstanceStatus::Sleeping)?;
    let mut line = host.open(TELEMETRY, Plan::Hold)?;
    line.ping(1, TOTAL)?;
    // Sealed before the snapshot, held back in the middle.
    let mut old = Old {
        channel: line.caller.into_channel(),
        middle: line.middle,
        id: line.id,
    };
    old.channel.send(b"held back", soon())?;
    let at = HANDSHAKE_FRAMES.saturating_add(1);
    let held = old.middle.await_host_frame(at, TOTAL);
    check.fact("held back bytes", held.map(|frame| frame.len()));
    // The guest's thread may have sent its answer and not gone on to wait for what is next. If the session
    // were ended before it does, it would find that by itself, without the frame that is held back.
    let waits =
        |report: &Value| is(report, "session", &old.id) && report.get("answers") == Some(&json!(1));
    let waiting = guest.report("waiting", waits);
    waiting.ok_or("the guest does not wait for another request")?;

    let start = Instant::now();
    let call = Call::SleepPrep(SleepPrep {
        flush_deadline_ms: 500,
        unbind: false,
    });
    match control.caller.call(&call, TOTAL)?.outcome {
        Ok(Answer::SleepPrep) => {}
        Ok(_) => return Err("an answer to something else".into()),
        Err(failure) => return Err(failure.into()),
    }
    check.fact("flushed in us", micros(start.elapsed()));
    let id = control.id;
    let mut channel = control.caller.into_channel();
    let verified = channel.receive(soon())? == Opened::Closed;
    check.expect(verified, || "the guest's close did not come".into());
    check.fact("guest's close verified", verified);
    let end = end_of(guest, &id);
    let how = get(end.as_ref(), "how");
    check.reported("session ended by", "asleep", how);
    let phase = get(end.as_ref(), "phase");
    check.reported("phase", Phase::ASLEEP.code(), phase);
    life.show(check, |life| life.commit(CommitFacts::default()))?;
    Ok(old)
}

pub(super) fn wake<'a>(
    check: &mut Check,
    host: &'a Host,
    guest: &mut Guest,
    life: &mut Life,
    asleep_ms: i64,
) -> Result<Line<'a>, Trouble> {
    life.state.begin_action(InstanceAction::Wake, now())?;
    let mut line = host.open(CONTROL, Plan::Relay)?;
    let seen = guest.report("session", |report| is(report, "session", &line.id));
    let session = line.caller.channel().session();
    check.expect(session.generation() == 2, || {
        "not the new generation".into()
    });
    check.agree(
        "generation",
        session.generation(),
        get(seen.as_ref(), "generation"),
    );
    let (phase, instance) = (
        line.status(|status| status.phase)?,
        line.caller.channel().session().instance().clone(),
    );
    check.expect(phase == Phase::ASLEEP, || {
        format!("before the wake the guest is in phase {}", phase.code())
    });
    check.fact("phase before", phase.code());

    let entropy = seed()?;
    // Before the host's clock is read: the guest reads its own while this runs.
    let start = Instant::now();
    let wake = Wake {
        generation: 2,
        wall_clock: now(),
        entropy: SecretBytes::new(entropy),
        identity: Some(instance.clone()),
        network: Some(host.net),
        new_guest_key: None,
    };
    let steps = wake.steps();
    let report = match line.caller.call(&Call::Wake(wake), TOTAL)?.outcome {
        Ok(Answer::Wake(report)) => report,
        Ok(_) => return Err("an answer to something else".into()),
        Err(failure) => return Err(failure.into()),
    };
    let took = start.elapsed();
    check.fact("took us", micros(took));
    let done = guest.report("wake", |_| true);
    let done = done.as_ref();
    let outcome = |step| match report.outcome(step) {
        StepOutcome::Done => "done".to_owned(),
        other => format!("{other:?}"),
    };
    check.fact(
        "acknowledged",
        json!({
            "entropy": outcome(Step::Entropy),
            "clock": outcome(Step::Clock),
            "identity": outcome(Step::Identity),
            "network": outcome(Step::Network),
        }),
    );
    check.agree("entropy check", check_value(&entropy), get(done, "entropy"));
    let skew = report.clock_skew_ms();
    check.agree("clock skew ms", skew, get(done, "clock_skew_ms"));
    // The guest's clock stood still while it slept, and is read after the wake has arrived.
    let least = asleep_ms.saturating_neg().saturating_sub(10);
    let most = least.saturating_add(millis(took)).saturating_add(20);
    let plausible = skew.is_some_and(|skew| (least..=most).contains(&skew));
    check.expect(plausible, || {
        format!("a clock skew of {skew:?} ms after {asleep_ms} ms of sleep")
    });
    check.agree("identity", instance.as_str(), get(done, "identity"));
    let net = serde_json::to_value(host.net)?;
    check.agree("network", net, get(done, "network"));
    if let Err(error) = report.check(steps) {
        // Not all done is not awake: the transition did not happen.
        check.expect(false, || error.to_string());
        life.state.abort()?;
        return Ok(line);
    }

    let (phase, ready) = line.status(|status| (status.phase, status.is_ready()))?;
    check.expect(ready, || "the guest is not ready after the wake".into());
    check.fact("phase after", phase.code());
    let pid = Pid::new(guest.pid())?;
    life.show(check, |life| life.commit(CommitFacts::process(pid)))?;
    Ok(line)
}

pub(super) fn stop(
    check: &mut Check,
    guest: &mut Guest,
    control: &mut Line<'_>,
    life: &mut Life,
) -> Result<(), Trouble> {
    life.state.begin_action(InstanceAction::Stop, now())?;
    let call = Call::Shutdown(Shutdown {
        grace_ms: 100,
        mode: ShutdownMode::PowerOff,
    });
    let start = Instant::now();
    match control.caller.call(&call, TOTAL)?.outcome {
        Ok(Answer::Shutdown) => {}
        Ok(_) => return Err("an answer to something else".into()),
        Err(failure) => return Err(failure.into()),
    }
    check.fact("answered in us", micros(start.elapsed()));
    let end = end_of(guest, &control.id);
    check.reported("session ended by", "shutdown", get(end.as_ref(), "how"));
    let status = guest.ended()?;
    check.fact("process ended with", status.to_string());
    check.expect(status.success(), || {
        format!("the guest ended with {status}")
    });
    life.show(check, |life| life.commit(CommitFacts::default()))
}

pub(super) fn destroy(
    check: &mut Check,
    remains: &Remains,
    life: &mut Life,
) -> Result<(), Trouble> {
    life.state.begin_action(InstanceAction::Destroy, now())?;
    remains.clear();
    let gone = !remains.dir().exists();
    check.expect(gone, || "the socket's directory is still there".into());
    check.fact("socket directory gone", gone);
    life.show(check, |life| life.commit(CommitFacts::default()))?;
    // Nothing leads out of it.
    let error = life.state.begin(InstanceStatus::Running, now()).err();
    check.expect(error.is_some(), || {
        "a destroyed instance can be started".into()
    });
    if let Some(error) = error {
        check.fact("a start after that", error.to_string());
    }
    Ok(())
}
