//! KVM: asked, not assumed.

use core::fmt;
use std::io;

use serde::Serialize;

use super::device::{Denied, Errno, is_missing};
use super::probe::{Access, KvmDevice, Probe};

// Twins with one function, `open`.
#[cfg_attr(
    all(
        target_os = "linux",
        any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "riscv64"
        )
    ),
    path = "kvm/ioctls.rs"
)]
#[cfg_attr(
    not(all(
        target_os = "linux",
        any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "riscv64"
        )
    )),
    path = "kvm/none.rs"
)]
mod system;

pub(super) use system::open;

/// The only version of KVM's API that there has been since Linux 2.6.22; others are to be refused
/// (the kernel's `Documentation/virt/kvm/api.rst`, `KVM_GET_API_VERSION`).
pub const API_VERSION: i32 = 12;

/// How often creating a VM is tried where a signal interrupts it.
const ATTEMPTS: u32 = 5;

const PATH: &str = "/dev/kvm";

/// Whether this process can create virtual machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KvmStatus {
    /// There is no `/dev/kvm`: the kernel has no KVM, the CPU's virtualization is off, or the container
    /// does not have the device.
    Missing,
    /// The system refuses it to this process.
    NoPermission(Denied),
    /// It speaks another version of the API than [`API_VERSION`].
    WrongApi(i32),
    /// It exists and does not work.
    Unusable {
        /// What failed.
        step: KvmStep,
        /// What it said.
        errno: Errno,
    },
    /// It exists, and this build cannot ask it: its CPU is none of x86_64, aarch64 and riscv64.
    UnsupportedCpu,
    /// A VM and a vCPU were created.
    Usable,
}

/// What is asked of KVM, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KvmStep {
    /// Opening `/dev/kvm`.
    Open,
    /// `KVM_GET_API_VERSION`.
    GetApiVersion,
    /// `KVM_CREATE_VM`.
    CreateVm,
    /// `KVM_CREATE_VCPU`.
    CreateVcpu,
}

impl fmt::Display for KvmStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "opening it",
            Self::GetApiVersion => "asking for its version",
            Self::CreateVm => "creating a VM",
            Self::CreateVcpu => "creating a vCPU",
        })
    }
}

impl fmt::Display for KvmStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "there is no {PATH}"),
            Self::NoPermission(denied) => write!(f, "{PATH}: {denied}"),
            Self::WrongApi(version) => {
                write!(f, "{PATH} has API version {version}, not {API_VERSION}")
            }
            Self::Unusable { step, errno } => write!(f, "{PATH}: {step} failed: {errno}"),
            Self::UnsupportedCpu => write!(f, "{PATH} cannot be asked on this CPU"),
            Self::Usable => f.write_str("usable"),
        }
    }
}

pub(super) fn ask(probe: &dyn Probe) -> KvmStatus {
    let device = match probe.open_kvm() {
        Ok(device) => device,
        Err(error) => return not_opened(probe, &error),
    };
    match answers(&*device) {
        Ok(API_VERSION) => KvmStatus::Usable,
        Ok(version) => KvmStatus::WrongApi(version),
        Err((step, error)) => KvmStatus::Unusable {
            step,
            errno: Errno::of(&error),
        },
    }
}

fn not_opened(probe: &dyn Probe, error: &io::Error) -> KvmStatus {
    match error.kind() {
        kind if is_missing(kind) => KvmStatus::Missing,
        io::ErrorKind::PermissionDenied => {
            KvmStatus::NoPermission(Denied::of(probe, PATH, Access::ReadWrite, error))
        }
        io::ErrorKind::Unsupported if error.raw_os_error().is_none() => {
            match probe.file_info(PATH) {
                Err(error) if is_missing(error.kind()) => KvmStatus::Missing,
                _ => KvmStatus::UnsupportedCpu,
            }
        }
        _ => KvmStatus::Unusable {
            step: KvmStep::Open,
            errno: Errno::of(error),
        },
    }
}

/// The API version, with more asked only if it is the right one: what the other calls of another
/// version would mean is not known.
fn answers(device: &dyn KvmDevice) -> Result<i32, (KvmStep, io::Error)> {
    let version = device
        .api_version()
        .map_err(|error| (KvmStep::GetApiVersion, error))?;
    if version == API_VERSION {
        insist(|| device.create_vm()).map_err(|error| (KvmStep::CreateVm, error))?;
        insist(|| device.create_vcpu()).map_err(|error| (KvmStep::CreateVcpu, error))?;
    }
    Ok(version)
}

/// Tries again what a signal interrupted: `KVM_CREATE_VM` gives `EINTR` where it would have had to
/// wait (Firecracker does the same).
fn insist(create: impl Fn() -> io::Result<()>) -> io::Result<()> {
    for _ in 1..ATTEMPTS {
        match create() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
    create()
}
