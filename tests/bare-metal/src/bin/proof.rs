//! Runs on the microcontroller what the library promises to hold there: RFC 8032, names and
//! transitions, a whole handshake with more than a hundred frames each way, and measures the stack.
#![no_std]
#![no_main]

use core::cell::{Cell, RefCell};
use core::fmt::Write as _;
use core::str::FromStr;

use bare_metal::program::{BUFFER, Connection, Guest, Machine, Output, Stopped};
use bare_metal::semihosting::{Exit, File, exit};
use bare_metal::stack;
use bare_metal::vectors::{NAMES, RFC8032, TAPS, TRANSITIONS};
use mvm_core::guest::{
    Answer, Call, Calls, Capabilities, Extension, Lifecycle, Negotiated, Ping, SecretBytes,
    Shutdown, ShutdownMode, SleepPrep, Wake,
};
use mvm_core::instance::{InstanceStatus, validate_transition};
use mvm_core::naming::{
    HostOffset, InstanceId, MacAddr, SignerId, TapName, TemplateId, TenantId, TenantNetId, VmName,
};
use mvm_core::session::{
    Entropy, Environment, GuestEndpoint, GuestKey, GuestPublicKey, GuestTrust, HostEndpoint,
    HostKey, HostOptions, HostSession, Mark, Opened, Received, TrustedHost, TrustedHosts,
};
use mvm_core::signing::{DocumentKey, Signature, SignedPayload, TrustedKey, TrustedKeys};
use mvm_core::time::Timestamp;
use mvm_core::wire::codec::Bytes;

