//! How many counters this gateway has made in the servers, for whom, and how long they stay there: who makes up names fills
//! a share of the servers' memory, and no more.
//!
//! No counter is remembered, only how many end when: who has used up a share gets places again as they end. What is used
//! again lives longer than is counted on here; that is paid for with calls. This module must not know what is counted.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policies::limit::bucket::cell;
use policies::limit::state::{State, over_at};
use policies::limit::{Bucket, Shape};
use policies::time::Timestamp;

use crate::limit::store::{KEYS_FEW, RESERVED_PART, SPARE_PART};

/// How many counters one owner may have in the servers, made by all gateways together: 250 MB of them.
///
/// A gateway makes its part of them and knows of no other's: one that has just started knows of none.
pub const OWNER_COUNTERS_MAX: usize = 1_000_000;

/// How many counters all owners may have in the servers, made by all gateways together: 1 GB of them.
pub const COUNTERS_MAX: usize = 4_000_000;

/// How many owners are told from each other, of 100 bytes to 10 KB each; the others share one share.
pub const OWNERS_MAX: usize = 4096;

/// For how long a counter counts at most. A month and its margin is shorter; what lives longer is rare.
const LIFE_MAX: Duration = Duration::from_secs(62 * 86_400);

/// How long a counter stays in the servers after it is over, as the script has it.
const SWEEP: Duration = Duration::from_secs(60);

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Which counters a call may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    /// None: who needs one is refused.
    Nothing,
    /// Those of limits that refuse, but none that can be done without.
    Needed,
    /// Any.
    All,
}

/// The counters that were made, by when they end.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Made>);

#[derive(Debug, Default)]
struct Made {
    owners: HashMap<String, Ends>,
    all: Ends,
    /// When owners that have none any more were looked for last.
    swept_at: Option<Timestamp>,
}

/// How many end when: a hundred and some entries, however many counters.
#[derive(Debug, Default)]
struct Ends {
    at: BTreeMap<i64, usize>,
    count: usize,
}

impl Places {
    /// Tells what a call of `owner` may make, where so many gateways are alive.
    pub(super) fn may(&self, owner: &str, alive: NonZeroU32, now: Timestamp) -> May {
        let alive = usize::try_from(alive.get()).unwrap_or(usize::MAX);
        let mut made = lock(&self.0);
        let all = made.all.follow(now);
        let own = made.of(owner).map_or(0, |ends| ends.follow(now));
        let has_place = |part: usize| {
            let reserved = if own < KEYS_FEW { 0 } else { COUNTERS_MAX / RESERVED_PART };
            own < OWNER_COUNTERS_MAX / alive / part && all + reserved / alive < COUNTERS_MAX / alive / part
        };
        match (has_place(SPARE_PART), has_place(1)) {
            (true, _) => May::All,
            (false, true) => May::Needed,
            (false, false) => May::Nothing,
        }
    }

    /// Notes that a call of `owner` has made a counter that ends so long after `now`.
    pub(super) fn add(&self, owner: &str, life: Duration, now: Timestamp) {
        let life = life.saturating_add(SWEEP).min(LIFE_MAX);
        // The longer it lives, the less a little more matters: as many entries as there are minutes, hours and days.
        let step = match life {
            _ if life <= HOUR => MINUTE,
            _ if life <= 2 * DAY => HOUR,
            _ => DAY,
        };
        let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        let end = (now + life).millis().div_euclid(step).saturating_add(1).saturating_mul(step);
        lock(&self.0).add(owner, end, now);
    }

    /// Returns how many were there when it was asked last what there may be.
    pub(super) fn count(&self) -> usize {
        lock(&self.0).all.count
    }
}

