//! What is kept of a limit for one value of its dimensions, and what may be done with it, whatever its shape.
//!
//! Nothing here knows whose limit it is or where states are kept. What is left out of a state is told by none: a state that
//! is over and one that was never there are the same.

use std::num::NonZeroU32;
use std::time::Duration;

use super::bucket::{self, Used};
use super::polls::{self, Polled};
use super::quota::{self, Counted, Slots};
use super::sessions::{self, Held};
use super::{Bucket, Polls, Shape, Verdict, Window};
use crate::time::Timestamp;

/// How long who has too many calls under way is told to wait: nobody knows when one of them ends.
pub const IN_FLIGHT_RETRY: Duration = Duration::from_secs(1);

/// What is kept of a limit for one value of its dimensions; at most 40 bytes, and those of a rolling window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Of a bucket.
    Bucket(Used),
    /// Of a window of the clock or the calendar.
    Window(Counted),
    /// Of a rolling window.
    Rolling(Box<Slots>),
    /// Of calls under way: how many.
    InFlight(u32),
    /// Of questions about one thing.
    Polls(Polled),
    /// Of sessions.
    Sessions(Held),
}

/// Says whether there is room for a call, and takes nothing.
#[must_use]
pub fn room(shape: &Shape, state: Option<&State>, now: Timestamp) -> Verdict {
    let state = state.and_then(|state| current(shape, Some(state.clone()), now));
    let verdict = told(shape, state.as_ref(), now, true);
    Verdict { admitted: verdict.remaining > 0, ..verdict }
}

/// Takes room for one call, if there is any.
///
/// The state that comes back is to be kept even if there was none: it may have been moved as the clock stepped back.
#[must_use]
pub fn take(shape: &Shape, state: Option<State>, now: Timestamp) -> (Verdict, Option<State>) {
    let state = current(shape, state, now);
    let before = told(shape, state.as_ref(), now, false);
    if before.remaining == 0 {
        return (before, state);
    }
    let state = Some(taken(shape, state, now));
    (told(shape, state.as_ref(), now, true), state)
}

/// Returns the state as it is at `now`: none if it is over or of another shape, moved if the clock stepped back far.
#[must_use]
pub fn current(shape: &Shape, state: Option<State>, now: Timestamp) -> Option<State> {
    match (shape, state?) {
        (Shape::Bucket(terms), State::Bucket(used)) => {
            let full_at_nanos = bucket::current_nanos(terms, used.full_at_nanos, now);
            (full_at_nanos > bucket::nanos(now)).then_some(State::Bucket(Used { full_at_nanos }))
        }
        (Shape::Quota(terms), State::Rolling(slots)) => {
            let Window::Rolling(length) = terms.window else { return None };
            let mut slots = slots;
            *slots = quota::slots(length, Some(*slots), now);
            (quota::used(&slots) > 0).then_some(State::Rolling(slots))
        }
        (Shape::Quota(terms), State::Window(counted)) => {
            if matches!(terms.window, Window::Rolling(_)) {
                return None;
            }
            let counted = quota::counted(terms.window, Some(counted), now);
            (counted.count > 0).then_some(State::Window(counted))
        }
        (Shape::InFlight(_), State::InFlight(count)) => (count > 0).then_some(State::InFlight(count)),
        (Shape::Polls(terms), State::Polls(polled)) => polls::current(terms, polled, now).map(State::Polls),
        (Shape::Sessions(terms), State::Sessions(held)) => sessions::current(terms, held, now).map(State::Sessions),
        _ => None,
    }
}

/// Returns from when on a state is as good as none; [`Timestamp::MAX`] while calls are under way.
///
/// Who forgets states waits for [`STEP_BACK_MAX`](super::clock::STEP_BACK_MAX) more: a clock could step back to before.
#[must_use]
pub fn over_at(shape: &Shape, state: &State) -> Timestamp {
    const OVER: Timestamp = Timestamp::from_millis(i64::MIN);
    match (shape, state) {
        (Shape::Bucket(_), State::Bucket(used)) => {
            let millis = used.full_at_nanos.div_ceil(1_000_000);
            Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
        }
        (Shape::Quota(terms), State::Window(counted)) => terms.window.end(counted.start),
        (Shape::Quota(terms), State::Rolling(slots)) => match terms.window {
            Window::Rolling(length) => quota::slots_over_at(length, slots),
            _ => OVER,
        },
        (Shape::InFlight(_), State::InFlight(0)) => OVER,
        (Shape::InFlight(_), State::InFlight(_)) => Timestamp::MAX,
        (Shape::Polls(terms), State::Polls(polled)) => polls::over_at(terms, polled),
        (Shape::Sessions(terms), State::Sessions(held)) => sessions::over_at(terms, held),
        _ => OVER,
    }
}

/// Tells, as numbers, the terms of a shape that its states are read by and that the id of a limit does not say.
///
/// Under other ones a state means something else: a bucket that takes long to fill would be cut to what a smaller one can
/// owe. Who names counters names these too, so that another burst is another counter, as another rate is. No two lists of
/// one kind of shape are one.
pub fn unsaid_terms(shape: &Shape, mut tell: impl FnMut(u64)) {
    match shape {
        Shape::Bucket(bucket) => {
            let costs = bucket.costs.as_ref();
            let count = costs.map_or(0, |costs| costs.of.len().saturating_add(1));
            tell(pair(u32::try_from(count).unwrap_or(u32::MAX), bucket.burst.get()));
            if let Some(costs) = costs {
                tell(pair(0, costs.otherwise.cast_unsigned()));
                costs.of.iter().for_each(|(status, cost)| tell(pair(u32::from(*status), cost.cast_unsigned())));
            }
        }
        Shape::Polls(polls) => [polls.first, polls.gap, polls.within].into_iter().for_each(|span| tell(millis(span))),
        Shape::Sessions(sessions) => {
            tell(pair(sessions.calls.get(), sessions.rate.get()));
            tell(millis(sessions.idle));
        }
        Shape::Quota(_) | Shape::InFlight(_) => {}
    }
}

