//! Calls in sessions: so many sessions a day, so many calls in one, so many a second.

use std::time::Duration;

use super::clock::is_of_another_clock;
use super::window::{day, first_of_day};
use super::{Sessions, Verdict, Window};
use crate::time::Timestamp;

/// What somebody has had of their sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The day in Asia/Almaty on which sessions were counted last, since 1970-01-01.
    pub day: i32,
    /// How many began on it.
    pub begun: u32,
    /// When the last call was let in.
    pub last: Timestamp,
    /// How many calls the last session has had.
    pub calls: u32,
    /// How many of them came in the second of the last one.
    pub in_second: u32,
}

/// Returns what counts at `now`; none where nothing does any more.
#[must_use]
pub fn current(sessions: &Sessions, held: Held, now: Timestamp) -> Option<Held> {
    let mut held = held;
    let today = today(now);
    if is_of_another_clock(held.last.millis(), now) {
        held.last = now;
        held.day = held.day.min(today);
    }
    if held.day < today {
        (held.day, held.begun) = (today, 0);
    }
    if now >= held.last + sessions.idle {
        (held.calls, held.in_second) = (0, 0);
    }
    (held.begun > 0 || held.calls > 0).then_some(held)
}

/// Returns when nothing counts any more: the day and the last session are both over.
#[must_use]
pub fn over_at(sessions: &Sessions, held: &Held) -> Timestamp {
    let session = if held.calls > 0 { held.last + sessions.idle } else { held.last };
    let day = if held.begun > 0 { first_of_day(i64::from(held.day).saturating_add(1)) } else { held.last };
    session.max(day)
}

/// Counts a call that was let in.
#[must_use]
pub fn called(held: Option<Held>, now: Timestamp) -> Held {
    let Some(held) = held else { return Held { day: today(now), begun: 1, last: now, calls: 1, in_second: 1 } };
    let last = held.last.max(now);
    if held.calls == 0 {
        return Held { begun: held.begun.saturating_add(1), last, calls: 1, in_second: 1, ..held };
    }
    let in_second = if second(last) > second(held.last) { 1 } else { held.in_second.saturating_add(1) };
    Held { last, calls: held.calls.saturating_add(1), in_second, ..held }
}

/// Says what is free where so much was had; `held` is what [`current`] has given for `now`.
#[must_use]
pub fn verdict(sessions: &Sessions, held: Option<&Held>, now: Timestamp, admitted: bool) -> Verdict {
    let (calls, rate) = (sessions.calls.get(), sessions.rate.get());
    let verdict = |remaining, more_after| Verdict {
        admitted,
        remaining,
        capacity: calls,
        window: held.map_or(Duration::ZERO, |held| over_at(sessions, held).since(now)),
        more_after,
    };
    let Some(held) = held else { return verdict(calls.min(rate), Duration::ZERO) };
    let next_day = first_of_day(i64::from(held.day).saturating_add(1)).since(now);
    let another = held.begun < sessions.per_day.get();
    if held.calls == 0 {
        return if another { verdict(calls.min(rate), Duration::ZERO) } else { verdict(0, next_day) };
    }
    let over = (held.last + sessions.idle).since(now);
    let next_session = if another { over } else { over.max(next_day) };
    if held.calls >= calls {
        return verdict(0, next_session);
    }
    let in_second = if second(now) > second(held.last) { 0 } else { held.in_second };
    let left = calls - held.calls;
    let remaining = left.min(rate.saturating_sub(in_second));
    let next_second = Window::Second.end(held.last.max(now)).since(now);
    let more_after = match remaining {
        _ if remaining == calls.min(rate) => Duration::ZERO,
        _ if remaining < left && next_second < over => next_second,
        // By then it has ended, or has no call left: only another one brings more.
        _ => next_session,
    };
    verdict(remaining, more_after)
}

fn today(now: Timestamp) -> i32 {
    i32::try_from(day(now)).unwrap_or(i32::MAX)
}

fn second(at: Timestamp) -> i64 {
    at.seconds()
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
