//! What remembers the proofs and assertions that were shown, and how it does.

use std::fmt;
use std::sync::Arc;

use adapters::store::memory::MemoryStore;
use adapters::store::port::Replays;
use adapters::store::redis::{Readings, RedisStore};

/// Where proofs and assertions that were shown are remembered.
#[derive(Clone)]
pub struct Remembrance {
    /// The port.
    pub replays: Arc<dyn Replays>,
    redis: Option<Arc<RedisStore>>,
}

impl fmt::Debug for Remembrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembrance").field("redis", &self.redis.is_some()).finish_non_exhaustive()
    }
}

impl Remembrance {
    /// Remembers in this process.
    #[must_use]
    pub fn own() -> Self {
        Self { replays: Arc::new(MemoryStore::new()), redis: None }
    }

    /// Remembers in a Redis, with all gateways that use it.
    #[must_use]
    pub fn shared(redis: RedisStore) -> Self {
        let redis = Arc::new(redis);
        Self { replays: Arc::clone(&redis) as Arc<dyn Replays>, redis: Some(redis) }
    }

    /// Tells how the Redis behind it does; none if there is none.
    #[must_use]
    pub fn readings(&self) -> Option<Readings> {
        self.redis.as_ref().map(|redis| redis.readings())
    }
}
