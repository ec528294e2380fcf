//! Limits counted in this process: one token bucket (GCRA) per key, moved by the time of the caller.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use policies::limit::{Bucket as Terms, Limit, LimitKey, Metering, Rate, Shape, Verdict};
use policies::time::Timestamp;

use super::asked::{Asked, Counted, Happened, Untaken};

/// How many buckets are kept at once: every client of a large country times its operations, at most 64 MiB.
pub const KEYS_MAX: usize = 200_000;

const SHARDS: usize = 16;

// A shard looks for buckets that are full again each time it was asked so often: an eighth of what it may hold.
const CALLS_PER_SWEEP: usize = KEYS_MAX / SHARDS / 8;

/// Counts events against limits, for all threads of the process.
#[derive(Debug)]
pub struct LocalLimiter {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    shard_keys_max: usize,
}

#[derive(Debug, Default)]
struct Shard {
    buckets: HashMap<LimitKey, Bucket>,
    calls: usize,
    /// Before this time no bucket is full again, so looking is in vain.
    sweep_from: Option<Timestamp>,
}

#[derive(Debug)]
struct Bucket {
    burst: NonZeroU32,
    limiter: RateLimiter<NotKeyed, InMemoryState, Hand, StateInformationMiddleware>,
    /// From then on the bucket is as good as a new one.
    full_at: Timestamp,
}

/// A clock that stands where the caller put it last: nanoseconds since 1970.
#[derive(Debug)]
struct Hand(AtomicU64);

