//! `meter`: counts the request against the limits of its caller's plan and then of its operation, in their order, until
//! one has no room.

use std::sync::Arc;
use std::time::Duration;

use policies::code::Code;
use policies::limit::{Limit, LimitKey, Metering, Mode};
use policies::rule::RuleName;
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
        let client = identified.caller().client();
        let policy = identified.policy();
        let (id, organisation) =
            client.map_or(("", ""), |client| (client.id.as_str(), client.organisation.id.as_str()));
        let key = |limit: &Limit| LimitKey::of(limit, id, organisation, policy.operation.as_str());
        // Who has no plan (the public, providers, administrators) was counted by `guard`, per peer.
        if let Some(client) = client {
            let whose = || format!("The plan `{}`", client.plan.id);
            self.count(&identified, &client.plan.limits, key, whose)?;
        }
        if !policy.limits.is_empty() {
            let whose = || format!("The operation `{}`", policy.operation);
            self.count(&identified, policy.limits_of(client.map(AsRef::as_ref)), key, whose)?;
        }
        Ok(Metered::counted(identified))
    }

    fn count<'a>(
        &self,
        identified: &Identified,
        limits: impl IntoIterator<Item = &'a Limit>,
        key: impl Fn(&Limit) -> LimitKey,
        whose: impl Fn() -> String,
    ) -> Result<(), Rejection> {
        for limit in limits {
            if limit.mode == Mode::Off {
                continue;
            }
            let metering = self.0.limiter.check(limit, &key(limit), identified.received);
            let rejection = match metering {
                Metering::Within { .. } => continue,
                Metering::Exceeded { .. } | Metering::KeysExhausted if limit.mode == Mode::Report => {
                    super::reported(&self.0.metrics, &identified.trail, &[RuleName::limit(limit)]);
                    continue;
                }
                // The rest is not asked: a client that has used up its own room takes none of its organisation's.
                Metering::Exceeded { retry_after } => {
                    identified.trail.note_exhausted(&limit.id);
                    identified.trail.note_rule(&RuleName::limit(limit));
                    let detail = format!("{} has no room for this request now.", whose());
                    let rejection = Rejection::new(Code::RateLimited, detail).violated(vec![limit.id.to_string()]);
                    rejection.retry_after(retry_after)
                }
                Metering::KeysExhausted => {
                    self.0.metrics.shed("limit-keys");
                    Rejection::new(Code::Capacity, "The gateway cannot count more callers now.")
                        .retry_after(FULL_RETRY_AFTER)
                }
            };
            return Err(rejection);
        }
        Ok(())
    }
}
