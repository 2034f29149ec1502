//! Runs every target over its seeds and so many changed copies of each, without a fuzzer:
//! `replay [changes] [file …]`. A file is run on every target.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let changes: usize = arguments
        .next()
        .map_or(1000, |text| text.parse().expect("a number of changes"));
    let files: Vec<Vec<u8>> = arguments
        .map(|path| std::fs::read(path).expect("a file"))
        .collect();
    let mut failed = 0;
    for name in mvm_core_fuzz::names() {
        let folder = mvm_core_fuzz::seed_folder(name);
        let mut paths: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("an entry").path())
            .collect();
        paths.sort();
        let seeds: Vec<Vec<u8>> = paths
            .iter()
            .map(|path| std::fs::read(path).expect("a seed"))
            .collect();
        if seeds.is_empty() {
            eprintln!("{name}: no seeds");
            failed += 1;
        }
        let mut inputs = [seeds.clone(), files.clone()].concat();
        for (index, seed) in (0..).zip(&seeds) {
            inputs.extend(mvm_core_fuzz::mutations(name, index, seed, &seeds, changes));
        }
        let wrong = inputs.iter().find(|input| {
            catch_unwind(AssertUnwindSafe(|| mvm_core_fuzz::run(name, input))).is_err()
        });
        match wrong {
            None => println!("{name}: {} seeds, {} inputs", seeds.len(), inputs.len()),
            Some(input) => {
                eprintln!("{name}: FAILED on {input:02x?}");
                failed += 1;
            }
        }
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
