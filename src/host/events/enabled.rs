//! Events of `tracing`.

use core::fmt::Display;
use core::time::Duration;

#[cfg(feature = "shell")]
use crate::host::build_env::LogLevel;

/// An attempt has failed and another one will be made.
pub(crate) fn retrying(
    label: &str,
    attempt: u32,
    max_attempts: u32,
    delay: Duration,
    error: &dyn Display,
) {
    let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    tracing::warn!(
        attempt,
        max_attempts,
        delay_ms,
        error = %error,
        "{label} failed, retrying",
    );
}

/// No further attempt will be made.
pub(crate) fn gave_up(
    label: &str,
    attempts: u32,
    reason: &dyn Display,
    error: Option<&dyn Display>,
) {
    match error {
        Some(error) => {
            tracing::warn!(attempts, reason = %reason, error = %error, "{label} failed, giving up");
        }
        None => tracing::warn!(attempts, reason = %reason, "{label} failed, giving up"),
    }
}

/// What a build has to say.
#[cfg(feature = "shell")]
pub(crate) fn log(level: LogLevel, message: &str) {
    match level {
        LogLevel::Info => tracing::info!("{message}"),
        LogLevel::Success => tracing::info!(success = true, "{message}"),
        LogLevel::Warn => tracing::warn!("{message}"),
    }
}
