//! Making a restored guest its own again, step by step.

use core::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::instance::{InstanceNet, PrefixLen};
use crate::naming::{HostOffset, InstanceId, TenantNetId};
use crate::time::Timestamp;
use crate::wire::fields::{Reader, Writer};

/// 32 secret bytes in a [`Wake`]. Wiped when dropped, never shown, compared in constant time.
///
/// The buffers a message was sent from and received in are the caller's to wipe.
#[derive(Serialize, Deserialize)]
pub struct SecretBytes(#[serde(with = "crate::wire::codec::byte_array")] [u8; 32]);

impl SecretBytes {
    /// Wraps secret bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn secret_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        let difference = pairs.fold(0, |all, (a, b)| core::hint::black_box(all | (a ^ b)));
        difference == 0
    }
}

impl Eq for SecretBytes {}

/// Makes a restored guest its own again; answered with a [`WakeReport`].
///
/// Clock and entropy are always part of it, because every restore leaves them wrong. The entropy
/// must be mixed in with a forced reseed and must not be the only source: suite 1 of the session
/// protects it against being changed and not against being read. The same holds for the seed of a
/// new key, so the stream must be one that only host and guest can read (the VMM's socket is).
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)] // What travels is fixed by the layout.
pub struct Wake {
    /// Must be the session's generation.
    pub generation: u64,
    /// The host's time of day when it sent this.
    pub wall_clock: Timestamp,
    /// Fresh bytes for the guest's random generator.
    pub entropy: SecretBytes,
    /// Who the guest is now; must be the session's instance.
    pub identity: Option<InstanceId>,
    /// Its network from now on.
    pub network: Option<InstanceNet>,
    /// Seed of the guest key of sessions after this one.
    pub new_guest_key: Option<SecretBytes>,
}

impl Wake {
    /// The steps it asks for.
    #[must_use]
    pub const fn steps(&self) -> Steps {
        let mut steps = Steps(Steps::CLOCK.0 | Steps::ENTROPY.0);
        if self.identity.is_some() {
            steps = steps.with(Step::Identity);
        }
        if self.network.is_some() {
            steps = steps.with(Step::Network);
        }
        if self.new_guest_key.is_some() {
            steps = steps.with(Step::Key);
        }
        steps
    }
}

impl Wake {
    /// The fields in order; `None` with an error in `reader`.
    // Not inlined: a large value that is given is otherwise moved field by field, hundreds of bytes of code.
    #[inline(never)]
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let generation = reader.varint();
        let (seconds, nanos) = (reader.zigzag(), reader.u32());
        let wall_clock = reader.valid(Timestamp::new(seconds, nanos).ok())?;
        let entropy = SecretBytes(reader.array());
        let identity = match reader.flag() {
            false => None,
            true => {
                let identity = InstanceId::from_ascii(reader.bytes());
                Some(reader.valid(identity)?)
            }
        };
        let network = match reader.flag() {
            false => None,
            true => {
                let network = read_net(reader);
                Some(reader.valid(network)?)
            }
        };
        let new_guest_key = reader.flag().then(|| SecretBytes(reader.array()));
        Some(Self {
            generation,
            wall_clock,
            entropy,
            identity,
            network,
            new_guest_key,
        })
    }
}

fn read_net(reader: &mut Reader<'_>) -> Option<InstanceNet> {
    let net = u16::try_from(reader.varint()).ok()?;
    let offset = reader.byte();
    let (guest_ip, gateway_ip) = (reader.array::<4>(), reader.array::<4>());
    let prefix = reader.byte();
    Some(InstanceNet::new(
        TenantNetId::new(net).ok()?,
        HostOffset::new(offset).ok()?,
        guest_ip.into(),
        gateway_ip.into(),
        PrefixLen::new(prefix).ok()?,
    ))
}

/// A step of a wake. A guest does them in this order: names and addresses may depend on fresh
/// randomness, and log lines on the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // A further step is a further operation: old guests would skip it.
pub enum Step {
    /// The random generator was reseeded.
    Entropy,
    /// The wall clock was set.
    Clock,
    /// Host name, machine id and the like were set.
    Identity,
    /// Addresses and routes were set.
    Network,
    /// The guest key of later sessions was stored.
    Key,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [
        Self::Entropy,
        Self::Clock,
        Self::Identity,
        Self::Network,
        Self::Key,
    ];
}

