//! Short names of counters: 128 bits of a keyed hash, so that a flood of long names costs no more than one of short ones.
//!
//! Who does not know the key of the process cannot choose names that meet. This module must not know what is counted.

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};

use policies::limit::state::unsaid_terms;
use policies::limit::{Limit, Values};

/// The name of a counter in this process; another process has another one for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// Says in which shard it is kept.
    pub(super) shard: u64,
    /// Says where in there.
    place: u64,
}

/// The key that names are hashed with, drawn anew at each start.
#[derive(Debug, Default)]
pub(super) struct Keys(RandomState);

// What a name is of: two names of different kinds never meet.
const COUNTER: u8 = 0;
const MARK: u8 = 1;

/// What is hashed after a name for the second half of its key.
const PLACE: u8 = 1;

impl Keys {
    /// Names the counter that a limit keeps for these values.
    pub(super) fn counter(&self, limit: &Limit, values: &Values<'_>) -> Key {
        let mut name = self.name(COUNTER);
        name.text(&limit.id);
        unsaid_terms(&limit.shape, |term| name.bytes(&term.to_le_bytes()));
        for dimension in &limit.per {
            name.bytes(&[*dimension as u8]);
            name.text(values.of(*dimension).unwrap_or_default());
        }
        name.key()
    }

    /// Names the mark that a call of `owner` leaves for a later one about the same thing.
    ///
    /// The terms are left out: where this gateway counts alone the first call knows its share of the limit, and the later one
    /// all of it.
    pub(super) fn mark(&self, limit: &Limit, owner: &str, thing: &str) -> Key {
        let mut name = self.name(MARK);
        name.text(&limit.id);
        name.text(owner);
        name.text(thing);
        name.key()
    }

    /// Names an owner of counters.
    pub(super) fn owner(&self, owner: &str) -> u64 {
        self.0.hash_one(owner)
    }

    fn name(&self, kind: u8) -> Name {
        let mut name = Name { hasher: self.0.build_hasher(), pending: [0; PENDING], filled: 0 };
        name.bytes(&[kind]);
        name
    }
}

/// How many bytes of a name are gathered before they are hashed: most names at once, as many short pieces cost more.
const PENDING: usize = 192;

/// A name on its way to be a key.
struct Name {
    hasher: DefaultHasher,
    pending: [u8; PENDING],
    filled: usize,
}

impl Name {
    // Each text stands with its length: two lists of texts must never be one.
    fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u64).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let end = self.filled + bytes.len();
        if let Some(free) = self.pending.get_mut(self.filled..end) {
            free.copy_from_slice(bytes);
            self.filled = end;
            return;
        }
        self.flush();
        self.hasher.write(bytes);
    }

    fn flush(&mut self) {
        self.hasher.write(self.pending.get(..self.filled).unwrap_or_default());
        self.filled = 0;
    }

    fn key(mut self) -> Key {
        self.flush();
        let shard = self.hasher.finish();
        // The second half is read off the same 256 bits of state, moved on: names meet in both if they have met in all of it.
        self.hasher.write_u8(PLACE);
        Key { shard, place: self.hasher.finish() }
    }
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use policies::limit::{Dimension, Rate};

    use super::*;

    #[test]
    fn names_meet_only_where_all_of_them_is_one() {
        let keys = Keys::default();
        let rate = Rate { count: NonZeroU32::MIN, per: Duration::from_secs(1) };
        let limit = |id: &str, per: &[Dimension]| Limit::bucket(id, per, rate, NonZeroU32::MIN);
        let both = limit("l", &[Dimension::Client, Dimension::Resource]);
        let key = |client: &str, resource: &str| {
            let values = Values { client: Some(client), resource: Some(resource), ..Values::default() };
            keys.counter(&both, &values)
        };
        assert_eq!(key("a", "b"), key("a", "b"));
        assert_ne!(key("ab", "c"), key("a", "bc"));
        assert_ne!(key("a", ""), key("", "a"));
        // Longer than what is gathered at once, and no longer.
        for length in [PENDING - 30, PENDING - 20, PENDING, 3 * PENDING] {
            let long = "x".repeat(length);
            assert_eq!(key(&long, "b"), key(&long, "b"));
            assert_ne!(key(&long, "b"), key(&format!("{long}b"), ""));
            assert_ne!(key(&long, "b"), key(&long, "c"));
        }
        let values = Values { client: Some("a"), operation: Some("a"), ..Values::default() };
        let of = |per| keys.counter(&limit("l", &[per]), &values);
        assert_ne!(of(Dimension::Client), of(Dimension::Operation), "one value of two dimensions");
        assert_ne!(keys.counter(&limit("l", &[]), &values), keys.counter(&limit("m", &[]), &values));
        assert_ne!(keys.mark(&both, "a", "b"), key("a", "b"));
        let wider = Limit::bucket("l", &both.per, rate, NonZeroU32::MAX);
        assert_ne!(keys.counter(&wider, &values), keys.counter(&both, &values), "another burst");
        assert_eq!(keys.mark(&wider, "a", "b"), keys.mark(&both, "a", "b"));
        assert_ne!(Keys::default().counter(&both, &values), keys.counter(&both, &values), "another process");
    }
}
