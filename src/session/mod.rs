//! Session protocol v3: host and guest authenticate each other over a byte stream, and every frame
//! after that is signed at its place in its session and direction.
//!
//! # Using it
//! Nothing here does IO, keeps a buffer, reads a clock or draws entropy: bytes go in, bytes come
//! out, and the caller brings the rest ([`Environment`], [`Entropy`]). Each step of a handshake
//! consumes the one before, so calls in the wrong order do not compile:
//!
//! ```text
//! host                                              guest
//! HostEndpoint::begin ──────── HostHello ─────────▶ GuestEndpoint::receive
//!   HostAwaitingGuest                                 GuestOffer        nothing is signed yet
//! HostAwaitingGuest::receive ◀─ GuestHello ──────── GuestOffer::answer
//!   Received::Verified(HostVerified)                  GuestAwaitingFinish
//! HostVerified::finish ─────── HostFinish ────────▶ GuestAwaitingFinish::finish
//!   HostSession ◀─────────────── Frame ─────────────▶ GuestSession
//! ```
//!
//! What is written into an output buffer is a whole frame, length included, to be sent as it is.
//! What is read is a frame's body without its length, as a
//! [`FrameDecoder`](crate::wire::frame::FrameDecoder) cuts it out of the stream.
//!
//! An endpoint outlives its sessions and knows which of them still count: one [`GuestEndpoint`] for
//! a guest, one [`HostEndpoint`] for each instance on the host. Every call takes it, so that a
//! session that was superseded, whose key was removed or whose incarnation is over fails at its next
//! call. An endpoint that several threads share belongs behind a mutex; no call blocks.
//!
//! ```
//! use mvm_core::naming::InstanceId;
//! use mvm_core::session::*;
//!
//! struct Machine;
//! impl Environment for Machine {
//!     fn mark(&self) -> Mark { Mark::Changing(1) } // VMClock, VMGenID
//!     fn monotonic_millis(&self) -> u64 { 0 }      // CLOCK_MONOTONIC
//! }
//!
//! // Provisioned: each side has its own secret key and knows the other's public key.
//! let (host_key, guest_key) = (HostKey::from_seed(&[1; 32]), GuestKey::from_seed(&[2; 32]));
//! let instance = InstanceId::new("i-5c51564e")?;
//! let mut host = HostEndpoint::new(instance, 1, GuestTrust::pinned(guest_key.public()))?;
//! let mut trusted = TrustedHosts::new();
//! trusted.insert(TrustedHost::new(host_key.public()))?;
//! let mut guest = GuestEndpoint::new(trusted);
//!
//! let asked = HostOptions { service: 5252, capabilities: 0b11, extensions: &[], lifetime_ms: 60_000 };
//! let served = GuestOptions { service: 5252, capabilities: 0b01, extensions: &[], lifetime_ms: 60_000 };
//! let (mut from_host, mut from_guest) = ([0; HOST_HELLO_FRAME_MAX], [0; GUEST_HELLO_FRAME_MAX]);
//!
//! let (waiting, n) = host.begin(&host_key, asked, Entropy::new([3; 32]), &Machine, &mut from_host)?;
//! let offer = guest.receive(&guest_key, served, &Machine, &from_host[4..n])?;
//! let (answered, n) = offer.answer(&mut guest, Entropy::new([4; 32]), &Machine, &mut from_guest)?;
//! let Received::Verified(verified) = waiting.receive(&mut host, &Machine, &from_guest[4..n])? else {
//!     unreachable!("the key was pinned");
//! };
//! let (mut at_host, n) = verified.finish(&mut host, &Machine, &mut from_host)?;
//! let mut at_guest = answered.finish(&mut guest, &Machine, &from_host[4..n])?;
//!
//! let n = at_host.seal(&host, &Machine, b"ping", &mut from_host)?;
//! assert_eq!(at_guest.open(&mut guest, &Machine, &from_host[4..n])?, Opened::Data(b"ping"));
//! assert_eq!(at_host.capabilities(), 0b01);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # The messages, byte for byte
//! Every message is a frame: a `u32` in big-endian order, then so many bytes of body. Varints are
//! LEB128, low bits first, and minimal.
//!
//! ```text
//! HostHello                                   GuestHello
//!   0  min_version   u8  = 3                    0  version       u8  = 3, never 0
//!   1  max_version   u8  = 3                    1  suite         u8  = 1
//!   2  suites        u8, bit 0: suite 1         2  guest_nonce   32 bytes
//!   3  service       varint u16, 1-3 bytes     34  guest_key     32 bytes
//!   .  session_id    16 bytes                  66  seen          varint u64, 1-10 bytes
//!   .  host_nonce    32 bytes                   .  capabilities  varint u32, 1-5 bytes
//!   .  host_key      32 bytes                   .  extensions    varint length, 0-128 bytes
//!   .  instance      varint length, 1-63 bytes  .  signature     the last 64 bytes
//!   .  generation    varint u64, 1-10 bytes
//!   .  capabilities  varint u32, 1-5 bytes    HostFinish
//!   .  extensions    varint length, 0-128 B     0  signature     64 bytes
//!
//! Frame                                       Refusal
//!   0  sequence      varint u64, 1-5 bytes      0  0             u8, where a version would be
//!   .  kind          u8: 0 data, 1 close        1  code          u8
//!   .  payload       varint length, ≤ 256 KiB   2  min_version   u8
//!   .  signature     the last 64 bytes          3  max_version   u8
//! ```
//!
//! # The protocol
#![doc = include_str!("protocol.md")]

mod channel;
mod environment;
mod error;
mod guest;
mod handshake;
mod host;
mod ledger;
mod message;
#[cfg(test)]
mod model;
mod trust;
mod typestate;

pub use channel::{Endpoint, FRAME_OVERHEAD_MAX, Opened, PAYLOAD_MAX, Session};
pub use environment::{Entropy, Environment, Mark};
pub use error::{Ended, HandshakeError, OpenError, SealError, Side, Truncated};
pub use guest::{
    Binding, GuestAwaitingFinish, GuestEndpoint, GuestOffer, GuestOptions, GuestSession, refusal,
};
pub use host::{
    GenerationError, HostAwaitingGuest, HostEndpoint, HostOptions, HostSession, HostUnpinned,
    HostVerified, Received,
};
pub use message::{
    ExtensionsTooLong, GUEST_HELLO_FRAME_MAX, HOST_FINISH_FRAME_LEN, HOST_HELLO_FRAME_MAX,
    REFUSAL_FRAME_LEN, Refusal, RefusalCode, SUITE_SIGNED, VERSION,
};
pub use trust::{GuestTrust, TrustFull, TrustedGuest, TrustedGuests, TrustedHost, TrustedHosts};

use crate::signing::{Guest, Host, PublicKey, SecretKey};

/// The secret key of a host.
pub type HostKey = SecretKey<Host>;
/// The public key of a host.
pub type HostPublicKey = PublicKey<Host>;
/// The secret key of a guest.
pub type GuestKey = SecretKey<Guest>;
/// The public key of a guest.
pub type GuestPublicKey = PublicKey<Guest>;
