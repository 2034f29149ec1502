//! The registry: counters that threads count into at once, gauges, and their text for Prometheus.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::OnceLock;
use std::{thread, thread_local};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::fleet::metrics::MetricsSnapshot;

/// The `Content-Type` of [`prometheus_exposition`](MetricsSnapshot::prometheus_exposition).
pub const PROMETHEUS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The `Content-Type` of [`openmetrics`](MetricsSnapshot::openmetrics).
pub const OPENMETRICS_CONTENT_TYPE: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Room for the whole text with numbers of eight digits, in bytes.
const TEXT_LEN: usize = 3 << 10;
/// Shards that there are at least and at most. A thread is given one of them for good, in turn, so that a few more
/// than there are CPUs keep threads apart.
const SHARDS_MIN: usize = 8;
const SHARDS_MAX: usize = 64;

/// What each member of a snapshot is called outside, in the order of the text.
macro_rules! registry {
    ($(
        $(counter $counter:ident: $counter_name:literal, $counter_help:literal)?
        $(gauge $gauge:ident: $gauge_name:literal, $as_before:expr, $gauge_help:literal)?
        ;
    )+) => {
        /// Where each counter is in a shard.
        #[derive(Clone, Copy)]
        #[allow(non_camel_case_types)]
        enum At {
            $($($counter,)?)+
        }

        /// How many counters there are.
        const COUNTERS: usize = [$($(At::$counter,)?)+].len();

        /// What a program counts. A clone counts into the same registry.
        ///
        /// Counting takes no lock and allocates nothing: [`Counter`] says what it costs. A name is a member, and
        /// there are no labels: nobody can fill a time series database through it.
        ///
        /// ```
        /// use mvm_core::observability::metrics::{Metrics, global};
        ///
        /// // One for the program, or one for each test.
        /// global().requests_total.inc();
        /// let metrics = Metrics::new();
        /// metrics.instances_started.add(3);
        /// metrics.vm_start_duration_ms.record(std::time::Duration::from_millis(125));
        ///
        /// assert_eq!(metrics.snapshot().instances_started, 3);
        /// let text = metrics.prometheus_exposition();
        /// assert!(text.contains("\nmvm_instances_started_total 3\n"));
        /// assert!(text.contains("\nmvm_vm_start_duration_milliseconds 125\n"));
        /// ```
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub struct Metrics {
            $(
                $(#[doc = concat!($counter_help, ". `", $counter_name, "_total`.")] pub $counter: Counter,)?
                $(#[doc = concat!($gauge_help, ". `", $gauge_name, "`.")] pub $gauge: Gauge,)?
            )+
        }

        impl Metrics {
            fn starting_at(snapshot: &MetricsSnapshot) -> Self {
                let shards = Shards::new();
                let metrics = Self {
                    $(
                        $($counter: Counter { shards: shards.clone(), at: At::$counter },)?
                        $($gauge: Gauge::default(),)?
                    )+
                };
                $(
                    $(metrics.$counter.add(snapshot.$counter);)?
                    $(metrics.$gauge.set(snapshot.$gauge);)?
                )+
                metrics
            }

            /// Everything as it is now. While others count, one member may be read a moment after another.
            #[must_use]
            pub fn snapshot(&self) -> MetricsSnapshot {
                MetricsSnapshot {
                    $(
                        $($counter: self.$counter.get(),)?
                        $($gauge: self.$gauge.get(),)?
                    )+
                }
            }
        }

        /// The values, in the order of the text.
        const fn values(snapshot: &MetricsSnapshot) -> [u64; VALUES] {
            [$($(snapshot.$counter,)? $(snapshot.$gauge,)?)+]
        }

        /// How many values there are.
        const VALUES: usize = [$($(stringify!($counter),)? $(stringify!($gauge),)?)+].len();

        fn encode(
            snapshot: &MetricsSnapshot,
            form: Form,
            encoder: &mut DescriptorEncoder<'_>,
        ) -> fmt::Result {
            $(
                $(counter(encoder, $counter_name, $counter_help, snapshot.$counter)?;)?
                $(gauge(encoder, $gauge_name, $gauge_help, $as_before(form), snapshot.$gauge)?;)?
            )+
            Ok(())
        }
    };
}

registry! {
    counter requests_total: "mvm_requests", "Requests that came";
    counter requests_reconcile: "mvm_requests_reconcile", "Requests to reconcile";
    counter requests_node_info: "mvm_requests_node_info", "Requests for the description of the node";
    counter requests_node_stats: "mvm_requests_node_stats", "Requests for the statistics of the node";
    counter requests_tenant_list: "mvm_requests_tenant_list", "Requests for the list of tenants";
    counter requests_instance_list: "mvm_requests_instance_list", "Requests for a list of instances";
    counter requests_wake: "mvm_requests_wake", "Requests to wake an instance";
    counter requests_rate_limited: "mvm_requests_rate_limited", "Requests that were refused as too many came";
    counter requests_failed: "mvm_requests_failed", "Requests that failed";
    counter reconcile_runs: "mvm_reconcile_runs", "Passes of reconciling";
    counter reconcile_errors: "mvm_reconcile_errors", "Passes of reconciling that failed";
    gauge reconcile_duration_ms: "mvm_reconcile_duration_milliseconds", Form::of_reconcile_duration, "How long the last pass of reconciling took";
    counter instances_created: "mvm_instances_created", "Instances that were made";
    counter instances_started: "mvm_instances_started", "Instances that were booted";
    counter instances_stopped: "mvm_instances_stopped", "Instances that were stopped";
    counter instances_slept: "mvm_instances_slept", "Instances that were put to sleep";
    counter instances_woken: "mvm_instances_woken", "Instances that were woken";
    counter instances_destroyed: "mvm_instances_destroyed", "Instances that were removed";
    counter instances_deferred: "mvm_instances_deferred", "Instances whose transition was put off";
    counter connections_accepted: "mvm_connections_accepted", "Connections that were accepted";
    counter connections_rejected: "mvm_connections_rejected", "Connections that were refused";
    gauge build_image_duration_ms: "mvm_build_image_duration_milliseconds", Form::of_gauge, "How long the last build of an image took";
    gauge vm_start_duration_ms: "mvm_vm_start_duration_milliseconds", Form::of_gauge, "How long the last start of a virtual machine took";
    gauge vsock_handshake_rtt_ms: "mvm_vsock_handshake_rtt_milliseconds", Form::of_gauge, "How long the last handshake with a guest took";
}

/// The registry of the program; it begins to count when it is first asked for.
pub fn global() -> &'static Metrics {
    static GLOBAL: OnceLock<Metrics> = OnceLock::new();
    GLOBAL.get_or_init(Metrics::new)
}

impl Metrics {
    /// A registry of its own, with nothing counted.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(&MetricsSnapshot::default())
    }

    /// [`MetricsSnapshot::prometheus_exposition`] of what is counted now.
    #[must_use]
    pub fn prometheus_exposition(&self) -> String {
        self.snapshot().prometheus_exposition()
    }

    /// [`MetricsSnapshot::openmetrics`] of what is counted now.
    #[must_use]
    pub fn openmetrics(&self) -> String {
        self.snapshot().openmetrics()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A registry that goes on where a snapshot was taken.
impl From<&MetricsSnapshot> for Metrics {
    fn from(snapshot: &MetricsSnapshot) -> Self {
        Self::starting_at(snapshot)
    }
}

/// A number that only grows, from 0 with the registry. A clone is the same counter.
///
/// Each thread adds to a number of its own (of 64 at most, which threads then share), on a cache line that no other
/// thread writes: counting costs one atomic operation, whoever else counts. Reading adds them up. It stays at
/// [`u64::MAX`] once it is there, and does not start from 0 again.
#[derive(Clone)]
pub struct Counter {
    shards: Shards,
    at: At,
}

impl Counter {
    /// Counts one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Counts several at once.
    pub fn add(&self, count: u64) {
        if let Some(cell) = self.shards.mine().and_then(|shard| shard.cell(self.at)) {
            let order = Ordering::Relaxed;
            let mut before = cell.load(order);
            while let Err(meanwhile) =
                cell.compare_exchange_weak(before, before.saturating_add(count), order, order)
            {
                before = meanwhile;
            }
        }
    }

    /// How many were counted.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.shards
            .0
            .iter()
            .filter_map(|shard| shard.cell(self.at))
            .fold(0, |sum, cell| {
                sum.saturating_add(cell.load(Ordering::Relaxed))
            })
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counter").field(&self.get()).finish()
    }
}

/// How long something took the last time, 0 before the first. A clone is the same gauge.
///
/// It is set and never added to, so it neither overflows nor falls below 0.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// Sets it, in milliseconds.
    pub fn set(&self, millis: u64) {
        self.0.store(millis, Ordering::Relaxed);
    }

    /// Sets it to whole milliseconds, [`u64::MAX`] at most.
    pub fn record(&self, took: Duration) {
        self.set(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }

    /// What it was set to last, in milliseconds.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counters once, for some of the threads. Two cache lines of 64 bytes, which CPUs fetch in pairs, or one of 128.
#[repr(align(128))]
struct Shard([AtomicU64; COUNTERS]);

impl Shard {
    fn cell(&self, at: At) -> Option<&AtomicU64> {
        #[allow(
            clippy::as_conversions,
            reason = "the place of a variant without a value"
        )]
        self.0.get(at as usize)
    }
}

