//! Host and guest with the control vocabulary: deadlines and correlation on the host, capabilities,
//! phases and failing closed on the guest, and the whole life of an instance.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod guest_support;

use guest_support::*;
use mvm_core::guest::*;
use mvm_core::naming::InstanceId;
use mvm_core::time::Timestamp;
use mvm_core::wire::codec::{Bytes, EncodeError};

const PING: Call<'static> = Call::Ping(Ping { nonce: 1 });
const PONG: &[u8] = &[1, 1, 0, 1, 0];

fn wake(generation: u64) -> Wake {
    Wake {
        generation,
        wall_clock: Timestamp::UNIX_EPOCH,
        entropy: SecretBytes::new([0x11; 32]),
        identity: None,
        network: None,
        new_guest_key: None,
    }
}

fn sleep(unbind: bool) -> Call<'static> {
    Call::SleepPrep(SleepPrep {
        flush_deadline_ms: 50,
        unbind,
    })
}

fn all_done(steps: Steps) -> WakeReport {
    let mut report = WakeReport::new(steps);
    for step in Step::ALL {
        if steps.has(step) {
            report.set(step, StepOutcome::Done);
        }
    }
    report
}

/// One host and one guest with a session between them that loses nothing.
struct Pair {
    calls: Calls<4>,
    dispatcher: Dispatcher,
    now_ms: u64,
}

impl Pair {
    fn new(lifecycle: &mut Lifecycle, generation: u64) -> Self {
        let (host, guest) = everything();
        Self {
            calls: Calls::new(host),
            dispatcher: Dispatcher::new(lifecycle, guest, instance(), generation),
            now_ms: 1_000_000,
        }
    }

