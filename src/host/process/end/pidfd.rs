//! Linux has one since 5.3.

use std::os::fd::OwnedFd;
use std::process::Child;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Ready to be read when the process has ended. None where the kernel or a filter of system calls does
/// not have it, or no descriptor is left.
pub(super) fn of(child: &Child) -> Option<OwnedFd> {
    pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok()
}
