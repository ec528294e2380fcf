//! Watches one connection: which of its time-outs is over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::limits::ConnectionLimits;

/// The watch of a connection, shared by its parts.
#[derive(Debug, Clone)]
pub(super) struct Watch(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    opened: Instant,
    /// Since when a request head is awaited or coming in.
    head_since: Option<Instant>,
    /// Since when nothing is under way.
    idle_since: Option<Instant>,
    /// The requests under way, by number.
    busy: Vec<(u64, Instant)>,
    served: u64,
}

/// Why a connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// At once.
    Now(&'static str),
    /// After the requests under way.
    Gently(&'static str),
}

/// A request under way on the connection; over when dropped.
#[derive(Debug)]
pub(super) struct Busy {
    watch: Watch,
    number: u64,
}

impl Watch {
    pub(super) fn start(now: Instant) -> Self {
        let state = State { opened: now, head_since: Some(now), idle_since: None, busy: Vec::new(), served: 0 };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that bytes came in; on HTTP/1.1 they are a request head if nothing is under way.
    pub(super) fn bytes_in(&self, now: Instant) {
        let mut state = self.state();
        if state.busy.is_empty() && state.head_since.is_none() {
            state.head_since = Some(now);
        }
    }

    /// Notes that a request head is complete.
    pub(super) fn begin(&self, now: Instant) -> Busy {
        let mut state = self.state();
        state.head_since = None;
        state.idle_since = None;
        state.served += 1;
        let number = state.served;
        state.busy.push((number, now));
        Busy { watch: self.clone(), number }
    }

    /// Tells whether the connection has to end at `now`.
    pub(super) fn over(&self, now: Instant, limits: &ConnectionLimits) -> Option<Over> {
        let state = self.state();
        let longer = |since: Option<Instant>, limit: Duration| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= limit)
        };
        if longer(state.head_since, limits.head) {
            return Some(Over::Now("head"));
        }
        if longer(state.busy.iter().map(|(_, since)| *since).min(), limits.request_total) {
            return Some(Over::Now("request"));
        }
        if longer(state.idle_since, limits.idle) {
            return Some(Over::Gently("idle"));
        }
        if longer(Some(state.opened), limits.age) {
            return Some(Over::Gently("age"));
        }
        (state.served >= limits.requests_max).then_some(Over::Gently("requests"))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.watch.state();
        state.busy.retain(|(number, _)| *number != self.number);
        if state.busy.is_empty() {
            state.idle_since = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: fn() -> ConnectionLimits = ConnectionLimits::default;

    #[test]
    fn a_connection_that_says_nothing_is_over_after_the_time_for_a_head() {
        let now = Instant::now();
        let watch = Watch::start(now);
        let limit = LIMITS().head;
        assert_eq!(watch.over(now + limit - Duration::from_millis(1), &LIMITS()), None);
        assert_eq!(watch.over(now + limit, &LIMITS()), Some(Over::Now("head")));
    }

    #[test]
    fn an_answered_connection_is_idle_and_a_slow_next_head_is_not() {
        let now = Instant::now();
        let watch = Watch::start(now);
        drop(watch.begin(now));
        assert_eq!(watch.over(now + LIMITS().head, &LIMITS()), None);
        watch.bytes_in(now);
        assert_eq!(watch.over(now + LIMITS().head, &LIMITS()), Some(Over::Now("head")));
        let watch = Watch::start(now);
        drop(watch.begin(now));
        let later = Instant::now() + LIMITS().idle;
        assert_eq!(watch.over(later, &LIMITS()), Some(Over::Gently("idle")));
    }

    #[test]
    fn the_oldest_request_under_way_bounds_the_connection() {
        let now = Instant::now();
        let watch = Watch::start(now);
        let first = watch.begin(now);
        let second = watch.begin(now + Duration::from_secs(60));
        assert_eq!(watch.over(now + LIMITS().request_total, &LIMITS()), Some(Over::Now("request")));
        drop(first);
        assert_eq!(watch.over(now + LIMITS().request_total, &LIMITS()), None);
        drop(second);
    }
}
