//! What can be asked.

use alloc::vec::Vec;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use mvm_core::guest::{
    Call, Extension, Ping, SecretBytes, Shutdown, ShutdownMode, SleepPrep, Wake,
};
use mvm_core::naming::InstanceId;
use mvm_core::session::GuestKey;
use mvm_core::time::Timestamp;
use mvm_core::wire::codec::Bytes;
use zeroize::Zeroize;

use crate::failure::Failure;
use crate::keys::files;

#[derive(Subcommand)]
pub(super) enum Request {
    /// Ask whether the guest's program answers.
    Ping,
    /// Ask what is ready.
    Status,
    /// Ask the guest to flush everything and to end its sessions, because a snapshot will be taken.
    SleepPrep {
        /// For flushing, in milliseconds; less than the time that is left of --timeout.
        #[arg(long, value_name = "MS", default_value_t = 2000)]
        flush_ms: u32,
        /// Have it give up its instance, because the snapshot will be cloned.
        #[arg(long)]
        unbind: bool,
    },
    /// Make a restored guest its own again: its clock, its entropy, and what else is given.
    Wake {
        /// Tell it which instance it is, too: that of --instance.
        #[arg(long)]
        identity: bool,
        /// Its network, as JSON: the member net of an instance's state.
        #[arg(long, value_name = "FILE")]
        network: Option<PathBuf>,
        /// Give it the secret key of this file as its key of every session after this one: a clone should not
        /// share one with its siblings.
        #[arg(long, value_name = "FILE")]
        new_key: Option<PathBuf>,
    },
    /// Ask the guest to shut down.
    Shutdown {
        /// For programs to end by themselves, in milliseconds.
        #[arg(long, value_name = "MS", default_value_t = 5000)]
        grace_ms: u32,
        #[arg(long, value_enum, default_value_t = Mode::PowerOff)]
        mode: Mode,
    },
    /// Send a message of the fleet's own.
    Extension {
        /// What it is.
        kind: u32,
        /// Its bytes, in hexadecimal digits.
        #[arg(default_value = "", value_parser = bytes)]
        body: Body,
    },
}

/// How to shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// Off.
    PowerOff,
    /// And boot again.
    Reboot,
    /// Stop the CPUs.
    Halt,
}

/// A message's bytes.
#[derive(Debug, Clone)]
pub(super) struct Body(Vec<u8>);

fn bytes(text: &str) -> Result<Body, String> {
    let wrong = || String::from("pairs of hexadecimal digits are expected");
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(wrong());
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    let body: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    body.map(Body).ok_or_else(wrong)
}

impl Request {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Status => "status",
            Self::SleepPrep { .. } => "sleep-prep",
            Self::Wake { .. } => "wake",
            Self::Shutdown { .. } => "shutdown",
            Self::Extension { .. } => "extension",
        }
    }

    /// Whether the guest ends its sessions by itself once it has answered.
    pub(super) const fn ends_sessions(&self) -> bool {
        matches!(self, Self::SleepPrep { .. } | Self::Shutdown { .. })
    }

    pub(super) fn call(&self, instance: &InstanceId, generation: u64) -> Result<Call<'_>, Failure> {
        Ok(match self {
            Self::Ping => Call::Ping(Ping {
                nonce: u64::from_ne_bytes(random()?),
            }),
            Self::Status => Call::Status,
            Self::SleepPrep { flush_ms, unbind } => Call::SleepPrep(SleepPrep {
                flush_deadline_ms: *flush_ms,
                unbind: *unbind,
            }),
            Self::Wake {
                identity,
                network,
                new_key,
            } => {
                let mut entropy = random()?;
                let fresh = SecretBytes::new(entropy);
                entropy.zeroize();
                let network = match network {
                    None => None,
                    Some(file) => {
                        let failed = |error: &dyn core::fmt::Display| Failure::of_file(file, error);
                        let text = std::fs::read(file).map_err(|error| failed(&error))?;
                        let net = serde_json::from_slice(&text);
                        Some(net.map_err(|error| failed(&error))?)
                    }
                };
                let new_guest_key = match new_key {
                    None => None,
                    Some(file) => {
                        let key: GuestKey = files::secret_key(file)?;
                        Some(SecretBytes::new(*key.secret_seed()))
                    }
                };
                Call::Wake(Wake {
                    generation,
                    wall_clock: Timestamp::now().map_err(Failure::untried)?,
                    entropy: fresh,
                    identity: identity.then(|| instance.clone()),
                    network,
                    new_guest_key,
                })
            }
            Self::Shutdown { grace_ms, mode } => Call::Shutdown(Shutdown {
                grace_ms: *grace_ms,
                mode: match mode {
                    Mode::PowerOff => ShutdownMode::PowerOff,
                    Mode::Reboot => ShutdownMode::Reboot,
                    Mode::Halt => ShutdownMode::Halt,
                },
            }),
            Self::Extension { kind, body } => Call::Extension(Extension {
                kind: *kind,
                body: Bytes(&body.0),
            }),
        })
    }
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|error| {
        Failure::untried(format_args!(
            "the operating system gave no entropy: {error}"
        ))
    })?;
    Ok(bytes)
}
