//! What a machine offers: every answer from a double, and this machine against another way to ask.
#![cfg(all(feature = "platform", unix))]
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mvm_core::platform::{
    self, Access, CgroupV2, DeviceStatus, End, Errno, FileInfo, Host, KvmDevice, KvmStatus,
    KvmStep, Platform, Probe, Run, System, SystemProbe, ToolStatus,
};

const ENOENT: i32 = 2;
const EINTR: i32 = 4;
const ENXIO: i32 = 6;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const EPERM: i32 = 1;
const EBUSY: i32 = 16;
const ENODEV: i32 = 19;
const ENOTDIR: i32 = 20;
#[cfg(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    )
))]
const EISDIR: i32 = 21;
const ENOTTY: i32 = 25;

/// What KVM says: its version, then how often creating a VM and a vCPU fails with what.
#[derive(Clone)]
struct Kvm {
    api: Result<i32, i32>,
    vm: Result<(), i32>,
    vcpu: Result<(), i32>,
    interruptions: Arc<AtomicU32>,
}

fn kvm() -> Kvm {
    Kvm {
        api: Ok(12),
        vm: Ok(()),
        vcpu: Ok(()),
        interruptions: Arc::default(),
    }
}

fn system<T>(result: Result<T, i32>) -> io::Result<T> {
    result.map_err(io::Error::from_raw_os_error)
}

impl Kvm {
    fn interrupted(&self) -> io::Result<()> {
        let left = self.interruptions.load(Ordering::Relaxed);
        if left == 0 {
            return Ok(());
        }
        self.interruptions.store(left - 1, Ordering::Relaxed);
        Err(io::Error::from_raw_os_error(EINTR))
    }
}

impl KvmDevice for Kvm {
    fn api_version(&self) -> io::Result<i32> {
        system(self.api)
    }

    fn create_vm(&self) -> io::Result<()> {
        self.interrupted()?;
        system(self.vm)
    }

    fn create_vcpu(&self) -> io::Result<()> {
        system(self.vcpu)
    }
}

/// A machine from a table.
struct Double {
    system: System,
    arch: &'static str,
    kvm: Result<Kvm, i32>,
    files: BTreeMap<&'static str, &'static str>,
    devices: BTreeMap<&'static str, i32>,
    info: Option<FileInfo>,
    groups: Vec<u32>,
    programs: BTreeMap<&'static str, Run>,
    asked: Arc<Mutex<Vec<String>>>,
}

fn linux() -> Double {
    Double {
        system: System::Linux,
        arch: "x86_64",
        kvm: Ok(kvm()),
        files: BTreeMap::from([
            ("/proc/sys/kernel/osrelease", "6.1.0-18-cloud-amd64\n"),
            (
                "/etc/group",
                "root:x:0:\nkvm:x:36:alice,bob\nbroken\nvideo:x:44:\n",
            ),
        ]),
        devices: BTreeMap::new(),
        info: Some(FileInfo {
            mode: 0o660,
            uid: 0,
            gid: 36,
        }),
        groups: vec![1000],
        programs: BTreeMap::new(),
        asked: Arc::default(),
    }
}

fn ran(code: i32, stdout: &str, stderr: &str) -> Run {
    Run {
        end: End::Exited { code: Some(code) },
        stdout: stdout.into(),
        stderr: stderr.into(),
    }
}

impl Probe for Double {
    fn system(&self) -> System {
        self.system
    }

    fn arch(&self) -> &str {
        self.arch
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let text = self.files.get(path).copied().ok_or(ENOENT);
        system(text.map(|text| text.as_bytes().to_vec()))
    }

    fn file_info(&self, _path: &str) -> io::Result<FileInfo> {
        system(self.info.ok_or(ENOENT))
    }

    fn groups(&self) -> io::Result<Vec<u32>> {
        Ok(self.groups.clone())
    }

    fn open(&self, path: &str, access: Access) -> io::Result<()> {
        self.asked
            .lock()
            .unwrap()
            .push(format!("{path} {access:?}"));
        match self.devices.get(path) {
            None => system(Err(ENOENT)),
            Some(0) => Ok(()),
            Some(errno) => system(Err(*errno)),
        }
    }