/// What did not hold, and where.
struct Failed(&'static str, u32);

type Held<T> = Result<T, Failed>;

fn check(holds: bool, what: &'static str, at: usize) -> Held<()> {
    if holds {
        Ok(())
    } else {
        Err(Failed(what, at as u32))
    }
}

trait OrFailed<T> {
    fn or_failed(self, what: &'static str, at: usize) -> Held<T>;
}

impl<T, E> OrFailed<T> for Result<T, E> {
    fn or_failed(self, what: &'static str, at: usize) -> Held<T> {
        self.map_err(|_| Failed(what, at as u32))
    }
}

/// Signatures of documents are Ed25519 over the payload as it is.
fn rfc8032() -> Held<usize> {
    for (at, vector) in RFC8032.iter().enumerate() {
        let mut expected = vector.signature;
        if cfg!(planted = "vector") && at == 2 {
            expected[40] ^= 1;
        }
        let key = DocumentKey::from_seed(&vector.seed);
        check(key.public().as_bytes() == &vector.public, "public key", at)?;
        let signer = SignerId::new("rfc-8032").or_failed("signer", at)?;
        let signed =
            SignedPayload::sign(vector.message, signer.clone(), &key).or_failed("signing", at)?;
        check(signed.signature().as_bytes() == &expected, "signature", at)?;
        let mut trusted = TrustedKeys::<1>::new();
        trusted
            .insert(TrustedKey::new(signer.clone(), key.public()))
            .or_failed("trust", at)?;
        check(signed.verify(&trusted, None).is_ok(), "verifying", at)?;
        let mut changed = vector.signature;
        changed[0] ^= 1;
        let forged =
            SignedPayload::from_parts(vector.message, Signature::from_bytes(changed), signer);
        let refused = forged.verify(&trusted, None);
        check(refused.is_err(), "a forged signature", at)?;
        if let (0, Err(error)) = (at, refused) {
            defmt::info!("forged: {}", error);
        }
        defmt::info!("rfc 8032 {=str}: {}", vector.case, signed.signer_id());
    }
    Ok(RFC8032.len())
}

fn names() -> Held<usize> {
    for (at, (input, [id, vm, template])) in NAMES.iter().enumerate() {
        check(TenantId::new(input).is_ok() == *id, "id", at)?;
        check(VmName::new(input).is_ok() == *vm, "VM name", at)?;
        check(
            TemplateId::new(input).is_ok() == *template,
            "template name",
            at,
        )?;
    }
    for (at, (net, offset, tap, mac)) in TAPS.iter().enumerate() {
        let net = TenantNetId::new(*net).or_failed("network", at)?;
        // Offsets 0 and 255 are no hosts.
        let Some(offset) = u8::try_from(*offset)
            .ok()
            .and_then(|o| HostOffset::new(o).ok())
        else {
            check(matches!(offset, 0 | 255), "offset", at)?;
            continue;
        };
        check(TapName::new(net, offset).as_str() == *tap, "TAP name", at)?;
        check(
            MacAddr::parse(mac) == Ok(MacAddr::new(net, offset)),
            "MAC address",
            at,
        )?;
        let parsed = TapName::parse(tap).or_failed("TAP name", at)?;
        check(parsed.parts() == (net, offset), "TAP parts", at)?;
    }
    if let Err(error) = TenantId::new("-acme") {
        defmt::info!("no id: {}", error);
    }
    Ok(NAMES.len() + TAPS.len())
}

fn transitions() -> Held<usize> {
    for (at, (from, to, allowed)) in TRANSITIONS.iter().enumerate() {
        let from = InstanceStatus::from_str(from).or_failed("status", at)?;
        let to = InstanceStatus::from_str(to).or_failed("status", at)?;
        let allowed = *allowed ^ (cfg!(planted = "transition") && at == 48);
        let result = validate_transition(from, to);
        check(result.is_ok() == allowed, "transition", at)?;
        if let (0, Err(error)) = (at, result) {
            defmt::info!("refused: {}", error);
        }
    }
    Ok(TRANSITIONS.len())
}

/// The guest's machine, and a queue of what it sent.
struct Board {
    sent: RefCell<([u8; BUFFER], usize)>,
    millis: Cell<u64>,
    entropy: Cell<u8>,
    clock: Cell<i64>,
    new_key: Cell<bool>,
}

impl Environment for Board {
    fn mark(&self) -> Mark {
        Mark::Changing(1)
    }

    fn monotonic_millis(&self) -> u64 {
        self.millis.get()
    }
}

impl Machine for Board {
    fn write(&self, bytes: &[u8]) {
        let (queue, len) = &mut *self.sent.borrow_mut();
        let end = *len + bytes.len();
        if let Some(space) = queue.get_mut(*len..end) {
            space.copy_from_slice(bytes);
            *len = end;
        }
    }

    fn entropy(&self) -> [u8; 32] {
        self.entropy.set(self.entropy.get() + 1);
        [self.entropy.get(); 32]
    }

    fn set_clock(&self, seconds: i64) -> bool {
        self.clock.set(seconds);
        true
    }

    fn keep_key(&self, _public: &GuestPublicKey) -> bool {
        self.new_key.set(true);
        true
    }
}

/// Both ends of the stream, and the guest's deepest stack: in handshakes, in frames.
struct Stream<'a, 'k, 'b> {
    board: &'a Board,
    guest: &'a mut Guest<'k>,
    connection: Connection<'k, 'b>,
    output: &'a mut Output,
    deepest: &'a mut [usize; 2],
}

impl Stream<'_, '_, '_> {
    /// Sends the host's bytes and lets the guest work on them.
    fn send(&mut self, bytes: &[u8]) -> Result<bool, Stopped> {
        let space = self.connection.space();
        let Some(space) = space.get_mut(..bytes.len()) else {
            return Err(Stopped::Stream);
        };
        space.copy_from_slice(bytes);
        let (result, used) = stack::used(|| {
            self.connection
                .received(bytes.len(), self.guest, self.board, self.board, self.output)
        });
        let [handshake, frames] = self.deepest;
        let deepest = if self.connection.answered() > 0 {
            frames
        } else {
            handshake
        };
        *deepest = used.max(*deepest);
        self.board.millis.set(self.board.millis.get() + 1);
        result
    }

    /// The body of the next frame that the guest sent.
    fn take<'o>(&self, into: &'o mut [u8; BUFFER]) -> Option<&'o [u8]> {
        let (queue, len) = &mut *self.board.sent.borrow_mut();
        let header = queue.first_chunk::<4>()?;
        let end = 4 + usize::try_from(u32::from_be_bytes(*header)).ok()?;
        if end > *len {
            return None;
        }
        *into = *queue;
        queue.copy_within(end..*len, 0);
        *len -= end;
        into.get(4..end)
    }
}

