//! What is counted, for Prometheus. Labels come from fixed sets, never from a request.

use std::fmt;
use std::time::{Duration, Instant};

use adapters::store::redis::{BreakerState, Readings};
use http::StatusCode;
use policies::time::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use spine::stage::Door;

use self::limits::Limits;
use self::rules::Rules;
use self::running::{Guard, Running};

mod limits;
mod rules;
mod running;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    listener: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

// The places are those of the configuration.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Shipped {
    place: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Done {
    chore: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Listener {
    listener: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reloaded {
    result: &'static str,
}

// The places are the listeners and what the gateway calls.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Good {
    place: &'static str,
    kind: &'static str,
}

/// What becomes of a reload.
const RELOADED: [&str; 3] = ["renewed", "unchanged", "refused"];

/// From half a millisecond to ten seconds.
const BUCKETS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The names of the chores.
const CHORES: [&str; 5] = ["enter policies", "settle", "deliver events", "prune audit", "ship audit"];

/// How an unknown outcome can be settled: the backend knows the deed, or never heard of it.
pub(crate) const SETTLED: [&str; 2] = ["answered", "not_received"];

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    answered: Family<Answered, Counter>,
    refused: Family<Reason, Counter>,
    shed: Family<Reason, Counter>,
    connections: Family<Listener, Gauge>,
    connections_closed: Family<Reason, Counter>,
    duration: Histogram,
    panics: Counter,
    chore_failures: Family<Done, Counter>,
    audit_lost: Counter,
    audit_suppressed: Counter,
    ship_lag: Family<Shipped, Gauge>,
    ship_lag_bytes: Family<Shipped, Gauge>,
    generation: Gauge,
    reloads: Reloads,
    undecided: Gauge,
    settled: Family<Outcome, Counter>,
    deliveries: Family<Outcome, Counter>,
    pub(crate) rules: Rules,
    pub(crate) limits: Limits,
    redis: Redis,
}

/// What becomes of reloads, and how long what was read is good.
#[derive(Default)]
struct Reloads {
    results: Family<Reloaded, Counter>,
    rejected: Counter,
    faults: Gauge,
    last_good: Gauge,
    expiry: Family<Good, Gauge>,
    running: Running,
    running_seconds: Gauge,
}

impl Reloads {
    fn register(&self, registry: &mut Registry) {
        registry.register("config_rejected", "Reloads of which something was refused", self.rejected.clone());
        registry.register("reloads", "Reloads, by what became of them", self.results.clone());
        for result in RELOADED {
            drop(self.results.get_or_create(&Reloaded { result }));
        }
        let faults = "Findings of the newest reload: what stands in files and is not in force";
        registry.register("reload_faults", faults, self.faults.clone());
        let last = "When everything that stands in files was found in force, in seconds since 1970";
        registry.register("reload_last_success_timestamp_seconds", last, self.last_good.clone());
        let expiry = "Seconds until a certificate, an authority or a list of revocations is over";
        registry.register("cert_expiry_seconds", expiry, self.expiry.clone());
        let running = "For how long the reload or look at files that is under way has gone on; 0 between them";
        registry.register("reload_running_seconds", running, self.running_seconds.clone());
    }
}

/// What the link to Redis counts for itself; it is read when somebody asks.
#[derive(Default)]
struct Redis {
    calls: Counter,
    slow: Counter,
    failures: Counter,
    refused: Counter,
    dials: Counter,
    connections: Gauge,
    breaker: Gauge,
}

