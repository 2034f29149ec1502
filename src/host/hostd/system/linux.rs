//! Linux: `SO_PEERCRED` and `MSG_NOSIGNAL`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, send as send_flagged, socket_with,
};

use super::peer::Peer;

/// Who was at the other end when the connection was made, or began to listen.
pub(super) fn peer(socket: impl AsFd) -> io::Result<Peer> {
    let found = socket_peercred(socket)?;
    Ok(Peer {
        uid: found.uid.as_raw(),
        gid: found.gid.as_raw(),
        // A process of another pid namespace has no number here, for which the kernel says 0.
        pid: u32::try_from(found.pid.as_raw_pid())
            .ok()
            .filter(|pid| *pid > 0),
    })
}

/// Writes what there is room for. A peer that has gone is an error and no signal, whatever the
/// program does with `SIGPIPE`.
pub(super) fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(send_flagged(socket, bytes, SendFlags::NOSIGNAL)?)
}

/// A new stream socket in non-blocking mode, which no other program inherits.
pub(super) fn stream_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    Ok(socket)
}