    fn open_kvm(&self) -> io::Result<Box<dyn KvmDevice>> {
        self.asked.lock().unwrap().push("kvm".into());
        match &self.kvm {
            Ok(kvm) => Ok(Box::new(kvm.clone())),
            Err(0) => Err(io::ErrorKind::Unsupported.into()),
            Err(errno) => system(Err(*errno)),
        }
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        self.programs
            .contains_key(program)
            .then(|| Path::new("/bin").join(program))
    }

    fn run(&self, program: &Path, arguments: &[&str], _: Duration) -> io::Result<Run> {
        let (name, run) = self
            .programs
            .iter()
            .find(|(name, _)| program.ends_with(name.trim_start_matches('/')))
            .unwrap();
        let question = format!("{name} {}", arguments.join(" "));
        self.asked.lock().unwrap().push(question);
        Ok(run.clone())
    }
}

fn unusable(step: KvmStep, errno: i32) -> KvmStatus {
    KvmStatus::Unusable {
        step,
        errno: Errno::new(errno),
    }
}

fn status(kvm: Result<Kvm, i32>) -> KvmStatus {
    Host::new(Double { kvm, ..linux() }).kvm().clone()
}

#[test]
fn every_answer_of_kvm() {
    for (kvm, expected) in [
        (Ok(kvm()), KvmStatus::Usable),
        (Err(ENOENT), KvmStatus::Missing),
        (Err(ENOTDIR), KvmStatus::Missing),
        // A static device node without a module behind it.
        (Err(ENXIO), unusable(KvmStep::Open, ENXIO)),
        (Err(ENODEV), unusable(KvmStep::Open, ENODEV)),
        // This build has no way to ask.
        (Err(0), KvmStatus::UnsupportedCpu),
        (
            Ok(Kvm {
                api: Ok(11),
                vm: Err(EBUSY),
                ..kvm()
            }),
            KvmStatus::WrongApi(11),
        ),
        (
            Ok(Kvm {
                api: Ok(13),
                ..kvm()
            }),
            KvmStatus::WrongApi(13),
        ),
        (
            Ok(Kvm {
                api: Ok(0),
                ..kvm()
            }),
            KvmStatus::WrongApi(0),
        ),
        // No device at all: an ordinary file.
        (
            Ok(Kvm {
                api: Err(ENOTTY),
                ..kvm()
            }),
            unusable(KvmStep::GetApiVersion, ENOTTY),
        ),
        // Another hypervisor has the CPU.
        (
            Ok(Kvm {
                vm: Err(EBUSY),
                ..kvm()
            }),
            unusable(KvmStep::CreateVm, EBUSY),
        ),
        (
            Ok(Kvm {
                vm: Err(ENOMEM),
                ..kvm()
            }),
            unusable(KvmStep::CreateVm, ENOMEM),
        ),
        // A permission that is refused later is not one of the file.
        (
            Ok(Kvm {
                vm: Err(EPERM),
                ..kvm()
            }),
            unusable(KvmStep::CreateVm, EPERM),
        ),
        (
            Ok(Kvm {
                vcpu: Err(ENOMEM),
                ..kvm()
            }),
            unusable(KvmStep::CreateVcpu, ENOMEM),
        ),
        (
            Ok(Kvm {
                vm: Err(EINTR),
                ..kvm()
            }),
            unusable(KvmStep::CreateVm, EINTR),
        ),
    ] {
        let found = status(kvm);
        assert_eq!(found, expected);
        assert!(!found.to_string().is_empty());
    }
    // A signal now and then is nothing.
    for (interruptions, usable) in [(1, true), (4, true), (5, false)] {
        let interrupted = Kvm {
            interruptions: Arc::new(interruptions.into()),
            ..kvm()
        };
        assert_eq!(
            status(Ok(interrupted)) == KvmStatus::Usable,
            usable,
            "{interruptions}"
        );
    }
    let nothing = Double {
        kvm: Err(0),
        info: None,
        ..linux()
    };
    assert_eq!(*Host::new(nothing).kvm(), KvmStatus::Missing);
}