impl Redis {
    fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("redis");
        registry.register("calls", "Calls of Redis", self.calls.clone());
        registry.register("slow", "Calls that took longer than the soft time-out", self.slow.clone());
        registry.register("failures", "Calls that failed or took longer than the hard time-out", self.failures.clone());
        registry.register("refused", "Calls that the open breaker answered", self.refused.clone());
        registry.register("dials", "Connections that were tried", self.dials.clone());
        registry.register("connections", "Connections open", self.connections.clone());
        registry.register("breaker", "The breaker: 0 closed, 1 probing, 2 open", self.breaker.clone());
    }

    fn read(&self, readings: &Readings) {
        let up = |counter: &Counter, count: u64| counter.inc_by(count.saturating_sub(counter.get()));
        up(&self.calls, readings.calls);
        up(&self.slow, readings.slow);
        up(&self.failures, readings.failures);
        up(&self.refused, readings.refused);
        up(&self.dials, readings.dials);
        self.connections.set(i64::try_from(readings.connections).unwrap_or(i64::MAX));
        self.breaker.set(match readings.breaker {
            BreakerState::Closed => 0,
            BreakerState::Probing => 1,
            BreakerState::Open => 2,
        });
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers every name, so that each is there from the first scrape on.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("qaqpa");
        let metrics = Self {
            answered: Family::default(),
            refused: Family::default(),
            shed: Family::default(),
            connections: Family::default(),
            connections_closed: Family::default(),
            duration: Histogram::new(BUCKETS),
            panics: Counter::default(),
            chore_failures: Family::default(),
            audit_lost: Counter::default(),
            audit_suppressed: Counter::default(),
            ship_lag: Family::default(),
            ship_lag_bytes: Family::default(),
            generation: Gauge::default(),
            reloads: Reloads::default(),
            undecided: Gauge::default(),
            settled: Family::default(),
            deliveries: Family::default(),
            rules: Rules::default(),
            limits: Limits::default(),
            redis: Redis::default(),
            registry: Registry::default(),
        };
        registry.register("requests", "Requests answered, by listener and status", metrics.answered.clone());
        registry.register("refusals", "Requests refused, by the name of the problem", metrics.refused.clone());
        registry.register("shed", "Requests and connections shed before they were looked at", metrics.shed.clone());
        registry.register("connections", "Connections open", metrics.connections.clone());
        let closed = "Connections that a time-out or limit ended";
        registry.register("connections_closed", closed, metrics.connections_closed.clone());
        let duration = "Seconds from a request's arrival to its answer's head";
        registry.register("request_duration_seconds", duration, metrics.duration.clone());
        // Named at once, so that a rate over them is right from the first event on.
        for door in [Door::Api, Door::MtlsApi, Door::Admin] {
            drop(metrics.answered.get_or_create(&Answered { listener: door.word(), status: StatusCode::OK.as_u16() }));
            drop(metrics.connections.get_or_create(&Listener { listener: door.word() }));
        }
        // Of the refusals only those that are not the client's doing.
        for reason in ["internal", "capacity", "dependency_down", "backend_unavailable"] {
            drop(metrics.refused.get_or_create(&Reason { reason }));
        }
        for reason in ["peer", "concurrency", "connections", "limit-keys"] {
            drop(metrics.shed.get_or_create(&Reason { reason }));
        }
        for reason in ["handshake", "handshake-time", "head", "idle", "request", "age", "requests", "drain"] {
            drop(metrics.connections_closed.get_or_create(&Reason { reason }));
        }
        metrics.register_defects(&mut registry);
        metrics.rules.register(&mut registry);
        metrics.limits.register(&mut registry);
        metrics.register_audit(&mut registry);
        registry.register("config_generation", "The policy generation that decides", metrics.generation.clone());
        metrics.reloads.register(&mut registry);
        let undecided = "Deeds whose outcome was asked for in vain, by this process";
        registry.register("undecided", undecided, metrics.undecided.clone());
        registry.register("settled", "Deeds whose unknown outcome was found out", metrics.settled.clone());
        for outcome in SETTLED {
            drop(metrics.settled.get_or_create(&Outcome { outcome }));
        }
        let deliveries = "Attempts to post an event, by what became of it";
        registry.register("event_deliveries", deliveries, metrics.deliveries.clone());
        for outcome in ["taken", "again", "parked"] {
            drop(metrics.deliveries.get_or_create(&Outcome { outcome }));
        }
        metrics.redis.register(&mut registry);
        Self { registry, ..metrics }
    }

    fn register_audit(&self, registry: &mut Registry) {
        let suppressed = "Refusals of strangers that were counted instead of recorded";
        registry.register("audit_suppressed", suppressed, self.audit_suppressed.clone());
        registry.register("audit_lost", "Audit records that could not be queued", self.audit_lost.clone());
        let lag = "Audit records that a place has not got yet";
        registry.register("audit_ship_lag", lag, self.ship_lag.clone());
        let lag = "Bytes of the audit trail that a place has not got yet";
        registry.register("audit_ship_lag_bytes", lag, self.ship_lag_bytes.clone());
    }

    fn register_defects(&self, registry: &mut Registry) {
        registry.register("panics", "Requests that ended by a defect", self.panics.clone());
        let failures = "Rounds of a chore that ended by a defect";
        registry.register("chore_failures", failures, self.chore_failures.clone());
        for chore in CHORES {
            drop(self.chore_failures.get_or_create(&Done { chore }));
        }
    }

    pub(crate) fn answered(&self, door: Door, status: StatusCode, took: Duration) {
        self.answered.get_or_create(&Answered { listener: door.word(), status: status.as_u16() }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn shed(&self, reason: &'static str) {
        self.shed.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn connected(&self, door: Door) {
        self.connections.get_or_create(&Listener { listener: door.word() }).inc();
    }

    pub(crate) fn disconnected(&self, door: Door) {
        self.connections.get_or_create(&Listener { listener: door.word() }).dec();
    }

    pub(crate) fn closed(&self, reason: &'static str) {
        self.connections_closed.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn panicked(&self) {
        self.panics.inc();
    }

    /// Counts a round of a chore that ended by a defect.
    pub fn chore_failed(&self, chore: &'static str) {
        self.chore_failures.get_or_create(&Done { chore }).inc();
    }

    pub(crate) fn audit_suppressed(&self) {
        self.audit_suppressed.inc();
    }

    pub(crate) fn audit_lost(&self) {
        self.audit_lost.inc();
    }

    pub(crate) fn shipping(&self, place: &str, records: u64, bytes: u64) {
        let place = Shipped { place: place.to_owned() };
        let set = |gauge: &Family<Shipped, Gauge>, count: u64| {
            gauge.get_or_create(&place).set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        set(&self.ship_lag, records);
        set(&self.ship_lag_bytes, bytes);
    }

    /// Counts a reload, and notes how many findings it left.
    pub(crate) fn reloaded(&self, result: &'static str, faults: usize, now: Timestamp) {
        let reloads = &self.reloads;
        reloads.results.get_or_create(&Reloaded { result }).inc();
        reloads.faults.set(i64::try_from(faults).unwrap_or(i64::MAX));
        if faults == 0 {
            reloads.last_good.set(now.seconds());
        } else {
            reloads.rejected.inc();
        }
    }

    /// Notes that a reload or a look at files goes on until what is returned is dropped.
    pub(crate) fn reload_begins(&self, now: Instant) -> Guard {
        self.reloads.running.begin(now)
    }

    /// Tells how many seconds a certificate, authority or list of revocations is still good; below zero if it is over.
    pub(crate) fn good_for(&self, place: &'static str, kind: &'static str, seconds: i64) {
        self.reloads.expiry.get_or_create(&Good { place, kind }).set(seconds);
    }

    pub(crate) fn undecided(&self, count: usize) {
        self.undecided.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn delivered(&self, outcome: &'static str) {
        self.deliveries.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn settled(&self, outcome: &'static str) {
        self.settled.get_or_create(&Outcome { outcome }).inc();
    }

    /// Writes everything in the OpenMetrics text format.
    #[must_use]
    pub fn render(&self, generation: u64, audit_lost: u64, redis: Option<Readings>) -> String {
        if let Some(readings) = redis {
            self.redis.read(&readings);
        }
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        let counted = self.audit_lost.get();
        self.audit_lost.inc_by(audit_lost.saturating_sub(counted));
        let running = self.reloads.running.seconds(Instant::now());
        self.reloads.running_seconds.set(i64::try_from(running).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing into a String does not fail; half a page would be better than none if it ever did.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
