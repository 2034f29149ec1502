//! Runs scenarios, each in a process of its own so that what it takes can be measured, some at once.

use std::env;
use std::fs;
use std::io;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use microvm::error::{Error, While};
use microvm::process::{Program, kill_all, wait_until};
use microvm::scenarios::{ALL, APART, Scenario, run};
use microvm::setting::{Accel, Setting, USAGE};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How long the kernel may take to say something where KVM works.
const FIRST_WORDS: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let (mut setting, accel) = match Setting::read(env::args_os().skip(1)) {
        Ok(read) => read,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = end_with_children(setting.limit) {
        eprintln!("signals: {error}");
        return ExitCode::from(2);
    }
    let result = match (accel, setting.scenarios.as_slice()) {
        (Some(_), [name]) if name != "all" => find(name).and_then(|scenario| run(&setting, scenario)),
        _ => all(&mut setting, accel),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn find(name: &str) -> Result<Scenario, Error> {
    let found = ALL.iter().chain(&APART).find(|(other, _)| *other == name);
    let names = ALL.map(|(name, _)| name).join(", ");
    let error = || Error::NotHeld(format!("there is no scenario {name}: all, {names}"));
    found.map(|(_, scenario)| *scenario).ok_or_else(error)
}

/// Nothing that was started outlives this program, be it told to end or too slow.
fn end_with_children(limit: Duration) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let end = |why: String| {
        println!("FAILED: {why}");
        kill_all();
        std::process::exit(3);
    };
    thread::spawn(move || signals.forever().for_each(|signal| end(format!("signal {signal}"))));
    thread::spawn(move || {
        thread::sleep(limit);
        end(format!("not done after {} s", limit.as_secs()));
    });
    Ok(())
}

/// Each scenario in a process of its own.
fn all(setting: &mut Setting, accel: Option<Accel>) -> Result<(), Error> {
    setting.accel = accel.map_or_else(|| which_accel(setting), Ok)?;
    let (name, _) = setting.accel.arguments();
    println!("the guests' instructions are executed by {name}");
    let every = setting.scenarios.iter().any(|name| name == "all");
    let names = match every {
        true => ALL.iter().map(|(name, _)| (*name).to_owned()).collect(),
        false => setting.scenarios.clone(),
    };
    for name in &names {
        find(name)?;
    }
    let waiting = Mutex::new(names.iter());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..setting.jobs.max(1) {
            scope.spawn(|| {
                while let Some(name) = waiting.lock().ok().and_then(|mut names| names.next()) {
                    if !one(name, setting.accel) {
                        failed.lock().map(|mut failed| failed.push(name.clone())).unwrap_or_default();
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    if !failed.is_empty() {
        return Err(Error::NotHeld(failed.join(", ")));
    }
    Ok(())
}

/// Runs this program for one scenario, with the other arguments as they are.
fn one(name: &str, accel: Accel) -> bool {
    let begun = Instant::now();
    let mut options = Vec::new();
    let mut args = env::args_os().skip(1);
    while let Some(option) = args.next() {
        if option.to_string_lossy().starts_with("--") {
            options.push(option);
            options.extend(args.next());
        }
    }
    let (accel, _) = accel.arguments();
    let this = env::args_os().next().unwrap_or_default();
    let mut command = Command::new(this);
    command.args(options).args(["--accel", accel, name]).stdin(Stdio::null());
    let output = command.output();
    let seconds = begun.elapsed().as_secs_f32();
    match output {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            println!("== {name} ({seconds:.1} s)\n{said}{errors}");
            output.status.success()
        }
        Err(error) => {
            println!("== {name}: {error}");
            false
        }
    }
}

/// Boots a kernel with KVM, and sees whether it says anything. `/dev/kvm` may be there and be of no use.
fn which_accel(setting: &Setting) -> Result<Accel, Error> {
    if !fs::exists("/dev/kvm").unwrap_or_default() {
        return Ok(Accel::Tcg);
    }
    let folder = tempfile::tempdir().doing("a temporary folder")?;
    let console = folder.path().join("console");
    let (accel, cpu) = Accel::Kvm.arguments();
    let serial = format!("file:{}", console.display());
    let kernel = setting.kernel.display().to_string();
    let args = [
        "-nodefaults",
        "-display",
        "none",
        "-no-reboot",
        "-machine",
        "pc",
        "-m",
        "160",
        "-accel",
        accel,
        "-cpu",
        cpu,
        "-kernel",
        &kernel,
        "-append",
        "console=ttyS0 earlyprintk=ttyS0 panic=-1",
        "-serial",
        &serial,
    ];
    let mut qemu = Program::start(&setting.qemu, args, folder.path().join("log"))?;
    let said = wait_until("a word of the kernel under KVM", FIRST_WORDS, String::new, || {
        let words = fs::read(&console).is_ok_and(|bytes| !bytes.is_empty());
        Ok(if words { Some(true) } else { qemu.ended()?.map(|_| false) })
    });
    Ok(match said {
        Ok(true) => Accel::Kvm,
        _ => Accel::Tcg,
    })
}
