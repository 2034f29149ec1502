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
mod kernel;
mod machine;
mod memory;
mod network;
mod numbers;
mod requests;
mod server;
mod shutdown;
mod sys;
mod vsock;

use core::panic::PanicInfo;

use guest_init::cmdline::Settings;
use mvm_core::guest::{Lifecycle, ShutdownMode};
use mvm_core::session::{GuestEndpoint, GuestKey};

use crate::children::Workload;
use crate::connection::Buffers;
use crate::console::{say, say_key};
use crate::kernel::{Errno, PERM, Reboot, SIGCHLD, SIGINT, SIGPWR, SIGTERM, SignalSet};
use crate::machine::{Machine, uptime_ms};
use crate::requests::{Guest, Watched};
use crate::server::{CONNECTIONS, Listeners, Served, Sources, serve};
use crate::sys::Arguments;

/// Linux keeps it below this on x86-64 and aarch64.
const COMMAND_LINE_MAX: usize = 4096;

/// Everything the init does. Only ends with the machine.
fn run(arguments: Arguments, buffers: &mut [Buffers; CONNECTIONS]) -> ! {
    let started_ms = uptime_ms();
    if !kernel::is_pid_1() {
        failed(
            "this program is PID 1 of a microVM, and nothing else: error #",
            b"",
            PERM,
        );
        kernel::exit(1);
    }
    boot::mount_all();
    say("started at # ms", &[], &[started_ms]);
    let mut line = [0; COMMAND_LINE_MAX];
    let line = match boot::read_file(c"/proc/cmdline", &mut line) {
        Ok(line) => line,
        Err(error) => fatal("cannot read /proc/cmdline: error #", error),
    };
    let settings = match Settings::read(line) {
        Ok(settings) => settings,
        Err(bad) => {
            let texts = [bad.name, bad.why.text().as_bytes()];
            say("kernel command line: $ $", &texts, &[]);
            shutdown::end(ShutdownMode::Reboot)
        }
    };
    let modules_missing = boot::load_modules(settings.modules());
    let sources = listen(settings.ports());
    // A host that waits for the port can connect from here on: the key, and what the console is told, come later.
    let listening_ms = uptime_ms();
    let mut key = boot::guest_key().unwrap_or_else(|(what, error)| fatal(what, error));
    say_key(key.public().as_bytes());
    for (_, port) in &sources.listeners {
        let numbers = [u64::from(*port), listening_ms];
        say("listening on vsock port # at # ms", &[], &numbers);
    }
    // Ctrl+Alt+Del is a signal from now on, and not the end at once.
    kernel::reboot(Reboot::CTRL_ALT_DEL_OFF);

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
    let mut first = None;
    loop {
        match serve(&key, &mut guest, &sources, buffers, first.take()) {
            Served::Rekeyed(seed, stream, service) => {
                key = GuestKey::from_seed(seed.secret_bytes());
                say_key(key.public().as_bytes());
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
    let signals = kernel::block(set).and_then(|()| kernel::signal_fd(set));
    let signals = signals.unwrap_or_else(|error| fatal("cannot wait for signals: error #", error));
    let mut listeners = Listeners::new();
    for port in ports {
        match vsock::listener(*port) {
            Ok(listener) => {
                // There are as many places as ports.
                let _ = listeners.push((listener, *port));
            }
            Err(error) => fatal("cannot listen on vsock: error #", error),
        }
    }
    Sources { listeners, signals }
}

/// Says what did not work, with `which` at its `$`, and the kernel's code at its `#`.
fn failed(what: &str, which: &[u8], error: Errno) {
    say(what, &[which], &[u64::from(error.0)]);
}

/// Without this the guest cannot be what its host expects: the machine ends, and so the host learns of it.
fn fatal(what: &str, error: Errno) -> ! {
    failed(what, b"", error);
    shutdown::end(ShutdownMode::Reboot)
}

/// The console says where; then the machine ends, and with it every stream, without the close that a session
/// ends with: its host sees a session that was cut off, and its VMM a machine that has ended. (Rebooting is
/// what ends Firecracker; where a VMM boots again, the host finds another incarnation.)
#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    let (file, line) = info
        .location()
        .map_or(("?", 0), |place| (place.file(), place.line()));
    say("panicked at $:#", &[file.as_bytes()], &[u64::from(line)]);
    shutdown::end(ShutdownMode::Reboot)
}
