//! Reaching a guest, on a runtime of tokio's.

use ::core::time::Duration;
use std::io::ErrorKind;

use ::tokio::net::UnixStream;
use ::tokio::time::{Instant, sleep, timeout_at};

use super::connection::{Connection, later};
use crate::host::channel::{Deadline, Dial, DialError, DialFault};
use crate::host::retry::{Attempt, Retry};

/// How long to wait where the listener's queue is full.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

impl Dial {
    /// As [`dial`](Self::dial), with tokio's timers (feature `tokio`). Dropped, it leaves nothing behind.
    ///
    /// # Errors
    /// [`DialError`], with what the last attempt came to.
    pub async fn dial_async(
        &self,
        deadline: Deadline,
    ) -> Result<Connection<UnixStream>, DialError> {
        let left = Instant::from_std(deadline.instant()).saturating_duration_since(Instant::now());
        Retry::new(self.retry(), "reaching a guest")
            .deadline(left)
            .when(DialFault::is_passing)
            .call_async(|_: Attempt| self.attempt_async(deadline))
            .await
            .map_err(|error| self.error(error))
    }

    async fn attempt_async(&self, deadline: Deadline) -> Result<Connection<UnixStream>, DialFault> {
        let deadline = deadline.or_earlier(later(self.attempt()));
        let connect = async {
            loop {
                match UnixStream::connect(self.path()).await {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        sleep(QUEUE_PAUSE).await;
                    }
                    result => return result,
                }
            }
        };
        let connected = timeout_at(Instant::from_std(deadline.instant()), connect).await;
        let stream = connected.map_err(|_| DialFault::Expired)??;
        match self.port() {
            None => Ok(Connection::new(stream)),
            Some(port) => Ok(Connection::through_vsock(stream, port, deadline).await?),
        }
    }
}
