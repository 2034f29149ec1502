//! What the kernel says of the machine.

use core::ffi::CStr;

use guest_init::messages::Numbers;
use guest_init::proc::{Lines, take_load};

use crate::kernel::{RDONLY, open, read as read_some};
use crate::machine::uptime_ms;

/// Gives each line of a file of the kernel; none of a file that is not there.
fn each_line(path: &CStr, each: &mut dyn FnMut(&[u8])) {
    let Ok(file) = open(path, RDONLY) else {
        return;
    };
    let mut lines = Lines::new();
    let mut piece = [0; 256];
    while let Ok(got @ 1..) = read_some(&file, &mut piece) {
        for byte in piece.iter().take(got) {
            if let Some(line) = lines.push(*byte) {
                each(line);
            }
        }
    }
}

/// Everything of it, at `started_ms` for when the init began.
pub(crate) fn read(started_ms: u64) -> Numbers {
    let mut all = Numbers {
        started_ms,
        uptime_ms: uptime_ms(),
        ..Numbers::default()
    };
    let mut take: fn(&mut Numbers, &[u8]) = take_load;
    for path in [
        // The first has no names.
        c"/proc/loadavg",
        c"/proc/meminfo",
        c"/proc/vmstat",
        c"/proc/self/smaps_rollup",
        c"/proc/stat",
        c"/proc/net/dev",
    ] {
        each_line(path, &mut |line| take(&mut all, line));
        take = guest_init::proc::take;
    }
    all
}
