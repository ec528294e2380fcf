//! Lets audit records go that are over their retention, once every place has got them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use policies::code::Outage;
use policies::time::Timestamp;

use super::ship::Place;
use super::{Chore, Round};
use crate::house::House;

/// How often it is looked what is over: whole segments go, of a trail that is kept for days at least.
const EVERY: Duration = Duration::from_secs(3600);

/// How much of the trail a place may hold back when it is over its retention, in bytes: some twenty million records.
///
/// A place that is this far behind will hardly come back as it was, and a full disk stops payments.
pub const HELD_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;

/// The chore.
pub struct Prune {
    house: Arc<House>,
    places: Vec<Place>,
    keep: Duration,
    looked: Option<Timestamp>,
}

impl Prune {
    /// Makes the chore; records are kept for `keep` at least.
    #[must_use]
    pub fn new(house: &Arc<House>, places: &[Place], keep: Duration) -> Self {
        Self { house: Arc::clone(house), places: places.to_vec(), keep, looked: None }
    }

    async fn prune(&mut self) -> Result<usize, Outage> {
        let now = self.house.clock.now();
        if self.looked.is_some_and(|looked| now.since(looked) < EVERY) {
            return Ok(0);
        }
        let got = |place: &Place| (place.progress().got(), place.progress().bytes_behind());
        let keep_from = keep_from(self.places.iter().map(got));
        let (audit, older_than) = (self.house.audit.clone(), now - self.keep);
        let pruning = tokio::task::spawn_blocking(move || audit.prune(older_than, keep_from));
        let gone = pruning.await.map_err(|error| Outage::new("audit", error))??;
        if gone > 0 {
            tracing::info!("{gone} segments of the audit trail were over their retention and are let go");
        }
        self.looked = Some(now);
        Ok(gone)
    }
}

/// Returns the first record that some place still waits for, by what places have got and how many bytes they lack.
fn keep_from(places: impl Iterator<Item = (u64, u64)>) -> u64 {
    let waiting = places.filter(|(_, behind)| *behind <= HELD_BYTES_MAX);
    waiting.map(|(got, _)| got.saturating_add(1)).min().unwrap_or(u64::MAX)
}

impl fmt::Debug for Prune {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prune").field("keep", &self.keep).finish_non_exhaustive()
    }
}

impl Chore for Prune {
    fn name(&self) -> &'static str {
        "prune audit"
    }

    fn round(&mut self) -> Round<'_> {
        Box::pin(self.prune())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_place_has_not_got_is_kept_up_to_so_many_bytes_and_not_one_more() {
        assert_eq!(keep_from([].into_iter()), u64::MAX);
        assert_eq!(keep_from([(0, 0)].into_iter()), 1, "nobody knows yet how far it has got");
        assert_eq!(keep_from([(9, 0), (4, HELD_BYTES_MAX), (7, 100)].into_iter()), 5);
        assert_eq!(keep_from([(9, 0), (4, HELD_BYTES_MAX + 1), (7, 100)].into_iter()), 8);
        assert_eq!(keep_from([(4, HELD_BYTES_MAX + 1)].into_iter()), u64::MAX);
    }
}