/// Ends one call that was under way; a state of any other shape stays as it is.
#[must_use]
pub fn finish(state: Option<State>) -> Option<State> {
    match state? {
        State::InFlight(count) => count.checked_sub(1).filter(|left| *left > 0).map(State::InFlight),
        other => Some(other),
    }
}

/// Takes so many tokens more of a bucket, or gives some back if negative.
///
/// Nothing is given beyond the burst. What is taken beyond what is there is owed: nothing fits until it has refilled.
#[must_use]
pub fn settle(terms: &Bucket, state: Option<State>, tokens: i64, now: Timestamp) -> State {
    let full_at_nanos = match state {
        Some(State::Bucket(used)) => used.full_at_nanos,
        _ => 0,
    };
    State::Bucket(Used { full_at_nanos: bucket::settle(terms, full_at_nanos, tokens, now) })
}

/// Begins what questions may be asked about; what has begun already stays as it is.
#[must_use]
pub fn begin(terms: &Polls, state: Option<State>, now: Timestamp) -> State {
    match state {
        Some(State::Polls(polled)) => {
            State::Polls(polls::current(terms, polled, now).unwrap_or_else(|| polls::begun(now)))
        }
        _ => State::Polls(polls::begun(now)),
    }
}

// `state` is what `current` has given for `now`, as for all below.
fn told(shape: &Shape, state: Option<&State>, now: Timestamp, admitted: bool) -> Verdict {
    match (shape, state) {
        (Shape::Bucket(terms), Some(State::Bucket(used))) => bucket::verdict(terms, used.full_at_nanos, now, admitted),
        (Shape::Quota(terms), Some(State::Window(counted))) => quota::verdict(terms, *counted, now, admitted),
        (Shape::Quota(terms), Some(State::Rolling(slots))) => match terms.window {
            Window::Rolling(length) => quota::rolling_verdict(terms, length, slots, now, admitted),
            _ => untouched(terms.most, admitted),
        },
        (Shape::InFlight(most), Some(State::InFlight(count))) => Verdict {
            admitted,
            remaining: most.get().saturating_sub(*count),
            capacity: most.get(),
            window: IN_FLIGHT_RETRY,
            more_after: IN_FLIGHT_RETRY,
        },
        (Shape::Polls(terms), Some(State::Polls(polled))) => polls::verdict(terms, Some(polled), now, admitted),
        (Shape::Sessions(terms), Some(State::Sessions(held))) => sessions::verdict(terms, Some(held), now, admitted),
        (Shape::Bucket(terms), _) => untouched(terms.burst, admitted),
        (Shape::Quota(terms), _) => untouched(terms.most, admitted),
        (Shape::InFlight(most), _) => untouched(*most, admitted),
        (Shape::Polls(terms), _) => polls::verdict(terms, None, now, admitted),
        (Shape::Sessions(terms), _) => sessions::verdict(terms, None, now, admitted),
    }
}

fn untouched(capacity: NonZeroU32, admitted: bool) -> Verdict {
    let capacity = capacity.get();
    Verdict { admitted, remaining: capacity, capacity, window: Duration::ZERO, more_after: Duration::ZERO }
}

fn taken(shape: &Shape, state: Option<State>, now: Timestamp) -> State {
    match shape {
        Shape::Bucket(terms) => {
            let full_at_nanos = match state {
                Some(State::Bucket(used)) => used.full_at_nanos,
                _ => 0,
            };
            // There is room, as the caller has seen.
            let full_at_nanos = bucket::take(terms, full_at_nanos, now).unwrap_or(full_at_nanos);
            State::Bucket(Used { full_at_nanos })
        }
        Shape::Quota(terms) => match (terms.window, state) {
            (Window::Rolling(length), state) => {
                let mut slots = match state {
                    Some(State::Rolling(slots)) => slots,
                    _ => Box::new(quota::slots(length, None, now)),
                };
                if let Some(newest) = slots.counts.first_mut() {
                    *newest = newest.saturating_add(1);
                }
                State::Rolling(slots)
            }
            (window, state) => {
                let counted = match state {
                    Some(State::Window(counted)) => counted,
                    _ => quota::counted(window, None, now),
                };
                State::Window(Counted { count: counted.count.saturating_add(1), ..counted })
            }
        },
        Shape::InFlight(_) => match state {
            Some(State::InFlight(count)) => State::InFlight(count.saturating_add(1)),
            _ => State::InFlight(1),
        },
        Shape::Polls(_) => match state {
            Some(State::Polls(polled)) => State::Polls(polls::asked(Some(polled), now)),
            _ => State::Polls(polls::asked(None, now)),
        },
        Shape::Sessions(_) => match state {
            Some(State::Sessions(held)) => State::Sessions(sessions::called(Some(held), now)),
            _ => State::Sessions(sessions::called(None, now)),
        },
    }
}

fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
