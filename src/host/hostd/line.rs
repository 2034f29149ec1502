//! A connection of a client, without input and output.
//!
//! It stands whole at every moment, so that a call may be left anywhere. In version 1,
//! where answers have no number, the connection is lost with the call. In version 2 it goes on, and a late
//! answer is known as one; unless the call was left in the middle of its frame: the server must not get the rest
//! later and begin.

use alloc::vec::Vec;
use core::time::Duration;

use super::client_error::ClientFault;
use crate::fleet::protocol::{
    ClientSession, Frames, HostdRequest, HostdResponse, Received, RequestId,
};

#[derive(Debug)]
pub(super) struct Line {
    session: ClientSession,
    frames: Frames,
    /// Bytes to send, of which the first `sent` are out.
    outgoing: Vec<u8>,
    sent: usize,
    current: Option<RequestId>,
    usable: bool,
}

impl Line {
    /// Behind the handshake, with what has arrived behind its answer.
    pub(super) const fn new(session: ClientSession, frames: Frames) -> Self {
        Self {
            session,
            frames,
            outgoing: Vec::new(),
            sent: 0,
            current: None,
            usable: true,
        }
    }

    pub(super) const fn version(&self) -> u16 {
        self.session.version()
    }

    /// Whether another call can be made. A call that was left is given up here at the latest.
    pub(super) fn is_usable(&mut self) -> bool {
        if let Some(id) = self.current.take() {
            let torn = self.sent > 0 && !self.unsent().is_empty();
            self.usable &= self.session.give_up(id) && !torn;
        }
        self.usable
    }

    /// Begins a call.
    pub(super) fn begin(
        &mut self,
        request: HostdRequest,
        timeout: Option<Duration>,
    ) -> Result<(), ClientFault> {
        let (id, frame) = self.session.request(request, timeout)?;
        self.current = Some(id);
        self.outgoing = frame;
        self.sent = 0;
        Ok(())
    }

    /// What is to be sent yet; empty once the whole request is out.
    pub(super) fn unsent(&self) -> &[u8] {
        self.outgoing.get(self.sent..).unwrap_or_default()
    }

    pub(super) const fn sent(&mut self, n: usize) {
        self.sent = self.sent.saturating_add(n);
    }

    /// Where arriving bytes belong.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.frames.space()
    }

    pub(super) fn received(&mut self, n: usize) {
        self.frames.advance(n);
    }

    /// The answer to the call under way, if it has come whole.
    pub(super) fn take(&mut self) -> Result<Option<HostdResponse>, ClientFault> {
        while let Some(body) = self.frames.next_body()? {
            match self.session.receive(body)? {
                Received::Answer { id, response } if self.current == Some(id) => {
                    self.current = None;
                    return Ok(Some(response));
                }
                // Given up before.
                Received::Answer { .. } | Received::Late { .. } => {}
            }
        }
        Ok(None)
    }
}
