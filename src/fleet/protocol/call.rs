//! Version 2: requests and answers that say which is whose.

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{HostdRequest, HostdResponse};
use crate::fleet::document::{document, plain_fields};

/// The number of a request on its connection, from 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RequestId(pub(super) u64);

impl RequestId {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

plain_fields! { RequestId }

document! {
    /// A request of version 2.
    #[derive(Eq)]
    pub struct HostdCall {
        /// Its number; the client counts them.
        id: RequestId,
        /// How long the client waits from now, in milliseconds: hostd begins nothing after that.
        /// Without it the client waits for as long as it takes.
        timeout_ms: Option<u64> [default; skip_serializing_if = "Option::is_none"],
        /// What is to be done.
        request: HostdRequest,
    }
}

document! {
    /// An answer of version 2.
    #[derive(Eq)]
    pub struct HostdAnswer {
        /// The number of the request; `None` if that had none, and then the connection ends.
        id: Option<RequestId>,
        /// How it went.
        response: HostdResponse,
    }
}

/// Milliseconds, rounded up, so that a short time does not become none.
pub(super) fn milliseconds(time: Duration) -> u64 {
    let nanos = time.as_nanos().div_ceil(1_000_000);
    u64::try_from(nanos).unwrap_or(u64::MAX)
}
