//! What the machine offers to run microVMs, with the reason where it does not.
//!
//! [`Host`] is a machine that is asked: each question once, when its answer is first wanted.
//! [`current`] is the machine this program runs on; [`Host::new`] takes any [`Probe`], so that a
//! program can test what it does on machines that it does not have.
//!
//! | question | how it is asked | answer |
//! | --- | --- | --- |
//! | [`kvm`](Host::kvm) | `/dev/kvm` is opened for reading and writing, `KVM_GET_API_VERSION` must be 12, a VM and a vCPU are created and closed again | [`KvmStatus`] |
//! | [`vhost_vsock`](Host::vhost_vsock) | `/dev/vhost-vsock` is opened for reading and writing | [`DeviceStatus`] |
//! | [`vsock`](Host::vsock) | `/dev/vsock` is opened for reading | [`DeviceStatus`] |
//! | [`cgroup_v2`](Host::cgroup_v2) | `/proc/self/mountinfo`, and `cgroup.controllers` where it is mounted | [`CgroupV2`] |
//! | [`firecracker`](Host::firecracker) | `firecracker --version`, found on `PATH` or in `/usr/local/bin` | [`ToolStatus`] |
//! | [`nix`](Host::nix) | `nix --version`, found on `PATH` or where Nix installs itself | [`ToolStatus`] |
//! | [`docker`](Host::docker) | `docker version` with the daemon's version, found on `PATH` | [`ToolStatus`] |
//! | [`is_wsl`](Host::is_wsl) | `/proc/sys/kernel/osrelease` | |
//! | [`platform`](Host::platform) | of these | [`Platform`] |
//!
//! - A device file that exists is not a device that works: only [`KvmStatus::Usable`] is KVM. It says
//!   that this process can create machines, not how fast they are: nested KVM may emulate them.
//! - What is asked of devices holds for the user and groups of this process.
//! - A program is looked for in the absolute directories of `PATH` only, never in the working
//!   directory, and killed with its process group when its [deadline](Host::with_deadline) passes.
//! - Opening a device may load the kernel module that a system registers for it.
//!
//! ```
//! use mvm_core::platform::{self, KvmStatus};
//!
//! match platform::current().kvm() {
//!     KvmStatus::Usable => println!("Firecracker can run here"),
//!     reason => println!("no KVM: {reason}"),
//! }
//! ```

mod cgroup;
mod command;
mod device;
mod kvm;
mod probe;
mod system;
mod tool;

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::time::Duration;
use std::sync::OnceLock;

use serde::Serialize;

pub use cgroup::CgroupV2;
pub use device::{Denied, DeviceStatus, Errno, Group};
pub use kvm::{API_VERSION, KvmStatus, KvmStep};
pub use probe::{Access, End, FileInfo, KvmDevice, Probe, Run, System};
pub use system::SystemProbe;
pub use tool::ToolStatus;

/// How long a program may take to answer, unless [`Host::with_deadline`] says otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(3);

/// What kind of machine it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Platform {
    /// macOS.
    MacOS,
    /// Linux with usable KVM: Firecracker runs directly.
    LinuxNative,
    /// Linux without usable KVM; [`Host::kvm`] says why.
    LinuxNoKvm,
    /// The second Windows Subsystem for Linux, with KVM or without.
    Wsl2,
    /// Windows itself.
    Windows,
    /// Another system.
    Other,
}

impl Platform {
    /// Whether it is WSL2.
    #[must_use]
    pub const fn is_wsl(self) -> bool {
        matches!(self, Self::Wsl2)
    }

    /// Whether it is Windows itself.
    #[must_use]
    pub const fn is_windows(self) -> bool {
        matches!(self, Self::Windows)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MacOS => "macOS",
            Self::LinuxNative => "Linux (native KVM)",
            Self::LinuxNoKvm => "Linux (no KVM)",
            Self::Wsl2 => "WSL2",
            Self::Windows => "Windows",
            Self::Other => "another system",
        })
    }
}

/// A machine that is asked what it offers, see the page of the [module](self).
///
/// An answer is kept. A program that wants to know whether something has changed asks another
/// `Host`.
pub struct Host {
    probe: Box<dyn Probe + Send + Sync>,
    deadline: Duration,
    wsl: OnceLock<bool>,
    kvm: OnceLock<KvmStatus>,
    vhost_vsock: OnceLock<DeviceStatus>,
    vsock: OnceLock<DeviceStatus>,
    cgroup_v2: OnceLock<CgroupV2>,
    firecracker: OnceLock<ToolStatus>,
    nix: OnceLock<ToolStatus>,
    docker: OnceLock<ToolStatus>,
    apple_containers: OnceLock<bool>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("deadline", &self.deadline)
            .field("kvm", &self.kvm.get())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Host {
    /// The platform, and whether WSL2 has KVM.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.platform() {
            Platform::Wsl2 if self.has_kvm() => f.write_str("WSL2 (KVM available)"),
            platform => platform.fmt(f),
        }
    }
}

