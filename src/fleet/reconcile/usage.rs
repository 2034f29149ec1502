//! Quotas, and what counts against them.

use super::action::{Quota, RefuseReason};
use super::model::Slot;
use crate::fleet::pool::InstanceResources;
use crate::fleet::tenant::TenantQuota;
use crate::instance::InstanceStatus;

use InstanceStatus::{Running, Warm};

/// How much of its quotas a tenant uses.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) running: u64,
    pub(super) warm: u64,
    pub(super) vcpus: u64,
    pub(super) mem_mib: u64,
    pub(super) disk_mib: u64,
}

impl Usage {
    pub(super) fn of(slot: &Slot, resources: &InstanceResources) -> Self {
        let process = slot.either(InstanceStatus::has_process);
        let if_process = |amount: u64| if process { amount } else { 0 };
        Self {
            running: u64::from(slot.either(|status| status == Running)),
            warm: u64::from(slot.either(|status| status == Warm)),
            vcpus: if_process(resources.vcpus.into()),
            mem_mib: if_process(resources.mem_mib.into()),
            disk_mib: if slot.exists() {
                resources.data_disk_mib.into()
            } else {
                0
            },
        }
    }

    /// What a running instance uses.
    pub(super) fn running(resources: &InstanceResources) -> Self {
        Self {
            running: 1,
            warm: 0,
            vcpus: resources.vcpus.into(),
            mem_mib: resources.mem_mib.into(),
            disk_mib: resources.data_disk_mib.into(),
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            running: self.running.saturating_add(other.running),
            warm: self.warm.saturating_add(other.warm),
            vcpus: self.vcpus.saturating_add(other.vcpus),
            mem_mib: self.mem_mib.saturating_add(other.mem_mib),
            disk_mib: self.disk_mib.saturating_add(other.disk_mib),
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            running: self.running.saturating_sub(other.running),
            warm: self.warm.saturating_sub(other.warm),
            vcpus: self.vcpus.saturating_sub(other.vcpus),
            mem_mib: self.mem_mib.saturating_sub(other.mem_mib),
            disk_mib: self.disk_mib.saturating_sub(other.disk_mib),
        }
    }

    /// Whether the tenant may come to use this much. Only what grows is asked about: what exceeds
    /// its quota already, because the quota was lowered, does not keep the rest from changing.
    pub(super) fn grow_to(self, then: Self, quotas: &TenantQuota) -> Result<(), RefuseReason> {
        let max_disk_mib = quotas.max_disk_gib.saturating_mul(1024);
        for (quota, now, needed, max) in [
            (
                Quota::Running,
                self.running,
                then.running,
                quotas.max_running.into(),
            ),
            (Quota::Warm, self.warm, then.warm, quotas.max_warm.into()),
            (
                Quota::Vcpus,
                self.vcpus,
                then.vcpus,
                quotas.max_vcpus.into(),
            ),
            (
                Quota::MemMib,
                self.mem_mib,
                then.mem_mib,
                quotas.max_mem_mib,
            ),
            (Quota::DiskGib, self.disk_mib, then.disk_mib, max_disk_mib),
        ] {
            if needed > now && needed > max {
                let (needed, max) = if quota == Quota::DiskGib {
                    (needed.div_ceil(1024), quotas.max_disk_gib)
                } else {
                    (needed, max)
                };
                return Err(RefuseReason::Quota { quota, needed, max });
            }
        }
        Ok(())
    }
}
