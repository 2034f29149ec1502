use mvm_core::protocol as ours;
use old::protocol as theirs;

use super::documents;
use crate::source::*;

documents! {
    choice HostdRequest {
        StartInstance { tenant_id: id, pool_id: id, instance_id: id },
        StopInstance { tenant_id: id, pool_id: id, instance_id: id },
        SleepInstance { tenant_id: id, pool_id: id, instance_id: id, force, drain_timeout_secs },
        WakeInstance { tenant_id: id, pool_id: id, instance_id: id },
        DestroyInstance { tenant_id: id, pool_id: id, instance_id: id, wipe_volumes },
        SetupNetwork { tenant_id: id, net },
        TeardownNetwork { tenant_id: id, net },
        Ping,
    }
    choice HostdResponse { Ok, Error { message }, Pong }
}