/// The machine this program runs on, the same for as long as it runs: what was asked once is not
/// asked again. [`Host::of_this_machine`] asks anew.
#[must_use]
pub fn current() -> &'static Host {
    static CURRENT: OnceLock<Host> = OnceLock::new();
    CURRENT.get_or_init(Host::of_this_machine)
}

impl Host {
    /// The machine that a probe looks at.
    #[must_use]
    pub fn new(probe: impl Probe + Send + Sync + 'static) -> Self {
        Self {
            probe: Box::new(probe),
            deadline: DEFAULT_DEADLINE,
            wsl: OnceLock::new(),
            kvm: OnceLock::new(),
            vhost_vsock: OnceLock::new(),
            vsock: OnceLock::new(),
            cgroup_v2: OnceLock::new(),
            firecracker: OnceLock::new(),
            nix: OnceLock::new(),
            docker: OnceLock::new(),
            apple_containers: OnceLock::new(),
        }
    }

    /// The machine this program runs on, with nothing asked yet.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::new(SystemProbe::new())
    }

    /// The same with another deadline for each program that is asked.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What kind of machine it is.
    #[must_use]
    pub fn platform(&self) -> Platform {
        match self.probe.system() {
            System::Linux if self.is_wsl() => Platform::Wsl2,
            System::Linux if self.has_kvm() => Platform::LinuxNative,
            System::Linux => Platform::LinuxNoKvm,
            System::MacOs => Platform::MacOS,
            System::Windows => Platform::Windows,
            System::Other => Platform::Other,
        }
    }

    /// Whether this process can create virtual machines. Other systems than Linux do not have it.
    pub fn kvm(&self) -> &KvmStatus {
        self.kvm.get_or_init(|| {
            if self.is_linux() {
                kvm::ask(&*self.probe)
            } else {
                KvmStatus::Missing
            }
        })
    }

    /// Whether this process can give virtual machines a vsock of the kernel's. Firecracker needs
    /// none: its vsock is a Unix socket.
    pub fn vhost_vsock(&self) -> &DeviceStatus {
        self.vhost_vsock
            .get_or_init(|| self.device("/dev/vhost-vsock", Access::ReadWrite))
    }

    /// Whether this machine has vsock sockets, as a guest does.
    pub fn vsock(&self) -> &DeviceStatus {
        self.vsock
            .get_or_init(|| self.device("/dev/vsock", Access::Read))
    }

    /// Whether and where the second version of control groups is mounted.
    pub fn cgroup_v2(&self) -> &CgroupV2 {
        self.cgroup_v2.get_or_init(|| {
            if self.is_linux() {
                cgroup::ask(&*self.probe)
            } else {
                CgroupV2::Missing
            }
        })
    }

    /// Whether Firecracker answers. Its first line is the version, as `Firecracker v1.14.1`.
    pub fn firecracker(&self) -> &ToolStatus {
        // A service's PATH may lack it.
        const PLACES: [&str; 1] = ["/usr/local/bin/firecracker"];
        self.firecracker.get_or_init(|| {
            let arguments = ["--version"];
            tool::ask(
                &*self.probe,
                "firecracker",
                &PLACES,
                &arguments,
                self.deadline,
            )
        })
    }

    /// Whether Nix answers.
    pub fn nix(&self) -> &ToolStatus {
        // A fresh installation is on nobody's PATH yet.
        const PLACES: [&str; 2] = [
            "/nix/var/nix/profiles/default/bin/nix",
            "/run/current-system/sw/bin/nix",
        ];
        self.nix
            .get_or_init(|| tool::ask(&*self.probe, "nix", &PLACES, &["--version"], self.deadline))
    }

    /// Whether Docker's client reaches its daemon.
    pub fn docker(&self) -> &ToolStatus {
        const ARGUMENTS: [&str; 3] = ["version", "--format", "{{.Server.Version}}"];
        self.docker
            .get_or_init(|| tool::ask(&*self.probe, "docker", &[], &ARGUMENTS, self.deadline))
    }

    /// All answers; what was not asked before is asked now.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            platform: self.platform(),
            arch: self.probe.arch().into(),
            kvm: self.kvm().clone(),
            vhost_vsock: self.vhost_vsock().clone(),
            vsock: self.vsock().clone(),
            cgroup_v2: self.cgroup_v2().clone(),
            firecracker: self.firecracker().clone(),
            nix: self.nix().clone(),
            docker: self.docker().clone(),
        }
    }

    /// Whether [`kvm`](Self::kvm) is [`KvmStatus::Usable`].
    #[must_use]
    pub fn has_kvm(&self) -> bool {
        *self.kvm() == KvmStatus::Usable
    }

    /// Whether Docker's daemon answers.
    #[must_use]
    pub fn has_docker(&self) -> bool {
        self.docker().is_ready()
    }

    /// Whether Nix answers.
    #[must_use]
    pub fn has_host_nix(&self) -> bool {
        self.nix().is_ready()
    }

    /// Whether it is the second Windows Subsystem for Linux. The first one has no kernel of its own,
    /// and is a Linux without KVM here.
    #[must_use]
    pub fn is_wsl(&self) -> bool {
        *self.wsl.get_or_init(|| {
            self.is_linux()
                && self
                    .probe
                    .read("/proc/sys/kernel/osrelease")
                    .is_ok_and(|release| is_wsl2_kernel(&String::from_utf8_lossy(&release)))
        })
    }

    /// Whether it is Windows itself.
    #[must_use]
    pub fn is_windows(&self) -> bool {
        self.platform().is_windows()
    }

    /// Whether a microVM can run without another virtual machine around it, on Linux or WSL2.
    #[must_use]
    pub fn supports_native_runner(&self) -> bool {
        self.has_kvm()
    }

    /// Whether the system has Apple's containers: macOS 26 or later on Apple's own CPUs.
    #[must_use]
    pub fn has_apple_containers(&self) -> bool {
        *self.apple_containers.get_or_init(|| {
            self.probe.system() == System::MacOs
                && self.probe.arch() == "aarch64"
                && tool::ask(
                    &*self.probe,
                    "sw_vers",
                    &["/usr/bin/sw_vers"],
                    &["-productVersion"],
                    self.deadline,
                )
                .version()
                .and_then(|version| version.split('.').next())
                .and_then(|major| major.parse::<u32>().ok())
                .is_some_and(|major| major >= 26)
        })
    }

    /// Whether Firecracker needs a Lima VM around it: on macOS without Apple's containers, on Linux
    /// without KVM, and on WSL2 with neither KVM nor Docker. Lima does not run on Windows.
    #[must_use]
    pub fn needs_lima(&self) -> bool {
        match self.platform() {
            Platform::MacOS => !self.has_apple_containers(),
            Platform::LinuxNoKvm => true,
            Platform::Wsl2 => !self.has_kvm() && !self.has_docker(),
            Platform::LinuxNative | Platform::Windows | Platform::Other => false,
        }
    }

    fn is_linux(&self) -> bool {
        self.probe.system() == System::Linux
    }

    fn device(&self, path: &str, access: Access) -> DeviceStatus {
        if self.is_linux() {
            device::ask(&*self.probe, path, access)
        } else {
            DeviceStatus::Missing
        }
    }
}

