//! Addresses of vsocks, which rustix has no type for.
#![allow(unsafe_code, clippy::as_conversions)]

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, acceptfrom_with, bind, listen, socket_with,
};

const AF_VSOCK: u16 = 40;
/// Any of this machine's own addresses.
const CID_ANY: u32 = u32::MAX;
/// The host's.
const CID_HOST: u32 = 2;
const BACKLOG: i32 = 16;

/// `struct sockaddr_vm`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Address {
    family: u16,
    reserved: u16,
    port: u32,
    cid: u32,
    flags: u8,
    zero: [u8; 3],
}

// SAFETY: the pointer is to a `sockaddr_vm` of the length that is said.
unsafe impl SocketAddrArg for Address {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        f(
            (&raw const *self).cast(),
            size_of::<Self>() as SocketAddrLen,
        )
    }
}

/// Listens on a port. The socket does not block.
pub(crate) fn listener(port: u32) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(
        AddressFamily::from_raw(AF_VSOCK),
        SocketType::STREAM,
        flags,
        None,
    )?;
    let address = Address {
        family: AF_VSOCK,
        reserved: 0,
        port,
        cid: CID_ANY,
        flags: 0,
        zero: [0; 3],
    };
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// The next connection of the host; anybody else's, such as one from inside of the guest, is closed and
/// gives `None`. The socket does not block.
pub(crate) fn accept(listener: &OwnedFd) -> Result<Option<OwnedFd>, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (stream, peer) = acceptfrom_with(listener, flags)?;
    let from_host = peer.is_some_and(|peer| {
        if peer.addr_len() < size_of::<Address>() as SocketAddrLen {
            return false;
        }
        // SAFETY: so many bytes are there, and any bytes make an address.
        let peer = unsafe { peer.as_ptr().cast::<Address>().read_unaligned() };
        peer.family == AF_VSOCK && peer.cid == CID_HOST
    });
    Ok(from_host.then_some(stream))
}
