//! A whole guest: handshakes, frames both ways, the guest's vocabulary, the state machine, names.
#![no_std]
#![no_main]

use core::cell::Cell;
use core::hint::black_box;
use core::str::FromStr;

use bare_metal::program::{BUFFER, Connection, Guest, Machine, Output, Stopped};
use bare_metal::{names, uart};
use mvm_core::guest::Lifecycle;
use mvm_core::instance::{InstanceAction, validate_transition};
use mvm_core::session::{
    Environment, GuestEndpoint, GuestKey, GuestPublicKey, HostPublicKey, Mark, TrustedHost,
    TrustedHosts,
};
use mvm_core::time::Timestamp;

/// A board whose clock is set from outside.
struct Board {
    clock: Cell<i64>,
}

impl Environment for Board {
    fn mark(&self) -> Mark {
        Mark::Constant
    }

    fn monotonic_millis(&self) -> u64 {
        0
    }
}

impl Machine for Board {
    fn write(&self, bytes: &[u8]) {
        uart::write(bytes);
    }

    fn entropy(&self) -> [u8; 32] {
        let mut fresh = [0; 32];
        uart::fill(&mut fresh);
        fresh
    }

    fn set_clock(&self, seconds: i64) -> bool {
        self.clock.set(seconds);
        true
    }

    fn keep_key(&self, public: &GuestPublicKey) -> bool {
        uart::write(public.as_bytes());
        true
    }
}

/// What the names image does, with names that come from outside.
fn names_and_states(board: &Board) -> Option<u32> {
    let mut text = [0; 200];
    let mut numbers = [0; 8];
    uart::fill(&mut text);
    uart::fill(&mut numbers);
    let [a, b, c, entropy @ .., d] = numbers;
    let text = core::str::from_utf8(&text).ok()?;
    let count = names::parse_all(text);
    let net = names::derive_all(u16::from_be_bytes([a, b]), c, entropy)?;
    let mut state = names::record(text, net)?;
    let now = Timestamp::new(board.clock.get(), 0).ok()?;
    let from = state.status();
    let to = names::act(
        &mut state,
        InstanceAction::from_str(text).ok()?,
        now,
        u32::from(d),
    )?;
    black_box(&state);
    validate_transition(from, to).ok()?;
    Some(count)
}

/// Serves one connection: each piece of the stream is a byte with its length, and so many bytes.
fn serve(
    guest: &mut Guest<'_>,
    board: &Board,
    input: &mut [u8],
    output: &mut Output,
) -> Result<u32, Stopped> {
    let mut connection = Connection::new(input);
    loop {
        let count = usize::from(uart::read());
        for byte in connection.space().iter_mut().take(count) {
            *byte = uart::read();
        }
        if !connection.received(count, guest, board, board, output)? {
            return Ok(connection.answered());
        }
    }
}

fn run(board: &Board) -> Option<u32> {
    let mut seed = [0; 32];
    let mut host = [0; 32];
    uart::fill(&mut seed);
    uart::fill(&mut host);
    let key = GuestKey::from_seed(&seed);
    let mut trust = TrustedHosts::new();
    let host = HostPublicKey::from_bytes(&host).ok()?;
    trust.insert(TrustedHost::new(host)).ok()?;
    let mut guest = Guest {
        key: &key,
        endpoint: GuestEndpoint::new(trust),
        lifecycle: Lifecycle::booted(),
        service: 1,
    };
    let mut input = [0; BUFFER];
    let mut output = Output::new();
    loop {
        let answered = serve(&mut guest, board, &mut input, &mut output).ok()?;
        uart::write(&answered.to_be_bytes());
        uart::write(&names_and_states(board)?.to_be_bytes());
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let board = Board {
        clock: Cell::new(0),
    };
    loop {
        uart::write(&run(&board).unwrap_or(0).to_be_bytes());
    }
}
