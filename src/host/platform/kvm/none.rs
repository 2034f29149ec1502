//! Where there is no KVM, or nothing that could ask it.

use alloc::boxed::Box;
use std::io;
use std::path::Path;

use crate::host::platform::KvmDevice;

pub(in crate::host::platform) fn open(_path: &Path) -> io::Result<Box<dyn KvmDevice>> {
    Err(io::ErrorKind::Unsupported.into())
}
