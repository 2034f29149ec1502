//! Programs that run inside of guests: workloads, and an init that means harm.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use microvm::host;
use microvm::hostile::*;
use mvm_core::channel::{Connection, Deadline, DeadlineStream, GuestChannel, Local, SystemEnvironment};
use mvm_core::naming::InstanceId;
use mvm_core::session::{
    GUEST_HELLO_FRAME_MAX, GuestEndpoint, GuestKey, GuestOptions, TrustedHost, TrustedHosts,
};
use vsock::{VMADDR_CID_ANY, VsockListener, VsockStream};

const SECOND: Duration = Duration::from_secs(1);
const ORPHANS: usize = 5;
/// The file that orphans wait for.
const MAY_END: &str = "/orphans-may-end";
/// How long the machine is up when the workload begins to stay.
const SETTLED: Duration = Duration::from_secs(8);
/// How long they wait for it, and init may take to reap them.
const LONG: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    match env::args().nth(1).as_deref() {
        Some("orphans") => orphans(),
        Some("parent") => {
            // Ends at once, and leaves a child.
            let _ = myself("orphan").spawn();
            ExitCode::SUCCESS
        }
        Some("orphan") => {
            wait_for(|| fs::exists(MAY_END).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Some("stay") => stay(),
        Some("interrupt") => interrupt(),
        Some("hostile") => hostile(),
        other => {
            println!("inside: {other:?}?");
            ExitCode::FAILURE
        }
    }
}

fn myself(what: &str) -> Command {
    let mut command = Command::new(env::args_os().next().unwrap_or_default());
    command.arg(what);
    command
}

/// The children of PID 1 that are programs, and how many of them have ended and were not reaped.
fn children_of_init() -> (usize, usize) {
    let mut found = (0, 0);
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        // `self` is one of them already.
        if entry.file_name().to_string_lossy().parse::<u32>().is_err() {
            continue;
        }
        // "12 (name) S 1 …"; there is none where the process has gone meanwhile.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let mut fields = rest.split(' ');
        let (state, parent) = (fields.next(), fields.next());
        if parent == Some("1") {
            found.0 += 1;
            found.1 += usize::from(state == Some("Z"));
        }
    }
    found
}

/// Waits until something is so, but not for ever.
fn wait_for(it_is_so: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !it_is_so() && Instant::now() < end {
        thread::sleep(Duration::from_millis(50));
    }
}

/// Children that lose their parents, until PID 1 has reaped them; then it ends with code 3.
fn orphans() -> ExitCode {
    let before = children_of_init();
    for _ in 0..ORPHANS {
        let parent = myself("parent").spawn();
        let _ = parent.and_then(|mut parent| parent.wait());
    }
    let with = children_of_init();
    let _ = fs::write(MAY_END, b"");
    wait_for(|| children_of_init() == before);
    let after = children_of_init();
    println!(
        "workload: children of init, and of these not reaped: {before:?} at first, {with:?}, {after:?} at last"
    );
    ExitCode::from(3)
}

/// Goes on until it is asked to end. Before it says so it waits, and reseeds the kernel's generator: a young
/// kernel reseeds by itself when its seed is half as old as the machine, and a guest that does not reseed at its
/// wake would be taken for one that does.
fn stay() -> ExitCode {
    let asked = Arc::new(AtomicBool::new(false));
    if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGTERM, asked.clone()) {
        println!("workload: {error}");
        return ExitCode::FAILURE;
    }
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let up = Duration::from_secs(up.tv_sec.unsigned_abs());
    thread::sleep(SETTLED.saturating_sub(up));
    if let Err(error) = reseed() {
        println!("workload: reseeding: {error}");
    }
    println!("workload: stays");
    let mut known = None;
    while !asked.load(Ordering::Relaxed) {
        let now = whereabouts();
        if now != known {
            if let Some(now) = &now {
                println!("workload: {now}");
            }
            known = now;
        }
        thread::sleep(Duration::from_millis(50));
    }
    println!("workload: SIGTERM");
    ExitCode::SUCCESS
}

/// Goes on until the machine's name is another one, and then asks PID 1 to reboot.
fn interrupt() -> ExitCode {
    let name = || fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let before = name();
    while name() == before {
        thread::sleep(Duration::from_millis(50));
    }
    println!("workload: {}, and SIGINT", name().trim());
    if let Err(error) =
        rustix::process::kill_process(rustix::process::Pid::INIT, rustix::process::Signal::INT)
    {
        println!("workload: SIGINT: {error}");
    }
    loop {
        thread::sleep(SECOND);
    }
}

