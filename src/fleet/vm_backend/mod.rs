//! Programs that run virtual machines, behind one trait, and what they say about them.

mod config;
mod words;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use super::document::{At, Field, Problems, Reason, document, document_enum};
use super::text::{FlakeRefText, Subnet};
use crate::names::{RevisionHash, VmName};

pub use config::{FileModeError, VmFile, VmStartConfig, VmVolume};
pub use words::{AbsolutePath, FileName, VmId};

document! {
    /// A port of the host that leads to a port of the guest. Both are 1 to 65,535.
    #[derive(Eq)]
    pub struct VmPortMapping rules(ports_are_not_zero) {
        /// The port of the host.
        host: u16,
        /// The port of the guest.
        guest: u16,
    }
}

fn ports_are_not_zero(
    raw: &<VmPortMapping as Field>::Raw<'_>,
    at: &At<'_>,
    problems: &mut Problems,
) {
    for (name, port) in [("host", raw.host), ("guest", raw.guest)] {
        if port == 0 {
            let (value, min, max) = (0, 1, u64::from(u16::MAX));
            problems.add(&at.member(name), Reason::OutOfRange { value, min, max });
        }
    }
}

document! {
    /// The network of a virtual machine. Guest and gateway are different addresses of the subnet.
    #[derive(Eq)]
    pub struct VmNetworkInfo rules(addresses_lie_in_the_subnet) {
        /// The guest's address.
        guest_ip: IpAddr,
        /// The host's end.
        gateway_ip: IpAddr,
        /// The network that both are in.
        subnet_cidr: Subnet,
    }
}

fn addresses_lie_in_the_subnet(
    raw: &<VmNetworkInfo as Field>::Raw<'_>,
    at: &At<'_>,
    problems: &mut Problems,
) {
    let Ok(subnet) = raw.subnet_cidr.parse::<Subnet>() else {
        return;
    };
    let addresses = [("guest_ip", &raw.guest_ip), ("gateway_ip", &raw.gateway_ip)]
        .map(|(name, text)| (name, text.parse::<IpAddr>().ok()));
    for (name, address) in addresses {
        if address.is_some_and(|address| !subnet.net().contains(&address)) {
            let other = at.member("subnet_cidr").path();
            let expected = alloc::format!("an address of {subnet}");
            problems.add(&at.member(name), Reason::Mismatch { other, expected });
        }
    }
    let [(_, guest), (name, gateway)] = addresses;
    if guest.is_some() && guest == gateway {
        let first = at.member("guest_ip").path();
        problems.add(&at.member(name), Reason::Duplicate { first });
    }
}

document_enum! {
    /// How the agent in a guest is reached.
    ///
    /// Numbers are recorded as the backend gave them: context 2 is the host itself, where a backend stands in for a
    /// guest, and port 0 one that is not known yet.
    #[derive(Eq)]
    pub enum GuestChannelInfo {
        /// Over vsock.
        Vsock {
            /// The guest's context.
            cid: u32,
            /// The agent's port.
            port: u32,
        },
        /// Over a Unix socket that guest and host share.
        UnixSocket {
            /// Its path on the host.
            path: AbsolutePath,
        },
    }
}

document_enum! {
    /// What a virtual machine does.
    #[derive(Eq)]
    pub enum VmStatus {
        /// It exists, and does not run.
        Stopped,
        /// It boots.
        Starting,
        /// It runs.
        Running,
        /// Its processors are stopped.
        Paused,
        /// Something went wrong.
        Failed {
            /// What, for people.
            reason: String,
        },
    }
}

document! {
    /// A virtual machine, as its backend lists it.
    #[derive(Eq)]
    pub struct VmInfo {
        /// The backend's id for it.
        id: VmId,
        /// Its name.
        name: VmName,
        /// What it does.
        status: VmStatus,
        /// The guest's address, where it has a network.
        guest_ip: Option<IpAddr> [default],
        /// Virtual processors.
        cpus: u32,
        /// Memory in MiB.
        memory_mib: u32,
        /// The flake's profile, for people.
        profile: Option<String> [default],
        /// The revision that its image was built as.
        revision: Option<RevisionHash> [default],
        /// The flake that its image was built from.
        flake_ref: Option<FlakeRefText> [default],
        /// Ports of the host that lead to ports of the guest.
        ports: Vec<VmPortMapping> [default],
    }
}

/// What a backend can do besides starting and stopping. All is `false` by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools)] // each stands for itself
pub struct VmCapabilities {
    /// Stopping the virtual processors and letting them go on.
    pub pause_resume: bool,
    /// Making snapshots of the memory and starting from them.
    pub snapshots: bool,
    /// Talking to the guest over vsock.
    pub vsock: bool,
    /// A network over TAP devices.
    pub tap_networking: bool,
}

