//! Short names of counters: 128 bits of a keyed hash, so that a flood of long names costs no more than one of short ones.
//!
//! Who does not know the key of the process cannot choose names that meet. This module must not know what is counted.

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};

use policies::limit::{Limit, LimitKey, Values};

/// The name of a counter in this process; another process has another one for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// Says in which shard it is kept.
    pub(super) shard: u64,
    /// Says where in there.
    place: u64,
}

/// The keys that names are hashed with, drawn anew at each start.
#[derive(Debug, Default)]
pub(super) struct Keys {
    shard: RandomState,
    place: RandomState,
}

// What a name is of: two names of different kinds never meet.
const COUNTER: u8 = 0;
const MARK: u8 = 1;
const TEXT: u8 = 2;

impl Keys {
    /// Names the counter that a limit keeps for these values.
    pub(super) fn counter(&self, limit: &Limit, values: &Values<'_>) -> Key {
        self.key(|hasher| {
            hasher.write_u8(COUNTER);
            text(hasher, &limit.id);
            for dimension in &limit.per {
                hasher.write_u8(*dimension as u8);
                text(hasher, values.of(*dimension).unwrap_or_default());
            }
        })
    }

    /// Names the mark that a call of `owner` leaves for a later one about the same thing.
    pub(super) fn mark(&self, limit: &Limit, owner: &str, thing: &str) -> Key {
        self.key(|hasher| {
            hasher.write_u8(MARK);
            text(hasher, &limit.id);
            text(hasher, owner);
            text(hasher, thing);
        })
    }

    /// Names a counter by the long form of its name.
    pub(super) fn long(&self, key: &LimitKey) -> Key {
        self.key(|hasher| {
            hasher.write_u8(TEXT);
            text(hasher, key.as_str());
        })
    }

    /// Names an owner of counters.
    pub(super) fn owner(&self, owner: &str) -> u64 {
        self.place.hash_one(owner)
    }

    fn key(&self, feed: impl Fn(&mut DefaultHasher)) -> Key {
        let half = |state: &RandomState| {
            let mut hasher = state.build_hasher();
            feed(&mut hasher);
            hasher.finish()
        };
        Key { shard: half(&self.shard), place: half(&self.place) }
    }
}

// Each text stands with its length: two lists of texts must never be one.
fn text(hasher: &mut DefaultHasher, text: &str) {
    hasher.write_usize(text.len());
    hasher.write(text.as_bytes());
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.place);
    }
}

/// Takes a [`Key`] for its own hash: it is one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hashed(u64);

impl BuildHasher for Hashed {
    type Hasher = Hashed;

    fn build_hasher(&self) -> Hashed {
        Hashed(0)
    }
}

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}
