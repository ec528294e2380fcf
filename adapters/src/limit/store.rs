//! Where counters are kept in this process: many small maps, each under its own lock, and a budget over all of them.
//!
//! Every owner has a share of the budget, so that who makes up names fills their own share and nobody else's. What is as
//! good as new is forgotten, a shard at a time. This module must not know what limits say.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policies::limit::Window;
use policies::limit::clock::STEP_BACK_MAX;
use policies::limit::state::State;
use policies::time::Timestamp;

use super::key::{Hashed, Key};

/// How many shards a store has at least: threads of a large machine seldom meet in one.
const SHARDS_MIN: usize = 64;

/// How many it has at most: each holds eight hundred keys of a million then, which fill a table of 1,024 places well, and are
/// looked through in microseconds.
const SHARDS_MAX: usize = 1280;

/// The part of the budget that one owner may have: one of so many.
pub const OWNER_PART: usize = 4;

/// The part of the budget that is left to owners with few keys: one of so many. Owners who act together do not get it.
pub const RESERVED_PART: usize = 8;

/// The part of an owner's share, and of the budget, that is for what can be done without: one of so many. So what refuses
/// nobody takes no place that a limit needs, however long it is kept.
pub const SPARE_PART: usize = 2;

/// How many keys are few, at most: a client's limits times its operations.
pub const KEYS_FEW: usize = 256;

/// A shard is looked through once in so many milliseconds at most, however full the store is.
///
/// So a flood that finds no place costs a hundredth of a core for a million counters, not a core.
const SWEEP_GAP_MILLIS: i64 = 1000;

/// What lies further ahead was written by another clock: no call is under way for so long before it is counted.
const OTHER_CLOCK: Duration = Duration::from_secs(60);

/// About how many counters are looked at for somebody who finds no place, before they are refused.
const SWEEP_KEYS: usize = 4096;

/// What is kept under a key.
#[derive(Debug, Clone)]
pub(super) enum Kept {
    /// What a limit has counted.
    State(State),
    /// The counter of a call that a later one may give tokens back for.
    Mark(Key),
}

impl Kept {
    // A day or a month that has begun on this clock ends on it: what it has counted must not be forgotten before, however
    // far the clock stepped back within it.
    fn is_of_the_calendar(&self, now: Timestamp) -> bool {
        let began = |at: Timestamp| at <= now + STEP_BACK_MAX;
        match self {
            Kept::State(State::Window(counted)) => began(counted.start),
            Kept::State(State::Sessions(held)) => began(Window::Day.start(held.last)),
            Kept::State(_) | Kept::Mark(_) => false,
        }
    }
}

#[derive(Debug)]
struct Entry {
    kept: Kept,
    /// From then on it is as good as none: milliseconds since 1970.
    over_at: i64,
    owner: u64,
}

/// Counters by key, within a budget.
pub(super) struct Store {
    shards: Box<[Mutex<Shard>]>,
    budget: Budget,
    /// The shard that is looked through next for somebody who finds no place.
    hand: AtomicUsize,
}

#[derive(Debug, Default)]
pub(super) struct Shard {
    entries: HashMap<Key, Entry, Hashed>,
    /// Before this time nothing is over, so looking is in vain.
    sweep_from: i64,
    /// When it was looked through last.
    swept_at: i64,
    /// How many entries came since.
    fresh: usize,
    /// The latest time that anything was written at.
    written_at: i64,
}

/// The shards of some keys, locked together.
pub(super) struct Locked<'a> {
    store: &'a Store,
    first: Option<(usize, MutexGuard<'a, Shard>)>,
    /// Mostly empty: a call has few limits.
    rest: Vec<(usize, MutexGuard<'a, Shard>)>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("keys", &self.len()).finish_non_exhaustive()
    }
}

