//! The targets themselves are in `tests/common/targets.rs`, where the library's own tests use them
//! too; this crate puts a fuzzer, or a replay on stable, in front of them.

use std::path::PathBuf;
use std::sync::LazyLock;

#[path = "../../tests/common/audit.rs"]
mod audit;
#[path = "../../tests/common/mutate.rs"]
mod mutate;
#[path = "../../tests/common/reference.rs"]
mod reference;
#[path = "../../tests/common/seeds.rs"]
mod seeds;
#[path = "../../tests/common/targets.rs"]
mod targets;

/// Whether there is a planted fault, for the negative control: every target panics on a varint that is not
/// minimal. It is looked up when the program runs, so that the control builds nothing again.
static PLANTED: LazyLock<bool> = LazyLock::new(|| std::env::var_os("MVM_FUZZ_PLANTED").is_some());

/// The names of all targets.
pub fn names() -> impl Iterator<Item = &'static str> {
    targets::TARGETS.iter().map(|(name, _)| *name)
}

/// Runs one target; it panics where the decoder breaks its contract.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = targets::TARGETS
        .iter()
        .find(|(other, _)| *other == name)
        .expect("a target's name");
    if *PLANTED {
        assert!(!data.windows(2).any(|pair| pair == [0x80, 0]), "planted");
    }
    target(data);
}

/// Well-formed inputs of a target.
pub fn seeds(name: &str) -> Vec<Vec<u8>> {
    seeds::seeds(name)
}

/// Where the seeds of a target are kept.
pub fn seed_folder(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "seeds", name].iter().collect()
}

/// Changed copies of `seed`, the same in every run.
pub fn mutations(
    name: &str,
    index: u64,
    seed: &[u8],
    others: &[Vec<u8>],
    count: usize,
) -> Vec<Vec<u8>> {
    let start = name.bytes().fold(index + 1, |hash, byte| {
        hash.wrapping_mul(0x100_0000_01b3) ^ u64::from(byte)
    });
    let mut random = mutate::Random::new(start);
    (0..count)
        .map(|_| mutate::mutate(seed, others, &mut random))
        .collect()
}
