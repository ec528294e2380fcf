//! `meter`: counts the request against the limits of its caller's plan and then of its operation, in their order, until
//! one has no room; tells the caller how much there is.

use std::sync::Arc;
use std::time::Duration;

use policies::code::Code;
use policies::limit::{Limit, LimitKey, Metering, Mode, Values};
use policies::rule::RuleName;
use spine::Reply;
use spine::error::Rejection;
use spine::rate_limit::Room;
use spine::refine::Refine;
use spine::stage::{Identified, Metered};
use tower::Layer;

use super::noted;
use crate::house::House;

/// When to come back if the limiter has no room for another key.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Makes the frame.
#[derive(Debug, Clone)]
pub struct MeterLayer(pub Arc<House>);

impl<S> Layer<S> for MeterLayer {
    type Service = Meter<S>;

    fn layer(&self, inner: S) -> Meter<S> {
        Meter { house: Arc::clone(&self.0), inner }
    }
}

/// The frame.
#[derive(Debug)]
pub struct Meter<S> {
    house: Arc<House>,
    inner: S,
}

impl<S: Refine<Metered, Out = Reply>> Refine<Identified> for Meter<S> {
    type Out = Reply;

    async fn refine(&self, identified: Identified) -> Result<Reply, Rejection> {
        let trail = identified.trail.clone();
        let (metered, room) = noted(&trail, "meter", self.meter(identified))?;
        let answer = self.inner.refine(metered).await;
        // The public, providers and administrators have no limits of their own to be told of.
        let Some(room) = room else { return answer };
        let mut reply = answer.map_err(|rejection| rejection.room(room.clone()))?;
        room.write(reply.headers_mut());
        Ok(reply)
    }
}

impl<S> Meter<S> {
    /// Counts the request; tells how much room is left in the limit that has the least.
    fn meter(&self, identified: Identified) -> Result<(Metered, Option<Room>), Rejection> {
        let client = identified.caller().client();
        let policy = identified.policy();
        let (id, organisation) =
            client.map_or(("", ""), |client| (client.id.as_str(), client.organisation.id.as_str()));
        let values = Values {
            client: client.map(|_| id),
            organisation: client.map(|_| organisation),
            operation: Some(policy.operation.as_str()),
            ..Values::default()
        };
        let key = |limit: &Limit| LimitKey::of(limit, &values);
        let mut least = None;
        // Who has no plan (the public, providers, administrators) was counted by `guard`, per peer.
        if let Some(client) = client {
            let whose = || format!("The plan `{}`", client.plan.id);
            self.count(&identified, &client.plan.limits, key, whose, &mut least)?;
        }
        if !policy.limits.is_empty() {
            let whose = || format!("The operation `{}`", policy.operation);
            self.count(&identified, policy.limits_of(client.map(AsRef::as_ref)), key, whose, &mut least)?;
        }
        Ok((Metered::counted(identified), least))
    }

    fn count<'a>(
        &self,
        identified: &Identified,
        limits: impl IntoIterator<Item = &'a Limit>,
        key: impl Fn(&Limit) -> LimitKey,
        whose: impl Fn() -> String,
        least: &mut Option<Room>,
    ) -> Result<(), Rejection> {
        for limit in limits {
            if limit.mode == Mode::Off {
                continue;
            }
            let metering = self.house.limiter.check(limit, &key(limit), identified.received);
            let rejection = match metering {
                Metering::Within { remaining } => {
                    let room = Room::left(limit, remaining);
                    // A limit that refuses nobody is no client's business.
                    if limit.mode == Mode::Enforce && least.as_ref().is_none_or(|least| room.is_tighter_than(least)) {
                        *least = Some(room);
                    }
                    continue;
                }
                Metering::Exceeded { .. } | Metering::KeysExhausted if limit.mode == Mode::Report => {
                    super::reported(&self.house.metrics, &identified.trail, &[RuleName::limit(limit)]);
                    continue;
                }
                // The rest is not asked: a client that has used up its own room takes none of its organisation's.
                Metering::Exceeded { retry_after } => {
                    identified.trail.note_exhausted(&limit.id);
                    identified.trail.note_rule(&RuleName::limit(limit));
                    let detail = format!("{} has no room for this request now.", whose());
                    let rejection = Rejection::new(Code::RateLimited, detail).violated(Room::none(limit, retry_after));
                    rejection.retry_after(retry_after)
                }
                Metering::KeysExhausted => {
                    self.house.metrics.shed("limit-keys");
                    Rejection::new(Code::Capacity, "The gateway cannot count more callers now.")
                        .retry_after(FULL_RETRY_AFTER)
                }
            };
            return Err(rejection);
        }
        Ok(())
    }
}
