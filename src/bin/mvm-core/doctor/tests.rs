//! Machines that are not here.

use alloc::boxed::Box;
use core::time::Duration;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use mvm_core::config::Settings;
use mvm_core::platform::{Access, End, FileInfo, Host, KvmDevice, Probe, Run, System};

use super::{Check, Mark, Verdict, machine};

/// A Linux whose KVM gives an error number, or works.
#[derive(Clone)]
struct Double {
    arch: &'static str,
    open: Option<i32>,
    create: Option<i32>,
    firecracker: Option<&'static str>,
}

const GOOD: Double = Double {
    arch: "x86_64",
    open: None,
    create: None,
    firecracker: Some("Firecracker v1.14.1\n\nexit quietly\n"),
};

struct Kvm(Option<i32>);

fn answer(errno: Option<i32>) -> io::Result<()> {
    errno.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
}

impl KvmDevice for Kvm {
    fn api_version(&self) -> io::Result<i32> {
        Ok(12)
    }
    fn create_vm(&self) -> io::Result<()> {
        answer(self.0)
    }
    fn create_vcpu(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Probe for Double {
    fn system(&self) -> System {
        System::Linux
    }
    fn arch(&self) -> &str {
        self.arch
    }
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match path {
            "/etc/group" => Ok(b"kvm:x:36:\n".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
    fn file_info(&self, _path: &str) -> io::Result<FileInfo> {
        Ok(FileInfo {
            mode: 0o660,
            uid: 0,
            gid: 36,
        })
    }
    fn groups(&self) -> io::Result<Vec<u32>> {
        Ok(vec![1000])
    }
    fn open(&self, _path: &str, _access: Access) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn open_kvm(&self) -> io::Result<Box<dyn KvmDevice>> {
        answer(self.open)?;
        Ok(Box::new(Kvm(self.create)))
    }
    fn find(&self, program: &str) -> Option<PathBuf> {
        (program == "firecracker" && self.firecracker.is_some()).then(|| "/bin/firecracker".into())
    }
    fn run(&self, _program: &Path, _arguments: &[&str], _deadline: Duration) -> io::Result<Run> {
        let text = self.firecracker.unwrap_or_default();
        let end = match text {
            "never" => End::TimedOut,
            _ => End::Exited { code: Some(0) },
        };
        Ok(Run {
            end,
            stdout: text.into(),
            stderr: Vec::new(),
        })
    }
}

fn examined(double: Double, version: Option<&'static str>) -> (Verdict, Vec<Check>) {
    let report = Host::new(double).report();
    let variable = move |name: &str| {
        let version = version.filter(|_| name == "MVM_FC_VERSION");
        version.map(OsString::from)
    };
    let checks = machine::checks(&report, &Settings::new(variable));
    (Verdict::of(&checks), checks)
}

fn of<'a>(checks: &'a [Check], id: &str) -> &'a Check {
    checks.iter().find(|check| check.id == id).unwrap()
}

#[test]
fn a_microvm_can_run_with_kvm_and_firecracker() {
    let (verdict, checks) = examined(GOOD, Some("v1.14.1"));
    assert_eq!(verdict, Verdict::Yes);
    assert_eq!(of(&checks, "kvm").mark, Mark::Good);
    assert_eq!(of(&checks, "firecracker").mark, Mark::Good);
    assert_eq!(of(&checks, "firecracker").help, None);
    // What is not there and not needed changes nothing.
    assert_eq!(of(&checks, "cgroup-v2").mark, Mark::Advice);
    assert_eq!(of(&checks, "docker").mark, Mark::Note);
}

#[test]
fn kvm_that_is_not_usable_says_what_helps() {
    let (eacces, enoent, ebusy, enodev) = (13, 2, 16, 19);
    for (open, create, help) in [
        (Some(eacces), None, "usermod -aG kvm "),
        (Some(enoent), None, "modprobe"),
        (Some(enodev), None, "load the module"),
        (None, Some(ebusy), "other hypervisor"),
        (None, Some(enodev), "nested virtualization"),
    ] {
        let (verdict, checks) = examined(
            Double {
                open,
                create,
                ..GOOD
            },
            None,
        );
        assert_eq!(verdict, Verdict::No);
        let kvm = of(&checks, "kvm");
        assert_eq!(kvm.mark, Mark::Bad);
        assert!(kvm.help.as_ref().unwrap().contains(help), "{kvm:?}");
    }
}

#[test]
fn firecracker_and_the_version_that_is_expected() {
    let yes = Verdict::Yes;
    for (firecracker, wanted, verdict, mark, said) in [
        (
            Some("Firecracker v1.14.1"),
            Some("1.14"),
            yes,
            Mark::Good,
            "",
        ),
        (
            Some("Firecracker v1.14.1"),
            Some("v1.14.2"),
            yes,
            Mark::Advice,
            "v1.14.2 is expected",
        ),
        (
            Some("Firecracker v1.7.0"),
            Some("v1.14.1"),
            yes,
            Mark::Advice,
            "v1.14.1 is expected",
        ),
        (
            Some("Firecracker v1.14.1"),
            Some("latest"),
            yes,
            Mark::Advice,
            "MVM_FC_VERSION",
        ),
        (None, Some("v1.14.1"), Verdict::No, Mark::Bad, "not found"),
        (
            None,
            Some("latest"),
            Verdict::No,
            Mark::Bad,
            "MVM_FC_VERSION",
        ),
        (
            Some("hello"),
            None,
            Verdict::Unknown,
            Mark::Unknown,
            "no version",
        ),
        (
            Some("never"),
            None,
            Verdict::Unknown,
            Mark::Unknown,
            "no answer",
        ),
    ] {
        let (found, checks) = examined(
            Double {
                firecracker,
                ..GOOD
            },
            wanted,
        );
        let check = of(&checks, "firecracker");
        assert_eq!((found, check.mark), (verdict, mark), "{check:?}");
        assert!(check.found.contains(said), "{check:?}");
    }
}

#[test]
fn other_architectures() {
    let (verdict, checks) = examined(
        Double {
            arch: "riscv64",
            ..GOOD
        },
        None,
    );
    assert_eq!(
        (verdict, of(&checks, "system").mark),
        (Verdict::No, Mark::Bad)
    );
    // What is bad outweighs what is not known.
    let (verdict, _) = examined(
        Double {
            open: Some(13),
            firecracker: Some("never"),
            ..GOOD
        },
        None,
    );
    assert_eq!(verdict, Verdict::No);
}
