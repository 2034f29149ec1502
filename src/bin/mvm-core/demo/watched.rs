//! The guest's end of a connection, which reports when it waits for the host.

use core::cell::{Cell, OnceCell};
use core::time::Duration;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use mvm_core::channel::DeadlineStream;
use serde_json::json;

use super::guest::report;

/// A stream that reports each wait for the host's next frame, once it knows of which session, with the
/// number of frames that it has sent since then.
pub(super) struct Watched {
    stream: UnixStream,
    session: OnceCell<String>,
    sent: Cell<u64>,
    reported: Cell<Option<u64>>,
}

impl Watched {
    pub(super) const fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            session: OnceCell::new(),
            sent: Cell::new(0),
            reported: Cell::new(None),
        }
    }

    /// Reports from now on.
    pub(super) fn report(&self, session: &str) {
        let _ = self.session.set(session.to_owned());
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let sent = self.sent.get();
        if let Some(session) = self.session.get()
            && self.reported.replace(Some(sent)) != Some(sent)
        {
            report(&json!({ "event": "waiting", "session": session, "answers": sent }));
        }
        self.stream.read(buffer)
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Answers are far smaller than the socket's buffer: each is one write.
        if self.session.get().is_some() {
            self.sent.set(self.sent.get().saturating_add(1));
        }
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl DeadlineStream for Watched {
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        DeadlineStream::set_read_timeout(&self.stream, timeout)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        DeadlineStream::set_write_timeout(&self.stream, timeout)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.stream.shutdown_write()
    }
}
