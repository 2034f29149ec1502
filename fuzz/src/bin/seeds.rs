//! Writes the seeds of every target; `seeds --check` says whether they are what is there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let check = std::env::args().any(|argument| argument == "--check");
    let mut wrong = 0;
    for name in mvm_core_fuzz::names() {
        let folder = mvm_core_fuzz::seed_folder(name);
        let seeds = mvm_core_fuzz::seeds(name);
        let made: BTreeMap<OsString, Vec<u8>> = (1..)
            .zip(seeds)
            .map(|(number, seed)| (format!("{number:02}").into(), seed))
            .collect();
        if check {
            let there: BTreeMap<OsString, Vec<u8>> = std::fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .map(|entry| entry.expect("an entry"))
                .map(|entry| {
                    (
                        entry.file_name(),
                        std::fs::read(entry.path()).expect("a seed"),
                    )
                })
                .collect();
            if there != made {
                eprintln!("{name}: the seeds are not those of the code; run `seeds`");
                wrong += 1;
            }
        } else {
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).expect("a folder");
            for (file, seed) in &made {
                std::fs::write(folder.join(file), seed).expect("a file");
            }
        }
    }
    if wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
