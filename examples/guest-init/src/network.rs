//! The guest's one interface: hardware address, address, prefix and gateway.
#![allow(unsafe_code)]

use core::ffi::CStr;
use core::net::Ipv4Addr;

use mvm_core::instance::InstanceNet;

use crate::kernel::{DATAGRAM, Errno, control, socket};

/// The interface that a microVM has.
pub(crate) const INTERFACE: &CStr = c"eth0";

const SIOCADDRT: usize = 0x890B;
const SIOCSIFFLAGS: usize = 0x8914;
const SIOCSIFADDR: usize = 0x8916;
const SIOCSIFNETMASK: usize = 0x891C;
const SIOCSIFHWADDR: usize = 0x8924;
const IFF_UP: u16 = 1;
const RTF_UP: u16 = 1;
const RTF_GATEWAY: u16 = 2;
const ARPHRD_ETHER: u16 = 1;
const AF_INET: u16 = 2;

/// `struct ifreq` of 64-bit processors.
#[repr(C)]
struct Request {
    name: [u8; 16],
    value: [u8; 16],
    rest: [u8; 8],
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

/// `struct sockaddr` of an Ethernet address.
fn hardware_address(address: [u8; 6]) -> [u8; 16] {
    let [low, high] = ARPHRD_ETHER.to_ne_bytes();
    let [a, b, c, d, e, f] = address;
    [low, high, a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// The field for flags, with what follows it.
fn flags(flags: u16) -> [u8; 16] {
    u128::from(flags).to_le_bytes()
}

/// Sets everything anew. The interface is taken down first: that is what some drivers need for another
/// hardware address, and it takes the routes of the network before with it.
pub(crate) fn set(name: &CStr, net: &InstanceNet) -> Result<(), Errno> {
    let socket = socket(AF_INET, DATAGRAM)?;
    let mut request = Request {
        name: [0; 16],
        value: [0; 16],
        rest: [0; 8],
    };
    for (to, from) in request.name.iter_mut().take(15).zip(name.to_bytes()) {
        *to = *from;
    }
    let mask = Ipv4Addr::from_bits(net.prefix.mask());
    for (opcode, value) in [
        (SIOCSIFFLAGS, flags(0)),
        (SIOCSIFHWADDR, hardware_address(net.mac().octets())),
        (SIOCSIFADDR, socket_address(net.guest_ip)),
        (SIOCSIFNETMASK, socket_address(mask)),
        (SIOCSIFFLAGS, flags(IFF_UP)),
    ] {
        request.value = value;
        // SAFETY: each of these opcodes reads an interface request.
        unsafe { control(&socket, opcode, &request)? };
    }
    let any = socket_address(Ipv4Addr::UNSPECIFIED);
    let route = Route {
        target: any,
        mask: any,
        gateway: socket_address(net.gateway_ip),
        flags: RTF_UP | RTF_GATEWAY,
        ..Route::default()
    };
    // SAFETY: it reads a route.
    unsafe { control(&socket, SIOCADDRT, &route) }
}
