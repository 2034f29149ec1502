//! Bytes on a stream: how messages are cut out of it and what is sent before the first of them.
//!
//! Nothing here performs I/O, allocates or authenticates; [`crate::session`] does the latter.
//!
//! A connection from the host to a guest, in the order of its bytes:
//!
//! ```text
//! host → VMM     "CONNECT " port "\n"             connect::ConnectLine, Firecracker's vsock only
//! VMM  → host    "OK " port "\n"                  connect::OkLine
//! both ways      length:u32 big-endian  body      frame, repeated to the end of the stream
//!                                       ╰─ one postcard message, nothing behind it
//! ```
//!
//! * [`frame`] — the length prefix; the limit is checked before anything else is read.
//! * [`codec`] — postcard bodies, in one canonical encoding.
//! * [`connect`] — the two text lines of Firecracker's vsock; no byte behind a line is lost.

pub mod codec;
pub mod connect;
pub(crate) mod fields;
pub mod frame;

/// `copy_from_slice` without its panic: as many bytes as fit both. Callers have made both the same
/// length; the compiler does not always see it, and a panic path must not start here.
#[inline(never)]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}
