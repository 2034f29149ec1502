//! PID 1 of a microVM: mounts what the kernel offers, loads the modules it is given, runs one workload, reaps
//! what ends, and serves the host's sessions on vsock. No heap, no C library, no thread.
//!
//! `README.md` beside this crate has the contract: command line, files, console, messages.
#![no_std]
#![no_main]

mod boot;
mod children;
mod connection;
mod console;
mod machine;
mod network;
mod numbers;
mod requests;
mod server;
mod shutdown;
mod sys;
mod vsock;

use core::panic::{Location, PanicInfo};

use guest_init::cmdline::Settings;
use mvm_core::guest::{Lifecycle, ShutdownMode};
use mvm_core::session::{GuestEndpoint, GuestKey};
use rustix::io::Errno;
use rustix::system::{RebootCommand, reboot};

use crate::children::Workload;
use crate::console::{Bytes, Hex, Number, Text, say};
use crate::machine::{Machine, uptime_ms};
use crate::requests::{Guest, Watched};
use crate::server::{Listeners, Served, Sources, serve};
use crate::sys::{Arguments, SignalSet};

const SIGINT: u32 = 2;
const SIGTERM: u32 = 15;
const SIGCHLD: u32 = 17;
const SIGPWR: u32 = 30;
/// Linux keeps it below this on x86-64 and aarch64.
const COMMAND_LINE_MAX: usize = 4096;

/// Everything the init does. Only ends with the machine.
fn run(arguments: Arguments) -> ! {
    let started_ms = uptime_ms();
    if !rustix::process::getpid().is_init() {
        failed(
            "this program is PID 1 of a microVM, and nothing else",
            b"",
            Errno::PERM,
        );
        sys::exit(1);
    }
    boot::mount_all();
    say(&[Text("started at "), Number(started_ms), Text(" ms")]);

    let mut line = [0; COMMAND_LINE_MAX];
    let line = match boot::read_file(c"/proc/cmdline", &mut line) {
        Ok(line) => line,
        Err(error) => fatal("cannot read /proc/cmdline", error),
    };
    let settings = match Settings::read(line) {
        Ok(settings) => settings,
        Err(bad) => {
            say(&[
                Text("kernel command line: "),
                Bytes(bad.name),
                Text(" "),
                Text(bad.why.text()),
            ]);
            fatal("cannot go on", Errno::INVAL)
        }
    };
    let mut key = boot::guest_key().unwrap_or_else(|(what, error)| fatal(what, error));
    let modules_missing = boot::load_modules(settings.modules());
    let sources = listen(settings.ports());
    // Ctrl+Alt+Del is a signal from now on, and not the end at once.
    let _ = reboot(RebootCommand::CadOff);

    let mut guest = Guest {
        endpoint: match settings.binding {
            Some((instance, floor)) => GuestEndpoint::bound(settings.hosts, instance, floor),
            None => GuestEndpoint::new(settings.hosts),
        },
        lifecycle: Lifecycle::booted(),
        machine: Machine::new(),
        workload: Workload::start(arguments),
        started_ms,
        modules_missing,
        memory: Watched::new(),
        oom: Watched::new(),
        next_key: None,
    };
    let buffers = sys::once_buffers();
    let mut first = None;
    loop {
        match serve(&key, &mut guest, &sources, buffers, first.take()) {
            Served::Rekeyed(seed, stream, service) => {
                key = GuestKey::from_seed(seed.secret_bytes());
                say(&[Text("guest key "), Hex(key.public().as_bytes())]);
                first = Some((stream, service));
            }
            Served::Shutdown(shutdown) => shutdown::run(shutdown, guest.workload, &sources.signals),
        }
    }
}

/// Signals first, so that no child's end is missed; then every port.
fn listen(ports: &[u32]) -> Sources {
    let set = SignalSet::NONE
        .with(SIGCHLD)
        .with(SIGINT)
        .with(SIGTERM)
        .with(SIGPWR);
    let signals = sys::block(set).and_then(|()| sys::signal_fd(set));
    let signals = signals.unwrap_or_else(|error| fatal("cannot wait for signals", error));
    let mut listeners = Listeners::new();
    for port in ports {
        match vsock::listener(*port) {
            Ok(listener) => {
                // There are as many places as ports.
                let _ = listeners.push((listener, *port));
                let number = Number(u64::from(*port));
                say(&[
                    Text("listening on vsock port "),
                    number,
                    Text(" at "),
                    Number(uptime_ms()),
                    Text(" ms"),
                ]);
            }
            Err(error) => fatal("cannot listen on vsock", error),
        }
    }
    Sources { listeners, signals }
}

/// Says what did not work, and the kernel's code.
fn failed(what: &str, which: &[u8], error: Errno) {
    let code = error.raw_os_error().unsigned_abs();
    say(&[
        Text(what),
        Text(" "),
        Bytes(which),
        Text(": error "),
        Number(u64::from(code)),
    ]);
}

/// Without this the guest cannot be what its host expects: the machine ends, and so the host learns of it.
fn fatal(what: &str, error: Errno) -> ! {
    failed(what, b"", error);
    shutdown::end(ShutdownMode::Reboot)
}

/// The console says where; then the machine ends, and with it every stream, without the close that a session
/// ends with: its host sees a session that was cut off, and its VMM a machine that has ended. (Rebooting is
/// what ends Firecracker; where a VMM boots again, the host finds another incarnation.)
///
/// The place alone, without the message: the linker then finds that nothing in the program needs to be able to
/// put a message together, and leaves some 5 kB out. For that the handler has to be small enough to be inlined.
#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    panicked_at(info.location())
}

#[cold]
#[inline(never)]
fn panicked_at(place: Option<&Location<'_>>) -> ! {
    let (file, line) = place.map_or(("?", 0), |place| (place.file(), place.line()));
    say(&[
        Text("panicked at "),
        Text(file),
        Text(":"),
        Number(u64::from(line)),
    ]);
    shutdown::end(ShutdownMode::Reboot)
}
