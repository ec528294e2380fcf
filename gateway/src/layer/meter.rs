//! `meter`: counts the request against the limits of its caller's plan, in their order, until one has no room.

use std::sync::Arc;
use std::time::Duration;

use policies::code::Code;
use policies::limit::{LimitKey, Metering};
use spine::error::Rejection;
use spine::refine::Refine;
use spine::stage::{Identified, Metered};

use super::noted;
use crate::house::House;

/// When to come back if the limiter has no room for another key.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The stage.
#[derive(Debug, Clone)]
pub struct Meter(pub Arc<House>);

impl Refine<Identified> for Meter {
    type Out = Metered;

    async fn refine(&self, identified: Identified) -> Result<Metered, Rejection> {
        let trail = identified.trail.clone();
        noted(&trail, "meter", self.meter(identified))
    }
}

impl Meter {
    fn meter(&self, identified: Identified) -> Result<Metered, Rejection> {
        // Who has no plan (the public, providers, administrators) was counted by `guard`, per peer.
        let Some(client) = identified.caller().client() else { return Ok(Metered::counted(identified)) };
        let operation = identified.policy().operation.as_str();
        for limit in &client.plan.limits {
            let key = LimitKey::of(limit, client.id.as_str(), client.organisation.id.as_str(), operation);
            match self.0.limiter.check(limit, &key, identified.received) {
                Metering::Within { .. } => {}
                // The rest is not asked: a client that has used up its own room takes none of its organisation's.
                Metering::Exceeded { retry_after } => {
                    identified.trail.note_exhausted(&limit.id);
                    let detail = format!("The plan `{}` has no room for this request now.", client.plan.id);
                    let rejection = Rejection::new(Code::RateLimited, detail).violated(vec![limit.id.to_string()]);
                    return Err(rejection.retry_after(retry_after));
                }
                Metering::KeysExhausted => {
                    self.0.metrics.shed("limit-keys");
                    return Err(Rejection::new(Code::Capacity, "The gateway cannot count more callers now.")
                        .retry_after(FULL_RETRY_AFTER));
                }
            }
        }
        Ok(Metered::counted(identified))
    }
}
