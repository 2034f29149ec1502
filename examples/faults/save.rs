//! Saving, creating and removing documents; and the same done wrong.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use mvm_core::document::Document;
use mvm_core::instance::InstanceState;
use mvm_core::naming::{parse_instance_path, parse_pool_path};
use mvm_core::paths::FleetLayout;
use mvm_core::pool::PoolSpec;
use mvm_core::store::{StateStore, StoreError};

use crate::subject::{Failure, Seen, Subject};

pub(crate) const SUBJECTS: &[&dyn Subject] = &[
    &Pool("save", Way::Store),
    &Pool("create", Way::Create),
    &Removal,
    // Wrong on purpose.
    &Pool("in-place", Way::InPlace),
    &Pool("swallows", Way::Swallows),
    &Pool(
        "no-fsync",
        Way::Renames {
            file: false,
            directory: true,
        },
    ),
    &Pool(
        "no-directory-sync",
        Way::Renames {
            file: true,
            directory: false,
        },
    ),
    &Pool("leaves", Way::Leaves),
];

/// Some pages, so that a write can be cut short.
const LENGTH: usize = 20_000;

pub(crate) fn store(directory: &Path) -> StateStore {
    StateStore::new(FleetLayout::new(directory.join("mvm")).unwrap())
}

pub(crate) fn pool(profile: &str) -> PoolSpec {
    let text = format!(
        r#"{{"pool_id":"web","tenant_id":"acme","flake_ref":"github:acme/web","profile":"{profile}","instance_resources":{{"vcpus":1,"mem_mib":512}},"desired_counts":{{"running":1,"warm":0,"sleeping":0}}}}"#
    );
    PoolSpec::from_json(text.as_bytes()).unwrap()
}

fn old() -> PoolSpec {
    pool(&"o".repeat(LENGTH))
}

fn new() -> PoolSpec {
    pool(&"n".repeat(LENGTH))
}

/// The document of a pool, and how it is written.
struct Pool(&'static str, Way);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Store,
    Create,
    InPlace,
    Swallows,
    Renames { file: bool, directory: bool },
    Leaves,
}

fn failure(error: &StoreError) -> Failure {
    Failure {
        message: error.to_string(),
        in_place: error.in_place(),
    }
}

fn renames(path: &Path, file: bool, directory: bool, leaves: bool) -> std::io::Result<()> {
    let temporary = path.with_file_name(".pool.json.abcdef.tmp");
    let mut new_file = File::create(&temporary)?;
    let result = new_file.write_all(&text()).and_then(|()| {
        if file {
            new_file.sync_all()?;
        }
        fs::rename(&temporary, path)
    });
    if result.is_err() && !leaves {
        let _ = fs::remove_file(&temporary);
    }
    result?;
    if directory {
        File::open(path.parent().unwrap())?.sync_all()?;
    }
    Ok(())
}

fn text() -> Vec<u8> {
    serde_json::to_vec_pretty(&new()).unwrap()
}

