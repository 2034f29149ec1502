//! A loop of saves, killed at any time.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use mvm_core::naming::parse_pool_path;
use mvm_core::pool::PoolSpec;

use crate::save::{pool, store};

const ROUNDS: u64 = 60;

/// Saves one number after the other, and says each that is saved.
pub(crate) fn child(directory: &Path) -> ExitCode {
    let key = parse_pool_path("acme/web").unwrap();
    let store = store(directory);
    let first = store
        .load::<PoolSpec>(&key)
        .unwrap()
        .instance_resources
        .data_disk_mib;
    for number in first + 1..u32::MAX {
        let mut spec = pool(&number.to_string().repeat(500));
        spec.instance_resources.data_disk_mib = number;
        store.save(&key, &spec).unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "{number}")
            .and_then(|()| out.flush())
            .unwrap();
    }
    ExitCode::SUCCESS
}

pub(crate) fn kills() -> Result<String, String> {
    let directory = tempfile::Builder::new().prefix("faults").tempdir().unwrap();
    let directory = directory.path();
    let key = parse_pool_path("acme/web").unwrap();
    let store = store(directory);
    let mut spec = pool("0");
    spec.instance_resources.data_disk_mib = 0;
    store.create(&key, &spec).unwrap();
    let (mut acknowledged, mut seed, mut left) = (0, 0x9e37_79b9_7f4a_7c15_u64, 0);
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("loop")
            .arg(directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(round | 1);
        let mut text = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        // It has begun.
        out.read_line(&mut text).unwrap();
        if text.is_empty() {
            child.wait().unwrap();
            return Err(format!("round {round}: it fails by itself"));
        }
        thread::sleep(Duration::from_micros((seed >> 33) % 25_000));
        child.kill().unwrap();
        out.read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        // The last line may be cut.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        if let Some(last) = whole.lines().last() {
            acknowledged = last.parse().unwrap();
        }
        let found = store
            .load::<PoolSpec>(&key)
            .map_err(|error| format!("round {round}: damaged: {error}"))?;
        let running = found.instance_resources.data_disk_mib;
        if running < acknowledged || running > acknowledged + 1 {
            return Err(format!(
                "round {round}: {acknowledged} acknowledged, {running} there"
            ));
        }
        if running > 0 && found.profile != running.to_string().repeat(500) {
            return Err(format!("round {round}: a part of another one"));
        }
        left += store.clean().removed.len();
        acknowledged = running;
    }
    Ok(format!(
        "killed {ROUNDS} times in {acknowledged} saves: none lost, none damaged, {left} temporary files cleaned"
    ))
}
