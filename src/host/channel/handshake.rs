//! Handshakes over a stream, on both sides.

use core::time::Duration;
use std::io;

use super::connection::{Connection, write_all};
use super::deadline::Deadline;
use super::error::{ChannelError, Doing};
use super::stream::DeadlineStream;
use super::{Channel, GuestChannel, HostChannel, Local};
use crate::limits::HANDSHAKE_DEADLINE_MS;
use crate::naming::InstanceId;
use crate::session::{
    GUEST_HELLO_FRAME_MAX, GuestAwaitingFinish, GuestEndpoint, GuestOptions, GuestPublicKey,
    GuestSession, HOST_FINISH_FRAME_LEN, HOST_HELLO_FRAME_MAX, HandshakeError, HostAwaitingGuest,
    HostEndpoint, HostOptions, HostSession, HostUnpinned, HostVerified, REFUSAL_FRAME_LEN,
    Received, refusal,
};
use crate::wire::frame::FrameError;

/// What a handshake on a blocking stream may take.
fn total(deadline: Deadline) -> Deadline {
    deadline.or_earlier(Deadline::after(Duration::from_millis(
        HANDSHAKE_DEADLINE_MS,
    )))
}

/// A frame that is too long for a handshake is the handshake's error.
pub(super) fn as_handshake(error: ChannelError) -> ChannelError {
    match error {
        ChannelError::Frame(FrameError::TooLong { len, max }) => {
            HandshakeError::TooLong { len, max }.into()
        }
        other => other,
    }
}

// The steps, whatever the messages are read and written with.

/// The host's hello, to be written.
pub(super) fn hello<'a>(
    local: Local<'a, HostEndpoint>,
    options: HostOptions<'_>,
    out: &mut [u8],
) -> Result<(HostAwaitingGuest<'a>, usize), ChannelError> {
    let entropy = local.draw()?;
    let mut endpoint = local.lock()?;
    Ok(endpoint.begin(local.key, options, entropy, local.env, out)?)
}

/// The host's finish, to be written. `first_use` pins a key that is not known.
pub(super) fn proof<'a>(
    local: Local<'a, HostEndpoint>,
    waiting: HostAwaitingGuest<'a>,
    answer: &[u8],
    first_use: impl FnOnce(HostUnpinned<'a>) -> Result<HostVerified<'a>, ChannelError>,
    out: &mut [u8],
) -> Result<(HostSession<'a>, usize), ChannelError> {
    let received = waiting.receive(&mut *local.lock()?, local.env, answer)?;
    let verified = match received {
        Received::Verified(verified) => verified,
        Received::FirstUse(unpinned) => first_use(unpinned)?,
    };
    Ok(verified.finish(&mut *local.lock()?, local.env, out)?)
}

/// What is done about a key that is not known where nothing was given to pin it with.
pub(super) fn not_pinned<'a>(unpinned: HostUnpinned<'a>) -> Result<HostVerified<'a>, ChannelError> {
    let key = unpinned.guest_key();
    Err(ChannelError::NotPinned { key })
}

/// Pins a key that is not known. The endpoint stays locked meanwhile.
pub(super) fn pin<'a>(
    local: Local<'a, HostEndpoint>,
    unpinned: HostUnpinned<'a>,
    store: impl FnOnce(&InstanceId, &GuestPublicKey) -> io::Result<()>,
) -> Result<HostVerified<'a>, ChannelError> {
    let mut endpoint = local.lock()?;
    let pinned = unpinned.pin(&mut endpoint, store);
    pinned.map_err(|error| ChannelError::Io {
        doing: Doing::Pinning,
        error,
    })
}

/// The guest's answer to a hello, to be written.
pub(super) fn reply<'a>(
    local: Local<'a, GuestEndpoint>,
    options: GuestOptions<'_>,
    hello: &[u8],
    out: &mut [u8],
) -> Result<(GuestAwaitingFinish<'a>, usize), ChannelError> {
    // The options may live longer or shorter than the hello; both are borrowed until `answer`.
    let offer = local
        .lock()?
        .receive(local.key, options, local.env, hello)?;
    // Drawn after the hello was read.
    let entropy = local.draw()?;
    Ok(offer.answer(&mut *local.lock()?, entropy, local.env, out)?)
}

/// What may be told a host that will not be served.
pub(super) fn told(error: &ChannelError) -> Option<[u8; REFUSAL_FRAME_LEN]> {
    match error {
        ChannelError::Handshake(reason) => Some(refusal(reason).to_frame()),
        _ => None,
    }
}

/// A guest that has hung up may have said before why: the host goes on to what has come.
pub(super) fn said_before(written: Result<(), ChannelError>) -> Result<(), ChannelError> {
    match written {
        Err(ChannelError::Hangup { .. }) => Ok(()),
        other => other,
    }
}

/// The guest's side of the end of a handshake.
pub(super) fn admit<'a>(
    local: Local<'a, GuestEndpoint>,
    waiting: GuestAwaitingFinish<'a>,
    finish: &[u8],
) -> Result<GuestSession<'a>, ChannelError> {
    Ok(waiting.finish(&mut *local.lock()?, local.env, finish)?)
}

