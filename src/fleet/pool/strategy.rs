//! How a pool gets from one revision to the next.

use alloc::vec::Vec;
use core::fmt;

use serde::de::value::MapDeserializer;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::fleet::document::{At, Field, Problems, Text, document, document_impls};
use crate::fleet::text::Ratio;

const fn one() -> u32 {
    1
}

const fn health_check_timeout() -> u64 {
    60
}

const fn canary_duration() -> u64 {
    300
}

const fn success_threshold() -> f64 {
    0.95
}

/// How a pool's instances are replaced by ones of another revision.
///
/// In JSON the members of the strategy and `type`, which is `rolling` or `canary`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(remote = "Self", tag = "type", rename_all = "snake_case")]
// Closed: exactly the strategies that 0.13.0 knows; it refuses any other.
#[allow(clippy::exhaustive_enums)]
pub enum UpdateStrategy {
    /// A few at a time.
    Rolling(RollingUpdateStrategy),
    /// A few first, and the others if those do well.
    Canary(CanaryStrategy),
}

impl Default for UpdateStrategy {
    /// [`RollingUpdateStrategy::default`].
    fn default() -> Self {
        Self::Rolling(RollingUpdateStrategy::default())
    }
}

document! {
    /// Instances are replaced a few at a time.
    #[derive(Copy, Eq)]
    pub struct RollingUpdateStrategy {
        /// How many instances may be away at once. Default 1.
        max_unavailable: u32 [default = "one"],
        /// How many instances there may be beyond the number that is wanted. Default 1.
        max_surge: u32 [default = "one"],
        /// How long each new instance has to become healthy, in seconds. Default 60.
        health_check_timeout_secs: u64 [default = "health_check_timeout"],
    }
}

impl Default for RollingUpdateStrategy {
    fn default() -> Self {
        Self {
            max_unavailable: one(),
            max_surge: one(),
            health_check_timeout_secs: health_check_timeout(),
        }
    }
}

document! {
    /// A few instances are replaced first and watched.
    #[derive(Copy)]
    pub struct CanaryStrategy {
        /// How many instances are replaced first. Default 1.
        canary_count: u32 [default = "one"],
        /// How long they are watched, in seconds. Default 300.
        canary_duration_secs: u64 [default = "canary_duration"],
        /// The share of health checks that must succeed. Default 0.95.
        success_threshold: Ratio [default = "success_threshold"],
    }
}

impl Default for CanaryStrategy {
    fn default() -> Self {
        Self {
            canary_count: one(),
            canary_duration_secs: canary_duration(),
            success_threshold: Ratio::new(success_threshold()).unwrap_or(Ratio::ONE),
        }
    }
}

document_impls!(UpdateStrategy);

/// The mirror of [`UpdateStrategy`].
#[allow(unreachable_pub, missing_docs, clippy::exhaustive_enums)]
pub enum Mirror {
    Rolling(RollingUpdateStrategy),
    Canary(u32, u64, f64),
}

impl Field for UpdateStrategy {
    type Raw<'a> = Mirror;

    fn read(raw: Mirror, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        Some(match raw {
            Mirror::Rolling(strategy) => Self::Rolling(strategy),
            Mirror::Canary(canary_count, canary_duration_secs, threshold) => {
                Self::Canary(CanaryStrategy {
                    canary_count,
                    canary_duration_secs,
                    success_threshold: Ratio::read(
                        threshold,
                        &at.member("success_threshold"),
                        problems,
                    )?,
                })
            }
        })
    }

    fn raw(&self) -> Mirror {
        match *self {
            Self::Rolling(strategy) => Mirror::Rolling(strategy),
            Self::Canary(strategy) => Mirror::Canary(
                strategy.canary_count,
                strategy.canary_duration_secs,
                strategy.success_threshold.get(),
            ),
        }
    }
}

impl<'de> Deserialize<'de> for Mirror {
    /// By hand: serde's derive for `type` copies the whole object first, and then errors have no
    /// path, and nobody learns which members are unknown.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MirrorVisitor)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rolling,
    Canary,
}

