//! Answers, for people and for programs.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use mvm_core::guest::{
    Answer, Call, ComponentState, Failure, Phase, Step, StepOutcome, WakeReport,
};
use serde_json::{Map, Value, json};

/// What is said of an answer.
pub(super) struct Shown {
    pub(super) ok: bool,
    pub(super) answer: Value,
    pub(super) failure: Option<String>,
    pub(super) lines: Vec<String>,
}

pub(super) fn outcome(call: &Call<'_>, outcome: &Result<Answer<'_>, Failure>) -> Shown {
    let mut shown = Shown {
        ok: true,
        answer: Value::Null,
        failure: None,
        lines: Vec::new(),
    };
    match (call, outcome) {
        (_, Err(failure)) => shown.fail(failure.to_string()),
        (Call::Ping(ping), Ok(Answer::Pong(pong))) => {
            shown.answer = json!({ "uptime_ms": pong.uptime_ms });
            shown.lines.push(format!("up for {} ms", pong.uptime_ms));
            if pong.nonce != ping.nonce {
                shown.fail("the answer is to another ping".to_string());
            }
        }
        (_, Ok(Answer::Status(status))) => {
            let mut components = Vec::new();
            let phase = phase(status.phase);
            let ready = status.is_ready();
            let is = if ready { "ready" } else { "not ready" };
            shown
                .lines
                .push(format!("{is}, {phase}, up for {} ms", status.uptime_ms));
            for component in status.components.as_slice() {
                let (name, state) = (component.name.as_str(), state(component.state));
                let since_ms = component.since_ms;
                shown
                    .lines
                    .push(format!("{name}: {state} for {since_ms} ms"));
                components.push(json!({ "name": name, "state": state, "since_ms": since_ms }));
            }
            shown.answer = json!({
                "ready": ready,
                "phase": phase,
                "generation": status.generation,
                "uptime_ms": status.uptime_ms,
                "components": components,
            });
        }
        (Call::Wake(wake), Ok(Answer::Wake(report))) => {
            shown.wake(report);
            if let Err(error) = report.check(wake.steps()) {
                shown.fail(error.to_string());
            }
        }
        (_, Ok(Answer::Extension(body))) => {
            let digits: String = body.0.iter().map(|byte| format!("{byte:02x}")).collect();
            shown.lines.push(digits.clone());
            shown.answer = json!({ "body": digits });
        }
        (_, Ok(Answer::SleepPrep)) => shown.lines.push("asleep: the snapshot may be taken".into()),
        (_, Ok(Answer::Shutdown)) => shown.lines.push("it will shut down".into()),
        (_, Ok(_)) => shown.fail("an answer that this version does not know".into()),
    }
    shown
}

impl Shown {
    fn fail(&mut self, failure: String) {
        self.ok = false;
        self.failure = Some(failure);
    }

    fn wake(&mut self, report: &WakeReport) {
        let mut steps = Map::new();
        for (name, step) in [
            ("entropy", Step::Entropy),
            ("clock", Step::Clock),
            ("identity", Step::Identity),
            ("network", Step::Network),
            ("key", Step::Key),
        ] {
            let outcome = match report.outcome(step) {
                StepOutcome::NotRequested => "not requested".to_string(),
                StepOutcome::Done => "done".to_string(),
                StepOutcome::Failed { code } => format!("failed with code {code}"),
                other => format!("{other:?}"),
            };
            self.lines.push(format!("{name}: {outcome}"));
            steps.insert(name.to_owned(), outcome.into());
        }
        let skew = report.clock_skew_ms();
        if let Some(skew) = skew {
            self.lines.push(format!("its clock was off by {skew} ms"));
        }
        self.answer = json!({ "steps": steps, "clock_skew_ms": skew });
    }
}

fn phase(phase: Phase) -> String {
    match phase {
        Phase::AWAKE => "awake".into(),
        Phase::DRAINING => "draining".into(),
        Phase::ASLEEP => "asleep".into(),
        Phase::RESTORING => "restoring".into(),
        other => format!("in phase {}", other.code()),
    }
}

fn state(state: ComponentState) -> String {
    match state {
        ComponentState::Unknown => "unknown".into(),
        ComponentState::Starting => "starting".into(),
        ComponentState::Ready => "ready".into(),
        ComponentState::Failed { code } => format!("failed with code {code}"),
        ComponentState::Other(other) => format!("state {} ({})", other.code(), other.detail()),
        other => format!("{other:?}"),
    }
}
