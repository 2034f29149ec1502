//! Sockets of the family vsock.
#![allow(unsafe_code)]

use crate::kernel::{self, Errno, Fd, NONBLOCK, STREAM};

const AF_VSOCK: u16 = 40;
/// Any of this machine's own addresses.
const CID_ANY: u32 = u32::MAX;
/// The host's.
const CID_HOST: u32 = 2;
const BACKLOG: usize = 16;

/// `struct sockaddr_vm`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Address {
    family: u16,
    reserved: u16,
    port: u32,
    cid: u32,
    flags: u8,
    zero: [u8; 3],
}

/// Listens on a port. The socket does not block.
pub(crate) fn listener(port: u32) -> Result<Fd, Errno> {
    let socket = kernel::socket(AF_VSOCK, STREAM | NONBLOCK)?;
    let address = Address {
        family: AF_VSOCK,
        port,
        cid: CID_ANY,
        ..Address::default()
    };
    // SAFETY: it is the structure of this family.
    unsafe { kernel::listen(&socket, &address, BACKLOG)? };
    Ok(socket)
}

/// The next connection of the host; anybody else's, such as one from inside of the guest, is closed and
/// gives `None`. The socket does not block.
pub(crate) fn accept(listener: &Fd) -> Result<Option<Fd>, Errno> {
    let mut peer = Address::default();
    // SAFETY: it is the structure of this family.
    let stream = unsafe { kernel::accept(listener, &mut peer)? };
    let from_host = peer.family == AF_VSOCK && peer.cid == CID_HOST;
    Ok(from_host.then_some(stream))
}
