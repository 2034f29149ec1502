//! The session protocol from outside: whole handshakes and frames.

#![allow(clippy::indexing_slicing)]

use mvm_core::naming::InstanceId;
use mvm_core::session::*;

struct Machine(Mark, u64);

impl Environment for Machine {
    fn mark(&self) -> Mark {
        self.0
    }
    fn monotonic_millis(&self) -> u64 {
        self.1
    }
}

#[test]
fn a_handshake_and_frames_both_ways() {
    let host_key = HostKey::from_seed(&[1; 32]);
    let guest_key = GuestKey::from_seed(&[2; 32]);
    let env = Machine(Mark::Changing(7), 1000);
    let instance = InstanceId::new("i-0a1b2c3d").unwrap();
    let mut host = HostEndpoint::new(instance, 1, GuestTrust::pinned(guest_key.public())).unwrap();
    let mut trust = TrustedHosts::new();
    trust.insert(TrustedHost::new(host_key.public())).unwrap();
    let mut guest = GuestEndpoint::new(trust);

    let mut a = [0; 512];
    let mut b = [0; 512];
    let host_options = HostOptions {
        service: 5252,
        capabilities: 7,
        extensions: &[1, 2],
        lifetime_ms: 60_000,
    };
    let guest_options = GuestOptions {
        service: 5252,
        capabilities: 5,
        extensions: &[],
        lifetime_ms: 60_000,
    };
    let (waiting, n) = host
        .begin(&host_key, host_options, Entropy::new([3; 32]), &env, &mut a)
        .unwrap();
    let offer = guest
        .receive(&guest_key, guest_options, &env, &a[4..n])
        .unwrap();
    let (awaiting, m) = offer
        .answer(&mut guest, Entropy::new([4; 32]), &env, &mut b)
        .unwrap();
    let Received::Verified(verified) = waiting.receive(&mut host, &env, &b[4..m]).unwrap() else {
        panic!()
    };
    let (mut hs, n) = verified.finish(&mut host, &env, &mut a).unwrap();
    let mut gs = awaiting.finish(&mut guest, &env, &a[4..n]).unwrap();
    assert_eq!(hs.capabilities(), 5);
    assert_eq!(hs.session_id(), gs.session_id());
    assert!(!host.is_confirmed());
    for i in 0..100u8 {
        let n = hs.seal(&host, &env, &[i; 9], &mut a).unwrap();
        assert_eq!(
            gs.open(&mut guest, &env, &a[4..n]),
            Ok(Opened::Data(&[i; 9]))
        );
        let n = gs.seal(&guest, &env, &[], &mut a).unwrap();
        assert_eq!(hs.open(&mut host, &env, &a[4..n]), Ok(Opened::Data(&[])));
    }
    assert!(host.is_confirmed());
    let n = hs.close(&host, &env, &mut a).unwrap();
    assert_eq!(gs.open(&mut guest, &env, &a[4..n]), Ok(Opened::Closed));
    assert_eq!(gs.end_of_stream(), Ok(()));
    assert_eq!(hs.end_of_stream(), Err(Truncated { received: 100 }));
}

/// A guest that has made `handshakes` on as many services, and its last session or its error.
fn serve(
    host: &mut HostEndpoint,
    guest: &mut GuestEndpoint,
    service: u16,
) -> Result<(), HandshakeError> {
    let host_key = HostKey::from_seed(&[1; 32]);
    let guest_key = GuestKey::from_seed(&[2; 32]);
    let env = Machine(Mark::Constant, 0);
    let (mut a, mut b) = ([0; 512], [0; 512]);
    let host_options = HostOptions {
        service,
        capabilities: 0,
        extensions: &[],
        lifetime_ms: 1,
    };
    let guest_options = GuestOptions {
        service,
        capabilities: 0,
        extensions: &[],
        lifetime_ms: 1,
    };
    let (waiting, n) = host.begin(&host_key, host_options, Entropy::new([3; 32]), &env, &mut a)?;
    let offer = guest.receive(&guest_key, guest_options, &env, &a[4..n])?;
    let (awaiting, m) = offer.answer(guest, Entropy::new([4; 32]), &env, &mut b)?;
    let Received::Verified(verified) = waiting.receive(host, &env, &b[4..m])? else {
        unreachable!("the key is pinned")
    };
    let (_, n) = verified.finish(host, &env, &mut a)?;
    awaiting.finish(guest, &env, &a[4..n]).map(|_| ())
}

#[test]
fn the_place_of_a_service_can_be_given_back() {
    use mvm_core::limits::SERVICES_MAX;
    let guest_key = GuestKey::from_seed(&[2; 32]).public();
    let instance = InstanceId::new("i-0a1b2c3d").unwrap();
    let mut host = HostEndpoint::new(instance, 1, GuestTrust::pinned(guest_key)).unwrap();
    let mut trust = TrustedHosts::new();
    let host_key = HostKey::from_seed(&[1; 32]).public();
    trust.insert(TrustedHost::new(host_key)).unwrap();
    let mut guest = GuestEndpoint::new(trust);
    let places = u16::try_from(SERVICES_MAX).unwrap();
    for service in 0..places {
        assert_eq!(serve(&mut host, &mut guest, service), Ok(()));
    }
    let full = Err(HandshakeError::TooManyServices);
    assert_eq!(serve(&mut host, &mut guest, places), full);
    host.end_service(3);
    guest.end_service(3);
    assert_eq!(serve(&mut host, &mut guest, places), Ok(()));
}
