//! Enters the policy set that is in force into the store, so that a decision of today can be judged again in years.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Chore, Round};
use crate::house::House;
use crate::stack::Stack;

/// The chore.
#[derive(Debug)]
pub struct Enter {
    house: Arc<House>,
    stack: Arc<ArcSwap<Stack>>,
    entered: Option<[u8; 32]>,
}

impl Enter {
    /// Makes the chore.
    #[must_use]
    pub fn new(house: &Arc<House>, stack: &Arc<ArcSwap<Stack>>) -> Self {
        Self { house: Arc::clone(house), stack: Arc::clone(stack), entered: None }
    }
}

impl Chore for Enter {
    fn name(&self) -> &'static str {
        "enter policies"
    }

    fn round(&mut self) -> Round<'_> {
        Box::pin(async move {
            let generation = Arc::clone(self.stack.load().generation());
            let bundle = &generation.bundle;
            if self.entered == Some(bundle.digest) {
                return Ok(0);
            }
            let number = self.house.durable.enter(bundle.digest, &bundle.text, self.house.clock.now()).await?;
            self.entered = Some(bundle.digest);
            tracing::info!("policy set {number} is in force: {}", bundle.name);
            Ok(1)
        })
    }
}
