//! One writer at a time in a directory, among programs of this crate.

// Twins with one API: `Lock::of(directory, patience)`, held until it is dropped.
#[cfg_attr(unix, path = "lock/unix.rs")]
#[cfg_attr(not(unix), path = "lock/other.rs")]
mod system;

pub(super) use system::Lock;
