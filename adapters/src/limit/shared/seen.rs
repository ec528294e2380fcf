//! What this gateway knows of counters without asking: those without room, and small leases of those that are hot.
//!
//! Nothing here makes room that the servers did not give: who forgets all of it only asks more often.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policies::limit::state::{State, room, settle};
use policies::limit::{Bucket, Costs, Limit, Shape, Verdict};
use policies::time::Timestamp;

/// How many counters without room are known at once, 100 bytes each; of the others the servers are asked each time.
pub const OVER_MAX: usize = 1 << 16;

/// How long a counter counts as without room that calls of other gateways can give tokens to; in a Cluster each is one, as
/// what one slot has taken is given back if another one refuses.
pub const OVER_GIVEN: Duration = Duration::from_secs(1);

/// How long a counter counts as without room at most: whoever resets or loses one while an answer about it is on its way does
/// not close it for as long as its window goes on. It is a call a minute.
pub const OVER_KEPT: Duration = Duration::from_secs(60);

/// How many buckets are leased of at once: those of more than 20 calls a second each are not many.
pub const LEASES_MAX: usize = 1024;

/// How long a lease lasts; what is left of it then is lost, so that no more is leased than what is likely to be used.
pub const LEASE: Duration = Duration::from_millis(50);

/// From which rate on tokens are leased: one a lease.
pub const LEASED_PER_SECOND: u64 = 20;

/// A lease is one of so many parts of the calls that came here in the time of a lease before: seldom is any of it lost.
pub const LEASE_PACE: u32 = 2;

/// Which part of a burst one lease is at most.
pub const LEASE_PART: u32 = 100;

/// How a counter stood when the servers were asked last.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// What it was.
    pub(super) state: Option<State>,
    /// When that was by their clock.
    pub(super) there: Timestamp,
    /// When that was by ours.
    pub(super) here: Timestamp,
}

/// The counters without room.
#[derive(Debug, Default)]
pub(super) struct Over(Mutex<HashMap<u128, Seen>>);

/// The leases of this gateway.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<HashMap<u128, Lease>>);

#[derive(Debug)]
struct Lease {
    left: u32,
    seen: Option<Seen>,
    until: Timestamp,
    pace: Pace,
}

/// How many calls come here, in pieces of [`LEASE`].
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    /// The number of the piece that was counted last.
    piece: i64,
    /// How many came in it.
    calls: u32,
    /// How many in the one before.
    before: u32,
}

/// What is done about one limit of a call.
#[derive(Debug)]
pub(super) enum Draw {
    /// A leased token was taken.
    Leased(Verdict),
    /// The servers are asked, for so many tokens more than the one.
    Ask(u32),
}

impl Seen {
    /// Says what it must look like at `now`; none where our clock has stepped back.
    fn verdict(&self, shape: &Shape, now: Timestamp) -> Option<Verdict> {
        self.time(now).map(|at| room(shape, self.state.as_ref(), at))
    }

    fn time(&self, now: Timestamp) -> Option<Timestamp> {
        (now >= self.here).then(|| self.there + now.since(self.here))
    }
}

impl Over {
    /// Says why there is no room, if that is still so; `given` where any counter may be given tokens.
    pub(super) fn verdict(&self, counter: u128, shape: &Shape, now: Timestamp, given: bool) -> Option<Verdict> {
        let mut known = lock(&self.0);
        let seen = known.get(&counter)?;
        let kept = if given || may_be_given(shape) { OVER_GIVEN } else { OVER_KEPT };
        let old = now.since(seen.here) >= kept;
        let verdict = seen.verdict(shape, now).filter(|verdict| !verdict.admitted && !old);
        if verdict.is_none() {
            known.remove(&counter);
        }
        verdict
    }

    /// Notes that there is no room.
    pub(super) fn add(&self, counter: u128, seen: Seen) {
        let mut known = lock(&self.0);
        // Those that nobody asks for again go when there is no place; nobody is admitted for it.
        if known.len() >= OVER_MAX && !known.contains_key(&counter) {
            known.clear();
        }
        known.insert(counter, seen);
    }

    /// Forgets a counter.
    pub(super) fn remove(&self, counter: u128) {
        lock(&self.0).remove(&counter);
    }

    /// Forgets all of them.
    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }
}

