//! What is counted of limits: whom they refuse, whom they would refuse, and what a store that is away leaves them to.

use std::sync::Arc;

use adapters::limit::limits::Limits as Counting;
use adapters::limit::shared::SharedReadings;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

// The limits are those that administrators wrote.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Named {
    limit: String,
}

/// The counters.
#[derive(Default)]
pub(crate) struct Limits {
    refused: Family<Named, Counter>,
    reported: Family<Named, Counter>,
    denied: Family<Named, Counter>,
    crowded: Family<Named, Counter>,
    keys: Gauge,
    keys_max: Gauge,
    owner_keys: Gauge,
    owner_keys_max: Gauge,
    shared: Shared,
}

/// What the shared limits count for themselves; it is read when somebody asks.
#[derive(Default)]
struct Shared {
    calls: Counter,
    failures: Counter,
    refused: Counter,
    breaker_refused: Counter,
    leased: Counter,
    unsettled: Counter,
    counters: Gauge,
    gateways: Gauge,
}

impl Shared {
    fn register(&self, registry: &mut Registry) {
        registry.register("store_calls", "Calls of the store that all gateways share", self.calls.clone());
        let failures = "Calls of it that failed or took too long: limits are degraded to what they say of that";
        registry.register("store_failures", failures, self.failures.clone());
        let refused = "Calls of it that the open breaker answered: limits are degraded to what they say of that";
        registry.register("store_refused", refused, self.breaker_refused.clone());
        let known = "Requests without room for which it was not asked, as that was known";
        registry.register("known_refusals", known, self.refused.clone());
        registry.register("leased", "Requests that leased tokens were enough for", self.leased.clone());
        let unsettled = "Answers whose costs or credits could not be told to it";
        registry.register("unsettled", unsettled, self.unsettled.clone());
        let counters = "Counters there that this process has made and that have not ended";
        registry.register("store_counters", counters, self.counters.clone());
        registry.register("gateways", "Gateways alive that share it, as last heard", self.gateways.clone());
    }

    fn read(&self, readings: &SharedReadings) {
        let up = |counter: &Counter, count: u64| counter.inc_by(count.saturating_sub(counter.get()));
        up(&self.calls, readings.link.calls);
        up(&self.failures, readings.link.failures);
        up(&self.breaker_refused, readings.link.refused);
        up(&self.refused, readings.refused);
        up(&self.leased, readings.leased);
        up(&self.unsettled, readings.unsettled);
        self.counters.set(whole(readings.counters));
        self.gateways.set(i64::from(readings.alive));
    }
}

impl Limits {
    pub(super) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("limit");
        registry.register("refusals", "Requests that a limit had no room for", self.refused.clone());
        let reports = "Requests that a limit had no room for, and let pass because it only reports";
        registry.register("reports", reports, self.reported.clone());
        let denied = "Requests that were refused because the store that all gateways share did not answer";
        registry.register("denied", denied, self.denied.clone());
        let crowded = "Requests that were refused because a limit had no place for another counter of their client";
        registry.register("crowded", crowded, self.crowded.clone());
        registry.register("keys", "Counters that this process keeps", self.keys.clone());
        registry.register("keys_max", "Counters that this process may keep", self.keys_max.clone());
        let most = "Counters that this process keeps for the client that has most of them";
        registry.register("owner_keys", most, self.owner_keys.clone());
        registry.register("owner_keys_max", "Counters that it may keep for one client", self.owner_keys_max.clone());
        self.shared.register(registry);
    }

    /// Counts a request that a limit refused.
    pub(crate) fn refused(&self, limit: &Arc<str>) {
        up(&self.refused, limit);
    }

    /// Counts a request that a limit would have refused, had it been enforced.
    pub(crate) fn reported(&self, limit: &Arc<str>) {
        up(&self.reported, limit);
    }

    /// Counts a request that could not be counted and so was refused.
    pub(crate) fn denied(&self, limit: &Arc<str>) {
        up(&self.denied, limit);
    }

    /// Counts a request that was refused for want of a counter.
    pub(crate) fn crowded(&self, limit: &Arc<str>) {
        up(&self.crowded, limit);
    }

    /// Notes how many counters there are, and what those that are shared have counted themselves.
    pub(crate) fn read(&self, limits: &Counting) {
        let here = limits.fullness();
        self.keys.set(whole(here.keys));
        self.keys_max.set(whole(here.keys_max));
        self.owner_keys.set(whole(here.owner_keys));
        self.owner_keys_max.set(whole(here.owner_keys_max));
        if let Some(shared) = limits.shared() {
            self.shared.read(&shared.readings());
        }
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn up(family: &Family<Named, Counter>, limit: &Arc<str>) {
    family.get_or_create(&Named { limit: limit.to_string() }).inc();
}
