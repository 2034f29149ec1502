//! A signed payload, verified against trusted keys.
#![no_std]
#![no_main]

use bare_metal::uart;
use mvm_core::naming::SignerId;
use mvm_core::signing::{DocumentPublicKey, Signature, SignedPayload, TrustedKey, TrustedKeys};

fn verify() -> Option<usize> {
    let mut name = [0; 16];
    let mut key = [0; 32];
    let mut signature = [0; 64];
    let mut payload = [0; 256];
    uart::fill(&mut name);
    uart::fill(&mut key);
    uart::fill(&mut signature);
    uart::fill(&mut payload);
    let signer = SignerId::new(core::str::from_utf8(&name).ok()?).ok()?;
    let mut trusted = TrustedKeys::<2>::new();
    let key = DocumentPublicKey::from_bytes(&key).ok()?;
    trusted.insert(TrustedKey::new(signer.clone(), key)).ok()?;
    let document =
        SignedPayload::from_parts(&payload[..], Signature::from_bytes(signature), signer);
    let verified = document.verify(&trusted, None).ok()?;
    Some(verified.payload().len())
}

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {
        uart::write(&verify().unwrap_or(0).to_be_bytes());
    }
}