#[test]
fn the_group_that_would_help() {
    let info = |mode, gid| Some(FileInfo { mode, uid: 0, gid });
    for (errno, info, groups, message) in [
        (
            EACCES,
            info(0o660, 36),
            vec![1000],
            "members of kvm (gid 36) may use it",
        ),
        (
            EPERM,
            info(0o666, 44),
            vec![],
            "members of video (gid 44) may use it",
        ),
        (
            EACCES,
            info(0o660, 999),
            vec![],
            "members of gid 999, which has no name may use it",
        ),
        // In it already: something else refuses, such as a container's device rules.
        (
            EPERM,
            info(0o660, 36),
            vec![4, 36],
            "no group would help (mode 660, uid 0, gid 36)",
        ),
        (
            EACCES,
            info(0o600, 36),
            vec![],
            "no group would help (mode 600, uid 0, gid 36)",
        ),
        (
            EACCES,
            info(0o640, 36),
            vec![],
            "no group would help (mode 640, uid 0, gid 36)",
        ),
        (EACCES, None, vec![], "who may use it cannot be told"),
    ] {
        let host = Host::new(Double {
            kvm: Err(errno),
            info,
            groups,
            ..linux()
        });
        let KvmStatus::NoPermission(denied) = host.kvm() else {
            panic!("{:?}", host.kvm());
        };
        assert_eq!(denied.errno, Errno::new(errno));
        assert!(denied.to_string().ends_with(message), "{denied}");
        assert_eq!(host.platform(), Platform::LinuxNoKvm);
    }
    // Reading asks for less.
    let mode = FileInfo {
        mode: 0o640,
        uid: 0,
        gid: 36,
    };
    let devices = BTreeMap::from([("/dev/vsock", EACCES), ("/dev/vhost-vsock", EACCES)]);
    let host = Host::new(Double {
        info: Some(mode),
        devices,
        ..linux()
    });
    let group = |status: &DeviceStatus| match status {
        DeviceStatus::NoPermission(denied) => denied.group.clone().map(|group| group.gid),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (group(host.vsock()), group(host.vhost_vsock())),
        (Some(36), None)
    );
}

#[test]
fn vsock() {
    for (errno, expected) in [
        (None, DeviceStatus::Missing),
        (Some(0), DeviceStatus::Usable),
        (Some(ENODEV), DeviceStatus::Unusable(Errno::new(ENODEV))),
        (Some(ENXIO), DeviceStatus::Unusable(Errno::new(ENXIO))),
    ] {
        let mut double = linux();
        for path in ["/dev/vsock", "/dev/vhost-vsock"] {
            if let Some(errno) = errno {
                double.devices.insert(path, errno);
            }
        }
        let asked = Arc::clone(&double.asked);
        let host = Host::new(double);
        for _ in 0..2 {
            assert_eq!((host.vsock(), host.vhost_vsock()), (&expected, &expected));
        }
        // Once each, and for what it is used for.
        assert_eq!(
            *asked.lock().unwrap(),
            ["/dev/vsock Read", "/dev/vhost-vsock ReadWrite"]
        );
    }
}

