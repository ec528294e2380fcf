//! One token of a bucket, taken by `governor` from a place that it is shown.
//!
//! The place is a counter of a locked shard: `governor` judges and moves it, and what it moved is kept only if every other
//! limit of the call has room too.

use std::cell::Cell;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use policies::limit::bucket::{Used, cell, current_nanos, longest_nanos, nanos, take, verdict};
use policies::limit::{Bucket, Verdict};
use policies::time::Timestamp;

/// Beyond this, times of a bucket would not fit into 64 bits of nanoseconds since 1970: 146 years.
const SPAN_NANOS_MAX: u64 = u64::MAX / 4;

/// Where a bucket stands, as `governor` sees it: when it will be full again.
#[derive(Debug)]
struct Place(Cell<Option<u64>>);

impl StateStore for Place {
    type Key = NotKeyed;

    // The shard is locked by who made the place: nobody else moves it meanwhile.
    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (outcome, full_at) = judge(self.0.get().map(Nanos::new))?;
        self.0.set(Some(full_at.as_u64()));
        Ok(outcome)
    }
}

/// A clock that stands where it is put: nanoseconds since 1970.
#[derive(Debug)]
struct Hand(Cell<u64>);

impl Clock for Hand {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.get())
    }
}

/// Takes one token of a bucket at `now`, if there is one; none was used where there is no `used`.
pub(super) fn admit(bucket: &Bucket, used: Option<Used>, now: Timestamp) -> (Verdict, Used) {
    let at = nanos(now);
    let full_at = used.map_or(at, |used| current_nanos(bucket, used.full_at_nanos, now));
    let taken = if longest_nanos(bucket).max(at).max(full_at) > SPAN_NANOS_MAX {
        take(bucket, full_at, now)
    } else {
        governed(bucket, full_at, at)
    };
    let full_at_nanos = taken.unwrap_or(full_at);
    (verdict(bucket, full_at_nanos, now, taken.is_some()), Used { full_at_nanos })
}

fn governed(bucket: &Bucket, full_at: u64, at: u64) -> Option<u64> {
    let quota = Quota::with_period(Duration::from_nanos(cell(&bucket.rate)))?.allow_burst(bucket.burst);
    // Times are told since the beginning of the clock: it begins with the epoch.
    let hand = Hand(Cell::new(0));
    let limiter = RateLimiter::<_, _, _, NoOpMiddleware<Nanos>>::new(quota, Place(Cell::new(Some(full_at))), hand);
    limiter.clock().0.set(at);
    limiter.check().ok()?;
    limiter.into_state_store().0.get()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use policies::limit::Rate;
    use policies::limit::bucket::burst_nanos;

    use super::*;

    fn bucket(count: u32, per: Duration, burst: u32) -> Bucket {
        let number = |number: u32| NonZeroU32::MIN.saturating_add(number - 1);
        Bucket { rate: Rate { count: number(count), per }, burst: number(burst), costs: None, credit: None }
    }

    #[test]
    fn governor_and_the_rule_say_the_same() {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        for round in 0..400 {
            let count = match round % 4 {
                0 => next(10),
                1 | 2 => next(3000),
                _ => next(u64::from(u32::MAX)),
            };
            let per = match next(4) {
                0 => 86_400,
                power => 60_u64.pow(u32::try_from(power - 1).unwrap_or(0)),
            };
            let burst = if round % 2 == 0 { next(50) } else { next(1_000_000) };
            let number = |number: u64| u32::try_from(number).unwrap_or(0) + 1;
            let bucket = bucket(number(count), Duration::from_secs(per), number(burst));
            let (mut used, mut full_at, mut millis) = (None, 0, 1_800_000_000_000_u64);
            for _ in 0..200 {
                millis = millis + next(1 + 3 * cell(&bucket.rate) / 1_000_000) - next(3).min(millis);
                let now = Timestamp::from_millis(i64::try_from(millis).unwrap_or(0));
                // As dear calls leave it: far in debt, up to what is of another clock.
                if next(20) == 0 {
                    full_at = nanos(now).saturating_add(next(2 * burst_nanos(&bucket)));
                    used = Some(Used { full_at_nanos: full_at });
                }
                let (verdict, after) = admit(&bucket, used, now);
                let expected = take(&bucket, full_at, now);
                assert_eq!(verdict.admitted, expected.is_some(), "{bucket:?} at {now}");
                full_at = expected.unwrap_or_else(|| current_nanos(&bucket, full_at, now));
                assert_eq!(after.full_at_nanos.max(nanos(now)), full_at.max(nanos(now)), "{bucket:?} at {now}");
                used = Some(after);
            }
        }
    }

    #[test]
    fn odd_rates_neither_panic_nor_let_everything_through() {
        let now = Timestamp::from_seconds(1_800_000_000);
        for (count, per, burst) in [
            (u32::MAX, Duration::from_secs(1), 1),
            (1, Duration::from_secs(86_400), 1),
            (1, Duration::from_secs(86_400), u32::MAX),
            (1, Duration::MAX, u32::MAX),
            (3, Duration::from_secs(1), 1),
        ] {
            let bucket = bucket(count, per, burst);
            let (verdict, used) = admit(&bucket, None, now);
            assert!(verdict.admitted && used.full_at_nanos > nanos(now), "{bucket:?}");
            // Such a burst is used up after more calls than there will ever be.
            if let Some(empty) = nanos(now).checked_add(burst_nanos(&bucket)) {
                assert!(!admit(&bucket, Some(Used { full_at_nanos: empty }), now).0.admitted, "{bucket:?}");
            }
        }
    }
}
