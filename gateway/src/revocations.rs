//! What was taken back, as this process knows it: a short list that follows the one in the store.
//!
//! A request looks into the list and waits for nobody, as long as the list is fresh; if it is not, the request itself
//! reads on, and if the store cannot tell, nobody knows whether a token still counts. This module must not know what a
//! name in the list stands for.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use adapters::store::port::{Answer, Authorizations, Item, ItemKind, REVOKED_READ, Step};
use policies::code::Outage;
use policies::revocation::Revoked;
use policies::time::Timestamp;
use tokio::sync::Mutex;

/// How old the list may be that a request is judged by: as long a token may count after it was taken back elsewhere.
pub const REVOCATION_LAG_MAX: Duration = Duration::from_secs(1);

/// How many names are followed: some 60 MB of them, and far more than are taken back within the life of a token.
pub const FOLLOWED_MAX: usize = 1_000_000;

/// How long names that are over may stay in the list.
const PRUNE_EVERY: Duration = Duration::from_secs(10);

/// The list, shared by all serving threads.
pub struct Revocations {
    store: Arc<dyn Authorizations>,
    names_max: usize,
    names: RwLock<HashMap<[u8; 32], Timestamp>>,
    /// How many names are in the list: mostly none, and then nobody needs to lock it.
    count: AtomicUsize,
    /// When the store was asked for what the list holds, in milliseconds.
    read_at: AtomicI64,
    reading: Mutex<Reading>,
}

/// How far the one who reads the store has come.
#[derive(Debug)]
struct Reading {
    position: u64,
    pruned: Timestamp,
    /// How the last reading ended, if it did not find everything, and when.
    failed: Option<(Instant, Outage)>,
}

impl Revocations {
    /// Makes a list that knows nothing yet: the first who asks reads it.
    #[must_use]
    pub fn new(store: Arc<dyn Authorizations>) -> Self {
        Self::with_room(store, FOLLOWED_MAX)
    }

    fn with_room(store: Arc<dyn Authorizations>, names_max: usize) -> Self {
        let never = Timestamp::from_millis(i64::MIN);
        Self {
            store,
            names_max,
            names: RwLock::default(),
            count: AtomicUsize::new(0),
            read_at: AtomicI64::new(i64::MIN),
            reading: Mutex::new(Reading { position: 0, pruned: never, failed: None }),
        }
    }

    /// Tells whether one of the names was taken back, by a list that is at most [`REVOCATION_LAG_MAX`] old.
    ///
    /// # Errors
    /// An outage if the list is older and the store cannot be asked.
    pub async fn is_revoked(&self, names: &[[u8; 32]], now: Timestamp) -> Result<bool, Outage> {
        if !self.is_fresh(now) {
            self.read_on(now).await?;
        }
        if self.count.load(Ordering::Acquire) == 0 {
            return Ok(false);
        }
        let known = self.names.read().unwrap_or_else(PoisonError::into_inner);
        Ok(names.iter().any(|name| known.get(name).is_some_and(|until| now < *until)))
    }

    /// Takes in what this process has just revoked, so that it counts here at once.
    pub fn take_in(&self, revoked: &[Revoked]) {
        if revoked.is_empty() {
            return;
        }
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        for one in revoked {
            let until = names.entry(one.name).or_insert(one.until);
            *until = one.until.max(*until);
        }
        self.count.store(names.len(), Ordering::Release);
    }

    /// Reads what was revoked since it was read last, also if the list is fresh.
    ///
    /// # Errors
    /// An outage of the store.
    pub async fn catch_up(&self, now: Timestamp) -> Result<(), Outage> {
        let mut reading = self.reading.lock().await;
        self.read(&mut reading, now).await
    }

    /// Returns how many names are in the list.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    // A clock that was put back makes the list old as well: nobody knows how long ago it was read.
    fn is_fresh(&self, now: Timestamp) -> bool {
        let read_at = Timestamp::from_millis(self.read_at.load(Ordering::Acquire));
        now.since(read_at).max(read_at.since(now)) <= REVOCATION_LAG_MAX
    }

    /// Reads the store, or waits for whoever is reading it and shares what that comes to.
    async fn read_on(&self, now: Timestamp) -> Result<(), Outage> {
        let asked = Instant::now();
        let mut reading = self.reading.lock().await;
        if self.is_fresh(now) {
            return Ok(());
        }
        // Otherwise all who wait would wait for an absent store one after the other.
        if let Some((_, outage)) = reading.failed.as_ref().filter(|(at, _)| *at >= asked) {
            return Err(outage.clone());
        }
        self.read(&mut reading, now).await
    }

    async fn read(&self, reading: &mut Reading, now: Timestamp) -> Result<(), Outage> {
        let read = self.read_all(reading, now).await;
        reading.failed = read.as_ref().err().map(|outage| (Instant::now(), outage.clone()));
        if read.is_ok() {
            self.read_at.store(now.millis(), Ordering::Release);
        }
        read
    }

    async fn read_all(&self, reading: &mut Reading, now: Timestamp) -> Result<(), Outage> {
        if now.since(reading.pruned) >= PRUNE_EVERY || now < reading.pruned {
            reading.pruned = now;
            self.prune(now);
        }
        loop {
            let found = self.store.revoked_after(reading.position, now).await?;
            let Some((last, _)) = found.last() else { return Ok(()) };
            if self.count() + found.len() > self.names_max {
                return Err(Outage::new("authorizations", "more is revoked than may be followed"));
            }
            let revoked: Vec<Revoked> = found.iter().map(|(_, revoked)| *revoked).collect();
            self.take_in(&revoked);
            reading.position = *last;
            if found.len() < REVOKED_READ {
                return Ok(());
            }
        }
    }

    fn prune(&self, now: Timestamp) {
        if self.count() > 0 {
            let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
            names.retain(|_, until| now < *until);
            self.count.store(names.len(), Ordering::Release);
        }
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("count", &self.count()).finish_non_exhaustive()
    }
}

/// A store whose revocations count in this process as soon as they are made.
pub struct Watched {
    store: Arc<dyn Authorizations>,
    revocations: Arc<Revocations>,
}

impl Watched {
    /// Has a list take in what is revoked through this store.
    #[must_use]
    pub fn new(store: Arc<dyn Authorizations>, revocations: Arc<Revocations>) -> Self {
        Self { store, revocations }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl Authorizations for Watched {
    fn item<'a>(&'a self, kind: ItemKind, key: &'a [u8; 32]) -> Answer<'a, Option<(Item, u64)>> {
        self.store.item(kind, key)
    }

    fn change_items<'a>(&'a self, steps: &'a [Step], revoked: &'a [Revoked], now: Timestamp) -> Answer<'a, bool> {
        Box::pin(async move {
            let changed = self.store.change_items(steps, revoked, now).await?;
            if changed {
                self.revocations.take_in(revoked);
            }
            Ok(changed)
        })
    }

    fn of_owner<'a>(&'a self, kind: ItemKind, owner: &'a [u8; 32]) -> Answer<'a, Vec<(Item, u64)>> {
        self.store.of_owner(kind, owner)
    }

    fn revoked_after(&self, position: u64, now: Timestamp) -> Answer<'_, Vec<(u64, Revoked)>> {
        self.store.revoked_after(position, now)
    }
}

#[cfg(test)]
#[path = "revocations_tests.rs"]
mod tests;
