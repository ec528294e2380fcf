//! The script beside the arithmetic it repeats, several limiters over one server, and servers that fail.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod away;
mod full;
mod same;
mod together;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use policies::id::OperationId;
use policies::limit::{
    Bucket, Costs, Credit, Dimension, Limit, Mode, Polls, Quota, Rate, Sessions, Shape, Values, Verdict, Window,
};
use policies::time::Timestamp;

use super::SharedLimiter;
use crate::clock::Clock;
use crate::limit::asked::Counted;
use crate::store::redis::RedisConfig;
use crate::store::redis::tests::{PATIENT, config, single};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

fn some(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

fn now() -> Timestamp {
    Clock::system().now()
}

/// A limit by client and operation.
fn limit(id: &str, shape: Shape) -> Limit {
    let rate = Rate { count: some(1), per: SECOND };
    let limit = Limit::bucket(id, &[Dimension::Client, Dimension::Operation], rate, some(1));
    Limit { shape, ..limit }
}

fn bucket(count: u32, per: Duration, burst: u32) -> Shape {
    Shape::Bucket(Bucket { rate: Rate { count: some(count), per }, burst: some(burst), costs: None, credit: None })
}

/// Lookups: what is not found costs twenty, and a payment gives one back.
fn lookups(count: u32, per: Duration, burst: u32) -> Shape {
    let costs = Costs { of: BTreeMap::from([(404, 20), (500, 0)]), otherwise: 1 };
    let credit =
        Credit { operation: OperationId::parse("pay").unwrap(), tokens: some(1), by: Arc::from("x-end"), within: HOUR };
    let rate = Rate { count: some(count), per };
    Shape::Bucket(Bucket { rate, burst: some(burst), costs: Some(costs), credit: Some(credit) })
}

fn quota(most: u32, window: Window) -> Shape {
    Shape::Quota(Quota { most: some(most), window })
}

fn polls(first: Duration, gap: Duration, most: u32, within: Duration) -> Shape {
    Shape::Polls(Polls { after: None, first, gap, most: some(most), within })
}

fn sessions(per_day: u32, calls: u32, rate: u32, idle: Duration) -> Shape {
    Shape::Sessions(Sessions { per_day: some(per_day), calls: some(calls), rate: some(rate), idle })
}

const VALUES: Values<'static> = Values {
    client: Some("shop"),
    organisation: Some("alem"),
    operation: Some("pay"),
    api: None,
    customer: None,
    consent: None,
    subject: Some("somebody"),
    resource: Some("thing"),
    peer: None,
    provider: None,
};

fn counted(limit: &Limit) -> Counted<'_> {
    Counted { limit, values: VALUES, thing: None }
}

fn patient() -> RedisConfig {
    config(single(), PATIENT)
}

fn open() -> SharedLimiter {
    SharedLimiter::open(patient()).unwrap()
}

/// Limiters of as many gateways as are asked for, over the same keys.
fn gateways<const N: usize>() -> [SharedLimiter; N] {
    let config = patient();
    [(); N].map(|()| SharedLimiter::open(config.clone()).unwrap())
}

/// Takes one call of a single limit.
async fn take(limiter: &SharedLimiter, limit: &Limit) -> Verdict {
    let taken = limiter.take(&[counted(limit)], "shop", now()).await.unwrap();
    assert!(taken.counted == taken.verdicts[0].admitted || limit.mode == Mode::Report);
    taken.verdicts[0]
}

/// Counts how many of so many calls were let in.
async fn admitted(limiter: &SharedLimiter, limit: &Limit, calls: usize) -> usize {
    let mut count = 0;
    for _ in 0..calls {
        count += usize::from(take(limiter, limit).await.admitted);
    }
    count
}
