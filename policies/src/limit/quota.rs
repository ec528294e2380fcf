//! So many calls in a window of time: one number for a window of the calendar, a few for a rolling one.

use std::time::Duration;

use super::clock::{is_of_another_clock, until};
use super::window::{SLOTS, slot_millis};
use super::{Quota, ROLLING_SLOTS, Verdict, Window};
use crate::time::Timestamp;

/// What was counted in one window of the clock or the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// When the window began.
    pub start: Timestamp,
    /// How many calls were let in.
    pub count: u32,
}

/// What was counted in the slots of a rolling window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// The number of the newest slot: its length has passed so often since 1970.
    pub newest: i64,
    /// How many calls were let in: in the newest slot, and in those before it.
    pub counts: [u32; ROLLING_SLOTS],
}

/// Returns what counts at `now`, an empty window if nothing does.
#[must_use]
pub fn counted(window: Window, counted: Option<Counted>, now: Timestamp) -> Counted {
    let start = window.start(now);
    match counted {
        // A window that begins later than now: the clock stepped back. Calls of now are counted there.
        Some(counted) if counted.start > start => {
            let other = is_of_another_clock(counted.start.millis(), now);
            Counted { start: if other { start } else { counted.start }, ..counted }
        }
        Some(counted) if counted.start == start => counted,
        _ => Counted { start, count: 0 },
    }
}

/// Returns what counts at `now` in a rolling window of this length.
#[must_use]
pub fn slots(length: Duration, slots: Option<Slots>, now: Timestamp) -> Slots {
    let slot = slot_millis(length);
    let newest = now.millis().div_euclid(slot);
    let Some(mut slots) = slots else { return Slots { newest, counts: [0; ROLLING_SLOTS] } };
    if slots.newest <= newest {
        let passed = newest.saturating_sub(slots.newest).min(SLOTS);
        for _ in 0..passed {
            slots.counts.rotate_right(1);
            if let Some(first) = slots.counts.first_mut() {
                *first = 0;
            }
        }
        slots.newest = newest;
    } else if is_of_another_clock(slots.newest.saturating_mul(slot), now) {
        // Each keeps its age in slots: nothing is kept for longer than a window, nor forgotten earlier than a slot before.
        slots.newest = newest;
    }
    slots
}

/// Says what is free where so much was counted.
#[must_use]
pub fn verdict(quota: &Quota, counted: Counted, now: Timestamp, admitted: bool) -> Verdict {
    let window = if counted.count == 0 { Duration::ZERO } else { quota.window.end(counted.start).since(now) };
    let remaining = quota.most.get().saturating_sub(counted.count);
    Verdict { admitted, remaining, capacity: quota.most.get(), window, more_after: window }
}

/// Says what is free where so much was counted in a rolling window of this length.
#[must_use]
pub fn rolling_verdict(quota: &Quota, length: Duration, slots: &Slots, now: Timestamp, admitted: bool) -> Verdict {
    let used = used(slots);
    let remaining = quota.most.get().saturating_sub(used);
    // Oldest first: room for one more is there as soon as what counts has come below what has to go.
    let mut left = used;
    let mut more_after = Duration::ZERO;
    let mut window = Duration::ZERO;
    for (age, count) in (0..SLOTS).rev().zip(slots.counts.into_iter().rev()).filter(|(_, count)| *count > 0) {
        let wait = until(end_of_slot(slots.newest.saturating_sub(age), length), now);
        if left == used || left >= quota.most.get() {
            more_after = wait;
        }
        left = left.saturating_sub(count);
        window = wait;
    }
    Verdict { admitted, remaining, capacity: quota.most.get(), window, more_after }
}

/// Returns how many calls count.
#[must_use]
pub fn used(slots: &Slots) -> u32 {
    slots.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
}

/// Returns from when on nothing of these slots counts; the first instant of the newest one if nothing does already.
#[must_use]
pub fn slots_over_at(length: Duration, slots: &Slots) -> Timestamp {
    let youngest = (0_i64..).zip(slots.counts).find(|(_, count)| *count > 0);
    let end = youngest.map_or_else(
        || slots.newest.saturating_mul(slot_millis(length)),
        |(age, _)| end_of_slot(slots.newest.saturating_sub(age), length),
    );
    Timestamp::from_millis(end)
}

// From then on the slot does not count: every instant in it is longer ago than the window.
fn end_of_slot(slot: i64, length: Duration) -> i64 {
    slot.saturating_add(SLOTS).saturating_mul(slot_millis(length))
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
