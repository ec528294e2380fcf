//! What a process remembers of single-use keys, shared out so that no owner can use up the room of all.

use std::cmp::Reverse;
use std::collections::hash_map::RandomState;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use policies::code::Outage;
use policies::time::Timestamp;

/// How many keys are remembered at once: a minute and a half of 10,000 proofs a second, at most 128 MiB.
pub const REPLAYS_MAX: usize = 1 << 20;

/// What part of the room one owner may hold: one in so many.
///
/// Of the product's room that is 65,536 keys; 50 proofs a second, each kept for 325 seconds, need 16,250. Room for four
/// times that means that only an owner far beyond its plan meets this bound, and fifteen such leave room for all others.
pub const OWNER_SHARE: usize = 16;

// As many locks as keep two serving threads out of each other's way.
const SHARDS: usize = 16;

type Key = [u8; 32];

/// The keys, in shards.
#[derive(Debug)]
pub(super) struct Shares {
    shards: Vec<Mutex<Shard>>,
    // Keyed anew in each process: whoever can choose keys still cannot aim at one shard.
    hash: RandomState,
    room: Room,
}

/// How many keys one shard takes: in all, and of one owner.
///
/// Keys fall on all shards alike, so what holds for each holds for the whole, and no count needs a lock over all.
#[derive(Debug, Clone, Copy)]
struct Room {
    keys_max: usize,
    owner_keys_max: usize,
}

#[derive(Debug)]
struct Shard {
    keys: HashSet<Key>,
    /// The same keys, the first to be forgotten on top.
    ends: BinaryHeap<Reverse<(Timestamp, Key, Arc<str>)>>,
    /// How many of them each owner has.
    held: HashMap<Arc<str>, usize>,
    /// The latest time up to which a key was to be kept that is forgotten now.
    forgotten: Timestamp,
}

impl Shares {
    /// Makes room for so many keys, rounded up to whole shares of whole shards.
    pub(super) fn with_room(keys_max: usize) -> Self {
        let keys_max = keys_max.div_ceil(SHARDS);
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::new())).collect(),
            hash: RandomState::new(),
            room: Room { keys_max, owner_keys_max: keys_max.div_ceil(OWNER_SHARE) },
        }
    }

    /// Remembers a key, as [`Replays::claim`](super::port::Replays::claim) promises.
    pub(super) fn claim(&self, owner: &str, key: Key, keep_until: Timestamp, now: Timestamp) -> Result<bool, Outage> {
        let shard = self.shards.get(self.shard_of(&key)).ok_or_else(|| Outage::new("replays", "no shard"))?;
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.claim(owner, key, keep_until, now, self.room)
    }

    fn shard_of(&self, key: &Key) -> usize {
        let [low, ..] = self.hash.hash_one(key).to_le_bytes();
        usize::from(low) % SHARDS
    }
}

impl Shard {
    fn new() -> Self {
        Self {
            keys: HashSet::new(),
            ends: BinaryHeap::new(),
            held: HashMap::new(),
            forgotten: Timestamp::from_millis(i64::MIN),
        }
    }

    fn claim(
        &mut self,
        owner: &str,
        key: Key,
        keep_until: Timestamp,
        now: Timestamp,
        room: Room,
    ) -> Result<bool, Outage> {
        self.forget(now);
        if self.keys.contains(&key) {
            return Ok(false);
        }
        // A request that was long under way comes with a `now` of before: what it shows may have been forgotten since.
        if keep_until <= self.forgotten {
            return Err(Outage::new("replays", "the key would be forgotten by now"));
        }
        let (name, held) = self
            .held
            .get_key_value(owner)
            .map_or_else(|| (Arc::from(owner), 0), |(name, held)| (Arc::clone(name), *held));
        if held >= room.owner_keys_max {
            return Err(Outage::new("replays", format!("as many keys of {owner} are remembered as may be")));
        }
        if self.keys.len() >= room.keys_max {
            return Err(Outage::new("replays", "as many keys are remembered as may be"));
        }
        self.keys.insert(key);
        self.ends.push(Reverse((keep_until, key, Arc::clone(&name))));
        self.held.insert(name, held + 1);
        Ok(true)
    }

