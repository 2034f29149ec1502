//! A guest boots and serves: sessions on several ports at once, slow and strange hosts beside them, and a
//! workload that ends.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use mvm_core::guest::{Answer, Call, ComponentState, Phase};
use mvm_core::session::RefusalCode;
use serde_json::Value;

use super::{BOOT, World, hex, millis};
use crate::ensure;
use crate::error::{Error, Must, While};
use crate::host::{self, Host, INSTANCE, PORT, close, component, held, numbers, ping, raw, timed};
use crate::machine::Machine;
use crate::setting::{Fault, Setting};

const PARAMETERS: &str = "mvm.instance=i-5c51564e mvm.generation=1 mvm.port=5252,5253,5254,5255";
/// Connections that begin and do not go on.
const SILENT: usize = 5;
/// What a guest may take longer for a request because of them.
const DELAY_MS: u128 = 1500;

pub(super) fn run(world: &World<'_>) -> Result<(), Error> {
    let setting = world.setting;
    let spec = world.spec(&setting.init, PARAMETERS, "/bin/workload orphans")?;
    let mut machine = world.boot(&spec)?;

    let said = machine.line("guest-init: guest key ", BOOT)?;
    let public = host::guest_key().public();
    let expected = format!("guest-init: guest key {}", hex(public.as_bytes()));
    ensure!(said == expected, "«{said}», not «{expected}»");
    held("the key on the console is the one that was provisioned");
    let started = machine.line("guest-init: started at ", BOOT)?;
    let started = millis(&started).must(format!("a time: {started}"))?;
    machine.line("guest-init: listening on vsock port 5255 ", BOOT)?;

    let key = match setting.fault {
        Some(Fault::WrongHostKey) => host::strange_host_key(),
        _ => host::host_key(),
    };
    let host = Host::with_key(key, 1, public)?;
    serves(&host, &machine, started, spec.memory_mib)?;
    let silent = many(&host, &machine)?;
    strangers(&host, &machine)?;
    cli(setting, &machine, world.folder.path())?;
    workload(&host, &mut machine)?;
    let begun = Instant::now();
    for mut stream in silent {
        let said = host::send_and_drain(&mut stream, &[])?;
        ensure!(said.is_empty(), "to half a hello: {said:?}");
    }
    ensure!(begun.elapsed() < Duration::from_secs(8), "silent connections were kept");
    held("the guest closed the connections that did not go on");
    Ok(())
}

fn serves(host: &Host, machine: &Machine, started: u64, memory_mib: u32) -> Result<(), Error> {
    let mut caller = host.open(&machine.vsock(), PORT)?;
    let uptime = ping(&mut caller, 7)?;
    ensure!(uptime >= started, "up for {uptime} ms, started at {started} ms");
    held("a handshake, and a ping");

    host::status(&mut caller, |report| {
        ensure!(report.phase == Phase::AWAKE, "phase {}", report.phase.code());
        for name in ["init", "modules", "memory"] {
            let state = component(report, name);
            ensure!(state == Some(ComponentState::Ready), "{name}: {state:?}");
        }
        ensure!(component(report, "workload").is_some(), "no component «workload»");
        Ok(())
    })?;
    held("the status, with its components");

    let kernel = numbers(&mut caller)?;
    let size = u64::from(memory_mib) * 1024;
    ensure!(
        kernel.memory_total_kib > size / 2 && kernel.memory_total_kib <= size,
        "{} KiB of memory, the machine has {size}",
        kernel.memory_total_kib
    );
    ensure!(
        kernel.memory_available_kib > 0 && kernel.memory_available_kib < kernel.memory_total_kib,
        "{kernel:?}"
    );
    ensure!(
        kernel.started_ms == started && kernel.uptime_ms >= uptime,
        "{kernel:?}, started at {started}, up for {uptime}"
    );
    ensure!(kernel.processes > 1 && kernel.busy_ticks > 0, "{kernel:?}");
    ensure!(kernel.init_resident_kib > 0 && kernel.oom_kills == 0, "{kernel:?}");
    held(format_args!(
        "the kernel's numbers: {} KiB of memory, init started at {started} ms and has {} KiB resident",
        kernel.memory_total_kib, kernel.init_resident_kib
    ));
    close(caller)?;
    held("a verified close");
    Ok(())
}

/// Sessions beside each other, and connections that say nothing. Gives the latter, still open.
fn many(host: &Host, machine: &Machine) -> Result<Vec<std::os::unix::net::UnixStream>, Error> {
    let vsock = machine.vsock();
    let (_, alone) = timed(|| close_after_ping(host, &vsock, PORT))?;
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        let mut stream = raw(&vsock, PORT)?;
        // The length of a hello, and a part of it.
        stream.write_all(&[0, 0, 0, 120, 3, 3, 1]).doing("half a hello")?;
        silent.push(stream);
    }
    let (_, beside) = timed(|| close_after_ping(host, &vsock, PORT))?;
    ensure!(beside < alone + DELAY_MS, "{beside} ms, and {alone} ms alone");
    held(format_args!(
        "{SILENT} connections with half a hello delay no other: {beside} ms, {alone} ms alone"
    ));

    let mut sessions = Vec::new();
    for port in [PORT, PORT + 1] {
        sessions.push(host.open(&vsock, port)?);
    }
    for round in 0..3 {
        for caller in &mut sessions {
            ping(caller, round)?;
        }
    }
    sessions.into_iter().try_for_each(close)?;
    held("two sessions on two ports at the same time");

    // Two on each of three ports: the later takes the session of its service, and the earlier learns so.
    let results: Vec<Result<(), Error>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|number| {
                let vsock = &vsock;
                scope.spawn(move || patient_ping(host, vsock, PORT + number % 3))
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|result| result.unwrap_or_else(|_| Err(Error::NotHeld("a panic".to_owned())))).collect()
    });
    results.into_iter().collect::<Result<(), Error>>()?;
    held("six connections at once");
    Ok(silent)
}