#[test]
fn platforms() {
    let release = |release| BTreeMap::from([("/proc/sys/kernel/osrelease", release)]);
    for (release_name, has_kvm, expected, shown) in [
        (
            "6.1.0-18-cloud-amd64\n",
            true,
            Platform::LinuxNative,
            "Linux (native KVM)",
        ),
        (
            "6.1.0-18-cloud-amd64\n",
            false,
            Platform::LinuxNoKvm,
            "Linux (no KVM)",
        ),
        (
            "5.15.153.1-microsoft-standard-WSL2\n",
            true,
            Platform::Wsl2,
            "WSL2 (KVM available)",
        ),
        (
            "5.15.153.1-microsoft-standard-WSL2\n",
            false,
            Platform::Wsl2,
            "WSL2",
        ),
        (
            "4.19.84-microsoft-standard\n",
            false,
            Platform::Wsl2,
            "WSL2",
        ),
        ("6.6.36.3-custom-WSL2+\n", false, Platform::Wsl2, "WSL2"),
        // The first WSL has no kernel.
        (
            "4.4.0-19041-Microsoft\n",
            false,
            Platform::LinuxNoKvm,
            "Linux (no KVM)",
        ),
        (
            "5.15.0-1064-azure\n",
            true,
            Platform::LinuxNative,
            "Linux (native KVM)",
        ),
    ] {
        let kvm = if has_kvm {
            Ok(kvm())
        } else {
            Ok(Kvm {
                vm: Err(EBUSY),
                ..kvm()
            })
        };
        let host = Host::new(Double {
            files: release(release_name),
            kvm,
            ..linux()
        });
        assert_eq!(host.platform(), expected, "{release_name}");
        assert_eq!(host.to_string(), shown);
        assert_eq!(
            (host.has_kvm(), host.supports_native_runner()),
            (has_kvm, has_kvm)
        );
        assert_eq!(
            (host.is_wsl(), host.is_windows()),
            (expected == Platform::Wsl2, false)
        );
        assert!(!host.has_apple_containers());
        assert_eq!(host.needs_lima(), !has_kvm);
    }
    for (system, expected) in [
        (System::MacOs, Platform::MacOS),
        (System::Windows, Platform::Windows),
        (System::Other, Platform::Other),
    ] {
        let double = Double { system, ..linux() };
        let asked = Arc::clone(&double.asked);
        let host = Host::new(double);
        assert_eq!(host.platform(), expected);
        assert_eq!(*host.kvm(), KvmStatus::Missing);
        assert_eq!(*host.cgroup_v2(), CgroupV2::Missing);
        assert_eq!(*host.vsock(), DeviceStatus::Missing);
        assert_eq!(host.is_windows(), system == System::Windows);
        assert_eq!(host.needs_lima(), system == System::MacOs);
        assert!(
            asked.lock().unwrap().is_empty(),
            "devices of Linux are asked on Linux only"
        );
    }
}

#[test]
fn docker_instead_of_lima_on_wsl2() {
    for (docker, needs_lima) in [(ran(0, "27.0.1\n", ""), false), (ran(1, "", "no"), true)] {
        let host = Host::new(Double {
            files: BTreeMap::from([("/proc/sys/kernel/osrelease", "5.15-microsoft-standard-WSL2")]),
            kvm: Err(ENOENT),
            programs: BTreeMap::from([("docker", docker)]),
            ..linux()
        });
        assert_eq!(host.needs_lima(), needs_lima);
    }
}

#[test]
fn apple_containers() {
    for (arch, version, has) in [
        ("aarch64", "26.0\n", true),
        ("aarch64", "27.1.2\n", true),
        ("aarch64", "15.5\n", false),
        ("x86_64", "26.0\n", false),
        ("aarch64", "later\n", false),
    ] {
        let host = Host::new(Double {
            system: System::MacOs,
            arch,
            programs: BTreeMap::from([("sw_vers", ran(0, version, ""))]),
            ..linux()
        });
        assert_eq!(host.has_apple_containers(), has, "{arch} {version}");
        assert_eq!(host.needs_lima(), !has);
    }
}

