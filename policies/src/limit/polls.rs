//! How often may be asked what became of one thing: not at once, not one question upon another, and not for ever.

use std::time::Duration;

use super::clock::is_of_another_clock;
use super::{Polls, Verdict};
use crate::time::Timestamp;

/// What was asked about one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polled {
    /// When the thing began, or the first question came if nobody knows.
    pub began: Timestamp,
    /// When the last question was answered; when it began, if none was.
    pub last: Timestamp,
    /// How many were answered.
    pub asked: u32,
}

/// Returns what counts at `now`; none where nothing does any more.
#[must_use]
pub fn current(polls: &Polls, polled: Polled, now: Timestamp) -> Option<Polled> {
    let polled = if is_of_another_clock(polled.last.millis(), now) {
        let ahead = polled.last.since(now);
        Polled { began: polled.began - ahead, last: polled.last - ahead, ..polled }
    } else {
        polled
    };
    (now < over_at(polls, &polled)).then_some(polled)
}

/// Returns when the thing is forgotten.
#[must_use]
pub fn over_at(polls: &Polls, polled: &Polled) -> Timestamp {
    polled.began + polls.within
}

/// Counts a question that was let in.
#[must_use]
pub fn asked(polled: Option<Polled>, now: Timestamp) -> Polled {
    let polled = polled.unwrap_or_else(|| begun(now));
    Polled { last: polled.last.max(now), asked: polled.asked.saturating_add(1), ..polled }
}

/// Begins a thing.
#[must_use]
pub fn begun(now: Timestamp) -> Polled {
    Polled { began: now, last: now, asked: 0 }
}

/// Tells how long the next question has to wait.
#[must_use]
pub fn wait(polls: &Polls, polled: Option<&Polled>, now: Timestamp) -> Duration {
    let Some(polled) = polled else { return Duration::ZERO };
    if polled.asked >= polls.most.get() {
        return over_at(polls, polled).since(now);
    }
    let pause = if polled.asked == 0 { polls.first } else { polls.gap };
    // What is forgotten may be asked about again.
    (polled.last + pause).min(over_at(polls, polled)).since(now)
}

/// Says what is free where so much was asked.
#[must_use]
pub fn verdict(polls: &Polls, polled: Option<&Polled>, now: Timestamp, admitted: bool) -> Verdict {
    let (most, asked) = (polls.most.get(), polled.map_or(0, |polled| polled.asked));
    let wait = wait(polls, polled, now);
    let window = polled.map_or(Duration::ZERO, |polled| over_at(polls, polled).since(now));
    let remaining = match most.saturating_sub(asked) {
        _ if !wait.is_zero() => 0,
        left if polls.gap.is_zero() => left,
        left => left.min(1),
    };
    let more_after = match remaining {
        0 => wait,
        // One question is due: no second one ever fits beside it.
        _ if !polls.gap.is_zero() || asked == 0 => Duration::ZERO,
        _ => window,
    };
    Verdict { admitted, remaining, capacity: most, window, more_after }
}

#[cfg(test)]
#[path = "polls_tests.rs"]
mod tests;
