//! PID 1 of a Linux guest on mvm-core 0.13.0, as one would write it on that crate: with the standard
//! library, threads and a heap. It is weighed beside guest-init and used for nothing else.
//!
//! As guest-init it mounts what a guest needs, loads modules, runs a workload and reaps processes,
//! listens on vsock for the host alone, and answers ping, status, sleep preparation, wake and shutdown
//! in signed frames of a session with a trusted host.
//!
//! What it does not do, since neither the types nor the protocol of 0.13.0 have it: sign anything but
//! payloads (session, sequence and kind of a frame are not bound), verify strictly, know its instance
//! and generation in a session, notice that it is a restored snapshot, end a session verifiably, set
//! deadlines, and on wake set the clock, feed the random generator, or take a name, an address or a
//! new key. It reports no memory or load, and has no extensions. It has nothing that guest-init lacks, but
//! for the heap, and a thread for each session and for reaping.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use ed25519_dalek::{SigningKey, VerifyingKey};
use mvm_core::idle_metrics::IdleMetrics;
use weight::{GuestRequest, GuestResponse, Result, Session, hex, invalid, key_bytes, public_key};

mod machine;
use machine::boot_millis;

struct Guest {
    key: SigningKey,
    hosts: Vec<VerifyingKey>,
    workload: Option<machine::Workload>,
    last_request: Mutex<Instant>,
    /// The session that is served: a newcomer takes its place.
    current: Mutex<Option<UnixStream>>,
}

fn main() {
    let started = boot_millis();
    if let Err(error) = run(started) {
        println!("guest: {error}");
    }
    machine::power_off();
}

fn run(started: u64) -> Result<()> {
    machine::mount_all()?;
    println!("guest: started at {started} ms");
    let command_line = fs::read_to_string("/proc/cmdline")?;
    let (options, workload) = command_line
        .trim()
        .split_once(" -- ")
        .unwrap_or((command_line.trim(), ""));
    let option = |name: &str| {
        options
            .split(' ')
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    if let Some(instance) = option("mvm.instance") {
        mvm_core::naming::validate_id(instance, "instance")
            .map_err(|error| invalid(error.to_string()))?;
        println!("guest: instance {instance}");
    }
    for module in option("mvm.modules").unwrap_or("").split(',') {
        if !module.is_empty() {
            machine::load_module(module)?;
        }
    }
    let hosts = option("mvm.host_key").ok_or_else(|| invalid("no mvm.host_key"))?;
    let port = option("mvm.port").map_or(Ok(5252), str::parse);
    let port = port.map_err(|_| invalid("mvm.port is no port"))?;
    let guest = Arc::new(Guest {
        key: guest_key()?,
        hosts: hosts
            .split(',')
            .map(|text| public_key(&key_bytes(text)?))
            .collect::<Result<_>>()?,
        workload: machine::Workload::start(workload)?,
        last_request: Mutex::new(Instant::now()),
        current: Mutex::new(None),
    });
    println!(
        "guest: guest key {}",
        hex(guest.key.verifying_key().as_bytes())
    );
    thread::spawn(machine::reap);
    serve(&guest, port)
}

/// From the image, or one of this boot. 0.13.0 has no form for keys in files: 64 hexadecimal digits.
fn guest_key() -> Result<SigningKey> {
    let bytes = match fs::read_to_string("/etc/guest.seed") {
        Ok(text) => key_bytes(text.trim())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => machine::random()?,
        Err(error) => return Err(error),
    };
    Ok(SigningKey::from_bytes(&bytes))
}

fn serve(guest: &Arc<Guest>, port: u32) -> Result<()> {
    let listener = machine::Listener::new(port)?;
    println!(
        "guest: listening on vsock port {port} at {} ms",
        boot_millis()
    );
    loop {
        let stream = listener.accept()?;
        let served = stream.try_clone()?;
        if let Some(before) = lock(&guest.current).replace(served) {
            // It may have ended by itself.
            let _ = before.shutdown(std::net::Shutdown::Both);
        }
        let guest = Arc::clone(guest);
        thread::spawn(move || {
            if let Err(error) = converse(&guest, stream) {
                println!("guest: session ended: {error}");
            }
        });
    }
}

fn converse(guest: &Guest, stream: UnixStream) -> Result<()> {
    let mut session = Session::accept(stream, guest.key.clone(), &guest.hosts)?;
    loop {
        let request: GuestRequest = session.receive()?;
        let pinged = matches!(request, GuestRequest::Ping).then(boot_millis);
        let answer = guest.answer(&request);
        session.send(&answer)?;
        if let Some(at) = pinged {
            println!("guest: ping answered at {at} ms");
            println!("guest: resident {} kB", machine::resident()?);
        }
        if let GuestRequest::Shutdown { grace_secs } = request {
            if let Some(workload) = &guest.workload {
                workload.stop(grace_secs);
            }
            machine::power_off();
        }
        *lock(&guest.last_request) = Instant::now();
    }
}

impl Guest {
    fn answer(&self, request: &GuestRequest) -> GuestResponse {
        match request {
            GuestRequest::Ping => GuestResponse::Pong,
            GuestRequest::WorkerStatus => GuestResponse::WorkerStatus {
                status: match &self.workload {
                    Some(workload) => workload.status(),
                    None => "idle".into(),
                },
                idle: IdleMetrics {
                    idle_secs: lock(&self.last_request).elapsed().as_secs(),
                    last_updated: Some(mvm_core::time::utc_now()),
                    ..IdleMetrics::default()
                },
            },
            GuestRequest::SleepPrep { .. } => match machine::flush() {
                Ok(()) => GuestResponse::SleepPrepAck {
                    success: true,
                    detail: None,
                },
                Err(error) => GuestResponse::SleepPrepAck {
                    success: false,
                    detail: Some(error.to_string()),
                },
            },
            GuestRequest::Wake => GuestResponse::WakeAck { success: true },
            GuestRequest::Shutdown { .. } => GuestResponse::ShutdownAck,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