fn close_after_ping(host: &Host, vsock: &Path, port: u32) -> Result<(), Error> {
    let mut caller = host.open(vsock, port)?;
    ping(&mut caller, 1)?;
    close(caller)
}

/// With the library's client and an endpoint of its own, as another program of the host.
fn patient_ping(host: &Host, vsock: &Path, port: u32) -> Result<(), Error> {
    let generation = host.endpoint().lock().must("the endpoint")?.generation();
    let own = Host::new(generation, host::guest_key().public())?;
    let dial = mvm_core::channel::Dial::vsock(vsock, port);
    let options = mvm_core::channel::ClientOptions::new(host::options(port).service);
    let client = mvm_core::channel::GuestClient::new(own.local(), dial, options);
    let mut client = client.must("a client")?;
    let nonce = u64::from(port);
    let asked = client.call(&Call::Ping(mvm_core::guest::Ping { nonce }), host::ANSWER);
    match asked.must(format!("a ping on port {port}"))?.outcome {
        Ok(Answer::Pong(pong)) if pong.nonce == nonce => Ok(()),
        other => Err(Error::NotHeld(format!("a pong on port {port}: {other:?}"))),
    }
}

/// Hosts that the guest must not serve, and then the right one again.
fn strangers(host: &Host, machine: &Machine) -> Result<(), Error> {
    let vsock = machine.vsock();
    let public = host::guest_key().public();
    let strange = Host::with_key(host::strange_host_key(), 1, public)?;
    let refused = strange.try_open(&vsock, PORT)?.map(drop);
    let code = refused.as_ref().err().and_then(mvm_core::channel::ChannelError::refused);
    ensure!(code == Some(RefusalCode::HOST), "a strange host: {refused:?}");
    close_after_ping(host, &vsock, PORT)?;
    held("a host with another key is refused (code 5), and the right one is served");

    // Asking for the service of another port.
    let deadline = mvm_core::channel::Deadline::after(host::ANSWER);
    let connection = mvm_core::channel::Dial::vsock(&vsock, PORT + 1).dial(deadline);
    let refused = host.shake(connection.must("a connection")?, PORT, deadline).map(drop);
    let code = refused.as_ref().err().and_then(mvm_core::channel::ChannelError::refused);
    ensure!(code == Some(RefusalCode::SERVICE), "another service: {refused:?}");
    held("a hello for the service of another port is refused (code 3)");
    Ok(())
}

/// The same through the program.
fn cli(setting: &Setting, machine: &Machine, folder: &Path) -> Result<(), Error> {
    let key = folder.join("host.key");
    fs::write(&key, host::host_key().to_text().secret_str()).doing("the host's key")?;
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&key, mode).doing("the host's key")?;
    let trust = hex(host::guest_key().public().as_bytes());
    let port = PORT.to_string();
    for (request, member) in [("ping", "uptime_ms"), ("status", "components")] {
        let mut command = Command::new(&setting.cli);
        command.args(["--json", "guest", "--vsock"]).arg(machine.vsock()).arg("--key").arg(&key);
        command.args(["--port", &port, "--trust", &trust, "--instance", INSTANCE, "--generation", "1"]);
        let output = command.args(["--wait", request]).output().doing("mvm-core")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let document: Value = serde_json::from_str(&said).must(format!("mvm-core said «{said}»"))?;
        ensure!(
            output.status.success() && document["ok"] == true && document["closed"] == true,
            "mvm-core {request}: {} {document}",
            output.status
        );
        ensure!(!document["answer"][member].is_null(), "no {member}: {document}");
        held(format_args!("mvm-core guest --vsock … {request}"));
    }
    Ok(())
}

fn workload(host: &Host, machine: &mut Machine) -> Result<(), Error> {
    let counted = machine.line("workload: children of init", BOOT)?;
    let expected = "(1, 0) at first, (6, 0), (1, 0) at last";
    ensure!(counted.ends_with(expected), "«{counted}», not «… {expected}»");
    held("five orphans came to init, and it reaped them");

    let ended = machine.line("guest-init: workload ended: ", BOOT)?;
    ensure!(ended.ends_with("ended: exit code 3"), "«{ended}»");
    let mut caller = host.open(&machine.vsock(), PORT)?;
    host::status(&mut caller, |report| {
        let state = component(report, "workload");
        ensure!(state == Some(ComponentState::Failed { code: 3 }), "workload: {state:?}");
        ensure!(!report.is_ready(), "a guest whose workload has ended is ready");
        Ok(())
    })?;
    held("the workload's end is on the console and in the status");
    close(caller)
}
