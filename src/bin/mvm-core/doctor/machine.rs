//! Devices, kernel and programs.

use alloc::string::String;

use mvm_core::config::{FcVersion, Settings, Variables};
use mvm_core::platform::{CgroupV2, DeviceStatus, KvmStatus, KvmStep, Report, ToolStatus};

use super::{Check, Mark};

/// Controllers with which the jailer holds a microVM to its share.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// `EBUSY`: another hypervisor has the CPU's virtualization.
const EBUSY: i32 = 16;

pub(super) fn checks<V: Variables>(report: &Report, settings: &Settings<V>) -> Vec<Check> {
    vec![
        system(report),
        kvm(&report.kvm),
        firecracker(&report.firecracker, settings),
        cgroup(&report.cgroup_v2),
        device("vhost-vsock", "vhost-vsock", &report.vhost_vsock),
        device("vsock", "vsock", &report.vsock),
        tool("nix", "Nix", &report.nix, "images cannot be built here"),
        tool(
            "docker",
            "Docker",
            &report.docker,
            "nothing here needs it on Linux",
        ),
    ]
}

fn system(report: &Report) -> Check {
    let found = format!("{} on {}", report.platform, report.arch);
    let runs = matches!(report.arch.as_str(), "x86_64" | "aarch64");
    let mark = if runs { Mark::Good } else { Mark::Bad };
    let check = Check::new("system", "system", mark, found).needed();
    if runs {
        check
    } else {
        check.help("Firecracker runs on x86_64 and aarch64")
    }
}

fn kvm(status: &KvmStatus) -> Check {
    let mark = match status {
        KvmStatus::Usable => Mark::Good,
        KvmStatus::UnsupportedCpu => Mark::Unknown,
        _ => Mark::Bad,
    };
    let check = Check::new("kvm", "KVM", mark, status).needed();
    match kvm_help(status) {
        Some(help) => check.help(help),
        None => check,
    }
}

fn kvm_help(status: &KvmStatus) -> Option<String> {
    Some(match status {
        KvmStatus::Missing => {
            "load the module (modprobe kvm_intel or kvm_amd), turn on virtualization in the firmware or of the machine \
             around this one, or give the container the device"
                .to_owned()
        }
        KvmStatus::NoPermission(denied) => match &denied.group {
            Some(group) => match &group.name {
                Some(name) => format!("usermod -aG {name} USER, and log in again"),
                None => format!("give gid {} a name, and the user that group", group.gid),
            },
            None => "setfacl -m u:USER:rw /dev/kvm".to_owned(),
        },
        KvmStatus::WrongApi(_) => "another kernel: every one since Linux 2.6.22 has version 12".to_owned(),
        KvmStatus::Unusable {
            step: KvmStep::CreateVm,
            errno,
        } if errno.number() == EBUSY => {
            "stop the other hypervisor, which has the virtualization of the CPU".to_owned()
        }
        KvmStatus::Unusable {
            step: KvmStep::Open | KvmStep::GetApiVersion,
            ..
        } => "the file is not the device: on a real machine load the module, in a container ask for the device itself"
            .to_owned(),
        KvmStatus::Unusable { .. } => {
            "turn on nested virtualization in the machine around this one, or virtualization in the firmware; dmesg says more"
                .to_owned()
        }
        KvmStatus::UnsupportedCpu => "ask with a build for x86_64, aarch64 or riscv64".to_owned(),
        _ => return None,
    })
}

fn firecracker<V: Variables>(status: &ToolStatus, settings: &Settings<V>) -> Check {
    let (id, title) = ("firecracker", "Firecracker");
    let wanted = settings.fc_version();
    let get = format!("install {wanted} in /usr/local/bin, or in a directory of PATH");
    if settings.check_fc_version().is_err() {
        // The default counts then, which is not what somebody asked for.
        let found = format!("MVM_FC_VERSION has no version; {status}");
        return match status {
            ToolStatus::Ready { .. } => Check::new(id, title, Mark::Advice, found)
                .needed()
                .help("set it to a version as v1.14.1, or unset it"),
            _ => Check::new(id, title, Mark::Bad, found).needed().help(get),
        };
    }
    let ToolStatus::Ready { version, .. } = status else {
        let mark = match status {
            ToolStatus::TimedOut { .. } => Mark::Unknown,
            _ => Mark::Bad,
        };
        return Check::new(id, title, mark, status).needed().help(get);
    };
    let found = match FcVersion::find(version) {
        Ok(found) => found,
        Err(error) => {
            return Check::new(id, title, Mark::Unknown, format!("{status}: {error}")).needed();
        }
    };
    let wanted_version = FcVersion::find(&wanted).ok();
    let same = wanted_version.as_ref().is_some_and(|wanted| {
        let patches = wanted.patch().is_none() || wanted.patch() == found.patch();
        (wanted.major(), wanted.minor()) == (found.major(), found.minor()) && patches
    });
    if same {
        return Check::new(id, title, Mark::Good, status).needed();
    }
    Check::new(
        id,
        title,
        Mark::Advice,
        format!("{status}, {wanted} is expected"),
    )
    .needed()
    .help(format!(
        "{get}; or set MVM_FC_VERSION to {found}. Snapshots of one version may not load in another"
    ))
}

fn cgroup(status: &CgroupV2) -> Check {
    let (id, title) = ("cgroup-v2", "cgroup v2");
    match status {
        CgroupV2::Unified { .. } => {
            let missing: Vec<&str> = CONTROLLERS
                .into_iter()
                .filter(|name| !status.has_controller(name))
                .collect();
            if missing.is_empty() {
                return Check::new(id, title, Mark::Good, status);
            }
            let names = missing.join(" ");
            Check::new(id, title, Mark::Advice, status)
                .help(format!("without {names}, no limits on it are kept"))
        }
        CgroupV2::Hybrid { .. } => Check::new(id, title, Mark::Advice, status)
            .help("boot with systemd.unified_cgroup_hierarchy=1"),
        _ => Check::new(id, title, Mark::Advice, status)
            .help("mount -t cgroup2 none /sys/fs/cgroup; without it no limits are kept"),
    }
}

/// Firecracker's own vsock is a Unix socket: nothing needs the kernel's.
fn device(id: &'static str, title: &str, status: &DeviceStatus) -> Check {
    let mark = match status {
        DeviceStatus::Usable => Mark::Good,
        _ => Mark::Note,
    };
    Check::new(
        id,
        title,
        mark,
        format!("{status} (Firecracker needs none)"),
    )
}

fn tool(id: &'static str, title: &str, status: &ToolStatus, without: &str) -> Check {
    match status {
        ToolStatus::Ready { .. } => Check::new(id, title, Mark::Good, status),
        ToolStatus::Missing => Check::new(id, title, Mark::Note, format!("{status}: {without}")),
        _ => Check::new(id, title, Mark::Advice, status),
    }
}
