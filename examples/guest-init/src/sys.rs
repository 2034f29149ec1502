//! What the standard library and a C library would bring: the first instruction, memory functions, and the
//! system calls that rustix lacks or does not promise to keep.
#![allow(unsafe_code, reason = "see above")]
#![allow(
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    reason = "registers hold what they are given"
)]

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_void};

use linux_raw_sys::general as nr;
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::time::Timespec;

use crate::connection::Buffers;
use crate::descriptor::Fd;
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
            return Errno::NOENT;
        };
        // SAFETY: both lists end with a null pointer and are never changed.
        let failed = unsafe {
            let environment = self.first.add(self.count).add(1);
            call(
                nr::__NR_execve,
                [
                    path.as_ptr() as usize,
                    self.first.add(1) as usize,
                    environment as usize,
                    0,
                    0,
                ],
            )
        };
        failed.err().unwrap_or(Errno::NOENT)
    }
}

/// A system call.
///
/// # Safety
/// As the call's own, with these arguments.
#[inline(always)]
pub(crate) unsafe fn call(number: u32, arguments: [usize; 5]) -> Result<usize, Errno> {
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
            in("x8") number as usize,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            options(nostack)
        );
    }
    match result {
        -4095..=-1 => Err(Errno::from_raw_os_error((result as i32).wrapping_neg())),
        _ => Ok(result as usize),
    }
}

/// Which of the two processes this is.
pub(crate) enum Forked {
    Child,
    Parent(Pid),
}

const SIGCHLD: usize = 17;

/// `fork`. There is one thread, no C library and no lock, so that the child may do what it likes.
pub(crate) fn fork() -> Result<Forked, Errno> {
    // SAFETY: without flags nothing is shared, and the stack goes on where it was.
    let pid = unsafe { call(nr::__NR_clone, [SIGCHLD, 0, 0, 0, 0]) }?;
    Ok(match Pid::from_raw(pid as i32) {
        None => Forked::Child,
        Some(pid) => Forked::Parent(pid),
    })
}

/// Ends the process.
pub(crate) fn exit(status: i32) -> ! {
    loop {
        // SAFETY: it takes no pointer.
        let _ = unsafe { call(nr::__NR_exit_group, [status as usize, 0, 0, 0, 0]) };
    }
}

/// A set of signals, for the calls below.
#[derive(Clone, Copy)]
pub(crate) struct SignalSet(u64);

impl SignalSet {
    pub(crate) const NONE: Self = Self(0);

    /// With one more, 1 to 64.
    pub(crate) const fn with(self, signal: u32) -> Self {
        Self(self.0 | 1 << signal.saturating_sub(1))
    }
}

/// Blocks these signals and no others.
pub(crate) fn block(set: SignalSet) -> Result<(), Errno> {
    const SIG_SETMASK: usize = 2;
    let pointer = &raw const set.0;
    // SAFETY: the set has the eight bytes that are said.
    unsafe {
        call(
            nr::__NR_rt_sigprocmask,
            [SIG_SETMASK, pointer as usize, 0, size_of::<u64>(), 0],
        )
    }
    .map(|_| ())
}

/// A descriptor from which these signals can be read; it does not block.
pub(crate) fn signal_fd(set: SignalSet) -> Result<Fd, Errno> {
    const FLAGS: usize = (nr::O_NONBLOCK | nr::O_CLOEXEC) as usize;
    let pointer = &raw const set.0;
    // SAFETY: the set has the eight bytes that are said, and the descriptor is new.
    unsafe {
        let given = call(
            nr::__NR_signalfd4,
            [usize::MAX, pointer as usize, size_of::<u64>(), FLAGS, 0],
        )?;
        Ok(Fd::new(given))
    }
}

/// A call that controls a device or a socket.
///
/// # Safety
/// Of the argument of this opcode the kernel reads no more than there is, and writes nothing.
pub(crate) unsafe fn control<T>(fd: &Fd, opcode: u32, argument: &T) -> Result<(), Errno> {
    let pointer = &raw const *argument;
    // SAFETY: the caller's.
    unsafe {
        call(
            nr::__NR_ioctl,
            [fd.number(), opcode as usize, pointer as usize, 0, 0],
        )
    }
    .map(|_| ())
}

/// A clock of the kernel, by its number.
fn clock(id: u32) -> Timespec {
    let mut now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the place is there to be written, and has the kernel's layout on 64-bit processors.
    let _ = unsafe {
        call(
            nr::__NR_clock_gettime,
            [id as usize, (&raw mut now) as usize, 0, 0, 0],
        )
    };
    now
}

/// `CLOCK_BOOTTIME`: goes on while the machine is suspended, and never back.
pub(crate) fn boot_clock() -> Timespec {
    clock(nr::CLOCK_BOOTTIME)
}

/// `CLOCK_REALTIME`.
pub(crate) fn wall_clock() -> Timespec {
    clock(nr::CLOCK_REALTIME)
}

/// The memory functions that compiled code calls.
mod memory {
    use super::c_void;
    use core::arch::asm;

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller's.
        unsafe {
            asm!("rep movsb", inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack, preserves_flags));
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the caller's.
        unsafe {
            asm!(
                "2: cbz {n}, 3f", "ldrb {t:w}, [{s}], #1", "strb {t:w}, [{d}], #1", "sub {n}, {n}, #1", "b 2b", "3:",
                n = inout(reg) len => _, s = inout(reg) from => _, d = inout(reg) to => _, t = out(reg) _, options(nostack, preserves_flags)
            );
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
        if to.addr().wrapping_sub(from.addr()) >= len {
            // SAFETY: the caller's; from the front nothing is overwritten before it is read.
            return unsafe { memcpy(to, from, len) };
        }
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller's; from the back nothing is overwritten before it is read.
        unsafe {
            asm!(
                "std", "rep movsb", "cld",
                inout("rcx") len => _, inout("rdi") to.byte_add(len).byte_sub(1) => _, inout("rsi") from.byte_add(len).byte_sub(1) => _, options(nostack)
            );
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        unsafe {
            asm!(
                "2: cbz {n}, 3f", "sub {n}, {n}, #1", "ldrb {t:w}, [{s}, {n}]", "strb {t:w}, [{d}, {n}]", "b 2b", "3:",
                n = inout(reg) len => _, s = in(reg) from, d = in(reg) to, t = out(reg) _, options(nostack, preserves_flags)
            );
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut c_void, byte: i32, len: usize) -> *mut c_void {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller's.
        unsafe {
            asm!("rep stosb", inout("rcx") len => _, inout("rdi") to => _, in("eax") byte, options(nostack, preserves_flags));
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the caller's.
        unsafe {
            asm!(
                "2: cbz {n}, 3f", "strb {b:w}, [{d}], #1", "sub {n}, {n}, #1", "b 2b", "3:",
                n = inout(reg) len => _, d = inout(reg) to => _, b = in(reg) byte, options(nostack, preserves_flags)
            );
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        let mut at = 0;
        while at < len {
            // SAFETY: the caller's: both have `len` bytes.
            let (a, b) = unsafe { (*a.add(at), *b.add(at)) };
            if a != b {
                return i32::from(a) - i32::from(b);
            }
            at += 1;
        }
        0
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn strlen(text: *const u8) -> usize {
        let mut len = 0;
        // SAFETY: the caller's: there is a zero.
        while unsafe { text.add(len).read_volatile() } != 0 {
            len += 1;
        }
        len
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        // SAFETY: the caller's.
        unsafe { memcmp(a, b, len) }
    }
}
