//! Backends and what they say.

use core::num::NonZeroU32;
use std::error::Error;
use std::sync::Mutex;

use mvm_core::document::Document;
use mvm_core::naming::VmName;
use mvm_core::secret_binding::SecretText;
use mvm_core::vm_backend::*;

use crate::vectors::{Counts, assert_type};

const fn counts(json: usize, min: usize, bad: usize) -> Counts {
    let badid = 0;
    Counts {
        json,
        min,
        bad,
        badid,
    }
}

#[test]
fn documents() {
    assert_type::<VmPortMapping>("VmPortMapping", counts(5, 2, 11));
    assert_type::<VmNetworkInfo>("VmNetworkInfo", counts(5, 2, 14));
    assert_type::<GuestChannelInfo>("GuestChannelInfo", counts(5, 4, 24));
    assert_type::<VmId>("VmId", counts(4, 0, 3));
    assert_type::<VmStatus>("VmStatus", counts(7, 2, 21));
    assert_type::<VmInfo>("VmInfo", counts(5, 6, 20));
}

fn problems<T: Document>(json: &str) -> Vec<String> {
    match T::from_json(json.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.problems().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn rules_between_values() {
    assert_eq!(
        problems::<VmPortMapping>(r#"{"host":0,"guest":0}"#),
        [
            "host: 0 is out of range, 1 to 65535",
            "guest: 0 is out of range, 1 to 65535"
        ]
    );
    let network = |guest: &str, gateway: &str| {
        problems::<VmNetworkInfo>(&format!(
            r#"{{"guest_ip":"{guest}","gateway_ip":"{gateway}","subnet_cidr":"172.16.0.0/24"}}"#
        ))
    };
    assert_eq!(network("172.16.0.2", "172.16.0.1"), [""; 0]);
    assert_eq!(
        network("172.16.1.2", "fd00::1"),
        [
            "guest_ip: contradicts subnet_cidr: expected an address of 172.16.0.0/24",
            "gateway_ip: contradicts subnet_cidr: expected an address of 172.16.0.0/24",
        ]
    );
    assert_eq!(
        network("172.16.0.1", "172.16.0.1"),
        ["gateway_ip: the same as guest_ip"]
    );
    assert_eq!(
        problems::<GuestChannelInfo>(r#"{"UnixSocket":{"path":"/run/../etc"}}"#),
        ["UnixSocket.path: the character at byte 5 is not allowed here"]
    );
    assert_eq!(
        problems::<VmInfo>(
            r#"{"id":"-x","name":"A","status":"Running","cpus":0,"memory_mib":0,"ports":[{"host":1,"guest":0}],"flake_ref":"$(id)"}"#
        )
        .len(),
        4
    );
}

fn config() -> VmStartConfig {
    let (cpus, memory) = (NonZeroU32::new(2).unwrap(), NonZeroU32::new(512).unwrap());
    let rootfs = AbsolutePath::new("/nix/store/x/rootfs.ext4").unwrap();
    VmStartConfig::new(VmName::new("web").unwrap(), rootfs, cpus, memory)
}

#[test]
fn files_are_not_shown() {
    let name = |text| FileName::new(text).unwrap();
    let mut config = config();
    config.secret_files.push(VmFile::secret(
        name("key"),
        SecretText::new("hunter2".into()),
    ));
    config
        .config_files
        .push(VmFile::config(name("a.json"), "{\"hunter2\": 1}".into()));
    let shown = format!("{config:?} {config:#?}");
    assert!(
        !shown.contains("hunter2") && shown.contains("a.json"),
        "{shown}"
    );
    assert_eq!(config.secret_files[0].mode(), 0o400);
    assert_eq!(config.config_files[0].mode(), 0o444);
    assert_eq!(config.secret_files[0].secret_content(), "hunter2");
    let file = VmFile::config(name("a"), String::new());
    let file = file.with_mode(0o640).unwrap();
    assert_eq!(file.mode(), 0o640);
    assert_eq!(
        file.with_mode(0o4755).unwrap_err().to_string(),
        "permissions 4755 are none of 0 to 777 (octal)"
    );
}

/// A backend in memory.
#[derive(Default)]
struct Memory(Mutex<Vec<VmInfo>>);

impl VmBackend for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn capabilities(&self) -> VmCapabilities {
        VmCapabilities::default()
    }

    fn start(&self, config: &VmStartConfig) -> Result<VmId, BackendError> {
        let mut all = self.0.lock().unwrap();
        if all.iter().any(|vm| vm.name == config.name) {
            let name = config.name.clone();
            return Err(BackendError::AlreadyExists { name });
        }
        let id = VmId::new(&config.name).unwrap();
        all.push(VmInfo {
            id: id.clone(),
            name: config.name.clone(),
            status: VmStatus::Running,
            guest_ip: None,
            cpus: config.cpus.get(),
            memory_mib: config.memory_mib.get(),
            profile: None,
            revision: None,
            flake_ref: None,
            ports: config.ports.clone(),
        });
        Ok(id)
    }

    fn stop(&self, id: &VmId) -> Result<(), BackendError> {
        let mut all = self.0.lock().unwrap();
        let vm = all.iter_mut().find(|vm| vm.id == *id);
        let id = id.clone();
        vm.ok_or(BackendError::NotFound { id })?.status = VmStatus::Stopped;
        Ok(())
    }

    fn stop_all(&self) -> Result<(), BackendError> {
        self.0.lock().unwrap().clear();
        Ok(())
    }

    fn status(&self, id: &VmId) -> Result<VmStatus, BackendError> {
        let all = self.0.lock().unwrap();
        let vm = all.iter().find(|vm| vm.id == *id);
        let id = id.clone();
        Ok(vm.ok_or(BackendError::NotFound { id })?.status.clone())
    }

    fn list(&self) -> Result<Vec<VmInfo>, BackendError> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn logs(&self, _: &VmId, _: u32, _: bool) -> Result<String, BackendError> {
        Err(BackendError::Failed {
            what: "reading the log",
            cause: "disk on fire".into(),
        })
    }

    fn is_available(&self) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn install(&self) -> Result<(), BackendError> {
        Err(BackendError::Unsupported {
            what: "installation",
        })
    }
}

#[test]
fn a_backend_is_used_without_its_type() {
    let backend: Box<dyn VmBackend> = Box::new(Memory::default());
    let id = backend.start(&config()).unwrap();
    let again = backend.start(&config()).unwrap_err();
    assert_eq!(again.to_string(), "there is a virtual machine web already");
    assert_eq!(backend.status(&id).unwrap(), VmStatus::Running);
    backend.stop(&id).unwrap();
    assert_eq!(backend.list().unwrap()[0].status, VmStatus::Stopped);
    backend.stop_all().unwrap();
    let gone = backend.status(&id).unwrap_err();
    assert_eq!(gone.to_string(), "there is no virtual machine web");
    assert!(gone.source().is_none());

    let failed = backend.logs(&id, 10, true).unwrap_err();
    assert_eq!(failed.to_string(), "reading the log failed");
    assert_eq!(failed.source().unwrap().to_string(), "disk on fire");
    for error in [
        backend.network_info(&id).unwrap_err(),
        backend.guest_channel_info(&id).unwrap_err(),
        backend.install().unwrap_err(),
    ] {
        assert!(matches!(error, BackendError::Unsupported { .. }), "{error}");
    }
    assert_eq!(backend.name(), "memory");
    assert!(backend.is_available().unwrap() && !backend.capabilities().snapshots);
}
