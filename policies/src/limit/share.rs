//! The share that one gateway of several has of a limit while they cannot count together.

use std::num::NonZeroU32;

use super::{Bucket, Polls, Quota, Rate, Sessions, Shape};

/// Returns the share of one of so many gateways, each part rounded down and never below one.
///
/// All shares together are the limit, but for parts that cannot be divided further. A bucket refills more slowly rather
/// than by fewer tokens, which would be none. Of sessions the calls are divided and not the days: each gateway sees each
/// session.
#[must_use]
pub fn divided(shape: &Shape, replicas: NonZeroU32) -> Shape {
    let part = |whole: NonZeroU32| NonZeroU32::new(whole.get() / replicas).unwrap_or(NonZeroU32::MIN);
    match shape {
        Shape::Bucket(bucket) => {
            let per = bucket.rate.per.saturating_mul(replicas.get());
            let rate = Rate { per, ..bucket.rate };
            Shape::Bucket(Bucket { rate, burst: part(bucket.burst), ..bucket.clone() })
        }
        Shape::Quota(quota) => Shape::Quota(Quota { most: part(quota.most), ..quota.clone() }),
        Shape::InFlight(most) => Shape::InFlight(part(*most)),
        Shape::Polls(polls) => Shape::Polls(Polls { most: part(polls.most), ..polls.clone() }),
        Shape::Sessions(sessions) => {
            let (calls, rate) = (part(sessions.calls), part(sessions.rate));
            Shape::Sessions(Sessions { calls, rate, ..sessions.clone() })
        }
    }
}
