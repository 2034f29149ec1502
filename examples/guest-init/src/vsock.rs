//! Sockets of the family vsock, whose addresses rustix has no type for.
#![allow(unsafe_code)]
#![allow(
    clippy::as_conversions,
    reason = "registers hold what they are given, and sizes are small"
)]

use linux_raw_sys::general as nr;
use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen};

use crate::descriptor::Fd;
use crate::sys::call;

const AF_VSOCK: u16 = 40;
/// Any of this machine's own addresses.
const CID_ANY: u32 = u32::MAX;
/// The host's.
const CID_HOST: u32 = 2;
const BACKLOG: i32 = 16;
const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

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

/// A socket of streams or of datagrams.
pub(crate) fn socket(
    family: AddressFamily,
    kind: SocketType,
    flags: SocketFlags,
) -> Result<Fd, Errno> {
    let kind = kind.as_raw() | flags.bits();
    // SAFETY: it takes no pointer, and the descriptor is new.
    unsafe {
        let family = usize::from(family.as_raw());
        let given = call(nr::__NR_socket, [family, kind as usize, 0, 0, 0])?;
        Ok(Fd::new(given))
    }
}

/// Listens on a port. The socket does not block.
pub(crate) fn listener(port: u32) -> Result<Fd, Errno> {
    let family = AddressFamily::from_raw(AF_VSOCK);
    let socket = socket(family, SocketType::STREAM, FLAGS)?;
    let address = Address {
        family: AF_VSOCK,
        port,
        cid: CID_ANY,
        ..Address::default()
    };
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// The next connection of the host; anybody else's, such as one from inside of the guest, is closed and
/// gives `None`. The socket does not block.
pub(crate) fn accept(listener: &Fd) -> Result<Option<Fd>, Errno> {
    let mut peer = Address::default();
    let mut len = size_of::<Address>() as SocketAddrLen;
    let arguments = [
        listener.number(),
        (&raw mut peer) as usize,
        (&raw mut len) as usize,
        FLAGS.bits() as usize,
        0,
    ];
    // SAFETY: the address has the length that is said, and the descriptor is new.
    let stream = unsafe { Fd::new(call(nr::__NR_accept4, arguments)?) };
    let from_host = peer.family == AF_VSOCK && peer.cid == CID_HOST;
    Ok(from_host.then_some(stream))
}
