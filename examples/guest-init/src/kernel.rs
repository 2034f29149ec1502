//! The system calls that the init makes, with types. They are few and each is a line or two; a library for them
//! would be a fifth of the time that the whole takes to build.
#![allow(unsafe_code)]
#![allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "registers hold what they are given, and the kernel's values are of these types"
)]

use core::ffi::CStr;

use crate::sys::{call, number};

/// An error of the kernel, by its number in `errno.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) u32);

pub(crate) const PERM: Errno = Errno(1);
pub(crate) const NOENT: Errno = Errno(2);
pub(crate) const INTR: Errno = Errno(4);
pub(crate) const CHILD: Errno = Errno(10);
pub(crate) const AGAIN: Errno = Errno(11);
pub(crate) const BUSY: Errno = Errno(16);
pub(crate) const EXIST: Errno = Errno(17);
pub(crate) const NOTDIR: Errno = Errno(20);
pub(crate) const INVAL: Errno = Errno(22);
pub(crate) const NOSPC: Errno = Errno(28);
pub(crate) const NAMETOOLONG: Errno = Errno(36);
pub(crate) const CONNABORTED: Errno = Errno(103);
pub(crate) const TIMEDOUT: Errno = Errno(110);

/// A result without a value.
type Done = Result<(), Errno>;

/// A call of which only success is of interest.
///
/// # Safety
/// As [`call`].
unsafe fn done(number: usize, arguments: [usize; 5]) -> Done {
    // SAFETY: the caller's.
    unsafe { call(number, arguments) }.map(|_| ())
}

// ---- descriptors -----------------------------------------------------------------------------

/// A descriptor, which is closed when it is dropped.
pub(crate) struct Fd(usize);

impl Fd {
    /// Of what a system call gave.
    ///
    /// # Safety
    /// It is open, and nobody else's.
    pub(crate) const unsafe fn new(given: usize) -> Self {
        Self(given)
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: it was nobody else's, and nobody has it any more.
        let _ = unsafe { call(number::CLOSE, [self.0, 0, 0, 0, 0]) };
    }
}

pub(crate) const RDONLY: usize = 0;
pub(crate) const WRONLY: usize = 1;
pub(crate) const RDWR: usize = 2;
pub(crate) const NOCTTY: usize = 0o400;
pub(crate) const NONBLOCK: usize = 0o4000;
pub(crate) const CLOEXEC: usize = 0o2_000_000;
/// Where paths that are not absolute begin; all of the init's are.
const AT_FDCWD: usize = (-100_isize).cast_unsigned();

/// Opens a file that is there. What is executed does not inherit it.
#[inline(never)]
pub(crate) fn open(path: &CStr, flags: usize) -> Result<Fd, Errno> {
    // SAFETY: the path ends with a zero, and the descriptor is new.
    unsafe {
        let arguments = [AT_FDCWD, path.as_ptr() as usize, flags | CLOEXEC, 0, 0];
        Ok(Fd::new(call(number::OPENAT, arguments)?))
    }
}

/// Reads some bytes; none at the end.
pub(crate) fn read(fd: &Fd, into: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: so many bytes are there to be written.
    unsafe {
        call(
            number::READ,
            [fd.0, into.as_mut_ptr() as usize, into.len(), 0, 0],
        )
    }
}

/// Reads some bytes from a place.
pub(crate) fn read_at(fd: &Fd, into: &mut [u8], offset: usize) -> Result<usize, Errno> {
    // SAFETY: so many bytes are there to be written.
    unsafe {
        call(
            number::PREAD64,
            [fd.0, into.as_mut_ptr() as usize, into.len(), offset, 0],
        )
    }
}

/// Writes some bytes. A stream that has ended is an error: SIGPIPE does not reach PID 1.
pub(crate) fn write(fd: &Fd, from: &[u8]) -> Result<usize, Errno> {
    // SAFETY: so many bytes are there to be read.
    unsafe {
        call(
            number::WRITE,
            [fd.0, from.as_ptr() as usize, from.len(), 0, 0],
        )
    }
}

/// Makes `to` (0 to 2) the same as `fd`, for a program that is executed.
pub(crate) fn duplicate(fd: &Fd, to: usize) -> Done {
    // SAFETY: no `Fd` is of the standard streams, or is used after them in the child that does this.
    unsafe { done(number::DUP3, [fd.0, to, 0, 0, 0]) }
}