/// By the names of Microsoft's kernels: `5.15.153.1-microsoft-standard-WSL2`, `4.19.84-microsoft-standard`;
/// that of the first WSL is `4.4.0-19041-Microsoft`.
fn is_wsl2_kernel(release: &str) -> bool {
    let release = release.trim().to_ascii_lowercase();
    release.contains("wsl2") || release.contains("microsoft-standard")
}

/// All that a machine answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// What kind of machine it is.
    pub platform: Platform,
    /// The CPU's architecture: `x86_64`, `aarch64`, ….
    pub arch: String,
    /// `/dev/kvm`.
    pub kvm: KvmStatus,
    /// `/dev/vhost-vsock`.
    pub vhost_vsock: DeviceStatus,
    /// `/dev/vsock`.
    pub vsock: DeviceStatus,
    /// Control groups.
    pub cgroup_v2: CgroupV2,
    /// Firecracker.
    pub firecracker: ToolStatus,
    /// Nix.
    pub nix: ToolStatus,
    /// Docker.
    pub docker: ToolStatus,
}

impl fmt::Display for Report {
    /// One line for each question.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "platform: {} on {}", self.platform, self.arch)?;
        writeln!(f, "KVM: {}", self.kvm)?;
        writeln!(f, "vhost-vsock: {}", self.vhost_vsock)?;
        writeln!(f, "vsock: {}", self.vsock)?;
        writeln!(f, "cgroup v2: {}", self.cgroup_v2)?;
        writeln!(f, "firecracker: {}", self.firecracker)?;
        writeln!(f, "nix: {}", self.nix)?;
        write!(f, "docker: {}", self.docker)
    }
}
