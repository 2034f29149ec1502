//! The machine of `InstanceState`: its bookkeeping, and every state it can reach.
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::unwrap_used
)]

use std::collections::{BTreeMap, VecDeque};

use InstanceStatus::{Created, Destroyed, Ready, Running, Sleeping, Stopped, Warm};
use mvm_core::instance::{
    BeginError, CommitError, CommitFacts, InstanceAction, InstanceNet, InstanceState,
    InstanceStatus, Observed, ObservedProcess, Pid, Resolution, validate_transition,
};
use mvm_core::pool::Role;
use mvm_core::time::Timestamp;

fn at(seconds: i64) -> Timestamp {
    Timestamp::new(seconds, 0).unwrap()
}

fn pid(pid: u32) -> Pid {
    Pid::new(pid).unwrap()
}

fn net() -> InstanceNet {
    serde_json::from_str(
        r#"{"tap_dev":"tn3i5","mac":"02:fc:00:03:00:05","guest_ip":"10.240.3.5","gateway_ip":"10.240.3.1","cidr":24}"#,
    )
    .unwrap()
}

fn created() -> InstanceState {
    InstanceState::new(
        "acme".parse().unwrap(),
        "workers".parse().unwrap(),
        "i-0a1b2c3d".parse().unwrap(),
        net(),
        Role::Worker,
    )
}

/// Goes through the statuses, with process `100 + step` where a new one is needed.
fn through(path: &[InstanceStatus]) -> InstanceState {
    let mut state = created();
    for (step, to) in (0..).zip(path) {
        state.begin(*to, at(10 * i64::from(step))).unwrap();
        let new = to.has_process() && !state.status().has_process();
        let facts = if new {
            CommitFacts::process(pid(100 + step))
        } else {
            CommitFacts::default()
        };
        state.commit(at(10 * i64::from(step) + 1), facts).unwrap();
    }
    state
}

/// A way to each status.
fn in_status(status: InstanceStatus) -> InstanceState {
    let state = through(match status {
        Created => &[],
        Ready => &[Ready],
        Running => &[Ready, Running],
        Warm => &[Ready, Running, Warm],
        Sleeping => &[Ready, Running, Warm, Sleeping],
        Stopped => &[Ready, Running, Stopped],
        Destroyed => &[Destroyed],
    });
    assert_eq!(state.status(), status);
    state
}

/// The table in the module's documentation, for every transition there is.
#[test]
fn bookkeeping() {
    let mut seen = 0;
    for from in InstanceStatus::ALL {
        for to in from.successors() {
            seen += 1;
            let before = in_status(from);
            let mut state = before.clone();
            let (begun, done) = (at(1000), at(1005));
            state.begin(to, begun).unwrap();
            // The intent changes nothing but itself.
            assert_eq!(
                (state.status(), state.firecracker_pid()),
                (from, before.firecracker_pid())
            );
            let new = to == Running && from != Warm;
            let facts = if new {
                CommitFacts::process(pid(7))
            } else {
                CommitFacts::default()
            };
            let pending = state.commit(done, facts).unwrap();
            assert_eq!((pending.to, pending.since), (to, begun));

            let now_if = |condition, before| if condition { Some(done) } else { before };
            assert_eq!(state.status(), to);
            assert_eq!(state.pending(), None);
            assert_eq!(
                state.firecracker_pid(),
                match (from, to) {
                    (Ready | Stopped | Sleeping, Running) => Some(pid(7)),
                    (Warm, Running) | (Running, Warm) => before.firecracker_pid(),
                    _ => None,
                }
            );
            assert_eq!(
                state.firecracker_pid().is_some(),
                matches!(to, Running | Warm)
            );
            assert_eq!(
                state.last_started_at(),
                now_if(new, before.last_started_at())
            );
            let stops = matches!(
                (from, to),
                (_, Stopped) | (Running | Warm | Sleeping, Destroyed)
            );
            assert_eq!(
                state.last_stopped_at(),
                now_if(stops, before.last_stopped_at())
            );
            assert_eq!(
                state.entered_running_at(),
                now_if(to == Running, before.entered_running_at())
            );
            assert_eq!(
                state.entered_warm_at(),
                now_if(to == Warm, before.entered_warm_at())
            );
        }
    }
    assert_eq!(seen, 18);
}

