//! A microVM: QEMU, and the program that is its vsock device.
//!
//! The device is a process of its own (vhost-user), which QEMU can neither save nor restore. So it is taken
//! away before a snapshot and given anew after a restore, as a VMM does that makes its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Error, While};
use crate::process::{Program, tail, wait_until};
use crate::qmp::Qmp;
use crate::setting::Setting;

/// How long programs of the host may take for what they do at once.
const SOON: Duration = Duration::from_secs(10);
/// How long a machine may take to take a device away, or to be saved or restored.
const MOVE: Duration = Duration::from_secs(20);
/// Longest path of a Unix socket, in bytes, with its NUL.
const SOCKET_PATH_MAX: usize = 108;

/// What a machine is booted with. A restore needs the same.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// The image with the init.
    pub image: PathBuf,
    /// The kernel's command line.
    pub append: String,
    /// Time of day of the machine's clock at boot, as QEMU writes it; none for the host's.
    pub clock: Option<&'static str>,
}

/// A machine that runs. It ends when this is dropped.
#[derive(Debug)]
pub struct Machine {
    folder: PathBuf,
    qmp: Qmp,
    qemu: Program,
    /// Keeps the device going.
    _device: Program,
}

const DEVICE: &str = "vsock0";
const CHARDEV: &str = "vhost0";

impl Machine {
    /// Boots a machine, with its files in a new `folder`.
    ///
    /// # Errors
    /// [`Error`].
    pub fn boot(setting: &Setting, spec: &Spec, folder: PathBuf) -> Result<Self, Error> {
        let device = start_device(setting, &folder)?;
        let socket = folder.join("vhost.sock");
        let more = [
            "-chardev".to_owned(),
            format!("socket,id={CHARDEV},path={}", socket.display()),
            "-device".to_owned(),
            format!("vhost-user-vsock-pci,id={DEVICE},chardev={CHARDEV}"),
        ];
        Self::start(setting, spec, folder, device, &more)
    }

    /// Restores a machine of the same `spec` from a snapshot.
    ///
    /// # Errors
    /// [`Error`].
    pub fn restore(setting: &Setting, spec: &Spec, folder: PathBuf, snapshot: &Path) -> Result<Self, Error> {
        let device = start_device(setting, &folder)?;
        let more = ["-incoming".to_owned(), format!("exec:cat {}", snapshot.display())];
        let mut this = Self::start(setting, spec, folder, device, &more)?;
        this.qmp.poll("query-status", MOVE, |answer| Ok(answer["status"] != "inmigrate"))?;
        let path = this.folder.join("vhost.sock");
        let backend = json!({ "type": "socket", "data": {
            "addr": { "type": "unix", "data": { "path": path } }, "server": false } });
        this.qmp.run("chardev-add", json!({ "id": CHARDEV, "backend": backend }))?;
        let driver = "vhost-user-vsock-pci";
        this.qmp.run("device_add", json!({ "driver": driver, "id": DEVICE, "chardev": CHARDEV }))?;
        this.qmp.run("cont", json!({}))?;
        Ok(this)
    }

    fn start(
        setting: &Setting,
        spec: &Spec,
        folder: PathBuf,
        device: Program,
        more: &[String],
    ) -> Result<Self, Error> {
        let (accel, cpu) = setting.accel.arguments();
        let memory = spec.memory_mib;
        let file = |name: &str| folder.join(name).display().to_string();
        let mut args: Vec<String> = [
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-accel",
            accel,
            "-cpu",
            cpu,
        ]
        .map(String::from)
        .to_vec();
        args.extend([
            "-machine".to_owned(),
            "pc,memory-backend=mem0".to_owned(),
            "-m".to_owned(),
            format!("{memory}"),
            "-object".to_owned(),
            format!("memory-backend-memfd,id=mem0,size={memory}M,share=on"),
            "-kernel".to_owned(),
            setting.kernel.display().to_string(),
            "-initrd".to_owned(),
            spec.image.display().to_string(),
            "-append".to_owned(),
            spec.append.clone(),
            "-serial".to_owned(),
            format!("file:{}", file("console")),
            "-qmp".to_owned(),
            format!("unix:{},server=on,wait=off", file("qmp.sock")),
        ]);
        // It leads nowhere. Its own program for the BIOS is not needed, and not installed everywhere.
        args.extend(["-netdev", "user,id=net0,restrict=on"].map(String::from));
        args.extend(["-device", "virtio-net-pci,netdev=net0,romfile="].map(String::from));
        if let Some(clock) = spec.clock {
            args.extend(["-rtc".to_owned(), format!("base={clock}")]);
        }
        args.extend_from_slice(more);
        let mut qemu = Program::start(&setting.qemu, &args, folder.join("qemu.log"))?;
        let qmp = Qmp::connect(&folder.join("qmp.sock"), || qemu.check("QEMU's socket"))?;
        Ok(Self { folder, qmp, qemu, _device: device })
    }