impl Kind {
    fn named<E: Error>(name: &str) -> Result<Self, E> {
        match name {
            "rolling" => Ok(Self::Rolling),
            "canary" => Ok(Self::Canary),
            _ => Err(E::unknown_variant(name, &["rolling", "canary"])),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Member {
    Type,
    MaxUnavailable,
    MaxSurge,
    HealthCheckTimeoutSecs,
    CanaryCount,
    CanaryDurationSecs,
    SuccessThreshold,
    #[serde(other)]
    Unknown,
}

impl Member {
    const fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::MaxUnavailable => "max_unavailable",
            Self::MaxSurge => "max_surge",
            Self::HealthCheckTimeoutSecs => "health_check_timeout_secs",
            Self::CanaryCount => "canary_count",
            Self::CanaryDurationSecs => "canary_duration_secs",
            Self::SuccessThreshold => "success_threshold",
            Self::Unknown => "",
        }
    }

    /// The kind that has it.
    const fn kind(self) -> Option<Kind> {
        match self {
            Self::Type | Self::Unknown => None,
            Self::MaxUnavailable | Self::MaxSurge | Self::HealthCheckTimeoutSecs => {
                Some(Kind::Rolling)
            }
            Self::CanaryCount | Self::CanaryDurationSecs | Self::SuccessThreshold => {
                Some(Kind::Canary)
            }
        }
    }
}

struct MirrorVisitor;

impl<'de> Visitor<'de> for MirrorVisitor {
    type Value = Mirror;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Mirror, A::Error> {
        let mut kind = None;
        let mut members = Members::default();
        // Every program writes `type` first. What stands before it all the same has to wait.
        let mut waiting = Vec::new();
        while let Some(member) = map.next_key::<Member>()? {
            match (member, kind) {
                (Member::Type, None) => {
                    kind = Some(Kind::named::<A::Error>(&map.next_value::<Text<'_>>()?)?);
                }
                (Member::Type, Some(_)) => return Err(A::Error::duplicate_field("type")),
                (Member::Unknown, _) => {
                    map.next_value::<IgnoredAny>()?;
                }
                (_, None) => waiting.push((member, map.next_value::<Value>()?)),
                (_, Some(_)) if member.kind() != kind => {
                    map.next_value::<IgnoredAny>()?;
                }
                (_, Some(_)) => members.set(member, &mut map)?,
            }
        }
        let kind = kind.ok_or_else(|| A::Error::missing_field("type"))?;
        for (member, value) in waiting {
            if member.kind() == Some(kind) {
                let mut value = MapDeserializer::new(core::iter::once(((), value)));
                value.next_key::<IgnoredAny>().map_err(A::Error::custom)?;
                members
                    .set(member, &mut value)
                    .map_err(|error: serde_json::Error| {
                        A::Error::custom(format_args!("{}: {error}", member.name()))
                    })?;
            }
        }
        Ok(match kind {
            Kind::Rolling => Mirror::Rolling(RollingUpdateStrategy {
                max_unavailable: members.max_unavailable.unwrap_or(one()),
                max_surge: members.max_surge.unwrap_or(one()),
                health_check_timeout_secs: members
                    .health_check_timeout_secs
                    .unwrap_or(health_check_timeout()),
            }),
            Kind::Canary => Mirror::Canary(
                members.canary_count.unwrap_or(one()),
                members.canary_duration_secs.unwrap_or(canary_duration()),
                members.success_threshold.unwrap_or(success_threshold()),
            ),
        })
    }
}

/// The members of both kinds, as far as they were read.
#[derive(Default)]
struct Members {
    max_unavailable: Option<u32>,
    max_surge: Option<u32>,
    health_check_timeout_secs: Option<u64>,
    canary_count: Option<u32>,
    canary_duration_secs: Option<u64>,
    success_threshold: Option<f64>,
}

impl Members {
    /// Reads the value of a member.
    fn set<'de, A: MapAccess<'de>>(&mut self, member: Member, map: &mut A) -> Result<(), A::Error> {
        fn once<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
            slot: &mut Option<T>,
            member: Member,
            map: &mut A,
        ) -> Result<(), A::Error> {
            if slot.is_some() {
                return Err(A::Error::duplicate_field(member.name()));
            }
            *slot = Some(map.next_value()?);
            Ok(())
        }

        match member {
            Member::MaxUnavailable => once(&mut self.max_unavailable, member, map),
            Member::MaxSurge => once(&mut self.max_surge, member, map),
            Member::HealthCheckTimeoutSecs => {
                once(&mut self.health_check_timeout_secs, member, map)
            }
            Member::CanaryCount => once(&mut self.canary_count, member, map),
            Member::CanaryDurationSecs => once(&mut self.canary_duration_secs, member, map),
            Member::SuccessThreshold => once(&mut self.success_threshold, member, map),
            Member::Type | Member::Unknown => Ok(()),
        }
    }
}