/// An error of a backend's own, of whatever type.
pub type BackendCause = Box<dyn core::error::Error + Send + Sync>;

/// Why a backend did not do something.
///
/// One type for all backends, with the backend's own error in a box: with an associated type,
/// `dyn VmBackend` would name one backend's errors, and a list of backends could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackendError {
    /// There is no such virtual machine.
    NotFound {
        /// Its id.
        id: VmId,
    },
    /// There is one of this name already.
    AlreadyExists {
        /// Its name.
        name: VmName,
    },
    /// This backend does not have that.
    Unsupported {
        /// What was asked for, as a noun: `network information`.
        what: &'static str,
    },
    /// The backend itself is not there: it is not installed, or may not be used.
    Unavailable {
        /// Why.
        cause: BackendCause,
    },
    /// Something else went wrong.
    Failed {
        /// What was being done, as a noun: `start`.
        what: &'static str,
        /// What went wrong.
        cause: BackendCause,
    },
}

impl fmt::Display for BackendError {
    /// The causes are told of by [`source`](core::error::Error::source).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { id } => write!(f, "there is no virtual machine {id}"),
            Self::AlreadyExists { name } => {
                write!(f, "there is a virtual machine {name} already")
            }
            Self::Unsupported { what } => write!(f, "the backend has no {what}"),
            Self::Unavailable { .. } => f.write_str("the backend cannot be used"),
            Self::Failed { what, .. } => write!(f, "{what} failed"),
        }
    }
}

impl core::error::Error for BackendError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Unavailable { cause } | Self::Failed { cause, .. } => Some(cause.as_ref()),
            _ => None,
        }
    }
}

/// A program that runs virtual machines: Firecracker, or another one.
///
/// Calls block until it is done. The trait is for `dyn` as well:
///
/// ```
/// use mvm_core::vm_backend::{BackendError, VmBackend, VmStatus};
///
/// /// How many of all virtual machines run.
/// fn running(backends: &[Box<dyn VmBackend>]) -> Result<usize, BackendError> {
///     let mut count = 0;
///     for backend in backends {
///         let all = backend.list()?;
///         count += all.iter().filter(|vm| vm.status == VmStatus::Running).count();
///     }
///     Ok(count)
/// }
/// # assert_eq!(running(&[]).unwrap(), 0);
/// ```
pub trait VmBackend: Send + Sync {
    /// Its name: `firecracker`.
    fn name(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> VmCapabilities;

    /// Starts a virtual machine.
    ///
    /// # Errors
    /// [`BackendError`].
    fn start(&self, config: &VmStartConfig) -> Result<VmId, BackendError>;

    /// Stops a virtual machine. One that is stopped already stays so.
    ///
    /// # Errors
    /// [`BackendError`].
    fn stop(&self, id: &VmId) -> Result<(), BackendError>;

    /// Stops all virtual machines of this backend.
    ///
    /// # Errors
    /// [`BackendError`]; then some may have been stopped.
    fn stop_all(&self) -> Result<(), BackendError>;

    /// What a virtual machine does.
    ///
    /// # Errors
    /// [`BackendError`].
    fn status(&self, id: &VmId) -> Result<VmStatus, BackendError>;

    /// All virtual machines of this backend.
    ///
    /// # Errors
    /// [`BackendError`].
    fn list(&self) -> Result<Vec<VmInfo>, BackendError>;

    /// The last `lines` lines that the guest's console wrote, or with `hypervisor` those of the program that
    /// runs it.
    ///
    /// # Errors
    /// [`BackendError`].
    fn logs(&self, id: &VmId, lines: u32, hypervisor: bool) -> Result<String, BackendError>;

    /// Whether it is installed and can be used.
    ///
    /// # Errors
    /// [`BackendError`] where that cannot be told.
    fn is_available(&self) -> Result<bool, BackendError>;

    /// Installs it.
    ///
    /// # Errors
    /// [`BackendError`], [`Unsupported`](BackendError::Unsupported) where it does not install itself.
    fn install(&self) -> Result<(), BackendError>;

    /// The network of a virtual machine.
    ///
    /// # Errors
    /// [`BackendError`], [`Unsupported`](BackendError::Unsupported) unless a backend has it.
    fn network_info(&self, id: &VmId) -> Result<VmNetworkInfo, BackendError> {
        let _ = id;
        Err(BackendError::Unsupported {
            what: "network information",
        })
    }

    /// How the agent in a guest is reached.
    ///
    /// # Errors
    /// [`BackendError`], [`Unsupported`](BackendError::Unsupported) unless a backend has it.
    fn guest_channel_info(&self, id: &VmId) -> Result<GuestChannelInfo, BackendError> {
        let _ = id;
        Err(BackendError::Unsupported {
            what: "channel to the guest",
        })
    }
}