    /// The Unix socket that leads to the guest.
    #[must_use]
    pub fn vsock(&self) -> PathBuf {
        self.folder.join("v.sock")
    }

    /// Everything the console has shown.
    #[must_use]
    pub fn console(&self) -> String {
        let bytes = fs::read(self.folder.join("console")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits for a line of the console that contains `text`, and gives it from there on.
    ///
    /// # Errors
    /// [`Error::NotInTime`], [`Error::Ended`], [`Error::Io`].
    pub fn line(&mut self, text: &str, limit: Duration) -> Result<String, Error> {
        let what = format!("«{text}» on the console");
        let console = self.folder.join("console");
        wait_until(
            &what,
            limit,
            || tail(&console),
            || {
                let ended = self.qemu.check(&what);
                let shown = self.console();
                let lines = shown.split_inclusive('\n').filter(|line| line.ends_with('\n'));
                let found = lines
                    .filter_map(|line| line.find(text).map(|at| line[at..].trim_end().to_owned()))
                    .next();
                if found.is_none() {
                    ended.map_err(|error| with_tail(error, &console))?;
                }
                Ok(found)
            },
        )
    }

    /// Takes the vsock device away, writes a snapshot, and ends the machine.
    ///
    /// # Errors
    /// [`Error`].
    pub fn snapshot(mut self, into: &Path) -> Result<(), Error> {
        self.qmp.run("device_del", json!({ "id": DEVICE }))?;
        loop {
            let event = self.qmp.event("DEVICE_DELETED", MOVE)?;
            if event["data"]["device"] == DEVICE {
                break;
            }
        }
        self.qmp.run("chardev-remove", json!({ "id": CHARDEV }))?;
        self.qmp.run("stop", json!({}))?;
        let uri = format!("exec:cat > {}", into.display());
        self.qmp.run("migrate", json!({ "uri": uri }))?;
        self.qmp.poll("query-migrate", MOVE, |answer| {
            if answer["status"] == "failed" {
                return Err(Error::Qmp { command: "migrate".to_owned(), answer: answer.to_string() });
            }
            Ok(answer["status"] == "completed")
        })?;
        self.qmp.run("quit", json!({}))?;
        self.exit(SOON).map(drop)
    }

    /// Waits until QEMU has ended.
    ///
    /// # Errors
    /// [`Error::NotInTime`], [`Error::Io`].
    pub fn exit(&mut self, limit: Duration) -> Result<ExitStatus, Error> {
        let console = self.folder.join("console");
        let look = || self.qemu.ended();
        wait_until("the end of QEMU", limit, || tail(&console), look)
    }

    /// Asks QEMU something.
    ///
    /// # Errors
    /// As [`Qmp::run`].
    pub fn ask(&mut self, command: &str) -> Result<Value, Error> {
        self.qmp.run(command, json!({}))
    }
}

/// The console says more than QEMU.
fn with_tail(error: Error, console: &Path) -> Error {
    match error {
        Error::Ended { what, program, tail: log } => {
            Error::Ended { what, program, tail: format!("{log}\n{}", tail(console)) }
        }
        other => other,
    }
}

fn start_device(setting: &Setting, folder: &Path) -> Result<Program, Error> {
    fs::create_dir(folder).doing(folder.display())?;
    let (socket, vsock) = (folder.join("vhost.sock"), folder.join("v.sock"));
    let longest = socket.as_os_str().len() + 1;
    crate::ensure!(longest <= SOCKET_PATH_MAX, "{} is too long for a socket", socket.display());
    let vm = format!("guest-cid=3,socket={},uds-path={}", socket.display(), vsock.display());
    let mut device = Program::start(&setting.vhost, ["--vm", &vm], folder.join("vhost.log"))?;
    wait_until("the sockets of the vsock device", SOON, String::new, || {
        device.check("its sockets")?;
        Ok((socket.exists()).then_some(()))
    })?;
    Ok(device)
}
