//! Both ends of one session, without the session.
#![allow(dead_code)] // Each test program uses its part.

use mvm_core::guest::*;
use mvm_core::naming::InstanceId;

/// Generation of the sessions made here.
pub(crate) const GENERATION: u64 = 300;
/// Instance of the sessions made here.
pub(crate) const INSTANCE: &str = "i-0123abcd";

/// Everything negotiated.
pub(crate) fn everything() -> (Negotiated, Negotiated) {
    let all = Capabilities::KNOWN;
    (Negotiated::host(all, all), Negotiated::guest(all, all))
}

pub(crate) fn instance() -> InstanceId {
    InstanceId::new(INSTANCE).unwrap()
}

/// A guest that may carry out everything it is asked: wakes need it asleep or awake, sleeps awake.
pub(crate) fn awake() -> (Lifecycle, Dispatcher) {
    let mut lifecycle = Lifecycle::booted();
    let (_, guest) = everything();
    let dispatcher = Dispatcher::new(&mut lifecycle, guest, instance(), GENERATION);
    (lifecycle, dispatcher)
}

/// A request as the host writes it, number 1 of its session.
pub(crate) fn request(call: &Call<'_>, deadline_ms: u32) -> Vec<u8> {
    let mut out = vec![0; 70_000];
    let mut calls = Calls::<1>::new(everything().0);
    let (id, len) = calls.begin(call, deadline_ms, 0, &mut out).unwrap();
    assert_eq!(id.get(), 1);
    out.truncate(len);
    out
}

/// The responder of a request that has to be accepted.
pub(crate) fn accepted(
    lifecycle: &mut Lifecycle,
    dispatcher: &mut Dispatcher,
    payload: &[u8],
    now_ms: u64,
) -> Responder {
    match dispatcher.receive(lifecycle, payload, now_ms).unwrap() {
        Incoming::Call(_, responder) => responder,
        other => panic!("{other:?}"),
    }
}

/// The reason of a request that has to be refused.
pub(crate) fn refused(
    lifecycle: &mut Lifecycle,
    dispatcher: &mut Dispatcher,
    payload: &[u8],
) -> (Failure, Vec<u8>) {
    match dispatcher.receive(lifecycle, payload, 0).unwrap() {
        Incoming::Refused(refusal) => {
            let failure = refusal.failure();
            let mut out = [0; 32];
            let len = refusal.encode(&mut out).unwrap();
            (failure, out[..len].to_vec())
        }
        other => panic!("{other:?}"),
    }
}

/// Bytes from hexadecimal digits; spaces are for the reader.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| *c != ' ')
        .map(|c| c.to_digit(16).unwrap().try_into().unwrap())
        .collect();
    assert_eq!(digits.len() % 2, 0);
    digits
        .chunks(2)
        .map(|pair| pair[0] * 16 + pair[1])
        .collect()
}
