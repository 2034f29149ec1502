//! Every document of 0.13.0, both ways.

use std::collections::BTreeSet;

use mvm_core_exchange::documents::{Pair, pairs};
use mvm_core_exchange::exchange::{Effort, Seen};

/// Fails with all types that are wrong, not the first.
fn all(run: impl Fn(&Pair, Effort) -> Result<Seen, String>) -> Vec<(&'static str, Seen)> {
    let effort = Effort::from_environment();
    let mut failed = Vec::new();
    let mut seen = Vec::new();
    for pair in pairs() {
        match run(&pair, effort) {
            Ok(found) => {
                println!("{}: {found:?}", pair.name);
                seen.push((pair.name, found));
            }
            Err(error) => failed.push(format!("{}: {error}", pair.name)),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    seen
}

/// Every one went over, and not only such as break a rule.
fn enough(seen: Vec<(&str, Seen)>) {
    let cases = u64::from(Effort::from_environment().cases);
    for (name, found) in seen {
        assert_eq!(found.documents, cases, "{name}");
        assert!(
            found.valid > 0,
            "{name}: each of them breaks a rule between values"
        );
    }
}

#[test]
fn ours_read_and_written_back_by_0_13_0() {
    enough(all(|pair, effort| (pair.ours)(effort)));
}

#[test]
fn those_of_0_13_0_read_and_written_back_by_ours() {
    enough(all(|pair, effort| (pair.theirs)(effort)));
}

#[test]
fn members_left_out_null_or_unknown_mean_the_same() {
    let read: u64 = all(|pair, effort| (pair.changed)(effort))
        .iter()
        .map(|(_, found)| found.documents)
        .sum();
    // Most lack what they must have, and both refuse them.
    assert!(read > 1000, "{read}");
}

#[test]
fn no_type_is_forgotten() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/json");
    let wanted: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".jsonl").unwrap().to_owned())
        .collect();
    let there: BTreeSet<String> = pairs().iter().map(|pair| pair.name.to_owned()).collect();
    assert!(wanted.len() > 80);
    assert_eq!(
        wanted.difference(&there).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
}
