//! The `alloc` layer: what is stored and sent as JSON, and the pure logic over it. `lib.rs` gives its
//! modules their public names.

pub mod agent;
#[cfg_attr(
    not(all(feature = "audit-log", unix)),
    allow(
        dead_code,
        unused_imports,
        reason = "parts of it are for writers of files"
    )
)]
pub(crate) mod audit;
pub mod catalog;
pub mod dev_network;
pub mod document;
mod instance;
pub(crate) mod metrics;
pub mod migration;
pub mod node;
pub(crate) mod pool;
pub(crate) mod protocol;
pub mod reconcile;
pub mod routing;
pub mod secret_binding;
pub mod security;
mod signing;
pub mod template;
pub mod tenant;
pub mod text;
pub mod vm_backend;