/// The host's name, and the hardware address, network and gateway of `eth0`, once it has a gateway.
fn whereabouts() -> Option<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    // "eth0 00000000 0100070A 0003 …": destination and gateway in hexadecimal digits, the low byte first.
    let routes = read("/proc/net/route");
    let routes = routes.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let routes: Vec<_> = routes.filter(|fields| fields.first() == Some(&"eth0")).collect();
    let address =
        |field: &str| u32::from_str_radix(field, 16).ok().map(|bits| Ipv4Addr::from(bits.to_le_bytes()));
    let gateway = address(routes.iter().find(|fields| fields.get(1) == Some(&"00000000"))?.get(2)?)?;
    let network = address(routes.iter().find(|fields| fields.get(2) == Some(&"00000000"))?.get(1)?)?;
    let (name, mac) = (read("/proc/sys/kernel/hostname"), read("/sys/class/net/eth0/address"));
    Some(format!("{} {} in {network} by {gateway}", name.trim(), mac.trim()))
}

#[allow(unsafe_code)]
fn reseed() -> rustix::io::Result<()> {
    /// `RNDRESEEDCRNG` of `linux/random.h`.
    const RESEED: rustix::ioctl::Opcode = rustix::ioctl::opcode::none(b'R', 7);
    let random = fs::File::options().write(true).open("/dev/urandom");
    let random = random.map_err(|_| rustix::io::Errno::NOENT)?;
    // SAFETY: the opcode takes nothing.
    unsafe { rustix::ioctl::ioctl(random, rustix::ioctl::NoArg::<RESEED>::new()) }
}

// ---- the hostile init

/// `MODULE_INIT_COMPRESSED_FILE`: the kernel unpacks the module.
const COMPRESSED: i32 = 4;

/// As PID 1: mounts and modules as for the real one, and then a thread for each port.
fn hostile() -> ExitCode {
    for (kind, path) in [("devtmpfs", "/dev"), ("proc", "/proc")] {
        let _ = fs::create_dir(path);
        let flags = rustix::mount::MountFlags::empty();
        let _ = rustix::mount::mount(kind, path, kind, flags, None);
    }
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let modules = line.split(' ').find_map(|word| word.strip_prefix("mvm.modules="));
    for name in modules.unwrap_or_default().split(',') {
        for (suffix, flags) in
            [("ko", 0), ("ko.xz", COMPRESSED), ("ko.zst", COMPRESSED), ("ko.gz", COMPRESSED)]
        {
            if let Ok(file) = fs::File::open(format!("/lib/modules/{name}.{suffix}")) {
                let _ = rustix::system::finit_module(&file, c"", flags);
            }
        }
    }
    for port in PORTS {
        match VsockListener::bind_with_cid_port(VMADDR_CID_ANY, port) {
            Ok(listener) => {
                thread::spawn(move || {
                    for stream in listener.incoming().flatten() {
                        // The host ends it, one way or the other.
                        let _ = misbehave(port, stream);
                    }
                });
            }
            Err(error) => println!("hostile: port {port}: {error}"),
        }
    }
    println!("hostile: listening");
    loop {
        thread::sleep(SECOND);
    }
}

fn misbehave(port: u32, mut stream: VsockStream) -> io::Result<()> {
    match port {
        CLOSES => Ok(()),
        GARBAGE => {
            stream.write_all(&[0xDE, 0xAD, 0xBE, 0xEF].repeat(64))?;
            until_closed(stream)
        }
        OVERSIZE => {
            stream.write_all(&u32::MAX.to_be_bytes())?;
            endless(stream, &[0; 4096])
        }
        SILENT => until_closed(stream),
        DRIPS => {
            stream.write_all(&300_u32.to_be_bytes())?;
            drip(stream)
        }
        FLOOD => endless(stream, &[0, 0, 0, 4, 3, 1, 0, 0].repeat(512)),
        OTHER_KEY => {
            let _ = session(stream, &host::other_guest_key(), port, |_| Ok(()));
            Ok(())
        }
        FORGED => forged(stream, port),
        GARBAGE_LATER => session(stream, &host::guest_key(), port, |mut stream| {
            stream.write_all(&100_u32.to_be_bytes())?;
            stream.write_all(&[0x5A; 100])?;
            until_closed(stream)
        }),
        DRIPS_LATER => session(stream, &host::guest_key(), port, |mut stream| {
            let longest = u32::try_from(mvm_core::limits::FRAME_BODY_MAX).unwrap_or_default();
            stream.write_all(&longest.to_be_bytes())?;
            drip(stream)
        }),
        CUTS => channel(stream, &host::guest_key(), port, |mut channel| {
            // The request may have come along with the handshake's end.
            channel.receive(Deadline::after(5 * SECOND)).map(drop).map_err(io::Error::other)
        }),
        ENDLESS => frames_without_end(stream, port),
        _ => Ok(()),
    }
}