impl Store {
    /// Makes one that keeps so many counters.
    pub(super) fn new(keys_max: usize) -> Self {
        let shards = (keys_max / 512).clamp(SHARDS_MIN, SHARDS_MAX);
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            budget: Budget::new(keys_max),
            hand: AtomicUsize::new(0),
        }
    }

    /// Returns how many counters are kept.
    pub(super) fn len(&self) -> usize {
        self.budget.total.load(Ordering::Relaxed)
    }

    /// Returns how many counters the owner has that has most of them, and how many it may have.
    pub(super) fn fullest_owner(&self) -> (usize, usize) {
        (self.budget.fullest(), self.budget.share())
    }

    /// Returns how many counters there may be.
    pub(super) fn keys_max(&self) -> usize {
        self.budget.keys_max
    }

    /// Locks the shards of these keys, always in the same order, so that two calls never wait for each other.
    pub(super) fn lock(&self, mut keys: impl Iterator<Item = Key>) -> Locked<'_> {
        let lock = |index: usize| Some((index, self.shards.get(index)?.lock().unwrap_or_else(PoisonError::into_inner)));
        let (first, second) = (keys.next().map(|key| self.shard_of(key)), keys.next());
        let Some(second) = second else {
            return Locked { store: self, first: first.and_then(lock), rest: Vec::new() };
        };
        let keys = std::iter::once(second).chain(keys).map(|key| self.shard_of(key));
        let mut wanted: Vec<usize> = first.into_iter().chain(keys).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut shards = wanted.into_iter().filter_map(lock);
        Locked { store: self, first: shards.next(), rest: shards.collect() }
    }

    /// Takes places for so many new counters of an owner; takes none if there are not as many.
    pub(super) fn reserve(&self, owner: u64, count: usize) -> bool {
        self.budget.reserve(owner, count, 1)
    }

    /// Takes a place for something that can be done without; takes none where counters may soon need it.
    pub(super) fn reserve_spare(&self, owner: u64) -> bool {
        self.budget.reserve(owner, 1, SPARE_PART)
    }

    /// Forgets what is over where these keys belong, and in some other shards, one after the other.
    pub(super) fn make_room(&self, keys: impl Iterator<Item = Key>, now: Timestamp) {
        for key in keys {
            self.sweep(self.shard_of(key), now);
        }
        let mut looked = 0;
        for _ in 0..self.shards.len() {
            if looked >= SWEEP_KEYS {
                return;
            }
            looked += 16 + self.sweep(self.hand.fetch_add(1, Ordering::Relaxed) % self.shards.len(), now);
        }
    }

    fn sweep(&self, shard: usize, now: Timestamp) -> usize {
        let Some(shard) = self.shards.get(shard) else { return 0 };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.sweep(now, &self.budget);
        shard.entries.len()
    }

    // The upper half of a product: as even as a remainder, and no division.
    fn shard_of(&self, key: Key) -> usize {
        let at = (u128::from(key.shard) * self.shards.len() as u128) >> u64::BITS;
        usize::try_from(at).unwrap_or(0)
    }
}

impl Locked<'_> {
    /// Returns what a limit has counted under a key.
    pub(super) fn state(&mut self, key: Key) -> Option<State> {
        match &self.shard(key)?.entries.get(&key)?.kept {
            Kept::State(state) => Some(state.clone()),
            Kept::Mark(_) => None,
        }
    }

    /// Returns which counter a mark leads to, and until when.
    pub(super) fn mark(&mut self, key: Key) -> Option<(Key, Timestamp)> {
        let entry = self.shard(key)?.entries.get(&key)?;
        match entry.kept {
            Kept::Mark(counter) => Some((counter, Timestamp::from_millis(entry.over_at) - STEP_BACK_MAX)),
            Kept::State(_) => None,
        }
    }

    /// Exchanges what is kept under a key, and leaves alone when it will be over.
    pub(super) fn put_back(&mut self, key: Key, kept: Kept) {
        if let Some(entry) = self.shard(key).and_then(|shard| shard.entries.get_mut(&key)) {
            entry.kept = kept;
        }
    }

    /// Exchanges what is kept under a key; tells whether there was anything.
    pub(super) fn replace(&mut self, key: Key, kept: Kept, over_at: Timestamp, now: Timestamp) -> bool {
        let Some(shard) = self.shard(key) else { return false };
        shard.follow(now);
        let Some(entry) = shard.entries.get_mut(&key) else { return false };
        entry.kept = kept;
        entry.over_at = (over_at + STEP_BACK_MAX).millis();
        shard.sweep_from = shard.sweep_from.min(entry.over_at);
        true
    }

    /// Keeps something new, in a place that was reserved for this owner.
    pub(super) fn insert(&mut self, key: Key, kept: Kept, over_at: Timestamp, owner: u64, now: Timestamp) {
        let budget = &self.store.budget;
        let Some(shard) = self.shard(key) else { return budget.release(owner, 1) };
        shard.follow(now);
        if shard.entries.is_empty() {
            shard.sweep_from = i64::MAX;
        }
        let over_at = (over_at + STEP_BACK_MAX).millis();
        shard.sweep_from = shard.sweep_from.min(over_at);
        shard.fresh += 1;
        if let Some(before) = shard.entries.insert(key, Entry { kept, over_at, owner }) {
            budget.release(before.owner, 1);
        }
        // Looked through once for as many new ones as half of what it holds: each pays for two others.
        if shard.fresh > 24 + shard.entries.len() / 2 {
            shard.sweep(now, budget);
        }
    }

    /// Keeps something that must not be lost, even beyond the owner's share.
    pub(super) fn insert_anyway(&mut self, key: Key, kept: Kept, over_at: Timestamp, owner: u64, now: Timestamp) {
        self.store.budget.force(owner, 1);
        self.insert(key, kept, over_at, owner, now);
    }

    /// Forgets what is kept under a key, and returns it.
    pub(super) fn remove(&mut self, key: Key) -> Option<(Kept, Timestamp)> {
        let entry = self.shard(key)?.entries.remove(&key)?;
        self.store.budget.release(entry.owner, 1);
        Some((entry.kept, Timestamp::from_millis(entry.over_at) - STEP_BACK_MAX))
    }

    fn shard(&mut self, key: Key) -> Option<&mut Shard> {
        let index = self.store.shard_of(key);
        let mut shards = self.first.iter_mut().chain(&mut self.rest);
        shards.find(|(at, _)| *at == index).map(|(_, shard)| &mut **shard)
    }
}

