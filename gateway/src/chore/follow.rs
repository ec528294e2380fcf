//! Follows the history of changes: a set that was approved through another replica comes into force here as well.

use std::sync::Arc;
use std::time::Duration;

use policies::code::Outage;
use policies::time::Timestamp;

use super::{Chore, Round};
use crate::admin::{files, put_in_force};
use crate::changes::Changes;
use crate::desk::Cause;
use crate::house::House;

/// How often the history is looked at: this long a change may be in force on one replica and not on another.
const EVERY: Duration = Duration::from_secs(2);

/// How long a set that could not be put in force rests before it is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// The chore.
#[derive(Debug)]
pub struct Follow {
    house: Arc<House>,
    due: Option<Timestamp>,
}

impl Follow {
    /// Makes the chore.
    #[must_use]
    pub fn new(house: &Arc<House>) -> Self {
        Self { house: Arc::clone(house), due: None }
    }

    async fn follow(&mut self, changes: &Changes) -> Result<usize, Outage> {
        let now = self.house.clock.now();
        if self.due.is_some_and(|due| now < due) {
            return Ok(0);
        }
        self.due = Some(now + EVERY);
        let history = changes.catch_up().await?;
        let Some(proposal) = history.in_force().filter(|proposal| changes.in_force() != Some(proposal.number)) else {
            return Ok(0);
        };
        let texts = changes.texts(proposal).await?;
        let by = proposal.approvals.last().map_or_else(|| proposal.by.clone(), |(by, _)| by.clone());
        let cause = Cause::Applied { proposal: proposal.number, by };
        let outcome = put_in_force(&self.house, cause, files(&texts)?).await;
        let outcome = outcome.map_err(|rejection| Outage::new("changes", rejection.name()))?;
        if outcome.refused.is_some() && !outcome.changed {
            // The log and the metrics have it from the reloader.
            self.due = Some(now + AGAIN);
            return Ok(0);
        }
        changes.now_in_force(proposal.number, &texts);
        Ok(1)
    }
}

impl Chore for Follow {
    fn name(&self) -> &'static str {
        "follow changes"
    }

    fn round(&mut self) -> Round<'_> {
        Box::pin(async move {
            let house = Arc::clone(&self.house);
            match &house.changes {
                Some(changes) => self.follow(changes).await,
                None => Ok(0),
            }
        })
    }
}
