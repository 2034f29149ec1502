//! Arm semihosting: the debugger's (here QEMU's) console, files and exit.

use core::arch::asm;
use core::fmt;

/// How an image ends, and with what status QEMU does.
#[derive(Clone, Copy)]
pub enum Exit {
    /// Everything held: status 0.
    Held,
    /// Something did not: status 1.
    Failed,
    /// A panic: status 1, and a line that says so.
    Panicked,
}

/// One call into the debugger.
fn call(operation: usize, argument: usize) -> usize {
    let result;
    // SAFETY: the breakpoint hands both registers to the debugger, which reads or writes only what
    // the argument points to: memory that the callers below own.
    unsafe {
        asm!("bkpt 0xab", inout("r0") operation => result, in("r1") argument, options(nostack));
    }
    result
}

/// Ends the image.
pub fn exit(how: Exit) -> ! {
    const SYS_WRITE0: usize = 0x04;
    const SYS_EXIT: usize = 0x18;
    const APPLICATION_EXIT: usize = 0x2_0026;
    const RUN_TIME_ERROR: usize = 0x2_0023;
    let reason = match how {
        Exit::Held => APPLICATION_EXIT,
        Exit::Failed => RUN_TIME_ERROR,
        Exit::Panicked => {
            call(SYS_WRITE0, c"panicked\n".as_ptr() as usize);
            RUN_TIME_ERROR
        }
    };
    call(SYS_EXIT, reason);
    loop {}
}

/// A file on the host, or with the name `:tt` its console.
pub struct File(usize);

impl File {
    /// The console.
    pub fn console() -> Self {
        Self::create(c":tt")
    }

    /// A new file in QEMU's working directory.
    pub fn create(name: &core::ffi::CStr) -> Self {
        const SYS_OPEN: usize = 0x01;
        const WRITE_BINARY: usize = 5;
        let block = [name.as_ptr() as usize, WRITE_BINARY, name.count_bytes()];
        Self(call(SYS_OPEN, block.as_ptr() as usize))
    }

    /// Writes all of it.
    pub fn write(&self, bytes: &[u8]) {
        const SYS_WRITE: usize = 0x05;
        let block = [self.0, bytes.as_ptr() as usize, bytes.len()];
        call(SYS_WRITE, block.as_ptr() as usize);
    }
}

impl fmt::Write for File {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}
