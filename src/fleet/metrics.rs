//! Snapshots of the counters of a node's agent, and arithmetic over them.

use core::time::Duration;

use super::document::document;

/// The members of a snapshot, each a counter or a gauge, and what is made of them one by one.
macro_rules! metrics {
    (@merge counter $one:expr, $other:expr) => { $one.saturating_add($other) };
    (@merge gauge $one:expr, $other:expr) => { $one.max($other) };
    ($(
        $(counter: $(#[$counter_meta:meta])* $counter:ident)?
        $(gauge: $(#[$gauge_meta:meta])* $gauge:ident)?
        ,
    )+) => {
        document! {
            /// What an agent had counted since it started, and how long some things took last. The
            /// [module's documentation](crate::observability::metrics) says what can be made of it.
            #[derive(Copy, Eq, Hash, Default)]
            pub struct MetricsSnapshot {
                $(
                    $($(#[$counter_meta])* $counter: u64,)?
                    $($(#[$gauge_meta])* $gauge: u64,)?
                )+
            }
        }

        impl MetricsSnapshot {
            /// What two nodes counted together. The order does not matter, and [`Default`] changes nothing.
            ///
            /// Counters are added; one that would exceed [`u64::MAX`] stays there, as it must not start from 0 again.
            /// Of gauges the greatest is taken: what took longest anywhere.
            ///
            /// ```
            /// use mvm_core::observability::metrics::MetricsSnapshot;
            ///
            /// let node = |wakes, last| MetricsSnapshot {
            ///     requests_wake: wakes,
            ///     vm_start_duration_ms: last,
            ///     ..MetricsSnapshot::default()
            /// };
            /// let nodes = [node(3, 120), node(4, 95)];
            /// let fleet = nodes.iter().fold(MetricsSnapshot::default(), |all, node| all.merge(node));
            /// assert_eq!((fleet.requests_wake, fleet.vm_start_duration_ms), (7, 120));
            /// ```
            #[must_use]
            pub fn merge(&self, other: &Self) -> Self {
                Self {
                    $(
                        $($counter: metrics!(@merge counter self.$counter, other.$counter),)?
                        $($gauge: metrics!(@merge gauge self.$gauge, other.$gauge),)?
                    )+
                }
            }

            /// What one node counted after an earlier snapshot of it.
            ///
            /// Where a counter is less than it was, the program started again in between, and with it all counters:
            /// then everything was counted since that start. What came between the earlier snapshot and the start is
            /// not known. (A program that counts more than before by the time of the next snapshot, in every counter,
            /// cannot be told from one that went on.)
            ///
            /// ```
            /// use mvm_core::observability::metrics::MetricsSnapshot;
            ///
            /// let snapshot = |total, failed| MetricsSnapshot {
            ///     requests_total: total,
            ///     requests_failed: failed,
            ///     ..MetricsSnapshot::default()
            /// };
            /// let increase = snapshot(25, 2).since(&snapshot(10, 1));
            /// assert_eq!((increase.counted.requests_total, increase.restarted), (15, false));
            ///
            /// // The total went on growing, but failures were forgotten: it is another run.
            /// let increase = snapshot(12, 0).since(&snapshot(10, 1));
            /// assert_eq!((increase.counted.requests_total, increase.restarted), (12, true));
            /// ```
            #[must_use]
            pub fn since(&self, earlier: &Self) -> MetricsIncrease {
                let restarted = false $($(|| self.$counter < earlier.$counter)?)+;
                let earlier = if restarted { Self::default() } else { *earlier };
                MetricsIncrease {
                    counted: Self {
                        $(
                            $($counter: self.$counter.saturating_sub(earlier.$counter),)?
                            $($gauge: self.$gauge,)?
                        )+
                    },
                    restarted,
                }
            }
        }

        /// How much was counted in a second: finite numbers, none of which is negative.
        #[derive(Debug, Clone, Copy, PartialEq, Default)]
        #[non_exhaustive]
        pub struct MetricsRates {
            $($($(#[$counter_meta])* pub $counter: f64,)?)+
        }

        impl MetricsIncrease {
            /// How much was counted in a second, if it took `over` to count it. `None` where that is no time at all.
            ///
            /// ```
            /// use core::time::Duration;
            /// use mvm_core::observability::metrics::MetricsSnapshot;
            ///
            /// let now = MetricsSnapshot { requests_total: 90, ..MetricsSnapshot::default() };
            /// let increase = now.since(&MetricsSnapshot::default());
            /// let rates = increase.rates(Duration::from_secs(60)).unwrap();
            /// assert_eq!(rates.requests_total, 1.5);
            /// assert!(increase.rates(Duration::ZERO).is_none());
            /// ```
            #[must_use]
            pub fn rates(&self, over: Duration) -> Option<MetricsRates> {
                if over.is_zero() {
                    return None;
                }
                let seconds = over.as_secs_f64();
                Some(MetricsRates {
                    $($($counter: float(self.counted.$counter) / seconds,)?)+
                })
            }
        }
    };
}

metrics! {
    counter: /// Requests that came.
    requests_total,
    counter: /// Requests to reconcile.
    requests_reconcile,
    counter: /// Requests for the node's description.
    requests_node_info,
    counter: /// Requests for the node's statistics.
    requests_node_stats,
    counter: /// Requests for the list of tenants.
    requests_tenant_list,
    counter: /// Requests for a list of instances.
    requests_instance_list,
    counter: /// Requests to wake an instance.
    requests_wake,
    counter: /// Requests that were refused, as too many came.
    requests_rate_limited,
    counter: /// Requests that failed.
    requests_failed,
    counter: /// Passes of reconciling.
    reconcile_runs,
    counter: /// Passes of reconciling that failed.
    reconcile_errors,
    gauge: /// How long the last pass took, in milliseconds. A gauge.
    reconcile_duration_ms,
    counter: /// Instances that were made.
    instances_created,
    counter: /// Instances that were booted.
    instances_started,
    counter: /// Instances that were stopped.
    instances_stopped,
    counter: /// Instances that were put to sleep.
    instances_slept,
    counter: /// Instances that were woken.
    instances_woken,
    counter: /// Instances that were removed.
    instances_destroyed,
    counter: /// Instances whose transition was put off.
    instances_deferred,
    counter: /// Connections that were accepted.
    connections_accepted,
    counter: /// Connections that were refused.
    connections_rejected,
    gauge: /// How long the last build of an image took, in milliseconds. A gauge.
    build_image_duration_ms,
    gauge: /// How long the last start of a virtual machine took, in milliseconds. A gauge.
    vm_start_duration_ms,
    gauge: /// How long the last handshake with a guest took, in milliseconds. A gauge.
    vsock_handshake_rtt_ms,
}

/// What was counted between two snapshots: see [`MetricsSnapshot::since`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct MetricsIncrease {
    /// How much the counters grew, and the gauges as they are at the end.
    pub counted: MetricsSnapshot,
    /// Whether the program (of one of the nodes at least) started again in between: then `counted` is less than what
    /// happened, or as much.
    pub restarted: bool,
}

impl MetricsIncrease {
    /// What two nodes counted together, as by [`MetricsSnapshot::merge`].
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        Self {
            counted: self.counted.merge(&other.counted),
            restarted: self.restarted || other.restarted,
        }
    }
}

/// The nearest float.
fn float(count: u64) -> f64 {
    let half = |bits: u64| f64::from(u32::try_from(bits).unwrap_or(u32::MAX));
    // Both products are exact, so the sum is rounded once.
    half(count >> 32) * 4_294_967_296.0 + half(count & 0xFFFF_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::as_conversions)] // what is compared with
    fn floats_are_the_nearest() {
        for shift in 0..64 {
            for near in [0, 1, 2, 3, u64::MAX] {
                let count = (1_u64 << shift).wrapping_add(near);
                assert_eq!(float(count).to_bits(), (count as f64).to_bits(), "{count}");
            }
        }
    }
}
