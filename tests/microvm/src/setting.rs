//! Where everything is that a run needs, as the command line says it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// The kernel of the host.
    Kvm,
    /// QEMU itself.
    Tcg,
}

impl Accel {
    /// For `-accel` and `-cpu`.
    #[must_use]
    pub const fn arguments(self) -> (&'static str, &'static str) {
        match self {
            Self::Kvm => ("kvm", "host"),
            Self::Tcg => ("tcg", "max"),
        }
    }
}

/// A wrong expectation, to show that a scenario would notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The host uses another key than the guest was provisioned with.
    WrongHostKey,
    /// A guest that panics is expected to answer.
    PanicAnswers,
    /// The host trusts the key of another guest where it meets that one.
    TrustsAnotherGuest,
}

/// The command line.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The kernel (`bzImage`).
    pub kernel: PathBuf,
    /// The kernel's modules: the folder that has `kernel/`.
    pub modules: PathBuf,
    /// The init.
    pub init: PathBuf,
    /// The init with the fault that it panics when asked to.
    pub planted: PathBuf,
    /// The programs for inside of a guest.
    pub inside: PathBuf,
    /// `vhost-device-vsock`.
    pub vhost: PathBuf,
    /// `mvm-core`, the program.
    pub cli: PathBuf,
    /// QEMU.
    pub qemu: PathBuf,
    /// What executes the guest's instructions.
    pub accel: Accel,
    /// A wrong expectation.
    pub fault: Option<Fault>,
    /// How many scenarios run at once.
    pub jobs: usize,
    /// How long all of it may take.
    pub limit: Duration,
    /// The scenarios.
    pub scenarios: Vec<String>,
}

/// How it is called.
pub const USAGE: &str =
    "microvm --kernel FILE --modules FOLDER --init FILE --inside FILE --vhost FILE --cli FILE
    [--planted FILE] [--qemu FILE] [--accel kvm|tcg] [--fault wrong-host-key|panic-answers|trusts-another-guest]
    [--jobs N] [--limit SECONDS] SCENARIO…";

impl Setting {
    /// Reads the command line; `None` for `accel` where it has to be found out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<(Self, Option<Accel>), String> {
        let mut this = Self {
            kernel: PathBuf::new(),
            modules: PathBuf::new(),
            init: PathBuf::new(),
            planted: PathBuf::new(),
            inside: PathBuf::new(),
            vhost: PathBuf::from("vhost-device-vsock"),
            cli: PathBuf::from("mvm-core"),
            qemu: PathBuf::from("qemu-system-x86_64"),
            accel: Accel::Tcg,
            fault: None,
            jobs: 2,
            limit: Duration::from_secs(120),
            scenarios: Vec::new(),
        };
        let mut accel = None;
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let arg = arg.into_string().map_err(|arg| format!("{arg:?} is no text"))?;
            let Some(name) = arg.strip_prefix("--") else {
                this.scenarios.push(arg);
                continue;
            };
            let value = args.next().ok_or(format!("--{name} needs a value"))?;
            let text = value.to_str().unwrap_or_default();
            let number = || text.parse::<u64>().map_err(|error| format!("--{name}: {error}"));
            match name {
                "kernel" => this.kernel = value.into(),
                "modules" => this.modules = value.into(),
                "init" => this.init = value.into(),
                "planted" => this.planted = value.into(),
                "inside" => this.inside = value.into(),
                "vhost" => this.vhost = value.into(),
                "cli" => this.cli = value.into(),
                "qemu" => this.qemu = value.into(),
                "jobs" => this.jobs = number()?.try_into().unwrap_or(1),
                "limit" => this.limit = Duration::from_secs(number()?),
                "accel" => {
                    accel = Some(match text {
                        "kvm" => Accel::Kvm,
                        "tcg" => Accel::Tcg,
                        _ => return Err(format!("--accel: {text}")),
                    });
                }
                "fault" => {
                    this.fault = Some(match text {
                        "wrong-host-key" => Fault::WrongHostKey,
                        "panic-answers" => Fault::PanicAnswers,
                        "trusts-another-guest" => Fault::TrustsAnotherGuest,
                        _ => return Err(format!("--fault: {text}")),
                    });
                }
                _ => return Err(format!("there is no --{name}")),
            }
        }
        if this.scenarios.is_empty() {
            return Err("no scenario".to_owned());
        }
        this.accel = accel.unwrap_or(this.accel);
        Ok((this, accel))
    }
}
