//! What a program says of itself: log lines, and what it counts.

pub mod logging;
pub(crate) mod metrics;
