//! Every metric, in one table.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::{Registry, Unit},
};

use crate::clock::{Clock, Micros};

/// Label pairs of a series.
type Labels = Vec<(&'static str, String)>;

type CounterFamily = Family<Labels, Counter>;
type GaugeFamily = Family<Labels, Gauge>;
type HistogramFamily = Family<Labels, Histogram, Buckets>;

/// Bucket bounds in seconds, from 0.5 ms on, each twice the former.
#[derive(Clone, Copy, Debug, Default)]
struct Buckets;

/// A family without series.
trait Fresh {
    fn fresh() -> Self;
}

impl<M: Default> Fresh for Family<Labels, M> {
    fn fresh() -> Self {
        Self::default()
    }
}

/// What concerns the process as a whole has no labels.
impl Fresh for Counter {
    fn fresh() -> Self {
        Self::default()
    }
}

impl Fresh for HistogramFamily {
    fn fresh() -> Self {
        Self::new_with_constructor(Buckets)
    }
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new((0..18).map(|power| 0.0005 * f64::from(1u32 << power)))
    }
}

macro_rules! table {
    ($( $(#[doc = $help:literal])+ $field:ident : $family:ty = $name:literal $(, $unit:expr)? ; )+) => {
        /// The families of all components, and what has no component.
        #[derive(Clone, Debug)]
        struct Families { $( $(#[doc = $help])+ $field: $family, )+ }

        impl Default for Families {
            fn default() -> Self {
                Self { $( $field: Fresh::fresh(), )+ }
            }
        }

        impl Families {
            fn register(&self, registry: &mut Registry) {
                $( table!(@register registry, $name, concat!($($help),+).trim_matches([' ', '.']), self.$field.clone() $(, $unit)?); )+
            }
        }
    };
    (@register $r:ident, $name:literal, $help:expr, $metric:expr) => { $r.register($name, $help, $metric) };
    (@register $r:ident, $name:literal, $help:expr, $metric:expr, $unit:expr) => {
        $r.register_with_unit($name, $help, $unit, $metric)
    };
}

// Counters end in `_total` and units in their name on the wire, and help ends in a full stop; the
// registry adds all three.
table! {
    /// Records that a source received.
    received_events: CounterFamily = "component_received_events";
    /// Bytes that a source received, after decompression.
    received_bytes: CounterFamily = "component_received_bytes";
    /// Profiles that a sink delivered.
    sent_events: CounterFamily = "component_sent_events";
    /// Bytes of the bodies that a sink delivered.
    sent_bytes: CounterFamily = "component_sent_bytes";
    /// Errors by type and stage.
    errors: CounterFamily = "component_errors";
    /// Events that were set aside, by reason.
    discarded: CounterFamily = "component_discarded_events";
    /// Requests sent to the endpoint, every attempt counted.
    requests: CounterFamily = "http_client_requests_sent";
    /// Answers of the endpoint by status.
    responses: CounterFamily = "http_client_responses";
    /// Time from sending an attempt to its answer.
    rtt: HistogramFamily = "http_client_rtt", Unit::Seconds;
    /// Attempts that may be under way at once.
    concurrency_limit: GaugeFamily = "adaptive_concurrency_limit";
    /// Attempts that are under way.
    concurrency_in_flight: GaugeFamily = "adaptive_concurrency_in_flight";
    /// Profiles by state.
    profiles: GaugeFamily = "profile_http_profiles";
    /// Updates by verdict.
    updates: CounterFamily = "profile_http_updates";
    /// Exports by trigger and outcome.
    exports: CounterFamily = "profile_http_exports";
    /// Deliveries repeated inside the stack.
    retries: CounterFamily = "profile_http_retries";
    /// Memberships that ended because a snapshot no longer named them.
    exits_by_absence: CounterFamily = "profile_http_exits_by_absence";
    /// Records without a source version although `profile.version` is set.
    version_missing: CounterFamily = "profile_http_version_missing";
    /// Records without a value at a path of `export.consent`.
    consent_missing: CounterFamily = "profile_http_consent_missing";
    /// How long the oldest due profile has been due.
    oldest_due: GaugeFamily = "profile_http_oldest_due", Unit::Seconds;
    /// Time from acknowledged to delivered.
    lag: HistogramFamily = "profile_http_delivery_lag", Unit::Seconds;
    /// The gate: 1 for the state and reason it is in.
    gate: GaugeFamily = "profile_http_gate";
    /// Token requests by outcome.
    tokens: CounterFamily = "profile_http_tokens";
    /// Known profiles that are yet to be judged by a mapping that changed.
    reconcile_remaining: GaugeFamily = "profile_http_reconcile_remaining";
    /// Time of one commit of the store.
    commit: HistogramFamily = "profile_http_store_commit", Unit::Seconds;
    /// Changed configurations that were taken into use.
    reloaded: Counter = "config_reloaded";
    /// Changed configurations that were refused, the former one staying in use.
    reload_rejected: Counter = "config_reload_rejected";
}

/// The metrics of one process. The registry is a value: tests read it, nothing is global.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    families: Families,
}

impl Metrics {
    /// Metrics, registered in `registry`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        metrics.families.register(registry);
        metrics
    }

    /// All series in the text format that Prometheus reads (`OpenMetrics` 1.0).
    pub fn text(&self) -> Result<String, fmt::Error> {
        // Made for each reader: registering shares the series, it does not copy them.
        let mut registry = Registry::default();
        self.families.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }

    /// Counts changed configurations that were taken into use.
    pub fn reloaded(&self) -> Counter {
        self.families.reloaded.clone()
    }

    /// Counts changed configurations that were refused.
    pub fn reload_rejected(&self) -> Counter {
        self.families.reload_rejected.clone()
    }

    /// The series of one component. `kind` is `source` or `sink`, `component_type` the `type` of
    /// the configuration.
    pub fn component(&self, id: &str, kind: &'static str, component_type: &str) -> Arc<Component> {
        let labels: Labels = vec![
            ("component_id", id.to_owned()),
            ("component_kind", kind.to_owned()),
            ("component_type", component_type.to_owned()),
        ];
        Arc::new(Component::new(self.families.clone(), labels))
    }
}

/// The series of one source or sink. What is counted for each event is looked up once, here.
#[derive(Debug)]
pub struct Component {
    /// Records received.
    pub received_events: Counter,
    /// Bytes received.
    pub received_bytes: Counter,
    /// Profiles delivered.
    pub sent_events: Counter,
    /// Bytes delivered.
    pub sent_bytes: Counter,
    /// Attempts sent.
    pub requests: Counter,
    /// Deliveries repeated inside the stack.
    pub retries: Counter,
    /// Memberships ended by absence.
    pub exits_by_absence: Counter,
    /// Records without a source version.
    pub version_missing: Counter,
    /// Records without a value that stands for consent or against it.
    pub consent_missing: Counter,
    /// Time of an attempt, in seconds.
    pub rtt: Histogram,
    /// Time from acknowledged to delivered, in seconds.
    pub lag: Histogram,
    /// Time of a commit, in seconds.
    pub commit: Histogram,
    /// Age of the oldest due profile, in seconds.
    pub oldest_due: Gauge,
    /// Known profiles that are yet to be judged by a mapping that changed.
    pub reconcile_remaining: Gauge,
    /// Attempts that may be under way at once.
    pub concurrency_limit: Gauge,
    /// Attempts under way.
    pub concurrency_in_flight: Gauge,
    families: Families,
    labels: Labels,
    last_error: Mutex<Option<LastError>>,
}

/// What went wrong last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: Micros,
    /// What, without anything of a profile.
    pub message: String,
}

impl Component {
    fn new(families: Families, labels: Labels) -> Self {
        Self {
            received_events: families.received_events.get_or_create_owned(&labels),
            received_bytes: families.received_bytes.get_or_create_owned(&labels),
            sent_events: families.sent_events.get_or_create_owned(&labels),
            sent_bytes: families.sent_bytes.get_or_create_owned(&labels),
            requests: families.requests.get_or_create_owned(&labels),
            retries: families.retries.get_or_create_owned(&labels),
            exits_by_absence: families.exits_by_absence.get_or_create_owned(&labels),
            version_missing: families.version_missing.get_or_create_owned(&labels),
            consent_missing: families.consent_missing.get_or_create_owned(&labels),
            rtt: families.rtt.get_or_create_owned(&labels),
            lag: families.lag.get_or_create_owned(&labels),
            commit: families.commit.get_or_create_owned(&labels),
            oldest_due: families.oldest_due.get_or_create_owned(&labels),
            reconcile_remaining: families.reconcile_remaining.get_or_create_owned(&labels),
            concurrency_limit: families.concurrency_limit.get_or_create_owned(&labels),
            concurrency_in_flight: families.concurrency_in_flight.get_or_create_owned(&labels),
            families,
            labels,
            last_error: Mutex::default(),
        }
    }

    /// A component whose series are in no registry, for use outside a process that has one.
    pub fn detached() -> Arc<Self> {
        Metrics::default().component("", "sink", "profile_http")
    }

    /// The name of the component in the configuration.
    pub fn name(&self) -> &str {
        &self.labels[0].1
    }

    /// Remembers what went wrong, for whoever asks how the component stands.
    pub fn note_error(&self, message: String) {
        let error = LastError { at: Clock::system().now(), message };
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// What went wrong last.
    pub fn last_error(&self) -> Option<LastError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts errors, such as `("request_failed", "sending")`.
    pub fn errors(&self, error_type: &str, stage: &str) -> Counter {
        self.counter(&self.families.errors, &[("error_type", error_type), ("stage", stage)])
    }

    /// Counts events that were set aside.
    pub fn discarded(&self, intentional: bool, reason: &str) -> Counter {
        let intentional = if intentional { "true" } else { "false" };
        self.counter(&self.families.discarded, &[("intentional", intentional), ("reason", reason)])
    }

    /// Counts answers of a status.
    pub fn responses(&self, status: u16) -> Counter {
        self.counter(&self.families.responses, &[("status", &status.to_string())])
    }

    /// Profiles in a state: `known`, `followed`, `due`, `in_flight` or `dead`.
    pub fn profiles(&self, state: &str) -> Gauge {
        self.families.profiles.get_or_create_owned(&self.with(&[("state", state)]))
    }

    /// Counts updates with a verdict.
    pub fn updates(&self, verdict: &str) -> Counter {
        self.counter(&self.families.updates, &[("verdict", verdict)])
    }

    /// Counts exports.
    pub fn exports(&self, trigger: &str, outcome: &str) -> Counter {
        self.counter(&self.families.exports, &[("trigger", trigger), ("outcome", outcome)])
    }

    /// Counts token requests.
    pub fn tokens(&self, outcome: &str) -> Counter {
        self.counter(&self.families.tokens, &[("outcome", outcome)])
    }

    /// Shows the state of the gate and why, in place of the former one.
    pub fn gate(&self, former: (&str, &str), now: (&str, &str)) {
        let series = |(state, reason): (&str, &str)| {
            self.families
                .gate
                .get_or_create_owned(&self.with(&[("state", state), ("reason", reason)]))
        };
        series(former).set(0);
        series(now).set(1);
    }

    /// Shows no state of the gate in place of this one.
    pub fn no_gate(&self, (state, reason): (&str, &str)) {
        self.families.gate.remove(&self.with(&[("state", state), ("reason", reason)]));
    }

    /// Takes away the gauges: the component has ended. What was counted stays.
    pub fn retire(&self) {
        for state in ["known", "followed", "due", "in_flight", "dead"] {
            self.families.profiles.remove(&self.with(&[("state", state)]));
        }
        self.families.oldest_due.remove(&self.labels);
        self.families.reconcile_remaining.remove(&self.labels);
        self.families.concurrency_limit.remove(&self.labels);
        self.families.concurrency_in_flight.remove(&self.labels);
    }

    fn counter(&self, family: &CounterFamily, labels: &[(&'static str, &str)]) -> Counter {
        family.get_or_create_owned(&self.with(labels))
    }

    fn with(&self, labels: &[(&'static str, &str)]) -> Labels {
        let own = self.labels.iter().cloned();
        own.chain(labels.iter().map(|(name, value)| (*name, (*value).to_owned()))).collect()
    }
}