impl Subject for Pool {
    fn name(&self) -> &'static str {
        self.0
    }

    fn prepare(&self, directory: &Path) {
        if self.1 != Way::Create {
            let key = parse_pool_path("acme/web").unwrap();
            store(directory).create(&key, &old()).unwrap();
        }
    }

    fn act(&self, directory: &Path) -> Result<(), Failure> {
        let key = parse_pool_path("acme/web").unwrap();
        let (store, path) = (store(directory), self.path(directory));
        let system = |result: std::io::Result<()>| {
            result.map_err(|error| Failure {
                message: error.to_string(),
                in_place: false,
            })
        };
        match self.1 {
            Way::Store => store.save(&key, &new()).map_err(|error| failure(&error)),
            Way::Create => store.create(&key, &new()).map_err(|error| failure(&error)),
            Way::InPlace => system(fs::write(path, text())),
            Way::Swallows => {
                let _ = store.save(&key, &new());
                Ok(())
            }
            Way::Renames { file, directory } => system(renames(&path, file, directory, false)),
            Way::Leaves => system(renames(&path, true, false, true)),
        }
    }

    fn seen(&self, directory: &Path) -> Result<Seen, String> {
        let key = parse_pool_path("acme/web").unwrap();
        match store(directory).find::<PoolSpec>(&key) {
            Ok(None) if self.1 == Way::Create => Ok(Seen::Old),
            Ok(None) => Err("the document is gone".into()),
            Ok(Some(found)) if found == new() => Ok(Seen::New),
            Ok(Some(found)) if found == old() && self.1 != Way::Create => Ok(Seen::Old),
            Ok(Some(_)) => Err("another document".into()),
            Err(error) => Err(format!("the document is damaged: {error}")),
        }
    }

    fn clean(&self, directory: &Path) -> Result<(), String> {
        clean(directory)
    }

    fn may_ignore(&self, call: &str) -> bool {
        // The name of who holds a lock is for messages.
        call.contains("write") && call.contains(".lock>")
    }

    fn target(&self, directory: &Path) -> Option<PathBuf> {
        Some(self.path(directory))
    }
}

impl Pool {
    fn path(&self, directory: &Path) -> PathBuf {
        directory.join("mvm/tenants/acme/pools/web/pool.json")
    }
}

fn clean(directory: &Path) -> Result<(), String> {
    let cleaned = store(directory).clean();
    match cleaned.failed.first() {
        None => Ok(()),
        Some(error) => Err(format!("not cleaned: {error}")),
    }
}

/// An instance is removed with its directory.
struct Removal;

const INSTANCE: &str = r#"{"instance_id":"i-1","pool_id":"web","tenant_id":"acme","status":"stopped","net":{"tap_dev":"tn3i5","mac":"02:fc:00:03:00:05","guest_ip":"10.240.3.5","gateway_ip":"10.240.3.1","cidr":24}}"#;
const FILES: [&str; 2] = ["rootfs.ext4", "runtime/v.sock"];

impl Subject for Removal {
    fn name(&self) -> &'static str {
        "remove"
    }

    fn prepare(&self, directory: &Path) {
        let key = parse_pool_path("acme/web").unwrap();
        store(directory).create(&key, &old()).unwrap();
        let key = parse_instance_path("acme/web/i-1").unwrap();
        let state = InstanceState::from_json(INSTANCE.as_bytes()).unwrap();
        store(directory).create(&key, &state).unwrap();
        let instance = store(directory).layout().instance_dir(&key);
        fs::create_dir(instance.join("runtime")).unwrap();
        for file in FILES {
            fs::write(instance.join(file), "data").unwrap();
        }
    }

    fn act(&self, directory: &Path) -> Result<(), Failure> {
        let key = parse_instance_path("acme/web/i-1").unwrap();
        let removed = store(directory).remove_instance(&key);
        removed.map_err(|error| failure(&error))
    }

    fn seen(&self, directory: &Path) -> Result<Seen, String> {
        let key = parse_instance_path("acme/web/i-1").unwrap();
        let instance = store(directory).layout().instance_dir(&key);
        if !instance.exists() {
            return Ok(Seen::New);
        }
        let whole = FILES.iter().all(|file| instance.join(file).is_file());
        match store(directory).load::<InstanceState>(&key) {
            Ok(_) if whole => Ok(Seen::Old),
            Ok(_) => Err("a part of the instance is gone".into()),
            Err(error) => Err(format!("the document is damaged: {error}")),
        }
    }

    fn clean(&self, directory: &Path) -> Result<(), String> {
        clean(directory)
    }

    fn may_ignore(&self, call: &str) -> bool {
        call.contains("write") && call.contains(".lock>")
    }

    fn target(&self, _directory: &Path) -> Option<PathBuf> {
        None
    }
}