    /// Forgets what is over at `now`, and gives the room back to its owners; each key is looked at once.
    fn forget(&mut self, now: Timestamp) {
        while self.ends.peek().is_some_and(|Reverse((until, ..))| *until <= now) {
            let Some(Reverse((until, key, owner))) = self.ends.pop() else { break };
            self.keys.remove(&key);
            self.forgotten = self.forgotten.max(until);
            match self.held.get_mut(&owner) {
                Some(held) if *held > 1 => *held -= 1,
                Some(_) | None => drop(self.held.remove(&owner)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const TICK: Duration = Duration::from_millis(1);
    const KEEP: Duration = Duration::from_secs(325);
    const ROOM: Room = Room { keys_max: 3, owner_keys_max: 2 };

    fn key(number: u32) -> Key {
        let mut key = [0; 32];
        key.first_chunk_mut::<4>().unwrap().copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn an_owner_beyond_its_share_is_refused_alone() {
        let mut shard = Shard::new();
        assert!(shard.claim("one", key(1), NOW + KEEP, NOW, ROOM).unwrap());
        assert!(shard.claim("one", key(2), NOW + KEEP, NOW, ROOM).unwrap());
        let outage = shard.claim("one", key(3), NOW + KEEP, NOW, ROOM).unwrap_err();
        assert!(outage.cause.contains("keys of one"), "{outage}");
        // What it holds is still found, and others have room.
        assert!(!shard.claim("one", key(2), NOW + KEEP, NOW, ROOM).unwrap());
        assert!(shard.claim("two", key(3), NOW + KEEP, NOW, ROOM).unwrap());
    }

    #[test]
    fn a_full_shard_refuses_everybody_and_forgets_nothing_that_is_valid() {
        let mut shard = Shard::new();
        for (owner, number) in [("one", 1), ("one", 2), ("two", 3)] {
            assert!(shard.claim(owner, key(number), NOW + KEEP, NOW, ROOM).unwrap());
        }
        let last = NOW + KEEP - TICK;
        assert!(shard.claim("two", key(4), last + KEEP, last, ROOM).is_err());
        for number in 1..=3 {
            assert!(!shard.claim("three", key(number), last + KEEP, last, ROOM).unwrap());
        }
        assert!(shard.claim("two", key(4), last + KEEP, NOW + KEEP, ROOM).unwrap());
    }

    #[test]
    fn what_is_over_gives_its_share_back() {
        let mut shard = Shard::new();
        for number in 1..=2 {
            assert!(shard.claim("one", key(number), NOW + KEEP, NOW, ROOM).unwrap());
        }
        assert!(shard.claim("one", key(3), NOW + KEEP + KEEP, NOW + KEEP - TICK, ROOM).is_err());
        for number in 3..=4 {
            assert!(shard.claim("one", key(number), NOW + KEEP + KEEP, NOW + KEEP, ROOM).unwrap());
        }
        assert!(shard.claim("one", key(5), NOW + KEEP + KEEP, NOW + KEEP, ROOM).is_err());
        assert!(shard.claim("two", key(6), NOW + KEEP * 4, NOW + KEEP + KEEP, ROOM).unwrap());
        assert_eq!((shard.keys.len(), shard.ends.len(), shard.held.len()), (1, 1, 1));
    }

    #[test]
    fn a_request_of_before_never_gets_a_forgotten_key_as_fresh() {
        let mut shard = Shard::new();
        assert!(shard.claim("one", key(1), NOW + KEEP, NOW, ROOM).unwrap());
        // A quick request of later has the key forgotten while a slow one is still under way.
        assert!(shard.claim("two", key(2), NOW + KEEP + KEEP, NOW + KEEP, ROOM).unwrap());
        assert!(shard.claim("one", key(1), NOW + KEEP, NOW + KEEP - TICK, ROOM).is_err());
        // What lasts longer than anything forgotten is not meant.
        assert!(shard.claim("one", key(3), NOW + KEEP + TICK, NOW + KEEP - TICK, ROOM).unwrap());
    }

    #[test]
    fn an_owner_within_its_plan_never_meets_its_share() {
        let shares = Shares::with_room(REPLAYS_MAX);
        let of_plan = 50 * 325;
        for number in 0..of_plan {
            assert!(shares.claim("one", key(number), NOW + KEEP, NOW).unwrap());
        }
        let share = u32::try_from(REPLAYS_MAX / OWNER_SHARE).unwrap();
        let refused = (of_plan..=share).find(|number| shares.claim("one", key(*number), NOW + KEEP, NOW).is_err());
        let refused = key(refused.unwrap());
        assert!(shares.claim("two", refused, NOW + KEEP, NOW).unwrap());
    }

    #[test]
    fn nobody_can_tell_beforehand_in_which_shard_a_key_falls() {
        let falls = || {
            let shares = Shares::with_room(REPLAYS_MAX);
            (0..64).map(|number| shares.shard_of(&key(number))).collect::<Vec<_>>()
        };
        assert_ne!(falls(), falls());
    }
}