/// The host's buffers.
struct Desk {
    out: [u8; BUFFER],
    payload: [u8; BUFFER],
    received: [u8; BUFFER],
}

fn handshake<'h>(
    stream: &mut Stream<'_, '_, '_>,
    host: &mut HostEndpoint,
    key: &'h HostKey,
    desk: &mut Desk,
) -> Held<(HostSession<'h>, Calls<2>)> {
    let board = stream.board;
    let options = HostOptions {
        service: 1,
        capabilities: Capabilities::KNOWN.bits(),
        extensions: &[],
        lifetime_ms: 3_600_000,
    };
    let entropy = Entropy::new([host.generation() as u8; 32]);
    let (waiting, len) = host
        .begin(key, options, entropy, board, &mut desk.out)
        .or_failed("host hello", 0)?;
    stream.send(&desk.out[..len]).or_failed("guest hello", 0)?;
    let body = stream
        .take(&mut desk.received)
        .ok_or(Failed("guest hello", 1))?;
    let received = waiting
        .receive(host, board, body)
        .or_failed("guest hello", 2)?;
    let Received::Verified(verified) = received else {
        return Err(Failed("guest hello", 3));
    };
    let (session, len) = verified
        .finish(host, board, &mut desk.out)
        .or_failed("host finish", 0)?;
    stream.send(&desk.out[..len]).or_failed("host finish", 1)?;
    defmt::info!(
        "handshake: {} {}",
        session.instance(),
        stream.guest.endpoint.binding()
    );
    let common = Capabilities::from_bits(session.capabilities());
    Ok((
        session,
        Calls::new(Negotiated::host(Capabilities::KNOWN, common)),
    ))
}

