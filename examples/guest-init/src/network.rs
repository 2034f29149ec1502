//! The guest's one interface: hardware address, address, prefix and gateway.
#![allow(unsafe_code)]

use core::ffi::CStr;
use core::net::Ipv4Addr;

use mvm_core::instance::InstanceNet;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// The interface that a microVM has.
pub(crate) const INTERFACE: &CStr = c"eth0";

const SIOCADDRT: Opcode = 0x890B;
const SIOCSIFFLAGS: Opcode = 0x8914;
const SIOCSIFADDR: Opcode = 0x8916;
const SIOCSIFNETMASK: Opcode = 0x891C;
const SIOCSIFHWADDR: Opcode = 0x8924;
const IFF_UP: u16 = 1;
const RTF_UP: u16 = 1;
const RTF_GATEWAY: u16 = 2;
const ARPHRD_ETHER: u16 = 1;
const AF_INET: u16 = 2;

/// `struct ifreq` of 64-bit processors.
#[repr(C)]
struct Request {
    name: [u8; 16],
    value: [u8; 24],
}

/// `struct rtentry` of 64-bit processors.
#[repr(C)]
#[derive(Default)]
struct Route {
    pad1: u64,
    target: [u8; 16],
    gateway: [u8; 16],
    mask: [u8; 16],
    flags: u16,
    pad2: [u16; 3],
    pad3: u64,
    class: u64,
    metric: u64,
    device: u64,
    mtu: u64,
    window: u64,
    irtt: u64,
}
const _: () = assert!(size_of::<Request>() == 40 && size_of::<Route>() == 120);

/// `struct sockaddr_in`.
fn socket_address(address: Ipv4Addr) -> [u8; 16] {
    let [low, high] = AF_INET.to_ne_bytes();
    let [a, b, c, d] = address.octets();
    [low, high, 0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]
}

fn request(name: &CStr, front: &[u8]) -> Request {
    let mut request = Request {
        name: [0; 16],
        value: [0; 24],
    };
    for (to, from) in request.name.iter_mut().take(15).zip(name.to_bytes()) {
        *to = *from;
    }
    for (to, from) in request.value.iter_mut().zip(front) {
        *to = *from;
    }
    request
}

/// Sets everything anew. The interface is taken down first: that is what some drivers need for another
/// hardware address, and it takes the routes of the network before with it.
pub(crate) fn set(name: &CStr, net: &InstanceNet) -> Result<(), Errno> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    apply::<SIOCSIFFLAGS>(&socket, request(name, &0_u16.to_ne_bytes()))?;
    let [low, high] = ARPHRD_ETHER.to_ne_bytes();
    let [a, b, c, d, e, f] = net.mac().octets();
    apply::<SIOCSIFHWADDR>(&socket, request(name, &[low, high, a, b, c, d, e, f]))?;
    apply::<SIOCSIFADDR>(&socket, request(name, &socket_address(net.guest_ip)))?;
    let mask = Ipv4Addr::from_bits(net.prefix.mask());
    apply::<SIOCSIFNETMASK>(&socket, request(name, &socket_address(mask)))?;
    apply::<SIOCSIFFLAGS>(&socket, request(name, &IFF_UP.to_ne_bytes()))?;
    let any = socket_address(Ipv4Addr::UNSPECIFIED);
    let route = Route {
        target: any,
        mask: any,
        gateway: socket_address(net.gateway_ip),
        flags: RTF_UP | RTF_GATEWAY,
        ..Route::default()
    };
    // SAFETY: the opcode takes a route.
    unsafe { ioctl(&socket, Setter::<SIOCADDRT, Route>::new(route)) }
}

fn apply<const OPCODE: Opcode>(socket: &OwnedFd, request: Request) -> Result<(), Errno> {
    // SAFETY: the opcodes above but for that of the route take an interface request, and only read it.
    unsafe { ioctl(socket, Setter::<OPCODE, Request>::new(request)) }
}