impl<'a, S: DeadlineStream> HostChannel<'a, S> {
    /// Makes the handshake on the host's side, within [`HANDSHAKE_DEADLINE_MS`] or `deadline`,
    /// whichever comes first. It gives up any other that this endpoint is at.
    ///
    /// The guest is heard for the first time with the first frame that is received.
    ///
    /// # Errors
    /// [`ChannelError::Handshake`], [`ChannelError::NotPinned`], [`ChannelError::Hangup`],
    /// [`ChannelError::Expired`], [`ChannelError::Io`], [`ChannelError::LockPoisoned`].
    pub fn connect(
        connection: Connection<S>,
        local: Local<'a, HostEndpoint>,
        options: HostOptions<'_>,
        deadline: Deadline,
    ) -> Result<Self, ChannelError> {
        Self::shake(connection, local, options, deadline, not_pinned)
    }

    /// As [`connect`](Self::connect), and where no key is known for the instance, `store` writes
    /// (instance, key) durably before the host proves its own: trust on first use.
    ///
    /// The endpoint stays locked while `store` runs, so that no two keys can be pinned.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), with what `store` gave as [`ChannelError::Io`].
    pub fn connect_or_pin(
        connection: Connection<S>,
        local: Local<'a, HostEndpoint>,
        options: HostOptions<'_>,
        store: impl FnOnce(&InstanceId, &GuestPublicKey) -> io::Result<()>,
        deadline: Deadline,
    ) -> Result<Self, ChannelError> {
        Self::shake(connection, local, options, deadline, |unpinned| {
            pin(local, unpinned, store)
        })
    }

    fn shake(
        mut connection: Connection<S>,
        local: Local<'a, HostEndpoint>,
        options: HostOptions<'_>,
        deadline: Deadline,
        first_use: impl FnOnce(HostUnpinned<'a>) -> Result<HostVerified<'a>, ChannelError>,
    ) -> Result<Self, ChannelError> {
        let deadline = total(deadline);
        let mut out = [0; HOST_HELLO_FRAME_MAX];
        let (waiting, written) = hello(local, options, &mut out)?;
        let hello = out.get(..written).unwrap_or_default();
        said_before(connection.write(hello, deadline, Doing::Handshake))?;

        let (answer, _) = connection.handshake_body(deadline).map_err(as_handshake)?;
        let mut out = [0; HOST_FINISH_FRAME_LEN];
        let (session, written) = proof(local, waiting, answer, first_use, &mut out)?;
        let finish = out.get(..written).unwrap_or_default();
        connection.write(finish, deadline, Doing::Handshake)?;
        Ok(Channel::new(session, local, connection))
    }
}

impl<'a, S: DeadlineStream> GuestChannel<'a, S> {
    /// Makes the handshake on the guest's side, within [`HANDSHAKE_DEADLINE_MS`] or `deadline`,
    /// whichever comes first. A host that will not be served is told why, as far as it may, before
    /// the stream is closed.
    ///
    /// The endpoint is locked for the computations and never while waiting for the host: a
    /// connection that says nothing holds up no other. How many connections are served at once is
    /// the caller's to bound; of those in a handshake, the endpoint lets the latest
    /// [`PENDING_HANDSHAKES_MAX`](crate::limits::PENDING_HANDSHAKES_MAX) go on.
    ///
    /// # Errors
    /// [`ChannelError::Handshake`], [`ChannelError::Hangup`], [`ChannelError::Expired`],
    /// [`ChannelError::Io`], [`ChannelError::LockPoisoned`].
    pub fn accept(
        mut connection: Connection<S>,
        local: Local<'a, GuestEndpoint>,
        options: GuestOptions<'_>,
        deadline: Deadline,
    ) -> Result<Self, ChannelError> {
        let deadline = total(deadline);
        let result = Self::answer(&mut connection, local, options, deadline);
        let waiting = result.inspect_err(|error| {
            if let Some(frame) = told(error) {
                // A courtesy: the handshake has failed, whether or not the host hears why.
                let _ = connection.write(&frame, deadline, Doing::Handshake);
                let _ = connection.stream().shutdown_write();
            }
        })?;
        let (finish, _) = connection.handshake_body(deadline).map_err(as_handshake)?;
        let session = admit(local, waiting, finish)?;
        Ok(Channel::new(session, local, connection))
    }

    /// Up to the guest's answer, after which there is nothing to refuse any more.
    fn answer(
        connection: &mut Connection<S>,
        local: Local<'a, GuestEndpoint>,
        options: GuestOptions<'_>,
        deadline: Deadline,
    ) -> Result<GuestAwaitingFinish<'a>, ChannelError> {
        let (hello, stream) = connection.handshake_body(deadline).map_err(as_handshake)?;
        let mut out = [0; GUEST_HELLO_FRAME_MAX];
        let (waiting, written) = reply(local, options, hello, &mut out)?;
        let answer = out.get(..written).unwrap_or_default();
        write_all(stream, answer, deadline, Doing::Handshake)?;
        Ok(waiting)
    }
}
