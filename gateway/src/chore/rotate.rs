//! Rotates the keys that sign when it is time, and follows those who do so elsewhere.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use adapters::keys::NotRotated;
use policies::code::Outage;
use policies::rotation::is_due;
use policies::time::Timestamp;

use super::{Chore, Round};
use crate::house::House;

/// How often it is looked: this late a replica may notice that another one has rotated. Short of `PUBLISHED_BEFORE_USE` by
/// far, so that no replica is asked for a key that it does not publish.
const EVERY: Duration = Duration::from_secs(1);

/// The chore.
pub struct Rotate {
    house: Arc<House>,
    looked: Option<Timestamp>,
}

impl Rotate {
    /// Makes the chore.
    #[must_use]
    pub fn new(house: &Arc<House>) -> Self {
        Self { house: Arc::clone(house), looked: None }
    }

    async fn rotate(&mut self) -> Result<usize, Outage> {
        let now = self.house.clock.now();
        if self.looked.is_some_and(|looked| now.since(looked) < EVERY) {
            return Ok(0);
        }
        let house = Arc::clone(&self.house);
        // Files are read and written, which a thread that does other things never waits for.
        let done = tokio::task::spawn_blocking(move || look(&house, now)).await;
        let done = done.map_err(|error| Outage::new("keys", error))??;
        self.looked = Some(now);
        Ok(usize::from(done))
    }
}

fn look(house: &House, now: Timestamp) -> Result<bool, Outage> {
    let followed = house.keyring.follow(now)?;
    let Some(every) = house.rotate_every else { return Ok(followed) };
    let due = |(signs_from, published)| is_due(signs_from, published, every, now);
    if !due(house.keyring.now().times()) {
        return Ok(followed);
    }
    // Looked at again when nobody else can rotate: another replica may just have done so.
    let fit = |keyring: &adapters::keys::Keyring| {
        let times = keyring.times();
        if due(times) { Ok(()) } else { Err(NotRotated::NotDue { since: times.0 }) }
    };
    match house.keyring.rotate_if(now, fit) {
        Ok(keyring) => {
            tracing::info!("the keys that sign were rotated by schedule; {} signs now", keyring.signer_name());
            Ok(true)
        }
        Err(NotRotated::Outage(outage)) => Err(outage),
        Err(NotRotated::TooEarly(_) | NotRotated::NotDue { .. }) => Ok(followed),
    }
}

impl fmt::Debug for Rotate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotate").field("looked", &self.looked).finish_non_exhaustive()
    }
}

impl Chore for Rotate {
    fn name(&self) -> &'static str {
        "rotate keys"
    }

    fn round(&mut self) -> Round<'_> {
        Box::pin(self.rotate())
    }
}