/// As many as a power of two.
#[derive(Clone)]
struct Shards(Arc<[Shard]>);

impl Shards {
    fn new() -> Self {
        let cpus = thread::available_parallelism().map_or(SHARDS_MIN, usize::from);
        let count = cpus
            .checked_next_power_of_two()
            .unwrap_or(SHARDS_MAX)
            .clamp(SHARDS_MIN, SHARDS_MAX);
        let shard = |_| Shard([const { AtomicU64::new(0) }; COUNTERS]);
        Self((0..count).map(shard).collect())
    }

    /// The shard of this thread.
    fn mine(&self) -> Option<&Shard> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        let mine = MINE.try_with(|mine| *mine).unwrap_or(0);
        // The remainder of a power of two.
        self.0.get(mine & self.0.len().wrapping_sub(1))
    }
}

impl MetricsSnapshot {
    /// The text that Prometheus reads, with 0.13.0's names, types and values of samples.
    ///
    /// `HELP` and `TYPE` name the family of a sample, as in OpenMetrics: `mvm_requests` for `mvm_requests_total`. One
    /// type is 0.13.0's and not the right one: `mvm_reconcile_duration_milliseconds`, a gauge, is a `counter` here,
    /// so that what is built on that text goes on. [`openmetrics`](Self::openmetrics) has it right.
    ///
    /// Serve it as [`PROMETHEUS_CONTENT_TYPE`].
    #[must_use]
    pub fn prometheus_exposition(&self) -> String {
        self.exposition(Form::Prometheus)
    }