#[test]
fn control_groups() {
    const CONTROLLERS: &str = "cpuset cpu io memory pids\n";
    let ask = |mounts, controllers: &[(&'static str, &'static str)]| {
        let mut files = BTreeMap::from([("/proc/self/mountinfo", mounts)]);
        files.extend(controllers.iter().copied());
        Host::new(Double { files, ..linux() }).cgroup_v2().clone()
    };
    let names = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ask(
            "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
             29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 master:2 - cgroup2 cgroup2 rw\n",
            &[("/sys/fs/cgroup/cgroup.controllers", CONTROLLERS)],
        ),
        CgroupV2::Unified {
            mount: "/sys/fs/cgroup".into(),
            controllers: names(CONTROLLERS)
        }
    );
    let hybrid = ask(
        "30 22 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
         31 22 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        &[("/sys/fs/cgroup/unified/cgroup.controllers", "\n")],
    );
    let mount = "/sys/fs/cgroup/unified".to_owned();
    assert_eq!(
        hybrid,
        CgroupV2::Hybrid {
            mount,
            controllers: vec![]
        }
    );
    assert!(!hybrid.has_controller("memory"));
    // The usual place before another one, and names with blanks.
    let found = ask(
        "30 22 0:27 / /mnt/a\\040b\\134c rw - cgroup2 none rw\n\
         31 22 0:27 / /sys/fs/cgroup rw - cgroup2 none rw\n",
        &[("/sys/fs/cgroup/cgroup.controllers", "cpu")],
    );
    assert!(found.has_controller("cpu") && !found.has_controller("memory"));
    let found = ask(
        "30 22 0:27 / /mnt/a\\040b\\134c rw - cgroup2 none rw\n",
        &[("/mnt/a b\\c/cgroup.controllers", "cpu")],
    );
    assert!(found.has_controller("cpu"), "{found:?}");
    assert_eq!(
        ask("31 22 0:28 / /c rw - cgroup cgroup rw\n\nshort\n", &[]),
        CgroupV2::Missing
    );
    // A mount that is called like the type is none.
    assert_eq!(
        ask("31 22 0:28 / /cgroup2 rw - tmpfs cgroup2 rw\n", &[]),
        CgroupV2::Missing
    );
    assert_eq!(
        ask("31 22 0:28 / /c rw - cgroup2 none rw\n", &[]),
        CgroupV2::Unreadable(Errno::new(ENOENT))
    );
    let nothing = Host::new(Double {
        files: BTreeMap::new(),
        ..linux()
    });
    assert_eq!(
        *nothing.cgroup_v2(),
        CgroupV2::Unreadable(Errno::new(ENOENT))
    );
}

#[test]
fn tools() {
    let path = PathBuf::from("/bin/docker");
    let killed = Run {
        end: End::TimedOut,
        ..ran(0, "27", "")
    };
    let signal = Run {
        end: End::Exited { code: None },
        ..ran(0, "", "")
    };
    let long = "x".repeat(300);
    for (run, expected) in [
        (
            ran(0, "\n 27.0.1 \nmore\n", "warning"),
            ToolStatus::Ready {
                path: path.clone(),
                version: "27.0.1".into(),
            },
        ),
        (
            ran(1, "", "\u{1b}[31mCannot connect\r\nto it"),
            ToolStatus::Failed {
                path: path.clone(),
                code: Some(1),
                message: "[31mCannot connect".into(),
            },
        ),
        (
            ran(0, "", &long),
            ToolStatus::Failed {
                path: path.clone(),
                code: Some(0),
                message: long[..200].into(),
            },
        ),
        (
            signal,
            ToolStatus::Failed {
                path: path.clone(),
                code: None,
                message: String::new(),
            },
        ),
        (
            killed,
            ToolStatus::TimedOut {
                path: path.clone(),
                deadline: Duration::from_millis(70),
            },
        ),
    ] {
        let double = Double {
            programs: BTreeMap::from([("docker", run)]),
            ..linux()
        };
        let asked = Arc::clone(&double.asked);
        let host = Host::new(double).with_deadline(Duration::from_millis(70));
        assert_eq!(*host.docker(), expected);
        assert_eq!(host.has_docker(), expected.is_ready());
        assert_eq!(
            *asked.lock().unwrap(),
            ["docker version --format {{.Server.Version}}"]
        );
    }
    assert_eq!(*Host::new(linux()).docker(), ToolStatus::Missing);
    // Nix before anybody's PATH knows it.
    let place = "/nix/var/nix/profiles/default/bin/nix";
    let nix = ran(0, "nix (Nix) 2.24.1\n", "");
    let host = Host::new(Double {
        programs: BTreeMap::from([(place, nix)]),
        ..linux()
    });
    assert_eq!(host.nix().version(), Some("nix (Nix) 2.24.1"));
    assert!(host.has_host_nix() && !host.has_docker());
}

