//! Descriptors of files and sockets.
//!
//! rustix has such a type. Where there is no standard library, making one insists, with a message, on a value
//! that the kernel never gives, and for that message everything that puts messages together would be in the
//! program: 2 kB. All that borrows a descriptor is left to rustix.
#![allow(unsafe_code)]

use core::ffi::CStr;

use linux_raw_sys::general as nr;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::sys::call;

/// A descriptor, which is closed when it is dropped.
pub(crate) struct Fd(i32);

impl Fd {
    /// Of what a system call gave.
    ///
    /// # Safety
    /// It is open, and nobody else's.
    #[allow(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "the kernel's descriptors are of this type"
    )]
    pub(crate) const unsafe fn new(given: usize) -> Self {
        Self(given as i32)
    }

    /// For a system call.
    #[allow(clippy::as_conversions, reason = "registers hold what they are given")]
    pub(crate) const fn number(&self) -> usize {
        self.0.unsigned_abs() as usize
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // The kernel's are never negative; where the compiler sees that, it leaves out the check that they are not.
        let fd = self.0 & i32::MAX;
        // SAFETY: it is open as long as `self` is there.
        unsafe { BorrowedFd::borrow_raw(fd) }
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: it was nobody else's, and nobody has it any more.
        unsafe { rustix::io::close(self.0) }
    }
}

/// Opens a file that is there. What is executed does not inherit it.
#[inline(never)]
pub(crate) fn open(path: &CStr, flags: OFlags) -> Result<Fd, Errno> {
    const HERE: isize = -100;
    #[allow(clippy::as_conversions, reason = "registers hold what they are given")]
    let [path, flags] = [
        path.as_ptr() as usize,
        (flags | OFlags::CLOEXEC).bits() as usize,
    ];
    // SAFETY: the path ends with a zero, and the descriptor is new.
    unsafe {
        let given = call(nr::__NR_openat, [HERE.cast_unsigned(), path, flags, 0, 0])?;
        Ok(Fd::new(given))
    }
}
