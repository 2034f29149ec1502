//! Names and the state machine: every name is parsed and derived, actions begun and committed.
#![no_std]
#![no_main]

use core::hint::black_box;

use bare_metal::names;
use mvm_core::instance::{InstanceAction, validate_transition};
use mvm_core::time::Timestamp;

fn run() -> Option<u32> {
    // Texts that the compiler knows nothing of.
    let count = names::parse_all(black_box("acme/web/i-0123abcd"));
    let (net, offset, entropy) = black_box((3, 7, [1, 2, 3, 4]));
    let net = names::derive_all(net, offset, entropy)?;
    let mut state = names::record(black_box("acme/web/i-0123abcd"), net)?;
    let now = Timestamp::new(black_box(1_700_000_000), 0).ok()?;
    let (action, pid) = black_box((InstanceAction::Start, 42));
    let from = state.status();
    let to = names::act(&mut state, action, now, pid)?;
    black_box(&state);
    validate_transition(from, to).ok()?;
    Some(count)
}

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {
        black_box(run());
    }
}