impl Hand {
    fn put(&self, now: Timestamp) {
        let nanos = u64::try_from(now.millis()).unwrap_or(0).saturating_mul(1_000_000);
        self.0.store(nanos, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

impl LocalLimiter {
    /// Makes a limiter that keeps [`KEYS_MAX`] buckets.
    #[must_use]
    pub fn new() -> Self {
        Self::with_keys_max(KEYS_MAX)
    }

    /// Makes a limiter that keeps so many buckets, rounded up to whole shards.
    #[must_use]
    pub fn with_keys_max(keys_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            shard_keys_max: keys_max.div_ceil(SHARDS),
        }
    }

    /// Counts one event of `key` against `limit`, if there is room for it at `now`.
    ///
    /// `key` must be made of this very `limit`: its rate stands in there. A burst that was changed is kept at once, with a
    /// new bucket.
    #[must_use]
    pub fn check(&self, limit: &Limit, key: &LimitKey, now: Timestamp) -> Metering {
        let shard = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        let Shape::Bucket(terms) = &limit.shape else { return Metering::KeysExhausted };
        let Some(shard) = self.shards.get(shard) else { return Metering::KeysExhausted };
        // A bucket is changed by one atomic step, so that a panic elsewhere leaves nothing half done.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.check(terms, key, now, self.shard_keys_max)
    }
}

impl LocalLimiter {
    /// Counts a call against its limits, if every enforced one has room for it; otherwise takes nothing from any.
    ///
    /// # Errors
    /// [`Untaken::KeysExhausted`] if it would be a counter too many of its owner.
    pub fn take(&self, asked: &Asked<'_>) -> Result<(Vec<Verdict>, Holds), Untaken> {
        let verdicts = asked.limits.iter().map(|counted| {
            let full = Verdict {
                admitted: true,
                remaining: u32::MAX,
                capacity: u32::MAX,
                window: Duration::ZERO,
                more_after: Duration::ZERO,
            };
            let Shape::Bucket(bucket) = &counted.limit.shape else { return Ok(full) };
            if !counted.counts() {
                return Ok(full);
            }
            let cell = cell(&bucket.rate);
            let (capacity, window) = (bucket.burst.get(), cell.saturating_mul(bucket.burst.get()));
            let key = LimitKey::of(counted.limit, &counted.values);
            match self.check(counted.limit, &key, asked.now) {
                Metering::Within { remaining } => {
                    Ok(Verdict { admitted: true, remaining, capacity, window, more_after: cell })
                }
                Metering::Exceeded { retry_after } => {
                    Ok(Verdict { admitted: false, remaining: 0, capacity, window, more_after: retry_after })
                }
                Metering::KeysExhausted => Err(Untaken::KeysExhausted),
            }
        });
        Ok((verdicts.collect::<Result<_, _>>()?, Holds::default()))
    }

    /// Settles costs.
    pub fn settle(&self, _: &mut Holds, _: Option<u16>, _: Timestamp) {}

    /// Gives the tokens of a credit back, once for each thing; tells whether there were any to give.
    pub fn happened(&self, _: &Happened<'_>) -> bool {
        false
    }

    /// Notes for a limit of polls that the resource among these values begins now.
    pub fn begun(&self, _: &Counted<'_>, _: &str, _: Timestamp) {}

    /// Tells what each limit would say; takes nothing.
    #[must_use]
    pub fn read(&self, _: &Asked<'_>) -> Vec<Verdict> {
        Vec::new()
    }

    /// Forgets what was counted; tells how many counters there were.
    pub fn reset(&self, _: &Asked<'_>) -> usize {
        0
    }

    /// Returns how many counters are kept.
    #[must_use]
    pub fn keys(&self) -> usize {
        0
    }
}

/// What a call has taken.
#[derive(Debug, Default)]
pub struct Holds;

impl Holds {
    /// Tells whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Tells whether the status of the answer makes a difference.
    #[must_use]
    pub fn settles(&self) -> bool {
        false
    }
}

impl Default for LocalLimiter {
    fn default() -> Self {
        Self::new()
    }
}

impl Shard {
    fn check(&mut self, limit: &Terms, key: &LimitKey, now: Timestamp, keys_max: usize) -> Metering {
        self.calls += 1;
        if self.calls >= CALLS_PER_SWEEP {
            self.sweep(now);
        }
        let cell = cell(&limit.rate);
        if let Some(bucket) = self.buckets.get_mut(key) {
            // An empty bucket is full after `burst` cells. One that claims to need longer was used before the system's
            // clock went back; left alone, it would refuse until the clock has caught up.
            let stepped_back = bucket.full_at > now + full_after(cell, limit.burst.get()) + STEP_BACK_MIN;
            if stepped_back || bucket.burst != limit.burst {
                *bucket = Bucket::new(limit, cell, now);
            }
            return bucket.check(cell, limit.burst.get(), now);
        }
        if self.buckets.len() >= keys_max && self.sweep_from.is_none_or(|from| now >= from) {
            self.sweep(now);
        }
        if self.buckets.len() >= keys_max {
            return Metering::KeysExhausted;
        }
        let mut bucket = Bucket::new(limit, cell, now);
        let metering = bucket.check(cell, limit.burst.get(), now);
        self.sweep_from = Some(self.sweep_from.map_or(bucket.full_at, |from| from.min(bucket.full_at)));
        self.buckets.insert(key.clone(), bucket);
        metering
    }

    fn sweep(&mut self, now: Timestamp) {
        self.calls = 0;
        self.buckets.retain(|_, bucket| now < bucket.full_at);
        self.sweep_from = self.buckets.values().map(|bucket| bucket.full_at).min();
    }
}

// Rounding of times to milliseconds must not look like a clock that went back.
const STEP_BACK_MIN: Duration = Duration::from_millis(10);

impl Bucket {
    fn new(limit: &Terms, cell: Duration, now: Timestamp) -> Self {
        let quota = Quota::with_period(cell).unwrap_or(Quota::per_second(limit.rate.count)).allow_burst(limit.burst);
        let limiter = RateLimiter::direct_with_clock(quota, Hand(AtomicU64::new(0)));
        Self { burst: limit.burst, limiter: limiter.with_middleware(), full_at: now }
    }

    fn check(&mut self, cell: Duration, burst: u32, now: Timestamp) -> Metering {
        self.limiter.clock().put(now);
        match self.limiter.check() {
            Ok(snapshot) => {
                let remaining = snapshot.remaining_burst_capacity();
                self.full_at = now + full_after(cell, burst.saturating_sub(remaining));
                Metering::Within { remaining }
            }
            Err(not_until) => Metering::Exceeded { retry_after: not_until.wait_time_from(self.limiter.clock().now()) },
        }
    }
}

/// How long one event takes to refill; never zero.
fn cell(rate: &Rate) -> Duration {
    (rate.per / rate.count.get()).max(Duration::from_nanos(1))
}

// A millisecond more than the sum, as timestamps are cut to whole ones.
fn full_after(cell: Duration, cells: u32) -> Duration {
    cell.saturating_mul(cells).saturating_add(Duration::from_millis(1))
}
