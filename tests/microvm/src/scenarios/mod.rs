//! What is checked, a scenario for each machine or family of machines.

mod boot;
mod hostile;
mod lifecycle;
mod panic;
mod template;
mod weigh;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mvm_core::time::Timestamp;
use tempfile::TempDir;

use crate::error::{Error, Must, While};
use crate::host;
use crate::initramfs::Initramfs;
use crate::machine::{Machine, Spec};
use crate::modules;
use crate::process::tail;
use crate::setting::Setting;

/// How long a guest may take to boot.
pub const BOOT: Duration = Duration::from_secs(60);
/// Memory of the guests in MiB.
const MEMORY_MIB: u32 = 160;
/// Modules of the kernel's that a vsock needs, in the order to load them, by their folders.
const VSOCK: &[(&str, &str)] = &[
    ("drivers/virtio", "virtio_ring"),
    ("drivers/virtio", "virtio"),
    ("drivers/virtio", "virtio_pci_legacy_dev"),
    ("drivers/virtio", "virtio_pci_modern_dev"),
    ("drivers/virtio", "virtio_pci"),
    ("net/vmw_vsock", "vsock"),
    ("net/vmw_vsock", "vmw_vsock_virtio_transport_common"),
    ("net/vmw_vsock", "vmw_vsock_virtio_transport"),
];
/// Those that a network needs besides.
const NETWORK: &[(&str, &str)] =
    &[("net/core", "failover"), ("drivers/net", "net_failover"), ("drivers/net", "virtio_net")];

/// A scenario.
pub type Scenario = fn(&World<'_>) -> Result<(), Error>;

/// Runs a scenario. Where it fails, the consoles of its machines are shown.
///
/// # Errors
/// [`Error`].
pub fn run(setting: &Setting, scenario: Scenario) -> Result<(), Error> {
    let world = World::new(setting)?;
    scenario(&world).inspect_err(|error| {
        // A wait that was over has shown its console already.
        if let Error::NotHeld(_) = error {
            for entry in fs::read_dir(world.folder.path()).into_iter().flatten().flatten() {
                let console = entry.path().join("console");
                if console.exists() {
                    println!("{}", tail(&console));
                }
            }
        }
    })
}

/// All of them, by name; the longest first.
pub const ALL: [(&str, Scenario); 5] = [
    ("lifecycle", lifecycle::run),
    ("hostile", hostile::run),
    ("boot", boot::run),
    ("template", template::run),
    ("panic", panic::run),
];

/// Those that only measure, by name.
pub const APART: [(&str, Scenario); 2] = [("weigh", weigh::ours), ("weigh-other", weigh::theirs)];

/// The files of a scenario.
#[derive(Debug)]
pub struct World<'s> {
    setting: &'s Setting,
    folder: TempDir,
}

impl<'s> World<'s> {
    /// Its folder is near the root: paths of sockets have to be short.
    fn new(setting: &'s Setting) -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix("mvm-").tempdir_in("/tmp");
        let folder = folder.doing("a temporary folder")?;
        Ok(Self { setting, folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An image with `init`, the modules, the guest's key and the programs for inside.
    fn spec(&self, init: &PathBuf, parameters: &str, workload: &str) -> Result<Spec, Error> {
        self.spec_with(&[VSOCK, NETWORK].concat(), init, parameters, workload)
    }

    /// The same with other modules.
    fn spec_with(
        &self,
        modules: &[(&str, &'static str)],
        init: &PathBuf,
        parameters: &str,
        workload: &str,
    ) -> Result<Spec, Error> {
        let read = |path: &PathBuf| fs::read(path).doing(path.display());
        let mut image = Initramfs::new()
            .file("init", &read(init)?)
            .file("bin/workload", &read(&self.setting.inside)?)
            .file("proc/.keep", &[])
            .file("sys/.keep", &[])
            .file("lib/modules/packed.ko.xz", b"no module, for who asks for one");
        image = image.file("etc/mvm/guest.key", host::guest_key().to_text().secret_str().as_bytes());
        let modules = modules::find(&self.setting.modules, modules)?;
        for module in &modules {
            image = image.file(&format!("lib/modules/{}", module.file_name), &read(&module.path)?);
        }
        let path = self.path("initramfs");
        fs::write(&path, image.finish()).doing(path.display())?;
        let names: Vec<&str> = modules.iter().map(|module| module.name).collect();
        let (key, modules) = (hex(host::host_key().public().as_bytes()), names.join(","));
        let append = format!(
            "console=ttyS0 quiet panic=-1 mvm.host_key={key} mvm.modules={modules} {parameters} -- {workload}"
        );
        Ok(Spec { memory_mib: MEMORY_MIB, image: path, append, clock: None })
    }

    fn boot(&self, spec: &Spec) -> Result<Machine, Error> {
        Machine::boot(self.setting, spec, self.path("vm"))
    }
}

/// As keys are written on the command line and on the console.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The number before ` ms` at the end of a line of the console.
fn millis(line: &str) -> Option<u64> {
    line.strip_suffix(" ms")?.rsplit(' ').next()?.parse().ok()
}

/// The time of day.
fn now() -> Result<Timestamp, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).must("a clock after 1970")?;
    let seconds = i64::try_from(now.as_secs()).must("a clock of this age")?;
    Timestamp::new(seconds, now.subsec_nanos()).must("a time")
}

/// For a generator or a key.
fn fresh() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    let source = std::fs::File::open("/dev/urandom");
    std::io::Read::read_exact(&mut source.must("/dev/urandom")?, &mut bytes).must("/dev/urandom")?;
    Ok(bytes)
}
