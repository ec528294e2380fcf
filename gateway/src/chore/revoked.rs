//! Follows what was revoked through other replicas, so that requests need not.

use std::sync::Arc;

use super::{Chore, Round};
use crate::house::House;

/// The chore.
#[derive(Debug)]
pub struct FollowRevocations(Arc<House>);

impl FollowRevocations {
    /// Makes the chore.
    #[must_use]
    pub fn new(house: &Arc<House>) -> Self {
        Self(Arc::clone(house))
    }
}

impl Chore for FollowRevocations {
    fn name(&self) -> &'static str {
        "follow revocations"
    }

    fn round(&mut self) -> Round<'_> {
        Box::pin(async move {
            self.0.revocations.catch_up(self.0.clock.now()).await?;
            Ok(0)
        })
    }
}