    /// A request and its answer; what the guest does with it is `work`.
    fn call(
        &mut self,
        lifecycle: &mut Lifecycle,
        call: &Call<'_>,
        work: impl FnOnce(&Call<'_>, &Lifecycle) -> Result<Answer<'static>, Failure>,
    ) -> (Result<Answer<'static>, Failure>, AfterResponse) {
        let mut request = [0; 1024];
        let (id, len) = self
            .calls
            .begin(call, 100, self.now_ms, &mut request)
            .unwrap();
        let mut out = [0; 1024];
        self.now_ms += 3;
        let incoming = self
            .dispatcher
            .receive(lifecycle, &request[..len], self.now_ms)
            .unwrap();
        let (len, then) = match incoming {
            Incoming::Call(got, responder) => {
                assert_eq!(got, *call);
                match work(&got, lifecycle) {
                    Ok(answer) => {
                        let written = responder
                            .answer(lifecycle, &answer, self.now_ms, &mut out)
                            .unwrap();
                        (written.len, written.then)
                    }
                    Err(failure) => {
                        let len = responder
                            .fail(lifecycle, failure, self.now_ms, &mut out)
                            .unwrap();
                        (len, AfterResponse::Continue)
                    }
                }
            }
            Incoming::Refused(refusal) => {
                (refusal.encode(&mut out).unwrap(), AfterResponse::Continue)
            }
            other => panic!("{other:?}"),
        };
        self.now_ms += 4;
        let completed = self.calls.accept(&out[..len], self.now_ms).unwrap();
        assert_eq!((completed.id, completed.took_ms), (id, 7));
        let outcome = match completed.outcome {
            Ok(Answer::Pong(pong)) => Ok(Answer::Pong(pong)),
            Ok(Answer::SleepPrep) => Ok(Answer::SleepPrep),
            Ok(Answer::Wake(report)) => Ok(Answer::Wake(report)),
            Ok(Answer::Shutdown) => Ok(Answer::Shutdown),
            Err(failure) => Err(failure),
            other => panic!("{other:?}"),
        };
        (outcome, then)
    }

    fn ping(&mut self, lifecycle: &mut Lifecycle) {
        let pong = Answer::Pong(Pong {
            nonce: 1,
            uptime_ms: 5,
        });
        let (outcome, then) = self.call(lifecycle, &PING, |_, _| Ok(pong.clone()));
        assert_eq!((outcome, then), (Ok(pong), AfterResponse::Continue));
    }
}

/// start → sleep → restore → wake → shut down, with a wake that fails on the way.
#[test]
fn the_life_of_an_instance() {
    let mut lifecycle = Lifecycle::booted();
    let mut first = Pair::new(&mut lifecycle, 1);
    first.ping(&mut lifecycle);
    assert_eq!(lifecycle.generation(), Some(1));

    // A flush that fails: nothing has changed.
    let failed = Failure::Failed { code: 5 };
    let (outcome, then) = first.call(&mut lifecycle, &sleep(false), |_, lifecycle| {
        assert_eq!(lifecycle.phase(), Phase::DRAINING);
        Err(failed)
    });
    assert_eq!((outcome, then), (Err(failed), AfterResponse::Continue));
    assert!(lifecycle.is_awake());

    // One that works ends every session, and this dispatcher with them.
    let (outcome, then) = first.call(&mut lifecycle, &sleep(true), |_, _| Ok(Answer::SleepPrep));
    assert_eq!(outcome, Ok(Answer::SleepPrep));
    assert_eq!(then, AfterResponse::EndSessions { unbind: true });
    assert_eq!(lifecycle.phase(), Phase::ASLEEP);
    let ping = request(&PING, 100);
    let late = first.dispatcher.receive(&mut lifecycle, &ping, 0);
    assert_eq!(late.unwrap_err(), DispatchError::Ended);

    // Restored: what needs an awake guest is refused, asking and pinging is not.
    let mut second = Pair::new(&mut lifecycle, 2);
    second.ping(&mut lifecycle);
    let extension = Call::Extension(Extension {
        kind: 1,
        body: Bytes(b""),
    });
    for call in [&extension, &sleep(false)] {
        let (outcome, _) = second.call(&mut lifecycle, call, |_, _| unreachable!());
        let phase = Phase::ASLEEP;
        assert_eq!(outcome, Err(Failure::NotAwake { phase }));
    }

    // One step of the wake does not work: the report says which, and the guest is not awake.
    let identity = Some(instance());
    let half = Call::Wake(Wake {
        identity: identity.clone(),
        ..wake(2)
    });
    let mut steps = Steps::default();
    let (outcome, then) = second.call(&mut lifecycle, &half, |call, lifecycle| {
        assert_eq!(lifecycle.phase(), Phase::RESTORING);
        let Call::Wake(wake) = call else {
            unreachable!()
        };
        steps = wake.steps();
        let mut report = all_done(wake.steps());
        report.set(Step::Identity, StepOutcome::Failed { code: 9 });
        Ok(Answer::Wake(report))
    });
    assert_eq!(then, AfterResponse::Continue);
    let Ok(Answer::Wake(report)) = outcome else {
        panic!("{outcome:?}");
    };
    let missing = report.check(steps).unwrap_err().missing;
    assert_eq!(missing, Steps::default().with(Step::Identity));
    assert_eq!(lifecycle.phase(), Phase::RESTORING);
    let (outcome, _) = second.call(&mut lifecycle, &extension, |_, _| unreachable!());
    let phase = Phase::RESTORING;
    assert_eq!(outcome, Err(Failure::NotAwake { phase }));

    // The second attempt does it.
    let again = Call::Wake(Wake {
        identity,
        ..wake(2)
    });
    let (outcome, _) = second.call(&mut lifecycle, &again, |_, _| {
        Ok(Answer::Wake(all_done(steps)))
    });
    let Ok(Answer::Wake(report)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(report.check(steps), Ok(()));
    assert!(lifecycle.is_awake());
    assert_eq!(lifecycle.generation(), Some(2));

    let off = Shutdown {
        grace_ms: 10,
        mode: ShutdownMode::PowerOff,
    };
    let (outcome, then) = second.call(&mut lifecycle, &Call::Shutdown(off), |_, _| {
        Ok(Answer::Shutdown)
    });
    assert_eq!(outcome, Ok(Answer::Shutdown));
    assert_eq!(then, AfterResponse::Shutdown(off));
}

/// A wake whose report does not cover what was asked for, in each way that can happen.
#[test]
fn less_than_every_requested_step_is_not_awake() {
    let requested = Call::Wake(Wake {
        identity: Some(instance()),
        new_guest_key: Some(SecretBytes::new([1; 32])),
        ..wake(GENERATION)
    });
    let steps = match &requested {
        Call::Wake(wake) => wake.steps(),
        _ => unreachable!(),
    };
    let mut awake_after = 0;
    for skipped in Step::ALL {
        for outcome in [
            StepOutcome::NotRequested,
            StepOutcome::NOT_TRIED,
            StepOutcome::Failed { code: 3 },
            StepOutcome::from((9, 9)),
        ] {
            let mut lifecycle = Lifecycle::asleep();
            let mut pair = Pair::new(&mut lifecycle, GENERATION);
            let mut report = all_done(steps);
            report.set(skipped, outcome);
            pair.call(&mut lifecycle, &requested, |_, _| Ok(Answer::Wake(report)))
                .0
                .unwrap();
            assert_eq!(
                lifecycle.is_awake(),
                !steps.has(skipped),
                "{skipped:?} {outcome:?}"
            );
            awake_after += usize::from(lifecycle.is_awake());
        }
    }
    // Only the network was not asked for.
    assert_eq!(awake_after, 4);
}

#[test]
fn a_wake_is_for_this_generation_and_this_instance() {
    for generation in [0, GENERATION - 1, GENERATION + 1, u64::MAX] {
        let mut lifecycle = Lifecycle::asleep();
        let mut pair = Pair::new(&mut lifecycle, GENERATION);
        let (outcome, _) = pair.call(
            &mut lifecycle,
            &Call::Wake(wake(generation)),
            |_, _| unreachable!(),
        );
        let session = GENERATION;
        assert_eq!(outcome, Err(Failure::WrongGeneration { session }));
        assert_eq!(lifecycle.phase(), Phase::ASLEEP);
    }
    let mut lifecycle = Lifecycle::asleep();
    let mut pair = Pair::new(&mut lifecycle, GENERATION);
    let other = Call::Wake(Wake {
        identity: Some(InstanceId::new("i-89abcdef").unwrap()),
        ..wake(GENERATION)
    });
    let (outcome, _) = pair.call(&mut lifecycle, &other, |_, _| unreachable!());
    assert_eq!(outcome, Err(Failure::WrongIdentity));
    assert_eq!(lifecycle.phase(), Phase::ASLEEP);
}

/// Nobody told this guest that it was restored; the generation does.
#[test]
fn a_new_generation_puts_an_awake_guest_to_sleep() {
    let mut lifecycle = Lifecycle::booted();
    let mut first = Pair::new(&mut lifecycle, 1);
    first.ping(&mut lifecycle);
    let mut again = Pair::new(&mut lifecycle, 1);
    again.ping(&mut lifecycle);
    assert!(lifecycle.is_awake());

    let mut second = Pair::new(&mut lifecycle, 2);
    assert_eq!(lifecycle.phase(), Phase::ASLEEP);
    second.ping(&mut lifecycle);
    // The sessions before the restore have ended with it.
    let ping = request(&PING, 1);
    for mut old in [first, again] {
        let ended = old.dispatcher.receive(&mut lifecycle, &ping, 0);
        assert_eq!(ended.unwrap_err(), DispatchError::Ended);
    }
}

#[test]
fn what_was_not_negotiated_is_refused_on_both_sides() {
    let key = || Some(SecretBytes::new([2; 32]));
    let cases: Vec<(Call<'_>, Capabilities)> = vec![
        (Call::Status, Capabilities::STATUS),
        (sleep(false), Capabilities::SLEEP_PREP),
        (sleep(true), Capabilities::UNBIND),
        (Call::Wake(wake(GENERATION)), Capabilities::WAKE),
        (
            Call::Wake(Wake {
                identity: Some(instance()),
                ..wake(GENERATION)
            }),
            Capabilities::IDENTITY,
        ),
        (
            Call::Wake(Wake {
                new_guest_key: key(),
                ..wake(GENERATION)
            }),
            Capabilities::REKEY,
        ),
        (
            Call::Shutdown(Shutdown {
                grace_ms: 0,
                mode: ShutdownMode::Halt,
            }),
            Capabilities::SHUTDOWN,
        ),
        (
            Call::Extension(Extension {
                kind: 0,
                body: Bytes(b""),
            }),
            Capabilities::EXTENSION,
        ),
    ];
    let all = Capabilities::KNOWN;
    let mut seen = 0;
    for (call, missing) in &cases {
        let common = all.difference(*missing);
        // The host knows before it sends anything.
        let mut calls = Calls::<1>::new(Negotiated::host(all, common));
        let mut out = [0; 256];
        match calls.begin(call, 100, 0, &mut out) {
            Err(BeginError::NotNegotiated(error)) => {
                assert_eq!((error.missing, error.upgrade), (*missing, Side::Guest));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(calls.in_flight(), 0);
        // A host that sends it all the same is told, and which side is behind.
        for (offered, behind) in [(all, Side::Host), (common, Side::Guest)] {
            let mut lifecycle = Lifecycle::booted();
            let negotiated = Negotiated::guest(offered, common);
            let mut dispatcher =
                Dispatcher::new(&mut lifecycle, negotiated, instance(), GENERATION);
            let (failure, _) = refused(&mut lifecycle, &mut dispatcher, &request(call, 100));
            match failure {
                Failure::NotNegotiated(error) => {
                    assert_eq!((error.missing, error.upgrade), (*missing, behind));
                }
                other => panic!("{other:?}"),
            }
            assert!(lifecycle.is_awake());
            seen += 1;
        }
    }
    assert_eq!(seen, 16);
    // A ping needs nothing.
    let mut lifecycle = Lifecycle::booted();
    let nothing = Negotiated::guest(Capabilities::NONE, Capabilities::NONE);
    let mut dispatcher = Dispatcher::new(&mut lifecycle, nothing, instance(), GENERATION);
    let _ = accepted(&mut lifecycle, &mut dispatcher, &request(&PING, 1), 0);
}

#[test]
fn an_unknown_operation_is_answered_and_the_session_goes_on() {
    let (mut lifecycle, mut dispatcher) = awake();
    for (id, op) in [(1, 7), (2, 99), (3, 0)] {
        let (failure, bytes) = refused(&mut lifecycle, &mut dispatcher, &[id, 100, op, 0xFF]);
        let op_code = Op::from_code(u16::from(op));
        assert_eq!(failure, Failure::Unsupported { op: op_code });
        assert_eq!(failure.upgrade(), Some(Side::Guest));
        assert_eq!(bytes, [id, op, 1, op]);
    }
    let _ = accepted(&mut lifecycle, &mut dispatcher, &[4, 100, 1, 7], 0);
}

#[test]
fn a_number_is_used_once() {
    for second in [0, 1, 4, 5] {
        let (mut lifecycle, mut dispatcher) = awake();
        let _ = accepted(&mut lifecycle, &mut dispatcher, &[5, 100, 1, 7], 0);
        let again = [second, 100, 1, 7];
        let error = dispatcher.receive(&mut lifecycle, &again, 0).unwrap_err();
        match error {
            DispatchError::IdReused { id, last } => {
                assert_eq!((id.get(), last.get()), (u32::from(second), 5));
            }
            other => panic!("{other:?}"),
        }
        // And nothing more is read, not even a proper request.
        let next = dispatcher.receive(&mut lifecycle, &[6, 100, 1, 7], 0);
        assert_eq!(next.unwrap_err(), error);
    }
    // Numbers may be left out. A refused request has used its number too.
    let (mut lifecycle, mut dispatcher) = awake();
    refused(&mut lifecycle, &mut dispatcher, &[9, 100, 99]);
    assert!(
        dispatcher
            .receive(&mut lifecycle, &[9, 100, 1, 7], 0)
            .is_err()
    );
}

#[test]
fn deadlines_that_leave_no_time_are_refused_on_both_sides() {
    let mut out = [0; 64];
    let mut calls = Calls::<1>::new(everything().0);
    let short = Err(BeginError::DeadlineTooShort);
    assert_eq!(calls.begin(&PING, 0, 0, &mut out), short);
    assert_eq!(calls.begin(&sleep(false), 50, 0, &mut out), short);
    assert!(calls.begin(&sleep(false), 51, 0, &mut out).is_ok());

    let (mut lifecycle, mut dispatcher) = awake();
    for payload in [[1, 0, 1, 7].as_slice(), &[2, 50, 3, 50, 0]] {
        let (failure, _) = refused(&mut lifecycle, &mut dispatcher, payload);
        assert_eq!(failure, Failure::DeadlineTooShort);
    }
    assert!(lifecycle.is_awake());
}

#[test]
fn an_answer_at_the_deadline_is_in_time_and_one_later_is_late() {
    let mut out = [0; 64];
    for (at, by_ms) in [(1500, None), (1501, Some(1)), (9000, Some(7500))] {
        let mut calls = Calls::<2>::new(everything().0);
        let (id, _) = calls.begin(&PING, 500, 1000, &mut out).unwrap();
        match by_ms {
            None => {
                assert_eq!(calls.check(at), Ok(Some(0)));
                assert_eq!(calls.accept(PONG, at).unwrap().took_ms, 500);
                assert_eq!(calls.check(at), Ok(None));
            }
            Some(by_ms) => {
                let late = CallError::Late { id, by_ms };
                assert_eq!(calls.accept(PONG, at), Err(late));
                // The session is over for everything.
                assert_eq!(calls.check(at), Err(late));
                assert_eq!(
                    calls.begin(&PING, 1, at, &mut out),
                    Err(BeginError::Over(late))
                );
                assert_eq!(calls.accept(PONG, at), Err(late));
            }
        }
    }
}

#[test]
fn an_expired_request_ends_the_session() {
    let mut out = [0; 64];
    let mut calls = Calls::<3>::new(everything().0);
    let (slow, _) = calls.begin(&Call::Status, 1000, 0, &mut out).unwrap();
    calls.begin(&PING, 300, 100, &mut out).unwrap();
    assert_eq!(calls.check(200), Ok(Some(200)));
    // Each request has its own time.
    assert!(calls.accept(&[2, 1, 0, 1, 0], 400).is_ok());
    assert_eq!(calls.check(400), Ok(Some(600)));
    // Time that goes back does not make an answer late, nor does it take time away.
    assert_eq!(calls.check(0), Ok(Some(1000)));
    calls.begin(&PING, 9000, 900, &mut out).unwrap();
    // An answer in time does not hide that another request has expired.
    let expired = CallError::Expired { id: slow, by_ms: 1 };
    assert_eq!(calls.accept(&[3, 1, 0, 1, 0], 1001), Err(expired));
    assert_eq!(calls.check(1001), Err(expired));

    let mut calls = Calls::<3>::new(everything().0);
    let (id, _) = calls.begin(&PING, 10, 0, &mut out).unwrap();
    let expired = CallError::Expired { id, by_ms: 5 };
    assert_eq!(
        calls.begin(&PING, 10, 15, &mut out),
        Err(BeginError::Over(expired))
    );
}

#[test]
fn answers_belong_to_their_requests() {
    let mut out = [0; 64];
    let fresh = |out: &mut [u8]| {
        let mut calls = Calls::<3>::new(everything().0);
        let (first, _) = calls.begin(&PING, 100, 0, out).unwrap();
        let (second, _) = calls.begin(&Call::Status, 100, 0, out).unwrap();
        assert_eq!((first.get(), second.get()), (1, 2));
        (calls, first)
    };
    // In any order.
    let (mut calls, first) = fresh(&mut out);
    assert!(calls.accept(&[2, 2, 0, 0, 0, 1, 0], 1).is_ok());
    assert_eq!(calls.in_flight(), 1);
    assert_eq!(calls.accept(PONG, 2).unwrap().id, first);
    assert_eq!(calls.in_flight(), 0);
    // Twice.
    let twice = CallError::AnsweredTwice { id: first };
    assert_eq!(calls.accept(PONG, 3), Err(twice));
    // For another operation: the status' answer in the place of the ping's.
    let (mut calls, first) = fresh(&mut out);
    let wrong = CallError::WrongOp {
        id: first,
        expected: Op::PING,
        got: Op::STATUS,
    };
    assert_eq!(calls.accept(&[1, 2, 0, 0, 0, 1, 0], 1), Err(wrong));
    // To nothing.
    for id in [0, 3, 100] {
        let (mut calls, _) = fresh(&mut out);
        match calls.accept(&[id, 1, 0, 1, 0], 1) {
            Err(CallError::UnknownId { id: got }) => assert_eq!(got.get(), u32::from(id)),
            other => panic!("{other:?}"),
        }
        assert!(calls.check(1).is_err());
    }
}

#[test]
fn there_is_room_for_so_many_requests_and_no_number_is_lost() {
    let mut out = [0; 64];
    let mut calls = Calls::<2>::new(everything().0);
    calls.begin(&PING, 100, 0, &mut out).unwrap();
    // Neither a buffer that is too small nor a request too many uses a number.
    let small = BeginError::Encode(EncodeError::BufferTooSmall { len: 2 });
    assert_eq!(calls.begin(&PING, 100, 0, &mut out[..2]), Err(small));
    calls.begin(&PING, 100, 0, &mut out).unwrap();
    let full = Err(BeginError::TooManyCalls { max: 2 });
    assert_eq!(calls.begin(&PING, 100, 0, &mut out), full);
    calls.accept(PONG, 1).unwrap();
    let (id, _) = calls.begin(&PING, 100, 1, &mut out).unwrap();
    assert_eq!(id.get(), 3);
}

#[test]
fn a_guest_does_not_answer_too_late_or_something_else() {
    let mut out = [0; 64];
    let pong = Answer::Pong(Pong {
        nonce: 1,
        uptime_ms: 0,
    });
    let ping = request(&PING, 100);
    let begin = || {
        let (mut lifecycle, mut dispatcher) = awake();
        let responder = accepted(&mut lifecycle, &mut dispatcher, &ping, 1000);
        (lifecycle, responder)
    };
    let (mut lifecycle, responder) = begin();
    assert_eq!(responder.remaining_ms(1040), 60);
    let written = responder
        .answer(&mut lifecycle, &pong, 1100, &mut out)
        .unwrap();
    assert_eq!(out[..written.len], *PONG);

    let (mut lifecycle, responder) = begin();
    let id = responder.id();
    let expired = RespondError::Expired { id, by_ms: 1 };
    assert_eq!(
        responder.answer(&mut lifecycle, &pong, 1101, &mut out),
        Err(expired)
    );
    let (mut lifecycle, responder) = begin();
    assert_eq!(
        responder.fail(&mut lifecycle, Failure::Busy, 1101, &mut out),
        Err(expired)
    );

    let (mut lifecycle, responder) = begin();
    let wrong = RespondError::WrongOp {
        id,
        expected: Op::PING,
        got: Op::SHUTDOWN,
    };
    assert_eq!(
        responder.answer(&mut lifecycle, &Answer::Shutdown, 1000, &mut out),
        Err(wrong)
    );
    let (mut lifecycle, responder) = begin();
    let small = RespondError::Encode(EncodeError::BufferTooSmall { len: 2 });
    assert_eq!(
        responder.answer(&mut lifecycle, &pong, 1000, &mut out[..2]),
        Err(small)
    );
}

/// Whatever keeps the answer to a sleep from being written, the guest does not sleep.
#[test]
fn a_sleep_that_was_not_answered_did_not_happen() {
    let mut out = [0; 64];
    let payload = request(&sleep(true), 100);
    let asleep = Answer::SleepPrep;
    let begin = || {
        let (mut lifecycle, mut dispatcher) = awake();
        let responder = accepted(&mut lifecycle, &mut dispatcher, &payload, 0);
        assert_eq!(lifecycle.phase(), Phase::DRAINING);
        (lifecycle, dispatcher, responder)
    };
    // Too late, to something else, without room.
    let (mut lifecycle, _, responder) = begin();
    assert!(
        responder
            .answer(&mut lifecycle, &asleep, 101, &mut out)
            .is_err()
    );
    assert!(lifecycle.is_awake());
    let (mut lifecycle, _, responder) = begin();
    assert!(
        responder
            .answer(&mut lifecycle, &Answer::Shutdown, 0, &mut out)
            .is_err()
    );
    assert!(lifecycle.is_awake());
    let (mut lifecycle, _, responder) = begin();
    assert!(
        responder
            .answer(&mut lifecycle, &asleep, 0, &mut out[..1])
            .is_err()
    );
    assert!(lifecycle.is_awake());
    // The session ended meanwhile.
    let (mut lifecycle, dispatcher, responder) = begin();
    dispatcher.end(&mut lifecycle);
    assert!(lifecycle.is_awake());
    let id = responder.id();
    assert_eq!(
        responder.answer(&mut lifecycle, &asleep, 0, &mut out),
        Err(RespondError::Superseded { id })
    );
    assert!(lifecycle.is_awake());
    // Another one took over: only its own answer counts.
    let (mut lifecycle, dispatcher, first) = begin();
    let mut other = Dispatcher::new(&mut lifecycle, everything().1, instance(), GENERATION);
    let second = accepted(&mut lifecycle, &mut other, &payload, 0);
    assert!(first.answer(&mut lifecycle, &asleep, 0, &mut out).is_err());
    dispatcher.end(&mut lifecycle);
    assert_eq!(lifecycle.phase(), Phase::DRAINING);
    let written = second.answer(&mut lifecycle, &asleep, 0, &mut out).unwrap();
    assert_eq!(written.then, AfterResponse::EndSessions { unbind: true });
    // A dispatcher that ends after the sleep does not undo it.
    other.end(&mut lifecycle);
    assert_eq!(lifecycle.phase(), Phase::ASLEEP);
}

/// Whatever keeps the answer to a wake from being written, the guest is not awake.
#[test]
fn a_wake_that_was_not_answered_did_not_happen() {
    let mut out = [0; 64];
    let call = Call::Wake(wake(GENERATION));
    let payload = request(&call, 100);
    let steps = wake(GENERATION).steps();
    let done = Answer::Wake(all_done(steps));
    let begin = || {
        let mut lifecycle = Lifecycle::asleep();
        let mut dispatcher =
            Dispatcher::new(&mut lifecycle, everything().1, instance(), GENERATION);
        let responder = accepted(&mut lifecycle, &mut dispatcher, &payload, 0);
        (lifecycle, dispatcher, responder)
    };
    let (mut lifecycle, _, responder) = begin();
    assert!(
        responder
            .answer(&mut lifecycle, &done, 101, &mut out)
            .is_err()
    );
    assert_eq!(lifecycle.phase(), Phase::RESTORING);
    let (mut lifecycle, _, responder) = begin();
    assert!(
        responder
            .answer(&mut lifecycle, &done, 0, &mut out[..3])
            .is_err()
    );
    assert_eq!(lifecycle.phase(), Phase::RESTORING);
    let (mut lifecycle, dispatcher, responder) = begin();
    assert!(
        responder
            .fail(&mut lifecycle, Failure::Busy, 0, &mut out)
            .is_ok()
    );
    dispatcher.end(&mut lifecycle);
    assert_eq!(lifecycle.phase(), Phase::RESTORING);
    // Restored again in the middle of it.
    let (mut lifecycle, _, responder) = begin();
    lifecycle.restored();
    let id = responder.id();
    assert_eq!(
        responder.answer(&mut lifecycle, &done, 0, &mut out),
        Err(RespondError::Superseded { id })
    );
    assert_eq!(lifecycle.phase(), Phase::ASLEEP);
    // And the negative control of all of these.
    let (mut lifecycle, _, responder) = begin();
    let written = responder
        .answer(&mut lifecycle, &done, 100, &mut out)
        .unwrap();
    assert_eq!(written.then, AfterResponse::Continue);
    assert!(lifecycle.is_awake());
}

/// A wake of an awake guest that fails leaves it restoring: nobody knows what state it is in.
#[test]
fn a_failed_wake_of_an_awake_guest_is_not_awake() {
    let mut lifecycle = Lifecycle::booted();
    let mut pair = Pair::new(&mut lifecycle, GENERATION);
    let call = Call::Wake(wake(GENERATION));
    let failure = Failure::Failed { code: 1 };
    let (outcome, _) = pair.call(&mut lifecycle, &call, |_, _| Err(failure));
    assert_eq!(outcome, Err(failure));
    assert_eq!(lifecycle.phase(), Phase::RESTORING);
}

#[test]
fn secrets_do_not_show() {
    let call = Call::Wake(Wake {
        new_guest_key: Some(SecretBytes::new([0xA7; 32])),
        ..wake(7)
    });
    let shown = format!("{call:?}");
    assert!(shown.contains("generation: 7"));
    // 0xA7 is 167, 0x11 is 17.
    assert!(!shown.contains("167") && !shown.contains("17,"), "{shown}");
}