/// Reads until the host closes.
fn until_closed(mut stream: VsockStream) -> io::Result<()> {
    while stream.read(&mut [0; 4096])? > 0 {}
    Ok(())
}

fn endless(mut stream: VsockStream, bytes: &[u8]) -> io::Result<()> {
    loop {
        stream.write_all(bytes)?;
    }
}

fn drip(mut stream: VsockStream) -> io::Result<()> {
    loop {
        stream.write_all(&[3])?;
        thread::sleep(SECOND);
    }
}

/// The vsock as the library wants streams.
struct Vsock(VsockStream);

impl Read for Vsock {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Vsock {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DeadlineStream for Vsock {
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(timeout))
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.0.set_write_timeout(Some(timeout))
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.0.shutdown(std::net::Shutdown::Write)
    }
}

fn endpoint() -> io::Result<Mutex<GuestEndpoint>> {
    let mut trusted = TrustedHosts::new();
    let host = TrustedHost::new(host::host_key().public());
    trusted.insert(host).map_err(io::Error::other)?;
    let instance = InstanceId::new(host::INSTANCE).map_err(io::Error::other)?;
    Ok(Mutex::new(GuestEndpoint::bound(trusted, instance, 1)))
}

fn options(port: u32) -> GuestOptions<'static> {
    let host = host::options(port);
    GuestOptions {
        service: host.service,
        capabilities: host.capabilities,
        extensions: &[],
        lifetime_ms: host.lifetime_ms,
    }
}

/// Makes a handshake as it has to be.
fn channel(
    stream: VsockStream,
    key: &GuestKey,
    port: u32,
    then: impl FnOnce(GuestChannel<'_, Vsock>) -> io::Result<()>,
) -> io::Result<()> {
    let endpoint = endpoint()?;
    let machine = SystemEnvironment::without_restore_mark();
    let local = Local::new(key, &endpoint, &machine);
    let connection = Connection::new(Vsock(stream));
    let deadline = Deadline::after(5 * SECOND);
    let channel = GuestChannel::accept(connection, local, options(port), deadline);
    then(channel.map_err(io::Error::other)?)
}

/// Makes a handshake as it has to be, and goes on with the bare stream.
fn session(
    stream: VsockStream,
    key: &GuestKey,
    port: u32,
    then: impl FnOnce(VsockStream) -> io::Result<()>,
) -> io::Result<()> {
    channel(stream, key, port, |channel| then(channel.into_parts().1.into_stream().0))
}

/// Frames that are the session's own, and that nobody has asked for.
fn frames_without_end(stream: VsockStream, port: u32) -> io::Result<()> {
    channel(stream, &host::guest_key(), port, |mut channel| {
        loop {
            let sent = channel.send(&[0x5A; 60_000], Deadline::after(5 * SECOND));
            sent.map_err(io::Error::other)?;
        }
    })
}

/// The hello of the guest that was provisioned, but for a bit of its signature.
fn forged(mut stream: VsockStream, port: u32) -> io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
    if length > 1024 {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut hello = vec![0; length];
    stream.read_exact(&mut hello)?;
    let (key, endpoint) = (host::guest_key(), endpoint()?);
    let mut endpoint = endpoint.into_inner().map_err(|_| ErrorKind::Other)?;
    let machine = SystemEnvironment::without_restore_mark();
    let offer = endpoint.receive(&key, options(port), &machine, &hello);
    let mut out = [0; GUEST_HELLO_FRAME_MAX];
    let entropy = mvm_core::session::Entropy::new([9; 32]);
    let answered = offer.map_err(io::Error::other)?;
    let answered = answered.answer(&mut endpoint, entropy, &machine, &mut out);
    let (_, len) = answered.map_err(io::Error::other)?;
    out[len - 1] ^= 1;
    stream.write_all(&out[..len])?;
    until_closed(stream)
}
