//! The machine as sessions see it, and what a wake does to it.

use mvm_core::guest::{Step, StepOutcome, Wake, WakeReport};
use mvm_core::instance::InstanceNet;
use mvm_core::session::{Environment, Mark};
use mvm_core::time::Timestamp;
use zeroize::Zeroize;

use crate::kernel::{self, Errno, Fd, RDONLY, Time, WRONLY, open};
use crate::network;

/// Clocks and the restore mark.
pub(crate) struct Machine {
    vmclock: Option<Fd>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            vmclock: open(c"/dev/vmclock0", RDONLY).ok(),
        }
    }
}

/// Milliseconds of `CLOCK_BOOTTIME`.
pub(crate) fn uptime_ms() -> u64 {
    millis(kernel::boot_clock())
}

fn millis(time: Time) -> u64 {
    let seconds = u64::try_from(time.seconds).unwrap_or_default();
    let nanoseconds = u64::try_from(time.nanoseconds).unwrap_or_default();
    seconds
        .saturating_mul(1000)
        .saturating_add(nanoseconds / 1_000_000)
}

/// `struct vmclock_abi` of the kernel (`linux/vmclock-abi.h`): the magic `VCLK`, and at 16 the marker that
/// changes when the machine was restored.
fn disruption_marker(page: &[u8; 24]) -> Option<u64> {
    let (magic, rest) = page.split_first_chunk::<4>()?;
    let marker = rest.last_chunk::<8>()?;
    (magic == b"VCLK").then(|| u64::from_le_bytes(*marker))
}

impl Environment for Machine {
    /// Where there is a VMClock its marker; a VMClock that cannot be read any more is another machine.
    fn mark(&self) -> Mark {
        let Some(vmclock) = &self.vmclock else {
            return Mark::Constant;
        };
        let mut page = [0; 24];
        match kernel::read_at(vmclock, &mut page, 0) {
            Ok(24) => Mark::Changing(disruption_marker(&page).unwrap_or(u64::MAX)),
            _ => Mark::Changing(u64::MAX),
        }
    }

    fn monotonic_millis(&self) -> u64 {
        uptime_ms()
    }
}

/// Does every step but that of the key, in the order of [`Step::ALL`]. Codes of failures are the kernel's.
pub(crate) fn wake(wake: &Wake) -> WakeReport {
    let mut report = WakeReport::new(wake.steps());
    report.set(Step::Entropy, outcome(reseed(wake.entropy.secret_bytes())));
    let skew = skew_ms(wake.wall_clock);
    report.set(Step::Clock, outcome(set_clock(wake.wall_clock)));
    report.set_clock_skew_ms(skew);
    if let Some(identity) = &wake.identity {
        report.set(
            Step::Identity,
            outcome(kernel::set_host_name(identity.as_str().as_bytes())),
        );
    }
    if let Some(net) = &wake.network {
        report.set(Step::Network, outcome(set_network(net)));
    }
    report
}

fn outcome(result: Result<(), Errno>) -> StepOutcome {
    match result {
        Ok(()) => StepOutcome::Done,
        Err(Errno(code)) => StepOutcome::Failed { code },
    }
}

fn set_network(net: &InstanceNet) -> Result<(), Errno> {
    network::set(network::INTERFACE, net)
}

/// `struct rand_pool_info` with 32 bytes behind it, as many as it says.
#[repr(C)]
struct PoolInfo {
    entropy_bits: i32,
    len: i32,
    bytes: [u8; 32],
}

const RNDADDENTROPY: usize = 0x4008_5203;
const RNDRESEEDCRNG: usize = 0x5207;

/// Mixes the bytes into the kernel's pool and makes its generator take them up. Added alone they lie in the
/// pool until the generator reseeds by itself, minutes later, and until then two clones give the same.
#[allow(unsafe_code)]
fn reseed(bytes: &[u8; 32]) -> Result<(), Errno> {
    let random = open(c"/dev/urandom", WRONLY)?;
    let mut info = PoolInfo {
        entropy_bits: 256,
        len: 32,
        bytes: *bytes,
    };
    // SAFETY: it reads a pool info, and as many bytes behind the two numbers as the second one says.
    let added = unsafe { kernel::control(&random, RNDADDENTROPY, &info) };
    info.bytes.zeroize();
    added?;
    if cfg!(feature = "planted-no-reseed") {
        return Ok(());
    }
    // SAFETY: it reads nothing.
    unsafe { kernel::control(&random, RNDRESEEDCRNG, &()) }
}

/// How far this clock is ahead of `host`, in milliseconds.
fn skew_ms(host: Timestamp) -> i64 {
    let now = kernel::wall_clock();
    let nanoseconds = now
        .nanoseconds
        .saturating_sub(i64::from(host.subsec_nanos()));
    let seconds = now.seconds.saturating_sub(host.seconds());
    seconds
        .saturating_mul(1000)
        .saturating_add(nanoseconds / 1_000_000)
}

fn set_clock(to: Timestamp) -> Result<(), Errno> {
    kernel::set_wall_clock(Time {
        seconds: to.seconds(),
        nanoseconds: i64::from(to.subsec_nanos()),
    })
}
