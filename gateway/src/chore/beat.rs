//! Tells the other gateways that this one is alive, and hears how many there are: each counts its share while the store that
//! they share is away. With that it hears which counters were reset elsewhere.

use std::sync::Arc;

use adapters::limit::shared::BEAT;
use policies::time::Timestamp;

use super::{Chore, Round};
use crate::house::House;

/// The chore.
#[derive(Debug)]
pub struct Beat {
    house: Arc<House>,
    last: Option<Timestamp>,
}

impl Beat {
    /// Makes the chore.
    #[must_use]
    pub fn new(house: &Arc<House>) -> Self {
        Self { house: Arc::clone(house), last: None }
    }
}

impl Chore for Beat {
    fn name(&self) -> &'static str {
        "tell gateways alive"
    }

    fn round(&mut self) -> Round<'_> {
        Box::pin(async move {
            let now = self.house.clock.now();
            let Some(shared) = self.house.limiter.shared() else { return Ok(0) };
            // A clock that goes back makes it early, never late.
            if self.last.is_some_and(|last| last <= now && now < last + BEAT) {
                return Ok(0);
            }
            shared.beat().await?;
            self.last = Some(now);
            Ok(0)
        })
    }
}