/// A call that controls a device or a socket.
///
/// # Safety
/// Of the argument of this opcode the kernel reads no more than there is, and writes nothing.
pub(crate) unsafe fn control<T>(fd: &Fd, opcode: usize, argument: &T) -> Done {
    let pointer = (&raw const *argument) as usize;
    // SAFETY: the caller's.
    unsafe { done(number::IOCTL, [fd.0, opcode, pointer, 0, 0]) }
}

/// `struct pollfd`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Polled {
    fd: i32,
    events: u16,
    found: u16,
}

pub(crate) const POLLIN: u16 = 1;
pub(crate) const POLLOUT: u16 = 4;

impl Polled {
    /// For these events; for errors and the end of a stream in any case.
    pub(crate) const fn new(fd: &Fd, events: u16) -> Self {
        Self {
            fd: fd.0 as i32,
            events,
            found: 0,
        }
    }

    /// Whether something was found.
    pub(crate) const fn came(&self) -> bool {
        self.found != 0
    }
}

/// Waits until something is found, for `ms` milliseconds at most, or for as long as it takes.
pub(crate) fn poll(fds: &mut [Polled], ms: Option<u64>) {
    let mut time = Time::from_millis(ms.unwrap_or_default());
    let time = if ms.is_some() {
        &raw mut time
    } else {
        core::ptr::null_mut()
    };
    // SAFETY: so many are there to be written, and the time is there.
    let _ = unsafe {
        call(
            number::PPOLL,
            [fds.as_mut_ptr() as usize, fds.len(), time as usize, 0, 0],
        )
    };
}

// ---- clocks and entropy ------------------------------------------------------------------------

/// `struct timespec` of 64-bit processors.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Time {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: i64,
}

impl Time {
    fn from_millis(ms: u64) -> Self {
        let nanoseconds = (ms % 1000).saturating_mul(1_000_000);
        Self {
            seconds: i64::try_from(ms / 1000).unwrap_or(i64::MAX),
            nanoseconds: i64::try_from(nanoseconds).unwrap_or_default(),
        }
    }
}

const CLOCK_REALTIME: usize = 0;
const CLOCK_BOOTTIME: usize = 7;

fn clock(id: usize) -> Time {
    let mut now = Time::default();
    // SAFETY: the place is there to be written.
    let _ = unsafe {
        call(
            number::CLOCK_GETTIME,
            [id, (&raw mut now) as usize, 0, 0, 0],
        )
    };
    now
}

/// `CLOCK_BOOTTIME`: goes on while the machine is suspended, and never back.
pub(crate) fn boot_clock() -> Time {
    clock(CLOCK_BOOTTIME)
}

/// `CLOCK_REALTIME`.
pub(crate) fn wall_clock() -> Time {
    clock(CLOCK_REALTIME)
}

pub(crate) fn set_wall_clock(to: Time) -> Done {
    // SAFETY: the time is there to be read.
    unsafe {
        done(
            number::CLOCK_SETTIME,
            [CLOCK_REALTIME, (&raw const to) as usize, 0, 0, 0],
        )
    }
}

