//! Attacks that need bytes or moments which the model's attacker does not have: each goes through
//! with its rule switched off, and is refused with it on.

use core::cell::Cell;

use super::party::{instance, keys};
use crate::rules::{Rule, without};
use crate::session::{
    Ended, Entropy, Environment, GuestEndpoint, GuestOptions, GuestSession, GuestTrust,
    HostEndpoint, HostOptions, HostPublicKey, HostSession, Mark, OpenError, Opened, Received,
    SealError, TrustedHost, TrustedHosts,
};
use crate::signing::{KeyError, Signature, verify_strict};
use crate::wire::codec::DecodeError;

/// A machine that stays as it is.
struct Whole;

impl Environment for Whole {
    fn mark(&self) -> Mark {
        Mark::Changing(0)
    }
    fn monotonic_millis(&self) -> u64 {
        0
    }
}

/// The same machine, restored when its mark was looked at so many times.
struct Torn {
    looks: Cell<u32>,
}

impl Environment for Torn {
    fn mark(&self) -> Mark {
        self.looks.set(self.looks.get().saturating_sub(1));
        Mark::Changing(u64::from(self.looks.get() == 0))
    }
    fn monotonic_millis(&self) -> u64 {
        0
    }
}

struct Pair {
    host: HostEndpoint,
    guest: GuestEndpoint,
    at_host: HostSession<'static>,
    at_guest: GuestSession<'static>,
}

fn pair() -> Pair {
    let (host_key, guest_key) = (&keys().hosts[0], &keys().guests[0]);
    let trust = GuestTrust::pinned(guest_key.public());
    let mut host = HostEndpoint::new(instance(0), 1, trust).unwrap();
    let mut trusted = TrustedHosts::new();
    trusted.insert(TrustedHost::new(host_key.public())).unwrap();
    let mut guest = GuestEndpoint::new(trusted);
    let asked = HostOptions {
        service: 1,
        capabilities: 0,
        extensions: &[],
        lifetime_ms: 1,
    };
    let served = GuestOptions {
        service: 1,
        capabilities: 0,
        extensions: &[],
        lifetime_ms: 1,
    };
    let (mut a, mut b) = ([0; 512], [0; 512]);
    let (waiting, n) = host
        .begin(host_key, asked, Entropy::new([1; 32]), &Whole, &mut a)
        .unwrap();
    let offer = guest.receive(guest_key, served, &Whole, &a[4..n]).unwrap();
    let (answered, n) = offer
        .answer(&mut guest, Entropy::new([2; 32]), &Whole, &mut b)
        .unwrap();
    let Ok(Received::Verified(verified)) = waiting.receive(&mut host, &Whole, &b[4..n]) else {
        unreachable!("the key is pinned")
    };
    let (at_host, n) = verified.finish(&mut host, &Whole, &mut a).unwrap();
    let at_guest = answered.finish(&mut guest, &Whole, &a[4..n]).unwrap();
    Pair {
        host,
        guest,
        at_host,
        at_guest,
    }
}

/// A frame's sequence number spelled with one byte more: other bytes than those that were sealed.
pub(super) fn padded_varint() {
    let mut it = pair();
    let mut out = [0; 128];
    let n = it
        .at_host
        .seal(&it.host, &Whole, b"once", &mut out)
        .unwrap();
    assert_eq!(out[4], 0, "the sequence number");
    let padded = [&[0x80, 0x00], &out[5..n]].concat();
    let mut copy = it.at_guest.clone();
    let opened = without(&[Rule::CanonicalEncoding], || {
        copy.open(&mut it.guest, &Whole, &padded)
    });
    assert_eq!(opened, Ok(Opened::Data(b"once")));
    assert!(matches!(
        it.at_guest.open(&mut it.guest, &Whole, &padded),
        Err(OpenError::Malformed(DecodeError::NonCanonical { .. }))
    ));
}

/// A point of small order is nobody's key: one signature fits every message, for whoever verifies
/// as RFC 8032 allows. That this crate verifies strictly is a second line; here is the first.
pub(super) fn weak_key() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let weak = without(&[Rule::CanonicalKeys], || {
        HostPublicKey::from_bytes(&identity).and_then(|key| key.expand())
    });
    let weak = weak.unwrap();
    let mut forged = [0; 64];
    forged[0] = 1;
    let signature = ed25519_dalek::Signature::from_bytes(&forged);
    for message in [&b"mvm-core/session/v3/host"[..], b"anything at all"] {
        assert!(ed25519_dalek::Verifier::verify(&weak, message, &signature).is_ok());
        assert!(verify_strict(&weak, message, &Signature::from_bytes(forged)).is_err());
    }
    assert_eq!(HostPublicKey::from_bytes(&identity), Err(KeyError::Weak));
}

/// The same point under two spellings: whoever removes one still trusts the other.
pub(super) fn second_spelling() {
    let mut found = 0;
    for y in 2..19 {
        let mut reduced = [0; 32];
        reduced[0] = y;
        let mut unreduced = [0xff; 32];
        unreduced[0] = 0xed + y;
        unreduced[31] = 0x7f;
        let Ok(key) = HostPublicKey::from_bytes(&reduced) else {
            continue;
        };
        found += 1;
        let other = without(&[Rule::CanonicalKeys], || {
            let other = HostPublicKey::from_bytes(&unreduced).unwrap();
            let points = (key.expand().unwrap(), other.expand().unwrap());
            assert_eq!(points.0.to_edwards(), points.1.to_edwards());
            other
        });
        let mut trusted = TrustedHosts::new();
        trusted.insert(TrustedHost::new(key)).unwrap();
        trusted.insert(TrustedHost::new(other)).unwrap();
        assert!(trusted.remove(&key));
        assert_eq!(
            trusted.as_slice().len(),
            1,
            "the same point is still trusted"
        );
        assert_eq!(
            HostPublicKey::from_bytes(&unreduced),
            Err(KeyError::NotCanonical)
        );
    }
    assert!(found > 0);
}

/// The machine is restored after the frame was signed and before it is handed out.
pub(super) fn restore_while_sealing() {
    let it = pair();
    let mut out = [0; 128];
    let seal = |out: &mut [u8]| {
        let mut session = it.at_host.clone();
        session.seal(
            &it.host,
            &Torn {
                looks: Cell::new(2),
            },
            b"twice",
            out,
        )
    };
    assert!(without(&[Rule::MarkAfterSeal], || seal(&mut out)).is_ok());
    assert!(out.iter().any(|byte| *byte != 0));
    assert_eq!(
        seal(&mut out),
        Err(SealError::Ended(Ended::IncarnationChanged))
    );
    assert!(out.iter().all(|byte| *byte == 0));
}