impl Shard {
    fn sweep(&mut self, now: Timestamp, budget: &Budget) {
        self.follow(now);
        self.fresh = 0;
        let since = now.millis().saturating_sub(self.swept_at);
        let too_soon = (0..SWEEP_GAP_MILLIS).contains(&since) && self.swept_at > 0;
        if now.millis() < self.sweep_from || too_soon {
            return;
        }
        self.swept_at = now.millis();
        self.sweep_from = i64::MAX;
        self.entries.retain(|_, entry| {
            let stays = now.millis() < entry.over_at;
            if stays {
                self.sweep_from = self.sweep_from.min(entry.over_at);
            } else {
                budget.release(entry.owner, 1);
            }
            stays
        });
        if self.entries.capacity() > 64 + 4 * self.entries.len() {
            self.entries.shrink_to(2 * self.entries.len());
        }
    }

    // Times that another clock has told would keep everything here until it is caught up with.
    fn follow(&mut self, now: Timestamp) {
        if Timestamp::from_millis(self.written_at) <= now + OTHER_CLOCK {
            self.written_at = self.written_at.max(now.millis());
            return;
        }
        let ahead = self.written_at.saturating_sub(now.millis());
        for entry in self.entries.values_mut() {
            if entry.over_at < i64::MAX && !entry.kept.is_of_the_calendar(now) {
                entry.over_at = entry.over_at.saturating_sub(ahead);
            }
        }
        self.sweep_from = 0;
        self.written_at = now.millis();
    }
}

/// How many counters there may be, and how many each owner has.
#[derive(Debug)]
struct Budget {
    keys_max: usize,
    total: AtomicUsize,
    owners: [Mutex<HashMap<u64, usize>>; 16],
}

impl Budget {
    fn new(keys_max: usize) -> Self {
        Self { keys_max, total: AtomicUsize::new(0), owners: std::array::from_fn(|_| Mutex::default()) }
    }

    // Of the share and the budget one of so many parts.
    fn reserve(&self, owner: u64, count: usize, part: usize) -> bool {
        let mut owners = self.owners(owner);
        let held = owners.get(&owner).copied().unwrap_or(0) + count;
        if held > (self.share() / part).max(1) {
            return false;
        }
        let reserved = if held <= KEYS_FEW { 0 } else { self.keys_max / RESERVED_PART };
        let add = |total: usize| (total + count + reserved <= self.keys_max / part).then_some(total + count);
        if self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_err() {
            return false;
        }
        owners.insert(owner, held);
        true
    }

    fn share(&self) -> usize {
        (self.keys_max / OWNER_PART).max(1)
    }

    fn fullest(&self) -> usize {
        let most = |owners: &Mutex<HashMap<u64, usize>>| {
            let owners = owners.lock().unwrap_or_else(PoisonError::into_inner);
            owners.values().copied().max()
        };
        self.owners.iter().filter_map(most).max().unwrap_or(0)
    }

    fn force(&self, owner: u64, count: usize) {
        *self.owners(owner).entry(owner).or_default() += count;
        self.total.fetch_add(count, Ordering::Relaxed);
    }

    fn release(&self, owner: u64, count: usize) {
        let mut owners = self.owners(owner);
        let left = owners.get(&owner).copied().unwrap_or(0).saturating_sub(count);
        if left == 0 {
            owners.remove(&owner);
        } else {
            owners.insert(owner, left);
        }
        self.total.fetch_sub(count, Ordering::Relaxed);
    }

    fn owners(&self, owner: u64) -> MutexGuard<'_, HashMap<u64, usize>> {
        let [first, ..] = &self.owners;
        let shard = usize::try_from(owner >> 60).unwrap_or(0);
        self.owners.get(shard).unwrap_or(first).lock().unwrap_or_else(PoisonError::into_inner)
    }
}