/// A set of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Steps(u8);

impl Steps {
    const ENTROPY: Self = Self(0).with(Step::Entropy);
    const CLOCK: Self = Self(0).with(Step::Clock);

    /// The set with one more.
    #[must_use]
    pub const fn with(self, step: Step) -> Self {
        Self(self.0 | Self::bit(step))
    }

    /// Whether a step is in it.
    #[must_use]
    pub const fn has(self, step: Step) -> bool {
        self.0 & Self::bit(step) != 0
    }

    /// What is in `self` and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn bit(step: Step) -> u8 {
        match step {
            Step::Entropy => 1,
            Step::Clock => 1 << 1,
            Step::Identity => 1 << 2,
            Step::Network => 1 << 3,
            Step::Key => 1 << 4,
        }
    }
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(from = "(u8, u32)", into = "(u8, u32)")]
#[non_exhaustive]
pub enum StepOutcome {
    /// It was not asked for. Code 0.
    NotRequested,
    /// It is done. Code 1.
    Done,
    /// It is not done. Code 2.
    Failed {
        /// [`StepOutcome::NOT_TRIED`]'s 0, or a code of the guest's program.
        code: u32,
    },
    /// An outcome of a later version; not done as far as this one knows.
    Other(OtherOutcome),
}

impl StepOutcome {
    /// Asked for and not tried, or not answered for by the guest's program.
    pub const NOT_TRIED: Self = Self::Failed { code: 0 };
}

/// An outcome that this version has no name for. Only decoding makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OtherOutcome {
    code: u8,
    detail: u32,
}

impl OtherOutcome {
    /// Its code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.code
    }

    /// Its detail.
    #[must_use]
    pub const fn detail(self) -> u32 {
        self.detail
    }
}

impl From<(u8, u32)> for StepOutcome {
    // As with `ComponentState`: a detail where there is none is found by the codec.
    fn from((code, detail): (u8, u32)) -> Self {
        match code {
            0 => Self::NotRequested,
            1 => Self::Done,
            2 => Self::Failed { code: detail },
            _ => Self::Other(OtherOutcome { code, detail }),
        }
    }
}

impl From<StepOutcome> for (u8, u32) {
    fn from(outcome: StepOutcome) -> Self {
        match outcome {
            StepOutcome::NotRequested => (0, 0),
            StepOutcome::Done => (1, 0),
            StepOutcome::Failed { code } => (2, code),
            StepOutcome::Other(OtherOutcome { code, detail }) => (code, detail),
        }
    }
}

/// What became of each step of a [`Wake`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WakeReport {
    entropy: StepOutcome,
    clock: StepOutcome,
    clock_skew_ms: Option<i64>,
    identity: StepOutcome,
    network: StepOutcome,
    key: StepOutcome,
}

/// Steps of a wake are not done: the guest is not awake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror_no_std::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("the guest is not awake, steps not done: {:#07b}", .missing.0)]
#[non_exhaustive]
pub struct NotWoken {
    /// The steps that are not done.
    pub missing: Steps,
}
impl_error!(NotWoken);

impl WakeReport {
    /// A report in which nothing is done: [`StepOutcome::NOT_TRIED`] for what was `requested`.
    ///
    /// ```
    /// use mvm_core::guest::{Step, StepOutcome, Steps, WakeReport};
    ///
    /// let requested = Steps::default().with(Step::Entropy).with(Step::Clock);
    /// let mut report = WakeReport::new(requested);
    /// report.set(Step::Entropy, StepOutcome::Done);
    /// // A step that nobody reports on is not done, and then the guest is not awake.
    /// assert!(report.check(requested).unwrap_err().missing.has(Step::Clock));
    /// report.set(Step::Clock, StepOutcome::Done);
    /// assert_eq!(report.check(requested), Ok(()));
    /// ```
    #[must_use]
    pub const fn new(requested: Steps) -> Self {
        const fn at_first(requested: bool) -> StepOutcome {
            if requested {
                StepOutcome::NOT_TRIED
            } else {
                StepOutcome::NotRequested
            }
        }
        Self {
            entropy: at_first(requested.has(Step::Entropy)),
            clock: at_first(requested.has(Step::Clock)),
            clock_skew_ms: None,
            identity: at_first(requested.has(Step::Identity)),
            network: at_first(requested.has(Step::Network)),
            key: at_first(requested.has(Step::Key)),
        }
    }