/// 32 bytes of the kernel's generator. Waits until it has been seeded, which it is once for each boot.
pub(crate) fn random() -> Result<[u8; 32], Errno> {
    let mut bytes = [0; 32];
    loop {
        // SAFETY: so many bytes are there to be written.
        match unsafe {
            call(
                number::GETRANDOM,
                [bytes.as_mut_ptr() as usize, bytes.len(), 0, 0, 0],
            )
        } {
            Ok(32) => return Ok(bytes),
            // A call for up to 256 bytes is answered whole or interrupted.
            Ok(_) | Err(INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

// ---- sockets -----------------------------------------------------------------------------------

pub(crate) const STREAM: usize = 1;
pub(crate) const DATAGRAM: usize = 2;

/// A socket. What is executed does not inherit it.
pub(crate) fn socket(family: u16, kind: usize) -> Result<Fd, Errno> {
    // SAFETY: it takes no pointer, and the descriptor is new.
    unsafe {
        Ok(Fd::new(call(
            number::SOCKET,
            [usize::from(family), kind | CLOEXEC, 0, 0, 0],
        )?))
    }
}

/// Binds a socket to an address and listens.
///
/// # Safety
/// `T` is the kernel's structure of an address of this family.
pub(crate) unsafe fn listen<T>(socket: &Fd, address: &T, backlog: usize) -> Done {
    // SAFETY: the caller's.
    unsafe {
        done(
            number::BIND,
            [
                socket.0,
                (&raw const *address) as usize,
                size_of::<T>(),
                0,
                0,
            ],
        )?;
        done(number::LISTEN, [socket.0, backlog, 0, 0, 0])
    }
}

/// The next connection, and whom it is from. Neither blocks.
///
/// # Safety
/// `T` is the kernel's structure of an address of this family.
pub(crate) unsafe fn accept<T>(listener: &Fd, peer: &mut T) -> Result<Fd, Errno> {
    let mut len = size_of::<T>() as u32;
    let [peer, len] = [(&raw mut *peer) as usize, (&raw mut len) as usize];
    // SAFETY: the address has the length that is said, and the descriptor is new.
    unsafe {
        Ok(Fd::new(call(
            number::ACCEPT4,
            [listener.0, peer, len, NONBLOCK | CLOEXEC, 0],
        )?))
    }
}

// ---- processes and signals -----------------------------------------------------------------------

/// A process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pid(pub(crate) u32);

/// Which of the two processes this is.
pub(crate) enum Forked {
    Child,
    Parent(Pid),
}

pub(crate) const SIGINT: u32 = 2;
pub(crate) const SIGKILL: u32 = 9;
pub(crate) const SIGTERM: u32 = 15;
pub(crate) const SIGCHLD: u32 = 17;
pub(crate) const SIGCONT: u32 = 18;
pub(crate) const SIGPWR: u32 = 30;

/// `fork`. There is one thread, no C library and no lock, so that the child may do what it likes.
pub(crate) fn fork() -> Result<Forked, Errno> {
    // SAFETY: without flags nothing is shared, and the stack goes on where it was.
    Ok(
        match unsafe { call(number::CLONE, [SIGCHLD as usize, 0, 0, 0, 0]) }? {
            0 => Forked::Child,
            pid => Forked::Parent(Pid(pid as u32)),
        },
    )
}

/// Ends the process.
pub(crate) fn exit(status: u32) -> ! {
    loop {
        // SAFETY: it takes no pointer.
        let _ = unsafe { call(number::EXIT_GROUP, [status as usize, 0, 0, 0, 0]) };
    }
}

pub(crate) fn is_pid_1() -> bool {
    // SAFETY: it takes no pointer.
    unsafe { call(number::GETPID, [0; 5]) == Ok(1) }
}

/// Becomes the leader of a session of its own.
pub(crate) fn set_session() {
    // SAFETY: it takes no pointer.
    let _ = unsafe { call(number::SETSID, [0; 5]) };
}

/// Sends a signal to a process; with `None` to every one but this.
pub(crate) fn kill(pid: Option<Pid>, signal: u32) {
    let pid = pid.map_or(usize::MAX, |pid| pid.0 as usize);
    // SAFETY: it takes no pointer.
    let _ = unsafe { call(number::KILL, [pid, signal as usize, 0, 0, 0]) };
}

/// How a process ended.
#[derive(Clone, Copy)]
pub(crate) struct Ended(u32);

impl Ended {
    /// Its exit code, or the signal that ended it.
    pub(crate) const fn code(self) -> Result<u32, u32> {
        match self.0 & 0x7F {
            0 => Ok(self.0 >> 8 & 0xFF),
            signal => Err(signal),
        }
    }
}

/// Any child: what has no parent left is PID 1's.
const ANY: usize = usize::MAX;
const WNOHANG: usize = 1;

/// The next child that has ended; `None` where none has.
pub(crate) fn reap() -> Option<(Pid, Ended)> {
    let mut status: u32 = 0;
    loop {
        // SAFETY: the status is there to be written.
        return match unsafe {
            call(
                number::WAIT4,
                [ANY, (&raw mut status) as usize, WNOHANG, 0, 0],
            )
        } {
            Err(INTR) => continue,
            Err(_) | Ok(0) => None,
            Ok(pid) => Some((Pid(pid as u32), Ended(status))),
        };
    }
}

/// Whether there is a child at all, living or not.
pub(crate) fn has_children() -> bool {
    const EVERY: usize = 0;
    const WEXITED: usize = 4;
    const WNOWAIT: usize = 0x0100_0000;
    // SAFETY: it takes no pointer but one that is null, for what is not asked for.
    let found = unsafe {
        call(
            number::WAITID,
            [EVERY, 0, 0, WEXITED | WNOHANG | WNOWAIT, 0],
        )
    };
    found != Err(CHILD)
}

/// A set of signals.
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
pub(crate) fn block(set: SignalSet) -> Done {
    const SIG_SETMASK: usize = 2;
    let pointer = (&raw const set.0) as usize;
    // SAFETY: the set has the eight bytes that are said.
    unsafe {
        done(
            number::SIGPROCMASK,
            [SIG_SETMASK, pointer, 0, size_of::<u64>(), 0],
        )
    }
}

/// A descriptor from which these signals can be read; it does not block.
pub(crate) fn signal_fd(set: SignalSet) -> Result<Fd, Errno> {
    let pointer = (&raw const set.0) as usize;
    // SAFETY: the set has the eight bytes that are said, and the descriptor is new.
    unsafe {
        let arguments = [usize::MAX, pointer, size_of::<u64>(), NONBLOCK | CLOEXEC, 0];
        Ok(Fd::new(call(number::SIGNALFD4, arguments)?))
    }
}

/// The next signal of such a descriptor, if there is one.
pub(crate) fn next_signal(signals: &Fd) -> Option<u32> {
    // `struct signalfd_siginfo`, which begins with the signal's number.
    let mut info = [0; 128];
    match read(signals, &mut info) {
        Ok(128) => info
            .first_chunk::<4>()
            .map(|number| u32::from_ne_bytes(*number)),
        _ => None,
    }
}

// ---- the machine -----------------------------------------------------------------------------------

pub(crate) const NOSUID: usize = 2;
pub(crate) const NODEV: usize = 4;
pub(crate) const NOEXEC: usize = 8;

/// Mounts a file system of the kernel's own, on a folder that is made where it is not there.
pub(crate) fn mount(kind: &CStr, path: &CStr, flags: usize) -> Done {
    let [kind, path] = [kind, path].map(|text| text.as_ptr() as usize);
    // SAFETY: the texts end with a zero.
    unsafe {
        let _ = call(number::MKDIRAT, [AT_FDCWD, path, 0o755, 0, 0]);
        done(number::MOUNT, [kind, path, kind, flags, 0])
    }
}

const MODULE_INIT_COMPRESSED_FILE: usize = 4;

/// Loads a module, without parameters. The kernel unpacks a compressed one, of the kind that it was built for.
pub(crate) fn load_module(file: &Fd, compressed: bool) -> Done {
    let flags = if compressed {
        MODULE_INIT_COMPRESSED_FILE
    } else {
        0
    };
    // SAFETY: the text of parameters ends with a zero.
    unsafe {
        done(
            number::FINIT_MODULE,
            [file.0, c"".as_ptr() as usize, flags, 0, 0],
        )
    }
}

pub(crate) fn set_host_name(name: &[u8]) -> Done {
    // SAFETY: so many bytes are there to be read.
    unsafe {
        done(
            number::SETHOSTNAME,
            [name.as_ptr() as usize, name.len(), 0, 0, 0],
        )
    }
}

/// Writes everything to disk.
pub(crate) fn sync() {
    // SAFETY: it takes no pointer.
    let _ = unsafe { call(number::SYNC, [0; 5]) };
}

/// What `reboot` does.
#[derive(Clone, Copy)]
pub(crate) struct Reboot(usize);

impl Reboot {
    /// Ctrl+Alt+Del becomes a signal.
    pub(crate) const CTRL_ALT_DEL_OFF: Self = Self(0);
    pub(crate) const RESTART: Self = Self(0x0123_4567);
    pub(crate) const HALT: Self = Self(0xCDEF_0123);
    pub(crate) const POWER_OFF: Self = Self(0x4321_FEDC);
}

/// Only returns where it did not end the machine.
pub(crate) fn reboot(how: Reboot) {
    const MAGIC: [usize; 2] = [0xFEE1_DEAD, 0x2812_1969];
    let [first, second] = MAGIC;
    // SAFETY: it takes no pointer with these commands.
    let _ = unsafe { call(number::REBOOT, [first, second, how.0, 0, 0]) };
}
