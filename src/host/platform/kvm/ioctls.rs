//! Linux on the CPUs that kvm-ioctls knows.

use alloc::boxed::Box;
use alloc::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use kvm_ioctls::Kvm;

use crate::host::platform::KvmDevice;

pub(in crate::host::platform) fn open(path: &Path) -> io::Result<Box<dyn KvmDevice>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    Ok(Box::new(Device(Kvm::new_with_path(path)?)))
}

struct Device(Kvm);

impl KvmDevice for Device {
    fn api_version(&self) -> io::Result<i32> {
        match self.0.get_api_version() {
            // The library hands on what the system call returned; nothing has come in between.
            ..0 => Err(io::Error::last_os_error()),
            version => Ok(version),
        }
    }

    fn create_vm(&self) -> io::Result<()> {
        self.0.create_vm()?;
        Ok(())
    }

    fn create_vcpu(&self) -> io::Result<()> {
        self.0.create_vm()?.create_vcpu(0)?;
        Ok(())
    }
}