#[test]
fn begin_and_abort() {
    let mut state = in_status(Running);
    let before = state.clone();
    assert!(state.abort().is_err());
    assert_eq!(
        state.commit(at(1), CommitFacts::default()),
        Err(CommitError::NotPending)
    );
    assert!(matches!(
        state.begin(Sleeping, at(1)),
        Err(BeginError::Transition(error)) if error.from == Running && error.to == Sleeping
    ));
    assert_eq!(state, before);

    let pending = state.begin(Warm, at(1)).unwrap();
    let begun = state.clone();
    // Whatever else is asked for, the answer is what is pending.
    for to in InstanceStatus::ALL {
        assert_eq!(state.begin(to, at(2)), Err(BeginError::Pending { pending }));
    }
    for action in InstanceAction::ALL {
        assert_eq!(
            state.begin_action(action, at(2)),
            Err(BeginError::Pending { pending })
        );
    }
    assert_eq!(state, begun);
    let message = BeginError::Pending { pending }.to_string();
    assert_eq!(
        message,
        "a transition to warm is pending since 1970-01-01T00:00:01Z"
    );

    assert_eq!(state.abort(), Ok(pending));
    assert_eq!(state, before);
}

#[test]
fn commit_wants_the_facts_that_fit() {
    let mut state = in_status(Sleeping);
    state.begin(Running, at(1)).unwrap();
    let begun = state.clone();
    assert_eq!(
        state.commit(at(2), CommitFacts::default()),
        Err(CommitError::MissingPid { to: Running })
    );
    assert_eq!(state, begun);
    state.commit(at(2), CommitFacts::process(pid(9))).unwrap();

    state.begin(Warm, at(3)).unwrap();
    let begun = state.clone();
    assert_eq!(
        state.commit(at(4), CommitFacts::process(pid(8))),
        Err(CommitError::OtherPid {
            recorded: pid(9),
            given: pid(8)
        })
    );
    assert_eq!(state, begun);
    state.commit(at(4), CommitFacts::process(pid(9))).unwrap();

    state.begin(Stopped, at(5)).unwrap();
    let begun = state.clone();
    assert_eq!(
        state.commit(at(6), CommitFacts::process(pid(9))),
        Err(CommitError::UnexpectedPid {
            pid: pid(9),
            to: Stopped
        })
    );
    assert_eq!(state, begun);

    // A record of 0.13.0 that does not know the process learns it.
    let text = serde_json::to_string(&in_status(Running)).unwrap();
    let text = text.replace(r#""firecracker_pid":101"#, r#""firecracker_pid":null"#);
    let mut state: InstanceState = serde_json::from_str(&text).unwrap();
    assert_eq!(state.firecracker_pid(), None);
    state.begin(Warm, at(3)).unwrap();
    state.commit(at(4), CommitFacts::process(pid(12))).unwrap();
    assert_eq!(state.firecracker_pid(), Some(pid(12)));
}

/// Every transition but the builds has exactly one action, and an action leads where it says.
#[test]
fn actions() {
    let mut applicable = 0;
    for from in InstanceStatus::ALL {
        for action in InstanceAction::ALL {
            let mut state = in_status(from);
            let result = state.begin_action(action, at(1));
            assert_eq!(result.is_ok(), action.applies_to(from));
            match result {
                Ok(pending) => {
                    applicable += 1;
                    assert_eq!(pending.to, action.target_status());
                    assert_eq!(InstanceAction::of(from, pending.to), Some(action));
                }
                Err(error) => {
                    assert_eq!(
                        error,
                        BeginError::NotApplicable {
                            action,
                            status: from
                        }
                    );
                    assert_eq!(state, in_status(from));
                }
            }
        }
        for to in InstanceStatus::ALL {
            let actions = InstanceAction::ALL
                .into_iter()
                .filter(|action| action.applies_to(from) && action.target_status() == to)
                .count();
            let expected = validate_transition(from, to).is_ok() && to != Ready;
            assert_eq!(actions, usize::from(expected), "{from} -> {to}");
            assert_eq!(InstanceAction::of(from, to).is_some(), expected);
        }
    }
    assert_eq!(applicable, 16);
}

#[test]
fn destroying_twice_is_no_error() {
    let mut state = in_status(Running);
    for now in [50, 60] {
        state
            .begin_action(InstanceAction::Destroy, at(now))
            .unwrap();
        state.commit(at(now), CommitFacts::default()).unwrap();
        assert_eq!(state.status(), Destroyed);
        assert_eq!(state.last_stopped_at(), Some(at(50)));
    }
}

const GONE: Observed = Observed {
    process: ObservedProcess::None,
    snapshot: false,
    present: true,
};

fn running(id: u32) -> Observed {
    Observed {
        process: ObservedProcess::Running(pid(id)),
        ..GONE
    }
}

fn paused(id: u32) -> Observed {
    Observed {
        process: ObservedProcess::Paused(pid(id)),
        ..GONE
    }
}

const SNAPSHOT: Observed = Observed {
    snapshot: true,
    ..GONE
};
const REMOVED: Observed = Observed {
    present: false,
    ..GONE
};

/// What a restarted program makes of what it finds. (From, pending, seen, status afterwards, how.)
#[test]
fn resolve_with_facts() {
    const CONFIRMED: char = '=';
    const ABORTED: char = '<';
    const COMMITTED: char = '>';
    const MOVED: char = '~';
    const UNEXPLAINED: char = '?';
    for (from, to, seen, after, how) in [
        // Nothing known to be pending.
        (Created, None, GONE, Created, CONFIRMED),
        (Ready, None, GONE, Ready, CONFIRMED),
        (Running, None, running(101), Running, CONFIRMED),
        (Running, None, running(55), Running, CONFIRMED),
        (Sleeping, None, SNAPSHOT, Sleeping, CONFIRMED),
        (Destroyed, None, REMOVED, Destroyed, CONFIRMED),
        // A program without pending transitions has been at work, or something crashed.
        (Ready, None, running(5), Running, MOVED),
        (Running, None, paused(101), Warm, MOVED),
        (Running, None, GONE, Stopped, MOVED),
        (Running, None, REMOVED, Destroyed, MOVED),
        (Warm, None, running(101), Running, MOVED),
        (Warm, None, SNAPSHOT, Sleeping, MOVED),
        (Warm, None, GONE, Stopped, MOVED),
        (Sleeping, None, GONE, Stopped, MOVED),
        (Sleeping, None, running(5), Running, MOVED),
        (Stopped, None, running(5), Running, MOVED),
        (Created, None, REMOVED, Destroyed, MOVED),
        // Begun, and not done.
        (Created, Some(Ready), GONE, Created, ABORTED),
        (Ready, Some(Ready), GONE, Ready, ABORTED),
        (Ready, Some(Running), GONE, Ready, ABORTED),
        (Running, Some(Warm), running(101), Running, ABORTED),
        (Running, Some(Stopped), running(101), Running, ABORTED),
        (Warm, Some(Sleeping), paused(101), Warm, ABORTED),
        (Sleeping, Some(Running), SNAPSHOT, Sleeping, ABORTED),
        (Stopped, Some(Destroyed), GONE, Stopped, ABORTED),
        // Done, and not recorded.
        (Ready, Some(Running), running(5), Running, COMMITTED),
        (Running, Some(Warm), paused(101), Warm, COMMITTED),
        (Running, Some(Stopped), GONE, Stopped, COMMITTED),
        (Running, Some(Destroyed), REMOVED, Destroyed, COMMITTED),
        (Warm, Some(Sleeping), SNAPSHOT, Sleeping, COMMITTED),
        (Warm, Some(Running), running(101), Running, COMMITTED),
        (Sleeping, Some(Stopped), GONE, Stopped, COMMITTED),
        (Sleeping, Some(Running), running(5), Running, COMMITTED),
        // Something else happened on the way.
        (Warm, Some(Sleeping), GONE, Stopped, MOVED),
        (Warm, Some(Sleeping), running(101), Running, MOVED),
        (Sleeping, Some(Running), GONE, Stopped, MOVED),
        (Running, Some(Warm), GONE, Stopped, MOVED),
        (Running, Some(Destroyed), GONE, Stopped, MOVED),
        // No single step leads there.
        (Destroyed, None, running(5), Destroyed, UNEXPLAINED),
        (Destroyed, None, GONE, Destroyed, UNEXPLAINED),
        (Created, None, running(5), Created, UNEXPLAINED),
        (Running, None, SNAPSHOT, Running, UNEXPLAINED),
        (Stopped, None, paused(5), Stopped, UNEXPLAINED),
        (Stopped, None, SNAPSHOT, Stopped, UNEXPLAINED),
        (Running, Some(Warm), SNAPSHOT, Running, UNEXPLAINED),
    ] {
        let mut state = in_status(from);
        if let Some(to) = to {
            state.begin(to, at(500)).unwrap();
        }
        let before = state.clone();
        let result = state.resolve(seen, at(600));
        let context = format!("{from} {to:?} {seen:?}: {result:?}");
        let pending = before.pending();
        let found = match result {
            Ok(Resolution::Confirmed) => CONFIRMED,
            Ok(Resolution::Aborted(aborted)) if Some(aborted) == pending => ABORTED,
            Ok(Resolution::Committed(done)) if Some(done) == pending => COMMITTED,
            Ok(Resolution::Moved { from: was, to }) if was == from && to == after => MOVED,
            Err(error) if error.status == from && error.observed == seen => UNEXPLAINED,
            _ => '!',
        };
        assert_eq!((state.status(), found), (after, how), "{context}");
        if how == UNEXPLAINED {
            assert_eq!(state, before, "{context}");
        } else {
            assert_eq!(state.pending(), None, "{context}");
            let pid = match seen.process {
                ObservedProcess::None => None,
                ObservedProcess::Running(pid) | ObservedProcess::Paused(pid) => Some(pid),
            };
            assert_eq!(state.firecracker_pid(), pid, "{context}");
        }
        if after == Stopped && (how == COMMITTED || how == MOVED) {
            assert_eq!(state.last_stopped_at(), Some(at(600)), "{context}");
        }
    }
}

/// What can be done to a state, each with what a host could give.
fn steps(state: &InstanceState) -> Vec<(String, InstanceState)> {
    let mut next = Vec::new();
    let mut step = |name: String, change: &dyn Fn(&mut InstanceState) -> bool| {
        let mut changed = state.clone();
        if change(&mut changed) {
            next.push((name, changed));
        } else {
            // All or nothing: what is refused changes nothing.
            assert_eq!(&changed, state, "{name}");
        }
    };
    for to in InstanceStatus::ALL {
        step(format!("begin {to}"), &|state| {
            state.begin(to, at(1)).is_ok()
        });
    }
    for action in InstanceAction::ALL {
        step(format!("{action}"), &|state| {
            state.begin_action(action, at(1)).is_ok()
        });
    }
    for id in [None, Some(1), Some(2)] {
        let mut facts = CommitFacts::default();
        facts.firecracker_pid = id.map(pid);
        step(format!("commit {id:?}"), &|state| {
            state.commit(at(2), facts).is_ok()
        });
    }
    step("abort".into(), &|state| state.abort().is_ok());
    let processes = [
        ObservedProcess::None,
        ObservedProcess::Running(pid(1)),
        ObservedProcess::Running(pid(2)),
        ObservedProcess::Paused(pid(1)),
    ];
    for process in processes {
        for (snapshot, present) in [(false, false), (false, true), (true, false), (true, true)] {
            let seen = Observed {
                process,
                snapshot,
                present,
            };
            step(format!("resolve {seen:?}"), &|state| {
                state.resolve(seen, at(3)).is_ok()
            });
        }
    }
    next
}

/// What tells two states apart: all that the machine looks at.
fn key(state: &InstanceState) -> (InstanceStatus, Option<InstanceStatus>, Option<Pid>) {
    (
        state.status(),
        state.pending().map(|pending| pending.to),
        state.firecracker_pid(),
    )
}

/// Explores every state that can be reached from a new one. `check` sees each edge and may object.
fn explore(
    check: impl Fn(&InstanceState, &str, &InstanceState) -> Result<(), String>,
) -> Result<(usize, usize), String> {
    let first = created();
    let mut seen = BTreeMap::from([(key(&first), ())]);
    let mut queue = VecDeque::from([first]);
    let mut edges = 0;
    while let Some(state) = queue.pop_front() {
        for (name, next) in steps(&state) {
            edges += 1;
            check(&state, &name, &next)
                .map_err(|why| format!("{:?} -- {name} -> {:?}: {why}", key(&state), key(&next)))?;
            if seen.insert(key(&next), ()).is_none() {
                queue.push_back(next);
            }
        }
    }
    Ok((seen.len(), edges))
}

#[test]
fn every_reachable_state() {
    let (states, edges) = explore(|before, name, after| {
        let (from, to) = (before.status(), after.status());
        let wrong = |why: &str| Err(String::from(why));
        if from != to && validate_transition(from, to).is_err() {
            return wrong("the status changed beside the table");
        }
        if from != to && !(name.starts_with("commit") || name.starts_with("resolve")) {
            return wrong("the status changed without a fact");
        }
        if name.starts_with("commit") && before.pending().map(|pending| pending.to) != Some(to) {
            return wrong("the commit led elsewhere");
        }
        if from == Destroyed && to != Destroyed {
            return wrong("destroyed is final");
        }
        if after.firecracker_pid().is_some() != to.has_process() {
            return wrong("a process without a status that has one, or the other way round");
        }
        if let Some(pending) = after.pending() {
            if validate_transition(to, pending.to).is_err() {
                return wrong("a pending transition that the table does not have");
            }
        } else if name.starts_with("begin") {
            return wrong("begun and not pending");
        }
        let text = serde_json::to_string(after).unwrap();
        if serde_json::from_str::<InstanceState>(&text).unwrap() != *after {
            return wrong("another state after writing and reading it");
        }
        Ok(())
    })
    .unwrap();
    println!("instance machine: {states} states, {edges} edges");
    // Each status with nothing pending or one of its successors; running and warm once for each of
    // the two processes: 3 + 4 + 2·4 + 2·5 + 4 + 3 + 2.
    assert_eq!(states, 34);
    assert!(edges > states);
}

/// The exploration itself: each rule, planted wrong, is found violated.
#[test]
fn the_exploration_finds_violations() {
    type Rule = (&'static str, fn(Edge<'_>) -> bool);
    type Edge<'a> = (&'a InstanceState, &'a str, &'a InstanceState);
    let rules: [Rule; 4] = [
        ("nothing is ever destroyed", |(_, _, after)| {
            after.status() != Destroyed
        }),
        ("nothing is ever pending", |(_, _, after)| {
            after.pending().is_none()
        }),
        ("nothing sleeps", |(_, _, after)| after.status() != Sleeping),
        ("processes never change", |(before, _, after)| {
            before.firecracker_pid().is_none()
                || after.firecracker_pid().is_none()
                || before.firecracker_pid() == after.firecracker_pid()
        }),
    ];
    for (name, rule) in rules {
        let result = explore(|before, step, after| {
            if rule((before, step, after)) {
                Ok(())
            } else {
                Err(name.into())
            }
        });
        assert!(result.is_err_and(|why| why.ends_with(name)), "{name}");
    }
}
