//! Handshakes over a stream of tokio's, on both sides.

use ::core::time::Duration;
use std::io;

use super::connection::{Connection, later};
use super::{Channel, GuestChannel, HostChannel, Stream};
use crate::host::channel::handshake::{
    admit, as_handshake, hello, not_pinned, pin, proof, reply, said_before, told,
};
use crate::host::channel::{ChannelError, Deadline, Doing, Local};
use crate::limits::HANDSHAKE_DEADLINE_MS;
use crate::naming::InstanceId;
use crate::session::{
    GUEST_HELLO_FRAME_MAX, GuestAwaitingFinish, GuestEndpoint, GuestOptions, GuestPublicKey,
    HOST_FINISH_FRAME_LEN, HOST_HELLO_FRAME_MAX, HostEndpoint, HostOptions, HostUnpinned,
    HostVerified,
};

fn total(deadline: Deadline) -> Deadline {
    deadline.or_earlier(later(Duration::from_millis(HANDSHAKE_DEADLINE_MS)))
}

impl<'a, S: Stream> HostChannel<'a, S> {
    /// Makes the handshake on the host's side, as the blocking
    /// [`connect`](crate::channel::HostChannel::connect).
    ///
    /// # Errors
    /// As there.
    pub async fn connect(
        connection: Connection<S>,
        local: Local<'a, HostEndpoint>,
        options: HostOptions<'_>,
        deadline: Deadline,
    ) -> Result<Self, ChannelError> {
        Self::shake(connection, local, options, deadline, not_pinned).await
    }

    /// As [`connect`](Self::connect), and where no key is known for the instance, `store` writes
    /// (instance, key) durably before the host proves its own: trust on first use. It blocks the thread
    /// meanwhile.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), with what `store` gave as [`ChannelError::Io`].
    pub async fn connect_or_pin(
        connection: Connection<S>,
        local: Local<'a, HostEndpoint>,
        options: HostOptions<'_>,
        store: impl FnOnce(&InstanceId, &GuestPublicKey) -> io::Result<()>,
        deadline: Deadline,
    ) -> Result<Self, ChannelError> {
        let first_use = |unpinned| pin(local, unpinned, store);
        Self::shake(connection, local, options, deadline, first_use).await
    }

    async fn shake(
        mut connection: Connection<S>,
        local: Local<'a, HostEndpoint>,
        options: HostOptions<'_>,
        deadline: Deadline,
        first_use: impl FnOnce(HostUnpinned<'a>) -> Result<HostVerified<'a>, ChannelError>,
    ) -> Result<Self, ChannelError> {
        let deadline = total(deadline);
        let doing = Doing::Handshake;
        let mut out = [0; HOST_HELLO_FRAME_MAX];
        let (waiting, written) = hello(local, options, &mut out)?;
        let frame = out.get(..written).unwrap_or_default();
        said_before(connection.write(frame, deadline, doing).await)?;

        let answer = connection.handshake_body(deadline).await;
        let answer = answer.map_err(as_handshake)?;
        let mut out = [0; HOST_FINISH_FRAME_LEN];
        let (session, written) = proof(local, waiting, answer, first_use, &mut out)?;
        let frame = out.get(..written).unwrap_or_default();
        connection.write(frame, deadline, doing).await?;
        Ok(Channel::new(session, local, connection))
    }
}

impl<'a, S: Stream> GuestChannel<'a, S> {
    /// Makes the handshake on the guest's side, as the blocking
    /// [`accept`](crate::channel::GuestChannel::accept).
    ///
    /// # Errors
    /// As there.
    pub async fn accept(
        mut connection: Connection<S>,
        local: Local<'a, GuestEndpoint>,
        options: GuestOptions<'_>,
        deadline: Deadline,
    ) -> Result<Self, ChannelError> {
        let deadline = total(deadline);
        let waiting = match Self::answer(&mut connection, local, options, deadline).await {
            Ok(waiting) => waiting,
            Err(error) => {
                if let Some(frame) = told(&error) {
                    // A courtesy: the handshake has failed, whether or not the host hears why.
                    let _ = connection.write(&frame, deadline, Doing::Handshake).await;
                    connection.shutdown(deadline).await;
                }
                return Err(error);
            }
        };
        let finish = connection.handshake_body(deadline).await;
        let session = admit(local, waiting, finish.map_err(as_handshake)?)?;
        Ok(Channel::new(session, local, connection))
    }

    /// Up to the guest's answer, after which there is nothing to refuse any more.
    async fn answer(
        connection: &mut Connection<S>,
        local: Local<'a, GuestEndpoint>,
        options: GuestOptions<'_>,
        deadline: Deadline,
    ) -> Result<GuestAwaitingFinish<'a>, ChannelError> {
        let hello = connection.handshake_body(deadline).await;
        let mut out = [0; GUEST_HELLO_FRAME_MAX];
        let (waiting, written) = reply(local, options, hello.map_err(as_handshake)?, &mut out)?;
        let frame = out.get(..written).unwrap_or_default();
        connection.write(frame, deadline, Doing::Handshake).await?;
        Ok(waiting)
    }
}
