//! What is asked of hostd and what it answers, in 0.13.0's JSON.

use alloc::borrow::ToOwned;
use alloc::string::String;

use crate::fleet::document::document_enum;
use crate::fleet::tenant::TenantNet;
use crate::limits::HOSTD_MESSAGE_MAX;
use crate::names::{InstanceId, PoolId, TenantId};

document_enum! {
    /// One privileged operation: the agent says what is to be done, hostd knows how.
    ///
    /// Every text in a request is an id, an address or a name derived from a number: what hostd makes of
    /// them, a path or an argument of a program, can hold no separator, no quote and no `..`.
    ///
    /// ```
    /// use mvm_core::document::Document;
    /// use mvm_core::protocol::HostdRequest;
    ///
    /// let start = br#"{"StartInstance":{"tenant_id":"acme","pool_id":"web","instance_id":"i-4a79e9fa"}}"#;
    /// assert!(matches!(HostdRequest::from_json(start), Ok(HostdRequest::StartInstance { .. })));
    ///
    /// let hostile = br#"{"StartInstance":{"tenant_id":"acme","pool_id":"$(id)","instance_id":"../x"}}"#;
    /// let invalid = HostdRequest::from_json(hostile).unwrap_err();
    /// let paths: Vec<_> = invalid.problems().iter().map(|problem| &problem.path[..]).collect();
    /// assert_eq!(paths, ["StartInstance.pool_id", "StartInstance.instance_id"]);
    /// ```
    #[derive(Eq)]
    pub enum HostdRequest {
        /// Start an instance that exists: TAP device, cgroup, jailer, Firecracker.
        StartInstance {
            /// Its tenant.
            tenant_id: TenantId,
            /// Its pool.
            pool_id: PoolId,
            /// The instance.
            instance_id: InstanceId,
        },
        /// Stop an instance: its process, its cgroup, its TAP device.
        StopInstance {
            /// Its tenant.
            tenant_id: TenantId,
            /// Its pool.
            pool_id: PoolId,
            /// The instance.
            instance_id: InstanceId,
        },
        /// Take a snapshot of an instance and stop it.
        SleepInstance {
            /// Its tenant.
            tenant_id: TenantId,
            /// Its pool.
            pool_id: PoolId,
            /// The instance.
            instance_id: InstanceId,
            /// Whether to go on if the guest does not get ready for it.
            force: bool,
            /// How long the guest may take to get ready, in seconds. Without it hostd decides.
            drain_timeout_secs: Option<u64> [default],
        },
        /// Restore an instance from its snapshot.
        WakeInstance {
            /// Its tenant.
            tenant_id: TenantId,
            /// Its pool.
            pool_id: PoolId,
            /// The instance.
            instance_id: InstanceId,
        },
        /// Remove an instance.
        DestroyInstance {
            /// Its tenant.
            tenant_id: TenantId,
            /// Its pool.
            pool_id: PoolId,
            /// The instance.
            instance_id: InstanceId,
            /// Whether to overwrite its volumes first.
            wipe_volumes: bool,
        },
        /// Make the bridge of a tenant and its address translation.
        SetupNetwork {
            /// The tenant.
            tenant_id: TenantId,
            /// Its network.
            net: TenantNet,
        },
        /// Remove the bridge of a tenant and its address translation.
        TeardownNetwork {
            /// The tenant.
            tenant_id: TenantId,
            /// Its network.
            net: TenantNet,
        },
        /// Is hostd there?
        Ping,
    }
}

document_enum! {
    /// How an operation went.
    #[derive(Eq)]
    pub enum HostdResponse {
        /// It is done.
        Ok,
        /// It is not done, or not known to be done.
        Error {
            /// Why, for people.
            message: String,
        },
        /// The answer to a ping.
        Pong,
    }
}

impl HostdResponse {
    /// An error with this message, of which the first [`HOSTD_MESSAGE_MAX`] bytes are kept: whatever went
    /// wrong, the answer fits a frame.
    ///
    /// ```
    /// use mvm_core::protocol::{HostdResponse, encode};
    ///
    /// let answer = HostdResponse::error(&"\u{0}".repeat(2_000_000));
    /// assert!(encode(&answer).is_ok());
    /// ```
    #[must_use]
    pub fn error(message: &str) -> Self {
        let end = cut(message, HOSTD_MESSAGE_MAX);
        Self::Error {
            message: message.get(..end).unwrap_or_default().to_owned(),
        }
    }
}

/// The greatest length up to `max` that cuts no character.
fn cut(text: &str, max: usize) -> usize {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    end
}
