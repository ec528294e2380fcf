//! A token bucket (GCRA): one number says when it will be full again.
//!
//! It knows no status but as a number that something costs, and nothing of whose bucket it is.

use std::time::Duration;

use super::clock::STEP_BACK_MAX;
use super::{Bucket, Costs, Rate, Verdict};
use crate::time::Timestamp;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// No bucket takes longer to be full, and no clock goes on for longer after 1970: 194 years.
///
/// Both together and what is waited for fit into 64 bits, so that no sum here stands still at their end: a bucket that
/// cannot be told to be emptier would never be empty. One that refills for longer holds as much as refills in that time.
pub const SPAN_NANOS_MAX: u64 = u64::MAX / 3;

/// What is used of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// From then on it is full: nanoseconds since 1970.
    pub full_at_nanos: u64,
}

impl Costs {
    /// Returns what a call costs that was answered with `status`.
    #[must_use]
    pub fn of(&self, status: u16) -> i32 {
        self.of.get(&status).copied().unwrap_or(self.otherwise)
    }

    /// Returns what the dearest call costs.
    #[must_use]
    pub fn most(&self) -> i32 {
        self.of.values().copied().fold(self.otherwise, i32::max)
    }
}

/// Returns how long one token takes to refill: nanoseconds, cut to whole ones, never zero.
#[must_use]
pub fn cell(rate: &Rate) -> u64 {
    nanos_of(rate.per / rate.count.get()).clamp(1, SPAN_NANOS_MAX)
}

/// Returns how long an empty bucket takes to be full: nanoseconds.
#[must_use]
pub fn burst_nanos(bucket: &Bucket) -> u64 {
    cell(&bucket.rate).saturating_mul(u64::from(bucket.burst.get())).min(SPAN_NANOS_MAX)
}

/// Returns how long a bucket takes to be full that owes as much as it can: nanoseconds.
///
/// It can owe what a whole burst of calls costs that were under way together, each as dear as can be. What slower calls owe
/// beyond that, which began while others had refilled, is forgiven: no mistake of a backend closes a limit for ever.
#[must_use]
pub fn longest_nanos(bucket: &Bucket) -> u64 {
    let most = bucket.costs.as_ref().map_or(1, Costs::most);
    burst_nanos(bucket).saturating_mul(u64::try_from(most).unwrap_or(1).max(1)).min(SPAN_NANOS_MAX)
}

/// Returns `now` in nanoseconds since 1970, as states count it.
#[must_use]
pub fn nanos(now: Timestamp) -> u64 {
    u64::try_from(now.millis()).unwrap_or(0).saturating_mul(NANOS_PER_MILLI).min(SPAN_NANOS_MAX)
}

/// Returns when a bucket is full that was to be full at `full_at_nanos`: that very time, unless another clock told it.
///
/// No bucket needs longer than [`longest_nanos`]; one that claims to was used before the clock stepped back, and is now as
/// empty as can be.
#[must_use]
pub fn current_nanos(bucket: &Bucket, full_at_nanos: u64, now: Timestamp) -> u64 {
    let at = nanos(now);
    if full_at_nanos > latest(bucket, at) { at.saturating_add(longest_nanos(bucket)) } else { full_at_nanos }
}

/// Takes one token of a bucket that is full at `full_at_nanos`; gives back when it is full then, or none without room.
#[must_use]
pub fn take(bucket: &Bucket, full_at_nanos: u64, now: Timestamp) -> Option<u64> {
    let at = nanos(now);
    let next = current_nanos(bucket, full_at_nanos, now).max(at).saturating_add(cell(&bucket.rate));
    (next - at <= burst_nanos(bucket)).then_some(next)
}

/// Takes more tokens, or gives some back if negative: never beyond the burst, and what is not there is owed.
///
/// A clock that has stepped back hides how full the bucket was before: what is given back then can make it full at once, up
/// to [`STEP_BACK_MAX`] early.
#[must_use]
pub fn settle(bucket: &Bucket, full_at_nanos: u64, tokens: i64, now: Timestamp) -> u64 {
    let at = nanos(now);
    let full_at = current_nanos(bucket, full_at_nanos, now).max(at);
    let span = cell(&bucket.rate).saturating_mul(tokens.unsigned_abs());
    if tokens < 0 {
        return full_at.saturating_sub(span).max(at);
    }
    full_at.saturating_add(span).min(latest(bucket, at))
}

/// Says what is free in a bucket that is full at `full_at_nanos`, for a call that was let in or not.
#[must_use]
pub fn verdict(bucket: &Bucket, full_at_nanos: u64, now: Timestamp, admitted: bool) -> Verdict {
    let used = current_nanos(bucket, full_at_nanos, now).saturating_sub(nanos(now));
    let (cell, burst) = (cell(&bucket.rate), burst_nanos(bucket));
    let remaining = u32::try_from(burst.saturating_sub(used) / cell).unwrap_or(u32::MAX).min(bucket.burst.get());
    let wanted = burst.saturating_sub(cell.saturating_mul(u64::from(remaining).saturating_add(1)));
    Verdict {
        admitted,
        remaining,
        capacity: bucket.burst.get(),
        window: whole_millis(used),
        more_after: if used == 0 { Duration::ZERO } else { whole_millis(used.saturating_sub(wanted)) },
    }
}

// When a bucket is full at the latest that this clock has filled, which may have stepped back since: cut at what can be owed
// from now on, a cost would be forgiven to whoever is answered while the clock is back.
fn latest(bucket: &Bucket, at: u64) -> u64 {
    at.saturating_add(longest_nanos(bucket)).saturating_add(nanos_of(STEP_BACK_MAX))
}

// Rounded up: in the millisecond that is told there is room, in the one before it there is none.
fn whole_millis(nanos: u64) -> Duration {
    Duration::from_millis(nanos.div_ceil(NANOS_PER_MILLI))
}

fn nanos_of(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "bucket_tests.rs"]
mod tests;
