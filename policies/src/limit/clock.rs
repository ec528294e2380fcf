//! What a limit believes of clocks: they may be put right, and nobody must gain by it.
//!
//! A clock that has stepped back a little finds everything counted and waits until it has caught up: nothing opens twice.
//! One that has stepped back further would wait too long; it is taken for another clock, on which all that was counted
//! counts as counted now. A step forward is time like any other: nothing here can tell them apart.

use std::time::Duration;

use crate::time::Timestamp;

/// How far a clock may step back and is waited for: further than what servers of time correct in daily work.
///
/// A limit is so closed for its own window and this at most.
pub const STEP_BACK_MAX: Duration = Duration::from_secs(5);

/// Tells whether what was seen at `seen` (milliseconds) lies so far ahead that another clock must have told it.
pub(super) fn is_of_another_clock(seen: i64, now: Timestamp) -> bool {
    seen > (now + STEP_BACK_MAX).millis()
}

/// Returns how long it is until `then` (milliseconds), zero if that is over.
pub(super) fn until(then: i64, now: Timestamp) -> Duration {
    Timestamp::from_millis(then).since(now)
}

/// Returns milliseconds, at most what a timestamp can tell.
pub(super) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
