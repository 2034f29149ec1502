//! Waiting for a socket, until a deadline.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::host::channel::Deadline;

/// Waits until there is something to read, or the end, or an error: what a read would find at once.
/// `false` when the deadline has passed.
pub(super) fn readable(socket: impl AsFd, deadline: Deadline) -> io::Result<bool> {
    until(socket, PollFlags::IN, deadline)
}

/// Likewise for a write.
pub(super) fn writable(socket: impl AsFd, deadline: Deadline) -> io::Result<bool> {
    until(socket, PollFlags::OUT, deadline)
}

fn until(socket: impl AsFd, flags: PollFlags, deadline: Deadline) -> io::Result<bool> {
    while let Some(left) = deadline.remaining() {
        // What the system cannot express is longer than it will be up.
        let left = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(&socket, flags)], left.as_ref()) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Waits until one of two can be read, without end. Says which: the first, the second.
pub(super) fn either(first: impl AsFd, second: impl AsFd) -> io::Result<(bool, bool)> {
    loop {
        let mut both = [
            PollFd::new(&first, PollFlags::IN),
            PollFd::new(&second, PollFlags::IN),
        ];
        match poll(&mut both, None) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {
                let [first, second] = both.map(|found| !found.revents().is_empty());
                return Ok((first, second));
            }
        }
    }
}