/// One request and its answer; gives whether the connection goes on.
fn ask(
    stream: &mut Stream<'_, '_, '_>,
    host: &mut HostEndpoint,
    (session, calls): &mut (HostSession<'_>, Calls<2>),
    desk: &mut Desk,
    call: &Call<'_>,
    at: usize,
    right: impl FnOnce(&Answer<'_>) -> bool,
) -> Held<bool> {
    let board = stream.board;
    let now = board.monotonic_millis();
    let (_, len) = calls
        .begin(call, 1_000, now, &mut desk.payload)
        .or_failed("request", at)?;
    let len = session
        .seal(host, board, &desk.payload[..len], &mut desk.out)
        .or_failed("sealing", at)?;
    if cfg!(planted = "frame") && at == 50 {
        desk.out[20] ^= 1;
    }
    let goes_on = stream.send(&desk.out[..len]).or_failed("the guest", at)?;
    let body = stream
        .take(&mut desk.received)
        .ok_or(Failed("no answer", at as u32))?;
    let Opened::Data(payload) = session.open(host, board, body).or_failed("opening", at)? else {
        return Err(Failed("closed", at as u32));
    };
    let completed = calls
        .accept(payload, board.monotonic_millis())
        .or_failed("answer", at)?;
    match completed.outcome {
        Ok(answer) => check(right(&answer), "answer", at)?,
        Err(_) => return Err(Failed("failure", at as u32)),
    }
    Ok(goes_on)
}

/// A handshake, a hundred requests and a sleep; the replay of a frame, which must fail; the next
/// generation, a wake, a shutdown. Gives how many frames went each way.
fn sessions(
    input: &mut [u8],
    output: &mut Output,
    desk: &mut Desk,
    report: &mut Report,
) -> Held<()> {
    let board = Board {
        sent: RefCell::new(([0; BUFFER], 0)),
        millis: Cell::new(0),
        entropy: Cell::new(0),
        clock: Cell::new(0),
        new_key: Cell::new(false),
    };
    let host_key = HostKey::from_seed(&[1; 32]);
    let guest_key = GuestKey::from_seed(&[2; 32]);
    let mut trust = TrustedHosts::new();
    trust
        .insert(TrustedHost::new(host_key.public()))
        .or_failed("trust", 0)?;
    let mut guest = Guest {
        key: &guest_key,
        endpoint: GuestEndpoint::new(trust),
        lifecycle: Lifecycle::booted(),
        service: 1,
    };
    report.state = size_of_val(&guest) + size_of_val(&guest_key) + size_of::<Connection<'_, '_>>();
    let instance = InstanceId::from_entropy([1, 2, 3, 4]);
    let pinned = GuestTrust::pinned(guest_key.public());
    let mut host = HostEndpoint::new(instance, 1, pinned).or_failed("host", 0)?;

    let mut stream = Stream {
        board: &board,
        guest: &mut guest,
        connection: Connection::new(input),
        output,
        deepest: &mut report.deepest,
    };
    let mut session = handshake(&mut stream, &mut host, &host_key, desk)?;
    for at in 0..99 {
        let body = [at as u8; 700];
        let body = Bytes(&body);
        let nonce = at as u64;
        let call = match at % 3 {
            0 => Call::Ping(Ping { nonce }),
            1 => Call::Status,
            _ => Call::Extension(Extension { kind: 7, body }),
        };
        ask(
            &mut stream,
            &mut host,
            &mut session,
            desk,
            &call,
            at,
            |answer| match answer {
                Answer::Pong(pong) => at % 3 == 0 && pong.nonce == nonce,
                Answer::Status(status) => at % 3 == 1 && status.is_ready(),
                Answer::Extension(echo) => at % 3 == 2 && *echo == body,
                _ => false,
            },
        )?;
    }
    let call = Call::SleepPrep(SleepPrep {
        flush_deadline_ms: 500,
        unbind: false,
    });
    let asleep = |answer: &Answer<'_>| matches!(answer, Answer::SleepPrep);
    let goes_on = ask(
        &mut stream,
        &mut host,
        &mut session,
        desk,
        &call,
        99,
        asleep,
    )?;
    check(!goes_on, "the guest goes on after its sleep", 0)?;
    report.frames = session.0.frames();

    // The session is dead for the guest, whatever is sent in it.
    let len = session
        .0
        .seal(&host, &board, b"late", &mut desk.out)
        .or_failed("sealing", 0)?;
    let refused = stream.send(&desk.out[..len]);
    check(
        refused == Err(Stopped::Session),
        "a frame after the sleep",
        0,
    )?;
    report.answered = stream.connection.answered();

    // The next generation.
    let Stream {
        guest,
        output,
        deepest,
        ..
    } = stream;
    host.raise(2).or_failed("generation", 2)?;
    let mut input = [0; BUFFER];
    let mut stream = Stream {
        board: &board,
        guest,
        connection: Connection::new(&mut input),
        output,
        deepest,
    };
    let mut session = handshake(&mut stream, &mut host, &host_key, desk)?;
    let call = Call::Wake(Wake {
        generation: 2,
        wall_clock: Timestamp::new(1_700_000_000, 0).or_failed("time", 0)?,
        entropy: SecretBytes::new([3; 32]),
        identity: None,
        network: None,
        new_guest_key: Some(SecretBytes::new([4; 32])),
    });
    let Call::Wake(wake) = &call else {
        return Err(Failed("wake", 0));
    };
    let steps = wake.steps();
    let awake = |answer: &Answer<'_>| match answer {
        Answer::Wake(report) => report.check(steps).is_ok(),
        _ => false,
    };
    ask(
        &mut stream,
        &mut host,
        &mut session,
        desk,
        &call,
        100,
        awake,
    )?;
    check(
        board.clock.get() == 1_700_000_000 && board.new_key.get(),
        "the wake",
        0,
    )?;
    check(stream.guest.lifecycle.is_awake(), "awake", 0)?;
    let call = Call::Shutdown(Shutdown {
        grace_ms: 10,
        mode: ShutdownMode::PowerOff,
    });
    let stopped = |answer: &Answer<'_>| matches!(answer, Answer::Shutdown);
    let goes_on = ask(
        &mut stream,
        &mut host,
        &mut session,
        desk,
        &call,
        101,
        stopped,
    )?;
    check(!goes_on, "the guest goes on after its shutdown", 0)?;
    let body = stream.take(&mut desk.received).ok_or(Failed("close", 0))?;
    let closed = session.0.open(&mut host, &board, body);
    check(closed == Ok(Opened::Closed), "close", 1)?;
    check(session.0.end_of_stream().is_ok(), "end of the stream", 0)?;
    let (sent, received) = report.frames;
    report.frames = (sent + 2, received + 3);
    defmt::info!("guest: {}", stream.guest.lifecycle);
    Ok(())
}

/// What is told the world.
#[derive(Default)]
struct Report {
    frames: (u64, u64),
    answered: u32,
    deepest: [usize; 2],
    state: usize,
}

static mut INPUT: [u8; BUFFER] = [0; BUFFER];
static mut OUTPUT: Output = Output::new();
static mut DESK: Desk = Desk {
    out: [0; BUFFER],
    payload: [0; BUFFER],
    received: [0; BUFFER],
};

fn run(console: &mut File) -> Held<()> {
    let vectors = rfc8032()?;
    let _ = writeln!(console, "rfc 8032: {vectors} vectors");
    let names = names()?;
    let _ = writeln!(console, "names: {names} rows");
    let transitions = transitions()?;
    let _ = writeln!(console, "transitions: {transitions} rows");
    if cfg!(planted = "panic") {
        let _ = writeln!(console, "{}", NAMES[core::hint::black_box(NAMES.len())].0);
    }
    if cfg!(planted = "fault") {
        // SAFETY: an undefined instruction, which is the point.
        unsafe { core::arch::asm!("udf #0") };
    }
    while cfg!(planted = "hang") {}
    let mut report = Report::default();
    // SAFETY: this function runs once, and nothing else names these statics.
    let (input, output, desk) = unsafe {
        (
            &mut *(&raw mut INPUT),
            &mut *(&raw mut OUTPUT),
            &mut *(&raw mut DESK),
        )
    };
    sessions(input, output, desk, &mut report)?;
    let (sent, received) = report.frames;
    let _ = writeln!(console, "frames: {sent} to the guest, {received} from it");
    let _ = writeln!(console, "answered: {}", report.answered);
    let [handshake, frames] = report.deepest;
    let _ = writeln!(console, "guest stack in a handshake: {handshake}");
    let _ = writeln!(console, "guest stack in a frame: {frames}");
    let _ = writeln!(console, "guest state: {}", report.state);
    let most = report.state + handshake.max(frames);
    let _ = writeln!(console, "guest, beyond its buffers: {most}");
    Ok(())
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut console = File::console();
    match run(&mut console) {
        Ok(()) => {
            defmt::info!("held");
            let _ = writeln!(console, "held");
            exit(Exit::Held)
        }
        Err(Failed(what, at)) => {
            defmt::error!("did not hold: {=str} {}", what, at);
            let _ = writeln!(console, "did not hold: {what} {at}");
            exit(Exit::Failed)
        }
    }
}
