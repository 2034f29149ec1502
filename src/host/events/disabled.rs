//! Without `tracing` nothing is said.

use core::fmt::Display;
use core::time::Duration;

pub(crate) fn retrying(_: &str, _: u32, _: u32, _: Duration, _: &dyn Display) {}

pub(crate) fn gave_up(_: &str, _: u32, _: &dyn Display, _: Option<&dyn Display>) {}

#[cfg(feature = "shell")]
pub(crate) fn log(_: crate::host::build_env::LogLevel, _: &str) {}
