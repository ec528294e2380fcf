//! Key sets that clients and other authorization servers publish.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use policies::code::Outage;
use policies::jose::{KeySet, SET_BYTES_MAX};
use policies::network::Endpoint;
use policies::time::Timestamp;

use super::flight::{Fetched, Flight, Rests};
use crate::http::scout::{Bounds, Scout};

/// How long a set is used before it is fetched again beside its use: often enough that a key which was published a few
/// minutes before its first use is known by then.
pub const FRESH_FOR: Duration = Duration::from_secs(120);

/// How long a set may be used at all: a key that was removed verifies nothing after that, whatever is out of reach.
pub const USABLE_FOR: Duration = Duration::from_secs(300);

/// How long a set is not asked for again because of a key id that it lacks: anybody can make one up.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// How long a set that did not come is not asked for again.
pub const FAILED_FOR: Duration = Duration::from_secs(5);

/// How long fetching one may take, from the look-up of the name to the last byte.
pub const FETCH_MAX: Duration = Duration::from_secs(5);

/// The most sets that are kept: those of a country's clients; beyond, the one that was longest not used makes room.
pub const URLS_MAX: usize = 4096;

/// Fetches key sets and keeps them for a while; clones share them.
#[derive(Debug, Clone)]
pub struct Jwks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    scout: Scout,
    sets: Mutex<HashMap<Arc<str>, Published>>,
}

#[derive(Debug)]
struct Published {
    flight: Arc<Flight<KeySet>>,
    used: Timestamp,
}

impl Jwks {
    /// Makes a cache that fetches by `scout`.
    #[must_use]
    pub fn new(scout: Scout) -> Self {
        Self(Arc::new(Inner { scout, sets: Mutex::default() }))
    }

    /// Returns the set that is published at a place, at most [`USABLE_FOR`] old.
    ///
    /// `kid` is what the object to be verified names; a set without it is fetched again, at most once per
    /// [`ASK_AGAIN_AFTER`], and given as it is then. Must be called on a runtime.
    ///
    /// # Errors
    /// An [`Outage`] if there is no set of that age, or none that might have the key.
    pub async fn keys(&self, url: &Endpoint, kid: Option<&str>, now: Timestamp) -> Result<KeySet, Outage> {
        let fits = |set: &KeySet| kid.is_none() || set.iter().any(|key| key.kid() == kid);
        self.flight(url, now).get(now, fits, || fetch(self.0.scout.clone(), url.clone(), now)).await
    }

    /// Fetches the set of a place unless it is fresh, so that nobody waits for it; tells whether it was asked for.
    ///
    /// What is used only by those whose existence is no stranger's business (AS11) is kept warm, so that a request shows
    /// nothing by taking longer.
    pub async fn warm(&self, url: &Endpoint, now: Timestamp) -> bool {
        let (scout, place) = (self.0.scout.clone(), url.clone());
        self.flight(url, now).renew(now, || fetch(scout, place, now)).await
    }

    fn flight(&self, url: &Endpoint, now: Timestamp) -> Arc<Flight<KeySet>> {
        let mut sets = self.0.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(published) = sets.get_mut(url.url()) {
            published.used = now;
            return Arc::clone(&published.flight);
        }
        if sets.len() >= URLS_MAX {
            let oldest = sets.iter().min_by_key(|(_, published)| published.used).map(|(url, _)| Arc::clone(url));
            oldest.and_then(|url| sets.remove(&url));
        }
        let flight = Flight::new(Rests { fetched: ASK_AGAIN_AFTER, failed: FAILED_FOR });
        sets.insert(Arc::from(url.url()), Published { flight: Arc::clone(&flight), used: now });
        flight
    }
}

async fn fetch(scout: Scout, url: Endpoint, now: Timestamp) -> Result<Fetched<KeySet>, Outage> {
    let outage = |cause: String| Outage::new(format!("keys of {}", url.origin()), cause);
    let bounds = Bounds { within: FETCH_MAX, bytes_max: SET_BYTES_MAX };
    let reply = scout.get(&url, bounds).await.map_err(|failed| outage(failed.cause))?;
    if reply.status != 200 {
        return Err(outage(format!("it answered {}", reply.status)));
    }
    let value = KeySet::read(&reply.body).map_err(|error| outage(error.to_string()))?;
    Ok(Fetched { value, fresh_until: now + FRESH_FOR, usable_until: now + USABLE_FOR })
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