/// Tells how long a counter lives that has just been made, at the servers' time.
///
/// What a call may cost by its outcome is counted on: it is taken from the counter only afterwards.
pub(super) fn life(shape: &Shape, state: &State, now: Timestamp) -> Duration {
    let over = over_at(shape, state).since(now);
    match shape {
        Shape::Bucket(Bucket { rate, costs: Some(costs), .. }) => {
            let dearest = costs.of.values().copied().chain([costs.otherwise]).max().unwrap_or(1);
            let more = u64::try_from(dearest.saturating_sub(1)).unwrap_or(0);
            over + Duration::from_nanos(cell(rate).saturating_mul(more))
        }
        _ => over,
    }
}

impl Made {
    // Who is not told from others is counted as the public.
    fn of(&mut self, owner: &str) -> Option<&mut Ends> {
        let owner = if self.owners.contains_key(owner) || self.owners.len() < OWNERS_MAX { owner } else { "" };
        self.owners.get_mut(owner)
    }

    fn add(&mut self, owner: &str, end: i64, now: Timestamp) {
        self.all.add(end);
        if let Some(ends) = self.owners.get_mut(owner) {
            return ends.add(end);
        }
        // Once a minute at most: to look through all of them for each counter would cost more than the counter.
        let swept = self.swept_at.is_some_and(|at| at <= now && now < at + MINUTE);
        if self.owners.len() >= OWNERS_MAX && !swept {
            self.swept_at = Some(now);
            self.owners.retain(|_, ends| ends.follow(now) > 0);
        }
        let owner = if self.owners.len() < OWNERS_MAX { owner } else { "" };
        self.owners.entry(owner.to_owned()).or_default().add(end);
    }
}

impl Ends {
    /// Forgets what has ended; returns how many have not.
    fn follow(&mut self, now: Timestamp) -> usize {
        while let Some(first) = self.at.first_entry().filter(|first| *first.key() <= now.millis()) {
            self.count = self.count.saturating_sub(first.remove());
        }
        // What lies beyond what there may be was noted by another clock.
        let last = (now + LIFE_MAX + DAY).millis();
        while let Some(other) = self.at.last_entry().filter(|other| *other.key() > last) {
            self.count = self.count.saturating_sub(other.remove());
        }
        self.count
    }

    fn add(&mut self, end: i64) {
        *self.at.entry(end).or_default() += 1;
        self.count += 1;
    }
}

