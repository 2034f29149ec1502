//! Streams with which a total deadline can be kept.

use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

/// A blocking byte stream whose reads and writes can be bounded in time.
///
/// Implemented for `TcpStream`, for `UnixStream` where there is one, and for `&mut` and `Box` of
/// these. A stream in non-blocking mode works, but is asked again every millisecond.
pub trait DeadlineStream: Read + Write {
    /// Bounds the next reads; `timeout` is never zero. A read that takes longer fails with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # Errors
    /// Those of the operating system.
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()>;

    /// Bounds the next writes likewise.
    ///
    /// # Errors
    /// Those of the operating system.
    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()>;

    /// Tells the peer that nothing more will be written.
    ///
    /// # Errors
    /// Those of the operating system.
    fn shutdown_write(&self) -> io::Result<()>;
}

macro_rules! socket {
    ($type:ty) => {
        impl DeadlineStream for $type {
            fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
                <$type>::set_read_timeout(self, Some(timeout))
            }

            fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
                <$type>::set_write_timeout(self, Some(timeout))
            }

            fn shutdown_write(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }
        }
    };
}

socket!(TcpStream);
#[cfg(unix)]
socket!(std::os::unix::net::UnixStream);

macro_rules! forward {
    ($type:ty) => {
        impl<S: DeadlineStream + ?Sized> DeadlineStream for $type {
            fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
                (**self).set_read_timeout(timeout)
            }

            fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
                (**self).set_write_timeout(timeout)
            }

            fn shutdown_write(&self) -> io::Result<()> {
                (**self).shutdown_write()
            }
        }
    };
}

forward!(&mut S);
forward!(alloc::boxed::Box<S>);