#[test]
fn a_report_has_all_of_it() {
    let host = Host::new(Double {
        kvm: Err(EACCES),
        programs: BTreeMap::from([
            ("docker", ran(0, "27.0.1", "")),
            (
                "firecracker",
                ran(
                    0,
                    "Firecracker v1.14.1\n\nSupported snapshot data format versions: v8.0.0\n",
                    "",
                ),
            ),
        ]),
        ..linux()
    });
    let report = host.report();
    let lines = report.to_string();
    assert_eq!(lines.lines().count(), 8);
    assert!(
        lines.starts_with("platform: Linux (no KVM) on x86_64\nKVM: /dev/kvm: "),
        "{lines}"
    );
    assert!(
        lines.contains("members of kvm (gid 36) may use it\n"),
        "{lines}"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["platform"], "linux_no_kvm");
    assert_eq!(json["kvm"]["no_permission"]["group"]["name"], "kvm");
    assert_eq!(json["vsock"], "missing");
    assert_eq!(json["docker"]["ready"]["version"], "27.0.1");
    assert_eq!(
        json["firecracker"]["ready"]["version"],
        "Firecracker v1.14.1"
    );
}

// ---- files below another root ----------------------------------------------------------------

/// The status of KVM where `/dev/kvm` is made by `make`.
#[cfg(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    )
))]
fn below_root(make: impl Fn(&Path)) -> KvmStatus {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("dev")).unwrap();
    make(&root.path().join("dev/kvm"));
    Host::new(SystemProbe::new().below(root.path()))
        .kvm()
        .clone()
}

