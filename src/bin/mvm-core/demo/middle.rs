//! Who sits between host and guest: relays frames, keeps a copy of each, and attacks if told to.

use alloc::sync::Arc;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::PATIENCE;

/// The host's frames before its first payload: hello and finish.
pub(super) const HANDSHAKE_FRAMES: usize = 2;
/// Where in a frame its sequence number is: behind the length, one byte while it is below 128.
const SEQUENCE_AT: usize = 4;

/// What the middle does to the host's frames.
pub(super) enum Plan {
    /// Nothing.
    Relay,
    /// Sends the first payload's frame twice.
    Replay,
    /// Sends the first payload's frame again with the sequence number that is due then.
    Rewrite,
    /// Sends this frame, which was signed in another session, in the place of the first payload's.
    Splice(Vec<u8>),
    /// Holds back what follows the first payload until it is released.
    Hold,
}

/// Every whole frame that came by, with its length.
#[derive(Default)]
struct Copies {
    from_host: Vec<Vec<u8>>,
    from_guest: Vec<Vec<u8>>,
}

/// The host's view of a connection's middle.
pub(super) struct Middle {
    copies: Arc<Mutex<Copies>>,
    release: Sender<()>,
}

impl Middle {
    /// A connection to the socket with somebody in the middle: what is written to the stream goes
    /// through `plan`.
    pub(super) fn between(socket: &Path, plan: Plan) -> io::Result<(UnixStream, Self)> {
        let to_guest = UnixStream::connect(socket)?;
        let (at_host, to_host) = UnixStream::pair()?;
        for stream in [&to_guest, &to_host] {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
        }
        let (from_guest, from_host) = (to_guest.try_clone()?, to_host.try_clone()?);
        let copies = Arc::new(Mutex::new(Copies::default()));
        let (release, released) = channel();
        let kept = Arc::clone(&copies);
        thread::spawn(move || {
            let mut line = [0; 64];
            ends(to_guest, |to_guest| {
                relay_line(&from_host, to_guest, &mut line)?;
                from_host_to_guest(&from_host, to_guest, plan, &released, &kept)
            });
        });
        let kept = Arc::clone(&copies);
        thread::spawn(move || {
            let mut line = [0; 64];
            ends(to_host, |to_host| {
                relay_line(&from_guest, to_host, &mut line)?;
                loop {
                    let frame = read_frame(&from_guest)?;
                    // Kept before it is passed on: who has received it finds its copy.
                    lock(&kept).from_guest.push(frame.clone());
                    to_host.write_all(&frame)?;
                }
            });
        });
        Ok((at_host, Self { copies, release }))
    }

    /// The host's frame number `at`, if it came by.
    pub(super) fn host_frame(&self, at: usize) -> Option<Vec<u8>> {
        lock(&self.copies).from_host.get(at).cloned()
    }

    /// Waits for the host's frame number `at`, which is on its way.
    pub(super) fn await_host_frame(&self, at: usize, within: Duration) -> Option<Vec<u8>> {
        let start = Instant::now();
        loop {
            let frame = self.host_frame(at);
            if frame.is_some() || start.elapsed() > within {
                return frame;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The guest's frame number `at`, if it came by.
    pub(super) fn guest_frame(&self, at: usize) -> Option<Vec<u8>> {
        lock(&self.copies).from_guest.get(at).cloned()
    }

    /// Lets go of what was held back.
    pub(super) fn release(&self) {
        // A middle that is gone holds nothing.
        let _ = self.release.send(());
    }
}

fn lock(copies: &Mutex<Copies>) -> std::sync::MutexGuard<'_, Copies> {
    copies.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one direction until the stream ends, and passes the end on.
fn ends(mut to: UnixStream, run: impl FnOnce(&mut UnixStream) -> io::Result<()>) {
    // A stream that ends, in whatever way, is the two ends' to judge.
    let _ = run(&mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// Relays the text line before the frames, `CONNECT` or `OK`.
fn relay_line(mut from: &UnixStream, to: &mut UnixStream, line: &mut [u8]) -> io::Result<()> {
    for place in line {
        let place = core::slice::from_mut(place);
        from.read_exact(place)?;
        to.write_all(place)?;
        if *place == *b"\n" {
            return Ok(());
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn read_frame(mut from: &UnixStream) -> io::Result<Vec<u8>> {
    let mut header = [0; 4];
    from.read_exact(&mut header)?;
    let len = u64::from(u32::from_be_bytes(header));
    let mut frame = header.to_vec();
    if from.take(len).read_to_end(&mut frame)? < usize::try_from(len).unwrap_or(usize::MAX) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(frame)
}

fn from_host_to_guest(
    from: &UnixStream,
    to: &mut UnixStream,
    plan: Plan,
    released: &Receiver<()>,
    copies: &Mutex<Copies>,
) -> io::Result<()> {
    for at in 0_usize.. {
        let frame = read_frame(from)?;
        lock(copies).from_host.push(frame.clone());
        let first_payload = at == HANDSHAKE_FRAMES;
        match &plan {
            Plan::Splice(other) if first_payload => to.write_all(other)?,
            Plan::Replay if first_payload => {
                to.write_all(&frame)?;
                to.write_all(&frame)?;
            }
            Plan::Rewrite if first_payload => {
                to.write_all(&frame)?;
                let mut rewritten = frame;
                if let Some(sequence) = rewritten.get_mut(SEQUENCE_AT) {
                    *sequence = 1;
                }
                to.write_all(&rewritten)?;
            }
            Plan::Hold if at > HANDSHAKE_FRAMES => {
                let held = released.recv_timeout(PATIENCE);
                held.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
                to.write_all(&frame)?;
            }
            _ => to.write_all(&frame)?,
        }
    }
    Ok(())
}