    /// Reports on a step.
    pub fn set(&mut self, step: Step, outcome: StepOutcome) {
        match step {
            Step::Entropy => self.entropy = outcome,
            Step::Clock => self.clock = outcome,
            Step::Identity => self.identity = outcome,
            Step::Network => self.network = outcome,
            Step::Key => self.key = outcome,
        }
    }

    /// Reports how far the guest's clock was ahead of the host's before it was set (negative:
    /// behind), in milliseconds.
    pub fn set_clock_skew_ms(&mut self, skew: i64) {
        self.clock_skew_ms = Some(skew);
    }

    /// What became of a step.
    #[must_use]
    pub const fn outcome(&self, step: Step) -> StepOutcome {
        match step {
            Step::Entropy => self.entropy,
            Step::Clock => self.clock,
            Step::Identity => self.identity,
            Step::Network => self.network,
            Step::Key => self.key,
        }
    }

    /// How far the guest's clock was ahead before it was set, in milliseconds; `None` if it was
    /// not measured.
    #[must_use]
    pub const fn clock_skew_ms(&self) -> Option<i64> {
        self.clock_skew_ms
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        for step in Step::ALL {
            let (code, detail) = self.outcome(step).into();
            writer.byte(code);
            writer.varint(u64::from(detail));
            if let Step::Clock = step {
                match self.clock_skew_ms {
                    None => writer.byte(0),
                    Some(skew) => {
                        writer.byte(1);
                        writer.zigzag(skew);
                    }
                }
            }
        }
    }

    /// Whether every step of `requested` (see [`Wake::steps`]) is done. The guest is awake then,
    /// and only then; both sides decide with this.
    ///
    /// # Errors
    ///
    /// What is not done.
    pub fn check(&self, requested: Steps) -> Result<(), NotWoken> {
        let mut missing = Steps(0);
        for step in Step::ALL {
            if requested.has(step) && self.outcome(step) != StepOutcome::Done {
                missing = missing.with(step);
            }
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(NotWoken { missing })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requested_step_counts_and_no_other() {
        let mut awake = 0;
        for requested in 0..32_u8 {
            for done in 0..32_u8 {
                let requested = Steps(requested);
                let mut report = WakeReport::new(requested);
                for step in Step::ALL {
                    let expected = if requested.has(step) {
                        StepOutcome::NOT_TRIED
                    } else {
                        StepOutcome::NotRequested
                    };
                    assert_eq!(report.outcome(step), expected);
                    if Steps(done).has(step) {
                        report.set(step, StepOutcome::Done);
                    }
                }
                let missing = requested.without(Steps(done));
                if missing.is_empty() {
                    assert_eq!(report.check(requested), Ok(()));
                    awake += 1;
                } else {
                    assert_eq!(report.check(requested), Err(NotWoken { missing }));
                }
            }
        }
        assert_eq!(awake, 3_usize.pow(5));
    }

    #[test]
    fn an_unknown_outcome_is_not_done() {
        let requested = Steps::CLOCK;
        let mut report = WakeReport::new(requested);
        for (outcome, done) in [
            (StepOutcome::from((3, 0)), false),
            (StepOutcome::from((255, 1)), false),
            (StepOutcome::Failed { code: 1 }, false),
            (StepOutcome::NotRequested, false),
            (StepOutcome::Done, true),
        ] {
            report.set(Step::Clock, outcome);
            assert_eq!(report.check(requested).is_ok(), done, "{outcome:?}");
        }
    }

    #[test]
    fn secrets_are_not_shown_and_compare_by_content() {
        let secret = SecretBytes::new([0xA7; 32]);
        let shown = alloc::format!("{secret:?}");
        assert_eq!(shown, "SecretBytes(..)");
        let mut other = [0xA7; 32];
        assert_eq!(secret, SecretBytes::new(other));
        for at in 0..32 {
            other[at] ^= 0x80;
            assert_ne!(secret, SecretBytes::new(other));
            other[at] ^= 0x80;
        }
    }
}
