//! A stream that remembers what was written to it, as somebody does who listens.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mvm_core::channel::DeadlineStream;

/// What was written, each write by itself.
#[derive(Debug, Clone, Default)]
pub struct Recording(Arc<Mutex<Vec<Vec<u8>>>>);

impl Recording {
    /// Everything so far.
    #[must_use]
    pub fn writes(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A stream with a [`Recording`].
#[derive(Debug)]
pub struct Tap {
    stream: UnixStream,
    recording: Recording,
}

impl Tap {
    /// Listens to a stream.
    #[must_use]
    pub fn new(stream: UnixStream) -> (Self, Recording) {
        let recording = Recording::default();
        let this = Self { stream, recording: recording.clone() };
        (this, recording)
    }
}

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.stream.write(bytes)?;
        let mut writes = self.recording.0.lock().unwrap_or_else(PoisonError::into_inner);
        writes.push(bytes[..count].to_vec());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl DeadlineStream for Tap {
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        DeadlineStream::set_read_timeout(&self.stream, timeout)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        DeadlineStream::set_write_timeout(&self.stream, timeout)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        DeadlineStream::shutdown_write(&self.stream)
    }
}
