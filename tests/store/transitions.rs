//! Transitions: intents, then facts, and what is left of them after a crash.

use std::convert::Infallible;
use std::fs;
use std::time::Duration;

use mvm_core::instance::{
    BeginError, CommitError, CommitFacts, InstanceAction, InstanceState, InstanceStatus, Observed,
    ObservedProcess, Pid, Resolution,
};
use mvm_core::store::{Failed, RecordError, ResolveError, StateStore, TransitionFailed};

use super::{Node, instance, instance_named, now, state_of};

fn pid() -> Pid {
    Pid::new(4711).unwrap()
}

fn load(store: &StateStore) -> InstanceState {
    store.load(&instance()).unwrap()
}

const NOTHING: Observed = Observed {
    process: ObservedProcess::None,
    snapshot: false,
    present: true,
};

fn running() -> Observed {
    Observed {
        process: ObservedProcess::Running(pid()),
        ..NOTHING
    }
}

#[test]
fn begun_and_ended() {
    let node = Node::filled();
    let (store, path) = (&node.store, instance());
    let transition = store.begin(&path, InstanceAction::Start, now()).unwrap();
    let seen = load(store);
    assert_eq!(seen.status(), InstanceStatus::Ready);
    assert_eq!(seen.pending(), Some(transition.pending()));
    assert_eq!(&seen, transition.state());
    // Others record what they measure meanwhile.
    store
        .update(&path, |state: &mut InstanceState| {
            state.healthy = Some(true);
            Ok::<_, Infallible>(())
        })
        .unwrap();
    let state = transition
        .commit(now(), CommitFacts::process(pid()))
        .unwrap();
    assert_eq!(
        (state.status(), state.firecracker_pid()),
        (InstanceStatus::Running, Some(pid()))
    );
    assert_eq!(state.healthy, Some(true));
    assert_eq!(state, load(store));

    let transition = store.begin(&path, InstanceAction::Stop, now()).unwrap();
    assert_eq!(
        transition.abort().unwrap().status(),
        InstanceStatus::Running
    );
    assert_eq!(load(store).pending(), None);

    // What does not apply is not recorded.
    let error = store.begin(&path, InstanceAction::Wake, now()).unwrap_err();
    assert!(
        matches!(error, RecordError::Begin(BeginError::NotApplicable { .. })),
        "{error}"
    );
    let error = store
        .begin(&path, InstanceStatus::Created, now())
        .unwrap_err();
    assert!(
        matches!(error, RecordError::Begin(BeginError::Transition(_))),
        "{error}"
    );
    assert_eq!(state, load(store));
    let error = store
        .begin(&instance_named("i-9"), InstanceAction::Stop, now())
        .unwrap_err();
    assert!(
        matches!(&error, RecordError::Store(error) if error.is_missing()),
        "{error}"
    );
}

#[test]
fn as_a_whole() {
    let node = Node::filled();
    let (store, path) = (&node.store, instance());
    let start = |operation: Result<CommitFacts, Failed<&'static str>>| {
        store.transition(&path, InstanceAction::Start, now, |state| {
            assert!(state.pending().is_some());
            operation
        })
    };
    let undone = start(Err(Failed::Undone("no memory")));
    assert!(matches!(undone, Err(TransitionFailed::Undone("no memory"))));
    assert_eq!(load(store).pending(), None);
    let unclear = start(Err(Failed::Unclear("timeout")));
    assert!(matches!(unclear, Err(TransitionFailed::Unclear("timeout"))));
    assert!(load(store).pending().is_some());
    // It stands in the way until somebody has looked.
    let error = start(Ok(CommitFacts::process(pid()))).unwrap_err();
    assert!(
        matches!(
            error,
            TransitionFailed::Record(RecordError::Begin(BeginError::Pending { .. }))
        ),
        "{error}"
    );
    let seen = store
        .resolve(&path, now(), |_| Ok::<_, Infallible>(NOTHING))
        .unwrap();
    assert!(matches!(seen, Resolution::Aborted(_)));
    let state = start(Ok(CommitFacts::process(pid()))).unwrap();
    assert_eq!(state.status(), InstanceStatus::Running);
    // Facts that do not fit leave it pending.
    let error = store
        .transition(&path, InstanceAction::Stop, now, |_| {
            Ok::<_, Failed<Infallible>>(CommitFacts::process(pid()))
        })
        .unwrap_err();
    assert!(
        matches!(
            error,
            TransitionFailed::Record(RecordError::Commit(CommitError::UnexpectedPid { .. }))
        ),
        "{error}"
    );
    assert!(load(store).pending().is_some());
}

