//! What the guest asks of the kernel.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use weight::{Result, invalid};

const HOST: libc::c_uint = libc::VMADDR_CID_HOST;

fn check(result: i64) -> Result<i32> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(|_| invalid("an answer of the kernel"))
}

/// Milliseconds since the kernel started.
pub fn boot_millis() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for writing.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time) };
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// 32 bytes of the kernel's generator.
pub fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    // SAFETY: `bytes` is valid for writing its length.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if check(got as i64)? != 32 {
        return Err(invalid("too little entropy"));
    }
    Ok(bytes)
}

pub fn mount_all() -> Result<()> {
    for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        fs::create_dir_all(place)?;
        let (kind, place) = (CString::new(kind)?, CString::new(place)?);
        // SAFETY: the strings end with NUL and live until the call returns.
        let done = unsafe {
            libc::mount(
                kind.as_ptr(),
                place.as_ptr(),
                kind.as_ptr(),
                0,
                std::ptr::null(),
            )
        };
        match check(done.into()) {
            // The kernel mounts /dev by itself where there is a root file system.
            Err(error) if error.raw_os_error() != Some(libc::EBUSY) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

pub fn load_module(name: &str) -> Result<()> {
    let path = |suffix| format!("/lib/modules/{name}.{suffix}");
    let (mut file, mut flags) = (File::open(path("ko")), 0);
    for compressed in ["ko.xz", "ko.zst", "ko.gz"] {
        if file.is_err() {
            (file, flags) = (File::open(path(compressed)), MODULE_INIT_COMPRESSED_FILE);
        }
    }
    let file = file?;
    // SAFETY: the file is open, and the parameters are an empty string.
    let done = unsafe {
        libc::syscall(
            libc::SYS_finit_module,
            file.as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    };
    check(done)?;
    Ok(())
}

/// The kernel unpacks the module.
const MODULE_INIT_COMPRESSED_FILE: libc::c_int = 4;

/// Kilobytes of memory that this process holds: each page counted, where /proc/self/status has
/// an estimate.
pub fn resident() -> Result<u64> {
    fs::read_to_string("/proc/self/smaps_rollup")?
        .lines()
        .find_map(|line| {
            line.strip_prefix("Rss:")?
                .trim()
                .strip_suffix(" kB")?
                .parse()
                .ok()
        })
        .ok_or_else(|| invalid("no Rss"))
}

/// Files to their disks, and caches out of memory.
pub fn flush() -> Result<()> {
    // SAFETY: takes nothing.
    unsafe { libc::sync() };
    fs::write("/proc/sys/vm/drop_caches", "3")
}

pub fn power_off() -> ! {
    println!("guest: powering off");
    // SAFETY: they take no pointers.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
    loop {
        thread::park();
    }
}

/// The workload's process, and how it ended.
pub struct Workload {
    process: i32,
}

/// The process that runs, or 0.
static RUNNING: AtomicI32 = AtomicI32::new(0);
static ENDED: AtomicI32 = AtomicI32::new(0);

impl Workload {
    pub fn start(words: &str) -> Result<Option<Self>> {
        let mut words = words.split_ascii_whitespace();
        let Some(path) = words.next() else {
            return Ok(None);
        };
        let child = Command::new(path).args(words).spawn()?;
        let process = i32::try_from(child.id()).map_err(|_| invalid("a process id"))?;
        println!("guest: workload {path} is process {process}");
        RUNNING.store(process, Ordering::SeqCst);
        Ok(Some(Self { process }))
    }

    pub fn status(&self) -> String {
        if RUNNING.load(Ordering::SeqCst) == self.process {
            "busy".into()
        } else {
            format!("ended: {:#x}", ENDED.load(Ordering::SeqCst))
        }
    }

    /// Asks it to end, and ends it after the grace.
    pub fn stop(&self, grace_secs: u64) {
        let until = Instant::now() + Duration::from_secs(grace_secs);
        for signal in [libc::SIGTERM, libc::SIGKILL] {
            if RUNNING.load(Ordering::SeqCst) == self.process {
                // SAFETY: takes no pointers.
                unsafe { libc::kill(self.process, signal) };
            }
            while RUNNING.load(Ordering::SeqCst) == self.process && Instant::now() < until {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Collects whatever ends, for ever: nobody else does on a machine.
pub fn reap() {
    loop {
        let mut status = 0;
        // SAFETY: `status` is valid for writing.
        let process = unsafe { libc::waitpid(-1, &mut status, 0) };
        if process <= 0 {
            thread::sleep(Duration::from_millis(500));
        } else if process == RUNNING.load(Ordering::SeqCst) {
            ENDED.store(status, Ordering::SeqCst);
            RUNNING.store(0, Ordering::SeqCst);
            println!("guest: workload ended: status {status:#x}");
        }
    }
}

/// A socket that listens on vsock.
pub struct Listener(OwnedFd);

impl Listener {
    pub fn new(port: u32) -> Result<Self> {
        // SAFETY: takes no pointers; the descriptor is new and ours.
        let socket = unsafe {
            let socket = libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
            OwnedFd::from_raw_fd(check(socket.into())?)
        };
        // SAFETY: all zeros is an address.
        let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
        address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
        address.svm_port = port;
        address.svm_cid = libc::VMADDR_CID_ANY;
        // SAFETY: the address is valid for reading its size.
        unsafe {
            let bound = libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_vm>() as libc::socklen_t,
            );
            check(bound.into())?;
            check(libc::listen(socket.as_raw_fd(), 16).into())?;
        }
        Ok(Self(socket))
    }

    /// The next connection of the host; those of others are closed.
    pub fn accept(&self) -> Result<UnixStream> {
        loop {
            // SAFETY: all zeros is an address.
            let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
            let mut length = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
            // SAFETY: address and length are valid for writing; the descriptor is new and ours.
            let stream = unsafe {
                let stream = libc::accept4(
                    self.0.as_raw_fd(),
                    (&raw mut address).cast(),
                    &mut length,
                    libc::SOCK_CLOEXEC,
                );
                OwnedFd::from_raw_fd(check(stream.into())?)
            };
            if address.svm_cid == HOST {
                // The standard library has no vsock streams; reading and writing are the same.
                return Ok(UnixStream::from(stream));
            }
        }
    }
}
