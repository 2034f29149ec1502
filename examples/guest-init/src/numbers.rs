//! What the kernel says of the machine.

use core::ffi::CStr;

use guest_init::messages::Numbers;
use guest_init::proc::{cpu, field, interface, lines, numbers};
use rustix::fs::{Mode, OFlags, open};

use crate::machine::uptime_ms;

/// Gives each line of a file of the kernel; none of a file that is not there.
fn each_line(path: &CStr, line: &mut dyn FnMut(&[u8])) {
    let Ok(file) = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
        return;
    };
    let mut buffer = [0; 512];
    lines(
        &mut buffer,
        |space| rustix::io::read(&file, space).ok(),
        line,
    );
}

/// Everything of it, at `started_ms` for when the init began.
pub(crate) fn read(started_ms: u64) -> Numbers {
    let mut all = Numbers {
        started_ms,
        uptime_ms: uptime_ms(),
        ..Numbers::default()
    };
    let keep = |place: &mut u64, value: Option<u64>| {
        if let Some(value) = value {
            *place = value;
        }
    };
    each_line(c"/proc/meminfo", &mut |line| {
        keep(&mut all.memory_total_kib, field(line, "MemTotal:"));
        keep(&mut all.memory_available_kib, field(line, "MemAvailable:"));
    });
    each_line(c"/proc/vmstat", &mut |line| {
        keep(&mut all.oom_kills, field(line, "oom_kill "))
    });
    each_line(c"/proc/self/smaps_rollup", &mut |line| {
        keep(&mut all.init_resident_kib, field(line, "Rss:"));
        keep(&mut all.init_anonymous_kib, field(line, "Anonymous:"));
    });
    // "0.20 0.18 0.12 1/80 11206": load in two numbers, twice more, running, all, the last process.
    each_line(c"/proc/loadavg", &mut |line| {
        let mut parts = numbers(line);
        let whole = parts.next().unwrap_or_default().saturating_mul(100);
        all.load_hundredths = whole.saturating_add(parts.next().unwrap_or_default());
        keep(&mut all.processes, parts.nth(5));
    });
    each_line(c"/proc/stat", &mut |line| {
        if let Some((busy, idle)) = cpu(line) {
            (all.busy_ticks, all.idle_ticks) = (busy, idle);
        }
    });
    each_line(c"/proc/net/dev", &mut |line| {
        all.network_bytes = all
            .network_bytes
            .saturating_add(interface(line).unwrap_or_default());
    });
    all
}
