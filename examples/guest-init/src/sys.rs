//! The first instruction, and the system call as such.
#![allow(unsafe_code, reason = "see above")]
#![allow(
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    reason = "registers hold what they are given"
)]

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::ffi::CStr;

use crate::connection::Buffers;
use crate::kernel::{Errno, NOENT};
use crate::server::CONNECTIONS;

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {begin}",
    "ud2",
    begin = sym begin
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "bl {begin}",
    "brk #1",
    begin = sym begin
);

/// The arguments and the environment, as the kernel gave them.
#[derive(Clone, Copy)]
pub(crate) struct Arguments {
    count: usize,
    /// `count` texts and a null pointer; then the environment, and a null pointer.
    first: *const *const u8,
}

unsafe extern "C" fn begin(stack: *const usize) -> ! {
    // SAFETY: the kernel puts the count of the arguments there, and behind it their pointers.
    let arguments = unsafe {
        Arguments {
            count: *stack,
            first: stack.add(1).cast(),
        }
    };
    // SAFETY: nobody else has them: this runs once, in the only thread.
    let buffers = unsafe { &mut *BUFFERS.0.get() };
    crate::run(arguments, buffers)
}

/// The buffers of all connections.
struct All(UnsafeCell<[Buffers; CONNECTIONS]>);
// SAFETY: there is one thread.
unsafe impl Sync for All {}
static BUFFERS: All = All(UnsafeCell::new([Buffers::EMPTY; CONNECTIONS]));

impl Arguments {
    /// The program to run, behind the init's own name; `None` where there is none.
    pub(crate) fn workload(self) -> Option<&'static CStr> {
        if self.count < 2 {
            return None;
        }
        // SAFETY: the second of at least two arguments, a text that lives as long as the process.
        unsafe { Some(CStr::from_ptr((*self.first.add(1)).cast())) }
    }

    /// Becomes the workload. Only returns where that failed.
    pub(crate) fn exec(self) -> Errno {
        let Some(path) = self.workload() else {
            return NOENT;
        };
        // SAFETY: both lists end with a null pointer and are never changed.
        let failed = unsafe {
            let environment = self.first.add(self.count).add(1);
            call(
                number::EXECVE,
                [
                    path.as_ptr() as usize,
                    self.first.add(1) as usize,
                    environment as usize,
                    0,
                    0,
                ],
            )
        };
        failed.err().unwrap_or(NOENT)
    }
}

/// A system call.
///
/// # Safety
/// As the call's own, with these arguments.
#[inline(always)]
pub(crate) unsafe fn call(number: usize, arguments: [usize; 5]) -> Result<usize, Errno> {
    let [a, b, c, d, e] = arguments;
    let result: isize;
    // SAFETY: the kernel keeps every register but those named, and what the memory is used for is the
    // caller's to answer for.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            options(nostack)
        );
    }
    match result {
        -4095..=-1 => Err(Errno((result as i32).unsigned_abs())),
        _ => Ok(result as usize),
    }
}

/// Numbers of the system calls, of `asm/unistd_64.h` on x86-64 and `asm-generic/unistd.h` on aarch64.
pub(crate) mod number {
    macro_rules! numbers {
        ($($name:ident $x86_64:literal $aarch64:literal,)*) => {
            $(pub(crate) const $name: usize = if cfg!(target_arch = "x86_64") { $x86_64 } else { $aarch64 };)*
        };
    }
    numbers! {
        READ 0 63,
        WRITE 1 64,
        CLOSE 3 57,
        PPOLL 271 73,
        SIGPROCMASK 14 135,
        IOCTL 16 29,
        PREAD64 17 67,
        DUP3 292 24,
        GETPID 39 172,
        SOCKET 41 198,
        BIND 49 200,
        LISTEN 50 201,
        ACCEPT4 288 242,
        CLONE 56 220,
        EXECVE 59 221,
        WAIT4 61 260,
        KILL 62 129,
        SETSID 112 157,
        MOUNT 165 40,
        SYNC 162 81,
        REBOOT 169 142,
        SETHOSTNAME 170 161,
        CLOCK_SETTIME 227 112,
        CLOCK_GETTIME 228 113,
        EXIT_GROUP 231 94,
        WAITID 247 95,
        OPENAT 257 56,
        MKDIRAT 258 34,
        SIGNALFD4 289 74,
        FINIT_MODULE 313 273,
        GETRANDOM 318 278,
    }
}