fn lock(made: &Mutex<Made>) -> MutexGuard<'_, Made> {
    // Each change is a single step: a panic elsewhere leaves nothing half done.
    made.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use policies::limit::{Costs, Rate};

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn count(places: &Places, now: Timestamp) -> usize {
        lock(&places.0).all.follow(now)
    }

    fn fill(places: &Places, owner: &str, count: usize, life: Duration) {
        for _ in 0..count {
            places.add(owner, life, NOW);
        }
    }

    #[test]
    fn an_owner_has_a_share_and_no_more_and_what_can_be_done_without_half_of_it() {
        let places = Places::default();
        fill(&places, "flooder", OWNER_COUNTERS_MAX / SPARE_PART - 1, DAY);
        assert_eq!(places.may("flooder", ONE, NOW), May::All);
        fill(&places, "flooder", 1, DAY);
        assert_eq!(places.may("flooder", ONE, NOW), May::Needed);
        fill(&places, "flooder", OWNER_COUNTERS_MAX - OWNER_COUNTERS_MAX / SPARE_PART - 1, DAY);
        assert_eq!(places.may("flooder", ONE, NOW), May::Needed);
        fill(&places, "flooder", 1, DAY);
        assert_eq!(places.may("flooder", ONE, NOW), May::Nothing);
        assert_eq!(places.may("shop", ONE, NOW), May::All);
        assert_eq!(count(&places, NOW), OWNER_COUNTERS_MAX);
        assert_eq!(lock(&places.0).all.at.len(), 1, "as many entries as ends");
    }

    #[test]
    fn gateways_make_their_part_each() {
        let places = Places::default();
        fill(&places, "flooder", OWNER_COUNTERS_MAX / 4 - 1, DAY);
        let four = NonZeroU32::new(4).unwrap_or(ONE);
        assert_eq!(places.may("flooder", four, NOW), May::Needed);
        fill(&places, "flooder", 1, DAY);
        assert_eq!(places.may("flooder", four, NOW), May::Nothing);
        assert_eq!(places.may("flooder", ONE, NOW), May::All);
    }

    #[test]
    fn the_last_places_are_for_owners_with_few() {
        let places = Places::default();
        let most = COUNTERS_MAX - COUNTERS_MAX / RESERVED_PART;
        let owners = ["a", "b", "c", "d"];
        for owner in owners {
            fill(&places, owner, most / owners.len() - KEYS_FEW, DAY);
        }
        fill(&places, "shop", KEYS_FEW, DAY);
        assert_eq!(places.may("shop", ONE, NOW), May::Needed);
        fill(&places, "a", owners.len() * KEYS_FEW - KEYS_FEW, DAY);
        assert_eq!(["a", "shop"].map(|owner| places.may(owner, ONE, NOW)), [May::Nothing; 2]);
        assert_eq!(places.may("small", ONE, NOW), May::Needed);
        fill(&places, "d", COUNTERS_MAX / RESERVED_PART, DAY);
        assert_eq!(places.may("small", ONE, NOW), May::Nothing);
    }

    #[test]
    fn places_come_back_as_counters_end_whatever_clocks_do() {
        let places = Places::default();
        let lives = [
            (Duration::ZERO, MINUTE),
            (30 * MINUTE, MINUTE),
            (5 * HOUR, HOUR),
            (7 * DAY, DAY),
            (31 * DAY, DAY),
            (1000 * DAY, DAY),
        ];
        for (number, (life, _)) in lives.into_iter().enumerate() {
            fill(&places, "shop", 1, life);
            assert_eq!(count(&places, NOW), number + 1);
        }
        for (number, (life, step)) in lives.into_iter().enumerate() {
            let end = NOW + life.min(LIFE_MAX - SWEEP) + SWEEP;
            assert_eq!(count(&places, Timestamp::from_millis(end.millis() - 1)), lives.len() - number);
            assert_eq!(count(&places, end + step), lives.len() - number - 1);
        }
        // A clock that was years ahead leaves nothing behind that nobody lives to see.
        places.add("shop", HOUR, NOW + 4000 * DAY);
        assert_eq!(count(&places, NOW), 0);
        assert_eq!(places.may("shop", ONE, NOW), May::All);
    }

    #[test]
    fn of_more_owners_than_there_may_be_the_last_ones_share() {
        let places = Places::default();
        for number in 0..OWNERS_MAX {
            places.add(&number.to_string(), HOUR, NOW);
        }
        for _ in 0..OWNER_COUNTERS_MAX {
            places.add("one more", DAY, NOW);
        }
        assert_eq!(places.may("another", ONE, NOW), May::Nothing);
        assert_eq!(places.may("0", ONE, NOW), May::All);
        assert!(lock(&places.0).owners.len() <= OWNERS_MAX + 1);
        // Those that have none any more make room.
        places.add("another", HOUR, NOW + 3 * HOUR);
        assert_eq!(places.may("another", ONE, NOW + 3 * HOUR), May::All);
    }

    #[test]
    fn what_a_call_may_cost_is_counted_on() {
        let rate = Rate { count: ONE, per: HOUR };
        let costs = Some(Costs { of: BTreeMap::from([(404, 20), (500, 0)]), otherwise: 1 });
        let with = |costs| Shape::Bucket(Bucket { rate, burst: ONE, costs, credit: None });
        let used = policies::limit::bucket::Used { full_at_nanos: 1_800_003_600_000_000_000 };
        let state = State::Bucket(used);
        assert_eq!(life(&with(None), &state, NOW), HOUR);
        assert_eq!(life(&with(costs), &state, NOW), 20 * HOUR);
    }
}
