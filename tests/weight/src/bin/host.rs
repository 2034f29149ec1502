//! The host's side of the guest on 0.13.0: `host SOCKET PORT SECONDS` connects through the VMM's
//! Unix socket as soon as the guest listens, pings, asks for the status, and shuts it down. Its key is
//! the one of 32 bytes `11`, which is that of the host in tests/microvm.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use weight::{GuestRequest, GuestResponse, Result, Session, hex, invalid};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let key = SigningKey::from_bytes(&[0x11; 32]);
    let [socket, port, seconds] = arguments.as_slice() else {
        println!("{}", hex(key.verifying_key().as_bytes()));
        return Ok(());
    };
    let seconds = seconds.parse().map_err(|_| invalid("no seconds"))?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut session = loop {
        let connected = connect(socket, port)
            .and_then(|stream| Session::connect(stream, key.clone(), None, "s-1".into(), [7; 32]));
        match connected {
            Ok(session) => break session,
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    };
    let mut ask = |request: GuestRequest| -> Result<GuestResponse> {
        session.send(&request)?;
        let answer = session.receive()?;
        println!("{request:?}: {answer:?}");
        Ok(answer)
    };
    let GuestResponse::Pong = ask(GuestRequest::Ping)? else {
        return Err(invalid("no answer to a ping"));
    };
    let GuestResponse::WorkerStatus { .. } = ask(GuestRequest::WorkerStatus)? else {
        return Err(invalid("no status"));
    };
    let sleep = GuestRequest::SleepPrep {
        drain_timeout_secs: 5,
    };
    let GuestResponse::SleepPrepAck { success: true, .. } = ask(sleep)? else {
        return Err(invalid("not prepared"));
    };
    let GuestResponse::WakeAck { success: true } = ask(GuestRequest::Wake)? else {
        return Err(invalid("not awake"));
    };
    match ask(GuestRequest::Shutdown { grace_secs: 1 }) {
        Ok(GuestResponse::ShutdownAck) => Ok(()),
        // The machine may be gone before its answer is out: 0.13.0 has no end of a session.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Ok(_) => Err(invalid("no shutdown")),
        Err(error) => Err(error),
    }
}

/// The line of the VMM's socket, and its answer.
fn connect(socket: &str, port: &str) -> Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    writeln!(stream, "CONNECT {port}")?;
    // Of one byte: nothing of what follows the line is taken.
    let mut reader = BufReader::with_capacity(1, stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if line.starts_with("OK ") {
        Ok(stream)
    } else {
        Err(io::Error::new(io::ErrorKind::ConnectionRefused, line))
    }
}