    /// The text of OpenMetrics 1.0, for scrapers that accept it: the same samples, every gauge a `gauge`, and the
    /// line `# EOF`.
    ///
    /// Serve it as [`OPENMETRICS_CONTENT_TYPE`].
    ///
    /// ```
    /// use mvm_core::observability::metrics::MetricsSnapshot;
    ///
    /// // Of one node, or of several that were merged.
    /// let snapshot = MetricsSnapshot { reconcile_duration_ms: 40, ..MetricsSnapshot::default() };
    /// let text = snapshot.openmetrics();
    /// assert!(text.contains(
    ///     "# TYPE mvm_reconcile_duration_milliseconds gauge\nmvm_reconcile_duration_milliseconds 40\n"
    /// ));
    /// assert!(text.ends_with("\n# EOF\n"));
    /// ```
    #[must_use]
    pub fn openmetrics(&self) -> String {
        self.exposition(Form::OpenMetrics)
    }

    fn exposition(&self, form: Form) -> String {
        let mut out = String::with_capacity(TEXT_LEN);
        let mut pieces = form.pieces().iter();
        // The values first: one that ends before takes no piece from the rest.
        for (value, piece) in values(self).into_iter().zip(pieces.by_ref()) {
            // A `String` can always be written to.
            let _ = write!(out, "{piece} {value}");
        }
        out.extend(pieces.map(String::as_str));
        out
    }
}

/// Whose rules a text follows.
#[derive(Debug, Clone, Copy)]
enum Form {
    Prometheus,
    OpenMetrics,
}

impl Form {
    const fn of_reconcile_duration(self) -> MetricType {
        match self {
            Self::Prometheus => MetricType::Counter,
            Self::OpenMetrics => MetricType::Gauge,
        }
    }

    /// What stands before, between and after the values. Of the text, only they change.
    fn pieces(self) -> &'static [String] {
        static PROMETHEUS: OnceLock<Vec<String>> = OnceLock::new();
        static OPEN_METRICS: OnceLock<Vec<String>> = OnceLock::new();
        let pieces = match self {
            Self::Prometheus => &PROMETHEUS,
            Self::OpenMetrics => &OPEN_METRICS,
        };
        pieces.get_or_init(|| {
            let mut registry = Registry::default();
            registry.register_collector(Box::new(Exposition {
                snapshot: MetricsSnapshot::default(),
                form: self,
            }));
            let mut text = String::with_capacity(TEXT_LEN);
            // Both only fail where what is written to does, which a `String` never does.
            let _ = match self {
                Self::Prometheus => text::encode_registry(&mut text, &registry),
                Self::OpenMetrics => text::encode(&mut text, &registry),
            };
            // Every sample is 0, and no help ends like one.
            let mut pieces: Vec<String> = text.split(" 0\n").map(ToOwned::to_owned).collect();
            for piece in pieces.iter_mut().skip(1) {
                piece.insert(0, '\n');
            }
            pieces
        })
    }

    const fn of_gauge(self) -> MetricType {
        MetricType::Gauge
    }
}

#[derive(Debug)]
struct Exposition {
    snapshot: MetricsSnapshot,
    form: Form,
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        encode(&self.snapshot, self.form, &mut encoder)
    }
}

/// The encoder appends `_total` to the name of the sample.
fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(encoder)
}

/// The name of the sample is that of the family, whatever its type is said to be.
fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    said: MetricType,
    value: u64,
) -> fmt::Result {
    let encoder = encoder.encode_descriptor(name, help, None, said)?;
    ConstGauge::new(value).encode(encoder)
}
