//! The core's policies as parts of documents: mirrors, so that each bad value is told of with its path.

use serde::{Deserialize, Deserializer};

use crate::fleet::document::{At, Document, Field, Objects, Problems};
use crate::idle_metrics::CpuPercent;
use crate::policy::{Role, RuntimePolicy, SleepPolicyConfig};

macro_rules! policy_fields {
    ($policy:ident as $mirror:ident { $($member:ident: $ty:ty),* $(,)? }) => {
        /// Members that are left out have the default of the policy.
        #[derive(Deserialize)]
        #[serde(default, remote = "Self", expecting = "an object")]
        #[allow(unreachable_pub, missing_docs, clippy::exhaustive_structs)]
        pub struct $mirror {
            $(pub $member: <$ty as Field>::Raw<'static>),*
        }

        impl Default for $mirror {
            fn default() -> Self {
                $policy::default().raw()
            }
        }

        impl<'de> Deserialize<'de> for $mirror {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::deserialize(Objects(deserializer))
            }
        }

        impl Field for $policy {
            type Raw<'a> = $mirror;

            fn read(raw: $mirror, at: &At<'_>, problems: &mut Problems) -> Option<Self> {
                $(
                    let $member =
                        <$ty as Field>::read(raw.$member, &at.member(stringify!($member)), problems);
                )*
                Some(Self { $($member: $member?),* })
            }

            fn raw(&self) -> $mirror {
                $mirror { $($member: self.$member.raw()),* }
            }
        }

        impl Document for $policy {
            const NAME: &'static str = stringify!($policy);
        }
    };
}

policy_fields! {
    RuntimePolicy as RuntimePolicyMirror {
        min_running_seconds: u64,
        min_warm_seconds: u64,
        drain_timeout_seconds: u64,
        graceful_shutdown_seconds: u64,
    }
}

policy_fields! {
    SleepPolicyConfig as SleepPolicyConfigMirror {
        warm_threshold_secs: u64,
        sleep_threshold_secs: u64,
        cpu_threshold: CpuPercent,
        net_bytes_threshold: u64,
    }
}

impl Document for Role {
    const NAME: &'static str = "Role";
}