#[cfg(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    )
))]
#[test]
fn files_that_are_not_kvm() {
    use std::os::unix::fs::symlink;

    assert_eq!(below_root(|_| ()), KvmStatus::Missing);
    assert_eq!(
        below_root(|kvm| symlink("nowhere", kvm).unwrap()),
        KvmStatus::Missing
    );
    let empty = below_root(|kvm| fs::write(kvm, "").unwrap());
    assert_eq!(empty, unusable(KvmStep::GetApiVersion, ENOTTY));
    let null = below_root(|kvm| symlink("/dev/null", kvm).unwrap());
    assert_eq!(null, unusable(KvmStep::GetApiVersion, ENOTTY));
    let directory = below_root(|kvm| fs::create_dir(kvm).unwrap());
    assert_eq!(directory, unusable(KvmStep::Open, EISDIR));
    let locked = below_root(|kvm| {
        fs::write(kvm, "").unwrap();
        fs::set_permissions(kvm, fs::Permissions::from_mode(0o000)).unwrap();
    });
    // Root may do everything.
    if rustix::process::geteuid().is_root() {
        assert_eq!(locked, unusable(KvmStep::GetApiVersion, ENOTTY));
    } else {
        assert!(matches!(&locked, KvmStatus::NoPermission(denied) if denied.group.is_none()));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn another_root_has_its_own_files() {
    let root = tempfile::tempdir().unwrap();
    for folder in ["dev", "proc/self", "proc/sys/kernel", "sys/fs/cgroup"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    let write = |path: &str, text| fs::write(root.path().join(path), text).unwrap();
    write(
        "proc/sys/kernel/osrelease",
        "5.15.153.1-microsoft-standard-WSL2\n",
    );
    write(
        "proc/self/mountinfo",
        "29 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    );
    write("sys/fs/cgroup/cgroup.controllers", "memory\n");
    write("dev/vsock", "");
    let host = Host::new(SystemProbe::new().below(root.path()));
    assert_eq!(host.platform(), Platform::Wsl2);
    assert!(host.cgroup_v2().has_controller("memory"));
    assert_eq!(*host.vsock(), DeviceStatus::Usable);
    assert_eq!(*host.vhost_vsock(), DeviceStatus::Missing);
}

// ---- this machine ------------------------------------------------------------------------------

/// Asks KVM without this crate's library: opens it, and asks for its version, a VM and a vCPU. `None` where
/// there is no interpreter to ask with.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn asked_otherwise() -> Option<String> {
    const PYTHON: &str = "
import fcntl, os
step = 'Open'
try:
    kvm = os.open('/dev/kvm', os.O_RDWR)
    step = 'GetApiVersion'
    version = fcntl.ioctl(kvm, 0xAE00, 0)
    if version != 12:
        print('api', version)
    else:
        step = 'CreateVm'
        vm = fcntl.ioctl(kvm, 0xAE01, 0)
        step = 'CreateVcpu'
        fcntl.ioctl(vm, 0xAE41, 0)
        print('usable')
except OSError as error:
    print(step, error.errno)
";
    const PERL: &str = "
my $step = 'Open';
sub failed { print $step, ' ', $! + 0; exit }
open(my $kvm, '+<', '/dev/kvm') or failed;
$step = 'GetApiVersion';
my $version = ioctl($kvm, 0xAE00, 0) or failed;
if ($version != 12) { print 'api ', $version + 0; exit }
$step = 'CreateVm';
my $vm = ioctl($kvm, 0xAE01, 0) or failed;
open(my $machine, '+<&=', $vm + 0) or failed;
$step = 'CreateVcpu';
ioctl($machine, 0xAE41, 0) or failed;
print 'usable';
";
    [("python3", "-c", PYTHON), ("perl", "-e", PERL)]
        .into_iter()
        .find_map(|(program, flag, script)| {
            let output = std::process::Command::new(program)
                .args([flag, script])
                .output()
                .ok()?;
            let text = String::from_utf8(output.stdout).unwrap();
            output.status.success().then(|| text.trim().to_owned())
        })
}

/// Whatever is true of this machine's `/dev/kvm` comes out.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[test]
fn the_truth_about_kvm_here() {
    let found = platform::current().kvm();
    // Without any interpreter: what the standard library can tell.
    let opened = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm");
    match opened.map_err(|error| error.kind()) {
        Err(io::ErrorKind::NotFound) => assert_eq!(*found, KvmStatus::Missing),
        Err(io::ErrorKind::PermissionDenied) => {
            assert!(matches!(found, KvmStatus::NoPermission(_)), "{found:?}");
        }
        Err(_) => assert!(matches!(
            found,
            KvmStatus::Unusable {
                step: KvmStep::Open,
                ..
            }
        )),
        Ok(_) => assert!(!matches!(
            found,
            KvmStatus::Missing | KvmStatus::NoPermission(_)
        )),
    }
    let Some(otherwise) = asked_otherwise() else {
        println!("neither python3 nor perl: not asked otherwise");
        return;
    };
    println!("here: {found}; asked otherwise: {otherwise}");
    let told = match found {
        KvmStatus::Usable => "usable".to_owned(),
        KvmStatus::WrongApi(version) => format!("api {version}"),
        KvmStatus::Missing => otherwise
            .replace("Open 2", "missing")
            .replace("missing", "Open 2"),
        KvmStatus::NoPermission(denied) => format!("Open {}", denied.errno.number()),
        KvmStatus::Unusable { step, errno } => format!("{step:?} {}", errno.number()),
        other => panic!("{other:?}"),
    };
    assert_eq!(told, otherwise);
}

#[test]
fn the_report_of_this_machine() {
    let host = Host::of_this_machine();
    let report = host.report();
    println!("{report}");
    assert_eq!(report.arch, std::env::consts::ARCH);
    assert_eq!(host.has_kvm(), report.kvm == KvmStatus::Usable);
    assert_eq!(platform::current().platform(), report.platform);
    assert_eq!(platform::current().to_string(), host.to_string());
}

// ---- programs ----------------------------------------------------------------------------------

/// A directory with a program `docker` that is a shell script.
fn docker(script: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("docker");
    // Written by another process: one that another test starts meanwhile would inherit the open
    // file, and executing it would then fail with ETXTBSY.
    let mut copy = std::process::Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(&path)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let script = format!("#!/bin/sh\n{script}\n");
    io::Write::write_all(&mut copy.stdin.take().unwrap(), script.as_bytes()).unwrap();
    assert!(copy.wait().unwrap().success());
    directory
}

fn host(path: impl AsRef<std::ffi::OsStr>, deadline: Duration) -> Host {
    Host::new(SystemProbe::new().with_search_path(path.as_ref())).with_deadline(deadline)
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_program_that_answers() {
    let directory = docker("echo \"$1 $2 $3\"; echo error >&2");
    let host = host(directory.path(), LONG);
    assert_eq!(
        host.docker().version(),
        Some("version --format {{.Server.Version}}")
    );
}

#[test]
fn a_program_that_fails() {
    let directory = docker("echo half; echo 'no daemon' >&2; exit 3");
    let path = directory.path().join("docker");
    let message = "no daemon".to_owned();
    let failed = ToolStatus::Failed {
        path,
        code: Some(3),
        message,
    };
    assert_eq!(*host(directory.path(), LONG).docker(), failed);
    let directory = docker("kill -9 $$");
    let status = host(directory.path(), LONG).docker().clone();
    assert!(
        matches!(status, ToolStatus::Failed { code: None, .. }),
        "{status:?}"
    );
}

#[test]
fn a_program_that_cannot_be_started() {
    let directory = docker("");
    let path = directory.path().join("docker");
    fs::write(&path, "#!/nowhere/interpreter\n").unwrap();
    let status = host(directory.path(), LONG).docker().clone();
    assert_eq!(
        status,
        ToolStatus::NotStarted {
            path: path.clone(),
            errno: Errno::new(ENOENT)
        }
    );
    // What nobody may execute is no program, and neither is a directory.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(*host(directory.path(), LONG).docker(), ToolStatus::Missing);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(*host(directory.path(), LONG).docker(), ToolStatus::Missing);
}

#[test]
fn the_working_directory_is_not_searched() {
    let directory = docker("echo 1");
    // A relative path to it: up to the root, and down again.
    let depth = std::env::current_dir().unwrap().components().count();
    let absolute = directory.path().canonicalize().unwrap();
    let relative = Path::new(&"../".repeat(depth)).join(absolute.strip_prefix("/").unwrap());
    assert!(relative.is_relative() && relative.join("docker").is_file());
    assert_eq!(*host(relative, LONG).docker(), ToolStatus::Missing);
    assert_eq!(*host("", LONG).docker(), ToolStatus::Missing);
    assert!(host(absolute, LONG).has_docker());
}

/// Whether a process is still there; one that is dead and not yet reaped is not.
#[cfg(target_os = "linux")]
fn lives(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim().starts_with('Z'))
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_that_hangs_is_killed_with_its_children() {
    let directory = docker("sleep 300 & echo $! > \"$0.child\"; echo $$ > \"$0.pid\"; wait");
    let deadline = Duration::from_millis(700);
    let status = host(directory.path(), deadline).docker().clone();
    let path = directory.path().join("docker");
    assert_eq!(status, ToolStatus::TimedOut { path, deadline });
    for file in ["docker.pid", "docker.child"] {
        let pid = fs::read_to_string(directory.path().join(file)).unwrap();
        // Its death may take a moment; that it comes is what counts.
        while lives(&pid) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn much_output_is_no_reason_to_wait() {
    let directory = docker("echo first; head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2");
    assert_eq!(
        host(directory.path(), LONG).docker().version(),
        Some("first")
    );
}

#[test]
fn a_child_that_keeps_the_pipe_is_not_waited_for() {
    let directory = docker("sleep 300 & echo $! > \"$0.child\"; echo 27");
    assert_eq!(host(directory.path(), LONG).docker().version(), Some("27"));
    let child = fs::read_to_string(directory.path().join("docker.child")).unwrap();
    let killed = std::process::Command::new("kill")
        .arg(child.trim())
        .status()
        .unwrap();
    assert!(killed.success(), "it was still there");
}
