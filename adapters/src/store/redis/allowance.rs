//! How many keys each owner has put into the servers through this gateway, so that nobody fills them alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use policies::code::Outage;
use policies::time::Timestamp;

use crate::store::shares::{OWNER_SHARE, REPLAYS_MAX};

/// How many keys one owner may hold through one gateway: as many as in the memory of one.
///
/// Each takes some 200 bytes of a server, so that one owner comes to 13 MiB for each gateway.
pub const OWNER_KEYS_MAX: usize = REPLAYS_MAX / OWNER_SHARE;

/// Keys that end within the same eight seconds are counted together, as if all ended at the end of them.
const TOGETHER_MILLIS: i64 = 8_192;

/// What each owner holds. It only counts: whether a key is known is for the servers to say.
#[derive(Debug)]
pub(super) struct Allowance {
    keys_max: usize,
    owners: Mutex<HashMap<String, Held>>,
}

#[derive(Debug, Default)]
struct Held {
    keys: usize,
    /// How many keys end in which stretch of time.
    ends: BTreeMap<i64, usize>,
}

impl Allowance {
    pub(super) fn new(keys_max: usize) -> Self {
        Self { keys_max, owners: Mutex::default() }
    }

    /// Tells whether an owner may claim another key at `now`.
    ///
    /// # Errors
    /// An [`Outage`] of this owner alone, until keys of theirs are over.
    pub(super) fn ask(&self, owner: &str, now: Timestamp) -> Result<(), Outage> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = owners.get_mut(owner) else { return Ok(()) };
        held.forget(now);
        if held.keys == 0 {
            // Who does not come any more takes no room.
            owners.remove(owner);
        } else if held.keys >= self.keys_max {
            return Err(Outage::new("replays", format!("as many keys of {owner} are remembered as may be")));
        }
        Ok(())
    }

    /// Counts a key that an owner has claimed.
    pub(super) fn add(&self, owner: &str, keep_until: Timestamp) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        let held = match owners.get_mut(owner) {
            Some(held) => held,
            None => owners.entry(owner.to_owned()).or_default(),
        };
        held.keys += 1;
        *held.ends.entry(stretch(keep_until)).or_default() += 1;
    }
}

impl Held {
    fn forget(&mut self, now: Timestamp) {
        while let Some(first) = self.ends.first_entry().filter(|first| *first.key() < stretch(now)) {
            self.keys = self.keys.saturating_sub(first.remove());
        }
    }
}

fn stretch(end: Timestamp) -> i64 {
    end.millis().div_euclid(TOGETHER_MILLIS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    // On the edge of a stretch of time.
    const NOW: Timestamp = Timestamp::from_millis(TOGETHER_MILLIS * 1_000_000);
    const TICK: Duration = Duration::from_millis(1);
    const TOGETHER: Duration = Duration::from_millis(TOGETHER_MILLIS.cast_unsigned());

    #[test]
    fn an_owner_beyond_its_share_is_refused_alone() {
        let allowance = Allowance::new(2);
        for _ in 0..2 {
            assert!(allowance.ask("one", NOW).is_ok());
            allowance.add("one", NOW + TOGETHER);
        }
        assert!(allowance.ask("one", NOW).is_err_and(|outage| outage.cause.contains("keys of one")));
        assert!(allowance.ask("two", NOW).is_ok());
    }

    #[test]
    fn what_is_over_gives_its_share_back_and_not_before() {
        let allowance = Allowance::new(2);
        allowance.add("one", NOW);
        allowance.add("one", NOW + TOGETHER);
        assert!(allowance.ask("one", NOW + TOGETHER - TICK).is_err());
        assert!(allowance.ask("one", NOW + TOGETHER).is_ok());
        allowance.add("one", NOW + TOGETHER);
        assert!(allowance.ask("one", NOW + TOGETHER + TOGETHER - TICK).is_err());
        assert!(allowance.ask("one", NOW + TOGETHER + TOGETHER).is_ok());
        assert!(allowance.owners.lock().is_ok_and(|owners| owners.is_empty()));
    }

    #[test]
    fn an_owner_within_its_plan_never_meets_its_share() {
        // Fifty proofs a second, each kept for 325 s.
        let allowance = Allowance::new(OWNER_KEYS_MAX);
        for number in 0..50 * 400_u64 {
            let now = NOW + Duration::from_millis(number * 20);
            assert!(allowance.ask("one", now).is_ok());
            allowance.add("one", now + Duration::from_secs(325));
        }
    }
}