#[test]
fn one_at_a_time_and_nobody_interferes() {
    let node = Node::filled();
    let (store, path) = (node.store.clone().with_patience(Duration::ZERO), instance());
    let transition = store.begin(&path, InstanceAction::Start, now()).unwrap();
    assert!(
        store
            .begin(&path, InstanceAction::Start, now())
            .unwrap_err()
            .is_busy()
    );
    assert!(store.resume(&path).unwrap_err().is_busy());
    let look = |_: &InstanceState| -> Result<Observed, Infallible> { panic!("looked") };
    let error = store.resolve(&path, now(), look).unwrap_err();
    assert!(matches!(error, ResolveError::InProgress(_)), "{error}");
    assert!(
        error
            .to_string()
            .ends_with(&format!("locked by process {}", std::process::id()))
    );
    let recovered = store
        .recover(now(), |_, _| Ok::<_, Infallible>(NOTHING))
        .unwrap();
    assert!(matches!(
        &recovered.instances[..],
        [(_, Err(ResolveError::InProgress(_)))]
    ));
    // Its owner dies; another one carries it on.
    drop(transition);
    let transition = store.resume(&path).unwrap();
    let state = transition
        .commit(now(), CommitFacts::process(pid()))
        .unwrap();
    assert_eq!(state.status(), InstanceStatus::Running);
    let error = store.resume(&path).unwrap_err();
    assert!(matches!(error, RecordError::NotPending(_)), "{error}");
}

/// What a program of 0.13.0 makes of the record.
fn rewritten(node: &Node, edit: impl Fn(&mut serde_json::Map<String, serde_json::Value>)) {
    let path = node.path("tenants/acme/pools/web/instances/i-1/instance.json");
    let mut record = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let serde_json::Value::Object(members) = &mut record else {
        panic!("{record}");
    };
    members.remove("pending");
    edit(members);
    node.write(&path, record.to_string());
}

#[test]
fn an_old_program_drops_what_is_pending() {
    let node = Node::filled();
    let (store, path) = (&node.store, instance());
    let transition = store.begin(&path, InstanceAction::Start, now()).unwrap();
    rewritten(&node, |members| {
        members.insert("config_version".into(), 7.into());
    });
    let state = transition
        .commit(now(), CommitFacts::process(pid()))
        .unwrap();
    assert_eq!(
        (state.status(), state.config_version),
        (InstanceStatus::Running, Some(7))
    );

    // Where it has gone on by itself, nobody knows who is right.
    let transition = store.begin(&path, InstanceAction::Warm, now()).unwrap();
    rewritten(&node, |members| {
        members.insert("status".into(), "stopped".into());
    });
    let before = load(store);
    let error = transition
        .commit(now(), CommitFacts::default())
        .unwrap_err();
    assert!(
        matches!(
            error,
            RecordError::Overtaken {
                status: InstanceStatus::Stopped,
                found: None,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(load(store), before);
}

#[test]
fn after_a_crash_every_instance_is_looked_at() {
    let node = Node::filled();
    let store = &node.store;
    // i-1: begun and carried out. i-2: begun, dropped by an old program, and carried out all the same.
    // i-3: as it is recorded. i-4: cannot be explained. i-5: cannot be read. i-6: nobody could look.
    for (id, status) in [
        ("i-2", "ready"),
        ("i-3", "stopped"),
        ("i-4", "created"),
        ("i-6", "ready"),
    ] {
        store
            .create(&instance_named(id), &state_of(id, status))
            .unwrap();
    }
    drop(
        store
            .begin(&instance(), InstanceAction::Start, now())
            .unwrap(),
    );
    node.write(
        &node.path("tenants/acme/pools/web/instances/i-5/instance.json"),
        "{",
    );
    node.write(
        &node.path("tenants/acme/pools/web/.pool.json.aB3dE9.tmp"),
        "{",
    );
    node.write(
        &node.path("tenants/acme/pools/web/instances/half/rootfs.ext4"),
        "",
    );
    assert!(store.pending().is_err());
    fs::remove_file(node.path("tenants/acme/pools/web/instances/i-5/instance.json")).unwrap();
    let pending = store.pending().unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0].0, instance());
    node.write(
        &node.path("tenants/acme/pools/web/instances/i-5/instance.json"),
        "{",
    );

    let recovered = store
        .recover(now(), |path, state| {
            assert_eq!(path.instance, state.instance_id);
            match path.instance.as_str() {
                "i-1" | "i-2" | "i-4" => Ok(running()),
                "i-3" => Ok(NOTHING),
                other => Err(format!("no idea of {other}")),
            }
        })
        .unwrap();
    let outcomes: Vec<String> = recovered
        .instances
        .iter()
        .map(|(path, outcome)| {
            let text = match outcome {
                Ok(Resolution::Committed(_)) => "committed".to_owned(),
                Ok(Resolution::Moved { from, to }) => format!("{from} to {to}"),
                Ok(Resolution::Confirmed) => "confirmed".to_owned(),
                Err(ResolveError::Unexplained(_)) => "unexplained".to_owned(),
                Err(ResolveError::Store(_)) => "unreadable".to_owned(),
                Err(ResolveError::Look(why)) => why.clone(),
                other => panic!("{other:?}"),
            };
            format!("{}: {text}", path.instance)
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            "i-1: committed",
            "i-2: ready to running",
            "i-3: confirmed",
            "i-4: unexplained",
            "i-5: unreadable",
            "i-6: no idea of i-6",
        ]
    );
    assert_eq!(recovered.skipped.len(), 1);
    assert_eq!(recovered.cleaned.removed.len(), 1);
    assert_eq!(load(store).firecracker_pid(), Some(pid()));
    assert!(store.pending().is_err());
    // Once more: what is right stays.
    let again = store
        .recover(now(), |_, _| Ok::<_, Infallible>(running()))
        .unwrap();
    assert!(matches!(again.instances[0].1, Ok(Resolution::Confirmed)));
}
