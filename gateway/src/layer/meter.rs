//! `meter`: counts the request against every limit of its caller's plan.

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
        let mut violated = Vec::new();
        let mut wait = Duration::ZERO;
        for limit in &client.plan.limits {
            let key = LimitKey::of(limit, client.id.as_str(), client.organisation.id.as_str(), operation);
            match self.0.limiter.check(limit, &key, identified.received) {
                Metering::Within { .. } => {}
                Metering::Exceeded { retry_after } => {
                    wait = wait.max(retry_after);
                    violated.push(limit.id.to_string());
                }
                Metering::KeysExhausted => {
                    self.0.metrics.shed("limit-keys");
                    return Err(Rejection::new(Code::Capacity, "The gateway cannot count more callers now.")
                        .retry_after(FULL_RETRY_AFTER));
                }
            }
        }
        if violated.is_empty() {
            return Ok(Metered::counted(identified));
        }
        let detail = format!("The plan `{}` has no room for this request now.", client.plan.id);
        Err(Rejection::new(Code::RateLimited, detail).violated(violated).retry_after(wait))
    }
}
