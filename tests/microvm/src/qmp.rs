//! QEMU's control socket: a line of JSON for each command, answer and event.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Error, While};
use crate::process::wait_until;

/// How long QEMU may take for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A connection to QEMU.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    received: Vec<u8>,
    events: Vec<Value>,
}

impl Qmp {
    /// Connects once the socket is there. `check` says whether QEMU still runs.
    ///
    /// # Errors
    /// [`Error`].
    pub fn connect(path: &Path, mut check: impl FnMut() -> Result<(), Error>) -> Result<Self, Error> {
        let stream = wait_until("QEMU's socket", ANSWER, String::new, || {
            check()?;
            Ok(UnixStream::connect(path).ok())
        })?;
        let mut this = Self { stream, received: Vec::new(), events: Vec::new() };
        this.line("its greeting", Instant::now() + ANSWER)?;
        this.run("qmp_capabilities", json!({}))?;
        Ok(this)
    }

    /// Runs a command and gives what it returns.
    ///
    /// # Errors
    /// [`Error::Qmp`], [`Error::NotInTime`], [`Error::Io`].
    pub fn run(&mut self, command: &str, arguments: Value) -> Result<Value, Error> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        self.stream.write_all(line.as_bytes()).doing(command)?;
        let end = Instant::now() + ANSWER;
        loop {
            let mut answer = self.line(command, end)?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if answer.get("event").is_some() {
                self.events.push(answer);
            } else {
                return Err(Error::Qmp { command: command.to_owned(), answer: answer.to_string() });
            }
        }
    }

    /// Waits for an event, also one that has come already.
    ///
    /// # Errors
    /// [`Error::NotInTime`], [`Error::Qmp`], [`Error::Io`].
    pub fn event(&mut self, name: &str, limit: Duration) -> Result<Value, Error> {
        let end = Instant::now() + limit;
        loop {
            let is_it = |event: &Value| event["event"] == name;
            if let Some(at) = self.events.iter().position(is_it) {
                return Ok(self.events.swap_remove(at));
            }
            let line = self.line(name, end)?;
            self.events.push(line);
        }
    }

    /// Waits until a command returns what is wanted.
    ///
    /// # Errors
    /// As [`run`](Self::run), and what `wanted` gives.
    pub fn poll(
        &mut self,
        command: &str,
        limit: Duration,
        wanted: impl Fn(&Value) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let last = std::cell::RefCell::new(Value::Null);
        wait_until(
            command,
            limit,
            || last.borrow().to_string(),
            || {
                let value = self.run(command, json!({}))?;
                let found = wanted(&value)?;
                *last.borrow_mut() = value;
                Ok(found.then_some(()))
            },
        )
    }

    fn line(&mut self, what: &str, end: Instant) -> Result<Value, Error> {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=at).collect();
                return serde_json::from_slice(&line).map_err(|error| Error::Qmp {
                    command: what.to_owned(),
                    answer: format!("{error}: {}", String::from_utf8_lossy(&line)),
                });
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::NotInTime {
                    what: format!("QEMU: {what}"),
                    limit: end.saturating_duration_since(begun),
                    tail: format!("{:?}", self.events),
                });
            }
            self.stream.set_read_timeout(Some(left)).doing(what)?;
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    return Err(Error::Qmp {
                        command: what.to_owned(),
                        answer: "the socket was closed".to_owned(),
                    });
                }
                Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).doing(what),
            }
        }
    }
}