impl Leases {
    /// Takes a leased token, or says how many to ask for.
    pub(super) fn draw(&self, counter: u128, limit: &Limit, now: Timestamp) -> Draw {
        let Shape::Bucket(terms) = &limit.shape else { return Draw::Ask(0) };
        let most = lease(terms).saturating_sub(1);
        if most == 0 {
            return Draw::Ask(0);
        }
        let mut leases = lock(&self.0);
        if leases.len() >= LEASES_MAX && !leases.contains_key(&counter) {
            leases.retain(|_, lease| lease.is_live(now) || lease.pace.is_fresh(now));
            if leases.len() >= LEASES_MAX {
                return Draw::Ask(0);
            }
        }
        let lease = leases.entry(counter).or_default();
        let wanted = most.min(lease.pace.count(now) / LEASE_PACE);
        let used_up = lease.left == 0 && lease.seen.is_some();
        if lease.is_live(now) && !used_up {
            lease.left = lease.left.min(most);
            let taken = lease.left.checked_sub(1);
            let verdict = taken.and_then(|left| told(terms, &limit.shape, lease.seen.as_ref()?, left, now));
            // While one call asks for a lease, others ask for themselves: together they would lease too much.
            let (Some(left), Some(verdict)) = (taken, verdict) else { return Draw::Ask(0) };
            lease.left = left;
            return Draw::Leased(verdict);
        }
        lease.end();
        if wanted > 0 {
            // The next one is asked for by this call.
            lease.until = now + LEASE;
        }
        Draw::Ask(wanted)
    }

    /// Puts in place what the servers have leased; says what that means for the call that asked.
    pub(super) fn add(&self, counter: u128, limit: &Limit, tokens: u32, seen: Seen) -> Option<Verdict> {
        let Shape::Bucket(terms) = &limit.shape else { return None };
        let verdict = told(terms, &limit.shape, &seen, tokens, seen.here);
        let mut leases = lock(&self.0);
        let lease = leases.entry(counter).or_default();
        *lease = Lease { left: tokens, until: seen.here + LEASE, seen: Some(seen), pace: lease.pace };
        verdict
    }

    /// Gives a token back that was drawn.
    pub(super) fn put_back(&self, counter: u128) {
        if let Some(lease) = lock(&self.0).get_mut(&counter).filter(|lease| lease.seen.is_some()) {
            lease.left = lease.left.saturating_add(1);
        }
    }

    /// Forgets a lease, also one that is asked for.
    pub(super) fn remove(&self, counter: u128) {
        if let Some(lease) = lock(&self.0).get_mut(&counter) {
            lease.end();
        }
    }

    /// Forgets all of them.
    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }
}

impl Lease {
    fn is_live(&self, now: Timestamp) -> bool {
        (self.until - LEASE..self.until).contains(&now)
    }

    fn end(&mut self) {
        *self = Self { pace: self.pace, ..Self::default() };
    }
}

impl Default for Lease {
    fn default() -> Self {
        // Over long ago.
        Self { left: 0, seen: None, until: Timestamp::from_millis(0), pace: Pace::default() }
    }
}

impl Pace {
    /// Counts a call; returns how many came in the piece of time before.
    fn count(&mut self, now: Timestamp) -> u32 {
        let piece = piece_of(now);
        if piece != self.piece {
            let before = if piece == self.piece.saturating_add(1) { self.calls } else { 0 };
            *self = Self { piece, calls: 0, before };
        }
        self.calls = self.calls.saturating_add(1);
        self.before
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        (0..=1).contains(&piece_of(now).saturating_sub(self.piece))
    }
}

fn piece_of(now: Timestamp) -> i64 {
    now.millis().div_euclid(i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX))
}

/// Returns how many tokens of a bucket one lease has at most; one and less is none.
///
/// Buckets whose calls cost by their outcome are never leased: their tokens are what protects.
pub(super) fn lease(terms: &Bucket) -> u32 {
    let (count, per) = (u64::from(terms.rate.count.get()), terms.rate.per.as_millis());
    let per = u64::try_from(per).unwrap_or(u64::MAX).max(1);
    if terms.costs.is_some() || terms.credit.is_some() || count.saturating_mul(1000) / per < LEASED_PER_SECOND {
        return 0;
    }
    let meanwhile = count.saturating_mul(u64::try_from(LEASE.as_millis()).unwrap_or(0)) / per;
    (terms.burst.get() / LEASE_PART).min(u32::try_from(meanwhile).unwrap_or(u32::MAX))
}

// Calls that end give tokens back, or another call does.
fn may_be_given(shape: &Shape) -> bool {
    let gives = |costs: &Costs| costs.otherwise < 1 || costs.of.values().any(|cost| *cost < 1);
    match shape {
        Shape::Bucket(terms) => terms.credit.is_some() || terms.costs.as_ref().is_some_and(gives),
        Shape::Quota(_) | Shape::InFlight(_) | Shape::Polls(_) | Shape::Sessions(_) => false,
    }
}

// What is leased and not used yet is free, too.
fn told(terms: &Bucket, shape: &Shape, seen: &Seen, left: u32, now: Timestamp) -> Option<Verdict> {
    let at = seen.time(now)?;
    let state = settle(terms, seen.state.clone(), -i64::from(left), at);
    Some(Verdict { admitted: true, ..room(shape, Some(&state), at) })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is a single step: a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
